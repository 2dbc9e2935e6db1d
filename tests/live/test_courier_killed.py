"""The courier is killed at any moment: the hits that it had taken are reported as in doubt, all others count once."""

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from fasthits.live.keys import hit_key
from tests.live.test_status_signal import read_status, wait_until_settled
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, is_alive
from tests.support.servers import Memcached
from tests.support.sockets import unread_bytes

StartLogger = Callable[..., Logger]

KEY = hit_key(DAY, b"/a")

SEED = 20260312
LOGGERS = 8
KILLS = 24
"""Of all loggers together: a courier is replaced a second after its start at the earliest, so they take turns."""
KILL_WITHIN_SECONDS = 0.06
"""A courier dies at a random moment of its first so many seconds, while it delivers what came without one."""
LINES_PER_SECOND = 3_000
"""For each logger."""
BLOCK_SECONDS = 0.01
PATHS = 3_000
BATCH_ROWS = 1_000
"""What a courier takes at once: no more than this can be in doubt for each death."""


class Load(threading.Thread):
    """Writes hits of random paths to one logger at a steady rate until it is told to stop."""

    def __init__(self, logger: Logger, seed: int) -> None:
        super().__init__(daemon=True)
        chosen = random.Random(seed)
        paths = [f"/{number}" for number in range(PATHS)]
        size = round(LINES_PER_SECOND * BLOCK_SECONDS)
        self.sent: Counter[str] = Counter()
        self._logger = logger
        self._blocks = [chosen.choices(paths, k=size) for _ in range(200)]
        self._ending = threading.Event()

    def run(self) -> None:
        started = time.monotonic()
        for number in range(10**9):
            if self._ending.wait(max(0.0, started + number * BLOCK_SECONDS - time.monotonic())):
                return
            block = self._blocks[number % len(self._blocks)]
            self.sent.update(block)
            self._logger.write(access_lines(block))

    def stop(self) -> None:
        """Return when the last line is written; AssertionError if the pipe stays full."""
        self._ending.set()
        self.join(20.0)
        assert not self.is_alive(), f"the logger does not read its pipe; it said {self._logger.stderr!r}"


class Killer:
    """Kills each courier of one logger at a random moment after its start."""

    def __init__(self, logger: Logger, seed: int) -> None:
        self.kills = 0
        self._logger = logger
        self._random = random.Random(seed)
        self._courier: int | None = None
        self._last = 0
        self._at = 0.0

    def tick(self) -> None:
        """Kill the courier if it is time to."""
        if time.monotonic() < self._at:
            return
        if self._courier is None:
            new = [pid for pid in self._logger.children() if pid != self._last]
            if new:
                self._courier = new[0]
                self._at = time.monotonic() + self._random.uniform(0.0, KILL_WITHIN_SECONDS)
            return
        os.kill(self._courier, signal.SIGKILL)  # its number has not been reused yet
        self.kills += 1
        self._last, self._courier = self._courier, None
        self._at = time.monotonic() + 0.5  # no new courier starts earlier


def held_by(pid: int) -> list[str]:
    """Return the files of a process's descriptors."""
    return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]


def courier_of(logger: Logger) -> int:
    """Return the id of the courier, as soon as it runs and has closed the pipe."""
    (courier,) = eventually(logger.children, what="the logger has a courier")
    eventually(lambda: logger.pipe not in held_by(courier), what="the courier does not hold the pipe")
    return courier


