"""The PostgreSQL database that rollups fill: opened to read or to write, and the meaning of its errors."""

import logging
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.datetime import DateBinaryLoader
from psycopg.types.numeric import NumericBinaryLoader

from fasthits.daily.urls import shown
from fasthits.display import printable
from fasthits.errors import TableError, UsageError

LEAST_VERSION = 12
CONNECT_SECONDS = 10
"""How long a connection may take, if neither the URL nor PGCONNECT_TIMEOUT says so."""
SILENT_MILLISECONDS = 60_000
"""A server whose network does not answer for so long is lost."""
ANSWER_SECONDS = 3600.0
"""How long a statement may take until the server sends something. A server that has stopped keeps its connections, and
its network goes on. No statement here takes more than some minutes, for a day of millions of paths."""
SILENT_SECONDS = 30.0
"""How long a server may say nothing until a warning says what is waited for."""
LOCK_SECONDS = 60.0
"""How long a rollup waits for another rollup, and for readers."""
TURN_SECONDS = 1.0
"""Who waits longer for a lock lets others go first: readers that come later wait behind it."""
STREAM_ROWS = 10_000
CANCEL_SECONDS = 0.2
_LOCK = 0x46485453
"""The first half of the number of our advisory lock; the second half is the schema's."""

log = logging.getLogger("fasthits.postgres")
"""Without a handler, Python prints its warnings to standard error: a command does so."""
logging.getLogger("psycopg").addHandler(logging.NullHandler())  # do not print its warnings


_Result = TypeVar("_Result")


class _Iso(DateBinaryLoader):
    """A date as SQLite has it: a text."""

    def load(self, data: Any) -> Any:
        return super().load(data).isoformat()


class _Whole(NumericBinaryLoader):
    """A sum of whole numbers."""

    def load(self, data: Any) -> Any:
        return int(super().load(data))


_SILENT = (
    "fasthits: warning: the server has not answered for {:.0f} s: {} (it may work on a large day, or wait for another "
    "rollup: pg_stat_activity shows it; if neither, look at the server's disk and its log)"
)


class _Connection(psycopg.Connection[Any]):
    """A connection that does not wait for ever, and does not wait for long in silence."""

    name = ""
    patience: float | None = None
    """How long it waits instead of ANSWER_SECONDS."""
    _warned = False

    def wait(self, gen: PQGen[_Result], *args: Any, **kwargs: Any) -> _Result:
        """Wait as psycopg does, but raise OperationalError, with the connection closed, after ANSWER_SECONDS.

        Warns once, after SILENT_SECONDS.
        """
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: PQGen[_Result]) -> PQGen[_Result]:
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                if ready := (yield wanted):
                    heard_at = time.monotonic()
                elif (silent := time.monotonic() - heard_at) > (limit := self.patience or ANSWER_SECONDS):
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {limit:,.0f} s")
                elif silent > SILENT_SECONDS and not self._warned:
                    self._warned = True
                    log.warning(_SILENT.format(SILENT_SECONDS, self.name))
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast(_Result, end.value)


