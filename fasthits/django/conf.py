"""The site's settings: the dict FASTHITS. Every key is optional."""

import io
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import tzinfo
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from fasthits.daily.days import has_date, split_patterns
from fasthits.daily.past.opening import check_readable
from fasthits.daily.urls import is_postgres
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix
from fasthits.live.servers import Server, TlsFiles, check_servers
from fasthits.rules.config import load_config, put_before, read_rules
from fasthits.rules.options import OPTIONS
from fasthits.rules.rules import Rules

log = logging.getLogger("fasthits.django")

NAME = "FASTHITS"


class Key(NamedTuple):
    """A key of FASTHITS: a function for its default, a function that checks and converts its value, and an example."""

    default: Callable[[], Any]
    read: Callable[[Any], Any]
    example: Any


class SettingError(UsageError):
    """A key of FASTHITS has an invalid value. The message names the key."""


def _read_servers(value: Any) -> list[Server] | None:
    if value is None:
        return None
    files = TlsFiles(setting("TLS_CA"), setting("TLS_CERT"), setting("TLS_KEY"))
    return check_servers(_several(value), files)


def _read_file(value: Any) -> str | None:
    return value if value is None else os.fspath(value)


def _read_config(value: Any) -> Path | None:
    if value is None:
        return None
    load_config(Path(value))  # raises UsageError
    return Path(value)


def _read_database(value: Any) -> str | Path | None:
    if isinstance(value, str):
        check_readable(value)  # raises TableError
    if value == "":
        raise ValueError("empty")
    return value if value is None or is_postgres(value) else Path(value)


def _read_patterns(value: Any) -> tuple[str, ...]:
    patterns = tuple(map(_text, _several(value)))
    for pattern in patterns:
        has_date(pattern)
    return patterns


def _several(value: Any) -> Iterable[Any]:
    """Return the values in a list, or a single value."""
    if isinstance(value, Mapping):  # such as an entry of CACHES: its keys are no servers
        raise TypeError("a dict, not a list")
    return [value] if isinstance(value, (str, Path)) else value


def _text(pattern: Any) -> str:
    text = os.fspath(pattern)
    if not isinstance(text, str):
        raise TypeError("not text")
    return text


def _read_cache(value: str) -> str:
    if value not in settings.CACHES:
        raise UsageError("no such cache", repr(value), f"CACHES has {', '.join(map(repr, settings.CACHES))}")
    return value


def _read_switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not True or False")
    return value


def _read_callable(value: Any) -> Callable[..., Any] | None:
    found = import_string(value) if isinstance(value, str) else value
    if found is not None and not callable(found):
        raise TypeError("not callable")
    return found


def _read_rules(value: Mapping[str, Any]) -> Rules:
    return _rules_of_objects(_options(value), setting("CONFIG"))


def _options(value: Mapping[str, Any]) -> dict[str, Any]:
    options = {name.replace("_", "-"): option for name, option in value.items()}
    if unknown := options.keys() - OPTIONS.keys():
        raise UsageError("no such rule", ", ".join(sorted(unknown)), f"valid rules: {', '.join(OPTIONS)}")
    return options


def _rules_of_objects(options: Mapping[str, Any], config: Path | None = None) -> Rules:
    rules = read_rules(options, config)
    if rules.by_host:
        raise UsageError(
            "not a rule for Django", "by-host", "objects' URLs have no host; set by_host to False in RULES"
        )
    return rules.live


def machine_zone() -> tzinfo:
    """Return this machine's time zone. Django has replaced that of the process by its TIME_ZONE.

    The process was started with a TZ, or the machine has a zone in /etc/localtime. `zone_doubt` tells if that may be
    wrong.
    """
    tz = (_first_environment() or {}).get("TZ", "")
    return _find_zone(tz) or _find_zone("/etc/localtime") or ZoneInfo("UTC")


def zone_doubt() -> str | None:
    """Return why `machine_zone` may not be the time zone with which this process was started; None if it is."""
    environment = _first_environment()
    if environment is None:
        return "the TZ of this process is unknown, because its environment cannot be read or was overwritten"
    tz = environment.get("TZ", "")
    return f"TZ is no time zone: {tz!r}" if tz and _find_zone(tz) is None else None


