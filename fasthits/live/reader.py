"""The reader: the process that Apache starts. It reads the pipe and counts, and never waits for anything else.

    Apache --pipe--> Reader --batches of rows--> courier --> memcached

A web server hangs when its log pipe is full, so the reader waits only for input, the courier or the clock, whichever
comes first. It goes on counting while a batch is in flight: the slower the courier, the more hits each row has, and the
fewer rows there are. On an idle site a line is sent at once. Under load the reader lets the pipe fill for READ_SECONDS,
as long as little of it is full; for less if it was full after the last pause, as its writer has waited.
"""

import fcntl
import os
import select
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fasthits.display import counted
from fasthits.errors import LogFileError, UsageError
from fasthits.live.backlog import Backlog, FreshBacklog
from fasthits.live.causes import warning_figure
from fasthits.live.connections import RETRY_SECONDS
from fasthits.live.courier import Courier
from fasthits.live.memcached import CounterStore, Delivery
from fasthits.live.misfits import Misfits
from fasthits.live.statistics import NO_LOSS, Health, hours_of, losses_in, status_line
from fasthits.live.supervisor import Throttle
from fasthits.rules.compiled import CompiledRules

READ_BYTES = 1 << 20
READ_SECONDS = 0.025
"""The longest pause after a read that gave less than QUIET_PART of the pipe's size."""
QUIET_PART, FULL_PART = 1 / 4, 1 / 2
PIPE_BYTES = 1 << 16
"""Assumed size of an input that is not a pipe: the smallest size of a pipe."""
PATH_BYTES = 512
"""The reader's memory for a waiting path, on average. If paths are longer, fewer than *max_paths* can wait."""
RESTART_SECONDS = 1.0
"""The least time between the starts of two couriers."""
STALL_SECONDS = 10.0
"""A batch that is in flight for longer is reported."""

Say = Callable[[str], None]
"""Takes a line for the server's error log."""


@dataclass
class Totals:
    """The outcome of the hits so far. All others are pending."""

    delivered: int = 0
    in_doubt: int = 0
    refused: int = 0
    reconnects: int = 0


