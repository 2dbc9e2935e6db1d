"""The tables that a rollup fills: their columns, and the rows that a counter has for them."""

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
    """What one table looks like, and what is in it."""

    name: str
    texts: tuple[str, ...]
    """The columns that tell rows apart, ``date`` before all others."""
    numbers: tuple[str, ...]
    """The columns that add up, the one by which rows are in order before all others."""
    rows: Callable[[HitTable], Iterator[tuple[Cell, ...]]] = field(compare=False)
    """Returns the rows that a counter has for it; some of them may have equal texts, and are to be added up then."""
    csv: Callable[[HitTable], Iterator[tuple[date, bytes, int]]] | None = field(default=None, compare=False)
    """Returns them as `HitTable.csv` does, which not every table can be written by."""
    keep: Callable[[bytes], bytes | None] | None = field(default=None, compare=False)
    """Tells what of a referer stands in a row, as `LineRules` is to be told; None where that is nothing."""

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
    return day.isoformat(), *part_host(path)


def hits_layout(by_host: bool = False, apart: bool = False) -> Layout:
    """Return the table of views, with *apart* those of bots in a column of their own."""

    def views(counter: HitTable) -> Iterator[tuple[Cell, ...]]:
        counter.escape()
        for day, path, views in counter.sorted_rows():
            yield *_cells(day, path.decode(), by_host), views

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


def referrers_layout(full: bool = False, own_hosts: Collection[str] = (), by_host: bool = False) -> Layout:
    """Return the table of the sites, or with *full* the pages, that readers of a path came from; not of *own_hosts*."""
    from fasthits.rules.referrers import referrer_page, referrer_site

    referrer_of = referrer_page if full else referrer_site

    def keep(referer: bytes) -> bytes | None:
        referrer = referrer_of(referer, own_hosts)
        return referrer.encode() if referrer else None

    return _layout_by_referer("referrers", ("referrer",), keep, by_host)


def searches_layout(by_host: bool = False) -> Layout:
    """Return the table of what readers of a path had searched for, and where."""
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
        for day, key, views in escaped(counter).sorted_rows():
            path, *found = key.decode().split("\n")
            yield *_cells(day, path, by_host), *found, views

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
