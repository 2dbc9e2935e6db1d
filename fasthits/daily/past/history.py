"""The views of past days, read from the database that rollups write."""

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from heapq import nlargest
from threading import get_ident
from typing import Literal, NamedTuple, TypeVar, get_args

from fasthits.daily.days import Range, checked_range, days_of
from fasthits.daily.past.kept import Kept
from fasthits.daily.past.keys import Key, key_in, path_in, path_of
from fasthits.daily.past.opening import reading_days
from fasthits.daily.urls import shown
from fasthits.errors import UsageError
from fasthits.rules.keywords import number_of

Sort = Literal["views", "rise"]
Named = TypeVar("Named", str, tuple[str, ...])


class PathViews(NamedTuple):
    """A path's views in a range of days."""

    path: str
    views: int
    share: float
    """Of the views of all paths together, with the same host and *pages*: 0.0 to 1.0."""
    before: int | None
    """Views in the range before; None if no day of it is kept."""


@dataclass(frozen=True)
class MostRead:
    """Some of the paths that match, with the number of all that match and their views together."""

    paths: list[PathViews]
    count: int
    views: int


class History:
    """The days in a SQLite or CSV file, or in the PostgreSQL database that a URL names. Every method raises TableError
    if it cannot read them.

    A day that is not kept is unknown: None among the views of days. A *host* chooses one of a table with hosts, and
    raises UsageError for another table; without it, hosts are added up. *pages* leaves out static files
    (`--exclude-static`). *limit* and *offset* are numbers of rows: the most to return, and the first to leave out.
    Methods raise UsageError for an invalid argument, such as a range that ends before it begins.

    A *key* is a path, such as ``/a`` or ``/?page=2``, or a section: ``/blog/*`` is all paths that begin with
    ``/blog/``. In a table with hosts, ``//HOST/PATH`` is the path of a host, as in the live counters.
    """

    def __init__(self, database: "str | os.PathLike[str]", *, patience: float | None = None) -> None:
        """*patience* is for pages: the seconds that a database may be locked or silent; commands wait longer."""
        self._name = database
        self._patience = patience
        self._held: dict[int, Kept] = {}
        """What the threads read now: a connection of SQLite is for one thread."""
        self._interrupted = False

    @property
    def name(self) -> str:
        """The name of the database for messages: a URL has no password here."""
        return shown(self._name)

    def interrupt(self) -> None:
        """Let the calls that other threads make, and each further call, raise TableError."""
        self._interrupted = True
        for held in list(self._held.values()):
            held.interrupt()

    @property
    def days(self) -> list[date]:
        """The days that are kept, in order."""
        with self._kept() as kept:
            return kept.days

    def newest(self) -> date | None:
        """Return the newest kept day, or None."""
        days = self.days
        return days[-1] if days else None

    def range_of(self, number: int) -> Range | None:
        """Return the last *number* days: from the oldest kept day on, up to the newest. None if no day is kept."""
        number, days = number_of("a number of days", number), self.days
        if not days:
            return None
        return Range(max(days[0], date.fromordinal(max(1, days[-1].toordinal() - number + 1))), days[-1])

    def before(self, days: Range) -> Range:
        """Return the range before *days*, which has as many days."""
        days = checked_range(days)
        last = days.first.toordinal() - 1
        first = last - (days.last.toordinal() - days.first.toordinal())
        return Range(date.fromordinal(max(first, 1)), date.fromordinal(max(last, 1)))

    def views(self, path: str, days: date | str | Iterable[date] | None = None) -> dict[date, int]:
        """Return the views of *path* on *days*, by default on all `days`: 0 where only other paths were read.

        A day that is not kept is left out.
        """
        path, asked = path_in(path), days_of(days)
        with self._kept() as kept:
            wanted = kept.days if asked is None else sorted(set(asked).intersection(kept.days))
            if not wanted:
                return {}
            found = _keys_by_day(kept, [path], Range(wanted[0], wanted[-1]), None)[0]
        return {day: found[day.isoformat()] for day in wanted}

    def path_of(self, key: str) -> str:
        """Return the path of a hash: # and digits of its SHA-256, as in the live counters. Other keys stay.

        Raises UsageError if no kept path has this hash.
        """
        with self._kept() as kept:
            return path_of(key, kept)

    def site(self, days: Range, host: str | None = None, pages: bool = False) -> list[int | None]:
        """Return the views of all paths together, by day of the range."""
        days = checked_range(days)
        with self._kept(host) as kept:
            if not pages:
                return _in_order(days, kept.site(days, host))
            packed = kept.packed(days, host)
            return _in_order(days, kept.by_day(packed, days, [_chosen(kept, pages=True)])[0])

    def by_day(self, key: str, days: Range, host: str | None = None, pages: bool = False) -> list[int | None]:
        """Return the views of a path or section, by day of the range. *pages* has no effect on a path."""
        return self.by_days([key_in(key)], days, host, pages)[0]

    def by_days(
        self, keys: Sequence[str], days: Range, host: str | None = None, pages: bool = False
    ) -> list[list[int | None]]:
        """Return the views of each of *keys* as `by_day` does, in less time."""
        if isinstance(keys, str):
            raise UsageError("keys must be a list", repr(keys), f"for example [{keys!r}]")
        days = checked_range(days)
        with self._kept(host) as kept:
            return _in_orders(days, _keys_by_day(kept, keys, days, host, pages))

    def most_read(
        self,
        days: Range,
        limit: int = 20,
        offset: int = 0,
        text: str = "",
        prefix: str = "",
        host: str | None = None,
        pages: bool = False,
        sort: Sort = "views",
        before: Range | None = None,
    ) -> MostRead:
        """Return the paths that were read most on *days*, most read first, without the first *offset*.

        Paths match that begin with *prefix* and contain *text*, in upper or lower case. With *before*, such as `before`
        returns, each path has its views in that range, too. *sort* ``"rise"`` sorts by the rise in views since
        *before*, which is by default the range before.
        """
        if sort not in get_args(Sort):
            raise UsageError("no such order", repr(sort), f"choose one of {', '.join(get_args(Sort))}")
        days = checked_range(days)
        limit, offset = _rows_of(limit, offset)
        if before is not None:
            before = checked_range(before)
        elif sort == "rise":
            before = self.before(days)
        with self._kept(host) as kept:
            views = kept.totals(days, host)
            earlier = kept.totals(before, host) if before and kept.days_of(before) else None
            views.extend([0] * (kept.paths.numbers - len(views)))
            everything = _sum(kept, views, pages)
            matching = [path for path in _chosen(kept, text, prefix, pages) if views[path]]
            order = array("q", map(int.__sub__, views, earlier)) if earlier and sort == "rise" else views
            first = _first(kept, matching, order, offset, offset + limit)
        paths = [
            PathViews(path, views[number], views[number] / everything, earlier[number] if earlier else None)
            for number, path in first
        ]
        return MostRead(paths, len(matching), sum(views[path] for path in matching))

    def sections(
        self,
        days: Range,
        depth: int = 1,
        limit: int = 20,
        offset: int = 0,
        prefix: str = "",
        host: str | None = None,
        pages: bool = False,
    ) -> list[tuple[str, int]]:
        """Return the keys of the sections that were read most, such as ``/blog/*`` for a *depth* of 1, and their views.

        Paths that are not in a section of this depth are listed as paths.
        """
        days, depth = checked_range(days), number_of("a depth", depth)
        limit, offset = _rows_of(limit, offset)
        with self._kept(host) as kept:
            views = kept.totals(days, host)
            left_out = kept.paths.static if pages else set()
            found: Counter[str] = Counter()
            for number, path in kept.paths:
                if views[number] and path.startswith(prefix) and number not in left_out:
                    found[_section(path, depth)] += views[number]
        return _most(found, limit, offset)

    def total(self, days: Range, host: str | None = None, pages: bool = False) -> int:
        """Return the views of all paths and days together; at once after `sections` of the same days."""
        days = checked_range(days)
        with self._kept(host) as kept:
            return _sum(kept, kept.totals(days, host), pages)

    def hosts(self, days: Range) -> list[tuple[str, int]]:
        """Return the hosts and their views, most first; none if the table does not tell hosts apart."""
        days = checked_range(days)
        with self._kept() as kept:
            hosts = kept.hosts(days) if kept.has_hosts else {}
        return _most(hosts, len(hosts), 0)

    def bots(self, days: Range, key: str | None = None, host: str | None = None) -> list[int | None] | None:
        """Return the views of bots, of all paths or of a key, by day of the range. None if the file does not keep them
        apart."""
        days = checked_range(days)
        with self._kept(host) as kept:
            if not kept.has_bots:
                return None
            if key is None:
                return _in_order(days, kept.site(days, host, "bots"))
            return _in_order(days, _keys_by_day(kept, [key_in(key)], days, host, number="bots")[0])

    def read_by_bots(
        self, days: Range, limit: int = 20, offset: int = 0, prefix: str = "", host: str | None = None
    ) -> list[tuple[str, int]] | None:
        """Return the paths that bots read most, and how often. None if the file does not keep them apart."""
        days = checked_range(days)
        limit, offset = _rows_of(limit, offset)
        with self._kept(host) as kept:
            if not kept.has_bots:
                return None
            views = kept.totals(days, host, "bots")
            matching = [path for path in _chosen(kept, prefix=prefix) if views[path]]
            return [(path, views[number]) for number, path in _first(kept, matching, views, offset, offset + limit)]

    def not_found(
        self, days: Range, limit: int = 20, offset: int = 0, prefix: str = "", host: str | None = None
    ) -> list[tuple[str, int]] | None:
        """Return the paths that were most often requested but not found, and how often. None if that is not kept."""
        days = checked_range(days)
        limit, offset = _rows_of(limit, offset)
        with self._kept(host) as kept:
            return kept.not_found(days, host, prefix, limit, offset) if kept.has_table("not_found") else None

    def referrers(
        self, days: Range, key: str | None = None, limit: int = 20, offset: int = 0, host: str | None = None
    ) -> list[tuple[str, int]] | None:
        """Return where most readers came from, to all paths or to a key, and their views. None if that is not kept."""
        limit, offset = _rows_of(limit, offset)
        found = self._sources("referrers", "referrer", days, key, host)
        return None if found is None else [(name, views) for (name,), views in _most(found, limit, offset)]

    def searches(
        self, days: Range, key: str | None = None, limit: int = 20, offset: int = 0, host: str | None = None
    ) -> list[tuple[str, str, int]] | None:
        """Return the search engines and search terms of most readers, and their views. None if that is not kept."""
        limit, offset = _rows_of(limit, offset)
        found = self._sources("searches", "engine, terms", days, key, host)
        return (
            None
            if found is None
            else [(engine, terms, views) for (engine, terms), views in _most(found, limit, offset)]
        )

    def hours(self, day: date | str) -> list[int] | None:
        """Return the views in each of the 24 hours of a day. None if they are not kept."""
        if len(asked := days_of(day) or []) != 1:
            raise UsageError("not a day", repr(day), "such as 2026-03-12")
        with self._kept() as kept:
            found = kept.hours(asked[0]) if asked[0] in kept.days and kept.has_table("hours") else {}
        return [found.get(hour, 0) for hour in range(24)] if found else None

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all methods called in the block, by this thread, read the same rows: a rollup commits before or after."""
        with self._kept():
            yield

    @contextmanager
    def _kept(self, host: str | None = None) -> Iterator[Kept]:
        thread = get_ident()
        if held := self._held.get(thread):
            with held.errors():
                held.check_host(host)
                yield held
            return
        with reading_days(self._name, self._patience) as kept:
            self._held[thread] = kept
            try:
                if self._interrupted:
                    kept.interrupt()
                kept.check_host(host)
                yield kept
            finally:
                del self._held[thread]

    def _sources(
        self, table: str, texts: str, days: Range, key: str | None, host: str | None
    ) -> Counter[tuple[str, ...]] | None:
        days = checked_range(days)
        with self._kept(host) as kept:
            if not kept.has_table(table):
                return None
            if key is None:
                return kept.sources(table, texts, days, host)
            return kept.sources(table, texts, days, *Key.of(key_in(key), host, kept))


def _rows_of(limit: int, offset: int) -> tuple[int, int]:
    return number_of("a number of rows", limit, 0), number_of("a number of rows", offset, 0)


def _keys_by_day(
    kept: Kept, keys: Sequence[str], days: Range, host: str | None, pages: bool = False, number: str = "views"
) -> list[dict[str, int]]:
    wanted = [Key.of(key, host, kept) for key in keys]
    found: dict[Key, dict[str, int]] = {}
    for of_host in {key.host for key in wanted}:
        paths = [key for key in dict.fromkeys(wanted) if key.host == of_host and not key.is_section]
        by_day = kept.paths_by_day([key.path for key in paths], days, of_host, number) if paths else []
        found.update(zip(paths, by_day, strict=True))
    for key in wanted:
        if key not in found:
            packed = kept.packed(days, key.host, number)
            (found[key],) = kept.by_day(packed, days, [_chosen(kept, prefix=key.path, pages=pages)])
    return [found[key] for key in wanted]


def _chosen(kept: Kept, text: str = "", prefix: str = "", pages: bool = False) -> Iterable[int]:
    """Return the numbers of the paths that match."""
    left_out = kept.paths.static if pages else set()
    if not (text or prefix):
        every = range(1, kept.paths.numbers)
        return [number for number in every if number not in left_out] if pages else every
    text = text.lower()
    return [
        number
        for number, path in kept.paths
        if path.startswith(prefix) and text in path.lower() and number not in left_out
    ]


def _sum(kept: Kept, views: "array[int]", pages: bool) -> int:
    """Return the views of all paths together, with *pages* without static files."""
    return sum(views) - sum(views[number] for number in (kept.paths.static if pages else ()))


def _section(path: str, depth: int) -> str:
    """Return the key of the section that a path is in.

    >>> _section("/blog/2026/summer?page=2", 1), _section("/about", 1), _section("/blog/2026/summer", 3)
    ('/blog/*', '/about', '/blog/2026/summer')
    """
    parts = path.partition("?")[0].split("/")
    return "/".join([*parts[: depth + 1], "*"]) if len(parts) > depth + 1 else path


def _first(kept: Kept, numbers: list[int], order: "array[int]", start: int, end: int) -> list[tuple[int, str]]:
    """Sort the paths by *order*, most first, and by path. Return the paths from *start* to *end* with their numbers.

    Only paths that may be among them are looked up.
    """
    end = min(end, len(numbers))
    if start >= end:
        return []
    values = map(order.__getitem__, numbers)
    # To sort all of a million values takes a second, to find the largest 20 takes 0.1 s.
    largest = nlargest(end, values) if end < len(numbers) // 8 else sorted(values, reverse=True)
    most, least = largest[start], largest[end - 1]
    some = [number for number in numbers if least <= order[number] <= most]
    found = sorted(kept.paths.named(some).items(), key=lambda each: (-order[each[0]], each[1]))
    before = largest.index(most)  # paths with more
    return found[start - before : end - before]


def _most(views: Mapping[Named, int], limit: int, offset: int) -> list[tuple[Named, int]]:
    """Return names and their views, most first."""
    return sorted(views.items(), key=lambda each: (-each[1], each[0]))[offset : offset + limit]


def _in_order(days: Range, found: Mapping[str, int]) -> list[int | None]:
    return _in_orders(days, [found])[0]


def _in_orders(days: Range, found: Iterable[Mapping[str, int]]) -> list[list[int | None]]:
    texts = [day.isoformat() for day in days.days]
    return [list(map(each.get, texts)) for each in found]
