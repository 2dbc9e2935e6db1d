"""Adds up the partials of several servers into a target."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fasthits._parse import HitTable
from fasthits.daily.counting.max_memory import bytes_of_tables
from fasthits.daily.counting.runs import BOTS, HITS, MergedRows, Runs, Spool, Workshop, tables_of
from fasthits.daily.days import name_days
from fasthits.daily.layouts import NOT_FOUND, Layout, hits_layout, not_found_layout, referrers_layout, searches_layout
from fasthits.daily.partials import is_partial
from fasthits.daily.partials.files import AGAIN, Advance, Partial, of_days, read_partial
from fasthits.daily.partials.target import check_about, difference, hits_of
from fasthits.daily.targets.refusals import NAMED_GAPS, NAMED_SERVERS, ONLY_RULES, Change, fewer_left
from fasthits.daily.targets.target import Target
from fasthits.display import some_of
from fasthits.errors import TableError, UsageError

if TYPE_CHECKING:
    from fasthits.daily.counting.threads import Progress


LEAST_HITS, LEAST_BYTES = 1_000, 128
"""Smaller partials may have the same rows by chance, such as those of servers that only a health check visits."""


class Merged(NamedTuple):
    """The result of a merge of partials."""

    servers: list[str]
    days: list[date]
    """The days whose rows were replaced."""
    hits: int
    rows: int
    missing: dict[date, list[str]]
    """The servers without a partial of a day; without *as_part* the day is left unchanged."""
    fewer: list[Change]
    more: list[Change]
    parts: dict[date, list[str]]
    """The days of which a server has only a part, each with what is missing; without *as_part* such a day is left
    unchanged."""
    bytes: int
    seconds: float


class Servers:
    """The partials of all servers."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises TableError for a file that is no partial, for partials that were not counted alike, and for two counts
        of a day of a server, of which nobody knows whether they are of two servers with one name.
        """
        self.partials = [read_partial(file) for file in files]
        for found in self.partials:
            check_about(found)
            self._check_alike(found)
        self._counts: dict[tuple[str, str], Partial] = {}
        for found in sorted(self.partials, key=lambda each: each.name):
            for day in found.about["days"]:
                self._add(found, day)
        self.names = sorted({server for server, _ in self._counts})
        self.days = sorted({date.fromisoformat(day) for _, day in self._counts})

    def _add(self, found: Partial, day: str) -> None:
        server = found.about["server"]
        other = self._counts.setdefault((server, day), found)
        if other.about["days"][day]["made"] != found.about["days"][day]["made"]:  # not copies of one partial
            hint = f"leave it or {other.name} out; if they are of two servers, name each: rollup --server NAME"
            raise TableError(f"another count of {day} on {server}", found.name, hint)

    def _check_alike(self, found: Partial) -> None:
        first = self.partials[0]
        differing = difference(first.about["rules"], found.about["rules"])
        if not differing and first.places.keys() != found.places.keys():
            differing = "other tables"
        if differing:
            hint = f"use the options of {first.name} on all servers; they differ in {differing}"
            raise TableError("partials were counted with different options", found.name, hint)

    def doubles(self) -> Iterator[str]:
        """Yield a warning for each partial that has the rows of another server's: a container may have another name
        each time it counts the same log."""
        seen: dict[object, Partial] = {}
        for found in self.partials:
            (_, size), *more = found.places[HITS]
            hits = sum(found.views[HITS].values())
            if more or hits < LEAST_HITS or size < LEAST_BYTES:
                continue
            first = seen.setdefault((size, *sorted(found.views[HITS].items())), found)
            servers = [each.about["server"] for each in (first, found)]
            if servers[0] != servers[1] and _bytes_of(first, size) == _bytes_of(found, size):
                hint = "leave one out, and give the server one name: rollup --server NAME"
                yield (
                    f"warning: {first.name} and {found.name} have the same rows, of {servers[0]} and {servers[1]}: if "
                    f"that is one server, its hits count twice ({hint})"
                )

    def layouts(self) -> list[Layout]:
        """Return the layouts of the tables that the partials have."""
        about = self.partials[0].about
        by_host = about["rules"].get("by_host") == "yes"
        layouts = [hits_layout(by_host, BOTS in self.partials[0].places)]
        if "referrers" in about["tables"]:
            layouts.append(referrers_layout(by_host=by_host))
        if "searches" in about["tables"]:
            layouts.append(searches_layout(by_host))
        if NOT_FOUND in about["tables"]:
            layouts.append(not_found_layout(by_host))
        return layouts

    def missing(self) -> dict[date, list[str]]:
        """Return the days that not all servers have, with the servers that have them not."""
        found = {day: [server for server in self.names if (server, str(day)) not in self._counts] for day in self.days}
        return {day: servers for day, servers in found.items() if servers}

    def parts(self) -> dict[date, list[str]]:
        """Return the days of which a server has only a part, each with what is missing."""
        parts: dict[date, list[str]] = {}
        for (server, day), found in sorted(self._counts.items(), key=itemgetter(0)):
            if gaps := found.about["days"][day]["gaps"]:
                parts.setdefault(date.fromisoformat(day), []).append(f"{server}: {some_of(gaps, NAMED_GAPS, '; ')}")
        return parts

    def rows(self, days: Sequence[date], workshop: Workshop, advance: Advance) -> MergedRows:
        """Return the rows of *days* of all servers."""
        wanted: dict[str, tuple[Partial, set[date]]] = {}
        figures = HitTable()
        for (_, text), found in self._counts.items():
            day = date.fromisoformat(text)
            if day in days:
                wanted.setdefault(found.name, (found, set()))[1].add(day)
                if hours := found.about["days"][text]["hours"]:
                    figures.add_hours(day, hours)
        tables = {}
        for name in self.partials[0].places:
            runs, views = [], Counter[date]()
            for found, some in wanted.values():
                runs.append(of_days(found.runs(name, advance), some, workshop))
                views.update({day: found.views[name][day] for day in some & found.views[name].keys()})
            tables[name] = Runs([runs], views)
        return MergedRows(tables, workshop, figures)


def _bytes_of(found: Partial, size: int) -> bytes:
    """Return the packed rows of a partial's views."""
    return found.read_at(found.places[HITS][0][0], size)


