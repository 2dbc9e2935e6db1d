"""`fasthits doctor` on the loggers that run, and on whether they count the lines of the log."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from threading import Event, Thread

import pytest

from fasthits.live.keys import figure_path, hit_key
from tests.support.commands import write
from tests.support.logger import Logger, access_line
from tests.support.processes import end_process, eventually
from tests.support.servers import IS_ROOT, Apache, Memcached, closed_port
from tests.upkeep.doctor.support import AS_ROOT, doctor, failing, log_of, run_doctor


@pytest.mark.parametrize(
    "options",
    [
        ["--prefix", "site:1:"],
        ["--memcached", "127.0.0.1:1,127.0.0.1:2"],
        ["--exclude-static", "--status", "200,304"],
        ["--include-path=/a/*", "--include-path", "/b/*"],
        ["--config", "rules.toml"],
    ],
    ids=" ".join,
)
def test_the_options_of_a_logger_that_differ_are_reported_and_are_those_to_use(place: Path, options: list[str]) -> None:
    write(place / "rules.toml", b"fold-slash = true\n")
    own = [] if "--memcached" in options else ["--memcached", f"127.0.0.1:{closed_port()}"]
    alone = ["unshare", "--pid", "--fork", "--mount-proc"] if IS_ROOT else []  # in a folder where no other loggers run
    script = (
        f"{shlex.join([sys.executable, '-m', 'fasthits', 'log', *own, *options])} <&3 & "
        f"until grep -qsz fasthits /proc/$!/cmdline; do :; done; {sys.executable} -m fasthits doctor "
    )
    read_end, write_end = os.pipe()

    def ask(arguments: str) -> str:
        done = subprocess.run(
            [*alone, "bash", "-c", f"exec 3<&{read_end}; {script} {arguments}; kill -9 $!"],
            cwd=place,
            capture_output=True,
            text=True,
            pass_fds=[read_end],
            check=False,
        )
        (found,) = re.findall(r"^\S+ +loggers: .*", done.stdout, re.M)
        return found

    told = ask(shlex.join(own))
    assert told.startswith("FAIL"), told
    assert ask(shlex.join(own) + told.partition("-> fasthits doctor")[2]).startswith("ok "), told
    os.close(read_end)
    os.close(write_end)


@AS_ROOT
def test_a_logger_with_an_empty_variable_counts_into_the_default_server(place: Path) -> None:
    logger = f"sleep 60 | FASTHITS_MEMCACHED= {sys.executable} -m fasthits log & until grep -qsz ^log$ /proc/$!/cmdline"
    script = f"{logger}; do :; done; {sys.executable} -m fasthits doctor; kill -9 $!"
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "bash", "-c", script]
    done = subprocess.run(alone, cwd=place, capture_output=True, text=True, check=False)
    assert re.search(r"^ok +loggers: 1 with these options", done.stdout, re.M)


@AS_ROOT
def test_no_logger_is_a_warning(place: Path) -> None:
    alone = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "fasthits", "doctor"]
    done = subprocess.run(alone, cwd=place, capture_output=True, text=True, check=False)
    assert "warn  loggers: no fasthits log runs on this machine -> put the line of fasthits conf into" in done.stdout


def test_two_followers_of_one_log_are_reported(folder: Path, memcached: Memcached) -> None:
    log = log_of(folder, date.today())
    with contextlib.ExitStack() as stack:
        for number, name in enumerate([str(log), os.path.relpath(log, folder)]):
            state = folder / f"{number}.state"
            command = [sys.executable, "-m", "fasthits", "log", "--follow", name, "--state", str(state)]
            process = subprocess.Popen([*command, "--memcached", memcached.spec], cwd=folder)
            stack.callback(end_process, process)
            eventually(state.exists, what="the follower runs")
        text = run_doctor(folder, memcached.spec).failed()["loggers"]
        assert f"both follow {log}, so each line counts twice -> stop one of them: kill {process.pid}" in text


OFTEN = "import fasthits.live.statistics; fasthits.live.statistics.PUBLISH_SECONDS = 0.1"
"""Runs in a logger whose figures doctor waits for."""
IMPATIENT = "import fasthits.upkeep.doctor.running; fasthits.upkeep.doctor.running.LATE_SECONDS = 3.0"
"""Runs in a doctor that waits for figures that never come."""


@contextlib.contextmanager
def growing(file: Path, logger: Logger | None = None) -> Iterator[None]:
    """During the block append lines to *file*, some hundreds a second, and write them to a logger."""
    stop = Event()

    def append() -> None:
        with file.open("ab", buffering=0) as log:
            while not stop.wait(0.005):
                log.write(access_line("/page", date.today()))
                if logger:
                    logger.write(access_line("/page", date.today()))

    thread = Thread(target=append)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_log_that_grows_and_is_counted_is_ok(folder: Path, memcached: Memcached) -> None:
    with (
        Logger(folder, "--memcached", memcached.spec, first=OFTEN) as logger,
        growing(log_of(folder, date.today()), logger),
    ):
        said = run_doctor(folder, memcached.spec, patch="")
    assert said.checks["log is counted"][0] == "ok", said.checks["log is counted"]
    assert "lines of " in said.checks["log is counted"][1]


def test_a_virtual_host_whose_own_log_is_not_counted_is_reported(folder: Path, memcached: Memcached) -> None:
    """The figures rise, because the main server's lines are counted, but the lines of the virtual host are not."""
    logger = f'"|{sys.executable} -m fasthits log --memcached {memcached.spec}"'
    log = log_of(folder, date.today())
    log.unlink()
    own = f"<VirtualHost *:*>\nServerName own.example\nCustomLog {log} combined\n</VirtualHost>"
    with Apache(folder / "apache", [logger], extra=own) as apache:
        stop = Event()

        def browse() -> None:
            while not stop.wait(0.01):
                apache.request("/a.html")

        thread = Thread(target=browse)
        thread.start()
        eventually(lambda: log.exists() and log.stat().st_size, what="Apache logs")
        failed = run_doctor(folder, memcached.spec, patch=IMPATIENT).failed()
        stop.set()
        thread.join()
    assert " grows, but it is not counted: there is no counter :1:" in failed["log is counted"]
    assert "write GlobalLog instead of CustomLog" in failed["log is counted"]


