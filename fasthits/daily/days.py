"""DATE arguments, and PATTERNs: names of log files with the fields of a date, such as %Y-%m-%d."""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from fasthits.daily.urls import SCHEME, check_url
from fasthits.errors import UsageError

ONE_DAY = timedelta(days=1)
MOST_DAYS = 36_525
"""A longer range has a mistyped year, and fasthits would look for the logs of each day."""


class Range(NamedTuple):
    """Days that follow each other, from the first to the last.

    >>> len(Range(date(2026, 2, 28), date(2026, 3, 1)).days)
    2
    """

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """All days of the range, in order; none if it ends before it begins."""
        return [date.fromordinal(day) for day in range(self.first.toordinal(), self.last.toordinal() + 1)]

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last day as text."""
        return self.first.isoformat(), self.last.isoformat()


DEFAULT_LOGS = "/var/log/apache2/%Y/%m/%d/access.log"
"""The PATTERN that is used when none is given."""

DAY_FORMS = "YYYY-MM-DD, today or yesterday"

# Fields of a day, a month or a year. strftime's other fields are the time of day, or depend on the system.
_DATE_FIELDS = frozenset("YymdejbBhaAuwUWVGCF")
_TIME_FIELDS = frozenset("HIklMSpPsTRrXcZz")


def parse_days(text: str, today: date) -> list[date]:
    """Return the days of a DATE, in order: ``YYYY-MM-DD``, ``yesterday``, ``today`` or ``A..B``, which includes both.

    >>> parse_days("2026-02-28..2026-03-01", date(2026, 3, 12))
    [datetime.date(2026, 2, 28), datetime.date(2026, 3, 1)]

    Raises UsageError for anything else, and for a range that ends before it begins, or has more than 100 years.
    """
    first, dots, last = text.partition("..")
    forms = "YYYY-MM-DD, yesterday, today or A..B"
    if "/" in text:  # the shell has expanded ../logs/*
        first, dots, last = text, "", ""
    elif dots and not (first and last):
        raise UsageError("DATE needs both days", text, f"such as {first or '2026-03-01'}..{last or 'yesterday'}")
    start = parse_day(first, today, forms)
    end = parse_day(last, today, forms) if dots else start
    if end < start:
        raise UsageError("DATE ends before it begins", text, f"try {last}..{first}")
    if (end - start).days > MOST_DAYS:
        raise UsageError("DATE has more than 100 years", text, "is each year right?")
    return Range(start, end).days


def days_of(days: date | str | Iterable[date] | None) -> list[date] | None:
    """Return the days that an argument of a public function means: a date, several, a Range, a DATE, or None for all.

    >>> len(days_of(Range(date(2026, 2, 28), date(2026, 3, 2))))
    3
    """
    from fasthits.rules.keywords import day_of  # no command needs it

    if days is None:
        return None
    if isinstance(days, Range):
        return checked_range(days).days
    if isinstance(days, str):
        return parse_days(days, date.today())
    return sorted({day_of(day) for day in (days if isinstance(days, Iterable) else [days])})


def checked_range(days: Range) -> Range:
    """Return the argument of a public function as a range of dates: a datetime counts as its date.

    Raises UsageError for what is no Range of dates, and for a Range that ends before it begins.
    """
    from fasthits.rules.keywords import day_of

    if not isinstance(days, Range):
        hint = "for example Range(date(2026, 3, 1), date(2026, 3, 31)); History.range_of gives None if no day is kept"
        raise UsageError("not a range of days", repr(days), hint)
    first, last = map(day_of, days)
    if last < first:
        raise UsageError("range ends before it begins", f"{first} to {last}", "write Range(first, last)")
    return Range(first, last)


def parse_day(text: str, today: date, forms: str = DAY_FORMS) -> date:
    """Return the day of a DATE that is no range. Raises UsageError, with the allowed *forms*, for anything else."""
    if text == "today":
        return today
    if text == "yesterday":
        return today - ONE_DAY
    try:
        # fromisoformat alone would also take 20260312 and 2026-W11-4.
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError("no such day", text, str(error)) from error
    hint = forms
    if found := re.fullmatch(r"(\d{4})(?:[-/.](\d\d?)[-/.](\d\d?)|(\d\d)(\d\d))", text, re.ASCII):
        hint = f"did you mean {'-'.join(part.zfill(2) for part in found.groups() if part)}?"
    elif re.search(r"\.(?:db|sqlite3?|csv|hits)$", text):
        hint = f"a rollup writes into --to {text}"
    elif re.search(r"[./*]", text) and re.search(r"[a-z*]", text):
        hint = name_logs(text)
    raise UsageError("not a DATE", repr(text), hint)


def name_logs(pattern: str) -> str:
    """Return what to type if log files were named where something else belongs."""
    return f"name log files with --logs {pattern}, a pattern in quotes: --logs 'access.log*'"


def kept_day(text: object) -> date:
    """Return the day of a kept row, which is written as ``2026-03-12``.

    Raises ValueError or TypeError for anything else: other programs may have written the row.
    """
    day = date.fromisoformat(text)  # type: ignore[arg-type]
    if day.isoformat() != text:
        raise ValueError(f"{text} instead of {day}")
    return day


def parse_range(text: str, today: date) -> Range:
    """Return the days of a RANGE: a DATE, a month, a year, or from the first to the second of two of them.

    Without the second, as in ``2026-11..``, it ends today.

    >>> parse_range("2026-02", date(2026, 3, 12))
    Range(first=datetime.date(2026, 2, 1), last=datetime.date(2026, 2, 28))

    Raises UsageError for anything else, and for a range that ends before it begins.
    """
    first, dots, last = text.partition("..")
    start = _period(first, today)
    end = (_period(last, today) if last else Range(today, today)) if dots else start
    if end.last < start.first:
        raise UsageError("RANGE ends before it begins", text, f"try {last}..{first}" if last else "name both ends")
    return Range(start.first, end.last)


def _period(text: str, today: date) -> Range:
    from calendar import monthrange  # it imports locale; few commands need it

    found = re.fullmatch(r"(\d{4})(?:-(\d\d))?", text, re.ASCII)
    try:
        if found:
            year, first, last = int(found[1]), int(found[2] or 1), int(found[2] or 12)
            return Range(date(year, first, 1), date(year, last, monthrange(year, last)[1]))
        day = parse_day(text, today)
    except ValueError as error:
        raise UsageError("no such month or year", text, str(error)) from error
    except UsageError as error:
        if error.failed == "no such day":
            raise
        hint = "2026-11-30, 2026-11, 2026, yesterday, or two of them: 2026-11-01..2026-11-30"
        raise UsageError("not a RANGE", repr(text), hint) from error
    return Range(day, day)


def name_days(days: Iterable[date]) -> str:
    """Return *days*, which are in order, as text.

    >>> name_days([date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 12)])
    '2026-03-01..2026-03-03, 2026-03-12'
    """
    return ", ".join("..".join(map(str, dict.fromkeys(run))) for run in runs_of(days))


def runs_of(days: Iterable[date]) -> list[Range]:
    """Return *days*, which are in order, as ranges of days that follow each other."""
    runs: list[Range] = []
    for day in days:
        if runs and day - runs[-1].last == ONE_DAY:
            runs[-1] = Range(runs[-1].first, day)
        else:
            runs.append(Range(day, day))
    return runs


def has_date(pattern: str) -> bool:
    """Tell whether *pattern* has a field of a date. Raises UsageError for an invalid PATTERN."""
    check_url(pattern)
    fields = re.findall(r"%(.?)", pattern, re.DOTALL)
    for field in fields:
        if field in _TIME_FIELDS:
            raise UsageError(f"PATTERN names the time of day with %{field}", pattern, "write * instead")
        if field not in _DATE_FIELDS and field != "%":
            near = field.swapcase()
            hint = f"did you mean %{near}?" if near in _DATE_FIELDS else "write %% for a % in the name"
            raise UsageError(f"PATTERN has no field %{field}", pattern, hint)
    if "**" in pattern:
        hint = "* stands for one folder: --logs once for each level, with */ and with */*/"
        raise UsageError("PATTERN has **", pattern, hint)
    if not re.fullmatch(r"[^\0\ud800-\udfff]+", pattern):  # surrogates: bytes of an argument that are not UTF-8
        raise UsageError("not a PATTERN", repr(pattern), "for example /var/log/apache2/%Y/%m/%d/access.log")
    return any(field != "%" for field in fields)


def split_patterns(text: str) -> tuple[str, ...]:
    """Return the PATTERNs of an environment variable, separated by colons as in PATH.

    >>> split_patterns("/srv/a/%F.log:/srv/b/access.log*:s3://logs/%F.log")
    ('/srv/a/%F.log', '/srv/b/access.log*', 's3://logs/%F.log')
    """
    return tuple(re.findall(rf"{SCHEME}[^:/]*(?::\d+(?=/))?[^:]*|[^:]+", text))


def file_name(pattern: str, day: date) -> str:
    """Return the name of *day*'s file. A ``*`` in *pattern* stays.

    >>> file_name("logs/*/%Y/%m/%d/access.log", date(2026, 3, 12))
    'logs/*/2026/03/12/access.log'
    """
    # strftime writes the years before 1000 with fewer than four digits.
    return day.strftime(re.sub(r"%([%YF])", lambda field: _whole_year(field[1], day), pattern))


def _whole_year(field: str, day: date) -> str:
    return {"%": "%%", "Y": f"{day.year:04}", "F": day.isoformat()}[field]
