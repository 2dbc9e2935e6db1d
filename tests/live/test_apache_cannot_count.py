"""If a logger cannot count, or cannot start, a real Apache goes on answering, and its error log says why.

A pipe that nobody reads holds at most 1,100 of these lines. After that, every further request would wait for ever.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest

from fasthits.live.keys import hit_key
from tests.support.installation import Installation
from tests.support.processes import eventually
from tests.support.servers import IS_ROOT, Apache, Memcached, piped

REQUESTS = 2_000
AT_ONCE = 100
ANSWER_SECONDS = 20
"""How long Apache may take for AT_ONCE answers, on a busy machine."""
REQUEST = b"GET /a.html?" + b"x" * 900 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEEP_ALIVE = "MaxKeepAliveRequests 0"


def answers(apache: Apache, requests: int = REQUESTS) -> int:
    """Send requests, AT_ONCE of them together, until there are so many answers, and return that number.

    After a restart, an old worker closes its connection when it ends. Then a new connection is used.
    """
    answered = 0
    while answered < requests:
        with socket.create_connection(("127.0.0.1", apache.port), timeout=ANSWER_SECONDS) as connection:
            while answered < requests and (more := exchange(connection, min(AT_ONCE, requests - answered))):
                answered += more
    return answered


def exchange(connection: socket.socket, requests: int) -> int:
    """Send requests together and return how many are answered: 0 on a connection that has ended."""
    connection.sendall(REQUEST * requests)
    received = bytearray()
    while (answered := received.count(b"HTTP/1.1 200")) < requests:
        try:
            piece = connection.recv(1 << 16)
        except ConnectionResetError:
            break
        if not piece:
            break
        received += piece
    return answered


def said(apache: Apache, word: str = "") -> list[str]:
    """Return the lines of fasthits in the error log that have *word* in them."""
    return [line for line in re.findall("^fasthits: .*", apache.error_log, re.MULTILINE) if word in line]


def why_it_cannot_count(apache: Apache) -> str:
    """Return what the logger says, once. Apache starts another logger when it checks its configuration, which on a busy
    machine lives long enough to say the same.
    """
    lines = eventually(lambda: said(apache, "cannot count, log lines are discarded"), what="the logger says why")
    assert len(lines) <= 2
    assert len(set(lines)) == 1
    return lines[0]


def expect_all_discarded(apache: Apache) -> None:
    """Wait until the logger says how many lines it has discarded. That of Apache's check may say so, too: none."""
    total, of_check = (f"fasthits: the log has ended; {lines:,} lines discarded" for lines in (REQUESTS, 0))
    eventually(lambda: total in said(apache, "the log has ended"), what="the logger says how many")
    assert said(apache, "the log has ended") in ([total], [of_check, total], [total, of_check])


def running(place: Path, log: str, env: dict[str, str] | None = None) -> AbstractContextManager[Apache]:
    return Apache(place / "apache", [log], extra=KEEP_ALIVE, env=env)


# Python runs, but cannot count


def with_config(place: Path, text: str) -> list[str]:
    config = place / "fasthits.toml"
    config.write_text(text)
    return ["--config", str(config)]


def with_pipe(place: Path) -> list[str]:
    os.mkfifo(place / "pipe")
    return ["--config", str(place / "pipe")]


