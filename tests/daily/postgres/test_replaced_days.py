"""PostgreSQL: days are replaced with their sums and paths, and other days stay."""

from pathlib import Path

import pytest

from fasthits.daily.days import Range
from fasthits.daily.past.history import History
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import Change
from fasthits.daily.targets.target import Replaced
from tests.daily.postgres.support import MARCH, Connection, rows_of, sums_in
from tests.support.commands import fasthits, write
from tests.support.targets import replace


def test_some_days_are_replaced_and_the_others_stay(url: str, psql: Connection) -> None:
    replace(url, {day: {b"/": 1, b"/old": 2} for day in MARCH[:4]})
    assert replace(url, {MARCH[1]: {b"/": 5}, MARCH[2]: {}}, with_fewer=True) == Replaced(1, [], [])
    assert rows_of(psql) == [
        *((str(MARCH[0]), path, views) for path, views in (("/", 1), ("/old", 2))),
        (str(MARCH[1]), "/", 5),
        *((str(MARCH[3]), path, views) for path, views in (("/", 1), ("/old", 2))),
    ]
    assert [row[:3] for row in sums_in(psql)] == [(str(day), "", views) for day, views in zip(MARCH, (3, 5, 0, 3))]  # noqa: B905


def test_a_day_with_fewer_hits_stays_as_it_is_in_all_tables(url: str, psql: Connection) -> None:
    replace(url, {day: {b"/": 5} for day in MARCH[:2]})
    before = rows_of(psql)
    assert replace(url, {MARCH[0]: {b"/": 4}}) == Replaced(0, [Change(MARCH[0], 4, 5)], [])
    assert replace(url, {MARCH[0]: {b"/": 4}, MARCH[1]: {b"/": 6}}) == Replaced(
        1, [Change(MARCH[0], 4, 5)], [Change(MARCH[1], 6, 5)]
    )
    assert rows_of(psql) == [before[0], (str(MARCH[1]), "/", 6)]


@pytest.mark.parametrize("style", ["ISO,MDY", "SQL,DMY", "SQL,MDY", "Postgres,DMY", "Postgres,MDY", "German"])
def test_a_day_is_known_in_each_datestyle(style: str, url: str, psql: Connection) -> None:
    """A user, a database or the environment may set it."""
    replace(url, {MARCH[9]: {b"/": 5}})
    styled = f"{url}&options=-cdatestyle%3D{style.replace(',', '%2C')}%20-cbytea_output%3Descape"
    assert replace(styled, {MARCH[9]: {b"/": 4}}) == Replaced(0, [Change(MARCH[9], 4, 5)], [])
    assert replace(styled, {MARCH[9]: {b"/": 6}, MARCH[10]: {b"/": 1}}) == Replaced(2, [], [Change(MARCH[9], 6, 5)])
    open_target(styled).catch_up()
    assert History(styled).views("/") == {MARCH[9]: 6, MARCH[10]: 1}
    assert [row[:3] for row in sums_in(psql)] == [("2026-03-10", "", 6), ("2026-03-11", "", 1)]


def test_an_empty_log_does_not_erase_a_day(url: str, psql: Connection, tmp_path: Path) -> None:
    replace(url, {MARCH[0]: {b"/": 1}})
    write(tmp_path / "access.log")
    done = fasthits("rollup", str(MARCH[0]), "--logs", str(tmp_path / "access.log"), "--to", url)
    assert done.returncode == 1
    assert b"the log is empty, left unchanged: 2026-03-01" in done.stderr
    assert rows_of(psql) == [(str(MARCH[0]), "/", 1)]


def test_zero_bytes_are_written_as_escapes_and_equal_rows_add_up(url: str, psql: Connection) -> None:
    """Texts in PostgreSQL cannot hold zero bytes."""
    assert replace(url, {MARCH[0]: {b"/a\0": 1, b"/a\\x00": 2, b"/b": 4}}) == Replaced(2, [], [])
    assert rows_of(psql) == [(str(MARCH[0]), "/a\\x00", 3), (str(MARCH[0]), "/b", 4)]
    assert [row[2:] for row in sums_in(psql)] == [(7, None, 2)]


def test_sums_follow_changes_of_other_programs(url: str, psql: Connection) -> None:
    replace(url, {day: {b"/": 1} for day in MARCH[:6]})
    psql.execute("INSERT INTO hits VALUES ('2026-03-01', '/new', 3)")
    psql.execute("UPDATE hits SET views = 9 WHERE date = '2026-03-02'")
    psql.execute("DELETE FROM hits WHERE date = '2026-03-03'")
    psql.execute("TRUNCATE hits_2026_03_04")
    psql.execute("DROP TABLE hits_2026_03_05")
    assert [row[0] for row in sums_in(psql)] == ["2026-03-05", "2026-03-06"]  # no trigger runs when a table is dropped
    open_target(url).catch_up()
    assert [(row[0], row[2]) for row in sums_in(psql)] == [("2026-03-01", 4), ("2026-03-02", 9), ("2026-03-06", 1)]
    psql.execute("DROP TRIGGER hits_changed ON hits")
    psql.execute("UPDATE hits SET views = 8 WHERE date = '2026-03-02'")
    open_target(url).catch_up()
    assert [(row[0], row[2]) for row in sums_in(psql)] == [("2026-03-01", 4), ("2026-03-02", 8), ("2026-03-06", 1)]


def test_a_path_is_removed_with_its_last_row(url: str, psql: Connection) -> None:
    for number, day in enumerate(MARCH[:4]):
        replace(url, {day: {b"/": 5, b"/%d" % number: 1}})
    replace(url, {MARCH[3]: {b"/": 6}})
    query = "SELECT path FROM hits_paths WHERE id > 0 AND path IS NOT NULL ORDER BY path"
    assert psql.execute(query).fetchall() == [("/",), ("/0",), ("/1",), ("/2",)]
    psql.execute("DROP TABLE hits_2026_03_01")
    psql.execute("DELETE FROM hits WHERE date = '2026-03-02'")
    replace(url, {MARCH[4]: {b"/new": 1}})
    assert psql.execute(query).fetchall() == [("/",), ("/2",), ("/new",)]
    found = History(url).most_read(Range(MARCH[0], MARCH[4]))
    assert [row[:2] for row in found.paths] == [("/", 11), ("/2", 1), ("/new", 1)]


def test_paths_of_an_earlier_version_can_be_removed_too(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/": 5, b"/old": 1}})
    psql.execute("DELETE FROM hits_paths WHERE id = 0")
    psql.execute("ALTER TABLE hits_paths ALTER path SET NOT NULL")
    replace(url, {MARCH[0]: {b"/": 7}})
    query = "SELECT path FROM hits_paths WHERE id > 0 AND path IS NOT NULL"
    assert psql.execute(query).fetchall() == [("/",)]
