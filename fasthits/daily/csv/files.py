"""CSV files: some days are replaced, the others are left unchanged.

Old rows are copied in blocks, not parsed: a year has many millions of them. A block belongs to one day if all its lines
begin with that day, outside of quotes. Only a block in which two days meet, or that is odd in another way, is parsed.
"""

import csv
import io
import os
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
from fasthits.daily.atomic import NothingNew, check_file, replacing
from fasthits.daily.days import kept_day
from fasthits.daily.layouts import ANOTHER, options_for
from fasthits.errors import TableError

PIECE_BYTES = 1 << 20
QUOTED_BYTES = 1 << 25  # more than the longest field in quotes, and the pieces that it begins and ends in
DAY_CHARACTERS = len("2026-03-12")
COLUMNS = ("date", "host", "path", "referrer", "engine", "terms", "views", "bots")
"""All columns that a file can have."""
NUMBERS = ("views", "bots")
SQLITE_START = b"SQLite format 3\0"
_REPAIR = "correct or remove the row, or restore a backup"

csv.field_size_limit(4 * LINE_BYTES)  # the longest path, with four characters for each byte


class Block(NamedTuple):
    """Some rows of a day, as lines of CSV."""

    day: str
    lines: bytes
    rows: int


class Written(NamedTuple):
    """The number of new rows, and the hits that the file had, by day, of the days that were compared."""

    rows: int
    kept: dict[str, int]


