"""A server that is asked again and again in a thread of its own, because it may hang: whoever asks waits for a limited
time."""

import time
from collections.abc import Callable
from datetime import date
from threading import Event, Thread
from typing import Generic, TypeVar

from fasthits.errors import MemcachedError

FRESH_SECONDS = 5.0
"""While the next answer is late, the last answer counts for this long."""

Answer = TypeVar("Answer")


class Asked(Generic[Answer]):
    """One server. If it has answered too late, nobody waits for it until it is quick again.

    Only one thread may use this. The server gets one question at a time.
    """

    def __init__(self, server: str, ask: Callable[[date], Answer]) -> None:
        """*ask* returns the answer for a day."""
        self._server = server
        self._ask = ask
        self._seconds = float("inf")
        self._last: _Question[Answer] | None = None
        self._running: _Question[Answer] | None = None
        self._is_slow = False

    def start(self, day: date) -> None:
        """Ask for a day, unless the server still owes an answer."""
        if self._running and self._running.ended.is_set():
            self._take(self._running)
        if self._running is None:
            self._running = _Question(day)
            Thread(target=self._running.put, args=[self._ask], name="fasthits-ask", daemon=True).start()

    def answer(self, day: date, seconds: float | None) -> Answer:
        """Return the answer to the question that `start` has put, or the last answer while the next is late.

        *seconds* limits the wait; None waits as long as the server takes. Raises the error of *ask*; MemcachedError if
        there is no answer within the limit.
        """
        self._seconds = float("inf") if seconds is None else seconds
        running, last, now = self._running, self._last, time.monotonic()
        assert running, "start() comes first"
        is_fresh = last is not None and last.day == day and now < last.ended_at + FRESH_SECONDS
        left = 0.0 if self._is_slow and is_fresh else max(0.0, running.started_at + self._seconds - now)
        if running.ended.wait(None if seconds is None else left):
            self._take(running)
            if running.day == day:
                return running.outcome()
        else:
            self._is_slow = True
        if last and is_fresh:
            return last.outcome()
        raise MemcachedError("memcached does not answer", self._server, f"nothing within {self._seconds:g} s")

    def _take(self, question: "_Question[Answer]") -> None:
        self._last, self._running = question, None
        self._is_slow = question.ended_at > question.started_at + self._seconds


class _Question(Generic[Answer]):
    def __init__(self, day: date) -> None:
        self.day = day
        self.started_at = time.monotonic()
        self.ended_at = 0.0
        self.ended = Event()
        self._answers: list[Answer] = []
        self._error: Exception | None = None

    def put(self, ask: Callable[[date], Answer]) -> None:
        try:
            self._answers.append(ask(self.day))
        except Exception as error:
            self._error = error
        self.ended_at = time.monotonic()
        self.ended.set()

    def outcome(self) -> Answer:
        if self._error:
            raise self._error
        return self._answers[0]
