"""The directives of Apache's LogFormat, the variables of nginx's log_format and the operators of Envoy's access log:
which field of a line each means.

Directives are those of httpd 2.4 (mod_log_config.c, log_pre_config and parse_log_item; mod_logio.c; mod_ssl.c) and of
Tomcat's AccessLogValve; variables those of nginx's core and of its HTTP modules, all others being skipped; operators
those of Envoy's documentation (Access Logging, Command Operators).
"""

import re
import typing
from collections.abc import Iterator
from functools import lru_cache

from fasthits.errors import UsageError
from fasthits.records import Record

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
"""``target`` is the path with its query, as sent. ``path`` has no query. ``query`` is empty or begins with ``?``."""


class Literal(Record):
    """Bytes that are the same in every line."""

    text: bytes


class Field(Record, uncompared=("directive", "column")):
    """Bytes that differ from line to line. Two fields are equal if the core reads them in the same way."""

    kind: Kind
    directive: str
    column: int
    """Where the directive begins in the format, from 1."""
    quoted: bool = False
    """Whether quotes enclose it. It then ends at the first quote without a backslash before it."""
    bracketed: bool = False
    time_format: str | None = None
    """``apache`` (dd/Mon/yyyy:HH:MM:SS +hhmm), ``iso8601``, ``epoch`` (seconds, perhaps with a fraction), ``epoch_ms``,
    ``epoch_us``, or a strftime pattern in which every field has a fixed width."""
    width: int | None = None
    """In bytes, if fixed."""


class DateLayout(typing.NamedTuple):
    """Where the date is in a time of fixed width."""

    year: int
    year_digits: int
    """4, or 2 for the years 1969 to 2068."""
    month: int | None
    """None if the day is the day of the year."""
    month_named: bool
    """Whether it is three letters (Jan) instead of two digits."""
    day: int
    day_digits: int
    """2 (the first may be a space), or 3 for the day of the year."""
    hour: int | None
    """None if the time has no hour of two digits from 00 to 23."""


_APACHE: dict[str, Kind] = {
    **dict.fromkeys(["^ti", "^to", "^FB", "^FU", *"acACDeFfhiIklLnoPRSTuxX"], "skip"),
    **dict.fromkeys("bBO", "bytes"),
    **dict.fromkeys("vV", "vhost"),
    **{"t": "time", "r": "request", "m": "method", "U": "path", "q": "query", "H": "protocol", "s": "status"},
    "p": "port",
}
_APACHE_DIRECTIVE = re.compile(r"%(?P<options>(?:[!<>,\d]|\{(?P<argument>[^}]*)\})*)(?P<name>\^..|.)?", re.DOTALL)
_HEADERS: dict[str, Kind] = {"referer": "referer", "user-agent": "user_agent"}
_APACHE_EPOCHS = {"sec": "epoch", "%s": "epoch", "msec": "epoch_ms", "usec": "epoch_us"}
_APACHE_FRACTIONS = {"msec_frac": 3, "usec_frac": 6}

_NGINX: dict[str, Kind] = {
    **{"request": "request", "request_method": "method", "request_uri": "target", "server_protocol": "protocol"},
    **dict.fromkeys(("uri", "document_uri"), "path"),
    **dict.fromkeys(("time_local", "time_iso8601", "msec"), "time"),
    **{"is_args": "query", "status": "status", "body_bytes_sent": "bytes", "bytes_sent": "bytes"},
    **{"http_referer": "referer", "http_user_agent": "user_agent", "server_port": "port"},
    **dict.fromkeys(("host", "server_name"), "vhost"),
}
_NGINX_ALIKE = ("date_local", "document_root", "request_id")
"""Variables of nginx whose names resemble a variable that counting needs, but are no misspellings of it."""
_NGINX_VARIABLE = r"(?a)\$(?:(\w+)|\{(\w+)\})?"
_NGINX_TIMES = {"time_local": "apache", "time_iso8601": "iso8601", "msec": "epoch"}

_ENVOY = r"%(?:START_TIME|REQ\()"
_ENVOY_OPERATOR = r"%(?:(?P<name>[A-Z][A-Z0-9_]*)(?:\((?P<argument>[^)]*)\))?(?::\d+)?%|%)?"
_ENVOY_KINDS: dict[str, Kind] = {
    **{"PROTOCOL": "protocol", "RESPONSE_CODE": "status", "BYTES_SENT": "bytes"},
    **{"REQ(:METHOD)": "method", "REQ(:PATH)": "target", "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": "target"},
    **{"REQ(:AUTHORITY)": "vhost", "REQ(REFERER)": "referer", "REQ(USER-AGENT)": "user_agent"},
}

