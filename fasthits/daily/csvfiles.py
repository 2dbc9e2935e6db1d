"""A CSV file of many days: some of them are replaced, the others stay as they are.

The old rows are copied, not read: a year of days has many millions. A block of lines is of one day when as many of its
lines begin with that day as there are lines, outside of quotes; only a block in which two days meet, or that is odd in
any way, goes through a reader of CSV.
"""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fasthits._parse import LINE_BYTES
from fasthits.daily.atomic import check_file, replacing
from fasthits.errors import TableError

PIECE_BYTES = 1 << 20
QUOTED_BYTES = 1 << 25  # more than the longest field in quotes, and the pieces that it begins and ends in
DAY_CHARACTERS = len("2026-03-12")

csv.field_size_limit(4 * LINE_BYTES)  # the longest path, each byte written as four


class Block(NamedTuple):
    """Some rows of a day as lines of CSV."""

    day: str
    lines: bytes
    rows: int


class Written(NamedTuple):
    """How many new rows were written, and the hits of the days that stayed as they were, by day."""

    rows: int
    left: dict[str, int]


class CsvFile:
    """A CSV file with the rows of many days: by date, then views (most first), then path.

    It is written anew beside the old one and put in its place: see `replace_days`.
    """

    def __init__(self, path: Path, columns: Sequence[str], numbers: int = 1) -> None:
        """The last *numbers* of *columns* are numbers of hits."""
        self.path = path
        self._columns = columns
        self._numbers = numbers
        self._header = csv_line(columns)

    def check(self) -> None:
        """Raise TableError for what will keep `replace` from working, as far as it shows."""
        with self._errors():
            check_file(self.path)
            if self.path.exists():
                with self.path.open("rb") as old:
                    self._check_header(old)

    def write_days(
        self, file: BinaryIO, days: Collection[str], blocks: Iterable[Block], counted: Mapping[str, int] | None = None
    ) -> Written:
        """Write to *file* what is to take the place of this one: its rows, but for *days* those of *blocks*, which are
        of these days and in order.

        With *counted*, the hits in *blocks* by day, a day stays as it is where it has more hits here.
        """
        rows, left = 0, {}
        old, new = (
            ((block.day, False, block) for block in self._old_blocks()),
            ((each.day, True, each) for each in blocks),
        )
        with self._errors():
            file.write(self._header)
            for day, pieces in groupby(merge(old, new, key=itemgetter(0)), key=itemgetter(0)):
                if day not in days:
                    file.writelines(block.lines for _, _, block in pieces)
                    continue
                written, kept = self._write_day(file, pieces, inf if counted is None else counted.get(day, 0))
                rows += written
                if kept:
                    left[day] = kept
        return Written(rows, left)

    def _write_day(self, file: BinaryIO, pieces: Iterator[tuple[str, bool, Block]], counted: float) -> tuple[int, int]:
        """Write the old blocks of a day, and then the new ones in their place, unless the old ones have more hits than
        were *counted*; return the rows of new ones, and the hits of old ones that stay."""
        start, rows, kept = file.tell(), 0, 0
        for _, is_new, block in pieces:
            if not is_new:
                kept += self._hits_in(block) if counted < inf else 0
            elif kept > counted:
                break
            elif not rows:
                _cut(file, start)
            file.write(block.lines)
            rows += block.rows if is_new else 0
        if not rows and kept <= counted:
            _cut(file, start)
        return rows, kept if kept > counted else 0

    def _hits_in(self, block: Block) -> int:
        """Return the sum of all numbers."""
        lines = _without_quoted(block.lines).split(b"\n")[:-1]
        try:
            return sum(int(number) for line in lines for number in line.rsplit(b",", self._numbers)[1:])
        except ValueError:  # numbers may be in quotes, too
            pass
        rows = csv.reader(io.StringIO(block.lines.decode(), newline=""))
        try:
            return sum(int(number) for row in rows for number in row[-self._numbers :])
        except ValueError as error:
            raise TableError(f"CSV file has no number of views in a row of {block.day}", self.path) from error

    def _old_blocks(self) -> Iterator[Block]:
        """Yield the rows of the file, and check that they are in order by day."""
        if not self.path.exists():
            return
        before, number = "", 2
        with self.path.open("rb") as old:
            self._check_header(old)
            for lines in _whole_rows(old):
                for block in self._split_by_day(lines, number):
                    if block.day < before:
                        failed = f"CSV file is not sorted by date: {block.day} follows {before}"
                        raise TableError(failed, self.path, "sort it")
                    before = block.day
                    number += block.rows
                    yield block

    def _split_by_day(self, lines: bytes, number: int) -> Iterable[Block]:
        """Return the rows in *lines*, the first of which is row *number*, as blocks of a day each."""
        if not lines.isascii():
            lines.decode()  # or it is no file of ours
        day = lines[:DAY_CHARACTERS]
        bare = _without_quoted(lines)
        rows = bare.count(b"\n")
        is_of_a_day = lines[DAY_CHARACTERS : DAY_CHARACTERS + 1] == b"," and bare.count(b"\n" + day + b",") == rows - 1
        has_all_fields = bare.count(b",") == rows * (len(self._columns) - 1)
        if is_of_a_day and has_all_fields and b'"' not in bare and b"\r" not in bare:
            return [Block(day.decode(), lines, rows)]
        return self._read_by_day(lines, number)

    def _read_by_day(self, lines: bytes, number: int) -> Iterator[Block]:
        rows = list(csv.reader(io.StringIO(lines.decode(), newline="")))
        for at, row in enumerate(rows, number):
            if len(row) != len(self._columns):
                failed = f"CSV file has {len(row)} fields, not {len(self._columns)}, in row {at}"
                raise TableError(failed, self.path)
        for day, group in groupby(rows, key=itemgetter(0)):
            written = [csv_line(row) for row in group]
            yield Block(day, b"".join(written), len(written))

    def _check_header(self, old: BinaryIO) -> None:
        first = old.readline().decode()
        if first and next(csv.reader([first])) != list(self._columns):
            hint = f"its first line is not {','.join(self._columns)}, as the options want it; name another with --to"
            raise TableError("not a CSV file of fasthits", self.path, hint)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TableError("cannot write CSV file", self.path, error.strerror or str(error)) from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise TableError("not a CSV file of fasthits", self.path, str(error)) from error


