"""Past days, for all requests together: it makes no query twice at the same time, or again while the database is
unchanged.

Queries run at the same time, each in its own thread and with its own connection. A question that nobody waits for any
more is interrupted. Cheap queries have their own threads, so they never wait for expensive queries.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from itertools import chain, repeat
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from anyio import CapacityLimiter

from fasthits import __version__
from fasthits.daily.past.documents import Days, history_document, most_read_document
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import state_of
from fasthits.daily.urls import is_postgres
from fasthits.errors import FasthitsError, TableError

KEPT_BYTES = 16 << 20
"""Answers to keep in memory, with their questions: a stranger may ask for texts that are longer than the answer."""
CHEAP_AT_ONCE = 4
DEAR_AT_ONCE = 2
PATIENCE_SECONDS = 60.0
"""How long a question waits for a PostgreSQL that says nothing, because it is locked or has stopped. Proxies wait no
longer for an answer, either."""
LOOK_SECONDS = 2.0
"""How long a request waits for a file system that hangs, such as that of a dead server."""
WATCH_SECONDS = 2.0
"""How often the archive looks whether the database has changed."""
WARMED = 12
"""Questions to ask again after a change: the last ones."""

Answer = TypeVar("Answer")
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
        self._look: asyncio.Future[str] | None = None
        self._running: dict[tuple[str, Question], _Running] = {}
        self._kept: OrderedDict[tuple[str, Question], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._asked: OrderedDict[Question, bool] = OrderedDict.fromkeys(FIRST, True)
        self._cheap, self._dear = CapacityLimiter(CHEAP_AT_ONCE), CapacityLimiter(DEAR_AT_ONCE)
        self._ended = False

    async def state(self) -> str:
        """Return a text that changes when an answer may change: with the database, the day and the version.

        It is empty if the database cannot be read. Of PostgreSQL it is what `watch` has seen last. Raises TableError if
        the file system does not answer: all requests wait for the same look, so that a single thread hangs.
        """
        state = self._seen if is_postgres(self._database) else await self._state_of_file()
        return state and f"{__version__}-{state}-{date.today().toordinal():x}"

    async def _state_of_file(self) -> str:
        if self._look is None or self._look.done():
            self._look = in_thread(state_of, self._database)
        look = self._look
        await asyncio.wait([look], timeout=LOOK_SECONDS)
        if not look.done():
            reason = f"the file system has not answered for {LOOK_SECONDS:g} s"
            raise TableError("cannot read database", self._database, reason)
        return look.result()

    async def ask(self, find: Find, *arguments: Any, dear: bool = True) -> bytes:
        """Return what *find* answers, as JSON. If the caller is cancelled and nobody else waits, *find* is too."""
        question, state = (find, arguments), await self.state()
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

    async def watch(self, say: Callable[[str], None]) -> None:
        """Ask the last questions again, for nobody, whenever the database has changed, so that they are kept.

        At first, *say* tells the operator if the database cannot be read.
        """
        seen = ""
        for is_first in chain([True], repeat(False)):
            if is_postgres(self._database):
                self._seen = await in_thread(state_of, self._database, self._patience)
            try:
                if (state := await self.state()) != seen or is_first:
                    seen = state
                    for (find, arguments), dear in list(self._asked.items()):
                        await self.ask(find, *arguments, dear=dear)
            except FasthitsError as error:  # clients will see the error, too
                if is_first and not self._ended:
                    say(f"warning: the page has no past days: {error}")
            await asyncio.sleep(WATCH_SECONDS)

    def end(self) -> None:
        """Interrupt all questions."""
        self._ended = True
        for running in self._running.values():
            running.end()

    def _remember(self, question: Question, dear: bool) -> None:
        self._asked[question] = dear
        self._asked.move_to_end(question)
        if len(self._asked) > WARMED:
            self._asked.popitem(last=False)

    def _keep(self, key: tuple[str, Question], answer: bytes) -> None:
        size = _size_of(key, answer)
        if key in self._kept or size > KEPT_BYTES:
            return
        self._kept[key] = answer
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= _size_of(*self._kept.popitem(last=False))


def _size_of(key: tuple[str, Question], answer: bytes) -> int:
    return len(ascii(key)) + len(answer)


class _Running:
    """A question on its way, and how many wait for its answer."""

    def __init__(self, history: History, question: Question, limiter: CapacityLimiter) -> None:
        self._history = history
        self._waiting = 0
        self._has_begun = False
        self._task = asyncio.ensure_future(self._run(question, limiter))
        self._task.add_done_callback(_heard)
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
        """Interrupt the question. While its thread does not end, it takes the place of another question."""
        self.ended = True
        self._history.interrupt()
        if not self._has_begun:
            self._task.cancel()

    async def _run(self, question: Question, limiter: CapacityLimiter) -> bytes:
        async with limiter:
            self._has_begun = True
            return await in_thread(_find, self._history, question)


def _heard(task: "asyncio.Task[bytes]") -> None:
    """Look at the error of a question that nobody waits for, or asyncio would print it."""
    if not task.cancelled():
        task.exception()


def _find(history: History, question: Question) -> bytes:
    find, arguments = question
    with history.at_one_moment():
        return json.dumps(find(history, *arguments), separators=(",", ":")).encode("ascii")


def in_thread(function: Callable[..., Answer], *arguments: Any) -> "asyncio.Future[Answer]":
    """Return the result of *function*, called in a thread that does not keep the server from ending.

    Threads of anyio would: Python waits for them, as long as a file system or a database server hangs.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Answer] = loop.create_future()

    def tell(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not result.done():
            set_outcome(outcome)

    def run() -> None:
        try:
            told: tuple[Callable[[Any], None], Any] = (result.set_result, function(*arguments))
        except BaseException as error:
            told = (result.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, *told)

    Thread(target=run, name=function.__name__, daemon=True).start()
    return result


def run_for(seconds: float, function: Callable[..., Answer], *arguments: Any) -> Answer:
    """Return the result of *function*, called in a thread as by `in_thread`. Raises TimeoutError after *seconds*."""

    async def wait() -> Answer:
        return await asyncio.wait_for(in_thread(function, *arguments), seconds)

    return asyncio.run(wait())
