"""The sums next to the rows: answers from sums equal answers from rows, whichever program has changed the rows."""

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable
from fasthits.daily.days import Range
from fasthits.daily.layouts import hits_layout
from fasthits.daily.past.history import History
from fasthits.daily.sqlite.target import SqliteTarget
from fasthits.errors import TableError
from tests.daily.support import change
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT

FIRST = date(2026, 3, 8)
DAYS = [FIRST + timedelta(number) for number in range(8)]
WHOLE = Range(DAYS[0], DAYS[-1])
STATIC = (".css", ".png")
PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/A/style.css", "/a/x.PNG", "/?page=2", "/b%_!/ä", "/a0", "//c/d"]
HOSTS = ["one.example", "two.example", ""]


class Row(NamedTuple):
    """A row of the table hits."""

    day: date
    host: str
    path: str
    views: int
    bots: int


def insert(database: sqlite3.Connection, rows: list[Row], by_host: bool, apart: bool) -> None:
    layout = hits_layout(by_host, apart)
    database.execute(f"CREATE TABLE IF NOT EXISTS {layout.declaration}")
    names = {"date": 0, "host": 1, "path": 2, "views": 3, "bots": 4}
    for row in rows:
        cells = (str(row.day), *row[1:])
        values = [cells[names[name]] for name in layout.columns]
        database.execute(f"INSERT INTO hits VALUES ({', '.join('?' * len(values))})", values)


