"""SIGTERM and SIGHUP end a command as Ctrl-C does: it undoes what it has begun, and says which signal ended it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
_raised: list[KeyboardInterrupt] = []
"""What the signals of the block have raised."""


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
    """Let the first SIGTERM or SIGHUP raise Ended in the block, and SIGINT KeyboardInterrupt. `check` raises it again.

    A signal that already has a handler keeps it, and an ignored signal, as under nohup, stays ignored. In a
    thread other than the main thread, which receives no signals, nothing changes.
    """
    kept = {}
    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler} | dict.fromkeys(ENDING, signal.SIG_DFL)
        for number in usual:
            if signal.getsignal(number) is usual[number]:
                kept[number] = signal.signal(number, _end)
    try:
        yield
    except RuntimeError:  # a lock of Python's threads: the signal came when it had just been released, or not yet taken
        check()
        raise
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        _raised.clear()


def _end(number: int, _: FrameType | None) -> None:
    if number in ENDING:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)  # no signal interrupts the undoing
    _raised.append(Ended(number) if number in ENDING else KeyboardInterrupt())
    raise _raised[-1]


def check() -> None:
    """Raise what a signal has raised before: Python drops an error that is raised in a finalizer, such as one of Dask.

    Whoever waits for long calls this now and then.
    """
    if _raised:
        raise _raised[0]
