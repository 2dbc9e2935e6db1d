"""One PostgreSQL for all tests of this folder, and an empty database for each test."""

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.postgres import Postgres
from tests.support.servers import public_directory

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with public_directory() as directory, Postgres(directory) as server:
        yield server


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, which is dropped after the test."""
    name = f"stats_{next(_NUMBERS)}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def psql(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection of another program, which commits each statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
