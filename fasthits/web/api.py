"""Answers the requests of the JSON interface, for the badge and for the metrics. openapi.py describes them."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from datetime import date
from itertools import product
from typing import Any, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fasthits.daily.past.documents import (
    Days,
    Pages,
    bots_document,
    history_document,
    hosts_document,
    hours_document,
    kept_document,
    most_read_document,
    not_found_document,
    past_views,
    read_by_bots_document,
    referrers_document,
    searches_document,
    sections_document,
)
from fasthits.daily.past.history import History
from fasthits.daily.past.report import STYLE, Report
from fasthits.display import as_sent
from fasthits.errors import FasthitsError
from fasthits.live.causes import NO_LOGGER
from fasthits.live.processes import count_loggers
from fasthits.web.archive import Archive, Find
from fasthits.web.badge import badge
from fasthits.web.guard import Access
from fasthits.web.metrics import CONTENT_TYPE, Figures, exposition
from fasthits.web.now import Now
from fasthits.web.openapi import ENDPOINTS, describe
from fasthits.web.parameters import ALL_DAYS, Query, read

BADGE_SECONDS = 60
SOON_SECONDS = 5.0
"""How long a badge, a search and the metrics wait for the database: they have live numbers, too. Prometheus waits for
10 s."""
REPORTED_ROWS = 50
SEARCHED_DAYS = Days()
_WHY_UNKNOWN = {
    True: "no counter of today has this hash",
    False: "each host is counted separately: put the host before the path, as in path=//www.example.org/about.html",
}
"""Why the views of a path today are unknown although loggers count; True for a hash."""

Handler = Callable[[Request, Query], Awaitable[Response]]
Answer = TypeVar("Answer")


class Api:
    """Handles every request except those for the page and its events."""

    def __init__(self, now: Now, archive: Archive, access: Access) -> None:
        self._now = now
        self._archive = archive
        is_secret = access.token is not None
        self._description = describe(is_secret)
        # A proxy or CDN that keeps pictures would give them to clients without the token.
        self._badge_is = "private, " if is_secret and not access.public_badges else ""

    def routes(self) -> list[Route]:
        """Return the routes."""
        handlers: dict[str, Handler] = {
            "/api/today": self.today,
            "/api/top": self.top,
            "/api/history": self.history,
            "/api/most-read": self.most_read,
            "/api/sections": self.sections,
            "/api/hosts": self.hosts,
            "/api/referrers": self.referrers,
            "/api/searches": self.searches,
            "/api/bots": self.bots,
            "/api/read-by-bots": self.read_by_bots,
            "/api/not-found": self.not_found,
            "/api/hours": self.hours,
            "/api/search": self.search,
            "/report": self.report,
            "/badge.svg": self.badge,
            "/metrics": self.metrics,
            "/openapi.json": self.openapi,
        }
        return [Route(path, _checked(path, handler)) for path, handler in handlers.items()]

    async def today(self, request: Request, query: Query) -> Response:
        """Answer with the views of a path today."""
        assert query.path is not None
        sample = await self._now.sample()
        views = await self._now.views_of(query.path)
        reason = None
        if views is None:
            reason = NO_LOGGER if NO_LOGGER in sample.warnings else _WHY_UNKNOWN[query.path.startswith("#")]
        if views == 0 and not query.path.isascii():
            reason = _why_no_views(query.path)
        answer = {"path": query.path, "day": str(sample.day), "time_zone": sample.at.tzname()}
        return JSONResponse({**answer, "views": views, "reason": reason})

    async def top(self, request: Request, query: Query) -> Response:
        """Answer with the newest sample."""
        return JSONResponse(await self._now.document(query.limit, query.pages))

    async def history(self, request: Request, query: Query) -> Response:
        """Answer with the views on each day of a range."""
        arguments = (query.asked_days, query.asked_pages)
        return await self._kept(request, query, history_document, *arguments, dear=query.path is None)

    async def most_read(self, request: Request, query: Query) -> Response:
        """Answer with the most read paths of a range."""
        arguments = (query.asked_days, query.asked_pages, query.part, query.q, query.sort, query.by_day)
        return await self._kept(request, query, most_read_document, *arguments)

    async def sections(self, request: Request, query: Query) -> Response:
        """Answer with the most read sections of a range."""
        return await self._kept(request, query, sections_document, query.asked_days, query.asked_pages, query.part)

    async def hosts(self, request: Request, query: Query) -> Response:
        """Answer with the hosts of a range."""
        return await self._kept(request, query, hosts_document, query.asked_days)

    async def referrers(self, request: Request, query: Query) -> Response:
        """Answer with where the readers in a range came from."""
        return await self._kept(request, query, referrers_document, query.asked_days, query.asked_pages, query.part)

    async def searches(self, request: Request, query: Query) -> Response:
        """Answer with the search terms of the readers in a range."""
        return await self._kept(request, query, searches_document, query.asked_days, query.asked_pages, query.part)

    async def bots(self, request: Request, query: Query) -> Response:
        """Answer with the views of bots in a range."""
        return await self._kept(request, query, bots_document, query.asked_days, query.asked_pages)

    async def read_by_bots(self, request: Request, query: Query) -> Response:
        """Answer with the paths that bots read most in a range."""
        return await self._kept(request, query, read_by_bots_document, query.asked_days, query.asked_pages, query.part)

    async def not_found(self, request: Request, query: Query) -> Response:
        """Answer with the paths in a range that were requested but not found."""
        return await self._kept(request, query, not_found_document, query.asked_days, query.asked_pages, query.part)

    async def hours(self, request: Request, query: Query) -> Response:
        """Answer with the views in each hour of a day: of today from the loggers."""
        if query.day == date.today():
            return JSONResponse({"day": str(query.day), "hours": await self._now.hours(query.day)})
        return await self._kept(request, query, hours_document, query.day, dear=False)

    async def search(self, request: Request, query: Query) -> Response:
        """Answer with paths that contain a text: the most read today first, then the most read of the last days."""
        found: dict[str, None] = {}
        texts = dict.fromkeys((query.q, as_sent(query.q)))  # the page shows /caf%C3%A9 as /café
        for source, text in product((self._search_now, self._search_kept), texts):
            try:
                found |= dict.fromkeys(await _while_connected(request, source(text, query)))
            except FasthitsError:  # the page already says that memcached or the database is missing
                continue
        return JSONResponse({"paths": list(found)[: query.limit]})

    async def _search_now(self, text: str, query: Query) -> list[str]:
        return await self._now.search(text, query.limit)

    async def _search_kept(self, text: str, query: Query) -> list[str]:
        asked = query.asked_pages, query.part, text
        found = await self._kept_soon(most_read_document, SEARCHED_DAYS, *asked, dear=True)
        return [row["path"] for row in found["paths"]] if found else []

    async def report(self, request: Request, query: Query) -> Response:
        """Answer with a page that needs no scripts."""
        asking = self._archive.ask(report_html, query.asked_days, query.asked_pages)
        page = json.loads(await _while_connected(request, asking))
        return HTMLResponse(page, headers={"Content-Security-Policy": _REPORT_POLICY})

    async def badge(self, request: Request, query: Query) -> Response:
        """Answer with a picture of a path's views: today's views and the views of all kept days, or of the last
        days."""
        assert query.path is not None
        now, past = await asyncio.gather(self._views_now(query), self._views_past(query))
        parts = [now] if query.days == 1 else [now, past["views"]]
        known = [views for views in parts if views is not None]
        at_least = "+" if past["missing"] or len(known) < len(parts) else ""
        number = f"{sum(known):,}{at_least}"
        if not sum(known) and (at_least or not query.path.isascii()):  # "at least 0" says nothing; see `today`
            number = "unknown"
        if query.days not in (None, ALL_DAYS):
            number += " today" if query.days == 1 else f" in {query.days} days"
        kept = f"{self._badge_is}max-age={BADGE_SECONDS}"
        headers = {"Cache-Control": kept, "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(badge(query.label, number), media_type="image/svg+xml", headers=headers)

    async def _views_now(self, query: Query) -> int | None:
        assert query.path is not None
        try:
            return await self._now.views_of(query.path)
        except FasthitsError:
            return None

    async def _views_past(self, query: Query) -> dict[str, Any]:
        if query.days == 1:
            return {"views": 0, "missing": 0}
        number = None if query.days in (None, ALL_DAYS) else query.days - 1
        return await self._kept_soon(past_views, query.path, number) or {"views": None, "missing": 0}

    async def metrics(self, request: Request, query: Query) -> Response:
        """Answer with metrics for Prometheus. A figure that cannot be read is left out."""
        started = time.perf_counter()
        sample, kept = await asyncio.gather(_or_none(self._now.sample()), self._kept_soon(kept_document))
        loggers = await run_sync(count_loggers)
        figures = Figures(self._now.servers, sample, kept, loggers, time.perf_counter() - started)
        return Response(exposition(figures), headers={"Content-Type": CONTENT_TYPE})

    async def _kept_soon(self, find: Find, *arguments: Any, dear: bool = False) -> dict[str, Any] | None:
        """Return a document of past days, or None if the database cannot be read within SOON_SECONDS."""
        try:
            async with asyncio.timeout(SOON_SECONDS):
                found: dict[str, Any] = json.loads(await self._archive.ask(find, *arguments, dear=dear))
                return found
        except (FasthitsError, TimeoutError):
            return None

    async def openapi(self, request: Request, query: Query) -> Response:
        """Answer with the description of this interface."""
        return JSONResponse(self._description)

    async def _kept(self, request: Request, query: Query, find: Find, *arguments: Any, dear: bool = True) -> Response:
        """Answer with a document of past days; with 304 if the reader has it already."""
        state = await self._archive.state()
        tag = f'W/"{state}"'
        headers = {"ETag": tag}
        if state and tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        answer = await _while_connected(request, self._archive.ask(find, *arguments, dear=dear))
        for text in (query.path, query.prefix, query.q):
            if text and not text.isascii():
                answer = _explained(answer, text)
        return Response(answer, media_type="application/json", headers=headers)


def _explained(answer: bytes, text: str) -> bytes:
    """Return an answer about paths with *text*; with a reason, if nobody has read them."""
    document = json.loads(answer)
    views = next(document[name] for name in ("total", "paths", "rows") if name in document)
    return answer if views else json.dumps({**document, "reason": _why_no_views(text)}).encode()


def _why_no_views(text: str) -> str:
    """Return why nobody may have read paths with *text*, which is not ASCII."""
    return f"browsers send it, and most logs have it, as {as_sent(text)}: encode its % as %25"


def report_html(history: History, days: Days, asked: Pages) -> str:
    """Return the report of these days and paths."""
    return Report.of(history, days, asked, REPORTED_ROWS).html()


_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_REPORT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _checked(path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that reads and checks the parameters of a request before *handler* sees it."""
    endpoint = ENDPOINTS[path]

    async def handle(request: Request) -> Response:
        return await handler(request, read(request, endpoint.parameters, endpoint.required))

    return handle


async def _or_none(asking: Awaitable[Answer]) -> Answer | None:
    try:
        return await asking
    except FasthitsError:
        return None


async def _while_connected(request: Request, asking: Awaitable[Answer]) -> Answer:
    """Return the answer to the request. Cancel the query when the client disconnects. Raises ClientGone then."""
    answer, gone = asyncio.ensure_future(asking), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientGone
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
