"""Leaves a server alone that has just failed, so that pages do not wait for it one after the other.

For PAUSE_SECONDS no page asks it. Then one page tries it again, and the others go on without.
"""

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

PAUSE_SECONDS = 5.0
"""The time for which no page asks a server that has failed."""
REPORT_SECONDS = 60.0
"""The least time between two reports of a server that fails again and again."""

E = TypeVar("E", bound=Exception)


class Pauses(Generic[E]):
    """The pauses of one server. Threads may share them, and a forked child goes on with them."""

    def __init__(self, report: Callable[[E], None]) -> None:
        """*report* is called when the server begins to fail."""
        self._report = report
        self._lock, self._process = Lock(), os.getpid()
        self.is_down = False
        self._paused_until = self._reported_at = float("-inf")

    def may_ask(self) -> bool:
        """Tell whether a page may ask the server now."""
        if self._process != os.getpid():  # another thread of the parent may have held the lock
            self._lock, self._process = Lock(), os.getpid()
        with self._lock:
            now = time.monotonic()
            if now < self._paused_until:
                return False
            if self.is_down:  # this page tries again; other pages do not wait for it
                self._paused_until = now + PAUSE_SECONDS
            return True

    def answered(self) -> None:
        """Take note that the server has answered."""
        self.is_down, self._paused_until = False, float("-inf")

    def failed(self, error: E) -> None:
        """Begin a pause, and report the first of several errors."""
        with self._lock:
            was_down, self.is_down = self.is_down, True
            self._paused_until = time.monotonic() + PAUSE_SECONDS
        if not was_down:
            self.tell(error)

    def tell(self, error: E) -> None:
        """Report an error, unless another was reported less than REPORT_SECONDS ago."""
        with self._lock:
            now = time.monotonic()
            if now < self._reported_at + REPORT_SECONDS:
                return
            self._reported_at = now
        self._report(error)
