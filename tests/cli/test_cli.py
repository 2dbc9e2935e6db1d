"""The command line itself: help that teaches, and errors a careless user meets."""

import re
import subprocess
import sys

import pytest

from fasthits import __version__
from fasthits.cli import COMMANDS
from tests.support.commands import fasthits, hit
from tests.support.processes import PROJECT


def test_the_version_is_printed() -> None:
    done = fasthits("--version")
    assert (done.returncode, done.stdout) == (0, f"fasthits {__version__}\n".encode())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    shown = fasthits(*arguments).stdout.decode()
    assert all(f" {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        (
            "log",
            ["fasthits conf", "fasthits log --check", "FASTHITS_MEMCACHED", "127.0.0.1:11211"],
        ),
        ("rollup", ["fasthits rollup 2026-03-12", "FASTHITS_LOGS", "FASTHITS_TO", "hits.db", "yesterday"]),
        ("today", ["PATH...", "FASTHITS_MEMCACHED", "--date"]),
        ("top", ["FASTHITS_MEMCACHED", "--once", "--json", "Ctrl-C"]),
        ("history", ["PATH...", "--days", "hits.db", "--csv"]),
        ("serve", ["127.0.0.1", "8765", "FASTHITS_TOKEN", "--public", "the extra `web`", "/openapi.json"]),
        ("doctor", ["--django-settings", "Exit code 1"]),
    ],
)
def test_the_help_of_a_command_shows_how_to_use_it(command: str, taught: list[str]) -> None:
    shown = fasthits(command, "--help").stdout.decode()
    assert [word for word in taught if word not in shown] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["lgo"],
        ["today"],
        ["rollup", "2026-03-12", "2026-03-13"],
        ["rollup", "--threads", "0"],
        ["log", "--ttl", "0"],
        ["log", "--ttl", "2592001"],
        ["log", "--max-paths", "0"],
        ["log", "--no-such-option"],
        ["log", "--memcached", "not a server"],
        ["log", "--memcached", "127.0.0.1:99999"],
        ["log", "--memcached", "::1"],
        ["log", "--memcached", ""],
        ["log", "--prefix", "a b"],
        ["log", "--user", "no such user"],
        ["today", "about.html"],
        ["today", "/about?page=2"],
        ["today", "/", "--date", "2026-03-01..2026-03-02"],
        ["today", "/", "--memcached", "localhost:"],
        ["top", "--limit", "0"],
        ["history"],
        ["history", ""],
        ["history", "about.html"],
        ["check", "--settle", "nan"],
        ["warm", "--settle", "inf"],
        ["warm", "--settle", "1e300"],
        ["log", "--drain-timeout", "nan"],
        ["conf", "--user", ""],
        ["conf", "--logs", "/srv/*/log/%Y-%m-%d.log"],
        ["conf", "--database", ""],
        ["conf", "--database", "/var/lib/fasthits/hits"],
        ["most-read", "--days", "0"],
        ["report", "--days", "1e3"],
        ["serve", "--port", "65536"],
        ["serve", "--host", "0.0.0.0"],
        ["doctor", "--logs", "/%H.log"],
    ],
    ids=" ".join,
)
def test_a_mistake_in_the_arguments_is_told_with_exit_code_2(arguments: list[str]) -> None:
    done = fasthits(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["tpo"], "did you mean top?"),
        (["mostread"], "did you mean most-read?"),
        (["help", "tpo"], "did you mean top?"),
        (["xyzzy"], "fasthits --help lists the commands"),
        (["rollup", "--since", "2026-03-01"], "give the days as an argument: 2026-03-01..2026-03-12"),
        (["rollup", "--output=hits.csv"], "did you mean --to?"),
        (["rollup", "--db", "hits.db"], "did you mean --to?"),
        (["most-read", "--to", "hits.db"], "did you mean --database?"),
        (["rollup", "--summry", "x"], "--summary"),
        (["history", "/", "--days", "7d"], "a whole number from 1 to 3660"),
        (["most-read", "--days", "9" * 30], "a whole number from 1 to 3660"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_name_or_number_suggests_the_right_one(arguments: list[str], suggestion: str) -> None:
    done = fasthits(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert suggestion in done.stderr.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_wraps_its_paragraphs_at_the_edge_alone(command: str) -> None:
    shown = fasthits(command, "--help", COLUMNS="2000").stdout.decode()
    description = shown.partition("Usage:")[2].partition("╭")[0].splitlines()[1:]
    sentences = [line.strip() for line in description if re.match(r" *[A-Z][a-z]* ", line) and "|" not in line]
    assert sentences
    assert [line for line in sentences if not line.endswith((".", ":", "?"))] == []
    assert fasthits("help", command, COLUMNS="2000").stdout.decode() == shown


SHELL = "exec " + " ".join([sys.executable, "-m", "fasthits"])


@pytest.mark.parametrize(
    ("command", "code", "stderr"),
    [
        ("log <&-", 1, "fasthits: cannot read log lines: standard input (Bad file descriptor)\n"),
        ("log 0>/dev/null", 1, "fasthits: cannot read log lines: standard input (Bad file descriptor)\n"),
        ("rollup 2026-03-12 --logs - --to - >&-", 1, "fasthits: cannot write: standard output (Bad file descriptor)\n"),
        (
            "rollup 2026-03-12 --logs - --to - >/dev/full",
            1,
            "fasthits: cannot write: standard output (No space left on device)\n",
        ),
        ("rollup 2026-03-12 --logs - --to - 2>&-", 0, ""),
        ("log --memcached 127.0.0.1:1 --drain-timeout 0 2>/dev/full", 0, ""),
        ("log --memcached 127.0.0.1:1 --drain-timeout 0 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full_are_told_or_borne(command: str, code: int, stderr: str) -> None:
    done = subprocess.run(f"{SHELL} {command}", shell=True, input=hit("/"), capture_output=True, cwd=PROJECT)
    assert (done.returncode, done.stderr.decode()) == (code, stderr)
