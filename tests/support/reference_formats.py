"""The slow oracle for lines of any format: a regular expression is made of the parts of the format."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import TypeVar

from fasthits.formats.directives import Field, Literal
from fasthits.formats.format import Format
from tests.support.objects import read_object, wrapped_line
from tests.support.reference_lines import (
    MONTHS,
    QUOTED,
    TIME_BYTES,
    day_of,
    holds_another_line,
    text_of,
    trim,
    unquoted,
)

V = TypeVar("V")


def once_a_format(function: Callable[[Format], V]) -> Callable[[Format], V]:
    """Let a function remember its result for each format. Formats are compared by identity, because that is fast."""
    said: dict[int, tuple[Format, V]] = {}  # the format is kept, too, so that no other format gets its id

    def of(log_format: Format) -> V:
        if id(log_format) not in said:
            said[id(log_format)] = log_format, function(log_format)
        return said[id(log_format)][1]

    return of


NEEDED = {"time", "request", "method", "target", "path", "query", "status", "bytes"}
"""A line that lacks one of these, or has something else there, is malformed. Text after the last one is optional."""

TIMES = {
    "apache": rb"\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
    "iso8601": rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?",
    "epoch": rb"\d{1,12}+(?:\.\d*+)?+",
    "epoch_ms": rb"\d{1,15}+",
    "epoch_us": rb"\d{1,18}+",
}


def field_pattern(field: Field, after: bytes) -> bytes:
    """Return the regular expression of one field. *after* is the literal after the field. There is no backtracking."""
    if field.kind == "status":
        return rb"\d{3}"
    if field.kind == "bytes":
        return rb"(?:\d++|-)"
    if field.time_format in TIMES:
        return TIMES[field.time_format]
    if field.width:
        return rb".{%d}" % field.width
    if field.quoted:
        return QUOTED
    if not after:
        return rb".*+"
    # With *+ instead of (?>*), Python before 3.11.5 reads on behind the literal (gh-106052).
    return rb"(?>(?:(?!%b).)*)" % re.escape(after) if after[1:] else rb"[^%b]*+" % re.escape(after)


def end_pattern(field: Field, after: bytes) -> bytes:
    """Return the expression for the text after the last needed field."""
    if field.quoted:
        return rb'(?=")'
    if field.kind in ("status", "bytes") or field.time_format or field.width:
        return rb"(?=%b| |\Z)" % re.escape(after[:1]) if after else rb"(?= |\Z)"
    return rb""


@once_a_format
def last_needed(log_format: Format) -> int:
    """Return the number of the last part that a line must have."""
    if log_format.closed:
        return len(log_format.parts) - 1
    return max(at for at, part in enumerate(log_format.parts) if isinstance(part, Field) and part.kind in NEEDED)


@once_a_format
def place_of_time(log_format: Format) -> int:
    """Return the number of the part that is the time."""
    return next(at for at, part in enumerate(log_format.parts) if isinstance(part, Field) and part.kind == "time")


def literal_behind(log_format: Format, at: int) -> bytes:
    """Return the text that ends a field, by its number. In a closed format, the last field ends like the previous."""
    parts = log_format.parts
    following = parts[at + 1] if at + 1 < len(parts) else parts[at - 1] if log_format.closed else None
    return following.text if isinstance(following, Literal) else b""


@once_a_format
def line_pattern(log_format: Format) -> re.Pattern[bytes]:
    """Return the regular expression of the lines of a format, from the bracket of the time on if it is anchored."""
    start = place_of_time(log_format) if log_format.anchored else 0
    last = last_needed(log_format)
    pattern, tail = rb"\[" if log_format.anchored else rb"", rb""
    for at, part in enumerate(log_format.parts[start:], start):
        if isinstance(part, Literal):
            step = re.escape(part.text)
        else:
            after = literal_behind(log_format, at)
            step = field_pattern(part, after) + (end_pattern(part, after) if at >= last else b"")
            if part.kind != "skip":
                step = rb"(?P<%b>%b)" % (part.kind.encode(), step)
        if at <= last:
            closed = rb" *+\Z" if log_format.closed and at == last else b""
            pattern += step + (rb"(?P<behind>)" if at == last else b"") + closed
        else:
            pattern += rb"(?>" + step
            tail += rb")?+"
    return re.compile(pattern + tail, re.DOTALL)


def field_day(field: Field, text: bytes) -> date | None:
    """Return the day of a time, or None for an invalid date. Seconds since 1970 have a local day."""
    match field.time_format:
        case "apache":
            return day_of(text)
        case "epoch" | "epoch_ms" | "epoch_us" as unit:
            seconds = int(text.partition(b".")[0]) // {"epoch": 1, "epoch_ms": 10**3, "epoch_us": 10**6}[unit]
            try:
                local = time.localtime(seconds)
            except OverflowError:  # a system whose time_t has 32 bits, from 2038 on
                return None
            return date(*local[:3]) if local.tm_year <= 9999 else None
        case "iso8601":
            return pattern_day("%Y-%m-%d", text[:10])
        case str(pattern):
            return pattern_day(pattern, text)
    return None


DATE_ITEMS = {"Y": rb"\d{4}", "y": rb"\d\d", "m": rb"\d\d", "b": rb".{3}", "d": rb"[ \d]\d", "e": rb"[ \d]\d"}
DATE_ITEMS["j"] = rb"\d{3}"
WIDTHS = {"Y": 4, "G": 4, "b": 3, "j": 3, "a": 3, "z": 5, "u": 1, "w": 1, "%": 1, "": 1}


@lru_cache
def date_pattern(pattern: str) -> tuple[re.Pattern[bytes], str, str, str]:
    """Return the expression of a time, and the items of its year, month and day."""
    items = re.findall(r"%(.)|[^%]", pattern, re.DOTALL)
    year_item = "Y" if "Y" in items else "y"
    month_item = next((item for item in "mb" if item in items), "")
    day_item = next((item for item in "de" if item in items and month_item), "j")
    wanted = {year_item, month_item, day_item} if day_item != "j" else {year_item, "j"}
    regex = b""
    for at, item in enumerate(items):
        if item in wanted and item not in items[:at]:
            regex += b"(?P<%b>%b)" % (item.encode(), DATE_ITEMS[item])
        else:
            regex += b".{%d}" % WIDTHS.get(item, 2)
    return re.compile(regex, re.DOTALL), year_item, month_item, day_item


def pattern_day(pattern: str, text: bytes) -> date | None:
    """Return the day of a time. Only the first place of each item of its date matters; other text may be anything."""
    regex, year_item, month_item, day_item = date_pattern(pattern)
    found = regex.fullmatch(text)
    if not found:
        return None
    year, day = int(found[year_item]), int(found[day_item])
    if year_item == "y":
        year += 1900 if year >= 69 else 2000
    try:
        if day_item == "j":
            found_day = date(year, 1, 1) + timedelta(days=day - 1)
            return found_day if found_day.year == year else None
        return date(year, MONTHS.index(found["b"]) + 1 if month_item == "b" else int(found["m"]), day)
    except (ValueError, OverflowError):
        return None


LOOSE_CLF = re.compile(
    rb"\d\d?/.{3}/\d{4}:\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?(?: [A-Z]{1,5})?", re.DOTALL
)


@lru_cache
def loose_literal(text: bytes, before_status: bool = False) -> re.Pattern[bytes]:
    """Return the expression for a literal when a line is read loosely."""
    pattern = b""
    for piece in re.findall(rb"[ \t]+|[^ \t]+", text):
        blank = piece[:1] in (b" ", b"\t")
        pattern += b"[ \t]++" if blank else re.escape(piece)
    pattern = pattern.replace(re.escape(b"]") + b'[ \t]++"', re.escape(b"]") + b'[ \t]*+"')
    if before_status and pattern.endswith(b'"[ \t]++'):
        pattern = pattern.removesuffix(b"++") + b"*+"
    return re.compile(pattern)


def loose_pattern(field: Field, after: bytes) -> re.Pattern[bytes] | None:
    """Return the expression for a field when a line is read loosely. None: it goes on to the text *after* it."""
    if field.kind == "status":
        return re.compile(rb"\d{3}|-1|-|0")
    if field.kind == "bytes":
        return re.compile(rb"\d+|-")
    if field.time_format == "apache":
        return LOOSE_CLF
    if field.time_format in TIMES or field.width or field.quoted:
        return re.compile(field_pattern(field, after) + (rb'(?=")' if field.quoted else b""), re.DOTALL)
    return None


@once_a_format
def loose_steps(log_format: Format) -> Sequence[tuple[Field | Literal, bytes, re.Pattern[bytes] | None]]:
    """Return the parts of a format, each with the text behind it and with its expression for loose reading."""
    steps: list[tuple[Field | Literal, bytes, re.Pattern[bytes] | None]] = []
    for part, following in zip_longest(log_format.parts, log_format.parts[1:]):
        after = literal_behind(log_format, len(steps))
        before_status = isinstance(following, Field) and following.kind == "status"
        is_text = isinstance(part, Literal)
        steps.append((part, after, loose_literal(part.text, before_status) if is_text else loose_pattern(part, after)))
    return steps


def loose_end(field: Field, after: bytes, pattern: re.Pattern[bytes] | None, line: bytes, at: int) -> int | None:
    """Return where a field ends when a line is read loosely; None if the field is missing."""
    if pattern:
        found = pattern.match(line, at)
        return found.end() if found else None
    if after[:1] in (b" ", b"\t"):
        for run in re.finditer(rb"[ \t]+", line[at:]):
            start, end = at + run.start(), at + run.end()
            goes_on = run.start() and (line[start - 1 : start] in (b",", b":") or line[end : end + 1] == b":")
            if loose_literal(after).match(line, start) and not (field.kind == "skip" and goes_on):
                return start
        return len(line)
    found = loose_literal(after).search(line, at) if after else None
    return found.start() if found else len(line)


def read_loosely(line: bytes, log_format: Format) -> tuple[dict[str, bytes], int, int] | None:
    """Read a line loosely. Return its fields, where the first begins, and where the last needed field ends; None for a
    malformed line."""
    line = line.strip(b" \t\r\0")
    if not log_format.anchored:
        return read_loosely_from(line, 0, log_format, 0)
    first = place_of_time(log_format)
    for bracket in re.finditer(rb"\[(?!\[)", line):  # no time begins with a bracket
        if len(line) - bracket.start() > TIME_BYTES:
            found = read_loosely_from(line, bracket.end(), log_format, first)
            if found:
                return found
    return None


def read_loosely_from(
    line: bytes, start: int, log_format: Format, first: int
) -> tuple[dict[str, bytes], int, int] | None:
    """Do what `read_loosely` does, from *start* on, beginning with the part *first*."""
    fields: dict[str, bytes] = {}
    at = behind = start
    last = last_needed(log_format)
    for number, (part, after, pattern) in enumerate(loose_steps(log_format)[first:], first):
        if isinstance(part, Literal):
            found = pattern.match(line, at) if pattern else None
            end = found.end() if found else None
        else:
            end = loose_end(part, after, pattern, line, at)
            text = line[at:end]
            if end is not None and (
                (part.kind == "status" and log_format.anchored and len(text) != 3)
                or (part.kind == "time" and not field_day(part, b"0" * (text[1:2] == b"/") + text))
                or (part.kind == "time" and log_format.anchored and text[1:2] == b"/")
                or (part.kind == "method" and not part.quoted and not re.fullmatch(rb"[A-Za-z0-9_-]+", text))
            ):
                end = None
            if end is not None and part.kind != "skip":
                fields[part.kind] = text
        if end is None and number <= last:
            return None
        if end is None:
            break
        at = end
        if number == last:
            behind = end
            if log_format.closed and line[at:].strip(b" "):
                return None
            bounded = not isinstance(part, Literal) and (
                part.kind in ("status", "bytes") or part.time_format or part.width
            )
            if bounded and line[at : at + 1] not in (b"", b" ", b"\t", after[:1]) and line[at:] != b'"':
                return None
    return fields, start, behind


def read_exactly(line: bytes, log_format: Format) -> tuple[dict[str, bytes], int, int] | None:
    """Return the fields of a line, where the first begins, and where the last needed field ends; None for a malformed
    line."""
    clock = log_format.parts[place_of_time(log_format)]
    assert isinstance(clock, Field)
    pattern = line_pattern(log_format)
    match = pattern.search(line) if log_format.anchored else pattern.match(line)
    while match and not field_day(clock, match["time"]):
        match = pattern.search(line, match.start() + 1) if log_format.anchored else None
    if not match:
        return None
    fields = {kind: text for kind, text in match.groupdict().items() if text is not None and kind != "behind"}
    return fields, match.start() + log_format.anchored, match.end("behind")


def read_fields(
    line: bytes, log_format: Format, further: Sequence[Format] = (), wraps: int = 0, when: str = ""
) -> dict[str, bytes] | str | None:
    """Return the fields of a line by their kinds; None for a malformed line, MESSAGE for a message of a server.

    The line is read by the first format that can read it: *log_format*, or one of the *further* formats. *wraps* is the
    number of lines that wrap this line, and *when* is the time of the last of them.
    """
    line = line if wraps else text_of(trim(line))
    ways = [way for way in (log_format, *further) if wraps or not way.only_wrapped]
    begins_quoted = any(isinstance(part, Literal) and part.text[:1] == b'"' for part in log_format.parts[:1])
    for text in (None if begins_quoted or wraps else unquoted(line), line):
        for number, way in enumerate(ways if text is not None else ()):
            if not way.parts:
                inner = wrapped_line(text)
                if inner is None and (read := read_object(text, when)):
                    return read
                if inner is not None:
                    known = read_fields(text_of(inner[0]), log_format, further, wraps + 1, inner[1] or when)
                    return (known if wraps < 2 else None) or read_object(text)
                continue
            for read in (read_exactly, read_loosely):
                whole = text if read is read_exactly else text.strip(b" \t\r\0")
                found = read(text, way)
                if found and not (number and is_strange(whole, *found, way)):
                    fields, start, behind = found
                    before = text.find(whole)
                    return None if is_glued(whole, behind, way) else fields | host_of(text, before + start, way)
    return None


def is_strange(line: bytes, fields: dict[str, bytes], start: int, behind: int, log_format: Format) -> bool:
    """Tell whether a line that another format than the log's own has read looks like a torn line of a third format."""
    if "request" not in fields:
        return not re.fullmatch(rb"[A-Za-z0-9_-]+", fields.get("method", b"GET"))
    at = next(at for at, part in enumerate(log_format.parts) if isinstance(part, Field) and part.kind == "request")
    known = sum(part.text.count(b'"') for part in log_format.parts[:at] if isinstance(part, Literal))
    before = line[start : line.rindex(b'"' + fields["request"], start, behind) + 1]
    return before.count(b'"') > known


