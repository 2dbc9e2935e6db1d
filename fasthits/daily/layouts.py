"""The tables that a rollup fills: their columns, and how their rows come out of a hit table."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Literal, Protocol

from fasthits.errors import TableError
from fasthits.records import Record
from fasthits.rules.memo import remember
from fasthits.rules.paths import part_host

REMEMBERED_REFERERS = 1 << 13
NOT_FOUND = "not_found"
"""The table of requests that were answered with 404 or 410, if they are kept apart."""
BESIDE = ("referrers", "searches", NOT_FOUND)
"""The tables that options of a rollup add to that of the hits."""
OPTIONS_OF = {"referrers": "--referrers", "searches": "--search-terms", NOT_FOUND: "--not-found apart"}
"""The option that adds each of them."""
COLUMN_OPTIONS = {"host": "--by-host", "bots": "--bots apart"}
"""The option that adds each of these columns."""
ANOTHER = "name another with --to TARGET"

Cell = str | int


class Rows(Protocol):
    """The rows of a count, in a hit table or in files. The methods are described in `HitTable`."""

    @property
    def bots(self) -> "Rows | None":
        """Rows of the hits of bots, if they are apart."""

    @property
    def by_referer(self) -> "Mapping[str, Rows]":
        """Rows by path and the kept part of the referer, by the name of their table; those of NOT_FOUND by path."""

    def rows(self) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, path, views) in any order."""

    def sorted_rows(self, *, as_text: Literal[True]) -> Iterator[tuple[str, str, int]]:
        """Yield (day, path, views) by day and path."""

    def csv(self, fields: int = 1, /) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, lines of CSV, number of lines) by day, views and path."""

    def dump(self, groups: int = 1, key: bytes = ..., *, by_views: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield (group, piece) for all rows, in order by day and path or, *by_views*, as in `csv`."""

    def views_by_day(self) -> dict[date, int]:
        """Return the sum of the views of each day."""

    def take_hours(self) -> dict[date, list[int]]:
        """Return the hits in the 24 hours of each day, and remove them."""

    def escape(self) -> None:
        """Replace bytes that are not UTF-8."""


class Layout(Record, uncompared=("rows", "csv", "keep")):
    """A table: its columns, and where its rows come from."""

    name: str
    texts: tuple[str, ...]
    """The columns of the primary key; ``date`` is the first. All but *integers* hold texts."""
    numbers: tuple[str, ...]
    """The columns that add up. CSV is sorted by the first of them."""
    rows: Callable[[Rows], Iterator[tuple[Cell, ...]]]
    """Returns the rows of a count in the order of the primary key, each key once."""
    csv: Callable[[Rows], Iterator[tuple[date, bytes, int]]] | None = None
    """Returns the rows as `Rows.csv` does; None if that cannot write this table."""
    integers: tuple[str, ...] = ()
    """The columns of the primary key that hold whole numbers."""
    keep: Callable[[bytes], bytes | None] | None = None
    """Maps a referer to the text to store, or None to store nothing; see `LineRules`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return self.texts + self.numbers

    @property
    def declaration(self) -> str:
        """The table's declaration in SQL."""
        numbers = self.integers + self.numbers
        columns = [f"{name} {'INTEGER' if name in numbers else 'TEXT'}" for name in self.columns]
        return f"{self.name}({', '.join(columns)}, PRIMARY KEY ({', '.join(self.texts)})) WITHOUT ROWID"


def options_for(there: Collection[str], columns: Collection[str]) -> str:
    """Return what to do if a target has the columns *there* in place of *columns*: the options that make these, if
    there are some, or another target.

    >>> options_for(["date", "host", "path", "views"], PLAIN.columns)
    'add --by-host, or name another with --to TARGET'
    """
    differing = set(there) ^ set(columns)
    if not differing or differing - COLUMN_OPTIONS.keys():
        return ANOTHER
    ways = [f"{'add' if name in there else 'leave out'} {COLUMN_OPTIONS[name]}" for name in sorted(differing)]
    return f"{' and '.join(ways)}, or {ANOTHER}"


def other_columns(
    target: object, table: str, columns: Sequence[str], there: Sequence[str], holder: str = "file"
) -> TableError:
    """Return the error if a table of *target*, a file or another *holder*, has the columns *there*."""
    failed = f"these options make a table {table} ({', '.join(columns)}), but the {holder} has ({', '.join(there)})"
    return TableError(failed, target, options_for(there, columns))


def not_filled(layouts: Collection[Layout]) -> list[str]:
    """Return the tables of BESIDE that are not among *layouts*."""
    return [table for table in BESIDE if table not in {layout.name for layout in layouts}]


def _texts(by_host: bool) -> tuple[str, ...]:
    return ("date", "host", "path") if by_host else ("date", "path")


