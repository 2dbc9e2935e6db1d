"""The timestamps of log lines: when each request began, in the time zone of the web server."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from fasthits._parse import parse_line
from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import NAMES_COLUMNS
from fasthits.rules.compiled import ASSUMED, CompiledRules

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_APACHE = re.compile(
    rb"(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d+)?"
    rb" ?(?:(?P<utc>Z|UTC|GMT)|[A-Z]{1,5}|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d))?"
)
_ISO = re.compile(rb"(\d{4}[-/]\d\d[-/]\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)? ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_W3C = re.compile(rb'(?:^|[ \t"])(\d{4}-\d\d-\d\d)"?[ \t]"?(\d\d:\d\d:\d\d)')
_PARTS = {"epoch": 1, "epoch_ms": 10**3, "epoch_us": 10**6}
"""How many of these units are in a second."""


def detect_format(lines: Iterable[bytes], compiled: CompiledRules) -> Format:
    """Return the format of *lines*; ASSUMED if detection fails."""
    return compiled.detect(b"\n".join(lines), ended=True) or ASSUMED


def timestamps(lines: Iterable[bytes], log_format: Format, compiled: CompiledRules) -> Iterator[datetime]:
    """Yield the time of each line that has a valid time. A time without a zone gets this machine's zone."""
    for stamp in written_times(lines, log_format, compiled):
        with suppress(ValueError, OverflowError, OSError):  # a year that this machine's zone does not reach
            yield stamp if stamp.tzinfo else stamp.astimezone()


def written_times(lines: Iterable[bytes], log_format: Format, compiled: CompiledRules) -> Iterator[datetime]:
    """Yield the time of each line that has a valid time. A time without a zone stays without."""
    field = log_format.field("time")
    time_format = field.time_format if field else None if log_format.parts else ""
    if time_format is None:
        return
    if time_format == "w3c":
        yield from _w3c_times(lines)
        return
    rules = compiled.field_rules(log_format)
    for line in lines:
        parsed = parse_line(line, rules)
        if parsed:
            with suppress(ValueError, OverflowError, OSError):  # an invalid date
                yield _read_time(parsed.time, time_format)


def _w3c_times(lines: Iterable[bytes]) -> Iterator[datetime]:
    """Yield the first time in each line of W3C's format: the line that names the columns may be far before *lines*."""
    zone: tzinfo | None = UTC
    for line in lines:
        if line.startswith(NAMES_COLUMNS):
            zone = None if b"date-local" in line else UTC
        elif (found := _W3C.search(line)) and not line.startswith(b"#"):
            with suppress(ValueError):  # an invalid date
                yield datetime.fromisoformat(f"{found[1].decode()}T{found[2].decode()}").replace(tzinfo=zone)


def _read_time(text: bytes, time_format: str) -> datetime:
    """Return the time in *text*, which may be in another format than the rest of the log.

    Raises ValueError, OverflowError or OSError for an invalid time.
    """
    if found := _APACHE.fullmatch(text.strip(b"[]")):
        return _apache_time(found)
    if time_format in ("", "apache"):
        return _read_json_time(text)
    decoded = text.decode("ascii")
    if time_format.startswith("epoch"):
        return datetime.fromtimestamp(float(decoded) / _PARTS[time_format]).astimezone()
    if "%" in time_format:
        return datetime.strptime(decoded, time_format.replace("%e", "%d").replace("%L", "%f"))  # it accepts these
    return datetime.fromisoformat(decoded)


def _read_json_time(text: bytes) -> datetime:
    """Return the time of a JSON line, which the core can read. Raises ValueError and the like for an invalid time."""
    text = text.strip(b"[]")
    if found := _ISO.match(text):
        return datetime.fromisoformat(f"{found[1].decode().replace('/', '-')}T{found[2].decode()}{_zone(found[3])}")
    seconds = float(text)
    while seconds >= 1e10:  # thousandths, and so on
        seconds /= 1000
    return datetime.fromtimestamp(seconds).astimezone()


def _zone(text: bytes) -> str:
    """Return a zone as `datetime.fromisoformat` reads it: ``""`` for a time without a zone."""
    return "" if not text else "+00:00" if text in (b"Z", b"UTC", b"GMT") else text.decode()


def _apache_time(found: re.Match[bytes]) -> datetime:
    # strptime does the same but takes 5 ms to import.
    hour, minute, second = map(int, found["clock"].split(b":"))
    zone: tzinfo | None = UTC if found["utc"] else None
    if found["sign"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        zone = timezone(-offset if found["sign"] == b"-" else offset)
    if found["month"] not in _MONTHS:
        raise ValueError("no such month")
    month = _MONTHS[found["month"]]
    return datetime(
        int(found["year"]), month, int(found["day"]), hour, minute, min(second, 59), tzinfo=zone
    )  # 60: leap
