"""`fasthits rollup` from the command line: right numbers, no loss on bad input, exit codes and messages."""

import contextlib
import csv
import gzip
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.corpus import write_day
from fasthits.daily.csv.target import CsvStream
from fasthits.daily.logs import extents, logfiles
from fasthits.daily.logs.sources import NAME_LOGS
from fasthits.daily.rollup import roll_up
from fasthits.formats.packing import packing_of
from fasthits.rules.rules import Rules
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT, eventually
from tests.support.reference import count
from tests.support.strategies import logs

UGLY_LOG = PROJECT / "tests" / "core" / "ugly.log.gz"
DAY = date(2026, 3, 12)
PATTERN = "logs/%Y/%m/%d/access.log"


def log_of(folder: Path, day: date) -> Path:
    return folder / day.strftime(PATTERN)


def rows_of(text: bytes) -> dict[tuple[str, str], int]:
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    assert header == ["date", "path", "views"]
    return {(day, path): int(views) for day, path, views in rows}


def only_line(stderr: bytes) -> str:
    lines = stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("fasthits: ")
    return lines[0]


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
        "parts": {},
        "missing_servers": {},
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


def test_days_without_a_file_are_named_and_stay(tmp_path: Path) -> None:
    for day in (DAY, DAY + timedelta(3)):
        write(log_of(tmp_path, day), hit("/new", day), hit("/late", day - timedelta(1)))
    write(
        tmp_path / "hits.csv",
        b"date,path,views\n",
        *(f"2026-03-{day},/old,1\n".encode() for day in range(11, 17)),
    )
    done = fasthits("rollup", "2026-03-11..2026-03-15", "--logs", PATTERN, "--to", "hits.csv", cwd=tmp_path)
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


TARGETS = ["hits.db", "hits.csv"]
KEPT = [("2026-03-11", "/old", 1), ("2026-03-12", "/old", 3), ("2026-03-13", "/old", 1)]


