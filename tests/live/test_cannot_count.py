"""A logger that cannot count goes on reading: it says why, discards lines, and counts as soon as it can.

These tests change the logger itself. test_apache_cannot_count.py makes the mistakes of operators.
"""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from fasthits.live.keys import hit_key
from tests.live.test_log_process import IGNORED, count_one, courier_of, private_python, status_of
from tests.support.certificates import Authority
from tests.support.commands import write
from tests.support.installation import Installation, custom_log, shell_command
from tests.support.logger import DAY, RUN, Logger, access_line, access_lines
from tests.support.processes import (
    environment,
    eventually,
    fasthits_command,
    is_alive,
    marked_processes,
    outlives,
    run_fasthits,
)
from tests.support.servers import IS_ROOT, Memcached

StartLogger = Callable[..., Logger]

KEY = hit_key(DAY, b"/a")
WRONG = ("--oops",)
HASTY = "import fasthits.live.supervisor; fasthits.live.supervisor.RETRY_SECONDS = 0.1"
"""Python after which the logger tries again soon."""
LINES = access_lines(["/a"] * 30_000)
"""More than a pipe holds."""


def said(logger: Logger, word: str) -> list[str]:
    return [line for line in logger.stderr.splitlines() if word in line]


def numbers(lines: list[str]) -> list[int]:
    """Return the number of discarded lines in each of *lines*."""
    return [int(re.findall("([0-9,]+) lines? discarded", line)[0].replace(",", "")) for line in lines]


# Until the end of input


def test_all_input_is_read_and_the_exit_code_is_that_of_the_mistake(start_logger: StartLogger) -> None:
    logger = start_logger(*WRONG)
    logger.write(LINES)
    logger.wait_until_read()
    assert logger.finish() == 2
    why, total = logger.stderr.splitlines()
    why = re.sub(r" \([0-9,]+ so far\)", "", why)  # the cause may be told only after lines were read
    assert why.startswith("fasthits: cannot count, log lines are discarded: no such option: --oops")
    assert why.endswith("(fasthits log --help)")
    assert total == "fasthits: the log has ended; 30,000 lines discarded"