def merge(
    servers: Servers,
    target: Target,
    progress: "Progress | None" = None,
    max_bytes: int | None = None,
    as_part: bool = False,
    with_fewer: bool = False,
) -> Merged:
    """Replace the days of the partials in *target* by the sum of all servers.

    A day that a server has not, which has other days, or of which it has only a part, stays as it was, unless
    *as_part*; so does, without *with_fewer*, a day with fewer hits than *target* has. Raises TableError with nothing
    changed.
    """
    started = time.monotonic()
    target.check()
    missing, parts = servers.missing(), servers.parts()
    days = [day for day in servers.days if as_part or not (day in missing or day in parts)]
    size = sum(found.size for found in servers.partials)
    advance = progress(size) if progress else lambda size: None
    rows = servers.rows(days, Workshop(Spool(), bytes_of_tables(max_bytes)), advance)
    try:
        replaced = target.replace(days, rows, with_fewer)
    except UnicodeDecodeError as error:  # a rollup escapes what is not UTF-8
        names = some_of([found.name for found in servers.partials], NAMED_SERVERS)
        raise TableError("rows of a partial are not UTF-8, nothing changed", names, AGAIN) from error
    left = {day for day, *_ in replaced.fewer}
    done = [day for day in days if day not in left]
    views = {name: table.views_by_day() for name, table in tables_of(rows).items()}
    hits = sum(hits_of(views, done).values())
    return Merged(
        servers.names, done, hits, replaced.rows, missing, replaced.fewer, replaced.more, parts, size,
        time.monotonic() - started,
    )  # fmt: skip


def left_days(result: Merged) -> Iterator[str]:
    """Yield a line for each reason why days were left unchanged, with what to type."""
    missing = {day: servers for day, servers in result.missing.items() if day not in result.days}
    fewer = {fewer.day for fewer in result.fewer}
    by_servers: dict[str, list[date]] = {}
    for day, servers in missing.items():
        if day not in fewer:
            by_servers.setdefault(some_of(servers, NAMED_SERVERS), []).append(day)
    for names, days in by_servers.items():
        hint = "add it; --partial keeps the day without it"
        yield f"no partial of {names}, left unchanged: {name_days(days)} ({hint})"
    for day, gaps in sorted(result.parts.items()):
        if day not in result.days and day not in fewer:
            hint = f"run fasthits rollup {day} again there; --partial keeps what is there"
            yield f"not the whole day, left unchanged: {day}: {some_of(gaps, NAMED_GAPS, '; ')} ({hint})"
    yield from fewer_left(result.fewer, f"is a server missing? {ONLY_RULES}")


def check_target(target: str) -> None:
    """Raise UsageError for a target that cannot hold several servers."""
    if is_partial(target):
        raise UsageError("a partial holds one server only", target, "name a target for all: --to hits.db")
