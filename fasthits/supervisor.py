"""Keeps the pipe of a web server flowing when its lines cannot be counted.

A web server starts a logger, writes to its pipe, and stands still when nobody reads that pipe. So a logger must not
end before its input does, whatever is wrong with its options, its configuration, its user, or its own code. It works in
three steps, each of which may fail:

    load     import the program
    prepare  read the options and the configuration, become --user
    count    read the pipe until it ends

When a step fails, `supervise` says why, discards lines for RETRY_SECONDS, and takes that step again: so an operator
mends a mistake and need not restart the web server. When counting fails, what was prepared stays, because the user that
the process has become may not be able to read it again.

Lines may be discarded as root: when --user names nobody there is no better user, and a process that had become somebody
else could not try again. So nothing interprets these bytes; only their newlines are counted.

This module imports nothing but the standard library and modules that import nothing: it works when the rest does not.
"""

import gc
import importlib
import os
import select
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from fasthits.display import counted, printable
from fasthits.errors import FasthitsError

RETRY_SECONDS = 5.0
REPORT_SECONDS = 60.0
READ_BYTES = 1 << 20
MESSAGE_CHARACTERS = 1000
"""A longer message is cut, because a pipe that is ready takes 4,096 bytes at once, and a character has up to four."""

Count = Callable[[int], None]
"""Counts until the input ends. Is given the number of lines that were discarded since it was called before."""
Prepare = Callable[[], Count | int]
"""Returns what counts, or the exit code when nothing is to be counted (--help, --check)."""


def say(message: str) -> None:
    """Print a line on stderr, but do not wait for whoever reads it; nothing happens when it is full or gone."""
    with suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"fasthits: {printable(message)[:MESSAGE_CHARACTERS]}\n".encode())


def supervise(load: Callable[[], Prepare], wait: bool = True) -> int:
    """Load, prepare and count, again and again until the input ends; return the exit code.

    The first failure is the last where nobody waits for us to read: when standard input is no pipe, FIFO or socket, or
    without *wait*.
    """
    own_pid = os.getpid()
    logger = _Logger(load)
    pipe = _Pipe(0)
    report = Throttle(say)
    failed = False
    while True:
        try:
            count = logger.prepare()
            if isinstance(count, int):
                return count
            discarded, pipe.unreported = pipe.unreported, 0
            if failed and report("begin", f"counting now; {_discarded(pipe)}"):
                failed, pipe.lines = False, 0
            count(discarded)
            if failed:
                say(f"the log has ended; {_discarded(pipe)}")
            return 0
        except BaseException as error:
            if os.getpid() != own_pid:  # a forked child must never read the pipe beside us
                os._exit(1)
            failure = describe(error)
        gc.collect()  # what the failed attempt has counted must not stay beside that of the next one
        if not (wait and pipe.has_writer()):
            say(failure.text)
            return failure.exit_code
        failed = True
        signal.signal(signal.SIGUSR1, lambda *_, text=failure.text: say(_cannot_count(text, pipe.lines)))
        report(failure.cause, _cannot_count(failure.text, pipe.lines))
        if not pipe.discard(RETRY_SECONDS):
            say(f"the log has ended; {_discarded(pipe)}")
            return failure.exit_code


class Failure(NamedTuple):
    """Why lines cannot be counted."""

    text: str
    cause: str
    """The same for failures that are to be reported once a minute, all of them together."""
    exit_code: int


def describe(error: BaseException) -> Failure:
    """Return what to say of an exception, in one line: an expected one names its cause, any other one its place.

    >>> describe(KeyError("a")).text
    "unexpected error: KeyError('a')"
    """
    if isinstance(error, FasthitsError):
        return Failure(str(error), str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted", "interrupted", 130)
    if isinstance(error, MemoryError):
        return Failure("out of memory", "memory", 1)
    if isinstance(error, ImportError):
        text = f"cannot import a part of fasthits: {error} (install fasthits again)"
        return Failure(text, str(error), 1)
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    place = f" ({os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno})" if traceback else ""
    code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
    return Failure(f"unexpected error: {error!r}{place}", type(error).__name__ + place, code)


class _Logger:
    """What there is of a logger: each step is taken until it has succeeded once, counting each time."""

    def __init__(self, load: Callable[[], Prepare]) -> None:
        self._load = load
        self._prepare: Prepare | None = None
        self._count: Count | None = None

    def prepare(self) -> Count | int:
        """Return what counts, or an exit code."""
        if self._count:
            return self._count
        importlib.invalidate_caches()
        if self._prepare is None:
            self._prepare = self._load_anew()
        result = self._prepare()
        if not isinstance(result, int):
            self._count = result
        return result

    def _load_anew(self) -> Prepare:
        """Load; after a failure forget what was loaded, lest the next try mixes old modules with new ones."""
        before = set(sys.modules)
        try:
            return self._load()
        except BaseException:
            for name in sys.modules.keys() - before:
                if name.partition(".")[0] not in sys.stdlib_module_names:
                    del sys.modules[name]
            raise


class _Pipe:
    """The input while nobody counts: it is read and thrown away."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(READ_BYTES)  # made now, as later there may be no memory
        self._within_line = False
        self.lines = 0
        """How many lines were discarded since somebody has counted."""
        self.unreported = 0
        """How many of them nobody who counts has been told of."""

    def has_writer(self) -> bool:
        """Tell whether a writer may wait for us: not on a terminal, a file or /dev/null."""
        with suppress(OSError):
            mode = os.fstat(self._fd).st_mode
            return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        return False

    def discard(self, seconds: float) -> bool:
        """Discard what comes for some seconds, and the rest of the last line; False when the input has ended.

        Who counts after this begins with a whole line. Reading fails as it ends: there is nothing more to come.
        """
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while (left := until - time.monotonic()) > 0 or self._within_line:
            if not poll.poll(left * 1000 if left > 0 else None):
                continue
            view = memoryview(self._buffer)[: READ_BYTES if left > 0 else 1]
            try:
                size = os.readv(self._fd, [view])
            except BlockingIOError:
                continue
            except OSError:
                return False
            if size == 0:
                return False
            lines = self._buffer.count(b"\n", 0, size)
            self.lines += lines
            self.unreported += lines
            self._within_line = self._buffer[size - 1] != ord("\n")
        return True


class Throttle:
    """Passes on one line a minute for each cause, and counts them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.said = Counter[str]()
        """How many lines were passed on, by cause."""
        self._say = say
        self._quiet_until: dict[str, float] = {}

    def __call__(self, cause: str, text: str) -> bool:
        """Say *text*, unless *cause* had a line less than a minute ago; tell whether it was said."""
        now = time.monotonic()
        self._quiet_until = {known: at for known, at in self._quiet_until.items() if at > now}
        if cause in self._quiet_until:
            return False
        self._quiet_until[cause] = now + REPORT_SECONDS
        self.said[cause] += 1
        self._say(text)
        return True


def _discarded(pipe: _Pipe) -> str:
    return f"{counted(pipe.lines, 'line')} discarded"


def _cannot_count(why: str, discarded: int) -> str:
    """
    >>> _cannot_count("no such user: 'joe'", 1204)
    "cannot count, log lines are discarded (1,204 so far): no such user: 'joe'"
    """
    so_far = f" ({discarded:,} so far)" if discarded else ""
    return f"cannot count, log lines are discarded{so_far}: {why}"
