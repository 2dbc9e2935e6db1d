"""The slow oracle: judges and counts the lines of a log with regular expressions and a Counter.

Lines of combined are read by two expressions: `parse` was written by hand, `read_fields` is made as for any format.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from fasthits.formats.format import Format
from fasthits.formats.named import JSON, NAMES
from fasthits.records import replace
from fasthits.rules.bots import BOT, FILTERED, agent_verdict
from fasthits.rules.paths import final_path
from fasthits.rules.rules import Bots, Rules
from tests.support.objects import MESSAGE
from tests.support.reference_formats import LOOSE_CLF, field_day, read_fields
from tests.support.reference_lines import LINE_BYTES as LINE_BYTES
from tests.support.reference_lines import (
    QUOTED,
    TIME_BYTES,
    day_of,
    holds_another_line,
    split_lines,
    text_of,
    trim,
    unquoted,
)

DEFAULT_RULES = Rules(format="combined")
"""Those of a hit table without rules."""
LINE = re.compile(
    rb"\[(?P<time>\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rb'"(?P<request>%b)" (?P<status>\d{3}) (?P<bytes_sent>\d+|-)(?= |\Z)'
    rb'(?: "(?P<referer>%b)"(?: "(?P<user_agent>%b)")?)?' % (QUOTED, QUOTED, QUOTED),
    re.DOTALL,
)

LOOSE_LINE = re.compile(
    rb"\[(?P<time>\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?(?: [A-Z]{1,5})?)\][ \t]*"
    rb'"(?P<request>%b)"[ \t]*(?P<status>\d{3})[ \t]+(?P<bytes_sent>\d+|-)(?=[ \t]|"?\Z)'
    rb'(?:[ \t]+"(?P<referer>%b)"(?:[ \t]+"(?P<user_agent>%b)")?)?' % (QUOTED, QUOTED, QUOTED),
    re.DOTALL,
)
"""What is read where no line can be read exactly."""


class Counts(NamedTuple):
    """The result of counting a log."""

    views: Counter[tuple[date, bytes]]
    lines: int
    hits: int
    filtered: Counter[str]
    malformed: int


def parse(line: bytes) -> dict[str, bytes | None] | None:
    """Return the fields of a line by the names of ParsedLine, or None for a malformed line."""
    line = text_of(trim(line))
    inside = unquoted(line)
    readings = [(line, LINE), (line.strip(b" \t\r\0"), LOOSE_LINE)]
    if inside is not None:
        readings = [(inside, LINE), (inside.strip(b" \t\r\0"), LOOSE_LINE), *readings]
    for text, pattern in readings:
        start = 0
        while (match := pattern.search(text, start)) and not (
            day_of(match["time"]) and len(text) - match.start() > TIME_BYTES
        ):
            start = match.start() + 1
        if match and holds_another_line(text, match.end("bytes_sent")):
            return None
        if match:
            return parsed(text[: match.start()], match)
    return None


def parsed(before: bytes, match: re.Match[bytes]) -> dict[str, bytes | None]:
    """Return the fields of a line of combined."""
    method, space, rest = match["request"].partition(b" ")
    target, second_space, protocol = rest.partition(b" ")
    return {
        "host_part": before.removesuffix(b" "),
        "time": match["time"],
        "method": method,
        "target": target if space else None,
        "path": target.partition(b"?")[0] if space else None,
        "protocol": protocol if second_space else None,
        "status": match["status"],
        "bytes_sent": match["bytes_sent"],
        "referer": match["referer"],
        "user_agent": match["user_agent"],
    }


def others(rules: Rules) -> Sequence[Format]:
    """Return the formats that are tried if the log's own format cannot read a line."""
    if rules.format not in ("auto", "json"):
        return ()
    needed = ["vhost"] * rules.by_host + ["user_agent"] * rules.looks_at_agents
    needed += ["status"] * (rules.statuses is not None)
    return formats_with(frozenset(needed), rules.format == "json")


@lru_cache
def formats_with(needed: frozenset[str], only_wrapped: bool) -> Sequence[Format]:
    """Return the named formats that have the *needed* fields. Some formats of text may be only for wrapped lines."""
    known = [each for each in NAMES.values() if each.parts and all(each.field(kind) for kind in needed)]
    of_text = [way for each in known for way in each.ways]
    return [JSON, *(replace(way, only_wrapped=only_wrapped) for way in of_text)]


