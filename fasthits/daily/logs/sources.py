"""The files of PATTERNs: the log files to read for some days, and the missing parts of each day."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from fasthits.daily.days import file_name, has_date, name_days
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.dated import DatedLog
from fasthits.daily.logs.extents import Ends, Gap, Look, look_at_all
from fasthits.daily.logs.logfiles import STDIN, LogFile
from fasthits.display import CURLY_QUOTES, some_of
from fasthits.errors import LogFileError
from fasthits.formats.format import Format
from fasthits.rules.compiled import CompiledRules

if TYPE_CHECKING:
    from fasthits.daily.logs.rotated import RotatedLog

NAME_LOGS = "name another log with --logs PATTERN or FASTHITS_LOGS"
ONE_EACH = "neither commas nor spaces separate logs: --logs once for each log"
ONLY_STARS = "only * stands for other characters; ?, [ ], { } and ~ do not"
QUOTED = "the quotes are part of this name: leave them out, or type plain quotes in a shell"
ESCAPED = "only cron needs \\ before %, and only systemd %%"

NAMED_FILES = 5
"""How many files a note names."""

Patterns = tuple[str, ...]
"""PATTERNs: names with strftime fields, with ``*``, or both; ``-`` for standard input."""


class Judgement:
    """The findings of all files about the days, after reading."""

    def __init__(self) -> None:
        self.gaps: dict[date, list[Gap]] = {}
        """The days that are not whole, each with the missing parts."""
        self.notes: list[str] = []
        """Remarks and warnings."""
        self.missing_servers: dict[date, list[str]] = {}
        """By day, the files or logs of servers that have no line of that day, but lines of days around it."""


class Sources:
    """The log files that patterns name for some days."""

    def __init__(
        self, patterns: Patterns, days: Sequence[date], compiled: CompiledRules, look_at: Look = look_at_all
    ) -> None:
        """Find the files for *days*. *look_at* tells when files begin.

        Raises LogFileError if a pattern names no file at all; UsageError for an invalid pattern.
        """
        self._days = days
        dated = {pattern: pattern != STDIN and has_date(pattern) for pattern in dict.fromkeys(patterns)}
        self._dated = [DatedLog(pattern, compiled, look_at) for pattern, has_day in dated.items() if has_day]
        self._left_out: dict[str, list[LogFileError]] = {}
        """Names that match a pattern, but are no files."""
        found: dict[LogFile, None] = {}
        for pattern in (pattern for pattern, has_day in dated.items() if not has_day):
            files, self._left_out[pattern] = _find(pattern, days)
            found |= dict.fromkeys(files)
        self._streams = [each for each in found if each.size is None]
        regular = [each for each in found if each.size is not None and not each.problem]
        self._rotated = _rotated_logs(regular, days[0], compiled, look_at) if regular else []
        self.missing: dict[date, str] = {}
        """The days without a file, each with the name of a file that is not there."""
        self.files: dict[LogFile, set[date]] = {each: set(days) for each in found if each.size is None or each.problem}
        """The files to read, each with the days that it can hold."""
        self.formats: dict[LogFile, Format | None] = {}
        """Their formats; None if no line has a known one."""
        self._all: list[DatedLog | RotatedLog] = [*self._dated, *self._rotated]
        self._starts: dict[tuple[int, int], dict[LogFile, None]] = {}
        """The files by their first lines."""
        for day in days:
            extents = [extent for each in self._all for extent in each.extents_of(day)]
            for extent in extents:
                self.files.setdefault(extent.log_file, set()).add(day)
                self.formats[extent.log_file] = extent.log_format
                if extent.start_hash is not None:
                    self._starts.setdefault(extent.start_hash, {})[extent.log_file] = None
            if not extents and not any(day in wanted for wanted in self.files.values()):
                self.missing[day] = file_name(patterns[0], day)

    def judge(self, ends: Ends, today: date, now: datetime) -> Judgement:
        """Return the missing parts of each day, after all files have been read. *ends* are the files' ends."""
        judged = Judgement()
        for day in self._days:
            if day in self.missing:
                continue
            if day >= today:
                judged.notes.append(f"{day} is not over: this is only a part of it")
                continue
            gaps = [gap for each in self._all for gap in each.gaps(day, ends, today, now)]
            if gaps:
                judged.gaps[day] = gaps
            else:
                judged.notes += [note for each in self._all for note in each.notes(day, ends)]
            absent = [name for each in self._dated for name in each.absent_servers(day, ends)]
            if len(self._rotated) > 1:
                absent += [each.name for each in self._rotated if each.is_absent(day, ends)]
            if absent:
                judged.missing_servers[day] = absent
        if self._streams and any(day < today for day in self._days):
            names = "standard input" if self._streams[0].name == STDIN else self._streams[0].name
            judged.notes.append(f"{names} does not show whether it has all of {name_days(self._days)}")
        judged.notes += self._copies()
        judged.notes += [_names_of(pattern, errors) for pattern, errors in self._left_out.items() if errors]
        judged.notes = list(dict.fromkeys(judged.notes))
        return judged

    def _copies(self) -> Iterator[str]:
        """Yield a warning for files that begin with the same lines: a copy counts its hits twice."""
        for names in ([each.name for each in files] for files in self._starts.values() if len(files) > 1):
            named = some_of(names, NAMED_FILES)
            yield f"warning: the same lines begin {named}: if these are copies, their hits count twice"

    def error_of_missing(self) -> LogFileError:
        """Return the error to raise if no day has a file."""
        hint = "; ".join(self.hints_of_missing())
        return LogFileError(f"no log file for {name_days(self.missing)}", next(iter(self.missing.values())), hint)

    def hints_of_missing(self) -> list[str]:
        """Return hints for days without a file, and the days that have files."""
        there = sorted({day for each in self._dated for day in each.days_there(self._days[0])})
        hints = [f"there are files for {name_days(there)}"] if there else []
        more = dict.fromkeys(hint for name in self.missing.values() for hint in _hints_of(name))
        return [*hints, *(each.span() for each in self._rotated[:1]), *more, NAME_LOGS]


