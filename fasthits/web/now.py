"""Today, for all requests together: one sample of the live counters a second at most, however many look."""

import asyncio
import time
from collections.abc import Sequence
from datetime import date

from anyio.to_thread import run_sync

from fasthits.errors import MemcachedError
from fasthits.live.keys import hit_key
from fasthits.live.memcached import read_views
from fasthits.live.sampler import LiveViews, Sample
from fasthits.live.statistics import read_figures

SAMPLE_SECONDS = 1.0
LISTED_PATHS = 100
"""How many paths a sample lists."""


class Now:
    """The live counters of today. While nobody asks, nobody reads them: there is no background task."""

    def __init__(self, servers: Sequence[str], prefix: str) -> None:
        self._live = LiveViews(servers, prefix)
        self._servers = servers
        self._prefix = prefix
        self._sampling = asyncio.Lock()
        self._sampled_at = float("-inf")
        self._outcome: Sample | MemcachedError = MemcachedError("not asked yet", "memcached")

    async def sample(self) -> Sample:
        """Return the newest sample, SAMPLE_SECONDS old at most. Raises MemcachedError, which is kept as long."""
        async with self._sampling:
            if time.monotonic() >= self._sampled_at + SAMPLE_SECONDS:
                try:
                    self._outcome = await run_sync(self._live.sample, LISTED_PATHS)
                except MemcachedError as error:
                    self._outcome = error
                self._sampled_at = time.monotonic()
        if isinstance(self._outcome, MemcachedError):
            raise self._outcome
        return self._outcome

    async def views_of(self, path: str) -> int:
        """Return the views of a path in the newest sample, or what its counter says where that has none.

        *path* stands as in the log, or as in a sample. Raises MemcachedError.
        """
        await self.sample()
        if path.startswith("#"):
            return self._live.views_of(path) or 0
        key = hit_key(date.today(), path.encode(), self._prefix)
        views = self._live.views_of(key[len(f"{self._prefix}2026-03-12") :])
        if views is None:
            views = (await run_sync(read_views, self._servers, [key])).get(key, 0)
        return views

    async def logger_figures(self) -> dict[str, int]:
        """Return what all loggers together have published today. Raises MemcachedError."""
        return await run_sync(read_figures, self._servers, self._prefix)

    async def search(self, text: str, limit: int) -> list[str]:
        """Return the paths of the newest sample that hold *text*, most read first. Raises MemcachedError."""
        await self.sample()
        return await run_sync(self._live.search, text, limit)
