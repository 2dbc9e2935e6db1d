"""Parquet as a target: a folder for each table, in it a file for each day, ``hits/date=2026-11-23/hits.parquet``.

That is what DuckDB, Spark, pandas and others read as a table with the column date. Equal rows make equal files. All new
files are written before the first takes the place of an old one; each day changes at one moment.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from fasthits.daily.layouts import ANOTHER, PLAIN, Cell, Layout, Rows, not_filled, other_columns
from fasthits.daily.parquet.folders import Folder, name_of
from fasthits.daily.targets.refusals import NOT_COMPARED
from fasthits.daily.targets.target import NO_FIGURES, Replaced, RowsOfDays, Target
from fasthits.errors import TableError

GROUP_BATCHES = 16
"""Batches of a group, which a reader reads or leaves out. So many are in memory, packed."""
BATCH_ROWS = 1 << 12
"""So many rows are in memory as Python's objects, which take five times as much."""
PAGE_BYTES = 1 << 16
POOL = pa.system_memory_pool()
"""The others keep 20 MB that are free."""


class ParquetTarget(Target):
    """Tables in a folder, each of them a folder with a file for each day."""

    def __init__(self, folder: Folder, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._folder = folder
        self._layouts = layouts

    def check(self) -> None:
        with self._errors():
            self._folder.check()
            self._check_columns()

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [], [])
        new = RowsOfDays(days, rows)
        with self._errors(), self._folder.replacing() as new_file:
            self._check_columns()
            self._check_alone(days)
            compared = NOT_COMPARED if with_fewer else new.compare(self._kept_hits(days))
            replaced = list(map(date.isoformat, new.days))
            written = [self._write(layout, new.rows(layout), replaced, new_file) for layout in self._layouts]
        return Replaced(written[0], *compared)

    def newest_before(self, day: str) -> str | None:
        with self._errors():
            found = self._folder.newest(self._layouts[0].name, day)
        return found.split("=")[1].split("/")[0] if found else None

    def stale(self, days: Sequence[date]) -> list[str]:
        with self._errors():
            return [table for table in not_filled(self._layouts) if any(self._has_rows(table, day) for day in days)]

    def _has_rows(self, table: str, day: date) -> bool:
        try:
            with self._opened(name_of(table, day.isoformat())) as file:
                return bool(file.metadata.num_rows)
        except FileNotFoundError:
            return False

    def _write(
        self,
        layout: Layout,
        rows: Iterable[tuple[Cell, ...]],
        days: Sequence[str],
        new_file: Callable[[str], Path],
    ) -> int:
        """Write a new file for each of *days*; return the number of their rows."""
        return sum(_write(new_file(name_of(layout.name, day)), layout, of_day) for day, of_day in _by_day(rows, days))

    def _kept_hits(self, days: Sequence[date]) -> dict[date, int]:
        """Return the hits by day of *days*, if they are kept."""
        layout, found = self._layouts[0], {}
        for day in days:
            with suppress(FileNotFoundError), self._opened(name_of(layout.name, day.isoformat()), layout) as file:
                batches = file.iter_batches(columns=list(layout.numbers))
                found[day] = sum(  # pyarrow's own sums would take 9 MB more
                    sum(column.to_pylist()) for batch in batches for column in batch.columns
                )
        return found

    def _check_columns(self) -> None:
        """Raise TableError if the newest day of a table has other columns."""
        for layout in self._layouts:
            if newest := self._folder.newest(layout.name):
                with self._opened(newest, layout):
                    pass

    def _check_alone(self, days: Sequence[date]) -> None:
        """Raise TableError if another program has put a file next to those of *days*: readers add its rows to ours."""
        for name in (name_of(layout.name, day.isoformat()) for layout in self._layouts for day in days):
            for other in self._folder.others(name):
                hint = f"readers would add its rows to those of fasthits; move it away, or {ANOTHER}"
                raise TableError("another Parquet file of the same day", f"{self._folder.name}{other}", hint)

    @contextmanager
    def _opened(self, name: str, layout: Layout | None = None) -> Iterator[parquet.ParquetFile]:
        """Open a file to read. Raises FileNotFoundError, and TableError for a file that is not of *layout*."""
        with self._folder.open(name) as stream:
            try:
                file = parquet.ParquetFile(stream)
                if layout and not file.schema_arrow.equals(_schema(layout)):
                    raise self._other_columns(name, layout, file.schema_arrow.names)
                yield file
            except pa.ArrowException as error:
                text = f"{str(error).splitlines()[0]}; move it away, or {ANOTHER}"
                raise TableError("not a Parquet file of fasthits", f"{self._folder.name}{name}", text) from error

    def _other_columns(self, name: str, layout: Layout, names: Sequence[str]) -> TableError:
        file, wanted = f"{self._folder.name}{name}", layout.columns[1:]
        if list(wanted) == names:  # of other types
            return TableError("another program has written this file", file, f"move it away, or {ANOTHER}")
        return other_columns(file, layout.name, wanted, names)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self._folder.errors():
                yield
        except pa.ArrowException as error:
            text = str(error).splitlines()[0]
            raise TableError("not a Parquet file of fasthits", self._folder.name, text) from error


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
    """Return the columns of a file. The folder's name has the date."""
    kinds = {**dict.fromkeys(layout.integers, pa.int8()), **dict.fromkeys(layout.numbers, pa.int64())}
    return pa.schema([pa.field(name, kinds.get(name, pa.string()), nullable=False) for name in layout.columns[1:]])


def _write(file: Path, layout: Layout, rows: Iterator[tuple[Cell, ...]]) -> int:
    """Write a day's rows to a new file, and onto the disk; return how many."""
    schema, count = _schema(layout), 0
    with file.open("xb") as target:
        options: dict[str, Any] = {"compression": "zstd", "store_schema": False, "memory_pool": POOL}
        options["data_page_size"] = PAGE_BYTES
        options["use_dictionary"] = [name for name in schema.names if name != "path"]  # most paths are there once
        by_key = [parquet.SortingColumn(at) for at in range(len(layout.texts) - 1)]
        with parquet.ParquetWriter(target, schema, sorting_columns=by_key, **options) as writer:
            while group := pa.Table.from_batches(islice(_batches(rows, schema), GROUP_BATCHES), schema):
                writer.write_table(group, row_group_size=len(group))
                count += len(group)
        target.flush()
        os.fsync(target.fileno())
    return count


def _batches(rows: Iterator[tuple[Cell, ...]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, BATCH_ROWS)):
        columns = list(zip(*some, strict=True))[1:]
        arrays = [pa.array(cells, field.type, memory_pool=POOL) for cells, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
