"""How often the page of an object has been read today, from the counters that ``fasthits log`` keeps in memcached.

Nothing here raises, and nothing waits: a page must not break or hang because of memcached. Where a number is unknown, a
warning is logged once, and the number is UNKNOWN.
"""

import logging
import time
from collections.abc import Collection, Iterable
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from fasthits.daily.days import ONE_DAY
from fasthits.django.addresses import path_of
from fasthits.django.conf import machine_zone, setting
from fasthits.errors import FasthitsError, UsageError
from fasthits.live.keys import DEFAULT_SERVER, figure_path, hit_key
from fasthits.live.quick import QuickReader
from fasthits.live.servers import Server, check_servers
from fasthits.live.statistics import is_by_host

log = logging.getLogger("fasthits.django")

T = TypeVar("T")


class Unknown(int):
    """A number that nobody knows now. It is 0 in sums, and nothing where it is shown."""

    unknown = True
    """For templates: ``{% hits_today obj as n %}{% if not n.unknown %}``."""

    def __str__(self) -> str:
        return ""

    def __eq__(self, other: object) -> bool:
        return other == "" or int(self) == other  # so Django's number_format does not format it

    __hash__ = int.__hash__

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __format__(self, _: str) -> str:
        return ""


UNKNOWN = Unknown(0)
"""Today's number while memcached does not answer, where each host is counted separately, and with ``FASTHITS = {"LIVE":
False}``."""

FIGURES_SECONDS = 60.0
"""The time from one look at the figures of the loggers to the next."""


def today() -> date:
    """Return the current day in the web server's time zone."""
    try:
        zone = setting("TIME_ZONE")
    except UsageError as error:
        warn_once("TIME_ZONE", error)
        zone = machine_zone()
    return datetime.now(zone).date()


def hits_today(page: Any) -> int:
    """Return how often a page, an object or an address, has been read today.

    One round trip; for many objects use `with_hits_today`.
    """
    path = _path_or_none(page)
    return UNKNOWN if path is None else read_today([path])[path]


def with_hits_today(objects: Iterable[T]) -> list[T]:
    """Return *objects*, such as a queryset, as a list, each with its ``hits_today``: one round trip for all.

    Addresses, and rows of ``values()``, cannot have the attribute: they are returned as they are, with a warning.
    """
    found = list(objects)
    paths = [_path_or_none(obj) for obj in found]
    views = read_today({path for path in paths if path is not None})
    for obj, path in zip(found, paths, strict=True):
        try:
            obj.hits_today = UNKNOWN if path is None else views[path]  # type: ignore[attr-defined]
        except AttributeError as error:
            warn_once(type(obj), error)
    return found


def read_today(paths: Collection[bytes]) -> dict[bytes, int]:
    """Return today's views of each of *paths*, counted paths as `path_of` gives them; UNKNOWN where nobody knows."""
    try:
        if not paths or not setting("LIVE"):
            return dict.fromkeys(paths, UNKNOWN)
        day, prefix = today(), setting("PREFIX")
        keys = {path: hit_key(day, path, prefix) for path in paths}
        loggers = _loggers()
        figures = loggers.keys(day, prefix)
        found = _reader().read([*keys.values(), *figures])
        loggers.learn([found[key] for key in figures if key in found])
        return loggers.judged({path: found.get(key, UNKNOWN) for path, key in keys.items()})
    except Exception as error:  # a wrong setting, which the check names
        warn_once("settings", error)
        return dict.fromkeys(paths, UNKNOWN)


