"""Whether the files hold the whole day: names of logrotate and cronolog, missing files, --partial."""

import gzip
import json
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from fasthits.daily.logs.logfiles import LogFile
from fasthits.daily.logs.sources import Sources
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules
from tests.daily.logs.rotated import (
    EARLY,
    KEPT,
    MIDNIGHT,
    OF_YESTERDAY,
    RUN,
    STAMPS,
    TODAY,
    YESTERDAY,
    Rotated,
    every,
    keep_one_hit,
    line,
    midnight,
    rolled,
)
from tests.daily.support import rows_of
from tests.support.commands import fasthits, write


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.mark.parametrize(("clock", "files"), [(EARLY, 2), (timedelta(hours=12), 2), (MIDNIGHT, 3)])
def test_a_nightly_run_opens_two_or_three_files_of_a_rotated_log(
    logs: Path, tmp_path: Path, clock: timedelta, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rotated(logs, clock).write(STAMPS, RUN)
    assert len(os.listdir(logs)) == 15
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert code == 0, said
    assert rows == {(str(YESTERDAY), "/a"): OF_YESTERDAY}
    assert summary["files"] == files
    assert summary["parts"] == {}
    opened: list[str] = []
    head = LogFile.head
    monkeypatch.setattr(LogFile, "head", lambda self: opened.append(self.name) or head(self))
    Sources((f"{logs}/access.log*",), [YESTERDAY], CompiledRules(Rules()))
    assert len(opened) <= 3


@pytest.mark.parametrize("ahead", [timedelta(2), timedelta(365)])
def test_a_file_that_begins_while_the_clock_is_ahead_is_read(logs: Path, tmp_path: Path, ahead: timedelta) -> None:
    turns = [midnight(YESTERDAY) + EARLY, midnight(TODAY) + EARLY]
    parts = [[at for at in STAMPS if at < turns[0]], [at for at in STAMPS if turns[0] <= at < turns[1]]]
    parts[1][:0] = [turns[0] + ahead] * 3
    for name, stamps, turn in zip(("access.log.2", "access.log.1"), parts, turns, strict=True):
        write(logs / name, b"".join(line("/a", at) for at in stamps))
        os.utime(logs / name, (turn.timestamp(), turn.timestamp()))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert code == 0, said
    assert rows == {(str(YESTERDAY), "/a"): OF_YESTERDAY}


def test_a_file_of_a_week_that_begins_while_the_clock_is_ahead_is_read(logs: Path, tmp_path: Path) -> None:
    turns = [midnight(TODAY - timedelta(days)) + EARLY for days in (10, 3)]
    parts = [
        [at for at in STAMPS if at < turns[0]],
        [turns[0] + timedelta(5)] * 3 + [at for at in STAMPS if turns[0] <= at < turns[1]],
        [at for at in STAMPS if turns[1] <= at],
    ]
    for name, stamps in zip(("access.log.2", "access.log.1", "access.log"), parts, strict=True):
        write(logs / name, b"".join(line("/a", at) for at in stamps))
        os.utime(logs / name, (stamps[-1].timestamp(),) * 2)
    for days, files in ((11, 1), (10, 2), (9, 1), (6, 1), (4, 2), (3, 2), (1, 1)):
        day = TODAY - timedelta(days)
        code, rows, said, summary = rolled(tmp_path, str(day), "--logs", f"{logs}/access.log*")
        assert (code, summary["files"]) == (0, files), (days, said)
        assert rows[str(day), "/a"] >= sum(at.date() == day for at in STAMPS)


@pytest.mark.parametrize(
    ("clock", "pattern", "missing"),
    [
        (EARLY, "access.log", "its beginning is missing: {logs}/access.log begins at {yesterday} 06:27:00"),
        (EARLY, "access.log.1", "its end is missing: {logs}/access.log.1 ends at {yesterday} 06:20:00"),
        (EARLY, "access.log.*", "its end is missing: {logs}/access.log.1 ends at {yesterday} 06:20:00"),
        (MIDNIGHT, "access.log.1", "its beginning is missing: {logs}/access.log.1 begins at {yesterday} 00:0"),
        (MIDNIGHT, "access.log.*", "its end is missing: {logs}/access.log.1 ends at {yesterday} 23:5"),
    ],
)
def test_the_error_about_a_part_of_a_rotated_log_names_the_pattern_for_the_whole_log(
    logs: Path, tmp_path: Path, clock: timedelta, pattern: str, missing: str
) -> None:
    Rotated(logs, clock).write(STAMPS[-500:], RUN)
    keep_one_hit(tmp_path)
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", f"{logs}/{pattern}")
    assert (code, rows) == (1, KEPT)
    first = said.splitlines()[0]
    expected = missing.format(logs=logs, yesterday=YESTERDAY)
    assert first.startswith(f"fasthits: not the whole day, left unchanged: {YESTERDAY}: {expected}")
    assert first.endswith(f"(name all files of the log: --logs '{logs}/access.log*'; --partial counts what is there)")
    assert summary["days"] == []
    (gap, *_) = summary["parts"][str(YESTERDAY)]  # type: ignore[index]
    assert gap.startswith(expected)
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", f"{logs}/{pattern}", "--partial")
    assert code == 0
    assert 1 < rows[str(YESTERDAY), "/a"] <= OF_YESTERDAY
    assert f"  {YESTERDAY} is only a part: {expected}" in said
    assert summary["days"] == [str(YESTERDAY)]
    code, rows, _, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): OF_YESTERDAY})


