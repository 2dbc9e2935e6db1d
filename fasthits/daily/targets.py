"""Targets of a rollup: SQLite, CSV files, CSV on standard output. A day's rows are replaced together or not at all."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from fasthits.daily.atomic import check_file
from fasthits.daily.columns import PLAIN, Cell, Layout, Rows
from fasthits.daily.csvfiles import Block, CsvFile, csv_line, harmless, replace_days
from fasthits.daily.refusals import Fewer, find_fewer
from fasthits.errors import TableError

if TYPE_CHECKING:
    import sqlite3

    from fasthits.daily.threads import Progress

MAX_VARIABLES = 999
"""Of a statement in SQLite before 3.32."""


NO_FIGURES: Mapping[str, Any] = {}


class Replaced(NamedTuple):
    """The number of new rows of views, and the days that were left unchanged, because the table has more hits."""

    rows: int
    fewer: list[Fewer]


class Table(Protocol):
    """A target of rollups."""

    def check(self) -> None:
        """Raise TableError if `replace` cannot work, as far as that shows without changing anything."""

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        """Replace all rows of *days*, which are in order, by *rows*. Rows of other days are ignored.

        *figures* are the figures of the count, for targets that keep them.

        Without *with_fewer*, a day that has more hits in the table is left unchanged, in all tables. No other rollup
        comes between the comparison and the replacement. Bytes that are not UTF-8 are written as ``\\xhh``, as Apache
        does. All or nothing, and on the disk when it returns. Raises TableError with the old rows intact.
        """

    def catch_up(self, progress: "Progress | None" = None) -> None:
        """Make the sums that the table is without: of days that an older version has kept, or that others have changed.

        *progress* receives the number of days. Each step is on the disk when it is done, so that the next call goes on
        after a kill. Raises TableError. A table without sums has nothing to do.
        """
        return


class SqliteFile(Table):
    """Tables in a SQLite file, which are created if they do not exist."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,), max_bytes: int | None = None) -> None:
        self._path = path
        self._layouts = layouts
        self._max_bytes = max_bytes

    def check(self) -> None:
        from fasthits.daily.sqlite.database import LOOK_LOCK_SECONDS, reading
        from fasthits.daily.sqlite.sums import check_tables

        check_file(self._path)
        if self._path.exists() and self._path.stat().st_size:
            with reading(self._path, LOOK_LOCK_SECONDS) as database:
                self._check_columns(database)
                check_tables(database, self._path)

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        from fasthits.daily.sqlite.database import writing
        from fasthits.daily.sqlite.sums import check_tables, pause, resume

        if not days:
            return Replaced(0, [])
        with gathered(days, rows, self._layouts) as new, writing(self._path, self._max_bytes) as database:
            for layout in self._layouts:
                database.execute(f"CREATE TABLE IF NOT EXISTS {layout.declaration}")
            self._check_columns(database)
            check_tables(database, self._path)
            fewer = [] if with_fewer else find_fewer(new.hits, _hits_by_day(database, self._layouts[0], days))
            left = {day for day, *_ in fewer}
            replaced = [day for day in days if day not in left]
            if not replaced:
                database.rollback()
                return Replaced(0, fewer)
            pause(database)
            for layout in self._layouts:
                dates = ((day.isoformat(),) for day in replaced)
                database.executemany(f"DELETE FROM {layout.name} WHERE date = ?", dates)
                _insert(database, layout, new.rows(layout, {day.isoformat() for day in left}))
            resume(database, replaced)
            count = sum(_count_rows(database, self._layouts[0], day) for day in replaced)
        return Replaced(count, fewer)

    def catch_up(self, progress: "Progress | None" = None) -> None:
        from fasthits.daily.sqlite.database import LOOK_LOCK_SECONDS, reading, writing
        from fasthits.daily.sqlite.referrers import columns_of
        from fasthits.daily.sqlite.sums import days_without_sums, make_missing_sums

        if not self._path.exists():
            return
        with reading(self._path, LOOK_LOCK_SECONDS) as database:
            days = days_without_sums(database) if columns_of(database, self._layouts[0].name) else []
        advance = progress(len(days)) if progress and days else None
        while days:
            with writing(self._path, self._max_bytes) as database:
                done = make_missing_sums(database, days)
            days = days[done:]
            if advance:
                advance(done)

    def _check_columns(self, database: "sqlite3.Connection") -> None:
        for layout in self._layouts:
            found = [(row[1], row[5] > 0) for row in database.execute(f"PRAGMA table_info({layout.name})")]
            if found and found != [(name, name in layout.texts) for name in layout.columns]:
                failed = f"these options make a table {layout.name} ({', '.join(layout.columns)}), but the file has"
                there = ", ".join(name for name, _ in found)
                raise TableError(f"{failed} ({there})", self._path, "name another with --to TARGET")


