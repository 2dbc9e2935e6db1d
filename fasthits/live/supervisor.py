"""Keeps the pipe of a web server flowing when its lines cannot be counted.

A web server starts a logger, writes to its pipe, and hangs when nobody reads that pipe. So a logger must not end before
its input ends, even if its options, its configuration, its user or its code are wrong. It works in three steps, and
each may fail:

    load     import the program
    prepare  read the options and the configuration, become --user
    count    read the pipe until it ends

When a step fails, `supervise` says why, discards lines for RETRY_SECONDS, and takes the step again. So an operator can
mend a mistake without a restart of the web server. When counting fails, the prepared options stay, because the user
that the process has become may not be able to read them again.

Loading and preparing may take long, for example on a slow disk, or while the server that knows --user does not answer.
After PATIENCE_SECONDS a thread discards lines when the pipe fills up. Before that no line is lost, and Apache may wait.

Lines may be discarded as root: if --user is unknown there is no better user, and a process that had become another user
could not try again. So nothing interprets these bytes; only their newlines are counted.

This module imports only the standard library and modules without imports, so it works when the rest does not.
"""

import fcntl
import gc
import importlib
import os
import select
import signal
import stat
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import Event, Thread
from typing import NamedTuple

from fasthits.display import counted, printable
from fasthits.errors import FOLDER_IS_GONE, FasthitsError, import_failure, is_folder_gone

RETRY_SECONDS = 5.0
PROOF_SECONDS = 1.0
"""After a failure, counting must go well for this long before the logger says so."""
REPORT_SECONDS = 60.0
MOST_ALIKE = 10
"""The lines about different files or servers that one kind of cause may have in REPORT_SECONDS."""
READ_BYTES = 1 << 20
PATIENCE_SECONDS = 2.0
"""Ten times what loading and preparing take on a busy machine."""
LOOK_SECONDS = 0.1
LEAST_PIPE_BYTES = 1 << 16
MESSAGE_CHARACTERS = 1000
"""Longer messages are cut: a pipe that is ready takes 4,096 bytes at once, and a character has up to four."""

Count = Callable[[int], None]
"""Counts until the input ends. Takes the number of lines discarded since the last call."""
Prepare = Callable[[], Count | int]
"""Returns the function that counts, or the exit code when there is nothing to count (--help, --check)."""


def say(message: str) -> None:
    """Print a line on stderr without waiting for its reader; do nothing if stderr is full or gone."""
    with suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"fasthits: {printable(message)[:MESSAGE_CHARACTERS]}\n".encode())


def supervise(load: Callable[[], Prepare], wait: bool = True) -> int:
    """Load, prepare and count, again and again until the input ends; return the exit code.

    The first failure is the last one if no writer depends on us: without *wait*, or when standard input is neither a
    pipe nor a socket.
    """
    own_pid = os.getpid()
    pipe = _Pipe(0)
    logger = _Logger(load, pipe)
    while True:
        try:
            return logger.attempt(wait and pipe.has_writer())
        except BaseException as error:
            if os.getpid() != own_pid:  # a forked child must never read the pipe, too
                os._exit(1)
            failure = describe(error)
        gc.collect()  # free the tables of the failed attempt before the next one
        if not (wait and pipe.has_writer()):
            say(failure.text)
            return failure.exit_code
        logger.cannot_count(failure)
        if not pipe.discard(RETRY_SECONDS):
            logger.tell_the_end()
            return failure.exit_code


class Failure(NamedTuple):
    """Why lines cannot be counted."""

    text: str
    cause: str
    """Failures with the same cause are reported once a minute together."""
    exit_code: int


def describe(error: BaseException) -> Failure:
    """Return a message about an exception, in one line; for an unexpected exception that includes its place.

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
        return Failure(str(import_failure(error)), str(error), 1)
    if is_folder_gone(error):
        return Failure(FOLDER_IS_GONE, FOLDER_IS_GONE, 1)
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    place = f" ({os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno})" if traceback else ""
    code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
    return Failure(f"unexpected error: {error!r}{place}", type(error).__name__ + place, code)


class _Pipe:
    """The input while nobody counts: this reads and discards it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(READ_BYTES)  # later there may be no memory
        self._within_line = False
        self.lines = 0
        """The number of lines discarded since counting last went well."""
        self.unreported = 0
        """How many of them have not been passed to a Count."""

    def has_writer(self) -> bool:
        """Tell whether a writer may wait for us: for a pipe or a socket, not for a terminal, a file or /dev/null."""
        with suppress(OSError):
            mode = os.fstat(self._fd).st_mode
            return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        return False

    @contextmanager
    def kept_flowing(self) -> Iterator[None]:
        """Discard in a thread meanwhile, whenever a quarter of the pipe is full. The rest begins with a whole line.

        A quarter, because pages of a pipe may be half empty: a line goes to a new page if the last one has no room.
        """
        over = Event()
        thread = Thread(target=self._keep_flowing, args=[over], daemon=True)
        with suppress(RuntimeError):  # the system has no thread left (TasksMax=): the pipe must do without one
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.ident:
                thread.join()
            self.discard(0.0)

    def _keep_flowing(self, over: Event) -> None:
        try:
            capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        except OSError:  # a socket
            capacity = LEAST_PIPE_BYTES
        seconds = PATIENCE_SECONDS
        with suppress(OSError):
            while not over.wait(seconds):
                seconds = LOOK_SECONDS
                waiting = fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4))
                if int.from_bytes(waiting, sys.byteorder) > capacity // 4:
                    self._read(READ_BYTES)

    def discard(self, seconds: float) -> bool:
        """Discard lines for some seconds, the last one whole; return False when the input has ended.

        Counting after this begins with a whole line. A read error counts as the end: nothing more will come.
        """
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while (left := until - time.monotonic()) > 0 or self._within_line:
            if not poll.poll(left * 1000 if left > 0 else None):
                continue
            try:
                if not self._read(READ_BYTES if left > 0 else 1):
                    return False
            except BlockingIOError:
                continue
            except OSError:
                return False
        return True

    def _read(self, most: int) -> int:
        """Discard what can be read at once; return the number of bytes, 0 at the end."""
        size = os.readv(self._fd, [memoryview(self._buffer)[:most]])
        if size:
            lines = self._buffer.count(b"\n", 0, size)
            self.lines += lines
            self.unreported += lines
            self._within_line = self._buffer[size - 1] != ord("\n")
        return size