def target_of(fields: dict[str, bytes]) -> tuple[bytes, bytes | None, bytes]:
    """Return method, path and query of a line. The path is None if the line has no path."""
    if "request" in fields:
        method, _, rest = fields["request"].partition(b" ")
        target = rest.partition(b" ")[0] if b" " in fields["request"] else None
    else:
        method, target = fields.get("method", b"GET"), fields.get("target")
        if target is None:
            query = fields.get("query", b"")
            return method, fields["path"], query if query.startswith(b"?") else b""
    if target is None:
        return method, None, b""
    path, mark, query = target.partition(b"?")
    return method, path, mark + query


def without_origin(path: bytes) -> tuple[bytes | None, bytes]:
    """Return host and path of a target. The host is None unless the target is absolute."""
    found = re.fullmatch(rb"https?://(?P<host>[^/]*?)(?::\d*)?(?P<path>/.*)?", path, re.DOTALL)
    return (found["host"], found["path"] or b"/") if found else (None, path)


@lru_cache
def cached_verdict(bots: Bots, include: tuple[str, ...], exclude: tuple[str, ...]) -> Callable[[bytes], int]:
    return agent_verdict(Rules(bots=bots, include_agents=include, exclude_agents=exclude))


def judge(
    line: bytes,
    days: Collection[date] | None = None,
    rules: Rules = DEFAULT_RULES,
    log_format: Format = NAMES["combined"],
) -> tuple[str, date | None, bytes | None]:
    """Return the bucket of a line (hit, malformed, or the reason for filtering it), its day and its final path."""
    fields = read_fields(line, log_format, others(rules))
    if fields is None:
        return "malformed", None, None
    if fields == MESSAGE:
        return MESSAGE, None, None
    clock = (log_format if log_format.parts else NAMES["vhost_combined"]).field("time")
    assert clock
    # Named formats have Apache's time.
    day = day_of(fields["time"]) if LOOSE_CLF.fullmatch(fields["time"]) else field_day(clock, fields["time"])
    method, path, query = target_of(fields)
    if log_format.absolute and path is not None:
        origin, path = without_origin(path)
        fields |= {} if origin is None else {"vhost": origin}
    key = path
    if path is not None:
        key = path + query if rules.keep_query else path
        if rules.by_host:
            key = fields.get("vhost", b"-") + b" " + key
    final, path_reason = final_path(rules)(key) if key is not None else (None, None)
    verdict = cached_verdict(rules.bots, rules.include_agents, rules.exclude_agents)(fields.get("user_agent", b"-"))
    if method.decode("latin-1") not in rules.methods:
        return "method", day, final
    if not (path or b"").startswith((b"/", b"http://", b"https://")):
        return "target", day, final
    if rules.statuses is not None and not (len(fields["status"]) == 3 and int(fields["status"]) in rules.statuses):
        return "status", day, final
    if days is not None and day not in days:
        return "day", day, final
    if verdict:
        return {FILTERED: "agent", BOT: "bot"}[verdict], day, final
    return path_reason or "hit", day, final


def hits(data: bytes, days: Collection[date] | None = None) -> Iterator[tuple[date, bytes]]:
    """Yield day and path of each hit in *data*."""
    for line in split_lines(data):
        bucket, day, path = judge(line, days)
        if bucket == "hit":
            yield day, path


def count(
    data: bytes,
    days: Collection[date] | None = None,
    rules: Rules = DEFAULT_RULES,
    log_format: Format = NAMES["combined"],
) -> Counts:
    """Count *data* as a whole log."""
    judged = [judge(line, days, rules, log_format) for line in split_lines(data)]
    buckets = Counter(bucket for bucket, _, _ in judged)
    views = Counter((day, path) for bucket, day, path in judged if bucket == "hit")
    reasons = Counter({reason: lines for reason, lines in buckets.items() if reason not in ("hit", "malformed")})
    return Counts(views, buckets.total(), buckets["hit"], reasons, buckets["malformed"])
