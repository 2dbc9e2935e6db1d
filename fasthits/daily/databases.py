"""Which database a name means, opened to read: SQLite, the CSV files of a rollup, PostgreSQL."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasthits.daily.kept import Kept
from fasthits.daily.urls import is_postgres, needs_extra
from fasthits.errors import TableError


@contextmanager
def reading_days(name: "str | os.PathLike[str]") -> Iterator[Kept]:
    """Give the kept days of a database. All reads see the same moment. Raises TableError, also for errors of the
    block."""
    if is_postgres(name):
        with needs_extra("postgres", name):
            from fasthits.daily import postgres, postgressources, postgressums
        with postgres.reading(str(name)) as database:
            summed = postgressums.summed(database) if postgressums.are_valid(database) else None
            with_rows = postgressums.days_with_rows(database, summed or set())
            yield Kept(database, summed, with_rows, postgressources.summed(database))
        return
    if Path(name, "hits").is_dir() or (str(name).endswith("/") and not Path(name).is_dir()):
        folder = f"{str(name).rstrip('/')}/hits"
        hint = f"other programs read Parquet: duckdb -c \"SELECT * FROM read_parquet('{folder}/*/*.parquet')\""
        raise TableError("fasthits reads SQLite, CSV and PostgreSQL", name, hint)
    if Path(name).suffix.lower() == ".hits" and Path(name).is_file():
        raise TableError("a partial is no database", name, f"fasthits merge {name} --to hits.db")
    from fasthits.daily import sourcesums, sums
    from fasthits.daily.database import Sqlite, reading

    with reading(Path(name)) as connection:
        with_rows = sums.days_with_rows(connection)
        sources = sourcesums.summed(connection)
        yield Kept(Sqlite(connection, Path(name)), sums.summed(connection), with_rows, sources)


def exists(name: str | Path) -> bool:
    """Tell whether a rollup has made the database. Raises TableError if the server does not answer."""
    if not is_postgres(name):
        return Path(name).exists()
    with needs_extra("postgres", name):
        from fasthits.daily import postgres
    with postgres.looking(str(name)) as database:
        return bool(database.columns_of("hits"))


def state_of(name: str | Path) -> str:
    """Return a text that changes whenever the database does; empty if it cannot be read."""
    if is_postgres(name):
        try:
            with needs_extra("postgres", name):
                from fasthits.daily import postgres, postgressums
            with postgres.reading(str(name)) as database:
                return postgressums.state(database)
        except TableError:
            return ""
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a named pipe would keep it waiting
            status = os.fstat(file.fileno())
            head = file.read(100) if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return ""
    if not head:
        return ""
    changes = int.from_bytes(head[24:28])  # SQLite's file change counter
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changes)
    return "-".join(f"{part:x}" for part in parts)
