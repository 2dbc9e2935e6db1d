"""The keys of a JSON line that cannot be read, and which of them may be the time, the method and the path."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fasthits.display import printable
from fasthits.formats.jsonlines import KNOWN

MOST_KEYS = 40
"""Most keys that a message names."""
KEY_CHARACTERS = 100
"""Longer keys are left out: strangers choose the names of headers."""
DEPTH = 4
"""Objects in objects that are looked into."""

WRAPPERS = ("log", "message", "MESSAGE", "@message", "line", "event")
"""The keys under which Docker, journald and others keep the line of the server."""

_LOOKS = {
    "time": re.compile(
        r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d.*|\d\d/[A-Z][a-z]{2}/\d{4}:.*|1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?"
    ),
    "request": re.compile(r"[A-Z]{3,9} \S+ HTTP/\S+"),
    "method": re.compile(r"GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE", re.IGNORECASE),
    "path": re.compile(r"(?:/|https?://)\S*"),
}
"""The pattern of a value of each needed kind."""


@dataclass(frozen=True)
class Keys:
    """The keys of a JSON object, dotted, each with its value."""

    values: Mapping[str, str]
    missing: tuple[str, ...]
    """The needed kinds that no known key gives."""
    invalid: str
    """The fault in the value of a known key."""

    def wrapped(self) -> bytes:
        """Return the line that a logging program has put into this line; b"" if it contains no such line."""
        return next((self.values[name].strip().encode() for name in WRAPPERS if self.values.get(name)), b"")

    def told(self) -> list[str]:
        """Return the missing kinds, and the keys of the line."""
        names = [printable(name) for name in list(self.values)[:MOST_KEYS]]
        more = f" and {len(self.values) - MOST_KEYS} more" * (len(self.values) > MOST_KEYS)
        trouble = f"json: no {' and no '.join(self.missing)} under a name that fasthits knows"
        trouble = trouble if self.missing else self.invalid
        return [trouble, f"its keys: {', '.join(names) or 'none'}{more}"]

    def remedy(self) -> str:
        """Return the option to try, with the keys whose values look right."""
        if not self.missing:
            return "fasthits reads times such as 2026-03-12T10:00:00+01:00 and seconds since 1970"
        guessed = {kind: next(self._like(kind), "NAME") for kind in self.missing}
        if request := next(self._like("request"), ""):
            guessed = {kind: name for kind, name in guessed.items() if kind == "time"} | {"request": request}
        named = shlex.quote(",".join(f"{kind}={printable(name)}" for kind, name in guessed.items()))
        known = "NAME" in guessed.values()
        return f"try --format json --json-fields {named}" + ", NAME being the key that has it" * known

    def _like(self, kind: str) -> Iterator[str]:
        """Yield the names of the values that look like *kind*, those first whose name says so."""
        found = [name for name, value in self.values.items() if _LOOKS[kind].fullmatch(value)]
        hints = {"path": "ur[il]|path|target|request", "time": "time|date|ts|when", "method": "method|verb"}
        hint = re.compile(hints.get(kind, kind), re.IGNORECASE)
        yield from sorted(found, key=lambda name: not hint.search(name))


def how_to_unpack(line: bytes) -> str | None:
    """Return the filter of jq that makes lines of what *line* begins: objects over several lines, or a list of objects.

    >>> how_to_unpack(b"{"), how_to_unpack(b'[{"a": 1}, {"a": 2}]'), how_to_unpack(b'{"records": [{"a": 1}]}')
    ('.', '.[]', '.records[]')
    >>> how_to_unpack(b'{"a": 1}')
    """
    import json

    if line.strip() in (b"{", b"["):
        return "." if line.strip() == b"{" else ".[]"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        return ".[]"
    name, only = next(iter(found.items()), ("", None)) if isinstance(found, dict) and len(found) == 1 else ("", None)
    return f".{name}[]" if isinstance(only, list) and name.isidentifier() and isinstance(only[:1], list) else None


def read_keys(line: bytes, json_fields: Mapping[str, str]) -> Keys | None:
    """Return the keys of a line with a JSON object, None for another line.

    >>> keys = read_keys(b'{"moment": "2026-03-12 10:00:00", "action": "GET", "page": {"address": "/a"}}', {})
    >>> keys.remedy()
    'try --format json --json-fields time=moment,method=action,path=page.address'
    """
    import json

    start = line.find(b"{")
    if start < 0:
        return None
    text = re.sub(rb"\\x([0-9A-Fa-f]{2})", rb"\\u00\1", line[start:]).decode("utf-8", "replace")
    try:
        found, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if text[end:].strip(" ,]\r\n"):
        return None  # an object somewhere in a line of text
    values = dict(_flat(found))
    names = {kind: (json_fields[kind],) if kind in json_fields else known for kind, known in KNOWN.items()}
    given = {_plain(name): value for name, value in values.items()}
    there = {kind for kind, known in names.items() if any(given.get(_plain(name)) for name in known)}
    needed = ("time",) if "request" in there else ("time", "method", "path")
    missing = tuple(kind for kind in needed if kind not in there)
    return Keys(values, missing, "" if missing else _invalid(given, names["time"]))


def _plain(name: str) -> str:
    """Return a name as names are compared: ``User-Agent``, ``user_agent`` and ``userAgent`` are one."""
    return "".join(filter(str.isalnum, name.lower()))


def _flat(found: object, before: str = "", depth: int = DEPTH) -> Iterator[tuple[str, str]]:
    if isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, dict) and depth:
        for name, value in found.items():
            yield from _flat(value, f"{before}.{name}" if before else name, depth - 1)
    elif before and len(before) <= KEY_CHARACTERS:
        yield before, "" if found is None else str(found)


def _invalid(values: Mapping[str, str], names: tuple[str, ...]) -> str:
    name, value = next((name, value) for name in names if (value := values.get(_plain(name))))
    if _LOOKS["time"].fullmatch(value):
        return "json: a field has a value that fasthits does not understand"
    return f"json: {printable(name)} is not a time: {printable(value[:KEY_CHARACTERS])!r}"
