"""Partials: files with the rows of some days of one server, to be sent to another machine and merged there.

A file has MAGIC; the pieces of each table, each a frame of zstd with its size before it; the contents as
JSON; and TAIL, which tells where the contents begin, their check sum, and that the file is whole.
"""

import json
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

from fasthits import __version__
from fasthits.daily.counting.runs import (
    HITS,
    MOST_PIECE_BYTES,
    DamagedPieceError,
    Run,
    Workshop,
    merged,
    pack,
    tables_of,
    unpack,
)
from fasthits.daily.layouts import Rows
from fasthits.daily.urls import is_url
from fasthits.errors import TableError

FORMAT = 1
"""Rises when older versions cannot read the file, and when a version counts by other rules."""
MAGIC = b"fasthits partial\n"
TAIL = struct.Struct("<QQI8s")
WHOLE = b"fasthits"
FRAME = struct.Struct("<I")
MOST_CONTENTS_BYTES = 64 << 20
CHUNK_BYTES = 1 << 18
AGAIN = "make it again with fasthits rollup --to NAME.hits, and copy it again"

ReadAt = Callable[[int, int], bytes]
"""Returns a number of bytes from a place in a file, fewer only at its end."""
Advance = Callable[[int], None]


class Table(NamedTuple):
    """All rows of a table, to be written."""

    pieces: Iterable[bytes]
    """By day and path, as `HitTable.dump` yields them."""
    views: Mapping[date, int]


class Day(NamedTuple):
    """The record of a day of a server."""

    made: str
    """When it was counted, in UTC."""
    gaps: Sequence[str] = ()
    """The missing parts of the day."""


def now() -> str:
    """Return the time in UTC as text that sorts by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def write_partial(file: BinaryIO, tables: Mapping[str, Table], about: Mapping[str, object]) -> None:
    """Write a partial; *about* is kept with the rows, and `Partial.about` has it. Raises OSError."""
    size = file.write(MAGIC)
    places: dict[str, list[tuple[int, int]]] = {}
    for name, table in tables.items():
        start = size
        for frame in pack(table.pieces):
            size += file.write(FRAME.pack(len(frame))) + file.write(frame)
        places[name] = [(start, size - start)]
    views = {name: {str(day): count for day, count in table.views.items()} for name, table in tables.items()}
    contents = {"format": FORMAT, "fasthits": __version__, "about": about, "views": views, "places": places}
    text = json.dumps(contents).encode()
    file.write(text)
    file.write(TAIL.pack(size, len(text), crc32(text), WHOLE))


def tables_to_write(rows: Rows) -> dict[str, Table]:
    """Return all tables of a count, for `write_partial`."""
    found = {}
    for name, table in tables_of(rows).items():
        table.escape()
        found[name] = Table((piece for _, piece in table.dump()), table.views_by_day())
    return found


@dataclass(frozen=True)
class Partial:
    """A partial that can be read."""

    name: str
    size: int
    about: Mapping[str, Any]
    views: Mapping[str, Mapping[date, int]]
    """By table and day, all paths together."""
    places: Mapping[str, Sequence[tuple[int, int]]]
    """Where each group of each table's rows begins, and its size."""
    read_at: ReadAt

    def runs(self, table: str, advance: Advance = lambda size: None) -> list[Run]:
        """Return the run of each group of a table's rows. Reading them raises TableError."""
        return [Run(self.name, partial(self._pieces, *place, advance)) for place in self.places[table]]

    def _pieces(self, start: int, size: int, advance: Advance) -> Iterator[bytes]:
        buffer, at, end = b"", start, start + size
        while at < end or buffer:
            needed = FRAME.size
            if len(buffer) >= needed:
                needed += FRAME.unpack_from(buffer)[0]
            if len(buffer) >= needed > FRAME.size:
                try:
                    yield unpack(buffer[FRAME.size : needed])
                except DamagedPieceError as error:
                    raise TableError("partial was altered", self.name, f"{error}; {AGAIN}") from error
                buffer = buffer[needed:]
            elif at < end and needed <= 2 * MOST_PIECE_BYTES:
                chunk = self.read_at(at, min(CHUNK_BYTES, end - at))
                at = at + len(chunk) if chunk else end
                buffer += chunk
                advance(len(chunk))
            else:
                raise TableError("partial was altered", self.name, f"rows are missing; {AGAIN}")


def read_partial(path: Path) -> Partial:
    """Return the partial in a file. Raises TableError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not path.is_dir():  # opening a pipe would wait for its writer
            raise TableError("partial is a pipe or a device", path, "copy it to a file first, and name that file")
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except OSError as error:
        hint = f"name its files: {path}/*.hits" if os.path.isdir(path) else "name files that rollup --to NAME.hits made"
        if is_url(str(path).replace(":/", "://", 1)):  # a Path has one slash of two
            hint = "copy the partials to this machine"
        raise TableError("cannot read partial", path, f"{error.strerror or error}; {hint}") from error
    return open_partial(str(path), status.st_size, partial(_read_file, path, _version_of(status)))


def open_partial(name: str, size: int, read_at: ReadAt) -> Partial:
    """Return a partial of *size* bytes, which *read_at* reads. Raises TableError for a damaged or altered partial, and
    for other files."""
    if not MAGIC.startswith(read_at(0, len(MAGIC))):
        from fasthits.formats.packing import HEAD_BYTES, remedy

        hint = remedy(read_at(0, HEAD_BYTES), name, "make one: fasthits rollup --to NAME.hits")
        raise TableError("not a partial of fasthits", name, hint)
    start, length, checksum, whole = TAIL.unpack(read_at(max(size - TAIL.size, 0), TAIL.size).ljust(TAIL.size))
    if whole != WHOLE or start + length + TAIL.size != size or length > MOST_CONTENTS_BYTES:
        raise TableError("partial is cut off", name, AGAIN)
    text = read_at(start, length)
    if crc32(text) != checksum:
        raise TableError("partial was altered", name, f"its checksum does not match; {AGAIN}")
    with _strange_contents(name):
        contents = json.loads(text)
        if contents["format"] != FORMAT:
            hint = f"it has format {contents['format']}, and this is {__version__}; use one version on all servers"
            raise TableError("partial of another version of fasthits", name, hint)
        views = {
            str(table): {date.fromisoformat(day): int(count) for day, count in by_day.items()}
            for table, by_day in contents["views"].items()
        }
        places = {
            str(table): [(int(at), int(size)) for at, size in found] for table, found in contents["places"].items()
        }
        ends = [(at, at + size) for found in places.values() for at, size in found]
        if views.keys() != places.keys() or HITS not in places or any(not 0 <= at <= end <= start for at, end in ends):
            raise ValueError("places")
        return Partial(name, size, dict(contents["about"]), views, places, read_at)


def of_days(runs: Sequence[Run], days: Iterable[date], workshop: Workshop) -> Run:
    """Return the rows of some days of one or several runs."""
    return Run(runs[0].name if runs else "", partial(merged, runs, workshop, days=set(days)))


@contextmanager
def _strange_contents(name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise TableError("partial has invalid contents", name, AGAIN) from error


def _version_of(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_file(path: Path, version: tuple[int, int, int, int], at: int, size: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            if _version_of(os.fstat(file.fileno())) != version:
                raise TableError("partial changed while it was read", path, "run it again")
            return os.pread(file.fileno(), size, at)
    except OSError as error:
        raise TableError("cannot read partial", path, error.strerror or str(error)) from error
