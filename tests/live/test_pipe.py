"""The logger makes its pipe as large as the system allows, so that Apache can write while the logger does not read.

If the system does not allow it, or if standard input is not a pipe, the logger counts as well.
"""

import fcntl
import os
import pty
import pwd
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from fasthits.live.keys import hit_key
from tests.live.test_apache import log_command, slow_download, wait_for_logger
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import (
    children_of,
    environment,
    eventually,
    fasthits_command,
    is_alive,
    marked_processes,
)
from tests.support.servers import IS_ROOT, Apache, Memcached

StartLogger = Callable[..., Logger]

SETTINGS = Path("/proc/sys/fs")
MAX_PIPE_BYTES = int((SETTINGS / "pipe-max-size").read_text())
MAX_USER_PAGES = int((SETTINGS / "pipe-user-pages-soft").read_text())
"""What the pipes of a user who is not privileged may hold together before they are kept small; 0 for no bound."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
DEFAULT_PIPE_BYTES = 16 * PAGE_BYTES
USER = "www-data"
UNPRIVILEGED = ["setpriv", "--bounding-set=-sys_admin,-sys_resource"] if IS_ROOT else []
"""Runs a command, as root still, without what lets root's pipes grow beyond the bound for users."""
LINES = access_lines(["/a"] * 3000)
COUNTED = {hit_key(DAY, b"/a"): 3000}

AS_USER = [
    pytest.param((), id="as-it-was-started"),
    pytest.param(("--user", USER), id="as-a-user", marks=pytest.mark.skipif(not IS_ROOT, reason="only root can")),
]


def pipe_bytes(pid: int) -> int:
    """Return the capacity of the pipe that is a process's standard input."""
    fd = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)  # reads nothing
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    finally:
        os.close(fd)


@contextmanager
def logger_reading(stdin: int, memcached: Memcached, run_by: Sequence[str] = ()) -> Iterator[None]:
    """Run a logger with this standard input, which must end within the block.

    The logger must then exit with 0 and without a message.
    """
    command = [*run_by, *fasthits_command("log", "--memcached", memcached.spec)]
    with (
        marked_processes() as mark,
        subprocess.Popen(command, stdin=stdin, stdout=PIPE, stderr=STDOUT, env=environment(mark)) as logger,
    ):
        try:
            yield
            said, _ = logger.communicate(timeout=60)
            assert (logger.returncode, said) == (0, b"")
        finally:
            logger.kill()


def write_all(fd: int, data: bytes) -> None:
    """Write to a pipe and wait while it is full; AssertionError if nobody reads it."""
    os.set_blocking(fd, False)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while data:
        assert poll.poll(30_000), "the pipe stays full"
        with suppress(BlockingIOError):  # there is space, but too little for a short write, which is never split
            data = data[os.write(fd, data) :]


@contextmanager
def both_ends(read_end: int, write_end: int) -> Iterator[tuple[int, int]]:
    """Give the two ends of a pipe. Ends that are still open are closed afterwards."""
    try:
        yield read_end, write_end
    finally:
        for fd in (read_end, write_end):
            with suppress(OSError):
                os.close(fd)


# Raised


@pytest.mark.parametrize("options", AS_USER)
def test_the_pipe_is_raised_to_what_the_system_allows(
    memcached: Memcached, start_logger: StartLogger, options: tuple[str, ...]
) -> None:
    logger = start_logger("--memcached", memcached.spec, *options)
    logger.write(access_line("/a"))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    assert pipe_bytes(logger.pid) == MAX_PIPE_BYTES
    assert logger.finish() == 0
    assert logger.stderr == ""


