"""The arguments of the public Python functions: rules named as the options are, with ``_`` for ``-``, and days."""

import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from operator import index
from typing import TypedDict

from fasthits.errors import UsageError
from fasthits.rules.options import OPTIONS, make_rules
from fasthits.rules.rules import Bots, NotFound, Rules


class RuleOptions(TypedDict, total=False):
    """What counts as a hit, and under which path. A rule that is left out has its default, as on the command line."""

    log_format: str
    """``auto``, a name such as ``combined``, or the string of the server's configuration."""
    json_fields: Mapping[str, str] | str
    pages: bool
    method: list[str] | tuple[str, ...] | str
    status: list[str | int] | list[int] | list[str] | tuple[str | int, ...] | str | int
    not_found: NotFound
    include_path: list[str] | tuple[str, ...] | str
    exclude_path: list[str] | tuple[str, ...] | str
    exclude_static: bool
    keep_query: list[str] | tuple[str, ...] | str | bool
    fold_slash: bool
    fold_session: bool
    decode: bool
    bots: Bots
    exclude_bots: bool
    include_agent: list[str] | tuple[str, ...] | str
    exclude_agent: list[str] | tuple[str, ...] | str
    by_host: bool


_OPTIONS = {"log_format": "format"}


def rules_of(keywords: Mapping[str, object], others: Sequence[str] = ()) -> Rules:
    """Return the rules that keyword arguments make. Raises UsageError for an unknown name or an invalid value.

    *others* are the other arguments of the function, which an unknown name may mean.

    >>> rules_of({"exclude_bots": True, "status": "200,304"}).bots
    'exclude'
    """
    options = {}
    for name, value in keywords.items():
        option = _OPTIONS.get(name, name.replace("_", "-"))
        if name not in RuleOptions.__annotations__ or option not in OPTIONS:
            names = [*others, *RuleOptions.__annotations__]
            close = get_close_matches(name, names, 1, 0.5)
            hint = f"try {close[0]}" if close else f"one of {', '.join(names)}"
            raise UsageError("no such argument", name, hint)
        options[option] = value
    return make_rules(options)


def day_of(day: object) -> date:
    """Return a date, that of a datetime; raise UsageError for anything else.

    >>> day_of(datetime(2026, 3, 12, 10, 30))
    datetime.date(2026, 3, 12)
    """
    if isinstance(day, datetime):
        day = day.date()
    if not isinstance(day, date) or day != day:  # NaT of pandas is a datetime, but no day
        raise UsageError("not a date", repr(day), "for example datetime.date(2026, 3, 12)")
    return day


def number_of(what: str, value: object, least: int = 1, most: int = sys.maxsize) -> int:
    """Return a whole number, also one of numpy; raise UsageError, with *what* it should be, for anything else.

    >>> number_of("a number of threads", True)
    1
    """
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        hint = f"{least} or more" + (f", up to {most:,}" if number > most else "")
        raise UsageError(f"not {what}", repr(value), hint)
    return number
