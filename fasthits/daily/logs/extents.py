"""From when to when the lines of a log file are, as far as its first and its last lines tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from fasthits.daily.logs.logfiles import LogFile
from fasthits.errors import DamagedLogError
from fasthits.rules.formats import Format
from fasthits.rules.selection import ASSUMED, DETECTED_LINES, Selection
from fasthits.rules.stamps import stamps

SLACK_SECONDS = 2 * 3600.0
"""How far the clock that stamps files may be from the one that stamps lines; an hour of it is for summer time."""
WESTERNMOST_SECONDS = 14 * 3600.0
"""How much earlier than in UTC a day begins in the first time zone to see it."""
FIRST_MOMENTS = timedelta(seconds=10)
"""How long into the next day the lines of a day's file may be; cronolog's are for some milliseconds."""
SLOW_REQUESTS = timedelta(seconds=30)
"""Half of the first lines of a day's file are further in front of the day only where it is named for its end."""


class Gap(NamedTuple):
    """What is missing of a day."""

    text: str
    hint: str = ""
    """What to do about it; empty if nothing helps but taking what is there."""


Ends = Mapping[LogFile, datetime]
"""The latest time in the last lines of each file that was read."""


@dataclass(frozen=True)
class Extent:
    """A log file, and where it begins; a file without lines, or without a known format, begins at no time."""

    log_file: LogFile
    log_format: Format | None = None
    """None where none of its first lines has a format that is known."""
    begin: datetime | None = None
    """The time of its first line."""
    middle: datetime | None = None
    """The time that half of its first lines are before."""
    start_hash: int | None = None
    """Of its first lines; None where there is no line, or no time in the lines."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.log_file.name

    @property
    def trusted(self) -> bool:
        """Whether it was written after its first line was stamped; otherwise the time of its last change is wrong."""
        return self.begin is None or self.begin.timestamp() <= self.log_file.modified + SLACK_SECONDS

    def may_end_on(self, day: date) -> bool:
        """Tell whether it was written to on *day* or later, as far as the time of its last change tells."""
        return not self.trusted or self.log_file.modified >= earliest_start(day, self.begin)

    @property
    def first_day(self) -> date:
        """The day of its first line; `date.min` if that is not known."""
        return self.begin.date() if self.begin else date.min

    def is_before(self, day: date) -> bool:
        """Tell whether most of its first lines are of the day before, too many for requests that ended on *day*."""
        return self.middle is not None and _midnight(day, self.middle) - self.middle > SLOW_REQUESTS

    def start(self) -> float:
        """Return when it begins, in seconds since 1970."""
        return self.begin.timestamp() if self.begin else 0.0


def runs_on(end: datetime, day: date) -> bool:
    """Tell whether a file that ends then has more of the day after *day* than cronolog puts into *day*'s file."""
    return end.date() > day and end - _midnight(day, end) > timedelta(days=1) + FIRST_MOMENTS


def _midnight(day: date, stamp: datetime) -> datetime:
    return datetime.combine(day, time(), stamp.tzinfo)


def earliest_start(day: date, stamp: datetime | None = None) -> float:
    """Return, in seconds since 1970, before when no line of *day* was written, in the zone of *stamp* or anywhere."""
    if stamp:
        return _midnight(day, stamp).timestamp() - SLACK_SECONDS
    return (day - date(1970, 1, 1)).total_seconds() - WESTERNMOST_SECONDS - SLACK_SECONDS


def look(log_file: LogFile, selection: Selection) -> Extent:
    """Return where a file begins, by reading its first lines. Raises LogFileError when it cannot be read."""
    try:
        head, ended = log_file.head()
    except DamagedLogError:  # which is found again, and told, when the file is read
        head, ended = b"", False
    log_format = selection.detect(head, ended)
    lines = head.split(b"\n", DETECTED_LINES)[:DETECTED_LINES]
    found = list(stamps(lines, log_format or ASSUMED, selection))
    if not found:
        return Extent(log_file, log_format)
    return Extent(log_file, log_format, found[0], sorted(found)[len(found) // 2], hash(tuple(lines)))


def is_over(day: date, stamp: datetime | None, today: date, now: datetime) -> bool:
    """Tell whether *day* is over where a log is written that has a line with *stamp*."""
    if day >= today or stamp is None:
        return day < today
    # Where the log has the zone of this machine, today is theirs: a log may have begun before the clocks were changed.
    return now.astimezone(stamp.tzinfo).date() > day or stamp.utcoffset() == _offset_here(stamp)


def _offset_here(stamp: datetime) -> timedelta | None:
    try:
        return stamp.astimezone().utcoffset()
    except (OverflowError, ValueError, OSError):  # in the year 1 or 9999
        return None
