"""What the reader has counted and the courier has not brought to memcached yet."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice

from fasthits._parse import HitTable
from fasthits.live.memcached import BATCH_ROWS, Row
from fasthits.rules.intake import Intake
from fasthits.rules.selection import Selection

BATCH_BYTES = 1 << 20
"""A batch is complete when its paths have so many bytes, if not BATCH_ROWS rows before."""


class Backlog:
    """Rows that wait, first come first served, while further hits are added up in `counter`."""

    def __init__(self) -> None:
        self._counter = HitTable()
        self._drained = HitTable()
        self._rows: Iterator[Row] = iter(())
        self.left = 0
        """How many rows wait besides those of `counter`."""
        self.at = 0.0
        """When they may be taken, at the earliest; a time of the monotonic clock."""

    @property
    def counter(self) -> HitTable:
        """Where hits are added up."""
        return self._counter

    def __len__(self) -> int:
        return len(self.counter) + self.left

    def memory(self) -> int:
        """Return how many bytes the rows take; those taken count until the last of them is."""
        return self.counter.memory + self._drained.memory

    def put(self, rows: Iterable[Row]) -> None:
        """Add *rows* to those that wait, whether there is room or not."""
        self.counter.max_paths = None  # there was room for them when they came
        for row in rows:
            self.counter.add(*row)

    def take(self) -> list[Row]:
        """Remove and return the next rows, enough for a batch."""
        if not self.left:
            self._drained = self.counter.drain()
            self._rows, self.left = self._drained.rows(), len(self._drained)
        rows = []
        size = 0
        for row in islice(self._rows, BATCH_ROWS):
            rows.append(row)
            size += len(row[1])
            if size >= BATCH_BYTES:
                break
        self.left -= len(rows)
        return rows


class FreshBacklog(Backlog):
    """Hits as they come from the pipe, under raw keys, which become paths when they are taken."""

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self._selection = selection
        self._rejected = Counter[str]()
        self.intake = Intake(selection, lambda line_rules: HitTable(rules=line_rules))
        self.reshapes = selection.rules.looks_at_paths
        """Whether what is taken cannot be put back, being no raw key any more."""

    @property
    def counter(self) -> HitTable:
        """What counts the lines."""
        return self.intake.hit_table

    def hits(self) -> int:
        """Return how many lines were hits; one is no more once its path turns out to be one that does not count."""
        return self.counter.hits - self._rejected.total()

    def take(self) -> list[Row]:
        """Remove and return the next rows, enough for a batch: none may be left of them, though there are more."""
        rows = super().take()
        if not self.reshapes:
            return rows
        views = Counter[tuple[date, bytes]]()
        for day, key, hits in rows:
            if path := self._selection.final_path(key, self._rejected, hits):
                views[day, path] += hits
        return [(day, path, hits) for (day, path), hits in views.items()]
