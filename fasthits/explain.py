"""Why a line of a log counts, or does not: the verdict of the core on that one line, and how its fields are read.

The fields are found a second time here, in Python, so that each can be shown, and where reading stops.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice

from fasthits import logfiles
from fasthits._parse import ANCHORS, LINE_BYTES, HitCounter
from fasthits.directives import Field, Literal
from fasthits.errors import LogFileError
from fasthits.formats import NAMES, NEEDED, Format
from fasthits.jsonlines import combined_lines
from fasthits.logfiles import BLOCK_BYTES, Segment
from fasthits.selection import ASSUMED, DETECTED_LINES, Selection

HIT, MALFORMED = "hit", "malformed"


@dataclass(frozen=True)
class Explanation:
    """What became of a line, and how it was read."""

    number: int
    """Of the line in its file, from 1."""
    line: bytes
    form: Format
    bucket: str
    """``hit``, ``malformed``, or the reason why it is filtered."""
    why: str
    fields: list[tuple[str, bytes]]
    """What was read, each with its name, as far as that went."""


def explain(name: str, selection: Selection, numbers: Collection[int], day: date | None) -> Iterator[Explanation]:
    """Yield what became of the lines with these *numbers*; without numbers of the first line of each bucket.

    Only hits of *day* count, if there is one. Raises LogFileError, also for a number that no line has, and UsageError.
    """
    lines = _lines(name)
    first = list(islice(lines, DETECTED_LINES))
    found = selection.detect(b"".join(line + b"\n" for line in first))
    if found:
        selection.check(found)
    judge = _Judge(selection, found or ASSUMED, day)
    left, seen = set(numbers), set[str]()
    for number, line in enumerate(chain(first, lines), 1):
        if numbers and number not in left:
            continue
        bucket, path = judge(line)
        if numbers or bucket not in seen:
            yield judge.explain(number, line, bucket, path)
        left.discard(number)
        seen.add(bucket)
        if numbers and not left:
            return
    if left:
        raise LogFileError(f"log file has no line {min(left)}", name)


def _lines(name: str) -> Iterator[bytes]:
    """Yield the lines of a file, compressed or not, as much as is looked at of each."""
    files = logfiles.find(name)
    if not files:
        raise LogFileError("no such log file", name)
    tail = b""
    for block in Segment(files[0]).blocks(bytearray(BLOCK_BYTES), lambda size: None):
        *whole, rest = (tail + bytes(block)).split(b"\n")
        yield from whole
        tail = rest[: LINE_BYTES + 1]
    if tail:
        yield tail


class _Judge:
    """Puts lines of one format into their buckets, and says why."""

    def __init__(self, selection: Selection, form: Format, day: date | None) -> None:
        self._selection = selection
        self._form = form
        self._day = day
        self._counter = HitCounter(rules=selection.line_rules(form))
        self._counter.count_only(None if day is None else [day])
        self._lines = selection.lines_into(self._counter, form)
        self._as_combined: Callable[[bytes], bytes] | None = (
            None if form.parts else combined_lines(selection.rules.json_fields)
        )

    def __call__(self, line: bytes) -> tuple[str, bytes]:
        """Return the bucket of a line, and its path if it is a hit."""
        counter = self._counter
        hits, malformed, filtered = counter.hits, counter.malformed, counter.filtered
        self._lines.feed(line + b"\n")
        if counter.malformed > malformed:
            return MALFORMED, b""
        if counter.hits == hits:
            (reason,) = (Counter(counter.filtered) - Counter(filtered)).keys()
            return reason, b""
        rejected = Counter[str]()
        drained = self._selection.finish(counter.drain(), rejected)
        for reason in rejected:
            return reason, b""
        rows = chain(drained.rows(), drained.bots.rows() if drained.bots else ())
        return HIT, next(path for _, path, _ in rows)

    def explain(self, number: int, line: bytes, bucket: str, path: bytes) -> Explanation:
        """Return what is to be said of a line whose bucket is known."""
        form, text = self._form, line.removesuffix(b"\r")[:LINE_BYTES]
        if self._as_combined:
            form, text = NAMES["vhost_combined"], self._as_combined(text)
        fields, stopped = read_fields(text, form)
        if self._as_combined and bucket == MALFORMED:
            fields, stopped = [], "it is no JSON object with a time and a request"
        return Explanation(number, line, self._form, bucket, self._why(bucket, path, dict(fields), stopped), fields)

    def _why(self, bucket: str, path: bytes, fields: dict[str, bytes], stopped: str) -> str:
        rules = self._selection.rules
        match bucket:
            case "hit":
                return f"counts as {_text(path)}"
            case "malformed":
                return stopped or "its time is of no day that there is"
            case "method":
                return f"its method {_text(fields.get('method', b''))} is not {' or '.join(rules.methods)}"
            case "target":
                return f"its target {_text(fields.get('target', fields.get('path', b'')))} is no path"
            case "status":
                return f"its status {_text(fields.get('status', b''))} is not one of those that count"
            case "day":
                return f"its time is not of {self._day}"
            case "agent":
                return "its user agent is excluded, or not one of those included"
            case "bot":
                return "its user agent is that of a known bot"
            case "static":
                return "its path ends like what pages load by themselves"
        return "its path is excluded, or not one of those included"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


# --- Fields -------------------------------------------------------------------------------------------------------

_ANCHOR = re.compile(rb'\[(?=\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] ")', re.DOTALL)
_QUOTED = re.compile(rb'(?:[^"\\]|\\.)*+(?=")', re.DOTALL)
_NUMBERS = {"status": re.compile(rb"\d{3}"), "bytes": re.compile(rb"\d+|-")}
_EPOCH = re.compile(rb"\d+(?:\.\d*)?")
_ISO = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)")


def read_fields(line: bytes, form: Format) -> tuple[list[tuple[str, bytes]], str]:
    """Return the fields of a line, each with its name, and where reading stopped, or ``""``.

    >>> read_fields(b'- - - [12/Mar/2026:10:00:00 +0100] "HEAD /a HTTP/1.1" 200', NAMES["common"])[0][2:4]
    [('method', b'HEAD'), ('target', b'/a')]
    """
    if not form.anchored:
        return _read_parts(line, 0, form.parts)
    start = next(at for at, part in enumerate(form.parts) if isinstance(part, Field) and part.kind == "time") - 1
    opening = (Literal(b"["), *form.parts[start + 1 :])
    first = None
    for anchor in islice(_ANCHOR.finditer(line), ANCHORS if "steps" in form.reading() else None):
        fields, stopped = _read_parts(line, anchor.start(), opening)
        if not stopped:
            return _before_the_time(line, anchor.start(), form) + fields, ""
        first = first or (anchor.start(), fields, stopped)
    if first is None:
        return [], 'no time like [12/Mar/2026:10:00:00 +0100] and a space and a " behind it'
    at, fields, stopped = first
    return _before_the_time(line, at, form) + fields, stopped


def _before_the_time(line: bytes, at: int, form: Format) -> list[tuple[str, bytes]]:
    """Return what stands before the bracket of the time, and the virtual host in it."""
    before = [("before the time", line[:at].rstrip())]
    first, second = form.parts[:2]
    if isinstance(first, Field) and first.kind == "vhost" and isinstance(second, Literal):
        head = line[: at + 1]
        address = head.find(b"]") + 1 if head.startswith(b"[") else 0  # of IPv6, with colons
        host = head[: max(0, head.find(second.text, address))]
        before += [("vhost", host)] if host and b" " not in host else []
    return before


def _read_parts(line: bytes, at: int, parts: tuple[Literal | Field, ...]) -> tuple[list[tuple[str, bytes]], str]:
    """Return the fields from *at* on, and where reading stopped before all that every line must have was there."""
    fields: list[tuple[str, bytes]] = []
    needed = max(at for at, part in enumerate(parts) if isinstance(part, Field) and part.kind in NEEDED)
    for number, part in enumerate(parts):
        if isinstance(part, Literal):
            end = at + len(part.text) if line.startswith(part.text, at) else None
            wanted = repr(_text(part.text))
        else:
            after = parts[number + 1] if number + 1 < len(parts) else None
            end = _end_of(part, line, at, after.text if isinstance(after, Literal) else b"")
            wanted = _name(part)
        if end is None:
            return fields, f"no {wanted} in column {at + 1}" if number <= needed else ""
        if number == needed and isinstance(part, Field) and part.kind in _NUMBERS and line[end : end + 1] not in b" ":
            return fields, f"no end of {_name(part)} in column {end + 1}"
        if isinstance(part, Field):
            fields += _named(part, line[at:end])
        at = end
    return fields, ""


def _end_of(field: Field, line: bytes, at: int, after: bytes) -> int | None:
    """Return where a field ends that begins at *at*; None where it is not there."""
    pattern = _NUMBERS.get(field.kind)
    if field.time_format and field.time_format.startswith("epoch"):
        pattern = _EPOCH
    elif field.time_format == "iso8601":
        pattern = _ISO
    elif field.quoted and not field.width:
        pattern = _QUOTED
    if pattern:
        found = pattern.match(line, at)
        return found.end() if found else None
    if field.width:
        return at + field.width if at + field.width <= len(line) else None
    end = line.find(after, at) if after else len(line)
    return end if end >= 0 else None


def _name(field: Field) -> str:
    return field.directive if field.kind == "skip" else field.kind.replace("_", " ")


def _named(field: Field, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a field, and the parts that a request line has."""
    if field.kind != "request":
        yield _name(field), text
        return
    yield from zip(("method", "target", "protocol"), text.split(b" ", 2), strict=False)
