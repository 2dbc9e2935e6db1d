"""A fleet of servers: each keeps its days in a partial, and one machine merges the partials of all into a target."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from fasthits._parse import HitTable, rows_of_piece
from fasthits.daily.atomic import check_file, replacing
from fasthits.daily.columns import (
    BESIDE,
    NOT_FOUND,
    Layout,
    Rows,
    hits_layout,
    not_found_layout,
    referrers_layout,
    searches_layout,
)
from fasthits.daily.days import name_days
from fasthits.daily.memory import MAX_BYTES, bytes_of_tables
from fasthits.daily.partials import (
    Advance,
    Partial,
    Table,
    now,
    of_days,
    read_partial,
    tables_to_write,
    write_partial,
)
from fasthits.daily.refusals import NAMED_DAYS, Fewer, find_fewer
from fasthits.daily.runs import BOTS, HITS, MergedRows, Run, Runs, Spool, Workshop, merged, tables_of
from fasthits.daily.targets import NO_FIGURES, Replaced
from fasthits.daily.targets import Table as Target
from fasthits.errors import TableError, UsageError
from fasthits.records import fields_of
from fasthits.rules.rules import Rules

if TYPE_CHECKING:
    from fasthits.daily.threads import Progress

ANOTHER = "name another with --to NAME.hits"
HOURS = 24
FEW_BYTES = 64 << 20
"""Memory for the merge of two partials."""


class Origin(NamedTuple):
    """The origin of a partial's rows."""

    server: str
    rules: Mapping[str, str]
    """What they were counted by; only what is not the default."""

    @classmethod
    def of(cls, server: str, rules: Rules, **options: object) -> "Origin":
        """Return the origin of rows that *rules* and other *options* of a rollup have counted."""
        used: dict[str, object] = fields_of(rules)
        default = Rules()
        used = {name: value for name, value in used.items() if value != getattr(default, name) and name != "pages"}
        if rules.looks_at_agents:
            from importlib.metadata import version

            used["list of bots"] = version("crawler-user-agents")
        used |= {name: value for name, value in options.items() if value}
        return cls(server, {name: _text(value) for name, value in sorted(used.items())})


def _text(value: object) -> str:
    if isinstance(value, set | frozenset | tuple | list):
        return ", ".join(sorted(map(str, value)) if isinstance(value, set | frozenset) else map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value))
    return "yes" if value is True else str(value)


class HitsFile(Target):
    """A partial as the target of rollups: it keeps days as other targets do."""

    def __init__(self, path: Path, layouts: Sequence[Layout], origin: Origin) -> None:
        self._path = path
        self._tables = [layout.name for layout in layouts]
        self._layouts = layouts
        self._origin = origin

    def check(self) -> None:
        check_file(self._path)
        self._old()

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [])
        try:
            with replacing(self._path) as (file,):
                old = self._old()
                new = tables_to_write(rows)
                hits = _hits_of({name: table.views for name, table in new.items()}, days)
                kept = _hits_of(old.views, days) if old else {}
                fewer = [] if with_fewer else find_fewer(hits, kept)
                replaced = sorted(set(days) - {day for day, *_ in fewer})
                if not replaced:
                    raise _NothingNew
                days_of_file = self._days(old, replaced, figures, rows.take_hours())
                count = self._write(file, old, new, replaced, days_of_file, figures)
        except _NothingNew:
            return Replaced(0, fewer)
        except OSError as error:
            raise TableError("cannot write partial", self._path, error.strerror or str(error)) from error
        return Replaced(count, fewer)

    def _days(
        self, old: Partial | None, replaced: Sequence[date], figures: Mapping[str, Any], hours: Mapping[date, list[int]]
    ) -> dict[str, Any]:
        """Return the file's record of its days."""
        days = dict(old.about["days"]) if old else {}
        made, gaps = now(), figures.get("parts", {})
        for day in replaced:
            days[str(day)] = {"made": made, "gaps": gaps.get(str(day), []), "hours": hours.get(day, [])}
        return dict(sorted(days.items()))

    def _write(
        self,
        file: BinaryIO,
        old: Partial | None,
        new: Mapping[str, Table],
        replaced: Sequence[date],
        days: Mapping[str, Any],
        figures: Mapping[str, Any],
    ) -> int:
        """Write the file, and return how many rows *replaced* have."""
        others = set(map(date.fromisoformat, days)).difference(replaced)
        about = {
            "server": self._origin.server,
            "rules": self._origin.rules,
            "tables": self._tables,
            "days": days,
            "figures": dict(figures),
        }
        rows = Counter[str]()
        workshop = Workshop(Spool(), FEW_BYTES)

        def pieces_of(name: str) -> Iterator[tuple[int, bytes]]:
            runs = [Run(name, lambda: counted(name))]
            if old:
                runs.append(of_days(old.runs(name), others, workshop))
            return ((0, piece) for piece in merged(runs, workshop))

        def counted(name: str) -> Iterator[bytes]:
            unsent = Run(name, lambda: (piece for _, piece in new[name].pieces))
            for piece in of_days([unsent], replaced, workshop).pieces():
                rows[name] += len(rows_of_piece(piece))
                yield piece

        tables = {}
        for name, table in new.items():
            views = {day: table.views[day] for day in replaced if day in table.views}
            if old:
                views |= {day: count for day, count in old.views[name].items() if day in others}
            tables[name] = Table(pieces_of(name), views)
        write_partial(file, tables, about)
        return rows[HITS]

    def _old(self) -> Partial | None:
        if not self._path.exists() or not self._path.stat().st_size:
            return None
        old = read_partial(self._path)
        check_about(old)
        if old.about["server"] != self._origin.server:
            raise TableError(f"partial of another server, {old.about['server']}", self._path, ANOTHER)
        if differing := _difference(old.about["rules"], self._origin.rules):
            raise TableError(f"these options count differently ({differing}) than the partial", self._path, ANOTHER)
        if old.about["tables"] != self._tables:
            there = ", ".join(old.about["tables"])
            raise TableError(f"these options make other tables; the file has ({there})", self._path, ANOTHER)
        return old


