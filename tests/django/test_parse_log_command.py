"""`manage.py parse_log` as a command: its DATE, its output, mistakes and signals."""

import io
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from fasthits.django import models
from fasthits.django.models import Hits
from fasthits.rules.options import OPTIONS
from tests.django.support import ParseLog, history_of
from tests.django_app.models import PressRelease
from tests.support.commands import write
from tests.support.logger import DAY, access_line, access_lines
from tests.support.processes import PROJECT

pytestmark = pytest.mark.usefixtures("tables")


def test_for_cron_only_what_needs_attention_is_printed(parse_log: ParseLog, release: PressRelease) -> None:
    good = access_lines(["/press/a/"] * 3)
    assert parse_log(good, verbosity=0) == ("", "")
    out, _ = parse_log(good + b"nonsense\n" * 2, verbosity=0)
    assert "5 lines of 1 file: 3 hits, 2 malformed\n" in out
    _, err = parse_log(access_lines(["/other/"]), verbosity=0, replace=True)
    assert err.startswith("no hit is of an object: is this the log of this site? ")


def test_without_a_date_it_is_yesterday(parse_log: ParseLog, release: PressRelease, tmp_path: Path) -> None:
    yesterday = models.first_day(1)
    (tmp_path / f"{yesterday}.log").write_bytes(access_line("/press/a/", yesterday))
    call_command("parse_log", logs=f"{tmp_path}/%Y-%m-%d.log", verbosity=0)
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "LOGS": f"{tmp_path}/%Y-%m-%d.log"}):
        call_command("parse_log", verbosity=0)
    assert history_of(release) == {yesterday: 1}


def test_call_command_takes_dates_and_paths(
    parse_log: ParseLog, release: PressRelease, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parse_log(access_lines(["/press/a/"]), verbosity=0)
    log, config, summary = tmp_path / f"{DAY}.log", write(tmp_path / "fasthits.toml", b""), tmp_path / "summary.json"
    call_command("parse_log", days=DAY, logs=log, config=str(config), summary=str(summary))
    assert json.loads(summary.read_text())["hits_of_objects"] == 1
    capsys.readouterr()
    call_command("export_hits", days=DAY)
    assert capsys.readouterr().out.splitlines()[1:] == [f"{DAY},django_app.pressrelease,{release.pk},1"]
    call_command("prune_hits", before=DAY + timedelta(1))
    assert history_of(release) == {}


def test_the_summary_as_json(parse_log: ParseLog, release: PressRelease, tmp_path: Path) -> None:
    lines = access_lines(["/press/a/"] * 2 + ["/press/a", "/nothing", "/error/"]) + b"no line\n"
    parse_log(lines + access_line("/press/a/", method="POST"), summary=tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "files": 1,
        "bytes": (tmp_path / f"{DAY}.log").stat().st_size,
        "lines": 7,
        "hits": 5,
        "filtered": {"method": 1},
        "malformed": 1,
        "formats": ["combined"],
        "spooled": 0,
        "days": [str(DAY)],
        "kept_before": {},
        "parts": {},
        "missing_servers": {},
        "objects": 1,
        "hits_of_objects": 3,
        "paths_without_object": 2,
        "hits_without_object": 2,
        "errors": 1,
        "warnings": [],
    }
    with pytest.raises(CommandError, match="cannot write summary"):
        parse_log(lines, summary=tmp_path / "no folder" / "summary.json")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["2026-03-12"], "no log file for 2026-03-12: ", 1),
        (["12 March"], "not a DATE: '12 March'", 2),
        (["--logs", "/logs/%H"], "PATTERN names the time of day", 2),
        (["--logs", ""], "not a PATTERN: ''", 2),
        (["--max-memory", "banana"], r"invalid --max-memory: 'banana' \(32M or more, for example 2G\)", 2),
        (["--max-memory", "31M"], "invalid --max-memory: '31M'", 2),
        (["--threads", "0"], "--threads must be 1 or more: 0", 2),
        (["--config", "none.toml"], r"cannot read config file: none.toml \(No such file", 2),
        (["--status", "ok"], "invalid status: 'ok'", 2),
        (["--exclude-bots", "--bots", "apart"], "exclude-bots contradicts bots: apart", 2),
        (["--by-host"], "not a rule for Django: by-host", 2),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    release: PressRelease, tmp_path: Path, arguments: list[str], message: str, code: int
) -> None:
    Hits.objects.create(date=DAY, content_object=release, views=5)
    with pytest.raises(CommandError, match=message) as error:
        call_command("parse_log", *([] if "--logs" in arguments else ["--logs", f"{tmp_path}/%F"]), *arguments)
    assert error.value.returncode == code
    assert history_of(release) == {DAY: 5}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("sent", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_ends_it_with_one_line(sent: signal.Signals, code: int, message: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    program += "runpy.run_module('tests.django_app', run_name='__main__')"
    command = [sys.executable, "-c", program, "parse_log", "--logs", tmp_path / "pipe"]
    with (
        subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE) as running,
        (tmp_path / "pipe").open("wb"),  # the open returns when the other side reads; the pipe stays open
    ):
        running.send_signal(sent)
        _, stderr = running.communicate(timeout=60)
    assert (running.returncode, stderr) == (code, f"CommandError: {message}\n".encode())


def test_a_log_that_cannot_be_read_is_reported_with_its_lines_and_what_to_type(parse_log: ParseLog) -> None:
    err = io.StringIO()
    with pytest.raises(CommandError, match="none of 3 lines can be read"):
        parse_log(b"<html>\x1b[2J\n" * 3, err=err)
    told = err.getvalue().splitlines()
    assert [line.partition(".log:")[2] for line in told[:3]] == [rf"{number}: <html>\x1b[2J" for number in (1, 2, 3)]
    assert told[3:] == ["  this looks like an HTML or XML page", "  -> name the access log"]


def test_its_help_has_the_options_of_the_rollup(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("parse_log", "--help")
    shown = capsys.readouterr().out
    assert [
        name for name in [*OPTIONS, "logs", "summary", "threads", "max-memory", "config"] if f"--{name}" not in shown
    ] == []
    assert "/%7Ea and /~a become one path" in " ".join(shown.split())
