"""Where a line does not fit a log format: for explain, and for errors about logs that no format fits."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from fasthits._parse import FoundFields, LineRules, find_fields
from fasthits.formats.detection import distinct_ways
from fasthits.formats.directives import Field, Literal
from fasthits.formats.format import Format

GLUED = "two lines without a line break between them"

_REQUEST = re.compile(rb'"[A-Z]{3,9} [^" ]+ HTTP/\d|^[A-Z]{3,9} /\S* [1-5]\d\d ')
_DATE = re.compile(rb"\b\d{4}[-/]\d\d|\b\d\d/(?:[A-Z][a-z]{2}|\d\d)/|\b1\d{9}|\b[A-Z][a-z]{2,8}[ -]+\d")


class Miss(NamedTuple):
    """Where one named format fails in a line."""

    name: str
    missing: str
    """The first thing that is not there, and in which column: ``no status in column 52``."""
    reached: int
    """The column up to which the line is as this format has it; 0 if the format does not find its time."""


def why_not(line: bytes) -> list[Miss]:
    """Return where each named format fails in *line*. The format that fits furthest comes first.

    A format that can read the line is not in the list, nor are formats that the core reads by labels or columns.
    Formats that the core reads in the same way appear once, under the first name.

    >>> why_not(b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" OK')[0]
    Miss(name='combined', missing='no status in column 62', reached=61)
    """
    misses: list[Miss] = []
    for name, ways in distinct_ways().items():
        found = [find_fields(line, _line_rules(each)) for each in ways]
        if all(each.trouble for each in found):
            reached, at = max((_reached(line, each, ways[at]), -at) for at, each in enumerate(found))
            misses.append(Miss(name, trouble_of(found[-at], ways[-at]), reached))
    return sorted(misses, key=lambda miss: -miss.reached)


def _reached(line: bytes, found: FoundFields, log_format: Format) -> int:
    """Return how many bytes agree, 0 without a time.

    A field does not fit if its end was not found in the rest of the line.
    """
    if not any(_is_time(log_format.read_parts[each.step]) and each.end - each.start >= 10 for each in found.fields):
        return 0
    last = found.fields[-1] if found.fields else None
    return last.start if last and last.end == found.stopped == len(line) else found.stopped


def _is_time(part: Literal | Field) -> bool:
    return isinstance(part, Field) and part.kind == "time"


@lru_cache(128)
def _line_rules(log_format: Format) -> LineRules:
    return LineRules(ways=[log_format.reading()])


def lack_of_dates(lines: Iterable[bytes]) -> str | None:
    """Return what to do about *lines* that hold requests but no dates, as Uvicorn writes them; None for other lines."""
    requests = [line for line in lines if _REQUEST.search(line)]
    if not requests or any(map(_DATE.search, requests)):
        return None
    return (
        "the lines have requests but no dates, and hits count per day: let the server write the time "
        "(Uvicorn: an access format that begins with %(asctime)s; Gunicorn: %(t)s; PHP-FPM: %t; morgan: combined)"
    )


def trouble_of(found: FoundFields, log_format: Format) -> str:
    """Return why a line is malformed, in words."""
    if found.trouble == "glued":
        return f"another request in column {found.stopped + 1}: {GLUED}"
    if log_format.how == "w3c":
        return "not the columns that the last #Fields: line names, with a date, a path and a status of three digits"
    if log_format.how == "ltsv":
        return "no labels with a time and a request, each once"
    if not found.trouble:  # only the shown part of the line is right
        return "its beginning can be read, but not the rest"
    part = log_format.read_parts[found.step]
    if log_format.anchored and not found.fields and found.trouble == "absent":
        return 'no time like [12/Mar/2026:10:00:00 +0100] followed by a space and a quote (")'
    match found.trouble:
        case "day":
            return f"no such date in column {found.stopped + 1}"
        case "end":
            return f"no end of {name_of(part)} in column {found.stopped + 1}"
    return f"no {name_of(part)} in column {found.stopped + 1}"


def name_of(part: Literal | Field) -> str:
    """Return how people call a part of a format."""
    if isinstance(part, Literal):
        return repr(part.text.decode("utf-8", "backslashreplace"))
    return part.directive if part.kind == "skip" else part.kind.replace("_", " ")
