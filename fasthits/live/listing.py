"""The counters of a day as memcached lists them, and their values by the thousand.

``lru_crawler metadump all`` gives a line for every item of a server, the key percent-encoded, in any order. It is no
snapshot: an item that another thread holds at that moment is passed over. So a path that has been seen once is asked
for by name all day.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from socket import socket
from urllib.parse import quote, unquote

from fasthits.errors import MemcachedError
from fasthits.live.connections import ANSWER_SECONDS, Connector
from fasthits.live.keys import figure_path
from fasthits.live.memcached import BATCH_ROWS
from fasthits.live.statistics import FIGURES

PIECE_BYTES = 1 << 20
BUSY_SECONDS = 0.05
"""How long to wait for the crawler, of which a server has one, when it works for somebody else."""
REST_RATIO = 10
"""A server is left alone this many times as long as its last dump took: others have keys in it, and there may be
millions."""

FIRST_DUMPS = 5
END = b"END\r\n"
_VALUE = re.compile(rb"VALUE (\S+) \d+ \d+\r\n(\d+) *\r\n")
_REFUSED = (b"BUSY", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


class CounterReader:
    """One server's counters with a prefix, over one connection that is made when needed and kept."""

    def __init__(self, server: str, prefix: str) -> None:
        self.server = server
        self._connector = Connector(server)
        self._prefix = prefix
        self._connection: socket | None = None
        self._day = date.min
        self._paths: set[str] = set()
        self._listed: set[bytes] = set()
        self._dump_at = 0.0

    def views(self, day: date) -> dict[str, int]:
        """Return the views of every path of *day* that has been seen so far, looking for new ones if it is time to.

        A path stands as in the log, or as ``#`` and its SHA-256 (see `keys.hit_key`). Raises MemcachedError.
        """
        with self._errors():
            if day != self._day:
                self._day, self._paths, self._listed = day, set(), set()
                self._dump_all()
            elif time.monotonic() >= self._dump_at:
                self._dump()
            return self._values()

    def figures(self, day: date) -> dict[str, int]:
        """Return the figures of *day* that loggers have published to this server, by name. Raises MemcachedError."""
        names = {f"{self._prefix}{day}{figure_path(name).decode('ascii')}": name for name in FIGURES}
        with self._errors():
            return {names[key]: number for key, number in self._numbers(list(names))}

    def close(self) -> None:
        """Close the connection, if there is one; it is made again when needed."""
        self._drop()
        self._connector = Connector(self.server)  # the old one would pace the next connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _dump_all(self) -> None:
        """Dump until that brings nothing new: what one dump passes over would later look as if it had just begun.

        Twice at least, as now and then a dump passes over all that there is.
        """
        for number in range(FIRST_DUMPS):
            before = len(self._paths)
            self._dump()
            if number and len(self._paths) == before:
                return

    def _dump(self) -> None:
        """Add to the paths those that the server lists."""
        started = time.monotonic()
        head = quote(f"{self._prefix}{self._day}", safe="").encode()
        path = re.compile(rb"^key=" + re.escape(head) + rb"(%2F[^ ]*|https?%3A%2F%2F[^ ]*|%23[0-9a-f]{64}) ", re.M)
        for lines in self._ask(b"lru_crawler metadump all\r\n"):
            listed_now = set(path.findall(lines))
            self._paths.update(unquote(each.decode("ascii")) for each in listed_now - self._listed)
            self._listed |= listed_now
        finished = time.monotonic()
        self._dump_at = finished + REST_RATIO * (finished - started)

    def _values(self) -> dict[str, int]:
        head = f"{self._prefix}{self._day}"
        return {key[len(head) :]: number for key, number in self._numbers([head + path for path in self._paths])}

    def _numbers(self, keys: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield each of *keys* that has a counter, with its value."""
        for start in range(0, len(keys), BATCH_ROWS):
            request = f"get {' '.join(keys[start : start + BATCH_ROWS])}\r\n".encode("ascii")
            for lines in self._ask(request):
                yield from ((key.decode("ascii"), int(value)) for key, value in _VALUE.findall(lines))

    def _ask(self, request: bytes) -> Iterator[bytes]:
        """Send *request* and yield its reply up to ``END``: whole lines, and all of them at once up to PIECE_BYTES.

        Raises MemcachedError when the server refuses, or is busy with such a request of somebody else for too long.
        """
        if self._connection is None:
            self._connection = self._connector.connect().blocking(ANSWER_SECONDS)
        give_up_at = time.monotonic() + ANSWER_SECONDS
        self._connection.sendall(request)
        reply = b""
        while not reply.endswith(END):
            received = self._connection.recv(PIECE_BYTES)
            if not received:
                raise ConnectionResetError("it closed the connection")
            reply += received
            if reply.startswith(_REFUSED) and reply.endswith(b"\r\n"):
                if not reply.startswith(b"BUSY") or time.monotonic() > give_up_at:
                    raise MemcachedError("memcached does not list its keys", self.server, reply.decode("ascii").strip())
                time.sleep(BUSY_SECONDS)
                self._connection.sendall(request)
                reply = b""
            elif len(reply) > PIECE_BYTES and not reply.endswith(END):
                whole = reply.rfind(b"\n") + 1
                yield reply[:whole]
                reply = reply[whole:]
        yield reply

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            raise MemcachedError("memcached does not answer", self.server, error.strerror or str(error)) from error
        except BaseException:
            self._drop()
            raise
