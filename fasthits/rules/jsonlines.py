"""JSON logs of nginx, Caddy and Traefik (one object a line), converted to lines that the core counts.

Each line becomes one line, so that line numbers stay right: ``vhost:port - - - [time] "METHOD target PROTOCOL" status
bytes "referer" "user agent"``, the format ``vhost_combined``, with Apache's escapes. A line that is no object with a
time and a request stays as it is and counts as malformed.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fasthits._parse import LINE_BYTES, HitTable
from fasthits.errors import UsageError
from fasthits.rules.escapes import escape

KNOWN: dict[str, tuple[str, ...]] = {
    "time": ("time_iso8601", "time_local", "msec", "ts", "StartLocal", "StartUTC", "@timestamp", "timestamp", "time"),
    "request": ("request",),
    "method": ("request_method", "request.method", "RequestMethod", "method"),
    "path": ("request_uri", "request.uri", "RequestPath", "uri", "path"),
    "protocol": ("server_protocol", "request.proto", "RequestProtocol", "protocol"),
    "status": ("status", "DownstreamStatus"),
    "bytes": ("body_bytes_sent", "bytes_sent", "size", "DownstreamContentSize", "bytes"),
    "referer": ("http_referer", "request.headers.Referer", "request_Referer", "referer", "referrer"),
    "user_agent": ("http_user_agent", "request.headers.User-Agent", "request_User-Agent", "user_agent"),
    "vhost": ("server_name", "request.host", "RequestHost", "host", "http_host"),
    "port": ("server_port", "RequestPort"),
}
"""Field names by kind, tried in this order: those of nginx's variables, of Caddy, of Traefik. A dot leads into an
object. Of a list the first item is used."""

_Names = dict[str, list[tuple[str, tuple[str, ...]]]]
_Value = str | int | float | None

_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BRACKET = re.compile(rb'\](?=[ \t]*")')
_ISO = re.compile(
    r"(?P<year>\d{4})[-/](?P<month>0[1-9]|1[0-2])[-/](?P<day>\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d+)?"
    r"(?: ?(?P<zone>Z|[+-]\d\d:?\d\d))?",
    re.ASCII,
)
_CLF = re.compile(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", re.ASCII)
_NUMBER = re.compile(r"\d{1,20}(?:\.\d*)?", re.ASCII)


def combined_lines(json_fields: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """Return the function that turns a block of whole lines into as many lines of the format ``vhost_combined``.

    *json_fields* gives field names by kind, which replace the known names. With a name for the path or the method,
    these are read and no request line. A time without a zone stays as written. A time in seconds since 1970 (or milli-,
    micro- or nanoseconds) becomes this machine's local time. A missing status becomes ``000``.

    Raises UsageError when orjson is not installed.
    """
    try:
        from orjson import loads
    except ImportError as error:
        raise UsageError("JSON logs need a package", "orjson", "pip install 'fasthits[json]'") from error
    names = _names(json_fields)

    def convert(line: bytes) -> bytes:
        line = line[:LINE_BYTES]
        encoding = "utf-8"
        try:
            try:
                found = loads(line)
            except ValueError:
                # nginx copies a client's bytes into its JSON even if they are not UTF-8.
                found = loads(line.decode("latin-1"))
                encoding = "latin-1"
            combined = _combined(found, names, encoding)
        except ValueError:
            combined = None
        # Without a bracket before a quote the core finds no time, so the line is malformed, whatever it holds.
        return combined or _BRACKET.sub(b"].", line)

    return lambda block: b"\n".join(map(convert, block.split(b"\n")))


class JsonLines:
    """Converts blocks of a JSON log for a hit table that reads ``vhost_combined``."""

    def __init__(self, hit_table: HitTable, json_fields: Mapping[str, str]) -> None:
        self._hit_table = hit_table
        self._convert = combined_lines(json_fields)
        self._tail = b""

    def feed(self, block: bytes | memoryview) -> None:
        """Count the lines of *block*, which may begin and end anywhere in a line."""
        whole, newline, tail = bytes(block).rpartition(b"\n")
        if newline:
            whole, self._tail = self._tail + whole, b""
            self._hit_table.feed(self._convert(whole) + newline)
        self._tail = (self._tail + tail)[:LINE_BYTES]

    def finish(self) -> None:
        """Count a last line without a newline: the input ends here."""
        line, self._tail = self._tail, b""
        if line:
            self._hit_table.feed(self._convert(line))
        self._hit_table.finish()


def _names(json_fields: Mapping[str, str]) -> _Names:
    names: _Names = {}
    for kind, known in KNOWN.items():
        if kind in json_fields:
            name = json_fields[kind]
            names[kind] = [(name, ()), _into(name)]
        else:
            names[kind] = [_into(name) for name in known]
    if json_fields.keys() & {"method", "path"} and "request" not in json_fields:
        names["request"] = []
    return names


def _into(name: str) -> tuple[str, tuple[str, ...]]:
    first, *rest = name.split(".")
    return first, tuple(rest)


def _combined(found: Any, names: _Names, encoding: str) -> bytes | None:
    """Return the line of an object; None if it has no time or no request. Raises ValueError for an invalid time."""
    if not isinstance(found, dict):
        return None

    def text(kind: str, absent: bytes = b"-") -> bytes:
        value = _value(found, names[kind])
        return absent if value is None or value == "" else escape(str(value).encode(encoding, "replace"))

    when = _value(found, names["time"])
    request = text("request", b"")
    if not request:
        method, target = text("method", b""), text("path", b"")
        request = b" ".join(part.replace(b" ", b"%20") for part in (method, target, text("protocol")))
        if not method or not target:
            return None
    if when is None:
        return None
    vhost, colon, port = text("vhost").rpartition(b":")
    if not (colon and port.isdigit()):
        vhost, port = vhost + colon + port, text("port", b"0")
    status, size = text("status"), text("bytes")
    return b'%b:%b - - - [%b] "%b" %b %b "%b" "%b"' % (
        vhost.replace(b" ", b"\\x20").replace(b":", b"\\x3a"),
        port if port.isdigit() else b"0",
        _write_time(when).encode(),
        request,
        status.zfill(3) if status.isdigit() else b"000",
        size if size.isdigit() else b"-",
        text("referer"),
        text("user_agent"),
    )


def _value(found: dict[str, Any], names: list[tuple[str, tuple[str, ...]]]) -> _Value:
    for name, inner in names:
        value: Any = found.get(name)
        for part in inner:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, str | int | float):
            return value
    return None


def _write_time(when: str | int | float) -> str:
    """Return a time as Apache writes it. Raises ValueError for an invalid time."""
    if isinstance(when, str):
        if iso := _ISO.fullmatch(when):
            zone = (iso["zone"] or "Z").replace("Z", "+0000").replace(":", "")
            return f"{iso['day']}/{_MONTHS[int(iso['month'])]}/{iso['year']}:{iso['clock']} {zone}"
        if _CLF.fullmatch(when):
            return when
        if not _NUMBER.fullmatch(when):
            raise ValueError(when)
        when = float(when)
    for _ in range(3):
        if when > 1e11:  # in seconds the year 5138, in milliseconds 1973
            when /= 1000
    return _write_seconds(int(when))


@lru_cache(1024)
def _write_seconds(seconds: int) -> str:
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError) as error:
        raise ValueError(seconds) from error
    sign, minutes = "-" if local.tm_gmtoff < 0 else "+", abs(local.tm_gmtoff) // 60
    clock = f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {sign}{minutes // 60:02}{minutes % 60:02}"
    return f"{local.tm_mday:02}/{_MONTHS[local.tm_mon]}/{local.tm_year:04}:{clock}"
