"""From the raw key to the path: query parameters, percent-encoding, slashes, and the paths that do not count."""

import re
from collections.abc import Callable, Iterable

from fasthits._parse import normalise
from fasthits.rules.patterns import compile_globs
from fasthits.rules.rules import STATIC_ENDINGS, Rules

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
