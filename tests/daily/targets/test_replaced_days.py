"""SQLite and CSV: the rows of a day are replaced as a whole, unless it had more hits."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules
from fasthits.daily.counting.runs import MergedRows, Spill, Spool, Workshop
from fasthits.daily.csv.target import CsvTarget
from fasthits.daily.layouts import Rows, hits_layout, referrers_layout
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import Change
from fasthits.daily.targets.target import Replaced
from tests.daily.targets.support import MARCH, READERS, csv_rows, read, rows_of, table
from tests.support.processes import PROJECT


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
    fewer = [Change(MARCH[1], 6, 7), Change(MARCH[3], 0, 1)]
    assert table(file).replace(MARCH[:5], make(new)) == Replaced(3, fewer, [Change(MARCH[0], 2, 1)])
    assert read(file) == [
        ("2026-03-01", "/new", 2),
        ("2026-03-02", "/b,", 4),
        ("2026-03-02", "/a", 3),
        ("2026-03-03", "/new", 3),
        ("2026-03-04", "/a", 1),
        ("2026-03-05", "/new", 1),
    ]
    before = file.stat()
    assert table(file).replace(MARCH[1:4:2], make(new)) == Replaced(0, fewer, [])
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert table(file).replace(MARCH[1:4:2], make({MARCH[1]: {"/new": 6}}), with_fewer=True) == Replaced(1, [], [])
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
    assert replace(b"new", (5, 6), 1).fewer == [Change(MARCH[0], 46, 47)]
    for of in ("hits", "referrers"):
        assert (hosts(of, MARCH[0]), hosts(of, MARCH[1])) == ({"old"}, {"new"})
    assert replace(b"new", (4, 6), 11) == Replaced(19, [], [])


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
    assert table(file).replace(MARCH[:3], spill.rows(HitTable())) == Replaced(len(names) + 1, [], [])
    assert read(file) == sorted(found, key=lambda row: (row[0], -row[2], row[1].encode()))
    assert table(file).replace(MARCH[2:3], rows_of({}), with_fewer=True) == Replaced(0, [], [])
    assert read(file) == sorted(found[:-1], key=lambda row: (row[0], -row[2], row[1].encode()))
