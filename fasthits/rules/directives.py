"""The directives of Apache's LogFormat and the variables of nginx's log_format: which field of a line each one is.

Directives are those of httpd 2.4 (mod_log_config.c, log_pre_config and parse_log_item; mod_logio.c; mod_ssl.c),
variables those of nginx's core and of its HTTP modules.
"""

import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from fasthits.errors import UsageError

Kind = typing.Literal[
    "skip",
    "time",
    "request",
    "method",
    "target",
    "path",
    "query",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
    "vhost",
    "port",
]
"""``target`` is the path with its query as it was sent, ``path`` has none, ``query`` is empty or begins with ``?``."""


@dataclass(frozen=True)
class Literal:
    """Bytes that stand in every line."""

    text: bytes


@dataclass(frozen=True)
class Field:
    """Bytes that differ from line to line; two are equal when they are read alike."""

    kind: Kind
    directive: str = field(compare=False)
    column: int = field(compare=False)
    """Of the directive in the format, from 1."""
    quoted: bool = False
    """Between quotes: it ends at the first quote that no backslash escapes."""
    bracketed: bool = False
    time_format: str | None = None
    """``apache`` (dd/Mon/yyyy:HH:MM:SS +hhmm), ``iso8601``, ``epoch`` (seconds, perhaps with a fraction), ``epoch_ms``,
    ``epoch_us``, or a pattern of strftime in which every field has a fixed width."""
    width: int | None = None
    """In bytes, where it is fixed."""


@dataclass(frozen=True)
class DateLayout:
    """Where the date stands in a time of fixed width."""

    year: int
    year_digits: int
    """4, or 2 for 1969 to 2068."""
    month: int | None
    """None where the day is that of the year."""
    month_named: bool
    """Three letters (Jan) and not two digits."""
    day: int
    day_digits: int
    """2, the first of which may be a space, or 3 for the day of the year."""


_APACHE: dict[str, Kind] = {
    **dict.fromkeys(["^ti", "^to", "^FB", *"acACDefhiIklLnoPRSTuxX"], "skip"),
    **dict.fromkeys("bBO", "bytes"),
    **dict.fromkeys("vV", "vhost"),
    **{"t": "time", "r": "request", "m": "method", "U": "path", "q": "query", "H": "protocol", "s": "status"},
    "p": "port",
}
_APACHE_DIRECTIVE = re.compile(r"%(?P<options>(?:[!<>,\d]|\{(?P<argument>[^}]*)\})*)(?P<name>\^..|.)?", re.DOTALL)
_HEADERS: dict[str, Kind] = {"referer": "referer", "user-agent": "user_agent"}
_APACHE_EPOCHS = {"sec": "epoch", "msec": "epoch_ms", "usec": "epoch_us"}
_APACHE_FRACTIONS = {"msec_frac": 3, "usec_frac": 6}

_NGINX: dict[str, Kind] = {
    **{"request": "request", "request_method": "method", "request_uri": "target", "server_protocol": "protocol"},
    **dict.fromkeys(("uri", "document_uri"), "path"),
    **dict.fromkeys(("time_local", "time_iso8601", "msec"), "time"),
    **{"is_args": "query", "status": "status", "body_bytes_sent": "bytes", "bytes_sent": "bytes"},
    **{"http_referer": "referer", "http_user_agent": "user_agent", "server_port": "port"},
    **dict.fromkeys(("host", "server_name"), "vhost"),
}
_NGINX_SKIPPED = re.compile(
    r"""
    args | query_string | ancient_browser | binary_remote_addr | connection | connection_requests |
    connection_time | connections_active | content_length | content_type | date_gmt | date_local | document_root
    | gzip_ratio | hostname | http2 | http3 | https | invalid_referer | limit_conn_status | limit_rate |
    limit_req_status | memcached_key | modern_browser | msie | nginx_version | pid | pipe |
    proxy_add_x_forwarded_for | proxy_host | proxy_port | proxy_protocol_addr | proxy_protocol_port |
    proxy_protocol_server_addr | proxy_protocol_server_port | quic | realip_remote_addr | realip_remote_port |
    realpath_root | remote_addr | remote_port | remote_user | request_body | request_body_file |
    request_completion | request_filename | request_id | request_length | request_time | scheme | secure_link |
    secure_link_expires | server_addr | session_time | slice_range | spdy | uid_got | uid_reset | uid_set |
    userid
    | (?:http|sent_http|sent_trailer|trailer|cookie|arg|upstream|ssl|geoip2?|tcpinfo|jwt|proxy_protocol_tlv)_\w+
    """,
    re.VERBOSE,
)
_NGINX_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_NGINX_TIMES = {"time_local": "apache", "time_iso8601": "iso8601", "msec": "epoch"}

_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}


_APACHE_TIME = "%d/%b/%Y:%H:%M:%S %z"
# What strftime makes of these in the locale C, in which Apache runs unless told otherwise.
_COMPOSITES = {
    **{"T": "%H:%M:%S", "X": "%H:%M:%S", "R": "%H:%M", "r": "%I:%M:%S %p", "F": "%Y-%m-%d", "h": "%b"},
    **{"D": "%m/%d/%y", "x": "%m/%d/%y", "c": "%a %b %e %H:%M:%S %Y", "n": "\n", "t": "\t"},
}
_WIDTHS = {"Y": 4, "G": 4, "b": 3, "a": 3, "j": 3, "z": 5, "u": 1, "w": 1, "%": 1} | dict.fromkeys(
    "CdegHIklmMpSUVWy", 2
)


