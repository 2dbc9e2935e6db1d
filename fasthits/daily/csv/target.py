"""CSV as a target: a file for each table, or standard output. Its rows are sorted by day, then views, then path."""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fasthits.daily.atomic import resolve
from fasthits.daily.csv.files import DAY_CHARACTERS, Block, CsvFile, csv_line, file_of, harmless, replace_days
from fasthits.daily.layouts import PLAIN, Layout, Rows, not_filled
from fasthits.daily.targets.refusals import compare
from fasthits.daily.targets.target import NO_FIGURES, Replaced, RowsOfDays, Target
from fasthits.errors import TableError

if TYPE_CHECKING:
    import sqlite3


class CsvTarget(Target):
    """A CSV file for each table, all in one folder."""

    def __init__(self, path: Path, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._layouts = layouts
        path = resolve(path) if path.is_symlink() else path  # other tables are beside the file, not beside the link
        self._path = path
        self._files = [CsvFile(file_of(path, each.name), each.columns, len(each.numbers)) for each in layouts]

    def check(self) -> None:
        for file in self._files:
            file.check()

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [], [])
        with _in_blocks(days, rows, self._layouts) as new:
            written = replace_days(
                self._files,
                [day.isoformat() for day in days],
                [new.blocks(layout) for layout in self._layouts],
                None if with_fewer else {day.isoformat(): hits for day, hits in new.hits.items()},
            )
            kept = {date.fromisoformat(day): hits for day, hits in written.kept.items()}
            return Replaced(written.rows, *compare(new.hits, kept))

    def newest_before(self, day: str) -> str | None:
        with _mapped(self._path) as text:  # its rows are in the order of days
            end = text.find(f"\n{day},".encode())
            start = text.rfind(b"\n", 0, end) + 1  # before the first day, that of the line of names
            return text[start : start + DAY_CHARACTERS].decode(errors="replace")

    def stale(self, days: Sequence[date]) -> list[str]:
        return [table for table in not_filled(self._layouts) if _has_rows(file_of(self._path, table), days)]


class CsvStream(Target):
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
        with _in_blocks(days, rows, [self._layout]) as new:
            for block in new.blocks(self._layout):
                count += block.rows
                self._stream.write(block.lines)
        self._stream.flush()
        return Replaced(count, [], [])


def _has_rows(file: Path, days: Sequence[date]) -> bool:
    if not file.is_file() or not file.stat().st_size:
        return False
    with _mapped(file) as text:
        return any(text.find(f"\n{day},".encode()) >= 0 for day in days)


@contextmanager
def _mapped(file: Path) -> Iterator[mmap.mmap]:
    """Give the bytes of a file that is not empty. Raises TableError."""
    try:
        with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as text:
            yield text
    except OSError as error:
        raise TableError("cannot read CSV file", file, error.strerror or str(error)) from error


@contextmanager
def _in_blocks(days: Sequence[date], rows: Rows, layouts: Sequence[Layout]) -> "Iterator[_Blocks]":
    """Give the rows of *days*. SQLite sorts them if a table cannot write its rows as CSV itself."""
    if all(layout.csv for layout in layouts):
        yield _Blocks(days, rows)
        return
    import sqlite3

    from fasthits.daily.sqlite.database import insert_rows

    with closing(sqlite3.connect("", isolation_level=None)) as database:
        found = _Sorted(days, rows, database)
        with _sorting_errors():
            database.execute("BEGIN")
            for layout in layouts:
                database.execute(f"CREATE TABLE {layout.declaration}")
                insert_rows(database, layout, found.rows(layout))
        yield found


class _Blocks(RowsOfDays):
    """The rows of some days as CSV."""

    def blocks(self, layout: Layout) -> Iterator[Block]:
        """Yield a table's rows by day, then views (most first), then path."""
        assert layout.csv is not None
        wanted = set(self.days)
        for day, lines, rows in layout.csv(self._rows):
            if day in wanted:
                yield Block(day.isoformat(), lines, rows)


class _Sorted(_Blocks):
    """The same, where SQLite sorts the rows in a temporary file."""

    def __init__(self, days: Sequence[date], rows: Rows, database: "sqlite3.Connection") -> None:
        super().__init__(days, rows)
        self._database = database

    def blocks(self, layout: Layout) -> Iterator[Block]:
        order = ["date", f"{layout.numbers[0]} DESC", *layout.texts[1:]]
        with _sorting_errors():
            for row in self._database.execute(f"SELECT * FROM {layout.name} ORDER BY {', '.join(order)}"):
                yield Block(row[0], csv_line(harmless(str(cell)) for cell in row), 1)


@contextmanager
def _sorting_errors() -> Iterator[None]:
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        hint = "name a folder with more room in SQLITE_TMPDIR"
        raise TableError("cannot sort rows in a temporary file", str(error), hint) from error
