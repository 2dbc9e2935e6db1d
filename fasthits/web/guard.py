"""Decides who gets an answer, and adds the headers by which a browser refuses unsafe content."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE_SECONDS = 30 * 24 * 60 * 60
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
FORM = Path(__file__).with_name("static") / "token.html"
FORM_BYTES = 16_384
FORM_SECONDS = 10.0
BADGE = "/badge.svg"
OPEN_FILES = ("/static/token.css", "/static/icon.svg")
"""The files that the form needs. They are in every copy of fasthits, so anybody may have them."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action {form}; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Mapping[str, str] = {
    # The page has no inline script or style, and no text in it can become a script or style.
    "Content-Security-Policy": POLICY.format(form="'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""The header that lets pages of other sites read an answer."""


@dataclass(frozen=True)
class Access:
    """Who may see the numbers."""

    token: str | None = None
    """The secret that every request must carry; None if there is none."""
    names: frozenset[str] | None = None
    """The Host names to answer; None for all."""
    public: bool = False
    """Whether everybody may see them, also from the scripts of other sites."""
    public_badges: bool = False
    """Whether everybody may see badges."""


class Guard:
    """Refuses requests without the token or with a foreign Host, and adds missing HEADERS to every answer.

    A program sends the token as ``Authorization: Bearer``. A person types it into a form, or opens ``/?token=`` once;
    both give the browser a cookie that ends. With *names*, the Host must be one of them. Otherwise a stranger's page,
    whose name resolves to this machine (DNS rebinding), could read the answers.

    Starlette's TrustedHostMiddleware is no shorter here, and its refusal is a text that does not say what to do.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        # Browsers send a cookie to all ports of a host, so another server there, with another token, has another name.
        self._cookie_name = f"fasthits-{self._proof('name')[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = {**HEADERS, **(SHARED if self._access.public and not _is_page(scope) else {})}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = await self._refusal(scope, receive) or self._app
        await answer(scope, receive, send_with_headers)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        headers = Headers(scope=scope)
        if self._access.public_badges and scope["path"] == BADGE:
            return None
        if self._access.names is not None and _host_name(headers.get("host", "")) not in self._access.names:
            error = "this Host name is refused: start fasthits serve with a token, or with --public if anyone may look"
            return JSONResponse({"error": error}, 421)
        if self._access.token is None or scope["path"] in OPEN_FILES:
            return None
        if scope["path"] == "/" and scope["method"] == "POST":
            return await self._form_answer(scope, receive)
        if scope["path"] == "/" and (given := _token_in(scope["query_string"].decode("latin-1"))) is not None:
            return self._with_cookie(scope) if self._is_token(given.encode()) else _ask_for_token(wrong=True)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip().encode("latin-1")):
            return None
        if any(map(self._is_cookie, _cookies_in(headers.get("cookie", ""), self._cookie_name))):
            return None
        if "text/html" in headers.get("accept", ""):
            return _ask_for_token()
        error = "token missing or wrong: send the header Authorization: Bearer TOKEN, or open / in a browser"
        return JSONResponse({"error": error}, 401, {"WWW-Authenticate": "Bearer"})

    async def _form_answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            async with asyncio.timeout(FORM_SECONDS):
                body = await _body(Request(scope, receive))
        except TimeoutError:
            return JSONResponse({"error": "the form was not sent whole"}, 408)
        given = _token_in(body)
        return self._with_cookie(scope) if given and self._is_token(given.encode()) else _ask_for_token(wrong=True)

    def _with_cookie(self, scope: Scope) -> Response:
        """Return the way to the page, with the token in a cookie instead of the address bar."""
        page = RedirectResponse("./", 303)
        page.set_cookie(
            self._cookie_name,
            self._cookie(int(time.time()) + COOKIE_SECONDS),
            max_age=COOKIE_SECONDS,
            path=None,  # browsers then use the folder of the page, also behind a proxy
            secure=scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return page

    def _is_token(self, given: bytes) -> bool:
        return self._access.token is not None and hmac.compare_digest(given, self._access.token.encode())

    def _cookie(self, ends_at: int) -> str:
        """Return a cookie's value: when it ends, and the proof that whoever made it knew the token."""
        return f"{ends_at}.{self._proof(str(ends_at))}"

    def _proof(self, text: str) -> str:
        return hmac.digest((self._access.token or "").encode(), f"fasthits {text}".encode(), hashlib.sha256).hex()

    def _is_cookie(self, given: str) -> bool:
        ends_at = given.partition(".")[0]
        if not (ends_at.isascii() and ends_at.isdigit() and len(ends_at) < 15 and int(ends_at) > time.time()):
            return False
        return hmac.compare_digest(given.encode(), self._cookie(int(ends_at)).encode())


def _ask_for_token(wrong: bool = False) -> Response:
    """Return the form. Its answer may go to this server only."""
    text = FORM.read_text()
    if wrong:
        text = text.replace("<!--wrong-->", '<p role="alert">This is not the token.</p>')
    headers = {"WWW-Authenticate": "Bearer", "Content-Security-Policy": POLICY.format(form="'self'")}
    return HTMLResponse(text, 401, headers)


async def _body(request: Request) -> str:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            return ""
    return body.decode("latin-1")


def _is_page(scope: Scope) -> bool:
    return scope["path"] in ("/", "/events") or str(scope["path"]).startswith("/static/")


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _token_in(form: str) -> str | None:
    values = parse_qs(form, keep_blank_values=True).get("token")
    return values[0] if values else None


def _cookies_in(header: str, wanted: str) -> list[str]:
    """Return the values of all cookies of the *wanted* name. Other cookies are of the site at the same address, in any
    form.

    Python's SimpleCookie finds nothing behind a cookie such as ``a={"b": 1}``. Starlette's parser removes quotes, which
    with Python before 3.11.10 takes 10 s for 60 kB of backslashes.
    """
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value for name, _, value in pairs if name == wanted]
