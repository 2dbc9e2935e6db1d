"""Servers and sites that have no line of a day, although they have lines of the days around it."""

from datetime import timedelta
from pathlib import Path

from tests.daily.logs.rotated import (
    EARLY,
    OF_YESTERDAY,
    RUN,
    STAMPS,
    YESTERDAY,
    Rotated,
    line,
    midnight,
    rolled,
)
from tests.support.commands import write


def test_servers_that_lack_only_the_file_of_this_day_are_named(tmp_path: Path) -> None:
    for server, days in (("web1", (-1, 0, 1)), ("web2", (-1, 1)), ("web3", (-7,)), ("web4", (0,)), ("web5", (-30,))):
        for number in days:
            day = YESTERDAY + timedelta(number)
            write(tmp_path / server / f"{day}.log", line("/a", midnight(day) + timedelta(hours=3)))
    write(tmp_path / "web6" / f"{YESTERDAY}.log")
    write(tmp_path / "web7" / f"{YESTERDAY}.log", b"of another format\n" * 9)
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "*/%F.log")
    assert (code, rows) == (1, {(str(YESTERDAY), "/a"): 2})
    assert said.startswith(f"fasthits: no line of this file can be read, counted without it: web7/{YESTERDAY}.log (")
    missing = [f"web{number}/{YESTERDAY}.log" for number in (2, 3, 6, 7)]
    assert summary["missing_servers"] == {str(YESTERDAY): missing}
    assert f"  warning: no line of {YESTERDAY} in {', '.join(missing)}; if these sites had visitors, a log is" in said
    absent = f"no line of {YESTERDAY} in {', '.join(missing)}; if these sites had visitors, a log is missing"
    assert summary["warnings"][-2:] == [absent, said.splitlines()[0].removeprefix("fasthits: ")]


def test_an_hour_in_which_nobody_came_is_no_missing_server(tmp_path: Path) -> None:
    """cronolog makes the file of an hour when the first line of that hour comes."""
    for server, hours_of_day in (("web1", {-1: (0, 5, 9), 0: (3, 7), 1: (0,)}), ("web2", {-1: (1,), 1: (2,)})):
        for number, hours in hours_of_day.items():
            day = YESTERDAY + timedelta(number)
            for hour in hours:
                name = f"{day:%Y%m%d}{hour:02}.log"
                write(tmp_path / server / name, line("/a", midnight(day) + timedelta(hours=hour, minutes=5)))
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "*/%Y%m%d*.log")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2}), said
    assert summary["missing_servers"] == {str(YESTERDAY): [f"web2/{YESTERDAY:%Y%m%d}*.log"]}


def test_a_slow_request_at_midnight_and_the_names_of_cloudfront_are_no_missing_servers(tmp_path: Path) -> None:
    for number in (-1, 0, 1):
        for hour in (0, 5, 9):
            begin = midnight(YESTERDAY + timedelta(number)) + timedelta(hours=hour)
            lines = line("/slow", begin - timedelta(seconds=2)) + line("/a", begin)
            write(tmp_path / f"{begin:%Y%m%d%H}.log", lines)
            write(tmp_path / f"E1ABC.{begin:%Y-%m-%d-%H}.0f3a9{number + 1}{hour:02}", lines)
    for pattern in "%Y%m%d*.log", "E1ABC.%Y-%m-%d-*", "E1ABC.*":
        _, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", pattern)
        assert rows == {(str(YESTERDAY), "/slow"): 3, (str(YESTERDAY), "/a"): 3}, said
        assert (summary["missing_servers"], summary["warnings"]) == ({}, [])


def test_servers_with_numbers_are_no_hours(tmp_path: Path) -> None:
    for number, servers in ((-1, range(4)), (0, (0, 1, 2)), (1, range(4))):
        day = YESTERDAY + timedelta(number)
        for server in servers:
            write(tmp_path / f"{day}-{server:02}.log", line(f"/{server}", midnight(day) + timedelta(minutes=5)))
    _, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "%F-*.log")
    assert len(rows) == 3, said
    assert summary["missing_servers"] == {str(YESTERDAY): [f"{YESTERDAY}-03.log"]}


def test_a_server_whose_rotated_log_stopped_is_named(tmp_path: Path) -> None:
    for server, last in (("web1", RUN), ("web2", midnight(YESTERDAY - timedelta(1)) + EARLY), ("web3", RUN)):
        (tmp_path / server).mkdir()
        Rotated(tmp_path / server / "log", EARLY).write([at for at in STAMPS[-900:] if at < last], last)
    code, rows, said, summary = rolled(tmp_path, "yesterday", "--logs", "web*/log/access.log*")
    assert (code, rows) == (0, {(str(YESTERDAY), "/a"): 2 * OF_YESTERDAY}), said
    assert summary["missing_servers"] == {str(YESTERDAY): ["web2/log/access.log"]}


def test_with_one_log_no_server_is_missing(tmp_path: Path) -> None:
    Rotated(tmp_path / "logs", EARLY).write(STAMPS[-500:], RUN)
    assert rolled(tmp_path, "yesterday", "--logs", "logs/access.log*")[3]["missing_servers"] == {}
