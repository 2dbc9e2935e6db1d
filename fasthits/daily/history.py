"""The views of past days, read from the SQLite file that rollups write."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from fasthits.daily.database import reading
from fasthits.errors import TableError
from fasthits.rules.paths import part_host

# One look-up in the primary key for each day; BETWEEN would go through all rows of all days.
_PATH_BY_DAY = """
WITH RECURSIVE days(day) AS (
    SELECT date(?1) UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < ?2
)
SELECT date, sum(views) FROM days CROSS JOIN hits ON date = day WHERE path = ?3{} GROUP BY date
"""
_OF_ALL_HOSTS, _OF_A_HOST = _PATH_BY_DAY.format(""), _PATH_BY_DAY.format(" AND host = ?4")


class PathHistory(NamedTuple):
    """A path's views on each of some days, and in all of them."""

    path: str
    views: int
    by_day: list[int]


class History:
    """What rollups have put into a SQLite file. Every method raises TableError when that cannot be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: sqlite3.Connection | None = None

    def last_days(self, number: int) -> list[date]:
        """Return the days that end with the newest one there is, *number* of them at most, in order; none if empty."""
        with self._database() as database:
            first, last = database.execute("SELECT min(date), max(date) FROM hits").fetchone()
        if last is None:
            return []
        try:
            start, end = date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal()
        except (TypeError, ValueError) as error:  # a table of another program
            raise TableError("database with dates that are none", self._file, str(error)) from error
        start = max(start, end - number + 1)
        return [date.fromordinal(day) for day in range(start, end + 1)]

    def site(self, days: Sequence[date]) -> list[int]:
        """Return the views of all paths together on each of *days*, which follow each other, as everywhere here."""
        query = "SELECT date, sum(views) FROM hits WHERE date BETWEEN ? AND ? GROUP BY date"
        with self._database() as database:
            found = dict(database.execute(query, _ends(days)))
        return [found.get(day.isoformat(), 0) for day in days]

    def paths(self, paths: Sequence[str], days: Sequence[date]) -> list[PathHistory]:
        """Return the histories of *paths*, in their order; what was never read has zeros.

        In a table with hosts ``//HOST/PATH``, as the live counters have it, is the path of that host, ``/PATH`` that of
        all.
        """
        with self._database() as database:
            by_host = any(name == "host" for _, name, *_ in database.execute("PRAGMA table_info(hits)"))
            found = {(path, day): views for path in paths for day, views in _path_by_day(database, path, days, by_host)}
        by_day = {path: [found.get((path, day.isoformat()), 0) for day in days] for path in paths}
        return [PathHistory(path, sum(by_day[path]), by_day[path]) for path in paths]

    def most_read(self, days: Sequence[date], limit: int) -> list[PathHistory]:
        """Return the histories of the *limit* paths that were read most on *days*, most read first."""
        return self.paths(self.search("", days, limit), days)

    def search(self, text: str, days: Sequence[date], limit: int) -> list[str]:
        """Return the paths read on *days* that hold *text*, ASCII letters in either case, most read first."""
        query = (
            "SELECT path FROM hits WHERE date BETWEEN ? AND ? AND path LIKE ? ESCAPE '!' "
            "GROUP BY path ORDER BY sum(views) DESC, path LIMIT ?"
        )
        pattern = "%" + "".join(f"!{char}" if char in "!%_" else char for char in text) + "%"
        with self._database() as database:
            return [path for (path,) in database.execute(query, [*_ends(days), pattern, limit])]

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all methods called meanwhile, in this thread, read the same rows: a rollup does not commit before."""
        with self._database() as database:
            self._held = database
            try:
                yield
            finally:
                self._held = None

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


def _ends(days: Sequence[date]) -> tuple[str, str]:
    return (days[0].isoformat(), days[-1].isoformat()) if days else ("1", "0")
