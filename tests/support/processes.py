"""Processes of the tests: waiting for an event, finding processes that a test leaves behind, ending them by id.

Every process that a test starts has `MARK` in its environment, with a different value for each test. Its children
inherit the mark. So a courier, an orphaned logger or a cronolog is found and ended by its id, even if its parent has
ended.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import fasthits
from tests.support.forks import MARK, Forked, can_be_forked, run_forked

Result = TypeVar("Result")

POLL_SECONDS = 0.005
LONGEST_POLL_SECONDS = 0.05
"""The pause between two looks after a long wait: a look costs time that other processes need."""
PROJECT = Path(fasthits.__file__).parents[1]


def eventually(check: Callable[[], Result], timeout: float = 30.0, what: str | Callable[[], str] = "") -> Result:
    """Call *check* until it returns a true value, and return this value. AssertionError after *timeout* seconds.

    Timeouts are long enough for machines that are ten times as busy as usual, so that no test fails by chance.

    *what* describes what was waited for: a text, or a function that is called after the timeout.
    """
    start = time.monotonic()
    while not (result := check()):
        waited = time.monotonic() - start
        if waited > timeout:
            awaited = what() if callable(what) else what or check.__doc__ or "what was waited for"
            raise AssertionError(f"not within {timeout} s: {awaited}; last seen: {result!r}")
        time.sleep(pause(waited))
    return result


def pause(waited: float) -> float:
    """Return the seconds until the next check, after waiting for some seconds."""
    return min(LONGEST_POLL_SECONDS, max(POLL_SECONDS, waited / 10))


def new_mark() -> str:
    """Return a value for `MARK` that no other process has."""
    return uuid.uuid4().hex


def environment(mark: str, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which `python -m fasthits` runs from any directory, without the caller's own settings.

    *settings* are added last. The terminal is wide, so that no message is wrapped.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")}
    path = os.pathsep.join(filter(None, (str(PROJECT), own.get("PYTHONPATH"))))
    return own | {"PYTHONPATH": path, "COLUMNS": "200", MARK: mark} | dict(settings or {})


def fasthits_command(*args: str) -> list[str]:
    """Return the argument list that runs `fasthits` with this Python."""
    return [sys.executable, "-m", "fasthits", *args]


def start_fasthits(
    args: Sequence[str], mark: str, stdin: int, stderr: int, env: Mapping[str, str] | None = None, patch: str = ""
) -> Forked:
    """Start `fasthits` in a fork and in a session of its own; *patch* is Python that changes its modules first."""
    with open(os.devnull, "wb") as nothing:
        streams = (stdin, nothing.fileno(), stderr)
        return Forked(args, streams, None, environment(mark, env), patch, new_session=True)


def run_fasthits(
    *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run `fasthits` to its end and return its exit status, stdout and stderr. None of its processes is left."""
    if can_be_forked(env or {}):
        return run_forked(args, stdin, None, environment("", env), timeout)
    mark = new_mark()
    try:
        return subprocess.run(
            fasthits_command(*args),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env=environment(mark, env),
        )
    finally:
        kill_marked(mark)


def _process_ids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[1])
    return None


def is_alive(pid: int) -> bool:
    """Tell whether process *pid* runs; a zombie does not."""
    found = _state_and_parent(pid)
    return found is not None and found[0] not in "ZX"


def children_of(pid: int) -> list[int]:
    """Return the ids of the running children of *pid*."""
    return [
        child
        for child in _process_ids()
        if (found := _state_and_parent(child)) and found[1] == pid and found[0] not in "ZX"
    ]


def outlives(pid: int, number: signal.Signals) -> bool:
    """Tell whether process *pid* ignores, catches or blocks a signal. While a process is starting, it does not."""
    with suppress(OSError):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return any(int(fields[name], 16) >> (number - 1) & 1 for name in ("SigIgn", "SigCgt", "SigBlk"))
    return False


def marked(mark: str) -> list[int]:
    """Return the ids of all running processes whose environment holds `MARK` with this value."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in _process_ids():
        with suppress(OSError):  # it has ended, or it belongs to another user
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def kill_marked(mark: str) -> None:
    """End all processes with this mark, by their ids, and wait until they have ended."""

    def all_gone() -> bool:
        left = marked(mark)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    eventually(all_gone, what="the killed processes are gone")


def end_process(process: subprocess.Popen[bytes] | Forked) -> None:
    """Kill a child process, stopped or not, and reap it."""
    if process.poll() is None:
        process.kill()
    process.wait(timeout=60)


@contextmanager
def marked_processes() -> Iterator[str]:
    """Give a new mark. At the end of the block, kill all processes that carry it."""
    mark = new_mark()
    try:
        yield mark
    finally:
        kill_marked(mark)