class Reader:
    """Counts the lines of one pipe into memcached, from `run` until the pipe's end."""

    def __init__(
        self,
        fd: int,
        open_store: Callable[[int], CounterStore],
        say: Say,
        max_paths: int,
        drain_seconds: float,
        compiled: CompiledRules,
        report: Throttle | None = None,
        discarded: int = 0,
    ) -> None:
        """*open_store* is called in each courier; *say* gets at most one line a minute for each cause.

        A reader that replaces another shares its *report*, so that the limit is for both together. *discarded* is the
        number of lines of this pipe that were discarded before; the reader publishes it.
        """
        self.totals = Totals()
        self._discarded = discarded
        self._fd = fd
        self._open_store = open_store
        self._say = say
        self._report = report or Throttle(say)
        self._said_before = self._report.said.copy()
        self._max_paths = max_paths
        self._drain_seconds = drain_seconds
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._read_bytes = 0
        self._pipe_bytes = _pipe_bytes(fd)
        self._fresh = FreshBacklog(compiled)
        self._misfits = Misfits(compiled)
        self._returned = Backlog()
        self._hours = Counter[str]()
        self._health = Health(self._figures_to_publish, compiled.rules)
        # The figures come first: they are few, and after the hits of a busy site they would wait for ever.
        self._sources: tuple[Health | Backlog, ...] = (self._health, self._returned, self._fresh)
        self._in_flight_from: Health | Backlog = self._fresh
        self._courier: Courier | None = None
        self._ended = False
        self._asked = os.eventfd(0)
        self._begun_at = time.monotonic()
        # The earliest times for what may not be done at once; all times are of the monotonic clock.
        self._read_at = self._start_at = self._stalled_at = 0.0
        self._pause = READ_SECONDS

    def run(self) -> None:
        """Count until the pipe ends, and go on until all is delivered or the drain time is over.

        What could not be delivered by then is reported. Raises LogFileError when the pipe cannot be read.
        """
        deadline = float("inf")
        try:
            while not self._ended or (self._waiting() and time.monotonic() < deadline):
                at, step = self._next()
                if time.monotonic() >= at:
                    step()
                ready = self._wait_until(deadline)
                if self._courier and (events := ready.get(self._courier.fileno())):
                    self._talk(self._courier, events)
                if self._asked in ready:
                    self._report_status()
                if self._fd in ready and not self._read():
                    self._ended = True
                    deadline = time.monotonic() + self._drain_seconds
                if time.monotonic() >= self._misfits.at:
                    self._look_for_misfits()
        finally:
            self._end()

    def pending(self) -> int:
        """Return the number of hits that have been counted and have not reached memcached yet."""
        fresh, totals = self._fresh, self.totals
        return fresh.hits() - fresh.hit_table.dropped - totals.delivered - totals.in_doubt - totals.refused

    def close(self) -> None:
        """Release file descriptors and the courier. Nothing else may be called after this."""
        os.close(self._asked)

    def ask_status(self) -> None:
        """Have the figures so far reported, soon; a signal handler may call this."""
        os.eventfd_write(self._asked, 1)

    def _report_status(self) -> None:
        os.eventfd_read(self._asked)
        self._say(status_line(self._figures(), self._begun_at))

    def _figures(self) -> dict[str, int]:
        hit_table, totals, hits = self._fresh.hit_table, self.totals, self._fresh.hits()
        return {
            "lines": hit_table.lines,
            "hits": hits,
            "filtered": hit_table.lines - hits - hit_table.malformed,
            "malformed": hit_table.malformed,
            "pending": self.pending(),
            "delivered": totals.delivered,
            "in doubt": totals.in_doubt,
            "refused": totals.refused,
            "dropped": hit_table.dropped,
            "reconnects": totals.reconnects,
        }

    def _figures_to_publish(self) -> dict[str, int]:
        """Return figures that can only rise: waiting hits are left out if a rule may still reject them."""
        warnings = Counter[str]()
        for cause, lines in (self._report.said - self._said_before).items():
            warnings[warning_figure(cause)] += lines
        figures = self._figures() | {"discarded": self._discarded} | warnings
        if self._fresh.reshapes:
            figures["hits"] -= figures["pending"]
        hours = hours_of(self._fresh.hit_table)
        if self._fresh.knows_hours:
            self._hours += hours
        return figures | self._hours

    def _look_for_misfits(self) -> None:
        if misfit := self._misfits.look(self._fresh, self._buffer[: self._read_bytes]):
            self._report(*misfit)

    def _waiting(self) -> bool:
        return any(self._sources) or bool(self._courier and self._courier.rows)

    def _read(self) -> bool:
        """Count what the pipe holds; return False at its end."""
        hit_table = self._fresh.hit_table
        try:
            size = os.readv(self._fd, [self._buffer])
        except BlockingIOError:
            return True
        except OSError as error:
            raise LogFileError("cannot read log lines", "standard input", error.strerror or "") from error
        self._choose_pause(size)
        in_flight = len(self._courier.rows) if self._courier and self._in_flight_from is not self._health else 0
        elsewhere = self._fresh.left + len(self._returned) + in_flight
        full = self._fresh.memory() + self._returned.memory() > self._max_paths * PATH_BYTES
        hit_table.max_paths = 0 if full else max(0, self._max_paths - elsewhere)
        dropped = hit_table.dropped
        try:
            if size:
                self._read_bytes = size
                self._misfits.wake(time.monotonic())
                self._fresh.intake.feed(self._buffer[:size])
            else:
                self._fresh.intake.finish()
        except UsageError as lack:
            self._report("format", f"{lack}: lines are read as if it were empty")
        except MemoryError:
            self._max_paths = len(hit_table)
            self._report(
                "memory", f"out of memory: lines were lost, and no more than {len(hit_table):,} paths are kept now"
            )
        if hit_table.dropped > dropped:
            waiting = f"{len(hit_table) + elsewhere:,} paths wait for memcached, with no room for more"
            self._report("paths", f"{waiting}: {hit_table.dropped:,} hits dropped")
        return size > 0

    def _choose_pause(self, size: int) -> None:
        """Let the pipe fill after a read of *size* bytes, if they were few."""
        if self._read_at:
            was_full = size > self._pipe_bytes * FULL_PART
            self._pause = self._pause / 4 if was_full else min(self._pause * 2, READ_SECONDS)
        self._read_at = time.monotonic() + self._pause if size < self._pipe_bytes * QUIET_PART else 0.0

    def _next(self) -> tuple[float, Callable[[], None]]:
        """Return the earliest time for the next step of delivery, and the step."""
        if self._courier is None:
            return self._start_at, self._start_courier
        if self._courier.rows:
            return self._stalled_at, self._report_stall
        if self._ended:  # the last figures are published after everything was delivered
            self._health.at = float("inf") if self._returned or self._fresh else 0.0
        now = time.monotonic()
        waiting = [each for each in self._sources if each is self._health or each]
        source = min(waiting, key=lambda each: max(each.at, now))  # the first source that is due
        return source.at, partial(self._send, self._courier, source)

    def _start_courier(self) -> None:
        self._start_at = time.monotonic() + RESTART_SECONDS
        try:
            self._courier = Courier(self._open_store)
        except OSError as error:
            self._report("courier", f"cannot start a courier ({error.strerror}): {self._losses()}")

    def _report_stall(self) -> None:
        self._stalled_at = time.monotonic() + STALL_SECONDS
        hits = counted(self.pending(), "hit")
        self._report("stalled", f"memcached has not answered for {STALL_SECONDS:.0f} s: {hits} waiting")

    def _send(self, courier: Courier, source: Health | Backlog) -> None:
        """Give the courier a batch of *source*, which may turn out to have no row."""
        if rows := source.take():
            self._in_flight_from = source
            courier.send(rows)
            self._stalled_at = time.monotonic() + STALL_SECONDS

    def _wait_until(self, deadline: float) -> dict[int, int]:
        """Wait until something can be done, and return the events of the file descriptors that are ready."""
        now = time.monotonic()
        poll = select.poll()
        poll.register(self._asked, select.POLLIN)
        wake_at = [deadline, self._misfits.at, self._next()[0]]
        if self._courier:
            poll.register(self._courier.fileno(), self._courier.events())
        if not self._ended:
            if now >= self._read_at:
                poll.register(self._fd, select.POLLIN)
            else:
                wake_at.append(self._read_at)
        seconds = min(wake_at) - now
        return dict(poll.poll(None if seconds == float("inf") else max(0.0, seconds) * 1000))

    def _talk(self, courier: Courier, events: int) -> None:
        try:
            if events & select.POLLOUT:
                courier.write()
            delivery = courier.read() if events & ~select.POLLOUT else None
        except EOFError:
            self._bury(courier)
        else:
            if delivery:
                self._book(delivery)

    def _book(self, delivery: Delivery) -> None:
        self.totals.reconnects += delivery.reconnects
        if self._in_flight_from is self._health:
            self._health.put(delivery.returned)
            if self._ended:
                return  # at the end of the log a problem with the figures is not worth a line
        else:
            self.totals.delivered += delivery.delivered
            self.totals.in_doubt += delivery.in_doubt
            self.totals.refused += delivery.refused
            if delivery.returned:
                self._take_back(delivery)
        for cause, text in delivery.problems.items():
            self._report(cause, text if cause == "gone" else f"{text}: {self._losses()}")

    def _take_back(self, delivery: Delivery) -> None:
        """Keep the rows that memcached did not get for the next try."""
        retry_at = time.monotonic() + RETRY_SECONDS
        nothing_got_there = self._in_flight_from is self._fresh and not delivery.delivered
        if nothing_got_there:  # otherwise only one of several servers is down, and rows for the others must not wait
            self._fresh.at = retry_at
        if nothing_got_there and not self._fresh.reshapes:
            self._fresh.put(delivery.returned)  # further hits of these paths add up with them
        else:
            self._returned.put(delivery.returned)
            self._returned.at = retry_at

    def _bury(self, courier: Courier) -> None:
        """Settle the batch of a courier that has died; `_next` will start another one."""
        self._settle(courier)
        self._report("courier", f"the courier died and is replaced: {self._losses()}")

    def _settle(self, courier: Courier) -> None:
        """End the courier and book its batch: it is never resent if the courier had begun to send it."""
        courier.end()
        self._courier = None
        if self._in_flight_from is self._health:
            self._health.put(() if courier.taken else courier.rows)
        elif courier.taken:
            self.totals.in_doubt += sum(views for _, _, views in courier.rows)
        else:
            self._returned.put(courier.rows)

    def _losses(self) -> str:
        return losses_in(self._figures())

    def _end(self) -> None:
        if self._courier:
            self._settle(self._courier)
        if self.pending():
            hint = "repair the counters: fasthits warm"
            self._report("end", f"ended before everything was delivered: {self._losses()} ({hint})")
        elif (losses := self._losses()) != NO_LOSS:
            self._report("end", f"ended: {losses} in all")


def _pipe_bytes(fd: int) -> int:
    """Return how many bytes the pipe holds."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError:
        return PIPE_BYTES
