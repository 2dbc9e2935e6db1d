"""Why a log line counts or does not count: the core's verdict on the line, and the fields that the core finds in it."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Unpack

from fasthits._parse import LineRules, ParsedLine, find_fields, find_json_fields, parse_line, parse_lines
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.lines import open_log
from fasthits.display import counted
from fasthits.errors import LogFileError, UsageError
from fasthits.formats.directives import Field, Literal
from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import NAMES_COLUMNS, W3C, missing_columns
from fasthits.formats.misses import name_of, trouble_of
from fasthits.formats.named import JSON
from fasthits.rules.compiled import ASSUMED, CompiledRules, field_rules
from fasthits.rules.guidance import Advice, how_to_count
from fasthits.rules.judge import HIT, MALFORMED, Judge
from fasthits.rules.keywords import RuleOptions, day_of, rules_of
from fasthits.rules.unreadable import why_unreadable


@dataclass(frozen=True)
class Explanation:
    """A line's bucket, the reason, and the fields read from it."""

    number: int
    """The line's number in its file, from 1."""
    line: bytes
    log_format: Format = field(repr=False)
    bucket: str
    """``hit``, ``malformed``, or why it is filtered: ``method``, ``status``, ``bot`` ..."""
    why: str
    fields: list[tuple[str, bytes]]
    """The fields that were read, each with its name, up to the place where reading stopped."""
    advice: Sequence[str] = ()
    """For a malformed line: where formats fail in it, the keys of a JSON line, and last what to type."""
    path: str | None = None
    """The path that a hit counts under, as it is in a table; bytes that are not UTF-8 are written as ``\\xhh``."""


def explain_line(line: bytes, *, day: date | None = None, **rules: Unpack[RuleOptions]) -> Explanation:
    """Return whether *line* counts, and why, as ``fasthits explain`` shows it.

    *rules* are the same as for `count_hits`; without ``log_format`` the line tells its format. With *day* only hits of
    that day count. Raises UsageError for invalid rules, several lines, and a format without a field of the rules;
    TypeError for text.

    >>> found = explain_line(b'::1 - - [12/Mar/2026:10:00:00 +0100] "HEAD /a HTTP/1.1" 200 5', method="GET,HEAD")
    >>> found.bucket, found.path
    ('hit', '/a')
    """
    try:
        text = bytes(memoryview(line)).removesuffix(b"\n")
    except TypeError as error:
        raise TypeError(f"a line of a log is bytes, not {type(line).__name__} (open the log with 'rb')") from error
    if b"\n" in text:
        raise UsageError("more than one line", repr(text[:40]), "explain one at a time")
    compiled = CompiledRules(rules_of(rules, ["day"]))
    log_format = compiled.checked(compiled.detect(text, ended=True))
    explainer = _Explainer(compiled, log_format, None if day is None else day_of(day))
    return explainer.explain(1, text, *explainer(text))


def explain(name: str, compiled: CompiledRules, numbers: Collection[int], day: date | None) -> Iterator[Explanation]:
    """Yield explanations of the lines with these *numbers*, or without numbers of the first line in each bucket.

    With a *day* only its hits count. Raises LogFileError, also for a number after the last line, for a log without a
    line, and, after the explanation of its first line, for a log of which no line can be read; and UsageError.
    """
    files = logfiles.find(name)
    if not files:
        raise LogFileError("no such log file", name, "name a log file, or - for standard input")
    blocks = open_log(files[0], compiled)
    lines = ((log_format, line) for log_format, block in blocks for line in block.removesuffix(b"\n").split(b"\n"))
    explainer = _Explainer(compiled, ASSUMED, day)
    left, seen, number = set(numbers), set[str](), 0
    for number, (log_format, line) in enumerate(lines, 1):
        if log_format is not explainer.log_format:
            explainer = _Explainer(compiled, log_format, day)
        explainer.learn(line)
        if numbers and number not in left:
            continue
        bucket, path = explainer(line)
        if numbers or bucket not in seen:
            yield explainer.explain(number, line, bucket, path)
        left.discard(number)
        seen.add(bucket)
        if numbers and not left:
            return
    if left:
        raise LogFileError(f"log file has no line {min(left)}", name, f"it has {counted(number, 'line')}")
    if not number:
        raise LogFileError("log file is empty", name)
    if seen == {MALFORMED} and not numbers:
        raise LogFileError(f"none of {counted(number, 'line')} can be read", name)


