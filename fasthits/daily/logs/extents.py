"""The time that a log file covers, by its first and last lines; and what is missing of a day."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zlib import crc32

from fasthits.daily.logs.detection import format_of
from fasthits.daily.logs.logfiles import LogFile
from fasthits.errors import LogFileError, StoreError
from fasthits.formats.format import Format
from fasthits.records import Record, replace
from fasthits.rules.compiled import ASSUMED, DETECTED_LINES, CompiledRules
from fasthits.rules.timestamps import timestamps, written_times

SLACK_SECONDS = 2 * 3600.0
"""How much a file's time of change and the times in its lines may differ; an hour of it is for summer time."""
WESTERNMOST_SECONDS = 14 * 3600.0
"""A day begins this much earlier in the first time zone than in UTC."""
FIRST_MOMENTS = timedelta(seconds=10)
"""A day's file may have lines of so long into the next day; with cronolog these are some milliseconds."""
SLOW_REQUESTS = timedelta(seconds=30)
"""If half of a file's first lines are earlier than so long before the day, the file is named for the day of its end."""
ZONE_SECONDS = 30.0
"""How exactly a file's time of change and its last line differ by whole or half hours if the time zones differ."""
HALF_HOUR_SECONDS = 1800
BUSY_LINES = DETECTED_LINES // 2
"""Only among so many first lines can slow requests be told from the few visitors of a quiet site."""

CLOCK_SECONDS = 60.0
"""How much the clock of a store may be behind."""


Look = Callable[[Sequence[LogFile], CompiledRules], "list[Extent]"]
"""Returns when files begin."""


class Gap(NamedTuple):
    """A missing part of a day."""

    text: str
    hint: str = ""
    """What to do about it; empty if only --partial helps."""


Ends = Mapping[LogFile, datetime]
"""By file, the latest time in its last lines."""


class Extent(Record):
    """A log file, and when it begins."""

    log_file: LogFile
    log_format: Format | None = None
    """None if no line has a known format."""
    begin: datetime | None = None
    """The time of its first line; None if there is no time in its first lines."""
    begun: datetime | None = None
    """The same without the lines of slow requests, which began long before they were logged here."""
    middle: datetime | None = None
    """Half of its first lines are before this time."""
    start_hash: tuple[int, int] | None = None
    """A check sum of its first lines, and their size. Files with the same beginning may be copies."""
    has_zone: bool = True
    """Whether its times have a time zone. If not, they are taken for this machine's, which may be another."""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.log_file.name

    @property
    def trusted(self) -> bool:
        """Whether its time of change can be right: not earlier than its first line."""
        return self.begin is None or self.begin.timestamp() <= self.log_file.modified + SLACK_SECONDS

    def of(self, log_file: LogFile) -> "Extent":
        """Return the same of *log_file*, which is this file for this machine."""
        log_file.learn_from(self.log_file)
        return replace(self, log_file=log_file)

    def may_end_on(self, day: date) -> bool:
        """Tell whether it was changed on *day* or later, or whether that is unknown."""
        start = earliest_start(day, self.begin if self.has_zone else None)
        return not self.trusted or self.log_file.modified >= start

    def ended_by(self, day: date) -> bool:
        """Tell whether it was changed last before *day* was over, as far as that is known."""
        if self.begin is None or not self.trusted or not self.has_zone:
            return False
        return self.log_file.modified < midnight(day, self.begin).timestamp() + 24 * 3600 + SLACK_SECONDS

    @property
    def first_day(self) -> date:
        """The day of its first line that is not of a slow request; `date.min` if it is unknown."""
        return self.begun.date() if self.begun else date.min

    def is_before(self, day: date) -> bool:
        """Tell whether most of its first lines are from before *day*: more than slow requests explain."""
        return self.middle is not None and midnight(day, self.middle) - self.middle > SLOW_REQUESTS

    def start(self) -> float:
        """Return when it begins, in seconds since 1970; 0 if that is unknown."""
        return self.begun.timestamp() if self.begun else 0.0


def runs_on(end: datetime, day: date) -> bool:
    """Tell whether a file that ends at *end* has more of the next day than cronolog writes into *day*'s file."""
    return end.date() > day and end - midnight(day, end) > timedelta(days=1) + FIRST_MOMENTS


