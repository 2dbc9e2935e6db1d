"""How often the page of an object has been read today, from the counters that ``fasthits log`` keeps in memcached.

Nothing here raises: a page must not break because a counter is away. What went wrong is logged, and the number is 0.
"""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.memcached import BaseMemcachedCache, PyMemcacheCache
from django.utils.encoding import iri_to_uri

from fasthits.django.conf import setting
from fasthits.live.keys import DEFAULT_SERVER, hit_key
from fasthits.live.memcached import read_views
from fasthits.live.servers import Server, check_servers
from fasthits.rules.paths import final_path

AWAY_SECONDS = 5.0
"""How long memcached is left alone when it has failed: a page must not wait for it again and again."""

log = logging.getLogger("fasthits.django")

T = TypeVar("T")


def today() -> date:
    """Return the day that Apache stamps its lines with now."""
    return datetime.now(setting("TIME_ZONE")).date()


def path_of(obj: Any) -> bytes:
    """Return the path of an object's page as it stands in the log: that of ``get_absolute_url``, percent-encoded."""
    return iri_to_uri(urlsplit(str(obj.get_absolute_url())).path or "/").encode("ascii")


def hits_today(obj: Any) -> int:
    """Return how often the page of *obj* has been read today. One round trip; `with_hits_today` is for many objects."""
    path = _path_or_none(obj)
    return 0 if path is None else read_today([path]).get(path, 0)


def with_hits_today(objects: Iterable[T]) -> list[T]:
    """Return *objects*, a queryset's too, as a list, each with its ``hits_today``: one ``get_many`` for them all."""
    found = list(objects)
    paths = [_path_or_none(obj) for obj in found]
    views = read_today({path for path in paths if path is not None})
    for obj, path in zip(found, paths, strict=True):
        obj.hits_today = 0 if path is None else views.get(path, 0)  # type: ignore[attr-defined]
    return found


def read_today(paths: Collection[bytes]) -> dict[bytes, int]:
    """Return today's views of those of *paths* that have been read; none at all while memcached is away."""
    global _away_until
    if not paths or time.monotonic() < _away_until:
        return {}
    try:
        return _read(paths)
    except Exception as error:  # whatever the client library of the site's cache raises
        _away_until = time.monotonic() + AWAY_SECONDS
        log.warning("no live counters for %.0f s: %s: %s", AWAY_SECONDS, type(error).__name__, error)
        return {}


_away_until = float("-inf")


def _path_or_none(obj: Any) -> bytes | None:
    try:
        return path_of(obj)
    except Exception:  # of the site's own get_absolute_url
        log.exception("no live counter of %s %s: its path is not known", type(obj).__name__, getattr(obj, "pk", ""))
        return None


def _read(paths: Collection[bytes]) -> dict[bytes, int]:
    day, prefix = today(), setting("PREFIX")
    as_counted = final_path(setting("RULES"))
    keys = {path: hit_key(day, as_counted(path)[0], prefix) for path in paths}
    servers, cache = _place()
    if cache is None:
        found: dict[str, int] = read_views(servers, list(keys.values()))
    else:
        values = cache.get_many([key.removeprefix(prefix) for key in keys.values()])
        found = {prefix + key: int(value) for key, value in values.items()}
    return {path: found[key] for path, key in keys.items() if key in found}


def _place() -> tuple[Sequence[str], BaseMemcachedCache | None]:
    """Return the servers that hold the counters, and Django's cache where it finds the same keys on them.

    Other clients than pymemcache choose among several servers by other rules than the logger.
    """
    alias, prefix = setting("CACHE"), setting("PREFIX")
    cache, servers = caches[alias], setting("MEMCACHED")
    if not isinstance(cache, BaseMemcachedCache):
        return servers or [DEFAULT_SERVER], None
    location = settings.CACHES[alias]["LOCATION"]
    tls = settings.CACHES[alias].get("OPTIONS", {}).get("tls_context")
    own = [Server(name, tls) for name in check_servers([location] if isinstance(location, str) else location)]
    same_server = isinstance(cache, PyMemcacheCache) or len(own) == 1
    matches = same_server and servers in (None, own) and cache.make_key("") == prefix
    return servers or own, cache if matches else None
