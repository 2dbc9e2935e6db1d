"""``fasthits formats``, and --format with a name."""

import json
import os
import pty
import subprocess
import sys

from fasthits.formats.named import FORMATS
from tests.support.commands import fasthits
from tests.support.processes import PROJECT


def test_each_format_is_listed_with_its_example() -> None:
    shown = fasthits("formats").stdout.decode()
    for row in FORMATS.values():
        heading, example, *_ = shown[shown.index(f"\n{row.name} ") + 1 if row.name != "combined" else 0 :].splitlines()
        assert heading.split(maxsplit=1) == [row.name, row.writer]
        assert example == f"    {row.example}".replace("\t", "\\t")


def test_the_list_fits_a_narrow_terminal() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "50", "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-m", "fasthits", "formats"], stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert [line for line in lines if len(line) > 50] == []
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == FORMATS.keys()


def test_the_list_can_be_read_by_programs() -> None:
    rows = json.loads(fasthits("formats", "--json").stdout)
    assert [row["name"] for row in rows] == list(FORMATS)
    assert all(row.keys() == {"name", "writer", "example", "strings", "source"} for row in rows)


def test_a_log_is_read_in_the_named_format_only() -> None:
    log = (FORMATS["squid"].example + "\n" + FORMATS["combined"].example + "\n").encode()
    arguments = ("rollup", "2026-03-12", "--logs", "-", "--to", "-", "--partial")
    named = fasthits(*arguments, "--format", "squid", stdin=log, TZ="UTC")
    assert named.stdout == b"date,path,views\n2026-03-12,http://www.example.org/a,1\n"
    assert b"malformed" in named.stderr
    detected = fasthits(*arguments, stdin=log, TZ="UTC")
    assert detected.stdout.splitlines()[1:] == [b"2026-03-12,/a,1", b"2026-03-12,http://www.example.org/a,1"]


def test_an_unknown_name_points_to_the_list() -> None:
    done = fasthits("rollup", "--logs", "-", "--format", "xyz")
    hint = "fasthits formats lists the names; without a format, fasthits detects it; "
    hint += "of your own LogFormat or log_format, give the string"
    message = f"fasthits: no such log format: 'xyz' ({hint})\n"
    assert (done.returncode, done.stderr.decode()) == (2, message)
