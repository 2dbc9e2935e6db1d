"""Fixtures: a public directory, memcached servers and loggers in it, all ended with the test."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from pymemcache.client.base import Client

from tests.integration.logger import Logger
from tests.integration.servers import Memcached, public_directory


@pytest.fixture
def place() -> Iterator[Path]:
    """A new directory that every user may read."""
    with public_directory() as directory:
        yield directory


@pytest.fixture
def start_memcached(place: Path) -> Iterator[Callable[..., Memcached]]:
    """Start further memcached servers: the options of memcached, and `unix=True` for one on a socket."""
    with ExitStack() as servers:

        def start(*args: str, unix: bool = False) -> Memcached:
            return servers.enter_context(Memcached(place, *args, unix=unix))

        yield start


@pytest.fixture
def memcached(start_memcached: Callable[..., Memcached]) -> Memcached:
    """An empty memcached on a port of 127.0.0.1."""
    return start_memcached()


@pytest.fixture
def client(memcached: Memcached) -> Iterator[Client]:
    """A plain client of `memcached`: values are bytes."""
    client = memcached.client()
    yield client
    client.close()


@pytest.fixture
def start_logger(place: Path) -> Iterator[Callable[..., Logger]]:
    """Start a `fasthits log` with these arguments; `env`, `first` and `command` are those of Logger."""
    with ExitStack() as loggers:

        def start(
            *args: str, env: Mapping[str, str] | None = None, first: str = "", command: Sequence[str] = ()
        ) -> Logger:
            return loggers.enter_context(Logger(place, *args, env=env, first=first, command=command))

        yield start


@pytest.fixture
def logger(start_logger: Callable[..., Logger], memcached: Memcached) -> Logger:
    """A `fasthits log` that counts to `memcached`."""
    return start_logger("--memcached", memcached.spec)
