"""`fasthits doctor`: a line a check, and what to do where one fails."""

import subprocess
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from fasthits.days import ONE_DAY
from tests.commands import fasthits, write
from tests.integration.servers import Memcached, free_port

PATTERN = "logs/%Y/%m/%d/access.log"

DJANGO = """
SECRET_KEY = "x"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                      "LOCATION": "<server>", "KEY_PREFIX": "<prefix>"}}
"""


def line(at: datetime, end: str = ' "GET / HTTP/1.1" 200 5 "-" "M"') -> bytes:
    return f"::1 - - [{at.astimezone():%d/%b/%Y:%H:%M:%S %z}]{end}\n".encode()


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder with the logs of yesterday and today."""
    for day in (date.today() - ONE_DAY, date.today()):
        write(place / day.strftime(PATTERN), line(datetime.combine(day, datetime.min.time())) * 10)
    return place


def doctor(folder: Path, spec: str, *args: str, **env: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and by the name of each check its verdict and what it says."""
    env = {"FASTHITS_LOGS": str(folder / PATTERN)} | env
    done = fasthits("doctor", "--memcached", spec, *args, cwd=folder, **env)
    assert done.stderr == b"", done.stderr
    checks = {}
    for each in done.stdout.decode().splitlines():
        name, text = each[6:].split(": ", 1)
        checks[name.removesuffix(f" {spec}")] = (each[:4].strip(), text)
    return done.returncode, checks


def test_a_good_setup_is_ok_in_every_line(folder: Path, memcached: Memcached) -> None:
    code, checks = doctor(folder, memcached.spec)
    assert {verdict for verdict, _ in checks.values()} == {"ok"}, checks
    assert (code, list(checks)) == (
        0,
        [
            *("memcached", "evictions", "counters are ints"),
            *("yesterday's log", "log format", "database", "pipe size", "clock and time zone"),
        ],
    )
    assert checks["log format"][1] == "combined, 10 of 10 lines parse"
    assert not (folder / "hits.db").exists()


def failed(checks: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: text for name, (verdict, text) in checks.items() if verdict == "FAIL"}


def test_without_memcached_the_rest_is_checked_all_the_same(folder: Path) -> None:
    code, checks = doctor(folder, f"127.0.0.1:{free_port()}")
    assert (code, list(failed(checks)), len(checks)) == (1, ["memcached"], 6)
    assert "cannot reach memcached" in checks["memcached"][1]


def test_evictions_going_on_are_told(folder: Path, start_memcached: Callable[..., Memcached]) -> None:
    memcached = start_memcached("-m", "2")
    filler = "i=0; while :; do i=$((i+1)); printf 'set %s 0 0 60000 noreply\\r\\n%060000d\\r\\n' $i 0; done"
    with subprocess.Popen(
        ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{memcached.port}; ({filler}) >&3"], stderr=subprocess.DEVNULL
    ) as filling:
        code, checks = doctor(folder, memcached.spec)
        filling.kill()
        memcached.kill()  # ends the filler as well, whose connection is lost
    assert code == 1
    assert "memcached evicts" in failed(checks)["evictions"]


@pytest.mark.parametrize(
    ("server", "prefix", "told"),
    [("", "", None), ("", "site", "use --prefix 'site:1:'"), ("127.0.0.1:1", "", "looks for counters elsewhere")],
)
def test_django_settings_are_compared(
    folder: Path, memcached: Memcached, server: str, prefix: str, told: str | None
) -> None:
    text = DJANGO.replace("<server>", server or memcached.spec).replace("<prefix>", prefix)
    write(folder / "site_settings.py", text.encode())
    code, checks = doctor(folder, memcached.spec, "--django-settings", "site_settings")
    assert code == bool(told)
    assert told is None or told in failed(checks)["key prefix"]


def test_settings_that_cannot_be_read_or_have_no_memcached_are_told(folder: Path, memcached: Memcached) -> None:
    write(folder / "plain_settings.py", b"SECRET_KEY = 'x'\n")
    for module, told in (("no_such_settings", "No module named 'no_such_settings'"), ("plain_settings", "LocMemCache")):
        code, checks = doctor(folder, memcached.spec, "--django-settings", module)
        assert code == 1
        assert told in failed(checks)["key prefix"]


