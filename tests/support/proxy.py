"""Programs in place of memcached: a proxy that spoils replies, and a server that is not memcached.

The proxy delays replies, sends them in small pieces, cuts off replies and requests, replaces replies, or stops
forwarding.
"""

import random
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.support.processes import eventually
from tests.support.servers import Memcached, free_port


class Proxy:
    """A TCP proxy in front of memcached that spoils its replies; for use in a `with`.

    The attributes say how. You may change them at any time. A reply comes `delay` seconds late. It comes in pieces of
    at most `piece_bytes`, with `pause` seconds between them. After `cut_after` more bytes of replies, or after
    `cut_request_after` more bytes of requests, the connection is closed, even in the middle of a line. The line
    `instead` replaces every number: memcached counts, but the client reads this line. `accepted` is the number of
    connections.
    """

    def __init__(self, memcached: Memcached, seed: int) -> None:
        self.delay = self.pause = 0.0
        self.piece_bytes = 1 << 16
        self.cut_after: int | None = None
        self.cut_request_after: int | None = None
        self.instead: bytes | None = None
        self.accepted = 0
        self._memcached = memcached
        self._random = random.Random(seed)
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    @property
    def spec(self) -> str:
        return f"127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Forward replies unchanged."""
        self.delay, self.pause, self.piece_bytes, self.instead = 0.0, 0.0, 1 << 16, None
        self.cut_after = self.cut_request_after = None

    def forget(self) -> None:
        """Forward nothing over the present connections, as if the machine had vanished. Later connections work."""
        self._forgotten |= self._connections

    def accept(self) -> None:
        """Accept connections, at the same address each time."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        threading.Thread(target=self._serve, args=[self._listener], daemon=True).start()

    def refuse(self) -> None:
        """Behave like a server that has died: close all connections, and accept no new connections."""
        listener, self._listener = self._listener, None
        if listener:
            _shut(listener)  # this wakes accept

        def ended() -> bool:
            for connection in list(self._connections):
                _shut(connection)
            return not self._connections and (listener is None or listener.fileno() < 0)

        eventually(ended, what="the connections through the proxy have ended")

    def _serve(self, listener: socket.socket) -> None:
        with listener, suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                self._connections.add(client)
                threading.Thread(target=self._carry, args=[client], daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(OSError), self._memcached.connect() as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.settimeout(None)
            requests = threading.Thread(target=self._ask, args=[client, server], daemon=True)
            requests.start()
            with suppress(OSError):
                while (reply := server.recv(1 << 16)) and self._answer(client, reply):
                    pass
            _shut(client)
            _shut(server)
            requests.join()
        self._connections.discard(client)
        self._forgotten.discard(client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(1 << 16):
                if client not in self._forgotten and not self._pass_on(server, request):
                    _shut(client)
                    break
        _shut(server)

    def _pass_on(self, server: socket.socket, request: bytes) -> bool:
        """Forward a request; False if the connection must be closed."""
        request = request[: self.cut_request_after]
        server.sendall(request)
        if self.cut_request_after is None:
            return True
        self.cut_request_after = self.cut_request_after - len(request) or None
        return self.cut_request_after is not None

    def _answer(self, client: socket.socket, reply: bytes) -> bool:
        """Forward a reply; False if the connection must be closed."""
        time.sleep(self.delay)
        if self.instead is not None:
            reply = re.sub(rb"^\d+(?=\r$)", self.instead, reply, flags=re.MULTILINE)
        while reply:
            piece = reply[: self._random.randint(1, self.piece_bytes)][: self.cut_after]
            client.sendall(piece)
            if self.cut_after is not None:
                self.cut_after = self.cut_after - len(piece) or None
                if self.cut_after is None:
                    return False
            reply = reply[len(piece) :]
            time.sleep(self.pause)
        return True


class Stranger:
    """A server that is not memcached; for use in a `with`.

    `accepted` is the number of connections. *treat* gets each connection, which is closed afterwards.
    """

    def __init__(self, treat: Callable[[socket.socket], object]) -> None:
        self.accepted = 0
        self._treat = treat
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.spec = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener)

    def _serve(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._meet, args=[client], daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._treat(client)


class HalfDead(Stranger):
    """A server that answers ``version`` and ``incr`` like memcached, and every other command with *reply*, if any."""

    def __init__(self, reply: bytes, endless: bool = False) -> None:
        super().__init__(self.answer)
        self.reply, self.endless = reply, endless

    def answer(self, client: socket.socket) -> None:
        for line in client.makefile("rb"):
            if line == b"version\r\n":
                client.sendall(b"VERSION 1.6.18\r\n")
            elif line.startswith(b"incr ") and line.endswith(b" 0\r\n"):
                client.sendall(b"NOT_FOUND\r\n")
            else:
                client.sendall(self.reply)
                while self.endless:
                    client.sendall(self.reply * 10_000)


def say_nothing(client: socket.socket) -> None:
    """Read everything, and never answer."""
    while client.recv(1 << 16):
        pass


def hang_up(client: socket.socket) -> None:
    """Close the connection at once, like a proxy whose server is down."""


def hang_up_later(client: socket.socket) -> None:
    """Answer ``version`` as memcached does, and close the connection at the next command."""
    client.recv(1 << 16)
    client.sendall(b"VERSION 1.6.18\r\n")
    client.recv(1 << 16)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
