"""Connections to memcached, each proved before anything is risked on it: it has answered ``version``."""

import re
import select
import socket
import time

from fasthits.errors import MemcachedError
from fasthits.memcached import CONNECT_SECONDS, READ_SECONDS, RECV_BYTES, RETRY_SECONDS, open_connection

_VERSION = re.compile(rb"VERSION [!-~][ -~]*\r\n")


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Channel:
    """A connected socket that never blocks: whoever uses it waits with `wait`."""

    def __init__(self, connection: socket.socket, watch: int | None = None) -> None:
        """*watch* is a file descriptor: when its other end is closed, waiting raises Abandoned."""
        connection.setblocking(False)
        self.socket = connection
        self._watch = watch

    def send(self, data: bytes | memoryview) -> int:
        """Send what goes now, and return how many bytes that was."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def receive(self) -> bytes | None:
        """Return what has come, None when there is nothing yet, and ``b""`` at the end."""
        try:
            return self.socket.recv(RECV_BYTES)
        except BlockingIOError:
            return None

    def wait(self, events: int, until: float = float("inf")) -> None:
        """Wait for *events* of poll. Raises TimeoutError when it is *until*, a time of the monotonic clock."""
        poll = select.poll()
        poll.register(self.socket, events)
        if self._watch is not None:
            poll.register(self._watch, 0)
        seconds = until - time.monotonic()
        ready = dict(poll.poll(None if seconds == float("inf") else max(0.0, seconds) * 1000))
        if self._watch in ready:
            raise Abandoned
        if not ready:
            raise TimeoutError("timed out")

    def quiet(self) -> bool:
        """Return whether the connection is open and nothing has come that nobody asked for, as far as can be told."""
        try:
            return self.receive() is None
        except OSError:
            return False

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class Connector:
    """Makes connections to one server, each proved, and no more than one attempt every RETRY_SECONDS."""

    def __init__(self, server: str, watch: int | None = None) -> None:
        """*watch* is as for `Channel`."""
        self.server = server
        self._watch = watch
        self._tried_at = float("-inf")

    def connect(self) -> Channel:
        """Return a new connection over which the server has answered.

        Raises MemcachedError; at once when the last attempt was just before.
        """
        now = time.monotonic()
        if now < self._tried_at + RETRY_SECONDS:
            raise MemcachedError("cannot reach memcached", self.server, "it hung up just now")
        self._tried_at = now
        channel = Channel(open_connection(self.server), self._watch)
        reply = b""
        try:
            channel.socket.sendall(b"version\r\n")
            while b"\n" not in reply:
                channel.wait(select.POLLIN, now + CONNECT_SECONDS + READ_SECONDS)
                received = channel.receive()
                if not received:
                    raise ConnectionResetError("it closed the connection")
                reply += received
            if not _VERSION.fullmatch(reply):
                raise OSError("this is not memcached")
        except OSError as error:
            channel.close()
            raise MemcachedError("cannot reach memcached", self.server, str(error)) from error
        except BaseException:
            channel.close()
            raise
        return channel