def kill_courier(logger: Logger) -> None:
    """Kill the courier and return when its reader has noticed."""
    courier = courier_of(logger)
    os.kill(courier, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{courier}"), what="the reader has buried its courier")


def count_one(memcached: Memcached, logger: Logger, views: int = 1) -> None:
    """Write a hit of /a and return when its counter has risen to *views*."""
    logger.write(access_line("/a"))
    eventually(lambda: memcached.views(KEY) == views, what=lambda: f"{views} views; the logger said {logger.stderr!r}")


@pytest.mark.slow
def test_many_couriers_killed_under_load_lose_only_hits_reported_as_in_doubt(
    memcached: Memcached, start_logger: StartLogger
) -> None:
    loggers = [start_logger("--memcached", memcached.spec) for _ in range(LOGGERS)]
    loads = [Load(logger, SEED + number) for number, logger in enumerate(loggers)]
    killers = [Killer(logger, SEED + number) for number, logger in enumerate(loggers)]

    def kills() -> int:
        for killer in killers:
            killer.tick()
        return sum(killer.kills for killer in killers)

    for logger in loggers:
        courier_of(logger)  # it counts: a logger that takes long to start discards what does not fit into the pipe
    for load in loads:
        load.start()
    eventually(lambda: kills() >= KILLS, 120.0, lambda: f"{KILLS} kills; there were {kills()}")
    for load in loads:
        load.stop()
    statuses = wait_until_settled(loggers)
    couriers = [courier_of(logger) for logger in loggers]
    assert [logger.finish() for logger in loggers] == [0] * LOGGERS
    assert not any(is_alive(courier) for courier in couriers)

    in_doubt = sum(status.in_doubt for status in statuses)
    sent = sum((load.sent for load in loads), Counter())
    held = memcached.counters()
    missing = {path: views - held.pop(hit_key(DAY, path.encode()), 0) for path, views in sent.items()}
    killed = sum(killer.kills for killer in killers)
    print(f"{killed} kills, {sent.total():,} hits sent, {in_doubt:,} in doubt, {sum(missing.values()):,} of them lost")
    assert held == {}
    assert [status.hits for status in statuses] == [load.sent.total() for load in loads]
    assert not {path: views for path, views in missing.items() if views < 0}, "hits were counted twice"
    assert sum(missing.values()) <= in_doubt, "hits were lost that are not in doubt"
    assert sum(status.delivered for status in statuses) <= sent.total() - sum(missing.values())
    assert in_doubt <= KILLS * BATCH_ROWS * max(max(load.sent.values()) for load in loads)
    for logger, status in zip(loggers, statuses, strict=True):
        deaths = [line for line in logger.stderr.splitlines() if "courier died" in line]
        assert 1 <= len(deaths) <= 1 + status.uptime // 60, logger.stderr


def test_a_batch_in_the_courier_when_it_dies_is_reported_as_in_doubt(memcached: Memcached, logger: Logger) -> None:
    count_one(memcached, logger)
    memcached.pause()
    try:
        logger.write(access_lines(["/in-doubt"] * 321))
        logger.wait_until_read()
        eventually(lambda: read_status(logger).pending == 321, what="the hits are away")
        eventually(lambda: unread_bytes(memcached.port), what="the batch has left the courier")
        kill_courier(logger)
        eventually(lambda: "courier" in logger.stderr, what="the logger says that the courier died")
        assert re.search(r"\b321 hits in doubt\b", logger.stderr), logger.stderr
        logger.write(access_lines(["/after"] * 10))
    finally:
        memcached.resume()
    (status,) = wait_until_settled([logger])
    assert (status.in_doubt, status.delivered) == (321, 11)
    assert logger.finish() == 0
    held = memcached.counters()
    assert held.pop(hit_key(DAY, b"/in-doubt"), 0) in (0, 321)
    assert held == {KEY: 1, hit_key(DAY, b"/after"): 10}


def test_a_batch_that_the_courier_never_took_is_sent_again(memcached: Memcached, logger: Logger) -> None:
    for views in (1, 2):
        count_one(memcached, logger, views)
        eventually(lambda: read_status(logger).pending == 0, what="the reader to know of it")
        courier = courier_of(logger)
        os.kill(courier, signal.SIGSTOP)
        logger.write(access_lines(f"/{number}" for number in range(5000)))
        logger.wait_until_read()
        assert eventually(lambda: read_status(logger).pending) == 5000
        os.kill(courier, signal.SIGKILL)
        memcached.expect({KEY: views} | {hit_key(DAY, b"/%d" % number): views for number in range(5000)}, 20.0)
    (status,) = wait_until_settled([logger])
    assert (status.in_doubt, status.delivered) == (0, 10_002)
    assert logger.finish() == 0
    assert "in doubt" not in logger.stderr.replace("in doubt 0,", "")


def test_killing_an_idle_courier_loses_no_hit(memcached: Memcached, logger: Logger) -> None:
    for views in range(1, 4):
        count_one(memcached, logger, views)
        eventually(lambda: read_status(logger).pending == 0, what="the answer has come")
        kill_courier(logger)
    count_one(memcached, logger, 4)
    (status,) = wait_until_settled([logger])
    assert (status.delivered, status.in_doubt) == (4, 0)
    assert logger.finish() == 0
    assert len([line for line in logger.stderr.splitlines() if "courier" in line]) == 1
    assert memcached.counters() == {KEY: 4}


def test_no_courier_holds_the_pipe(memcached: Memcached, logger: Logger) -> None:
    """Two readers would tear lines. A courier that outlives its reader would be a second reader for Apache."""
    for views in (1, 2):
        count_one(memcached, logger, views)
        (courier,) = logger.children()
        assert logger.pipe in held_by(logger.pid)
        assert logger.pipe not in held_by(courier)
        kill_courier(logger)
    assert logger.finish() == 0
