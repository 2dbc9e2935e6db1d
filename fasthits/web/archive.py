"""Past days, for all requests together: it makes no query twice at the same time, or again while the database is
unchanged.

Queries run at the same time, each in its own thread and with its own connection. A question that nobody waits for any
more is interrupted. Cheap queries have their own threads, so they never wait for expensive queries.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from fasthits import __version__
from fasthits.daily.past.documents import Days, history_document, most_read_document
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import state_of
from fasthits.daily.urls import is_postgres
from fasthits.errors import FasthitsError

KEPT_BYTES = 16 << 20
"""Answers to keep in memory."""
CHEAP_AT_ONCE = 4
DEAR_AT_ONCE = 2
PATIENCE_SECONDS = 60.0
"""How long a question waits for a PostgreSQL that says nothing, because it is locked or has stopped. Proxies wait no
longer for an answer, either."""
WATCH_SECONDS = 2.0
"""How often the archive looks whether the database has changed."""
WARMED = 12
"""Questions to ask again after a change: the last ones."""

Find = Callable[..., Any]
"""Returns a document for a `History` and some arguments that can be hashed."""
Question = tuple[Find, tuple[Any, ...]]

FIRST: tuple[Question, ...] = ((history_document, (Days(),)), (most_read_document, (Days(),)))
"""The questions that warm the database before anybody has asked."""


class Archive:
    """The views in the database of a rollup. Every question raises TableError when the database cannot be read."""

    def __init__(self, database: str | Path) -> None:
        self._database = database
        self._patience = PATIENCE_SECONDS if is_postgres(database) else None
        self._seen = ""
        self._running: dict[tuple[str, Question], _Running] = {}
        self._kept: OrderedDict[tuple[str, Question], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._asked: OrderedDict[Question, bool] = OrderedDict.fromkeys(FIRST, True)
        self._cheap, self._dear = CapacityLimiter(CHEAP_AT_ONCE), CapacityLimiter(DEAR_AT_ONCE)

    def state(self) -> str:
        """Return a text that changes when an answer may change: with the database, the day and the version.

        It is empty if the database cannot be read. Of PostgreSQL it is what `watch` has seen last.
        """
        state = self._seen if is_postgres(self._database) else state_of(self._database)
        return state and f"{__version__}-{state}-{date.today().toordinal():x}"

    async def ask(self, find: Find, *arguments: Any, dear: bool = True) -> bytes:
        """Return what *find* answers, as JSON. If the caller is cancelled and nobody else waits, *find* is too."""
        question, state = (find, arguments), self.state()
        self._remember(question, dear)
        key = (state, question)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._running:
            history = History(self._database, patience=self._patience)
            self._running[key] = _Running(history, question, self._dear if dear else self._cheap)
        running = self._running[key]
        try:
            answer = await running.answer()
        finally:
            if running.ended and self._running.get(key) is running:
                del self._running[key]
        if state:
            self._keep(key, answer)
        return answer

    async def watch(self) -> None:
        """Ask the last questions again, for nobody, whenever the database has changed, so that they are kept."""
        seen = ""
        while True:
            if is_postgres(self._database):
                self._seen = await run_sync(state_of, self._database, self._patience, limiter=self._cheap)
            if (state := self.state()) and state != seen:
                seen = state
                for (find, arguments), dear in list(self._asked.items()):
                    try:
                        await self.ask(find, *arguments, dear=dear)
                    except FasthitsError:  # clients will see the error
                        break
            await asyncio.sleep(WATCH_SECONDS)

    def end(self) -> None:
        """Interrupt all questions."""
        for running in self._running.values():
            running.end()

    def _remember(self, question: Question, dear: bool) -> None:
        self._asked[question] = dear
        self._asked.move_to_end(question)
        if len(self._asked) > WARMED:
            self._asked.popitem(last=False)

    def _keep(self, key: tuple[str, Question], answer: bytes) -> None:
        if key in self._kept or len(answer) > KEPT_BYTES:
            return
        self._kept[key] = answer
        self._kept_bytes += len(answer)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])


class _Running:
    """A question on its way, and how many wait for its answer."""

    def __init__(self, history: History, question: Question, limiter: CapacityLimiter) -> None:
        self._history = history
        self._waiting = 0
        self._task = asyncio.ensure_future(run_sync(_find, history, question, limiter=limiter))
        self.ended = False

    async def answer(self) -> bytes:
        """Return the answer. End the question if the last who waits for it is cancelled."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self.end()
            self.ended = self.ended or self._task.done()

    def end(self) -> None:
        """Interrupt the question."""
        self.ended = True
        self._history.interrupt()
        self._task.cancel()


def _find(history: History, question: Question) -> bytes:
    find, arguments = question
    with history.at_one_moment():
        return json.dumps(find(history, *arguments), separators=(",", ":")).encode("ascii")
