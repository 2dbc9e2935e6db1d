"""The parameters of requests: their meaning, and how the server reads and checks them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request

from fasthits.daily.days import parse_day
from fasthits.daily.past.documents import DEFAULT_DAYS, Days, Pages, Part
from fasthits.daily.past.history import Sort
from fasthits.errors import UsageError
from fasthits.live.keys import PATH_STARTS

MAX_DAYS = 3660
ALL_DAYS = 36_525
"""The meaning of ``days=all``: more days than any database holds."""
MAX_LIMIT = 100
MAX_OFFSET = 10_000_000
MAX_TEXT = 8192
MAX_LABEL = 40
MAX_HOST = 255

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
DAY: Schema = {"type": "string", "format": "date"}
SWITCH: Schema = {"type": "string", "enum": ["0", "1"], "default": "0"}
SORTS = ("views", "rise")


@dataclass(frozen=True)
class Query:
    """The parameters of a request. A field is None, or its default, if the request lacks the parameter."""

    path: str | None = None
    prefix: str | None = None
    host: str | None = None
    q: str = ""
    label: str = "views"
    day: date | None = None
    first: date | None = None
    last: date | None = None
    days: int | None = None
    limit: int = 20
    offset: int = 0
    sort: Sort = "views"
    pages: bool = False
    by_day: bool = False

    @property
    def asked_days(self) -> Days:
        """The days that the request asks for."""
        return Days(self.days or DEFAULT_DAYS, self.first, self.last)

    @property
    def asked_pages(self) -> Pages:
        """The paths that the request asks for."""
        return Pages(self.path, self.prefix, self.host, self.pages)

    @property
    def part(self) -> Part:
        """The rows that the request asks for."""
        return Part(self.limit, self.offset)


class Parameter(NamedTuple):
    """A parameter: what it means, its JSON schema, and the function that reads it (ValueError: not valid)."""

    text: str
    schema: Schema
    read: Callable[[str], object]
    hint: str


def read(request: Request, names: Collection[str], required: Collection[str] = ()) -> Query:
    """Return the parameters of a request that may have *names* and must have those in *required*.

    Raises UsageError for an unknown parameter, a repeated or invalid parameter, and a contradiction.
    """
    values: dict[str, Any] = {}
    for name, text in _pairs_in(request.scope["query_string"].decode("latin-1")):
        if name not in names:
            allowed = f"this address takes {', '.join(names)}" if names else "this address takes none"
            raise UsageError("unknown parameter", ascii(name[:80]), allowed)
        field = _FIELDS.get(name, name)
        if field in values:
            raise UsageError("parameter given twice", name, "give it once")
        parameter = PARAMETERS[name]
        try:
            values[field] = parameter.read(text)
        except (ValueError, UsageError) as error:
            raise UsageError("invalid parameter", f"{name}={text[:80]!a}", parameter.hint) from error
    for name in required:
        if name not in values:
            raise UsageError("parameter missing", name, PARAMETERS[name].hint)
    query = Query(**values)
    _check(query)
    return query


def _pairs_in(query_string: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:  # the path /caf%E9 of a log, not encoded: nobody has read /caf\ufffd
        hint = "encode a % of a path as %25: path=/caf%25E9"
        raise UsageError("not UTF-8", ascii(query_string[:80]), hint) from error


def _check(query: Query) -> None:
    if (query.first is None) != (query.last is None):
        raise UsageError("from and to go together", "from, to", "from=2026-03-01&to=2026-03-31")
    if query.first and query.last:
        if query.days is not None:
            raise UsageError("choose one of these parameters", "days, from and to")
        if not 0 <= (query.last - query.first).days < MAX_DAYS:
            raise UsageError("not a range", f"{query.first} to {query.last}", f"1 to {MAX_DAYS} days, in order")
    if query.path is not None and query.prefix is not None:
        raise UsageError("choose one of these parameters", "path, prefix")


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ValueError
        return int(text)

    return read


def _days(text: str) -> int:
    return ALL_DAYS if text == "all" else _number(1, MAX_DAYS)(text)


def _numbers(text: str, least: int, most: int, default: int | None = None) -> Parameter:
    schema: Schema = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Parameter(text, schema, _number(least, most), f"{least} to {most}")


def _text(most: int, starts: tuple[str, ...] = ("",)) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not text or len(text) > most or not text.startswith(starts) or "\0" in text:  # PostgreSQL refuses NUL
            raise ValueError
        return text

    return read


def _prefix(text: str) -> str:
    if not text.endswith("/"):
        raise ValueError
    return _text(MAX_TEXT, PATH_STARTS)(text)


def _label(text: str) -> str:
    if not text or len(text) > MAX_LABEL or not text.isprintable():
        raise ValueError
    return text


def _choice(choices: Mapping[str, object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        if text not in choices:
            raise ValueError
        return choices[text]

    return read


def _day(text: str) -> date:
    return parse_day(text if text[:1].isdigit() else "", date.min)  # no words such as today for programs


def _switch(text: str) -> Parameter:
    return Parameter(text, SWITCH, _choice({"0": False, "1": True}), "0 or 1")


_FIELDS = {"from": "first", "to": "last"}
"""The field of `Query` for a parameter of another name."""

PATH: Schema = {"type": "string", "pattern": "^(/|https?://|#)", "maxLength": MAX_TEXT}

PARAMETERS: Mapping[str, Parameter] = {
    "path": Parameter(
        "Path as in the log; or, as in /api/top, # and the SHA-256 of a path too long for a key.",
        PATH,
        _text(MAX_TEXT, (*PATH_STARTS, "#")),
        "a path begins with /, such as path=/about.html",
    ),
    "prefix": Parameter(
        "The paths that begin with this, which ends with a slash: /blog/.",
        {"type": "string", "pattern": r"^(/|https?://)([\s\S]*/)?$", "maxLength": MAX_TEXT},
        _prefix,
        "the beginning of paths up to a slash, such as prefix=/blog/",
    ),
    "host": Parameter(
        "Views of this host only, if the rollup keeps hosts apart.",
        {**TEXT, "minLength": 1, "maxLength": MAX_HOST},
        _text(MAX_HOST),
        "the name of a host, such as host=www.example.org",
    ),
    "q": Parameter(
        "Part of a path, in upper or lower case.",
        {**TEXT, "minLength": 1, "maxLength": MAX_TEXT},
        _text(MAX_TEXT),
        "part of a path, such as q=blog",
    ),
    "label": Parameter(
        "Text on the left.",
        {**TEXT, "minLength": 1, "maxLength": MAX_LABEL, "default": "views"},
        _label,
        f"1 to {MAX_LABEL} letters",
    ),
    "day": Parameter("A kept day, or today.", DAY, _day, "YYYY-MM-DD"),
    "from": Parameter("First day of the range. Goes with to.", DAY, _day, "YYYY-MM-DD"),
    "to": Parameter("Last day of the range. Goes with from.", DAY, _day, "YYYY-MM-DD"),
    "days": Parameter(
        "Number of days, of which the last is the newest kept day, or all. By default 30.",
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_DAYS}, {"const": "all"}]},
        _days,
        f"1 to {MAX_DAYS}, or all",
    ),
    "limit": _numbers("Rows to return.", 1, MAX_LIMIT, 20),
    "offset": _numbers("Rows to leave out at the beginning.", 0, MAX_OFFSET, 0),
    "sort": Parameter(
        "Order of the rows: by views, or by the rise over the range before.",
        {"type": "string", "enum": list(SORTS), "default": "views"},
        _choice(dict(zip(SORTS, SORTS, strict=True))),
        " or ".join(SORTS),
    ),
    "pages": _switch("1 leaves out files that pages load by themselves, such as images and styles."),
    "by_day": _switch("1 adds the views of each path by day."),
}

assert {_FIELDS.get(name, name) for name in PARAMETERS} == {field.name for field in fields(Query)}
