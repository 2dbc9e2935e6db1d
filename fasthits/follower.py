"""The follower: counts log files that are still being written, exactly once, over kills and rotation.

    files --lines--> Follower --segments--> a Carrier for each server --> memcached

The files are the backlog. What has been read waits in memory only as far as there is room, and is read again after a
kill. While memcached is away the follower reads on, so that a file may be rotated or truncated meanwhile.
"""

import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto

from fasthits.backlog import FreshBacklog
from fasthits.connections import Abandoned
from fasthits.errors import StateError, UsageError
from fasthits.follow import Files, Tail
from fasthits.health import FIGURES, Health
from fasthits.inotify import FolderWatch, Rename
from fasthits.keys import hit_key
from fasthits.memcached import Row, router
from fasthits.piped import NO_LOSS, STALL_SECONDS, Say, Throttle
from fasthits.positions import START_OVER, FileId, Mark, Position, Positions, State, StateFile, check_patterns
from fasthits.segments import Carrier, Outcome, Segment
from fasthits.selection import Selection
from fasthits.servers import Server

SEGMENT_ROWS = 500
SEGMENT_BYTES = 1 << 15
"""A segment has so many rows, or bytes of keys, or a block of lines more: what a server takes that has just stopped."""
READ_SECONDS = 0.025
"""How long lines are left to gather after some have been read."""
LOOK_SECONDS = 0.25
"""How often folders and files are looked at where there is no inotify."""
WATCHED_LOOK_SECONDS = 1.0
"""How often at least where there is, which does not see what other machines do."""
SAVE_SECONDS = 1.0
SPREAD_SECONDS = 1.0
"""How often a segment is cut for servers that are fast while another one is far behind."""
FAR_BEHIND = 100
NUMBERS = 1 << 20
"""From one mark to the next, so that there are numbers in between for what is read again."""


class _Lines:
    """The hits in one file since the last segment was cut."""

    def __init__(self, selection: Selection) -> None:
        self.backlog = FreshBacklog(selection)
        self._seen = Counter[str]()

    def feed(self, lines: bytes) -> None:
        """Count whole lines. Raises UsageError as `Intake.feed` does."""
        self.backlog.intake.feed(lines)

    def size(self) -> tuple[int, int]:
        """Return the number of rows, and the bytes they take."""
        return len(self.backlog), self.backlog.memory()

    def take(self) -> Iterator[Row]:
        """Remove and yield all rows."""
        while self.backlog:
            yield from self.backlog.take()

    def figures(self) -> Counter[str]:
        """Return what figures have risen since the last time, after all rows have been taken."""
        counter, hits = self.backlog.counter, self.backlog.hits()
        filtered = counter.lines - hits - counter.malformed
        now = Counter(lines=counter.lines, hits=hits, filtered=filtered, malformed=counter.malformed)
        rise, self._seen = now - self._seen, now
        return rise


