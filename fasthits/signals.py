"""SIGTERM and SIGHUP end a command as Ctrl-C does: it undoes what it has begun, and says which signal ended it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP has asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        return f"ended by {self.signal.name}"

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a process that the signal has killed, such as 143 for SIGTERM."""
        return 128 + self.signal


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the first SIGTERM or SIGHUP raise Ended in the block.

    A signal that already has a handler keeps it, and an ignored signal, as under nohup, stays ignored. In a
    thread other than the main thread, which receives no signals, nothing changes.
    """
    ours = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)  # no signal interrupts the undoing
    raise Ended(number)
