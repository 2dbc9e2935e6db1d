"""Reads counters for a web page: within a deadline, over kept connections, never from a server that has just failed.

A page must not wait for memcached. So all of it, from the look-up of the server's name on, has one deadline, which
moves only with each thousand counters that come. A server that misses it is left alone for a while: see
`fasthits.live.pauses`.
"""

import os
import select
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock, Thread

from fasthits.errors import MemcachedError
from fasthits.live.connections import Channel, open_channel, reason_of
from fasthits.live.memcached import BATCH_ROWS, no_number, router, views_in
from fasthits.live.pauses import Pauses
from fasthits.live.servers import Server

PAGE_SECONDS = 0.1
"""The time that a page waits at most; for more than BATCH_ROWS counters, again after each BATCH_ROWS that have come."""
IDLE_CHANNELS = 8
"""The number of unused connections to keep."""
REPLY_BYTES = 1 << 21
"""The longest reply to read. A thousand counters with the longest keys take 300 kB."""


class QuickReader:
    """Reads counters of some servers. Threads may share it; a forked child makes its own connections."""

    def __init__(
        self, servers: Sequence[Server], report: Callable[[MemcachedError], None], seconds: float | None = None
    ) -> None:
        """Wait *seconds* for an answer at most; if None, as long as a page waits.

        *report* is called when a server begins to fail.
        """
        nodes, self.server_of = router(servers)
        self._sources = {server: _Source(server, report) for server in nodes}
        self._seconds = seconds

    def read(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the views of *keys*, 0 for a key without a counter. Unknown keys are left out. Raises no error."""
        by_server: dict[Server, list[str]] = {}
        for key in keys:
            by_server.setdefault(self.server_of(key), []).append(key)
        found: dict[str, int] = {}
        seconds = self._seconds or PAGE_SECONDS
        until = time.monotonic() + seconds
        # A server that has failed is tried again when the others have answered: it may take all of the time.
        for server, wanted in sorted(by_server.items(), key=lambda each: self._sources[each[0]].is_down):
            for start in range(0, len(wanted), BATCH_ROWS):
                views = self._sources[server].read(wanted[start : start + BATCH_ROWS], until)
                found |= views
                if len(views) == BATCH_ROWS:  # a server that goes on answering does not hang
                    until = time.monotonic() + seconds
        return found

    def close(self) -> None:
        """Close the connections; they are made again when needed."""
        for source in self._sources.values():
            source.close()


class _Source:
    """One server: its unused connections, and whether it is to be left alone."""

    def __init__(self, server: Server, report: Callable[[MemcachedError], None]) -> None:
        self._server = server
        self._pauses = Pauses(report)
        self._idle: list[Channel] = []
        self._process = os.getpid()

    @property
    def is_down(self) -> bool:
        """Whether it has failed since it last answered."""
        return self._pauses.is_down

    def read(self, keys: Sequence[str], until: float) -> dict[str, int]:
        if self._process != os.getpid():  # the parent of a fork uses the connections
            self.close()
            self._process = os.getpid()
        if time.monotonic() >= until or not self._pauses.may_ask():  # no time left: another server has failed
            return {}
        try:
            found = self._ask(keys, until)
        except (MemcachedError, OSError, RuntimeError) as error:  # RuntimeError: the system starts no more threads
            if not isinstance(error, MemcachedError):
                error = MemcachedError("memcached does not answer", self._server, reason_of(error))
            self._pauses.failed(error)
            return {}
        self._pauses.answered()
        return found

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _ask(self, keys: Sequence[str], until: float) -> dict[str, int]:
        request = f"get {' '.join(keys)}\r\n".encode("ascii")
        for channel in iter(self._unused, None):
            try:
                return self._views(channel, keys, request, until)
            except ConnectionError:  # the server has closed it since
                continue
        return self._views(self._connect(until), keys, request, until)

    def _views(self, channel: Channel, keys: Sequence[str], request: bytes, until: float) -> dict[str, int]:
        try:
            values = _exchange(channel, self._server, request, until)
        except BaseException:
            channel.close()
            raise
        self._keep(channel)
        found: dict[str, int] = {}
        for key in keys:
            number = views_in(values.get(key.encode("ascii"), b"0"))
            if number is None:
                self._pauses.tell(no_number(key))
            else:
                found[key] = number
        return found

    def _unused(self) -> Channel | None:
        """Return a kept connection that seems open; None if there is none."""
        while self._idle:
            channel = self._idle.pop()
            if channel.quiet():
                return channel
            channel.close()
        return None

    def _keep(self, channel: Channel) -> None:
        if len(self._idle) < IDLE_CHANNELS:
            self._idle.append(channel)
        else:
            channel.close()

    def _connect(self, until: float) -> Channel:
        """Return a new connection. A thread makes it, as the system's look-up of a name has no time limit.

        A connection that is late is kept for the next page.
        """
        made: list[Channel | Exception] = []
        late = Lock()

        def connect() -> None:
            try:
                outcome: Channel | Exception = open_channel(self._server)
            except Exception as error:
                outcome = error
            if late.acquire(blocking=False):
                made.append(outcome)
            elif isinstance(outcome, Channel):
                self._keep(outcome)

        thread = Thread(target=connect, name="fasthits-connect", daemon=True)
        thread.start()
        thread.join(max(0.0, until - time.monotonic()))
        if late.acquire(blocking=False):
            raise TimeoutError("no connection in time")
        thread.join()
        if isinstance(made[0], Channel):
            return made[0]
        raise made[0]


def _exchange(channel: Channel, server: Server, request: bytes, until: float) -> dict[bytes, bytes]:
    """Return the values by key in the reply to a ``get``. Raises OSError, or MemcachedError for another reply."""
    reply = b""
    while (values := _read_values(reply, server)) is None:
        if request and (sent := channel.send(request)):
            request = request[sent:]
        received = channel.receive()
        if received:
            reply += received
        elif received is not None:
            raise ConnectionResetError("it hung up")
        else:
            channel.wait(select.POLLIN | select.POLLOUT if request else select.POLLIN, until)
    return values


def _read_values(reply: bytes, server: Server) -> dict[bytes, bytes] | None:
    """Return the values in a whole reply to ``get``; None for the beginning of a reply."""
    values: dict[bytes, bytes] = {}
    place = 0
    while (end := reply.find(b"\r\n", place)) >= 0:
        match reply[place:end].split(b" "):
            case [b"END"] if end + 2 == len(reply):
                return values
            case [b"VALUE", key, flags, size, *_] if flags.isdigit() and size.isdigit() and len(size) < 8:
                start, place = end + 2, end + 2 + int(size) + 2
                values[key] = reply[start : place - 2]
            case _:
                said = reply[place:end][:80].decode("ascii", "backslashreplace")
                raise MemcachedError("memcached does not answer", server, f"it says {said!r}: check host and port")
    if len(reply) > REPLY_BYTES:
        raise MemcachedError("memcached does not answer", server, "its reply has no end: check host and port")
    return None
