"""`fasthits log` with rules: the counters equal a count of its file by the same rules, and the figures add up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES
from fasthits.live.keys import hit_key
from fasthits.rules.rules import Rules
from tests.daily.rollup.support import HOSTILE, JSON, OF_PAGES
from tests.live.test_status_signal import read_status, wait_until_settled
from tests.support.logger import DAY, Logger, access_lines
from tests.support.processes import eventually, run_fasthits
from tests.support.reference import count
from tests.support.servers import Memcached

StartLogger = Callable[..., Logger]

SHORT = b"o.example [12/Mar/2026:10:00:00 +0100] GET /caf\xc3\xa9 200\n"
RULES: list[tuple[list[str], Rules, bytes, Format]] = [
    ([], Rules(), HOSTILE, NAMES["combined"]),
    (
        ["--exclude-static", "--fold-slash", "--decode", "--keep-query=b"],
        Rules(exclude_static=True, fold_slash=True, decode=True, keep_query=("b",)),
        HOSTILE,
        NAMES["vhost_combined"],
    ),
    (["--by-host", "--exclude-bots"], Rules(by_host=True, bots="exclude"), HOSTILE, NAMES["vhost_combined"]),
    (
        ["--bots", "apart", "--status", "200"],
        Rules(bots="exclude", statuses=frozenset([200])),
        HOSTILE,
        NAMES["combined"],
    ),
    (["--pages"], OF_PAGES, HOSTILE, NAMES["combined"]),
    (["--exclude-path", "/b"], Rules(exclude_paths=("/b",)), JSON, NAMES["json"]),
    (["--format", "%t %m %U"], Rules(), b"[12/Mar/2026:10:00:00 +0100] GET /a\n" * 9, parse_format("%t %m %U")),
    ([], Rules(), SHORT * 5 + b"bad\n" + SHORT.rstrip(), NAMES["short"]),
]


def expected(data: bytes, rules: Rules, log_format: Format) -> dict[str, int]:
    return {hit_key(day, path): views for (day, path), views in count(data, None, rules, log_format).views.items()}


@pytest.mark.parametrize(("options", "rules", "data", "log_format"), RULES, ids=[" ".join(row[0]) for row in RULES])
def test_logger_oracle_and_check_agree(
    options: list[str],
    rules: Rules,
    data: bytes,
    log_format: Format,
    memcached: Memcached,
    start_logger: StartLogger,
    place: Path,
) -> None:
    logger = start_logger("--memcached", memcached.spec, *options)
    for at in range(0, len(data), 700):
        logger.write_pieces([data[at : at + 700]])
    assert logger.finish() == 0
    assert logger.stderr == ""
    assert memcached.counters() == expected(data, rules, log_format)
    (place / "access.log").write_bytes(data)
    where = ["--logs", str(place / "access.log"), "--memcached", memcached.spec, "--settle", "0"]
    checked = run_fasthits("check", str(DAY), *where, *options)
    assert (checked.returncode, checked.stdout) == (0, b""), checked.stderr
    warmed = run_fasthits("warm", str(DAY), *where, *options)
    assert b"0 hits added" in warmed.stderr


def test_a_logger_reports_a_missing_field_and_counts_the_lines(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--by-host")
    for _ in range(3):
        logger.write(access_lines(["/a"]))
        eventually(lambda: sum(memcached.counters().values()) > 0, what="a hit is counted")
    assert logger.finish() == 0
    assert memcached.counters() == {hit_key(DAY, b"//-/a"): 3}
    (said,) = logger.stderr.splitlines()
    assert said.startswith("fasthits: --by-host needs a log format with the virtual host: ")
    assert said.endswith("lines are read as if it were empty")


def test_the_figures_of_a_logger_with_rules_add_up(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--exclude-static", "--fold-slash", "--exclude-path", "/x*")
    paths = [path for number in range(3000) for path in (f"/{number}", f"/{number}/", f"/{number}.css", f"/x{number}")]
    logger.write(access_lines(paths))
    eventually(lambda: len(memcached.counters()) == 3000, what="all paths have counters")
    (status,) = wait_until_settled([logger])
    assert (status.lines, status.hits, status.filtered, status.delivered) == (12_000, 6_000, 6_000, 6_000)
    assert logger.finish() == 0
    assert set(memcached.counters().values()) == {2}


def test_hits_wait_under_their_final_paths_while_memcached_is_down(
    start_memcached: Callable[..., Memcached], start_logger: StartLogger
) -> None:
    memcached = start_memcached()
    memcached.kill()
    options = ("--by-host", "--fold-slash", "--exclude-static", "--drain-timeout", "20")
    logger = start_logger("--memcached", memcached.spec, *options)
    data = HOSTILE + b"\n"
    for _ in range(4):
        logger.write_pieces([data, data])
        read_status(logger)
    memcached.start(keep_port=True)
    assert logger.finish(timeout=60) == 0
    rules = Rules(by_host=True, fold_slash=True, exclude_static=True)
    assert memcached.counters() == expected(data * 8, rules, NAMES["vhost_combined"])


def test_rules_come_from_the_file_that_rollup_reads_too(
    memcached: Memcached, start_logger: StartLogger, place: Path
) -> None:
    (place / "rules.toml").write_text('exclude-static = true\ndecode = true\nbots = "apart"\n')
    logger = start_logger("--memcached", memcached.spec, env={"FASTHITS_CONFIG": str(place / "rules.toml")})
    logger.write(HOSTILE)
    assert logger.finish() == 0
    rules = Rules(exclude_static=True, decode=True, bots="exclude")
    assert memcached.counters() == expected(HOSTILE, rules, NAMES["combined"])


def test_with_invalid_rules_nothing_is_counted(start_logger: StartLogger) -> None:
    logger = start_logger("--format", "common", "--exclude-bots")
    assert logger.finish() == 2
    assert "discarded: --exclude-bots needs a log format with the user agent" in logger.stderr


def test_a_logger_says_once_which_field_pages_needs(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--pages")
    logger.write(b'[12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n' * 3)
    assert logger.finish() == 0
    (said,) = logger.stderr.splitlines()
    assert said.startswith("fasthits: --pages needs a log format with the user agent: ")
    assert '"%{User-Agent}i" or "$http_user_agent"; to count bots, too: --bots count)' in said
