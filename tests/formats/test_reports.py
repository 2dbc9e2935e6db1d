"""Small logs like those in public bug reports: each is counted right, or its error says what to type."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from fasthits import count_hits
from fasthits._parse import HitTable
from fasthits.errors import UsageError
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.intake import Intake
from fasthits.rules.rules import Rules
from fasthits.rules.unreadable import why_unreadable


class Report(NamedTuple):
    """A small log, the given format, and the expected result of its lines."""

    title: str
    log_format: str
    lines: list[bytes]
    counted: list[str]
    said: list[str]
    refused: str


def reports() -> list[Report]:
    """Return the reports of reports.txt."""
    found = []
    for section in (Path(__file__).parent / "reports.txt").read_bytes().split(b"\n== ")[1:]:
        title, *lines = section.rstrip(b"\n").split(b"\n")
        given = [line[3:].decode() for line in lines if line.startswith(b"-- ")]
        results = [line[2:].decode().rstrip() for line in lines if line.startswith(b"= ")]
        said = [each.removeprefix("says ") for each in results if each.startswith("says ")]
        refused = "".join(each.removeprefix("refused ") for each in results if each.startswith("refused "))
        counted = sorted(each for each in results if not each.startswith(("says ", "refused ")))
        lines = [line for line in lines if not line.startswith((b"-- ", b"= "))]
        found.append(Report(title.decode(), "".join(given) or "auto", lines, counted, said, refused))
    return found


@cache
def compiled(log_format: str) -> CompiledRules:
    return CompiledRules(Rules(format=log_format))


def count(log: bytes, log_format: str = "auto") -> Intake:
    intake = Intake(compiled(log_format), lambda rules: HitTable(rules=rules))
    intake.feed(log)
    intake.finish()
    return intake


def results_of(table: HitTable) -> list[str]:
    """Return the figures of a hit table in the spelling of reports.txt."""
    rows = [f"{path.decode('utf-8', 'backslashreplace')} {views}" for _, path, views in table.rows()]
    filtered = [f"filtered {reason} {lines}" for reason, lines in table.filtered.items()]
    return sorted([*rows, *filtered, *[f"malformed {table.malformed}"] * bool(table.malformed)])


@pytest.mark.parametrize("report", [each for each in reports() if not each.refused], ids=lambda each: each.title)
def test_a_log_is_counted_or_its_error_says_what_to_type(report: Report) -> None:
    intake = count(b"".join(line + b"\n" for line in report.lines), report.log_format)
    assert results_of(intake.hit_table) == report.counted
    if report.said:
        number, _ = intake.examples[0]
        advice = "\n".join(why_unreadable(report.lines[number - 1], compiled(report.log_format).rules).lines())
        assert all(text in advice for text in report.said), advice


@pytest.mark.parametrize("report", [each for each in reports() if each.refused], ids=lambda each: each.title)
def test_a_format_that_cannot_be_read_is_refused(report: Report) -> None:
    with pytest.raises(UsageError, match=re.escape(report.refused)):
        compiled(report.log_format)


@pytest.mark.parametrize(
    "line",
    [
        b"1773306000.603 3 192.0.2.1 TCP_MISS/200 12 GET http://o.example/a - HIER_DIRECT/1 text/html",
        b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "M"',
        b'192.0.2.1 - - [12/Mar/2026 10:00:00] "GET /a HTTP/1.1" 200 -',
        b'{"time":"2026-03-12T10:00:00Z","method":"GET","path":"/a","status":200}',
    ],
)
def test_lines_that_end_with_cr_count_only_in_a_log_without_newlines(line: bytes) -> None:
    found = count_hits((line + b"\r") * 2)
    assert (found.lines, found.hits) == (2, 2)
    table = count((line + b"\r") * 2 + b"\n").hit_table
    assert (table.lines, table.hits, table.malformed) == (1, 0, 1)
    assert why_unreadable(line + b"\r" + line, Rules()).remedy.startswith("tr ")
    table = count((line + b"\r\r\n") * 2).hit_table
    assert (table.lines, table.hits) == (2, 2)
