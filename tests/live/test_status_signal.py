"""SIGUSR1 asks a running logger for one line with all its figures, and has no other effect."""

import os
import re
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, is_alive, outlives
from tests.support.servers import Memcached, closed_port

StartLogger = Callable[..., Logger]

NAMES = ["lines", "hits", "filtered", "malformed", "pending"]
NAMES += ["delivered", "in_doubt", "refused", "dropped", "reconnects"]
STATUS_LINE = re.compile(
    "fasthits: " + ", ".join(rf"{name.replace('_', ' ')} ([0-9]+)" for name in NAMES) + ", uptime ([0-9]+) s"
)


class Status(NamedTuple):
    """The figures of one status line, in its order."""

    lines: int
    hits: int
    filtered: int
    malformed: int
    pending: int
    delivered: int
    in_doubt: int
    refused: int
    dropped: int
    reconnects: int
    uptime: int

    def check_sums(self) -> None:
        """Fail if a line or a hit is in no bucket or in two buckets."""
        assert self.lines == self.hits + self.filtered + self.malformed, self
        assert self.hits == self.pending + self.delivered + self.in_doubt + self.refused + self.dropped, self


def status_lines(stderr: str) -> list[Status]:
    """Return all status lines among the messages of a logger. The test fails if a line only looks like a status line.

    Text after the last newline is left out: a line may be read while the logger writes it.
    """
    lines = [line for line in stderr.rpartition("\n")[0].splitlines() if line.startswith("fasthits: lines ")]
    matches = [(line, STATUS_LINE.fullmatch(line)) for line in lines]
    assert all(match for _, match in matches), lines
    return [Status(*map(int, match.groups())) for _, match in matches if match]


def read_status(logger: Logger, timeout: float = 10.0) -> Status:
    """Ask a logger that has started for its figures, check that they add up, and return them."""
    before = len(status_lines(logger.stderr))
    logger.signal(signal.SIGUSR1)
    eventually(
        lambda: len(status_lines(logger.stderr)) > before,
        timeout,
        lambda: f"a status line; the logger said {logger.stderr!r}",
    )
    status = status_lines(logger.stderr)[-1]
    status.check_sums()
    return status


def wait_until_settled(loggers: Iterable[Logger], timeout: float = 30.0) -> list[Status]:
    """Return the figures of each logger, as soon as it has read its pipe and no hit is pending."""
    settled = []
    for logger in loggers:
        logger.wait_until_read(timeout)
        eventually(lambda logger=logger: read_status(logger).pending == 0, timeout, "nothing is pending")
        settled.append(read_status(logger))
    return settled


@pytest.fixture
def running(memcached: Memcached, logger: Logger) -> Logger:
    """A logger that has counted one hit of /a: it and its courier have started."""
    logger.write(access_line("/a"))
    eventually(lambda: memcached.views(hit_key(DAY, b"/a")) == 1, what="the logger counts")
    eventually(lambda: outlives(logger.pid, signal.SIGUSR1), what="the logger has arranged for SIGUSR1")
    return logger


def test_the_status_line_accounts_for_every_line(memcached: Memcached, running: Logger) -> None:
    assert memcached.ask(f"set {hit_key(DAY, b'/text')} 0 0 4\r\ntext".encode()) == b"STORED\r\n"
    running.write(access_lines(["/b"] * 1998 + ["/text"] * 3))
    running.write(access_line("/a", method="POST") * 2 + access_line("*", method="OPTIONS") + b"no line\n\n")
    eventually(lambda: running.stderr, what="the logger says that a hit was refused")
    (status,) = wait_until_settled([running])
    expected = Status(2007, 2002, 3, 2, 0, 1999, 0, 3, 0, 0, status.uptime)
    assert status == expected
    assert 0 <= status.uptime < 600
    assert running.finish() == 0


def test_each_signal_prints_one_line_however_quickly_signals_follow(running: Logger) -> None:
    for number in range(1, 21):
        running.write(access_line("/a", method="POST"))
        running.wait_until_read()
        eventually(lambda number=number: read_status(running).lines == 1 + number, what="the line is in the figures")
    said = running.stderr.splitlines()
    assert all(STATUS_LINE.fullmatch(line) for line in said), said
    assert running.finish() == 0
    assert running.stderr.splitlines() == said


def test_hits_that_wait_are_pending_and_hits_without_room_are_dropped(start_logger: StartLogger) -> None:
    options = ("--memcached", f"127.0.0.1:{closed_port()}", "--max-paths", "100", "--drain-timeout", "0")
    logger = start_logger(*options)
    logger.write(access_lines(f"/{number}" for number in range(1000)))
    eventually(lambda: "cannot reach" in logger.stderr, what="the logger says that memcached is down")
    logger.wait_until_read()
    status = eventually(lambda: (found := read_status(logger)).hits == 1000 and found, what="all is counted")
    assert (status.delivered, status.in_doubt, status.refused) == (0, 0, 0)
    assert 0 < status.pending <= 100
    assert status.dropped == 1000 - status.pending
    assert logger.finish() == 0


def test_hits_sent_to_a_memcached_that_does_not_answer_are_pending(memcached: Memcached, running: Logger) -> None:
    memcached.pause()
    try:
        running.write(access_lines(["/a"] * 1234))
        running.wait_until_read()
        waiting = eventually(lambda: (found := read_status(running)).hits == 1235 and found, what="all is counted")
    finally:
        memcached.resume()
    assert (waiting.pending, waiting.delivered) == (1234, 1)
    (settled,) = wait_until_settled([running])
    assert settled.delivered == 1235
    assert running.finish() == 0


def test_a_connection_made_in_place_of_a_lost_one_is_a_reconnect(memcached: Memcached, running: Logger) -> None:
    assert read_status(running).reconnects == 0
    for number in (1, 2):
        memcached.restart()
        running.write(access_line("/a"))
        memcached.expect({hit_key(DAY, b"/a"): 1}, timeout=60)
        (status,) = wait_until_settled([running])
        assert (status.reconnects, status.delivered, status.in_doubt) == (number, 1 + number, 0)
    assert running.finish() == 0


def test_a_signal_to_the_whole_process_group_ends_neither_process(memcached: Memcached, running: Logger) -> None:
    """Apache's own graceful restart is SIGUSR1, and its loggers are in its process group."""
    couriers = running.children()
    assert len(couriers) == 1
    for views in range(2, 52):
        os.killpg(running.pid, signal.SIGUSR1)
        running.write(access_line("/a"))
        eventually(lambda views=views: memcached.views(hit_key(DAY, b"/a")) == views, what="the hit is counted")
    assert running.children() == couriers
    assert is_alive(couriers[0])
    said = status_lines(running.stderr)
    assert 0 < len(said) <= 50
    assert len(said) == len(running.stderr.splitlines()), running.stderr
    assert running.finish() == 0
    assert memcached.counters() == {hit_key(DAY, b"/a"): 51}


def test_a_signal_while_the_logger_starts_does_not_end_it(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec)
    eventually(lambda: outlives(logger.pid, signal.SIGUSR1), what="the logger has arranged for SIGUSR1")
    logger.write(access_lines(["/a"] * 500))

    def counted_after_a_signal() -> bool:
        os.killpg(logger.pid, signal.SIGUSR1)
        return memcached.views(hit_key(DAY, b"/a")) > 0

    eventually(counted_after_a_signal, 60, lambda: f"the logger counts; it said {logger.stderr[-200:]!r}")
    assert logger.finish() == 0
    assert memcached.counters() == {hit_key(DAY, b"/a"): 500}
