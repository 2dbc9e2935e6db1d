"""From the raw key to the path: query parameters, percent-encoding, slashes, and the paths that do not count."""

import re
from collections.abc import Callable, Iterable

from fasthits._parse import normalise
from fasthits.rules.rules import STATIC_ENDINGS, Rules

_ORIGIN = rb"(?i)https?://[^/?]*"
_SESSION = rb"(?i);jsessionid=[^/;?]*"
_ENDINGS = tuple(ending.encode() for ending in STATIC_ENDINGS)
BAD_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
"""How a rollup writes a byte of a path that is not UTF-8."""
_FOLDED = rb"(?:/|(?:lmth|mth|php)\.xedni/)*+"
"""Slashes and index files, in reverse: read from the end of a path, the match looks at each byte only once."""


def final_path(rules: Rules) -> Callable[[bytes], tuple[bytes, str | None]]:
    """Return the function that turns a raw key into its path and None for a hit, or a reason (``path``, ``static``).

    The steps, in this order: drop the query's parameters that are not kept; normalise the percent-encoding of path and
    query; fold the session and the slash; match the globs with the path and the rest of the query; look for static
    endings before the query. With hosts kept apart the result is ``//`` host path; globs do not see the host, and the
    path of ``http://origin/path`` is ``/path``.

    >>> final_path(Rules(decode=True, fold_slash=True))(rb"/caf\\xc3\\xa9/")
    (b'/caf%C3%A9', None)
    >>> final_path(Rules(exclude_static=True))(b"/site.css")
    (b'/site.css', 'static')
    """
    if not rules.looks_at_paths:
        return lambda key: (key, None)
    from fasthits.rules.patterns import compile_globs

    included = compile_globs(rules.include_paths) if rules.include_paths else None
    excluded = compile_globs(rules.exclude_paths) if rules.exclude_paths else None
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
        elif rules.exclude_static and is_static(path):
            reason = "static"
        return host + whole, reason

    return judge


def spellings(path: bytes) -> list[bytes]:
    """Return the paths of log lines that a rollup keeps as *path*, or as what it makes of *path*.

    It keeps a byte that is not UTF-8 as Apache writes it; other servers may log the byte itself. Live counters have the
    path of the log.

    >>> spellings(rb"/caf\\xe9")
    [b'/caf\\\\xe9', b'/caf\\xe9']
    """
    kept = _as_kept(path)
    raw = BAD_BYTE.sub(lambda found: bytes([int(found[1], 16)]), kept)
    return [kept, raw] if raw != kept and _as_kept(raw) == kept else [kept]


def _as_kept(path: bytes) -> bytes:
    return path.decode(errors="backslashreplace").encode()


def is_static(path: bytes) -> bool:
    """Tell whether a path without query is of a static file, such as an image.

    >>> is_static(b"/site.CSS;v=2"), is_static(b"/css")
    (True, False)
    """
    return path.rpartition(b"/")[2].partition(b";")[0].lower().endswith(_ENDINGS)


def part_host(path: str) -> tuple[str, str]:
    """Split the path of a hit that is counted by host into the host and the path.

    >>> part_host("//www.example.org/about")
    ('www.example.org', '/about')
    """
    host, slash, rest = path[2:].partition("/")
    return host, slash + rest


def _reshape(rules: Rules) -> Callable[[bytes], tuple[bytes, bytes]]:
    """Return the function that splits a target into its path and its query, with the ``?`` in the query."""
    keep = None
    if isinstance(rules.keep_query, tuple):
        names = [name.encode("utf-8", "surrogateescape") for name in rules.keep_query]
        keep = parameter_keeper(map(normalise, names) if rules.decode else names)

    def reshape(target: bytes) -> tuple[bytes, bytes]:
        # Without keep_query the core has cut off the query. A ? that is left was %3F, decoded by the server.
        path, mark, query = target.partition(b"?") if rules.keep_query else (target, b"", b"")
        query = mark + query
        if query and rules.decode:
            query = normalise(query)
        if query and keep:
            query = keep(query)
        origin = b""
        if path[:4].lower() == b"http" and (found := re.match(_ORIGIN, path)):
            origin, path = found[0], path[found.end() :]
        if rules.decode:
            origin, path = normalise(origin.lower()), remove_dot_segments(normalise(path).replace(b"?", b"%3F"))
        if rules.fold_session:
            path = re.sub(_SESSION, b"", path)
        if rules.fold_slash:
            path = fold_slash(path)
        return (path or b"/" if rules.by_host else origin + path), query

    return reshape


def parameter_keeper(names: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """Return the function that drops a query's parameters, except those named in *names*. A query begins with ``?``.

    >>> parameter_keeper([b"a", b"b"])(b"?b=1&utm_source=x&a=2")
    b'?b=1&a=2'
    """
    find = re.compile(b"&(?:%b)(?:=[^&]*)?(?![^&])" % b"|".join(map(re.escape, names))).findall

    def keep(query: bytes) -> bytes:
        parameters = find(b"&" + query[1:])
        return b"?" + b"".join(parameters)[1:] if parameters else b""

    return keep


def fold_slash(path: bytes) -> bytes:
    """Return *path* without slashes and index files at its end; the root stays ``/``.

    >>> fold_slash(b"/page/index.html")
    b'/page'
    """
    folded = re.match(_FOLDED, path[::-1])
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