class _NothingNew(Exception):
    """Ends `replacing` without replacing a file."""


def _hits_of(views: Mapping[str, Mapping[date, int]], days: Sequence[date]) -> dict[date, int]:
    found = Counter[date]()
    for name in (HITS, BOTS):
        found.update(views.get(name, {}))
    return {day: found[day] for day in days if day in found}


def check_about(found: Partial) -> None:
    """Raise TableError for a partial that `HitsFile` has not written."""
    about = found.about
    try:
        sound = isinstance(about["server"], str) and {"hits"} <= set(about["tables"]) <= {"hits", *BESIDE}
        sound = sound and all(isinstance(text, str) for pair in about["rules"].items() for text in pair)
        sound = sound and len(about["tables"]) == len(found.places) - (BOTS in found.places)
        for day, known in about["days"].items():
            date.fromisoformat(day)
            sound = sound and isinstance(known["made"], str) and all(isinstance(text, str) for text in known["gaps"])
            sound = sound and len(known["hours"]) in (0, HOURS) and all(type(hits) is int for hits in known["hours"])
            sound = sound and all(0 <= hits < 1 << 63 for hits in known["hours"])
    except (KeyError, TypeError, ValueError, AttributeError):
        sound = False
    if not sound:
        raise TableError("not a partial made by a rollup", found.name, "make one: fasthits rollup --to NAME.hits")


def _difference(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    names = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
    return ", ".join(name.replace("_", "-") for name in names)


class Merged(NamedTuple):
    """The result of a merge of partials."""

    servers: list[str]
    days: list[date]
    """The days whose rows were replaced."""
    hits: int
    rows: int
    missing: dict[date, list[str]]
    """The servers without a partial of a day; without *as_part* the day is left unchanged."""
    fewer: list[Fewer]
    gaps: list[str]
    """What is missing of a day of a server."""
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
        if other.about["days"][day]["made"] != found.about["days"][day]["made"]:  # not a copy
            hint = f"leave it or {other.name} out; if they are of two servers, name each: rollup --server NAME"
            raise TableError(f"another count of {day} on {server}", found.name, hint)

    def _check_alike(self, found: Partial) -> None:
        first = self.partials[0]
        differing = _difference(first.about["rules"], found.about["rules"])
        if not differing and first.places.keys() != found.places.keys():
            differing = "other tables"
        if differing:
            hint = f"use the options of {first.name} on all servers; they differ in {differing}"
            raise TableError("partials were counted with different options", found.name, hint)

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

    def gaps(self, days: Sequence[date]) -> list[str]:
        """Return the missing parts of *days* on single servers."""
        return [
            f"{day} of {server} is a part: {'; '.join(gaps)}"
            for day in days
            for server in self.names
            if (found := self._counts.get((server, str(day)))) and (gaps := found.about["days"][str(day)]["gaps"])
        ]

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


def merge(
    servers: Servers,
    table: Target,
    progress: "Progress | None" = None,
    max_bytes: int = MAX_BYTES,
    as_part: bool = False,
    with_fewer: bool = False,
) -> Merged:
    """Replace the days of the partials in *table* by the sum of all servers.

    A day that a server has not, which has other days, stays as it was, unless *as_part*; so does, without *with_fewer*,
    a day with fewer hits than *table* has. Raises TableError with nothing changed.
    """
    started = time.monotonic()
    table.check()
    missing = servers.missing()
    days = [day for day in servers.days if as_part or day not in missing]
    size = sum(found.size for found in servers.partials)
    advance = progress(size) if progress else lambda size: None
    rows = servers.rows(days, Workshop(Spool(), bytes_of_tables(max_bytes)), advance)
    replaced = table.replace(days, rows, with_fewer)
    left = {day for day, *_ in replaced.fewer}
    done = [day for day in days if day not in left]
    views = {name: table.views_by_day() for name, table in tables_of(rows).items()}
    hits = sum(_hits_of(views, done).values())
    return Merged(
        servers.names, done, hits, replaced.rows, missing, replaced.fewer, servers.gaps(done), size,
        time.monotonic() - started,
    )  # fmt: skip


def left_days(result: Merged) -> Iterator[str]:
    """Yield a line for each reason why days were left unchanged, with what to type."""
    missing = {day: servers for day, servers in result.missing.items() if day not in result.days}
    by_servers: dict[str, list[date]] = {}
    for day, servers in missing.items():
        if day not in {fewer.day for fewer in result.fewer}:
            by_servers.setdefault(", ".join(servers), []).append(day)
    for names, days in by_servers.items():
        hint = "add it; --partial keeps the day without it"
        yield f"no partial of {names}, left unchanged: {name_days(days)} ({hint})"
    if result.fewer:
        named = "; ".join(map(str, result.fewer[:NAMED_DAYS]))
        more = f"; and {len(result.fewer) - NAMED_DAYS} more days" * (len(result.fewer) > NAMED_DAYS)
        hint = "is a server missing? if only the rules have changed, --replace replaces the day"
        yield f"fewer hits than are kept, left unchanged: {named}{more} ({hint})"


def check_target(target: str) -> None:
    """Raise UsageError for a target that cannot hold several servers."""
    if target.lower().endswith(".hits"):
        raise UsageError("a partial holds one server only", target, "name a target for all: --to hits.db")