class CsvFile:
    """A CSV file with the rows of many days: by date, then views (most first), then path.

    `replace_days` writes a new file and puts it in place of the old one.
    """

    def __init__(self, path: Path, columns: Sequence[str], numbers: int = 1) -> None:
        """The last *numbers* of *columns* hold numbers of hits."""
        self.path = path
        self._columns = columns
        self._numbers = numbers
        self._header = csv_line(columns)

    def check(self) -> None:
        """Raise TableError if the file cannot be replaced, as far as that shows."""
        with self._errors():
            check_file(self.path)
            if self.path.exists():
                with self.path.open("rb") as old:
                    self._check_header(old)

    def write_days(
        self, file: BinaryIO, days: Collection[str], blocks: Iterable[Block], counted: Mapping[str, int] | None = None
    ) -> Written:
        """Write the new content to *file*: the rows of this file, but for *days* the rows in *blocks*, in order.

        *counted* has the hits in *blocks* by day. With it, a day that has more hits in this file is left unchanged.
        """
        rows, kept = 0, {}
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
                written, hits = self._write_day(file, pieces, inf if counted is None else counted.get(day, 0))
                rows += written
                if hits:
                    kept[day] = hits
        return Written(rows, kept)

    def _write_day(self, file: BinaryIO, pieces: Iterator[tuple[str, bool, Block]], counted: float) -> tuple[int, int]:
        """Write the old blocks of a day; if they have no more hits than *counted*, write the new blocks in their place.

        Return the number of new rows, and the hits of the old blocks.
        """
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
        return rows, kept

    def _hits_in(self, block: Block) -> int:
        """Return the sum of all numbers in a block."""
        lines = _without_quoted(block.lines).split(b"\n")[:-1]
        try:
            return sum(int(number) for line in lines for number in line.rsplit(b",", self._numbers)[1:])
        except ValueError:  # a number may be in quotes
            pass
        rows = csv.reader(io.StringIO(block.lines.decode(), newline=""))
        try:
            return sum(int(number) for row in rows for number in row[-self._numbers :])
        except ValueError as error:
            raise TableError(f"CSV file has no number of views in a row of {block.day}", self.path, _REPAIR) from error

    def _old_blocks(self) -> Iterator[Block]:
        """Yield the rows of the file. Raise TableError unless they are sorted by day."""
        if not self.path.exists():
            return
        before, number = "", 2
        with self.path.open("rb") as old:
            self._check_header(old)
            for lines in _whole_rows(old):
                for block in self._split_by_day(lines, number):
                    if block.day < before:
                        failed = f"CSV file is not sorted by date: {block.day} follows {before}"
                        raise TableError(failed, self.path, f"sort it, or {ANOTHER}")
                    before = block.day
                    number += block.rows
                    yield block

    def _split_by_day(self, lines: bytes, number: int) -> Iterable[Block]:
        """Return the rows in *lines* as blocks of one day each. The first row is row *number* of the file."""
        if not lines.isascii():
            lines.decode()  # raises UnicodeDecodeError for another kind of file
        day = lines[:DAY_CHARACTERS]
        bare = _without_quoted(lines)
        rows = bare.count(b"\n")
        is_of_a_day = lines[DAY_CHARACTERS : DAY_CHARACTERS + 1] == b"," and bare.count(b"\n" + day + b",") == rows - 1
        is_of_a_day = is_of_a_day and _is_day(day.decode(errors="replace"))
        has_all_fields = bare.count(b",") == rows * (len(self._columns) - 1)
        if is_of_a_day and has_all_fields and b'"' not in bare and b"\r" not in bare:
            return [Block(day.decode(), lines, rows)]
        return self._read_by_day(lines, number)

    def _read_by_day(self, lines: bytes, number: int) -> Iterator[Block]:
        rows = list(csv.reader(io.StringIO(lines.decode(), newline="")))
        for at, row in enumerate(rows, number):
            if len(row) != len(self._columns):
                failed = f"CSV file has {len(row)} fields, not {len(self._columns)}, in row {at}"
                raise TableError(failed, self.path, _REPAIR)
            if not _is_day(row[0]):
                hint = f"it has {row[0]!r}, perhaps from a spreadsheet; write dates as 2026-03-12, or {ANOTHER}"
                raise TableError(f"CSV file has no date YYYY-MM-DD in row {at}", self.path, hint)
        for day, group in groupby(rows, key=itemgetter(0)):
            written = [csv_line(row) for row in group]
            yield Block(day, b"".join(written), len(written))

    def _check_header(self, old: BinaryIO) -> None:
        there = _read_header(old, self.path)
        if there and there != list(self._columns):
            ways = options_for(there, self._columns)
            hint = f"with these options its first line must be {','.join(self._columns)}; {ways}"
            raise TableError("not a CSV file of fasthits", self.path, hint)
        _check_end(old, self.path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with _content_errors(self.path):
                yield
        except OSError as error:
            raise TableError("cannot write CSV file", self.path, error.strerror or str(error)) from error


@contextmanager
def _content_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError("not a CSV file of fasthits", path, str(error)) from error


def file_of(hits: Path, table: str) -> Path:
    """Return the file of a table: *hits*, or for another table the file beside it.

    >>> str(file_of(Path("stats/hits.csv"), "referrers"))
    'stats/hits.referrers.csv'
    """
    return hits if table == "hits" else hits.with_suffix(f".{table}{hits.suffix}")


def replace_days(
    files: Sequence[CsvFile],
    days: Collection[str],
    blocks: Sequence[Iterable[Block]],
    counted: Mapping[str, int] | None = None,
) -> Written:
    """Replace all rows of *days* in *files* by *blocks*, which has the blocks of each file, in order.

    *counted* has the hits by day of the first file's blocks. With it, a day that has more hits in the first file is
    left unchanged in all files. All files are replaced, or none. Raises TableError with nothing changed.
    """
    first, *others = files
    try:
        with replacing(*(file.path for file in files)) as new:
            written = first.write_days(new[0], days, blocks[0], counted)
            left = {day for day, hits in written.kept.items() if counted is not None and hits > counted.get(day, 0)}
            replaced = set(days) - left
            if not replaced:
                raise NothingNew
            for file, own, its_blocks in zip(others, new[1:], blocks[1:], strict=True):
                file.write_days(own, replaced, (block for block in its_blocks if block.day in replaced))
    except NothingNew:
        return written
    except OSError as error:
        raise TableError("cannot write CSV file", error.filename or first.path, error.strerror or str(error)) from error
    return written


def _without_quoted(lines: bytes) -> bytes:
    """Return whole rows without quoted fields, which may hold commas and newlines. First fields are never quoted."""
    return re.sub(rb',"[^"]*(?:""[^"]*)*"(?=[,\n])', b",", lines) if b'"' in lines else lines


def _is_day(text: str) -> bool:
    try:
        return bool(kept_day(text))
    except ValueError:
        return False


def _cut(file: BinaryIO, size: int) -> None:
    file.seek(size)
    file.truncate()


def _whole_rows(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of *file* in pieces that end at the end of a row, with a newline.

    At the end of a row the number of quotes is even. A quoted field may hold newlines.
    """
    tail = b""
    while piece := file.read(PIECE_BYTES):
        whole, newline, tail = (tail + piece).rpartition(b"\n")
        whole += newline
        if whole.count(b'"') % 2:
            tail = whole + tail
            if len(tail) > QUOTED_BYTES:
                raise csv.Error("a quoted field has no end")
        elif whole:
            yield whole
    if tail:
        yield tail


def _read_header(file: BinaryIO, path: Path) -> list[str]:
    """Return the names of the columns; none if the file is empty. Raises TableError for a file of another kind."""
    from fasthits.formats.packing import HEAD_BYTES, packing_of

    head = file.read(HEAD_BYTES)
    packing = packing_of(head)
    if packing or head.startswith(SQLITE_START):
        what = packing.what if packing else "SQLite file"
        hint = packing.how_to_unpack(str(path)) if packing else "give it a name that ends in .db"
        raise TableError("not a CSV file of fasthits", path, f"it is a {what}; {hint}")
    first = head[: head.find(b"\n") + 1] or head
    file.seek(len(first))
    return next(csv.reader([first.decode("utf-8-sig")])) or [""] if first else []


def _check_end(file: BinaryIO, path: Path) -> None:
    """Raise TableError for a file that was cut off within a line: the last number in it could be too small."""
    start, end = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if end and file.read() != b"\n":
        hint = "restore a backup, or copy it again; if the last line is whole, add a newline"
        raise TableError("CSV file ends within a line", path, hint)
    file.seek(start)


def write_csv(stream: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """Write the header and *rows* to *stream*."""
    stream.write(csv_line(columns))
    stream.writelines(csv_line([harmless(str(cell)) for cell in row]) for row in rows)
    stream.flush()


def read_csv(file: BinaryIO, path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Return the columns of a rollup's CSV file and its rows, without what `harmless` has added.

    Raises TableError, also while the rows are read, for a file of another kind.
    """
    with _content_errors(path):
        columns = _read_header(file, path)
    if not set(COLUMNS) >= set(columns) >= {"date", "path", "views"} or len(set(columns)) < len(columns):
        raise TableError("not a CSV file of fasthits", path, "its first line must be date,path,views")
    _check_end(file, path)
    text = io.TextIOWrapper(file, "utf-8", newline="")
    rows = csv.reader(text)

    def checked() -> Iterator[list[str]]:
        with _content_errors(path):
            for row in rows:
                if len(row) != len(columns):
                    failed = f"CSV file has {len(row)} fields, not {len(columns)}, in line {rows.line_num + 1}"
                    raise TableError(failed, path, _REPAIR)
                yield [_as_it_was(cell) if cell[:1] == "'" else cell for cell in row]
        text.detach()  # the caller closes the file

    return columns, checked()


def _as_it_was(text: str) -> str:
    """Return the text that `harmless` has changed, without the added apostrophe.

    >>> _as_it_was("'=1+1"), _as_it_was("''=1+1"), _as_it_was("'a")
    ('=1+1', "'=1+1", "'a")
    """
    return text[1:] if text.lstrip("'").startswith(_FORMULA_STARTS) else text


def harmless(text: str) -> str:
    """Return *text* with an apostrophe before it where a spreadsheet would take it for a formula.

    Referrers, search terms and hosts come from strangers. OWASP names these first characters for CSV injection. The
    text ``-``, which means no host, stays. A text that begins with apostrophes and then such a character gets one more
    apostrophe, so that different texts stay different: a program that reads it removes one.

    >>> harmless("=1+1"), harmless("'=1+1"), harmless("/a=1"), harmless("-")
    ("'=1+1", "''=1+1", '/a=1', '-')
    """
    return "'" + text if len(text) > 1 and text.lstrip("'").startswith(_FORMULA_STARTS) else text


def csv_line(fields: Iterable[str]) -> bytes:
    """Return *fields* as a line of CSV, quoted as in RFC 4180, but ended by a newline only, as Unix tools want it.

    csv.writer will not do: up to Python 3.12 it leaves a carriage return unquoted if lines end in a newline.
    """
    quoted = ('"' + field.replace('"', '""') + '"' if _needs_quotes(field) else field for field in fields)
    return (",".join(quoted) + "\n").encode()


def _needs_quotes(field: str) -> bool:
    return '"' in field or "," in field or "\r" in field or "\n" in field


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