DATEEXT = ("rotate 14", "compress", "delaycompress", "dateext")


def test_dateext_names_files_by_the_day_of_the_rotation(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, timedelta(hours=3), *DATEEXT).write(STAMPS[-900:], RUN)
    keep_one_hit(tmp_path)
    named = ("--logs", f"{logs}/access.log-%Y%m%d")
    code, rows, said, _ = rolled(tmp_path, "yesterday", *named)
    assert (code, rows) == (1, KEPT)
    assert (
        f"{YESTERDAY}: its end is missing: {logs}/access.log-{YESTERDAY:%Y%m%d} has mostly lines of the day before, as "
        "logrotate's dateext names a file for the day of its rotation, and the file of the next day is missing "
        f"(name all files of the log: --logs '{logs}/access.log*'; --partial counts what is there)"
    ) in said
    code, rows, _, summary = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows, summary["files"]) == (0, {(str(YESTERDAY), "/a"): OF_YESTERDAY}, 2)
    before = YESTERDAY - timedelta(1)
    code, rows, said, _ = rolled(tmp_path, str(before), *named)
    assert (code, rows[str(before), "/a"]) == (0, sum(at.date() == before for at in STAMPS))
    assert f"{logs}/access.log-{before:%Y%m%d}.gz has mostly lines of the day before, as logrotate's dateext" in said


def test_dateext_of_several_servers_is_judged_for_each(tmp_path: Path) -> None:
    before = YESTERDAY - timedelta(1)
    for server in ("web1", "web2"):
        Rotated(tmp_path / server / "log", EARLY, *DATEEXT).write(STAMPS[-900:], RUN)
    named = ("--logs", "*/log/access.log-%Y%m%d")
    assert rolled(tmp_path, str(before), *named)[0] == 0
    (tmp_path / "web2" / "log" / f"access.log-{YESTERDAY:%Y%m%d}").unlink()
    code, _, said, _ = rolled(tmp_path, str(before), *named, "--replace")
    assert code == 1
    assert f"its end is missing: web2/log/access.log-{before:%Y%m%d}.gz has mostly lines of the day before" in said


def test_files_named_for_the_day_before_their_rotation_have_a_day_in_two_files(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, timedelta(minutes=5), "rotate 14", "compress", "dateext", "dateyesterday").write(STAMPS[-900:], RUN)
    for pattern in "access.log-%Y%m%d", "access.log*":
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/{pattern}")
        assert (code, rows) == (0, {(str(YESTERDAY), "/a"): OF_YESTERDAY}), said
    (logs / f"access.log-{YESTERDAY - timedelta(1):%Y%m%d}.gz").unlink()
    code, _, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log-%Y%m%d")
    assert (code, f"/access.log-{YESTERDAY:%Y%m%d}.gz goes on until {TODAY} 00:0" in said) == (1, True)


