"""Errors of PostgreSQL are one line with what to type, and without the password."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from fasthits.cli.app import app
from fasthits.daily.postgres import database as connections
from fasthits.daily.targets.opening import open_target
from fasthits.errors import TableError
from tests.daily.postgres.support import MARCH, Connection
from tests.support.commands import fasthits, write
from tests.support.postgres import Postgres
from tests.support.targets import count, replace


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
    with pytest.raises(TableError, match=r"the partition other: .*ALTER TABLE hits DETACH PARTITION other"):
        table.check()


def test_a_search_path_without_a_schema_is_an_error_with_what_to_type(postgres: Postgres, url: str) -> None:
    table = open_target(f"{url}&options=-csearch_path%3Dmissing")
    for act in (table.check, lambda: table.replace(MARCH[:1], count({MARCH[0]: {b"/": 1}}))):
        with pytest.raises(TableError, match=r"names no schema: .*ALTER ROLE fasthits SET search_path = public"):
            act()


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
