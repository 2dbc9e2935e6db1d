"""The defaults of a site are right: the day, the rules, the addresses, the objects."""

import ctypes
import inspect
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import CommandError
from django.test.utils import override_settings

from fasthits.django import conf, live
from fasthits.django.addresses import counted_path, path_of
from fasthits.django.models import Hits
from fasthits.rules.rules import Rules
from tests.django.support import ParseLog, history_of
from tests.django_app.models import PressRelease
from tests.support.commands import write
from tests.support.logger import DAY, access_line, access_lines
from tests.support.processes import PROJECT, environment, new_mark, run_fasthits
from tests.support.servers import Memcached

pytestmark = [pytest.mark.usefixtures("tables"), pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def warnings() -> list[tuple[str, str]]:
    return [(message.id, message.msg) for message in run_checks() if message.id.startswith("fasthits.W")]


# The day


def test_the_day_is_that_of_the_machine_for_any_TIME_ZONE() -> None:
    """Django has replaced the process's time zone by TIME_ZONE, UTC by default."""
    program = "import django; django.setup(); from fasthits.django.conf import setting; print(setting('TIME_ZONE'))"
    program = f"from tests.django_app import settings; del settings.FASTHITS['TIME_ZONE']; {program}"
    env = {"DJANGO_SETTINGS_MODULE": "tests.django_app.settings", "TZ": "Pacific/Kiritimati"}
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=PROJECT, env=environment(new_mark(), env), capture_output=True, text=True)
    assert done.stdout == "Pacific/Kiritimati\n", done.stderr


def test_the_day_is_that_of_the_machine_under_the_reloader_too() -> None:
    """`runserver` starts itself again, with the TZ that Django has set."""
    child = "from fasthits.django.conf import machine_zone; print(machine_zone())"
    program = f"""
import os, subprocess, sys
os.environ |= {{"TZ": "UTC", "RUN_MAIN": "true"}}
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""
    env = environment(new_mark(), {"TZ": "Pacific/Kiritimati"})
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.stdout == "Pacific/Kiritimati\n", done.stderr


@pytest.mark.parametrize(
    ("tz", "zone"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Asia/Tokyo", "Asia/Tokyo"),
        ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ("HST10", "HST10"),
        (":<-10>10", "<-10>10"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3"),
        ("no such zone", None),
        ("CET-1CEST", None),
        ("../etc/passwd", None),
        ("", None),
    ],
)
def test_the_machines_time_zone(monkeypatch: pytest.MonkeyPatch, tz: str, zone: str | None) -> None:
    of_machine = str(conf.machine_zone())
    monkeypatch.setattr(conf, "_first_environment", lambda: {"TZ": tz})
    assert str(conf.machine_zone()) == (zone or of_machine)


def test_a_rule_as_time_zone_has_the_offsets_of_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [datetime(2026, month, 29, 1, tzinfo=UTC).timestamp() for month in range(1, 13) if month != 2]
    program = f"import time; print([time.localtime(at).tm_gmtoff for at in {moments}])"
    for tz in ("HST10", "<-10>10", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30"):
        env = environment(new_mark(), {"TZ": tz})
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
        with override_settings(FASTHITS={"TIME_ZONE": tz}):
            zone = conf.setting("TIME_ZONE")
        assert (
            done.stdout == f"{[int(datetime.fromtimestamp(at, zone).utcoffset().total_seconds()) for at in moments]}\n"
        )


def overwritten_environment() -> None:
    """Overwrite the memory of the environment, as setproctitle does for gunicorn."""
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end of proc(5)
    ctypes.memset(start, 0, end - start)


@pytest.mark.parametrize("tz", ["no such zone", None])
def test_a_time_zone_that_cannot_be_found_out_is_told(tz: str | None) -> None:
    program = f"""
import ctypes
from pathlib import Path
from django.core.checks import run_checks
from tests.django_app import settings
del settings.FASTHITS["TIME_ZONE"]
{inspect.getsource(overwritten_environment)}
if {tz is None}:
    overwritten_environment()
