"""Brings hits of followed files to memcached so that after a kill at any moment it is known which hits arrived.

The hits between two marks in the files are a segment. Each server gets its part of it in two steps. The first step
makes sure that every counter exists; it counts nothing, so it may be repeated. The second step counts:

    set ...begun NUMBER MARK noreply | incr KEY VIEWS noreply | ... | set ...ended NUMBER | touch ...begun

goes out in one send. memcached carries out everything in its socket, even if the sender is dead, as long as it need
not answer: an answer to a closed connection would close memcached's end, and the rest would be lost (60 senders were
killed right after the send of 1,000 increments: with answers 52 lost a part, without answers none). So if ``begun`` and
``ended`` have the same number after a kill, counting goes on at its mark, whatever the state file says. If only
``begun`` has a number, nobody knows which hits arrived: they are reported and never resent. The last command tells if
memcached had no room for ``begun``: then it has dropped the old one, too.
"""

import re
import select
import socket
import threading
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from json import loads
from queue import SimpleQueue
from typing import NamedTuple

from fasthits.display import counted
from fasthits.errors import MemcachedError
from fasthits.live.connections import RETRY_SECONDS, Abandoned, Channel, Connector, reason_of
from fasthits.live.follow.positions import Mark
from fasthits.live.keys import place_key
from fasthits.live.memcached import INTEGER_FLAG, KnownCounters
from fasthits.live.replies import OUT_OF_MEMORY, REPLY_BYTES, Answer, Replies
from fasthits.live.replies import Outcome as Meaning
from fasthits.live.servers import Server

SEND_BYTES = 1 << 20
"""The size of the socket's buffer for one send, if the system allows it."""
SETTLE_SECONDS = 2.0
"""The time for a server that answers to carry out what is in the socket of an ended connection."""
REMOTE_SETTLE_SECONDS = 35.0
"""The same after a kill if the network may still carry something; longer than TCP_USER_TIMEOUT."""

SAID_BYTES = 100
"""The most that a message quotes of a reply."""

_VALUES = re.compile(rb"(?:VALUE [!-~]+ \d+ \d+\r\n[^\r\n]*\r\n)*END\r\n")
"""The reply to a ``get`` of marks."""

Part = Sequence[tuple[str, int]]
"""Keys and views."""


@dataclass
class Segment:
    """The hits between two marks."""

    mark: Mark
    """Where it ends."""
    parts: Mapping[str, Part]
    """The part of each server."""
    waiting: set[str]
    """The servers that have not got their part."""
    rows: int
    figures: Mapping[str, int] | None
    """The numbers of lines by kind; None for a segment of figures instead of hits."""

    def hits(self) -> int:
        """Return the number of hits that have not been delivered."""
        return sum(self.hits_for(server) for server in self.waiting)

    def hits_for(self, server: str) -> int:
        """Return the number of hits for *server*."""
        return 0 if self.figures is None else sum(views for _, views in self.parts.get(server, ()))


@dataclass
class Outcome:
    """The outcome of a part, in hits."""

    delivered: int = 0
    in_doubt: int = 0
    refused: int = 0


class Place(NamedTuple):
    """A server's record of how far it has counted."""

    begun: Mark | None
    hits: int
    """The hits of the part that was begun last."""
    ended: int
    """The number of the segment that was ended last."""


class _Outrun(Exception):
    """The server has counted further than the state file says."""


