"""PostgreSQL has the same rows and gives the same answers as SQLite."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fasthits.cli.app import app
from fasthits.daily.days import Range
from fasthits.daily.past.documents import (
    Days,
    Pages,
    bots_document,
    history_document,
    hosts_document,
    hours_document,
    most_read_document,
    referrers_document,
    searches_document,
    sections_document,
)
from fasthits.daily.past.history import History
from fasthits.daily.sqlite.referrers import TEXTS, sums_of
from fasthits.daily.targets.opening import open_target
from fasthits.daily.urls import shown
from tests.daily.postgres.support import MARCH, Connection, rows_of, sums_in
from tests.support.commands import hit, write

BOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HOSTS = ("--by-host", "--format", '%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"')
RULES = {
    "plain": (),
    "referrers and search terms": ("--referrers", "full", "--search-terms"),
    "bots and not found apart": ("--bots", "apart", "--referrers", "site", "--not-found", "apart"),
    "by host": (*HOSTS, "--search-terms"),
    "by host, bots apart, with queries": (*HOSTS, "--bots", "apart", "--keep-query"),
}


@pytest.mark.parametrize("options", RULES.values(), ids=RULES)
def test_the_tables_have_the_rows_that_sqlite_has(
    options: tuple[str, ...], url: str, psql: Connection, tmp_path: Path
) -> None:
    paths = [b"/", b"/a", b"/\xc3\xa9?x=1", b"/\xff", b"/\\xff", b"/" + b"long" * 4000, b"/A", b"/a-b", b"/a_b"]
    hosts = [b"a.example ", b"b.example "] if "--by-host" in options else [b""]
    lines = [
        hosts[number % len(hosts)] + line(path, number) for number in range(30) for path in paths[: 1 + number % 9]
    ]
    log = write(tmp_path / "access.log", *lines)
    for target in (str(tmp_path / "hits.db"), url, url):
        done = CliRunner().invoke(
            app, ["rollup", "2026-03-12", "--logs", str(log), "--to", target, *options, "--partial"]
        )
        assert done.exit_code == 0, done.stderr
        assert f"rows for 2026-03-12 in {shown(target)}" in done.stderr
    with closing(sqlite3.connect(tmp_path / "hits.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert tables
        for table in (name for name in tables if not name.endswith(("_paths", "_sums"))):
            assert rows_of(psql, table) == sorted(database.execute(f"SELECT * FROM {table}")), table
        assert (
            sums_in(psql)
            == database.execute("SELECT date, host, views, bots, rows FROM hits_sums ORDER BY 1, 2").fetchall()
        )


ROUND = Range(MARCH[0], MARCH[4])
PAGES = [Pages(), Pages("/a"), Pages(prefix="/blog/"), Pages("/none"), Pages(pages=True), Pages("/a", host="a.example")]


QUESTIONS: list[Callable[[History], Any]] = [
    lambda kept: kept.days,
    lambda kept: [history_document(kept, Days(4), asked) for asked in PAGES[:5]],
    lambda kept: [most_read_document(kept, Days(3), each, text="a", by_day=True) for each in (PAGES[0], PAGES[4])],
    lambda kept: most_read_document(kept, Days(2), sort="rise"),
    lambda kept: sections_document(kept, Days(4)),
    lambda kept: [referrers_document(kept, Days(4), each) for each in PAGES[:3]],
    lambda kept: [searches_document(kept, Days(4), each) for each in PAGES[:3]],
    lambda kept: bots_document(kept, Days(4)),
    lambda kept: hosts_document(kept, Days(4)),
    lambda kept: [hours_document(kept, day) for day in MARCH[:2]],
    lambda kept: [kept.by_day(key, ROUND) for key in ("/a", "//a.example/a", "//a.example/blog/*")],
]


@pytest.mark.parametrize("options", RULES.values(), ids=RULES)
def test_answers_are_those_of_sqlite(options: tuple[str, ...], url: str, psql: Connection, tmp_path: Path) -> None:
    """With sums, and without."""
    paths = [b"/", b"/a", b"/blog/1", b"/blog/2?x", b"/\xff", b"/style.css", b"/" + b"long" * 4000]
    hosts = [b"a.example ", b"b.example "] if "--by-host" in options else [b""]
    file = str(tmp_path / "hits.db")
    for number, day in enumerate((MARCH[0], MARCH[1], MARCH[3])):
        lines = [
            hosts[at % len(hosts)] + line(path, at, day) for at in range(9) for path in paths[: 2 + number + at % 5]
        ]
        log = write(tmp_path / f"{day}.log", *lines)
        for target in (file, url):
            words = ["rollup", str(day), "--logs", str(log), "--to", target, *options, "--partial", "--quiet"]
            assert CliRunner().invoke(app, words).exit_code == 0
    for question in QUESTIONS:
        of_sqlite, of_postgres = ask(question, file, url)
        assert of_postgres == of_sqlite
    assert_sums_of_sources(psql, file)
    psql.execute("DELETE FROM hits_sums WHERE date = '2026-03-02'")
    sources = [table for table in TEXTS if psql.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,)]
    for table in sources:
        psql.execute(f"TRUNCATE {table}_2026_03_01; UPDATE {table} SET views = views WHERE date = '2026-03-02'")  # type: ignore[arg-type]
        assert {row[0] for row in rows_of(psql, f"{table}_sums")} == {"2026-03-04"}
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(f"DELETE FROM {table} WHERE date = '2026-03-01'")
    for question in QUESTIONS:
        of_sqlite, without_sums = ask(question, file, url)
        assert without_sums == of_sqlite
    open_target(url).catch_up()
    if sources:
        assert {row[0] for row in rows_of(psql, f"{sources[0]}_sums")} == {"2026-03-02", "2026-03-04"}
    psql.execute("DROP TABLE hits_2026_03_02")
    assert History(url).days == [MARCH[0], MARCH[3]]
    assert History(url).site(ROUND)[1] is None


def line(path: bytes, number: int, day: date = date(2026, 3, 12)) -> bytes:
    sources = (b"-", b"https://blog.example/a?b", b"https://www.google.com/search?q=one+two")
    found = hit(path, day, clock=f"{number % 24:02}:00:00").replace(b'"-"', b'"%s"' % sources[number % 3])
    return found.replace(b"Mozilla/5.0 (X11; Linux x86_64)", BOT) if number % 7 == 0 else found


def ask(question: Callable[[History], Any], *databases: str) -> list[Any]:
    """Return the answers of several databases."""
    return [question(History(each)) for each in databases]


def assert_sums_of_sources(psql: Connection, file: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (sums_of(name) for name in TEXTS if name in tables):
            assert rows_of(psql, table) == sorted(database.execute(f"SELECT * FROM {table}")), table
            assert rows_of(psql, table)