import django; django.setup()
from fasthits.django import live
live.today()
print([(message.id, message.msg) for message in run_checks() if message.id == "fasthits.W004"])
"""
    env = {"DJANGO_SETTINGS_MODULE": "tests.django_app.settings", "TZ": tz or "Pacific/Kiritimati"}
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=PROJECT, env=environment(new_mark(), env), capture_output=True, text=True)
    doubt = (
        "TZ is no time zone: 'no such zone'"
        if tz
        else "the TZ of this process is unknown, because its environment cannot be read or was overwritten"
    )
    assert done.stderr == f'today may be the wrong day: {doubt} (set FASTHITS["TIME_ZONE"])\n'
    text = f"Today may be the wrong day: {doubt}. Days are those of /etc/localtime."
    assert done.stdout == f"{[('fasthits.W004', text)]}\n"


def test_times_without_an_offset_are_taken_for_the_time_zone(parse_log: ParseLog, release: PressRelease) -> None:
    """Django has replaced the process's time zone by its TIME_ZONE, UTC here, in which all hits are of other days."""
    midnight = datetime(2026, 3, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    caddy = b'{"ts": %.1f, "request": {"method": "GET", "uri": "/press/a/"}, "status": 200}\n'
    lines = b"".join(caddy % (midnight + after).timestamp() for after in (timedelta(0), timedelta(0, 60), timedelta(1)))
    assert parse_log(lines, day=DAY)[1] == ""
    assert history_of(release) == {DAY: 2}
    assert time.tzname == ("UTC", "UTC")  # as the site's code needs it


def test_objects_are_found_in_the_time_zone_of_the_site(parse_log: ParseLog) -> None:
    zones: list[str] = []
    site = settings.FASTHITS | {"RESOLVER": lambda path, match: zones.append(time.tzname[0])}
    with override_settings(FASTHITS=site):
        parse_log(access_line("/nothing"))
    assert zones == ["UTC"]


def test_parse_log_says_that_the_log_has_another_time_zone(parse_log: ParseLog, release: PressRelease) -> None:
    with override_settings(FASTHITS={"TIME_ZONE": "Asia/Tokyo"}):
        _, err = parse_log(access_line("/press/a/"))
    assert err == (
        "warning: the log's times are at +0100, but days are taken at +0900 (Asia/Tokyo), so today may be the wrong "
        'day: set FASTHITS["TIME_ZONE"] to the time zone of the web server\n'
    )
    with override_settings(FASTHITS={"TIME_ZONE": "Africa/Lagos"}):
        assert parse_log(access_line("/press/a/"))[1] == ""
    assert history_of(release) == {DAY: 1}
    _, err = parse_log(b'{"time": "2026-03-12T10:00:00Z", "request": "GET /press/a/ HTTP/1.1", "status": 200}\n')
    assert "the log's times are at +0000, but days are taken at +0100 (Europe/Berlin)" in err


def test_a_check_compares_the_time_zones(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", access_line("/press/a/", live.today() - timedelta(1)))
    for zone, found in (("Asia/Tokyo", ["fasthits.W002"]), ("Africa/Lagos", [])):
        with override_settings(FASTHITS={"TIME_ZONE": zone, "LOGS": str(log)}):
            assert [code for code, _ in warnings()] == found
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "LOGS": str(tmp_path / "none.log")}):
        assert warnings() == []


# What counts