def test_files_that_are_named_by_utc_have_the_whole_day(tmp_path: Path) -> None:
    """rotatelogs does that: a day in Berlin begins in the file of the day before, also on a quiet site."""
    times = [midnight(YESTERDAY) + timedelta(hours=hours) for hours in (-11, 0.5, 12, 23)]
    for number, stamps in enumerate((times[:2], times[2:])):
        name = tmp_path / f"{YESTERDAY + timedelta(number - 1)}.log"
        write(name, *(line("/a", at).replace(b"+0000", b"+0100") for at in stamps))
        os.utime(name, ((stamps[-1] - timedelta(hours=1)).timestamp(),) * 2)
    for _ in range(2):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "%F.log")
        assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 3}), said
        with name.open("ab") as log:  # a visitor of the next day shows how the files are named
            log.write(line("/a", midnight(TODAY) + timedelta(minutes=5)).replace(b"+0000", b"+0100"))
    (tmp_path / f"{YESTERDAY - timedelta(1)}.log").unlink()
    code, _, said, _ = rolled(tmp_path, "yesterday", "--logs", "%F.log")
    assert (code, f"{YESTERDAY}.log goes on until {TODAY} 00:05:00" in said) == (1, True)


def test_a_quiet_site_and_an_empty_live_file_are_whole_days(logs: Path, tmp_path: Path) -> None:
    stamps = [midnight(YESTERDAY) + timedelta(hours=hours) for hours in (-40, -20, 15, 16)]
    Rotated(logs, MIDNIGHT).write(stamps, RUN)
    assert (logs / "access.log").stat().st_size == 0
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2}), said


def test_a_slow_request_before_the_day_does_not_show_its_beginning(logs: Path, tmp_path: Path) -> None:
    """Apache logs it when it ends, with the time at which it began: after the rotation, into the next file."""
    log = Rotated(logs, EARLY).write(STAMPS[-500:], RUN).log
    write(log, line("/websocket", midnight(YESTERDAY) - timedelta(hours=2)), log.read_bytes())
    os.utime(log, (RUN.timestamp(), RUN.timestamp()))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log")
    assert (code, rows) == (1, {})
    assert f"its beginning is missing: it may be in {logs}/access.log.1 (name all files of the log: --logs '" in said
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): OF_YESTERDAY}), said


def test_a_slow_request_does_not_make_the_oldest_day_whole(tmp_path: Path) -> None:
    oldest = every(1, midnight(YESTERDAY) + EARLY, midnight(TODAY) + EARLY)
    slow = [midnight(YESTERDAY) - timedelta(hours=hours) for hours in (5, 2)]
    write(tmp_path / "access.log.1", *(line("/a", at) for at in [*slow, *oldest]))
    write(tmp_path / "access.log", line("/a", midnight(TODAY) + EARLY))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows) == (1, {})
    assert f"its beginning is missing: access.log.1 begins at {YESTERDAY} 06:25:00 (if older files were removed" in said
    # A few visitors of a quiet site are no slow requests.
    write(tmp_path / "access.log.1", *(line("/a", at) for at in [*slow, *oldest[::60]]))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 18}), said


def test_the_first_day_of_a_log_is_whole_and_said_so(logs: Path, tmp_path: Path) -> None:
    first = midnight(YESTERDAY) + timedelta(hours=10, minutes=12)
    Rotated(logs, EARLY).log.write_bytes(b"".join(line("/a", at) for at in every(7, first, midnight(TODAY))))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, sum(rows.values())) == (0, 119)
    assert f"  {logs}/access.log begins at {YESTERDAY} 10:12:00: this is taken as the log's first day\n" in said