def _find_zone(tz: str) -> tzinfo | None:
    """Return the time zone of a TZ, which is a name, a file or a rule; None if it is none of them."""
    name = tz.removeprefix(":")
    try:
        if name.startswith("/"):
            with open(name, "rb") as file:
                return ZoneInfo.from_file(file, key=os.path.realpath(name).partition("zoneinfo/")[2] or name)
        return _zone(name) if name else None
    except (OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError
        return None


def _zone(name: str) -> tzinfo:
    """Return the zone of a name, or of a rule of POSIX: ``Europe/Berlin``, ``HST10``, ``CET-1CEST,M3.5.0,M10.5.0/3``.

    A rule ends the file of a zone (RFC 9636). So zoneinfo reads one in a file without anything else.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError):
        block = b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 1) + bytes(7)  # UTC, without a name
        with suppress(ValueError):
            return ZoneInfo.from_file(io.BytesIO(2 * block + b"\n" + name.encode() + b"\n"), key=name)
        raise


@contextmanager
def in_time_zone() -> Iterator[None]:
    """Give this process TIME_ZONE while it reads logs: seconds since 1970 and times without a zone are taken for it.

    Django has given the process its own TIME_ZONE, by which the site's code finds objects.
    """
    of_django = os.environ.get("TZ")
    _set_process_zone(str(setting("TIME_ZONE")))
    try:
        yield
    finally:
        _set_process_zone(of_django)


def _set_process_zone(tz: str | None) -> None:
    if tz is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = tz
    time.tzset()


def _first_environment() -> dict[str, str] | None:
    """Return the environment with which this process, or the parent that forked it, was started; None if unknown.

    setproctitle, which gunicorn uses, overwrites it. The reloader of ``runserver`` (RUN_MAIN) starts the server from a
    process in which Django has set TZ.
    """
    process = os.getppid() if "RUN_MAIN" in os.environ else "self"
    try:
        raw = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return None
    pairs = [pair.split("=", 1) for pair in raw.decode("utf-8", "replace").split("\0") if "=" in pair]
    return dict(pairs) if pairs else None


def _read_zone(value: Any) -> tzinfo:
    if value == "":  # an environment variable that is not set; it would be UTC
        raise ValueError("empty")
    if value is not None:
        return _zone(value)
    if doubt := zone_doubt():
        log.warning('today may be the wrong day: %s (set %s["TIME_ZONE"])', doubt, NAME)
    return machine_zone()


KEYS = {
    # Whether to read the live counters at all.
    "LIVE": Key(lambda: True, _read_switch, False),
    # Servers with the counters. None: the servers of CACHE.
    "MEMCACHED": Key(lambda: os.environ.get("FASTHITS_MEMCACHED") or None, _read_servers, ["web1:11211"]),
    # Files for tls:// servers, as for the logger.
    "TLS_CA": Key(lambda: os.environ.get("FASTHITS_TLS_CA"), _read_file, "/etc/ssl/ca.pem"),
    "TLS_CERT": Key(lambda: os.environ.get("FASTHITS_TLS_CERT"), _read_file, "/etc/ssl/site.pem"),
    "TLS_KEY": Key(lambda: os.environ.get("FASTHITS_TLS_KEY"), _read_file, "/etc/ssl/site.key"),
    "PREFIX": Key(lambda: DEFAULT_PREFIX, check_prefix, DEFAULT_PREFIX),
    "CACHE": Key(lambda: "default", _read_cache, "default"),
    # A PATTERN or several. Empty: the log in one of the usual places.
    "LOGS": Key(
        lambda: split_patterns(os.environ.get("FASTHITS_LOGS", "")), _read_patterns, "/var/log/nginx/access.log*"
    ),
    # The logger's config file. None: the default one, as for every command.
    "CONFIG": Key(lambda: None, _read_config, "/etc/fasthits.toml"),
    # What counts: the logger's options. They override those in the config file.
    "RULES": Key(dict, _read_rules, {"pages": True}),
    # Finds the object of a path whose view does not tell it: (path, match) -> object or None.
    "RESOLVER": Key(lambda: None, _read_callable, "press.old_slugs.find"),
    # Time zone of the web server, which decides the day of a hit. None: this machine's.
    "TIME_ZONE": Key(lambda: None, _read_zone, "Europe/Berlin"),
    # The database of fasthits rollup, a file or a URL of PostgreSQL, for referrers and search terms.
    "ROLLUP": Key(lambda: None, _read_database, "/var/lib/fasthits/hits.db"),
}


def given() -> dict[str, Any]:
    """Return FASTHITS from the site's settings, its keys unchecked. Raises UsageError if it is no dict."""
    found = getattr(settings, NAME, {})
    if not isinstance(found, dict):
        raise UsageError(f"{NAME} is not a dict", repr(found), f'for example {NAME} = {{"LIVE": False}}')
    return found


@cache
def setting(key: str) -> Any:
    """Return the value of a key, or its default. Raises UsageError for an invalid value.

    The types: MEMCACHED a list of Server or None; TLS_CA, TLS_CERT and TLS_KEY str or None; PREFIX and CACHE str; LOGS
    a tuple of str; LIVE bool; CONFIG Path or None; ROLLUP Path, a URL or None; RULES Rules; RESOLVER a function or
    None; TIME_ZONE a tzinfo.
    """
    value = given()[key] if key in given() else KEYS[key].default()
    try:
        return KEYS[key].read(value)
    except SettingError:  # an error of another key
        raise
    except UsageError as error:
        raise SettingError(f'{NAME}["{key}"]: {error.failed}', error.subject, error.hint) from error
    except Exception as error:  # from an import, a time zone, a value of a wrong type
        hint = f'{type(error).__name__}: {error}; for example "{key}": {KEYS[key].example!r}'
        raise SettingError(f'{NAME}["{key}"] is invalid', repr(value), hint) from error


def rules_with(options: Mapping[str, Any], config: Path | None = None) -> Rules:
    """Return the rules: *options*, named as on the command line, override RULES, which override the config file.

    The file is *config* or, if that is None, the default one. Raises UsageError as `setting` and `read_rules` do.
    """
    rules: Rules = setting("RULES")  # reports mistakes in RULES as such
    if not options and config is None:
        return rules
    return _rules_of_objects(put_before(options, _options(given().get("RULES", {}))), config or setting("CONFIG"))


def _forget(**_: Any) -> None:
    setting.cache_clear()


setting_changed.connect(_forget)