def test_figures_that_do_not_change_while_the_log_grows_are_reported(folder: Path, memcached: Memcached) -> None:
    """For example, after a logger that counted this morning and has ended."""
    for key in (hit_key(date.today(), b"/page"), hit_key(date.today(), figure_path("lines"))):
        assert memcached.ask(f"add {key} 2 600 1\r\n5".encode()) == b"STORED\r\n"
    with growing(log_of(folder, date.today())):
        failed = failing(folder, memcached.spec, patch=IMPATIENT)
    assert "grows, but it is not counted: the loggers' !lines stays 5 -> " in failed["log is counted"]


def test_warnings_of_loggers_are_reported_with_what_to_do(folder: Path, memcached: Memcached) -> None:
    for figure, number in (("warning unreachable", 3), ("in doubt", 17)):
        key = hit_key(date.today(), figure_path(figure))
        assert memcached.ask(f"add {key} 2 600 {len(str(number))}\r\n{number}".encode()) == b"STORED\r\n"
    verdict, text, remedy = doctor(folder, memcached.spec).checks["warnings"]
    assert verdict == "warn"
    assert text == "17 hits may have been counted or not; a logger could not reach memcached: 3 warnings today"
    assert remedy.startswith("repair the counters: fasthits warm; start memcached")


@AS_ROOT
def test_loggers_that_the_system_hides_are_not_said_to_be_none(place: Path) -> None:
    """ProtectProc= of systemd, or hidepid, hides processes of other users."""
    may_read = "+dac_read_search"  # also a Python in a private folder, but not others' processes
    user = f"--reuid nobody --regid nogroup --clear-groups --inh-caps {may_read} --ambient-caps {may_read}".split()
    script = 'mount -t proc -o hidepid=2 proc /proc && "$@"; true'
    command = ["sh", "-c", script, "sh", "setpriv", *user, sys.executable, "-m", "fasthits", "doctor"]
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", *command], cwd=place, capture_output=True, text=True, check=False
    )
    assert "warn  loggers: the system hides the processes of other users -> fasthits doctor as root" in done.stdout