def test_if_old_files_are_removed_the_oldest_day_is_not_whole(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, EARLY, "rotate 3", "create").write(STAMPS, RUN)
    oldest = YESTERDAY - timedelta(3)
    days = f"{oldest - timedelta(1)}..yesterday"
    code, rows, said, _ = rolled(tmp_path, days, "--logs", f"{logs}/access.log*")
    assert code == 1
    assert sorted(day for day, _ in rows) == [str(YESTERDAY - timedelta(n)) for n in (2, 1, 0)]
    assert (
        f"not the whole day, left unchanged: {oldest}: its beginning is missing: {logs}/access.log.3 begins at" in said
    )
    assert f"no log file, left unchanged: {oldest - timedelta(1)} (" in said or (
        f"no line of the day, left unchanged: {oldest - timedelta(1)} (" in said
    )


def test_a_new_site_among_others_begins_on_its_first_day(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, MIDNIGHT, name="old-access.log").write(STAMPS[-900:], RUN)
    began = midnight(YESTERDAY) + timedelta(hours=15)
    Rotated(logs, MIDNIGHT, name="new-access.log").write(every(7, began, RUN), RUN)
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/*access.log*")
    assert code == 0, said
    assert rows[str(YESTERDAY), "/a"] == OF_YESTERDAY + sum(at.date() == YESTERDAY for at in every(7, began, RUN))
    assert f"{logs}/new-access.log.1 begins at {YESTERDAY} 15:00:00: this is taken as the log's first day" in said


def test_a_compressed_copy_is_no_other_file_of_the_log(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", *(line("/a", at) for at in every(60, midnight(YESTERDAY), midnight(TODAY))))
    write(tmp_path / "access.log.gz", gzip.compress(log.read_bytes()))
    for pattern in ("access.log*", "access.log"):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 24}), said


def test_a_removed_rotated_file_is_reported(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, timedelta(hours=12)).write(STAMPS[-900:], RUN)
    (logs / "access.log.1").unlink()
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows) == (1, {})
    assert f"a file is missing: {logs}/access.log.1 (--partial" in said


def holes(said: str) -> list[str]:
    return [text.strip() for text in said.splitlines() if "if a file between them is missing" in text]


def test_a_dated_file_that_is_missing_between_two_others_is_warned_of(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, EARLY, "rotate 14", "dateext").write(STAMPS, RUN)
    before = YESTERDAY - timedelta(1)
    last = max(at for at in STAMPS if at < midnight(before) + EARLY)
    next_line = min(at for at in STAMPS if at >= midnight(YESTERDAY) + EARLY)
    days, named = f"{YESTERDAY - timedelta(4)}..yesterday", ("--quiet", "--logs", f"{logs}/access.log*")
    code, rows, said, _ = rolled(tmp_path, days, *named)
    assert (code, said) == (0, "")
    lost = logs / f"access.log-{YESTERDAY:%Y%m%d}"
    lines = lost.read_bytes()
    lost.unlink()
    for day in (before, YESTERDAY):
        code, rows, said, _ = rolled(tmp_path, str(day), *named, "--replace")
        assert code == 0
        assert rows[str(day), "/a"] < OF_YESTERDAY
        assert holes(said) == [
            f"warning: no line from {last:%F %T} ({logs}/access.log-{before:%Y%m%d}) to {next_line:%F %T} "
            f"({logs}/access.log): a week before, files had lines of that time; if a file between them is missing, put "
            f"it back, and run this again for {before}..{YESTERDAY}"
        ]
    assert rolled(tmp_path, str(before - timedelta(1)), *named)[2] == ""
    lost.touch()  # nobody came, so the file is empty
    assert rolled(tmp_path, "yesterday", *named)[2] == ""
    lost.unlink()
    a_week_before = logs / f"access.log-{YESTERDAY - timedelta(7):%Y%m%d}"
    a_week_before.unlink()  # nobody comes on this day of the week
    assert rolled(tmp_path, "yesterday", *named)[2] == ""
    a_week_before.write_bytes(lines[:5000])  # a few visitors come on this day of the week
    assert rolled(tmp_path, "yesterday", *named)[2] == ""


def hourly(folder: Path, first: date, name: str = "access.log-{:%Y%m%d%H}") -> None:
    """Write the files of a busy log that is rotated each hour, and the file to which the server writes."""
    for at in every(60, midnight(first), midnight(TODAY)):
        log = write(folder / name.format(at), *[line("/a", each) * 2 for each in every(1, at, at + timedelta(hours=1))])
        os.utime(log, (at.timestamp() + 3540,) * 2)
    write(folder / "access.log", line("/a", midnight(TODAY)))


def test_an_hour_that_is_missing_between_two_others_is_warned_of(logs: Path, tmp_path: Path) -> None:
    hourly(logs, YESTERDAY - timedelta(8))
    named = ("yesterday", "--quiet", "--logs", f"{logs}/access.log*")
    code, rows, said, _ = rolled(tmp_path, *named)
    assert (code, rows, said) == (0, {(str(YESTERDAY), "/a"): 2880}, "")
    (logs / f"access.log-{YESTERDAY:%Y%m%d}13").unlink()
    code, rows, said, _ = rolled(tmp_path, *named, "--replace")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2760})
    (warning,) = holes(said)
    assert f"no line from {YESTERDAY} 12:59:00 ({logs}/access.log-{YESTERDAY:%Y%m%d}12) to {YESTERDAY} 14:00" in warning
    assert warning.endswith(f"and run this again for {YESTERDAY}")


@pytest.mark.parametrize("name", ["access.log-{:%Y%m%d%H}", "access-{:%Y-%m-%dT%H-%M-%S}.123.log"])
def test_a_file_with_the_time_in_its_name_is_not_the_whole_day(name: str, logs: Path, tmp_path: Path) -> None:
    """logrotate keeps so many hours, or Caddy so many files of a size: the beginning of the day may be gone."""
    hourly(logs, YESTERDAY, name)
    for at in every(60, midnight(YESTERDAY), midnight(YESTERDAY) + timedelta(hours=7)):
        (logs / name.format(at)).unlink()
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access*")
    assert (code, rows) == (1, {})
    assert "its beginning is missing: " in said.splitlines()[0]
    assert f" begins at {YESTERDAY} 07:00:00 (if older files were removed, " in said


def test_cronologs_files_of_an_hour_need_no_visitor_after_the_day(tmp_path: Path) -> None:
    for hours in (-40, 12, 20):
        at = midnight(YESTERDAY) + timedelta(hours=hours)
        log = write(tmp_path / f"{at:%Y%m%d%H}.log", line("/a", at))
        os.utime(log, (at.timestamp(),) * 2)
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "2*.log")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2}), said


def test_each_of_several_sites_must_be_whole(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, EARLY, name="a-access.log").write(STAMPS[-600:], RUN)
    Rotated(logs, EARLY, name="b-access.log").write(STAMPS[-600:], RUN, "/b")
    both = ("--logs", f"{logs}/a-access.log*", "--logs", f"{logs}/b-access.log*")
    whole = {(str(YESTERDAY), path): OF_YESTERDAY for path in ("/a", "/b")}
    assert rolled(tmp_path, "yesterday", *both)[:2] == (0, whole)
    assert rolled(tmp_path, "yesterday", "--logs", f"{logs}/*access.log*")[:2] == (0, whole)
    code, _, said, _ = rolled(tmp_path, "yesterday", *both[:3], f"{logs}/b-access.log")
    assert code == 1
    assert f"its beginning is missing: {logs}/b-access.log begins at" in said
    assert "a-access.log" not in said.splitlines()[0]


def test_all_files_are_opened_if_their_times_of_change_are_wrong(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, EARLY).write(STAMPS[-900:], RUN)
    for file in logs.iterdir():
        os.utime(file, (1, 1))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): OF_YESTERDAY}), said


def test_a_part_of_today_is_kept_and_the_whole_day_replaces_it(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", line("/a", midnight(TODAY)))
    write(tmp_path / f"{TODAY}.log", line("/a", midnight(TODAY)))
    for pattern in ("access.log", "%F.log"):
        code, rows, said, summary = rolled(tmp_path, "today", "--logs", pattern)
        assert (code, rows) == (0, {(str(TODAY), "/a"): 1})
        assert summary["days"] == [str(TODAY)]
        assert summary["parts"] == {str(TODAY): ["the day was not over when it was counted"]}
        assert f"  {TODAY} is not over: this is only a part of it\n" in said
    with log.open("ab") as more:
        more.write(line("/a", midnight(TODAY)) * 2)
    assert rolled(tmp_path, "today", "--logs", "access.log*")[:2] == (0, {(str(TODAY), "/a"): 3})


def test_a_day_that_has_not_ended_in_the_zone_of_the_log_is_not_whole(tmp_path: Path) -> None:
    west = line("/a", midnight(YESTERDAY) + timedelta(hours=1)).replace(b"+0000", b"-2359")
    for name in ("access.log", f"{YESTERDAY}.log"):
        write(tmp_path / name, west)
    for pattern in ("access.log", "%F.log"):
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (1, {})
        assert "the day is not over in the time zone of " in said
        assert "-2359 (run it again later; --partial counts what is there)" in said


def w3c(stamps: Iterable[datetime]) -> bytes:
    """Return a log in W3C's format, with a hit of /a at each time."""
    lines = (f"{at:%Y-%m-%d %H:%M:%S} GET /a 200 Mozilla/5.0\n" for at in stamps)
    return (
        "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status cs(User-Agent)\n" + "".join(lines)
    ).encode()


def test_a_part_of_a_day_in_w3cs_format_is_not_whole(tmp_path: Path) -> None:
    early = midnight(YESTERDAY) + EARLY
    of_day = every(7, early, early + timedelta(1))
    write(tmp_path / "access.log.1", w3c(of_day))
    write(tmp_path / "access.log", w3c(every(7, early + timedelta(1), early + timedelta(1, 600))))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows) == (1, {})
    assert f"{YESTERDAY}: its beginning is missing: access.log.1 begins at {YESTERDAY} 06:25:00 (" in said
    write(tmp_path / "access.log.2", w3c(every(7, early - timedelta(1), early)))
    whole = sum(at.date() == YESTERDAY for at in every(7, early - timedelta(1), early) + of_day)
    assert rolled(tmp_path, "yesterday", "--logs", "access.log*")[:2] == (0, {(str(YESTERDAY), "/a"): whole})


def test_the_files_of_iis_are_one_log_and_w3cs_days_are_those_of_utc(tmp_path: Path) -> None:
    for number in range(9):
        day = TODAY - timedelta(number)
        write(tmp_path / f"u_ex{day:%y%m%d}.log", w3c(every(7, midnight(day), midnight(day) + timedelta(hours=23))))
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "u_ex*.log")
    assert (code, rows, summary["warnings"]) == (0, {(str(YESTERDAY), "/a"): 198}, []), said


def test_a_day_that_has_not_ended_in_the_zone_of_dated_files_is_not_whole(tmp_path: Path) -> None:
    """The files of IIS are W3C's, with times of UTC."""
    write(tmp_path / f"u_ex{TODAY:%y%m%d}.log", w3c([midnight(TODAY)]))
    write(tmp_path / f"hour-{TODAY:%Y%m%d}00.log", line("/a", midnight(TODAY)))
    write(tmp_path / f"hour-{YESTERDAY:%Y%m%d}00.log", line("/a", midnight(YESTERDAY)))
    write(tmp_path / f"day-{TODAY}.log", line("/a", midnight(TODAY)))
    for pattern in "u_ex*.log", "u_ex%y%m%d.log", "hour-*.log", "day-*.log", "day-%F.log":
        done = fasthits("rollup", str(TODAY), "--logs", pattern, "--to", "-", cwd=tmp_path, TZ="EAST-23:59")
        assert (done.returncode, done.stdout) == (1, b"date,path,views\n")
        assert b": the day is not over in the time zone of " in done.stderr


def test_standard_input_is_taken_for_a_whole_day(tmp_path: Path) -> None:
    lines = line("/a", midnight(YESTERDAY) + timedelta(hours=1))
    done = fasthits("rollup", "yesterday", "--logs", "-", "--to", "-", stdin=lines, TZ="UTC", cwd=tmp_path)
    assert (done.returncode, rows_of(done.stdout)) == (0, {(str(YESTERDAY), "/a"): 1})
    assert f"  standard input does not show whether it has all of {YESTERDAY}\n" in done.stderr.decode()


def test_the_error_about_a_missing_older_file_says_what_to_do(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, MIDNIGHT, "rotate 1", "create").write(STAMPS[-500:], RUN)
    code, _, said, _ = rolled(tmp_path, "yesterday", "--logs", f"{logs}/access.log*")
    assert code == 1
    assert "(if older files were removed, let logrotate keep more, as with rotate 14; --partial counts what" in said


def test_on_the_first_day_of_a_log_there_is_no_yesterday(tmp_path: Path) -> None:
    write(tmp_path / "access.log", line("/a", midnight(TODAY)))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows) == (1, {})
    assert f"{YESTERDAY} (the log has {TODAY}; if the log is new, run this again tomorrow; name another log" in said


def test_dockers_log_files_count(tmp_path: Path) -> None:
    lines = [
        json.dumps({"log": text, "stream": stream, "time": f"{day}T00:00:00.1Z"}).encode() + b"\n"
        for day in (YESTERDAY - timedelta(days=1), YESTERDAY, TODAY)
        for stream, text in (("stdout", line("/a", midnight(day)).decode()), ("stderr", "[error] 7#7: no file\n"))
    ]
    write(tmp_path / "c" / "1-json.log", b"".join(lines))
    code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", "*/*-json.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 1})
    assert "message 3" in said


