"""A logger with a format that its log does not have warns once a minute. With the right format it never warns."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.logger import Logger, access_line
from tests.support.processes import eventually
from tests.support.servers import Memcached

StartLogger = Callable[..., Logger]

SOON = """
import fasthits.live.misfits, fasthits.live.statistics
fasthits.live.misfits.LOOK_SECONDS = 0.3
fasthits.live.statistics.PUBLISH_SECONDS = 0.05
"""
TELL = """
import os, fasthits.live.reader
def look(self, look=fasthits.live.reader.Reader._look_for_misfits):
    look(self)
    os.write(2, f"looked at {self._fresh.hit_table.lines}\\n".encode())
fasthits.live.reader.Reader._look_for_misfits = look
"""
SCAN = b'203.0.113.9 - - [12/Mar/2026:10:00:00 +0100] "\\x16\\x03\\x01\\x02" 400 226 "-" "-"\n'


@pytest.fixture
def start(start_logger: StartLogger, memcached: Memcached) -> Callable[..., Logger]:
    """Start a `fasthits log` that checks its lines often."""
    return lambda *args, tell="", **options: start_logger(
        "--memcached", memcached.spec, *args, patch=SOON + tell, **options
    )


def said_after_looking_at(logger: Logger, lines: int) -> list[str]:
    """Return the messages of the logger after it has checked that many lines."""
    eventually(lambda: f"looked at {lines}\n" in logger.stderr, what="the logger has looked")
    return [line for line in logger.stderr.splitlines() if not line.startswith("looked at")]


def test_a_quiet_site_in_another_format_is_reported_with_an_example_and_what_to_do(
    start: StartLogger, memcached: Memcached
) -> None:
    logger = start()
    logger.write_pieces([b"10:00:00 GET /a \x1b[2J%d\n" % number for number in range(3)])
    eventually(lambda: logger.stderr, what="the logger warns")
    (said,) = logger.stderr.splitlines()
    assert said.startswith("fasthits: 3 of the last 3 lines cannot be read as combined, such as '10:00:00 GET /a ")
    assert "\x1b" not in said
    assert "(no named format finds its time in it: no time like [12/Mar/2026:10:00:00 +0100] followed" in said
    assert said.endswith("; fasthits explain LOGFILE says what to type)")
    eventually(lambda: memcached.warnings() == {"malformed": 1}, what="the warning is published")


def test_examples_are_short(start: StartLogger) -> None:
    logger = start()
    logger.write(b"\xff" * 5000 + b"\n" + b"\x00" * 60_000 + b"\n" + b"x\n" * 8)
    eventually(lambda: logger.stderr, what="the logger warns")
    assert len(logger.stderr) < 700


@pytest.mark.parametrize(
    ("log_format", "line", "told"),
    [
        (
            "combined",
            b'[12/Mar/2026:10:00:00 +0100] "/index.html" 200 5\n',
            "have no HTTP method where combined has it",
        ),
        ("%t %h %m %U", b"[12/Mar/2026:10:00:00 +0100] GET ::1 /index.html\n", "have no HTTP method where apache"),
        ("json", access_line("/a"), "cannot be read as json"),
        ("json", access_line("/a"), "(the line is not json: it can be read as combined; fasthits explain LOGFILE"),
        ("combined", b'{"ts": 1, "method": "GET", "uri": "/"}\n', "cannot be read as combined"),
        (
            "auto",
            b'{"moment": 1, "method": "GET", "uri": "/"}\n',
            "(json: no time under a name that fasthits knows; fasthits",
        ),
    ],
)
def test_wrong_columns_and_wrong_formats_are_reported(
    start: StartLogger, log_format: str, line: bytes, told: str
) -> None:
    logger = start("--format", log_format)
    logger.write(line * 30)
    eventually(lambda: logger.stderr, what="the logger warns")
    assert told in logger.stderr
    assert "30 of the last 30 lines" in logger.stderr


def test_a_format_that_changes_is_reported(start: StartLogger) -> None:
    logger = start(tell=TELL)
    logger.write(access_line("/a") * 100)
    assert said_after_looking_at(logger, 100) == []
    logger.write_pieces([b"another format\n" * 1000])
    said_after_looking_at(logger, 1100)
    logger.write_pieces([b"another format\n" * 20])
    said_after_looking_at(logger, 1120)
    assert "cannot be read as combined, such as 'another format'" in logger.stderr


def test_it_is_reported_once_a_minute(start: StartLogger, memcached: Memcached) -> None:
    logger = start()
    logger.write_pieces([b"nonsense\n"] * 3)
    eventually(lambda: logger.stderr, what="the logger warns")
    for number in range(4, 24):
        logger.write(b"nonsense\n")
        eventually(lambda number=number: memcached.figures().get("malformed") == number)
    assert len(logger.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([SCAN * 17, access_line("/a") * 3], id="a scan of a site that is read"),
        pytest.param([b"nonsense\n"], id="one bad line of an idle site"),
        pytest.param([access_line("/a"), b"nonsense\n" * 9], id="some bad lines of an idle site"),
        pytest.param([access_line("/health", method="HEAD") * 50], id="nothing but health checks"),
        pytest.param([access_line("/api", method="POST") * 50], id="nothing but POST"),
    ],
)
def test_a_right_format_never_causes_a_warning(start: StartLogger, memcached: Memcached, lines: list[bytes]) -> None:
    logger = start(tell=TELL)
    logger.write_pieces(lines)
    assert said_after_looking_at(logger, sum(block.count(b"\n") for block in lines)) == []
    assert logger.finish() == 0
    assert memcached.warnings() == {}


def test_a_rule_that_leaves_out_all_lines_is_reported_once(start: StartLogger, memcached: Memcached) -> None:
    logger = start(tell=TELL)
    logger.write(access_line("/api", method="POST") * 999)
    assert said_after_looking_at(logger, 999) == []
    logger.write(access_line("/api", method="POST"))
    (said,) = said_after_looking_at(logger, 1000)
    assert said == (
        "fasthits: no hits, and 1,000 lines filtered by one rule (method): only GET counts; the log has POST "
        "(--method GET,POST counts such lines)"
    )
    eventually(lambda: memcached.warnings() == {"filtered": 1}, what="the warning is published")
    logger.write(access_line("/api", method="POST") * 2000)
    assert said_after_looking_at(logger, 3000) == [said]


def test_lines_without_a_field_that_the_rules_need_are_reported_once(start: StartLogger, memcached: Memcached) -> None:
    """CustomLog names "common", and the options say "combined": all bots would count."""
    logger = start("--exclude-bots", "--format", "combined", tell=TELL)
    common = access_line("/a").partition(b' "-"')[0] + b"\n"
    for lines in (40, 80):
        logger.write(common * 40)
        (said,) = said_after_looking_at(logger, lines)
        assert said.startswith(
            "fasthits: --exclude-bots needs the user agent, which the first 39 lines do not have (le"
        )
    eventually(lambda: memcached.warnings() == {"format": 1}, what="the warning is published")


def test_user_agents_are_missed_only_if_no_line_had_one(start: StartLogger) -> None:
    without = access_line("/a").rpartition(b' "')[0] + b' "-"\n'
    quiet = start("--exclude-bots", tell=TELL)
    quiet.write(access_line("/a") * 40)
    assert said_after_looking_at(quiet, 40) == []
    quiet.write(without * 40)  # one client that sends none
    assert said_after_looking_at(quiet, 80) == []
    lacking = start("--exclude-bots", tell=TELL)
    lacking.write(access_line("*") * 40)  # no request for a path
    assert said_after_looking_at(lacking, 40) == []
    lacking.write(without * 40)
    (said,) = said_after_looking_at(lacking, 80)
    assert said.startswith("fasthits: --exclude-bots needs the user agent, which the first ")


def test_a_rule_on_paths_that_leaves_out_all_lines_is_reported(start: StartLogger, memcached: Memcached) -> None:
    logger = start("--include-path", "/blog/*", tell=TELL)
    logger.write(access_line("/shop") * 999)  # not enough for a warning
    eventually(lambda: memcached.figures().get("filtered") == 999, what="the logger has judged the paths")
    assert logger.stderr.count("\n") == logger.stderr.count("looked at")
    logger.write(access_line("/shop"))
    eventually(lambda: memcached.figures().get("filtered") == 1000, what="the logger has judged the last path")
    logger.write(access_line("/shop"))
    said = said_after_looking_at(logger, 1001)
    assert re.match(r"fasthits: no hits, and 1,00\d lines filtered by one rule \(path\): their paths are", said[-1])
    assert "the log has /shop" in said[-1]


def test_a_rule_on_paths_that_leaves_a_hit_causes_no_warning(start: StartLogger, memcached: Memcached) -> None:
    logger = start("--include-path", "/blog/*", tell=TELL)
    logger.write(access_line("/shop") * 1000 + access_line("/blog/a"))
    eventually(lambda: memcached.figures().get("hits") == 1, what="the logger has judged the paths")
    logger.write(access_line("/shop"))
    assert said_after_looking_at(logger, 1002) == []


def test_times_with_another_offset_than_the_machines_are_reported_once(
    start: StartLogger, memcached: Memcached
) -> None:
    logger = start(tell=TELL, env={"TZ": "JST-9"})
    line = access_line("/a").replace(b"12/Mar/2026:10:00:00 +0100", b"%b")
    now = datetime.now(UTC)
    for number, stamp in enumerate((now - timedelta(hours=2), now.astimezone(timezone(timedelta(hours=9)))), 1):
        logger.write(line % f"{stamp:%d/%b/%Y:%H:%M:%S %z}".encode())
        assert said_after_looking_at(logger, number) == []
    for number in (3, 4):
        logger.write(line % f"{now:%d/%b/%Y:%H:%M:%S %z}".encode())
        assert said_after_looking_at(logger, number) == [
            "fasthits: the times of the log have the offset +0000, and this machine +0900: days begin at another "
            "midnight (set the same TZ for the server and fasthits)"
        ]
    eventually(lambda: memcached.warnings() == {"offset": 1}, what="the warning is published")
