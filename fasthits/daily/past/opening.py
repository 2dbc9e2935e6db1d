"""Which database a name means, opened to read: SQLite, the CSV files of a rollup, PostgreSQL."""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Lock

from fasthits.daily.partials import is_partial
from fasthits.daily.past.kept import Kept
from fasthits.daily.urls import check_database, is_postgres, is_url, needs_extra, without_password
from fasthits.errors import ForeignFileError, TableError


def reading_days(name: "str | os.PathLike[str]", patience: float | None = None) -> AbstractContextManager[Kept]:
    """Give the kept days of a database, which may be locked or silent for *patience* seconds. All reads see the same
    moment. Raises TableError, also for errors of the block."""
    if not str(name):  # Path("") is the current folder
        raise TableError("no such database", "''", "name one with --database or FASTHITS_TO")
    if is_postgres(name):
        return _reading_postgres(str(name), patience)
    check_readable(str(name))
    # Not with Path, which raises an error if this user may not look into the folder: `reading` does.
    if os.path.isdir(os.path.join(name, "hits")) or (str(name).endswith("/") and not os.path.isdir(name)):
        folder = f"{str(name).rstrip('/')}/hits"
        hint = f"other programs read Parquet: duckdb -c \"SELECT * FROM read_parquet('{folder}/*/*.parquet')\""
        raise ForeignFileError("fasthits reads SQLite, CSV and PostgreSQL", name, hint)
    if is_partial(name) and os.path.isfile(name):
        raise ForeignFileError("a partial is no database", name, f"fasthits merge {name} --to hits.db")
    return _reading_file(Path(name), patience)


def check_readable(name: str) -> None:
    """Raise TableError for a URL that is not of PostgreSQL."""
    if is_url(name) and not is_postgres(name):
        check_database(name, TableError)
        raise TableError("a database in a store cannot be read", without_password(name), "copy it to this machine")


def check_ours(name: str) -> None:
    """Raise ForeignFileError for a file that no rollup can have made. A file may be missing or locked for now."""
    if is_postgres(name):
        return
    try:
        with reading_days(name):
            pass
    except ForeignFileError:
        raise
    except TableError:
        return


@contextmanager
def _reading_postgres(url: str, patience: float | None) -> Iterator[Kept]:
    with needs_extra("postgres", url):
        from fasthits.daily.postgres import referrers, sums
        from fasthits.daily.postgres.database import reading
    with reading(url, patience) as database:
        summed = sums.summed(database) if sums.are_valid(database) else None
        yield Kept(database, summed, sums.days_with_rows(database, summed or set()), referrers.summed(database))


@contextmanager
def _reading_file(file: Path, patience: float | None) -> Iterator[Kept]:
    from fasthits.daily.sqlite import referrers, sums
    from fasthits.daily.sqlite.database import READ_LOCK_SECONDS, Sqlite, reading

    with reading(file, READ_LOCK_SECONDS if patience is None else patience) as connection:
        with_rows = sums.days_with_rows(connection)
        yield Kept(Sqlite(connection, file), sums.summed(connection), with_rows, referrers.summed(connection))


def exists(name: str | Path) -> bool:
    """Tell whether a rollup has made the database. Raises TableError if the server does not answer."""
    if not is_postgres(name):
        return os.path.exists(name)
    with needs_extra("postgres", name):
        from fasthits.daily.postgres.database import looking
    with looking(str(name)) as database:
        return bool(database.columns_of("hits"))


def _head(name: str) -> tuple[os.stat_result, bytes]:
    """Return the status of a file and its first 100 bytes. Raises OSError.

    The file stays open. Whenever a process closes a file, Linux drops all locks that the process has on it: a question
    of another thread to SQLite would see a part of what a rollup commits meanwhile.
    """
    with _opening:
        fd, status = _open_files.get(name), os.stat(name)
        if fd is None or not os.path.samestat(os.fstat(fd), status):
            _open_files[name] = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe would block
            if fd is not None:
                os.close(fd)
            fd = _open_files[name]
        status = os.fstat(fd)
        return status, os.pread(fd, 100, 0) if stat.S_ISREG(status.st_mode) else b""


_opening = Lock()
_open_files: dict[str, int] = {}


def state_of(name: str | Path, patience: float | None = None) -> str:
    """Return a text that changes whenever the database does; empty if it cannot be read, or is silent for *patience*
    seconds."""
    if is_postgres(name):
        try:
            with needs_extra("postgres", name):
                from fasthits.daily.postgres.database import reading
                from fasthits.daily.postgres.sums import state
            with reading(str(name), patience) as database:
                return state(database)
        except TableError:
            return ""
    try:
        status, head = _head(os.fspath(name))
    except OSError:
        return ""
    if not head:
        return ""
    changes = int.from_bytes(head[24:28])  # SQLite's file change counter
    parts = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changes]
    with suppress(OSError):  # if somebody has set journal_mode=WAL, a change may be in this file only
        log = os.stat(f"{os.fspath(name)}-wal")
        parts += [log.st_size, log.st_mtime_ns] if log.st_size else []
    return "-".join(f"{part:x}" for part in parts)
