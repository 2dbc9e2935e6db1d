"""Where a rollup goes: SQLite, CSV file or CSV on standard output. A day's rows are replaced as one or not at all."""

import csv
import fcntl
import json
import os
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from fasthits._parse import LINE_BYTES, WHOLE, HitCounter
from fasthits.errors import TableError, UsageError
from fasthits.layouts import PLAIN, Layout

STDOUT = "-"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
LOCK_SECONDS = 60.0

csv.field_size_limit(4 * LINE_BYTES)  # the longest path, each byte written as four


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
            _check_file(self._path)
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
            CsvFile(path if not at else path.with_suffix(f".{layout.name}{path.suffix}"), layout)
            for at, layout in enumerate(layouts)
        ]

    def check(self) -> None:
        for file in self._files:
            file.check()

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        with _sorted(shares, self._layouts) as blocks:
            rows = [file.replace(days, blocks(layout)) for file, layout in zip(self._files, self._layouts, strict=True)]
        return rows[0]


class CsvFile:
    """A CSV file with the rows of many days: by date, then views (most first), then path.

    It is written anew beside the old one and put in its place.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = Path(os.path.realpath(path))
        self._header = list(layout.columns)

    def check(self) -> None:
        """Raise TableError for what will keep `replace` from working, as far as it shows."""
        with self._errors():
            _check_file(self._path)
            if self._path.exists():
                with self._path.open(encoding="utf-8", newline="") as old:
                    self._check_header(csv.reader(old))

    def replace(self, days: Sequence[date], blocks: "Iterator[_Block]") -> int:
        """Put the rows of *blocks* in place of all rows of *days*, and return how many there are."""
        replaced = {day.isoformat() for day in days}
        rows = 0
        with self._errors(), replacing(self._path) as file:
            file.write(_csv_line(self._header))
            block = next(blocks, None)
            for day, kept in self._other_days(replaced):
                while block and block.day < day:
                    rows += block.rows
                    file.write(block.lines)
                    block = next(blocks, None)
                file.writelines(map(_csv_line, kept))
            while block:
                rows += block.rows
                file.write(block.lines)
                block = next(blocks, None)
        return rows

    def _other_days(self, replaced: set[str]) -> Iterator[tuple[str, Iterable[list[str]]]]:
        """Yield the days of the file that stay, in order, each with its rows."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", newline="") as old:
            rows = csv.reader(old)
            self._check_header(rows)
            before = ""
            for day, kept in groupby(self._whole_rows(rows), key=itemgetter(0)):
                if day <= before:
                    raise TableError(f"CSV file is not sorted by date: {day} follows {before}", self._path, "sort it")
                before = day
                if day not in replaced:
                    yield day, kept

    def _whole_rows(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        for number, row in enumerate(rows, 2):
            if len(row) != len(self._header):
                failed = f"CSV file has {len(row)} fields, not {len(self._header)}, in row {number}"
                raise TableError(failed, self._path)
            yield row

    def _check_header(self, rows: Iterator[list[str]]) -> None:
        header = next(rows, self._header)
        if header != self._header:
            hint = f"its first line is not {','.join(self._header)}, as the options want it; name another with --to"
            raise TableError("not a CSV file of fasthits", self._path, hint)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TableError("cannot write CSV file", self._path, error.strerror or str(error)) from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise TableError("not a CSV file of fasthits", self._path, str(error)) from error


class CsvStream(Table):
    """CSV on an open stream, which holds nothing to replace."""

    def __init__(self, stream: BinaryIO, layout: Layout = PLAIN) -> None:
        self._stream = stream
        self._layout = layout

    def check(self) -> None:
        pass

    def replace(self, days: Sequence[date], shares: Iterable[HitCounter]) -> int:
        rows = 0
        self._stream.write(_csv_line(self._layout.columns))
        with _sorted(shares, [self._layout]) as blocks:
            for block in blocks(self._layout):
                rows += block.rows
                self._stream.write(block.lines)
        self._stream.flush()
        return rows


class _Block(NamedTuple):
    """Some rows of a day as lines of CSV."""

    day: str
    lines: bytes
    rows: int


def write_csv(stream: BinaryIO, rows: Iterable[tuple[str, str, int]]) -> None:
    """Write the header and *rows* of date, path and views to *stream*."""
    stream.write(_csv_line(PLAIN.columns))
    stream.writelines(_csv_line([day, path, str(views)]) for day, path, views in rows)
    stream.flush()


@contextmanager
def _sorted(
    shares: Iterable[HitCounter], layouts: Sequence[Layout]
) -> Iterator[Callable[[Layout], "Iterator[_Block]"]]:
    """Give the function that yields the rows of a table by day, then views, most first, then path.

    What one counter cannot put in order is put in order by SQLite, in a temporary file of its own.
    """
    counters = iter(shares)
    first = next(counters)
    csv_of = {layout.name: layout.csv for layout in layouts if layout.csv}
    if first.share == WHOLE and len(csv_of) == len(layouts):
        yield lambda layout: (_Block(day.isoformat(), lines, rows) for day, lines, rows in csv_of[layout.name](first))
        return
    with _sorting_errors(), closing(sqlite3.connect("")) as database:
        for layout in layouts:
            database.execute(f"CREATE TABLE {layout.declaration}")
        _insert(database, chain([first], counters), layouts)
        yield lambda layout: _sorted_blocks(database, layout)


def _sorted_blocks(database: sqlite3.Connection, layout: Layout) -> "Iterator[_Block]":
    order = ["date", f"{layout.numbers[0]} DESC", *layout.texts[1:]]
    with _sorting_errors():
        for row in database.execute(f"SELECT * FROM {layout.name} ORDER BY {', '.join(order)}"):
            yield _Block(row[0], _csv_line(map(str, row)), 1)


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


def _csv_line(fields: Iterable[str]) -> bytes:
    """Return *fields* as a line of CSV, quoted by RFC 4180 but ended by a newline alone, as Unix's tools want it.

    csv.writer would do, but up to Python 3.12 it leaves a carriage return unquoted where the line ends in a newline.
    """
    quoted = ('"' + field.replace('"', '""') + '"' if _QUOTED.search(field) else field for field in fields)
    return (",".join(quoted) + "\n").encode()


_QUOTED = re.compile(r'[",\r\n]')


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise TableError("target is not a file", path, "name one with --to TARGET")
    if not path.parent.is_dir():
        raise TableError("no such folder", path.parent, "make it, or name another with --to TARGET")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise TableError("target may not be written", path, "name another with --to TARGET")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a new file to be filled, which takes the place of *path* at the end: complete and on the disk, or not at
    all.

    Meanwhile a lock on the folder keeps others that use this out. The new file has the old one's mode and owner. Raises
    OSError.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    new = path.with_name(f".{path.name}.new")
    try:
        _lock(folder)
    except BaseException:
        os.close(folder)
        raise
    try:
        new.unlink(missing_ok=True)  # of one that was killed
        with new.open("xb") as file:
            yield file
            file.flush()
            if path.exists():
                _copy_ownership(path.stat(), file.fileno())
            os.fsync(file.fileno())
        new.replace(path)
        os.fsync(folder)
    finally:
        new.unlink(missing_ok=True)
        os.close(folder)


def write_summary(file: Path, figures: Mapping[str, object]) -> None:
    """Write *figures* to *file* as JSON: in its place as a whole, or into what is no file, such as /dev/stderr.

    Raises TableError.
    """
    try:
        special = file.exists() and not file.is_file()
        with file.open("wb") if special else replacing(file.resolve()) as new:
            new.write(json.dumps(figures, indent=2).encode() + b"\n")
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error


def _lock(folder: int) -> None:
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up_at:
                raise OSError(error.errno, f"its folder is locked, for {LOCK_SECONDS:.0f} s now") from error
            time.sleep(0.05)


def _copy_ownership(old: os.stat_result, fd: int) -> None:
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    if os.geteuid() == 0:
        os.fchown(fd, old.st_uid, old.st_gid)