def test_one_config_file_for_the_logger_and_the_site(
    memcached: Memcached, parse_log: ParseLog, release: PressRelease, tmp_path: Path
) -> None:
    config = write(tmp_path / "fasthits.toml", b'exclude-bots = true\nfold-slash = true\nstatus = "200"\n')
    bot = access_line("/press/a/", live.today()).replace(b"Mozilla/5.0", b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    lines = access_lines(["/press/a", "/press/a/"], live.today()) + bot
    lines += access_line("/press/a/", live.today(), status=301)
    logging = ("log", "--memcached", memcached.spec, "--config", str(config))
    assert run_fasthits(*logging, stdin=lines).returncode == 0
    with override_settings(FASTHITS={"MEMCACHED": memcached.spec, "CONFIG": config, "TIME_ZONE": "Europe/Berlin"}):
        assert release.hits_today == 2
        parse_log(lines, "today", day=live.today())
        assert history_of(release) == {live.today(): 2}
        assert warnings() == []


def test_a_check_warns_of_rules_that_the_logger_does_not_read(tmp_path: Path) -> None:
    config = write(tmp_path / "fasthits.toml", b"exclude-bots = true\n")
    for changed, found in (
        ({"RULES": {"exclude_bots": True}}, ["fasthits.W001"]),
        ({"RULES": {"exclude_bots": True}, "CONFIG": str(config)}, []),
        ({"RULES": {"exclude_bots": False}, "CONFIG": str(config)}, ["fasthits.W001"]),
        ({"CONFIG": str(config)}, []),
        ({"RULES": {}}, []),
    ):
        with override_settings(FASTHITS=changed):
            assert [code for code, _ in warnings()] == found, changed


# Addresses


@pytest.mark.parametrize(
    ("address", "rules", "path"),
    [
        ("/café/", {}, b"/caf%C3%A9/"),
        ("/caf%C3%A9/", {}, b"/caf%C3%A9/"),
        ("https://site.example/café/", {}, b"/caf%C3%A9/"),
        ("//site.example/a/", {}, b"/a/"),
        ("/view?id=5", {}, b"/view"),
        ("/view?id=5#top", {"keep_query": True}, b"/view?id=5"),
        ("/view?id=5&utm=x", {"keep_query": ("id",)}, b"/view?id=5"),
        ("/a/index.html", {"fold_slash": True}, b"/a"),
    ],
)
def test_an_address_becomes_the_path_that_is_counted(address: str, rules: dict[str, Any], path: bytes) -> None:
    assert counted_path(address, Rules(**rules)) == path


def test_addresses_with_a_query_are_pages_if_the_rules_keep_queries(
    memcached: Memcached, parse_log: ParseLog, release: PressRelease
) -> None:
    """The live numbers need no setting. For the history, RESOLVER gets the query."""
    other = PressRelease.objects.create(title="B", slug="b")

    def find(path: str, match: Any) -> Any:
        return PressRelease.objects.get(slug=path.partition("?id=")[2]) if path.startswith("/view?id=") else None

    lines = access_line("/view", live.today(), query="?id=a") * 3 + access_line("/view", live.today(), query="?id=b")
    run_fasthits("log", "--memcached", memcached.spec, "--keep-query", stdin=lines)
    settings = {"MEMCACHED": memcached.spec, "RULES": {"keep_query": True}, "RESOLVER": find}
    with override_settings(FASTHITS=settings | {"TIME_ZONE": "Europe/Berlin"}):
        assert [live.hits_today(f"/view?id={slug}") for slug in "ab"] == [3, 1]
        parse_log(lines, "today", day=live.today())
    assert [obj.hits_total for obj in (release, other)] == [3, 1]


def test_a_site_below_a_folder_that_django_does_not_know_is_reported(
    parse_log: ParseLog, release: PressRelease
) -> None:
    _, err = parse_log(access_lines(["/other/", "/app/press/a/"]))
    told = 'the log has the site below /app, which Django does not know: set FORCE_SCRIPT_NAME = "/app"\n'
    assert err == told
    _, err = parse_log(access_lines(["/press/a/", "/app/press/a/"]))
    assert err == ""


def test_the_path_of_an_object_is_the_counted_path(release: PressRelease) -> None:
    assert path_of(release) == path_of("https://o.example/press/a/?x") == b"/press/a/"


# History that would be lost


def test_a_run_after_a_change_of_address_reports_the_history_it_would_lose(
    parse_log: ParseLog, release: PressRelease
) -> None:
    other = PressRelease.objects.create(title="B", slug="b")
    third = PressRelease.objects.create(title="C", slug="c")
    log = access_lines(["/press/a/"] * 3 + ["/press/b/"] * 2 + ["/press/c/"] * 5)
    parse_log(log)
    release.slug = "new"
    release.save()
    PressRelease.objects.filter(pk=other.pk).update(slug="other")
    more = log + access_lines(["/press/c/"] * 9)
    with pytest.raises(CommandError) as error:
        parse_log(more)
    losses = f"press release {release.pk}: 0 counted, 3 kept, press release {other.pk}: 0 counted, 2 kept"
    assert str(error.value) == (
        f"objects would lose hits, left unchanged: {DAY}: {losses} "
        "(has the address of a page changed since? --replace accepts fewer hits)"
    )
    assert [history_of(obj) for obj in (release, other, third)] == [{DAY: 3}, {DAY: 2}, {DAY: 5}]
    parse_log(more, str(DAY), "--replace")
    assert [history_of(obj) for obj in (release, other, third)] == [{}, {}, {DAY: 14}]


def test_history_that_would_be_lost_leaves_only_its_own_day_unchanged(
    parse_log: ParseLog, release: PressRelease
) -> None:
    other = PressRelease.objects.create(title="B", slug="b")
    Hits.objects.create(date=DAY, content_object=release, views=1)
    before = DAY - timedelta(1)
    Hits.objects.create(date=before, content_object=other, views=1)
    parse_log(access_line("/press/b/", before) * 2, str(before), day=before)
    with pytest.raises(CommandError, match=f"left unchanged: {DAY}: press release"):
        parse_log(access_lines(["/press/b/"] * 7), f"{before}..{DAY}")
    assert (history_of(release), history_of(other)) == ({DAY: 1}, {before: 2})
