"""The nightly batch: the hits of some days, counted and put into one table."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fasthits.counting import DEFAULT_RULES, Counted, Progress, count_hits
from fasthits.rules import Rules
from fasthits.selection import NO_KEEPERS, Keepers
from fasthits.tables import Table


@dataclass(frozen=True)
class Summary:
    """What a rollup did."""

    counted: Counted
    rows: int
    seconds: float


def roll_up(
    days: Sequence[date],
    pattern: str,
    table: Table,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
) -> Summary:
    """Put the hits of *days* into *table*, in place of those days' rows; days that were not counted stay.

    The arguments but *table* are those of `count_hits`. Raises LogFileError, TableError and UsageError with nothing
    changed.
    """
    started = time.monotonic()
    table.check()
    counted = count_hits(days, pattern, threads, progress, max_bytes, rules, keepers)
    rows = table.replace(counted.days, counted.shares())
    return Summary(counted, rows, time.monotonic() - started)
