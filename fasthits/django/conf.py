"""The settings of a site: the dict FASTHITS, of which every key may be left out."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.cache import caches
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from fasthits.daily.days import has_date, split_patterns
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix
from fasthits.live.servers import Server, TlsFiles, check_servers
from fasthits.rules.config import put_before, read_rules
from fasthits.rules.options import OPTIONS
from fasthits.rules.rules import Rules

NAME = "FASTHITS"


class Key(NamedTuple):
    """A key of FASTHITS: the value it has when it is left out, and what makes of a value the one to use."""

    default: Callable[[], Any]
    read: Callable[[Any], Any]


def _read_servers(value: Any) -> list[Server] | None:
    if value is None:
        return None
    files = TlsFiles(setting("TLS_CA"), setting("TLS_CERT"), setting("TLS_KEY"))
    return check_servers([value] if isinstance(value, str) else value, files)


def _read_file(value: Any) -> str | None:
    return value if value is None else os.fspath(value)


def _read_patterns(value: Any) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else tuple(value)
    for pattern in patterns:
        has_date(pattern)
    return patterns


def _read_cache(value: str) -> str:
    caches[value]
    return value


def _read_callable(value: Any) -> Callable[..., Any] | None:
    found = import_string(value) if isinstance(value, str) else value
    if found is not None and not callable(found):
        raise TypeError("not callable")
    return found


def _read_rules(value: Mapping[str, Any]) -> Rules:
    return _rules_of_objects(_options(value))


def _options(value: Mapping[str, Any]) -> dict[str, Any]:
    options = {name.replace("_", "-"): option for name, option in value.items()}
    if unknown := options.keys() - OPTIONS.keys():
        raise UsageError("no such rule", ", ".join(sorted(unknown)), f"there are {', '.join(OPTIONS)}")
    return options


def _rules_of_objects(options: Mapping[str, Any], config: Path | None = None) -> Rules:
    rules = read_rules(options, config)
    if rules.by_host:
        raise UsageError("no rule for objects, whose addresses have no host", "by-host", "set it to False in RULES")
    return rules.live


KEYS = {
    # Where the counters are; None: where the cache has its values.
    "MEMCACHED": Key(lambda: os.environ.get("FASTHITS_MEMCACHED"), _read_servers),
    # Files for those of them with tls://, as for the logger.
    "TLS_CA": Key(lambda: os.environ.get("FASTHITS_TLS_CA"), _read_file),
    "TLS_CERT": Key(lambda: os.environ.get("FASTHITS_TLS_CERT"), _read_file),
    "TLS_KEY": Key(lambda: os.environ.get("FASTHITS_TLS_KEY"), _read_file),
    "PREFIX": Key(lambda: DEFAULT_PREFIX, check_prefix),
    "CACHE": Key(lambda: "default", _read_cache),
    # A PATTERN or several; none: the log in one of the usual places.
    "LOGS": Key(lambda: split_patterns(os.environ.get("FASTHITS_LOGS", "")), _read_patterns),
    # What counts: options as the logger has them, in place of those in its configuration file.
    "RULES": Key(dict, _read_rules),
    # What finds the object of a path that the views do not tell: (path, match) -> object or None.
    "RESOLVER": Key(lambda: None, _read_callable),
    # Where Apache's clock is: its zone decides which day a hit is of.
    "TIME_ZONE": Key(lambda: settings.TIME_ZONE, ZoneInfo),
}


def given() -> dict[str, Any]:
    """Return FASTHITS as it stands in the site's settings."""
    return getattr(settings, NAME, {})


@cache
def setting(key: str) -> Any:
    """Return the value of a key, or what stands for it where it is left out. Raises UsageError for one without sense.

    The values are: MEMCACHED a list or None, TLS_CA, TLS_CERT and TLS_KEY texts or None, PREFIX and CACHE texts, LOGS a
    tuple of them, RULES Rules, RESOLVER a function or None, TIME_ZONE a ZoneInfo.
    """
    value = given()[key] if key in given() else KEYS[key].default()
    try:
        return KEYS[key].read(value)
    except UsageError as error:
        raise UsageError(f'{NAME}["{key}"]: {error.failed}', error.subject, error.hint) from error
    except Exception as error:  # of whatever is tried there: an import, a time zone, a value of another type
        raise UsageError(f'{NAME}["{key}"] makes no sense', repr(value), f"{type(error).__name__}: {error}") from error


def rules_with(options: Mapping[str, Any], config: Path | None = None) -> Rules:
    """Return what counts where *options*, named as on the command line, come before those of RULES; and those before
    the file *config*, or the one that is found.

    Raises UsageError as `setting` and `read_rules` do.
    """
    rules: Rules = setting("RULES")  # whose mistakes are told as its own
    if not options and config is None:
        return rules
    return _rules_of_objects(put_before(options, _options(given().get("RULES", {}))), config)


def _forget(**_: Any) -> None:
    setting.cache_clear()


setting_changed.connect(_forget)
