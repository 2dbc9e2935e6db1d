"""The SQLite file: killed rollups, full disks, other rollups, readers, and files of strangers in its folder."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from fasthits._parse import HitTable
from fasthits.cli.app import app
from fasthits.daily.days import Range
from fasthits.daily.layouts import PLAIN
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import state_of
from fasthits.daily.sqlite import target as sqlite_target
from fasthits.daily.sqlite.database import reading
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.daily.targets.opening import open_target
from fasthits.errors import TableError
from fasthits.records import replace
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT, eventually

DAY = date(2026, 3, 12)
STRANGER = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")


def hit_table(paths: int, views: int = 1) -> HitTable:
    made = HitTable()
    for number in range(paths):
        made.add(DAY, b"/%d" % number, views)
    return made


def views_in(file: Path) -> int:
    return sum(filter(None, History(file).site(Range(DAY, DAY))))


@pytest.fixture
def kept(place: Path) -> Path:
    """A database with 10 hits, in a folder that every user may read."""
    SqliteTarget(place / "hits.db").replace([DAY], hit_table(10))
    return place / "hits.db"


KILLED = """
import os, signal, sys
from pathlib import Path
from fasthits.daily.sqlite import database
from fasthits.daily.layouts import PLAIN
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.records import replace
from tests.daily.sqlite.test_faults import DAY, hit_table

def rows(counted):
    yield from PLAIN.rows(counted)
    os.kill(os.getpid(), signal.SIGKILL)

database.WRITE_CACHE_BYTES = 1 << 16
SqliteTarget(Path(sys.argv[1]), [replace(PLAIN, rows=rows)]).replace([DAY], hit_table(20_000))
"""


def leave_half_written(file: Path) -> None:
    """Kill a rollup that has written to the file, but not committed."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], cwd=PROJECT)
    assert killed.returncode == -9
    assert Path(f"{file}-journal").read_bytes()[:1] not in (b"", b"\0")


@contextlib.contextmanager
def as_stranger() -> Iterator[None]:
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    "command",
    [
        ["history", "/1", "--database"],
        ["most-read", "--database"],
        ["report", "--to", "report.html", "--database"],
        ["rollup", str(DAY), "--logs", "a.log", "--to"],
        ["doctor", "--memcached", "127.0.0.1:1", "--logs", "a.log", "--to"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_works_after_a_kill(kept: Path, command: list[str]) -> None:
    leave_half_written(kept)
    write(kept.parent / "a.log", hit("/") * 10)
    done = fasthits(*command, kept, cwd=kept.parent)
    assert done.returncode == (command[0] == "doctor"), done.stderr  # there is no memcached
    assert command[0] != "doctor" or f"database: {kept} can be written" in done.stdout.decode()
    assert not Path(f"{kept}-journal").exists()
    assert views_in(kept) == 10


def test_after_a_kill_of_the_very_first_rollup_every_command_works(tmp_path: Path) -> None:
    leave_half_written(tmp_path / "hits.db")
    done = fasthits("most-read", cwd=tmp_path)
    assert done.returncode in (0, 1)
    assert b"fill it" in done.stderr
    SqliteTarget(tmp_path / "hits.db").replace([DAY], hit_table(10))
    assert views_in(tmp_path / "hits.db") == 10


@AS_ROOT
@pytest.mark.parametrize("locked", ["folder", "file"])
def test_a_user_without_write_permission_learns_who_may_write(kept: Path, locked: str) -> None:
    leave_half_written(kept)
    if locked == "file":
        kept.parent.chmod(0o777)
    with as_stranger(), pytest.raises(TableError, match="a rollup was killed while it wrote") as error:
        views_in(kept)
    assert f"sudo -u '#0' fasthits most-read --database {kept})" in str(error.value)
    assert fasthits("most-read", "--database", kept).returncode == 0
    with as_stranger():
        assert views_in(kept) == 10


FEW_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from fasthits.daily.sqlite.database import reading
from fasthits.errors import TableError

number = len(os.listdir("/proc/self/fd")) - 1
for more in range(10):
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + more, 1000))
    try:
        with reading(Path(sys.argv[1])) as database:
            print(*database.execute("SELECT views FROM hits").fetchone())
    except TableError as error:
        print(error)
