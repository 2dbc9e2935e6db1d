"""Past days, for all requests together: one query at a time, and no query twice while the database is unchanged."""

import asyncio
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from anyio.to_thread import run_sync

from fasthits.daily.history import History, PathHistory

ANSWERS = 256
"""Answers to keep in memory."""
SEARCHED_DAYS = 30
ALL_DAYS = 36_525

Answer = TypeVar("Answer")


class DailyViews(NamedTuple):
    """Some days, and the views on each of them."""

    days: list[date]
    views: list[int]


class MostRead(NamedTuple):
    """Some days, and the paths read most on them."""

    days: list[date]
    paths: list[PathHistory]


class Archive:
    """The views in the SQLite file of a rollup. Every method raises TableError when the file cannot be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._history = History(file)
        self._one_at_a_time = asyncio.Lock()
        self._kept = lru_cache(ANSWERS)(lambda state, find, *arguments: self._find(find, *arguments))

    async def daily(self, path: str | None, number: int) -> DailyViews:
        """Return the views on each of the last *number* days, of a path or of all paths together."""
        return await self._ask(self._daily, path, number)

    async def most_read(self, number: int, limit: int) -> MostRead:
        """Return the *limit* most read paths of the last *number* days."""
        return await self._ask(self._most_read, number, limit)

    async def search(self, text: str, limit: int) -> list[str]:
        """Return the most read paths of the last SEARCHED_DAYS that contain *text*."""
        return await self._ask(self._search, text, limit)

    async def newest_day(self) -> date | None:
        """Return the newest day in the database, or None."""
        days = await self._ask(self._history.last_days, 1)
        return days[-1] if days else None

    async def _ask(self, find: Callable[..., Answer], *arguments: object) -> Answer:
        async with self._one_at_a_time:
            answer: Answer = await run_sync(self._kept, self._state(), find, *arguments)
            return answer

    def _find(self, find: Callable[..., Answer], *arguments: object) -> Answer:
        with self._history.at_one_moment():
            return find(*arguments)

    def _state(self) -> tuple[int, ...]:
        """Return a value that changes when the database file changes."""
        try:
            status = self._file.stat()
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _daily(self, path: str | None, number: int) -> DailyViews:
        days = self._history.range_of(number)
        if days is None:
            return DailyViews([], [])
        found = self._history.site(days) if path is None else self._history.by_day(path, days)
        return DailyViews(days.days, [views or 0 for views in found])

    def _most_read(self, number: int, limit: int) -> MostRead:
        days = self._history.range_of(number)
        if days is None:
            return MostRead([], [])
        found = [each.path for each in self._history.most_read(days, limit).paths]
        return MostRead(days.days, self._history.paths(found, days.days))

    def _search(self, text: str, limit: int) -> list[str]:
        days = self._history.range_of(SEARCHED_DAYS)
        return self._history.search(text, days, limit) if days else []