class Follower:
    """Counts the lines of some files into memcached, from `run` until `stop`."""

    def __init__(
        self,
        patterns: Sequence[str],
        state: str,
        servers: Sequence[str],
        prefix: str,
        ttl: int,
        say: Say,
        max_paths: int,
        drain_seconds: float,
        selection: Selection,
    ) -> None:
        """*state* is the name of the state file; *say* gets lines for the operator, one a minute for each cause.

        Raises UsageError for what is no name of files, StateError when the state cannot be used.
        """
        self._began_at = time.monotonic()
        self._patterns = check_patterns(patterns)
        self._state_file = StateFile(state)
        self._state = self._state_file.load() or State()
        self._check_state()
        self._prefix = prefix
        self._say = say
        self._report = Throttle(say)
        self._max_paths = max_paths
        self._drain_seconds = drain_seconds
        self._selection = selection
        self._stopped = self._asked = self._recovering = False
        self._doubted = 0
        """Hits that a follower before this one has left in doubt."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._folders = FolderWatch()
        self._files = Files(self._patterns, say, self._report)
        self._lines: dict[FileId, _Lines] = {}
        self._uncut: dict[FileId, _Lines] = {}
        self._rows = self._bytes = 0
        """What waits to be cut."""
        self._last = Mark(0, ())
        """Where the last segment ends."""
        self._ahead: list[Mark] = []
        """Later marks that some servers have reached already, while others have to get the lines in front of them."""
        self._from: dict[str, int] = {}
        """The number of the mark from which on a server gets lines."""
        self._health = Health(self._totals_of_all)
        self._look_at = self._save_at = self._cut_at = 0.0
        self._watched, self._hang_up = os.pipe2(os.O_CLOEXEC)
        names, self._server_of = router(list(map(Server, servers)))
        self._carriers: dict[str, Carrier] = {
            name: Carrier(name, self._state.follower, prefix, ttl, self._watched, self._report, self._done)
            for name in names
        }
        # What the carriers change, too:
        self._lock = threading.Lock()
        self._totals = Counter[str]()
        self._under_way = Counter[str]()
        self._segments: deque[Segment] = deque()
        self._waiting_rows = 0
        self._unsaved = True

    def stop(self) -> None:
        """End `run` soon; a signal handler may call this."""
        self._stopped = True
        os.eventfd_write(self._event, 1)
        if self._recovering:
            self._abandon()

    def ask_status(self) -> None:
        """Have the figures so far reported, soon; a signal handler may call this."""
        self._asked = True
        os.eventfd_write(self._event, 1)

    def run(self) -> None:
        """Follow until `stop` is called, and go on until all that was read is delivered or the drain time is over.

        Raises StateError when the state cannot be written, before anything is counted.
        """
        try:
            self._begin()
            for carrier in self._carriers.values():
                carrier.start()
            while not self._stopped:
                self._step()
            self._drain()
        except Abandoned:  # stopped before it had begun
            pass
        finally:
            self._abandon()
            self._files.close()

    def _abandon(self) -> None:
        """Have nobody wait for a server any more."""
        hang_up, self._hang_up = self._hang_up, -1
        if hang_up >= 0:
            os.close(hang_up)

    # To begin with: where?

    def _check_state(self) -> None:
        before = self._state.patterns
        if before and not set(before) & set(self._patterns):
            hint = f"name another one with --state FILE, or {START_OVER}"
            raise StateError(f"the state file is of other logs ({before[0]})", self._state_file.path, hint)

    def _begin(self) -> None:
        """Find the places where to go on, and write down that it has begun."""
        state = self._state
        marks = dict(state.marks)
        patterns = [pattern for pattern in self._patterns if pattern in state.patterns]
        self._files.resume(_earliest(marks), patterns, state.known, state.saved_at)
        if marks and not state.clean:
            self._recovering = True
            marks |= self._recover()
            self._recovering = False
            self._files.resume(_earliest(marks), (), {}, float("inf"))
        self._folders.watch(self._files.folders())
        self._files.look()
        newest = max(marks.values(), default=self._last)
        if marks.keys() != self._carriers.keys():
            if any(mark < newest for mark in marks.values()):
                self._say("the servers are not the same as before: hits that some had not got are not counted")
            marks = dict.fromkeys(self._carriers, newest)
        self._from = {name: mark.number for name, mark in marks.items()}
        self._last, *self._ahead = sorted(set(marks.values()))
        if self._ahead:
            self._limit()
        else:
            self._last = Mark(newest.number, self._positions())
            marks = dict.fromkeys(marks, self._last)
        self._state = State(state.follower, self._patterns, marks)
        try:
            self._state_file.save(self._state_now())
        except OSError as error:
            raise StateError(f"cannot write the state file ({error.strerror})", self._state_file.path) from error

    def _recover(self) -> dict[str, Mark]:
        """Ask the servers how far they are, after a kill, and return what is later than the state file knows."""
        found: dict[str, Mark] = {}
        known = self._state.marks
        for name, carrier in self._carriers.items():
            place = carrier.recover(self._began_at)
            if name in known and place.begun and place.begun.number > known[name].number:
                found[name] = place.begun
                if place.ended != place.begun.number:
                    self._doubted += place.hits
                    doubt = f"{place.hits:,} hits in doubt are not counted again"
                    self._say(f"the follower was killed, or lost its connection, while {name} was counting: {doubt}")
        return found

    def _limit(self) -> None:
        """Let the files be read up to the next mark that some server has reached already."""
        if not self._ahead:
            for tail in self._files.tails.values():
                tail.limit = None
            return
        limits = {position.file: position.offset for position in self._ahead[0].positions}
        older = {position.file for position in self._last.positions}
        for tail in self._files.tails.values():
            tail.limit = limits.get(tail.origin, None if tail.origin in older else tail.offset)

    # Again and again

    def _step(self) -> None:
        """Look, read, cut, save what there is, and wait for more."""
        now = time.monotonic()
        changed, renames = self._folders.changes()
        if changed or now >= self._look_at:
            self._look(renames)
        outcome = self._read_on()
        if self._rows_to_send(now):
            self._cut()
        if self._ahead and outcome is _Reading.ENDED:
            self._cut(self._ahead.pop(0))
            self._limit()
            return
        self._save()
        self._report_problems()
        self._wait(outcome)

    def _look(self, renames: Iterable[Rename]) -> None:
        """See what has become of the files."""
        self._folders.watch(self._files.folders())
        self._files.look(renames)
        if self._ahead:
            self._limit()
        self._lines = {file: lines for file, lines in self._lines.items() if file in self._files.tails}
        self._unsaved |= self._state.known != self._files.known
        self._look_at = time.monotonic() + (LOOK_SECONDS if self._folders.fileno() is None else WATCHED_LOOK_SECONDS)

    def _read_on(self) -> "_Reading":
        """Read all files on, until there is nothing more, or no room, or it has taken long."""
        until = time.monotonic() + LOOK_SECONDS
        outcome = _Reading.ENDED
        found = True
        while found:
            found = False
            for tail in list(self._files.tails.values()):
                if self._rows >= SEGMENT_ROWS or self._bytes >= SEGMENT_BYTES:
                    self._cut()
                if self._waiting_rows + self._rows >= self._max_paths:
                    self._report(
                        "paths", f"{self._waiting_rows:,} rows wait for memcached: the rest waits in the files"
                    )
                    return _Reading.FULL
                if self._read(tail):
                    found, outcome = True, _Reading.FOUND
            if time.monotonic() >= until or self._stopped:
                break
        return outcome

    def _read(self, tail: Tail) -> bool:
        """Count the next lines of a file, if there are any."""
        try:
            if tail.is_truncated():
                self._files.truncated(tail)
            lines = tail.read()
            if not lines and tail.is_over():
                lines = tail.last_line()
                self._files.drop(tail)
        except OSError as error:
            self._report(f"unreadable {tail.path}", f"cannot read log file: {tail.path} ({error.strerror})")
            return False
        if not lines:
            return False
        counted = self._uncut[tail.file] = self._lines.setdefault(tail.file, _Lines(self._selection))
        before = counted.size()
        try:
            counted.feed(lines)
        except UsageError as lack:
            self._report("format", f"{tail.path}: {lack}: lines are counted as if it were not there")
        rows, size = counted.size()
        self._rows += rows - before[0]
        self._bytes += size - before[1]
        return True

    def _rows_to_send(self, now: float) -> bool:
        """Tell whether to cut a segment though it is not full: some server has nothing to do."""
        if self._ahead or not (self._uncut or self._health.at <= now):
            return False
        with self._lock:
            under_way = [self._under_way[name] for name in self._carriers]
        return min(under_way) == 0 and (max(under_way) < FAR_BEHIND or now >= self._cut_at)

    def _cut(self, mark: Mark | None = None) -> None:
        """Make a segment of what has been read, up to *mark* or else to where the files have been read."""
        views = Counter[str]()
        figures = Counter[str]()
        for lines in self._uncut.values():
            for day, path, hits in lines.take():
                views[hit_key(day, path, self._prefix)] += hits
            figures += lines.figures()
        if self._uncut or mark:
            self._send(views, mark, figures)
        self._uncut.clear()
        self._rows = self._bytes = 0
        now = time.monotonic()
        self._cut_at = now + SPREAD_SECONDS
        if now >= self._health.at and not self._ahead and (rows := self._health.take()):
            self._send(Counter({hit_key(day, path, self._prefix): rise for day, path, rise in rows}))

    def _send(self, views: Counter[str], mark: Mark | None = None, figures: Counter[str] | None = None) -> None:
        """Give the carriers a segment: of hits, or with no *figures* one of figures."""
        to = {name for name, number in self._from.items() if number <= self._last.number}
        self._last = mark or Mark(self._last.number + (1 if self._ahead else NUMBERS), self._positions())
        parts: dict[str, list[tuple[str, int]]] = {name: [] for name in to}
        for key, number in views.items():
            if (part := parts.get(self._server_of(key))) is not None:
                part.append((key, number))
        segment = Segment(self._last, parts, to, len(views), figures)
        with self._lock:
            self._segments.append(segment)
            self._waiting_rows += segment.rows
            self._under_way.update(to)
        for name in list(to):
            self._carriers[name].queue.put(segment)

    def _positions(self) -> Positions:
        return tuple(tail.position() for tail in self._files.tails.values())

    def _done(self, server: str, segment: Segment, outcome: Outcome) -> None:
        """Book what a server has got; the carriers call this."""
        with self._lock:
            self._totals["delivered"] += outcome.delivered
            self._totals["in doubt"] += outcome.in_doubt
            self._totals["refused"] += outcome.refused
            self._state.marks[server] = segment.mark
            self._under_way[server] -= 1
            segment.waiting.discard(server)
            if not segment.waiting:
                self._segments.remove(segment)
                self._waiting_rows -= segment.rows
                self._totals.update(segment.figures or {})
            self._unsaved = True
        os.eventfd_write(self._event, 1)

    def _wait(self, outcome: "_Reading") -> None:
        """Wait until there may be something to do, and tell the figures if somebody has asked for them."""
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        seconds = READ_SECONDS
        if outcome is not _Reading.FOUND:
            seconds = min(self._look_at, self._health.at) - time.monotonic()
            changes = self._folders.fileno()
            if outcome is _Reading.ENDED and changes is not None:
                poll.register(changes, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        with suppress(BlockingIOError):
            os.eventfd_read(self._event)
        if self._asked:
            self._asked = False
            figures = self._figures() | {"uptime": int(time.monotonic() - self._began_at)}
            self._say(", ".join(f"{name} {number}" for name, number in figures.items()) + " s")

    def _report_problems(self) -> None:
        """Report a server that does not answer. Raises what has ended a carrier."""
        now = time.monotonic()
        for name, carrier in self._carriers.items():
            if carrier.failure:
                raise carrier.failure
            since = carrier.busy_since
            if since is not None and now >= since + STALL_SECONDS:
                waiting = f"{self._waiting_rows:,} rows wait, and the rest in the files"
                self._report(f"stalled {name}", f"{name} has not answered for {STALL_SECONDS:.0f} s: {waiting}")

    def _save(self) -> None:
        """Write down how far the servers are, if that has changed and was not done just now."""
        now = time.monotonic()
        if self._unsaved and now >= self._save_at:
            self._save_at = now + SAVE_SECONDS
            try:
                self._state_file.save(self._state_now())
            except OSError as error:
                text = f"cannot write the state file: {self._state_file.path} ({error.strerror})"
                self._report("state", f"{text}; counting goes on, memcached remembers how far it is")

    def _state_now(self) -> State:
        with self._lock:
            self._unsaved = False
            self._state.known = self._files.known
            return replace(self._state, marks=dict(self._state.marks))

    def _drain(self) -> None:
        """Deliver what has been read, if that does not take too long, and write down where it ends."""
        deadline = time.monotonic() + self._drain_seconds
        for _ in range(2):  # the hits, then the figures that they make
            self._cut()
            while self._segments and time.monotonic() < deadline:
                poll = select.poll()
                poll.register(self._event, select.POLLIN)
                poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._event)
            self._health.at = 0.0
        self._state.clean = not self._segments
        if self._segments:
            self._say(f"ended before everything was delivered: {self._losses()}; the next start counts what waits")
            self._abandon()
        for carrier in self._carriers.values():
            carrier.queue.put(None)
            carrier.join()
        self._save_at, self._unsaved = 0.0, True
        self._save()

    # Figures

    def _totals_of_all(self) -> Mapping[str, int]:
        """Return the figures to publish: of segments that have been delivered, so that no kill makes them wrong."""
        with self._lock:
            totals = Counter(self._totals)
        totals["in doubt"] += self._doubted
        totals["reconnects"] = sum(carrier.reconnects for carrier in self._carriers.values())
        return totals

    def _figures(self) -> dict[str, int]:
        """Return all figures so far, with those that wait."""
        totals = Counter(self._totals_of_all())
        with self._lock:
            for segment in self._segments:
                totals.update(segment.figures or {})
                totals["pending"] += segment.hits()
        names = [*FIGURES[:4], "pending", *FIGURES[4:]]
        return {name: totals[name] for name in names}

    def _losses(self) -> str:
        figures = self._figures()
        losses = {"waiting": figures["pending"], **{name: figures[name] for name in ("in doubt", "refused")}}
        return ", ".join(f"{hits:,} hits {what}" for what, hits in losses.items() if hits) or NO_LOSS


class _Reading(Enum):
    """How reading the files on has ended."""

    FOUND = auto()
    """There were lines, and more may be there soon."""
    ENDED = auto()
    """There was nothing."""
    FULL = auto()
    """There is no room for more."""


def _earliest(marks: Mapping[str, Mark]) -> Positions:
    """Return where to read on so that every server gets all; files that only later marks have are read whole."""
    places: dict[FileId, Position] = {}
    ordered = sorted(set(marks.values()))
    for mark in ordered:
        for position in mark.positions:
            places.setdefault(position.file, position if mark is ordered[0] else position._replace(offset=0))
    return tuple(places.values())
