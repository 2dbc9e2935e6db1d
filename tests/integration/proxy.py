"""A proxy in front of memcached that delays its replies, lets them drip, or cuts them off."""

import random
import socket
import threading
import time
from contextlib import suppress
from typing import Self

from tests.integration.processes import eventually
from tests.integration.servers import Memcached, free_port


class Proxy:
    """A TCP proxy in front of memcached that spoils its replies; for use in a `with`.

    The attributes say how, and may be changed at any time: a reply comes `delay` seconds late and in pieces of at most
    `piece_bytes`, each `pause` seconds after the other, and after `cut_after` further bytes of reply the connection is
    closed, wherever in a line that is.
    """

    def __init__(self, memcached: Memcached, seed: int) -> None:
        self.delay = self.pause = 0.0
        self.piece_bytes = 1 << 16
        self.cut_after: int | None = None
        self._memcached = memcached
        self._random = random.Random(seed)
        self._port = free_port()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    @property
    def spec(self) -> str:
        return f"127.0.0.1:{self._port}"

    def heal(self) -> None:
        """Pass replies on as they come."""
        self.delay, self.pause, self.piece_bytes, self.cut_after = 0.0, 0.0, 1 << 16, None

    def accept(self) -> None:
        """Take connections, at the same address each time."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self._port))
        self._listener.listen()
        threading.Thread(target=self._serve, args=[self._listener], daemon=True).start()

    def refuse(self) -> None:
        """Be as a server that has died: no connection lives, none is taken."""
        listener, self._listener = self._listener, None
        if listener:
            _shut(listener)  # which wakes accept

        def ended() -> bool:
            for connection in list(self._connections):
                _shut(connection)
            return not self._connections and (listener is None or listener.fileno() < 0)

        eventually(ended, what="the connections through the proxy have ended")

    def _serve(self, listener: socket.socket) -> None:
        with listener, suppress(OSError):
            while True:
                client, _ = listener.accept()
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

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(1 << 16):
                server.sendall(request)
        _shut(server)

    def _answer(self, client: socket.socket, reply: bytes) -> bool:
        """Pass on a reply; False when the connection is to be closed."""
        time.sleep(self.delay)
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


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