def without_zone(at: datetime) -> bytes:
    """Return a line of HAProxy, whose times have no zone."""
    return (
        f"lb haproxy[1]: 192.0.2.7:3 [{at:%d/%b/%Y:%H:%M:%S}.655] in web/srv1 10/0/30/69/109 200 2750 - - ---- "
        '1/1/1/1/0 0/0 "GET /a HTTP/1.1"\n'
    ).encode()


@pytest.mark.parametrize("hours", [-12, 9, 14])
@pytest.mark.parametrize("turn", [2, 7, 20])
def test_no_file_of_a_day_is_missed_if_times_without_a_zone_are_of_another(
    logs: Path, tmp_path: Path, hours: int, turn: int
) -> None:
    """As in a container, where the time zone is UTC."""
    turns = [midnight(YESTERDAY) + timedelta(days, hours=turn) for days in (-2, -1, 0, 1)]
    names = ("haproxy.log.2", "haproxy.log.1", "haproxy.log")
    for name, (first, last) in zip(names, pairwise(turns), strict=True):
        log = write(logs / name, *map(without_zone, every(10, first, last)))
        os.utime(log, ((last - timedelta(hours=hours)).timestamp() - 60,) * 2)
    day = YESTERDAY - timedelta(1)
    code, rows, said, _ = rolled(tmp_path, str(day), "--logs", f"{logs}/haproxy.log*")
    assert code == 0, said
    assert rows == {(str(day), "/a"): 144}