"""


def test_a_database_that_cannot_be_opened_for_want_of_descriptors_needs_no_repair(kept: Path) -> None:
    program = [sys.executable, "-c", FEW_DESCRIPTORS, str(kept)]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "1"
    of_sqlite = (
        "unable to open database file; too many files are open (ulimit -n), or this user may not write in its folder"
    )
    expected = {f"cannot read database: {kept} ({why})" for why in (of_sqlite, "Too many open files")}
    assert {"1"} < {*lines} <= {"1"} | expected


@AS_ROOT
@pytest.mark.parametrize("locked", ["folder", "file"])
def test_a_user_who_may_not_read_learns_what_to_type(kept: Path, locked: str) -> None:
    (kept.parent if locked == "folder" else kept).chmod(0o700 if locked == "folder" else 0o600)
    denied = f"no permission to read database: {kept} .run this as its owner, or .* as with usermod -aG fasthits USER.$"
    with as_stranger():
        with pytest.raises(TableError, match=denied):
            views_in(kept)
        assert state_of(kept) == ""


@AS_ROOT
def test_a_user_who_may_only_read_does_not_disturb_a_rollup(kept: Path) -> None:
    before = kept.read_bytes()
    with as_stranger():
        assert views_in(kept) == 10
        with pytest.raises(TableError, match="no permission to write target"):
            SqliteTarget(kept).check()
        with pytest.raises(TableError, match="cannot write to SQLite file"):
            SqliteTarget(kept).replace([DAY], hit_table(10))
    assert kept.read_bytes() == before
    assert os.listdir(kept.parent) == ["hits.db"]


def test_readers_go_on_while_a_rollup_writes_and_read_the_old_rows(kept: Path) -> None:
    """This holds for a large day, too. By default SQLite writes it to the file before the commit, and readers wait."""
    seen = []

    def rows(counted: HitTable) -> Iterator[tuple[str | int, ...]]:
        yield from PLAIN.rows(counted)
        seen.append(fasthits("history", "/1", "--database", kept))

    SqliteTarget(kept, [replace(PLAIN, rows=rows)]).replace([DAY], hit_table(100_000))
    assert [done.returncode for done in seen] == [0]
    assert seen[0].stdout.decode().splitlines()[2].startswith("1 view, ")
    assert views_in(kept) == 100_000


def test_asking_whether_the_database_has_changed_drops_no_lock_of_a_reader(kept: Path) -> None:
    """The page asks with each request, while other threads read."""
    before = state_of(kept)
    with reading(kept) as database:
        database.execute("SELECT count(*) FROM hits").fetchone()
        assert state_of(kept) == before
        with reading(kept):
            pass
        command = (
            "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0, isolation_level=None).execute('DELETE FROM hits')"
        )
        done = subprocess.run([sys.executable, "-c", command, str(kept)], capture_output=True)
        assert b"database is locked" in done.stderr
    other = kept.with_name("other.db")
    SqliteTarget(other).replace([DAY], hit_table(1))
    other.replace(kept)
    assert len({before, state_of(kept)}) == 2
    with contextlib.closing(sqlite3.connect(kept, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        states = [state_of(kept)]
        for views in (7, 8):
            database.execute("UPDATE hits SET views = ?", [views])
            states.append(state_of(kept))
        assert len(set(states)) == 3
        with reading(kept):
            pass
        assert state_of(kept) == states[-1]
    kept.unlink()
    assert state_of(kept) == ""


def test_one_question_reads_one_state_of_the_database(kept: Path) -> None:
    history = History(kept)
    with history.at_one_moment():
        days = Range(DAY, DAY)
        assert history.newest() == DAY
        program = f"""
