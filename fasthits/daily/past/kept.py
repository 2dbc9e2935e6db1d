"""The kept days of a database at one moment: sums where it has them, else made here from the rows of hits."""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from fasthits._parse import add_sums, pack_sums
from fasthits.daily.days import Range, kept_day
from fasthits.errors import TableError, UsageError
from fasthits.rules.paths import is_static

MAX_VARIABLES = 900
"""Of a statement; SQLite before 3.32 takes 999."""
SOME_PATHS = 2_000
"""With more paths than this, one pass through all paths is faster than a look-up for each path."""
LOOK_UP = 4_000
"""A day's views of so many paths are added up from its sums while the row of one path is looked up."""

WHOLE_NUMBERS = "write views as whole numbers, such as 1500, restore a backup, or name another with --database"


class Packed(NamedTuple):
    """A day's views of all paths together and, packed, of each path."""

    day: str
    views: int
    packed: bytes


class Rows(Protocol):
    """The rows that a query has found."""

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""


class Database(Protocol):
    """A database that is open to read. All reads see the same moment.

    Queries have ``?`` for a value, and use only SQL that all databases know. Days are texts: ``2026-03-12``.
    """

    @property
    def name(self) -> object:
        """The name for messages."""

    def execute(self, query: str, values: Sequence[object] = ()) -> Rows:
        """Return the rows of a query."""

    def stream(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """Return the rows of a query, which may need more memory than there is."""

    def columns_of(self, table: str) -> list[str]:
        """Return the names of a table's columns, in order; none if there is no such table."""

    def interrupt(self) -> None:
        """Let the query that another thread runs raise an error. Returns at once."""

    def errors(self) -> AbstractContextManager[None]:
        """Return a context in which all errors of the database are raised as TableError."""


class Kept:
    """The content of an open database. *number* is the column that counts: ``views`` or ``bots``."""

    def __init__(
        self,
        database: Database,
        summed: Collection[str] | None,
        with_rows: Iterable[str],
        summed_sources: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        """*summed* are the days that have sums, None if no sums count; *with_rows* those that have rows, or some.
        *summed_sources* are the days that have sums in the tables of referrers and searches."""
        self._summed_sources = summed_sources
        self._database = database
        self._file = database.name
        self._interrupted = False
        columns = database.columns_of("hits")
        self.has_hosts, self.has_bots = "host" in columns, "bots" in columns
        self._has_sums = summed is not None
        self._summed = set(summed or ())
        self.days = [_date_of(day, self._file) for day in sorted(self._summed.union(with_rows), key=str)]
        """All kept days, in order."""
        self._made: dict[tuple[str, str | None, str], Packed] = {}
        self._totals: dict[tuple[Range, str | None, str], array[int]] = {}

    def interrupt(self) -> None:
        """Let the query that another thread runs, and each further query, raise an error."""
        self._interrupted = True
        self._database.interrupt()

    def errors(self) -> AbstractContextManager[None]:
        """Return a context in which all errors of the database are raised as TableError."""
        return self._database.errors()

    @cached_property
    def paths(self) -> "Paths":
        """The paths of all sums, also of those that `packed` has made here."""
        return Paths(self._ask, self._stream, self._has_sums, self._file)

    def check_host(self, host: str | None) -> None:
        """Raise UsageError for a host that cannot be in the table: if it has no hosts, or for one in upper case."""
        if host is None:
            return
        if not self.has_hosts:
            raise UsageError(
                "the database has no hosts", host, "a new database gets them from fasthits rollup --by-host"
            )
        if host != host.lower():
            raise UsageError("no such host", host, f"hosts are kept in lower case: {host.lower()}")

    def days_of(self, days: Range) -> list[str]:
        """Return the kept days of a range."""
        return [day.isoformat() for day in self.days if days.first <= day <= days.last]

    def site(self, days: Range, host: str | None = None, number: str = "views") -> dict[str, int]:
        """Return the views of all paths together, by kept day."""
        found = dict.fromkeys(self.days_of(days), 0)
        where = _of_host(host)
        if self._has_sums:
            query = f"SELECT {_sum(number)}, date FROM hits_sums WHERE date BETWEEN ? AND ?{where} GROUP BY date"
            found.update(self._numbers(self._ask(query, [*days.ends, *_given(host)])))
        for day in self._without_sums(days):
            query = f"SELECT {_sum(number)} FROM hits WHERE date = ?{where}"
            found[day] = self._number(self._ask(query, [day, *_given(host)]))
        return found

    def hosts(self, days: Range) -> Counter[str]:
        """Return the views of each host that has any."""
        found: Counter[str] = Counter()
        if self._has_sums:
            query = f"SELECT {_sum()}, host FROM hits_sums WHERE date BETWEEN ? AND ? GROUP BY host"
            found.update(self._numbers(self._ask(query, days.ends)))
        for day in self._without_sums(days):
            query = f"SELECT {_sum()}, host FROM hits WHERE date = ? GROUP BY host"
            found.update(self._numbers(self._ask(query, [day])))
        return +found

    def paths_by_day(
        self, paths: Sequence[str], days: Range, host: str | None = None, number: str = "views"
    ) -> list[dict[str, int]]:
        """Return the views of each of *paths*, by kept day."""
        are_many = len(paths) * LOOK_UP > self.paths.numbers and not self._without_sums(days)
        if (self.has_hosts and host is None) or are_many:
            packed = self.packed(days, host, number)
            return self.by_day(packed, days, [[self.paths.number_of(path)] for path in paths])
        # One look-up in the primary key for each day; BETWEEN would go through all rows of all days.
        query = f"SELECT {_sum(number)} FROM hits WHERE date = ? AND path = ?{_of_host(host)}"
        kept = self.days_of(days)
        return [{day: self._number(self._ask(query, [day, path, *_given(host)])) for day in kept} for path in paths]

    def packed(self, days: Range, host: str | None = None, number: str = "views") -> Iterator[Packed]:
        """Return each day's packed views, to add up. When it returns, `paths` has all paths of these days."""
        made = [self._make(day, host, number) for day in self._without_sums(days)]
        if not self._has_sums:
            return iter(made)
        packed = "packed_bots" if number == "bots" else "packed"
        query = f"SELECT date, {number}, {packed} FROM hits_sums WHERE date BETWEEN ? AND ?{_of_host(host)}"
        return chain(map(Packed._make, self._stream(query, [*days.ends, *_given(host)])), made)

    def totals(self, days: Range, host: str | None = None, number: str = "views") -> "array[int]":
        """Return the views of each path in a range, by its number. The last answer is kept."""
        asked = (days, host, number)
        if asked not in self._totals:
            packed = self.packed(days, host, number)  # this may add paths
            sums = array("Q", bytes(8 * self.paths.numbers))
            for each in packed:
                self._add(each, sums)
            self._totals = {asked: sums}
        found = self._totals[asked]
        found.extend([0] * (self.paths.numbers - len(found)))  # paths that are new since
        return found

    def by_day(self, packed: Iterable[Packed], days: Range, groups: Sequence[Iterable[int]]) -> list[dict[str, int]]:
        """Return the views of each group of paths, by kept day. A path is in one group only. It is given by its number,
        which is 0 if nobody read it."""
        places = array("I", bytes(4 * self.paths.numbers))
        for place, group in enumerate(groups, 1):
            for path in group:
                places[path] = place
        sums = {day: array("Q", bytes(8 * (1 + len(groups)))) for day in self.days_of(days)}
        for each in packed:
            self._add(each, sums[each.day], places)
        return [{day: views[place] for day, views in sums.items()} for place in range(1, 1 + len(groups))]

    def has_table(self, name: str) -> bool:
        """Tell whether the database has a table."""
        return bool(self._database.columns_of(name))

    def sources(
        self, table: str, texts: str, days: Range, host: str | None, path: str | None = None, is_section: bool = False
    ) -> Counter[tuple[str, ...]]:
        """Return the views by *texts*, columns of the table of referrers or searches: of all paths, of a path, or of
        those that begin with *path*, which ends in a slash."""
        found: Counter[tuple[str, ...]] = Counter()
        made = self._summed_sources.get(table, ()) if path is None else ()
        if made:
            condition, given = self._in_kept(days)
            summed = f"FROM {table}_sums WHERE {condition}"
            query = f"SELECT {_sum()}, {texts} {summed}{_of_host(host)} GROUP BY {texts}"
            found.update(self._by_texts(self._ask(query, [*given, *_given(host)])))
        where, given = _of_host(host), _given(host)
        if path is not None and is_section:
            where, given = f"{where} AND path >= ? AND path < ?", [*given, path, f"{path[:-1]}0"]  # 0 comes after the /
        elif path is not None:
            where, given = f"{where} AND path = ?", [*given, path]
        query = f"SELECT {_sum()}, {texts} FROM {table} WHERE date = ?{where} GROUP BY {texts}"
        for day in self.days_of(days):
            if day not in made:
                found.update(self._by_texts(self._ask(query, [day, *given])))
        return found

    def not_found(self, days: Range, host: str | None, prefix: str, limit: int, offset: int) -> list[tuple[str, int]]:
        """Return the paths with *prefix* that were most often requested but not found."""
        condition, given = self._in_kept(days)
        query = (
            f"SELECT {_sum()}, path FROM not_found WHERE {condition} AND path >= ?{_of_host(host)} "
            f"AND substr(path, 1, {len(prefix)}) = ? GROUP BY path ORDER BY 1 DESC, path LIMIT {limit} OFFSET {offset}"
        )
        return list(self._numbers(self._ask(query, [*given, prefix, *_given(host), prefix])).items())

    def _in_kept(self, days: Range) -> tuple[str, list[str]]:
        """Return a condition for the kept days of a range, and its values.

        Whoever removes a day from ``hits`` leaves its rows in other tables.
        """
        kept = self.days_of(days)
        if kept and len(kept) == len(days.days):
            return "date BETWEEN ? AND ?", kept[:1] + kept[-1:]
        return f"date IN ({', '.join('?' * len(kept)) or 'NULL'})", kept

    def hours(self, day: date) -> dict[int, int]:
        """Return the views of a day by hour."""
        query = f"SELECT {_sum()}, hour FROM hours WHERE date = ? GROUP BY hour"
        return self._numbers(self._ask(query, [day.isoformat()]))

    def paths_without_sums(self, days: Range) -> Iterator[str]:
        """Yield the paths of each day without sums."""
        for day in self._without_sums(days):
            for (path,) in self._stream("SELECT DISTINCT path FROM hits WHERE date = ?", [day]):
                yield path

    def _ask(self, query: str, values: Sequence[object] = ()) -> Rows:
        self._go_on()
        return self._database.execute(query, values)

    def _number(self, rows: Rows) -> int:
        """Return the views in the only row, which `_sum` selects."""
        with self._damage("invalid views", WHOLE_NUMBERS):
            return _whole(*rows.fetchone())

    def _numbers(self, rows: Rows) -> dict[Any, int]:
        """Return the views, which `_sum` selects, by the last column."""
        return {key: views for (key,), views in self._by_texts(rows).items()}

    def _by_texts(self, rows: Rows) -> dict[tuple[str, ...], int]:
        """Return the views, which `_sum` selects, by the columns that follow."""
        with self._damage("invalid views", WHOLE_NUMBERS):
            return {tuple(texts): _whole(views, least, most) for views, least, most, *texts in rows}

    def _stream(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        self._go_on()
        return self._database.stream(query, values)

    def _go_on(self) -> None:
        if self._interrupted:
            raise TableError("cannot read database", self._file, "interrupted")

    def _without_sums(self, days: Range) -> list[str]:
        return [day for day in self.days_of(days) if day not in self._summed]

    def _make(self, day: str, host: str | None, number: str) -> Packed:
        """Return the packed views of a day without sums."""
        made = self._made.get((day, host, number))
        if made is None:
            views: Counter[int] = Counter()
            query = f"SELECT path, {number} FROM hits WHERE date = ?{_of_host(host)}"
            with self._damage("invalid views", WHOLE_NUMBERS):
                for path, count in self._stream(query, [day, *_given(host)]):
                    views[self.paths.make_number(path)] += count
                made = Packed(day, _whole(views.total()), pack_sums(sorted(views.items())))
            self._made[day, host, number] = made
        return made

    def _add(self, each: Packed, sums: "array[int]", places: "array[int] | None" = None) -> None:
        with self._damage("damaged sums"):
            _, views = add_sums(each.packed, sums, places)
            if views != each.views:
                raise ValueError(f"{each.day}: {views} views, not {each.views}")

    @contextmanager
    def _damage(self, what: str, advice: str = "") -> Iterator[None]:
        try:
            yield
        except (TypeError, ValueError, OverflowError) as error:
            value = str(error) if isinstance(error, ValueError) else ""  # others name types of Python
            raise TableError(
                f"the database has {what}", self._file, "; ".join(filter(None, [value, advice]))
            ) from error


class Paths:
    """The paths of a database, each with its number, from 1. A number whose path was removed has none."""

    def __init__(
        self, ask: Callable[..., Rows], stream: Callable[..., Iterator[Any]], has_sums: bool, file: object
    ) -> None:
        self._ask = ask
        self._stream = stream
        self._has_sums = has_sums
        self._file = file
        (last,) = ask("SELECT coalesce(max(id), 0) FROM hits_paths").fetchone() if has_sums else (0,)
        self._kept: int = last
        self._more: list[str] = []
        self._static: set[int] = set()
        self._judged = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the path of each path."""
        number = 0
        if self._has_sums:
            stored = self._stream("SELECT id, path FROM hits_paths WHERE id > 0 ORDER BY id")
            for number, each in enumerate(stored, 1):
                if each[0] != number:
                    break
                if each[1] is not None:
                    yield each
        if number != self._kept:
            raise self._missing()
        yield from enumerate(self._more, self._kept + 1)

    @property
    def static(self) -> set[int]:
        """The numbers of the paths of static files."""
        if self._judged < self.numbers:  # there are new paths
            query = "SELECT id, path FROM hits_paths WHERE id > 0 AND path LIKE ?"
            stored = self._stream(query, ["%.%"]) if self._has_sums else []
            self._static = {
                number
                for number, path in chain(stored, enumerate(self._more, self._kept + 1))
                if is_static(path.partition("?")[0].encode())
            }
            self._judged = self.numbers
        return self._static

    @property
    def numbers(self) -> int:
        """One more than the largest number."""
        return self._kept + len(self._more) + 1

    def number_of(self, path: str) -> int:
        """Return a path's number, or 0."""
        if self._more:
            return self._numbers.get(path, 0)
        query = "SELECT id FROM hits_paths WHERE path = ? AND id > 0"
        found = self._ask(query, [path]).fetchone() if self._has_sums else None
        return found[0] if found else 0

    def make_number(self, path: str) -> int:
        """Return a path's number, which may be new."""
        number = self._numbers.setdefault(path, self.numbers)
        if number == self.numbers:
            self._more.append(path)
        return number

    def named(self, numbers: Collection[int]) -> dict[int, str]:
        """Return the paths with *numbers*."""
        if len(numbers) > SOME_PATHS:
            wanted = set(numbers)
            return {number: path for number, path in self if number in wanted}
        found = {number: self._more[number - self._kept - 1] for number in numbers if number > self._kept}
        kept = [number for number in numbers if number <= self._kept]
        for at in range(0, len(kept), MAX_VARIABLES):
            some = kept[at : at + MAX_VARIABLES]
            query = f"SELECT id, path FROM hits_paths WHERE id IN ({', '.join('?' * len(some))})"
            found.update(self._ask(query, some))
        if len(found) != len(numbers) or None in found.values():
            raise self._missing()
        return found

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {path: number for number, path in self}

    def _missing(self) -> TableError:
        return TableError("the database has damaged sums", self._file, "paths are missing")


def _sum(number: str = "views") -> str:
    """Return what to select for `_whole`: the sum, the least and the largest number of the rows."""
    return f"sum({number}), min(coalesce({number}, -1)), max({number})"


def _whole(views: Any, least: Any = 0, most: Any = 0) -> int:
    """Return a number of views, 0 for the sum of no rows. Raises ValueError or TypeError if it is none: anybody may
    change rows by hand. SQLite's sum takes text for 0, and a negative number hides in it; text is larger than numbers.
    """
    for number in () if least is None else (least, most, views):
        if isinstance(number, str | bytes) or number != int(number) or number < 0:
            raise ValueError(f"{number!r} views")
    return int(views or 0)


def _of_host(host: str | None) -> str:
    return "" if host is None else " AND host = ?"


def _given(host: str | None) -> list[str]:
    return [] if host is None else [host]


def _date_of(text: object, file: object) -> date:
    try:
        return kept_day(text)
    except (TypeError, ValueError) as error:
        hint = f"{error}; write dates as 2026-03-12, restore a backup, or name another with --database"
        raise TableError("the database has invalid dates", file, hint) from error
