"""`manage.py parse_log` and whole days: rotated logs, several patterns, damaged files, missing servers."""

import gzip
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from fasthits.daily.logs import places
from fasthits.django.models import Hits
from tests.daily.logs.rotated import EARLY, OF_YESTERDAY, RUN, STAMPS, YESTERDAY, Rotated, line, midnight
from tests.django_app.models import PressRelease
from tests.support.commands import write

pytestmark = pytest.mark.usefixtures("tables")

NOON = midnight(YESTERDAY) + timedelta(hours=12)


def parsed(folder: Path, *words: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """Return the command's output for yesterday, and its summary."""
    out = io.StringIO()
    summary = folder / "summary.json"
    call_command("parse_log", str(YESTERDAY), *words, summary=summary, stdout=out, stderr=out, **options)
    return out.getvalue(), json.loads(summary.read_text())


def views() -> int:
    return sum(Hits.objects.filter(date=YESTERDAY).values_list("views", flat=True))


@pytest.mark.parametrize(
    ("options", "pattern", "missing"),
    [
        ((), "access.log", "its beginning is missing"),
        ((), "access.log.1", "its end is missing"),
        (("rotate 14", "compress", "delaycompress", "dateext"), "access.log-%Y%m%d", "its end is missing"),
    ],
)
def test_a_part_of_a_rotated_log_is_an_error_and_the_whole_log_is_the_day(
    release: PressRelease, tmp_path: Path, options: tuple[str, ...], pattern: str, missing: str
) -> None:
    logs = tmp_path / "logs"
    Rotated(logs, EARLY, *options).write(STAMPS[-600:], RUN, "/press/a/")
    Hits.objects.create(date=YESTERDAY, content_object=release, views=1)
    with pytest.raises(CommandError) as error:
        parsed(tmp_path, "--logs", f"{logs}/{pattern}")
    assert error.value.returncode == 1
    assert str(error.value).startswith(f"not the whole day, left unchanged: {YESTERDAY}: {missing}: {logs}/access.log")
    assert f"--logs '{logs}/access.log*'; --partial counts what is there" in str(error.value)
    assert views() == 1
    said, summary = parsed(tmp_path, "--logs", f"{logs}/{pattern}", "--partial")
    assert f"{YESTERDAY} is only a part: {missing}" in said
    assert 1 < views() < OF_YESTERDAY
    assert list(summary["parts"]) == [str(YESTERDAY)]
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "LOGS": [f"{logs}/access.log*"]}):
        parsed(tmp_path)
    assert views() == OF_YESTERDAY


def test_a_range_saves_its_whole_days(release: PressRelease, tmp_path: Path) -> None:
    Rotated(tmp_path / "logs", EARLY).write(STAMPS[-900:], RUN, "/press/a/")
    before = YESTERDAY - timedelta(1)
    with pytest.raises(CommandError, match=f"^not the whole day, left unchanged: {YESTERDAY}: ") as error:
        call_command("parse_log", f"{before}..{YESTERDAY}", logs=[f"{tmp_path}/logs/access.log.*"], verbosity=0)
    assert error.value.returncode == 1
    assert list(Hits.objects.values_list("date", flat=True)) == [before]


def test_several_patterns_from_options_settings_and_environment_add_up(
    release: PressRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path / "a.log", line("/press/a/", NOON))
    second = write(tmp_path / f"{YESTERDAY}.log", line("/press/a/", NOON) * 2)
    both = [str(first), f"{tmp_path}/%F.log", str(second)]
    parsed(tmp_path, *(word for pattern in both for word in ("--logs", pattern)))
    assert views() == 3
    for settings in ({"LOGS": both}, {"LOGS": tuple(both)}, {}):
        Hits.objects.all().delete()
        monkeypatch.setenv("FASTHITS_LOGS", ":".join(both))
        with override_settings(FASTHITS=settings):
            parsed(tmp_path)
        assert views() == 3


def test_a_damaged_file_is_an_error_and_its_readable_part_counts_with_partial(
    release: PressRelease, tmp_path: Path
) -> None:
    write(tmp_path / "a" / f"{YESTERDAY}.log", line("/press/a/", NOON) * 5)
    lines = b"".join(line(f"/press/a/?{number}", NOON) for number in range(50_000))
    write(tmp_path / "b" / f"{YESTERDAY}.log.gz", gzip.compress(lines)[:-20_000])
    with pytest.raises(CommandError, match=r"damaged or cut short: .*--partial counts what is there\)$") as error:
        parsed(tmp_path, "--logs", f"{tmp_path}/*/%F.log")
    assert (error.value.returncode, views()) == (1, 0)
    said, _ = parsed(tmp_path, "--logs", f"{tmp_path}/*/%F.log", "--partial")
    assert f"{YESTERDAY} is only a part: compressed log file is damaged or cut short: " in said
    assert 5 < views() < 50_005


def test_servers_that_are_missing_are_named(release: PressRelease, tmp_path: Path) -> None:
    for server, days in (("web1", (-1, 0)), ("web2", (-1,))):
        for number in days:
            day = YESTERDAY + timedelta(number)
            write(tmp_path / server / f"{day}.log", line("/press/a/", midnight(day) + timedelta(hours=3)))
    said, summary = parsed(tmp_path, "--logs", f"{tmp_path}/*/%F.log")
    missing = f"{tmp_path}/web2/{YESTERDAY}.log"
    assert f"warning: no line of {YESTERDAY} in {missing}; if these sites had visitors, a log is missing\n" in said
    assert summary["missing_servers"] == {str(YESTERDAY): [missing]}


def test_without_any_logs_the_usual_place_is_named(
    release: PressRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "nginx" / "access.log", line("/press/a/", NOON))
    usual = tuple(f"{tmp_path}/{name}" for name in ("apache2/access.log*", "nginx/access.log*"))
    monkeypatch.setattr(places, "DEFAULT_LOGS", f"{tmp_path}/apache2/%Y/%m/%d/access.log")
    monkeypatch.setattr(places, "USUAL_LOGS", usual)
    monkeypatch.delenv("FASTHITS_LOGS", raising=False)
    said, _ = parsed(tmp_path)
    assert said.startswith(f"no LOGS in FASTHITS: reading {usual[1]}\n")
    assert views() == 1