from pathlib import Path
from fasthits.daily.sqlite import database
from fasthits.daily.sqlite.target import SqliteTarget
from tests.daily.sqlite.test_faults import DAY, hit_table
database.WRITE_LOCK_SECONDS = 0.1
SqliteTarget(Path({str(kept)!r})).replace([DAY], hit_table(20))
"""
        done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True)
        assert b"database is locked; another program, such as a rollup, is using it" in done.stderr
        assert history.site(days) == [10]
        assert history.most_read(days, 100).views == 10


FULL = """
import resource, sys
from fasthits.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sys.argv = ["fasthits", "rollup", "2026-03-12", "--logs", "a.log", "--to", sys.argv[1]]
main()
"""


@pytest.mark.parametrize("name", ["hits.db", "hits.csv"])
def test_a_full_disk_leaves_the_old_numbers(name: str, tmp_path: Path) -> None:
    open_target(str(tmp_path / name)).replace([DAY], hit_table(10))
    before = (tmp_path / name).read_bytes()
    write(tmp_path / "a.log", *(hit(f"/{number}/{'p' * 200}") for number in range(20_000)))
    path = {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", FULL, name], capture_output=True, cwd=tmp_path, env=os.environ | path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"fasthits: cannot write ")
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / name).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.log", name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@AS_ROOT
@pytest.mark.parametrize("name", ["hits.db", "hits.csv"])
def test_on_a_full_disk_the_old_numbers_stay_and_every_command_works(
    name: str, small_disk: Path, tmp_path: Path
) -> None:
    target = small_disk / name
    open_target(str(target)).replace([DAY], hit_table(10))
    log = write(tmp_path / "a.log", *(hit(f"/{number}/{'p' * 200}") for number in range(20_000)))
    done = fasthits("rollup", str(DAY), "--logs", log, "--to", target)
    assert done.returncode == 1
    assert done.stderr.startswith(b"fasthits: cannot write ")
    assert os.listdir(small_disk) == [name]
    if name == "hits.db":
        assert views_in(target) == 10
    write(tmp_path / "a.log", hit("/new") * 11)
    assert fasthits("rollup", str(DAY), "--logs", log, "--to", target).returncode == 0


PENDING_BYTE = 1 << 30
"""SQLite's lock on it keeps new readers away: a rollup wants to commit."""


def wants_to_commit(process: int) -> bool:
    locks = map(str.split, Path("/proc/locks").read_text().splitlines())
    return any(lock[4:5] == [str(process)] and str(PENDING_BYTE) in lock for lock in locks)


def has_open(process: int, file: Path) -> bool:
    folder = f"/proc/{process}/fd"
    return str(file) in {os.path.realpath(f"{folder}/{fd}") for fd in os.listdir(folder)}


@pytest.mark.parametrize("other", ["BEGIN IMMEDIATE", "BEGIN"])
def test_a_signal_ends_the_wait_for_another_rollup_or_a_reader(kept: Path, other: str) -> None:
    write(kept.parent / "a.log", hit("/") * 11)
    with contextlib.closing(sqlite3.connect(kept, isolation_level=None)) as database:
        database.execute(other)
        database.execute("SELECT * FROM hits").fetchone()
        command = [sys.executable, "-m", "fasthits", "rollup", str(DAY), "--logs", kept.parent / "a.log", "--to", kept]
        with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running:
            eventually(lambda: wants_to_commit(running.pid) if other == "BEGIN" else has_open(running.pid, kept), 60)
            running.terminate()
            _, stderr = running.communicate(timeout=30)
    assert (running.returncode, stderr) == (143, b"fasthits: ended by SIGTERM\n")
    assert views_in(kept) == 10


