"""The names of rotated logs, and the times in their lines."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from fasthits.daily.logs.extents import is_over
from fasthits.daily.logs.rotated_names import LogName, read_name
from fasthits.formats.format import Format
from fasthits.formats.named import find_format
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules
from fasthits.rules.timestamps import detect_format, timestamps, written_times
from tests.support.commands import hit

DAY = date(2026, 11, 24)
MIDNIGHT = datetime(2026, 11, 24)


@pytest.mark.parametrize(
    ("name", "log", "number", "stamp", "day"),
    [
        ("/v/access.log.1", "/v/access.log", 1, None, None),
        ("/v/access.log.14.gz", "/v/access.log", 14, None, None),
        ("access.1.log.zst", "access.log", 1, None, None),
        ("/v/access_log-20261124", "/v/access_log", None, MIDNIGHT, DAY),
        ("/v/access.log-20261124.gz", "/v/access.log", None, MIDNIGHT, DAY),
        ("/v/access.log-2026112405", "/v/access.log", None, datetime(2026, 11, 24, 5), None),
        ("/v/access.log-20261124-1764000000", "/v/access.log", None, None, None),
        ("/v/access-20261124.log", "/v/access.log", None, MIDNIGHT, DAY),
        ("/v/access-2026-11-24T00-00-00.000.log.gz", "/v/access.log", None, None, None),
        ("/v/2026-11-24.log", "/v/.log", None, MIDNIGHT, DAY),
        ("/v/access.log.gz.1", "/v/access.log", 1, None, None),
        ("/v/access.log.zst-20261124", "/v/access.log", None, MIDNIGHT, DAY),
        ("/v/access-20261124.log.zip", "/v/access.log", None, MIDNIGHT, DAY),
        ("/c/0a/0a-json.log.1", "/c/0a/0a-json.log", 1, None, None),
        ("/c/0a/0a-json.log.2.gz", "/c/0a/0a-json.log", 2, None, None),
        ("/v/access.log-99999999", "/v/access.log", None, None, None),
        ("/v/2026/11/24/access.log.1", "/v/*/access.log", 1, None, None),
        ("W3SVC1/u_ex261124.log", "W3SVC1/u_ex.log", None, MIDNIGHT, DAY),
        ("W3SVC1/u_ex261124_x.log", "W3SVC1/u_ex_x.log", None, MIDNIGHT, DAY),
        ("W3SVC1/u_ex26112405.log.gz", "W3SVC1/u_ex.log", None, datetime(2026, 11, 24, 5), None),
        ("cf/E1ABC.2026-11-24-05.0f3a9c51.gz", "cf/E1ABC", None, datetime(2026, 11, 24, 5), None),
        ("cf/E1ABC.2026-11-24-05.74376720", "cf/E1ABC", None, datetime(2026, 11, 24, 5), None),
    ],
)
def test_a_rotated_file_belongs_to_its_log(
    name: str, log: str, number: int | None, stamp: datetime | None, day: date | None
) -> None:
    assert read_name(name) == LogName(log, True, number, stamp, day)


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("access.log", "access.log"),
        ("/v/access.log.gz", "/v/access.log"),
        ("/v/web-1.access.log", "/v/web-1.access.log"),
        ("/v/access-1.log", "/v/access-1.log"),
        ("/v/access.log.old", "/v/access.log.old"),
        ("/v/2026/11/24/access.log", "/v/*/access.log"),
        ("", ""),
    ],
)
def test_other_files_are_logs_of_their_own(name: str, log: str) -> None:
    assert read_name(name) == LogName(log, False, None, None)


NOON = datetime(2026, 3, 12, 10, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("line", "log_format"),
    [
        (hit("/"), "auto"),
        (b"example.org:80 " + hit("/"), "auto"),
        (b'2026-03-12T10:00:00+01:00 GET "/a b" 200', '$time_iso8601 $request_method "$request_uri" $status'),
        (b"1773306000.000 GET /a 200", "$msec $request_method $request_uri $status"),
        (b'12/03/2026 10:00 "GET /a HTTP/1.1"', '%{%d/%m/%Y %H:%M}t "%r"'),
        (b'{"time_iso8601":"2026-03-12T10:00:00+01:00","request_method":"GET","request_uri":"/"}', "json"),
    ],
)
def test_the_time_of_a_line_is_read_in_every_format(line: bytes, log_format: str) -> None:
    compiled = CompiledRules(Rules(format=log_format))
    lines = [b"no line", b"", line.rstrip()]
    found: Format = find_format(log_format) if log_format != "auto" else detect_format(lines, compiled)
    (stamp,) = timestamps(lines, found, compiled)
    if log_format.startswith("%{"):  # a time without a zone is in this machine's zone
        assert (stamp.replace(tzinfo=None), stamp.tzinfo is None) == (NOON.replace(tzinfo=None), False)
    else:
        assert stamp == NOON


def test_the_times_of_w3c_lines_are_read_wherever_their_columns_are_named() -> None:
    """The last lines of a log do not have the line that names the columns."""
    compiled = CompiledRules(Rules(format="w3c"))
    w3c, midnight = find_format("w3c"), datetime(2026, 3, 12)
    lines = [
        b"#Date: 2026-03-01 09:00:00",
        b"GET /a 2026-03-12 00:00:00.5 200",
        b'"2026-03-12" "00:00:00" GET',
        b"2026-02-30 1",
    ]
    assert list(timestamps(lines, w3c, compiled)) == [midnight.replace(tzinfo=UTC)] * 2
    local = [b"#Fields: date-local time-local cs-method cs-uri-stem", *lines]
    assert list(written_times(local, w3c, compiled)) == [midnight] * 2


@pytest.mark.parametrize("time", [b"31/Feb/2026:10:00:00 +0100", b"12/Foo/2026:10:00:00 +0100", b"12/Mar/2026:10:00"])
def test_invalid_times_are_left_out(time: bytes) -> None:
    compiled = CompiledRules(Rules())
    assert list(timestamps([b'- - - [%b] "GET / HTTP/1.1" 200 5' % time], detect_format([], compiled), compiled)) == []


def test_a_day_ends_in_the_time_zone_of_the_log() -> None:
    now = datetime(2026, 11, 25, 0, 10, tzinfo=UTC)
    west, east = (datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=hours))) for hours in (-8, 9))
    today = date(2026, 11, 25)
    assert is_over(DAY, None, today, now)
    assert not is_over(today, None, today, now)
    assert not is_over(DAY, west, today, now)
    assert is_over(DAY, west, today, now + timedelta(hours=8))
    assert is_over(DAY, east, today, now)
    assert is_over(date(1, 1, 1), datetime(1, 1, 1, 1, tzinfo=timezone(timedelta(hours=9))), today, now)
