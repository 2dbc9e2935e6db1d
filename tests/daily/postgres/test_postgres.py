"""PostgreSQL: it has the same rows and answers as SQLite, and a day is replaced as a whole or not at all."""

import asyncio
import json
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
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
from fasthits.daily.past.opening import state_of
from fasthits.daily.postgres import database as connections
from fasthits.daily.sqlite.referrers import TEXTS, sums_of
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import Fewer
from fasthits.daily.targets.target import Replaced
from fasthits.daily.urls import shown
from fasthits.errors import TableError
from fasthits.upkeep.doctor import machine
from fasthits.upkeep.doctor.verdicts import Finding, Setup
from fasthits.web.archive import Archive
from tests.support.commands import fasthits, hit, write
from tests.support.postgres import Postgres
from tests.support.processes import PROJECT, end_process, eventually
from tests.support.targets import count, replace

Connection = psycopg.Connection[Any]

MARCH = [date(2026, 3, day) for day in range(1, 32)]
BOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = "
    "current_database())"
)


def rows_of(psql: Connection, table: str = "hits") -> list[tuple[Any, ...]]:
    columns = [name for (name,) in psql.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position", [table]
    )]  # fmt: skip
    texts = ", ".join("date::text" if name == "date" else name for name in columns)
    return psql.execute(f"SELECT {texts} FROM {table} ORDER BY {', '.join(columns)}").fetchall()  # type: ignore[arg-type]


def sums_in(psql: Connection) -> list[tuple[Any, ...]]:
    return psql.execute("SELECT date::text, host, views, bots, rows FROM hits_sums ORDER BY 1, 2").fetchall()


def line(path: bytes, number: int, day: date = date(2026, 3, 12)) -> bytes:
    sources = (b"-", b"https://blog.example/a?b", b"https://www.google.com/search?q=one+two")
    found = hit(path, day, clock=f"{number % 24:02}:00:00").replace(b'"-"', b'"%s"' % sources[number % 3])
    return found.replace(b"Mozilla/5.0 (X11; Linux x86_64)", BOT) if number % 7 == 0 else found


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


def test_some_days_are_replaced_and_the_others_stay(url: str, psql: Connection) -> None:
    replace(url, {day: {b"/": 1, b"/old": 2} for day in MARCH[:4]})
    assert replace(url, {MARCH[1]: {b"/": 5}, MARCH[2]: {}}, with_fewer=True) == Replaced(1, [])
    assert rows_of(psql) == [
        *((str(MARCH[0]), path, views) for path, views in (("/", 1), ("/old", 2))),
        (str(MARCH[1]), "/", 5),
        *((str(MARCH[3]), path, views) for path, views in (("/", 1), ("/old", 2))),
    ]
    assert [row[:3] for row in sums_in(psql)] == [(str(day), "", views) for day, views in zip(MARCH, (3, 5, 0, 3))]  # noqa: B905


def test_a_day_with_fewer_hits_stays_as_it_is_in_all_tables(url: str, psql: Connection) -> None:
    replace(url, {day: {b"/": 5} for day in MARCH[:2]})
    before = rows_of(psql)
    assert replace(url, {MARCH[0]: {b"/": 4}}) == Replaced(0, [Fewer(MARCH[0], 4, 5)])
    assert replace(url, {MARCH[0]: {b"/": 4}, MARCH[1]: {b"/": 6}}) == Replaced(1, [Fewer(MARCH[0], 4, 5)])
    assert rows_of(psql) == [before[0], (str(MARCH[1]), "/", 6)]


def test_an_empty_log_does_not_erase_a_day(url: str, psql: Connection, tmp_path: Path) -> None:
    replace(url, {MARCH[0]: {b"/": 1}})
    write(tmp_path / "access.log")
    done = fasthits("rollup", str(MARCH[0]), "--logs", str(tmp_path / "access.log"), "--to", url)
    assert done.returncode == 1
    assert b"the log is empty, left unchanged: 2026-03-01" in done.stderr
    assert rows_of(psql) == [(str(MARCH[0]), "/", 1)]