def test_a_damaged_file_is_reported_and_stays(kept: Path) -> None:
    SqliteTarget(kept).replace([DAY], hit_table(5_000))
    with kept.open("r+b") as file:
        for page in range(2, 8):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    before = kept.read_bytes()
    write(kept.parent / "a.log", hit("/") * 9_000)
    for command in (["most-read", "--database"], ["rollup", str(DAY), "--logs", "a.log", "--to"]):
        done = fasthits(*command, kept, cwd=kept.parent)
        assert done.returncode == 1
        said = done.stderr.decode().splitlines()
        assert len(said) == 1
        assert "database disk image is malformed; restore a backup, or roll up the days again" in said[0]
    assert kept.read_bytes() == before


def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    write(tmp_path / "empty.db")
    write(tmp_path / "text.db", b"no database " * 100)
    write(tmp_path / "a.log", hit("/"))
    for name, message in (("folder.db", "no such database"), ("text.db", "cannot read database"), ("no.db", "no such")):
        done = fasthits("most-read", "--database", name, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.decode().startswith(f"fasthits: {message}")
        assert len(done.stderr.splitlines()) == 1
    assert fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "folder.db", cwd=tmp_path).returncode == 1
    assert fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "empty.db", cwd=tmp_path).returncode == 0
    assert views_in(tmp_path / "empty.db") == 1


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder with the permissions of /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def give_to_stranger(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


MADE = "user 65534 has made "


@AS_ROOT
@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_files_of_a_stranger_in_a_shared_folder_are_not_used(shared: Path, suffix: str) -> None:
    """SQLite would play a stranger's journal back into the database."""
    file = shared / "hits.db"
    SqliteTarget(file).replace([DAY], hit_table(10))
    before = file.read_bytes()
    planted = Path(f"{file}{suffix}")
    planted.write_bytes(before)
    give_to_stranger(planted)
    with pytest.raises(TableError, match=MADE):
        SqliteTarget(file).check()
    with pytest.raises(TableError, match=MADE):
        SqliteTarget(file).replace([DAY], hit_table(20))
    with pytest.raises(TableError, match=MADE):
        views_in(file)
    assert (file.read_bytes(), planted.read_bytes()) == (before, before)
    planted.unlink()


@AS_ROOT
@pytest.mark.parametrize(
    "to", ["hits.db", "hits.csv", "hits.referrers.csv", ".hits.csv.new", ".hits.referrers.csv.new"]
)
@pytest.mark.parametrize("kind", ["link", "link to nothing", "file", "folder", "link of a folder"])
def test_no_rollup_writes_to_a_strangers_link_or_file(shared: Path, tmp_path: Path, to: str, kind: str) -> None:
    victim = tmp_path / "victim"
    planted = shared / to
    if "link" in kind:
        if kind == "link":
            victim.touch()
        planted.symlink_to(victim if kind != "link of a folder" else tmp_path)
        give_to_stranger(planted)
    else:
        planted.mkdir() if kind == "folder" else planted.touch()
        give_to_stranger(planted)
    write(tmp_path / "a.log", hit("/"))
    target = shared / ("hits.db" if to == "hits.db" else "hits.csv")
    before = sorted(shared.iterdir())
    done = fasthits("rollup", str(DAY), "--logs", tmp_path / "a.log", "--to", target, "--referrers")
    assert done.returncode == 1
    assert MADE in done.stderr.decode() or "target is not a file" in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert victim.read_bytes() == b"" if kind == "link" else not victim.exists()
    assert sorted(shared.iterdir()) == before


@AS_ROOT
@pytest.mark.parametrize("option", ["--summary", "report"])
@pytest.mark.parametrize("leads_to", ["file", "nothing", "fifo"])
def test_a_summary_or_report_does_not_follow_a_strangers_link(
    shared: Path, tmp_path: Path, option: str, leads_to: str
) -> None:
    victim = tmp_path / "victim"
    if leads_to == "file":
        victim.write_bytes(b"precious")
    elif leads_to == "fifo":
        os.mkfifo(victim)
    (shared / "out").symlink_to(victim)
    give_to_stranger(shared / "out")
    write(tmp_path / "a.log", hit("/"))
    rollup = ("rollup", str(DAY), "--logs", "a.log", "--to", "hits.db")
    if option == "report":
        assert fasthits(*rollup, cwd=tmp_path).returncode == 0
        done = fasthits("report", "--to", shared / "out", "--database", "hits.db", cwd=tmp_path)
    else:
        done = fasthits(*rollup, "--summary", shared / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert MADE in done.stderr.decode().splitlines()[-1]
    assert (shared / "out").is_symlink()
    assert leads_to != "file" or victim.read_bytes() == b"precious"
    assert leads_to != "nothing" or not victim.exists()


@AS_ROOT
def test_links_of_the_user_and_of_the_folders_owner_are_followed(shared: Path, tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/"))
    (tmp_path / "data").mkdir()
    for name in ("hits.db", "hits.csv"):
        (shared / name).symlink_to(Path("..", "data", name))
        assert fasthits("rollup", str(DAY), "--logs", tmp_path / "a.log", "--to", shared / name).returncode == 0
        assert (shared / name).is_symlink()
        assert (tmp_path / "data" / name).is_file()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "hits.csv").symlink_to(tmp_path / "data" / "other.csv")
    give_to_stranger(tmp_path / "theirs" / "hits.csv")  # in a folder in which not every user may make files
    done = fasthits("rollup", str(DAY), "--logs", tmp_path / "a.log", "--to", tmp_path / "theirs" / "hits.csv")
    assert done.returncode == 0
    assert (tmp_path / "data" / "other.csv").is_file()


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").symlink_to("b.db")
    (tmp_path / "b.db").symlink_to("a.db")
    with pytest.raises(TableError, match="Too many levels of symbolic links"):
        SqliteTarget(tmp_path / "a.db").check()
    with pytest.raises(TableError, match="Too many levels of symbolic links"):
        SqliteTarget(tmp_path / "a.db").replace([DAY], hit_table(1))


def test_an_operator_may_have_chosen_a_write_ahead_log(kept: Path) -> None:
    with contextlib.closing(sqlite3.connect(kept)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    assert views_in(kept) == 10
    SqliteTarget(kept).replace([DAY], hit_table(20))
    assert views_in(kept) == 20


ENDLESS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) FROM numbers"


def test_ctrl_c_ends_a_query_at_once(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    sqlite3.connect(file).close()

    def ask_until_interrupted() -> None:
        with reading(file) as database:
            Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            database.execute(ENDLESS).fetchone()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ask_until_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", ["rollup", "merge"])
@pytest.mark.parametrize(("most", "kib"), [("32M", 8 << 10), ("1G", 256 << 10), ("8G", 256 << 10)])
def test_max_memory_limits_the_cache_of_sqlite(
    command: str, most: str, kib: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = set()

    @contextlib.contextmanager
    def noted(*arguments: Any) -> Iterator[sqlite3.Connection]:
        with writing(*arguments) as database:
            sizes.update(database.execute("PRAGMA cache_size").fetchone())
            yield database

    log = write(tmp_path / "access.log", hit("/a"))
    partial, target = tmp_path / "web1.hits", tmp_path / "hits.db"
    count = ["rollup", "2026-03-12", "--logs", str(log), "--partial", "--quiet", "--to"]
    app([*count, str(partial)], standalone_mode=False)
    writing = sqlite_target.writing
    monkeypatch.setattr(sqlite_target, "writing", noted)
    arguments = [*count, str(target)] if command == "rollup" else ["merge", str(partial), "--to", str(target)]
    app([*arguments, "--max-memory", most], standalone_mode=False)
    assert sizes == {-kib}
    assert views_in(target) == 1