def test_a_writer_can_fill_the_raised_pipe_while_the_reader_is_stopped(memcached: Memcached, logger: Logger) -> None:
    logger.write(access_line("/a"))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    room = MAX_PIPE_BYTES // 2 // len(access_line("/a"))  # a page with a short write stays half empty
    logger.signal(signal.SIGSTOP)
    write_end = os.open(f"/proc/{logger.pid}/fd/0", os.O_WRONLY | os.O_NONBLOCK)
    try:
        for _ in range(room):
            os.write(write_end, access_line("/a"))  # BlockingIOError if Apache would have to wait
    finally:
        os.close(write_end)
        logger.signal(signal.SIGCONT)
    memcached.expect({hit_key(DAY, b"/a"): 1 + room})
    assert logger.finish() == 0


def test_lines_that_are_in_the_pipe_before_the_start_count(memcached: Memcached) -> None:
    line = access_line("/a")
    views = 0
    with both_ends(*os.pipe()) as (read_end, write_end):
        os.set_blocking(write_end, False)
        with suppress(BlockingIOError):
            while os.write(write_end, line) == len(line):
                views += 1
        os.close(write_end)
        assert views > DEFAULT_PIPE_BYTES // len(line) // 2
        with logger_reading(read_end, memcached):
            pass
    assert memcached.counters() == {hit_key(DAY, b"/a"): views}


def test_each_pipe_of_an_apache_is_raised_also_after_a_graceful_restart(place: Path, memcached: Memcached) -> None:
    with Apache(place / "apache", [log_command(memcached)]) as apache:
        loggers = wait_for_logger(apache)
        with slow_download(apache, "/big.bin"):
            apache.graceful()
            loggers = wait_for_logger(apache, loggers)
            assert len(loggers) == 2
            for pid in loggers:
                eventually(lambda pid=pid: pipe_bytes(pid) == MAX_PIPE_BYTES, what="the pipe is raised")
        apache.stop()


def test_a_pipe_is_raised_again_by_the_logger_that_follows_a_dead_one(place: Path, memcached: Memcached) -> None:
    with Apache(place / "apache", [log_command(memcached)]) as apache:
        loggers = wait_for_logger(apache)
        (reader,) = loggers
        eventually(lambda: pipe_bytes(reader) == MAX_PIPE_BYTES and children_of(reader), what="the logger is up")
        fd = os.open(f"/proc/{reader}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, DEFAULT_PIPE_BYTES)
        finally:
            os.close(fd)
        os.kill(reader, signal.SIGKILL)
        eventually(lambda: not is_alive(reader), what="the reader is gone")
        (new_reader,) = wait_for_logger(apache, loggers) - loggers
        eventually(lambda: pipe_bytes(new_reader) == MAX_PIPE_BYTES, what="the pipe is raised")
        apache.stop()


# Not raised


def hoard_pipes() -> None:
    """Become the user with the ids in the arguments, use up this user's limit for pipes, and send a new pipe to stdin.

    The pipes stay open until the other end of stdin is closed.
    """
    ids = [int(word) for word in sys.argv[1:]]
    for become, number in zip((os.setgid, os.setuid), ids, strict=False):
        become(number)
    hoard = []
    for _ in range(2 * MAX_USER_PAGES * PAGE_BYTES // MAX_PIPE_BYTES + 2):
        hoard.append(os.pipe())
        try:
            fcntl.fcntl(hoard[-1][0], fcntl.F_SETPIPE_SZ, MAX_PIPE_BYTES)
        except PermissionError:
            break
    for _ in range(MAX_PIPE_BYTES // DEFAULT_PIPE_BYTES + 1):  # less than that is left
        hoard.append(os.pipe())
    with socket.socket(fileno=0) as asker:
        ends = hoard.pop()
        socket.send_fds(asker, [b"pipe"], ends)
        for fd in ends:
            os.close(fd)
        asker.recv(1)


@contextmanager
def poor_pipe() -> Iterator[tuple[int, int]]:
    """Give the two ends of a pipe of an unprivileged user whose pipes have reached the limit."""
    code = f"from {__name__} import hoard_pipes; hoard_pipes()"
    ids = [str(number) for number in pwd.getpwnam(USER)[3:1:-1]] if IS_ROOT else []
    ours, theirs = socket.socketpair()
    with marked_processes() as mark, ours:
        ours.settimeout(30)
        with theirs:
            hoarder = subprocess.Popen([sys.executable, "-c", code, *ids], stdin=theirs, env=environment(mark))
        try:
            _, (read_end, write_end), _, _ = socket.recv_fds(ours, 4, 2)
            with both_ends(read_end, write_end) as ends:
                yield ends
        finally:
            ours.close()
            hoarder.wait(timeout=60)


@pytest.mark.skipif(not MAX_USER_PAGES, reason="this system does not bound a user's pipes")
def test_a_pipe_that_may_not_grow_is_read_as_it_is(memcached: Memcached) -> None:
    with poor_pipe() as (read_end, write_end):
        size = fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ)
        assert size < DEFAULT_PIPE_BYTES
        with logger_reading(read_end, memcached, run_by=UNPRIVILEGED):
            write_all(write_end, LINES)
            memcached.expect(COUNTED)
            assert fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ) == size
            os.close(write_end)
    assert memcached.counters() == COUNTED


# Not a pipe, or not like Apache's


@pytest.mark.parametrize("before", [b"", access_line("/before")], ids=["whole", "rest"])
def test_a_file_on_standard_input_is_counted_from_its_position(
    place: Path, memcached: Memcached, before: bytes
) -> None:
    (place / "access.log").write_bytes(before + LINES)
    with (place / "access.log").open("rb", buffering=0) as file:
        file.seek(len(before))
        with logger_reading(file.fileno(), memcached):
            pass
    assert memcached.counters() == COUNTED


def test_a_socket_is_counted(memcached: Memcached) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, logger_reading(theirs.fileno(), memcached):
        ours.settimeout(30)
        ours.sendall(LINES)
        memcached.expect(COUNTED)
        ours.shutdown(socket.SHUT_WR)
    assert memcached.counters() == COUNTED


def test_a_named_pipe_is_raised_and_counted(place: Path, memcached: Memcached) -> None:
    fifo = place / "fifo"
    os.mkfifo(fifo)
    with both_ends(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), os.open(fifo, os.O_WRONLY)) as (read_end, write_end):
        os.set_blocking(read_end, True)
        with logger_reading(read_end, memcached):
            write_all(write_end, LINES)
            memcached.expect(COUNTED)
            assert fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ) == MAX_PIPE_BYTES
            os.close(write_end)
    assert memcached.counters() == COUNTED