class Postgres:
    """An open database. Its statements take ``?`` for a value, as in SQLite."""

    def __init__(self, connection: "psycopg.Connection[Any]", name: str) -> None:
        self.name = name
        """The URL without the parts that can be secret."""
        self._connection = connection
        self._streams = 0
        for kind, loader in (("date", _Iso), ("numeric", _Whole)):
            connection.adapters.register_loader(kind, loader)

    def execute(self, statement: str, values: Sequence[object] = ()) -> "psycopg.Cursor[Any]":
        """Execute a statement of ours and return a cursor on its rows."""
        return self._connection.execute(_own(statement), values or None, binary=True)

    def stream(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, which may need more memory than there is."""
        self._streams += 1
        with self._connection.cursor(f"fasthits_{self._streams}", binary=True) as cursor:
            cursor.itersize = STREAM_ROWS
            cursor.execute(_own(query), values)
            yield from cursor

    def copy(self, table: str, rows: Iterable[Sequence[object]]) -> int:
        """Copy rows into a table that this transaction has made; return how many.

        They are frozen: nobody rewrites them later. And a transaction that is older sees them, instead of no rows,
        where the table takes the place of another.
        """
        count = 0
        with self._connection.cursor() as cursor, cursor.copy(_own(f"COPY {table} FROM STDIN (FREEZE)")) as copy:
            for count, row in enumerate(rows, 1):  # noqa: B007
                copy.write_row(row)
        return count

    def columns_of(self, table: str) -> list[str]:
        """Return the names of a table's columns, in order; none if there is no such table."""
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
        return [name for (name,) in self.execute(f"{query} ORDER BY attnum", [f'"{table}"'])]

    def errors(self) -> AbstractContextManager[None]:
        """Return a context in which all errors of PostgreSQL are raised as TableError."""
        return as_table_error("cannot read database", self.name)

    def rollback(self) -> None:
        """End the transaction; nothing has changed."""
        self._connection.rollback()

    def interrupt(self) -> None:
        """Let the statement that another thread executes end with an error. Returns at once."""
        Thread(target=self._cancel, name="cancel", daemon=True).start()

    def lock_alone(self, tables: Sequence[str]) -> None:
        """Let nobody else read these tables until the transaction ends. Raises LockNotAvailable after LOCK_SECONDS.

        Readers that come while a lock is waited for would wait, too. So this waits only for moments.
        """
        names = ", ".join(f"ONLY {table}" for table in tables)
        give_up_at = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                with self._connection.transaction():
                    self.execute(f"SET LOCAL lock_timeout = {TURN_SECONDS * 1000:.0f}")
                    self.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
                    self.execute(f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1000:.0f}")
                return
            except psycopg.errors.LockNotAvailable:
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(TURN_SECONDS)

    def _cancel(self) -> None:
        """Cancel until the connection is closed: a statement may begin just after a try."""
        while not self._connection.closed:
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=CONNECT_SECONDS)
            time.sleep(CANCEL_SECONDS)


def _own(statement: str) -> bytes:
    """Return a statement as psycopg has it, which takes ``%s`` for a value."""
    return statement.replace("?", "%s").encode()


@contextmanager
def reading(url: str, patience: float | None = None) -> Iterator[Postgres]:
    """Give the database for reading. All reads see the same moment. Raises TableError, also for errors of the block,
    and if the server is silent for *patience* seconds."""
    with _opened(url, "cannot read database", patience) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        database = Postgres(connection, shown(url))
        # Before the transaction takes its snapshot: a day that is replaced later would seem to be without rows.
        database.execute("LOCK TABLE ONLY hits IN ACCESS SHARE MODE")
        yield database


@contextmanager
def looking(url: str) -> Iterator[Postgres]:
    """Give the database to look what is there; there may be no table."""
    with _opened(url, "cannot write to database") as connection:
        connection.read_only = True
        yield Postgres(connection, shown(url))


@contextmanager
def writing(url: str) -> Iterator[Postgres]:
    """Give the database in a transaction that is committed at the end of the block. No other rollup writes meanwhile.

    If the block raises an error, nothing has changed. Raises TableError, also for errors of the block.
    """
    with _opened(url, "cannot write to database") as connection:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.read_only = False
        database = Postgres(connection, shown(url))
        settings = {
            "lock_timeout": f"{LOCK_SECONDS * 1000:.0f}",
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
            # The server has no statistics of new tables yet. It would take them for small, and join them row by row.
            "enable_nestloop": "off",
            "cursor_tuple_fraction": "1",
        }
        for name, value in settings.items():
            database.execute("SELECT set_config(?, ?, true)", [name, value])
        if database.execute("SELECT current_setting('synchronous_commit')").fetchone() == ("off",):
            database.execute("SET LOCAL synchronous_commit = on")  # a commit waits for the disk
        check_schema(database)
        schema = "SELECT oid::bigint::int FROM pg_namespace WHERE nspname = current_schema()"
        database.execute(f"SELECT pg_advisory_xact_lock({_LOCK}, ({schema}))")
        yield database
        try:
            connection.commit()
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            failed = "the connection was lost during the commit, so the days are either replaced or unchanged"
            raise TableError(failed, database.name, "run this again") from error


def check_schema(database: Postgres) -> None:
    """Raise TableError if the user's search_path names no schema, in which tables could be made."""
    schema, user = database.execute("SELECT current_schema(), quote_ident(current_user)").fetchone() or (None, "")
    if schema is None:
        hint = f"name one: ALTER ROLE {user} SET search_path = public"
        raise TableError("the user's search_path names no schema", database.name, hint)


