"""What a rollup tells when it is done, and while it runs: malformed lines, --summary, --quiet, the progress bar."""

import contextlib
import io
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from fasthits.daily.csv.target import CsvStream
from fasthits.daily.logs import logfiles
from fasthits.daily.rollup import roll_up
from tests.daily.support import DAY
from tests.support.commands import fasthits, hit, write
from tests.support.processes import PROJECT


def test_malformed_lines_are_shown_with_their_place_and_made_harmless(tmp_path: Path) -> None:
    lines = [hit("/") * 3000, b"\x1b[2Jevil \xe2\x80\xae line\n", hit("/") * 4000, b"second\n", b"\n", b"fourth\n"]
    write(tmp_path / "access.log", *lines)
    done = fasthits("rollup", str(DAY), "--logs", "access.log", "--to", "-", cwd=tmp_path)
    assert b"      4 malformed, such as\n" in done.stderr
    shown = [line.strip() for line in done.stderr.decode().splitlines() if "access.log:" in line]
    assert shown == [r"access.log:3001: \x1b[2Jevil \u202e line", "access.log:7002: second", "access.log:7003:"]


def test_line_numbers_are_those_of_the_file_whatever_thread_read_them(tmp_path: Path) -> None:
    data = b"".join(b"bad\n" if number in (700, 1500, 2300, 2900) else hit("/") for number in range(1, 3001))
    write(tmp_path / "access.log", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfiles, "SEGMENT_BYTES", 10_000)
        for threads in (1, 2, 3):
            summary = roll_up([DAY], (str(tmp_path / "access.log"),), CsvStream(io.BytesIO()), threads)
            assert [example.line for example in summary.counted.examples] == [700, 1500, 2300]


@pytest.mark.parametrize(
    ("file", "code", "told"),
    [
        ("no/s", 1, "cannot write summary: no/s (no such folder; make it, or name another with --summary FILE)"),
        ("a.log/s.json", 1, "cannot write summary: a.log/s.json (Not a directory)"),
        ("a.log", 1, "cannot write summary: a.log (it is another kind of file; name another)"),
        ("-", 2, "not a file for the summary: - (--summary /dev/stdout prints it)"),
        *(
            (folder, 1, f"cannot write summary: {folder or '.'} (it is a folder; name a file with --summary FILE)")
            for folder in ("", ".", "/")
        ),
    ],
)
def test_a_summary_that_cannot_be_written_is_an_error_and_no_day_is_replaced(
    file: str, code: int, told: str, tmp_path: Path
) -> None:
    write(tmp_path / "a.log", hit("/a"))
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "x.csv", "--summary", file, cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (code, f"fasthits: {told}\n")
    assert os.listdir(tmp_path) == ["a.log"]


def test_a_summary_may_go_to_a_special_file_or_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/a"))
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    done = fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "x.csv", "--summary", "/dev/stdout", cwd=tmp_path)
    assert json.loads(done.stdout)["hits"] == 1
    assert Path("/dev/stdout").is_symlink()
    fasthits("rollup", str(DAY), "--logs", "a.log", "--to", "x.csv", "--summary", "link.json", cwd=tmp_path)
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["hits"] == 1


@pytest.mark.parametrize("content", [b"a log\n", b'{"status":200}\n', b"\0"])
def test_neither_a_summary_nor_a_report_overwrites_another_kind_of_file(content: bytes, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", content)
    write(tmp_path / "b.log", hit("/a"))
    for _ in range(2):
        assert fasthits("rollup", str(DAY), "--logs", "b.log", "--summary", "s.json", cwd=tmp_path).returncode == 0
        assert fasthits("report", "--to", "r.html", cwd=tmp_path).returncode == 0
    for command in (["rollup", str(DAY), "--logs", "b.log", "--summary", "a.log"], ["report", "--to", "a.log"]):
        done = fasthits(*command, cwd=tmp_path)
        assert done.returncode == 1
        message = done.stderr.decode().splitlines()[-1]
        assert message.endswith(": a.log (it is another kind of file; name another)")
    assert log.read_bytes() == content


def test_remarks_on_many_logs_are_few_and_short(tmp_path: Path) -> None:
    """A machine may have a log for each of a thousand sites."""
    for site in range(100):
        write(tmp_path / f"{site}" / "access.log", hit("/a"), hit("/b", DAY + timedelta(1)))
    done = fasthits("rollup", str(DAY), "--logs", f"{tmp_path}/*/access.log", "--to", tmp_path / "hits.csv")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert sum("taken as the log's first day" in line for line in lines) == 10
    assert "  and 90 more like this" in lines
    assert [line.partition("access.log and ")[2] for line in lines if "the same lines begin" in line] == [
        "95 more: if these are copies, their hits count twice"
    ]
    for site in range(100):
        write(tmp_path / f"{site}" / "access.log.1", hit(f"/{site}", DAY - timedelta(1)))
    done = fasthits("rollup", str(DAY), "--logs", f"{tmp_path}/*/access.log", "--to", tmp_path / "other.csv")
    (said,) = [line for line in done.stderr.decode().splitlines() if "not the whole day" in line]
    assert said.count("its beginning is missing") == said.count("name all files of the log") == 3
    assert said.count(" and 97 more") == 2


def test_a_terminal_sees_a_progress_bar(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", hit("/a") * 1000)
    terminal, theirs = os.openpty()
    command = [sys.executable, "-m", "fasthits", "rollup", str(DAY), "--logs", log, "--to", tmp_path / "hits.csv"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=theirs) as running:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # EIO is the end of a terminal
            while data := os.read(terminal, 4096):
                seen += data
    os.close(terminal)
    assert running.returncode == 0
    assert b"\xe2\x94\x81" in seen
    assert b"1,000 hits" in seen


def test_quiet_prints_nothing_unless_something_is_wrong(tmp_path: Path) -> None:
    yesterday = date.today() - timedelta(days=1)
    for day in (yesterday, date.today()):
        write(tmp_path / f"{day}.log", hit("/a", day, "00:00:00"))
    arguments = ("rollup", "--quiet", "--logs", tmp_path / "%Y-%m-%d.log", "--to", tmp_path / "hits.db")
    done = fasthits(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    write(tmp_path / f"{yesterday}.log", hit("/a", yesterday, "00:00:00"), b"nonsense\n" * 2)
    done = fasthits(*arguments)
    assert done.returncode == 0
    assert b"2 malformed, such as" in done.stderr
    (tmp_path / f"{yesterday}.log").unlink()
    done = fasthits(*arguments)
    assert done.returncode == 1
    assert str(yesterday).encode() in done.stderr
