"""The format of a log is that of the first lines that have a known one, however far they are from its beginning."""

from datetime import date
from pathlib import Path

import pytest

from fasthits import count_hits, parse_lines
from fasthits._parse import LINE_BYTES
from fasthits.daily.logs.logfiles import HEAD_BYTES
from tests.support.commands import fasthits, hit, write

DAY = date(2026, 3, 12)
LINES = (b"www.example.org:80 " + hit("/a", DAY)) * 3
HEADS = {
    "messages of another program": b"this is no access line\n" * (HEAD_BYTES // 10),
    "a few messages more than are looked at": b"no access line\n" * 101,
    "a hole of NULs": b"\0" * 3 * HEAD_BYTES,
    "a huge line": b"#" + b"x" * 2 * HEAD_BYTES + b"\n",
    "a line that is longer than what is read of it": b"x" * 3 * LINE_BYTES + b"\n",
}


@pytest.fixture(params=HEADS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "access.log", HEADS[request.param], LINES)


@pytest.mark.parametrize("logs", ["access.log", "-"])
def test_hosts_are_counted_behind_anything(log: Path, logs: str) -> None:
    given = log.read_bytes() if logs == "-" else b""
    command = ("rollup", str(DAY), "--logs", logs, "--to", "-", "--by-host")
    done = fasthits(*command, cwd=log.parent, stdin=given)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"date,host,path,views\n{DAY},www.example.org,/a,3\n".encode()
    assert b"of 1 file (vhost_combined)" in done.stderr


def test_the_python_api_finds_the_hosts_too(log: Path) -> None:
    text = log.read_bytes()
    blocks = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    for source in (log, text, blocks):
        counted = count_hits(source, by_host=True)
        assert counted.views == {DAY: {"//www.example.org/a": 3}}
        lines = list(parse_lines(source))
        assert [line.vhost for line in lines if line] == [b"www.example.org"] * 3
        assert len(lines) == counted.lines


def test_a_pipe_is_explained_in_the_format_that_it_is_counted_by(log: Path) -> None:
    for name, given in (("access.log", b""), ("-", log.read_bytes())):
        done = fasthits("explain", "--by-host", name, cwd=log.parent, stdin=given)
        assert b"counts as //www.example.org/a (vhost_combined)" in done.stdout


def test_a_format_without_hosts_is_an_error_wherever_it_begins(log: Path) -> None:
    write(log, log.read_bytes().replace(b"www.example.org:80 ", b""))
    for logs, given in (("access.log", b""), ("-", log.read_bytes())):
        command = ("rollup", str(DAY), "--logs", logs, "--to", "-", "--by-host")
        done = fasthits(*command, cwd=log.parent, stdin=given)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"--by-host needs a log format with the virtual host" in done.stderr
