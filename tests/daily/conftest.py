"""One PostgreSQL for all tests of this folder, an empty database for each test, and an object store for a module."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.postgres import Postgres
from tests.support.servers import public_directory

if TYPE_CHECKING:
    from tests.support.stores import ObjectStore

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


@pytest.fixture(scope="module")
def store() -> "Iterator[ObjectStore]":
    """A server of S3. The processes that a test starts find it by their environment."""
    from tests.support.stores import object_store  # boto3 takes long to import, and few modules need it

    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        yield store
