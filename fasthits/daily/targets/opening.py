"""Which target of a rollup a name means."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fasthits.daily.layouts import HOURS, PLAIN, Layout
from fasthits.daily.partials import is_partial
from fasthits.daily.targets.target import Target
from fasthits.daily.urls import check_database, check_url, is_postgres, is_url, needs_extra
from fasthits.errors import UsageError

if TYPE_CHECKING:
    from fasthits.daily.partials.target import Origin

STDOUT = "-"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def open_target(
    target: str,
    layouts: Sequence[Layout] = (PLAIN,),
    origin: "Origin | None" = None,
    max_bytes: int | None = None,
) -> Target:
    """Return what *target* names: ``*.csv``, ``*.db``, ``*.sqlite``, ``*.sqlite3``, ``-``, ``postgresql://...``,
    a folder of Parquet files, which ends in ``/`` or, for rows that have an *origin*, ``*.hits``; or raise UsageError.

    It has the tables of *layouts*; the first is the layout of views. In CSV each table is a file: ``hits.csv`` and,
    beside it, ``hits.referrers.csv``. Standard output takes only one table. A database has the table of hours, too.
    SQLite takes a quarter of *max_bytes* of memory at most.
    """
    if target == STDOUT:
        if len(layouts) > 1:
            hint = "name a file with --to TARGET"
            raise UsageError("standard output takes only one table", layouts[1].name, hint)
        from fasthits.daily.csv.target import CsvStream

        return CsvStream(sys.stdout.buffer, layouts[0])
    if target.endswith("/") and not is_postgres(target):
        with needs_extra("parquet", target):
            from fasthits.daily.parquet.folders import open_folder
            from fasthits.daily.parquet.target import ParquetTarget
        return ParquetTarget(open_folder(target), [*layouts, HOURS])
    if is_postgres(target):
        with needs_extra("postgres", target):
            from fasthits.daily.postgres.target import PostgresTarget
        return PostgresTarget(target, [*layouts, HOURS])
    if is_url(target):
        check_database(target)
        check_url(target)
        hint = "only Parquet can be written into a store: a name that ends in /; write other files here, and copy them"
        raise UsageError("not a TARGET", target, hint)
    suffix = Path(target).suffix.lower()
    if suffix == ".csv":
        from fasthits.daily.csv.target import CsvTarget

        return CsvTarget(Path(target), layouts)
    if suffix in SQLITE_SUFFIXES:
        from fasthits.daily.sqlite.target import SqliteTarget

        return SqliteTarget(Path(target), [*layouts, HOURS], max_bytes)
    if is_partial(target):
        if not origin:
            raise UsageError("a partial is no database", target, "name a database, such as hits.db")
        from fasthits.daily.partials.target import PartialTarget

        return PartialTarget(Path(target), layouts, origin)
    raise UsageError(
        "not a TARGET",
        target,
        "use a name that ends in .db, .sqlite, .sqlite3, .csv or .hits, in / for Parquet, postgresql://..., or - for "
        "standard output",
    )