def scan_apache(text: str) -> Iterator[Literal | Field]:
    """Yield the literals and fields of a LogFormat string; raise UsageError at what is none."""
    at = 0
    while at < len(text):
        if text[at] != "%":
            literal, at = _take_literal(text, at, "%")
            yield literal
            continue
        found = _APACHE_DIRECTIVE.match(text, at)
        assert found
        name, argument = found["name"], found["argument"]
        if name is None or name == "{":
            raise UsageError(f"unfinished directive in column {at + 1} of the log format", text)
        if found[0] == "%%":
            yield Literal(b"%")
        elif name not in _APACHE:
            raise UsageError(f"unknown directive %{name} in column {at + 1} of the log format", text)
        elif name == "t":
            yield from _apache_time(argument, found[0], at + 1)
        else:
            kind = _HEADERS.get((argument or "").lower(), _APACHE[name]) if name == "i" else _APACHE[name]
            if name == "p" and argument == "remote":
                kind = "skip"
            # With a list of statuses it is "-" for the others.
            if re.search(r"\d", re.sub(r"\{.*?\}", "", found["options"])) and kind not in ("referer", "user_agent"):
                kind = "skip"
            yield Field(kind, found[0], at + 1)
        at = found.end()


def _apache_time(argument: str | None, directive: str, column: int) -> Iterator[Literal | Field]:
    # "end:" is the time at which the request was done.
    pattern = re.sub(r"^(?:begin|end):?", "", argument or "", count=1)
    if not pattern:
        yield from (Literal(b"["), _time_field(directive, column, "apache"), Literal(b"]"))
    elif pattern in _APACHE_FRACTIONS:
        yield Field("skip", directive, column, width=_APACHE_FRACTIONS[pattern])
    else:
        yield _time_field(directive, column, _APACHE_EPOCHS.get(pattern) or _expand(pattern))


def scan_nginx(text: str) -> Iterator[Literal | Field]:
    """Yield the literals and fields of a log_format string; raise UsageError at what is none."""
    at = 0
    while at < len(text):
        if text[at] != "$":
            literal, at = _take_literal(text, at, "$")
            yield literal
            continue
        found = _NGINX_VARIABLE.match(text, at)
        if not found:
            raise UsageError(f"unfinished variable in column {at + 1} of the log format", text)
        name = found[1] or found[2]
        if name in _NGINX_TIMES:
            yield _time_field(f"${name}", at + 1, _NGINX_TIMES[name])
        elif name in _NGINX or _NGINX_SKIPPED.fullmatch(name):
            yield Field(_NGINX.get(name, "skip"), f"${name}", at + 1)
        else:
            near = get_close_matches(name, _NGINX, 1)
            own = "a variable of your own is skipped when you write $http_own for it"
            hint = f"did you mean ${near[0]}? {own}" if near else own
            raise UsageError(f"unknown variable ${name} in column {at + 1} of the log format", text, hint)
        at = found.end()


def _take_literal(text: str, start: int, stop: str) -> tuple[Literal, int]:
    """Return the literal that begins at *start*, and where it ends; backslashes mean what they do in both servers."""
    end = text.find(stop, start) if stop in text[start:] else len(text)
    literal = re.sub(r"""\\([\\"'nrt])""", lambda escape: _ESCAPES[escape[1]], text[start:end])
    if "\n" in literal:
        raise UsageError(f"line break within a line, behind column {start + 1} of the log format", text)
    return Literal(literal.encode("utf-8", "surrogateescape")), end


def _expand(pattern: str) -> str | None:
    """Return *pattern* with single fields of fixed width in place of composite ones; None where one has no fixed width.

    >>> _expand("%F %T")
    '%Y-%m-%d %H:%M:%S'
    """
    expanded = re.sub(r"%(.)", lambda name: _COMPOSITES.get(name[1], name[0]), pattern)
    names = re.findall(r"%(.?)", expanded)
    if not expanded.isascii() or not all(name in _WIDTHS for name in names):
        return None
    return "apache" if expanded == _APACHE_TIME else expanded


def _time_field(directive: str, column: int, time_format: str | None) -> Field:
    layout = date_layout(time_format) if time_format else None
    if time_format is None or (layout is None and not time_format.startswith("epoch")):
        return Field("skip", directive, column, width=_width(time_format) if time_format else None)
    fixed = layout is not None and time_format != "iso8601"
    return Field("time", directive, column, time_format=time_format, width=_width(time_format) if fixed else None)


def _width(time_format: str) -> int:
    pattern = _APACHE_TIME if time_format == "apache" else time_format
    return sum(_WIDTHS[name[1]] if name[0] == "%" else 1 for name in re.findall(r"%.|[^%]", pattern, re.DOTALL))


def date_layout(time_format: str) -> DateLayout | None:
    """Return where the date stands in a time of this format; None where it has no whole date, or is an epoch.

    >>> date_layout("iso8601")
    DateLayout(year=0, year_digits=4, month=5, month_named=False, day=8, day_digits=2)
    """
    pattern = {"apache": _APACHE_TIME, "iso8601": "%Y-%m-%dT%H:%M:%S"}.get(time_format, time_format)
    at, places = 0, dict[str, int]()
    for name in re.findall(r"%.|[^%]", pattern, re.DOTALL):
        if name[0] == "%":
            places.setdefault(name[1], at)
        at += _WIDTHS[name[1]] if name[0] == "%" else 1
    year = next((name for name in "Yy" if name in places), None)
    month = next((name for name in "mb" if name in places), None)
    day = next((name for name in "de" if name in places), None)
    if year and month and day:
        return DateLayout(places[year], _WIDTHS[year], places[month], month == "b", places[day], 2)
    if year and "j" in places:
        return DateLayout(places[year], _WIDTHS[year], None, False, places["j"], 3)
    return None
