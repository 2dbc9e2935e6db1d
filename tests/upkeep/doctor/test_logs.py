"""`fasthits doctor` on the log files: found, readable, whole, parsed, with times of this machine's clock."""

import gzip
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from fasthits.daily.days import ONE_DAY
from tests.support.commands import write
from tests.support.logger import access_line
from tests.support.servers import Memcached
from tests.upkeep.doctor.support import AS_ROOT, PATTERN, doctor, failing, line, log_of


@pytest.mark.parametrize(
    ("end", "name"),
    [(' "GET / HTTP/1.1" 200 5', "common"), (' "GET / HTTP/1.1" 200 5 "-" "M"', "combined"), (" whatever", None)],
)
def test_the_format_is_reported(folder: Path, shared: Memcached, end: str, name: str | None) -> None:
    yesterday = date.today() - ONE_DAY
    write(log_of(folder, yesterday), line(datetime.combine(yesterday, datetime.min.time()), end) * 10)
    verdict, text, remedy = doctor(folder, shared.spec).checks["log format"]
    assert text.startswith(f"{name}, 10 of 10" if name else "10 of the first 10 lines cannot be read: ")
    assert (verdict == "ok") == bool(name)
    assert name or "fasthits explain" in remedy


@pytest.mark.parametrize(
    ("text", "log_format", "name"),
    [
        ("o [{:%d/%b/%Y:%H:%M:%S %z}] GET / 200", "auto", "short"),
        ('{{"ts": {:%s}.5, "method": "GET", "uri": "/"}}', "auto", "json"),
        ("{:%Y-%m-%dT%H:%M:%S%z} GET / 200", "$time_iso8601 $request_method $request_uri $status", "nginx"),
        ("{:%s000} GET /", "%{{msec}}t %m %U", "apache"),
        ("{:%e %b %Y %H:%M} GET /", "%{{%e %b %Y %R}}t %m %U", "apache"),
    ],
)
def test_every_format_is_recognised_and_that_of_the_configuration_too(
    folder: Path, shared: Memcached, text: str, log_format: str, name: str
) -> None:
    midnight = datetime.combine(date.today(), datetime.min.time()).astimezone()
    for day in (midnight - ONE_DAY, midnight):
        write(log_of(folder, day), (text.format(day) + "\n").encode() * 10, b"\xfftorn")
    write(folder / "rules.toml", f"format = '{log_format.format()}'\n".encode())
    said = doctor(folder, shared.spec, FASTHITS_CONFIG=str(folder / "rules.toml"))
    assert said.failed() == {}
    assert said.checks["log format"][1] == f"{name}, 10 of 11 lines parse"
    assert f"last line at {midnight:%Y-%m-%d %H:%M:%S}" in said.checks["clock and time zone"][1]


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        (
            b'{"msg": "hello"}\n' * 10,
            "",
            "10 of the first 10 lines cannot be read: json: no time and no method and no path under a name that "
            "fasthits knows: ",
        ),
        (
            b'{"at": "2026-03-12 10:00", "m": "GET", "p": "/"}\n',
            "",
            "-> try --format json --json-fields time=NAME,",
        ),
        (b"10.0.0.1 GET /a\n" * 10, "", "cannot be read: no named format finds its time in it: no time like ["),
        (
            access_line("/a").replace(b"\n", b"\r") * 10 + b"\n",
            "",
            "1 of the first 1 lines cannot be read: the lines end with CR only, so they are one line: ",
        ),
        (b"<html>\n" * 10, "", "this looks like an HTML or XML page: "),
        (access_line("/a"), 'format = "json"', "the line is not json: it can be read as combined: "),
        (
            access_line("/a"),
            "by-host = true",
            "--by-host needs a log format with the virtual host: combined -> let the server log it, in Apache",
        ),
        (b'[12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n', "exclude-bots = true", "--exclude-bots needs"),
    ],
)
def test_lines_that_cannot_be_counted_are_reported(
    folder: Path, shared: Memcached, lines: bytes, options: str, told: str
) -> None:
    write(log_of(folder, date.today() - ONE_DAY), lines)
    write(folder / "rules.toml", options.encode())
    assert told in failing(folder, shared.spec, FASTHITS_CONFIG=str(folder / "rules.toml"))["log format"]


def test_a_rule_that_leaves_all_lines_out_is_reported(folder: Path, shared: Memcached) -> None:
    write(log_of(folder, date.today() - ONE_DAY), access_line("/a", method="POST") * 9)
    verdict, text, remedy = doctor(folder, shared.spec).checks["log format"]
    assert verdict == "warn"
    assert text == (
        "no hits in the first 9 lines, one rule filters 9 of them (method): only GET counts; the log has POST"
    )
    assert remedy == "--method GET,POST counts such lines"


def test_a_field_that_a_rule_needs_and_no_line_has_is_reported(folder: Path, shared: Memcached) -> None:
    write(log_of(folder, date.today() - ONE_DAY), (access_line("/a").partition(b' "-"')[0] + b"\n") * 20)
    write(folder / "rules.toml", b'exclude-bots = true\nformat = "combined"\n')
    verdict, text, remedy = doctor(folder, shared.spec, FASTHITS_CONFIG=str(folder / "rules.toml")).checks["log format"]
    assert verdict == "warn"
    assert text == "--exclude-bots needs the user agent, which the first 20 lines do not have"
    assert remedy.startswith("leave --format out, or add ")


