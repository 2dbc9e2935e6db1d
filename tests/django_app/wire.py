"""What goes over the wire to memcached: a proxy in front of a real one that keeps the commands."""

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.support.servers import Memcached


class Wire:
    """Forwards connections to a memcached, for use in a `with`; `commands` are the lines that clients have sent."""

    def __init__(self, memcached: Memcached) -> None:
        self._memcached = memcached
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.spec = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.commands: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, self._memcached.connect() as server, client.makefile("rb") as sent:
            server.settimeout(None)
            answers = threading.Thread(target=self._answer, args=(server, client), daemon=True)
            answers.start()
            for line in sent:
                self.commands.append(line.strip())
                server.sendall(line)
            server.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