@pytest.mark.parametrize("hours", [0, 5, 13.5])
def test_a_day_that_is_not_over_where_times_have_no_zone_is_a_part(tmp_path: Path, hours: float) -> None:
    """The log's server is *hours* behind this machine, where a new day has just begun."""
    now = datetime.now(UTC)
    ahead = -now.hour % 24
    here = now + timedelta(hours=ahead)
    yesterday = here.date() - timedelta(1)
    stamps = every(7, midnight(yesterday) - timedelta(1), here - timedelta(hours=hours))
    log = write(tmp_path / "haproxy.log", *map(without_zone, stamps))
    os.utime(log, ((stamps[-1] + timedelta(hours=hours - ahead)).timestamp(),) * 2)
    done = fasthits("rollup", "--logs", "haproxy.log*", "--to", "hits.csv", TZ=f"HERE-{ahead}", cwd=tmp_path)
    assert done.returncode == (hours > 0), done.stderr
    if hours:
        said, written = done.stderr.decode().splitlines()[0], stamps[-1] + timedelta(hours=hours)
        assert (
            f"left unchanged: {yesterday}: its end may be missing: haproxy.log was written to at {written:%F %T}"
            in said
        )
        assert (
            f"its last line has {stamps[-1]:%F %T} without a time zone (name the time zone of its server: TZ=" in said
        )


