"""The command line: its help, and the errors of a careless user."""

import io
import re
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from fasthits import __version__
from fasthits.cli.app import app
from fasthits.cli.commands import COMMANDS
from tests.support.commands import fasthits, hit, write
from tests.support.installation import Installation
from tests.support.processes import PROJECT


def test_the_version_is_printed() -> None:
    done = fasthits("--version")
    assert (done.returncode, done.stdout) == (0, f"fasthits {__version__}\n".encode())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    done = fasthits(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    assert all(f"\n  {command} " in done.stdout.decode() for command in COMMANDS)


def test_without_a_command_the_help_is_an_error() -> None:
    done = fasthits()
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", fasthits("--help").stdout)


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
        ("history", ["Usage: fasthits history [OPTIONS] [PATH]...", "--days", "hits.db", "--csv"]),
        ("serve", ["127.0.0.1", "8765", "FASTHITS_TOKEN", "--public", "the extra `web`", "/openapi.json"]),
        ("doctor", ["--django-settings", "exit code is 1"]),
    ],
)
def test_the_help_of_a_command_shows_how_to_use_it(command: str, taught: list[str]) -> None:
    shown = " ".join(fasthits(command, "--help").stdout.decode().split())
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
        ["today", "/", "--date", "2026-03-01..2026-03-02"],
        ["today", "/", "--memcached", "localhost:"],
        ["top", "--limit", "0"],
        ["history", ""],
        ["history", "about.html"],
        ["check", "--settle", "nan"],
        ["warm", "--settle", "inf"],
        ["warm", "--settle", "1e300"],
        ["log", "--drain-timeout", "nan"],
        ["conf", "--user", ""],
        ["conf", "--user", "fast hits"],
        ["conf", "--user", "--system"],
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
def test_a_mistake_in_the_arguments_is_an_error_with_exit_code_2(arguments: list[str]) -> None:
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
        (["watch"], "did you mean top?"),
        (["top", "-n", "5"], "did you mean --limit?"),
        (["serve", "--listen", "::"], "did you mean --host?"),
        (["xyzzy"], "fasthits --help lists the commands"),
        (["rollup", "--since", "2026-03-01"], "give the days as an argument: 2026-03-12, or 2026-03-01..2026-03-12"),
        (["rollup", "--days", "7"], "give the days as an argument: 2026-03-12"),
        (["rollup", "2026-03-01", "2026-03-12"], "(days are one argument: 2026-03-01..2026-03-12)"),
        (["rollup", "20260312"], "did you mean 2026-03-12?"),
        (["rollup", "2026-3-12"], "did you mean 2026-03-12?"),
        (["rollup", "2026/3/1"], "did you mean 2026-03-01?"),
        (["rollup", "access.log"], "name log files with --logs access.log, a pattern in quotes: --logs 'access.log*'"),
        (["rollup", "today", "\u2013quiet"], "unexpected argument: \u2013quiet (did you mean --quiet?)"),
        (["log", "—user nobody"], "unexpected argument: —user nobody (did you mean --user?)"),
        (["log", "--ttl", "26h"], " is not a whole number (fasthits log --help)"),
        (["rollup", "today", ""], "unexpected argument: '' (it is empty; is a variable of the shell not set?)"),
        (["rollup", "today", "a.log", "b.log"], "unexpected argument: a.log b.log (name log files with --logs a.log,"),
        (["rollup", "--to"], "option without a value: --to (fasthits rollup --to TARGET)"),
        (["rollup", "--ignore-bots"], "did you mean --exclude-bots?"),
        (["log", "access.log"], "name a log file with --follow access.log"),
        (["log", "--host", "localhost"], "did you mean --memcached?"),
        (["log", "--format", "nginx"], "did you mean combined or json or ltsv?"),
        (["conf", "nginx"], "type only fasthits conf: it prints the lines for Apache and for nginx"),
        (["serve", "hits.db"], "name the database with --database hits.db"),
        (["report", "--output", "a.html"], "did you mean --to?"),
        (["report", "--db", "hits.db"], "did you mean --database?"),
        (["history", "--path", "/a"], "give the path as an argument: /news/"),
        (["history", "--month", "2026-03"], "did you mean --date?"),
        (["-V"], "did you mean --version?"),
        (["version"], "did you mean --version?"),
        (["check", "--date", "2026-03-01"], "give the day as an argument: 2026-03-12"),
        (["rollup", "--output=hits.csv"], "did you mean --to?"),
        (["rollup", "--db", "hits.db"], "did you mean --to?"),
        (["most-read", "--to", "hits.db"], "did you mean --database?"),
        (["log", "--user", "--memcached", "web1"], "option without a value: --user (fasthits log --user NAME)"),
        (["rollup", "--logs", "--to=x.db"], "option without a value: --logs (fasthits rollup --logs PATTERN)"),
        (["rollup", "--logs", "access.log", "kept/hits.db"], "'kept/hits.db' (a rollup writes into --to kept/hits.db)"),
        (["log", "--follow", "sftp://me:pw@web1/access.log"], "not a file to follow: sftp://***@web1/access.log (a "),
        (["report", "--to", "reports/"], "not a file: reports/ (name the report with --to reports/report.html)"),
        (["rollup", "--summry", "x"], "no such option: --summry (did you mean --summary?)"),
        (["rollup", "--ttl", "60"], "no such option: --ttl (fasthits rollup --help)"),
        (["--oops"], "no such option: --oops (fasthits --help)"),
        (["today"], "missing argument 'PATH...' (for example fasthits today / /news/; for all paths fasthits top"),
        (["history", "/", "--days", "7d"], "a whole number from 1 to 3660"),
        (["most-read", "--days", "9" * 30], "a whole number from 1 to 3660"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_name_or_number_suggests_the_right_one(arguments: list[str], suggestion: str) -> None:
    done = fasthits(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert suggestion in done.stderr.decode()


def help_at(columns: int, *arguments: str) -> str:
    """Return the help on a terminal of so many columns."""
    with pytest.MonkeyPatch.context() as environment, redirect_stdout(io.StringIO()) as shown:
        environment.setenv("COLUMNS", str(columns))
        assert app(list(arguments), prog_name="fasthits", standalone_mode=False) == 0
    return shown.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_lines_only_at_the_edge(command: str) -> None:
    for columns in (60, 80, 120):
        shown = help_at(columns, command, "--help")
        assert help_at(columns, "help", command) == shown
        description = shown.partition("\nOptions:\n")[0].partition("\nArguments:\n")[0]
        width = min(columns, 100) - 2
        for paragraph in description.split("\n\n")[1:]:
            lines = [line[2:] for line in paragraph.splitlines()]
            assert lines[0].startswith("    ") or lines == textwrap.wrap(" ".join(lines), width - 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_no_option_in_two(command: str) -> None:
    wide = help_at(100, command, "--help")
    options = re.findall(r"^  (?:-h, )?(--[a-z-]+)", wide, re.M)
    assert "--help" in options
    for columns in (60, 80):
        narrow = help_at(columns, command, "--help")
        assert {name: narrow.count(name) for name in options} == {name: wide.count(name) for name in options}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(command: str) -> None:
    description = help_at(80, command, "--help").partition("\nOptions:\n")[0]
    assert re.search(rf"^      (?:.*\| )?fasthits {command}\b", description, re.M)


def test_a_group_of_options_has_a_heading_and_numbers_have_their_range() -> None:
    shown = help_at(80, "warm", "--help")
    headings = re.findall(r"^(\S.*):$", shown, re.M)
    assert headings == ["Arguments", "Options", "memcached", "What counts, and under which path"]
    assert "1 to 2592000]" in shown
    assert "<=" not in shown


CHECK = "log --check --memcached 127.0.0.1:1"
REFUSED = "cannot reach memcached: 127.0.0.1:1 (Connection refused; start memcached, or correct its address)"
UNREACHED = f"fasthits: warning: {REFUSED}; hits wait until it answers\n"
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
        (f"{CHECK} >&-", 1, f"{UNREACHED}fasthits: cannot write: standard output (Bad file descriptor)\n"),
        (f"{CHECK} >/dev/full", 1, f"{UNREACHED}fasthits: cannot write: standard output (No space left on device)\n"),
        ("top --memcached 127.0.0.1:1 <&-", 1, f"fasthits: {REFUSED}\n"),
        ("--version >&-", 1, "fasthits: cannot write: standard output (Bad file descriptor)\n"),
        ("rollup 2026-03-12 --logs - --to - 2>&-", 0, ""),
        ("log --memcached 127.0.0.1:1 --drain-timeout 0 2>/dev/full", 0, ""),
        ("log --memcached 127.0.0.1:1 --drain-timeout 0 2>&-", 0, ""),
    ],
)
def test_closed_or_full_streams_are_reported(command: str, code: int, stderr: str) -> None:
    done = subprocess.run(f"{SHELL} {command}", shell=True, input=hit("/"), capture_output=True, cwd=PROJECT)
    assert (done.returncode, done.stderr.decode()) == (code, stderr)


@pytest.mark.parametrize("command", ["conf --follow x.log", "log --check --follow x.log --state /dev/null/x"])
def test_a_current_folder_that_is_gone_is_told(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()
    program = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec {sys.executable} -I -m fasthits {command}"
    done = subprocess.run(program, shell=True, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "fasthits: the current folder no longer exists (cd to another)\n"


@pytest.mark.parametrize("part", ["cli/output.py", "daily/sqlite/target.py"])
def test_a_part_that_is_missing_is_told(part: str, tmp_path: Path) -> None:
    """As while pip replaces the files, or after it was killed. One part is imported at once, the other at the end."""
    installation = Installation.make(tmp_path / "venv")
    (installation.package / part).unlink()
    log = write(tmp_path / "access.log", hit("/a"))
    done = installation.run("rollup", "2026-03-12", "--partial", "--logs", str(log), "--to", str(tmp_path / "hits.db"))
    module = "fasthits." + part.removesuffix(".py").replace("/", ".")
    said = f"fasthits: cannot import a part of fasthits: No module named '{module}' (reinstall fasthits)\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", said)


def test_a_part_of_python_that_is_missing_is_told(tmp_path: Path) -> None:
    """As where Python was built without the headers of a library: no package of pip's mends that."""
    installation = Installation.make(tmp_path / "venv")
    installation.libraries.joinpath("missing.pth").write_text("import sys; sys.modules['_sqlite3'] = None\n")
    log, kept = write(tmp_path / "access.log", hit("/a")), str(tmp_path / "hits.db")
    why = "cannot import a part of Python: import of _sqlite3 halted; None in sys.modules"
    said = f"fasthits: {why} (install libsqlite3-dev and build this Python again, or use another)\n"
    for command in (
        ("rollup", "2026-03-12", "--partial", "--logs", str(log), "--to", kept),
        ("serve", "--database", kept),
    ):
        done = installation.run(*command)
        assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", said)


def test_a_full_output_is_no_error_of_the_database(tmp_path: Path) -> None:
    log, kept = write(tmp_path / "access.log", hit("/")), tmp_path / "hits.db"
    count = f"rollup 2026-03-12 --partial --quiet --logs {log} --to {kept}"
    assert subprocess.run(f"{SHELL} {count}", shell=True, capture_output=True, cwd=PROJECT).returncode == 0
    ask = f"most-read --json --database {kept} >/dev/full"
    done = subprocess.run(f"{SHELL} {ask}", shell=True, capture_output=True, text=True, cwd=PROJECT)
    assert (done.returncode, done.stderr) == (1, "fasthits: cannot write: standard output (No space left on device)\n")


@pytest.mark.parametrize("command", ["formats", "log", "most-raed"])
def test_a_mistyped_variable_is_a_warning(command: str) -> None:
    """Those that Kubernetes makes for a service with the name fasthits are none."""
    of_kubernetes = {"FASTHITS_SERVICE_HOST": "10.0.0.1", "FASTHITS_SERVICE_PORT": "80", "FASTHITS_PORT": "tcp://x:80"}
    done = fasthits(command, **of_kubernetes, FASTHITS_MEMCACHE="web1")
    warned = [line for line in done.stderr.decode().splitlines() if "warning" in line]
    said = "fasthits: warning: no command reads the variable FASTHITS_MEMCACHE (did you mean FASTHITS_MEMCACHED?)"
    assert warned == [said]


@pytest.mark.parametrize("command", ["formats", "log"])
@pytest.mark.parametrize(
    "zone", ["Europe/Belin", ":Europe/Belin", "CEST", "+0100", "America/New York", "/no/such/zone"]
)
def test_a_TZ_that_is_no_time_zone_is_a_warning(command: str, zone: str) -> None:
    """The C library takes it for UTC, so hits around midnight would be of another day in silence."""
    said = f"fasthits: warning: TZ is no time zone of this machine, so its days are those of UTC: '{zone}' ("
    assert said in fasthits(command, TZ=zone).stderr.decode()


@pytest.mark.parametrize("zone", ["", "UTC", ":Etc/UTC", "UTC0", "<+00>-0", "GMT0BST", ":/etc/localtime"])
def test_a_TZ_that_is_a_time_zone_is_no_warning(zone: str) -> None:
    """Also where no time zones are installed."""
    for zones in {}, {"TZDIR": "/none"}:
        assert fasthits("formats", TZ=zone, **zones).stderr == b""
    assert fasthits("formats", TZ="Africa/Abidjan").stderr == b""
