"""Logs as cronolog keeps them, with the date in the pattern: a file for each day, or for each month.

cronolog names a file for the time when it logs a line: when the request has ended. So a file has the lines of its day,
the last lines of the day before, and lines of the first moments of the next day. Other programs name files otherwise:
logrotate's ``dateext`` for the day of the rotation, so that most lines belong to the day before; rotatelogs by UTC. The
lines show which it is, and that the file of the day before was written to for longer.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime

from fasthits.daily.days import ONE_DAY, file_name
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.extents import (
    FIRST_MOMENTS,
    WESTERNMOST_SECONDS,
    Ends,
    Extent,
    Gap,
    Look,
    is_over,
    look,
    look_at_all,
    midnight,
    not_over_elsewhere,
    put_too_early,
    runs_on,
)
from fasthits.daily.logs.logfiles import LogFile
from fasthits.daily.urls import is_url
from fasthits.rules.compiled import CompiledRules

LONGEST_PERIOD = 366
COMPARED_DAYS = (-7, -1, 1)
"""A server that has a file on one of these days around a day should have a file on that day, too."""

_CLOCK = re.compile(r"[-_.T]?(\d\d)(?:(?:[-_.:]?\d\d){0,2}|\.[0-9a-f]{8})")
"""The time of day in a name; CloudFront has other digits after the hour."""
_DATEEXT = "has mostly lines of the day before, as logrotate's dateext names a file for the day of its rotation"


class DatedLog:
    """The files of one pattern."""

    def __init__(self, pattern: str, compiled: CompiledRules, look_at: Look = look_at_all) -> None:
        self.pattern = pattern
        self._look_at = look_at
        self._compiled = compiled
        self._found: dict[str, list[LogFile]] = {}
        self._extents: dict[LogFile, Extent] = {}
        self._periods: dict[str, tuple[date, date]] = {}

    def extents_of(self, day: date) -> list[Extent]:
        """Return the files of *day* and, if there are any, the files of the next day; and those of the day before that
        were written to on *day*."""
        own = self._files(day)
        following = self._files(day + ONE_DAY) if own and day < date.max else []
        files = [*own, *following]
        self._look_at_new(files)
        files += self._preceding(day)
        self._look_at_new(files)
        return [self._extents[each] for each in dict.fromkeys(files)]

    def gaps(self, day: date, ends: Ends, today: date, now: datetime) -> Iterator[Gap]:
        """Yield what is missing of *day*. *ends* has the ends of the files in `extents_of`."""
        first, last = self._period(day)
        following = self._servers(last + ONE_DAY) if last < date.max else {}
        written_on = {each.name for each in self._preceding(first)}
        before = self._servers(first - ONE_DAY) if written_on else {}
        preceding = [server for server, names in before.items() if written_on & set(names)]
        server_of = {name: server for server, names in self._servers(day).items() for name in names}
        if not self._files(day):
            yield Gap(f"no log file: {file_name(self.pattern, day)}")
        for own in map(self._look, self._files(day)):
            end = ends.get(own.log_file)
            if own.is_before(first):
                if server_of.get(own.name) not in following:
                    text = f"its end is missing: {own.name} {_DATEEXT}, and the file of the next day is missing"
                    yield Gap(text, self._hint())
            elif end and runs_on(end, last) and server_of.get(own.name) not in preceding:
                text = f"{own.name} goes on until {end:%Y-%m-%d %H:%M:%S}, so the day may begin in the file before it"
                yield Gap(text, self._hint())
            elif not is_over(day, end, today, now):
                yield Gap(f"the day is not over in the time zone of {own.name}, {end:%z}", "run it again later")
            elif elsewhere := not_over_elsewhere(own, end, day, now):
                yield elsewhere
        if is_url(self.pattern):
            yield from filter(None, (put_too_early(files, day, stamp) for files, stamp in self._by_folder(day)))

    def notes(self, day: date, ends: Ends) -> Iterator[str]:
        """Yield remarks on *day*, which is whole. *ends* are as for `gaps`."""
        for own in map(self._look, self._files(day)):
            if own.is_before(self._period(day)[0]):
                yield f"{own.name} {_DATEEXT}"

    def absent_servers(self, day: date, ends: Ends) -> list[str]:
        """Return the names of *day*'s files that have no line that parses, and of files that are not there, although
        their servers have files on days around."""
        silent = [each.name for each in self._files(day) if each not in ends and not self._look(each).begin]
        if "*" not in self.pattern:
            return silent
        around = [
            date.fromordinal(at) for step in COMPARED_DAYS if 0 < (at := day.toordinal() + step) <= date.max.toordinal()
        ]
        hours = [place for place in range(self.pattern.count("*")) if self._is_hour(place, day)]

        def servers(on: date) -> set[tuple[str, ...]]:
            return {
                tuple("*" if place in hours else text for place, text in enumerate(server))
                for server in self._servers(on)
            }

        absent = set().union(*map(servers, around)) - servers(day)
        return sorted([*silent, *(self._name_for(server, day) for server in absent)])

    def days_there(self, day: date) -> list[date]:
        """Return the days around *day* that have a file."""
        ordinals = range(max(1, day.toordinal() - 45), min(date.max.toordinal(), day.toordinal() + 45) + 1)
        return [each for each in map(date.fromordinal, ordinals) if self._files(each)]

    def _files(self, day: date) -> list[LogFile]:
        name = file_name(self.pattern, day)
        if name not in self._found:
            self._found[name] = logfiles.find(name)
        return self._found[name]

    def _preceding(self, day: date) -> list[LogFile]:
        """Return the files of the day before *day* that were written to after its first moments: rotatelogs names files
        by UTC, so those of a site in Berlin go on until one or two o'clock. Files in a store do not show that."""
        stamp = next((each.begin for each in map(self._look, self._files(day)) if each.begin and each.has_zone), None)
        if stamp is None or day == date.min:
            return []
        begun = midnight(day, stamp).timestamp() + FIRST_MOMENTS.total_seconds()
        files = [each for each in self._files(day - ONE_DAY) if not each.entry]
        return [each for each in files if begun < each.modified < begun + WESTERNMOST_SECONDS]

    def _look_at_new(self, files: Sequence[LogFile]) -> None:
        new = [each for each in dict.fromkeys(files) if each not in self._extents]
        self._extents |= zip(new, self._look_at(new, self._compiled), strict=True)

    def _by_folder(self, day: date) -> Iterator[tuple[list[LogFile], datetime | None]]:
        """Yield the files of *day* and the next day, by what ``*`` stands for in the names of their folders, each with
        the time of a line."""
        depth = self.pattern.rpartition("/")[0].count("*")
        servers: dict[tuple[str, ...], list[LogFile]] = {}
        for on in (day, day + ONE_DAY) if day < date.max else (day,):
            named = {each.name: each for each in self._files(on)}
            for server, names in self._servers(on).items():
                servers.setdefault(server[:depth], []).extend(named[name] for name in names)
        for files in servers.values():
            yield files, next((each.begin for each in map(self._look, files) if each.begin), None)

    def _look(self, log_file: LogFile) -> Extent:
        if log_file not in self._extents:
            self._extents[log_file] = look(log_file, self._compiled)
        return self._extents[log_file]

    def _period(self, day: date) -> tuple[date, date]:
        """Return the first and the last day of *day*'s file, by its name."""
        name, bounds = file_name(self.pattern, day), []
        first, last = self._periods.get(name, (date.max, date.min))
        if first <= day <= last:
            return first, last
        for step in (-1, 1):
            at = day.toordinal()
            while 0 < at + step <= date.max.toordinal() and abs(at - day.toordinal()) < LONGEST_PERIOD:
                if file_name(self.pattern, date.fromordinal(at + step)) != name:
                    break
                at += step
            bounds.append(date.fromordinal(at))
        self._periods[name] = bounds[0], bounds[1]
        return self._periods[name]

    def _servers(self, day: date) -> dict[tuple[str, ...], list[str]]:
        """Return the names of *day*'s files, by what ``*`` stands for in them: a server or a site."""
        parts = file_name(self.pattern, day).split("*")
        matching = re.compile(
            "([^/]*)".join(map(re.escape, parts)) + f"(?:{'|'.join(map(re.escape, logfiles.SUFFIXES))})"
        )
        servers: dict[tuple[str, ...], list[str]] = {}
        for each in self._files(day):
            if found := matching.fullmatch(each.name):
                servers.setdefault(found.groups(), []).append(each.name)
        return servers

    def _is_hour(self, place: int, day: date) -> bool:
        """Tell whether a ``*`` stands for the time of the first line, and so for no server: a quiet site has no file of
        some hours. The first request in a file may have begun in the hour before.
        """
        files = {each.name: each for each in self._files(day)}
        hours = []
        for server, names in self._servers(day).items():
            found = _CLOCK.fullmatch(server[place])
            begun = [each.begin.hour for each in (self._look(files[name]) for name in names) if each.begin]
            hours += [found is not None and (int(found[1]) - hour) % 24 in (0, 1) for hour in begun]
        return bool(hours) and all(hours)

    def _name_for(self, server: tuple[str, ...], day: date) -> str:
        parts = file_name(self.pattern, day).split("*")
        return "".join(part + star for part, star in zip(parts, [*server, ""], strict=True))

    def _hint(self) -> str:
        before, _, after = re.split("(%[^%])", self.pattern, maxsplit=1)
        name = before.rpartition("/")[2].rstrip("-._")
        if not name or "/" in after or "%%" in self.pattern:
            return ""
        return f"name all files of the log: --logs '{before.rstrip('-._')}*'"