class _Loggers:
    """Whether 0 is the number of a path without a counter.

    If the loggers count each host separately, no path of an object has a counter. And if no logger has counted under
    this prefix, the prefix may be wrong: whoever looks at a page is a hit, so otherwise that does not last.
    """

    def __init__(self) -> None:
        self._is_apart = self._are_silent = False
        self._ask_at = float("-inf")

    def keys(self, day: date, prefix: str) -> list[str]:
        """Return the keys of the figures that tell; none if they have been asked for in the last FIGURES_SECONDS."""
        if time.monotonic() < self._ask_at:
            return []
        asked = ((day, "hits"), (day, "by host"), (day - ONE_DAY, "hits"))
        return [hit_key(each, figure_path(name), prefix) for each, name in asked]

    def learn(self, figures: list[int]) -> None:
        """Take the values of these figures. If some are unknown, and at midnight, it is as before."""
        if len(figures) < 3:
            return
        hits, by_host, hits_yesterday = figures
        self._are_silent = not (hits or hits_yesterday)
        if hits:
            self._ask_at = time.monotonic() + FIGURES_SECONDS
            self._is_apart = is_by_host({"hits": hits, "by host": by_host})

    def judged(self, views: dict[bytes, int]) -> dict[bytes, int]:
        """Return *views* with UNKNOWN for paths that have no counter because they lack their host."""
        lacking = [path for path, number in views.items() if number == 0 and number is not UNKNOWN]
        if lacking and self._is_apart:
            hint = "URLs of objects have no host: let a logger with another --prefix count this site without --by-host"
            warn_once("hosts", UsageError("each host is counted separately", lacking[0].decode("ascii"), hint))
            return views | dict.fromkeys(lacking, UNKNOWN)
        if lacking and self._are_silent:
            failed = "no logger has counted a hit today or yesterday under the prefix"
            hint = "fasthits doctor --django-settings MODULE compares it with that of the logger"
            warn_once("loggers", UsageError(failed, setting("PREFIX"), hint), "0 is shown")
        return views


def counter_servers() -> list[Server]:
    """Return the servers with the counters: of MEMCACHED, else of Django's cache CACHE, else the default server.

    Raises UsageError.
    """
    if servers := setting("MEMCACHED"):
        return servers
    alias = setting("CACHE")
    try:
        return _servers_of(settings.CACHES[alias])
    except Exception as error:  # a wrong BACKEND or LOCATION
        name = "" if isinstance(error, FasthitsError) else f"{type(error).__name__}: "
        hint = 'mend it, or set FASTHITS["MEMCACHED"] to the servers of fasthits log'
        raise UsageError(f"cannot take the servers of CACHES[{alias!r}]", f"{name}{error}", hint) from error


def _servers_of(options: dict[str, Any]) -> list[Server]:
    if not issubclass(import_string(options["BACKEND"]), BaseMemcachedCache):
        return [Server(DEFAULT_SERVER)]
    location = options["LOCATION"]
    tls = options.get("OPTIONS", {}).get("tls_context")
    return [Server(name, tls) for name in check_servers([location] if isinstance(location, str) else location)]


def warn_once(subject: object, error: Exception, shown: str = "no number is shown") -> None:
    """Log why a number is unknown or in doubt, once for each subject and kind of error in the life of the process."""
    # By its text, too: one wrong setting may have several subjects.
    known: set[tuple[object, type] | str] = {(subject, type(error)), str(error)}
    if not known & _warned:
        _warned.update(known)
        name = "" if isinstance(error, FasthitsError) else f"{type(error).__name__}: "
        log.warning("%s: %s%s", shown, name, error)


_warned: set[tuple[object, type] | str] = set()


def _path_or_none(page: Any) -> bytes | None:
    try:
        return path_of(page) if setting("LIVE") else None  # get_absolute_url() may make queries
    except Exception as error:  # an error of the site's get_absolute_url
        warn_once(type(page), error)
        return None


@cache
def _reader() -> QuickReader:
    return QuickReader(counter_servers(), lambda error: log.warning("no live counters: %s", error))


@cache
def _loggers() -> _Loggers:
    return _Loggers()


def forget(**_: Any) -> None:
    """Forget the servers, their connections and the warnings: as at the start of the process."""
    if _reader.cache_info().currsize:
        _reader().close()
    _reader.cache_clear()
    _loggers.cache_clear()
    _warned.clear()


setting_changed.connect(forget)
