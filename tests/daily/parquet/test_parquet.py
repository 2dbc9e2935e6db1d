"""Parquet: the same rows as in SQLite, in typed, sorted columns. A day is a file, which is replaced atomically."""

import fcntl
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset, parquet
from typer.testing import CliRunner

from fasthits.cli.app import app
from fasthits.daily.layouts import hits_layout
from fasthits.daily.parquet import folders, target
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import Change
from fasthits.daily.targets.target import Replaced
from fasthits.errors import TableError
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT
from tests.support.targets import replace

MARCH = [date(2026, 3, day) for day in range(1, 32)]
DAY = "2026-03-12"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The name of a target."""
    return f"{tmp_path}/set/"


def rows_of(folder: str, table: str = "hits") -> list[tuple[Any, ...]]:
    """Return the rows as a reader of hive partitions finds them: the date comes first."""
    found = dataset.dataset(f"{folder}{table}", partitioning="hive").to_table()
    names = ["date", *(name for name in found.column_names if name != "date")]
    return list(zip(*(found.column(name).to_pylist() for name in names), strict=True))


def files_in(folder: str) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


HOSTS = ("--by-host", "--format", '%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"')


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--referrers", "full", "--search-terms"),
        (*HOSTS, "--bots", "apart", "--keep-query", "--not-found", "apart"),
    ],
    ids=["plain", "referrers and search terms", "by host, bots and not found apart, with queries"],
)
def test_the_rows_are_those_of_sqlite_in_order_and_the_files_are_equal(
    options: tuple[str, ...], folder: str, tmp_path: Path
) -> None:
    bot = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    paths = [b"/", b"/a", b"/\xc3\xa9?x=1", b"/\xff", b"/\\xff", b"/" + b"long" * 4000, b"/zero"]
    sources = [b"-", b"https://blog.example/a", b"https://www.google.com/search?q=one+two"]
    lines = [
        (b"b.example " if at % 2 else b"a.example ") * ("--by-host" in options)
        + hit(path)
        .replace(b'"-"', b'"%s"' % sources[at % 3])
        .replace(b"Mozilla/5.0 (X11", bot if at % 5 == 0 else b"M")
        .replace(b" 200 ", b" 404 " if at % 4 == 1 else b" 200 ")
        for at in range(30)
        for path in paths[: 1 + at % 7]
    ]
    log = write(tmp_path / "access.log", *lines)
    names = (str(tmp_path / "hits.db"), folder, f"{tmp_path}/again/")
    for name in names:
        done = CliRunner().invoke(app, ["rollup", DAY, "--logs", str(log), "--to", name, *options, "--partial"])
        assert done.exit_code == 0, done.stderr
    with closing(sqlite3.connect(names[0])) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (name for name in tables if not name.endswith(("_paths", "_sums"))):
            assert rows_of(folder, table) == database.execute(f"SELECT * FROM {table}").fetchall(), table
    assert files_in(folder) == files_in(names[2])


def test_polars_reads_a_column_of_days_from_the_names_of_folders(folder: str) -> None:
    polars = pytest.importorskip("polars")
    replace(folder, {MARCH[0]: {b"/b": 1, b"/a": 2}, MARCH[1]: {b"/a": 4}})
    found = polars.read_parquet(f"{folder}hits/").filter(polars.col("date") == MARCH[0])
    assert found["path"].to_list() == ["/a", "/b"]


def test_columns_have_types(folder: str) -> None:
    replace(folder, {MARCH[0]: {b"/b": 1, b"/a": 2}})
    found = parquet.ParquetFile(f"{folder}hits/date=2026-03-01/hits.parquet")
    assert [(field.name, str(field.type), field.nullable) for field in found.schema_arrow] == [
        ("path", "string", False),
        ("views", "int64", False),
    ]
    assert found.metadata.row_group(0).sorting_columns[0].column_index == 0


def test_some_days_are_replaced_and_the_others_stay(folder: str) -> None:
    replace(folder, {day: {b"/": 5} for day in MARCH[:4]})
    before = files_in(folder)
    assert replace(folder, {MARCH[1]: {b"/": 4}, MARCH[2]: {b"/": 6}, MARCH[4]: {}}) == Replaced(
        1, [Change(MARCH[1], 4, 5)], [Change(MARCH[2], 6, 5)]
    )
    assert rows_of(folder) == [(f"2026-03-0{day}", "/", views) for day, views in ((1, 5), (2, 5), (3, 6), (4, 5))]
    changed = {name for name, content in files_in(folder).items() if before.get(name) != content}
    of_new_day = {f"{table}/date=2026-03-05/{table}.parquet" for table in ("hits", "hours")}
    assert changed == {"hits/date=2026-03-03/hits.parquet"} | of_new_day
    assert replace(folder, {MARCH[1]: {b"/": 4}}, with_fewer=True) == Replaced(1, [], [])


def test_other_columns_and_other_files_are_errors(folder: str, tmp_path: Path) -> None:
    replace(folder, {MARCH[0]: {b"/": 5}})
    with pytest.raises(TableError, match=r"make a table hits \(host, path, views\), but the file has \(path, views\)"):
        open_target(folder, [hits_layout(by_host=True)]).check()
    (Path(folder) / "hits/date=2026-03-01/hits.parquet").write_text("something else")
    with pytest.raises(TableError, match="not a Parquet file of fasthits"):
        open_target(folder).check()
    with pytest.raises(TableError, match="no such folder"):
        open_target(f"{tmp_path}/none/none/").check()
    with pytest.raises(TableError, match="target is not a folder"):
        open_target(f"{write(tmp_path / 'file')}/").check()


def test_a_kept_day_that_another_program_has_written_is_not_replaced(folder: str) -> None:
    """The days around it are of fasthits. Its hits could not be compared."""
    replace(folder, {day: {b"/": 5} for day in MARCH[:3]})
    file = Path(folder) / "hits/date=2026-03-02/hits.parquet"
    paths = pa.array(["/"])
    for views, failed in (
        (pa.array([9]), "another program has written this file"),  # the column may have nulls
        (pa.array(["9"]), "another program has written this file"),
        (pa.array([None], pa.int64()), "another program has written this file"),
        (None, r"make a table hits \(path, views\), but the file has \(path\)"),
    ):
        columns = {"path": paths} | ({} if views is None else {"views": views})
        parquet.write_table(pa.table(columns), file)
        before = files_in(folder)
        with pytest.raises(TableError, match=f"{failed}: {file}"):
            replace(folder, {MARCH[1]: {b"/": 4}})
        assert files_in(folder) == before
    file.write_bytes(b"PAR1")
    with pytest.raises(TableError, match=f"not a Parquet file of fasthits: {file} .*move it away"):
        replace(folder, {MARCH[1]: {b"/": 4}})
    file.rename(f"{folder}damaged")
    assert replace(folder, {MARCH[1]: {b"/": 4}}) == Replaced(1, [], [])


def test_another_file_of_the_same_day_would_count_twice_and_is_an_error(folder: str) -> None:
    replace(folder, {day: {b"/": 5} for day in MARCH[:2]})
    ours = Path(folder) / "hits/date=2026-03-02/hits.parquet"
    (ours.parent / "_SUCCESS").touch()
    for name in (".hits.parquet.crc", ".part-0.parquet"):
        ours.with_name(name).touch()
    assert replace(folder, {MARCH[1]: {b"/": 6}}) == Replaced(1, [], [Change(MARCH[1], 6, 5)])
    copy = ours.with_name("part-0.parquet")
    copy.write_bytes(ours.read_bytes())
    before = files_in(folder)
    with pytest.raises(TableError, match=f"another Parquet file of the same day: {copy} .*move it away"):
        replace(folder, {MARCH[1]: {b"/": 7}})
    assert files_in(folder) == before
    assert replace(folder, {MARCH[0]: {b"/": 7}}) == Replaced(1, [], [Change(MARCH[0], 7, 5)])


def test_a_disk_that_is_full_changes_nothing(folder: str) -> None:
    """A limit of the size of files replaces a full disk."""
    replace(folder, {day: {b"/": 5} for day in MARCH[:2]})
    before = files_in(folder)
    rows = {MARCH[0]: {b"/": 9}, MARCH[1]: {b"/%d" % (number**5): 9 for number in range(3000)}}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(TableError, match=r"cannot write Parquet files: .*File too large"):
            replace(folder, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files_in(folder) == before


KILLED = """
import os, signal, sys
from datetime import date
from fasthits._parse import HitTable
from fasthits.daily.parquet import folders, target
from fasthits.daily.targets.opening import open_target

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