@pytest.fixture(params=TARGETS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A target with three days, the second with three hits."""
    lines = [hit("/old", date.fromisoformat(day)) * views for day, _, views in KEPT]
    done = fasthits(*("rollup", "2026-03-11..2026-03-13", "--logs", "-", "--to"), tmp_path / request.param,
                    stdin=b"".join(lines))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows_in(tmp_path / request.param) == KEPT
    return tmp_path / request.param


def rows_in(target: Path) -> list[tuple[str, str, int]]:
    table = table_of(target)
    return [(*key, views) for key, views in rows_of(table).items()] if isinstance(table, bytes) else table


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
            "fewer hits than are kept, left unchanged: 2026-03-12: 2 counted, 3 kept (is a log missing? if only "
            "the rules have changed, --replace replaces the day)",
        ),
        (
            "2026-03-12",
            hit("/new", method="HEAD") * 5,
            "fewer hits than are kept, left unchanged: 2026-03-12: 0 counted, 3 kept (is a log missing? if only "
            "the rules have changed, --replace replaces the day)",
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


def test_with_little_memory_the_whole_day_is_compared(tmp_path: Path) -> None:
    write(tmp_path / "a.log", long_log(20_000))
    write(tmp_path / "short.log", long_log(20_000)[:-1000])
    rollup = ("rollup", str(DAY), "--max-memory", "32M")
    for target in TARGETS:
        for log, code in (("a.log", 0), ("a.log", 0), ("short.log", 1)):
            done = fasthits(*rollup, "--logs", log, "--to", target, cwd=tmp_path)
            assert done.returncode == code, done.stderr
        assert "2026-03-12: 30,191 counted, 30,192 kept (" in done.stderr.decode()
        assert sum(views for _, _, views in rows_in(tmp_path / target)) == 30_192


def test_several_servers_files_add_up_plain_and_compressed(tmp_path: Path) -> None:
    write(tmp_path / "web1" / "2026-03-12.log", hit("/a"), hit("/b"))
    write(tmp_path / "web2" / "2026-03-12.log.gz", gzip.compress(hit("/a") * 3))
    done = fasthits("rollup", str(DAY), "--logs", "*/%Y-%m-%d.log", "--to", "-", cwd=tmp_path)
    assert rows_of(done.stdout) == {("2026-03-12", "/a"): 4, ("2026-03-12", "/b"): 1}
    assert b"5 lines of 2 files" in done.stderr


def long_log(paths: int) -> bytes:
    """Return a log of *paths* paths that take 2,000 bytes each. Half of them come twice, and some are not UTF-8."""
    lines = [hit(b"/%d/" % number + b"p" * 1900) for number in range(paths)]
    spellings = [hit(b"/%d" % number + tail) for number in range(64) for tail in (b"\xe9,", rb"\xe9,", b"\xe9,")]
    return b"".join([*lines[::2], *spellings, b"bad\n", hit("/", method="HEAD"), *lines])


def table_of(file: Path) -> list[tuple[str, str, int]] | bytes:
    """Return the content of a target: the bytes of CSV, the rows of SQLite."""
    if file.suffix == ".csv":
        return file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT * FROM hits").fetchall()


def test_with_little_memory_a_temporary_file_takes_the_rows_and_the_numbers_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.log", long_log(20_000))
    write(tmp_path / "old.csv", b"date,path,views\n2026-03-11,/old,1\n2026-03-12,/old,1\n2026-03-13,/old,1\n")
    rollup = ("rollup", str(DAY), "--logs", "a.log", "--summary", "summary.json")
    for suffix in ("csv", "db"):
        found = []
        for memory, threads in (("1G", "2"), ("32m", "1"), ("32M", "2")):
            target = tmp_path / f"{memory}{threads}.{suffix}"
            if suffix == "csv":
                target.write_bytes((tmp_path / "old.csv").read_bytes())
            done = fasthits(*rollup, "--max-memory", memory, "--threads", threads, "--to", target, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            summary = json.loads((tmp_path / "summary.json").read_text())
            spooled = summary.pop("spooled")
            assert (spooled > 0) == (memory != "1G")
            assert (b" MB in a temporary file\n" in done.stderr) == (spooled > 0)
            assert b"  20,064 rows for 2026-03-12 in " in done.stderr
            assert b"30,194 lines of 1 file" in done.stderr
            assert summary.pop("seconds") > 0
            found.append((table_of(target), summary))
        assert found[0] == found[1] == found[2]
        assert found[0][1]["hits"] == 30_192
        table = found[0][0]
        if isinstance(table, bytes):
            assert sum(rows_of(table).values()) == 30_192 + 2
            assert table.startswith(b'date,path,views\n2026-03-11,/old,1\n2026-03-12,"/0\\xe9,",3\n')
            assert table.endswith(b"\n2026-03-13,/old,1\n")
        else:
            assert sum(views for _, _, views in table) == 30_192
            assert ("2026-03-12", "/63\\xe9,", 3) in table


@pytest.mark.parametrize("target", ["hits.csv", "hits.db", "-"])
def test_standard_input_may_have_any_number_of_paths(target: str, tmp_path: Path) -> None:
    rollup = ("rollup", str(DAY), "--logs", "-", "--to", target, "--threads", "2")
    found = []
    for memory in ("1G", "32M"):
        done = fasthits(*rollup, "--max-memory", memory, stdin=long_log(20_000), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (b"in a temporary file" in done.stderr) == (memory == "32M")
        found.append(done.stdout if target == "-" else table_of(tmp_path / target))
    assert found[0] == found[1]


def test_standard_input_has_all_the_memory_whatever_the_threads(tmp_path: Path) -> None:
    rollup = ("rollup", str(DAY), "--logs", "-", "--to", "-", "--max-memory", "32M", "--threads", "64")
    done = fasthits(*rollup, stdin=long_log(30_000), cwd=tmp_path)
    assert done.returncode == 0
    assert len(rows_of(done.stdout)) == 30_064


WITHOUT_ROOM = """
import resource, sys
from fasthits.__main__ import main
sys.argv = ["fasthits", "rollup", "2026-03-12", "--logs", "a.log"]
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sys.argv += sys.argv_of_test
main()
"""


@pytest.mark.parametrize(
    ("arguments", "memory", "temporary", "message"),
    [
        (["--to", "hits.csv"], "32M", "", "cannot write rows to a temporary file: {} (File too large; name a folder"),
        (["--to", "hits.csv"], "32M", "none", "cannot write rows to a temporary file: {}/none (No such file or"),
        (["--to", "-", "--bots", "apart"], "1G", "", "cannot sort rows in a temporary file: "),
    ],
    ids=["full", "no folder", "sorting"],
)
def test_no_room_for_a_temporary_file_is_an_error(
    arguments: list[str], memory: str, temporary: str, message: str, tmp_path: Path
) -> None:
    chance = random.Random(1)
    write(tmp_path / "a.log", b"".join(hit(f"/{chance.randbytes(150).hex()}") for _ in range(30_000)))
    write(tmp_path / "hits.csv", b"date,path,views\n2026-03-12,/old,1\n")
    program = WITHOUT_ROOM.replace("sys.argv_of_test", repr([*arguments, "--max-memory", memory]))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path / temporary).rstrip("/")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert only_line(done.stderr).startswith("fasthits: " + message.format(tmp_path))
    assert "in TMPDIR, or raise --max-memory)" in only_line(done.stderr) or "SQLITE_TMPDIR)" in only_line(done.stderr)
    assert sorted(os.listdir(tmp_path)) == ["a.log", "hits.csv"]
    assert (tmp_path / "hits.csv").read_bytes().endswith(b"/old,1\n")


def test_standard_input_and_output(tmp_path: Path) -> None:
    done = fasthits("rollup", str(DAY), "--logs", "-", "--to", "-", stdin=hit("/a") * 2 + hit("/b").rstrip())
    assert done.stdout == b"date,path,views\n2026-03-12,/a,2\n2026-03-12,/b,1\n"


def test_settings_come_from_the_environment_and_the_default_is_yesterday(tmp_path: Path) -> None:
    yesterday = date.today() - timedelta(1)
    write(tmp_path / f"{yesterday}.log", hit("/a", yesterday))
    env = {"FASTHITS_LOGS": "%Y-%m-%d.log", "FASTHITS_TO": "views.sqlite"}
    assert fasthits("rollup", cwd=tmp_path, **env).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "views.sqlite")) as database:
        assert database.execute("SELECT * FROM hits").fetchall() == [(str(yesterday), "/a", 1)]


def test_malformed_lines_are_shown_with_their_place_and_made_harmless(tmp_path: Path) -> None:
    lines = [hit("/") * 3000, b"\x1b[2Jevil \xe2\x80\xae line\n", hit("/") * 4000, b"second\n", b"\n", b"fourth\n"]
    write(tmp_path / "access.log", *lines)
    done = fasthits("rollup", str(DAY), "--logs", "access.log", "--to", "-", cwd=tmp_path)
    assert b"      4 malformed, such as\n" in done.stderr
    shown = [line.strip() for line in done.stderr.decode().splitlines() if "access.log:" in line]
    assert shown == [r"access.log:3001: \x1b[2Jevil \u202e line", "access.log:7002: second", "access.log:7003:"]


def test_line_numbers_are_those_of_the_file_whatever_thread_read_them(tmp_path: Path) -> None:
    data = b"".join(b"bad\n" if number in (700, 1500, 2300, 2900) else hit("/") for number in range(1, 3001))
    write(tmp_path / "access.log", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfiles, "SEGMENT_BYTES", 10_000)
        for threads in (1, 2, 3):
            summary = roll_up([DAY], (str(tmp_path / "access.log"),), CsvStream(io.BytesIO()), threads)
            assert [example.line for example in summary.counted.examples] == [700, 1500, 2300]


AS_NOBODY = """
import contextlib, os, sys
from fasthits.__main__ import main
command = ["fasthits", "rollup", "2026-03-12", "--to", "-", "--logs"]
with contextlib.suppress(SystemExit), contextlib.redirect_stderr(open(os.devnull, "w")):
    sys.argv = [*command, "/nonexistent"]  # imports what the command needs, which nobody may not read
    main()
if os.geteuid() == 0:
    os.seteuid(65534)
sys.argv = [*command, *sys.argv_of_test]
main()
"""


def test_a_log_that_may_not_be_read_is_an_error(place: Path) -> None:
    """Run the rollup as a user who may not read the log, because root may read everything."""
    log = write(place / "access.log", hit("/"))
    log.chmod(0)
    program = AS_NOBODY.replace("*sys.argv_of_test", repr(str(log)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=PROJECT)
    assert done.returncode == 1
    assert only_line(done.stderr) == f"fasthits: cannot read log file: {log} (Permission denied)"


def test_a_folder_that_may_not_be_listed_is_an_error(place: Path) -> None:
    write(place / "logs" / "access.log", hit("/"))
    (place / "logs").chmod(0o700)
    program = AS_NOBODY.replace("*sys.argv_of_test", repr(f"{place}/logs/access.log*"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=PROJECT)
    assert done.returncode == 1
    assert only_line(done.stderr).startswith(f"fasthits: cannot list the folder of log files: {place}/logs (Perm")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["2026-03-12", "--logs", "nothing.log"], 1, "no log file for 2026-03-12: nothing.log (name another"),
        (["2026-03-12", "--logs", "no/%Y/*.log"], 1, "no log file for 2026-03-12: no/2026/*.log (name another"),
        (["2026-03-12", "--logs", "."], 1, "log file is a directory: . (name the file"),
        (["2026-02-30"], 2, "no such day: 2026-02-30"),
        *(
            (["2026-03-12", f"--max-memory={size}"], 2, f"invalid --max-memory: {size!r} (32M or more, for example 2G)")
            for size in ("31M", "0G", "", "G", "512", "512K", "5 G", "-1G", "1.5G", "\u0661G", "1GB", "1" * 40 + "G")
        ),
        (["12.3.2026"], 2, "not a DATE: '12.3.2026' (YYYY-MM-DD"),
        (["2026-03-12", "--logs", "%Y/%H.log"], 2, "PATTERN names the time of day with %H: %Y/%H.log (write *"),
        (["2026-03-12", "--logs", "a.log", "--to", "hits.txt"], 2, "not a TARGET: hits.txt"),
        (["2026-03-12", "--logs", "a.log", "--to", "s3://logs/hits.csv"], 2, "not a TARGET: s3://logs/hits.csv (only"),
        (
            ["2026-03-12", "--logs", "-", "--to", "s3://me:secret@logs/a.db"],
            2,
            "the address of a store has a password: s3",
        ),
        (["2026-03-12", "--logs", "a.log", "--to", ""], 2, "not a TARGET: '' (use a name that ends in"),
        (["2026-03-12", "--logs", "a.log", "--to", "no/hits.db"], 1, "no such folder: no (make it"),
        (["2026-03-12", "--logs", "a.log", "--to", "text.db"], 1, "cannot read database: text.db (file is not"),
        (["2026-03-12", "--logs", "a.log", "--to", "text.csv"], 1, "not a CSV file of fasthits: "),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "a.log", hit("/a"))
    write(tmp_path / "cut.log.gz", gzip.compress(hit("/a") * 100)[:-9])
    write(tmp_path / "text.db", b"no database " * 100)
    write(tmp_path / "text.csv", b"no,table\n")
    write(tmp_path / "hits.csv", b"date,path,views\n2026-03-12,/old,1\n")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    done = fasthits("rollup", *arguments, cwd=tmp_path, FASTHITS_TO="hits.csv")
    assert (done.returncode, done.stdout) == (code, b"")
    assert only_line(done.stderr).startswith(f"fasthits: {message}")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_unwritable_summary_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/a"))
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "-", "--summary", "no/s.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"fasthits: cannot write summary: no/s.json (")


@pytest.mark.parametrize("file", ["", ".", "/"])
def test_a_summary_to_a_folder_is_an_error(file: str, tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/a"))
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "-", "--summary", file, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"fasthits: cannot write summary: ")


def test_a_summary_may_go_to_a_special_file_or_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/a"))
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "x.csv", "--summary", "/dev/stdout", cwd=tmp_path)
    assert json.loads(done.stdout)["hits"] == 1
    assert Path("/dev/stdout").is_symlink()
    fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "x.csv", "--summary", "link.json", cwd=tmp_path)
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["hits"] == 1


@pytest.mark.parametrize("content", [b"a log\n", b'{"status":200}\n', b"\0"])
def test_neither_a_summary_nor_a_report_overwrites_another_kind_of_file(content: bytes, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", content)
    write(tmp_path / "b.log", hit("/a"))
    for _ in range(2):
        assert fasthits("rollup", str(DAY), "--logs", "b.log", "--summary", "s.json", cwd=tmp_path).returncode == 0
        assert fasthits("report", "--to", "r.html", cwd=tmp_path).returncode == 0
    for command in (["rollup", str(DAY), "--logs", "b.log", "--summary", "a.log"], ["report", "--to", "a.log"]):
        done = fasthits(*command, cwd=tmp_path)
        assert done.returncode == 1
        message = done.stderr.decode().splitlines()[-1]
        assert message.endswith(": a.log (it is another kind of file; name another)")
    assert log.read_bytes() == content


def test_csv_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/\u20ac".encode()))
    locale = {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"}
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "-", cwd=tmp_path, **locale)
    assert done.stdout == "date,path,views\n2026-03-12,/\u20ac,1\n".encode()


def test_a_pattern_by_month_has_its_file_read_once(tmp_path: Path) -> None:
    write(tmp_path / "2026-03.log", hit("/a"), hit("/a", DAY + timedelta(1)))
    done = fasthits("rollup", "2026-03-12..2026-03-14", "--logs", "%Y-%m.log", "--to", "-", cwd=tmp_path)
    assert rows_of(done.stdout) == {("2026-03-12", "/a"): 1, ("2026-03-13", "/a"): 1}
    assert b"2 lines of 1 file" in done.stderr


def test_a_closed_pipe_ends_a_rollup_quietly(tmp_path: Path) -> None:
    write(tmp_path / "a.log", *(hit(f"/{number}") for number in range(50_000)))
    command = f"{sys.executable} -m fasthits rollup {DAY} --logs {tmp_path}/a.log --to - | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, cwd=PROJECT)
    assert done.stdout == b"date,path,views\n"
    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_ends_a_rollup_that_waits_for_input(
    sent: signal.Signals, code: int, message: str, kept: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # The background jobs of a shell without job control ignore SIGINT, and so do their children.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    program += "from fasthits.__main__ import main; main()"
    command = [sys.executable, "-c", program, "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with (
        subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running,
        pipe.open("wb") as log,  # the open returns as soon as the other side reads; the pipe stays open
    ):
        log.write(hit("/") * 9)
        log.flush()
        running.send_signal(sent)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == code
    assert only_line(stderr) == f"fasthits: {message}"
    assert rows_in(kept) == KEPT
    assert sorted(os.listdir(tmp_path)) == sorted([kept.name, "pipe"])


LOST_SIGNAL = """
import os, signal, sys, threading
from fasthits.__main__ import main

def end():
    sys.stdin.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=end, daemon=True).start()
