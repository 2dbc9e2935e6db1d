"""The JSON interface, the badge and the metrics. openapi.py describes them."""

from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fasthits.errors import FasthitsError
from fasthits.live.processes import count_loggers
from fasthits.live.sampler import Sample
from fasthits.web import parameters
from fasthits.web.archive import ALL_DAYS, Archive
from fasthits.web.badge import badge
from fasthits.web.metrics import CONTENT_TYPE, Figures, exposition
from fasthits.web.now import Now
from fasthits.web.openapi import DESCRIPTION

BADGE_SECONDS = 60


def sample_document(sample: Sample, limit: int) -> dict[str, Any]:
    """Return a sample as a JSON document, with its first *limit* paths."""
    return {
        "at": sample.at.isoformat(timespec="milliseconds"),
        "day": str(sample.day),
        "views": sample.views,
        "paths": sample.paths,
        "last_minute": sample.last_minute,
        "rate": None if sample.rate is None else round(sample.rate, 2),
        "most_read": [each._asdict() for each in sample.most_read[:limit]],
        "problems": sample.problems,
        "warnings": sample.warnings,
    }


class Api:
    """Handles every request except those for the page and its events."""

    def __init__(self, now: Now, archive: Archive) -> None:
        self._now = now
        self._archive = archive

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/today", self.today),
            Route("/api/top", self.top),
            Route("/api/history", self.history),
            Route("/api/most-read", self.most_read),
            Route("/api/search", self.search),
            Route("/badge.svg", self.badge),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]

    async def today(self, request: Request) -> Response:
        """Answer with the views of a path today."""
        path = parameters.path(request)
        return JSONResponse({"path": path, "views": await self._now.views_of(path)})

    async def top(self, request: Request) -> Response:
        """Answer with the newest sample."""
        limit = parameters.limit(request)
        return JSONResponse(sample_document(await self._now.sample(), limit))

    async def history(self, request: Request) -> Response:
        """Answer with the views on each of the last days, of a path or of all paths together."""
        path, number = parameters.optional_path(request), parameters.days(request)
        days, views = await self._archive.daily(path, number)
        return JSONResponse({"path": path, "days": list(map(str, days)), "views": views, "total": sum(views)})

    async def most_read(self, request: Request) -> Response:
        """Answer with the most read paths of the last days."""
        number, limit = parameters.days(request), parameters.limit(request)
        days, paths = await self._archive.most_read(number, limit)
        return JSONResponse({"days": list(map(str, days)), "paths": [each._asdict() for each in paths]})

    async def search(self, request: Request) -> Response:
        """Answer with paths that contain a text: the most read today first, then the most read of the last days."""
        text, limit = parameters.text(request), parameters.limit(request)
        found: dict[str, None] = {}
        for source in (self._now, self._archive):
            try:
                found |= dict.fromkeys(await source.search(text, limit))
            except FasthitsError:  # the page already says that memcached or the database is missing
                continue
        return JSONResponse({"paths": list(found)[:limit]})

    async def badge(self, request: Request) -> Response:
        """Answer with a picture of a path's views: today's and those of all days in the database."""
        path = parameters.path(request)
        views = 0
        for count in (self._now.views_of(path), self._views_kept(path)):
            try:
                views += await count
            except FasthitsError:
                continue
        headers = {"Cache-Control": f"max-age={BADGE_SECONDS}", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(badge("views", views), media_type="image/svg+xml", headers=headers)

    async def _views_kept(self, path: str) -> int:
        today = (await self._now.sample()).day
        days, views = await self._archive.daily(path, ALL_DAYS)
        return sum(count for day, count in zip(days, views, strict=True) if day < today)

    async def metrics(self, request: Request) -> Response:
        """Answer with metrics for Prometheus. A figure that cannot be read is left out."""
        try:
            sample = await self._now.sample()
        except FasthitsError:
            sample = None
        try:
            health = await self._now.logger_figures()
        except FasthitsError:
            health = None
        try:
            newest_day = await self._archive.newest_day()
        except FasthitsError:
            newest_day = None
        text = exposition(Figures(sample, newest_day, await run_sync(count_loggers), health))
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """Answer with the description of this interface."""
        return JSONResponse(DESCRIPTION)