class Throttle:
    """Passes on at most one line a minute for each cause, and counts the lines.

    The first word of a cause is its kind. If a thousand log files cannot be read, some of them are enough.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.said = Counter[str]()
        """The number of lines passed on, by cause."""
        self._say = say
        self._quiet_until: dict[str, float] = {}

    def __call__(self, cause: str, text: str) -> bool:
        """Say *text*, unless *cause* had a line less than a minute ago; return whether it was said."""
        now = time.monotonic()
        self._quiet_until = {known: at for known, at in self._quiet_until.items() if at > now}
        kind = cause.partition(" ")[0]
        alike = sum(known.partition(" ")[0] == kind for known in self._quiet_until)
        if cause in self._quiet_until or alike > MOST_ALIKE:
            return False
        if alike == MOST_ALIKE:
            text = f"{text}; more lines like this are left out for a minute"
        self._quiet_until[cause] = now + REPORT_SECONDS
        self.said[cause] += 1
        self._say(text)
        return True


class _Logger:
    """The steps of a logger. A step that has succeeded is not taken again, except counting."""

    def __init__(self, load: Callable[[], Prepare], pipe: _Pipe) -> None:
        self._load = load
        self._prepare: Prepare | None = None
        self._count: Count | None = None
        self._pipe = pipe
        self._report = Throttle(say)
        self._failed = False

    def attempt(self, keep_flowing: bool) -> int:
        """Count until the input ends, or do what the options say (--check); return the exit code.

        With *keep_flowing* the pipe does not fill up before counting begins.
        """
        with self._pipe.kept_flowing() if keep_flowing else nullcontext():
            count = self._count or self._get_ready()
        if isinstance(count, int):
            return count
        self._count = count
        self._failed |= self._pipe.lines > 0
        if self._failed:
            signal.signal(signal.SIGALRM, lambda *_: self._tell_that_it_counts())
            signal.setitimer(signal.ITIMER_REAL, PROOF_SECONDS)
        begun_at, discarded = time.monotonic(), self._pipe.unreported
        self._pipe.unreported = 0
        try:
            count(discarded)
        except BaseException:
            if time.monotonic() < begun_at + PROOF_SECONDS:  # the reader has not published them yet
                self._pipe.unreported += discarded
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._failed:
            self.tell_the_end()
        return 0

    def cannot_count(self, failure: Failure) -> None:
        """Say why lines are discarded, now and whenever SIGUSR1 asks."""
        self._failed = True
        signal.signal(signal.SIGUSR1, lambda *_: say(self._cannot_count(failure.text)))
        self._report(failure.cause, self._cannot_count(failure.text))

    def tell_the_end(self) -> None:
        """Say how many lines were discarded since this was last said."""
        say(f"the log has ended; {self._discarded()}")

    def _get_ready(self) -> Count | int:
        importlib.invalidate_caches()
        if self._prepare is None:
            self._prepare = self._load_anew()
        return self._prepare()

    def _load_anew(self) -> Prepare:
        """Load; after a failure forget the loaded modules, so that the next try does not mix old and new modules."""
        before = set(sys.modules)
        try:
            return self._load()
        except BaseException:
            for name in sys.modules.keys() - before:
                if name.partition(".")[0] not in sys.stdlib_module_names:
                    del sys.modules[name]
            raise

    def _tell_that_it_counts(self) -> None:
        if self._report("begin", f"counting now; {self._discarded()}"):
            self._failed, self._pipe.lines = False, 0

    def _cannot_count(self, why: str) -> str:
        so_far = f" ({self._pipe.lines:,} so far)" if self._pipe.lines else ""
        return f"cannot count, log lines are discarded{so_far}: {why}"

    def _discarded(self) -> str:
        return f"{counted(self._pipe.lines, 'line')} discarded"
