"""Hits that the reader has counted and the courier has not brought to memcached yet."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice

from fasthits._parse import HitTable
from fasthits.live.memcached import BATCH_ROWS, Row
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.intake import Intake

BATCH_BYTES = 1 << 20
"""A batch ends after BATCH_ROWS rows, or when its paths have this many bytes."""


class Backlog:
    """Rows that wait, first come first served, while `hit_table` adds up further hits."""

    def __init__(self) -> None:
        self._counter = HitTable()
        self._drained = self._nothing = HitTable()
        self._rows: Iterator[Row] = iter(())
        self.left = 0
        """The number of waiting rows that are not in `hit_table`."""
        self.at = 0.0
        """The earliest time to take rows, on the monotonic clock."""

    @property
    def hit_table(self) -> HitTable:
        """The table that adds up hits."""
        return self._counter

    def __len__(self) -> int:
        return len(self.hit_table) + self.left

    def memory(self) -> int:
        """Return the memory of the rows in bytes; drained rows count until all of them are taken."""
        return self.hit_table.memory + self._drained.memory

    def put(self, rows: Iterable[Row]) -> None:
        """Add *rows* to the waiting rows, whether there is room or not."""
        self.hit_table.max_paths = None  # these rows had room when they came
        for row in rows:
            self.hit_table.add(*row)

    def take(self) -> list[Row]:
        """Remove and return the next rows, enough for a batch."""
        if not self.left:
            self._drained = self.hit_table.drain()
            self._rows, self.left = self._drained.rows(), len(self._drained)
        rows = []
        size = 0
        for row in islice(self._rows, BATCH_ROWS):
            rows.append(row)
            size += len(row[1])
            if size >= BATCH_BYTES:
                break
        self.left -= len(rows)
        if not self.left:  # otherwise their memory would keep out new paths
            self._drained, self._rows = self._nothing, iter(())
        return rows


class FreshBacklog(Backlog):
    """Hits as they come from the pipe, under raw keys; `take` makes paths of these."""

    def __init__(self, compiled: CompiledRules) -> None:
        super().__init__()
        self._compiled = compiled
        self._rejected = Counter[str]()
        self._accepted = 0
        self.intake = Intake(compiled, lambda line_rules: HitTable(rules=line_rules))
        self.reshapes = compiled.rules.looks_at_paths
        """Whether `take` changes keys, so that its rows cannot be put back."""
        self.knows_hours = compiled.rules.knows_hours
        """Whether the hours of `hit_table` are those of its hits."""

    @property
    def hit_table(self) -> HitTable:
        """The table that counts the lines."""
        return self.intake.hit_table

    def hits(self) -> int:
        """Return the number of hits, without those whose path `take` has rejected."""
        return self.hit_table.hits - self._rejected.total()

    def outcome(self) -> tuple[int, Counter[str]]:
        """Return the number of hits, and of filtered lines by reason: as far as `take` has judged the paths."""
        hits = self._accepted if self.reshapes else self.hit_table.hits
        return hits, Counter(self.hit_table.filtered) + self._rejected

    def take(self) -> list[Row]:
        """Remove and return the next rows, enough for a batch; empty if the rules reject all of these."""
        rows = super().take()
        if not self.reshapes:
            return rows
        views = Counter[tuple[date, bytes]]()
        for day, key, hits in rows:
            if path := self._compiled.final_path(key, self._rejected, hits):
                views[day, path] += hits
        self._accepted += views.total()
        return [(day, path, hits) for (day, path), hits in views.items()]
