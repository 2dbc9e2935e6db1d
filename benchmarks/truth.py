"""The content of a log that a benchmark has written, and how far off the views of a program are."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

ROW_BYTES = 48
"""The bytes of a row of a counting table without its path: hash, day, views, length, and its slot in the index."""

Totals = dict[str, int | dict[str, int]]
"""The figures that `fasthits rollup --summary` must have for a day, without files, bytes and seconds."""

Views = Iterable[tuple[bytes, int]]
"""Each path once, and how often a program says that it was read."""


class WrongTotals(Exception):
    """A program has wrong totals, so its time means nothing."""


@dataclass(frozen=True)
class Difference:
    """How far views are from the truth."""

    hits: int
    """That there are in truth."""
    counted: int
    """That the program has."""
    paths: int
    """That there are in truth."""
    wrong: int
    """Of these, how many have another number or are not there."""
    invented: int
    """Rows that are no path of the log."""

    def __bool__(self) -> bool:
        return bool(self.wrong or self.invented)

    def __str__(self) -> str:
        if not self:
            return f"right: {self.hits:,} hits, {self.paths:,} paths"
        more = self.counted / self.hits - 1
        share = f"{more:+.2%}" if abs(more) >= 0.00005 else f"{self.counted - self.hits:+,}"
        return f"hits {share}, {self.wrong:,} of {self.paths:,} paths wrong, {self.invented:,} rows that are no path"


class Truth(Protocol):
    """The content of a log."""

    @property
    def day(self) -> date: ...
    @property
    def lines(self) -> int: ...
    @property
    def size(self) -> int:
        """Bytes of the file."""

    def path_count(self) -> int:
        """Return how many paths of the day were hit."""

    def summary(self) -> Totals:
        """Return the figures of a rollup of the day."""

    def difference(self, views: Views, *, all_days: bool = False) -> Difference:
        """Compare *views* with those of the day, or with those of all days in the file, added up."""

    def table_bytes(self) -> int:
        """Return the size of a counting table of the day's rows: for each its path and `ROW_BYTES`."""


def compare(views: Views, truth: Mapping[bytes, int]) -> Difference:
    """Compare *views* with the truth, path by path."""
    counted: Counter[bytes] = Counter()
    for path, count in views:
        counted[path] += count
    return Difference(
        hits=sum(truth.values()),
        counted=sum(counted.values()),
        paths=len(truth),
        wrong=sum(counted.get(path) != count for path, count in truth.items()),
        invented=len(counted.keys() - truth.keys()),
    )
