"""A target that cannot be written, or is something else, is an error, and stays as it is."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fasthits._parse import HitTable, LineRules
from fasthits.daily.csv.target import CsvTarget
from fasthits.daily.layouts import hits_layout
from fasthits.daily.past.history import History
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.daily.targets.opening import open_target
from fasthits.errors import TableError, UsageError
from tests.daily.targets.support import MARCH, rows_of, table
from tests.support.commands import fasthits, hit, write
from tests.support.processes import environment
from tests.support.servers import IS_ROOT


@pytest.mark.parametrize("target", ["hits.txt", "hits", "", "csv", "hits.csv.gz", "hits.db/"])
def test_an_invalid_target_is_a_usage_error(target: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_target(target if target != "hits.db/" else "hits.")


def test_a_url_of_postgresql_may_end_in_a_slash() -> None:
    """Then libpq chooses the database; it is no folder of Parquet files."""
    pytest.importorskip("psycopg")
    assert type(open_target("postgresql:///")).__name__ == "PostgresTarget"


@pytest.mark.parametrize("name", ["no/folder/hits.csv", "no/folder/hits.db", "folder.csv", "folder.db"])
def test_a_target_that_cannot_be_written_is_reported_beforehand(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(TableError):
        table(tmp_path / name).check()
    with pytest.raises(TableError):
        table(tmp_path / name).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))


@pytest.mark.parametrize("name", ["hits.csv", "hits.db"])
def test_a_target_that_turns_out_unwritable_is_an_error(name: str) -> None:
    with pytest.raises(TableError):
        table(Path("/proc", name)).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hits.db", b"this is no database, but a text that is long enough to be looked at" * 20),
        ("hits.csv", b"name,age\nx,1\n"),
        ("hits.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_target_of_another_kind_is_left_unchanged(name: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(TableError):
        table(file).check()
    with pytest.raises(TableError):
        table(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    assert file.read_bytes() == content
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "content",
    [
        b"date,path,views\n2026-03-02,/a,1\n2026-03-01,/a,1\n",
        b"date,path,views\n2026-03-02,/a,1\n2026-03-02\n",
        b"date,path,views\n2026-03-02,/\xff,1\n",
    ],
)
def test_a_damaged_csv_file_is_left_unchanged(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "hits.csv"
    file.write_bytes(content)
    with pytest.raises(TableError):
        CsvTarget(file).replace([MARCH[9]], rows_of({MARCH[9]: {"/": 1}}))
    assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["hits.csv"]


def test_a_table_hits_of_another_program_is_left_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE hits(player TEXT, goals INTEGER)")
    database.close()
    for attempt in (
        SqliteTarget(file).check,
        lambda: SqliteTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}})),
    ):
        with pytest.raises(TableError, match=r"these options make a table hits .*\(player, goals\): .* \(name another"):
            attempt()


def test_a_database_of_another_program_is_left_unchanged(tmp_path: Path) -> None:
    """A mistyped name: the tables of fasthits do not belong into the history of a browser."""
    file = tmp_path / "places.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE moz_places(id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT)")
    database.close()
    before = file.read_bytes()
    for attempt in (
        SqliteTarget(file).check,
        lambda: SqliteTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}})),
        lambda: History(file).days,
    ):
        with pytest.raises(TableError, match=r"another program .* table moz_places: .*sqlite \(name another file\)"):
            attempt()
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["places.sqlite"]


def test_nothing_is_left_beside_another_programs_file_with_a_write_ahead_log(tmp_path: Path) -> None:
    """A -shm of this user could keep the other program from its file."""
    file = tmp_path / "places.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE moz_places(id INTEGER PRIMARY KEY, url TEXT)")
    database.close()
    assert os.listdir(tmp_path) == ["places.sqlite"]
    for attempt in (SqliteTarget(file).check, lambda: History(file).days):
        with pytest.raises(TableError, match=r"another program .* table moz_places: .*sqlite \(name another file\)"):
            attempt()
    assert os.listdir(tmp_path) == ["places.sqlite"]


@pytest.mark.parametrize("dropped", [[], ["hits"]])
def test_your_own_tables_may_be_beside_those_of_fasthits(dropped: list[str], tmp_path: Path) -> None:
    """Also if you drop the table hits, to fill it anew."""
    file = tmp_path / "hits.db"
    SqliteTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE campaigns(path TEXT, name TEXT)")
        for table in dropped:
            database.execute(f"DROP TABLE {table}")
    database.close()
    SqliteTarget(file).check()
    SqliteTarget(file).replace(MARCH[1:2], rows_of({MARCH[1]: {"/": 1}}))
    assert MARCH[1] in History(file).days


@pytest.mark.parametrize("target", ["hits.csv", "hits.db", "hits/", "postgresql"])
@pytest.mark.parametrize("by_host", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_the_options_that_have_made_a_target_are_named(
    target: str, by_host: bool, apart: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = request.getfixturevalue("url") if target == "postgresql" else f"{tmp_path}/{target}"
    hit_table = HitTable(rules=LineRules(by_host=by_host, apart=apart, verdict=(lambda _: 2) if apart else None))
    hit_table.add(MARCH[0], b"//a.example/" if by_host else b"/", 1)
    open_target(name, [hits_layout(by_host, apart)]).replace(MARCH[:1], hit_table)
    bots, hosts = ("add" if given else "leave out" for given in (apart, by_host))
    with pytest.raises(
        TableError, match=f"{bots} --bots apart and {hosts} --by-host, or name another with --to TARGET"
    ):
        open_target(name, [hits_layout(not by_host, not apart)]).check()


def test_a_table_with_another_primary_key_is_named_as_such(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "hits.db") as database:
        database.execute("CREATE TABLE hits(date TEXT, path TEXT, views INTEGER)")
    database.close()
    with pytest.raises(TableError, match=r"the primary key of the table hits is not \(date, path\)"):
        SqliteTarget(tmp_path / "hits.db").check()


@pytest.mark.parametrize("name", ["hits.db", "hits.csv", "hits/"])
def test_a_read_only_file_system_is_named_as_such(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd makes folders read-only. There, nobody is helped by another owner."""
    monkeypatch.setattr(os, "access", lambda *_, **options: False)
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(TableError, match=r"^cannot write target: .*the file system is read-only") as raised:
        open_target(f"{tmp_path}/{name}").check()
    assert "owner" not in str(raised.value)


MOUNTED = """
set -e
mount --bind "$1" "$1"
exec {python} -m fasthits rollup 2026-03-12 --partial --logs a.log --to "$1"
"""


@pytest.mark.parametrize("name", ["hits.csv", "my hits.db", "web1.hits"])
def test_a_file_that_is_mounted_without_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    """Docker does so for -v /srv/hits.db:/srv/hits.db: after a kill SQLite needs the journal, which is not there."""
    write(tmp_path / "a.log", hit("/"))
    words = ("rollup", "2026-03-12", "--partial", "--logs", "a.log", "--to", name)
    assert fasthits(*words, cwd=tmp_path).returncode == 0
    before = (tmp_path / name).read_bytes()
    command = ["unshare", "--mount", *([] if IS_ROOT else ["--map-root-user"])]
    command += ["sh", "-c", MOUNTED.format(python=sys.executable), "sh", name]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment(""))
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"fasthits: target is mounted without its folder: {name} "
        "(mount the folder; what is written beside the file would be lost with a container)\n"
    )
    assert (tmp_path / name).read_bytes() == before
    assert fasthits(*words, cwd=tmp_path).returncode == 0
