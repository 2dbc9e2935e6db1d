"""Shell completion of DATE, PATTERN and FORMAT."""

import os
from datetime import date, timedelta

from fasthits.daily.days import DEFAULT_LOGS

OFFERED_DAYS = 7


def complete_day(incomplete: str) -> list[str]:
    """Return the DATEs that begin with *incomplete*: today, yesterday, and the dates of the last OFFERED_DAYS."""
    days = [str(date.today() - timedelta(days=before)) for before in range(1, OFFERED_DAYS + 1)]
    return [day for day in ("today", "yesterday", *days) if day.startswith(incomplete)]


def complete_days(incomplete: str) -> list[str]:
    """Return the DATEs, or ranges A..B, that begin with *incomplete*."""
    first, dots, last = incomplete.partition("..")
    return [f"{first}..{day}" for day in complete_day(last)] if dots else complete_day(first)


def complete_format(incomplete: str) -> list[str]:
    """Return the names of log formats that begin with *incomplete*."""
    from fasthits.formats.named import FORMATS

    return [name for name in ("auto", *FORMATS) if name.startswith(incomplete)]


def complete_logs(incomplete: str) -> list[str]:
    """Return the PATTERNs that begin with *incomplete*: the default, and existing files and folders."""
    import glob  # each command imports this module, few complete a name

    usual = [pattern for pattern in (DEFAULT_LOGS,) if pattern.startswith(incomplete)]
    there = sorted(glob.glob(glob.escape(incomplete) + "*"))
    return usual + [f"{name}/" if os.path.isdir(name) else name for name in there]
