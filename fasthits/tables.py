"""Where a rollup goes: SQLite, CSV file or CSV on standard output. A day's rows are replaced as one or not at all."""

import csv
import fcntl
import os
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Protocol, TextIO

from fasthits._parse import LINE_BYTES, HitCounter
from fasthits.errors import TableError, UsageError

DayRows = Mapping[date, Mapping[str, int]]
"""Views by day and path."""

HEADER = ["date", "path", "views"]
STDOUT = "-"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
LOCK_SECONDS = 60.0

csv.field_size_limit(4 * LINE_BYTES)  # the longest path, each byte written as four


def text_rows(counter: HitCounter) -> dict[date, dict[str, int]]:
    r"""Return the rows of *counter* by day, bytes that are not UTF-8 written as ``\xhh``, as Apache does; equal paths
    add up.

    >>> counter = HitCounter()
    >>> counter.add(date(2026, 3, 12), b"/caf\xe9", 2)
    >>> counter.add(date(2026, 3, 12), rb"/caf\xe9", 3)
    >>> text_rows(counter)
    {datetime.date(2026, 3, 12): {'/caf\\xe9': 5}}
    """
    rows: dict[date, dict[str, int]] = {}
    for day, path, views in counter.rows():
        paths = rows.setdefault(day, {})
        text = path.decode("utf-8", "backslashreplace")
        paths[text] = paths.get(text, 0) + views
    return rows


class Table(Protocol):
    """A target of rollups."""

    def check(self) -> None:
        """Raise TableError for what will keep `replace` from working, as far as it shows without changing anything."""

    def replace(self, days: Sequence[date], rows: DayRows) -> None:
        """Put *rows* in place of all rows of *days*, which are in order and hold all days of *rows*.

        All or nothing, on the disk when it returns. Raises TableError with the old rows intact.
        """


def open_table(target: str) -> Table:
    """Return the table that *target* names: ``*.csv``, ``*.db``, ``*.sqlite``, ``*.sqlite3``, ``-``; or UsageError."""
    if target == STDOUT:
        return CsvStream(sys.stdout)
    suffix = Path(target).suffix.lower()
    if suffix == ".csv":
        return CsvFile(Path(target))
    if suffix in SQLITE_SUFFIXES:
        return SqliteFile(Path(target))
    raise UsageError(
        "not a TARGET", target, "a name that ends in .csv, .db, .sqlite or .sqlite3, or - for standard output"
    )


class SqliteFile(Table):
    """The table ``hits`` of a SQLite file, which is made where it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        with self._errors():
            _check_file(self._path)
            if self._path.exists() and self._path.stat().st_size:
                with closing(self._connect("mode=ro")) as database:
                    self._check_columns(database)

    def replace(self, days: Sequence[date], rows: DayRows) -> None:
        with self._errors(), closing(self._connect("mode=rwc")) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                "CREATE TABLE IF NOT EXISTS "
                "hits(date TEXT, path TEXT, views INTEGER, PRIMARY KEY (date, path)) WITHOUT ROWID"
            )
            self._check_columns(database)
            database.executemany("DELETE FROM hits WHERE date = ?", ((day.isoformat(),) for day in days))
            # In the order of the primary key: every insert goes to the end of the tree, or beside the one before.
            in_order = (
                (day.isoformat(), path, views) for day in days for path, views in sorted(rows.get(day, {}).items())
            )
            database.executemany("INSERT INTO hits VALUES (?, ?, ?)", in_order)
            database.execute("COMMIT")

    def _connect(self, mode: str) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?{mode}"
        return sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS, isolation_level=None)

    def _check_columns(self, database: sqlite3.Connection) -> None:
        columns = [(row[1], row[5] > 0) for row in database.execute("PRAGMA table_info(hits)")]
        if columns and columns != [("date", True), ("path", True), ("views", False)]:
            raise TableError("its table hits is not one of fasthits", self._path, "name another with --to TARGET")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise TableError("cannot write to SQLite file", self._path, str(error)) from error


class CsvFile(Table):
    """A CSV file with the rows of many days: by date, then views (most first), then path.

    It is written anew beside the old one and put in its place.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))

    def check(self) -> None:
        with self._errors():
            _check_file(self._path)
            if self._path.exists():
                with self._path.open(encoding="utf-8", newline="") as old:
                    self._check_header(csv.reader(old))

    def replace(self, days: Sequence[date], rows: DayRows) -> None:
        new = [(day.isoformat(), rows.get(day, {})) for day in reversed(days)]  # the next one last
        with self._errors(), replacing(self._path) as file:
            file.write(_csv_line(HEADER))
            for day, kept in self._other_days({day for day, _ in new}):
                while new and new[-1][0] < day:
                    file.writelines(_csv_lines(*new.pop()))
                file.writelines(map(_csv_line, kept))
            while new:
                file.writelines(_csv_lines(*new.pop()))

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
            if len(row) != len(HEADER):
                raise TableError(f"CSV file has {len(row)} fields, not {len(HEADER)}, in row {number}", self._path)
            yield row

    def _check_header(self, rows: Iterator[list[str]]) -> None:
        header = next(rows, HEADER)
        if header != HEADER:
            hint = f"its first line is not {','.join(HEADER)}; name another with --to TARGET"
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

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def check(self) -> None:
        pass

    def replace(self, days: Sequence[date], rows: DayRows) -> None:
        self._stream.write(_csv_line(HEADER))
        for day in days:
            self._stream.writelines(_csv_lines(day.isoformat(), rows.get(day, {})))
        self._stream.flush()


def write_csv(stream: TextIO, rows: Iterable[tuple[str, str, int]]) -> None:
    """Write the header and *rows* of date, path and views to *stream*."""
    stream.write(_csv_line(HEADER))
    stream.writelines(_csv_line([day, path, str(views)]) for day, path, views in rows)
    stream.flush()


def _csv_lines(day: str, paths: Mapping[str, int]) -> Iterator[str]:
    for path, views in sorted(paths.items(), key=lambda row: (-row[1], row[0])):
        yield _csv_line([day, path, str(views)])


def _csv_line(fields: Iterable[str]) -> str:
    """Return *fields* as a line of CSV, quoted by RFC 4180 but ended by a newline alone, as Unix's tools want it.

    csv.writer would do, but up to Python 3.12 it leaves a carriage return unquoted where the line ends in a newline.
    """
    return ",".join('"' + field.replace('"', '""') + '"' if _QUOTED.search(field) else field for field in fields) + "\n"


_QUOTED = re.compile(r'[",\r\n]')


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise TableError("target is not a file", path, "name one with --to TARGET")
    if not path.parent.is_dir():
        raise TableError("no such folder", path.parent, "make it, or name another with --to TARGET")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise TableError("target may not be written", path, "name another with --to TARGET")


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
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
        with new.open("x", encoding="utf-8", newline="") as file:
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
