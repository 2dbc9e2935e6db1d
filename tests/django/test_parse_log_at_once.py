"""`manage.py parse_log` in its own processes: several at the same time, and a process that is killed."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from fasthits.django import live, ranking
from fasthits.django.models import Hits, MostRead
from fasthits.django.ranking import most_read
from tests.django_app.models import PressRelease
from tests.support.commands import write
from tests.support.logger import DAY, access_line
from tests.support.processes import PROJECT, eventually

pytestmark = pytest.mark.slow


def start(log: Path, where: dict[str, Any], *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.django_app", "parse_log", str(DAY), "--logs", str(log), *options]
    environment = os.environ | {"SITE_DATABASE": json.dumps(where)}
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_several_runs_at_once_leave_the_day_with_the_most_hits(shared_tables: dict[str, Any], tmp_path: Path) -> None:
    """A run with n hits has hits of the first n objects. So a run with more hits has all hits of the others."""
    PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(1, 4))
    logs = [
        write(tmp_path / f"{number}.log", *(access_line(f"/press/x{each + 1}/") for each in range(number)))
        for number in (2, 3, 1)
    ]  # fmt: skip
    running = [start(log, shared_tables) for log in logs]
    for process in running:
        with process:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0 or b" counted, " in said, said
    assert {hits.content_object.slug: hits.views for hits in Hits.objects.all()} == {
        f"x{number}": 1 for number in range(1, 4)
    }


def test_lists_of_the_most_read_that_two_runs_keep_at_once(shared_tables: dict[str, Any]) -> None:
    """The other run waits for the transaction of this run, and then replaces its lists."""
    release = PressRelease.objects.create(title="x", slug="x1")
    Hits.objects.create(date=live.today() - timedelta(1), content_object=release, views=5)
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            ranking.keep("default")
            other = threads.submit(keep_in_another_connection)
            eventually(lambda: is_waited_for() or other.done(), 30.0)
        other.result(timeout=60)
    assert most_read(PressRelease) == [release]
    assert MostRead.objects.filter(first=live.today() - timedelta(7)).count() == 1


def keep_in_another_connection() -> None:
    try:
        ranking.keep("default")
    finally:
        connection.close()


def is_waited_for() -> bool:
    """Tell whether another connection waits for a lock. SQLite cannot tell; for SQLite the result is always True."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_another_program_locks_is_reported_with_what_to_do(
    shared_tables: dict[str, Any], tmp_path: Path
) -> None:
    release = PressRelease.objects.create(title="x", slug="x1")
    log = write(tmp_path / "log", access_line("/press/x1/"))
    with transaction.atomic():
        Hits.objects.create(date=DAY, content_object=release, views=9)
        with start(log, shared_tables) as process:
            _, said = process.communicate(timeout=60)
    failed = b"cannot save hits, nothing changed: database is locked (another program is using it: run this again)\n"
    assert (process.returncode, said) == (1, b"CommandError: " + failed)


GATE = 4711
"""The number of an advisory lock of PostgreSQL."""


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_run_waits_for_another_run_and_compares_with_its_hits(shared_tables: dict[str, Any], tmp_path: Path) -> None:
    """The run with five hits pauses in its transaction until the other run waits for it."""
    PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in (3, 5))
    more, less = (
        write(tmp_path / f"{number}.log", access_line(f"/press/x{number}/") * number) for number in (5, 3)
    )  # fmt: skip
    with ExitStack() as running, connection.cursor() as cursor:

        def waiting(kind: str) -> int:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = %s", [kind])
            return int(cursor.fetchone()[0])

        cursor.execute("SELECT pg_advisory_lock(%s)", [GATE])
        cursor.execute(
            f"CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql "
            f"AS $$ BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN NEW; END $$;"
            "CREATE TRIGGER gate AFTER INSERT ON fasthits_hits FOR EACH ROW WHEN (NEW.views = 5) "
            "EXECUTE FUNCTION wait_at_gate()"
        )
        try:
            first = running.enter_context(start(more, shared_tables))
            eventually(lambda: waiting("advisory"), 60, "the first one is in its transaction")
            second = running.enter_context(start(less, shared_tables))
            eventually(lambda: waiting("transactionid") or second.poll() is not None, 60, "the second one waits")
            cursor.execute("SELECT pg_advisory_unlock(%s)", [GATE])
            first.communicate(timeout=60)
            _, said = second.communicate(timeout=60)
            assert (first.returncode, second.returncode) == (0, 1)
            assert b"fewer hits than are kept, left unchanged: 2026-03-12: 3 counted, 5 kept" in said
        finally:
            cursor.execute("SELECT pg_advisory_unlock_all()")
            cursor.execute("DROP TRIGGER gate ON fasthits_hits; DROP FUNCTION wait_at_gate")
    assert [(hits.content_object.slug, hits.views) for hits in Hits.objects.all()] == [("x5", 5)]


KILLED = """
import os, signal
import django
django.setup()
from fasthits.django import history

def rows_then_kill(day, key, views, database, make=history._row):
    rows_then_kill.made += 1
    if rows_then_kill.made == 400:
        os.kill(os.getpid(), signal.%s)
    return make(day, key, views, database)

rows_then_kill.made = 0
history._row, history.SAVED_ROWS = rows_then_kill, 100
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "parse_log", "2026-03-12", "--logs", "%s"])
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_after_a_kill_while_it_saves_the_old_numbers_are_whole(
    shared_tables: dict[str, Any], tmp_path: Path, name: str
) -> None:
    PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(600))
    log = write(tmp_path / "a.log", *(access_line(f"/press/x{number}/") for number in [0] * 6 + [*range(600)]))
    old = write(tmp_path / "old.log", access_line("/press/x0/") * 7)
    call_command("parse_log", str(DAY), "--logs", str(old))
    where = {"SITE_DATABASE": json.dumps(shared_tables), "DJANGO_SETTINGS_MODULE": "tests.django_app.settings"}
    program = [sys.executable, "-c", KILLED % (name, log)]
    killed = subprocess.run(program, cwd=PROJECT, env=os.environ | where, capture_output=True)
    if name == "SIGKILL":
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    else:
        assert killed.returncode == 128 + signal.Signals[name]
        assert killed.stderr.decode() == f"CommandError: ended by {name}\n"
    assert [(hits.content_object.slug, hits.views) for hits in Hits.objects.all()] == [("x0", 7)]
    call_command("parse_log", str(DAY), "--logs", str(log))
    assert Hits.objects.count() == 600