def replace_days(
    files: Sequence[CsvFile],
    days: Collection[str],
    blocks: Sequence[Iterable[Block]],
    counted: Mapping[str, int] | None = None,
) -> Written:
    """Put *blocks*, those of each file, which are of *days* and in order, in place of all rows of *days*.

    With *counted*, the hits by day of the blocks of the first file, a day of which that file has more stays as it is in
    all files. All are replaced or none. Raises TableError with nothing changed.
    """
    first, *others = files
    try:
        with replacing(*(file.path for file in files)) as new:
            written = first.write_days(new[0], days, blocks[0], counted)
            replaced = set(days) - written.left.keys()
            if not replaced:
                raise _NothingNew
            for file, own, its_blocks in zip(others, new[1:], blocks[1:], strict=True):
                file.write_days(own, replaced, (block for block in its_blocks if block.day in replaced))
    except _NothingNew:
        return written
    except OSError as error:
        raise TableError("cannot write CSV file", error.filename or first.path, error.strerror or str(error)) from error
    return written


class _NothingNew(Exception):
    """Leaves files as they are."""


def _without_quoted(lines: bytes) -> bytes:
    """Return whole rows without their fields in quotes, which may hold commas and newlines, but not the first ones."""
    return _QUOTED_FIELD.sub(b",", lines) if b'"' in lines else lines


def _cut(file: BinaryIO, size: int) -> None:
    file.seek(size)
    file.truncate()


def _whole_rows(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is left of *file* in pieces that end with a row, and with a newline.

    Behind a row the number of quotes is even: a field in quotes may hold newlines.
    """
    tail = b""
    while piece := file.read(PIECE_BYTES):
        whole, newline, tail = (tail + piece).rpartition(b"\n")
        whole += newline
        if whole.count(b'"') % 2:
            tail = whole + tail
            if len(tail) > QUOTED_BYTES:
                raise csv.Error("a quote has no other one that belongs to it")
        elif whole:
            yield whole
    if tail:
        yield tail.removesuffix(b"\n") + b"\n"


def write_csv(stream: BinaryIO, columns: Sequence[str], rows: Iterable[tuple[str, str, int]]) -> None:
    """Write the header and *rows* of date, path and views to *stream*."""
    stream.write(csv_line(columns))
    stream.writelines(csv_line([day, harmless(path), str(views)]) for day, path, views in rows)
    stream.flush()


def harmless(text: str) -> str:
    """Return *text* with an apostrophe before it where a spreadsheet would take it for a formula.

    Referrers, search terms and hosts come from strangers. These are the first characters that OWASP names for CSV
    injection; a lone ``-`` stays, as it stands for no host. What begins with apostrophes and then such a character gets
    one more, so that no two texts become one: to read it back, take one away.

    >>> harmless("=1+1"), harmless("'=1+1"), harmless("/a=1"), harmless("-")
    ("'=1+1", "''=1+1", '/a=1', '-')
    """
    return "'" + text if len(text) > 1 and text.lstrip("'").startswith(_FORMULA_STARTS) else text


def csv_line(fields: Iterable[str]) -> bytes:
    """Return *fields* as a line of CSV, quoted by RFC 4180 but ended by a newline alone, as Unix's tools want it.

    csv.writer would do, but up to Python 3.12 it leaves a carriage return unquoted where the line ends in a newline.
    """
    quoted = ('"' + field.replace('"', '""') + '"' if _QUOTED.search(field) else field for field in fields)
    return (",".join(quoted) + "\n").encode()


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = re.compile(r'[",\r\n]')
_QUOTED_FIELD = re.compile(rb',"[^"]*(?:""[^"]*)*"(?=[,\n])')
