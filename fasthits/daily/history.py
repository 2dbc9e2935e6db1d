"""The views of past days, read from the SQLite file that rollups write."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fasthits.daily.database import reading
from fasthits.daily.days import ONE_DAY, name_days
from fasthits.errors import TableError, UsageError
from fasthits.rules.keywords import day_of
from fasthits.rules.paths import part_host

# One look-up in the primary key for each day; BETWEEN would go through all rows of all days.
_PATH_BY_DAY = """
WITH RECURSIVE days(day) AS (
    SELECT date(?1) UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < ?2
)
SELECT date, sum(views) FROM days CROSS JOIN hits ON date = day WHERE path = ?3{} GROUP BY date
"""
_OF_ALL_HOSTS, _OF_A_HOST = _PATH_BY_DAY.format(""), _PATH_BY_DAY.format(" AND host = ?4")

_ORIGINS = """
WITH RECURSIVE days(day) AS (
    SELECT date(?1) UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < ?2
)
SELECT {columns}, sum(views) FROM days CROSS JOIN {table} ON date = day WHERE path = ?3
GROUP BY {columns} ORDER BY sum(views) DESC, {columns} LIMIT ?4
"""

# Each of the two is one look-up in the primary key; min and max in one SELECT would go through all rows.
_ENDS = "SELECT (SELECT min(date) FROM hits), (SELECT max(date) FROM hits)"

# Each step looks up the next day in the primary key; SELECT DISTINCT would go through all rows.
_DAYS = """
WITH RECURSIVE days(day) AS (
    SELECT min(date) FROM hits UNION ALL SELECT (SELECT min(date) FROM hits WHERE date > day) FROM days WHERE day > ''
)
SELECT day FROM days WHERE day IS NOT NULL
"""


class PathHistory(NamedTuple):
    """A path's views on some days: all together, and day by day."""

    path: str
    views: int
    by_day: list[int]


class History:
    """The days in a SQLite file. Every method raises TableError if it cannot read the file."""

    def __init__(self, database: "str | os.PathLike[str]") -> None:
        self._file = Path(database)
        self._held: sqlite3.Connection | None = None

    @property
    def days(self) -> list[date]:
        """The days that have rows, in order."""
        with self._database() as database:
            return [_date_of(day, self._file) for (day,) in database.execute(_DAYS)]

    def views(self, path: str, days: Iterable[date] | None = None) -> dict[date, int]:
        """Return the views of *path* on *days*, by default on all `days`: 0 where other paths were read.

        A day without any row is left out: nothing is known of it. With hosts in the table see `paths`.
        """
        with self.at_one_moment():
            kept = self.days
            wanted = kept if days is None else sorted(set(map(day_of, days)).intersection(kept))
            (found,) = self.paths([path], wanted)
        return dict(zip(wanted, found.by_day, strict=True))

    def last_days(self, number: int) -> list[date]:
        """Return at most *number* days in order, of which the last is the newest in the file; none if it is empty."""
        with self._database() as database:
            first, last = database.execute(_ENDS).fetchone()
        if last is None:
            return []
        start, end = (_date_of(day, self._file).toordinal() for day in (first, last))
        start = max(start, end - number + 1)
        return [date.fromordinal(day) for day in range(start, end + 1)]

    def site(self, days: Sequence[date]) -> list[int]:
        """Return the views of all paths together on each of *days*. Here and below, *days* follow each other."""
        query = "SELECT date, sum(views) FROM hits WHERE date BETWEEN ? AND ? GROUP BY date"
        with self._database() as database:
            found = dict(database.execute(query, _ends(days)))
        return [found.get(day.isoformat(), 0) for day in days]

    def paths(self, paths: Sequence[str], days: Sequence[date]) -> list[PathHistory]:
        """Return the histories of *paths*, in their order. A path that nobody read has zeros.

        In a table with hosts, ``//HOST/PATH`` is the path of a host, as in the live counters; ``/PATH`` adds up all
        hosts.
        """
        with self._database() as database:
            by_host = any(name == "host" for _, name, *_ in database.execute("PRAGMA table_info(hits)"))
            found = {(path, day): views for path in paths for day, views in _path_by_day(database, path, days, by_host)}
        by_day = {path: [found.get((path, day.isoformat()), 0) for day in days] for path in paths}
        return [PathHistory(path, sum(by_day[path]), by_day[path]) for path in paths]

    def most_read(self, days: Sequence[date], limit: int = 20) -> list[PathHistory]:
        """Return the histories of the *limit* paths that were read most on *days*, most read first.

        Raises UsageError for days that do not follow each other.
        """
        if any(after - before != ONE_DAY for before, after in pairwise(days)):
            raise UsageError("days do not follow each other", name_days(days), "name the first to the last of them")
        return self.paths(self.search("", days, limit), days)

    def search(self, text: str, days: Sequence[date], limit: int) -> list[str]:
        """Return the paths read on *days* that contain *text*, in upper or lower case, most read first."""
        query = (
            "SELECT path FROM hits WHERE date BETWEEN ? AND ? AND path LIKE ? ESCAPE '!' "
            "GROUP BY path ORDER BY sum(views) DESC, path LIMIT ?"
        )
        pattern = "%" + "".join(f"!{char}" if char in "!%_" else char for char in text) + "%"
        with self._database() as database:
            return [path for (path,) in database.execute(query, [*_ends(days), pattern, limit])]

    def referrers(self, path: str, days: Sequence[date], limit: int = 10) -> list[tuple[str, int]]:
        """Return the referrers of *path* on *days*, with their views, most views first. See ``--referrers``."""
        return self._origins("referrers", "referrer", path, days, limit)

    def searches(self, path: str, days: Sequence[date], limit: int = 10) -> list[tuple[str, str, int]]:
        """Return the search engines and terms by which *path* was found, with their views. See ``--search-terms``."""
        return self._origins("searches", "engine, terms", path, days, limit)

    def _origins(self, table: str, columns: str, path: str, days: Sequence[date], limit: int) -> list[Any]:
        with self._database() as database:
            return database.execute(
                _ORIGINS.format(table=table, columns=columns), [*_ends(days), path, limit]
            ).fetchall()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all methods called in the block, by this thread, read the same rows: a rollup commits before or after."""
        with self._database() as database:
            held, self._held = self._held, database
            try:
                yield
            finally:
                self._held = held

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if self._held:
            yield self._held
        else:
            with reading(self._file) as database:
                yield database


def _path_by_day(
    database: sqlite3.Connection, path: str, days: Sequence[date], by_host: bool
) -> Iterator[tuple[str, int]]:
    if by_host and path.startswith("//"):
        host, rest = part_host(path)
        return database.execute(_OF_A_HOST, [*_ends(days), rest, host])
    return database.execute(_OF_ALL_HOSTS, [*_ends(days), path])


def _date_of(text: object, file: Path) -> date:
    try:
        return date.fromisoformat(text)  # type: ignore[arg-type]  # a table of another program may hold anything
    except (TypeError, ValueError) as error:
        raise TableError("database with invalid dates", file, str(error)) from error


def _ends(days: Sequence[date]) -> tuple[str, str]:
    return (days[0].isoformat(), days[-1].isoformat()) if days else ("1", "0")