class Carrier(threading.Thread):
    """Brings the parts for one server there, one after the other, however long this takes."""

    def __init__(
        self,
        server: Server,
        follower: str,
        prefix: str,
        ttl: int,
        watch: int,
        report: Callable[[str, str], object],
        done: Callable[[str, Segment, Outcome], None],
    ) -> None:
        """This thread calls *done* after each segment, and ends when the other end of *watch* is closed.

        No other thread may call `recover` once this one has started.
        """
        super().__init__(name=f"carrier to {server}", daemon=True)
        self.server = server
        self.queue: SimpleQueue[Segment | None] = SimpleQueue()
        self.reconnects = 0
        self.busy_since: float | None = None
        """Since when the server owes an answer, on the monotonic clock."""
        self.unsure = False
        """Whether the outcome of something that was sent is unknown."""
        self.failure: BaseException | None = None
        self.start_number: int | None = None
        """The number of the mark from which the server gets hits; None once the server's mark has been compared."""
        self.is_outrun = False
        """Whether the server had counted further than that, so that nothing was sent."""
        self._begun_key = place_key(follower, "begun", prefix)
        self._ended_key = place_key(follower, "ended", prefix)
        self._ttl = ttl
        self._known = KnownCounters(prefix, ttl)
        self._watch = watch
        self._report = report
        self._done = done
        self._connector = Connector(server, watch)
        self._channel: Channel | None = None
        self._connected_before = False

    def run(self) -> None:
        """Deliver the segments of the queue, until None comes."""
        try:
            while segment := self.queue.get():
                outcome = self._deliver(segment) if segment.parts.get(self.server) else Outcome()
                self._done(self.server, segment, outcome)
        except Abandoned:
            pass
        except _Outrun:
            self.is_outrun = True
        except BaseException as failure:
            self.failure = failure
            raise
        finally:
            self._disconnect()

    def recover(self, killed_before: float) -> Place:
        """Return how far the server has counted, for a follower killed before that time on the monotonic clock.

        Waits until the server answers. Raises Abandoned.
        """
        address = self.server.address
        local = isinstance(address, str) or address[0].startswith(("localhost", "127.", "::1"))
        return self._settled(killed_before + (0.0 if local else REMOTE_SETTLE_SECONDS))

    def _settled(self, until: float, number: int | None = None) -> Place:
        """Return the server's place when no older connection can change it any more.

        That is at once if segment *number*, the last segment, has ended, and otherwise not before *until*.
        """
        answered_at = float("inf")
        while True:
            try:
                place = self._place(self._connected())
            except (OSError, MemcachedError) as error:
                answered_at = float("inf")
                self._failed(error)
                continue
            now = time.monotonic()
            answered_at = min(answered_at, now)
            if place.ended == number or now >= max(answered_at + SETTLE_SECONDS, until):
                return place
            self._pause(0.05)

    def _deliver(self, segment: Segment) -> Outcome:
        """Count this server's part of *segment* once; return the outcome."""
        mark, part = segment.mark, segment.parts[self.server]
        sent: Outcome | None = None
        while True:
            try:
                if sent:  # the connection was lost before the answer
                    place = self._settled(time.monotonic(), mark.number)
                    self.unsure = False
                    if place.ended == mark.number:
                        return sent
                    if place.begun and place.begun.number == mark.number:
                        doubt = f"connection to memcached lost while it was counting: {self.server}"
                        self._report(f"lost {self.server}", f"{doubt}, {counted(sent.delivered, 'hit')} in doubt")
                        return Outcome(0, sent.delivered, sent.refused)
                    sent = None
                channel = self._connected()
                self._compare(channel)
                ready, refused = self._prepare(channel, part)
                if ready is None:
                    self._pause(RETRY_SECONDS)
                    continue
                if segment.figures is None:
                    refused = 0
                sent = Outcome(max(0, segment.hits_for(self.server) - refused), 0, refused)
                self.unsure = True
                said = self._count(channel, mark, sent.delivered, ready)
                self.unsure = False
                return sent if _is_done(said) else self._doubt(sent, said)
            except (OSError, MemcachedError) as error:
                self._failed(error)

    def _compare(self, channel: Channel) -> None:
        """Before the first hits, make sure that the server has not counted further than the state file says.

        With an old copy of the state file, lines would count twice. Raises _Outrun, MemcachedError and OSError.
        """
        if self.start_number is not None:
            begun = self._place(channel).begun
            if begun and begun.number > self.start_number:
                raise _Outrun
            self.start_number = None

    def _prepare(self, channel: Channel, part: Part) -> tuple[Part | None, int]:
        """Make sure that all counters of *part* exist.

        Returns the counters that can count, or None if the server has no room, and the hits of those that cannot.
        Raises MemcachedError for replies that are not clear: nothing was counted, so the hits can wait. Raises OSError.
        """
        request = "".join(f"add {key} {INTEGER_FLAG} {self._ttl} 1\r\n0\r\nincr {key} 0\r\n" for key, _ in part)
        replies = Replies()
        replies.feed(self._exchange(channel, request.encode("ascii"), 2 * len(part)))
        unclear = next((answer.text for answer in replies.answers if _is_unclear(answer)), "")
        if unclear or not replies.trusted or replies.left(len(part)):
            raise self._unclear(unclear)
        if gone := self._known.look([key for key, _ in part], replies.answers, self.server):
            self._report(f"gone {self.server}", gone)
        ready, refused = [], 0
        for (key, views), answer in zip(part, replies.answers, strict=True):
            if answer.outcome is Meaning.COUNTED:
                ready.append((key, views))
            elif answer.outcome is Meaning.NOT_COUNTED:
                text = f"memcached has no room for new counters: {self.server} ({answer.text})"
                self._report(f"full {self.server}", f"{text}; hits wait, raise its -m")
                return None, 0
            else:
                refused += views
                text = f"memcached refuses to count: {key} on {self.server} ({answer.text})"
                self._report(f"refused {self.server}", f"{text}; something else uses this key, try another --prefix")
        return ready, refused

    def _count(self, channel: Channel, mark: Mark, hits: int, part: Part) -> bytes:
        """Let memcached count *part*, which has *hits* hits, between the two marks; return the reply to the last mark.

        Reports if memcached does not keep the first. Raises OSError.
        """
        with suppress(OSError):
            channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        begun = f"{mark.number} {hits} {b64encode(zlib.compress(mark.encode().encode(), 1)).decode()}"
        ended = str(mark.number)
        request = [f"set {self._begun_key} 0 {self._ttl} {len(begun)} noreply\r\n{begun}\r\n"]
        request += [f"incr {key} {views} noreply\r\n" for key, views in part]
        request += [f"set {self._ended_key} 0 {self._ttl} {len(ended)}\r\n{ended}\r\n"]
        request += [f"touch {self._begun_key} {self._ttl}\r\n"]
        ended_said, _, begun_said = self._exchange(channel, "".join(request).encode("ascii"), 2).partition(b"\n")
        if begun_said == b"NOT_FOUND\r\n":
            text = f"memcached does not keep where this follower is: {self.server}"
            hint = "after a kill, lines could count twice; raise its -m, or -I if you have set it"
            self._report(f"mark {self.server}", f"{text} ({hint})")
        return ended_said + b"\n"

    def _doubt(self, sent: Outcome, said: bytes) -> Outcome:
        """Report that *said* does not tell whether the hits of *sent* were counted; return the outcome."""
        self._disconnect()
        doubt = f"no clear answer whether hits were counted: {self.server} ({_text(said.rstrip()[:SAID_BYTES])})"
        self._report(f"doubt {self.server}", f"{doubt}, {counted(sent.delivered, 'hit')} in doubt")
        return Outcome(0, sent.delivered, sent.refused)

    def _unclear(self, said: str) -> MemcachedError:
        """Return the error of a server that says *said* when nothing is at stake."""
        hint = f"{said[:SAID_BYTES]}: look at the server or proxy there".removeprefix(": ")
        return MemcachedError("no clear answer from memcached", self.server, f"{hint}; hits wait")

    def _place(self, channel: Channel) -> Place:
        """Ask the server how far it has counted. Raises MemcachedError, and OSError."""
        reply = self._exchange(channel, f"get {self._begun_key} {self._ended_key}\r\n".encode(), None)
        if not _VALUES.fullmatch(reply):
            raise self._unclear(_text(reply.partition(b"\r\n")[0]))
        lines = reply.split(b"\r\n")
        held = {line.split()[1].decode(): value for line, value in pairwise(lines) if line.startswith(b"VALUE ")}
        try:
            _, hits, packed = held[self._begun_key].split()
            begun = Mark.of(loads(zlib.decompress(b64decode(packed))))
            return Place(begun, int(hits), int(held.get(self._ended_key, b"-1")))
        except KeyError:
            return Place(None, 0, -1)
        except (ValueError, zlib.error) as error:
            raise MemcachedError(
                "not a mark of a follower", self._begun_key, "something else uses this key; try another --prefix"
            ) from error

    def _exchange(self, channel: Channel, request: bytes, lines: int | None) -> bytes:
        """Send *request* and return the reply: *lines* lines, or up to ``END`` if *lines* is None.

        Sends and reads in turns, so that neither side can fill up and wait for the other. Raises OSError.
        """
        unsent = memoryview(request)
        reply = bytearray()
        missing = 1 if lines is None else lines
        self.busy_since = time.monotonic()
        while unsent or missing > 0:
            unsent = unsent[channel.send(unsent) :] if unsent else unsent
            received = channel.receive()
            if received:
                reply += received
                missing -= received.count(b"\n") if lines else _is_over(reply)
                if lines and len(reply) > lines * REPLY_BYTES:  # no such reply
                    break
            elif received is not None:
                raise ConnectionResetError("it closed the connection")
            else:
                channel.wait(select.POLLIN | (select.POLLOUT if unsent else 0))
        self.busy_since = None
        return bytes(reply)

    def _connected(self) -> Channel:
        """Return a connection over which the server has answered. Raises MemcachedError."""
        if self._channel and not self._channel.quiet():
            self._disconnect()
        if not self._channel:
            self._channel = self._connector.connect()
            self.reconnects += self._connected_before
            self._connected_before = True
        return self._channel

    def _disconnect(self) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None

    def _failed(self, error: OSError | MemcachedError) -> None:
        """Report why hits cannot be delivered, and wait a little."""
        self.busy_since = None
        self._disconnect()
        if isinstance(error, OSError):
            error = MemcachedError("connection to memcached lost", self.server, reason_of(error))
        self._report(f"unreachable {self.server}", str(error))
        self._pause(RETRY_SECONDS)

    def _pause(self, seconds: float) -> None:
        """Wait. Raises Abandoned."""
        poll = select.poll()
        poll.register(self._watch, 0)
        if poll.poll(seconds * 1000):
            raise Abandoned


def _is_over(reply: bytearray) -> bool:
    """Tell whether the answer to a ``get`` is complete, or no such answer."""
    if b"VALUE ".startswith(bytes(reply[:6])):
        return reply.endswith(b"\r\nEND\r\n")
    return b"\n" in reply or len(reply) > REPLY_BYTES


def _is_unclear(answer: Answer) -> bool:
    """Tell whether an answer leaves open if there is a counter.

    Of the errors of servers, only memcached's own word means that it has no room: see `fasthits.live.replies`.
    """
    is_error = answer.text.startswith("SERVER_ERROR") and not answer.text.startswith(OUT_OF_MEMORY.decode())
    return answer.outcome is Meaning.UNKNOWN or (answer.outcome is Meaning.NOT_COUNTED and is_error)


def _is_done(reply: bytes) -> bool:
    """Tell whether the reply to the last mark proves that everything before it was done.

    A memcached that has no room for the mark has counted before it says so.
    """
    return reply == b"STORED\r\n" or (reply.startswith(OUT_OF_MEMORY) and reply.endswith(b"\r\n"))


def _text(reply: bytes) -> str:
    return reply.decode("ascii", "backslashreplace")
