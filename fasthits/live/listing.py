"""The counters of a day, as memcached lists them, and their values.

``lru_crawler metadump`` gives a line for every item of a server, with the key percent-encoded, in any order. It is no
snapshot, and each of its two ways may pass over items. ``all`` passes over an item that another thread holds, which is
up to a second after somebody has read it twice. ``hash`` gives nothing while the table of items grows, and old servers
do not know it. So once a path has been seen, this reads it by name all day.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from urllib.parse import quote, unquote

from fasthits.errors import MemcachedError
from fasthits.live.connections import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    WHOLE_SECONDS,
    Connector,
    Conversation,
    reason_of,
)
from fasthits.live.keys import figure_path
from fasthits.live.memcached import BATCH_ROWS, views_in
from fasthits.live.statistics import FIGURES

PIECE_BYTES = 1 << 20
DUMP_SECONDS = 60.0
DUMP_BYTES = 1 << 33
"""The limits for a list of all keys. memcached writes about a million lines of 100 bytes a second."""
BUSY_SECONDS = 0.05
"""The pause before another try while the server's only crawler works for another client."""
REST_RATIO = 10
"""The pause between two dumps, as a multiple of the last dump's time: a server may hold millions of other keys."""

FIRST_DUMPS = 5
END = b"END\r\n"
_PATH = re.compile(rb"(?:%2F|https?%3A%2F%2F)(?:[!-$&-~]++|%(?:2[1-9A-F]|[3-6][0-9A-F]|7[0-9A-E]))*+|%23[0-9a-f]{64}")
"""An encoded path of `keys.hit_key`. Keys of other programs may hold other bytes, which `get` cannot ask for."""
_VALUE = re.compile(rb"VALUE (\S+) \d+ \d+\r\n([^\r\n]*)\r\n")
_UNKNOWN_WAY = "BADCLASS"
_REFUSED = (b"BUSY", _UNKNOWN_WAY.encode(), b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


class CounterReader:
    """Reads the counters with one prefix from one server, over a connection that is made when needed and kept."""

    def __init__(self, server: str, prefix: str, server_of: Callable[[str], str] | None = None) -> None:
        """*server_of* returns the server of a key; if None, each key belongs to this server.

        A counter of another server's key is left out. It is from a time when loggers had other servers.
        """
        self.server = server
        self._server_of = server_of or (lambda _: server)
        self._connector = Connector(server)
        self._prefix = prefix
        self._connection: Conversation | None = None
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
        head = f"{self._prefix}{day}"
        paths = {figure_path(name).decode("ascii"): name for name in FIGURES}
        here = [path for path in paths if self._server_of(head + path) == self.server]
        with self._errors():
            return {paths[path]: number for path, number in self._numbers(head, here)}

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
        head = f"{self._prefix}{self._day}"
        start = b"key=" + quote(head, safe="").encode()
        for lines in self._listed_keys(way):
            of_day = (line[len(start) :] for line in lines.split(b"\n") if line.startswith(start))
            listed_now = {line[: line.find(b" ")] for line in of_day}
            new = (_unquoted(each) for each in listed_now - self._listed if _PATH.fullmatch(each))
            self._paths.update(each for each in new if self._server_of(head + each) == self.server)
            self._listed |= listed_now
        finished = time.monotonic()
        self._dump_at = finished + REST_RATIO * (finished - started)

    def _listed_keys(self, way: bytes) -> Iterator[bytes]:
        try:
            yield from self._ask(b"lru_crawler metadump %b\r\n" % way, DUMP_SECONDS, DUMP_BYTES)
        except MemcachedError as error:
            if way == b"all" or not error.hint.startswith(_UNKNOWN_WAY):
                raise
            self._ways = [b"all"]
            yield from self._listed_keys(b"all")

    def _values(self) -> dict[str, int]:
        return dict(self._numbers(f"{self._prefix}{self._day}", self._paths))

    def _numbers(self, head: str, paths: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Yield each of *paths* whose key, which begins with *head*, has a counter, with its value.

        There may be millions, so they are not copied: each is the string that is in *paths*.
        """
        rest = iter(paths)
        while batch := {(head + path).encode("ascii"): path for path in islice(rest, BATCH_ROWS)}:
            for lines in self._ask(b"get %b\r\n" % b" ".join(batch)):
                for key, value in _VALUE.findall(lines):
                    views = views_in(value)
                    if key in batch and views is not None:
                        yield batch[key], views

    def _ask(self, request: bytes, seconds: float = WHOLE_SECONDS, size: int = ANSWER_BYTES) -> Iterator[bytes]:
        """Send *request* and yield the reply up to ``END`` in pieces of whole lines, of PIECE_BYTES or less.

        Raises MemcachedError when the server refuses, or is busy with another client's request for too long.
        """
        if self._connection is None:
            self._connection = Conversation(self._connector.connect())
        give_up_at = time.monotonic() + ANSWER_SECONDS
        self._connection.sendall(request, seconds, size)
        reply = b""
        while not reply.endswith(END):
            received = self._connection.recv(PIECE_BYTES)
            if not received:
                raise ConnectionResetError("it closed the connection")
            reply += received
            if reply.startswith(_REFUSED) and reply.endswith(b"\r\n"):
                if not reply.startswith(b"BUSY") or time.monotonic() > give_up_at:
                    said = reply.decode("ascii", "backslashreplace").strip()
                    raise MemcachedError("memcached does not list its keys", self.server, said)
                time.sleep(BUSY_SECONDS)
                self._connection.sendall(request, seconds, size)
                reply = b""
            elif len(reply) > PIECE_BYTES and not reply.endswith(END):
                whole = reply.rfind(b"\n") + 1
                if not whole:
                    raise ConnectionResetError("its answer has no lines")
                yield reply[:whole]
                reply = reply[whole:]
        yield reply

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            raise MemcachedError("memcached does not answer", self.server, reason_of(error)) from error
        except BaseException:
            self._drop()
            raise


def _unquoted(path: bytes) -> str:
    """Return a path that memcached has percent-encoded. Most have only slashes, for which `unquote` takes long."""
    text = path.replace(b"%2F", b"/").decode("ascii")
    return unquote(text) if "%" in text else text
