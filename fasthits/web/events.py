"""Server-sent events: a sample a second to every open page, encoded once for all pages.

Without `sse-starlette`, which would save some twenty lines, but patches uvicorn and runs four tasks a stream.
"""

import asyncio
import json
from contextlib import suppress

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from fasthits.errors import MemcachedError
from fasthits.live.sampler import Sample
from fasthits.web.now import SAMPLE_SECONDS, Now
from fasthits.web.parameters import read

MAX_STREAMS = 500
LISTED_PATHS = 25
STALL_SECONDS = 30.0
"""A reader that does not take an event for so long is given up."""

_HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}
_FULL: Message = {
    "type": "http.response.start",
    "status": 503,
    "headers": [(b"content-type", b"application/json"), (b"retry-after", b"60")],
}


class Events:
    """The endpoint of the event streams. A stream goes on until its reader leaves, or `end` is called."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._streams = 0
        self._ended = False
        self._encoded: dict[bool, tuple[Sample, bytes]] = {}

    def end(self) -> None:
        """Let all streams end with their next event, within a second."""
        self._ended = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request until its stream ends."""
        pages = read(Request(scope), ("pages",)).pages
        if scope["method"] == "HEAD":
            await send(_HEAD)
            await send({"type": "http.response.body"})
            return
        if self._streams >= MAX_STREAMS:
            await send(_FULL)
            await send({"type": "http.response.body", "body": b'{"error":"too many streams"}'})
            return
        self._streams += 1
        gone = asyncio.ensure_future(_wait_for_end(receive))
        try:
            with suppress(TimeoutError):
                await self._stream(gone, send, pages)
        finally:
            self._streams -= 1
            gone.cancel()

    async def _stream(self, gone: "asyncio.Future[None]", send: Send, pages: bool) -> None:
        await send(_HEAD)
        while not (gone.done() or self._ended):
            body = await self._event(pages)
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.wait([gone], timeout=SAMPLE_SECONDS)
        await send({"type": "http.response.body"})

    async def _event(self, pages: bool) -> bytes:
        try:
            sample = await self._now.sample()
            known = self._encoded.get(pages)
            if known is None or known[0] is not sample:
                known = sample, _encode("sample", await self._now.document(LISTED_PATHS, pages))
                self._encoded[pages] = known
        except MemcachedError as error:
            return _encode("problem", {"error": str(error)})
        return known[1]


def _encode(name: str, document: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode("ascii")


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
