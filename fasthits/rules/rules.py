"""What counts, and under which path: the rules that `log`, `rollup`, `warm` and `check` share.

A line is held against the rules in one order, and the first that it does not meet is its bucket: malformed; method;
target; status; day; agent; bot; path; static. All but the last two need the line. Those two, and the final path, follow
from the raw key alone under which the core counts: the path as it was logged, with its query where queries are kept,
behind the host and a space where hosts are told apart. So they are applied once a row and not once a line.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from fasthits._parse import normalise
from fasthits.errors import UsageError
from fasthits.rules.patterns import Row

Bots = Literal["count", "exclude", "apart"]

STATIC_ENDINGS = tuple(
    sorted(
        {".css", ".js", ".mjs", ".map", ".wasm"}
        | {".avif", ".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".svgz", ".tif", ".tiff", ".webp"}
        | {".eot", ".otf", ".ttf", ".woff", ".woff2"}
        | {".aac", ".flac", ".m4a", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".ogv", ".opus", ".wav", ".webm"}
    )
)
"""What a page loads by itself: styles and scripts, images, fonts, sound and film. Documents, archives and feeds are
read for their own sake, and count."""


@dataclass(frozen=True)
class Rules:
    """What counts as a hit, and under which path."""

    methods: tuple[str, ...] = ("GET",)
    statuses: frozenset[int] | None = None
    """None: any."""
    include_paths: tuple[str, ...] = ()
    """Globs, one of which the path has to match; none: any path."""
    exclude_paths: tuple[str, ...] = ()
    exclude_static: bool = False
    keep_query: bool | tuple[str, ...] = False
    """Whether the query is part of the path, or which of its parameters are."""
    fold_slash: bool = False
    decode: bool = False
    bots: Bots = "count"
    include_agents: tuple[str, ...] = ()
    exclude_agents: tuple[str, ...] = ()
    by_host: bool = False
    format: str = "auto"
    json_fields: Mapping[str, str] = field(default_factory=dict)
    """Names of an object's fields by the kind of field."""

    @property
    def looks_at_paths(self) -> bool:
        """Whether `final_path` does anything at all."""
        reshapes = self.fold_slash or self.decode or self.by_host or isinstance(self.keep_query, tuple)
        return reshapes or bool(self.include_paths or self.exclude_paths or self.exclude_static)

    @property
    def live(self) -> "Rules":
        """The rules of live counters, which have no place for bots apart."""
        return replace(self, bots="exclude") if self.bots == "apart" else self

    @property
    def looks_at_agents(self) -> bool:
        """Whether the user agent of a line matters."""
        return self.bots != "count" or bool(self.include_agents or self.exclude_agents)


def parse_statuses(text: str) -> frozenset[int]:
    """Return the statuses that a list of them, of classes and of ranges names.

    >>> sorted(parse_statuses("200,304,404-406"))
    [200, 304, 404, 405, 406]
    >>> len(parse_statuses("2xx"))
    100
    """
    statuses: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(?:(?P<class>[0-9])xx|(?P<first>\d{3})(?:-(?P<last>\d{3}))?)\s*", part, re.ASCII)
        if not found:
            raise UsageError("not a status", repr(part), "for example 200,304 or 2xx or 400-404")
        if found["class"]:
            first, last = int(found["class"]) * 100, int(found["class"]) * 100 + 99
        else:
            first, last = int(found["first"]), int(found["last"] or found["first"])
        if last < first:
            raise UsageError("range of statuses ends before it begins", part.strip(), f"try {last:03}-{first:03}")
        statuses.update(range(first, last + 1))
    return frozenset(statuses)


_GLOB_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)


def compile_globs(globs: tuple[str, ...], any_case: bool = False) -> Callable[[bytes], bool]:
    """Return a function that tells whether bytes, as a whole, match one of *globs*: ``*``, ``?``, ``[a-z]``, ``[!a]``.

    It takes time proportional to the length of the bytes, and to that of the globs.

    >>> compile_globs(("/blog/*",))(b"/blog/2026/a")
    True
    """
    rows = [_row_of(glob, any_case) for glob in globs]
    return lambda text: any(row.is_in(text) for row in rows)


