"""The server: a socket to listen on, and uvicorn behind it."""

import socket
from types import FrameType

import uvicorn

from fasthits.errors import FasthitsError
from fasthits.web.app import Settings, create_app

BACKLOG = 1024
END_SECONDS = 2


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
        raise ListenError("cannot listen", f"{host} port {port}", f"{reason}; try another --port") from error
    return listening


def serve(settings: Settings, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM; uvicorn then raises the signal again."""
    app, events = create_app(settings)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            events.end()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=END_SECONDS,
    )
    Server(config).run(sockets=[listening])