class _Explainer:
    """Finds the bucket of a line, and explains it."""

    def __init__(self, compiled: CompiledRules, log_format: Format, day: date | None) -> None:
        self.log_format = log_format
        self._compiled = compiled
        self._day = day
        self._judge = Judge(compiled, log_format, None if day is None else [day])
        self._columns = b""

    def learn(self, line: bytes) -> None:
        """Take the names of columns from a line that has them."""
        if self.log_format == W3C and line.startswith(NAMES_COLUMNS):
            self._columns = line

    def __call__(self, line: bytes) -> tuple[str, bytes]:
        """Return the bucket of a line, and its path if it is a hit."""
        if self._columns:
            self._judge(self._columns)
        return self._judge(line)

    def explain(self, number: int, line: bytes, bucket: str, path: bytes) -> Explanation:
        """Return the explanation of a line whose bucket is known."""
        ways = self._compiled.ways(self.log_format)
        log_format, named, stopped = read_fields(line, *ways)
        if self._columns and bucket != MALFORMED and (columns := _columns_of(line, self._columns)):
            log_format, named, stopped = W3C, columns, ""
        fields = dict(named)
        if bucket == "message" or not log_format.parts:
            log_format, rules = JSON, field_rules(ways)
            named, stopped = read_json_fields(line, rules)
            fields = _request_of(parse_line(line, rules))
        why, counted_as = self._why(bucket, path, fields, stopped), _text(path) if bucket == HIT else None
        if bucket == "message" and _lacks_status(named):
            why = "it has a request without a status, as other messages have (let the server log both in one object)"
        advice = self._advice(line).lines() if bucket == MALFORMED else ()
        return Explanation(number, line, log_format, bucket, why, named, advice, counted_as)

    def _advice(self, line: bytes) -> Advice:
        if self._columns and (missing := missing_columns(self._columns)):
            told = f"the #Fields: line before it names no column {' and no column '.join(missing)}"
            return Advice([told], f"let the server log {' and '.join(missing)}")
        values = re.sub(rb'"[^"]*"', b'""', line)
        columns = len(values.split(b"\t") if b"\t" in values else values.split())
        names = len(self._columns.split()) - 1
        if self._columns and columns != names:
            told = f"the line has {counted(columns, 'column')}, the #Fields: line before it names {names}"
            return Advice([told], "let the server begin a new log file: it writes a #Fields: line into each")
        return why_unreadable(line, self._compiled.rules)

    def _why(self, bucket: str, path: bytes, fields: dict[str, bytes], stopped: str) -> str:
        rules = self._compiled.rules
        match bucket:
            case "hit":
                return f"counts as {_text(path)}"
            case "malformed":
                return stopped
            case "day":
                return f"its date is not {self._day}"
            case "comment":
                return "it is a comment"
        value = _text(fields.get(bucket, fields.get("path", b"") if bucket == "target" else b""))
        why = {
            "message": "it is another message of the server, not a request",
            "method": f"its method {value} is not {' or '.join(rules.methods)}",
            "target": f"its target {value} is not a path",
            "status": f"its status {value} does not count",
            "agent": "its user agent is excluded or not included",
            "bot": "its user agent is that of a known bot",
            "path": "its path is excluded or not included",
            "static": "pages load such files by themselves",
        }[bucket]
        return f"{why} ({how_to_count(bucket, rules, [value] * bool(value))})"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


# --- Fields -------------------------------------------------------------------------------------------------------


def read_fields(line: bytes, *ways: Format) -> tuple[Format, list[tuple[str, bytes]], str]:
    """Return the format in which a line is read, its fields, each with its name, and why reading stopped, or ``""``.

    A line that none of the *ways* reads is shown in the first one.

    >>> from fasthits.formats.named import NAMES
    >>> read_fields(b'- - - [12/Mar/2026:10:00:00 +0100] "HEAD /a HTTP/1.1" 200', NAMES["common"])[1][2:4]
    [('method', b'HEAD'), ('target', b'/a')]
    """
    found = find_fields(line, field_rules(ways))
    log_format, text = ways[found.way], found.text
    if not log_format.parts:
        return log_format, [], ""
    parts = log_format.read_parts
    fields = []
    if log_format.anchored and found.fields:
        fields.append(("before the time", text[: found.fields[0].start - 1].rstrip()))
    if found.host[1]:
        fields.append(("vhost", text[slice(*found.host)]))
    for step, start, end in found.fields:
        fields += _named(parts[step], text[start:end])
    return log_format, fields, trouble_of(found, log_format) if found.trouble else ""


def _columns_of(line: bytes, columns: bytes) -> list[tuple[str, bytes]]:
    """Return the fields of a line whose *columns* another line has named; no fields if the line has other columns."""
    *_, parsed = parse_lines(columns + b"\n" + line, field_rules((W3C,)))
    values = parsed._asdict() if parsed else {}
    texts = {name: str(value).encode() if isinstance(value, int) else value for name, value in values.items()}
    return [(name.replace("_", " "), text) for name, text in texts.items() if isinstance(text, bytes)]


def read_json_fields(line: bytes, rules: LineRules) -> tuple[list[tuple[str, bytes]], str]:
    """Return the fields that the core finds in a JSON line, each with its key, and what the line lacks, or ``""``.

    A field before the object has no key.
    """
    found = find_json_fields(line, rules)
    fields = [
        (kind.replace("_", " ") + (f" ({_text(key)})" if key else ""), value) for kind, key, value in found.fields
    ]
    return fields, _JSON_TROUBLES[found.trouble] if found.trouble else ""


_JSON_TROUBLES = {
    "object": "no JSON object",
    "end": "the JSON object does not end",
    "glued": "more than one JSON object",
    "wrapped": "its message is not a log line",
    "time": "no time",
    "date": "no field for the time holds a time that fasthits knows",
    "request": "no request and no path",
}


def _lacks_status(named: list[tuple[str, bytes]]) -> bool:
    """Tell whether the fields of a JSON line are those of a request that has no status. Fastify writes such lines."""
    kinds = {name.partition(" (")[0] for name, _ in named}
    return kinds >= {"method", "path"} and "status" not in kinds


def _request_of(parsed: ParsedLine | None) -> dict[str, bytes]:
    """Return the fields of a JSON line that rules look at."""
    if not parsed:
        return {}
    status = {} if parsed.status is None else {"status": b"%d" % parsed.status}
    return {"method": parsed.method, "target": parsed.target or b""} | status


def _named(part: Literal | Field, text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a field with its name; a request line becomes three fields."""
    if isinstance(part, Field) and part.kind == "request":
        yield from zip(("method", "target", "protocol"), text.split(b" ", 2), strict=False)
    else:
        yield name_of(part), text
