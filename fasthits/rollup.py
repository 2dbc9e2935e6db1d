"""The nightly batch: the hits of some days, counted and put into one table."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fasthits.counting import Counted, Progress, count_hits
from fasthits.tables import Table, text_rows


@dataclass(frozen=True)
class Summary:
    """What a rollup did."""

    counted: Counted
    rows: int
    seconds: float


def roll_up(
    days: Sequence[date], pattern: str, table: Table, threads: int | None = None, progress: Progress | None = None
) -> Summary:
    """Put the hits of *days* into *table*, in place of those days' rows; days that were not counted stay.

    The arguments but *table* are those of `count_hits`. Raises LogFileError and TableError with nothing changed.
    """
    started = time.monotonic()
    table.check()
    counted = count_hits(days, pattern, threads, progress)
    rows = text_rows(counted.counter)
    table.replace(counted.days, rows)
    return Summary(counted, sum(len(paths) for paths in rows.values()), time.monotonic() - started)