def test_a_non_blocking_pipe_is_counted_even_if_it_is_empty_at_times(memcached: Memcached) -> None:
    with both_ends(*os.pipe()) as (read_end, write_end):
        os.set_blocking(read_end, False)
        with logger_reading(read_end, memcached):
            for views in range(1, 6):
                os.write(write_end, access_line("/a"))
                memcached.expect({hit_key(DAY, b"/a"): views})
            os.close(write_end)


def test_no_input_at_all_counts_nothing(memcached: Memcached) -> None:
    with logger_reading(subprocess.DEVNULL, memcached):
        pass
    assert memcached.counters() == {}


def test_a_write_only_input_is_an_error_of_one_line(memcached: Memcached) -> None:
    command = fasthits_command("log", "--memcached", memcached.spec)
    with marked_processes() as mark, open(os.devnull, "wb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, timeout=60, check=False, env=environment(mark))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"fasthits: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(("key", "status"), [(b"\x03", 130), (b"\x04", 0)], ids=["Ctrl-C", "Ctrl-D"])
def test_whoever_starts_it_in_a_terminal_is_told_how_to_end_it(memcached: Memcached, key: bytes, status: int) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, fasthits_command("log", "--memcached", memcached.spec))
    shown = b""
    with suppress(OSError):  # the terminal has closed
        while b"Ctrl-D ends" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, access_line("/a"))
        memcached.expect({hit_key(DAY, b"/a"): 1})
        os.write(terminal, key)
        while part := os.read(terminal, 1000):
            shown += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status
    assert b"for a log file: fasthits log --follow FILE" in shown
    assert b"Traceback" not in shown
