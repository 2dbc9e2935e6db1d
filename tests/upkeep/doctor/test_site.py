"""`fasthits doctor` on Django: its cache, its app, its time zone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import write
from tests.support.servers import Memcached
from tests.upkeep.doctor.support import doctor, failing

DJANGO = """
SECRET_KEY = "x"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "<server>"}}
TIME_ZONE = None
"""


def change(text: str) -> str:
    """Return settings with more keys of the default cache."""
    return f'CACHES["default"] |= {text}\n'


PYLIBMC = 'CACHES["default"]["BACKEND"] = "django.core.cache.backends.memcached.PyLibMCCache"\n'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param("", None, id="as the logger has it"),
        pytest.param(change('{"LOCATION": "<server>".replace("127.0.0.1", "localhost")}'), None, id="localhost"),
        pytest.param(change('{"KEY_PREFIX": "site"}'), "-> use --prefix 'site:1:' for every", id="KEY_PREFIX"),
        pytest.param(change('{"VERSION": 2}'), "-> use --prefix ':2:' for every", id="VERSION"),
        pytest.param(
            change('{"KEY_FUNCTION": lambda key, prefix, version: f"{prefix}:{hash(key)}"}'),
            "-> remove KEY_FUNCTION from CACHES",
            id="KEY_FUNCTION",
        ),
        pytest.param(
            change('{"LOCATION": "127.0.0.1:1"}'), "-> use --memcached 127.0.0.1:1 for every", id="another server"
        ),
        pytest.param('CACHES["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}', "LocMem"),
        pytest.param("del CACHES", "LocMem", id="no CACHES"),
        pytest.param("import no_such_module", "No module named 'no_such_module' -> run fasthits doctor in the site's"),
        pytest.param("1 / 0", "ZeroDivisionError", id="an error"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="an exit"),
        pytest.param(change('{"LOCATION": ["one:1", "two:2"]}'), "-> use --memcached one:1,two:2", id="more servers"),
    ],
)
def test_djangos_cache_is_compared(folder: Path, shared: Memcached, settings: str, told: str | None) -> None:
    write(folder / "site_settings.py", (DJANGO + settings).replace("<server>", shared.spec).encode())
    said = doctor(folder, shared.spec, "--django-settings", "site_settings")
    assert told is None or told in said.failed()["Django's cache"]
    assert told or said.failed() == {}


APP = 'INSTALLED_APPS = ["django.contrib.contenttypes", "fasthits.django"]\n'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param("", None, id="as the logger has it"),
        pytest.param(change('{"KEY_PREFIX": "site"}'), None, id="KEY_PREFIX is not for counters"),
        pytest.param(change('{"KEY_FUNCTION": lambda key, prefix, version: key[::-1]}'), None, id="nor KEY_FUNCTION"),
        pytest.param(
            'FASTHITS = {"PREFIX": "site:"}', "looks for keys with the prefix 'site:', the logger", id="PREFIX"
        ),
        pytest.param(
            'CACHES["hits"] = CACHES["default"] | {"LOCATION": "127.0.0.1:1"}\nFASTHITS = {"CACHE": "hits"}\n',
            'the app looks for counters at 127.0.0.1:1, the logger puts them at <server> -> set "MEMCACHED" in',
            id="another alias",
        ),
        pytest.param(
            'FASTHITS = {"MEMCACHED": "127.0.0.1:1"}', "the app looks for counters at 127.0.0.1:1", id="MEMCACHED"
        ),
        pytest.param('CACHES = {}\nFASTHITS = {"MEMCACHED": "<server>"}', None, id="no cache"),
        pytest.param(PYLIBMC, None, id="pylibmc"),
        pytest.param('FASTHITS = {"RULES": {"exclude_bots": True}}', "other rules than the logger: bots", id="RULES"),
        pytest.param('FASTHITS = {"CONFIG": "none.toml"}', "cannot read config file: none.toml", id="CONFIG"),
        pytest.param('FASTHITS = {"LIVE": 5}', 'FASTHITS["LIVE"] is invalid: 5', id="an invalid setting"),
    ],
)
def test_the_app_is_compared_as_it_finds_its_counters(
    folder: Path, shared: Memcached, settings: str, told: str | None
) -> None:
    write(folder / "site_settings.py", (DJANGO + APP + settings).replace("<server>", shared.spec).encode())
    failed = doctor(folder, shared.spec, "--django-settings", "site_settings").failed()
    assert told is None or told.replace("<server>", shared.spec) in failed["Django's cache"]
    assert told or failed == {}


@pytest.mark.parametrize(("there", "told"), [(None, None), ("Europe/Berlin", None), ("UTC", "set FASTHITS[")])
def test_the_days_of_the_app_are_compared(folder: Path, shared: Memcached, there: str | None, told: str | None) -> None:
    settings = f'{DJANGO}{APP}TIME_ZONE = "UTC"\nFASTHITS = {{"TIME_ZONE": {there!r}}}'
    write(folder / "site_settings.py", settings.replace("<server>", shared.spec).encode())
    failed = failing(folder, shared.spec, "--django-settings", "site_settings", TZ="Europe/Berlin")
    assert ("Django's time zone" in failed) == bool(told)
    assert told is None or told in failed["Django's time zone"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (PYLIBMC, 'PyLibMCCache spreads keys over 2 servers differently: it finds only some counters -> set "BACK'),
        (
            change('{"LOCATION": "<server>".replace("127.0.0.1", "localhost")}'),
            "Django looks for counters at localhost",
        ),
        (change('{"LOCATION": ",".join(reversed("<server>".split(",")))}'), None),
    ],
)
def test_several_servers_of_django_are_compared(
    folder: Path, start_memcached: Callable[..., Memcached], settings: str, told: str | None
) -> None:
    spec = ",".join(start_memcached().spec for _ in range(2))
    write(folder / "site_settings.py", (DJANGO + settings).replace("<server>", spec).encode())
    said = doctor(folder, spec, "--django-settings", "site_settings")
    assert told is None or told in said.failed()["Django's cache"]
    assert told or said.failed() == {}


def test_missing_settings_are_reported(folder: Path, shared: Memcached) -> None:
    failed = failing(folder, shared.spec, "--django-settings", "no_such_settings")
    assert "No module named 'no_such_settings' -> run fasthits doctor in the site's folder" in failed["Django's cache"]


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ("Europe/Berlin", "Europe/Berlin", None),
        ("Europe/Berlin", "Europe/Paris", None),
        ("Europe/Berlin", "UTC", '"UTC" differs from this machine\'s time zone: in '),
        ("Europe/London", "UTC", '"UTC" differs from this machine\'s time zone: in '),
        ("UTC", "America/New_York", 'zone, "UTC"'),
    ],
)
def test_djangos_today_is_compared_all_the_year(
    folder: Path, shared: Memcached, here: str, there: str, told: str | None
) -> None:
    write(folder / "site_settings.py", f"{DJANGO}TIME_ZONE = '{there}'\n".replace("<server>", shared.spec).encode())
    failed = failing(folder, shared.spec, "--django-settings", "site_settings", TZ=here)
    assert ("Django's time zone" in failed) == bool(told)
    assert told is None or told in failed["Django's time zone"]