@pytest.mark.parametrize("number", [*IGNORED, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_does_not_end_it(start_logger: StartLogger, number: signal.Signals) -> None:
    logger = start_logger(*WRONG, patch=HASTY)
    eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    for _ in range(3):
        logger.signal(number)
        logger.write(access_line("/a"))
        logger.wait_until_read()
    assert logger.finish() == 2


def test_sigusr1_asks_how_many_lines_were_discarded(start_logger: StartLogger) -> None:
    logger = start_logger(*WRONG)
    eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    logger.write(LINES)
    logger.wait_until_read()

    def told() -> bool:
        logger.signal(signal.SIGUSR1)
        return bool(said(logger, "log lines are discarded (30,000 so far): no such option"))

    eventually(told, what="the logger tells")


def test_each_cause_is_reported_once_a_minute(place: Path, start_logger: StartLogger) -> None:
    tries = place / "tries"
    count_tries = f"""
import fasthits.cli
prepare_logger = fasthits.cli.prepare_logger
def prepare(arguments):
    with open({str(tries)!r}, "a") as file:
        file.write("x")
    return prepare_logger(arguments)
fasthits.cli.prepare_logger = prepare
"""
    logger = start_logger(*WRONG, patch=HASTY + count_tries)
    eventually(lambda: tries.exists() and len(tries.read_text()) >= 10, what="it has tried ten times")
    assert logger.finish() == 2
    assert len(said(logger, "cannot count")) == 1
    assert logger.stderr.count("\n") == 2  # the other message is that of the end


def test_a_full_standard_error_is_not_waited_for(place: Path) -> None:
    with full_pipe() as stderr, marked_processes() as mark:
        process = subprocess.Popen(
            fasthits_command("log", *WRONG), stdin=subprocess.PIPE, stderr=stderr, env=environment(mark)
        )
        process.communicate(LINES, timeout=60)
        assert process.returncode == 2


@contextmanager
def full_pipe() -> Iterator[int]:
    """Give the write end of a pipe that is full and that nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, bytes(4096))
    except BlockingIOError:
        os.set_blocking(write, True)
    try:
        yield write
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_a_closed_standard_error_does_no_harm(stderr: str) -> None:
    command = " ".join(fasthits_command("log", *WRONG))
    done = subprocess.run(f"{command} {stderr}", shell=True, input=LINES, env=environment(""), timeout=60, check=False)
    assert done.returncode == 2


def test_a_socket_is_read_to_its_end() -> None:
    ours, theirs = socket.socketpair()
    with marked_processes() as mark, ours:
        with theirs:
            process = subprocess.Popen(
                fasthits_command("log", *WRONG), stdin=theirs, stderr=subprocess.PIPE, env=environment(mark)
            )
        ours.sendall(LINES)
        ours.shutdown(socket.SHUT_WR)
        assert b"30,000 lines discarded" in process.communicate(timeout=60)[1]
        assert process.returncode == 2


@pytest.mark.parametrize("kind", ["file", "/dev/null", "terminal"])
def test_without_a_pipe_it_ends_at_once(place: Path, kind: str) -> None:
    (place / "file").write_bytes(LINES)
    keep_open, terminal = pty.openpty()
    stdin = terminal if kind == "terminal" else os.open(place / kind, os.O_RDONLY)
    try:
        done = subprocess.run(
            fasthits_command("log", *WRONG),
            stdin=stdin,
            capture_output=True,
            env=environment(""),
            timeout=60,
            check=False,
        )
    finally:
        for descriptor in {keep_open, terminal, stdin}:
            os.close(descriptor)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: no such option: --oops")
    assert done.stderr.count(b"\n") == 1


# It tries again


def failing(switch: Path, error: str, after: bool = False) -> str:
    """Return Python code that makes reading raise *error* and add a byte to the file *switch*, while *switch* exists.

    It raises before it reads or, with *after*, after it has counted the bytes that it read.
    """
    return f"""
import os, fasthits.live.reader
read = fasthits.live.reader.Reader._read
def failing(reader):
    if not os.path.exists({str(switch)!r}):
        return read(reader)
    with open({str(switch)!r}, "ab") as switch:
        switch.write(b"x")
    if {after}:
        read(reader)
    raise {error}
fasthits.live.reader.Reader._read = failing
"""


ERRORS = {
    "ZeroDivisionError('no')": "unexpected error: ZeroDivisionError('no') (<string>:",
    "MemoryError": "out of memory",
    "RecursionError": "unexpected error: RecursionError() (<string>:",
    "SystemExit(3)": "unexpected error: SystemExit(3)",
    "KeyboardInterrupt": "interrupted",
    "OSError(24, 'Too many open files')": "Too many open files",
}


@pytest.mark.parametrize("error", ERRORS)
def test_after_an_unexpected_error_in_the_middle_it_counts_again(
    place: Path, memcached: Memcached, start_logger: StartLogger, error: str
) -> None:
    switch = place / "switch"
    logger = start_logger("--memcached", memcached.spec, patch=HASTY + failing(switch, error))
    count_one(memcached, logger, 1)
    switch.touch()
    logger.write(LINES)
    logger.wait_until_read()
    (why,) = eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    assert ERRORS[error] in why
    switch.unlink()
    (again,) = eventually(lambda: said(logger, "counting now"), what="the logger counts again")
    assert numbers([again]) == [30_000]
    count_one(memcached, logger, 2)
    eventually(lambda: "pending 0, delivered 1," in ask_status(logger), what="the new figures add up")
    assert logger.finish() == 0
    assert "Traceback" not in logger.stderr
    assert memcached.counters() == {KEY: 2}
    assert memcached.figures()["discarded"] == 30_000


def ask_status(logger: Logger) -> str:
    def told() -> list[str]:
        logger.signal(signal.SIGUSR1)
        return said(logger, "uptime")

    return eventually(told, what="the logger tells its figures")[-1]


def test_a_logger_that_keeps_failing_leaks_nothing(
    place: Path, memcached: Memcached, start_logger: StartLogger
) -> None:
    switch = place / "switch"
    switch.touch()
    hasty = HASTY.replace("0.1", "0.01")
    logger = start_logger("--memcached", memcached.spec, patch=hasty + failing(switch, "ZeroDivisionError", after=True))

    def descriptors_after(failures: int) -> int:
        while switch.stat().st_size < failures:
            logger.write(access_line("/a"))
            logger.wait_until_read()
        return len(os.listdir(f"/proc/{logger.pid}/fd"))

    before = descriptors_after(10)
    assert descriptors_after(60) - before <= 3  # it may have a courier just now, or not
    assert len(logger.processes()) <= 2
    assert len(said(logger, "cannot count")) == 1
    assert len(said(logger, "ended before everything was delivered")) == 1
    assert len(logger.stderr.splitlines()) == 2


def test_a_failed_import_is_repeated_until_it_succeeds(
    place: Path, memcached: Memcached, start_logger: StartLogger
) -> None:
    """Files may be replaced while it starts. Nothing of the modules that it had loaded is used again."""
    here = Installation.make(place / "opt")
    module, other = here.package / "live" / "backlog.py", here.package / "rules" / "compiled.py"
    text = module.read_text()
    module.write_text("import fasthits.rules.compiled, no_such_module\n" + text)
    main = f"{HASTY}\n{RUN}"
    logger = start_logger("--memcached", memcached.spec, command=[str(here.python), "-I", "-c", main, "log"])
    (why,) = eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    assert "cannot import a part of fasthits: No module named 'no_such_module'" in why
    other.write_text(other.read_text() + "\nNEW = 1\n")
    module.write_text(text + "\nfrom fasthits.rules.compiled import NEW\n")
    eventually(lambda: said(logger, "counting now"), what="the logger counts")
    count_one(memcached, logger, 1)
    assert logger.finish() == 0


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_after_a_failure_it_counts_again_as_a_user_who_cannot_read_its_files(
    place: Path, memcached: Memcached, start_logger: StartLogger
) -> None:
    switch = place / "switch"
    config = place / "fasthits.toml"
    config.write_text("exclude-bots = true\n")
    config.chmod(0o600)
    logger = start_logger(
        *("--memcached", memcached.spec, "--user", "www-data", "--config", str(config)),
        patch=HASTY + failing(switch, "ZeroDivisionError"),
        env=private_python(place / "private"),
    )
    count_one(memcached, logger, 1)
    switch.touch()
    logger.write(access_line("/a"))
    eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    switch.unlink()
    eventually(lambda: said(logger, "counting now"), what="the logger counts again")
    count_one(memcached, logger, 2)
    ((uid, *_),) = status_of(logger.pid, "Uid")
    assert uid != 0
    assert logger.finish() == 0


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_nothing_is_counted_as_root_if_the_user_does_not_exist(
    place: Path, memcached: Memcached, start_logger: StartLogger
) -> None:
    logger = start_logger("--memcached", memcached.spec, "--user", "nobody-has-this-name", patch=HASTY)
    logger.write(LINES)
    logger.wait_until_read()
    assert logger.finish() == 2
    assert (
        "no such user: 'nobody-has-this-name' (name another with --user, or create it as fasthits conf prints)"
        in logger.stderr
    )
    assert memcached.counters() == {}


def test_the_pipe_flows_while_the_logger_takes_long_to_prepare(
    place: Path, memcached: Memcached, start_logger: StartLogger
) -> None:
    """In this test the configuration is read when a file has appeared. It could be on a slow disk."""
    config, switch = write(place / "fasthits.toml", b"exclude-bots = true\n"), place / "switch"
    slow_disk = f"""
import os, time
import fasthits.rules.config as config
load = config.load_config
def load_slowly(path):
    while not os.path.exists({str(switch)!r}):
        time.sleep(0.01)
    return load(path)
config.load_config = load_slowly
"""
    logger = start_logger("--memcached", memcached.spec, "--config", str(config), first=slow_disk)
    writer = Thread(target=logger.write, args=[LINES], daemon=True)  # more than the pipe holds
    writer.start()
    eventually(lambda: not writer.is_alive(), what="all is written")
    switch.touch()
    (line,) = eventually(lambda: said(logger, "counting now"), what="the logger counts")
    (discarded,) = numbers([line])
    assert discarded > 0
    logger.write(access_line("/a"))
    memcached.expect({KEY: 30_001 - discarded})
    assert "malformed 0," in ask_status(logger)
    assert logger.finish() == 0


NO_THREAD = """
import threading
def start(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
"""


def test_it_counts_if_the_system_has_no_thread_left(memcached: Memcached, start_logger: StartLogger) -> None:
    """The limit TasksMax= of systemd is for all processes and threads of Apache together."""
    logger = start_logger("--memcached", memcached.spec, patch=NO_THREAD)
    logger.write(access_line("/a"))
    memcached.expect({KEY: 1})
    assert logger.finish() == 0
    assert logger.stderr == ""


# Nothing is imported while it counts

WATCH_IMPORTS = """
import os, sys, fasthits.live.reader
run = fasthits.live.reader.Reader.run
def watched(reader):
    sys.addaudithook(lambda event, args: event == "import" and os.write(2, f"late import: {args[0]}\\n".encode()))
    run(reader)
fasthits.live.reader.Reader.run = watched
"""


def test_nothing_is_imported_once_counting_has_begun(
    memcached: Memcached, start_logger: StartLogger, place: Path
) -> None:
    """An upgrade may have removed or replaced modules that are imported late."""
    logger = start_logger(
        "--memcached", memcached.spec, "--bots", "exclude", "--fold-slash", "--decode", first=WATCH_IMPORTS
    )
    count_one(memcached, logger, 1)
    pieces = [
        access_line("/" + "long" * 80),
        b'{"time":"2026-03-12T10:00:00+01:00","request":"GET /a HTTP/1.1","status":200}\n',
        b"no line at all\n",
        access_line(b"/caf\\xc3\\xa9%C3%A9"),
    ]
    logger.write_pieces(pieces)
    os.kill(courier_of(logger), signal.SIGKILL)
    count_one(memcached, logger, 2)
    memcached.kill()
    for _ in range(3):
        logger.write_pieces(pieces)
    eventually(lambda: said(logger, "cannot reach memcached"), what="the logger says that memcached is away")
    ask_status(logger)
    memcached.start(keep_port=True)
    eventually(lambda: memcached.counters(), what="hits are delivered")
    assert logger.finish() == 0
    assert said(logger, "late import") == []


def test_tls_imports_nothing_once_counting_has_begun(
    start_memcached: Callable[..., Memcached], start_logger: StartLogger, place: Path
) -> None:
    """This holds even if the certificate is wrong or a client certificate is missing."""
    authority = Authority(place)
    server = start_memcached(certificate=authority.issue("localhost"))
    spec = server.tls_spec.replace("127.0.0.1", "localhost")
    logger = start_logger("--memcached", spec, "--tls-ca", str(authority.file), first=WATCH_IMPORTS)
    logger.write(access_line("/a"))
    server.expect({KEY: 1})
    server.kill()
    logger.write(access_line("/a"))
    eventually(lambda: said(logger, "cannot reach memcached"), what="the logger says that memcached is away")
    server.start(keep_port=True)
    server.expect({KEY: 1})
    assert logger.finish() == 0
    assert said(logger, "late import") == []
    stranger = start_logger("--memcached", spec, "--drain-timeout", "0", first=WATCH_IMPORTS)
    stranger.write(access_line("/a"))
    eventually(lambda: said(stranger, "not trusted"), what="the logger says that it does not trust the certificate")
    assert stranger.finish() == 0
    assert said(stranger, "late import") == []


@pytest.mark.parametrize("fault", ["missing", "no certificate"])
def test_tls_files_that_cannot_be_used_are_reported_and_mended_while_it_runs(
    start_memcached: Callable[..., Memcached], start_logger: StartLogger, place: Path, fault: str
) -> None:
    authority = Authority(place)
    server = start_memcached(certificate=authority.issue("127.0.0.1"))
    ca = place / "authorities.pem"
    if fault == "no certificate":
        ca.write_text("to be filled in\n")
    logger = start_logger("--memcached", server.tls_spec, "--tls-ca", str(ca), patch=HASTY)
    logger.write(LINES)
    logger.wait_until_read()
    (why,) = eventually(lambda: said(logger, "cannot count"), what="the logger says why")
    assert f"cannot use --tls-ca: {ca}" in why
    ca.write_bytes(authority.file.read_bytes())
    eventually(lambda: said(logger, "counting now"), what="the logger counts")
    logger.write(access_line("/a"))
    server.expect({KEY: 1})
    assert logger.finish() == 0


def test_json_lines_import_nothing_once_counting_has_begun(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, first=WATCH_IMPORTS)
    logger.write(b'{"time":"2026-03-12T10:00:00+01:00","request":"GET /a HTTP/1.1","status":200}\n')
    memcached.expect({KEY: 1})
    assert logger.finish() == 0
    assert said(logger, "late import") == []


# The line that `fasthits conf` prints, without Apache


@pytest.fixture
def shell() -> list[str]:
    """The command that `conf` prints, in words."""
    return shell_command(custom_log(run_fasthits("conf", "--user", "nobody")))


def test_no_sigterm_ends_the_shell_or_the_logger(memcached: Memcached, shell: list[str], place: Path) -> None:
    """Apache sends SIGTERM while it still writes lines, and maybe very early."""
    shell[2] = shell[2].replace("log --user nobody", f"log --memcached {memcached.spec}")
    for views in range(1, 3):
        with Logger(place, command=shell) as logger:
            eventually(lambda logger=logger: outlives(logger.pid, signal.SIGTERM), what="the shell has set its trap")
            logger.write(access_line("/a"))
            while memcached.views(KEY) < views:
                assert is_alive(logger.pid), logger.stderr
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGWINCH):
                    logger.signal(number)
            assert os.readlink(f"/proc/{logger.pid}/exe") == os.path.realpath(sys.executable)  # exec, so one process
            assert logger.finish() == 0


def test_the_shell_that_discards_outlives_signals_and_ends_with_its_input(shell: list[str], place: Path) -> None:
    shell[2] = shell[2].replace(sys.executable, "/usr/bin/no-such-python")
    with Logger(place, command=shell) as logger:
        eventually(lambda: said(logger, "Python cannot start"), what="the shell says why")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGWINCH):
            os.killpg(logger.pid, number)
            logger.write(LINES)
            logger.wait_until_read()
        assert logger.finish() == 0
        assert logger.processes() == []
        (line,) = logger.stderr.splitlines()
        assert line.startswith("fasthits: Python cannot start, log lines are discarded: ")
        assert "/usr/bin/no-such-python: not found" in line


def test_without_the_command_timeout_the_shell_discards_too(shell: list[str], place: Path) -> None:
    """`cat` reads to the end, so there is no busy loop."""
    shell[2] = (
        shell[2].replace(sys.executable, "/usr/bin/no-such-python").replace("timeout", "/usr/bin/no-such-timeout")
    )
    with Logger(place, command=shell) as logger:
        logger.write(LINES)
        logger.wait_until_read()
        assert logger.finish() == 0
        assert logger.stderr.count("\n") == 2
