"""`fasthits log --follow` while nginx and logrotate rotate the log: each line counts once."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.following import QUICK, Load, Nginx, Writer, expect_all, follow, lines_of, logrotate
from tests.support.processes import eventually
from tests.support.servers import Memcached

ROTATIONS = 6


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
                    time.sleep(2)  # nginx may be late: it goes on writing to the renamed file
                else:
                    size = old.stat().st_size + late.randint(0, 200_000)
                    eventually(lambda old=old, size=size: old.stat().st_size >= size, what="nginx writes to it still")
                nginx.reopen()
                eventually(log.exists, what="nginx has opened a new log")
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


def test_logrotate_with_create_and_a_signal(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    log.touch()
    with Nginx(place, log) as nginx, follow(place, memcached, log) as follower:
        script = f"postrotate\n kill -USR1 $(cat {place}/nginx.pid)\n endscript"
        with Load(nginx.port, ["/a", "/b"]):
            for _ in range(5):
                eventually(lambda: log.exists() and log.stat().st_size > 20_000, what="nginx writes its log")
                logrotate(place, log, "create 0644", script)
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_logrotate_with_copytruncate_loses_nothing_between_rotations(
    place: Path, logs: Path, memcached: Memcached, running: bool
) -> None:
    log = logs / "access.log"
    log.touch()
    with follow(place, memcached, log, patch=QUICK) as follower:
        written = Counter[str]()
        for number in range(4):
            with Writer(log) as writer:
                writer.wait_for(2000)
            written += writer.written
            # A follower that has read no byte of a file does not know the copy of the file.
            eventually(memcached.counters, what="the follower has read some lines")
            if not running:
                follower.kill()
                with Writer(log, paths=90) as writer:
                    writer.wait_for(500)
                written += writer.written
            logrotate(place, log, "copytruncate")
            with Writer(log, paths=80 + number) as writer:
                writer.wait_for(3000)  # more bytes than before
            written += writer.written
            if not running:
                follower.start()
        expect_all(memcached, follower, lambda: written)