def _row_of(glob: str, any_case: bool) -> Row:
    """Return the row of what stands between the stars of a glob."""
    pieces = [""]
    # A byte for each character, so that ? is one byte.
    for token in _GLOB_TOKEN.findall(glob.encode("utf-8", "surrogateescape").decode("latin-1")):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += token
    # Without the anchor that fnmatch puts behind its group.
    parts = [fnmatch.translate(piece).rpartition(")")[0] + ")" if piece else "" for piece in pieces]
    if parts[0] or len(parts) == 1:
        parts[0] = "^" + parts[0]
    if parts[-1]:
        parts[-1] += r"\Z"
    return Row(tuple((part,) for part in parts if part), any_case)


# --- From the raw key to the path ---------------------------------------------------------------------------------

_ORIGIN = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_FOLDED = re.compile(rb"(?:/|(?:lmth|mth|php)\.xedni/)*+")
"""Slashes and the names of an index, read from the end of a path: only so does each byte count once."""


def final_path(rules: Rules) -> Callable[[bytes], tuple[bytes, str | None]]:
    """Return the function that turns a raw key into its path, and the reason (``path``, ``static``) or None for a hit.

    In this order the query loses the parameters that are not kept, path and query are decoded, the slash is folded,
    globs look at the path with the query that is left, and static endings are looked for before the query. With hosts
    told apart the result is ``//`` host path; globs do not see the host, and the path of ``http://origin/path`` is
    ``/path``.

    >>> final_path(Rules(decode=True, fold_slash=True))(rb"/caf\\xc3\\xa9/")
    (b'/caf%C3%A9', None)
    >>> final_path(Rules(exclude_static=True))(b"/site.css")
    (b'/site.css', 'static')
    """
    if not rules.looks_at_paths:
        return lambda key: (key, None)
    included = compile_globs(rules.include_paths) if rules.include_paths else None
    excluded = compile_globs(rules.exclude_paths) if rules.exclude_paths else None
    endings = tuple(ending.encode() for ending in STATIC_ENDINGS)
    reshape = _reshape(rules)

    def judge(key: bytes) -> tuple[bytes, str | None]:
        host = b""
        if rules.by_host:
            host, _, key = key.partition(b" ")
            host = b"//" + host.lower().replace(b"/", b"%2F")
        path, query = reshape(key)
        whole = path + query
        reason = None
        if (included and not included(whole)) or (excluded and excluded(whole)):
            reason = "path"
        elif rules.exclude_static and path.lower().endswith(endings):
            reason = "static"
        return host + whole, reason

    return judge


def part_host(path: str) -> tuple[str, str]:
    """Return the host and the path that a path of hosts told apart consists of.

    >>> part_host("//www.example.org/about")
    ('www.example.org', '/about')
    """
    host, slash, rest = path[2:].partition("/")
    return host, slash + rest


def _reshape(rules: Rules) -> Callable[[bytes], tuple[bytes, bytes]]:
    """Return the function that turns a target into its path, and its query with the ``?`` before it."""
    keep = None
    if isinstance(rules.keep_query, tuple):
        names = [name.encode("utf-8", "surrogateescape") for name in rules.keep_query]
        keep = parameter_keeper(map(normalise, names) if rules.decode else names)

    def reshape(target: bytes) -> tuple[bytes, bytes]:
        # Without queries the core has cut them off; a ? is one that the server has decoded.
        path, mark, query = target.partition(b"?") if rules.keep_query else (target, b"", b"")
        query = mark + query
        if query and rules.decode:
            query = normalise(query)
        if query and keep:
            query = keep(query)
        origin = b""
        if path[:4].lower() == b"http" and (found := _ORIGIN.match(path)):
            origin, path = found[0], path[found.end() :]
        if rules.decode:
            origin, path = normalise(origin.lower()), remove_dot_segments(normalise(path).replace(b"?", b"%3F"))
        if rules.fold_slash:
            path = fold_slash(path)
        return (path or b"/" if rules.by_host else origin + path), query

    return reshape