# --- Names with a date --------------------------------------------------------------------------------------------


def test_cronologs_file_is_the_whole_day_on_a_quiet_site_too(tmp_path: Path) -> None:
    noon = midnight(YESTERDAY) + timedelta(hours=12)
    after = midnight(TODAY) + timedelta(milliseconds=6)
    log = tmp_path / f"{YESTERDAY:%Y/%m/%d}" / "access.log"
    slow = [line("/slow", midnight(YESTERDAY) - timedelta(hours=hours)) for hours in (9, 1)]
    for lines in ([line("/a", noon)], [*slow, *[line("/a", noon)] * 3, line("/b", after)]):
        write(log, *lines)
        code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "%Y/%m/%d/access.log")
        assert code == 0, said
        assert rows == {(str(YESTERDAY), "/a"): lines.count(line("/a", noon))}
        assert summary["parts"] == {}


def test_the_file_of_a_day_is_the_whole_day_however_it_is_named(tmp_path: Path) -> None:
    days = [YESTERDAY - timedelta(1), YESTERDAY]
    for day in days:
        lines = [line("/a", midnight(day) + timedelta(hours=hours)) for hours in (9, 12)]
        for file in (f"{day}.log", f"{day:%Y/%m/%d}/access.log", f"access.log-{day:%Y%m%d}"):
            write(tmp_path / file, *lines)
    names = ["{day}.log", "{day:%Y/%m/%d}/access.log", "access.log-{day:%Y%m%d}"]
    for pattern in [name.format(day=YESTERDAY) for name in names] + ["2*.log", "*/*/*/access.log", "access.log-*"]:
        code, rows, said, _ = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2}), said


