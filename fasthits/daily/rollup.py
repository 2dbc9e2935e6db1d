"""The nightly batch: the hits of some days, counted and put into one table."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from fasthits.daily.counting import DEFAULT_RULES, Counted, Progress, count_days
from fasthits.daily.keeping import Fewer
from fasthits.daily.logs.sources import Patterns
from fasthits.daily.targets import Table
from fasthits.rules.rules import Rules
from fasthits.rules.selection import NO_KEEPERS, Keepers


@dataclass(frozen=True)
class Summary:
    """What a rollup did."""

    counted: Counted
    rows: int
    fewer: list[Fewer]
    """The days that stayed, as more hits of them are kept."""
    seconds: float

    @property
    def days(self) -> list[date]:
        """The days that were put into the table."""
        left = {day for day, *_ in self.fewer}
        return [day for day in self.counted.days if day not in left]


def roll_up(
    days: Sequence[date],
    patterns: Patterns,
    table: Table,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
    as_part: bool = False,
    with_fewer: bool = False,
) -> Summary:
    """Put the hits of *days* into *table*, in place of those days' rows.

    Days that were not counted stay as they are, and those of which *table* has more hits, unless *with_fewer*; see
    `days_left`. The other arguments are those of `count_days`. Raises LogFileError, TableError and UsageError with
    nothing changed.
    """
    started = time.monotonic()
    table.check()
    replace = partial(table.replace, with_fewer=with_fewer)
    counted, replaced = count_days(days, patterns, replace, threads, progress, max_bytes, rules, keepers, as_part)
    return Summary(counted, replaced.rows, replaced.fewer, time.monotonic() - started)
