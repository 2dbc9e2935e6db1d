"""Segments in flight to all servers, and their outcomes."""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from fasthits.live.follow.carrier import Carrier, Outcome, Segment
from fasthits.live.follow.positions import Mark
from fasthits.live.memcached import router
from fasthits.live.servers import Server

STALL_SECONDS = 10.0
SPREAD_SECONDS = 1.0
"""The least time between two segments while one server is far behind another."""
FAR_BEHIND = 100
"""A server is far behind with this many segments."""

Report = Callable[[str, str], object]


class Deliveries:
    """Gives each server its part of each segment, through its own carrier, so that no server waits for another."""

    def __init__(
        self, servers: Sequence[str], follower: str, prefix: str, ttl: int, report: Report, event: int
    ) -> None:
        """*event* is an eventfd that is written whenever a server has got a segment."""
        self._report = report
        self._event = event
        self._watched, self._hang_up = os.pipe2(os.O_CLOEXEC)
        names, self._server_of = router(list(map(Server, servers)))
        self._carriers: dict[str, Carrier] = {
            name: Carrier(name, follower, prefix, ttl, self._watched, report, self._done) for name in names
        }
        self._from: dict[str, int] = {}
        self._sent_at = 0.0
        # What the threads share:
        self._lock = threading.Lock()
        self._marks: dict[str, Mark] = {}
        self._totals = Counter[str]()
        self._under_way = Counter[str]()
        self._segments: deque[Segment] = deque()
        self.rows = 0
        """The number of waiting rows."""

    def servers(self) -> list[str]:
        """Return the distinct servers."""
        return list(self._carriers)

    def recover(self, marks: Mapping[str, Mark], killed_before: float) -> tuple[dict[str, Mark], int]:
        """Ask the servers how far they have counted, after a kill of a follower that had saved *marks*.

        Return their marks, and the number of hits in doubt. Waits until all servers answer. Raises Abandoned.
        """
        found, doubted = dict(marks), 0
        for name, carrier in self._carriers.items():
            place = carrier.recover(killed_before)
            if name in marks and place.begun and place.begun.number > marks[name].number:
                found[name] = place.begun
                doubted += place.hits if place.ended != place.begun.number else 0
        return found, doubted

    def start(self, marks: Mapping[str, Mark]) -> None:
        """Begin to deliver; each server gets the lines after its mark."""
        self._marks = dict(marks)
        self._from = {name: mark.number for name, mark in marks.items()}
        for name, carrier in self._carriers.items():
            carrier.start_number = marks[name].number
            carrier.start()

    def send(self, views: Mapping[str, int], behind: int, mark: Mark, figures: Mapping[str, int] | None) -> None:
        """Deliver the *views* of keys: the hits between the mark numbered *behind* and *mark*, or figures."""
        to = {name for name, number in self._from.items() if number <= behind}
        parts: dict[str, list[tuple[str, int]]] = {name: [] for name in to}
        for key, number in views.items():
            if (part := parts.get(self._server_of(key))) is not None:
                part.append((key, number))
        segment = Segment(mark, parts, set(to), len(views), figures)
        self._sent_at = time.monotonic()
        with self._lock:
            self._segments.append(segment)
            self.rows += segment.rows
            self._under_way.update(to)
        for name in to:
            self._carriers[name].queue.put(segment)

    def _done(self, server: str, segment: Segment, outcome: Outcome) -> None:
        """Book the outcome of a segment at a server; the carriers call this."""
        with self._lock:
            self._totals["delivered"] += outcome.delivered
            self._totals["in doubt"] += outcome.in_doubt
            self._totals["refused"] += outcome.refused
            self._marks[server] = segment.mark
            self._under_way[server] -= 1
            segment.waiting.discard(server)
            if not segment.waiting:
                self._segments.remove(segment)
                self.rows -= segment.rows
                self._totals.update(segment.figures or {})
        os.eventfd_write(self._event, 1)

    def __len__(self) -> int:
        return len(self._segments)

    def wants_more(self) -> bool:
        """Tell whether a server has nothing to do; seldom while another is far behind, as all segments wait for it."""
        with self._lock:
            under_way = [self._under_way[name] for name in self._carriers]
        spread = time.monotonic() >= self._sent_at + SPREAD_SECONDS
        return min(under_way) == 0 and (max(under_way) < FAR_BEHIND or spread)

    def marks(self) -> dict[str, Mark]:
        """Return the mark of each server."""
        with self._lock:
            return dict(self._marks)

    def totals(self) -> Counter[str]:
        """Return the figures of delivered segments only, so that a kill does not make them wrong."""
        with self._lock:
            totals = Counter(self._totals)
        totals["reconnects"] = sum(carrier.reconnects for carrier in self._carriers.values())
        return totals

    def waiting(self) -> Counter[str]:
        """Return the figures of segments in flight, with their hits as ``pending``."""
        figures = Counter[str]()
        with self._lock:
            for segment in self._segments:
                figures.update(segment.figures or {})
                figures["pending"] += segment.hits()
        return figures

    def check(self) -> None:
        """Report a server that does not answer. Raises the exception that has ended a carrier, if any."""
        now = time.monotonic()
        for name, carrier in self._carriers.items():
            if carrier.failure:
                raise carrier.failure
            since = carrier.busy_since
            if since is not None and now >= since + STALL_SECONDS:
                waiting = f"{self.rows:,} rows wait, and further lines in the files"
                self._report(f"stalled {name}", f"{name} has not answered for {STALL_SECONDS:.0f} s: {waiting}")

    def outrun(self) -> str | None:
        """Return a server that had counted further than the mark given to `start`, if there is one."""
        return next((name for name, carrier in self._carriers.items() if carrier.is_outrun), None)

    def abandon(self) -> None:
        """Stop waiting for servers; a signal handler may call this."""
        hang_up, self._hang_up = self._hang_up, -1
        if hang_up >= 0:
            os.close(hang_up)

    def is_sure(self) -> bool:
        """Tell, after `close`, whether the outcome of everything that was sent is known."""
        return not any(carrier.unsure for carrier in self._carriers.values())

    def close(self) -> None:
        """End all threads when they have delivered their segments, or at once after `abandon`."""
        if self._watched < 0:
            return
        for carrier in self._carriers.values():
            carrier.queue.put(None)
            with suppress(RuntimeError):  # the thread has not been started
                carrier.join()
        self.abandon()
        os.close(self._watched)
        self._watched = -1