FAULTS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "typo in the configuration": (
        lambda place: with_config(place, "exclud-bots = true\n"),
        "did you mean exclude-bots?",
    ),
    "no TOML": (lambda place: with_config(place, "exclude-bots\n"), "config file is not valid TOML"),
    "no configuration": (lambda place: ["--config", str(place / "none.toml")], "cannot read config file"),
    "a pipe": (with_pipe, "config file is not a regular file"),
    "unknown option": (lambda place: ["--exclude-robots"], "no such option: --exclude-robots"),
    "bad value": (lambda place: ["--ttl", "soon"], "invalid value for '--ttl'"),
    "bad format": (lambda place: ["--format", "combind"], "combind"),
    "no server": (lambda place: ["--memcached", "localhost:http"], "not a memcached server"),
    "user who is gone": (lambda place: ["--user", "nobody-has-this-name"], "no such user"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_apache_answers_while_its_logger_cannot_count(place: Path, fault: str) -> None:
    make, message = FAULTS[fault]
    command = piped(sys.executable, "-I", "-m", "fasthits", "log", *make(place))
    with running(place, command) as apache:
        assert answers(apache) == REQUESTS
        assert message in why_it_cannot_count(apache)
        apache.stop()
        assert "failed unexpectedly" not in apache.error_log
        expect_all_discarded(apache)
        why_it_cannot_count(apache)


@pytest.mark.parametrize(
    "words",
    [["lgo"], ["log", "--check"], ["log", "--help"], ["log", "--follow", "/var/log/a.log"], ["--version"], []],
    ids=" ".join,
)
def test_apache_answers_although_its_logger_has_a_wrong_command(place: Path, words: list[str]) -> None:
    with running(place, piped(sys.executable, "-I", "-m", "fasthits", *words)) as apache:
        assert answers(apache) == REQUESTS
        line = why_it_cannot_count(apache)
        assert f"this is no piped logger: {' '.join(['fasthits', *words])} (fasthits conf prints the line" in line
        apache.stop()
        assert "failed unexpectedly" not in apache.error_log
        expect_all_discarded(apache)


def test_fasthits_may_run_as_a_cgi_script(place: Path) -> None:
    """The standard input of a CGI script is a pipe, too. It holds the request's body."""
    script = place / "cgi.py"
    script.write_text(
        "import ctypes, os, sys\n"
        "ctypes.CDLL(None).prctl(15, b'apache2', 0, 0, 0)  # PR_SET_NAME: as Apache's own process is called\n"
        "pid = os.posix_spawn(sys.executable, [sys.executable, '-I', '-m', 'fasthits', '--version'], os.environ)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    for env, code in (({"GATEWAY_INTERFACE": "CGI/1.1"}, 0), ({}, 2)):
        done = subprocess.run(
            [sys.executable, script], input=b"", capture_output=True, env=os.environ | env, timeout=30, check=False
        )
        assert (done.returncode, done.stdout != b"") == (code, code == 0), done.stderr


def test_counting_begins_when_the_operator_corrects_the_mistake(place: Path, memcached: Memcached) -> None:
    options = with_config(place, "exclude-bot = true\n")
    command = piped(sys.executable, "-I", "-m", "fasthits", "log", "--memcached", memcached.spec, *options)
    key = hit_key(date.today(), b"/a.html")
    with running(place, command) as apache:
        assert answers(apache, 1000) == 1000
        why_it_cannot_count(apache)
        with_config(place, "exclude-bots = true\n")
        (line,) = eventually(lambda: said(apache, "counting now"), what="the logger counts")
        discarded = int(re.findall("([0-9,]+) lines? discarded", line)[0].replace(",", ""))
        assert answers(apache, 1000) == 1000
        eventually(lambda: memcached.views(key) >= 1000, what="the hits are counted")
        apache.stop()
        assert memcached.views(key) + discarded == 2000  # each line was either counted or reported
        why_it_cannot_count(apache)
        assert len(said(apache, "counting now")) == 1


# Python does not run: the shell that `fasthits conf` prints


@pytest.fixture
def installation(place: Path) -> Installation:
    """An installation that tests may break."""
    return Installation.make(place / "my opt")


def break_interpreter(here: Installation) -> None:
    here.python.rename(here.python.with_name("python.old"))
    here.python.symlink_to("/usr/bin/no-such-python")


def break_import(here: Installation) -> None:
    (here.package / "errors.py").write_text("import no_such_module\n")


BREAKS: dict[str, tuple[Callable[[Installation], None], str]] = {
    "all of it is gone": (Installation.remove, "not found"),
    "its Python is gone": (break_interpreter, "not found"),
    "an import fails": (break_import, "ModuleNotFoundError: No module named 'no_such_module'"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_apache_answers_while_python_cannot_start(
    place: Path, memcached: Memcached, installation: Installation, fault: str
) -> None:
    break_it, message = BREAKS[fault]
    log = installation.custom_log("--memcached", memcached.spec)
    break_it(installation)
    with running(place, log) as apache:
        assert answers(apache) == REQUESTS
        apache.graceful()
        assert answers(apache) == REQUESTS
        # Up to three loggers: one for Apache's check of its configuration, one before and one after the restart.
        lines = eventually(lambda: len(found := said(apache)) >= 2 and found, what="each logger says why")
        assert 2 <= len(lines) <= 3
        assert all("Python cannot start, log lines are discarded" in line and message in line for line in lines)
        apache.stop()
        assert "failed unexpectedly" not in apache.error_log


def test_counting_begins_when_python_can_start_again(
    place: Path, memcached: Memcached, installation: Installation
) -> None:
    """The shell tries again each minute. In this test it tries each second."""
    log = installation.custom_log("--memcached", memcached.spec)
    hasty = log.replace("-s USR2 60 cat", "-s USR2 1 cat")
    assert hasty != log
    installation.remove()
    key = hit_key(date.today(), b"/a.html")
    with running(place, hasty) as apache:
        assert answers(apache, 1000) == 1000
        eventually(lambda: said(apache, "Python cannot start"), what="the shell says why")
        installation.restore()
        eventually(lambda: apache.processes("fasthits"), what="the logger runs")
        assert answers(apache, 1000) == 1000
        eventually(lambda: memcached.views(key) >= 1000, what="the hits are counted")
        apache.stop()


def test_the_environment_of_apache_does_not_matter(
    place: Path, memcached: Memcached, installation: Installation
) -> None:
    """No variable makes root run modules of a stranger, and PYTHONHOME does not prevent Python's start."""
    strangers = place / "strangers"
    strangers.mkdir()
    for module in ("typer", "sitecustomize", "usercustomize", "pymemcache", "signal", "fasthits"):
        (strangers / f"{module}.py").write_text(f"open({str(place / 'mark')!r}, 'w').close()\n")
    log = installation.custom_log("--memcached", memcached.spec)
    env = {"PYTHONHOME": str(place), "PYTHONPATH": str(strangers), "PYTHONSTARTUP": str(strangers / "typer.py")}
    key = hit_key(date.today(), b"/a.html")
    with running(place, log, env) as apache:
        assert answers(apache, 1000) == 1000
        eventually(lambda: memcached.views(key) == 1000, what="the hits are counted")
        apache.stop()
        assert not (place / "mark").exists()
        assert said(apache) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_the_logger_outlives_its_installation(place: Path, memcached: Memcached, installation: Installation) -> None:
    """An upgrade may remove the files of a running logger. It goes on counting. After a graceful restart the new logger
    discards."""
    log = installation.custom_log("--memcached", memcached.spec)
    key = hit_key(date.today(), b"/a.html")
    with running(place, log) as apache:
        assert answers(apache, 100) == 100
        eventually(lambda: memcached.views(key) == 100, what="the hits are counted")
        eventually(lambda: len(apache.processes("fasthits")) == 2, what="the logger of Apache's check has ended")
        installation.remove()
        assert answers(apache) == REQUESTS
        eventually(lambda: memcached.views(key) == REQUESTS + 100, what="the hits are counted")
        assert said(apache) == []
        apache.graceful()
        assert answers(apache) == REQUESTS
        (line,) = eventually(lambda: said(apache), what="the shell says why")
        assert "Python cannot start" in line
        apache.stop()
