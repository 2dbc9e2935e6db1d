"""Servers of the web page with three kept days: one for all tests that only read, and new ones for the others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import fasthits, hit, write
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.support import DAYS, HOSTILE, LONG, read_one_line


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three days: / is read 3, 2 and 1 times, /old once a day, two odd paths once."""
    folder = tmp_path_factory.mktemp("kept")
    for views, day in zip((3, 2, 1), DAYS, strict=True):
        write(folder / f"{day}.log", hit("/", day) * views + hit("/old", day))
    write(folder / "odd.log", hit(HOSTILE, DAYS[0]) + hit(LONG, DAYS[0]))
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", folder / "*.log", "--to", folder / "hits.db")
    assert done.returncode == 0
    return folder / "hits.db"


@pytest.fixture(scope="session")
def idle(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for tests that only read: no hit is counted today, and the database does not change."""
    place = tmp_path_factory.mktemp("idle")
    with Memcached(place) as memcached, Served(place, "--memcached", memcached.spec, "--database", str(kept)) as served:
        read_one_line(memcached)
        yield served


@pytest.fixture
def start(place: Path, memcached: Memcached, kept: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*args: str, **options: Any) -> Served:
        where = ("--memcached", memcached.spec, "--database", str(kept))
        started.append(Served(place, *where, *args, **options))
        return started[-1]

    yield start
    for served in started:
        served.__exit__()


@pytest.fixture
def served(start: Callable[..., Served]) -> Served:
    return start()
