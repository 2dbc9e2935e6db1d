"""The live counters in memcached: pymemcache finds a key's server and reads; this module adds, in pipelines.

``add KEY 2 TTL 1`` creates a counter with the value 0, and ``incr KEY N`` counts. Flag 2 is the flag of integers in
pymemcache, pylibmc and python-memcached, so each of them, and Django's cache, reads an int back. If two loggers create
a counter at the same time, the second gets NOT_STORED, but still counts: nothing is lost or counted twice, and the
first one sets the time to live. Each command gets one line of reply, in order, so the outcome of every counter is
known. Both commands are in every version of the text protocol (memcached's doc/protocol.txt).
"""

import re
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError
from pymemcache.serde import pickle_serde

from fasthits.errors import MemcachedError
from fasthits.live.connections import WHOLE_SECONDS, Channel, Connector, Conversation, prove, reach, reason_of
from fasthits.live.keys import hit_key
from fasthits.live.replies import CREATED, Answer, Outcome, Replies
from fasthits.live.servers import Server

LOCK_SECONDS = 600

INTEGER_FLAG = 2
BATCH_ROWS = 1000
"""The number of counters in a round trip."""
PIECE_BYTES = 1 << 14
"""At most two pieces of a batch are in flight, so a lost connection puts no more hits in doubt. And the system of a
stopped memcached takes that much, so that TCP_USER_TIMEOUT does not report its machine as vanished. Pieces of twice the
size are 3 % faster."""
IDLE_SECONDS = 1.0
"""After this time without an answer a connection must prove itself again: it may lead nowhere by now."""
KNOWN_ROUTES = 1 << 17
KNOWN_COUNTERS = 1000
"""With as many counters, no more batches are remembered. The first counters of a day are those of much read paths."""
DAY_SECONDS = 24 * 3600

_VIEWS = re.compile(rb"[0-9]{1,20} *")
"""A number of memcached. One that it has lowered keeps its length, with spaces (process_arithmetic_command)."""

Row = tuple[date, bytes, int]
"""Day, path, views."""


def read_views(servers: Sequence[str], keys: Sequence[str]) -> dict[str, int]:
    """Return the live views of each of *keys* that has a counter, with a ``get_many`` for every BATCH_ROWS keys.

    Raises MemcachedError when a server does not answer, or a key does not hold a number.
    """
    values: dict[str, bytes] = {}
    with _reading(servers) as client:
        for start in range(0, len(keys), BATCH_ROWS):
            values |= client.get_many(keys[start : start + BATCH_ROWS])
    views: dict[str, int] = {}
    for key, value in values.items():
        number = views_in(value)
        if number is None:
            raise no_number(key)
        views[key] = number
    return views


def views_in(value: bytes) -> int | None:
    """Return the views in the value of a counter, None for a value that no counter has.

    >>> views_in(b"12"), views_in(b"-1"), views_in(b"1_0")
    (12, None, None)
    """
    return int(value) if _VIEWS.fullmatch(value) else None


def no_number(key: str) -> MemcachedError:
    """Return the error for a counter's key with such a value."""
    return MemcachedError("no number in counter", key, "something else uses this key; try another --prefix")


