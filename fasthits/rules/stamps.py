"""The timestamps of log lines: when each request began, in the time zone of the web server."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from fasthits._parse import LineRules, parse_line
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.formats import Format
from fasthits.rules.named import NAMES

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_APACHE = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_PARTS = {"epoch": 1, "epoch_ms": 10**3, "epoch_us": 10**6}
"""How many of these units are in a second."""


def detect_format(lines: Iterable[bytes], compiled: CompiledRules) -> Format:
    """Return the format of *lines*; ASSUMED if detection fails."""
    return compiled.detect(b"\n".join(lines), ended=True) or ASSUMED


def stamps(lines: Iterable[bytes], log_format: Format, compiled: CompiledRules) -> Iterator[datetime]:
    """Yield the time of each line that has a valid time. A time without a zone gets this machine's zone."""
    if not log_format.parts:
        from fasthits.rules.jsonlines import combined_lines  # most logs do not need it

        lines, log_format = map(combined_lines(compiled.rules.json_fields), lines), NAMES["vhost_combined"]
    field = log_format.field("time")
    if not field or not field.time_format:
        return
    rules = LineRules(**log_format.reading())  # type: ignore[arg-type]  # it is made for this
    for line in lines:
        parsed = parse_line(line, rules)
        if parsed:
            with suppress(ValueError, OverflowError, OSError):  # an invalid date
                stamp = _read_time(parsed.time, field.time_format)
                yield stamp if stamp.tzinfo else stamp.astimezone()


def _read_time(text: bytes, time_format: str) -> datetime:
    """Return the time in *text*. Raises ValueError, OverflowError or OSError for an invalid time."""
    if time_format == "apache":
        stamp = _apache_time(text)
        if not stamp:
            raise ValueError("not a time as Apache writes it")
        return stamp
    decoded = text.decode("ascii")
    if time_format.startswith("epoch"):
        return datetime.fromtimestamp(float(decoded) / _PARTS[time_format])
    if time_format == "iso8601":
        return datetime.fromisoformat(decoded)
    return datetime.strptime(decoded, time_format.replace("%e", "%d"))  # %d also takes a space for a zero


def _apache_time(text: bytes) -> datetime | None:
    # strptime does the same but takes 5 ms to import.
    found = _APACHE.fullmatch(text)
    if not found or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = map(int, found.group(1, 3, 4, 5, 6))
    offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        zone = timezone(-offset if found[7] == b"-" else offset)
        return datetime(year, _MONTHS[found[2]], day, hour, minute, min(second, 59), tzinfo=zone)  # 60: a leap second
    except ValueError:
        return None