def test_zero_bytes_are_written_as_escapes_and_equal_rows_add_up(url: str, psql: Connection) -> None:
    """Texts in PostgreSQL cannot hold zero bytes."""
    assert replace(url, {MARCH[0]: {b"/a\0": 1, b"/a\\x00": 2, b"/b": 4}}) == Replaced(2, [])
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


def ask(question: Callable[[History], Any], *databases: str) -> list[Any]:
    """Return the answers of several databases."""
    return [question(History(each)) for each in databases]


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


def assert_sums_of_sources(psql: Connection, file: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (sums_of(name) for name in TEXTS if name in tables):
            assert rows_of(psql, table) == sorted(database.execute(f"SELECT * FROM {table}")), table
            assert rows_of(psql, table)


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


def test_a_reader_sees_the_old_or_the_new_day_while_it_is_replaced(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/": 1}, MARCH[1]: {b"/": 1}})
    history = History(url)
    with ThreadPoolExecutor() as threads:
        with history.at_one_moment():
            replaced = threads.submit(replace, url, {MARCH[0]: {b"/": 5}})
            eventually(lambda: psql.execute(WAITING).fetchone() != (0,))  # it waits for the reader
            replace_new = {MARCH[2]: {b"/": 1}}
            assert history.views("/") == dict.fromkeys(MARCH[:2], 1)
        assert replaced.result() == Replaced(1, [])
    replace(url, replace_new)
    assert history.views("/") == {MARCH[0]: 5, MARCH[1]: 1, MARCH[2]: 1}


def test_a_reader_that_begins_while_a_day_is_replaced_sees_the_new_day(url: str, psql: Connection) -> None:
    """It sees the state at the moment when it gets the lock. Earlier it would see the new partition without rows."""
    replace(url, {MARCH[0]: {b"/": 1}})
    with ThreadPoolExecutor() as threads:
        with psql.transaction():
            psql.execute("LOCK TABLE ONLY hits IN ACCESS EXCLUSIVE MODE")
            found = threads.submit(History(url).views, "/")
            eventually(lambda: psql.execute(WAITING).fetchone() != (0,))
            psql.execute("CREATE TABLE new (LIKE hits); INSERT INTO new VALUES ('2026-03-01', '/', 7)")
            psql.execute("DELETE FROM hits_sums")
            psql.execute(
                "DROP TABLE hits_2026_03_01; ALTER TABLE hits ATTACH PARTITION new FOR VALUES IN ('2026-03-01')"
            )
        assert found.result() == {MARCH[0]: 7}


def test_an_interrupted_question_ends_on_the_server_too(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/": 1}})
    history = History(url)

    def ask_for_ever() -> None:
        with history._kept() as kept:
            kept._ask("SELECT pg_sleep(600)")

    with ThreadPoolExecutor() as threads:
        asked = threads.submit(ask_for_ever)
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        eventually(lambda: psql.execute(running).fetchone() != (0,))
        history.interrupt()
        with pytest.raises(TableError, match="cannot read database"):
            asked.result(30)
    eventually(lambda: psql.execute(running).fetchone() == (0,))
    with pytest.raises(TableError, match="interrupted"):
        history.views("/")


def test_a_state_changes_with_rollups_and_with_changes_of_other_programs(url: str, psql: Connection) -> None:
    assert state_of(url) == ""
    replace(url, {MARCH[0]: {b"/": 1}})
    seen = {state_of(url)}
    replace(url, {MARCH[1]: {b"/": 1}})
    seen.add(state_of(url))
    replace(url, {MARCH[1]: {b"/": 1}})
    seen.add(state_of(url))
    psql.execute("UPDATE hits SET views = 2 WHERE date = '2026-03-01'")
    seen.add(state_of(url))
    assert len(seen) == 4
    assert "" not in seen


def test_the_command_line_and_the_web_server_read_the_database(url: str) -> None:
    replace(url, {MARCH[0]: {b"/": 3}})
    for command in ("most-read", "history"):
        done = CliRunner().invoke(app, [command, "--date", "2026-03-01", "--database", url, "--csv"])
        assert done.stdout.splitlines()[1].startswith("2026-03-01,")
        assert done.exit_code == 0
    done = CliRunner().invoke(app, ["report", "--date", "2026-03-01", "--database", url, "--to", "-"])
    assert "How often was each page read?" in done.stdout

    async def ask_archive() -> tuple[bytes, str]:
        archive = Archive(url)
        watching = asyncio.ensure_future(archive.watch())
        answer = await archive.ask(history_document, Days())
        while not archive.state():
            await asyncio.sleep(0.01)
        watching.cancel()
        return answer, archive.state()

    answer, state = asyncio.run(ask_archive())
    assert json.loads(answer)["total"] == 3
    assert state_of(url) in state


def test_doctor_and_conf_know_urls(url: str) -> None:
    setup = Setup((), ":1:", (), url, {}, None, None, None)
    assert machine.kept_days(setup, MARCH[4]) == "nothing is kept yet"
    assert machine.database(setup) == f"{shown(url)} can be written"
    replace(url, {day: {b"/": 3} for day in (MARCH[0], MARCH[3])})
    with pytest.raises(Finding, match="kept up to 2026-03-04; 2 days are missing") as raised:
        machine.kept_days(setup, MARCH[4])
    assert shlex.split(raised.value.remedy)[-2:] == ["--to", shown(url)]
    done = CliRunner().invoke(app, ["conf", "--database", "postgresql://me:secret@host/x"])
    assert done.exit_code == 2
    assert "conf takes no URL: postgresql://me@host/x" in done.stderr


def test_a_reader_says_that_a_database_has_no_tables(url: str) -> None:
    done = CliRunner().invoke(app, ["most-read", "--database", url])
    assert done.exit_code == 1
    assert done.stderr == (
        f'fasthits: cannot read database: {shown(url)} (relation "hits" does not exist; fill it: fasthits rollup)\n'
    )


KILLED = """
import os, signal, sys
from datetime import date
import psycopg
from fasthits._parse import HitTable
from fasthits.daily.postgres import target
from fasthits.daily.targets.opening import open_target

day, moment = date(2026, 3, 1), sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def some(rows, *, real=target._Days._storable):
    def of_day(self, rows):
        for number, row in enumerate(real(self, rows)):
            if number == 30_000:
                die()
            yield row
    return of_day

if moment == "copy":
    target._Days._storable = some(None)
elif moment == "attach":
    target._Days.attach = die
elif moment == "commit":
    psycopg.Connection.commit = die
else:
    commit = psycopg.Connection.commit
    psycopg.Connection.commit = lambda self: (commit(self), die())
hit_table = HitTable()
for number in range(40_000):
    hit_table.add(day, b"/new/%d" % number, 1)
open_target(sys.argv[1]).replace([day], hit_table)
"""


@pytest.mark.parametrize(("moment", "new"), [("copy", False), ("attach", False), ("commit", False), ("after", True)])
def test_after_a_kill_at_any_moment_the_old_or_the_new_numbers_are_whole(
    moment: str, new: bool, url: str, psql: Connection
) -> None:
    replace(url, {day: {b"/old": 2} for day in MARCH[:2]})
    before = rows_of(psql)
    assert subprocess.run([sys.executable, "-c", KILLED, url, moment], cwd=PROJECT).returncode == -signal.SIGKILL
    found = rows_of(psql)
    assert (found == before) is not new
    assert len(found) == (40_001 if new else 2)
    assert [row[2] for row in sums_in(psql)] == ([40_000, 2] if new else [2, 2])
    replace(url, {MARCH[0]: {b"/old": 50_000}})
    assert rows_of(psql) == [(str(MARCH[0]), "/old", 50_000), before[1]]


def test_a_server_that_dies_while_rows_are_copied_keeps_the_old_rows(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/old": 1}})

    class Dying:
        """A hit table that breaks the connection when its rows have been read."""

        bots = None

        def views_by_day(self) -> dict[date, int]:
            return {MARCH[0]: 9}

        def escape(self) -> None: ...

        def sorted_rows(self, as_text: bool) -> Iterator[tuple[str, str, int]]:
            yield str(MARCH[0]), "/new", 1
            found = "SELECT pg_terminate_backend(pid, 9999) FROM pg_stat_activity WHERE application_name = 'fasthits'"
            assert psql.execute(found).fetchall() == [(True,)]
            yield from ((str(MARCH[0]), f"/{number:090}", 1) for number in range(100_000))

    with pytest.raises(TableError, match=r"cannot write to database: postgresql://fasthits@/stats") as raised:
        open_target(url).replace([MARCH[0]], Dying())  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert rows_of(psql) == [(str(MARCH[0]), "/old", 1)]


SEVERAL = (
    "import sys; from datetime import date;"
    "from fasthits._parse import HitTable; from fasthits.daily.targets.opening import open_target;"
    "day, views = date(2026, 3, int(sys.argv[2])), int(sys.argv[3]); hit_table = HitTable();"
    "[hit_table.add(day, b'/%d' % number, views) for number in range(5000)];"
    "open_target(sys.argv[1]).replace([day], hit_table)"
)


def test_rollups_at_once_of_different_days_and_of_the_same_day(url: str, psql: Connection) -> None:
    """They also create the tables at the same time. The count with the most hits stays, whichever comes first."""
    command = [sys.executable, "-c", SEVERAL, url]
    wanted = [(1, 1), (1, 3), (1, 2), (2, 1), (3, 1)]
    running = [subprocess.Popen([*command, str(day), str(views)], cwd=PROJECT) for day, views in wanted]
    assert [process.wait() for process in running] == [0] * len(wanted)
    assert [(row[0], row[2]) for row in sums_in(psql)] == [
        ("2026-03-01", 15_000),
        ("2026-03-02", 5_000),
        ("2026-03-03", 5_000),
    ]
    assert psql.execute("SELECT count(*), max(id) FROM hits_paths WHERE id > 0").fetchone() == (5_000, 5_000)


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


def test_a_signal_ends_a_rollup_that_waits_for_another(url: str, psql: Connection, tmp_path: Path) -> None:
    replace(url, {MARCH[0]: {b"/": 1}})
    log = write(tmp_path / "access.log", hit("/", MARCH[0]), hit("/", MARCH[0]))
    options = ["rollup", str(MARCH[0]), "--logs", str(log), "--partial", "--to", url]
    with psql.transaction(), (tmp_path / "stderr").open("w") as stderr:
        psql.execute("LOCK TABLE hits IN SHARE MODE")
        waiting = subprocess.Popen([sys.executable, "-m", "fasthits", *options], cwd=PROJECT, stderr=stderr)
        try:
            eventually(lambda: psql.execute(WAITING).fetchone() != (0,))
            waiting.send_signal(signal.SIGTERM)
            assert waiting.wait(30) == 143
        finally:
            end_process(waiting)
    assert (tmp_path / "stderr").read_text() == "fasthits: ended by SIGTERM\n"
    assert rows_of(psql) == [(str(MARCH[0]), "/", 1)]


def test_a_rollup_that_waits_too_long_for_another_is_an_error(
    url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(connections, "TURN_SECONDS", 0.1)
    replace(url, {MARCH[0]: {b"/": 1}})
    with psql.transaction():
        psql.execute("SELECT FROM hits")
        replace(url, {MARCH[1]: {b"/": 1}})  # readers do not delay a new day
        with pytest.raises(
            TableError, match=r"lock timeout; another rollup or another program uses the tables; try again"
        ):
            replace(url, {MARCH[0]: {b"/": 2}})
    assert rows_of(psql) == [("2026-03-01", "/", 1), ("2026-03-02", "/", 1)]


def test_other_tables_of_the_same_names_are_errors(url: str, psql: Connection) -> None:
    table = open_target(url)
    psql.execute("CREATE TABLE hits (id int)")
    with pytest.raises(
        TableError, match=r"these options make a table hits \(date, path, views\), but the database has \(id\)"
    ):
        table.check()
    psql.execute("DROP TABLE hits; CREATE TABLE hits (date date, path text, views bigint)")
    for act in (table.check, lambda: table.replace(MARCH[:1], count({MARCH[0]: {b"/": 1}}))):
        with pytest.raises(TableError, match="another program has made the table hits"):
            act()
    psql.execute("DROP TABLE hits; CREATE TABLE hits_paths (path text)")
    with pytest.raises(TableError, match=r"another program has made the table hits_paths \(path\)"):
        table.check()
    psql.execute("DROP TABLE hits_paths")
    replace(url, {MARCH[0]: {b"/": 1}})
    psql.execute("CREATE TABLE other PARTITION OF hits DEFAULT")
    with pytest.raises(TableError, match="another program has made the partition other"):
        table.check()


@pytest.fixture
def guest(postgres: Postgres, url: str) -> Iterator[str]:
    """The name of a user with a password and without rights."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
        yield "guest"
        connection.execute("DROP ROLE guest")


def said(target: str, **environment: str) -> str:
    """Return the message of a rollup to *target* that fails before it reads a log."""
    runner = CliRunner(env=environment)
    done = runner.invoke(app, ["rollup", "2026-03-12", "--logs", "/dev/null", "--to", target])
    assert done.exit_code in (1, 2), done.stderr
    return done.stderr


def test_errors_are_one_line_with_what_to_type_and_without_the_password(
    postgres: Postgres, url: str, guest: str, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    database = url.partition("@/")[2].partition("?")[0]
    postgres.rule("local all guest scram-sha-256")
    wrong = postgres.url(database, guest, "secret")
    passwords = write(tmp_path / "pgpass", f"*:*:*:{guest}:secret\n".encode())
    passwords.chmod(0o600)
    expected = [
        (f"postgresql://me:secret@/x?host={nowhere}", "No such file or directory", "start the server"),
        ("postgresql://me:secret@127.0.0.1:1/x", "Connection refused", "start the server"),
        (wrong, "password authentication failed", "~/.pgpass"),
        (postgres.url(database, guest), "no password supplied", "~/.pgpass"),
        (postgres.url("missing"), 'database "missing" does not exist', "createdb"),
        (
            postgres.url(database, guest, "right"),
            "user guest has no right to make tables",
            "GRANT CREATE ON SCHEMA public TO guest",
        ),
        ("postgresql://me:sec/ret@/x", "not a URL of PostgreSQL", "postgresql://USER@HOST:PORT/DATABASE"),
        ("postgresql://me:se%cret@host/x", "not a URL of PostgreSQL", "postgresql://USER@HOST:PORT/DATABASE"),
    ]
    for target, failed, hint in expected:
        text = said(target)
        assert failed in text
        assert hint in text
        assert text.count("\n") == 1
        assert "secret" not in text
        assert "ret@" not in text
    assert "password authentication failed" in said(postgres.url(database, guest), PGPASSFILE=str(passwords))
    passwords.write_text(f"*:*:*:{guest}:right\n")
    assert "has no right" in said(postgres.url(database, guest), PGPASSFILE=str(passwords))
    assert "has no right" in said(postgres.url(database, guest), PGPASSWORD="right")
    services = write(
        tmp_path / "services",
        f"[stats]\nhost={postgres.directory}\nuser={guest}\npassword=right\ndbname={database}\n".encode(),
    )
    assert "has no right" in said("postgresql://?service=stats", PGSERVICEFILE=str(services))


def test_a_rollup_without_psycopg_says_what_to_install(tmp_path: Path) -> None:
    done = fasthits(
        "rollup",
        "2026-03-12",
        "--to",
        "postgresql://me:secret@host/x",
        first="import sys; sys.modules['psycopg'] = None",
    )
    assert done.returncode == 1
    said = "this needs the extra `postgres`: postgresql://me@host/x (pip install 'fasthits[postgres]')"
    assert done.stderr.decode() == f"fasthits: {said}\n"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("cannot set transaction read-write mode during recovery", "name the primary server"),
        ("terminating connection due to conflict with recovery", "run it again"),
        ("transaction blocks not allowed in statement pooling mode", "pool_mode = transaction"),
    ],
)
def test_refusals_of_replicas_and_poolers_are_reported_with_what_to_do(
    said: str, hint: str, url: str, psql: "psycopg.Connection[Any]"
) -> None:
    """The server in this test sends the messages of a replica of PostgreSQL 15 and of PgBouncer 1.18."""
    with pytest.raises(TableError, match=hint), connections.as_table_error("cannot read database", url):
        psql.execute(f"DO $$ BEGIN RAISE EXCEPTION '{said}'; END $$")
