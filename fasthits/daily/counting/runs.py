"""Rows that go through files where memory is too little for all of them: runs in order, which are merged when read.

A hit table that is full is sorted and written to a temporary file as a run of compressed pieces. At the end all runs
are merged, with one piece of each in memory. So memory is limited, for any log and any number of paths.
"""

import os
import sys
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any, Literal, NamedTuple, overload

from fasthits._parse import LINE_BYTES, HitTable, csv_of_piece, merge_runs, release_memory, rows_of_piece
from fasthits.daily.atomic import temporary_folder
from fasthits.daily.layouts import Rows
from fasthits.errors import FasthitsError

LEVEL = 1
"""zstd's fastest. The next levels take twice the time for a tenth less."""

PIECE_BYTES = 1 << 17
MOST_PIECE_BYTES = PIECE_BYTES + 4 * LINE_BYTES + 64
"""No piece is larger: it ends behind the row that fills it, whose path may be as long as a line, all of it escaped."""

RUN_BYTES = 1 << 19
"""At most so much memory takes each run that is merged, as long as paths are short: a piece, packed and unpacked."""
LEAST_RUNS, MOST_RUNS = 16, 1024
"""So many runs are merged at a time, as memory allows."""

HITS, BOTS = "hits", "bots"
"""The names of a hit table's own rows and those of bots; its other tables have names of their own."""


class DamagedPieceError(Exception):
    """A packed piece was altered or cut off."""


