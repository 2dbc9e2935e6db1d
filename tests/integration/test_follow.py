"""`fasthits log --follow` with real writers, rotation, kills and a memcached that comes and goes: each line counts once."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.following import QUICK, Follower, Load, Nginx
from tests.integration.logger import access_line
from tests.integration.processes import eventually
from tests.integration.proxy import Proxy
from tests.integration.servers import Memcached, require_program

ROTATIONS = 20
KILLS = 20


@pytest.fixture
def logs(place: Path) -> Path:
    folder = place / "logs"
    folder.mkdir(mode=0o755)
    return folder


def lines_of(files: Iterable[Path]) -> Counter[str]:
    """Return how often each path stands in some log files."""
    return Counter(line.split(" ")[6] for file in files for line in file.read_text().splitlines())


def views_by_path(memcached: Memcached) -> Counter[str]:
    """Return the counters of all days together."""
    views = Counter[str]()
    for key, number in memcached.counters().items():
        views[key[key.index("/") :]] += number
    return views


def expect_all(
    memcached: Memcached, follower: Follower, expected: Callable[[], Counter[str]], timeout: float = 30
) -> None:
    """Return when exactly the lines that were written have been counted, and no more come."""
    eventually(
        lambda: views_by_path(memcached) == expected(),
        timeout,
        lambda: f"{views_by_path(memcached).total():,} of {expected().total():,} counted; it said {follower.stderr}",
    )


class Writer:
    """Appends lines to a log as fast as it is told to, from a thread, and remembers how many; reopens when told."""

    def __init__(self, path: Path, paths: int = 700, pause: float = 0.0005) -> None:
        self.path = path
        self.written = Counter[str]()
        self._paths = [f"/{'x' * 40}/{number}" for number in range(paths)]
        self._random = random.Random(paths)
        self._pause = pause
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._file.close()

    def reopen(self) -> None:
        """Write to the file that now has the name, made anew if need be."""
        with self._lock:
            self._file.close()
            self._file = self.path.open("ab", buffering=0)

    def wait_for(self, lines: int) -> None:
        """Return when so many more lines have been written."""
        wanted = self.written.total() + lines
        eventually(lambda: self.written.total() >= wanted, what="lines are written")

    def _write(self) -> None:
        while not self._ended.wait(self._pause):
            chosen = self._random.choices(self._paths, k=self._random.randint(1, 50))
            with self._lock:
                self._file.write(b"".join(map(access_line, chosen)))
                self.written.update(chosen)


def follow(
    place: Path, memcached: Memcached | Proxy, *files: Path | str, first: str = "", args: tuple[str, ...] = ()
) -> Follower:
    names = [word for file in files for word in ("--follow", str(file))]
    return Follower(place, *names, "--memcached", memcached.spec, *args, first=first)


def test_no_line_is_lost_or_counted_twice_over_rotations_of_nginx(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    late = random.Random(11)
    paths = [f"/{number % 7}" for number in range(50)]
    with Nginx(place, log) as nginx, follow(place, memcached, log) as follower:
        with Load(nginx.port, paths):
            for number in range(ROTATIONS):
                eventually(lambda: log.exists() and log.stat().st_size > 100_000, what="nginx writes its log")
                old = log.rename(logs / f"access.log.{number + 1}")
                if number == 0:
                    time.sleep(2)  # as late as nginx may be: it goes on writing to what has another name
                else:
                    size = old.stat().st_size + late.randint(0, 200_000)
                    eventually(lambda old=old, size=size: old.stat().st_size >= size, what="nginx writes to it still")
                nginx.reopen()
                eventually(log.exists, what="nginx has opened a new log")
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


def test_no_line_is_lost_or_counted_twice_over_kills(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    moment = random.Random(5)
    writer = Writer(log)
    with follow(place, memcached, log, first=QUICK) as follower:
        with writer:
            for number in range(KILLS):
                writer.wait_for(moment.randint(100, 3000))
                time.sleep(moment.random() / 20)
                follower.kill()
                if number % 3 == 1:
                    log.rename(logs / f"access.log.{number}")
                    writer.wait_for(100)
                    writer.reopen()
                follower.start()
        expect_all(memcached, follower, lambda: writer.written)
    assert "in doubt" not in follower.stderr
    assert "first time" not in follower.stderr
