"""Checks of a Django site: whether it finds the counters, and whether its today is the server's.

The site itself reads its settings, in a separate process. With the app fasthits.django the app tells where it looks;
without it Django's cache does, whose `make_key` knows prefix, version and key function.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fasthits.errors import FasthitsError
from fasthits.live.keys import hit_key
from fasthits.live.servers import Server, check_servers
from fasthits.records import fields_of
from fasthits.rules.config import CONFIG
from fasthits.upkeep.doctor.verdicts import Finding, Setup, Verdict

ZONES = 12
"""The number of moments to compare, a month apart: two zones may differ only in summer."""

_SCRIPT = """
import json, sys, time
from datetime import datetime
try:
    import django
    from django.conf import settings
    settings.INSTALLED_APPS
    moments = json.loads(sys.argv[1])
    if any(name.startswith("fasthits.django") for name in settings.INSTALLED_APPS):
        from fasthits.django.conf import setting
        from fasthits.django.live import counter_servers
        from fasthits.records import fields_of
        site = {
            "servers": counter_servers(),
            "prefix": setting("PREFIX"),
            "live": setting("LIVE"),
            "rules": fields_of(setting("RULES")),
            "zone": str(setting("TIME_ZONE")),
            "offsets": [datetime.fromtimestamp(at, setting("TIME_ZONE")).utcoffset().total_seconds() for at in moments],
        }
    else:
        cache = settings.CACHES["default"]
        location = cache.get("LOCATION") or []
        site = {
            "backend": cache["BACKEND"],
            "servers": list(location) if isinstance(location, (list, tuple)) else [location],
            "zone": settings.TIME_ZONE,
            "offsets": [time.localtime(at).tm_gmtoff for at in moments],
        }
        if "memcached" in cache["BACKEND"].lower():
            from django.core.cache import caches
            site["key"] = caches["default"].make_key("2026-03-12/")
except BaseException as error:
    site = {"error": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(site, default=sorted))
"""
"""What reads the counters: the app fasthits.django if the site has it, as the app itself finds them; else the cache."""


def finds_counters(setup: Setup) -> str:
    """Say that the site looks for the counters where the logger puts them."""
    site = _read_site(setup)
    return _app_finds_counters(setup, site) if "prefix" in site else _cache_finds_counters(setup, site)


def _app_finds_counters(setup: Setup, site: dict[str, Any]) -> str:
    """Say that the app fasthits.django has the servers, the prefix and the rules of the logger."""
    where = f"FASTHITS of {setup.django_settings}"
    if not site["live"]:
        raise Finding(f'{where} has "LIVE": False, so no page shows a live number', 'remove "LIVE"', Verdict.WARN)
    if site["prefix"] != setup.prefix:
        text = f"the app looks for keys with the prefix {site['prefix']!r}, the logger makes {setup.prefix!r}"
        other = f"use --prefix {site['prefix']!r} for every fasthits command, the logger too"
        raise Finding(text, f'set "PREFIX": {setup.prefix!r} in {where}; or {other}')
    _check_servers(setup, _servers_of(site["servers"], where), "the app", f'set "MEMCACHED" in {where}; or ')
    ours = json.loads(json.dumps(fields_of(setup.rules.live), default=sorted))
    if differing := [name for name, value in ours.items() if site["rules"][name] != value]:
        text = f"the app has other rules than the logger: {', '.join(differing)}"
        remedy = f'name the logger\'s config file: "CONFIG": "{setup.config or CONFIG}" in {where}, and remove "RULES"'
        raise Finding(text, remedy)
    return f"the app of {setup.django_settings} finds its counters under {setup.prefix}"


def _check_servers(setup: Setup, servers: Sequence[Server], reader: str, other: str = "") -> None:
    if not _same(servers, setup.servers):
        text = (
            f"{reader} looks for counters at {', '.join(servers)}, the logger puts them at {', '.join(setup.servers)}"
        )
        raise Finding(text, f"{other}use --memcached {','.join(servers)} for every fasthits command, the logger too")


def _cache_finds_counters(setup: Setup, site: dict[str, Any]) -> str:
    """Say that Django's cache has the keys and servers of the logger."""
    backend = site["backend"]
    where = f'CACHES["default"] of {setup.django_settings}'
    if "memcached" not in backend.lower():
        remedy = f'set {where} to {{"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": '
        raise Finding(f"this cache is not memcached: {backend}", f"{remedy}{list(setup.servers)!r}}}")
    day = date(2026, 3, 12)
    if site["key"] != hit_key(day, b"/", setup.prefix):
        head, found, tail = site["key"].partition("2026-03-12/")
        if not found or tail:
            raise Finding(
                f"the site's KEY_FUNCTION makes other keys: {site['key']}", f"remove KEY_FUNCTION from {where}"
            )
        text = f"Django's keys have the prefix {head!r}, not {setup.prefix!r}"
        raise Finding(text, f"use --prefix {head!r} for every fasthits command, the logger too")
    servers = _servers_of(site["servers"], where)
    _check_servers(setup, servers, "Django")
    if len(servers) > 1 and not backend.endswith("PyMemcacheCache"):
        name = backend.rpartition(".")[2]
        text = f"{name} spreads keys over {len(servers)} servers differently: it finds only some counters"
        raise Finding(text, f'set "BACKEND" in {where} to "django.core.cache.backends.memcached.PyMemcacheCache"')
    return f"{setup.django_settings} finds its counters under {setup.prefix}"