def hits_layout(by_host: bool = False, apart: bool = False) -> Layout:
    """Return the table of views. With *apart*, the views of bots have a separate column."""

    def texts(row: tuple[str, str, int]) -> tuple[Cell, ...]:
        return (row[0], *part_host(row[1])) if by_host else row[:2]

    def rows(counted: Rows) -> Iterator[tuple[Cell, ...]]:
        people = _in_order(counted)
        if apart:
            yield from ((*texts(row), *numbers) for row, *numbers in _side_by_side(people, _in_order(counted.bots)))
        elif by_host:
            yield from ((*texts(row), row[2]) for row in people)
        else:
            yield from people

    def csv(counted: Rows) -> Iterator[tuple[date, bytes, int]]:
        counted.escape()
        return counted.csv()

    return Layout(
        name="hits",
        texts=_texts(by_host),
        numbers=("views", "bots") if apart else ("views",),
        rows=rows,
        csv=None if by_host or apart else csv,
    )


def _in_order(counted: Rows | None) -> Iterator[tuple[str, str, int]]:
    if counted is not None:
        counted.escape()
        yield from counted.sorted_rows(as_text=True)


def _side_by_side(
    people: Iterator[tuple[str, str, int]], bots: Iterator[tuple[str, str, int]]
) -> Iterator[tuple[tuple[str, str, int], int, int]]:
    """Yield a row of each day and path, and its views by people and by bots. Both have an order; so has the result."""
    bot = next(bots, None)
    for row in people:
        while bot and bot[:2] < row[:2]:
            yield bot, 0, bot[2]
            bot = next(bots, None)
        if bot and bot[:2] == row[:2]:
            yield row, row[2], bot[2]
            bot = next(bots, None)
        else:
            yield row, row[2], 0
    while bot:
        yield bot, 0, bot[2]
        bot = next(bots, None)


PLAIN = hits_layout()


def _hours(counted: Rows) -> Iterator[tuple[Cell, ...]]:
    views_of = counted.views_by_day()
    for day, hours in sorted(counted.take_hours().items()):
        if sum(hours) != views_of.get(day):  # some lines of the day have no time of day
            continue
        yield from ((day.isoformat(), hour, views) for hour, views in enumerate(hours) if views)


HOURS = Layout(name="hours", texts=("date", "hour"), numbers=("views",), rows=_hours, integers=("hour",))
"""The views of all paths together by hour. A day with unknown hours has no row."""


def referrers_layout(full: bool = False, own_hosts: Collection[str] = (), by_host: bool = False) -> Layout:
    """Return the table of the sites, or with *full* the pages, that readers of a path came from, except *own_hosts*.

    Raises UsageError for an own host that is no host.
    """
    from fasthits.rules.referrers import own_host, referrer_page, referrer_site

    keep = partial(_referrer, referrer_page if full else referrer_site, tuple(map(own_host, own_hosts)))
    return _layout_beside("referrers", ("referrer",), keep, by_host)


def searches_layout(by_host: bool = False) -> Layout:
    """Return the table of the search engines and search terms by which readers found a path."""
    return _layout_beside("searches", ("engine", "terms"), _search, by_host)


def not_found_layout(by_host: bool = False) -> Layout:
    """Return the table of the paths that were requested but not found."""
    return _layout_beside(NOT_FOUND, (), None, by_host)


# Functions of the module, as workers of a cluster get them, too.
def _referrer(
    referrer_of: Callable[[bytes, Collection[str]], str | None], own_hosts: Collection[str], referer: bytes
) -> bytes | None:
    referrer = referrer_of(referer, own_hosts)
    return referrer.encode() if referrer else None


def _search(referer: bytes) -> bytes | None:
    from fasthits.rules.searches import find_search

    search = find_search(referer)
    return "\n".join(search).encode() if search else None


def _layout_beside(
    name: str, texts: tuple[str, ...], keep: Callable[[bytes], bytes | None] | None, by_host: bool
) -> Layout:
    def escaped(counted: Rows) -> Rows:
        counted.by_referer[name].escape()
        return counted.by_referer[name]

    def rows(counted: Rows) -> Iterator[tuple[Cell, ...]]:
        for day, key, views in escaped(counted).sorted_rows(as_text=True):
            path, *found = key.split("\n")
            yield day, *(part_host(path) if by_host else (path,)), *found, views

    def csv(counted: Rows) -> Iterator[tuple[date, bytes, int]]:
        return escaped(counted).csv(1 + len(texts))

    return Layout(
        name=name,
        texts=(*_texts(by_host), *texts),
        numbers=("views",),
        rows=rows,
        csv=None if by_host else csv,
        keep=keep and remember(keep, REMEMBERED_REFERERS),
    )
