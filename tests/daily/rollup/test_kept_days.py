"""A kept day is never lost: not replaced by nothing, nor by fewer hits without --replace; the message says why."""

import json
import os
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from fasthits.daily.logs.sources import NAME_LOGS
from tests.daily.support import DAY, KEPT, TARGETS, rows_in, rows_of
from tests.support.commands import fasthits, hit, write


def test_days_without_a_file_are_named_and_stay(tmp_path: Path) -> None:
    for day in (DAY, DAY + timedelta(3)):
        write(tmp_path / f"{day}.log", hit("/new", day), hit("/late", day - timedelta(1)))
    write(
        tmp_path / "hits.csv",
        b"date,path,views\n",
        *(f"2026-03-{day},/old,1\n".encode() for day in range(11, 17)),
    )
    done = fasthits("rollup", "2026-03-11..2026-03-15", "--logs", "%F.log", "--to", "hits.csv", cwd=tmp_path)
    assert done.returncode == 1
    hint = f"there are files for 2026-03-12, 2026-03-15; {NAME_LOGS}"
    assert f"no log file, left unchanged: 2026-03-11, 2026-03-13..2026-03-14 ({hint})\n" in done.stderr.decode()
    assert list(rows_of((tmp_path / "hits.csv").read_bytes())) == [
        ("2026-03-11", "/old"),
        ("2026-03-12", "/new"),
        ("2026-03-13", "/old"),
        ("2026-03-14", "/old"),
        ("2026-03-15", "/new"),
        ("2026-03-16", "/old"),
    ]


OF_ANOTHER_FORMAT = b'[12/Mar/2026:10:00:00  +0100]  "GET /a HTTP/1.1" 200 5\n' * 9


@pytest.mark.parametrize(
    ("days", "log", "message"),
    [
        ("2026-03-12", b"", f"the log is empty, left unchanged: 2026-03-12 ({NAME_LOGS})"),
        (
            "2026-03-12",
            OF_ANOTHER_FORMAT,
            "none of 9 lines can be read, left unchanged: 2026-03-12 (tried as combined, as none was detected; "
            "fasthits explain a.log shows how each line is read)",
        ),
        (
            "2026-03-12",
            hit("/", DAY - timedelta(1)) + hit("/", DAY + timedelta(1)),
            f"no line of the day, left unchanged: 2026-03-12 (the log has 2026-03-11, 2026-03-13; {NAME_LOGS}; "
            "fasthits explain a.log shows how each line is read)",
        ),
        (
            "2026-03-12",
            hit("/", DAY - timedelta(1)) + OF_ANOTHER_FORMAT,
            f"no line of the day, left unchanged: 2026-03-12 (the log has 2026-03-11; {NAME_LOGS}; "
            "9 lines did not parse; fasthits explain a.log shows how each line is read)",
        ),
        (
            "2026-03-12",
            hit("/new") * 2,
            "fewer hits than are kept, left unchanged: 2026-03-12: 2 counted, 3 kept (is a log missing? merge "
            "adds up several servers; if only the rules have changed, --replace replaces the day)",
        ),
        (
            "2026-03-12",
            hit("/new", method="HEAD") * 5,
            "fewer hits than are kept, left unchanged: 2026-03-12: 0 counted, 3 kept (is a log missing? merge "
            "adds up several servers; if only the rules have changed, --replace replaces the day)",
        ),
    ],
)
def test_a_saved_day_is_not_replaced_by_fewer_hits(kept: Path, days: str, log: bytes, message: str) -> None:
    write(kept.parent / "a.log", log)
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    done = fasthits("rollup", days, "--logs", "a.log", "--to", kept.name, "--summary", "s.json", cwd=kept.parent)
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode().splitlines()
    assert said[0] == f"fasthits: {message}"
    assert not [line for line in said if " rows for " in line]
    assert json.loads((kept.parent / "s.json").read_text())["lines"] == log.count(b"\n")
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before
    assert sorted(os.listdir(kept.parent)) == sorted(["a.log", kept.name, "s.json"])


