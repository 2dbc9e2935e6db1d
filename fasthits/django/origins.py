"""Where the readers of an object came from, if ``fasthits rollup`` keeps it: the file is named by ROLLUP."""

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


def _read(page: Any, days: int, ask: Callable[[History, Range, str], list[T] | None]) -> list[T]:
    """Return what *ask* finds; nothing, with a warning, if the file cannot be read: a page must not break."""
    try:
        file = setting("ROLLUP")
        if file is None:
            return []
        first = first_day(days)
        found = ask(History(file), Range(first, first + (days - 1) * ONE_DAY), path_of(page).decode())
        if found is None:
            raise TableError("the database does not keep where readers came from", file, WHERE_KEPT)
        return found
    except Exception as error:  # an error of the file, a setting or the site
        live.warn_once("ROLLUP", error)
        return []
