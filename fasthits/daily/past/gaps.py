"""Days that no rollup has kept: which they are, and how to say it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from fasthits.daily.days import ONE_DAY, Range, runs_of
from fasthits.display import counted

RUNS_NAMED = 3


def missing_days(kept: Sequence[date], span: Range, today: date) -> list[date]:
    """Return the days of *span* that are not among the *kept* days, which are in order.

    A span that reaches the newest kept day is looked at up to yesterday, because those days could have been kept, too.
    Days before the oldest kept day are not missing.
    """
    if not kept:
        return []
    yesterday = today - ONE_DAY
    last = max(span.last, yesterday) if span.last >= kept[-1] else span.last
    known = set(kept)
    whole = Range(max(span.first, kept[0]), min(last, max(yesterday, kept[-1])))
    return [day for day in whole.days if day not in known]


def describe_missing(newest: date, missing: Iterable[date], write: Callable[[date], str] = str, to: str = "..") -> str:
    """Return in words how far the days are kept, and which are missing. *write* and *to* are the form of the dates.

    >>> describe_missing(date(2026, 11, 21), [date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 24)])
    'kept up to 2026-11-21; 3 days are missing: 2026-11-22..2026-11-24'
    """
    days = list(missing)
    runs = [to.join(map(write, dict.fromkeys(run))) for run in runs_of(days)]
    named = ", ".join((["..."] if len(runs) > RUNS_NAMED else []) + runs[-RUNS_NAMED:])
    verb = "is" if len(days) == 1 else "are"
    return f"kept up to {write(newest)}; {counted(len(days), 'day')} {verb} missing: {named}"
