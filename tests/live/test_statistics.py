"""The figures that loggers publish about themselves: exact, added up, never twice, and never in the way of a hit."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import pytest

from fasthits.errors import MemcachedError
from fasthits.live.keys import DEFAULT_TTL_SECONDS, figure_path, hit_key
from fasthits.live.statistics import FIGURES, Health, read_figures
from fasthits.rules.rules import Rules
from tests.live.test_courier_killed import courier_of, kill_courier
from tests.live.test_status_signal import read_status, wait_until_settled
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.servers import Memcached, closed_port
from tests.support.sockets import unread_bytes

StartLogger = Callable[..., Logger]

OFTEN = "import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = 0.05\n"
AT_THE_END = OFTEN.replace("0.05", "3600")
"""So that all bytes that memcached has not read are hits."""
TELL = """
import os, fasthits.live.statistics
def take(self, take=fasthits.live.statistics.Health.take):
    if rows := take(self):
        os.write(2, b"taken\\n")
    return rows
fasthits.live.statistics.Health.take = take
"""
POST = access_line("/a", method="POST")
NONSENSE = b"no line of a log\n"


@pytest.fixture
def often(memcached: Memcached, start_logger: StartLogger) -> Logger:
    """A `fasthits log` that counts into `memcached` and publishes often. It has published a line that was not a hit."""
    logger = start_logger("--memcached", memcached.spec, patch=OFTEN)
    logger.write(POST)
    wait_for(memcached, lines=1, filtered=1)
    return logger


def wait_for(memcached: Memcached, **figures: int) -> None:
    """Return when memcached holds exactly these figures."""
    expected = {name.replace("_", "-"): number for name, number in figures.items()}
    eventually(lambda: memcached.figures() == expected, 60, lambda: f"{expected}; there are {memcached.figures()}")


@contextmanager
def paused(memcached: Memcached) -> Iterator[None]:
    """Stop memcached for as long as the block lasts."""
    memcached.pause()
    try:
        yield
    finally:
        memcached.resume()


def send_figures_to(memcached: Memcached, logger: Logger) -> None:
    """Let the logger read two lines that are not hits; return when memcached has got the figures about them."""
    logger.write(NONSENSE * 2)
    eventually(lambda: unread_bytes(memcached.port), what="figures are away")


# What is published


def test_at_the_end_of_input_the_figures_of_all_lines_are_published(memcached: Memcached, logger: Logger) -> None:
    days = {date.today()}
    logger.write(access_lines(["/a", "/a", "/b", "/c", "/c"]) + POST * 2 + NONSENSE)
    assert logger.finish() == 0
    days.add(date.today())  # midnight may have passed
    assert memcached.figures() == {"lines": 8, "hits": 5, "filtered": 2, "malformed": 1, "delivered": 5}
    assert logger.stderr == ""
    keys = [hit_key(day, figure_path("lines")) for day in days]
    (item,) = filter(None, map(memcached.item, keys))
    assert (item.value, item.flags) == (b"8", 2)
    assert DEFAULT_TTL_SECONDS - 60 <= item.ttl <= DEFAULT_TTL_SECONDS


def test_several_loggers_add_up(memcached: Memcached, start_logger: StartLogger) -> None:
    often = [start_logger("--memcached", memcached.spec, patch=OFTEN) for _ in range(2)]
    for number, logger in enumerate(often, 1):
        logger.write(access_lines(["/a", "/b"] * number))
    wait_for(memcached, lines=6, hits=6, delivered=6)
    often[0].write(POST + access_line("/a"))
    wait_for(memcached, lines=8, hits=7, filtered=1, delivered=7)
    assert [logger.finish() for logger in often] == [0, 0]
    assert memcached.figures() == {"lines": 8, "hits": 7, "filtered": 1, "delivered": 7}
    names = {name: memcached.figures().get(name.replace(" ", "-"), 0) for name in FIGURES}
    assert read_figures([memcached.spec], ":1:") == names


def test_several_servers_share_the_figures(
    start_memcached: Callable[..., Memcached], start_logger: StartLogger
) -> None:
    servers = [start_memcached() for _ in range(3)]
    specs = [server.spec for server in servers]
    logger = start_logger("--memcached", ",".join(specs))
    logger.write(access_lines(f"/{number}" for number in range(30)) + POST + NONSENSE)
    assert logger.finish() == 0
    expected = {"lines": 32, "hits": 30, "filtered": 1, "malformed": 1, "delivered": 30}
    assert sum(len(server.figures()) for server in servers) == len(expected)
    assert read_figures(specs, ":1:") == dict.fromkeys(FIGURES, 0) | expected


def test_the_figures_of_an_unreachable_server_are_unknown(memcached: Memcached) -> None:
    assert read_figures([memcached.spec], ":1:") == dict.fromkeys(FIGURES, 0)
    with pytest.raises(MemcachedError):
        read_figures([memcached.spec, f"127.0.0.1:{closed_port()}"], ":1:")


def test_figures_of_hits_in_doubt_refused_and_dropped_are_published(
    memcached: Memcached, start_logger: StartLogger
) -> None:
    logger = start_logger("--memcached", memcached.spec, "--max-paths", "5", patch=AT_THE_END)
    assert memcached.ask(f"set {hit_key(DAY, b'/text')} 0 0 4\r\ntext".encode()) == b"STORED\r\n"
    logger.write(access_lines(["/text"] * 3))
    logger.wait_until_read()
    eventually(lambda: read_status(logger).refused == 3, what="hits are refused")
    with paused(memcached):
        logger.write(access_lines(["/doubt"] * 4))
        eventually(lambda: unread_bytes(memcached.port), what="the hits are away")
        kill_courier(logger)
        logger.write(access_lines(f"/{number}" for number in range(9)))
        eventually(lambda: read_status(logger).dropped == 4, what="hits are dropped")
    (status,) = wait_until_settled([logger])
    assert (status.in_doubt, status.refused, status.dropped, status.delivered) == (4, 3, 4, 5)
    assert logger.finish() == 0
    wait_for(memcached, lines=16, hits=16, in_doubt=4, refused=3, dropped=4, delivered=5)


def test_hits_whose_paths_do_not_count_are_published_as_filtered(
    memcached: Memcached, start_logger: StartLogger
) -> None:
    """The server is slow, so there are always hits whose result is not known yet."""
    with Proxy(memcached, seed=1) as proxy:
        logger = start_logger("--memcached", proxy.spec, "--exclude-static", patch=OFTEN)
        proxy.delay = 0.06
        for number in range(1, 21):
            logger.write(access_lines(["/a", "/b.css", f"/{number}"]))
            logger.wait_until_read()
            figures = memcached.figures()
            assert figures.get("hits", 0) <= 2 * number, "a hit was published that is none"
        assert logger.finish() == 0
    assert memcached.figures() == {"lines": 60, "hits": 40, "filtered": 20, "delivered": 40}


def test_only_increases_of_figures_are_taken_and_undelivered_figures_again() -> None:
    figures = dict.fromkeys(FIGURES, 0)
    health = Health(lambda: figures, Rules())
    assert not health
    assert health.take() == []
    figures |= {"lines": 5, "in doubt": 2}
    assert health
    taken = health.take()
    assert [(path, rise) for _, path, rise in taken] == [(b"!lines", 5), (b"!in-doubt", 2)]
    health.put(taken[1:])
    assert not health, "with no line since, it would try again and again"
    assert health.take() == []
    figures["lines"] = 6
    assert [(path, rise) for _, path, rise in health.take()] == [(b"!lines", 1), (b"!in-doubt", 2)]
    assert not health


# What can happen to it


def test_figures_that_memcached_may_have_are_not_sent_again(memcached: Memcached, often: Logger) -> None:
    with paused(memcached):
        send_figures_to(memcached, often)
        kill_courier(often)
        eventually(lambda: "the courier died" in often.stderr, what="the logger says that the courier died")
    often.write(access_line("/a"))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    (status,) = wait_until_settled([often])
    assert (status.lines, status.in_doubt, status.delivered, status.malformed) == (4, 0, 1, 2)
    assert often.finish() == 0
    figures = memcached.figures()
    assert figures.pop("lines") in (2, 4)
    assert figures.pop("malformed", 0) in (0, 2)
    assert figures == {"filtered": 1, "hits": 1, "delivered": 1}
    (said,) = [line for line in often.stderr.splitlines() if "uptime" not in line]
    assert said == "fasthits: the courier died and is replaced: no hit lost"


def test_figures_that_the_courier_never_took_are_published_later(
    memcached: Memcached, start_logger: StartLogger
) -> None:
    logger = start_logger("--memcached", memcached.spec, patch=OFTEN + TELL)
    logger.write(POST)
    wait_for(memcached, lines=1, filtered=1)
    courier = courier_of(logger)
    os.kill(courier, signal.SIGSTOP)
    logger.write(NONSENSE * 2)
    eventually(lambda: logger.stderr.count("taken") == 2, what="figures are with the courier")
    os.kill(courier, signal.SIGKILL)
    logger.write(POST)
    wait_for(memcached, lines=4, filtered=2, malformed=2)
    assert logger.finish() == 0
    assert memcached.figures() == {"lines": 4, "filtered": 2, "malformed": 2}


def test_replies_that_are_cut_off_count_no_figure_twice(memcached: Memcached, start_logger: StartLogger) -> None:
    with Proxy(memcached, seed=1) as proxy:
        logger = start_logger("--memcached", proxy.spec, patch=OFTEN)
        written = 0

        def is_cut_off() -> bool:
            nonlocal written
            logger.write(NONSENSE + POST)  # without lines it does not try again
            written += 1
            logger.wait_until_read()
            return proxy.cut_after is None

        for number in range(1, 14):
            proxy.cut_after = number + len("VERSION 1.6.18\r\n") * (number % 2)
            eventually(is_cut_off, what="a reply is cut off")
        proxy.heal()
        logger.write(access_line("/a"))
        memcached.expect({hit_key(DAY, b"/a"): 1})
        (status,) = wait_until_settled([logger])
        assert (status.lines, status.in_doubt, status.delivered) == (2 * written + 1, 0, 1)
        assert logger.finish() == 0
    held = memcached.figures()
    assert held["lines"] <= 2 * written + 1
    assert held["filtered"] <= written
    assert held["malformed"] <= written
    assert (held["hits"], held["delivered"]) == (1, 1)


def test_figures_for_a_server_that_is_down_are_published_later(memcached: Memcached, start_logger: StartLogger) -> None:
    memcached.kill()
    logger = start_logger("--memcached", memcached.spec, patch=OFTEN)
    logger.write(NONSENSE)
    eventually(lambda: "cannot reach" in logger.stderr, what="the logger says that memcached is down")
    memcached.start(keep_port=True)
    lines = 1

    def published_after_a_line() -> bool:
        nonlocal lines
        logger.write(NONSENSE)
        lines += 1
        return bool(memcached.figures())

    eventually(published_after_a_line)
    assert logger.finish() == 0
    assert memcached.figures() == {"lines": lines, "malformed": lines}
    (said,) = [line for line in logger.stderr.splitlines() if "uptime" not in line]
    assert said.startswith("fasthits: cannot reach memcached: ")
    assert said.endswith(": no hit lost")


def test_figures_in_flight_take_no_room_from_hits(memcached: Memcached, start_logger: StartLogger) -> None:
    often = start_logger("--memcached", memcached.spec, "--max-paths", "1", patch=OFTEN)
    often.write(POST)
    wait_for(memcached, lines=1, filtered=1)
    with paused(memcached):
        send_figures_to(memcached, often)
        often.write(access_lines(["/a"] * 7))
        often.wait_until_read()
        status = eventually(lambda: (found := read_status(often)).hits == 7 and found, what="all is counted")
        assert (status.pending, status.delivered, status.in_doubt) == (7, 0, 0)
    memcached.expect({hit_key(DAY, b"/a"): 7})
    wait_for(memcached, lines=10, hits=7, filtered=1, malformed=2, delivered=7)
    assert often.finish() == 0


@pytest.mark.parametrize("patch", ["", OFTEN])
def test_a_logger_does_not_wait_at_its_end_for_a_server_that_is_down(
    memcached: Memcached, start_logger: StartLogger, patch: str
) -> None:
    logger = start_logger("--memcached", memcached.spec, "--drain-timeout", "60", patch=patch)
    logger.write(access_line("/a"))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    wait_until_settled([logger])
    memcached.kill()
    assert logger.finish() == 0
    said = [line for line in logger.stderr.splitlines() if "uptime" not in line]
    assert "ended" not in logger.stderr
    assert len(said) <= bool(patch), said


def test_figures_in_flight_at_the_end_are_not_hits_in_doubt(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--drain-timeout", "0.2", patch=OFTEN)
    logger.write(POST)
    wait_for(memcached, lines=1, filtered=1)
    with paused(memcached):
        send_figures_to(memcached, logger)
        assert logger.finish() == 0
    assert logger.stderr == ""


def test_at_the_end_no_figures_are_sent_while_hits_wait(start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", f"127.0.0.1:{closed_port()}", "--drain-timeout", "0.7", patch=TELL)
    logger.write(access_lines(["/a"] * 37))
    assert logger.finish() == 0
    said = [line for line in logger.stderr.splitlines() if "cannot reach" not in line]
    assert said == [
        "fasthits: ended before everything was delivered: 37 hits waiting (repair the counters: fasthits warm)"
    ]
