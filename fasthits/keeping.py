"""Days that stay as they are after a count: a day that is kept is replaced by a better count of it, and by no other."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from fasthits.counting import Counted
from fasthits.days import name_days
from fasthits.display import counted as number_of

NAMED_DAYS = 10
"""How many days with fewer hits are named, with their numbers."""


class Fewer(NamedTuple):
    """A day of which fewer hits were counted than are kept."""

    day: date
    counted: int
    kept: int

    def __str__(self) -> str:
        return f"{self.day}: {self.counted:,} counted, {self.kept:,} kept"


def find_fewer(counted: Mapping[date, int], kept: Mapping[date, int]) -> list[Fewer]:
    """Return the days of *kept* with fewer hits in *counted*, in order. Both have the hits of days, all paths together.

    >>> find_fewer({date(2026, 3, 12): 7}, {date(2026, 3, 12): 7, date(2026, 3, 13): 1})
    [Fewer(day=datetime.date(2026, 3, 13), counted=0, kept=1)]
    """
    return [Fewer(day, counted.get(day, 0), hits) for day, hits in sorted(kept.items()) if counted.get(day, 0) < hits]


def days_left(found: Counted, fewer: Sequence[Fewer]) -> Iterator[str]:
    """Yield why days were left as they were, and what to type: a line for each reason, none if no day was left."""
    if found.missing:
        yield f"no log file, left as it was: {name_days(found.missing)}"
    if found.unseen:
        yield _why_unseen(found)
    if fewer:
        named = "; ".join(map(str, fewer[:NAMED_DAYS]))
        more = f"; and {number_of(len(fewer) - NAMED_DAYS, 'more day')}" * (len(fewer) > NAMED_DAYS)
        yield f"fewer hits than are kept, left as it was: {named}{more} (--replace to replace it all the same)"


def _why_unseen(found: Counted) -> str:
    days = name_days(found.unseen)
    if not found.lines:
        return f"the log is empty, left as it was: {days} (name another with --logs PATTERN)"
    explain = f"fasthits explain {found.examples[0].file}" if found.examples else ""
    if not found.days_seen:
        hint = f"{explain} shows why; name their format with --format"
        return f"not one of {number_of(found.lines, 'line')} parses, left as it was: {days} ({hint})"
    hint = f"the log has {name_days(sorted(found.days_seen))}; name another with --logs PATTERN"
    if found.malformed:
        hint += f"; {number_of(found.malformed, 'line')} did not parse: {explain}"
    return f"no line of the day, left as it was: {days} ({hint})"
