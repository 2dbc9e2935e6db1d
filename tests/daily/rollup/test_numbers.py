"""`fasthits rollup` counts the right hits: of which files, which lines, and for which days."""

import contextlib
import gzip
import io
import json
import sqlite3
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.corpus import write_day
from fasthits.daily.csv.target import CsvStream
from fasthits.daily.logs import extents, logfiles
from fasthits.daily.rollup import roll_up
from fasthits.formats.packing import packing_of
from fasthits.rules.rules import Rules
from tests.daily.support import DAY, rows_of
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT
from tests.support.reference import count
from tests.support.strategies import logs

UGLY_LOG = PROJECT / "tests" / "core" / "ugly.log.gz"
PATTERN = "logs/%Y/%m/%d/access.log"


def log_of(folder: Path, day: date) -> Path:
    return folder / day.strftime(PATTERN)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_four_days_of_a_site_in_one_file(tmp_path: Path, threads: str) -> None:
    days = [DAY + timedelta(n) for n in range(4)]
    for day in days:
        write_day(tmp_path / f"{day}", day, 2_500, seed=day.day, paths=300)
    log = write(tmp_path / "access.log", *((tmp_path / f"{day}").read_bytes() for day in days))
    expected = count(log.read_bytes(), days)
    options = ("--logs", log, "--threads", threads, "--summary", "summary.json")
    command = ("rollup", f"{days[0]}..{days[-1]}", *options)
    assert fasthits(*command, "--to", "hits.csv", cwd=tmp_path).returncode == 0
    first = (tmp_path / "hits.csv").read_bytes()
    rows = rows_of(first)
    assert rows == {(str(day), path.decode()): views for (day, path), views in expected.views.items()}
    assert [day for day, _ in rows] == sorted(day for day, _ in rows)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary.pop("seconds") > 0
    assert summary == {
        "files": 1,
        "bytes": log.stat().st_size,
        "lines": 10_000,
        "hits": expected.hits,
        "filtered": dict(expected.filtered),
        "malformed": expected.malformed,
        "formats": ["combined"],
        "spooled": 0,
        "days": [str(day) for day in days],
        "kept_before": {},
        "parts": {},
        "missing_servers": {},
        "warnings": [],
    }
    assert fasthits(*command, "--to", "hits.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "hits.csv").read_bytes() == first
    assert fasthits(*command, "--to", "hits.db", cwd=tmp_path).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        assert {(day, path): views for day, path, views in database.execute("SELECT * FROM hits")} == rows


def test_every_line_of_a_log_of_hostile_requests_is_in_a_bucket(tmp_path: Path) -> None:
    done = fasthits("rollup", "2026-11-23", "--logs", UGLY_LOG, "--to", "-", "--summary", tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert done.returncode == 0
    assert summary["lines"] == 76
    assert summary["lines"] == summary["hits"] + sum(summary["filtered"].values()) + summary["malformed"]
    assert sum(rows_of(done.stdout).values()) == summary["hits"]


@given(files=st.lists(logs(), min_size=1, max_size=3), threads=st.integers(1, 3), segment=st.integers(1, 4000))
def test_segments_and_threads_count_what_the_oracle_counts(
    files: list[bytes], threads: int, segment: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(not any(packing_of(data) for data in files))  # a log may begin like a packed file
    folder = tmp_path_factory.mktemp("logs")
    for number, data in enumerate(files):
        (folder / f"{number}.log").write_bytes(data)
    counts = [count(data) for data in files]
    days = sorted({day for views, *_ in counts for day, _ in views}) or [DAY]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfiles, "SEGMENT_BYTES", segment)
        patch.setattr(extents, "SLACK_SECONDS", float("inf"))  # lines may be of days in the future
        rules = Rules(format="combined")  # the drawn lines may also look like another format
        summary = roll_up(days, (f"{folder}/*.log",), CsvStream(io.BytesIO()), threads, rules=rules)
    assert summary.counted.lines == sum(lines for _, lines, *_ in counts)
    assert summary.counted.hits == sum(hits for _, _, hits, *_ in counts)
    assert summary.counted.malformed == sum(malformed for *_, malformed in counts)
    assert Counter(summary.counted.filtered) == sum((filtered for *_, filtered, _ in counts), Counter())


def test_the_first_possible_date_may_be_next_to_other_days(tmp_path: Path) -> None:
    for name, day in (("a.log", date.min), ("b.log", date.max)):
        write(tmp_path / name, hit("/a", day))
    done = fasthits("rollup", str(date.min), "--partial", "--logs", f"{tmp_path}/*.log", "--to", "-")
    assert done.stdout.splitlines()[1:] == [b"0001-01-01,/a,1"]


def test_hits_are_taken_for_the_day_in_the_line_from_its_file_and_the_next(tmp_path: Path) -> None:
    before, after = DAY - timedelta(1), DAY + timedelta(1)
    write(log_of(tmp_path, before), hit("/too-early", DAY), hit("/", before))
    write(log_of(tmp_path, DAY), hit("/slow", before), hit("/a"), hit("/a"), hit("/fast", after, "00:00:00"))
    write(log_of(tmp_path, after), hit("/a", DAY, "23:59:59"), hit("/b", after))
    write(log_of(tmp_path, after + timedelta(1)), hit("/much-later", DAY))
    done = fasthits("rollup", str(DAY), "--logs", PATTERN, "--to", "-", cwd=tmp_path)
    assert rows_of(done.stdout) == {("2026-03-12", "/a"): 3}
    assert b"4 filtered" not in done.stderr
    assert b"filtered (day 3)" in done.stderr


def test_a_range_equals_its_days_counted_one_by_one(tmp_path: Path) -> None:
    days = [DAY + timedelta(number) for number in range(5)]
    for day in days:
        times = [(-2, "10:00:00"), (-1, "23:59:59"), (0, "10:00:00"), (1, "00:00:00")]
        lines = (hit(f"/in/{day}", day + timedelta(number), clock) for number, clock in times)
        write(log_of(tmp_path, day), *lines)
    together = fasthits("rollup", f"{days[0]}..{days[4]}", "--logs", PATTERN, "--to", "-", cwd=tmp_path)
    alone = [fasthits("rollup", str(day), "--logs", PATTERN, "--to", "-", cwd=tmp_path) for day in days]
    assert rows_of(together.stdout) == {row: views for done in alone for row, views in rows_of(done.stdout).items()}
    assert len(rows_of(together.stdout)) == 9


def test_several_servers_files_add_up_plain_and_compressed(tmp_path: Path) -> None:
    write(tmp_path / "web1" / "2026-03-12.log", hit("/a"), hit("/b"))
    write(tmp_path / "web2" / "2026-03-12.log.gz", gzip.compress(hit("/a") * 3))
    done = fasthits("rollup", str(DAY), "--logs", "*/%Y-%m-%d.log", "--to", "-", cwd=tmp_path)
    assert rows_of(done.stdout) == {("2026-03-12", "/a"): 4, ("2026-03-12", "/b"): 1}
    assert b"5 lines of 2 files" in done.stderr


def test_a_pattern_by_month_has_its_file_read_once(tmp_path: Path) -> None:
    write(tmp_path / "2026-03.log", hit("/a"), hit("/a", DAY + timedelta(1)))
    done = fasthits("rollup", "2026-03-12..2026-03-14", "--logs", "%Y-%m.log", "--to", "-", cwd=tmp_path)
    assert rows_of(done.stdout) == {("2026-03-12", "/a"): 1, ("2026-03-13", "/a"): 1}
    assert b"2 lines of 1 file" in done.stderr


def test_standard_input_and_output(tmp_path: Path) -> None:
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", "-", stdin=hit("/a") * 2 + hit("/b").rstrip())
    assert done.stdout == b"date,path,views\n2026-03-12,/a,2\n2026-03-12,/b,1\n"


def test_standard_input_that_does_not_wait_is_read_to_its_end() -> None:
    """What was there was taken for the whole log."""
    rollup = ("rollup", str(DAY), "--logs", "-", "--to", "-")
    done = fasthits(*rollup, stdin=hit("/a") * 100_000, first="import os; os.set_blocking(0, False)")
    assert done.stdout == b"date,path,views\n2026-03-12,/a,100000\n"


def test_settings_come_from_the_environment_and_the_default_is_yesterday(tmp_path: Path) -> None:
    yesterday = date.today() - timedelta(1)
    write(tmp_path / f"{yesterday}.log", hit("/a", yesterday))
    env = {"FASTHITS_LOGS": "%Y-%m-%d.log", "FASTHITS_TO": "views.sqlite"}
    assert fasthits("rollup", cwd=tmp_path, **env).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "views.sqlite")) as database:
        assert database.execute("SELECT * FROM hits").fetchall() == [(str(yesterday), "/a", 1)]


def test_csv_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/\u20ac".encode()))
    locale = {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"}
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "-", cwd=tmp_path, **locale)
    assert done.stdout == "date,path,views\n2026-03-12,/\u20ac,1\n".encode()