def _find(pattern: str, days: Sequence[date]) -> logfiles.Found:
    """Return the files of a pattern without a date."""
    name = pattern if pattern == STDIN else file_name(pattern, days[0])
    found = logfiles.search(name)
    if not found.files:
        raise LogFileError(f"no log file for {name_days(days)}", name, "; ".join([*_hints_of(name), NAME_LOGS]))
    return found


def _hints_of(name: str) -> Iterator[str]:
    """Yield what a pattern that names nothing may have been meant for: several, or a pattern of a shell."""
    if re.search(r"[,\s]", name):
        yield ONE_EACH
    if re.search(r"[?[{]|^~", name):
        yield ONLY_STARS
    if name.startswith(("'", '"', *CURLY_QUOTES)):
        yield QUOTED
    if re.search(r"\\\d|%", name):
        yield ESCAPED


def _names_of(pattern: str, errors: Sequence[LogFileError]) -> str:
    """Return a note on names that match a pattern, but are no log files."""
    names = [f"{each.subject} is {each.failed.removeprefix('log file is ')}" for each in errors]
    return f"left out of {pattern}: {some_of(names, NAMED_FILES)}"


def _rotated_logs(
    files: Sequence[LogFile], first_day: date, compiled: CompiledRules, look_at: Look
) -> "list[RotatedLog]":
    """Return the logs that *files* belong to. Logs in one folder are neighbours."""
    from fasthits.daily.logs.rotated import RotatedLog
    from fasthits.daily.logs.rotated_names import read_name  # 3 ms that cronolog's names do not need

    by_name: dict[str, list[LogFile]] = {}
    for each in files:
        by_name.setdefault(read_name(each.name).log, []).append(each)
    every = [RotatedLog(name, found, first_day, compiled, look_at) for name, found in by_name.items()]
    by_folder: dict[str, list[RotatedLog]] = {}
    for log in every:
        log.neighbours = by_folder.setdefault(os.path.dirname(log.name), [])
        log.neighbours.append(log)
    return every
