"""The nightly batch: count the hits of some days and put them into a target."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from fasthits.daily.counting.count_days import DEFAULT_RULES, Counted, Progress, count_days
from fasthits.daily.layouts import Rows
from fasthits.daily.logs.sources import Patterns
from fasthits.daily.targets.refusals import Change
from fasthits.daily.targets.target import Replaced, Target
from fasthits.rules.compiled import NO_KEEPERS, Keepers
from fasthits.rules.rules import Rules

if TYPE_CHECKING:
    from fasthits.daily.cluster.fleet import Fleet


class Summary(NamedTuple):
    """The result of a rollup."""

    counted: Counted
    rows: int
    fewer: list[Change]
    """Days that were left unchanged, because the target has more hits of them."""
    more: list[Change]
    """Replaced days of which the target had fewer hits."""
    seconds: float

    @property
    def days(self) -> list[date]:
        """The days whose rows were replaced."""
        left = {day for day, *_ in self.fewer}
        return [day for day in self.counted.days if day not in left]


def roll_up(
    days: Sequence[date],
    patterns: Patterns,
    target: Target,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
    as_part: bool = False,
    with_fewer: bool = False,
    fleet: "Fleet | None" = None,
) -> Summary:
    """Replace the rows of *days* in *target* by the hits in the logs.

    A day is left unchanged if it could not be counted or, without *with_fewer*, if *target* has more hits of it;
    `days_left` says why. `count_days` describes the other arguments. Raises LogFileError, TableError and UsageError
    with nothing changed.
    """
    started = time.monotonic()
    target.check()

    def take(counted: Counted, rows: Rows) -> Replaced:
        return target.replace(counted.days, rows, with_fewer, counted.figures())

    with fleet.working() if fleet else nullcontext():
        counted, replaced = count_days(
            days, patterns, take, threads, progress, max_bytes, rules, keepers, as_part, fleet=fleet
        )
    return Summary(counted, *replaced, time.monotonic() - started)