main()
"""
"""Its SIGTERM goes to a thread that is not the main thread, so it does not end a wait of the main thread. Nor does a
signal that comes just before such a wait."""


def test_a_signal_ends_a_rollup_whose_threads_all_sleep(kept: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", LOST_SIGNAL, "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with (
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as running,
        pipe.open("wb") as log,
    ):
        log.write(hit("/") * 9)
        log.flush()
        eventually(lambda: _sleeps(running.pid))
        _, stderr = running.communicate(timeout=30)
    assert running.returncode == 143
    assert only_line(stderr) == "fasthits: ended by SIGTERM"
    assert rows_in(kept) == KEPT


def _sleeps(process: int) -> bool:
    """Tell whether all threads of a process sleep."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks} == {"S"}


def test_under_nohup_a_rollup_survives_its_terminal(kept: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = ["nohup", sys.executable, "-m", "fasthits", "rollup", str(DAY), "--logs", pipe, "--to", kept]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running:
        with pipe.open("wb") as log:
            running.send_signal(signal.SIGHUP)
            log.write(hit("/") * 9)
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert rows_in(kept) == [KEPT[0], ("2026-03-12", "/", 9), KEPT[2]]


def test_a_terminal_sees_a_progress_bar(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", hit("/a") * 1000)
    terminal, theirs = os.openpty()
    command = [sys.executable, "-m", "fasthits", "rollup", str(DAY), "--logs", log, "--to", tmp_path / "hits.csv"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=theirs) as running:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # EIO is the end of a terminal
            while data := os.read(terminal, 4096):
                seen += data
    os.close(terminal)
    assert running.returncode == 0
    assert b"\xe2\x94\x81" in seen
    assert b"1,000 hits" in seen


def test_quiet_prints_nothing_unless_something_is_wrong(tmp_path: Path) -> None:
    yesterday = date.today() - timedelta(days=1)
    for day in (yesterday, date.today()):
        write(tmp_path / f"{day}.log", hit("/a", day, "00:00:00"))
    arguments = ("rollup", "--quiet", "--logs", tmp_path / "%Y-%m-%d.log", "--to", tmp_path / "hits.db")
    done = fasthits(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    write(tmp_path / f"{yesterday}.log", hit("/a", yesterday, "00:00:00"), b"nonsense\n" * 2)
    done = fasthits(*arguments)
    assert done.returncode == 0
    assert b"2 malformed, such as" in done.stderr
    (tmp_path / f"{yesterday}.log").unlink()
    done = fasthits(*arguments)
    assert done.returncode == 1
    assert str(yesterday).encode() in done.stderr