def same_today(setup: Setup) -> str:
    """Say that the site's today is the day on which this machine counts."""
    site = _read_site(setup)
    setting = 'FASTHITS["TIME_ZONE"]' if "prefix" in site else "TIME_ZONE"
    moments = _moments()
    here = [datetime.fromtimestamp(at).astimezone().utcoffset() for at in moments]
    there = [timedelta(seconds=seconds) for seconds in site["offsets"]]
    for at, ours, theirs in zip(moments, here, there, strict=True):
        if ours != theirs:
            month = f"{datetime.fromtimestamp(at, UTC):%B}"
            text = f'{setting} = "{site["zone"]}" differs from this machine\'s time zone: in {month} '
            text += f"{_signed(theirs)} there, {_signed(ours)} here, so today's number is 0 for that long"
            raise Finding(text, f'set {setting} in {setup.django_settings} to this machine\'s zone, "{_zone_here()}"')
    return f"{site['zone']}, the same time as this machine's all year round"


def _read_site(setup: Setup) -> dict[str, Any]:
    module = setup.django_settings or ""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(_moments())],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": module},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    try:
        site: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        site = {"error": last}
    if "error" in site:
        remedy = f"run fasthits doctor in the site's folder, so that python -c 'import {module}' works there"
        raise Finding(f"cannot read Django's settings {module}: {site['error']}", remedy)
    return site


def _servers_of(locations: Iterable[str], where: str) -> list[Server]:
    try:
        return check_servers(locations)
    except FasthitsError as error:
        raise Finding(
            f"no memcached in {where}: {error}", 'set its "LOCATION" to the servers of --memcached'
        ) from error


def _same(servers: Sequence[Server], others: Sequence[str]) -> bool:
    """Tell whether both are the same servers. Several servers must have the same names, which decide a key's server."""
    names, other_names = ({Server(each).address for each in each_list} for each_list in (servers, others))
    if names == other_names:
        return True
    return len(names) == len(other_names) == 1 and bool(_addresses(*names) & _addresses(*other_names))


def _addresses(name: tuple[str, int] | str) -> set[object]:
    """Return the addresses of a server."""
    if isinstance(name, str):
        return {name}
    try:
        return {found[4][:2] for found in socket.getaddrinfo(*name, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return {name}


def _moments() -> list[int]:
    """Return a moment in each of the next months, as Unix times."""
    now = datetime.now(UTC)
    return [int((now + timedelta(days=30 * month)).timestamp()) for month in range(ZONES)]


def _signed(offset: timedelta | None) -> str:
    minutes = int((offset or timedelta()).total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _zone_here() -> str:
    """Return the name of this machine's time zone, or UTC if it is unknown."""
    named = os.environ.get("TZ") or os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    return named.removeprefix(":") or "UTC"
