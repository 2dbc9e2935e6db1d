"""Which target of a rollup a name means."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fasthits.daily.columns import HOURS, PLAIN, Layout
from fasthits.daily.targets import CsvFiles, CsvStream, SqliteFile, Table
from fasthits.daily.urls import is_postgres, needs_psycopg
from fasthits.errors import UsageError

STDOUT = "-"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def open_table(target: str, layouts: Sequence[Layout] = (PLAIN,)) -> Table:
    """Return what *target* names: ``*.csv``, ``*.db``, ``*.sqlite``, ``*.sqlite3``, ``-``, ``postgresql://...``; or
    raise UsageError.

    It has the tables of *layouts*; the first is that of views. In CSV each table is a file: ``hits.csv`` and, beside
    it, ``hits.referrers.csv``. Standard output takes only one table. A database has the table of hours, too.
    """
    if target == STDOUT:
        if len(layouts) > 1:
            hint = "name a file with --to TARGET"
            raise UsageError("standard output takes only one table", layouts[1].name, hint)
        return CsvStream(sys.stdout.buffer, layouts[0])
    if is_postgres(target):
        with needs_psycopg(target):
            from fasthits.daily.partitions import PostgresTables
        return PostgresTables(target, layouts)
    suffix = Path(target).suffix.lower()
    if suffix == ".csv":
        return CsvFiles(Path(target), layouts)
    if suffix in SQLITE_SUFFIXES:
        return SqliteFile(Path(target), [*layouts, HOURS])
    raise UsageError(
        "not a TARGET",
        target,
        "use a name that ends in .csv, .db, .sqlite or .sqlite3, postgresql://..., or - for standard output",
    )
