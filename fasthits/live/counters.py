"""The live counters for your own code: read them, name them, add to them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING, Any

from fasthits.errors import UsageError
from fasthits.live import keys
from fasthits.live.keys import (
    DEFAULT_PREFIX,
    DEFAULT_SERVER,
    DEFAULT_TTL_SECONDS,
    MAX_TTL_SECONDS,
    PATH_STARTS,
    check_prefix,
)
from fasthits.live.servers import Server, check_servers
from fasthits.rules.keywords import day_of, number_of
from fasthits.rules.paths import spellings

if TYPE_CHECKING:
    from fasthits.live.memcached import Delivery

NEEDS_HOST = "each host is counted separately: put the host before the path, as in //www.example.org/about"

Servers = str | Sequence[str]
"""A server, ``HOST:PORT``, ``unix:/PATH`` or ``tls://HOST:PORT``; or several, also in one text with commas."""


def hit_key(day: date, path: str | bytes, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the memcached key of the counter of *path* on *day*. See `keys.hit_key`.

    Raises UsageError for a path that no hit has, and for a prefix that memcached does not take.

    >>> hit_key(date(2026, 3, 12), "/about")
    ':1:2026-03-12/about'
    """
    return keys.hit_key(day_of(day), _path_of(path), check_prefix(prefix))


def hits_today(
    paths: Iterable[str],
    memcached: Servers = DEFAULT_SERVER,
    prefix: str = DEFAULT_PREFIX,
    day: date | None = None,
) -> dict[str, int | None]:
    """Return how often each path was read today, or on *day*; None for a path without a counter.

    No counter means no hit, or that memcached has dropped the counter: it was full, or has been restarted. Paths are as
    in the log, or as a rollup keeps them: percent-encoded, and without the query unless loggers keep it. It takes one
    round trip for each 1,000 paths.

    Raises MemcachedError when a server does not answer or a counter holds no number; UsageError for an invalid
    argument, and for paths without a host if the loggers count each host separately.
    """
    servers, today = _servers_of(memcached), date.today() if day is None else day_of(day)
    views = read_paths(paths, servers, prefix, today)
    if (path := path_without_host(views)) is not None:
        from fasthits.live.statistics import is_by_host, read_figures

        if is_by_host(read_figures(servers, prefix, today)):
            raise UsageError("no counter", repr(path), NEEDS_HOST)
    return views


def read_paths(paths: Iterable[str], servers: Sequence[str], prefix: str, day: date) -> dict[str, int | None]:
    """Return how often each path was read on *day*, None for a path without a counter. Raises as `hits_today`."""
    from fasthits.live.memcached import read_views  # pymemcache costs 46 ms, which `hit_key` does not need

    if isinstance(paths, str | bytes):
        raise UsageError("paths must be a list", repr(paths), f"for example [{paths!r}]")
    check_prefix(prefix)
    by_path = {path: [keys.hit_key(day, each, prefix) for each in spellings(_path_of(path))] for path in paths}
    found = read_views(servers, list(chain.from_iterable(by_path.values())))
    known = {path: [found[key] for key in each if key in found] for path, each in by_path.items()}
    return {path: sum(views) if views else None for path, views in known.items()}


def path_without_host(views: Mapping[str, int | None]) -> str | None:
    """Return the first path without a host, if none of them has a counter: maybe each host is counted separately."""
    paths = [path for path in views if not _path_of(path).startswith(b"//")]
    return paths[0] if paths and not any(views[path] is not None for path in paths) else None


def add_views(
    rows: Iterable[tuple[date, str | bytes, int]],
    memcached: Servers = DEFAULT_SERVER,
    prefix: str = DEFAULT_PREFIX,
    ttl: int = DEFAULT_TTL_SECONDS,
) -> "Delivery":
    """Add the views of *rows*, (day, path, views) as `HitCount.rows` gives them, to the live counters.

    No view is ever added twice, so nothing is sent again whose outcome is unknown. Look at the result: ``delivered``
    views are counted, views ``in_doubt`` may be counted, ``refused`` views never will be counted. The rows in
    ``returned`` were not counted: give them to this function again. ``problems`` says why, and is empty when all is
    delivered.

    A counter lives *ttl* seconds from its first view. Raises UsageError, with nothing sent, for an invalid argument.
    """
    from fasthits.live.memcached import CounterStore

    servers, prefix = _servers_of(memcached), check_prefix(prefix)
    ttl = number_of("a time to live in seconds", ttl, most=MAX_TTL_SECONDS)
    views = Counter[tuple[date, bytes]]()
    for row in rows:
        try:
            day, path, number = row
        except (TypeError, ValueError) as error:
            raise UsageError(
                "not a row", repr(row), "a row is a day, a path and its views, as HitCount.rows gives it"
            ) from error
        views[day_of(day), _path_of(path)] += number_of("a number of views", number)
    summed = [(day, path, number) for (day, path), number in views.items()]
    with closing(CounterStore(servers, prefix, ttl)) as store:
        return store.add_views(summed)


def _path_of(path: str | bytes) -> bytes:
    try:
        raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    except UnicodeEncodeError:  # half a character
        raw = b""
    if not isinstance(raw, bytes) or not raw.startswith(tuple(start.encode() for start in PATH_STARTS)):
        raise UsageError("not a path", repr(path), "a path begins with /")
    return raw


def _servers_of(memcached: Servers) -> list[Server]:
    are_several = isinstance(memcached, Iterable) and not isinstance(memcached, str | bytes)
    names: list[Any] = list(memcached) if are_several else [memcached]
    given = [name for name in names if isinstance(name, Server)]
    return given if given and len(given) == len(names) else check_servers(names)
