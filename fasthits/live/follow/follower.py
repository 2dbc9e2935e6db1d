"""The follower: counts log files that are still being written, exactly once, over kills and rotation.

    files --lines--> Follower --segments--> a Carrier for each server --> memcached

The files are the backlog. Hits wait in memory only as far as there is room; after a kill their lines are read again.
The follower reads on while memcached is down, so a file may be rotated or truncated meanwhile.
"""

import os
import resource
import select
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import NoReturn

from fasthits.display import counted
from fasthits.errors import StateError, UsageError
from fasthits.live.causes import warning_figure
from fasthits.live.connections import Abandoned
from fasthits.live.follow.deliveries import Deliveries
from fasthits.live.follow.files import Files
from fasthits.live.follow.inotify import FolderWatch, Rename
from fasthits.live.follow.open_files import OpenFiles
from fasthits.live.follow.positions import (
    START_OVER,
    FileId,
    Mark,
    Position,
    Positions,
    State,
    StateFile,
    check_patterns,
    read_state,
    unwritable,
)
from fasthits.live.follow.tail import Tail
from fasthits.live.follow.tally import Tally
from fasthits.live.keys import hit_key
from fasthits.live.reader import Say
from fasthits.live.statistics import FIGURES, Health, losses_in, status_line
from fasthits.live.supervisor import Throttle
from fasthits.rules.compiled import CompiledRules

