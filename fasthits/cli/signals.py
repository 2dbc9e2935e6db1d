"""Signals that end a command as Ctrl-C does: what it has begun is undone, and it says so."""

import signal
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Another signal than SIGINT has asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def end_at_signals() -> None:
    """Let SIGTERM and SIGHUP raise Ended from now on, the first time; one that is ignored, as by nohup, stays so."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)  # what is begun is undone without being disturbed again
    raise Ended(number)
