"""`fasthits log --check` says what a logger with the same arguments would say, and reads nothing."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.test_apache_cannot_count import FAULTS
from tests.support.logger import Logger
from tests.support.processes import environment, fasthits_command, run_fasthits
from tests.support.servers import IS_ROOT, Memcached

StartLogger = Callable[..., Logger]


def check(*args: str) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr."""
    done = run_fasthits("log", "--check", *args)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("fault", FAULTS)
def test_check_says_what_the_logger_would_say(place: Path, start_logger: StartLogger, fault: str) -> None:
    make, message = FAULTS[fault]
    options = make(place)
    code, out, said = check(*options)
    assert (code, out) == (2, "")
    assert message in said
    logger = start_logger(*options)
    assert logger.finish() == code
    cannot_count = logger.stderr.splitlines()[0]
    assert cannot_count.replace("cannot count, log lines are discarded: ", "") + "\n" == said


@pytest.mark.parametrize("spec", ["127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", "unix:", ":11211"])
@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_server_that_makes_no_sense_is_reported(spec: str, way: str) -> None:
    if way == "option":
        done = run_fasthits("log", "--check", "--memcached", spec)
    else:
        done = run_fasthits("log", "--check", env={"FASTHITS_MEMCACHED": spec})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"fasthits: not a memcached server: {spec!r}".encode())


def test_a_good_setup_is_confirmed(memcached: Memcached) -> None:
    user = ["--user", "www-data"] if IS_ROOT else []
    code, out, said = check("--memcached", memcached.spec, "--exclude-bots", *user)
    assert (code, out, said) == (0, f"ok: counts into {memcached.spec}{' as www-data' if user else ''}\n", "")
    assert memcached.counters() == {}


def test_an_unreachable_server_is_not_a_failure(memcached: Memcached) -> None:
    code, out, said = check("--memcached", memcached.spec, "--memcached", "unix:/no/such.sock")
    assert (code, out.count("\n")) == (0, 1)
    assert said.startswith("fasthits: warning: cannot reach memcached: unix:/no/such.sock (No such file")
    assert said.endswith("; hits wait until it answers\n")


def test_the_name_of_a_server_need_not_be_utf8() -> None:
    code, out, _ = check("--memcached", "unix:/no/\udcff")
    assert (code, out) == (0, "ok: counts into unix:/no/\\udcff\n")


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_check_runs_as_the_user_of_the_logger(start_memcached: Callable[..., Memcached]) -> None:
    memcached = start_memcached("-a", "0700", unix=True)
    assert check("--memcached", memcached.spec)[2] == ""
    code, _, said = check("--memcached", memcached.spec, "--user", "www-data")
    assert code == 0
    assert "Permission denied" in said


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_a_process_that_may_not_become_the_user_is_reported() -> None:
    command = ["setpriv", "--bounding-set=-setuid,-setgid"]  # it still may read Python, wherever that is
    command += fasthits_command("log", "--check", "--user", "www-data")
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, env=environment(""), cwd="/", timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == b"fasthits: cannot become user: www-data (start as root, or leave --user out)\n"


def test_check_reads_no_input_and_waits_for_nothing() -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"a line\n")
        done = subprocess.run(
            fasthits_command("log", "--check", "--oops"),
            stdin=read,
            capture_output=True,
            env=environment(""),
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert os.read(read, 100) == b"a line\n"
    finally:
        os.close(read)
        os.close(write)
