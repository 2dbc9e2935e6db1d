"""The SQLite file that rollups fill: opened to read or to write, and recovered after a kill.

The file has a rollback journal, not a write-ahead log. Readers go on while a rollup writes, because the rollup keeps
its changes in memory until it commits (WRITE_CACHE_BYTES). A write-ahead log would need files beside the database that
every reader can write, and does not work on a network file system; writing 300,000 rows through it took four times as
long.

A rollup that is killed while it commits leaves its journal behind. From it, SQLite restores the old rows when a process
opens the database for writing. So a reader, which opens it for reading only, opens it for writing once in that case.
"""

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

from fasthits.daily.atomic import check_maker, resolve
from fasthits.daily.layouts import Cell, Layout
from fasthits.daily.sqlite.referrers import columns_of
from fasthits.errors import ForeignFileError, TableError

READ_LOCK_SECONDS = 2.0
"""How long a reader waits while a rollup commits: people and monitors wait for the answer."""
LOOK_LOCK_SECONDS = 10.0
"""How long a rollup that only reads waits while another rollup commits."""
WRITE_LOCK_SECONDS = 60.0
"""How long a rollup waits for another rollup, and for readers."""
OWN_TABLES = {"hits", "hits_paths"}
"""Every file of fasthits has one of these, also if somebody has dropped the table hits to fill it anew."""
NAME_ANOTHER = "name another file"
MAX_VARIABLES = 999
"""Of a statement in SQLite before 3.32."""
SIGNAL_SECONDS = 0.25
"""Python handles a signal between two waits of SQLite, not while SQLite waits."""
SIGNAL_STEPS = 100_000
"""SQLite looks for signals after this many steps of a query: some milliseconds."""
CSV_CACHE_BYTES = 64 << 20
"""The rows of a CSV file are kept in memory up to this size, beyond it in a temporary file."""
WRITE_CACHE_BYTES = 256 << 20
"""A rollup keeps its changes in memory up to this size, and up to a quarter of ``--max-memory``. It writes more than
that at once, and readers wait."""


class Sqlite:
    """A SQLite file that is open to read, for `Kept`."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self.name = file
        self._connection = connection
        self.execute = self.stream = connection.execute
        self.interrupt = connection.interrupt

    def columns_of(self, table: str) -> list[str]:
        """Return the names of a table's columns, in order; none if there is no such table."""
        return columns_of(self._connection, table)

    def errors(self) -> AbstractContextManager[None]:
        """Return a context in which all errors of SQLite are raised as TableError."""
        return as_table_error("cannot read database", self.name)


@contextmanager
def reading(file: Path, lock_seconds: float = READ_LOCK_SECONDS) -> Iterator[sqlite3.Connection]:
    """Give the database for reading. All reads see the same moment. Raises TableError, also for SQLite errors of the
    block.

    A CSV file of a rollup is read into a temporary database, which takes 3 s for a million rows.
    """
    _check_permission(file)
    with as_table_error("cannot read database", file):
        path = _own_file(file)
        if file.suffix.lower() == ".csv":
            found = _load_csv(path)
        else:
            _leave_alone(path, file)
            found = _open_to_read(path, lock_seconds)
    with closing(found) as database, _errors_told("cannot read database", file), _ended_by_signals(database):
        _check_program(database, file)
        yield database


def _check_permission(file: Path) -> None:
    """Raise TableError if there is no such file, or if this user may not read it: SQLite has one error for that and for
    a journal that it cannot undo."""
    try:
        is_file = stat.S_ISREG(os.stat(file).st_mode)
        denied = is_file and not os.access(file, os.R_OK, effective_ids=True)
    except OSError as error:
        is_file, denied = False, error.errno == errno.EACCES
    if denied:
        hint = "run this as its owner, or let this user join its group, as with usermod -aG fasthits USER"
        raise TableError("no permission to read database", file, hint)
    if not is_file:
        hint = "fasthits rollup makes it; --database or FASTHITS_TO names another"
        if os.path.isdir(file):
            hint = "it is a folder, such as Docker makes when it shall mount a file that does not exist; name the file"
        raise TableError("no such database", file, hint)