def parameter_keeper(names: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """Return the function that reduces a query, which begins with ``?``, to the parameters with one of *names*.

    >>> parameter_keeper([b"a", b"b"])(b"?b=1&utm_source=x&a=2")
    b'?b=1&a=2'
    """
    find = re.compile(b"&(?:%b)(?:=[^&]*)?(?![^&])" % b"|".join(map(re.escape, names))).findall

    def keep(query: bytes) -> bytes:
        parameters = find(b"&" + query[1:])
        return b"?" + b"".join(parameters)[1:] if parameters else b""

    return keep


def fold_slash(path: bytes) -> bytes:
    """Return *path* without the slashes and the names of an index at its end; the root is ``/``.

    >>> fold_slash(b"/page/index.html")
    b'/page'
    """
    folded = _FOLDED.match(path[::-1])
    return path[: len(path) - folded.end()] if folded and folded.end() < len(path) else b"/"


def remove_dot_segments(path: bytes) -> bytes:
    """Return *path* without its ``.`` and ``..`` segments (RFC 3986, 5.2.4 and 6.2.2.3).

    >>> remove_dot_segments(b"/a/./b/../c/..")
    b'/a/'
    """
    if b"/." not in path:
        return path
    segments = path.split(b"/")
    kept: list[bytes] = []
    for segment in segments[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return segments[0] + b"/" + b"/".join(kept)


# --- From options to rules ----------------------------------------------------------------------------------------


def make_rules(options: Mapping[str, object]) -> Rules:
    """Return the rules that *options* make, by their names on the command line; the others have their defaults.

    A list is a list, or a text with commas. Raises UsageError for a value that is none.
    """
    fields: dict[str, object] = {}
    for name, value in options.items():
        fields |= read_option(name, value)
    if options.get("exclude-bots"):
        if fields.get("bots", "exclude") != "exclude":
            raise UsageError("bots are either excluded or not", "exclude-bots and bots", "leave one out")
        fields["bots"] = "exclude"
    return Rules(**fields)  # type: ignore[arg-type]  # each value comes from the reader of its field


def read_option(name: str, value: object) -> dict[str, object]:
    """Return the field of Rules that an option sets, with its value; raise UsageError for a value that is none."""
    field_name, read = OPTIONS[name]
    read_value = read(name, value)
    return {field_name: read_value} if field_name else {}


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is true or false", repr(value))
    return value


def _word(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} must be a text", repr(value))
    return value


def _words(name: str, value: object) -> tuple[str, ...]:
    """Return the texts of a list, or of a text with commas."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) and word.strip() for word in words):
        raise UsageError(f"{name} must be a list of texts", repr(value))
    return tuple(word.strip() for word in words)


def _globs(name: str, value: object) -> tuple[str, ...]:
    """Return the globs of a list, or the one that a text is: it may hold commas."""
    return _words(name, [value] if isinstance(value, str) else value)


def _path_globs(name: str, value: object) -> tuple[str, ...]:
    for glob in (globs := _globs(name, value)):
        if not glob.startswith(("/", "*", "?", "[", "http")):
            raise UsageError(f"no path matches {name}", glob, f"try /{glob} or *{glob}")
    return globs


def _methods(name: str, value: object) -> tuple[str, ...]:
    methods = _words(name, value)
    for method in methods:
        if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", method):  # RFC 9110, 5.6.2
            raise UsageError("not a method", repr(method), "for example GET,POST")
    return methods


def _statuses(name: str, value: object) -> frozenset[int]:
    parts = [value] if isinstance(value, str | int) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str | int) for part in parts):
        raise UsageError(f"{name} must be a list of statuses", repr(value))
    return parse_statuses(",".join(str(part) for part in parts))


def _query(name: str, value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool) or value == "all":
        return bool(value)
    return _words(name, value)


def _bots(name: str, value: object) -> str:
    if value not in get_args(Bots):
        raise UsageError(f"{name} is one of {', '.join(get_args(Bots))}", repr(value))
    return str(value)


def _json_fields(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        value = dict(word.partition("=")[::2] for word in _words(name, value))
    for kind, key in value.items():
        if kind not in JSON_KINDS:
            raise UsageError(f"{name} knows no {kind!r}", repr(value), f"one of {', '.join(JSON_KINDS)}")
        if not isinstance(key, str) or not key:
            raise UsageError(f"{name} names no field for {kind}", repr(value), f"for example {kind}=request.uri")
    return value


JSON_KINDS = (
    "time",
    "method",
    "path",
    "request",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
    "vhost",
    "port",
)

OPTIONS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "format": ("format", _word),
    "json-fields": ("json_fields", _json_fields),
    "method": ("methods", _methods),
    "status": ("statuses", _statuses),
    "include-path": ("include_paths", _path_globs),
    "exclude-path": ("exclude_paths", _path_globs),
    "exclude-static": ("exclude_static", _switch),
    "keep-query": ("keep_query", _query),
    "fold-slash": ("fold_slash", _switch),
    "decode": ("decode", _switch),
    "bots": ("bots", _bots),
    "exclude-bots": ("", _switch),
    "include-agent": ("include_agents", _globs),
    "exclude-agent": ("exclude_agents", _globs),
    "by-host": ("by_host", _switch),
}
"""By the name of an option the field of Rules that it sets, and what reads its value."""