def server_stats(server: str, which: str = "") -> dict[str, str]:
    """Return the server's answer to ``stats``, or to ``stats`` *which*. Raises MemcachedError."""
    with _asking(server) as client:
        return {
            name.decode(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in client.stats(*filter(None, [which])).items()
        }


def server_version(server: str) -> str:
    """Return the version of *server*, or of a proxy, over a new connection. Raises MemcachedError."""
    with _asking(server) as client:
        version: bytes = client.version()
        return version.decode("ascii", "backslashreplace")


@contextmanager
def _asking(server: str) -> Iterator[Client]:
    with _reading([server]) as cluster:
        (client,) = cluster.clients.values()
        yield client


def read_as_django(servers: Sequence[str], key: str) -> object:
    """Return what Django's cache would return for *key*: None for nothing. Raises MemcachedError."""
    with _reading(servers, serde=pickle_serde) as client:
        return client.get(key)


@contextmanager
def locked(servers: Sequence[str], key: str) -> Iterator[None]:
    """Hold *key* in memcached as a lock for all machines. Raises MemcachedError when another process holds it."""
    with _reading(servers) as client:
        added = client.add(key, b"locked", expire=LOCK_SECONDS, noreply=False)
    if not added:
        hint = f"or was killed less than {LOCK_SECONDS // 60} minutes ago"
        raise MemcachedError("another process is at work", key, hint)
    try:
        yield
    finally:
        with _reading(servers) as client:
            client.delete(key, noreply=False)


@contextmanager
def _reading(servers: Sequence[str], **options: Any) -> Iterator[HashClient]:
    cluster = _cluster(servers, **options)
    try:
        yield cluster
    except (OSError, MemcacheError) as error:
        raise MemcachedError("memcached does not answer", ", ".join(servers), reason=reason_of(error)) from error
    except (LookupError, ValueError) as error:  # pymemcache cannot read the answer
        hint = "its answer is not that of memcached: check host and port"
        raise MemcachedError("memcached does not answer", ", ".join(servers), hint) from error
    finally:
        cluster.close()


class _ProvedClient(Client):  # type: ignore[misc]
    """pymemcache's client, over a proved connection."""

    connector: Connector

    def _connect(self) -> None:
        self.close()
        self.sock = Conversation(self.connector.connect())


def _cluster(servers: Sequence[str], **options: Any) -> HashClient:
    """Return pymemcache's client of *servers*, which chooses a key's server like Django's cache."""
    cluster = HashClient([], **options)
    cluster.client_class = _ProvedClient
    for server in map(Server, servers):
        cluster.add_server(server.address)
        cluster.clients[server.node].connector = Connector(server)
    return cluster


def router(servers: Sequence[Server]) -> tuple[list[Server], Callable[[str], Server]]:
    """Return *servers* without repetition, and a function from a key to its server, like Django's cache."""
    nodes = {server.node: server for server in servers}
    only = servers[0] if len(nodes) == 1 else None
    choose = lru_cache(KNOWN_ROUTES)(_cluster(servers).hasher.get_node)
    return list(nodes.values()), lambda key: only or nodes[choose(key)]


@dataclass
class Delivery:
    """The outcome of some rows, in hits. The numbers and the returned views add up to all views of the rows."""

    delivered: int = 0
    in_doubt: int = 0
    """The answer did not come or was unclear: these hits may have been counted, so they are never resent."""
    refused: int = 0
    """memcached did not count these hits, and never would."""
    returned: list[Row] = field(default_factory=list)
    """Rows that were not counted, without a connection or without room; they may be sent again."""
    reconnects: int = 0
    """The number of connections that replaced a lost connection."""
    problems: dict[str, str] = field(default_factory=dict)
    """An example for each cause: why not everything was delivered, or "gone" if memcached has lost counters."""


class KnownCounters:
    """Some of today's counters that were seen to exist. If memcached makes one of them again, it has lost counters."""

    def __init__(self, prefix: str, ttl: int) -> None:
        self._prefix = prefix
        self._outlive_the_day = ttl >= DAY_SECONDS
        self._today = ""
        self._keys: set[str] = set()

    def look(self, keys: Sequence[str], answers: Sequence[Answer], server: Server) -> str:
        """Remember counters by the *answers* of *server* for *keys*. Return what to say if it has lost one, else ""."""
        if not self._outlive_the_day:
            return ""
        today = f"{self._prefix}{date.today()}"
        if today != self._today:
            self._today, self._keys = today, set()
        for key, answer in zip(keys, answers, strict=False):
            if answer is CREATED and key in self._keys:
                self._keys.clear()  # one loss is reported once
                hint = "was it restarted or full? fasthits warm repairs them"
                return f"memcached has lost counters of today, such as {key}: {server} ({hint})"
        if len(self._keys) < KNOWN_COUNTERS:
            self._keys.update(
                key
                for key, answer in zip(keys, answers, strict=False)
                if answer.outcome is Outcome.COUNTED and key.startswith(today)
            )
        return ""


class CounterStore:
    """Adds to the counters. Each server has one connection, which is made when needed and kept.

    With the file descriptor *watch*, the store waits for a server that does not answer, because resent hits could count
    twice, and raises Abandoned when the other end of *watch* is closed meanwhile. Without it nobody could end that, so
    a piece of a batch that is not answered within WHOLE_SECONDS leaves its hits in doubt.
    """

    def __init__(self, servers: Sequence[str], prefix: str, ttl: int, watch: int | None = None) -> None:
        self._prefix = prefix
        self._ttl = ttl
        self._known = KnownCounters(prefix, ttl)
        self._pipelines = {server.node: _Pipeline(server, watch) for server in map(Server, servers)}
        # The library's choice of a server, the same as in Django's cache; remembered, because its hash is slow Python.
        self._server_of = lru_cache(KNOWN_ROUTES)(_cluster(servers).hasher.get_node)

    def add_views(self, rows: Iterable[Row], before_sending: Callable[[], object] = lambda: None) -> Delivery:
        """Add the views of *rows*, each with another day or path, to their counters, in one round trip per server.

        *before_sending* is called before the first byte goes to a server that has proved itself.
        """
        by_server: dict[str, list[tuple[str, Row]]] = {}
        only = next(iter(self._pipelines)) if len(self._pipelines) == 1 else None
        for row in rows:
            key = hit_key(row[0], row[1], self._prefix)
            by_server.setdefault(only or self._server_of(key), []).append((key, row))
        delivery = Delivery()
        for server, keyed in by_server.items():
            pipeline = self._pipelines[server]
            try:
                delivery.reconnects += pipeline.connect(keyed[0][0])
            except MemcachedError as error:
                delivery.returned += [row for _, row in keyed]
                delivery.problems["unreachable"] = str(error)
            else:
                before_sending()
                self._add_views(pipeline, keyed, delivery)
        return delivery

    def close(self) -> None:
        """Close the connections; they are made again when needed."""
        for pipeline in self._pipelines.values():
            pipeline.drop()

    def _add_views(self, pipeline: "_Pipeline", keyed: Sequence[tuple[str, Row]], delivery: Delivery) -> None:
        requests = [
            f"add {key} {INTEGER_FLAG} {self._ttl} 1\r\n0\r\nincr {key} {views}\r\n".encode("ascii")
            for key, (_, _, views) in keyed
        ]
        answers, begun, end = pipeline.exchange(requests)
        name = pipeline.server
        if gone := self._known.look([key for key, _ in keyed], answers, name):
            delivery.problems["gone"] = gone
        for (key, row), answer in zip(keyed, answers, strict=False):
            if answer.outcome is Outcome.COUNTED:
                delivery.delivered += row[2]
            elif answer.outcome is Outcome.NOT_COUNTED:
                delivery.returned.append(row)
                delivery.problems["full"] = f"memcached has no room for new counters: {name} ({answer.text})"
            elif answer.outcome is Outcome.REFUSED:
                delivery.refused += row[2]
                delivery.problems["refused"] = f"memcached refuses to count: {key} on {name} ({answer.text})"
            else:
                delivery.in_doubt += row[2]
                delivery.problems["doubt"] = (
                    f"no clear answer whether hits were counted: {key} on {name} ({answer.text})"
                )
        if begun > len(answers):
            delivery.in_doubt += sum(row[2] for _, row in keyed[len(answers) : begun])
            delivery.problems["lost"] = f"{end}: {name}"
        delivery.returned += [row for _, row in keyed[begun:]]


class _Pipeline:
    """The connection to one server, for many commands in one request."""

    def __init__(self, server: Server, watch: int | None) -> None:
        self.server = server
        self._seconds = WHOLE_SECONDS if watch is None else float("inf")
        self._connector = Connector(server, watch)
        self._channel: Channel | None = None
        self._answered_at = 0.0
        self._connected_before = False

    def connect(self, key: str) -> bool:
        """Make sure of a connection that is proved and reaches counter *key*; tell whether it replaces a lost one.

        Raises MemcachedError when there is no such connection.
        """
        if self._channel is not None:
            if self._is_good(self._channel):
                return False
            self.drop()
        self._channel = self._connector.connect()
        try:
            reach(self._channel, self.server, key)
        except BaseException:
            self.drop()
            raise
        self._answered_at = time.monotonic()
        again, self._connected_before = self._connected_before, True
        return again

    def _is_good(self, channel: Channel) -> bool:
        if not channel.quiet():
            return False
        if time.monotonic() < self._answered_at + IDLE_SECONDS:
            return True
        return self._is_in_step(channel)

    def _is_in_step(self, channel: Channel) -> bool:
        """Ask a further question, to see whether each answer so far was to its request.

        Otherwise a NOT_FOUND may be about other hits, and those that were counted would be sent again.
        """
        try:
            prove(channel, self.server)
        except MemcachedError:
            return False
        return True

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def exchange(self, requests: Sequence[bytes]) -> tuple[list[Answer], int, str]:
        """Send *requests*, of two commands each; return the answers in order, and how many requests were begun.

        If the answers are fewer than the requests begun, the text tells why.

        At most two pieces are in flight: the next piece goes when the first is answered, and none after an answer that
        leaves doubt. This sends and reads in turns as the socket allows, so that neither side can fill up and wait for
        the other.
        """
        channel, replies = self._channel, Replies()
        assert channel is not None, "connect() comes first"
        answers = replies.answers
        unsent = memoryview(b"")
        begun = go_on_at = 0
        until, end = float("inf"), "connection to memcached lost before it answered"
        while len(answers) < begun or (replies.trusted and begun < len(requests)):
            if not unsent and replies.trusted and begun < len(requests) and len(answers) >= go_on_at:
                go_on_at, begun = begun, _end_of_piece(requests, begun)
                unsent = memoryview(b"".join(requests[go_on_at:begun]))
                until = time.monotonic() + self._seconds
            try:
                sent = channel.send(unsent) if unsent else 0
                unsent = unsent[sent:]
                received = channel.receive()
                if received:
                    replies.feed(received)
                elif received is not None:
                    break
                elif not sent:
                    channel.wait(select.POLLIN | select.POLLOUT if unsent else select.POLLIN, until)
            except TimeoutError:
                end = f"memcached has not answered for {self._seconds:g} s"
                break
            except OSError:
                break
            if not replies.in_step:
                break
        if len(answers) >= begun and replies.left(begun):
            answers = [Answer(Outcome.UNKNOWN, "more replies than commands")] * begun
            replies.trusted = False
        elif any(each.outcome is Outcome.NOT_COUNTED for each in answers) and (
            len(answers) < begun or not self._is_in_step(channel)
        ):
            answers = [
                Answer(Outcome.UNKNOWN, text) if outcome is Outcome.NOT_COUNTED else Answer(outcome, text)
                for outcome, text in answers
            ]
            replies.trusted = False
        if replies.trusted and len(answers) == begun:
            self._answered_at = time.monotonic()
        else:
            self.drop()
        return answers, begun, end


def _end_of_piece(requests: Sequence[bytes], start: int) -> int:
    """Return the end of the piece that begins with request *start*."""
    size, end = 0, start
    while end < len(requests) and size < PIECE_BYTES:
        size += len(requests[end])
        end += 1
    return end
