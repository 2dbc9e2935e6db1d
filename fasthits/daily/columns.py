"""The tables that a rollup fills: their columns, and how their rows come out of a hit table."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date

from fasthits._parse import HitTable
from fasthits.rules.memo import remember
from fasthits.rules.paths import part_host

REMEMBERED_REFERERS = 1 << 13

Cell = str | int


@dataclass(frozen=True)
class Layout:
    """A table: its columns, and where its rows come from."""

    name: str
    texts: tuple[str, ...]
    """The columns of the primary key; ``date`` is the first. All but *integers* hold texts."""
    numbers: tuple[str, ...]
    """The columns that add up. CSV is sorted by the first of them."""
    rows: Callable[[HitTable], Iterator[tuple[Cell, ...]]] = field(compare=False)
    """Returns the rows in a hit table. Rows with equal texts are to be added up."""
    csv: Callable[[HitTable], Iterator[tuple[date, bytes, int]]] | None = field(default=None, compare=False)
    """Returns the rows as `HitTable.csv` does; None if that cannot write this table."""
    integers: tuple[str, ...] = ()
    """The columns of the primary key that hold whole numbers."""
    keep: Callable[[bytes], bytes | None] | None = field(default=None, compare=False)
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


def _texts(by_host: bool) -> tuple[str, ...]:
    return ("date", "host", "path") if by_host else ("date", "path")


def hits_layout(by_host: bool = False, apart: bool = False) -> Layout:
    """Return the table of views. With *apart*, the views of bots have a column of their own."""

    def views(counter: HitTable) -> Iterator[tuple[Cell, ...]]:
        counter.escape()
        rows = counter.sorted_rows(as_text=True)
        return ((day, *part_host(path), views) for day, path, views in rows) if by_host else rows

    def rows(counter: HitTable) -> Iterator[tuple[Cell, ...]]:
        yield from ((*row, 0) for row in views(counter))
        if counter.bots is not None:
            yield from ((*row[:-1], 0, row[-1]) for row in views(counter.bots))

    def csv(counter: HitTable) -> Iterator[tuple[date, bytes, int]]:
        counter.escape()
        return counter.csv()

    return Layout(
        name="hits",
        texts=_texts(by_host),
        numbers=("views", "bots") if apart else ("views",),
        rows=rows if apart else views,
        csv=None if by_host or apart else csv,
    )


PLAIN = hits_layout()


def _hours(counter: HitTable) -> Iterator[tuple[Cell, ...]]:
    for day, hours in sorted(counter.take_hours().items()):
        yield from ((day.isoformat(), hour, views) for hour, views in enumerate(hours) if views)


HOURS = Layout(name="hours", texts=("date", "hour"), numbers=("views",), rows=_hours, integers=("hour",))
"""The views of all paths together by hour. A day of which no hour is known has no row."""


def referrers_layout(full: bool = False, own_hosts: Collection[str] = (), by_host: bool = False) -> Layout:
    """Return the table of the sites, or with *full* the pages, that readers of a path came from, except *own_hosts*."""
    from fasthits.rules.referrers import referrer_page, referrer_site

    referrer_of = referrer_page if full else referrer_site

    def keep(referer: bytes) -> bytes | None:
        referrer = referrer_of(referer, own_hosts)
        return referrer.encode() if referrer else None

    return _layout_by_referer("referrers", ("referrer",), keep, by_host)


def searches_layout(by_host: bool = False) -> Layout:
    """Return the table of the search engines and search terms by which readers found a path."""
    from fasthits.rules.searches import find_search

    def keep(referer: bytes) -> bytes | None:
        search = find_search(referer)
        return "\n".join(search).encode() if search else None

    return _layout_by_referer("searches", ("engine", "terms"), keep, by_host)


def _layout_by_referer(
    name: str, texts: tuple[str, ...], keep: Callable[[bytes], bytes | None], by_host: bool
) -> Layout:
    def escaped(counter: HitTable) -> HitTable:
        counter.by_referer[name].escape()
        return counter.by_referer[name]

    def rows(counter: HitTable) -> Iterator[tuple[Cell, ...]]:
        for day, key, views in escaped(counter).sorted_rows(as_text=True):
            path, *found = key.split("\n")
            yield day, *(part_host(path) if by_host else (path,)), *found, views

    def csv(counter: HitTable) -> Iterator[tuple[date, bytes, int]]:
        return escaped(counter).csv(1 + len(texts))

    return Layout(
        name=name,
        texts=(*_texts(by_host), *texts),
        numbers=("views",),
        rows=rows,
        csv=None if by_host else csv,
        keep=remember(keep, REMEMBERED_REFERERS),
    )