def _zstd() -> Any:
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def pack(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each piece as a frame of zstd with a check sum."""
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    packer = zstd.ZstdCompressor(options={parameter.compression_level: LEVEL, parameter.checksum_flag: True})
    for piece in pieces:
        yield packer.compress(piece, mode=packer.FLUSH_FRAME)


def unpack(frame: bytes) -> bytes:
    """Return the piece in a frame. Raises DamagedPieceError."""
    zstd = _zstd()
    unpacker = zstd.ZstdDecompressor()
    try:
        piece: bytes = unpacker.decompress(frame, MOST_PIECE_BYTES + 1)
    except zstd.ZstdError as error:
        raise DamagedPieceError(str(error)) from error
    if not unpacker.eof or unpacker.unused_data or len(piece) > MOST_PIECE_BYTES:
        raise DamagedPieceError("it is cut off or too large")
    return piece


class Run(NamedTuple):
    """Rows in order, as `HitTable.dump` yields them, that can be read again and again."""

    name: str
    """Of the file or folder, for messages."""
    pieces: Callable[[], Iterator[bytes]]


class Spool:
    """A temporary file for runs. It has no name: it is gone when nobody refers to it any more."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._lock = Lock()
        self.folder = temporary_folder()
        self.size = 0
        """Bytes that have been written."""

    def write(self, pieces: Iterable[bytes]) -> Run:
        """Keep a run. Several threads may write at the same time. Raises FasthitsError."""
        places = []
        for frame in pack(pieces):
            with self._errors("cannot write rows to a temporary file"):
                places.append((self._append(frame), len(frame)))
        return Run(self.folder, partial(self._read, places))

    def _append(self, frame: bytes) -> int:
        with self._lock:
            if self._fd is None:
                self._fd = _nameless_file(self.folder)
                weakref.finalize(self, os.close, self._fd)
            start, self.size = self.size, self.size + len(frame)
        written = 0
        while written < len(frame):
            written += os.pwrite(self._fd, memoryview(frame)[written:], start + written)
        return start

    def _read(self, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        assert self._fd is not None
        for start, size in places:
            with self._errors("cannot read rows from a temporary file"):
                frame = os.pread(self._fd, size, start)
            try:
                yield unpack(frame)
            except DamagedPieceError as error:
                hint = f"{error}; check the disk, then run it again"
                raise FasthitsError("a temporary file returned wrong rows", self.folder, hint) from error

    @contextmanager
    def _errors(self, failed: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "name a folder with room in TMPDIR, or raise --max-memory"
            raise FasthitsError(failed, self.folder, f"{error.strerror or error}; {hint}") from error


def _nameless_file(folder: str) -> int:
    with tempfile.TemporaryFile(prefix="fasthits-", dir=folder) as file:
        return os.dup(file.fileno())


class Workshop(NamedTuple):
    """The resources that merging may use."""

    spool: Spool
    max_bytes: int
    threads: int = 1

    @property
    def table_bytes(self) -> int:
        """How much memory a hit table may take while runs are merged."""
        return self.max_bytes // 2

    @property
    def most_runs(self) -> int:
        """How many runs may be merged at a time."""
        return min(max(self.max_bytes // 2 // RUN_BYTES, LEAST_RUNS), MOST_RUNS)


@dataclass
class Runs:
    """All rows of one table."""

    groups: list[list[Run]]
    """The runs of each group of the rows."""
    views: Counter[date] = field(default_factory=Counter)
    """By day, all paths together."""


def tables_of(rows: Rows) -> dict[str, Rows]:
    """Return the tables of a count by name."""
    return {HITS: rows, **({} if rows.bots is None else {BOTS: rows.bots}), **rows.by_referer}


class Spill:
    """Takes the rows of hit tables that memory has no room for. Several threads may give rows at the same time."""

    def __init__(self, workshop: Workshop, groups: int = 1, key: bytes = bytes(16)) -> None:
        """The rows are divided into *groups* as `HitTable.dump` does it."""
        release_memory()
        self._workshop = workshop
        self.spool = workshop.spool
        self._groups, self._key = groups, key
        self._lock = Lock()
        self.tables: dict[str, Runs] = {}
        """Empty until there are rows."""

    def add(self, rows: Rows) -> None:
        """Take all *rows*, under their final paths. A hit table is empty then. Raises FasthitsError."""
        for name, table in tables_of(rows).items():
            table.escape()
            with self._lock:
                runs = self.tables.setdefault(name, Runs([[] for _ in range(self._groups)]))
                runs.views.update(table.views_by_day())
            for group, pieces in groupby(table.dump(self._groups, self._key), itemgetter(0)):
                run = self._workshop.spool.write(piece for _, piece in pieces)
                with self._lock:
                    runs.groups[group].append(run)
        if isinstance(rows, HitTable):
            rows.drain()

    def rows(self, figures: HitTable) -> "MergedRows":
        """Return all rows that were taken. *figures* has the other counts."""
        return MergedRows(self.tables, self._workshop, figures)


class MergedRows:
    """All rows of a count, merged from runs whenever they are read."""

    def __init__(
        self, tables: Mapping[str, Runs], workshop: Workshop, figures: HitTable | None = None, name: str = HITS
    ) -> None:
        self._runs = tables.get(name, Runs([]))
        self._workshop = workshop
        self._figures = figures
        others = {each: MergedRows(tables, workshop, None, each) for each in tables if each != HITS and name == HITS}
        self.bots = others.pop(BOTS, None)
        self.by_referer: Mapping[str, Rows] = others

    def views_by_day(self) -> dict[date, int]:
        """Return the sum of the views of each day."""
        return dict(self._runs.views)

    def take_hours(self) -> dict[date, list[int]]:
        """Return the hits in the 24 hours of each day, and remove them."""
        return {} if self._figures is None else self._figures.take_hours()

    def escape(self) -> None:
        """Do nothing: rows are escaped before they are written."""

    def rows(self) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, path, views) by day and path."""
        for piece in self.pieces():
            yield from rows_of_piece(piece)

    @overload
    def sorted_rows(self, *, as_text: Literal[False] = False) -> Iterator[tuple[date, bytes, int]]: ...
    @overload
    def sorted_rows(self, *, as_text: Literal[True]) -> Iterator[tuple[str, str, int]]: ...
    def sorted_rows(self, *, as_text: bool = False) -> Iterator[tuple[Any, Any, int]]:
        """Yield (day, path, views) by day and path, as `HitTable.sorted_rows` does."""
        for piece in self.pieces():
            yield from rows_of_piece(piece, as_text=as_text)

    def csv(self, fields: int = 1, /) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, lines of CSV, number of lines) by day, views and path, as `HitTable.csv` does."""
        found = self._loaded()
        if isinstance(found, HitTable):
            yield from found.csv(fields)
            return
        for piece in merged(found, self._workshop, by_views=True):
            yield from csv_of_piece(piece, fields)

    def dump(self, groups: int = 1, key: bytes = b"", *, by_views: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield (group, piece) for all rows, in one group or in those that they were divided into."""
        if by_views:
            found = self._loaded()
            if isinstance(found, HitTable):
                yield from found.dump(by_views=True)
            else:
                yield from ((0, piece) for piece in merged(found, self._workshop, by_views=True))
            return
        if groups == 1:
            yield from ((0, piece) for piece in self.pieces())
            return
        assert groups == len(self._runs.groups)
        for group, runs in enumerate(self._runs.groups):
            yield from ((group, piece) for piece in merged(runs, self._workshop))

    def pieces(self) -> Iterator[bytes]:
        """Yield the pieces of all rows, by day and path."""
        return merged([run for group in self._runs.groups for run in group], self._workshop)

    def _loaded(self) -> HitTable | list[Run]:
        """Return all rows in a hit table or, if memory has no room for it, in runs by views."""
        runs, table = [], self._new_table()
        for piece in self.pieces():
            table.load(piece)
            if table.memory_with(PIECE_BYTES) > self._workshop.table_bytes:
                runs.append(self._by_views(table))
                table = self._new_table()
        return [*runs, self._by_views(table)] if runs else table

    def _by_views(self, table: HitTable) -> Run:
        return self._workshop.spool.write(piece for _, piece in table.dump(by_views=True))

    def _new_table(self) -> HitTable:
        table = HitTable()
        table.threads = self._workshop.threads
        return table


def merged(
    runs: Sequence[Run], workshop: Workshop, by_views: bool = False, days: Iterable[date] | None = None
) -> Iterator[bytes]:
    """Yield the rows of *runs* as the pieces of one run, only those of *days*; None is every day.

    Raises FasthitsError for a run that is damaged or cannot be read.
    """
    wanted = None if days is None else set(days)
    while len(runs) > workshop.most_runs:
        some = [runs[at : at + workshop.most_runs] for at in range(0, len(runs), workshop.most_runs)]
        runs = [workshop.spool.write(_merge(each, by_views, wanted)) for each in some]
    yield from _merge(runs, by_views, wanted)


def _merge(runs: Sequence[Run], by_views: bool, days: set[date] | None) -> Iterator[bytes]:
    try:
        yield from merge_runs([run.pieces() for run in runs], by_views=by_views, days=days)
    except ValueError as error:
        failed, number = error.args
        raise FasthitsError(failed, runs[number].name, "make it again") from error