def test_a_file_a_month_is_whole_for_its_days(tmp_path: Path) -> None:
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 12), date(2026, 3, 31)]
    for day in days:
        with (tmp_path / f"{day:%Y-%m}.log").open("ab") as log:
            log.write(line("/a", midnight(day) + timedelta(hours=2)))
    for day in days:
        code, rows, said, _ = rolled(tmp_path, str(day), "--logs", "%Y-%m.log")
        assert (code, rows[str(day), "/a"]) == (0, 1), said


def test_only_the_whole_days_of_a_range_are_kept_and_the_exit_code_is_1(logs: Path, tmp_path: Path) -> None:
    Rotated(logs, EARLY).write(STAMPS[-1500:], RUN)
    days = f"{YESTERDAY - timedelta(2)}..yesterday"
    code, rows, said, summary = rolled(tmp_path, days, "--logs", f"{logs}/access.log.*", "--referrers")
    whole = {(str(YESTERDAY - timedelta(n)), "/a") for n in (1, 2)}
    assert (code, set(rows)) == (1, whole)
    assert summary["days"] == sorted(day for day, _ in whole)
    assert said.startswith(f"fasthits: not the whole day, left unchanged: {YESTERDAY}: its end is missing: ")


def test_a_log_that_nobody_writes_any_more_is_not_read(tmp_path: Path) -> None:
    old = write(tmp_path / "access.log.old", line("/old", midnight(YESTERDAY - timedelta(30))) * 9)
    os.utime(old, ((midnight(YESTERDAY) - timedelta(29)).timestamp(),) * 2)
    write(tmp_path / "access.log", line("/a", midnight(YESTERDAY)))
    code, rows, _, summary = rolled(tmp_path, "yesterday", "--logs", "access.log*")
    assert (code, rows, summary["files"]) == (0, {(str(YESTERDAY), "/a"): 1}, 1)
    code, _, said, _ = rolled(tmp_path, "yesterday", "--logs", "access.log.old")
    assert code == 1
    assert said.startswith(f"fasthits: no log file for {YESTERDAY}: access.log.old (access.log.old begins at ")
