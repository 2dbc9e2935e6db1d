"""Paths whose last row was removed: a rollup removes them from the table ``hits_paths``, in SQLite and PostgreSQL.

Number 0 of ``hits_paths`` tells how many days had sums after the last rollup. If there are fewer now, somebody has
removed or changed rows. So a rollup that only adds a day need not look at all sums (0.1 s for a year of 50,000 paths).
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, Protocol

from fasthits._parse import add_sums

MAX_VARIABLES = 900
"""Of a statement; SQLite before 3.32 takes 999."""


class Database(Protocol):
    """An open database of either kind, whose statements take ``?`` for a value."""

    @property
    def execute(self) -> Callable[..., Any]:
        """Execute a statement and return its rows."""


def note_removed_days(database: Database) -> None:
    """Note it if there are fewer days with sums than after the last rollup."""
    noted = database.execute("SELECT path FROM hits_paths WHERE id = 0").fetchone()
    if noted and int(noted[0] or 0) > _count_days(database):
        _note(database, None)


def note_missing_paths(database: Database, before: "array[int] | None", after: "array[int] | None") -> None:
    """Note it if a path had views *before*, on a day that was replaced, and has none *after*."""
    if before and after and any(old and not new for old, new in zip_longest(before, after, fillvalue=0)):
        _note(database, None)


def remove_paths(database: Database) -> None:
    """Remove the paths that no day has any more, if something was noted. Note the number of days for the next rollup.

    The numbers of the paths stay, because packed sums go from one number to the next.
    """
    noted = database.execute("SELECT path FROM hits_paths WHERE id = 0").fetchone()
    views = views_by_path(database) if noted == (None,) else None  # damaged sums tell nothing
    if views is not None:
        there = database.execute("SELECT id FROM hits_paths WHERE id > 0 AND path IS NOT NULL").fetchall()
        unread = [number for (number,) in there if not views[number]]
        for at in range(0, len(unread), MAX_VARIABLES):
            some = unread[at : at + MAX_VARIABLES]
            places = ", ".join("?" * len(some))
            database.execute(f"UPDATE hits_paths SET path = NULL WHERE id IN ({places})", some)
        last = "SELECT max(id) FROM hits_paths WHERE id = 0 OR path IS NOT NULL"
        database.execute(f"DELETE FROM hits_paths WHERE id > ({last})")
    _note(database, _count_days(database))


def views_by_path(database: Database, day: str | None = None) -> "array[int] | None":
    """Return the views of each path, by people and bots, on a day or on all days; None if the sums are damaged."""
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM hits_paths").fetchone()
    views = array("Q", bytes(8 * (last + 1)))
    query = "SELECT packed, packed_bots FROM hits_sums" + (" WHERE date = ?" if day else "")
    return views if _add_up(database.execute(query, [day] if day else []), views) else None


def _add_up(rows: Iterable[Sequence[bytes]], views: "array[int]") -> bool:
    try:
        for packed, packed_bots in rows:
            add_sums(packed, views)
            add_sums(packed_bots or b"", views)
    except (TypeError, ValueError):
        return False
    return True


def _note(database: Database, days: int | None) -> None:
    """Note how many days have sums; None if a path may have lost its last row."""
    database.execute("DELETE FROM hits_paths WHERE id = 0")
    database.execute("INSERT INTO hits_paths(id, path) VALUES (0, ?)", [None if days is None else str(days)])


def _count_days(database: Database) -> int:
    (days,) = database.execute("SELECT count(DISTINCT date) FROM hits_sums").fetchone()
    return int(days)
