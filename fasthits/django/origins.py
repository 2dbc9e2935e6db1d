"""Where the readers of an object came from, if ``fasthits rollup`` keeps it: the database is named by ROLLUP.

A page must not break or hang because of that database. If it is locked or silent, pages do without it for a while.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from fasthits.daily.days import ONE_DAY, Range
from fasthits.daily.past.history import History
from fasthits.django import live
from fasthits.django.addresses import path_of
from fasthits.django.conf import setting
from fasthits.django.expressions import first_day
from fasthits.errors import TableError

T = TypeVar("T")

PATIENCE_SECONDS = 1.0
"""How long a page waits for a database that is locked or silent. Two seconds for a new connection: libpq takes less for
that."""
PAUSE_SECONDS = 60.0
"""How long no page asks a database after an error."""
WHERE_KEPT = "fasthits rollup keeps it with --referrers and --search-terms"


class Referrer(NamedTuple):
    """A site, or with ``--referrers full`` a page, that has a link to the object's page."""

    name: str
    views: int


class Search(NamedTuple):
    """A search by which readers have found the object's page."""

    engine: str
    terms: str
    views: int


def referrers(page: Any, days: int = 30, limit: int = 10) -> list[Referrer]:
    """Return the referrers of a page in the last *days* days, most views first."""
    return [Referrer(*row) for row in _read(page, days, lambda kept, *where: kept.referrers(*where, limit))]


def searches(page: Any, days: int = 30, limit: int = 10) -> list[Search]:
    """Return the searches that led to a page in the last *days* days, most views first."""
    return [Search(*row) for row in _read(page, days, lambda kept, *where: kept.searches(*where, limit))]


_ask_at: dict[str, float] = {}
"""When pages ask a database again, by its name."""


def _read(page: Any, days: int, ask: Callable[[History, Range, str], list[T] | None]) -> list[T]:
    """Return what *ask* finds; nothing, with a warning, if the database cannot be read: a page must not break."""
    try:
        file = setting("ROLLUP")
        if file is None or time.monotonic() < _ask_at.get(str(file), 0):
            return []
        first = first_day(days)
        wanted = Range(first, first + (days - 1) * ONE_DAY)
        found = ask(History(file, patience=PATIENCE_SECONDS), wanted, path_of(page).decode())
        if found is None:
            raise TableError("the database does not keep where readers came from", file, WHERE_KEPT)
        return found
    except Exception as error:  # an error of the database, a setting or the site
        if isinstance(error, TableError):
            _ask_at[str(file)] = time.monotonic() + PAUSE_SECONDS
        live.warn_once("ROLLUP", error)
        return []
