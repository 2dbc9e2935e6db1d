"""Readers of PostgreSQL: they see the old or the new day, and can be interrupted."""

import asyncio
import json
import shlex
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from fasthits.cli.app import app
from fasthits.daily.past.documents import (
    Days,
    history_document,
)
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import state_of
from fasthits.daily.targets.refusals import Change
from fasthits.daily.targets.target import Replaced
from fasthits.daily.urls import shown
from fasthits.errors import TableError
from fasthits.upkeep.doctor import machine
from fasthits.upkeep.doctor.verdicts import Finding, Setup
from fasthits.web.archive import Archive
from tests.daily.postgres.support import MARCH, WAITING, Connection
from tests.support.processes import eventually
from tests.support.targets import replace


def test_a_page_does_not_wait_for_a_database_that_is_locked(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/": 1}})
    page = History(url, patience=0.5)
    with ThreadPoolExecutor() as threads, psql.transaction():
        psql.execute("LOCK TABLE hits IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TableError, match="the server has not answered for 0 s"):
            threads.submit(page.views, "/").result(60)
    assert page.views("/") == {MARCH[0]: 1}


def test_a_reader_sees_the_old_or_the_new_day_while_it_is_replaced(url: str, psql: Connection) -> None:
    replace(url, {MARCH[0]: {b"/": 1}, MARCH[1]: {b"/": 1}})
    history = History(url)
    with ThreadPoolExecutor() as threads:
        with history.at_one_moment():
            replaced = threads.submit(replace, url, {MARCH[0]: {b"/": 5}})
            eventually(lambda: psql.execute(WAITING).fetchone() != (0,))  # it waits for the reader
            replace_new = {MARCH[2]: {b"/": 1}}
            assert history.views("/") == dict.fromkeys(MARCH[:2], 1)
        assert replaced.result() == Replaced(1, [], [Change(MARCH[0], 5, 1)])
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
        watching = asyncio.ensure_future(archive.watch(pytest.fail))
        answer = await archive.ask(history_document, Days())
        while not await archive.state():
            await asyncio.sleep(0.01)
        watching.cancel()
        return answer, await archive.state()

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