def test_missing_and_empty_logs_are_reported(folder: Path, shared: Memcached) -> None:
    write(log_of(folder, date.today() - ONE_DAY))
    failed = failing(folder, shared.spec)
    assert {"yesterday's log", "log format"} == set(failed)
    assert "log file is empty" in failed["yesterday's log"]
    log_of(folder, date.today() - ONE_DAY).unlink()
    said = doctor(folder, shared.spec)
    assert said.failed() == {}
    assert said.checks["yesterday's log"][0] == "warn"
    failed = failing(folder, shared.spec, "--logs", "nothing-%d.log")
    assert {"log is counted", "yesterday's log", "log format", "clock and time zone"} == set(failed)
    assert all("name the web server's log with --logs" in text for text in failed.values())


def test_a_pipe_in_place_of_a_log_is_reported_and_not_waited_for(folder: Path, shared: Memcached) -> None:
    os.mkfifo(folder / "access.log")
    failed = failing(folder, shared.spec, "--logs", str(folder / "access.log"))
    assert {"yesterday's log", "log format", "clock and time zone"} <= set(failed)
    assert "not a file, so it cannot be looked at" in failed["yesterday's log"]


def test_yesterday_must_be_whole(folder: Path, shared: Memcached) -> None:
    """A rollup would leave out a day that is not whole. Doctor says so before the night."""
    noon = datetime.combine(date.today() - ONE_DAY, datetime.min.time().replace(hour=12))
    log = folder / "kept/access.log"
    write(log, line(noon) + line(noon + ONE_DAY))
    write(log.with_name("access.log.1"), line(noon - ONE_DAY))
    os.utime(log.with_name("access.log.1"), (time.time(), noon.timestamp()))
    assert doctor(folder, shared.spec, "--logs", f"{log}*").checks["yesterday's log"][0] == "ok"
    verdict, found, remedy = doctor(folder, shared.spec, "--logs", str(log)).checks["yesterday's log"]
    assert (verdict, remedy) == ("FAIL", f"name all files of the log: --logs '{log}*'")
    assert f"is not whole, so the rollup will leave it out: its beginning is missing: {log} begins at" in found


def test_the_end_of_yesterday_is_found_in_compressed_logs_as_well(folder: Path, shared: Memcached) -> None:
    noon = datetime.combine(date.today() - ONE_DAY, datetime.min.time().replace(hour=12))
    log = folder / "kept/access.log.1.gz"
    for last, verdict in ((noon + ONE_DAY, "ok"), (noon, "FAIL")):
        write(log, gzip.compress(line(noon - ONE_DAY) * 99 + line(noon) * 10_000 + line(last)))
        checks = doctor(folder, shared.spec, "--logs", f"{log.parent}/access.log*").checks
        assert checks["yesterday's log"][0] == verdict, checks["yesterday's log"]


@AS_ROOT
@pytest.mark.parametrize("unreadable", [PATTERN, "logs"])
def test_logs_that_the_user_may_not_read_are_reported(folder: Path, shared: Memcached, unreadable: str) -> None:
    for day in (date.today(), date.today() - ONE_DAY):
        (folder / day.strftime(unreadable)).chmod(0o700)
    failed = failing(folder, shared.spec, "--user", "www-data")
    assert {"yesterday's log", "log format", "log is counted"} <= set(failed)
    said = "(Permission denied) -> let the user read it: setfacl, as fasthits conf prints it"
    assert said in failed["yesterday's log"]
    assert failing(folder, shared.spec) == {}


@pytest.mark.parametrize(
    ("stamp", "told"),
    [
        ("01/Jan/2026:00:00:00 +1215", "different time zones: +1215 in the log"),
        (f"{datetime.now().astimezone() + timedelta(hours=1):%d/%b/%Y:%H:%M:%S %z}", "ahead of this machine's clock"),
    ],
    ids=["another zone", "the future"],  # the same in each worker of pytest-xdist
)
def test_a_log_of_another_zone_or_of_the_future_is_reported(
    folder: Path, shared: Memcached, stamp: str, told: str
) -> None:
    write(log_of(folder, date.today()), f'::1 - - [{stamp}] "GET / HTTP/1.1" 200 5\n'.encode())
    failed = failing(folder, shared.spec)["clock and time zone"]
    assert told in failed
    assert "timedatectl" in failed


def test_the_time_zone_of_a_w3c_log_is_that_of_its_lines(folder: Path, shared: Memcached) -> None:
    """The last lines do not name the columns."""
    now = datetime.now(UTC)
    lines = f"{now:%Y-%m-%d %H:%M:%S} GET /{'a' * 200} 200\n" * 2000
    write(folder / "w3c.log", b"#Fields: date time cs-method cs-uri-stem sc-status\n" + lines.encode())
    options = (shared.spec, "--logs", str(folder / "w3c.log"))
    failed = failing(folder, *options, TZ="HERE-5")["clock and time zone"]
    assert "different time zones: +0000 in the log, +0500 here" in failed
    assert "clock and time zone" not in failing(folder, *options, TZ="UTC")