def not_over_elsewhere(file: Extent, end: datetime | None, day: date, now: datetime) -> Gap | None:
    """Return a gap if a *file* whose times have no zone seems to come from a zone in which *day* is not over: it was
    changed last some whole or half hours after its last line, at *end*."""
    if file.has_zone or end is None:
        return None
    halves, rest = divmod(file.log_file.modified - end.timestamp() + ZONE_SECONDS, HALF_HOUR_SECONDS)
    behind = timedelta(seconds=halves * HALF_HOUR_SECONDS)
    if rest > 2 * ZONE_SECONDS or not timedelta() < behind <= timedelta(seconds=WESTERNMOST_SECONDS):
        return None
    if (now.astimezone(end.tzinfo) - behind).date() > day:
        return None
    written = datetime.fromtimestamp(file.log_file.modified, end.tzinfo)
    text = (
        f"its end may be missing: {file.name} was written to at {written:%Y-%m-%d %H:%M:%S}, but its last line has "
        f"{end:%Y-%m-%d %H:%M:%S} without a time zone"
    )
    return Gap(text, "name the time zone of its server: TZ=America/New_York fasthits rollup")


def put_too_early(files: Sequence[LogFile], day: date, stamp: datetime | None) -> Gap | None:
    """Return a gap if all *files* of a log were put into a store before *day* was over for *stamp*.

    No server writes to them there, so they lack the rest of the day.
    """
    newest = max(files, key=lambda each: each.modified)
    if stamp is None or not all(each.entry and each.entry.is_whole for each in files):
        return None
    if newest.modified + CLOCK_SECONDS >= midnight(day, stamp).timestamp() + 24 * 3600:
        return None
    put = datetime.fromtimestamp(newest.modified, stamp.tzinfo)
    text = (
        f"its end is missing: {newest.name} was put into the store at {put:%Y-%m-%d %H:%M:%S}, before the day was over"
    )
    return Gap(text, "put it there again, and run this again")


def midnight(day: date, stamp: datetime) -> datetime:
    """Return when *day* begins at the offset of *stamp*."""
    return datetime.combine(day, time(), stamp.tzinfo)


def earliest_start(day: date, stamp: datetime | None = None) -> float:
    """Return when *day* began, at the earliest, in seconds since 1970: in the zone of *stamp*, or in any zone."""
    if stamp:
        return midnight(day, stamp).timestamp() - SLACK_SECONDS
    return (day - date(1970, 1, 1)).total_seconds() - WESTERNMOST_SECONDS - SLACK_SECONDS


def look(log_file: LogFile, compiled: CompiledRules) -> Extent:
    """Return when a file begins, by reading its first lines. Raises StoreError."""
    try:
        head, ended = log_file.head()
    except StoreError:
        raise
    except LogFileError:  # reading the whole file reports it
        return Extent(log_file, compiled.log_format)
    log_format = format_of(log_file, head, ended, compiled)
    lines = head.split(b"\n", DETECTED_LINES)[:DETECTED_LINES]
    found = list(timestamps(lines, log_format or ASSUMED, compiled))
    if not found:
        return Extent(log_file, log_format)
    has_zone = all(each.tzinfo for each in written_times(lines, log_format or ASSUMED, compiled))
    first, stamps = b"\n".join(lines), sorted(found)  # hash() differs from process to process
    begun, middle = max(found[0], _begun(stamps)), stamps[len(stamps) // 2]
    return Extent(log_file, log_format, found[0], begun, middle, (crc32(first), len(first)), has_zone)


def _begun(stamps: Sequence[datetime]) -> datetime:
    """Return the first of *stamps*, which are in order, after those of slow requests: after a pause that is longer than
    all the time from there on. In a log without such a pause that is the first of all."""
    for at in range(len(stamps) - BUSY_LINES, 0, -1):
        if stamps[at] - stamps[at - 1] > max(SLOW_REQUESTS, stamps[-1] - stamps[at]):
            return stamps[at]
    return stamps[0]


def look_at_all(log_files: Sequence[LogFile], compiled: CompiledRules) -> list[Extent]:
    """Return when each file begins; those in a store are looked at several at a time. Raises StoreError."""
    if len(log_files) < 2 or not any(each.entry for each in log_files):
        return [look(each, compiled) for each in log_files]
    from fasthits.daily.logs.stores import of_each

    return of_each(log_files, lambda log_file: look(log_file, compiled))


def is_over(day: date, stamp: datetime | None, today: date, now: datetime) -> bool:
    """Tell whether *day* is over in the time zone of a log that has a line with *stamp*."""
    if day >= today or stamp is None:
        return day < today
    # A log in this machine's time zone has its today, also if it began before the clocks were changed.
    return now.astimezone(stamp.tzinfo).date() > day or stamp.utcoffset() == _offset_here(stamp)


def _offset_here(stamp: datetime) -> timedelta | None:
    try:
        return stamp.astimezone().utcoffset()
    except (OverflowError, ValueError, OSError):  # in the year 1 or 9999
        return None