SEGMENT_ROWS = 500
SEGMENT_BYTES = 1 << 15
"""A segment ends after this many rows or bytes of keys. The system still takes so much for a memcached that has just
stopped."""
READ_SECONDS = 0.025
"""The pause after a read, in which further lines gather."""
LOOK_SECONDS = 0.25
"""The time between two looks at folders and files without inotify."""
WATCHED_LOOK_SECONDS = 1.0
"""The same with inotify, which does not see changes by other machines."""
SAVE_SECONDS = 1.0
NUMBERS = 1 << 20
"""The step from one mark's number to the next; lines that are read again use the numbers between."""


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
        compiled: CompiledRules,
    ) -> None:
        """*state* is the name of the state file; *say* gets at most one line a minute for each cause.

        Raises UsageError for an invalid pattern, StateError for a state that cannot be used.
        """
        self._began_at = time.monotonic()
        self._patterns = check_patterns(patterns)
        self._state_file = StateFile(state)
        self._state = read_state(state, self._patterns) or State()
        self._prefix = prefix
        self._say = say
        self._throttle = Throttle(say)
        self._throttle_lock = threading.Lock()
        self._max_paths = max_paths
        self._drain_seconds = drain_seconds
        self._stopped = self._asked = self._recovering = False
        self._doubted = 0
        """Hits that an earlier follower left in doubt."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._deliveries = Deliveries(servers, self._state.follower, prefix, ttl, self._report, self._event)
        self._folders = FolderWatch()
        self._opened = OpenFiles(say, self._report)
        self._files = Files(self._patterns, self._opened, say, self._report)
        self._tally = Tally(compiled)
        self._last = Mark(0, ())
        """The end of the last segment."""
        self._ahead: list[Mark] = []
        """Later marks that some servers have reached already; the others need the lines before these marks."""
        self._health = Health(self._figures_to_publish, compiled.rules)
        self._look_at = self._save_at = 0.0

    def _report(self, cause: str, text: str) -> None:
        """Say *text*, once a minute for each cause; the carriers call this, too."""
        with self._throttle_lock:
            self._throttle(cause, text)

    def stop(self) -> None:
        """End `run` soon; a signal handler may call this."""
        self._stopped = True
        os.eventfd_write(self._event, 1)
        if self._recovering:
            self._deliveries.abandon()

    def ask_status(self) -> None:
        """Report the figures so far soon; a signal handler may call this."""
        self._asked = True
        os.eventfd_write(self._event, 1)

    def run(self) -> None:
        """Follow until `stop` is called, then deliver what was read until the drain time is over.

        Raises StateError when the state cannot be written, or is older than a server's mark, before that server counts.
        """
        with suppress(OSError, ValueError):  # a rotated file stays open with the new one, and there may be many
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        try:
            self._begin()
            while not self._stopped and not self._deliveries.outrun():
                self._step()
            if server := self._deliveries.outrun():
                self._refuse(server)
            self._drain()
        except Abandoned:  # stopped before it had begun
            pass
        finally:
            self._deliveries.abandon()
            self._deliveries.close()
            self._folders.close()
            self._opened.close()
            self._state_file.close()

    # Where to begin

    def _begin(self) -> None:
        """Find the positions to go on from, and save them."""
        state = self._state
        marks = dict(state.marks)
        patterns = [pattern for pattern in self._patterns if pattern in state.patterns]
        if marks and not state.clean:
            self._opened.hold(_earliest(marks))
            marks = self._recover(marks)
        self._files.resume(_earliest(marks), patterns, state.known, state.saved_at)
        self._folders.watch(self._files.folders())
        self._files.look()
        servers = self._deliveries.servers()
        newest = max(marks.values(), default=self._last)
        if set(marks) != set(servers):
            if any(mark < newest for mark in marks.values()):
                self._say("the list of servers has changed: hits that some server had not received are not counted")
            marks = dict.fromkeys(servers, newest)
        self._last, *self._ahead = sorted(set(marks.values()))
        if not self._ahead:
            self._last = Mark(newest.number, self._positions())
            marks = dict.fromkeys(servers, self._last)
        self._limit()
        self._state = State(state.follower, self._files.searched(), marks, self._files.known)
        try:
            self._state_file.save(self._state)
        except OSError as error:
            raise unwritable(self._state_file.path, error.errno) from error
        self._deliveries.start(marks)

    def _recover(self, marks: Mapping[str, Mark]) -> dict[str, Mark]:
        """Return the servers' marks after a kill; they may be later than those in the state file."""
        self._recovering = True
        if self._stopped:
            raise Abandoned
        found, self._doubted = self._deliveries.recover(marks, self._began_at)
        self._recovering = False
        for server, mark in found.items():
            if mark != marks[server] and self._opened.contradict(mark.positions):
                raise self._outrun_by(server)
        if self._doubted:
            hits = f"{counted(self._doubted, 'hit')} in doubt, not counted again"
            self._say(f"the follower was killed while memcached was counting, or unreachable: {hits}")
        return found

    def _limit(self) -> None:
        """Limit reading to the next mark that a server has reached already."""
        if not self._ahead:
            for tail in self._opened.tails.values():
                tail.limit = None
            return
        limits = {position.file: position.offset for position in self._ahead[0].positions}
        older = {position.file for position in self._last.positions}
        for tail in self._opened.tails.values():
            tail.limit = limits.get(tail.origin, None if tail.origin in older else tail.offset)

    # The loop

    def _step(self) -> None:
        """Look, read, cut, save, and wait for more."""
        now = time.monotonic()
        changed, renames = self._folders.changes()
        if changed or now >= self._look_at:
            self._look(renames)
        outcome = self._read_on()
        waits = self._tally or now >= self._health.at
        if waits and not self._ahead and self._deliveries.wants_more():
            self._cut()
        if self._ahead and outcome is _Reading.ENDED:
            self._cut(mark := self._ahead.pop(0))
            self._files.move_absent_to(mark.positions)
            self._limit()
            return
        self._save()
        self._deliveries.check()
        self._wait(outcome)

    def _look(self, renames: Iterable[Rename]) -> None:
        """Find new and renamed files."""
        self._folders.watch(self._files.folders())
        self._files.look(renames)
        if self._ahead:
            self._limit()
        self._tally.forget_all_but(self._opened.tails)
        self._look_at = time.monotonic() + (LOOK_SECONDS if self._folders.fileno() is None else WATCHED_LOOK_SECONDS)

    def _read_on(self) -> "_Reading":
        """Read all files until there are no more lines, or no room, or LOOK_SECONDS have passed."""
        until = time.monotonic() + LOOK_SECONDS
        outcome = _Reading.ENDED
        found = True
        while found:
            found = False
            for tail in list(self._opened.tails.values()):
                if self._tally.rows >= SEGMENT_ROWS or self._tally.bytes >= SEGMENT_BYTES:
                    self._cut()
                if self._deliveries.rows + self._tally.rows >= self._max_paths:
                    self._report(
                        "paths", f"{self._deliveries.rows:,} rows wait for memcached: the rest waits in the files"
                    )
                    return _Reading.FULL
                if self._read(tail):
                    found, outcome = True, _Reading.FOUND
            if time.monotonic() >= until or self._stopped:
                break
        return outcome

    def _read(self, tail: Tail) -> bool:
        """Count the next lines of a file; return whether there were any."""
        lines = self._opened.read(tail)
        if not lines:
            return False
        try:
            if misfit := self._tally.feed(tail.file, lines):
                self._report(f"{misfit.cause} {tail.path}", f"{tail.path}: {misfit.text}")
        except UsageError as lack:
            self._report(f"format {tail.path}", f"{tail.path}: {lack}: lines are read as if it were empty")
        return True

    def _cut(self, mark: Mark | None = None) -> None:
        """Make a segment of the lines read, up to *mark* or to the current positions."""
        if self._tally or mark:
            views = Counter[str]()
            rows, figures = self._tally.take()
            for day, path, hits in rows:
                views[hit_key(day, path, self._prefix)] += hits
            self._send(views, mark, figures)
        now = time.monotonic()
        if now >= self._health.at and not self._ahead and (published := self._health.take()):
            self._send(Counter({hit_key(day, path, self._prefix): rise for day, path, rise in published}))

    def _send(self, views: Counter[str], mark: Mark | None = None, figures: Counter[str] | None = None) -> None:
        """Send a segment of hits, or of figures if *figures* is None."""
        behind = self._last.number
        self._last = mark or Mark(behind + (1 if self._ahead else NUMBERS), self._positions())
        self._deliveries.send(views, behind, self._last, figures)

    def _positions(self) -> Positions:
        return self._files.positions()

    def _wait(self, outcome: "_Reading") -> None:
        """Wait until there may be something to do; report the figures if a signal asked for them."""
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        seconds = READ_SECONDS
        if outcome is not _Reading.FOUND:
            # While lines are read again no figures are published, so their time may be long past.
            next_at = self._look_at if self._ahead else min(self._look_at, self._health.at)
            seconds = next_at - time.monotonic()
            changes = self._folders.fileno()
            if outcome is _Reading.ENDED and changes is not None:
                poll.register(changes, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        with suppress(BlockingIOError):
            os.eventfd_read(self._event)
        if self._asked:
            self._asked = False
            self._say(status_line(self._figures(), self._began_at))

    def _save(self, clean: bool = False) -> None:
        """Save the servers' marks if they have changed, at most every SAVE_SECONDS."""
        now = time.monotonic()
        files = self._files
        marks = self._deliveries.marks()
        state = replace(self._state, patterns=files.searched(), marks=marks, known=files.known, clean=clean)
        if now >= self._save_at and state != self._state:
            self._state, self._save_at = state, now + SAVE_SECONDS
            try:
                self._state_file.save(state)
            except OSError as error:
                text = f"cannot write the state file: {self._state_file.path} ({error.strerror})"
                self._report("state", f"{text}; counting continues; memcached remembers the position")

    def _drain(self) -> None:
        """Deliver the hits of all lines read, within the drain time, and save the positions."""
        deadline = time.monotonic() + self._drain_seconds
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        for _ in range(2):  # first the hits, then the figures about them
            self._cut()
            while self._deliveries and time.monotonic() < deadline:
                poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._event)
            self._health.at = 0.0
        if self._figures()["pending"]:
            self._say(f"ended before everything was delivered: {self._losses()}; the next start counts what waits")
        self._end()

    def _end(self) -> None:
        """End all deliveries, and save the positions."""
        if self._deliveries:
            self._deliveries.abandon()
        self._deliveries.close()
        self._save_at = 0.0
        self._save(clean=self._deliveries.is_sure())

    def _refuse(self, server: str) -> NoReturn:
        """End because *server* has counted further than the state file says. Raises StateError.

        Its mark is no place to go on from: an old state file does not know which files were rotated since.
        """
        self._end()
        raise self._outrun_by(server)

    def _outrun_by(self, server: str) -> StateError:
        hint = f"an old copy, or in use elsewhere, too? {START_OVER}; fasthits warm counts the lines before"
        return StateError(f"{server} has counted further than the state file says", self._state_file.path, hint)

    # Figures

    def _figures_to_publish(self) -> Mapping[str, int]:
        """Return the figures of delivered segments."""
        totals = self._deliveries.totals()
        totals["in doubt"] += self._doubted
        for cause, times in self._throttle.said.copy().items():
            totals[warning_figure(cause.partition(" ")[0])] += times
        return totals

    def _figures(self) -> dict[str, int]:
        """Return all figures so far, also of waiting segments."""
        totals = Counter(self._figures_to_publish()) + self._deliveries.waiting()
        names = [*FIGURES[:4], "pending", *FIGURES[4:9]]
        return {name: totals[name] for name in names}

    def _losses(self) -> str:
        return losses_in(self._figures())


class _Reading(Enum):
    """How reading the files has ended."""

    FOUND = auto()
    """There were lines, and more may come soon."""
    ENDED = auto()
    """There were no more lines."""
    FULL = auto()
    """There is no room for more."""


def _earliest(marks: Mapping[str, Mark]) -> Positions:
    """Return the positions from which every server gets all lines; files that only later marks have are read whole."""
    places: dict[FileId, Position] = {}
    ordered = sorted(set(marks.values()))
    for mark in ordered:
        for position in mark.positions:
            places.setdefault(position.file, position if mark is ordered[0] else position._replace(offset=0))
    return tuple(places.values())