_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}


_APACHE_TIME = "%d/%b/%Y:%H:%M:%S %z"
# As strftime expands them in the locale C, which is Apache's unless its environment says otherwise.
_COMPOSITES = {
    **{"T": "%H:%M:%S", "X": "%H:%M:%S", "R": "%H:%M", "r": "%I:%M:%S %p", "F": "%Y-%m-%d", "h": "%b"},
    **{"D": "%m/%d/%y", "x": "%m/%d/%y", "c": "%a %b %e %H:%M:%S %Y", "n": "\n", "t": "\t"},
}
_WIDTHS = {"Y": 4, "G": 4, "b": 3, "a": 3, "j": 3, "L": 3, "f": 6, "z": 5, "u": 1, "w": 1, "%": 1} | dict.fromkeys(
    "CdegHIklmMpSUVWy", 2
)


_JAVA = {
    **{"yyyy": "%Y", "yy": "%y", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"},
    **{"SSS": "%L", "Z": "%z", "EEE": "%a"},
}
"""The fields of Java's SimpleDateFormat that have a fixed width. %L means milliseconds, %f microseconds."""


def scan_apache(text: str) -> list[Literal | Field]:
    """Return the literals and fields of a LogFormat. Raises UsageError for an unknown or unfinished directive."""
    found: list[Literal | Field] = []
    for piece in _pieces(text, "%", _APACHE_DIRECTIVE):
        found += [piece] if isinstance(piece, Literal) else _apache_fields(piece)
        if len(found) > 2 and _is_fraction(*found[-3:]):  # the seconds are read with it
            del found[-2:]
    return found


def _is_fraction(seconds: Literal | Field, point: Literal | Field, fraction: Literal | Field) -> bool:
    return (
        isinstance(seconds, Field)
        and seconds.time_format == "epoch"
        and point == Literal(b".")
        and isinstance(fraction, Field)
        and fraction.directive.endswith("_frac}t")
    )


def _apache_fields(found: re.Match[str]) -> Iterator[Literal | Field]:
    directive, column = found[0], found.start() + 1
    name, argument = found["name"], found["argument"]
    if name is None or name == "{":
        hint = "write %% for a percent sign"
        raise UsageError(f"unfinished directive in column {column} of the log format", found.string, hint)
    if directive == "%%":
        yield Literal(b"%")
    elif name not in _APACHE:
        raise UsageError(
            f"unknown directive %{name} in column {column} of the log format",
            found.string,
            f"write %{{{name}}}n for text that fasthits skips",
        )
    elif name == "t":
        yield from _apache_time(argument, directive, column)
    else:
        kind = _HEADERS.get((argument or "").lower(), _APACHE[name]) if name == "i" else _APACHE[name]
        # Tomcat has attributes of the request as %{...}r, and of the session as %{...}s.
        if (name == "p" and argument == "remote") or (name in "rs" and argument):
            kind = "skip"
        # With a list of statuses, as in %200b, Apache writes "-" for other statuses.
        if re.search(r"\d", re.sub(r"\{.*?\}", "", found["options"])) and kind not in ("referer", "user_agent"):
            kind = "skip"
        yield Field(kind, directive, column)


def _apache_time(argument: str | None, directive: str, column: int) -> Iterator[Literal | Field]:
    # "end:" means the time at which the request ended.
    pattern = re.sub(r"^(?:begin|end):?", "", argument or "", count=1)
    if not pattern:
        yield from (Literal(b"["), _time_field(directive, column, "apache"), Literal(b"]"))
    elif pattern in _APACHE_FRACTIONS:
        yield Field("skip", directive, column, width=_APACHE_FRACTIONS[pattern])
    else:
        yield _time_field(directive, column, _APACHE_EPOCHS.get(pattern) or _expand(_from_java(pattern)))


def _from_java(pattern: str) -> str:
    """Return a pattern of Tomcat's, as in ``%{dd/MMM/yyyy:HH:mm:ss Z}t``, as strftime has it; others as they are.

    >>> _from_java("yyyy-MM-dd'T'HH:mm:ss.SSS")
    '%Y-%m-%dT%H:%M:%S.%L'
    """
    if "%" in pattern or "yy" not in pattern:
        return pattern

    def item(found: re.Match[str]) -> str:
        text = found[0]
        return text.strip("'") if text[0] == "'" else _JAVA.get(text, f"%{text}")  # the field has no fixed width

    return re.sub(r"'[^']*'|([A-Za-z])\1*", item, pattern)


def scan_nginx(text: str, of_user: bool = True) -> Iterator[Literal | Field]:
    """Yield the literals and fields of a log_format string; a variable that counting does not need is skipped.

    Raises UsageError for an unfinished variable, and in a string *of_user* for a variable that nearly has the name of a
    variable to count by.
    """
    for piece in _pieces(text, "$", re.compile(_NGINX_VARIABLE)):
        yield piece if isinstance(piece, Literal) else _nginx_field(piece, of_user)


def _nginx_field(found: re.Match[str], of_user: bool) -> Field:
    name, column = found[1] or found[2], found.start() + 1
    if name is None:
        hint = "nginx itself cannot write a dollar sign"
        raise UsageError(f"unfinished variable in column {column} of the log format", found.string, hint)
    if name in _NGINX_TIMES:
        return _time_field(f"${name}", column, _NGINX_TIMES[name])
    if of_user and name not in (*_NGINX, *_NGINX_ALIKE) and (near := _near(name)):
        hint = f"did you mean ${near}? For your own variable write $http_own, which fasthits skips"
        raise UsageError(f"unknown variable ${name} in column {column} of the log format", found.string, hint)
    return Field(_NGINX.get(name, "skip"), f"${name}", column)


def _near(name: str) -> str | None:
    """Return the variable to count by that *name* probably means."""
    from difflib import get_close_matches

    return next((near for near in get_close_matches(name, _NGINX, 1, 0.8) if abs(len(name) - len(near)) <= 2), None)


def is_envoy(text: str) -> bool:
    """Tell whether a format string is one of Envoy's."""
    return re.search(_ENVOY, text) is not None


def scan_envoy(text: str) -> Iterator[Literal | Field]:
    """Yield the literals and fields of a format string of Envoy's. Raises UsageError for an unfinished operator."""
    for piece in _pieces(text, "%", re.compile(_ENVOY_OPERATOR)):
        yield piece if isinstance(piece, Literal) else _envoy_field(piece)


def _envoy_field(found: re.Match[str]) -> Literal | Field:
    name, operator, column = found["name"], found[0], found.start() + 1
    if operator == "%%":
        return Literal(b"%")
    if name is None:
        hint = "an operator ends with a percent sign: %PROTOCOL%"
        raise UsageError(f"unfinished operator in column {column} of the log format", found.string, hint)
    if name == "START_TIME":
        return _time_field(operator, column, _envoy_time(found["argument"]))
    key = f"{name}({found['argument'].upper()})" if found["argument"] else name
    return Field(_ENVOY_KINDS.get(key, "skip"), operator, column)


def _envoy_time(argument: str | None) -> str | None:
    if not argument:
        return "iso8601"
    pattern = re.sub(r"%([36])f", lambda digits: {"3": "%L", "6": "%f"}[digits[1]], argument)
    if pattern.startswith("%s"):
        return "epoch" if pattern in ("%s", "%s.%L", "%s.%f") else None
    return _expand(pattern)


def _pieces(text: str, sign: str, pattern: re.Pattern[str]) -> Iterator[Literal | re.Match[str]]:
    """Yield the literals of a format string, and at each *sign* the match of *pattern*, which matches a sign at least.

    Backslashes in literals mean the same in both servers. Raises UsageError for a line break.
    """
    at = 0
    while at < len(text):
        if text[at] == sign:
            found = pattern.match(text, at)
            assert found
            yield found
            at = found.end()
            continue
        end = text.find(sign, at) if sign in text[at:] else len(text)
        literal = re.sub(r"""\\([\\"'nrt])""", lambda escape: _ESCAPES[escape[1]], text[at:end])
        if "\n" in literal:
            hint = "paste one directive only, or its string in one line"
            raise UsageError(f"line break after column {at + 1} of the log format", text, hint)
        yield Literal(literal.encode("utf-8", "surrogateescape"))
        at = end


def _expand(pattern: str) -> str | None:
    """Return *pattern* with composite fields replaced by single ones; None if a field has no fixed width.

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


@lru_cache
def date_layout(time_format: str) -> DateLayout | None:
    """Return where the date is in a time of this format; None for a format without a whole date, and for an epoch.

    >>> date_layout("iso8601")
    DateLayout(year=0, year_digits=4, month=5, month_named=False, day=8, day_digits=2, hour=11)
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
        return DateLayout(places[year], _WIDTHS[year], places[month], month == "b", places[day], 2, places.get("H"))
    if year and "j" in places:
        return DateLayout(places[year], _WIDTHS[year], None, False, places["j"], 3, places.get("H"))
    return None
