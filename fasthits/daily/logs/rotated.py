"""Logs as logrotate keeps them, without a date in the pattern: which files can hold a day, and whether it is whole.

The files of a log follow each other in time: where a file begins, the file before it has ended. So the beginning of a
day is there if a line from before that day is there. Its end is there if a line from after it is there, or the file to
which the server still writes. rotated_names.py tells which files belong to one log.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import pairwise, takewhile

from fasthits.daily.days import ONE_DAY, Range, name_days
from fasthits.daily.logs.extents import (
    SLACK_SECONDS,
    Ends,
    Extent,
    Gap,
    Look,
    earliest_start,
    is_over,
    look,
    look_at_all,
    not_over_elsewhere,
    put_too_early,
    runs_on,
)
from fasthits.daily.logs.logfiles import LogFile
from fasthits.daily.logs.rotated_names import others_of, read_name
from fasthits.rules.compiled import CompiledRules

ABSENCE = timedelta(days=7)
"""A server is missing on a day if it has logged something in so many days before it, but nothing on that day."""

WEEK = timedelta(days=7)
BUSY_BYTES = 10_000
"""A file with so many bytes on the disk has more lines than a few visitors cause."""

_KEEP_MORE = "if older files were removed, let logrotate keep more, as with rotate 14"


class RotatedLog:
    """One log: its rotated files and the file that the server writes to, as far as a pattern names them."""

    def __init__(
        self,
        name: str,
        files: Sequence[LogFile],
        first_day: date,
        compiled: CompiledRules,
        look_at: Look = look_at_all,
    ) -> None:
        """*first_day* is the first day that matters."""
        self.name = name
        self._files = files
        self._names = {each.name: read_name(each.name) for each in files}
        self._live = not all(each.rotated for each in self._names.values())
        self._numbers = {each.number for each in self._names.values() if each.number is not None}
        self.rotations = max([sum(each.rotated for each in self._names.values()), *self._numbers])
        """How often the log was rotated, at least."""
        self.neighbours: list[RotatedLog] = []
        """The logs in the same folder, this log among them."""
        full = sorted((each for each in files if not each.is_empty), key=lambda each: each.modified) or list(files)
        bound = earliest_start(first_day)
        self._old = [each for each in full if each.modified < bound]
        self._extents = look_at(full[len(self._old) :], compiled)
        if self._old and not any(each.begin and each.first_day < first_day for each in self._extents):
            # The newest of the old files shows that the log existed before. The others need not be opened.
            self._extents.insert(0, look(self._old[-1], compiled))
            if not self._extents[0].trusted:
                self._extents[:1] = look_at(self._old, compiled)
        self._in_order = sorted((each for each in self._extents if each.begin), key=Extent.start)

    def extents_of(self, day: date) -> list[Extent]:
        """Return the files that can hold lines of *day*, also of requests that ended on the next day."""
        written = [each for each in self._extents if each.may_end_on(day)]
        if len(self._files) == 1:
            return written  # lines of several logs may be in any order
        # A file may begin with lines of a clock that was ahead, until it was set right. Then it is untrusted or, if it
        # was written to for longer than the clock was ahead, the file before it was not written to until it begins.
        follow = [each for before, each in pairwise(self._extents) if before.ended_by(day)]
        return [
            each
            for each in written
            if each.begin is None or not each.trusted or each.begin.date() - day <= ONE_DAY or each in follow
        ]

    def gaps(self, day: date, ends: Ends, today: date, now: datetime) -> Iterator[Gap]:
        """Yield what is missing of *day*. *ends* has the ends of the files in `extents_of`."""
        if not self._in_order:
            return
        first, last = self._in_order[0], self._in_order[-1]
        not_over = Gap(f"the day is not over in the time zone of {last.name}, {last.begin:%z}", "run it again later")
        if self._has_file_of(day, ends):
            if not is_over(day, last.begin, today, now):
                yield not_over
            return
        if first.first_day >= day and not self._is_all(day):
            yield Gap(f"its beginning is missing: {first.name} begins at {_text(first.begun)}", self._hint(day))
        elif not first.is_before(day) and (older := self._older(day)):
            yield Gap(f"its beginning is missing: it may be in {older}", self._hint(day))
        elif lost := self._lost(day):
            yield Gap(f"a file is missing: {lost}")
        end = ends.get(last.log_file)
        if last.first_day > day or any(each.date() > day for each in self._ends(ends)):
            return
        if not is_over(day, last.begin, today, now):
            yield not_over
        elif self._live:
            if early := put_too_early(self._files, day, last.begin):
                yield early
            elif elsewhere := not_over_elsewhere(last, end, day, now):
                yield elsewhere
        elif self._names[last.name].stamp and not self._names[last.name].day:
            return  # cronolog makes the file of an hour only if somebody comes in that hour
        elif last.may_end_on(day) and not (end and end.date() < day):  # otherwise the log ended before *day*
            yield Gap(f"its end is missing: {last.name} ends at {_text(end or last.begin)}", self._hint(day))

    def notes(self, day: date, ends: Ends) -> Iterator[str]:
        """Yield remarks on *day*, which has its beginning and its end. *ends* are as for `gaps`."""
        first = self._in_order[0] if self._in_order else None
        if first and first.first_day == day:
            yield f"{first.name} begins at {_text(first.begun)}: this is taken as the log's first day"
        for before, after in pairwise(self._in_order):
            end, begin = self._end(before, ends), after.begun
            if begin and end.date() <= day <= begin.date() and self._is_hole(before, begin - end):
                yield (
                    f"warning: no line from {_text(end)} ({before.name}) to {_text(begin)} ({after.name}): "
                    "a week before, files had lines of that time; if a file between them is missing, put it back, and "
                    f"run this again for {name_days(Range(end.date(), begin.date()).days)}"
                )

    def span(self) -> str:
        """Return, as text, when the log begins and when it was last written."""
        written = datetime.fromtimestamp(max(each.modified for each in self._files))
        begins = f"begins at {_text(self._in_order[0].begun)} and " if self._in_order else ""
        return f"{self.name} {begins}was last written at {_text(written)}"

    def is_absent(self, day: date, ends: Ends) -> bool:
        """Tell whether the log has lines of the week before *day*, but no line of that day."""
        spans = [(each.first_day, ends.get(each.log_file, each.begin).date()) for each in self._in_order if each.begin]
        if any(first <= day <= last for first, last in spans):
            return False
        days = {each for span in spans for each in span} | {date.fromtimestamp(each.modified) for each in self._old}
        return any(timedelta(0) < day - each <= ABSENCE for each in days)

    def _has_file_of(self, day: date, ends: Ends) -> bool:
        """Tell whether a file is named for *day*, as cronolog names files, and has the lines of that day."""
        own = [each for each in self._in_order if self._names[each.name].day == day and not each.is_before(day)]
        return bool(own) and not any(runs_on(ends[each.log_file], day) for each in own if each.log_file in ends)

    def _ends(self, ends: Ends) -> Iterator[datetime]:
        for each in self._extents:
            if each.log_file in ends:
                yield ends[each.log_file]

    def _end(self, file: Extent, ends: Ends) -> datetime:
        """Return when a file ends; if it was not read, when it was changed last."""
        zone = file.begin.tzinfo if file.begin else None
        return ends.get(file.log_file) or datetime.fromtimestamp(file.log_file.modified, zone)

    def _is_hole(self, before: Extent, silence: timedelta) -> bool:
        """Tell whether a file is missing after *before*, by the dates in the names: the *silence* that follows is as
        long as a file, no file has the next name, and a week before the file of that name was busy.

        A quiet night is shorter or, like a weekend or an hour of few visitors, has no busy file a week before.
        """
        stamp = self._names[before.name].stamp
        if not stamp or not self._period:
            return False
        most = (silence + self._period / 4) // self._period  # rotations are not on time to the minute
        after = (stamp - datetime.min + number * self._period for number in range(1, most + 1))
        missing = list(takewhile(lambda name: name not in self._sizes, after))
        return bool(missing) and all(self._sizes[name - WEEK] >= BUSY_BYTES for name in missing)

    @cached_property
    def _sizes(self) -> "Counter[timedelta]":
        """The sizes of the files, by the dates in their names: since the year 1, as no sum leaves the calendar then."""
        sizes = Counter[timedelta]()
        for each in self._files:
            if stamp := self._names[each.name].stamp:
                sizes[stamp - datetime.min] += each.size or 0
        return sizes

    @cached_property
    def _period(self) -> timedelta | None:
        """The usual time from one date in the names to the next; None if that does not show."""
        steps = Counter(after - before for before, after in pairwise(sorted(self._sizes))).most_common(1)
        return steps[0][0] if steps and steps[0][1] > 1 else None

    def _is_all(self, day: date) -> bool:
        """Tell whether the log begins on *day*: whether no older file of it was removed.

        Removed files leave no trace. So the log must never have been rotated, or only once while another log in its
        folder was rotated more often.
        """
        if self._unnamed(day):
            return False
        return self.rotations == 0 or (self.rotations == 1 and any(each.rotations > 1 for each in self.neighbours))

    def _lost(self, day: date) -> str:
        """Return the name of a missing file between the files before and after *day*; "" if none is missing."""
        numbers = {self._names[each.name].number or 0: each.first_day for each in self._in_order}
        after = max((number for number, first in numbers.items() if first > day), default=min({1, *self._numbers}) - 1)
        before = min((number for number, first in numbers.items() if first < day), default=0)
        there = self._numbers | {0}
        return next((f"{self.name}.{number}" for number in range(after + 1, before) if number not in there), "")

    def _unnamed(self, day: date) -> list[str]:
        """Return files of the log that no pattern names, but that may hold lines of *day*."""
        bound = earliest_start(day, self._in_order[0].begin)
        return [name for name, modified in self._others if modified >= bound]

    def _older(self, day: date) -> str:
        """Return a rotated file that no pattern names, and that was written to on *day*; "" if there is none.

        So the first file began after it, and only slow requests are older.
        """
        bound = earliest_start(day, self._in_order[0].begin) + SLACK_SECONDS
        return next((name for name, modified in self._others if modified >= bound and read_name(name).rotated), "")

    @cached_property
    def _others(self) -> list[tuple[str, float]]:
        return others_of(self.name, self._names.keys())

    def _hint(self, day: date) -> str:
        unnamed = self._unnamed(day)
        if not unnamed:
            return _KEEP_MORE if self.rotations else ""
        pattern = self.name if all(name.startswith(self.name) for name in unnamed) else self.name.removesuffix(".log")
        return f"name all files of the log: --logs '{pattern}*'"


def _text(stamp: datetime | None) -> str:
    return f"{stamp:%Y-%m-%d %H:%M:%S}"
