"""--max-memory: a temporary file takes the rows that memory has no room for, and the numbers are the same."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daily.support import DAY, TARGETS, only_line, rows_in, rows_of, table_of
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT


def long_log(paths: int) -> bytes:
    """Return a log of *paths* paths that take 2,000 bytes each. Half of them come twice, and some are not UTF-8."""
    lines = [hit(b"/%d/" % number + b"p" * 1900) for number in range(paths)]
    spellings = [hit(b"/%d" % number + tail) for number in range(64) for tail in (b"\xe9,", rb"\xe9,", b"\xe9,")]
    return b"".join([*lines[::2], *spellings, b"bad\n", hit("/", method="HEAD"), *lines])


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
