"""The hits of some days, counted by several threads from the files that hold them."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from fasthits import logfiles
from fasthits._parse import EXAMPLES, WHOLE, HitCounter
from fasthits.days import ONE_DAY, file_name, has_date, name_days
from fasthits.errors import LogFileError
from fasthits.logfiles import BLOCK_BYTES, STDIN, Advance, LogFile, Segment

Progress = Callable[[int | None], Advance]
"""Is told how many bytes the files have on the disk, None where that is unknown, and returns what is told of the
progress through them, from any thread."""


LEAST_TABLE_BYTES = 4 << 20
"""Where memory for a table of that size is not there for each thread, fewer threads count."""


class Example(NamedTuple):
    """A malformed line: where it stands, from line 1, and how it begins."""

    file: str
    line: int
    head: bytes


@dataclass(frozen=True)
class Counted:
    """What was counted, and in what."""

    counter: HitCounter
    """All figures, and the rows of the first share of them: all, unless *max_bytes* was too little for that."""
    files: int
    bytes: int
    """Of log lines, decompressed."""
    examples: list[Example]
    days: list[date]
    """The days asked for whose hits are all there: those with a file, or that lines are stamped with."""
    missing: list[date]
    """The days asked for that have no file."""
    more: Callable[[], Iterator[HitCounter]]
    """Counts the other shares, one for each pass over the files."""

    def shares(self) -> Iterator[HitCounter]:
        """Yield counters that have all the rows between them; the one before is empty when the next one comes.

        Raises LogFileError as `count_hits` does.
        """
        yield self.counter
        if self.counter.share != WHOLE:
            self.counter.drain()
            yield from self.more()


def count_hits(
    days: Sequence[date],
    pattern: str,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
) -> Counted:
    """Count the hits of *days* in the files that *pattern* names, or standard input for ``-``.

    A day's hits are the lines stamped with it in its own file and in the next day's, where requests that ended after
    midnight are. A day without a file is left out, with a pattern that names no date each day that no line is stamped
    with. *threads* is by default one for each processor this process may use. The tables take *max_bytes* at most;
    where that is too little for all paths at once, the files are read again for each further share of them.

    Raises LogFileError when there is no file at all, or one cannot be read to its end, or again.
    """
    dated = pattern != STDIN and has_date(pattern)
    files, missing = _dated_files(days, pattern) if dated else _undated_files(days, pattern)
    if not files:
        raise LogFileError(
            f"no log file for {name_days(days)}",
            file_name(pattern, days[0]) if dated else pattern,
            "name another with --logs PATTERN or FASTHITS_LOGS",
        )
    run = _Run(files, threads or len(os.sched_getaffinity(0)), progress, max_bytes)
    counter = run.count(0)
    return Counted(
        counter=counter,
        files=len(files),
        bytes=run.last.bytes_read(),
        examples=run.last.examples(),
        days=sorted(set(days) - set(missing) if dated else set(days) & counter.days_seen),
        missing=missing,
        more=lambda: run.count_rest(counter.share),
    )


def _dated_files(days: Sequence[date], pattern: str) -> tuple[dict[LogFile, set[date]], list[date]]:
    """Return the files to read, each with the days whose hits it holds, and the days that have no file of their own."""
    files: dict[LogFile, set[date]] = {}
    missing = []
    for day in days:
        own = logfiles.find(file_name(pattern, day))
        if not own:
            missing.append(day)
            continue
        if day < date.max:
            own += logfiles.find(file_name(pattern, day + ONE_DAY))
        for log_file in own:
            files.setdefault(log_file, set()).add(day)
    return files, missing


def _undated_files(days: Sequence[date], pattern: str) -> tuple[dict[LogFile, set[date]], list[date]]:
    """Return the files to read, each for all the days; that a day has no line in them is known only after reading."""
    name = pattern if pattern == STDIN else file_name(pattern, days[0])
    return {log_file: set(days) for log_file in logfiles.find(name)}, []


class _Run:
    """As many passes over the files as their paths need, one if memory is enough for all of them."""

    def __init__(
        self, files: dict[LogFile, set[date]], threads: int, progress: Progress | None, max_bytes: int | None
    ) -> None:
        self._files = files
        self._threads = threads
        self._progress = progress
        self._max_bytes = max_bytes
        self.last: _Pass

    def count(self, first_hash: int) -> HitCounter:
        """Return the rows from *first_hash* on, as many as memory allows; all figures are those of all rows."""
        sizes = [log_file.size for log_file in self._files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        advance = self._progress(total) if self._progress else lambda size: None
        self.last = _Pass(self._files, (first_hash, WHOLE[1]), self._threads, self._max_bytes)
        counter = self.last.run(advance)
        if counter.share[1] != WHOLE[1]:
            self._check_readable_again()
        return counter

    def count_rest(self, share: tuple[int, int]) -> Iterator[HitCounter]:
        """Yield the rows behind *share*, a share in each pass."""
        while share[1] != WHOLE[1]:
            counter = self.count(share[1] + 1)
            share = counter.share
            yield counter
            counter.drain()

    def _check_readable_again(self) -> None:
        """Raise LogFileError for what has no end that is known, and is gone once it was read."""
        for log_file in self._files:
            if log_file.size is None:
                hint = "raise --max-memory, or put it into a file"
                raise LogFileError("too many paths for the memory, and what cannot be read twice", log_file.name, hint)


class _Pass:
    """One pass over the files by some threads, each with a counter of its own."""

    def __init__(
        self, files: dict[LogFile, set[date]], share: tuple[int, int], threads: int, max_bytes: int | None
    ) -> None:
        self._files = files
        self._share = share
        self._segments = {log_file: log_file.segments() for log_file in files}
        segments = [segment for log_file in files for segment in self._segments[log_file]]
        # What can only be read from the front takes longest, so it comes first.
        self._queue = deque(sorted(segments, key=lambda segment: segment.stop is not None))
        self._workers = min(threads, len(segments) or 1)
        if max_bytes:
            self._workers = min(self._workers, max(1, max_bytes // LEAST_TABLE_BYTES - 1))
        # At the most there is the table that all are merged into, as large as all together, and the last one merged.
        self._table_bytes = max_bytes and max_bytes // (self._workers + (self._workers > 1))
        self._counted: dict[Segment, _SegmentCount] = {}
        self._stopped = False

    def run(self, advance: Advance) -> HitCounter:
        """Count everything, and return the total."""
        outcomes: SimpleQueue[HitCounter | BaseException] = SimpleQueue()
        for _ in range(self._workers):
            # No pool: at an interrupt it would wait for a thread that waits for standard input.
            Thread(target=self._work, args=(advance, outcomes), daemon=True).start()
        counters = []
        try:
            for _ in range(self._workers):
                outcome = outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                counters.append(outcome)
        except BaseException:
            self._stopped = True
            raise
        return self._merged(counters)

    def _merged(self, counters: list[HitCounter]) -> HitCounter:
        """Return the total, of the share that all of them have."""
        share = self._share[0], min(counter.share[1] for counter in counters)
        total = counters.pop()
        total.share, total.max_bytes = share, None
        while counters:
            counter = counters.pop()
            counter.share = share
            total.merge(counter)
        return total

    def _work(self, advance: Advance, outcomes: "SimpleQueue[HitCounter | BaseException]") -> None:
        try:
            outcomes.put(self._count_segments(advance))
        except BaseException as error:
            outcomes.put(error)

    def bytes_read(self) -> int:
        return sum(count.size for count in self._counted.values())

    def examples(self) -> list[Example]:
        """Return some malformed lines, the line numbers of segments becoming those of their files."""
        examples = []
        for log_file, segments in self._segments.items():
            before = 0
            for count in map(self._counted.__getitem__, segments):
                examples += [Example(log_file.name, before + line, head) for line, head in count.examples]
                before += count.lines
        return examples[:EXAMPLES]

    def _count_segments(self, advance: Advance) -> HitCounter:
        counter = HitCounter(max_bytes=self._table_bytes)
        counter.share = self._share
        buffer = bytearray(BLOCK_BYTES)
        counted_days: set[date] | None = None
        while not self._stopped and (segment := self._next_segment()):
            days = self._files[segment.log_file]
            if days is not counted_days:
                counter.count_only(days)
                counted_days = days
            self._count_segment(segment, counter, buffer, advance)
        return counter

    def _next_segment(self) -> Segment | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _count_segment(self, segment: Segment, counter: HitCounter, buffer: bytearray, advance: Advance) -> None:
        lines_before, examples_before, size = counter.lines, len(counter.examples), 0
        for block in segment.blocks(buffer, advance):
            if self._stopped:
                return
            counter.feed(block)
            size += len(block)
        counter.finish()
        examples = [(line - lines_before, head) for line, head in counter.examples[examples_before:]]
        self._counted[segment] = _SegmentCount(size, counter.lines - lines_before, examples)


class _SegmentCount(NamedTuple):
    size: int
    lines: int
    examples: list[tuple[int, bytes]]
