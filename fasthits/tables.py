"""Where a rollup goes: SQLite, CSV file or CSV on standard output. A day's rows are replaced as one or not at all."""

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from fasthits._parse import WHOLE, HitCounter
from fasthits.csvfiles import Block, CsvFile, csv_line
from fasthits.errors import TableError, UsageError
from fasthits.layouts import PLAIN, Layout
from fasthits.replacing import LOCK_SECONDS, check_file

STDOUT = "-"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


class Table(Protocol):
    """A target of rollups."""

    def check(self) -> None:
        """Raise TableError for what will keep `replace` from working, as far as it shows without changing anything."""

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        """Put the rows of *shares* in place of all rows of *days*, which are in order and hold all days of theirs.

        Return how many rows of views there are. Bytes that are not UTF-8 are written as ``\\xhh``, as Apache does.
        Counters are read one at a time, and not used any more when the next one is asked for. All or nothing, of each
        file, and on the disk when it returns. Raises TableError with the old rows intact.
        """


def open_table(target: str, layouts: Sequence[Layout] = (PLAIN,)) -> Table:
    """Return what *target* names: ``*.csv``, ``*.db``, ``*.sqlite``, ``*.sqlite3``, ``-``; or raise UsageError.

    It has the tables of *layouts*, views before all others: in CSV each is a file, ``hits.csv`` and beside it
    ``hits.referrers.csv``; standard output takes one alone.
    """
    if target == STDOUT:
        if len(layouts) > 1:
            hint = "name a file with --to TARGET"
            raise UsageError("more than one table does not go to standard output", layouts[1].name, hint)
        return CsvStream(sys.stdout.buffer, layouts[0])
    suffix = Path(target).suffix.lower()
    if suffix == ".csv":
        return CsvFiles(Path(target), layouts)
    if suffix in SQLITE_SUFFIXES:
        return SqliteFile(Path(target), layouts)
    raise UsageError(
        "not a TARGET", target, "a name that ends in .csv, .db, .sqlite or .sqlite3, or - for standard output"
    )


class SqliteFile(Table):
    """The tables of a SQLite file, which are made where they are not there."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._path = path
        self._layouts = layouts

    def check(self) -> None:
        with self._errors():
            check_file(self._path)
            if self._path.exists() and self._path.stat().st_size:
                with closing(self._connect("mode=ro")) as database:
                    self._check_columns(database)

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        with self._errors(), closing(self._connect("mode=rwc")) as database:
            database.execute("BEGIN IMMEDIATE")
            for layout in self._layouts:
                database.execute(f"CREATE TABLE IF NOT EXISTS {layout.declaration}")
            self._check_columns(database)
            for layout in self._layouts:
                dates = ((day.isoformat(),) for day in days)
                database.executemany(f"DELETE FROM {layout.name} WHERE date = ?", dates)
            _insert(database, shares, self._layouts)
            rows = sum(_count_rows(database, self._layouts[0], day) for day in days)
            database.execute("COMMIT")
        return rows

    def _connect(self, mode: str) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?{mode}"
        return sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS, isolation_level=None)

    def _check_columns(self, database: sqlite3.Connection) -> None:
        for layout in self._layouts:
            found = [(row[1], row[5] > 0) for row in database.execute(f"PRAGMA table_info({layout.name})")]
            if found and found != [(name, name in layout.texts) for name in layout.columns]:
                failed = f"its table {layout.name} is not ({', '.join(layout.columns)}), as these options make it, but"
                there = ", ".join(name for name, _ in found)
                raise TableError(f"{failed} ({there})", self._path, "name another with --to TARGET")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise TableError("cannot write to SQLite file", self._path, str(error)) from error


class CsvFiles(Table):
    """A CSV file for each table, all in one folder."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._layouts = layouts
        self._files = [
            CsvFile(path if not at else path.with_suffix(f".{layout.name}{path.suffix}"), layout.columns)
            for at, layout in enumerate(layouts)
        ]

    def check(self) -> None:
        for file in self._files:
            file.check()

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        replaced = [day.isoformat() for day in days]
        with _sorted(shares, self._layouts) as blocks:
            rows = [
                file.replace(replaced, blocks(layout)) for file, layout in zip(self._files, self._layouts, strict=True)
            ]
        return rows[0]


class CsvStream(Table):
    """CSV on an open stream, which holds nothing to replace."""

    def __init__(self, stream: BinaryIO, layout: Layout = PLAIN) -> None:
        self._stream = stream
        self._layout = layout

    def check(self) -> None:
        pass

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        rows = 0
        self._stream.write(csv_line(self._layout.columns))
        with _sorted(shares, [self._layout]) as blocks:
            for block in blocks(self._layout):
                rows += block.rows
                self._stream.write(block.lines)
        self._stream.flush()
        return rows


@contextmanager
def _sorted(shares: Iterable[HitCounter], layouts: Sequence[Layout]) -> Iterator[Callable[[Layout], Iterator[Block]]]:
    """Give the function that yields the rows of a table by day, then views, most first, then path.

    What one counter cannot put in order is put in order by SQLite, in a temporary file of its own.
    """
    counters = iter(shares)
    first = next(counters)
    csv_of = {layout.name: layout.csv for layout in layouts if layout.csv}
    if first.share == WHOLE and len(csv_of) == len(layouts):
        yield lambda layout: (Block(day.isoformat(), lines, rows) for day, lines, rows in csv_of[layout.name](first))
        return
    with _sorting_errors(), closing(sqlite3.connect("")) as database:
        for layout in layouts:
            database.execute(f"CREATE TABLE {layout.declaration}")
        _insert(database, chain([first], counters), layouts)
        yield lambda layout: _sorted_blocks(database, layout)


def _sorted_blocks(database: sqlite3.Connection, layout: Layout) -> Iterator[Block]:
    order = ["date", f"{layout.numbers[0]} DESC", *layout.texts[1:]]
    with _sorting_errors():
        for row in database.execute(f"SELECT * FROM {layout.name} ORDER BY {', '.join(order)}"):
            yield Block(row[0], csv_line(map(str, row)), 1)


@contextmanager
def _sorting_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        hint = "raise --max-memory, or name a folder with more room in SQLITE_TMPDIR"
        raise TableError("cannot sort rows in a temporary file", str(error), hint) from error


def _insert(database: sqlite3.Connection, shares: Iterable[HitCounter], layouts: Sequence[Layout]) -> None:
    """Insert the rows of each counter in the order of the primary key: at the end of the tree, or beside the last one.

    Rows that are equal but for their numbers add up: of different shares, from paths that were no UTF-8 or have become
    one, or where a layout says so.
    """
    for counter in shares:
        for layout in layouts:
            values = ", ".join("?" * len(layout.columns))
            sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in layout.numbers)
            database.executemany(
                f"INSERT INTO {layout.name} VALUES ({values}) ON CONFLICT DO UPDATE SET {sums}", layout.rows(counter)
            )


def _count_rows(database: sqlite3.Connection, layout: Layout, day: date) -> int:
    """Return how many rows a day has; the changes made would be more, where rows of two shares have become one."""
    (rows,) = database.execute(f"SELECT count(*) FROM {layout.name} WHERE date = ?", (day.isoformat(),)).fetchone()
    return int(rows)
