"""A day is replaced as a whole or not at all: kills, locks, runs at once, and what is left of a new file."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from fasthits._parse import HitTable, LineRules
from fasthits.daily import atomic as replacing
from fasthits.daily.layouts import PLAIN, referrers_layout
from fasthits.daily.sqlite import database
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.target import Replaced
from fasthits.errors import TableError
from tests.daily.targets.support import MARCH, READERS, csv_rows, read, rows_of, sqlite_rows, table
from tests.support.processes import PROJECT

KILLED = """
import os, signal, sys
from datetime import date
from fasthits.daily.targets.opening import open_target

day = date(2026, 3, 1)

class Deadly:
    bots = None

    def views_by_day(self):
        return {day: 100_000}

    def escape(self):
        pass

    def csv(self):
        yield day, b"2026-03-01,/new,1\\n" * 100_000, 100_000
        os.kill(os.getpid(), signal.SIGKILL)

    def sorted_rows(self, as_text):
        assert as_text
        yield from ((str(day), f"/{number}", 1) for number in range(50_000))
        os.kill(os.getpid(), signal.SIGKILL)

open_target(sys.argv[1]).replace([day], Deadly())
"""


def test_after_a_kill_half_way_the_old_numbers_are_whole(file: Path) -> None:
    table(file).replace(MARCH[:3], rows_of({day: {"/old": 1} for day in MARCH[:3]}))
    before = read(file)
    killed = subprocess.run([sys.executable, "-c", KILLED, file], cwd=PROJECT)
    assert killed.returncode == -9
    assert read(file) == before
    table(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/new": 2}}))
    assert read(file) == [("2026-03-01", "/new", 2), *before[1:]]
    assert os.listdir(file.parent) == [file.name]


def test_a_rollup_waits_for_a_locked_database_and_then_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WRITE_LOCK_SECONDS", 0.05)
    file = tmp_path / "hits.db"
    SqliteTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TableError, match="locked"):
        SqliteTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 2}}))
    other.execute("ROLLBACK")
    other.close()
    assert sqlite_rows(file) == [("2026-03-01", "/", 1)]


def test_a_rollup_waits_for_a_locked_csv_file_and_then_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "LOCK_SECONDS", 0.1)
    table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    new = tmp_path / ".hits.csv.new"
    new.write_text("being written by the one that has the lock")
    with new.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TableError, match="another process has been writing it"):
            table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 2}}))
        assert new.read_text() == "being written by the one that has the lock"
    assert csv_rows(tmp_path / "hits.csv") == [("2026-03-01", "/", 1)]
    table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 2}}))
    assert csv_rows(tmp_path / "hits.csv") == [("2026-03-01", "/", 2)]
    assert os.listdir(tmp_path) == ["hits.csv"]


def test_a_user_who_may_only_read_a_folder_cannot_hold_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "LOCK_SECONDS", 0.1)
    with contextlib.ExitStack() as opened:
        table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
        for path in (tmp_path, tmp_path / "hits.csv"):
            fd = os.open(path, os.O_RDONLY)
            opened.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 2}}))
    assert csv_rows(tmp_path / "hits.csv") == [("2026-03-01", "/", 2)]


@pytest.mark.parametrize("name", READERS)
def test_rollups_of_several_days_at_once_all_count(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    script = (
        "import sys; from datetime import date;"
        "from fasthits._parse import HitTable; from fasthits.daily.targets.opening import open_target;"
        "day = date(2026, 3, int(sys.argv[2])); hit_table = HitTable();"
        "[hit_table.add(day, b'/%d' % number, 1) for number in range(20000)];"
        "open_target(sys.argv[1]).replace([day], hit_table)"
    )
    command = [sys.executable, "-c", script, str(file)]
    running = [subprocess.Popen([*command, str(day)], cwd=PROJECT) for day in range(1, 7)]
    assert [process.wait() for process in running] == [0] * 6
    assert len(READERS[name](file)) == 6 * 20000
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(("module", "name"), [(fcntl, "flock"), (os.path, "samestat")])
def test_a_signal_while_the_new_file_is_made_leaves_no_new_file(
    module: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(module, name)

    def interrupted(*arguments: object) -> object:
        monkeypatch.setattr(module, name, real)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt), replacing.replacing(tmp_path / "hits.csv"):
        pytest.fail("the block ran")
    assert list(tmp_path.iterdir()) == []


def test_no_other_user_can_open_the_new_file_before_it_has_the_old_mode(tmp_path: Path) -> None:
    with replacing.replacing(tmp_path / "hits.csv") as (new,):
        assert stat.S_IMODE((tmp_path / ".hits.csv.new").stat().st_mode) == 0o600
        new.write(b"x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "hits.csv").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_files_that_a_killed_rollup_left_are_removed_unless_they_may_be_a_strangers(tmp_path: Path) -> None:
    left = tmp_path / ".hits.csv.new"
    for owner, of_folder, removed in ((0, 1234, True), (1234, 1234, True), (1234, 0, False)):
        os.chown(tmp_path, of_folder, of_folder)
        left.write_text("half a day")
        os.chown(left, owner, owner)
        if removed:
            table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
            assert os.listdir(tmp_path) == ["hits.csv"]
        else:
            with pytest.raises(TableError, match="user 1234 has made a file of that name; remove it"):
                table(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
            assert left.read_text() == "half a day"


def test_a_new_csv_file_keeps_the_mode_of_the_old_file_and_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real, link = tmp_path / "data" / "hits.csv", tmp_path / "hits.csv"
    link.symlink_to(real)
    table(link).replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 1235)
    table(link).replace(MARCH[1:2], rows_of({MARCH[1]: {"/": 1}}))
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (real.stat().st_uid, real.stat().st_gid) == (
        (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    )
    assert len(csv_rows(real)) == 2


def test_several_csv_files_are_all_replaced_or_none(tmp_path: Path) -> None:
    layouts = [PLAIN, referrers_layout()]
    rules = LineRules(referers={"referrers": lambda _: None})

    def replace() -> Replaced:
        hit_table = HitTable(rules=rules)
        hit_table.add(MARCH[0], b"/", 1)
        hit_table.by_referer["referrers"].add(MARCH[0], b"/\nr.example", 1)
        return open_target(str(tmp_path / "hits.csv"), layouts).replace(MARCH[:1], hit_table)

    (tmp_path / "hits.referrers.csv").write_text("date,path,referrer,views\n2026-03-02,/,x,1\n2026-03-01,/,x,1\n")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(TableError, match="not sorted by date"):
        replace()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    (tmp_path / "hits.referrers.csv").unlink()
    assert replace() == Replaced(1, [], [])
    assert sorted(os.listdir(tmp_path)) == ["hits.csv", "hits.referrers.csv"]


@pytest.mark.parametrize("folder", ["/", "."])
def test_a_folder_is_not_replaced(folder: str) -> None:
    with pytest.raises(IsADirectoryError), replacing.replacing(Path(folder)):
        raise AssertionError("a new file was made")


@pytest.mark.parametrize("kind", [stat.S_ISDIR, stat.S_ISREG])
def test_only_a_folder_need_not_be_synced(
    kind: Callable[[int], bool], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems cannot sync folders. SQLite's library has its own way."""
    table(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/old": 1}}))
    real = os.fsync

    def fsync(fd: int) -> None:
        if kind(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    refused = kind is stat.S_ISREG and file.suffix == ".csv"
    with pytest.raises(TableError) if refused else contextlib.nullcontext():
        table(file).replace(MARCH[:1], rows_of({MARCH[0]: {"/new": 2}}))
    assert read(file) == ([("2026-03-01", "/old", 1)] if refused else [("2026-03-01", "/new", 2)])
