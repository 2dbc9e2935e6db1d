"""A partial as the target of rollups: it keeps the days of one server, and says by which rules they were counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fasthits._parse import rows_of_piece
from fasthits.daily.atomic import NothingNew, check_file, replacing
from fasthits.daily.counting.runs import BOTS, HITS, Run, Spool, Workshop, merged
from fasthits.daily.layouts import BESIDE, Layout, Rows
from fasthits.daily.partials.files import Partial, Table, now, of_days, read_partial, tables_to_write, write_partial
from fasthits.daily.targets.refusals import NOT_COMPARED, compare
from fasthits.daily.targets.target import NO_FIGURES, Replaced, Target
from fasthits.errors import TableError
from fasthits.rules.rules import FORMATS, Rules, text_of

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
        used = rules.texts()
        if rules.looks_at_agents:
            from importlib.metadata import version

            used["list of bots"] = version("crawler-user-agents")
        used |= {name: text_of(value) for name, value in options.items() if value}
        return cls(server, dict(sorted(used.items())))


class PartialTarget(Target):
    """A partial as the target of rollups: it keeps days as other targets do."""

    def __init__(self, path: Path, layouts: Sequence[Layout], origin: Origin) -> None:
        self._path = path
        self._tables = [layout.name for layout in layouts]
        self._layouts = layouts
        self._origin = origin

    def check(self) -> None:
        check_partial(self._path)
        self._old()

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [], [])
        try:
            with replacing(self._path) as (file,):
                old = self._old()
                new = tables_to_write(rows)
                hits = hits_of({name: table.views for name, table in new.items()}, days)
                kept = hits_of(old.views, days) if old else {}
                compared = NOT_COMPARED if with_fewer else compare(hits, kept)
                replaced = sorted(set(days) - {day for day, *_ in compared.fewer})
                if not replaced:
                    raise NothingNew
                days_of_file = self._days(old, replaced, figures, rows.take_hours())
                count = self._write(file, old, new, replaced, days_of_file, figures)
                if rows.bots is not None:  # one row of other targets has both the views of people and those of bots
                    count = _number_of_paths([rows, rows.bots], replaced)
        except NothingNew:
            return Replaced(0, *compared)
        except OSError as error:
            raise TableError("cannot write partial", self._path, error.strerror or str(error)) from error
        return Replaced(count, *compared)

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
        """Write the file, and return how many rows of views *replaced* have, without those of bots."""
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

        def pieces_of(name: str) -> Iterator[bytes]:
            runs = [Run(name, lambda: counted(name))]
            if old:
                runs.append(of_days(old.runs(name), others, workshop))
            return merged(runs, workshop)

        def counted(name: str) -> Iterator[bytes]:
            unsent = Run(name, lambda: iter(new[name].pieces))
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
        if (old := _kept(self._path)) is None:
            return None
        if old.about["server"] != self._origin.server:
            raise TableError(f"partial of another server, {old.about['server']}", self._path, ANOTHER)
        if differing := difference(old.about["rules"], self._origin.rules):
            raise TableError(f"these options count differently ({differing}) than the partial", self._path, ANOTHER)
        if old.about["tables"] != self._tables:
            there = ", ".join(old.about["tables"])
            raise TableError(f"these options make other tables; the file has ({there})", self._path, ANOTHER)
        return old


def check_partial(path: Path) -> None:
    """Raise TableError if no partial can be written here, or if a file is here that is no partial."""
    check_file(path)
    _kept(path)


def _number_of_paths(tables: Sequence[Rows], days: Sequence[date]) -> int:
    """Return how many pairs of a day and a path there are in *tables* together."""

    def run_of(table: Rows) -> Run:
        return Run("", lambda: (piece for _, piece in table.dump()))

    runs = list(map(run_of, tables))
    return sum(len(rows_of_piece(piece)) for piece in of_days(runs, days, Workshop(Spool(), FEW_BYTES)).pieces())


def _kept(path: Path) -> Partial | None:
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        old = read_partial(path)
        check_about(old)
    except TableError as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise TableError(error.failed, path, f"move the file away, or {ANOTHER}") from error
    return old


def hits_of(views: Mapping[str, Mapping[date, int]], days: Sequence[date]) -> dict[date, int]:
    """Return the hits by day of *days* that have any. *views* has the views by day of each table."""
    found = Counter[date]()
    for name in (HITS, BOTS):
        found.update(views.get(name, {}))
    return {day: found[day] for day in days if day in found}


def check_about(found: Partial) -> None:
    """Raise TableError for a partial that `PartialTarget` has not written."""
    about = found.about
    try:
        sound = isinstance(about["server"], str) and {"hits"} <= set(about["tables"]) <= {"hits", *BESIDE}
        sound = sound and all(isinstance(text, str) for pair in about["rules"].items() for text in pair)
        sound = sound and {*about["tables"]} == found.places.keys() - {BOTS}
        for day, known in about["days"].items():
            date.fromisoformat(day)
            sound = sound and isinstance(known["made"], str) and all(isinstance(text, str) for text in known["gaps"])
            sound = sound and len(known["hours"]) in (0, HOURS) and all(type(hits) is int for hits in known["hours"])
            sound = sound and all(0 <= hits < 1 << 63 for hits in known["hours"])
    except (KeyError, TypeError, ValueError, AttributeError):
        sound = False
    if not sound:
        raise TableError("not a partial made by a rollup", found.name, "make one: fasthits rollup --to NAME.hits")


def difference(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    """Return the names of the rules that differ, as options. Logs of the same hits may have different formats."""
    names = [name for name in sorted({*first, *second}.difference(FORMATS)) if first.get(name) != second.get(name)]
    return ", ".join(name.replace("_", "-") for name in names)