def test_a_kept_day_is_replaced_by_as_much_and_with_replace_by_less(kept: Path) -> None:
    rollup = ("rollup", str(DAY), "--logs", "a.log", "--to", kept.name)
    for log, options, rows in (
        (hit("/new") * 3, (), [("2026-03-12", "/new", 3)]),
        (hit("/new") * 2, ("--replace",), [("2026-03-12", "/new", 2)]),
        (hit("/new") * 5, (), [("2026-03-12", "/new", 5)]),
        (hit("/", method="HEAD"), ("--replace",), []),
        (hit("/", method="HEAD"), (), []),
        (hit("/b") * 2, (), [("2026-03-12", "/b", 2)]),
    ):
        write(kept.parent / "a.log", log)
        done = fasthits(*rollup, *options, cwd=kept.parent)
        assert done.returncode == 0, done.stderr
        assert rows_in(kept) == [KEPT[0], *rows, KEPT[2]]


def test_a_summary_tells_that_more_hits_were_counted_than_were_kept(kept: Path) -> None:
    """Somebody may have forgotten a rule such as --pages."""
    rollup = ("rollup", str(DAY), "--logs", "a.log", "--to", kept.name)
    text = "  more hits than were kept: 2026-03-12: 5 counted, 3 kept\n"
    for number, is_told in ((3, False), (5, True), (5, False)):
        write(kept.parent / "a.log", hit("/new") * number)
        said = fasthits(*rollup, "--summary", "s.json", cwd=kept.parent).stderr.decode()
        assert json.loads((kept.parent / "s.json").read_text())["kept_before"] == ({"2026-03-12": 3} if is_told else {})
        assert f"  1 row for 2026-03-12 in {kept.name}\n{text if is_told else ''}" == said[said.index("  1 row") :]


def test_a_log_without_lines_of_a_day_never_replaces_the_day(kept: Path) -> None:
    for log in (b"", OF_ANOTHER_FORMAT, hit("/", DAY + timedelta(1))):
        write(kept.parent / "a.log", log)
        done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", kept.name, "--replace", cwd=kept.parent)
        assert done.returncode == 1
        assert rows_in(kept) == KEPT


@pytest.mark.parametrize("logs", ["a.log", "%F.log"])
def test_the_other_days_of_a_range_are_kept(kept: Path, logs: str) -> None:
    days = [DAY + timedelta(number) for number in range(-1, 4)]
    lines = [hit("/new", days[0]) * 2, hit("/new", days[1]) * 2, b"", b"", hit("/new", days[4])]
    write(kept.parent / "a.log", *lines)
    for day, text in zip(days, lines, strict=True):
        write(kept.parent / f"{day}.log", text)
    (kept.parent / "2026-03-14.log").unlink()
    done = fasthits("rollup", "2026-03-11..2026-03-15", "--logs", logs, "--to", kept.name, cwd=kept.parent)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "fewer hits than are kept, left unchanged: 2026-03-12: 2 counted, 3 kept (is a log" in said
    if "%" in logs:
        assert (
            "no log file, left unchanged: 2026-03-14 (there are files for 2026-03-11..2026-03-13, 2026-03-15; " in said
        )
        assert "no line of the day, left unchanged: 2026-03-13 (the log has 2026-03-11..2026-03-12, 2026-03-15;" in said
    else:
        assert "no line of the day, left unchanged: 2026-03-13..2026-03-14 (" in said
    assert "  2 rows for 2026-03-11, 2026-03-15 in " in said
    assert rows_in(kept) == [("2026-03-11", "/new", 2), *KEPT[1:], ("2026-03-15", "/new", 1)]