class CsvFiles(Table):
    """A CSV file for each table, all in one folder."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._layouts = layouts
        self._files = [
            CsvFile(
                path if not at else path.with_suffix(f".{layout.name}{path.suffix}"),
                layout.columns,
                len(layout.numbers),
            )
            for at, layout in enumerate(layouts)
        ]

    def check(self) -> None:
        for file in self._files:
            file.check()

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [])
        with gathered(days, rows, self._layouts, as_csv=True) as new:
            written = replace_days(
                self._files,
                [day.isoformat() for day in days],
                [new.blocks(layout) for layout in self._layouts],
                None if with_fewer else {day.isoformat(): hits for day, hits in new.hits.items()},
            )
            kept = {date.fromisoformat(day): hits for day, hits in written.left.items()}
            return Replaced(written.rows, find_fewer(new.hits, kept))


class CsvStream(Table):
    """CSV on an open stream. There are no old rows."""

    def __init__(self, stream: BinaryIO, layout: Layout = PLAIN) -> None:
        self._stream = stream
        self._layout = layout

    def check(self) -> None:
        pass

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        count = 0
        self._stream.write(csv_line(self._layout.columns))
        with gathered(days, rows, [self._layout], as_csv=True) as new:
            for block in new.blocks(self._layout):
                count += block.rows
                self._stream.write(block.lines)
        self._stream.flush()
        return Replaced(count, [])


class _Gathered:
    """The rows of some days."""

    def __init__(self, days: Sequence[date], rows: Rows) -> None:
        self._rows = rows
        self._days = {day.isoformat() for day in days}
        found = Counter(rows.views_by_day())
        if rows.bots is not None:
            found.update(rows.bots.views_by_day())
        self.hits: Mapping[date, int] = {day: found[day] for day in days if day in found}
        """The hits of each day that has any, all paths together."""

    def rows(self, layout: Layout, left: Collection[str] = ()) -> Iterator[tuple[Cell, ...]]:
        """Yield a table's rows in the order of its primary key, each key once, without the days in *left*."""
        wanted = self._days.difference(left)
        return (row for row in layout.rows(self._rows) if row[0] in wanted)

    def blocks(self, layout: Layout) -> Iterator[Block]:
        """Yield a table's rows by day, then views (most first), then path."""
        assert layout.csv is not None
        for day, lines, rows in layout.csv(self._rows):
            if day.isoformat() in self._days:
                yield Block(day.isoformat(), lines, rows)


class _Sorted(_Gathered):
    """The same, where SQLite sorts the rows for CSV in a temporary file."""

    def __init__(self, days: Sequence[date], rows: Rows, database: "sqlite3.Connection") -> None:
        super().__init__(days, rows)
        self._database = database

    def blocks(self, layout: Layout) -> Iterator[Block]:
        order = ["date", f"{layout.numbers[0]} DESC", *layout.texts[1:]]
        with _sorting_errors():
            for row in self._database.execute(f"SELECT * FROM {layout.name} ORDER BY {', '.join(order)}"):
                yield Block(row[0], csv_line(harmless(str(cell)) for cell in row), 1)


@contextmanager
def gathered(days: Sequence[date], rows: Rows, layouts: Sequence[Layout], as_csv: bool = False) -> Iterator[_Gathered]:
    """Give the rows of *days*. SQLite sorts tables that cannot write their rows *as_csv* themselves."""
    if not as_csv or all(layout.csv for layout in layouts):
        yield _Gathered(days, rows)
        return
    import sqlite3

    with closing(sqlite3.connect("", isolation_level=None)) as database:
        found = _Sorted(days, rows, database)
        with _sorting_errors():
            database.execute("BEGIN")
            for layout in layouts:
                database.execute(f"CREATE TABLE {layout.declaration}")
                _insert(database, layout, found.rows(layout))
        yield found


@contextmanager
def _sorting_errors() -> Iterator[None]:
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        hint = "name a folder with more room in SQLITE_TMPDIR"
        raise TableError("cannot sort rows in a temporary file", str(error), hint) from error


def _insert(database: "sqlite3.Connection", layout: Layout, rows: Iterable[tuple[Cell, ...]]) -> None:
    """Insert rows, which are in the order of the primary key, so that SQLite appends them.

    A statement inserts several hundred rows, which takes less than half as long as a statement for each row (0.45 and
    1.05 us a row).
    """
    columns = len(layout.columns)
    values = f"({', '.join('?' * columns)})"
    cells = chain.from_iterable(rows)
    while some := list(islice(cells, MAX_VARIABLES // columns * columns)):
        several = ", ".join([values] * (len(some) // columns))
        database.execute(f"INSERT INTO {layout.name} VALUES {several}", some)


def _hits_by_day(database: "sqlite3.Connection", layout: Layout, days: Sequence[date]) -> dict[date, int]:
    """Return the hits by day of the *days* that have rows. *days* are in order."""
    total = " + ".join(f"sum({number})" for number in layout.numbers)
    query = f"SELECT date, {total} FROM {layout.name} WHERE date BETWEEN ? AND ? GROUP BY date"
    found = dict(database.execute(query, [days[0].isoformat(), days[-1].isoformat()]))
    return {day: found[day.isoformat()] or 0 for day in days if day.isoformat() in found}


def _count_rows(database: "sqlite3.Connection", layout: Layout, day: date) -> int:
    """Return how many rows a day has."""
    (rows,) = database.execute(f"SELECT count(*) FROM {layout.name} WHERE date = ?", (day.isoformat(),)).fetchone()
    return int(rows)
