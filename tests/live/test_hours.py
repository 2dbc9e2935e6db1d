"""Today's hits by hour, which loggers publish: from a pipe and from files, once, and only if the hour is known."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from fasthits.live.memcached import read_views
from fasthits.live.statistics import HOURS, Health, hour_keys
from fasthits.rules.rules import Rules
from tests.support.following import follow
from tests.support.logger import Logger
from tests.support.processes import eventually
from tests.support.servers import Memcached

StartLogger = Callable[..., Logger]

OFTEN = "import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = 0.05\n"
TODAY = date.today()


def line(hour: int, day: date = TODAY, path: str = "/a") -> bytes:
    return f'192.0.2.7 - - [{day:%d/%b/%Y}:{hour:02}:59:00 +0000] "GET {path} HTTP/1.1" 200 5\n'.encode()


def wait_for(memcached: Memcached, day: date, hours: dict[int, int]) -> None:
    expected = {key: hours[hour] for hour, key in enumerate(hour_keys(":1:", day)) if hour in hours}

    def found() -> dict[str, int]:
        return read_views([memcached.spec], hour_keys(":1:", day))

    eventually(lambda: found() == expected, 30, lambda: f"{expected}; there are {found()}")


def test_a_logger_publishes_the_hours_of_its_hits(memcached: Memcached, start_logger: StartLogger) -> None:
    yesterday, long_ago = TODAY - timedelta(days=1), TODAY - timedelta(days=400)
    with start_logger("--memcached", memcached.spec, patch=OFTEN) as logger:
        logger.write(line(9) + line(10) + line(23, yesterday) + line(10) + line(3, long_ago))
        wait_for(memcached, TODAY, {9: 1, 10: 2})
        logger.write(line(11) + line(10).replace(b"GET", b"PUT"))
        wait_for(memcached, TODAY, {9: 1, 10: 2, 11: 1})
        wait_for(memcached, yesterday, {23: 1})
        logger.finish()
    wait_for(memcached, long_ago, {})
    wait_for(memcached, TODAY, {9: 1, 10: 2, 11: 1})


def test_a_follower_publishes_hours(place: Path, memcached: Memcached) -> None:
    log = place / "access.log"
    log.write_bytes(b"")
    with follow(place, memcached, log, patch=OFTEN) as follower:
        eventually(follower.has_begun, 30, lambda: follower.stderr)
        with log.open("ab") as file:
            file.write(line(9) + line(10) + line(3, TODAY - timedelta(days=400)))
        wait_for(memcached, TODAY, {9: 1, 10: 1})


def test_hours_that_are_not_known_are_not_published(memcached: Memcached, start_logger: StartLogger) -> None:
    with start_logger("--memcached", memcached.spec, "--exclude-path", "/private*", patch=OFTEN) as logger:
        logger.write(line(9) + line(9, path="/private/a"))
        logger.finish()
    assert memcached.figures()["hits"] == 1
    assert read_views([memcached.spec], hour_keys(":1:", TODAY)) == {}


def test_health_takes_hours_and_takes_undelivered_hours_back() -> None:
    figures = {"lines": 5, "hits": 5, f"{TODAY} {HOURS[9]}": 3, "2026-03-12 hour 23": 2, "pending": 4}
    health = Health(lambda: figures, Rules())
    rows = health.take()
    assert rows[2:-1] == [(TODAY, b"!hour-09", 3), (date(2026, 3, 12), b"!hour-23", 2)]
    health.put(rows[3:-1])
    figures["lines"] = 6
    assert health.take() == [(TODAY, b"!lines", 1), (date(2026, 3, 12), b"!hour-23", 2)]
