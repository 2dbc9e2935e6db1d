"""The counters of a day, as memcached lists them, and their values.

``lru_crawler metadump`` gives a line for every item of a server, with the key percent-encoded, in any order. It is no
snapshot, and each of its two ways may pass over items. ``all`` passes over an item that another thread holds, which is
up to a second after somebody has read it twice. ``hash`` gives nothing while the table of items grows, and old servers
do not know it. So once a path has been seen, this reads it by name all day.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from socket import socket
from urllib.parse import quote, unquote

from fasthits.errors import MemcachedError
from fasthits.live.connections import ANSWER_SECONDS, Connector, reason_of
from fasthits.live.keys import figure_path
from fasthits.live.memcached import BATCH_ROWS
from fasthits.live.statistics import FIGURES

PIECE_BYTES = 1 << 20
BUSY_SECONDS = 0.05
"""The pause before another try while the server's only crawler works for another client."""
REST_RATIO = 10
"""The pause between two dumps, as a multiple of the last dump's time: a server may hold millions of other keys."""

FIRST_DUMPS = 5
END = b"END\r\n"
_VALUE = re.compile(rb"VALUE (\S+) \d+ \d+\r\n(\d+) *\r\n")
_UNKNOWN_WAY = "BADCLASS"
_REFUSED = (b"BUSY", _UNKNOWN_WAY.encode(), b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


class CounterReader:
    """Reads the counters with one prefix from one server, over a connection that is made when needed and kept."""

    def __init__(self, server: str, prefix: str) -> None:
        self.server = server
        self._connector = Connector(server)
        self._prefix = prefix
        self._connection: socket | None = None
        self._day = date.min
        self._paths: set[str] = set()
        self._listed: set[bytes] = set()
        self._dump_at = 0.0
        self._ways = [b"hash", b"all"]

    def views_and_figures(self, day: date) -> tuple[dict[str, int], dict[str, int]]:
        """Return `views` and `figures` of *day*. Raises MemcachedError."""
        return self.views(day), self.figures(day)

    def views(self, day: date) -> dict[str, int]:
        """Return the views of every path of *day* seen so far; look for new paths if it is time.

        A path is as in the log, or ``#`` and its SHA-256 (see `keys.hit_key`). Raises MemcachedError.
        """
        with self._errors():
            if day != self._day:
                self._day, self._paths, self._listed = day, set(), set()
                self._dump_all()
            elif time.monotonic() >= self._dump_at:
                self._dump(self._ways[0])
            return self._values()

    def figures(self, day: date) -> dict[str, int]:
        """Return the figures of *day* that loggers have published to this server, by name. Raises MemcachedError."""
        names = {f"{self._prefix}{day}{figure_path(name).decode('ascii')}": name for name in FIGURES}
        with self._errors():
            return {names[key]: number for key, number in self._numbers(list(names))}

    def close(self) -> None:
        """Close the connection, if there is one; it is made again when needed."""
        self._drop()
        self._connector = Connector(self.server)  # the old connector would delay the next connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _dump_all(self) -> None:
        """Dump until there is no new path: a path that a dump passes over would later look as if it were new.

        Dump in both ways, because now and then a dump passes over every item.
        """
        for number in range(FIRST_DUMPS):
            before = len(self._paths)
            self._dump(self._ways[number % len(self._ways)])
            if number and len(self._paths) == before:
                return

    def _dump(self, way: bytes) -> None:
        """Add the paths that the server lists."""
        started = time.monotonic()
        head = quote(f"{self._prefix}{self._day}", safe="").encode()
        path = re.compile(rb"^key=" + re.escape(head) + rb"(%2F[^ ]*|https?%3A%2F%2F[^ ]*|%23[0-9a-f]{64}) ", re.M)
        for lines in self._listed_keys(way):
            listed_now = set(path.findall(lines))
            self._paths.update(unquote(each.decode("ascii")) for each in listed_now - self._listed)
            self._listed |= listed_now
        finished = time.monotonic()
        self._dump_at = finished + REST_RATIO * (finished - started)

    def _listed_keys(self, way: bytes) -> Iterator[bytes]:
        try:
            yield from self._ask(b"lru_crawler metadump %b\r\n" % way)
        except MemcachedError as error:
            if way == b"all" or not error.hint.startswith(_UNKNOWN_WAY):
                raise
            self._ways = [b"all"]
            yield from self._listed_keys(b"all")

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
        """Send *request* and yield the reply up to ``END`` in pieces of whole lines, of PIECE_BYTES or less.

        Raises MemcachedError when the server refuses, or is busy with another client's request for too long.
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
            late = f"nothing within {ANSWER_SECONDS:g} s" if isinstance(error, TimeoutError) else ""
            raise MemcachedError("memcached does not answer", self.server, late or reason_of(error)) from error
        except BaseException:
            self._drop()
            raise
