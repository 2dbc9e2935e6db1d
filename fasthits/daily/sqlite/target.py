"""SQLite as a target: some days of its tables are replaced, and their sums, in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasthits.daily.atomic import check_file
from fasthits.daily.layouts import ANOTHER, PLAIN, Layout, Rows, not_filled, other_columns
from fasthits.daily.sqlite.database import LOOK_LOCK_SECONDS, insert_rows, reading, writing
from fasthits.daily.sqlite.referrers import columns_of
from fasthits.daily.sqlite.sums import check_tables, days_without_sums, make_missing_sums, pause, resume
from fasthits.daily.targets.refusals import NOT_COMPARED
from fasthits.daily.targets.target import NO_FIGURES, Replaced, RowsOfDays, Target
from fasthits.errors import TableError

if TYPE_CHECKING:
    import sqlite3

    from fasthits.daily.counting.threads import Progress


class SqliteTarget(Target):
    """Tables in a SQLite file, which are created if they do not exist."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,), max_bytes: int | None = None) -> None:
        self._path = path
        self._layouts = layouts
        self._max_bytes = max_bytes

    def check(self) -> None:
        check_file(self._path)
        if self._path.exists() and self._path.stat().st_size:
            with reading(self._path, LOOK_LOCK_SECONDS) as database:
                self._check_columns(database)
                check_tables(database, self._path)

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [], [])
        new = RowsOfDays(days, rows)
        with writing(self._path, self._max_bytes) as database:
            for layout in self._layouts:
                database.execute(f"CREATE TABLE IF NOT EXISTS {layout.declaration}")
            self._check_columns(database)
            check_tables(database, self._path)
            compared = NOT_COMPARED if with_fewer else new.compare(_hits_by_day(database, self._layouts[0], days))
            if not new.days:
                database.rollback()
                return Replaced(0, *compared)
            pause(database)
            for layout in self._layouts:
                dates = ((day.isoformat(),) for day in new.days)
                database.executemany(f"DELETE FROM {layout.name} WHERE date = ?", dates)
                insert_rows(database, layout, new.rows(layout))
            resume(database, new.days)
            count = sum(_count_rows(database, self._layouts[0], day) for day in new.days)
        return Replaced(count, *compared)

    def catch_up(self, progress: "Progress | None" = None) -> None:
        if not self._path.exists():
            return
        with reading(self._path, LOOK_LOCK_SECONDS) as database:
            days = days_without_sums(database) if columns_of(database, self._layouts[0].name) else []
        advance = progress(len(days)) if progress and days else None
        while days:
            with writing(self._path, self._max_bytes) as database:
                done = make_missing_sums(database, days)
            days = days[done:]
            if advance:
                advance(done)

    def newest_before(self, day: str) -> str | None:
        # A day without a hit has no row, but sums.
        kept = (f"SELECT max(date) AS date FROM {table} WHERE date < :day" for table in ("hits", "hits_sums"))
        query = f"SELECT max(date) FROM ({' UNION ALL '.join(kept)})"
        with reading(self._path, LOOK_LOCK_SECONDS) as database:
            (found,) = database.execute(query, {"day": day}).fetchone()
        return str(found)

    def stale(self, days: Sequence[date]) -> list[str]:
        with reading(self._path, LOOK_LOCK_SECONDS) as database:
            there = [table for table in not_filled(self._layouts) if columns_of(database, table)]
            return [table for table in there if any(_has_rows(database, table, day) for day in days)]

    def _check_columns(self, database: "sqlite3.Connection") -> None:
        for layout in self._layouts:
            found = [(row[1], row[5] > 0) for row in database.execute(f"PRAGMA table_info({layout.name})")]
            if found and found != [(name, name in layout.texts) for name in layout.columns]:
                there = [name for name, _ in found]
                if there == list(layout.columns):
                    keys = ", ".join(layout.texts)
                    raise TableError(f"the primary key of the table {layout.name} is not ({keys})", self._path, ANOTHER)
                raise other_columns(self._path, layout.name, layout.columns, there)


def _hits_by_day(database: "sqlite3.Connection", layout: Layout, days: Sequence[date]) -> dict[date, int]:
    """Return the hits by day of the *days* that have rows. *days* are in order."""
    total = " + ".join(f"sum({number})" for number in layout.numbers)
    query = f"SELECT date, {total} FROM {layout.name} WHERE date BETWEEN ? AND ? GROUP BY date"
    found = dict(database.execute(query, [days[0].isoformat(), days[-1].isoformat()]))
    return {day: found[day.isoformat()] or 0 for day in days if day.isoformat() in found}


def _has_rows(database: "sqlite3.Connection", table: str, day: date) -> bool:
    query = f"SELECT 1 FROM {table} WHERE date = ? LIMIT 1"
    return database.execute(query, (day.isoformat(),)).fetchone() is not None


def _count_rows(database: "sqlite3.Connection", layout: Layout, day: date) -> int:
    """Return how many rows a day has."""
    (rows,) = database.execute(f"SELECT count(*) FROM {layout.name} WHERE date = ?", (day.isoformat(),)).fetchone()
    return int(rows)
