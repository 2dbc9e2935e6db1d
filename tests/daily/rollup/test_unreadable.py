"""A log in another format, and a log of which a rule leaves out all lines: the messages for a careless user."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from tests.support.commands import fasthits, hit, write

DAY = "2026-03-12"
PASTE = "-> --format with the string of the server's configuration, which this shows: grep "
JSON = (
    b'{"moment":"2026-03-12T10:00:00Z","action":"GET","page":{"address":"/a"},"code":200,"agent":"'
    + b"a" * 600
    + b'"}\n'
)


def roll_up(folder: Path, *options: str, stdin: bytes = b"", to: str = "hits.csv") -> tuple[int, list[str]]:
    """Roll the day of access.log up, and return the exit code and the messages."""
    logs = [] if "--logs" in options else ["--logs", "access.log"]
    done = fasthits("rollup", DAY, *logs, "--to", to, *options, cwd=folder, stdin=stdin)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stderr.decode().splitlines()


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        (b"[Thu Mar 12 10:00:00.123456 2026] [core:error] [pid 4242] AH00126: Invalid URI\n" * 5,
         ["this looks like Apache's error log", "-> name the access log"]),
        (b"time,method,path\n2026-03-12 10:00:00,GET,/a\n" * 3,
         ["no named format finds its time in it: no time like [12/Mar/2026:10:00:00 +0100] followed by a space and a "
          'quote (")', PASTE]),
        (bytes(range(256)) * 9, ["this looks like binary data", "-> name the access log"]),
        (b"<!doctype html>\n<title>403</title>\n<p>\n", ["this looks like an HTML or XML page", "-> name the"]),
        (b"\n\n", ["the lines are blank", "-> name the access log"]),
        (b"Mar 12 10:00:00 host postfix/smtpd[12]: connect\n" * 3, ["this looks like a mail log", "-> name the acc"]),
        (JSON * 3,
         ["json: no time and no method and no path under a name that fasthits knows",
          "its keys: moment, action, page.address, code, agent",
          "-> try --format json --json-fields time=moment,method=action,path=page.address"]),
    ],
    ids=["an error log", "CSV", "binary", "HTML", "blank lines", "a mail log", "JSON"],
)  # fmt: skip
@pytest.mark.parametrize("source", ["a file", "a pipe"])
def test_a_log_of_another_kind_is_reported_with_its_first_lines_and_what_to_type(
    log: bytes, advice: list[str], source: str, tmp_path: Path
) -> None:
    write(tmp_path / "access.log", log)
    write(tmp_path / "hits.csv", f"date,path,views\n{DAY},/old,1\n".encode())
    options = ["--logs", "-"] if source == "a pipe" else []
    code, said = roll_up(tmp_path, *options, "--quiet", stdin=log)
    assert code == 1
    number = log.count(b"\n") + (not log.endswith(b"\n"))
    assert said[0].startswith(f"fasthits: none of {number} lines can be read, left unchanged: {DAY} (tried as ")
    first = log.split(b"\n")[0].decode("utf-8", "backslashreplace")
    assert any(f":1: {first}" in line for line in said) or not first.isprintable()
    at = next(number for number, line in enumerate(said) if line.strip() == advice[0])
    assert [line.strip()[: len(each)] for line, each in zip(said[at:], advice, strict=False)] == advice
    assert all(line.isprintable() for line in said)
    assert (tmp_path / "hits.csv").read_text() == f"date,path,views\n{DAY},/old,1\n"


def test_the_suggested_command_reads_the_log(tmp_path: Path) -> None:
    write(tmp_path / "access.log", JSON * 3)
    _, said = roll_up(tmp_path)
    (typed,) = [line.partition("-> try ")[2].split() for line in said if "-> try " in line]
    assert roll_up(tmp_path, *typed, "--partial")[0] == 0
    assert (tmp_path / "hits.csv").read_text() == f"date,path,views\n{DAY},/a,3\n"


def test_a_wrong_format_is_reported_with_the_right_one(tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/a") * 3)
    code, said = roll_up(tmp_path, "--format", "short")
    assert code == 1
    assert [line.strip() for line in said][-2:] == [
        "the line is not short: it can be read as combined",
        "-> try --format combined",
    ]


@pytest.mark.parametrize(
    ("lines", "options", "reason"),
    [
        (hit("/a", method="POST") * 21, [], "method): only GET counts; the log has POST (--method GET,POST counts"),
        (hit("/a", method="HEAD") * 21, [], "method): only GET counts; the log has HEAD (--method GET,HEAD counts"),
        (hit("/a").replace(b"Mozilla", b"Googlebot") * 21, ["--pages"], "bot): their user agents are those of known"),
        (hit("/a").replace(b" 200 ", b" 301 ") * 21, ["--pages"], "status): --pages counts only some statuses; the l"),
        (hit("/a.css") * 21, ["--pages"], "static): pages load such files by themselves; the log has /a.css (--no-ex"),
        (hit("/a") * 21, ["--exclude-path", "/a"], "path): their paths are excluded or not included; the log has /a"),
    ],
    ids=["POST", "HEAD", "bots", "redirects", "styles", "paths"],
)  # fmt: skip
@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
def test_a_rule_that_leaves_all_lines_out_is_a_warning(
    lines: bytes, options: list[str], reason: str, quiet: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "access.log", lines)
    code, said = roll_up(tmp_path, *options, *quiet, "--partial")
    assert code == 0
    (warning,) = [line for line in said if "warning:" in line]
    assert warning.startswith(f"  warning: no hits, and 21 lines filtered by one rule ({reason}")
    code, said = roll_up(tmp_path, *options, "--partial", "--logs", "-", stdin=lines)
    assert warning in said


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
def test_lines_without_a_field_that_the_rules_need_are_a_warning(quiet: list[str], tmp_path: Path) -> None:
    """All bots would be counted as people, and nothing would show it."""
    lines = hit("/a").partition(b' "-"')[0] + b"\n"
    write(tmp_path / "access.log", lines * 20)
    told = (
        "  warning: {}: --exclude-bots needs the user agent, which the first 20 lines do not have (leave --format out"
    )
    for options in ([], ["--logs", "-"]):
        stdin = lines * 20 if options else b""
        code, said = roll_up(
            tmp_path, "--exclude-bots", "--format", "combined", *quiet, "--partial", *options, stdin=stdin
        )
        (warning,) = [line for line in said if "warning:" in line]
        assert (code, warning.split(", or ")[0]) == (0, told.format("-" if options else "access.log"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--include-path", "/blgo/*"], "22 lines filtered by one rule (path): their paths are excluded or not i"),
        (["--exclude-agent", "*"], "22 lines filtered by one rule (agent): their user agents are excluded or"),
        (["--pages", "--include-path", "/b*"], "21 lines filtered by one rule (path): their paths are excluded or"),
    ],
)
def test_a_rule_that_leaves_out_most_lines_of_a_day_without_hits_is_a_warning(
    options: list[str], told: str, tmp_path: Path
) -> None:
    others = hit("/b", method="POST"), hit("*"), hit("/a").replace(b" 200 ", b" 404 ")
    write(tmp_path / "access.log", hit("/a") * 21, *others)
    code, said = roll_up(tmp_path, *options, "--quiet")
    assert code == 0
    (warning,) = [line for line in said if "warning:" in line]
    assert warning.startswith(f"  warning: no hits, and {told}")


def test_lines_of_other_days_are_no_reason_why_a_day_has_no_hits(tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/a").replace(b"12/Mar", b"13/Mar").replace(b" 200 ", b" 404 ") * 21)
    code, said = roll_up(tmp_path, "--pages")
    assert code == 1
    assert "no line of the day, left unchanged: 2026-03-12" in said[0]
    assert [line for line in said if "warning:" in line] == []


def test_a_night_of_only_bots_prints_nothing_with_quiet(tmp_path: Path) -> None:
    bots = hit("/a").replace(b"Mozilla", b"Googlebot") * 20
    before, after = (hit("/b").replace(b"12/Mar", day) for day in (b"11/Mar", b"13/Mar"))
    write(tmp_path / "access.log", before, bots, after)
    assert roll_up(tmp_path, "--pages", "--quiet") == (0, [])
    code, said = roll_up(tmp_path, "--pages")
    assert code == 0
    assert any("warning: no hits, and 20 lines filtered by one rule (bot)" in line for line in said)


@pytest.mark.parametrize("good", [5, 20])
def test_a_log_that_is_mostly_unreadable_is_counted_with_a_warning(good: int, tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/a") * good, b"of another format, \x1b[2J\n" * 90)
    code, said = roll_up(tmp_path, "--partial", "--quiet")
    assert code == 0
    shown = [rf"access.log:{good + number}: of another format, \x1b[2J" for number in (1, 2, 3)]
    assert [line.strip() for line in said if "another format" in line] == shown
    assert any(line.strip().startswith(PASTE) for line in said) == (good == 5)
    assert (f"  warning: 90 of {90 + good} lines cannot be read; see the examples" in said) == (good == 5)


def test_an_unreadable_file_is_reported_and_the_other_files_count(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/a") * 9)
    write(tmp_path / "b.log", hit("/a") * 9)
    write(tmp_path / "error.log", b"[Thu Mar 12 10:00:00 2026] [core:error] x\n" * 3)
    write(tmp_path / "torn.log", b"torn\n" * 2)
    code, said = roll_up(tmp_path, "--logs", "*.log", "--partial", "--summary", "s.json")
    assert code == 1
    why = "(this looks like Apache's error log; name the access log)"
    assert said[0] == f"fasthits: no line of this file can be read, counted without it: error.log {why}"
    assert "torn.log" not in said[0] + said[1]
    assert (tmp_path / "hits.csv").read_text() == f"date,path,views\n{DAY},/a,18\n"
    assert json.loads((tmp_path / "s.json").read_text())["days"] == [DAY]


WITHOUT_PATH = b"#Fields: date time cs-method cs-uri-path c-ip s-ip sc-status\n" + (
    b"2026-03-12 10:00:00 GET /a 192.0.2.1 192.0.2.2 200\n" * 3
)


def test_comments_are_no_lines_that_can_be_read(tmp_path: Path) -> None:
    told = "the line looks like one of W3C's format, but no #Fields: line before it names these columns"
    write(tmp_path / "access.log", WITHOUT_PATH)
    _, said = roll_up(tmp_path, "--partial", "--quiet")
    assert told in map(str.strip, said)
    write(tmp_path / "access.log", hit("/a") * 9)
    write(tmp_path / "comments.log", b"#Software: x\n#Version: 1.0\n#Fields: date time cs-uri-stem\n")
    write(tmp_path / "iis.log", WITHOUT_PATH)
    code, said = roll_up(tmp_path, "--logs", "*.log", "--partial", "--quiet")
    assert code == 1
    assert said[0].startswith(f"fasthits: no line of this file can be read, counted without it: iis.log ({told}")
    assert not any("comments.log" in line for line in said)


def test_a_long_line_is_shown_to_a_thousand_characters(tmp_path: Path) -> None:
    write(tmp_path / "access.log", b"x" * 70_000 + b"\n" + b"y" * 999 + b"\n")
    _, said = roll_up(tmp_path)
    assert f"      access.log:1: {'x' * 200}" in said  # the rest of the line is not in the first bytes of the file
    write(tmp_path / "access.log", b"x" * 7000 + b"\n" + b"y" * 999 + b"\n")
    _, said = roll_up(tmp_path)
    assert f"      access.log:1: {'x' * 1000} ... (7,000 bytes)" in said
    assert f"      access.log:2: {'y' * 999}" in said


def test_an_unreadable_log_leaves_a_kept_day(tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/a") * 9)
    assert roll_up(tmp_path, "--partial", to="hits.db")[0] == 0
    write(tmp_path / "access.log", os.urandom(5000))
    code, said = roll_up(tmp_path, "--partial", "--replace", to="hits.db")
    assert (code, said[0][:17]) == (1, "fasthits: none of")
    with sqlite3.connect(tmp_path / "hits.db") as database:
        assert database.execute("SELECT path, views FROM hits").fetchall() == [("/a", 9)]
    database.close()