@contextmanager
def _opened(url: str, failed: str, patience: float | None = None) -> Iterator["psycopg.Connection[Any]"]:
    parameters = _parameters(url)
    if patience is not None and patience < CONNECT_SECONDS:
        parameters["connect_timeout"] = math.ceil(patience)
    with (
        as_table_error(failed, url),
        closing(_Connection.connect(url, prepare_threshold=None, **parameters)) as connection,
    ):
        connection.name = printable(shown(url))
        connection.patience = patience
        version = connection.info.server_version // 10_000
        if version < LEAST_VERSION:
            hint = f"fasthits needs PostgreSQL {LEAST_VERSION} or newer"
            raise TableError(f"PostgreSQL {version} is too old", shown(url), hint)
        yield connection


def _parameters(url: str) -> dict[str, Any]:
    """Return the parameters of a connection that the URL leaves out. Raises UsageError if it is not a URL.

    libpq's message about an invalid URL can have a part of its password, so this does not show it.
    """
    try:
        given = conninfo_to_dict(url)
        ports = str(given.get("port") or "")
        if not ports.replace(",", "").isdigit() and ports:
            raise ValueError
    except (psycopg.ProgrammingError, ValueError):
        hint = "write postgresql://USER@HOST:PORT/DATABASE, and the password into ~/.pgpass"
        raise UsageError("not a URL of PostgreSQL", shown(url), hint) from None
    wanted = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": SILENT_MILLISECONDS,
        "fallback_application_name": "fasthits",
    }
    if "PGCONNECT_TIMEOUT" in os.environ:
        del wanted["connect_timeout"]
    return {name: value for name, value in wanted.items() if name not in given} | {"client_encoding": "utf8"}


@contextmanager
def as_table_error(failed: str, url: str) -> Iterator[None]:
    """Raise TableError for the errors of PostgreSQL that the block raises."""
    try:
        yield
    except psycopg.Error as error:
        text = _first_line(error)
        hint = _HINTS.get(error.sqlstate or "", "") or next((hint for words, hint in _SAID if words in text), "")
        raise TableError(failed, shown(url), text + (f"; {hint}" if hint else "")) from error


def _first_line(error: psycopg.Error) -> str:
    """Return the most useful line of a message from the server or libpq; of several attempts, that of the last."""
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = next((line for line in reversed(lines) if "FATAL:" in line), None)
    if said is None:
        said = lines[-1] if lines[0].startswith("Multiple connection attempts failed") else lines[0]
    return re.sub(r"^(.*FATAL:|connection (failed|is bad):)\s*", "", said).rstrip(".:")


_START = "start the server, or name another: postgresql://USER@HOST:PORT/DATABASE"
_REPLICA = "this server is a replica, or set to read only; name the primary server"
_SAID = (
    ("Connection refused", _START),
    ("No such file or directory", _START),
    ("timeout expired", _START),
    ("resolve host", "is the host right? postgresql://USER@HOST:PORT/DATABASE"),
    ("password authentication failed", "write HOST:PORT:DATABASE:USER:PASSWORD into ~/.pgpass, and chmod 600 it"),
    ("no password supplied", "write HOST:PORT:DATABASE:USER:PASSWORD into ~/.pgpass, and chmod 600 it"),
    ("Peer authentication failed", "run this as that system user, or name a HOST and give a password"),
    ("during recovery", _REPLICA),
    ("conflict with recovery", "the replica has ended this for a rollup's changes; run it again"),
    ("statement pooling mode", "set pool_mode = transaction or session in PgBouncer"),
    ("no pg_hba.conf entry", "allow it in the server's pg_hba.conf"),
    ("does not exist", "createdb or createuser makes it; or name another: postgresql://USER@HOST:PORT/DATABASE"),
    ("has not answered for", "does another program hold a lock? see pg_stat_activity, the server's disk and its log"),
    ("server closed the connection", "is the server running? run this again"),
    ("SSL", "see sslmode and sslrootcert in PostgreSQL's documentation"),
)
"""libpq gives no code for errors of a connection."""

_HINTS = {
    "25006": _REPLICA,
    "42501": "let the user own the database, or GRANT it what it needs",
    "42P01": "fill it: fasthits rollup",
    "42P07": "a table that was detached has the name; rename or drop it",
    "53100": "free some space on the server, then run this again",
    "53200": "roll up fewer days at once, or raise max_locks_per_transaction",
    "55P03": "another rollup or another program uses the tables; try again",
    "57P01": "the server is going down; run this again when it is up",
    "57P03": "the server is starting or going down; run this again",
    "XX001": "restore a backup, or roll up the days again into another database",
}
