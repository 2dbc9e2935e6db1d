"""SQLite and CSV: a day is replaced as a whole or not at all."""

import contextlib
import csv
import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules
from fasthits.daily import atomic as replacing
from fasthits.daily.counting.runs import MergedRows, Spill, Spool, Workshop
from fasthits.daily.csv.target import CsvTarget
from fasthits.daily.layouts import PLAIN, Rows, hits_layout, referrers_layout
from fasthits.daily.sqlite import database
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import Fewer
from fasthits.daily.targets.target import Replaced, Target
from fasthits.errors import TableError, UsageError
from tests.support.processes import PROJECT

MARCH = [date(2026, 3, day) for day in range(1, 32)]
Row = tuple[str, str, int]


def csv_rows(file: Path) -> list[Row]:
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["date", "path", "views"]
    return [(day, path, int(views)) for day, path, views in rows]


def sqlite_rows(file: Path) -> list[Row]:
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT date, path, views FROM hits ORDER BY date, views DESC, path").fetchall()
    database.close()
    return rows


READERS: dict[str, Callable[[Path], list[Row]]] = {"hits.csv": csv_rows, "hits.db": sqlite_rows}


@pytest.fixture(params=READERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def read(file: Path) -> list[Row]:
    return READERS[file.name](file)


def rows_of(rows: dict[date, dict[str, int]]) -> HitTable:
    """Return rows, by day and path, as a hit table has them."""
    hit_table = HitTable()
    for day, paths in rows.items():
        for path, views in paths.items():
            hit_table.add(day, path.encode(), views)
    return hit_table


def table(file: Path) -> Target:
    return open_target(str(file))


def test_rows_are_sorted_by_date_views_and_path(file: Path) -> None:
    table(file).replace(MARCH[:2], rows_of({MARCH[1]: {"/b": 2, "/a": 2, "/c": 9}, MARCH[0]: {"/a": 1}}))
    assert read(file) == [
        ("2026-03-01", "/a", 1),
        ("2026-03-02", "/c", 9),
        ("2026-03-02", "/a", 2),
        ("2026-03-02", "/b", 2),
    ]


def test_only_the_days_given_are_replaced(file: Path) -> None:
    table(file).replace(MARCH[:5], rows_of({day: {"/a": 1, "/b": 2} for day in MARCH[:5]}))
    table(file).replace([MARCH[1], MARCH[3]], rows_of({MARCH[3]: {"/c": 7}}), with_fewer=True)
    assert [row for row in read(file) if row[0] in ("2026-03-02", "2026-03-04")] == [("2026-03-04", "/c", 7)]
    assert [row[0] for row in read(file) if row[1] == "/a"] == ["2026-03-01", "2026-03-03", "2026-03-05"]


def spilled(rows: dict[date, dict[str, int]]) -> MergedRows:
    """Return rows, by day and path, as runs have them: each row comes several times."""
    spill = Spill(Workshop(Spool(), 1 << 20))
    for day, paths in rows.items():
        for path, views in paths.items():
            for some in (1, views - 1):
                spill.add(rows_of({day: {path: some}}))
    return spill.rows(HitTable())


@pytest.mark.parametrize("make", [rows_of, spilled])
def test_a_day_with_more_kept_hits_is_left_unchanged(file: Path, make: Callable[..., Rows]) -> None:
    kept = {MARCH[0]: {"/": 1}, MARCH[1]: {"/a": 3, "/b,": 4}, MARCH[2]: {"/a": 3}, MARCH[3]: {"/a": 1}}
    table(file).replace(MARCH[:4], make(kept))
    new = {MARCH[0]: {"/new": 2}, MARCH[1]: {"/new": 6}, MARCH[2]: {"/new": 3}, MARCH[4]: {"/new": 1}}
    fewer = [Fewer(MARCH[1], 6, 7), Fewer(MARCH[3], 0, 1)]
    assert table(file).replace(MARCH[:5], make(new)) == Replaced(3, fewer)
    assert read(file) == [
        ("2026-03-01", "/new", 2),
        ("2026-03-02", "/b,", 4),
        ("2026-03-02", "/a", 3),
        ("2026-03-03", "/new", 3),
        ("2026-03-04", "/a", 1),
        ("2026-03-05", "/new", 1),
    ]
    before = file.stat()
    assert table(file).replace(MARCH[1:4:2], make(new)) == Replaced(0, fewer)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert table(file).replace(MARCH[1:4:2], make({MARCH[1]: {"/new": 6}}), with_fewer=True) == Replaced(1, [])
    assert [row for row in read(file) if row[0] in ("2026-03-02", "2026-03-04")] == [("2026-03-02", "/new", 6)]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_all_hits_of_a_day_are_compared_and_all_its_tables_stay(tmp_path: Path, name: str, in_memory: bool) -> None:
    """Hits of bots and of all hosts are compared, too."""
    layouts = [hits_layout(by_host=True, apart=True), referrers_layout(by_host=True)]
    rules = LineRules(by_host=True, apart=True, verdict=lambda _: 2, referers={"referrers": lambda _: None})

    def hit_table(host: bytes, views: tuple[int, int], bots: int) -> HitTable:
        counted = HitTable(rules=rules)
        assert counted.bots is not None
        for day, number in zip(MARCH, views, strict=False):
            for path in (b"//" + host + b"/%d" % at for at in range(9)):
                counted.add(day, path, number)
                counted.by_referer["referrers"].add(day, path + b"\nr.example", number)
        counted.bots.add(MARCH[0], b"//" + host + b"/", bots)
        return counted

    def replace(host: bytes, views: tuple[int, int], bots: int) -> Replaced:
        rows: Rows = hit_table(host, views, bots)
        if not in_memory:
            spill = Spill(Workshop(Spool(), 1 << 20))
            spill.add(hit_table(host, views, 0))
            spill.add(hit_table(host, (0, 0), bots))
            rows = spill.rows(HitTable())
        return open_target(str(tmp_path / name), layouts).replace(MARCH[:2], rows)

    def hosts(of: str, day: date) -> set[str]:
        if name == "hits.db":
            with contextlib.closing(sqlite3.connect(tmp_path / name)) as database:
                return {host for (host,) in database.execute(f"SELECT host FROM {of} WHERE date = ?", [str(day)])}
        file = tmp_path / ("hits.csv" if of == "hits" else "hits.referrers.csv")
        return {row.split(",")[1] for row in file.read_text().splitlines() if row.startswith(str(day))}

    replace(b"old", (5, 5), 2)
    assert replace(b"new", (5, 6), 1).fewer == [Fewer(MARCH[0], 46, 47)]
    for of in ("hits", "referrers"):
        assert (hosts(of, MARCH[0]), hosts(of, MARCH[1])) == ({"old"}, {"new"})
    assert replace(b"new", (4, 6), 11) == Replaced(19, [])


@pytest.mark.parametrize("name", READERS)
def test_hits_that_another_rollup_keeps_meanwhile_are_compared_too(name: str, tmp_path: Path) -> None:
    """Many rollups of the same day at once, with one to eight hits: at the end the day with eight hits is kept."""
    script = (
        "import sys; from datetime import date; from fasthits._parse import HitTable;"
        "from fasthits.daily.targets.opening import open_target; day, views = date(2026, 3, 1), int(sys.argv[2]);"
        "hit_table = HitTable(); hit_table.add(day, b'/', views); open_target(sys.argv[1]).replace([day], hit_table)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / name)]
    running = [subprocess.Popen([*command, str(views)], cwd=PROJECT) for views in (8, 3, 5, 1, 7, 2)]
    assert [process.wait() for process in running] == [0] * 6
    assert READERS[name](tmp_path / name) == [("2026-03-01", "/", 8)]


def test_days_may_come_before_between_and_after_the_kept_days(file: Path) -> None:
    for day in (3, 1, 5, 2, 4):
        table(file).replace([MARCH[day]], rows_of({MARCH[day]: {"/": day}}))
    assert [views for _, _, views in read(file)] == [1, 2, 3, 4, 5]


def test_a_second_time_changes_nothing(file: Path) -> None:
    rows = {MARCH[0]: {'/"quoted",\r\n': 3, "/é": 2, "/\\xe9": 2, "/a\x00b": 1, "/" + "x" * 200_000: 1}, MARCH[1]: {}}
    table(file).replace(MARCH[:2], rows_of(rows))
    before = file.read_bytes() if file.suffix == ".csv" else read(file)
    table(file).replace(MARCH[:2], rows_of(rows))
    table(file).replace([MARCH[9]], rows_of({}))
    assert before == (file.read_bytes() if file.suffix == ".csv" else read(file))
    assert dict((path, views) for _, path, views in read(file)) == rows[MARCH[0]]


@given(rows=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])).map("/".__add__), st.integers(1, 2**60)))
def test_any_path_can_be_read_back_from_csv(rows: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("csv") / "hits.csv"
    CsvTarget(file).replace(MARCH[:1], rows_of({MARCH[0]: rows}))
    CsvTarget(file).replace(MARCH[1:2], rows_of({}))
    assert {path: views for _, path, views in csv_rows(file)} == rows


def test_csv_is_quoted_only_where_rfc_4180_asks_for_it(tmp_path: Path) -> None:
    CsvTarget(tmp_path / "hits.csv").replace(MARCH[:1], rows_of({MARCH[0]: {"/a,b": 3, '/a"b': 2, "/a b;c'": 1}}))
    assert (tmp_path / "hits.csv").read_bytes() == (
        b'date,path,views\n2026-03-01,"/a,b",3\n2026-03-01,"/a""b",2\n2026-03-01,/a b;c\',1\n'
    )


def test_the_sqlite_table_is_the_one_of_the_contract(tmp_path: Path) -> None:
    SqliteTarget(tmp_path / "hits.db").replace(MARCH[:1], rows_of({MARCH[0]: {"/": 1}}))
    with sqlite3.connect(tmp_path / "hits.db") as database:
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'hits'").fetchone()
    database.close()
    assert sql == "CREATE TABLE hits(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path)) WITHOUT ROWID"


def test_bytes_that_are_not_utf8_are_written_as_apache_would_and_equal_rows_add_up(file: Path) -> None:
    hit_table = HitTable()
    for path, views in ((b"/caf\xe9", 2), (rb"/caf\xe9", 3), ("/café".encode(), 4), (b"/\xc3", 5)):
        hit_table.add(MARCH[0], path, views)
    table(file).replace(MARCH[:1], hit_table)
    assert {path: views for _, path, views in read(file)} == {"/caf\\xe9": 5, "/café": 4, "/\\xc3": 5}


def test_rows_of_several_runs_are_sorted_and_equal_rows_add_up(file: Path) -> None:
    names = [b"/", b'/"', b"/,", b"/a\0", b"/a\0b", "/é".encode(), "/\U0001f600".encode(), b"/\r\n", b"/z"]
    spill = Spill(Workshop(Spool(), 1 << 20))
    for half in range(2):
        hit_table = HitTable()
        for number, name in enumerate(names):
            hit_table.add(MARCH[number % 2], name, (1 + number % 3) // 2 if half else (2 + number % 3) // 2)
        hit_table.add(MARCH[2], b"/caf\xe9" if half else rb"/caf\xe9", 2)
        hit_table.add(MARCH[3], b"/of-a-day-that-does-not-count", 2)
        spill.add(hit_table)
    found = [(str(MARCH[number % 2]), name.decode(), 1 + number % 3) for number, name in enumerate(names)]
    found.append((str(MARCH[2]), "/caf\\xe9", 4))
    assert table(file).replace(MARCH[:3], spill.rows(HitTable())) == Replaced(len(names) + 1, [])
    assert read(file) == sorted(found, key=lambda row: (row[0], -row[2], row[1].encode()))
    assert table(file).replace(MARCH[2:3], rows_of({}), with_fewer=True) == Replaced(0, [])
    assert read(file) == sorted(found[:-1], key=lambda row: (row[0], -row[2], row[1].encode()))


@pytest.mark.parametrize("target", ["hits.txt", "hits", "", "csv", "hits.csv.gz", "hits.db/"])
def test_an_invalid_target_is_a_usage_error(target: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_target(target if target != "hits.db/" else "hits.")


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
        with pytest.raises(TableError, match="these options make a table hits"):
            attempt()


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
    assert replace() == Replaced(1, [])
    assert sorted(os.listdir(tmp_path)) == ["hits.csv", "hits.referrers.csv"]


@pytest.mark.parametrize("folder", ["/", "."])
def test_a_folder_is_not_replaced(folder: str) -> None:
    with pytest.raises(IsADirectoryError), replacing.replacing(Path(folder)):
        raise AssertionError("a new file was made")


@pytest.mark.parametrize("name", ["hits.db", "hits.csv", "hits/"])
def test_a_read_only_file_system_is_named_as_such(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd makes folders read-only. There, nobody is helped by another owner."""
    monkeypatch.setattr(os, "access", lambda *_, **options: False)
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(TableError, match=r"^cannot write target: .*the file system is read-only") as raised:
        open_target(f"{tmp_path}/{name}").check()
    assert "owner" not in str(raised.value)
