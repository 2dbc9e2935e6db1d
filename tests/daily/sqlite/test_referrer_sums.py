"""Sums of referrers and searches: they equal their rows, whichever program changes the rows, also in old files."""

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from fasthits.daily.days import Range
from fasthits.daily.past.history import History
from fasthits.daily.targets.opening import open_target
from tests.daily.support import change
from tests.support.commands import fasthits, hit, write

DAYS = [date(2026, 3, 10) + timedelta(number) for number in range(3)]
SPAN = Range(DAYS[0], DAYS[-1])


def line(path: str, day: date, referer: str, host: str = "one.example") -> bytes:
    return f"{host}:443 ".encode() + hit(path, day).replace(b'"-"', f'"{referer}"'.encode(), 1)


def roll_up(folder: Path, *options: str) -> Path:
    lines = [
        line(path, day, referer, host)
        for number, day in enumerate(DAYS)
        for path in ("/a", "/b/c")
        for referer in ("https://x.example/1", "https://duckduckgo.com/?q=lamps", "https://y.example/")[number:]
        for host in ("one.example", "two.example")
    ]
    write(folder / "a.log", *lines)
    options = ("--referrers", "--search-terms", *options)
    done = fasthits(
        "rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", folder / "a.log", "--to", folder / "hits.db", *options
    )
    assert done.returncode == 0, done.stderr
    return folder / "hits.db"


def rows_of(file: Path, query: str) -> Counter[object]:
    with closing(sqlite3.connect(file)) as database:
        return Counter({row[:-1]: row[-1] for row in database.execute(query)})


def check(file: Path) -> None:
    """Fail unless the answers are those of the rows."""
    history = History(file)
    found = Counter({(name,): views for name, views in history.referrers(SPAN) or []})
    assert found == rows_of(file, "SELECT referrer, sum(views) FROM referrers GROUP BY 1")
    searches = Counter({(engine, terms): views for engine, terms, views in history.searches(SPAN) or []})
    assert searches == rows_of(file, "SELECT engine, terms, sum(views) FROM searches GROUP BY 1, 2")


def days_of(file: Path, table: str = "referrers_sums") -> list[str]:
    return sorted(str(day) for (day,) in rows_of(file, f"SELECT DISTINCT date, 1 FROM {table}"))


@pytest.mark.parametrize("options", [(), ("--by-host",)])
def test_sums_of_sources_are_those_of_their_rows(tmp_path: Path, options: tuple[str, ...]) -> None:
    file = roll_up(tmp_path, *options)
    check(file)
    assert days_of(file) == list(map(str, DAYS))
    if options:
        assert History(file).referrers(SPAN, host="two.example") == [
            ("y.example", 6),
            ("duckduckgo.com", 4),
            ("x.example", 2),
        ]
    change(
        file,
        f"UPDATE referrers SET views = 50 WHERE date = '{DAYS[1]}'",
        f"DELETE FROM searches WHERE date = '{DAYS[0]}'",
    )
    check(file)
    assert days_of(file) == [str(DAYS[0]), str(DAYS[2])]
    open_target(str(file)).catch_up()
    check(file)
    assert days_of(file) == list(map(str, DAYS))


def test_a_file_without_these_sums_gets_them(tmp_path: Path) -> None:
    file = roll_up(tmp_path)
    change(file, "DROP TABLE referrers_sums", "DROP TRIGGER searches_sums_insert")
    change(file, "INSERT INTO searches VALUES ('2026-03-10', '/a', 'Ecosia', 'lamps', 7)")
    check(file)
    open_target(str(file)).catch_up()
    check(file)
    assert days_of(file) == list(map(str, DAYS))
    assert days_of(file, "searches_sums") == list(map(str, DAYS[:2]))