places = {"_schema": target, "replace": folders.Path, "sync": folders}
setattr(places[sys.argv[2]], sys.argv[2], die)
hit_table = HitTable()
for day in (1, 2):
    hit_table.add(date(2026, 3, day), b"/new", 9)
open_target(sys.argv[1]).replace([date(2026, 3, 1), date(2026, 3, 2)], hit_table)
"""


@pytest.mark.parametrize(("moment", "new"), [("_schema", False), ("replace", False), ("sync", True)])
def test_killed_at_any_moment_a_day_is_the_old_or_the_new_one(moment: str, new: bool, folder: str) -> None:
    replace(folder, {day: {b"/old": 2} for day in MARCH[:2]})
    before = rows_of(folder)
    assert subprocess.run([sys.executable, "-c", KILLED, folder, moment], cwd=PROJECT).returncode == -signal.SIGKILL
    assert (rows_of(folder) == before) is not new
    replace(folder, {MARCH[0]: {b"/": 50}})
    assert rows_of(folder)[0] == ("2026-03-01", "/", 50)
    assert not [name for name in os.listdir(f"{folder}hits/date=2026-03-01") if name != "hits.parquet"]


def test_rollups_at_once_wait_for_each_other(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.1)
    replace(folder, {MARCH[0]: {b"/": 1}})
    with (Path(folder) / folders.LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TableError, match="another rollup has been writing"):
            replace(folder, {MARCH[1]: {b"/": 1}})
    replace(folder, {MARCH[1]: {b"/": 1}})


def test_many_rows_make_several_groups(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "BATCH_ROWS", 25)
    monkeypatch.setattr(target, "GROUP_BATCHES", 4)
    assert replace(folder, {MARCH[0]: {b"/%03d" % number: 1 for number in range(250)}}) == Replaced(250, [], [])
    found = parquet.ParquetFile(f"{folder}hits/date=2026-03-01/hits.parquet")
    assert [found.metadata.row_group(at).num_rows for at in range(found.num_row_groups)] == [100, 100, 50]
    assert [path for _, path, _ in rows_of(folder)] == [f"/{number:03}" for number in range(250)]


def test_reading_commands_name_the_programs_that_read_parquet(folder: str) -> None:
    replace(folder, {MARCH[0]: {b"/": 1}})
    for name in (folder, folder.rstrip("/")):
        done = CliRunner().invoke(app, ["most-read", "--database", name])
        assert done.exit_code == 1
        assert f"""duckdb -c "SELECT * FROM read_parquet('{folder}hits/*/*.parquet')")""" in done.stderr


def test_a_rollup_without_pyarrow_says_what_to_install() -> None:
    done = fasthits("rollup", DAY, "--to", "set/", first="import sys; sys.modules['pyarrow'] = None")
    assert done.returncode == 1
    assert done.stderr == b"fasthits: this needs the extra `parquet`: set/ (pip install 'fasthits[parquet]')\n"
