"""The slow oracle: what one line holds and what a log counts to, by regular expressions and a Counter."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date
from typing import NamedTuple

LINE_BYTES = 1 << 20
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

QUOTED = rb'(?:[^"\\]|\\.)*+'  # up to the first quote that no backslash escapes
LINE = re.compile(
    rb"\[(?P<time>\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rb'"(?P<request>%b)" (?P<status>\d{3}) (?P<bytes_sent>\d+|-)(?= |\Z)'
    rb'(?: "(?P<referer>%b)"(?: "(?P<user_agent>%b)")?)?' % (QUOTED, QUOTED, QUOTED),
    re.DOTALL,
)


class Counts(NamedTuple):
    """What a log counts to."""

    views: Counter[tuple[date, bytes]]
    lines: int
    hits: int
    filtered: Counter[str]
    malformed: int


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of *data*, the last one with or without a newline."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def trim(line: bytes) -> bytes:
    """Return what is looked at of a line."""
    return line.removesuffix(b"\n").removesuffix(b"\r")[:LINE_BYTES]


def day_of(time: bytes) -> date | None:
    """Return the day that a time is of, or None if the calendar has none such."""
    day, month, year = time[:2], time[3:6], time[7:11]
    try:
        return date(int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None


def parse(line: bytes) -> dict[str, bytes | None] | None:
    """Return the fields of a line by the names of ParsedLine, or None for a malformed one."""
    line = trim(line)
    start = 0
    while (match := LINE.search(line, start)) and not day_of(match["time"]):
        start = match.start() + 1
    if not match:
        return None
    method, space, rest = match["request"].partition(b" ")
    target, second_space, protocol = rest.partition(b" ")
    return {
        "host_part": line[: match.start()].removesuffix(b" "),
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


def judge(line: bytes, days: Collection[date] | None = None) -> tuple[str, date | None, bytes | None]:
    """Return the bucket of a line (hit, method, target, day, malformed), its day and its path."""
    fields = parse(line)
    if fields is None:
        return "malformed", None, None
    day = day_of(fields["time"])
    if fields["method"] != b"GET":
        return "method", day, fields["path"]
    if not (fields["target"] or b"").startswith((b"/", b"http://", b"https://")):
        return "target", day, fields["path"]
    if days is not None and day not in days:
        return "day", day, fields["path"]
    return "hit", day, fields["path"]


def hits(data: bytes, days: Collection[date] | None = None) -> Iterator[tuple[date, bytes]]:
    """Yield day and path of each hit in *data*."""
    for line in split_lines(data):
        bucket, day, path = judge(line, days)
        if bucket == "hit":
            yield day, path


def count(data: bytes, days: Collection[date] | None = None) -> Counts:
    """Count *data* as a whole log."""
    buckets = Counter(judge(line, days)[0] for line in split_lines(data))
    views = Counter(hits(data, days))
    reasons = Counter({reason: buckets[reason] for reason in ("method", "target", "day") if buckets[reason]})
    return Counts(views, buckets.total(), buckets["hit"], reasons, buckets["malformed"])
