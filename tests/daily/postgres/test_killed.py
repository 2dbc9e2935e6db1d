"""A rollup into PostgreSQL is killed, its server dies, or several run at once: the old or the new numbers are whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fasthits.daily.postgres import database as connections
from fasthits.daily.targets.opening import open_target
from fasthits.errors import TableError
from tests.daily.postgres.support import MARCH, WAITING, Connection, rows_of, sums_in
from tests.support.commands import hit, write
from tests.support.processes import PROJECT, end_process, eventually
from tests.support.targets import replace

NEWEST_SESSION = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'fasthits' AND datname = current_database()
ORDER BY backend_start DESC LIMIT 1
"""
"""A closed session before it may not have ended yet."""

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
            assert psql.execute(f"SELECT pg_terminate_backend(({NEWEST_SESSION}), 9999)").fetchall() == [(True,)]
            yield from ((str(MARCH[0]), f"/{number:090}", 1) for number in range(100_000))

    with pytest.raises(TableError, match=r"cannot write to database: postgresql://fasthits@/stats") as raised:
        open_target(url).replace([MARCH[0]], Dying())  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert rows_of(psql) == [(str(MARCH[0]), "/old", 1)]


@pytest.mark.parametrize("moment", ["copy", "lock", "commit"])
def test_a_server_that_stops_is_not_waited_for_for_ever(
    moment: str, url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process keeps the connection, as when its disk hangs."""
    replace(url, {MARCH[0]: {b"/old": 1}})
    stopped: list[int] = []

    def stopping(act: Callable[..., Any]) -> Callable[..., Any]:
        def stop_and_act(*arguments: object) -> object:
            ((pid,),) = psql.execute(NEWEST_SESSION)
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
            monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.3)
            return act(*arguments)

        return stop_and_act

    owner, name = {
        "copy": (connections.Postgres, "copy"),
        "lock": (connections.Postgres, "lock_alone"),
        "commit": (psycopg.Connection, "commit"),
    }[moment]
    monkeypatch.setattr(owner, name, stopping(getattr(owner, name)))
    said = "are either replaced or unchanged" if moment == "commit" else "the server has not answered for 0 s"
    try:
        with pytest.raises(TableError, match=said) as raised:
            replace(url, {MARCH[0]: {b"/new": 2}})
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert "\n" not in str(raised.value)
    (row,) = rows_of(psql)
    assert row in (
        [(str(MARCH[0]), "/old", 1), (str(MARCH[0]), "/new", 2)] if moment == "commit" else [(str(MARCH[0]), "/old", 1)]
    )


SILENT = """
import os, signal, sys
from threading import Timer
from fasthits.daily.postgres import database as connections

connections.SILENT_SECONDS = 0.3
with connections.looking(sys.argv[1]) as database:
    (pid,) = database.execute("SELECT pg_backend_pid()").fetchone()
    os.kill(pid, signal.SIGSTOP)
    Timer(1, os.kill, [pid, signal.SIGCONT]).start()
    print(*database.execute("SELECT 1").fetchone())
    database.execute("SELECT pg_sleep(0.6)")
"""


def test_a_warning_says_once_that_a_silent_server_is_waited_for(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", SILENT, url], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr.startswith("fasthits: warning: the server has not answered for 0 s: postgresql://")
    assert done.stderr.endswith("shows it; if neither, look at the server's disk and its log)\n"), (
        "it says no limit: for another rollup it waits a minute, for the disk an hour"
    )
    assert done.stderr.count("\n") == 1


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


def test_a_rollup_may_begin_while_another_replaces_days(url: str, psql: Connection) -> None:
    """The server waits for the transaction that drops the old partition, and then it has no name for it."""
    replace(url, {MARCH[0]: {b"/": 1}})
    with ThreadPoolExecutor() as threads:
        with psql.transaction():
            psql.execute("DROP TABLE hits_2026_03_01")
            checked = threads.submit(open_target(url).check)
            eventually(lambda: psql.execute(WAITING).fetchone() != (0,) or checked.done())
        checked.result(60)


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
