"""The server: a socket to listen on, and uvicorn, which many clients or slow clients cannot block."""

import asyncio
import errno
import resource
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fasthits.errors import FasthitsError
from fasthits.web.app import Options, create_app

BACKLOG = 1024
ACCEPTED_AT_ONCE = 8
"""Connections that asyncio accepts before it looks at any of them. When descriptors run out, it complains of each."""
END_SECONDS = 2
HEAD_SECONDS = 10.0
"""A client that has not sent the whole head of its request by then is cut off."""
UNREAD_SECONDS = 60.0
"""The server disconnects a client that has not read its answer by then."""
MAX_CONNECTIONS = 800
RESERVED_DESCRIPTORS = 64
"""Descriptors that are not for connections: for files, the database and memcached."""
COMPLAINT_SECONDS = 60.0

Say = Callable[[str], None]


class ListenError(FasthitsError):
    """The server cannot listen on this address."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Port 0 takes a free port. Raises ListenError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_host = isinstance(error, (socket.gaierror, UnicodeError)) or error.errno == errno.EADDRNOTAVAIL
        hint = f"{reason}; --host is an address of this machine" if is_host else f"{reason}; try another --port"
        raise ListenError("cannot listen", f"{host} port {port}", hint) from error
    return listening


def serve(options: Options, listening: socket.socket, say: Say) -> None:
    """Answer requests until SIGINT or SIGTERM; uvicorn then raises the signal again. *say* tells the operator of it."""
    app, events, archive = create_app(options)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            asyncio.get_running_loop().set_exception_handler(_complainer(say))
            self.watching = asyncio.ensure_future(archive.watch(say))
            await super().startup(sockets)
            listening.listen(BACKLOG)

        async def on_tick(self, counter: int) -> bool:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check()
            return await super().on_tick(counter)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            events.end()
            archive.end()
            super().handle_exit(sig, frame)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            self.watching.cancel()
            archive.end()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=END_SECONDS,
    )
    Server(config).run(sockets=[listening])


class Connection(H11Protocol):
    """A connection that the server closes if its client is too slow, or if there are too many connections and this
    connection has waited longest."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waits_since: float | None = time.monotonic()
        self._unread_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        others = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        if len(others) > max_connections():
            waiting = [each for each in others if not each._is_answering()]  # at least this connection
            min(waiting, key=lambda each: each._waits_since or time.monotonic()).transport.abort()

    def check(self) -> None:
        """Cut the client off if it has been too slow. Called often."""
        now = time.monotonic()
        self._waits_since = None if self._is_answering() else self._waits_since or now
        self._unread_since = (self._unread_since or now) if self.transport.get_write_buffer_size() else None
        waited, unread = now - (self._waits_since or now), now - (self._unread_since or now)
        if waited > HEAD_SECONDS or unread > UNREAD_SECONDS:
            self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def max_connections() -> int:
    """Return how many connections may be open at the same time."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))


def _complainer(say: Say) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler of errors that no request meets. It tells in a line, now and then, that descriptors ran out."""
    said_at = float("-inf")

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said_at
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
        elif time.monotonic() > said_at + COMPLAINT_SECONDS:
            said_at = time.monotonic()
            say(f"cannot accept connections: {error.strerror} (raise the limit: ulimit -n, or LimitNOFILE in the unit)")

    return complain


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