@contextmanager
def writing(file: Path, max_bytes: int | None = None) -> Iterator[sqlite3.Connection]:
    """Give the database in a transaction that is committed at the end of the block. No other process writes meanwhile.

    The file is created if it does not exist. If the block raises an error, nothing has changed. Raises TableError, also
    for SQLite errors of the block. Changes take a quarter of *max_bytes* of memory at most.
    """
    cache_bytes = min(WRITE_CACHE_BYTES, max_bytes // 4) if max_bytes else WRITE_CACHE_BYTES
    with as_table_error("cannot write to SQLite file", file):
        path = _own_file(file, make=True)
        with closing(_connect(path, "rw", WRITE_LOCK_SECONDS)) as database:
            database.execute(f"PRAGMA cache_size = -{cache_bytes >> 10}")
            database.execute("PRAGMA synchronous = EXTRA")  # a commit waits for the disk
            _wait_to(database, "BEGIN IMMEDIATE")
            _check_program(database, file)
            yield database
            if database.in_transaction:
                _wait_to(database, "COMMIT")


def _wait_to(database: sqlite3.Connection, statement: str) -> None:
    """Execute a statement that may have to wait for others. A signal can end the wait: SQLite's own waits are short."""
    give_up_at = time.monotonic() + WRITE_LOCK_SECONDS
    database.execute(f"PRAGMA busy_timeout = {SIGNAL_SECONDS * 1000:.0f}")
    while True:
        try:
            database.execute(statement)
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
    database.execute(f"PRAGMA busy_timeout = {WRITE_LOCK_SECONDS * 1000:.0f}")


def _own_file(file: Path, make: bool = False) -> Path:
    """Return the file that *file* leads to; with *make*, create it if it does not exist.

    Raises PermissionError if another user has made the file, or a file that SQLite would take for its journal: see
    `resolve`.
    """
    path = resolve(file)
    if make:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    for suffix in ("", "-journal", "-wal", "-shm"):
        check_maker(Path(f"{path}{suffix}"))
    return path


def _connect(path: Path, mode: str, lock_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=lock_seconds, isolation_level=None)


def _leave_alone(path: Path, file: Path) -> None:
    """Raise TableError if another program has made the file, as far as that shows without opening its write-ahead log:
    that would leave a -wal and a -shm beside it, which could keep the other program from its file."""
    with suppress(sqlite3.Error), closing(_connect(path, "ro&immutable=1", 0)) as database:
        _check_program(database, file)


def _open_to_read(path: Path, lock_seconds: float) -> sqlite3.Connection:
    try:
        return _begin_to_read(path, "ro", lock_seconds)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
    # SQLite restores the old rows after a killed rollup only if it may write.
    try:
        _begin_to_read(path, "rw", lock_seconds).close()
    except sqlite3.OperationalError as error:
        is_left = any(os.path.exists(f"{path}{suffix}") for suffix in ("-journal", "-wal"))
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or not is_left:
            raise  # if nothing is left to undo, SQLite could not open a file, such as for want of descriptors
        failed = "a rollup was killed while it wrote, and only a user who may write to the database can undo that"
        command = f"sudo -u '#{path.stat().st_uid}' fasthits most-read --database {path}"
        raise TableError(failed, path, f"run once: {command}") from error
    return _begin_to_read(path, "ro", lock_seconds)


def _load_csv(path: Path) -> sqlite3.Connection:
    """Return a temporary database with the rows of a CSV file and of the other tables' files: hits.csv,
    hits.referrers.csv."""
    from fasthits.daily.csv.files import NUMBERS, file_of, read_csv
    from fasthits.daily.layouts import BESIDE

    database = sqlite3.connect("", isolation_level=None)  # in memory, and on the disk if it grows
    try:
        database.execute(f"PRAGMA cache_size = -{CSV_CACHE_BYTES >> 10}")
        database.execute("PRAGMA journal_mode = OFF")
        for table in ("hits", *BESIDE):
            file = file_of(path, table)
            if table != "hits" and not file.exists():
                continue
            with file.open("rb") as source:
                columns, rows = read_csv(source, file)
                texts = ", ".join(name for name in columns if name not in NUMBERS)
                declared = ", ".join(f"{name} {'INTEGER' if name in NUMBERS else 'TEXT'}" for name in columns)
                database.execute(f"CREATE TABLE {table}({declared}, PRIMARY KEY ({texts})) WITHOUT ROWID")
                database.execute("BEGIN")
                database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
                database.execute("COMMIT")
        database.execute("BEGIN")
    except BaseException:
        database.close()
        raise
    return database


def _begin_to_read(path: Path, mode: str, lock_seconds: float) -> sqlite3.Connection:
    """Return a connection that sees the file in its present state until it is closed."""
    database = _connect(path, mode, lock_seconds)
    try:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        database.close()
        raise
    return database


def _check_program(database: sqlite3.Connection, file: Path) -> None:
    """Raise TableError if another program has made the file. Tables beside those of fasthits are fine."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    found = [name for (name,) in database.execute(query)]
    if found and not OWN_TABLES & set(map(str.lower, found)):
        failed = f"another program has made this SQLite file, with the table {found[0]}"
        raise ForeignFileError(failed, file, NAME_ANOTHER)


@contextmanager
def _ended_by_signals(database: sqlite3.Connection) -> Iterator[None]:
    """Let a signal whose handler raises an error, such as Ctrl-C, end a query at once.

    Python handles signals in the callback that SQLite calls now and then, but SQLite would swallow the error.
    """
    raised: list[BaseException] = []

    def look() -> Iterator[bool]:
        while True:
            try:
                yield bool(raised)  # True ends the query
            except GeneratorExit:
                return
            except BaseException as error:
                raised.append(error)

    looks = look()
    next(looks)
    database.set_progress_handler(looks.__next__, SIGNAL_STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if raised:
            raise raised[0] from error
        raise
    if raised:
        raise raised[0]


@contextmanager
def as_table_error(failed: str, file: Path) -> Iterator[None]:
    """Raise TableError for the errors of SQLite, and of the file, that the block raises."""
    try:
        with _errors_told(failed, file):
            yield
    except OSError as error:
        raise TableError(failed, file, error.strerror or str(error)) from error


@contextmanager
def _errors_told(failed: str, file: Path) -> Iterator[None]:
    """Raise TableError for the errors of SQLite. Other errors are those of the caller, such as a closed output."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # errors of Python's module have no code
        hint = _HINTS.get(code, "")
        if code == sqlite3.SQLITE_NOTADB:
            raise ForeignFileError(failed, file, _remedy(file), reason=str(error)) from error
        if str(error).startswith("no such column"):  # the table hits of another program
            raise ForeignFileError(failed, file, NAME_ANOTHER, reason=str(error)) from error
        if str(error).startswith("no such table"):
            hint = f"; fill it: fasthits rollup --to {file}"
        raise TableError(failed, file, f"{error}{hint}") from error


def _remedy(file: Path) -> str:
    from fasthits.formats.packing import HEAD_BYTES, remedy

    with file.open("rb") as opened:
        return remedy(opened.read(HEAD_BYTES), str(file), NAME_ANOTHER)


_HINTS = {
    sqlite3.SQLITE_BUSY: "; another program, such as a rollup, is using it: try again in a few seconds",
    sqlite3.SQLITE_CORRUPT: "; restore a backup, or roll up the days again into another file",
    sqlite3.SQLITE_CANTOPEN: "; too many files are open (ulimit -n), or this user may not write in its folder",
    sqlite3.SQLITE_FULL: "; free some space, then run it again",
    sqlite3.SQLITE_CONSTRAINT: "; the file has a row twice: remove one of them, or restore a backup",
}


def insert_rows(database: sqlite3.Connection, layout: Layout, rows: Iterable[tuple[Cell, ...]]) -> None:
    """Insert rows, which are in the order of the primary key, so that SQLite appends them.

    A statement inserts several hundred rows, which takes less than half as long as a statement for each row (0.45 and
    1.05 us a row).
    """
    columns = len(layout.columns)
    values = f"({', '.join('?' * columns)})"
    cells = chain.from_iterable(rows)
    while some := list(islice(cells, MAX_VARIABLES // columns * columns)):
        several = ", ".join([values] * (len(some) // columns))
        database.execute(f"INSERT INTO {layout.name} VALUES {several}", some)
