"""Who gets an answer, and what every answer tells the browser to refuse."""

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "fasthits"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

HEADERS: Mapping[str, str] = {
    # The page has no inline script or style, and no text in it can become a script or style.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """Refuses requests without the token or with a foreign Host, and adds missing HEADERS to every answer.

    A request carries the token as ``Authorization: Bearer``, as ``?token=``, or as the cookie that the page sets in
    return. With *names*, the Host must be one of them. Otherwise a stranger's page, whose name resolves to this machine
    (DNS rebinding), could read the answers.

    Starlette's TrustedHostMiddleware is no shorter here, and its refusal is a text that does not say what to do.
    """

    def __init__(self, app: ASGIApp, token: str | None, names: frozenset[str] | None) -> None:
        self._app = app
        self._token = token
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._names is not None and _host_name(headers.get("host", "")) not in self._names:
            error = "this Host name is refused: start fasthits serve with --token, or with --public if anyone may look"
            return JSONResponse({"error": error}, 421)
        if self._token is None:
            return None
        given = _query_token(scope)
        if given is not None and self._is_token(given.encode()):
            if scope["path"] != "/":
                return None
            page = RedirectResponse("./", 303)  # keeps the token out of the address bar
            page.set_cookie(COOKIE, self._cookie(), httponly=True, samesite="strict")
            return page
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip().encode("latin-1")):
            return None
        if hmac.compare_digest(_cookie_of(headers).encode(), self._cookie().encode()):
            return None
        error = "token missing or wrong: open /?token=TOKEN once, or send the header Authorization: Bearer TOKEN"
        return JSONResponse({"error": error}, 401, {"WWW-Authenticate": "Bearer"})

    def _is_token(self, given: bytes) -> bool:
        return self._token is not None and hmac.compare_digest(given, self._token.encode())

    def _cookie(self) -> str:
        return hashlib.sha256(f"fasthits {self._token}".encode()).hexdigest()


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _query_token(scope: Scope) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return values[0] if values else None


def _cookie_of(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
