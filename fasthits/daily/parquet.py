"""Parquet as a target: a folder for each table, in it a file for each day, ``hits/date=2026-11-23/hits.parquet``.

That is what DuckDB, Spark, pandas and others read as a table with the column date. Equal rows make equal files. All new
files are written before the first takes the place of an old one; each day changes at one moment.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from fasthits._parse import HitTable
from fasthits.daily.atomic import resolve
from fasthits.daily.columns import PLAIN, Cell, Layout
from fasthits.daily.refusals import find_fewer
from fasthits.daily.targets import Replaced, Table, _gathered
from fasthits.errors import TableError

if TYPE_CHECKING:
    from fasthits.daily.passes import Progress

GROUP_ROWS = 1 << 17
"""Rows of a group, which a reader reads or leaves out. So many are in memory."""
LOCK_SECONDS = 60.0
"""How long a rollup waits for another one."""
LOCK_POLL_SECONDS = 0.05
LOCK = ".fasthits.lock"
ANOTHER = "name another with --to TARGET"


class ParquetFolder(Table):
    """Tables in a folder, each of them a folder with a file for each day."""

    def __init__(self, folder: Path, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._folder = folder
        self._layouts = layouts

    def check(self) -> None:
        with self._errors():
            found = resolve(self._folder)
            if found.exists() and not found.is_dir():
                raise TableError("target is not a folder", self._folder, ANOTHER)
            parent = found if found.exists() else found.parent
            if not parent.is_dir():
                raise TableError("no such folder", self._folder.parent, f"make it, or {ANOTHER}")
            if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
                raise TableError("no permission to write target", self._folder, f"run this as its owner, or {ANOTHER}")
            self._check_columns()

    def replace(self, days: Sequence[date], shares: Iterable[HitTable], with_fewer: bool = False) -> Replaced:
        if not days:
            return Replaced(0, [])
        with _gathered(days, shares, self._layouts, as_csv=True) as new, self._errors(), self._alone():
            self._check_columns()
            fewer = [] if with_fewer else find_fewer(new.hits, self._kept_hits(days))
            left = {day.isoformat() for day, *_ in fewer}
            replaced = [day for day in map(date.isoformat, days) if day not in left]
            rows = 0
            with ExitStack() as unfinished:
                files = []
                for layout in self._layouts:
                    for day, of_day in _by_day(new.rows(layout, left), replaced):
                        file = self._file(layout, day)
                        unfinished.callback(_forget, _new(file))
                        written = _write(_new(file), layout, of_day)
                        rows += written if layout is self._layouts[0] else 0
                        files.append(file)
                for file in files:
                    _new(file).replace(file)
            for folder in {file.parent for file in files}:
                _sync(folder)
            return Replaced(rows, fewer)

    def catch_up(self, progress: "Progress | None" = None) -> None:
        pass

    def _file(self, layout: Layout, day: str) -> Path:
        return self._folder / layout.name / f"date={day}" / f"{layout.name}.parquet"

    def _kept_hits(self, days: Sequence[date]) -> dict[date, int]:
        """Return the hits by day of those *days* that are there."""
        layout = self._layouts[0]
        files = {day: self._file(layout, day.isoformat()) for day in days}
        return {day: _hits_in(file, layout.numbers) for day, file in files.items() if file.exists()}

    def _check_columns(self) -> None:
        """Raise TableError if the newest day of a table has other columns."""
        for layout in self._layouts:
            newest = max((self._folder / layout.name).glob(f"date=*/{layout.name}.parquet"), default=None)
            if newest is None:
                continue
            found, wanted = parquet.read_schema(newest), _schema(layout)
            if not found.equals(wanted):
                columns, there = ", ".join(layout.columns[1:]), ", ".join(found.names)
                failed = f"these options make a table {layout.name} ({columns}), but the file has ({there})"
                raise TableError(failed, newest, ANOTHER)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other rollup write here."""
        folder = resolve(self._folder)
        folder.mkdir(exist_ok=True)
        give_up_at = time.monotonic() + LOCK_SECONDS
        lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        failed = f"another rollup has been writing for {LOCK_SECONDS:.0f} s"
                        raise TableError(failed, self._folder, "try again later") from None
                time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            failed = error.strerror or str(error)
            raise TableError("cannot write Parquet files", error.filename or self._folder, failed) from error
        except pa.ArrowException as error:
            raise TableError("not a Parquet file of fasthits", self._folder, str(error).splitlines()[0]) from error


def _by_day(rows: Iterable[tuple[Cell, ...]], days: Sequence[str]) -> Iterator[tuple[str, Iterator[tuple[Cell, ...]]]]:
    """Yield each of *days* with its rows, which come in the order of days; a day may have none."""
    wanted = iter(days)
    for day, of_day in groupby(rows, key=itemgetter(0)):
        if day not in days:
            continue
        for before in wanted:
            if before == day:
                break
            yield before, iter(())
        yield str(day), of_day
    for after in wanted:
        yield after, iter(())


def _schema(layout: Layout) -> pa.Schema:
    """Return the columns of a file. The date is that of its folder."""
    kinds = {"hour": pa.int8(), **dict.fromkeys(layout.numbers, pa.int64())}
    return pa.schema([pa.field(name, kinds.get(name, pa.string()), nullable=False) for name in layout.columns[1:]])


def _write(file: Path, layout: Layout, rows: Iterator[tuple[Cell, ...]]) -> int:
    """Write a day's rows to a new file, and onto the disk; return how many."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _forget(file)
    schema, count = _schema(layout), 0
    with file.open("xb") as target:
        options: dict[str, Any] = {"compression": "zstd", "store_schema": False}
        by_key = [parquet.SortingColumn(at) for at in range(len(layout.texts) - 1)]
        with parquet.ParquetWriter(target, schema, sorting_columns=by_key, **options) as writer:
            while some := list(islice(rows, GROUP_ROWS)):
                columns = list(zip(*some, strict=True))[1:]
                arrays = [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema), row_group_size=GROUP_ROWS)
                count += len(some)
        target.flush()
        os.fsync(target.fileno())
    return count


def _hits_in(file: Path, numbers: Sequence[str]) -> int:
    found = parquet.read_table(file, columns=list(numbers), partitioning=None)
    return sum(pa.compute.sum(column).as_py() or 0 for column in found.columns)


def _new(file: Path) -> Path:
    """Return the name of a new file until it replaces the old one. Readers take no name with a leading dot."""
    return file.with_name(f".{file.name}.new")


def _forget(file: Path) -> None:
    with suppress(FileNotFoundError):
        file.unlink()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
