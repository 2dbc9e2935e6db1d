"""`fasthits log` at the end of a pipe, started as Apache would start it, and log lines for the pipe."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Self

from tests.support.forks import Forked, can_be_forked
from tests.support.processes import (
    children_of,
    end_process,
    environment,
    eventually,
    kill_marked,
    marked,
    new_mark,
    start_fasthits,
)

RUN = "from fasthits.__main__ import main; main()"
DAY = date(2026, 3, 12)


def access_line(path: str | bytes, day: date = DAY, method: str = "GET", status: int = 200, query: str = "") -> bytes:
    """Return a line of the combined format with its newline. A path in bytes is not changed."""
    target = (path if isinstance(path, bytes) else path.encode("ascii")) + query.encode("ascii")
    return b'127.0.0.1 - - [%b] "%b %b HTTP/1.1" %d 5 "-" "Mozilla/5.0"\n' % (
        _time_on(day),
        method.encode(),
        target,
        status,
    )


@cache
def _time_on(day: date) -> bytes:
    return day.strftime("%d/%b/%Y:10:00:00 +0100").encode()


def access_lines(paths: Iterable[str | bytes], day: date = DAY) -> bytes:
    """Return one hit of each of *paths*, in their order."""
    return b"".join(access_line(path, day) for path in paths)


class Logger:
    """A running `fasthits log` (the reader) with its courier; its stderr is a file in *directory*, as under Apache."""

    process: subprocess.Popen[bytes] | Forked

    def __init__(
        self,
        directory: Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        first: str = "",
        patch: str = "",
        command: Sequence[str] = (),
    ) -> None:
        """*first* is Python that runs before anything is imported, *patch* is Python that changes modules of fasthits.

        *command* runs in place of `fasthits log`. With it, or with *first*, the logger is no fork: it has no memory of
        others, and its command line says what it is.
        """
        if first or not can_be_forked(env or {}):
            command = command or [sys.executable, "-c", f"{first}\n{patch}\n{RUN}", "log"]
        self.mark = new_mark()
        self._stderr_path = directory / f"stderr-{self.mark[:8]}"
        read_end, self._write_end = os.pipe()
        self.pipe = os.readlink(f"/proc/self/fd/{self._write_end}")
        try:
            with self._stderr_path.open("wb") as stderr:
                if command:
                    self.process = subprocess.Popen(
                        [*command, *args],
                        stdin=read_end,
                        stdout=subprocess.DEVNULL,
                        stderr=stderr,
                        env=environment(self.mark, env),
                        start_new_session=True,
                    )
                else:
                    self.process = start_fasthits(["log", *args], self.mark, read_end, stderr.fileno(), env, patch)
        finally:
            os.close(read_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        end_process(self.process)
        kill_marked(self.mark)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """The messages of reader and courier so far."""
        return self._stderr_path.read_text(errors="backslashreplace")

    def write(self, data: bytes) -> None:
        """Write to its pipe; waits while the pipe is full, as Apache would."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._write_end, left) :]

    def unread(self) -> int:
        """Return the number of unread bytes in the pipe. This works after the logger's end, too."""
        count = bytearray(4)
        fcntl.ioctl(self._write_end, termios.FIONREAD, count)
        return int.from_bytes(count, "little")

    def wait_until_read(self, timeout: float = 30.0) -> None:
        """Return when the reader has read everything that was written."""
        eventually(
            lambda: self.unread() == 0, timeout, lambda: f"the logger has read its pipe; it said {self.stderr!r}"
        )

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Write each piece after the previous piece was read. So each read gets one piece."""
        for piece in pieces:
            self.write(piece)
            self.wait_until_read()

    def children(self) -> list[int]:
        """Return the ids of the reader's children: the courier."""
        return children_of(self.pid)

    def processes(self) -> list[int]:
        """Return the ids of all running processes of this logger: the reader and its courier."""
        return marked(self.mark)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the reader, as Apache does."""
        os.kill(self.pid, number)

    def close(self) -> None:
        """End its input. Further calls do nothing."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def wait(self, timeout: float = 60.0) -> int:
        """Return its exit status when it has ended."""
        return self.process.wait(timeout)

    def finish(self, timeout: float = 60.0) -> int:
        """End its input and return its exit status when it has ended."""
        self.close()
        return self.wait(timeout)
