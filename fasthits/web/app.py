"""The application: the page, its events and the JSON interface, behind the guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fasthits.errors import FasthitsError, UsageError
from fasthits.web.api import Api
from fasthits.web.archive import Archive
from fasthits.web.events import Events
from fasthits.web.guard import Guard
from fasthits.web.now import Now

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class Settings:
    """Where the numbers come from, and who may see them."""

    servers: Sequence[str]
    prefix: str
    database: Path
    token: str | None = None
    names: frozenset[str] | None = None
    """The Host names to answer; None for all."""


def create_app(settings: Settings) -> tuple[Starlette, Events]:
    """Return the application, and its event streams, which the server must end when it ends."""
    now, archive = Now(settings.servers, settings.prefix), Archive(settings.database)
    events = Events(now)
    routes = [
        Route("/", _page),
        Route("/events", events),
        *Api(now, archive, settings.token is not None).routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=settings.token, names=settings.names)],
        exception_handlers={FasthitsError: _failed, HTTPException: _not_here},
    )
    return app, events


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, UsageError) else 503)


def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
