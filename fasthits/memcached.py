"""The live counters in memcached: pymemcache connects, finds a key's server and reads; adding is pipelined here.

A counter is born with ``add KEY 2 TTL 1`` and the value 0, and counts with ``incr KEY N``. Flag 2 is what pymemcache,
pylibmc and python-memcached give integers, so that each of them, and Django's cache over them, reads an int back. Who
comes second finds the counter there (NOT_STORED) and counts all the same: when several loggers create one at once
nothing is lost or counted twice, and the first one sets the time to live. Each command has one line of reply, in order,
so that the outcome of every counter is known; both are in every version of the text protocol (memcached's
doc/protocol.txt).
"""

import encodings.idna  # noqa: F401 (getaddrinfo's first call loads it: too late for a user who may not read it)
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError
from pymemcache.serde import pickle_serde

from fasthits.errors import MemcachedError, UsageError
from fasthits.keys import hit_key

CONNECT_SECONDS = 2.0
READ_SECONDS = 2.0
RETRY_SECONDS = 0.5
"""How long a server that could not be reached is left alone."""

KEEPALIVE_SECONDS = 30
"""After this time without a word the system begins to ask whether a server's machine is there at all."""

LOCK_SECONDS = 600

INTEGER_FLAG = 2
BATCH_ROWS = 1000
"""How many counters are added to, or read, in a round trip."""
RECV_BYTES = 1 << 16
REPLY_BYTES = 2048
"""More than any line of reply has."""
KNOWN_ROUTES = 1 << 17

Row = tuple[date, bytes, int]
"""Day, path, views."""


def check_servers(servers: Iterable[str]) -> list[str]:
    """Return the servers named in *servers*: ``HOST:PORT``, ``HOST``, ``[IPV6]:PORT`` or ``unix:PATH``.

    One text may name several, parted by commas or semicolons as in Django's LOCATION. Raises UsageError for what is
    none.
    """
    names = [name.strip() for text in servers for name in re.split("[,;]", text) if name.strip()]
    for name in names:
        address = re.fullmatch(r"(?:unix:)?/.*|(?:\[[\w:.%]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", name, re.ASCII)
        if not address or not 0 < int(address[1] or 11211) < 65536:
            raise UsageError("not a memcached server", repr(name), "HOST:PORT, [IPV6]:PORT or unix:/PATH")
    if not names:
        raise UsageError("no memcached server", "--memcached", "HOST:PORT, [IPV6]:PORT or unix:/PATH")
    return names


def read_views(servers: Sequence[str], keys: Sequence[str]) -> dict[str, int]:
    """Return the live views of each of *keys* that has a counter: one ``get_many`` for up to BATCH_ROWS of them.

    Raises MemcachedError when a server does not answer, or a key holds something else.
    """
    values: dict[str, bytes] = {}
    with _reading(servers) as client:
        for start in range(0, len(keys), BATCH_ROWS):
            values |= client.get_many(keys[start : start + BATCH_ROWS])
    try:
        return {key: int(value) for key, value in values.items()}
    except ValueError as error:
        wrong = next(key for key, value in values.items() if not value.strip().isdigit())
        raise MemcachedError(
            "no number in counter", wrong, "something else uses this key; try another --prefix"
        ) from error


def open_connection(server: str) -> socket.socket:
    """Return a connection to *server*, for commands that pymemcache does not have or that it is too slow at.

    Connecting and each read take CONNECT_SECONDS and READ_SECONDS at most. Raises MemcachedError.
    """
    client = Client(server, connect_timeout=CONNECT_SECONDS, timeout=READ_SECONDS, no_delay=True)
    with _errors_of([server]):
        client._connect()
    connection: socket.socket = client.sock
    return connection


def server_stats(server: str) -> dict[str, str]:
    """Return what *server* says about itself: the answer to ``stats``. Raises MemcachedError."""
    client = Client(server, connect_timeout=CONNECT_SECONDS, timeout=READ_SECONDS)
    try:
        with _errors_of([server]):
            return {
                name.decode(): value.decode() if isinstance(value, bytes) else str(value)
                for name, value in client.stats().items()
            }
    finally:
        client.close()