@pytest.mark.parametrize(
    ("end", "name"),
    [(' "GET / HTTP/1.1" 200 5', "common"), (' "GET / HTTP/1.1" 200 5 "-" "M"', "combined"), (" whatever", None)],
)
def test_the_format_is_told(folder: Path, memcached: Memcached, end: str, name: str | None) -> None:
    yesterday = date.today() - ONE_DAY
    write(folder / yesterday.strftime(PATTERN), line(datetime.combine(yesterday, datetime.min.time()), end) * 10)
    _, checks = doctor(folder, memcached.spec)
    verdict, text = checks["log format"]
    assert text.startswith(f"{name}, 10 of 10" if name else "no format that fasthits knows: 10 of the first 10 lines")
    assert (verdict == "ok") == bool(name)


@pytest.mark.parametrize(
    ("text", "form", "name"),
    [
        ("o [{:%d/%b/%Y:%H:%M:%S %z}] GET / 200", "auto", "short"),
        ('{{"ts": {:%s}.5, "method": "GET", "uri": "/"}}', "auto", "json"),
        ("{:%Y-%m-%dT%H:%M:%S%z} GET / 200", "$time_iso8601 $request_method $request_uri $status", "nginx"),
        ("{:%s000} GET /", "%{{msec}}t %m %U", "apache"),
        ("{:%e %b %Y %H:%M} GET /", "%{{%e %b %Y %R}}t %m %U", "apache"),
    ],
)
def test_every_format_is_known_also_that_of_the_configuration(
    folder: Path, memcached: Memcached, text: str, form: str, name: str
) -> None:
    midnight = datetime.combine(date.today(), datetime.min.time()).astimezone()
    for day in (midnight - ONE_DAY, midnight):
        write(folder / day.strftime(PATTERN), (text.format(day) + "\n").encode() * 10, b"\xfftorn")
    write(folder / "rules.toml", f"format = '{form.format()}'\n".encode())
    code, checks = doctor(folder, memcached.spec, FASTHITS_CONFIG="rules.toml")
    assert failed(checks) == {}
    assert checks["log format"][1] == f"{name}, 10 of 11 lines parse"
    assert f"last line at {midnight:%Y-%m-%d %H:%M:%S}" in checks["clock and time zone"][1]
    assert code == 0


def test_rules_that_the_format_has_no_field_for_are_told(folder: Path, memcached: Memcached) -> None:
    write(folder / "rules.toml", b"by-host = true\n")
    _, checks = doctor(folder, memcached.spec, FASTHITS_CONFIG="rules.toml")
    assert "--by-host needs a log format with the virtual host" in failed(checks)["log format"]


def test_logs_that_are_not_there_or_empty_are_told(folder: Path, memcached: Memcached) -> None:
    write(folder / (date.today() - ONE_DAY).strftime(PATTERN))
    _, checks = doctor(folder, memcached.spec)
    assert {"yesterday's log", "log format"} == set(failed(checks))
    assert "log file is empty" in failed(checks)["yesterday's log"]
    _, checks = doctor(folder, memcached.spec, "--logs", "nothing-%d.log")
    assert {"yesterday's log", "log format", "clock and time zone"} == set(failed(checks))


def test_a_log_of_another_zone_or_of_the_future_is_told(folder: Path, memcached: Memcached) -> None:
    log = folder / date.today().strftime(PATTERN)
    write(log, b'::1 - - [01/Jan/2026:00:00:00 +1215] "GET / HTTP/1.1" 200 5\n')
    _, checks = doctor(folder, memcached.spec)
    assert "different time zones: +1215 in the log" in failed(checks)["clock and time zone"]
    write(log, line(datetime.now() + timedelta(hours=1)))
    _, checks = doctor(folder, memcached.spec)
    assert "ahead of this machine's clock" in failed(checks)["clock and time zone"]


def test_a_database_that_cannot_be_written_is_told(folder: Path, memcached: Memcached) -> None:
    code, checks = doctor(folder, memcached.spec, "--to", "no/such/folder/hits.db")
    assert (code, list(failed(checks))) == (1, ["database"])


def test_standard_input_cannot_be_examined() -> None:
    assert fasthits("doctor", "--logs", "-").returncode == 2