def is_glued(line: bytes, behind: int, log_format: Format) -> bool:
    """Tell whether another line is glued to a line, unless the format itself has another time there."""
    parts = log_format.parts
    if not log_format.anchored and b"\r" in line[behind:].rstrip(b" \t\r"):
        return True
    if any(isinstance(part, Literal) and b"[" in part.text for part in parts[last_needed(log_format) + 1 :]):
        return False
    return holds_another_line(line, behind)


def host_of(line: bytes, start: int, log_format: Format) -> dict[str, bytes]:
    """Return the virtual host of a line of an anchored format. The time begins at *start*."""
    parts = log_format.parts
    at = next((at for at, part in enumerate(parts) if isinstance(part, Field) and part.kind == "vhost"), len(parts))
    behind = parts[at + 1] if at + 1 < len(parts) else None
    if not log_format.anchored or not isinstance(behind, Literal):
        return {}
    for _ in range(at // 2):
        _, space, line = line[:start].partition(b" ")
        start = len(line)
        if not space:
            return {}
    address, head = re.fullmatch(rb"(\[[^]]*\])?(.*)", line[:start], re.DOTALL).groups(b"")
    rest, found, _ = head.partition(behind.text)
    vhost = address + rest
    return {"vhost": vhost} if found and vhost and b" " not in vhost else {}
