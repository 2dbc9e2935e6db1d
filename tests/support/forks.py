"""Runs many commands of `fasthits` quickly: a process that has imported their modules forks for each command.

A command has its own standard streams, environment, folder, time zone and exit code, as in a new process. But it starts
fifty times as fast, because it imports and compiles nothing again.
"""

import atexit
import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import NoReturn

import fasthits

MARK = "FASTHITS_TEST_MARK"
"""The environment variable by which a test finds its processes: see tests/support/processes.py."""
NO_MARK = "0" * 32
SERVE = "from tests.support.forks import serve; serve()"
MESSAGE_BYTES = 1 << 17
IMPORTED_WHEN_USED = (
    *("fasthits.django", "fasthits.web", "fasthits.__main__"),
    *("fasthits.daily.parquet", "fasthits.daily.postgres", "fasthits.daily.logs.s3", "fasthits.daily.logs.sftp"),
)
IMPORTED_FOR = {
    "serve": "fasthits.web.server",
    "--cluster": "distributed",
    "dask": "distributed",
    ".parquet": "fasthits.daily.parquet.target",
    "postgresql:": "fasthits.daily.postgres.database",
    "s3:": "fasthits.daily.logs.s3",
    "sftp:": "fasthits.daily.logs.sftp",
}
"""How words of commands begin or end, and the large modules that these commands need. Commands that need the same of
them have a process that forks: a fork takes the longer, the larger that process is."""
READ_AT_RUN_TIME = ("FASTHITS_", "_FASTHITS_COMPLETE", "COMP_", "AWS_", "COLUMNS", "HOME", "TZ")
"""Environment variables that take effect even if they are set after the start of a process."""


def can_be_forked(env: Mapping[str, str]) -> bool:
    """Tell whether `fasthits` runs in a fork as in a new process, although the test adds *env* to the environment."""
    return all(name.startswith(READ_AT_RUN_TIME) for name in env)


class Forked:
    """A command that runs in a fork, with the methods of `subprocess.Popen`. Its streams are file descriptors."""

    def __init__(
        self,
        args: Sequence[str],
        streams: Sequence[int],
        cwd: Path | None,
        environment: Mapping[str, str],
        patch: str = "",
        new_session: bool = False,
    ) -> None:
        """*streams* are stdin, stdout and stderr; *patch* is Python that changes modules of fasthits first."""
        request = {
            "args": list(args),
            "cwd": os.fspath(cwd or os.getcwd()),
            "environment": {**environment},
            "patch": patch,
            "new_session": new_session,
        }
        end, theirs = os.pipe()
        try:
            socket.send_fds(_server(*_needed(args)), [json.dumps(request).encode()], [*streams, theirs])
        finally:
            os.close(theirs)
        self.args = ["fasthits", *args]
        self._end = os.fdopen(end, "rb", buffering=0)
        self._status: int | None = None
        self.pid = int(self._end.read(16) or "0")
        assert self.pid, "the process that forks has ended"

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status when it has ended."""
        if self._status is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._status = int(self._end.read(16))
            self._end.close()
        return self._status

    def poll(self) -> int | None:
        """Return its exit status if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended, and nobody has said so yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, and wait: `poll` would know of the end only when the process that forks does."""
        self.send_signal(signal.SIGKILL)
        self.wait(60)


def run_forked(
    args: Sequence[str],
    stdin: bytes,
    cwd: Path | None,
    environment: Mapping[str, str],
    timeout: float,
    patch: str = "",
) -> "subprocess.CompletedProcess[bytes]":
    """Run ``fasthits`` to its end, as `subprocess.run` does; *patch* is Python that changes its modules first."""
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = pipes = [os.pipe() for _ in range(3)]
    theirs = (in_read, out_write, err_write)
    command = Forked(args, theirs, cwd, environment, patch)
    for each in theirs:
        os.close(each)
    with ThreadPoolExecutor(len(pipes)) as pool:
        pool.submit(_write_all, in_write, stdin)
        out, err = pool.submit(_read_all, out_read), pool.submit(_read_all, err_read)
        try:
            status = command.wait(timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            raise subprocess.TimeoutExpired(command.args, timeout, out.result(), err.result()) from None
        return subprocess.CompletedProcess(command.args, status, out.result(), err.result())


def _write_all(pipe: int, data: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]


def _read_all(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        return file.read()


def _needed(args: Sequence[str]) -> list[str]:
    return sorted(
        {
            module
            for end, module in IMPORTED_FOR.items()
            if any(each.startswith(end) or each.endswith(end) for each in args)
        }
    )


@cache
def _server(*modules: str) -> socket.socket:
    """Return the connection to the process that forks, which has imported *modules*. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(fasthits.__file__).parents[1]), own.get("PYTHONPATH"))))
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(theirs.fileno()), *modules],
        stdin=subprocess.PIPE,  # pipes, like the streams of each command
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own | {MARK: NO_MARK},
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    atexit.register(lambda: (ours.close(), server.wait(timeout=60)))
    return ours


def serve() -> None:
    """Fork for each requested command. In the fork, this function returns when the command has ended."""
    from fasthits.__main__ import main
    from fasthits.cli.log import preload
    from fasthits.rules.compiled import ASSUMED, CompiledRules
    from fasthits.rules.rules import Rules

    modules = [each.name for each in walk_packages(fasthits.__path__, "fasthits.", onerror=None)]
    for name in [*(each for each in modules if not each.startswith(IMPORTED_WHEN_USED)), *sys.argv[2:]]:
        with suppress(ImportError):  # a module of an extra that is not installed
            import_module(name)
    preload()
    CompiledRules(Rules()).line_rules(ASSUMED)  # makes the named formats, which take a fifth of the time of a command
    gc.collect()
    gc.freeze()
    requests = socket.socket(fileno=int(sys.argv[1]))
    running: dict[int, tuple[int, int]] = {}  # by process descriptor: id, and where to send the status
    while True:
        ready = select.select([requests, *running], [], [])[0]
        for each in running.keys() & ready:
            command, end = running.pop(each)
            with suppress(BrokenPipeError):  # the test has ended
                os.write(end, b"%-16d" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
            os.close(each)
            os.close(end)
        if requests not in ready:
            continue
        request, streams, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 4)
        if not request:
            sys.exit()
        asked = json.loads(request)
        *streams, end = streams
        if not (command := os.fork()):
            break
        for each in streams:
            os.close(each)
        os.write(end, b"%-16d" % command)
        running[os.pidfd_open(command)] = command, end
    requests.close()
    for each in (end, *(each for process, (_, told) in running.items() for each in (process, told))):
        os.close(each)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    if asked["new_session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    _show_mark(asked["environment"].get(MARK) or NO_MARK)
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    if "dask" in sys.modules:
        sys.modules["dask"].config.refresh()
    sys.argv[:] = ["fasthits", *asked["args"]]
    exec(asked["patch"], {})
    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        end_without_freeing(ended.code or 0)
    end_without_freeing(0)


def _show_mark(mark: str) -> None:
    """Let /proc show this mark in the environment that this process was started with, which it shows for ever."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    ctypes.memmove(getenv(MARK.encode()), mark.encode(), len(NO_MARK))


def end_without_freeing(status: int) -> NoReturn:
    """End this process as Python does, but do not free modules: that takes three times as long as most commands."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = 120
    os._exit(status)