def read_as_django(servers: Sequence[str], key: str) -> object:
    """Return what Django's cache would return for *key*, None when there is nothing. Raises MemcachedError."""
    client = HashClient(servers, serde=pickle_serde, connect_timeout=CONNECT_SECONDS, timeout=READ_SECONDS)
    try:
        with _errors_of(servers):
            return client.get(key)
    finally:
        client.close()


@contextmanager
def locked(servers: Sequence[str], key: str) -> Iterator[None]:
    """Hold *key* in memcached meanwhile, on whatever machine. Raises MemcachedError when somebody else does."""
    with _reading(servers) as client:
        if not client.add(key, b"locked", expire=LOCK_SECONDS, noreply=False):
            hint = f"or was killed less than {LOCK_SECONDS // 60} minutes ago"
            raise MemcachedError("another one is at work", key, hint)
        try:
            yield
        finally:
            client.delete(key, noreply=False)


@contextmanager
def _reading(servers: Sequence[str]) -> Iterator[HashClient]:
    client = HashClient(servers, connect_timeout=CONNECT_SECONDS, timeout=READ_SECONDS)
    try:
        with _errors_of(servers):
            yield client
    finally:
        client.close()


@contextmanager
def _errors_of(servers: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError, MemcacheError) as error:
        raise MemcachedError("memcached does not answer", ", ".join(servers), _reason(error)) from error


def router(servers: Sequence[str]) -> tuple[list[str], Callable[[str], str]]:
    """Return the distinct ones of *servers*, and what tells which of them has a key, as Django's cache looks for it."""
    names = {next(iter(HashClient([server]).clients)): server for server in servers}
    only = servers[0] if len(names) == 1 else None
    choose = lru_cache(KNOWN_ROUTES)(HashClient(servers).hasher.get_node)
    return list(names.values()), lambda key: only or names[choose(key)]


@dataclass
class Delivery:
    """What became of some rows, in hits; the sum of all is the sum of their views."""

    delivered: int = 0
    in_doubt: int = 0
    """The connection was lost before the answer came: they may have been counted, so they are not sent again."""
    refused: int = 0
    """memcached would not count them, and would not another time."""
    returned: list[Row] = field(default_factory=list)
    """Rows that have not been counted, for want of a connection or of room; they may be sent again."""
    reconnects: int = 0
    """Connections made in place of one that was lost."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why not everything was delivered, by kind: one example of each."""


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class CounterStore:
    """Adds to the counters, over one connection a server that is made when needed and kept.

    A server that does not answer is waited for, since what is sent again could count twice. While it is waited for,
    *watch* is looked at, a file descriptor: when its other end is closed, Abandoned is raised.
    """

    def __init__(self, servers: Sequence[str], prefix: str, ttl: int, watch: int | None = None) -> None:
        cluster = HashClient(servers, connect_timeout=CONNECT_SECONDS, timeout=0.0, no_delay=True)
        self._prefix = prefix
        self._ttl = ttl
        self._pipelines = {node: _Pipeline(node, client, watch) for node, client in cluster.clients.items()}
        # The library's own choice of a server, which Django's cache makes too; a hash in Python, so remembered.
        self._server_of = lru_cache(KNOWN_ROUTES)(cluster.hasher.get_node)

    def add_views(self, rows: Iterable[Row]) -> Delivery:
        """Add the views of *rows*, of distinct day and path, to their counters; one round trip a server."""
        by_server: dict[str, list[tuple[str, Row]]] = {}
        only = next(iter(self._pipelines)) if len(self._pipelines) == 1 else None
        for row in rows:
            key = hit_key(row[0], row[1], self._prefix)
            by_server.setdefault(only or self._server_of(key), []).append((key, row))
        delivery = Delivery()
        for server, keyed in by_server.items():
            self._add_views(self._pipelines[server], keyed, delivery)
        return delivery

    def _add_views(self, pipeline: "_Pipeline", keyed: Sequence[tuple[str, Row]], delivery: Delivery) -> None:
        try:
            delivery.reconnects += pipeline.connect()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none of a host
            delivery.returned += [row for _, row in keyed]
            delivery.problems["unreachable"] = f"cannot reach memcached: {pipeline.name} ({_reason(error)})"
            return
        request = "".join(
            f"add {key} {INTEGER_FLAG} {self._ttl} 1\r\n0\r\nincr {key} {views}\r\n" for key, (_, _, views) in keyed
        )
        replies = pipeline.exchange(request.encode("ascii"), 2 * len(keyed))
        answered = len(replies) // 2
        if len(replies) == 1 and replies[0].startswith(b"ERROR"):  # it has no connection to spare, and closes this one
            delivery.returned += [row for _, row in keyed]
            delivery.problems["unreachable"] = f"cannot reach memcached: {pipeline.name} ({_text(replies[0])})"
            return
        for (key, row), added, counted in zip(keyed, replies[::2], replies[1::2], strict=False):
            if counted.isdigit():
                delivery.delivered += row[2]
            elif counted.startswith((b"NOT_FOUND", b"SERVER_ERROR")):  # no room for it, so it was not counted
                delivery.returned.append(row)
                delivery.problems["full"] = f"memcached has no room for new counters: {pipeline.name} ({_text(added)})"
            else:
                delivery.refused += row[2]
                delivery.problems["refused"] = (
                    f"memcached refuses to count: {key} on {pipeline.name} ({_text(counted)})"
                )
        if answered < len(keyed):
            delivery.in_doubt += sum(row[2] for _, row in keyed[answered:])
            delivery.problems["lost"] = f"connection to memcached lost before it answered: {pipeline.name}"


