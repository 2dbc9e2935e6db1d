"""Names of rotated files: ``access.log``, ``access.log.1`` and ``access.log.2.gz`` are files of one log.

logrotate adds a number to the names of old files, or with ``dateext`` (RHEL, Fedora) the day of the rotation; with
``extension .log`` it puts them before ``.log``. lumberjack, which Caddy uses, adds the time of the rotation. IIS names
files ``u_ex261124.log``, and CloudFront ``E1ABC.2026-11-24-13.0f3a9c51.gz``.
"""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import date, datetime
from typing import NamedTuple

from fasthits.daily.logs.compression import suffix_of
from fasthits.daily.urls import is_url

_DATE = r"\d{4}-?\d\d-?\d\d(?:[-_T.]?\d\d){0,3}(?:-\d{10}|\.\d{3})?|\d{8}-\d{10}"
_MARK = re.compile(rf"(?:(?P<base>.+?)(?:\.(?P<number>\d{{1,4}})|[-._](?:{_DATE}))|{_DATE})(?P<ending>\.log)?")
_FOLDER_OF_DAY = re.compile(rf"(?<=/)(?:\d{{4}}/\d\d(?:/\d\d)?|{_DATE})(?=/)")
_TIME_OF_ROTATION = re.compile(r"(?P<base>.+?)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(?P<ending>\.log)")
_OF_IIS = re.compile(r"(?P<base>(?:u_)?(?:ex|in|nc))(?P<short_date>\d{6}(?:\d\d)?)(?P<ending>(?:_x)?\.log)")
_OF_CLOUDFRONT = re.compile(r"(?P<base>.+?)\.(?P<date>\d{4}-\d\d-\d\d-\d\d)\.[0-9a-f]{8}")
_NAMES = (_OF_CLOUDFRONT, _OF_IIS, _TIME_OF_ROTATION, _MARK)


class LogName(NamedTuple):
    """The information in the name of a log file."""

    log: str
    """The name that the file had while it was written: the same for all files of a log."""
    rotated: bool
    """Whether the file was rotated. If not, the server still writes to it."""
    number: int | None
    """How often the file was rotated, if its name has a number."""
    stamp: datetime | None = None
    """The date in its name, with the time of day if the name has it, such as an hour."""
    day: date | None = None
    """The day in its name, if the name has no time of day: then the file may have the whole day."""


def read_name(name: str) -> LogName:
    """Return the information in the name of a log file.

    >>> read_name("/var/log/nginx/access.log.2.gz")
    LogName(log='/var/log/nginx/access.log', rotated=True, number=2, stamp=None, day=None)
    >>> read_name("/var/log/httpd/access_log-20261124").day
    datetime.date(2026, 11, 24)
    >>> read_name("/var/log/httpd/access_log-2026112405").stamp
    datetime.datetime(2026, 11, 24, 5, 0)
    >>> read_name("W3SVC1/u_ex261124.log").day
    datetime.date(2026, 11, 24)
    """
    folder, slash, file = name.rpartition("/")
    place = _FOLDER_OF_DAY.sub("*", folder + slash)
    file = file.removesuffix(suffix_of(file))
    found = next(filter(None, (each.fullmatch(file) for each in _NAMES)), None)
    if not found:
        return LogName(place + file, False, None)
    parts = found.groupdict()
    number = parts.get("number")
    base = parts["base"] or ""
    log = place + base.removesuffix(suffix_of(base)) + (parts.get("ending") or "")
    if number is not None:
        return LogName(log, True, int(number))
    dated = f"20{parts['short_date']}" if "short_date" in parts else parts.get("date") or file[len(base) :]
    digits, stamp = re.sub(r"\D", "", dated), None
    day, clock = digits[:8], digits[8:]
    if len(clock) <= len("235959"):  # more digits are seconds since 1970, or milliseconds
        with suppress(ValueError):  # digits may be an invalid date
            stamp = datetime.fromisoformat(f"{day}T{clock or '00'}")
    return LogName(log, True, None, stamp, None if clock or not stamp else stamp.date())


def others_of(log: str, known: Collection[str]) -> list[tuple[str, float]]:
    """Return the other files of a log in its folder, except those *known* and compressed copies of these, each with the
    time of its last change.

    A pattern matches compressed files, too, so one that is not known beside its plain file is a copy.
    """
    folder, file = os.path.split(log)
    stem = file.removesuffix(".log")
    plain = {_plain(name) for name in known}

    def is_other(name: str) -> bool:
        is_known = name in known or (_plain(name) != name and _plain(name) in plain)
        return not is_known and read_name(name).log == log

    if is_url(log):
        from fasthits.daily.logs.stores import match

        stored = match(f"{folder}/{stem}*", [""]) if "*" not in log else []  # none, if days have folders
        return [(each.name, each.modified) for each in stored if is_other(each.name)]
    others = []
    with suppress(OSError), os.scandir(folder or ".") as entries:  # files can be read in a folder that cannot be listed
        for entry in entries:
            name = os.path.join(folder, entry.name)
            if entry.name.startswith(stem) and is_other(name):
                others.append((name, entry.stat().st_mtime))
    return sorted(others)


def _plain(name: str) -> str:
    """Return the name that a file had before it was compressed."""
    return name.removesuffix(suffix_of(name))