def summed(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return [day for (day,) in database.execute("SELECT DISTINCT date FROM hits_sums ORDER BY date")]


def roll_up(file: Path, views: dict[str, int], *days: date) -> None:
    """Keep the same views for each of *days*."""
    table = HitTable()
    for day in days:
        for path, count in views.items():
            table.add(day, path.encode(), count)
    SqliteTarget(file).replace(list(days), table, with_fewer=True)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A database with three days."""
    roll_up(tmp_path / "hits.db", {"/a": 5, "/b": 2}, *DAYS[:3])
    return tmp_path / "hits.db"


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Row], bool, bool, list[date]]:
    """Rows, whether hosts and bots are kept apart, and the days without sums."""
    by_host, apart = draw(st.booleans()), draw(st.booleans())
    keys = st.tuples(st.sampled_from(DAYS), st.sampled_from(HOSTS if by_host else [""]), st.sampled_from(PATHS))
    numbers = st.tuples(st.integers(0, 9) | st.integers(65_530, 70_000), st.integers(0, 3) if apart else st.just(0))
    rows = draw(st.dictionaries(keys, numbers, max_size=40))
    without = draw(st.lists(st.sampled_from(DAYS), unique=True))
    return [Row(*key, *number) for key, number in sorted(rows.items())], by_host, apart, without


def is_page(path: str) -> bool:
    return not path.lower().partition("?")[0].endswith(STATIC)


def check_answers(history: History, rows: list[Row], days: Range, host: str | None, by_host: bool, apart: bool) -> None:
    """Fail unless all answers equal those from the rows."""
    kept = {row.day for row in rows}
    before = history.before(days)
    assert (before.last - before.first, before.last) == (days.last - days.first, days.first - timedelta(1))

    def by_path(within: Range) -> Counter[str]:
        found: Counter[str] = Counter()
        for row in rows:
            if row.day in within.days and host in (None, row.host):
                found[row.path] += row.views
        return +found

    def by_day(takes: Callable[[str], bool], number: int = 3, host: str | None = host) -> list[int | None]:
        taken = [row for row in rows if takes(row.path) and host in (None, row.host)]
        return [sum(row[number] for row in taken if row.day == day) if day in kept else None for day in days.days]

    assert history.days == sorted(kept)
    assert history.site(days, host) == by_day(lambda path: True)
    assert history.site(days, host, pages=True) == by_day(is_page)
    for path in [*PATHS, "/none"]:
        if not (by_host and path.startswith("//")):
            assert history.by_day(path, days, host) == by_day(path.__eq__)
    assert history.by_day("/a/*", days, host) == by_day(lambda path: path.startswith("/a/"))
    assert history.by_day("/a/*", days, host, pages=True) == by_day(
        lambda path: path.startswith("/a/") and is_page(path)
    )
    wanted = ["/a", "/a/*", "/none", "/a"]
    assert history.by_days(wanted, days, host) == [history.by_day(key, days, host) for key in wanted]
    if by_host and host is None:
        assert history.by_day("//one.example/a", days) == by_day("/a".__eq__, host="one.example")
        assert history.by_day("//one.example/a/*", days) == by_day(
            lambda path: path.startswith("/a/"), host="one.example"
        )
    views, earlier = by_path(days), by_path(before)
    is_known = bool(kept.intersection(before.days))
    for text, prefix, pages in (("", "", False), ("B", "/", False), ("%_!", "", False), ("", "/a", True)):
        base = {path: count for path, count in views.items() if not pages or is_page(path)}
        found = {path: n for path, n in base.items() if text.lower() in path.lower() and path.startswith(prefix)}
        for sort, limit, offset in (("views", 20, 0), ("views", 2, 1), ("rise", 3, 0), ("rise", 20, 2)):
            order = {path: -n + (earlier[path] if sort == "rise" else 0) for path, n in found.items()}
            answer = history.most_read(days, limit, offset, text, prefix, host, pages, sort, before)  # type: ignore[arg-type]
            assert (answer.count, answer.views) == (len(found), sum(found.values()))
            assert answer.paths == [
                (path, found[path], found[path] / sum(base.values()), earlier[path] if is_known else None)
                for path in sorted(found, key=lambda path: (order[path], path))[offset : offset + limit]
            ]
    assert all(each.before is None for each in history.most_read(days, host=host).paths)
    sections: Counter[str] = Counter()
    for path, count in views.items():
        sections[f"/{path.split('/')[1]}/*" if path.split("?")[0].count("/") > 1 else path] += count
    assert history.sections(days, host=host) == sorted(sections.items(), key=lambda each: (-each[1], each[0]))
    assert (
        history.sections(days, 1, 1, 1, "/a", host)
        == [each for each in history.sections(days, host=host, prefix="/a") if True][1:2]
    )
    assert history.bots(days, host=host) == (by_day(lambda path: True, 4) if apart else None)
    assert history.bots(days, "/a", host) == (by_day("/a".__eq__, 4) if apart else None)
    assert history.bots(days, "/a/*", host) == (by_day(lambda path: path.startswith("/a/"), 4) if apart else None)
    if host is None:
        hosts: Counter[str] = Counter()
        for row in rows:
            if row.day in days.days:
                hosts[row.host] += row.views
        assert history.hosts(days) == (
            sorted((+hosts).items(), key=lambda each: (-each[1], each[0])) if by_host else []
        )


@given(tables(), st.sampled_from([WHOLE, Range(DAYS[2], DAYS[4]), Range(DAYS[4], DAYS[4])]))
def test_all_answers_are_those_of_the_rows(table: tuple[list[Row], bool, bool, list[date]], days: Range) -> None:
    """With the sums of all days, of no day, and of some days."""
    rows, by_host, apart, without = table
    with TemporaryDirectory() as folder:
        file = Path(folder, "hits.db")
        with closing(sqlite3.connect(file)) as database:
            insert(database, rows, by_host, apart)
            database.commit()
        for step in ("no sums", "all sums", "some sums"):
            if step == "all sums":
                SqliteTarget(file, [hits_layout(by_host, apart)]).catch_up()
                assert (summed(file) if rows else []) == [str(day) for day in sorted({row.day for row in rows})]
            elif step == "some sums" and rows:
                change(file, *(f"DELETE FROM hits_sums WHERE date = '{day}'" for day in without))
            for host in (None, "one.example") if by_host else (None,):
                history = History(file)
                with history.at_one_moment():
                    check_answers(history, rows, days, host, by_host, apart)


def site_of(file: Path) -> list[int | None]:
    """Return the views by day, from two questions."""
    history = History(file)
    found = history.site(WHOLE)
    sections = history.by_day("/*", WHOLE)
    assert found == sections
    return found


@pytest.mark.parametrize(
    ("statement", "views", "left"),
    [
        ("DELETE FROM hits WHERE date = '2026-03-08'", [None, 7, 7], [1, 2]),
        ("DELETE FROM hits WHERE path = '/b'", [5, 5, 5], []),
        ("DELETE FROM hits", [None, None, None], []),
        ("INSERT INTO hits VALUES ('2026-03-08', '/c', 9)", [16, 7, 7], [1, 2]),
        ("REPLACE INTO hits VALUES ('2026-03-08', '/a', 9)", [11, 7, 7], [1, 2]),
        ("UPDATE hits SET views = 6 WHERE path = '/a' AND date < '2026-03-10'", [8, 8, 7], [2]),
        ("UPDATE hits SET date = '2026-03-10' WHERE date = '2026-03-09' AND path = '/none'", [7, 7, 7], [0, 1, 2]),
        ("UPDATE OR REPLACE hits SET date = '2026-03-10' WHERE date = '2026-03-09' AND path = '/b'", [7, 5, 7], [0]),
        ("UPDATE hits SET path = '/c' WHERE date = '2026-03-09' AND path = '/b'", [7, 7, 7], [0, 2]),
    ],
)
def test_a_change_of_hits_by_hand_makes_no_sum_wrong(
    kept: Path, statement: str, views: list[int | None], left: list[int]
) -> None:
    change(kept, statement)
    assert summed(kept) == [str(DAYS[number]) for number in left]
    assert site_of(kept)[:3] == views
    roll_up(kept, {"/n": 1}, DAYS[4])
    SqliteTarget(kept).catch_up()
    assert site_of(kept)[:5] == [*views, None, 1]
    days = {str(day) for day, count in zip(DAYS, views, strict=False) if count is not None} | {str(DAYS[4])}
    assert set(summed(kept)) == days


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE new AS SELECT date, path, views * 10 AS views FROM hits", "DROP TABLE hits",
         "ALTER TABLE new RENAME TO hits"],
        ["CREATE TABLE new AS SELECT date, path, views * 10 AS views FROM hits", "ALTER TABLE hits RENAME TO old",
         "ALTER TABLE new RENAME TO hits"],
        ["DROP TRIGGER hits_sums_update", "UPDATE hits SET views = views * 10"],
        ["DROP TABLE hits_sums", "DROP TRIGGER hits_sums_update", "UPDATE hits SET views = views * 10"],
        ["DROP TABLE hits_paths", "UPDATE hits SET views = views * 10"],
    ],
    ids=["made anew", "renamed", "no trigger", "no sums", "no paths"],
)  # fmt: skip
def test_sums_without_their_triggers_do_not_count(kept: Path, statements: list[str]) -> None:
    change(kept, *statements)
    assert site_of(kept)[:3] == [70, 70, 70]


def test_a_rollup_does_not_trust_sums_without_their_triggers(kept: Path) -> None:
    change(kept, "DROP TRIGGER hits_sums_update", "UPDATE hits SET views = views * 10")
    roll_up(kept, {"/n": 1}, DAYS[4])
    assert summed(kept) == [str(DAYS[4])]
    assert site_of(kept)[:5] == [70, 70, 70, None, 1]
    SqliteTarget(kept).catch_up()
    assert len(summed(kept)) == 4
    assert site_of(kept)[:5] == [70, 70, 70, None, 1]


def test_a_day_without_hits_is_kept_with_no_views(kept: Path) -> None:
    roll_up(kept, {}, DAYS[4])
    history = History(kept)
    assert history.days == [*DAYS[:3], DAYS[4]]
    assert history.newest() == DAYS[4]
    assert history.range_of(2) == Range(DAYS[3], DAYS[4])
    assert history.site(WHOLE)[:6] == [7, 7, 7, None, 0, None]
    assert history.by_day("/a", WHOLE)[:6] == [5, 5, 5, None, 0, None]
    assert history.views("/a") == dict.fromkeys(DAYS[:3], 5) | {DAYS[4]: 0}
    write(kept.parent / "a.log", hit("/").replace(b"GET", b"POST"))
    done = fasthits("rollup", "2026-03-12", "--partial", "--logs", "a.log", "--to", "new.db", cwd=kept.parent)
    assert done.returncode == 0, done.stderr
    assert History(kept.parent / "new.db").site(Range(date(2026, 3, 12), date(2026, 3, 12))) == [0]


def forget_sums(file: Path) -> None:
    """Turn the file into one of a version without sums."""
    change(file, *(f"DROP TRIGGER hits_sums_{name}" for name in ("insert", "update", "delete")))
    change(file, "DROP TABLE hits_sums", "DROP TABLE hits_paths")


def test_the_next_rollup_makes_the_sums_of_an_old_file(kept: Path) -> None:
    forget_sums(kept)
    before = site_of(kept)
    write(kept.parent / "a.log", hit("/") * 3)
    done = fasthits("rollup", "2026-03-12", "--partial", "--logs", "a.log", "--to", kept, cwd=kept.parent)
    assert done.returncode == 0, done.stderr
    assert summed(kept) == [*map(str, DAYS[:3]), "2026-03-12"]
    assert site_of(kept) == [*before[:4], 3, *before[5:]]


KILLED = """
import os, signal, sys
from pathlib import Path
from fasthits.daily.sqlite import sums
from fasthits.daily.sqlite.target import SqliteTarget

sums.TRANSACTION_SECONDS = 0.0  # a day in each
make_sums, left = sums.make_sums, int(sys.argv[2])

def make_or_die(database, day):
    global left
    make_sums(database, day)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

sums.make_sums = make_or_die
SqliteTarget(Path(sys.argv[1])).catch_up()
"""


def test_the_next_rollup_goes_on_with_the_sums_that_a_killed_rollup_left(kept: Path) -> None:
    forget_sums(kept)
    before = site_of(kept)
    for made in (0, 1, 2):
        command = [sys.executable, "-c", KILLED, kept, "1" if not made else "2"]
        assert subprocess.run(command, cwd=PROJECT).returncode == -signal.SIGKILL
        if made:
            assert summed(kept) == [str(day) for day in DAYS[3 - made : 3]]  # newest days first
        assert site_of(kept) == before
    assert subprocess.run([*command[:3], kept, "9"], cwd=PROJECT).returncode == 0
    assert summed(kept) == [str(day) for day in DAYS[:3]]
    assert site_of(kept) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hits_sums SET packed = substr(packed, 2)",
        "UPDATE hits_sums SET packed = packed || x'01'",
        "UPDATE hits_sums SET packed = x''",
        "UPDATE hits_sums SET packed = NULL",
        "UPDATE hits_sums SET packed = 'text'",
        "UPDATE hits_sums SET packed = x'7f0700'",
        "DELETE FROM hits_paths WHERE path = '/b'",
        "DELETE FROM hits_paths WHERE path = '/a'",
    ],
)
def test_damaged_sums_are_reported(kept: Path, statement: str) -> None:
    change(kept, statement)
    with pytest.raises(TableError, match=r"the database has damaged sums: .*hits\.db"):
        site_of(kept)


def test_views_that_are_not_numbers_are_reported_and_get_no_sums(kept: Path) -> None:
    change(kept, "UPDATE hits SET views = 'many' WHERE date = '2026-03-09' AND path = '/a'")
    SqliteTarget(kept).catch_up()
    assert summed(kept) == [str(DAYS[0]), str(DAYS[2])]
    with pytest.raises(TableError, match="the database has invalid views"):
        History(kept).most_read(WHOLE)
    assert History(kept).most_read(Range(DAYS[2], DAYS[2])).views == 7


@pytest.mark.parametrize("views", ["7.5", "-5", "1e999", "'many'", "x'05'", "NULL"])
@pytest.mark.parametrize("key", [None, "/a", "/*"])
def test_a_question_about_views_that_are_no_numbers_ends_with_their_error(
    tmp_path: Path, views: str, key: str | None
) -> None:
    """Somebody has changed the rows by hand. No wrong number is shown, and no command ends with a traceback."""
    file = tmp_path / "hits.db"
    change(
        file,
        "CREATE TABLE hits(date TEXT, path TEXT, views)",
        f"INSERT INTO hits VALUES ('{DAYS[0]}', '/a', {views}), ('{DAYS[0]}', '/b', 9)",
    )
    kept, days = History(file), Range(DAYS[0], DAYS[0])
    with pytest.raises(TableError, match="the database has invalid views"):
        kept.site(days) if key is None else kept.by_day(key, days)


@pytest.mark.parametrize("name", ["hits_paths", "hits_sums"])
def test_a_table_of_another_program_is_left_alone(tmp_path: Path, name: str) -> None:
    file = tmp_path / "hits.db"
    roll_up(file, {"/": 1}, DAYS[0])
    change(file, f"DROP TABLE {name}", f"CREATE TABLE {name}(a, b)", f"INSERT INTO {name} VALUES (1, 2)")
    with pytest.raises(TableError, match=rf"another program has made the table {name} \(a, b\)"):
        SqliteTarget(file).check()
    with pytest.raises(TableError, match="another program has made the table"):
        roll_up(file, {"/": 1}, DAYS[0])
    with closing(sqlite3.connect(file)) as database:
        assert database.execute(f"SELECT * FROM {name}").fetchall() == [(1, 2)]


def test_sums_and_rows_are_read_from_one_state_of_the_database(kept: Path) -> None:
    """A question that began before a path was added does not know the number of the path."""
    history = History(kept)
    with history.at_one_moment():
        assert history.most_read(WHOLE).views == 21
    roll_up(kept, {"/new": 1}, DAYS[4])
    assert history.most_read(Range(DAYS[4], DAYS[4])).paths == [("/new", 1, 1.0, None)]


def test_a_question_ends_when_it_is_interrupted(kept: Path) -> None:
    history = History(kept)
    with history.at_one_moment():
        assert history.most_read(WHOLE).views == 21
        history.interrupt()
        with pytest.raises(TableError, match="interrupted"):
            history.most_read(WHOLE)
    with pytest.raises(TableError, match="interrupted"):
        history.most_read(WHOLE)


def test_referrers_and_searches_of_the_site_a_path_and_a_section(tmp_path: Path) -> None:
    def line(path: str, referer: bytes) -> bytes:
        return hit(path).replace(b'"-"', b'"' + referer + b'"', 1)

    log = [
        line("/a/b", b"https://x.example/"),
        line("/a/b", b"https://x.example/"),
        line("/a/c", b"https://y.example/"),
    ]
    log += [line("/d", b"https://y.example/"), line("/d", b"https://duckduckgo.com/?q=lamp")]
    write(tmp_path / "a.log", *log)
    options = ["--partial", "--referrers", "--search-terms", "--logs", "a.log", "--to", "hits.db"]
    assert fasthits("rollup", "2026-03-12", *options, cwd=tmp_path).returncode == 0
    history = History(tmp_path / "hits.db")
    assert history.referrers(WHOLE) == [("x.example", 2), ("y.example", 2), ("duckduckgo.com", 1)]
    assert history.referrers(WHOLE, limit=1, offset=1) == [("y.example", 2)]
    assert history.referrers(WHOLE, "/a/*") == [("x.example", 2), ("y.example", 1)]
    assert history.referrers(WHOLE, "/d") == [("duckduckgo.com", 1), ("y.example", 1)]
    assert history.referrers(WHOLE, "/none") == []
    assert history.searches(WHOLE) == history.searches(WHOLE, "/d") == [("DuckDuckGo", "lamp", 1)]
    assert history.searches(WHOLE, "/a/*") == []
    assert history.hours(date(2026, 3, 12)) == [5 * (hour == 10) for hour in range(24)]


def test_tables_that_are_not_kept_are_none(kept: Path) -> None:
    history = History(kept)
    assert history.referrers(WHOLE) is None
    assert history.searches(WHOLE) is None
    assert history.bots(WHOLE) is None
    assert history.hours(DAYS[0]) is None
    assert history.hosts(WHOLE) == []


def test_the_most_read_of_many_paths_are_in_order(tmp_path: Path) -> None:
    """There are more paths than are looked up one by one, and most of them have equal views."""
    views = {f"/{number:05}": 1 + (number % 7 == 0) for number in range(7_000)}
    roll_up(tmp_path / "hits.db", views, DAYS[0])
    history = History(tmp_path / "hits.db")
    expected = sorted(views, key=lambda path: (-views[path], path))
    for limit, offset in ((10, 0), (10, 995), (6_000, 500), (5, 6_998), (5, 7_000)):
        found = history.most_read(WHOLE, limit, offset).paths
        assert [each.path for each in found] == expected[offset : offset + limit]


def paths_in(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT path FROM hits_paths WHERE id > 0 AND path IS NOT NULL ORDER BY path"
        return [path for (path,) in database.execute(query)]


def test_a_path_is_removed_with_its_last_row(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    for number, day in enumerate(DAYS[:4]):
        roll_up(file, {"/": 5, f"/{number}": 1}, day)
    roll_up(file, {"/": 6}, DAYS[3])
    assert paths_in(file) == ["/", "/0", "/1", "/2"]
    change(file, f"DELETE FROM hits WHERE date < '{DAYS[2]}'")
    before = History(file).most_read(WHOLE)
    roll_up(file, {"/": 7, "/new": 1}, DAYS[4])
    assert paths_in(file) == ["/", "/2", "/new"]
    assert site_of(file)[:5] == [None, None, 6, 6, 8]
    found = History(file)
    assert [row[:2] for row in found.most_read(WHOLE, text="/").paths] == [("/", 18), ("/2", 1), ("/new", 1)]
    assert found.most_read(WHOLE).paths[1:] == [row._replace(share=1 / 20) for row in before.paths[1:]] + [
        ("/new", 1, 1 / 20, None)
    ]
    assert found.sections(WHOLE) == [("/", 18), ("/2", 1), ("/new", 1)]
    assert found.by_days(["/0", "/2"], WHOLE)[0][2:5] == [0, 0, 0]
    roll_up(file, {"/0": 3}, DAYS[5])
    assert found.by_day("/0", WHOLE)[2:6] == [0, 0, 0, 3]


def test_sums_of_an_earlier_version_without_removable_paths_are_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    for day in DAYS[:2]:
        roll_up(file, {"/": 5, f"/{day}": 1}, day)
    change(
        file,
        "ALTER TABLE hits_paths RENAME TO later",
        "CREATE TABLE hits_paths(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)",
        "INSERT INTO hits_paths SELECT id, path FROM later WHERE id > 0",
        "DROP TABLE later",
    )
    roll_up(file, {"/": 7}, DAYS[1])
    SqliteTarget(file).catch_up()
    assert paths_in(file) == ["/", f"/{DAYS[0]}"]
    assert site_of(file)[:2] == [6, 7]


def test_no_path_is_removed_while_a_day_has_no_sums(tmp_path: Path) -> None:
    file = tmp_path / "hits.db"
    for number, day in enumerate(DAYS[:3]):
        roll_up(file, {"/": 5, f"/{number}": 1}, day)
    change(file, "UPDATE hits SET path = '/moved' WHERE path = '/1'", f"DELETE FROM hits WHERE date = '{DAYS[0]}'")
    roll_up(file, {"/": 7}, DAYS[3])
    assert paths_in(file) == ["/", "/0", "/1", "/2"]
    SqliteTarget(file).catch_up()
    assert paths_in(file) == ["/", "/2", "/moved"]