class _Pipeline:
    """One server's connection, over which many commands go at once and the replies are read while they do."""

    def __init__(self, name: str, client: Client, watch: int | None) -> None:
        self.name = name
        self._client = client
        self._watch = watch
        self._failed_at = -RETRY_SECONDS
        self._failure: OSError | UnicodeError | None = None
        self._connected_before = False

    def connect(self) -> bool:
        """Make sure that there is a connection, as far as can be told, and return whether it is in place of a lost one.

        Raises OSError, soon, when there can be none.
        """
        sock = self._client.sock
        if sock is not None and not select.select([sock], [], [], 0)[0]:
            return False
        # What can be read with no command under way is the end: the server has gone, and may be back.
        if self._failure is not None and time.monotonic() < self._failed_at + RETRY_SECONDS:
            raise self._failure
        try:
            self._client._connect()  # the one step that pymemcache gives no public name
            self._failure = None
        except (OSError, UnicodeError) as error:
            self._failed_at, self._failure = time.monotonic(), error
            raise
        if self._client.sock.family in (socket.AF_INET, socket.AF_INET6):
            self._client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        again, self._connected_before = self._connected_before, True
        return again

    def exchange(self, request: bytes, lines: int) -> list[bytes]:
        """Send *request* and return its *lines* lines of reply, without their ends; fewer when the connection was lost.

        Sends and reads in turns as the socket allows, so that neither side can fill up and wait for the other.
        """
        sock = self._client.sock
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        if self._watch is not None:
            poll.register(self._watch, 0)
        unsent = memoryview(request)
        reply = bytearray()
        missing = lines
        try:
            while missing > 0:
                events = dict(poll.poll())
                if self._watch in events:
                    raise Abandoned
                if events[sock.fileno()] & select.POLLIN:
                    received = sock.recv(RECV_BYTES)
                    if not received:
                        break
                    reply += received
                    if len(reply) > lines * REPLY_BYTES:
                        break  # this is no memcached
                    missing -= received.count(b"\n")
                elif unsent:
                    unsent = unsent[sock.send(unsent) :]
                    if not unsent:
                        poll.modify(sock, select.POLLIN)
                else:
                    break
        except OSError:
            pass
        if missing > 0 or unsent:
            self._client.close()
        return bytes(reply).split(b"\r\n")[:-1]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _text(reply: bytes) -> str:
    return reply.decode("ascii", "backslashreplace")