def test_many_days_with_fewer_hits_are_named_in_one_line(tmp_path: Path) -> None:
    days = [DAY + timedelta(number) for number in range(12)]
    target = ("--logs", "-", "--to", "hits.db")
    whole = b"".join(hit("/", day) * 2000 for day in days)
    assert fasthits("rollup", f"{days[0]}..{days[-1]}", *target, stdin=whole, cwd=tmp_path).returncode == 0
    done = fasthits("rollup", f"{days[0]}..{days[-1]}", *target, stdin=whole[: len(whole) // 24], cwd=tmp_path)
    assert "2026-03-12: 1,000 counted, 2,000 kept (is a log" in done.stderr.decode()
    done = fasthits("rollup", f"{days[0]}..{days[-1]}", *target, stdin=b"".join(map(partial(hit, "/"), days)),
                    cwd=tmp_path)  # fmt: skip
    assert "; 2026-03-21: 1 counted, 2,000 kept; and 2 more days (is a log" in done.stderr.decode()


@pytest.mark.parametrize("target", ["-", *TARGETS])
def test_a_day_without_lines_is_an_error_for_every_target(target: str, tmp_path: Path) -> None:
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", target, stdin=hit("/", DAY + timedelta(1)), cwd=tmp_path)
    assert done.returncode == 1
    assert rows_of(done.stdout or b"date,path,views\n") == {}
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["hits.csv", "hits.db", "stats/", "postgresql"])
def test_tables_that_an_option_fills_are_not_left_behind_in_silence(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue("url") if kind == "postgresql" else kind
    for day in (DAY, DAY + timedelta(1)):
        gone = hit("/gone", day).replace(b" 200 ", b" 404 ")
        write(tmp_path / f"{day}.log", hit("/", day).replace(b'"-"', b'"https://x.example/"'), gone)
    run = partial(fasthits, "rollup", cwd=tmp_path)
    options = ("--logs", "%F.log", "--quiet", "--replace", "--to", target)
    both = ("--referrers", "--not-found", "apart")
    for given in (both, both):
        done = run(str(DAY), *options, *given)
        assert (done.returncode, done.stderr) == (0, b"")
    for given, left in (((), ("referrers", "not_found")), (("--referrers",), ("not_found",)), (both, ())):
        done = run(str(DAY), *options, *given, "--summary", "s.json")
        assert done.returncode == 0
        said = [
            f"fasthits: warning: the table {table} keeps the rows of an earlier count of {DAY}, as this run has not "
            f"filled it (run this again with {'--referrers' if table == 'referrers' else '--not-found apart'})"
            for table in left
        ]
        assert done.stderr.decode().splitlines() == said
        warnings = json.loads((tmp_path / "s.json").read_text())["warnings"]
        assert [f"fasthits: warning: {text}" for text in warnings] == said
    done = run(str(DAY + timedelta(1)), *options)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", ["hits.csv", "hits.db", "stats/", "postgresql"])
def test_nights_without_a_rollup_are_named_by_the_next_one(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue("url") if kind == "postgresql" else kind
    days = [DAY + timedelta(number) for number in (0, 1, 4, 6, 7, 8)]
    lines = [hit("/a,b", day) for day in days]
    lines[4] = lines[4].replace(b"GET", b"POST")  # no hit on this day
    write(tmp_path / "access.log", *lines)
    run = partial(fasthits, "rollup", "--logs", "access.log", "--to", target, "--quiet", "--summary", "s.json")
    # The day after the newest, and one after nights off; then the nights are counted late, and again.
    for day, missing in (
        (days[1], None), (days[0], None), (days[2], "2026-03-14..2026-03-15"), (days[3], "2026-03-17"),
        (days[2], "2026-03-14..2026-03-15"), (days[1], None),
        (days[4], None), (days[5], "2026-03-19" if target == "hits.csv" else None),
    ):  # fmt: skip
        done = run(str(day), cwd=tmp_path)
        assert done.returncode == 0
        said = (
            [f"no rows are kept of {missing} (run the rollup with {missing} while the logs are there)"]
            if missing
            else []
        )
        warnings = json.loads((tmp_path / "s.json").read_text())["warnings"]
        assert [text for text in warnings if "rows" in text] == said
        shown = [f"fasthits: warning: {text}" for text in said]
        assert [text for text in done.stderr.decode().splitlines() if "no rows" in text] == shown
