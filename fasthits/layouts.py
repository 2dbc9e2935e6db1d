"""The tables that a rollup fills: their columns, and the rows that a counter has for them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from fasthits._parse import LINE_BYTES, HitCounter
from fasthits.referrers import referrer_page, referrer_site, search_reader

REMEMBERED_REFERERS = 1 << 16

Cell = str | int


@dataclass(frozen=True)
class Layout:
    """What one table looks like, and what is in it."""

    name: str
    texts: tuple[str, ...]
    """The columns that tell rows apart, ``date`` before all others."""
    numbers: tuple[str, ...]
    """The columns that add up, the one by which rows are in order before all others."""
    rows: Callable[[HitCounter], Iterator[tuple[Cell, ...]]] = field(compare=False)
    """Returns the rows that a counter has for it; some of them may have equal texts, and are to be added up then."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in their order."""
        return self.texts + self.numbers

    @property
    def declaration(self) -> str:
        """The table as SQLite is told of it."""
        columns = [f"{text} TEXT" for text in self.texts] + [f"{number} INTEGER" for number in self.numbers]
        return f"{self.name}({', '.join(columns)}, PRIMARY KEY ({', '.join(self.texts)})) WITHOUT ROWID"


def _texts(by_host: bool) -> tuple[str, ...]:
    return ("date", "host", "path") if by_host else ("date", "path")


def _cells(day: date, path: str, by_host: bool) -> tuple[str, ...]:
    """Return the date and the path, with *by_host* parted from the host that it begins with."""
    if not by_host:
        return day.isoformat(), path
    host, slash, rest = path[2:].partition("/")
    return day.isoformat(), host, slash + rest


def hits_layout(by_host: bool = False, apart: bool = False) -> Layout:
    """Return the table of views, with *apart* those of bots in a column of their own."""

    def views(counter: HitCounter) -> Iterator[tuple[Cell, ...]]:
        counter.escape()
        for day, path, views in counter.sorted_rows():
            yield *_cells(day, path.decode(), by_host), views

    def rows(counter: HitCounter) -> Iterator[tuple[Cell, ...]]:
        yield from ((*row, 0) for row in views(counter))
        if counter.bots is not None:
            yield from ((*row[:-1], 0, row[-1]) for row in views(counter.bots))

    return Layout("hits", _texts(by_host), ("views", "bots") if apart else ("views",), rows if apart else views)


PLAIN = hits_layout()


def referrers_layout(full: bool = False, own_hosts: Collection[str] = (), by_host: bool = False) -> Layout:
    """Return the table of the sites, or with *full* the pages, that readers of a path came from; not of *own_hosts*."""
    referrer_of = referrer_page if full else referrer_site

    def read(referer: bytes) -> tuple[str, ...] | None:
        referrer = referrer_of(referer, own_hosts)
        return (referrer,) if referrer else None

    def rows(counter: HitCounter) -> Iterator[tuple[Cell, ...]]:
        return _rows_by_referer(counter, read, by_host)

    return Layout("referrers", (*_texts(by_host), "referrer"), ("views",), rows)


def searches_layout(by_host: bool = False) -> Layout:
    """Return the table of what readers of a path had searched for, and where.

    Raises UsageError when a package is missing.
    """
    read = search_reader()

    def rows(counter: HitCounter) -> Iterator[tuple[Cell, ...]]:
        return _rows_by_referer(counter, read, by_host)

    return Layout("searches", (*_texts(by_host), "engine", "terms"), ("views",), rows)


def _rows_by_referer(
    counter: HitCounter, read: Callable[[bytes], tuple[str, ...] | None], by_host: bool
) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of what *read* finds in referers, which are far more than that; it is asked once for each.

    They are added up before they go to SQLite: 643,000 referers of paths are 220,000 sites of paths in a day of 1 GB.
    """
    if counter.referers is None:
        return
    encoded = lru_cache(REMEMBERED_REFERERS)(lambda referer: "\n".join(read(referer) or ()).encode())
    summed = HitCounter()
    for day, key, views in counter.referers.rows():
        path, _, referer = key.partition(b"\n")
        if (found := encoded(referer)) and len(path) + len(found) < LINE_BYTES:  # what no row takes is nobody's path
            summed.add(day, path + b"\n" + found, views)
    summed.escape()
    for day, key, views in summed.sorted_rows():
        name, *texts = key.decode().split("\n")
        yield *_cells(day, name, by_host), *texts, views
