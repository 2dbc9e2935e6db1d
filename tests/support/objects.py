"""The slow oracle of JSON lines: reads the fields of a line by `json.loads`."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fasthits.formats.escapes import escape
from fasthits.formats.jsonlines import KNOWN, MARKS, TRANSPARENT, URLS
from fasthits.formats.named import JSON
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules
from tests.support.reference_lines import day_of

MESSAGE = "message"
"""The result for a line that is not an access."""

_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = re.compile(
    r"(\d{4})([-/])(0[1-9]|1[0-2])\2(\d\d)(?:[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})[A-Za-z0-9 .,:+-]*)?", re.ASCII
)
_CLF = re.compile(r"(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d)[A-Za-z0-9 .,:+-]*", re.ASCII)
_NUMBER = re.compile(r"\d{10,19}(?:\.\d*)?", re.ASCII)
_OBJECT = re.compile(rb"\{\s*[\"}]")


def json_ways(json_fields: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """Return the ways of ``--format json``, for the core."""
    compiled = CompiledRules(Rules(format="json", json_fields=json_fields))
    return [way.reading() for way in compiled.ways(JSON)]


def comparable(name: str) -> str:
    """Return a name in the form in which names are compared."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def _scalars(found: dict[str, object], above: str = "", depth: int = 1) -> Iterator[tuple[str, object]]:
    for key, value in found.items():
        name = above + comparable(key)
        if isinstance(value, dict):
            if depth < 8:
                yield from _scalars(value, "" if name in map(comparable, TRANSPARENT) else f"{name}.", depth + 1)
        elif not isinstance(value, list):
            yield name, value
        elif value and value[0] is not None:
            yield name, value[0]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _value(scalars: dict[str, object], kind: str, names: dict[str, tuple[str, ...]]) -> tuple[str, str] | None:
    for name in names[kind]:
        value = scalars.get(comparable(name))
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            text = value if isinstance(value, str) else json.dumps(value)
            if kind != "time" or write_time(text):
                return name, text
    return None


class _Object(NamedTuple):
    """The fields of an object, by kind."""

    names: dict[str, str]
    texts: dict[str, str]
    asked: bool
    """Whether there is a request, though it may be empty."""


def _read(line: bytes) -> _Object | None:
    start = _OBJECT.search(line)
    try:
        found, end = json.JSONDecoder().raw_decode(line[start.start() :].decode("utf-8", "surrogatepass"))
    except (ValueError, AttributeError, RecursionError):
        return None
    if "{" in line[start.start() :].decode("utf-8", "surrogatepass")[end:]:
        return None
    scalars = dict(_scalars(found))
    names = KNOWN | MARKS
    kinds = {kind: found for kind in names if (found := _value(scalars, kind, names))}
    asked = any(
        name in scalars and isinstance(scalars[name], str | int | float | None) and not isinstance(scalars[name], bool)
        for kind in ("request", "path")
        for name in map(comparable, KNOWN[kind])
    )
    return _Object(
        {kind: name for kind, (name, _) in kinds.items()}, {kind: text for kind, (_, text) in kinds.items()}, asked
    )


def wrapped_line(line: bytes) -> tuple[bytes, str] | None:
    """Return the line in the message of an object without a request, and its time; None if the object wraps no line."""
    found = _read(line)
    if not found or found.asked or not found.texts.get("message"):
        return None
    return _raw(found.texts["message"]).rstrip(b" \t\r\n"), found.texts.get("time", "")


def read_object(line: bytes, when: str = "") -> dict[str, bytes] | str | None:
    """Return the fields of a JSON line, with the time as Apache writes it; MESSAGE; or None for a malformed line.

    Objects within messages are not read. The time of an object without a time is *when*.
    """
    found = _read(line)
    if not found:
        return None
    names, texts, asked = found
    if _is_message(texts, asked):
        return MESSAGE
    if when:
        texts.setdefault("time", when)
    if not asked or "time" not in texts:
        return None
    status = re.match(r"[0-9]{3}(?![0-9])", texts.get("status", ""))
    fields = {"time": write_time(texts["time"]) or b"", "status": status[0].encode() if status else b"000"}
    for kind in ("referer", "user_agent"):
        if kind in texts:
            fields[kind] = escape(_raw(texts[kind])) or b"-"
    return fields | _request(texts, names.get("path", "") in URLS)


def _is_message(texts: dict[str, str], asked: bool) -> bool:
    logger = texts.get("logger", "")
    if "access" in logger or logger.endswith("requests"):
        return False
    if logger.startswith("http.") or logger.endswith(".error"):
        return True
    if not asked and logger.endswith("stderr") and not texts.get("message"):
        return True
    return "level" in texts and bool(texts.get("message")) and (not asked or "status" not in texts)


def _request(texts: dict[str, str], is_url: bool) -> dict[str, bytes]:
    """Return the request line, and the host of an absolute URL in it."""

    def part(kind: str, absent: bytes = b"-") -> bytes:
        return escape(_raw(texts[kind])).replace(b" ", b"%20") or absent if kind in texts else absent

    hosts = {"vhost": escape(_raw(texts["vhost"])).replace(b" ", b"\\x20") or b"-"} if "vhost" in texts else {}
    request = escape(_raw(texts.get("request", "")))
    is_target = request.startswith((b"/", b"http://", b"https://"))
    if (request and b" " in request and not is_target) or not (
        texts.get("path") or (is_target and texts.get("method"))
    ):
        return {"request": request or b"-"} | _without_port(hosts)
    method = part("method") if "method" in texts else b"-" if is_target or "request" not in texts else request or b"-"
    target = part("path") if texts.get("path") else request.replace(b" ", b"%20")
    if texts.get("path") and is_url and (url := re.fullmatch(rb"https?://([^/?]*)(.*)", target, re.DOTALL)):
        target = url[2] if url[2].startswith(b"/") else b"/" + url[2]
        if url[1] and not hosts:
            hosts = {"vhost": url[1]}
    query = part("query", b"")
    if b"?" not in target and query not in (b"", b"-"):
        target += query if query.startswith(b"?") else b"?" + query
    protocol = b" " + part("protocol") if "protocol" in texts else b""
    return {"request": b"%b %b%b" % (method, target, protocol)} | _without_port(hosts)


def _without_port(hosts: dict[str, bytes]) -> dict[str, bytes]:
    if not hosts:
        return {}
    found = re.fullmatch(rb"([^:]+|.*\]):\d+", hosts["vhost"], re.DOTALL)
    return {"vhost": found[1] if found else hosts["vhost"]}


def write_time(text: str) -> bytes | None:
    """Return a time as Apache writes it; None for an invalid time or date."""
    text = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if iso := _ISO.fullmatch(text):
        year, _, month, day, clock = iso.groups()
        written = f"{day}/{_MONTHS[int(month)]}/{year}:{clock or '00:00:00'} +0000"
    elif clf := _CLF.fullmatch(text):
        written = f"{clf[1]} +0000"
    elif _NUMBER.fullmatch(text):
        units = int(text.partition(".")[0])
        while units >= 10**10:
            units //= 1000
        if units < 10**9 or len(text.partition(".")[0]) not in (10, 13, 16, 19):
            return None
        written = time.strftime("%d/", local := time.localtime(units)) + f"{_MONTHS[local.tm_mon]}/{local.tm_year}"
        written += ":00:00:00 +0000"
    else:
        return None
    return written.encode() if day_of(written.encode()) else None
