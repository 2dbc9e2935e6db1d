"""The application: the page, its events and the JSON interface, behind the guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fasthits.errors import FasthitsError, UsageError
from fasthits.web.api import Api, ClientGone
from fasthits.web.archive import Archive
from fasthits.web.events import Events
from fasthits.web.guard import Access, Guard
from fasthits.web.now import Now

GZIP_LEVEL = 6
STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class Options:
    """Where the numbers come from, and who may see them."""

    servers: Sequence[str]
    prefix: str
    database: str | Path
    access: Access
    site: str | None = None
    """The address of the site, https://example.org, for links to its pages."""


def create_app(options: Options) -> tuple[Starlette, Events, Archive]:
    """Return the application, its event streams and its archive. The server must end both when it ends."""
    now, archive = Now(options.servers, options.prefix, options.site), Archive(options.database)
    events = Events(now)
    routes = [
        Route("/", _page),
        Route("/events", events, methods=["GET"]),
        *Api(now, archive, options.access).routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=options.access), Middleware(GZipMiddleware, compresslevel=GZIP_LEVEL)],
        exception_handlers={ClientGone: _nobody_waits, FasthitsError: _failed, HTTPException: _not_here},
    )
    app.router.redirect_slashes = False  # a proxy may show the page in a folder that the redirection would leave
    return app, events, archive


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _nobody_waits(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nginx uses this status, too; nobody reads it


def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, UsageError) else 503)


def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
