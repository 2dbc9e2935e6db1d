"""Today's live counters, for all requests together: at most one sample a second, however many people look."""

import asyncio
import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from anyio.to_thread import run_sync

from fasthits.errors import MemcachedError
from fasthits.live.causes import NO_LOGGER
from fasthits.live.keys import hit_key, path_in_key
from fasthits.live.quick import QuickReader
from fasthits.live.sampler import LiveViews, Sample
from fasthits.live.servers import Server
from fasthits.live.statistics import hour_keys, is_by_host
from fasthits.rules.paths import spellings

SAMPLE_SECONDS = 1.0
PATIENCE_SECONDS = 1.0
"""How long a request waits for a memcached that hangs. Later requests do not wait for it, until it answers again."""
LISTED_PATHS = 100
"""Paths that a sample lists."""


class Now:
    """Today's live counters. It reads them only when a request asks; there is no background task."""

    def __init__(self, servers: Sequence[str], prefix: str, site: str | None) -> None:
        self._live = LiveViews(servers, prefix)
        self._quick = QuickReader([Server(server) for server in servers], lambda error: None, PATIENCE_SECONDS)
        self.servers = servers
        self._prefix = prefix
        self._site = site
        self._pages: tuple[Sample | None, Sample | None] = (None, None)
        self._sampling = asyncio.Lock()
        self._sampled_at = float("-inf")
        self._outcome: Sample | MemcachedError = MemcachedError("not asked yet", "memcached")

    async def sample(self) -> Sample:
        """Return a sample that is at most SAMPLE_SECONDS old. Raises MemcachedError, the same one for as long."""
        async with self._sampling:
            if time.monotonic() >= self._sampled_at + SAMPLE_SECONDS:
                try:
                    self._outcome = await run_sync(self._live.sample, LISTED_PATHS, PATIENCE_SECONDS)
                except MemcachedError as error:
                    self._outcome = error
                self._sampled_at = time.monotonic()
        if isinstance(self._outcome, MemcachedError):
            raise self._outcome
        return self._outcome

    async def document(self, limit: int, pages: bool) -> dict[str, Any]:
        """Return the newest sample as a JSON document; with *pages* without static files. Raises MemcachedError."""
        sample = await self.sample()
        shown = await self._without_static(sample) if pages else sample
        return {**shown.document(limit), "site": self._site}

    async def _without_static(self, sample: Sample) -> Sample:
        async with self._sampling:
            if self._pages[0] is not sample:
                self._pages = sample, await run_sync(self._live.without_static, sample, LISTED_PATHS)
        assert self._pages[1]
        return self._pages[1]

    async def views_of(self, path: str) -> int | None:
        """Return today's views of a path: from the newest sample, or from its counter if the sample lacks it.

        *path* is written as in the log, or as in a sample. None if no logger has counted a line today, so that nobody
        can tell a page without readers; if it is a hash that the sample lacks: nobody can tell of which path it is; and
        if it lacks its host, and each host is counted separately. Raises MemcachedError.
        """
        sample = await self.sample()
        if NO_LOGGER in sample.warnings:
            return None
        if path.startswith("#"):
            return self._live.views_of(path)
        keys = [hit_key(sample.day, each, self._prefix) for each in spellings(path.encode())]
        sampled = [self._live.views_of(path_in_key(key, self._prefix)) for key in keys]
        if None not in sampled:
            return sum(filter(None, sampled))
        if not path.startswith("//") and is_by_host(sample.figures or {}):
            return None
        return sum(await self._read(keys))

    async def hours(self, day: date) -> list[int] | None:
        """Return the hits in each hour of a day; None if no logger has published any. Raises MemcachedError."""
        await self.sample()
        found = await self._read(hour_keys(self._prefix, day))
        return found if any(found) else None

    async def _read(self, keys: Sequence[str]) -> list[int]:
        """Return the numbers of counters, 0 for a key without a counter. Raises MemcachedError."""
        found = await run_sync(self._quick.read, keys)
        if missing := [key for key in keys if key not in found]:
            hint = f"no number for {missing[0]} within {PATIENCE_SECONDS:g} s"
            raise MemcachedError("memcached does not answer", self._quick.server_of(missing[0]), hint)
        return [found[key] for key in keys]

    async def search(self, text: str, limit: int) -> list[str]:
        """Return the paths of the newest sample that contain *text*, most read first. Raises MemcachedError."""
        await self.sample()
        return await run_sync(self._live.search, text, limit)
