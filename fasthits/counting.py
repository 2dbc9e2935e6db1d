"""The hits of some days, counted by several threads from the files that hold them."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from fasthits import logfiles
from fasthits._parse import EXAMPLES, WHOLE, HitCounter, LineRules
from fasthits.days import ONE_DAY, file_name, has_date, name_days
from fasthits.errors import LogFileError
from fasthits.formats import Format
from fasthits.logfiles import BLOCK_BYTES, STDIN, Advance, LogFile, Segment
from fasthits.rules import Rules
from fasthits.selection import ASSUMED, NO_KEEPERS, Intake, Keepers, Selection

Progress = Callable[[int | None], Advance]
"""Is told how many bytes the files have on the disk, None where that is unknown, and returns what is told of the
progress through them, from any thread."""

DEFAULT_RULES = Rules()


LEAST_TABLE_BYTES = 4 << 20
"""Where memory for a table of that size is not there for each thread, fewer threads count."""


class Example(NamedTuple):
    """A malformed line: where it stands, from line 1, and how it begins."""

    file: str
    line: int
    head: bytes


class Counted:
    """What was counted, and in what."""

    def __init__(self, run: "_Run", days: Sequence[date], missing: list[date]) -> None:
        raw = run.count(0)
        self._run = run
        self._hits, self._filtered = raw.hits, raw.filtered
        self._rejected = Counter[str]()
        self.files = len(run.files)
        self.bytes = run.last.bytes_read()
        """Of log lines, decompressed."""
        self.formats = run.last.formats()
        """The names of the formats that the files have."""
        self.lines = raw.lines
        self.malformed = raw.malformed
        self.examples = run.last.examples()
        self.days_seen = raw.days_seen
        """The days of all lines that parsed."""
        self.days = sorted((set(days) - set(missing)) & self.days_seen)
        """The days asked for that have a file and lines."""
        self.missing = missing
        """The days asked for that have no file."""
        self.unseen = sorted(set(days) - set(missing) - self.days_seen)
        """The days asked for that have a file, but no line that parses is stamped with."""
        self.counter = run.selection.finish(raw, self._rejected)
        """The rows of the first share of them: all, unless *max_bytes* was too little for that. Its figures say
        nothing."""

    @property
    def hits(self) -> int:
        """How many lines were hits; where there are several shares, not before all of them have been there."""
        return self._hits - self._rejected.total()

    @property
    def passes(self) -> int:
        """How often the files have been read: more than once where memory was too little for all paths at a time."""
        return self._run.passes

    @property
    def filtered(self) -> dict[str, int]:
        """How many lines were none, by reason; where there are several shares, likewise."""
        return self._filtered | self._rejected

    def figures(self) -> dict[str, object]:
        """Return what a summary tells, by name."""
        return {
            "files": self.files,
            "formats": self.formats,
            "bytes": self.bytes,
            "lines": self.lines,
            "hits": self.hits,
            "filtered": self.filtered,
            "malformed": self.malformed,
            "passes": self.passes,
        }

    def shares(self) -> Iterator[HitCounter]:
        """Yield counters that have all the rows between them; the one before is empty when the next one comes.

        Raises LogFileError as `count_hits` does.
        """
        yield self.counter
        if self.counter.share == WHOLE:
            return
        self.counter.drain()
        for raw in self._run.count_rest(self.counter.share):
            counter = self._run.selection.finish(raw, self._rejected)
            yield counter
            counter.drain()


def count_hits(
    days: Sequence[date],
    pattern: str,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
) -> Counted:
    """Count the hits of *days*, by *rules*, in the files that *pattern* names, or standard input for ``-``.

    A day's hits are the lines stamped with it in its own file and in the next day's, where requests that ended after
    midnight are. A day without a file is left out, with a pattern that names no date each day that no line is stamped
    with. *threads* is by default one for each processor this process may use. The tables take *max_bytes* at most;
    where that is too little for all paths at once, the files are read again for each further share of them. The
    counters have a table for each of *keepers* besides.

    Raises LogFileError when there is no file at all, or one cannot be read to its end, or again; UsageError when the
    lines of a file lack what the rules look at.
    """
    selection = Selection(rules, keepers)
    dated = pattern != STDIN and has_date(pattern)
    files, missing = _dated_files(days, pattern) if dated else _undated_files(days, pattern)
    if not files:
        raise LogFileError(
            f"no log file for {name_days(days)}",
            file_name(pattern, days[0]) if dated else pattern,
            "name another with --logs PATTERN or FASTHITS_LOGS",
        )
    run = _Run(files, selection, threads or len(os.sched_getaffinity(0)), progress, max_bytes)
    return Counted(run, days, missing)


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
        self,
        files: dict[LogFile, set[date]],
        selection: Selection,
        threads: int,
        progress: Progress | None,
        max_bytes: int | None,
    ) -> None:
        self.files = files
        self.selection = selection
        self._formats = {log_file: self._format_of(log_file) for log_file in files}
        self._threads = threads
        self._progress = progress
        # Final paths have tables of their own, beside those that they are made from.
        self._max_bytes = max_bytes and max_bytes // (1 + selection.rules.looks_at_paths)
        self.passes = 0
        self.last: _Pass

    def _format_of(self, log_file: LogFile) -> Format | None:
        """Return the format of a file; None where that shows only when it is read."""
        if self.selection.form or log_file.size is None:
            return self.selection.form
        form = self.selection.detect(log_file.head())
        if form:
            self.selection.check(form)
        return form or ASSUMED

    def count(self, first_hash: int) -> HitCounter:
        """Return the rows from *first_hash* on, as many as memory allows; all figures are those of all rows."""
        sizes = [log_file.size for log_file in self.files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        advance = self._progress(total) if self._progress else lambda size: None
        share = first_hash, WHOLE[1]
        self.last = _Pass(self.files, self._formats, self.selection, share, self._threads, self._max_bytes)
        counter = self.last.run(advance)
        self.passes += 1
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
        for log_file in self.files:
            if log_file.size is None:
                hint = "raise --max-memory, or put it into a file"
                raise LogFileError("too many paths for the memory, and what cannot be read twice", log_file.name, hint)


class _Pass:
    """One pass over the files by some threads, each with counters of its own: one for formats that are read alike."""

    def __init__(
        self,
        files: dict[LogFile, set[date]],
        formats: dict[LogFile, Format | None],
        selection: Selection,
        share: tuple[int, int],
        threads: int,
        max_bytes: int | None,
    ) -> None:
        self._files = files
        self._formats = dict(formats)
        self._selection = selection
        self._share = share
        self._segments = {log_file: log_file.segments() for log_file in files}
        segments = [segment for log_file in files for segment in self._segments[log_file]]
        # What can only be read from the front takes longest, so it comes first.
        self._queue = deque(sorted(segments, key=lambda segment: segment.stop is not None))
        self._workers = min(threads, len(segments) or 1)
        tables = len({form and selection.line_rules(form) for form in formats.values()})
        if max_bytes:
            self._workers = min(self._workers, max(1, max_bytes // (LEAST_TABLE_BYTES * tables) - 1))
        counters = self._workers * tables
        # At the most there is the table that all are merged into, as large as all together, and the last one merged.
        self._table_bytes = max_bytes and max_bytes // (counters + (counters > 1))
        self._counted: dict[Segment, _SegmentCount] = {}
        self._stopped = False

    def run(self, advance: Advance) -> HitCounter:
        """Count everything, and return the total."""
        outcomes: SimpleQueue[list[HitCounter] | BaseException] = SimpleQueue()
        for _ in range(self._workers):
            # No pool: at an interrupt it would wait for a thread that waits for standard input.
            Thread(target=self._work, args=(advance, outcomes), daemon=True).start()
        counters = []
        try:
            for _ in range(self._workers):
                outcome = outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                counters += outcome
        except BaseException:
            self._stopped = True
            raise
        return self._merged(counters or [HitCounter(rules=self._selection.line_rules(ASSUMED))])

    def _open_counter(self, days: set[date], line_rules: LineRules) -> HitCounter:
        counter = HitCounter(max_bytes=self._table_bytes, rules=line_rules)
        counter.share = self._share
        counter.count_only(days)
        return counter

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

    def _work(self, advance: Advance, outcomes: "SimpleQueue[list[HitCounter] | BaseException]") -> None:
        try:
            outcomes.put(self._count_segments(advance))
        except BaseException as error:
            outcomes.put(error)

    def bytes_read(self) -> int:
        return sum(count.size for count in self._counted.values())

    def formats(self) -> list[str]:
        """Return the names of the formats that the files have."""
        return sorted({form.name for form in self._formats.values() if form})

    def examples(self) -> list[Example]:
        """Return some malformed lines, the line numbers of segments becoming those of their files."""
        examples = []
        for log_file, segments in self._segments.items():
            before = 0
            for count in map(self._counted.__getitem__, segments):
                examples += [Example(log_file.name, before + line, head) for line, head in count.examples]
                before += count.lines
        return examples[:EXAMPLES]

    def _count_segments(self, advance: Advance) -> list[HitCounter]:
        """Return one counter for all formats that are read alike, and one for each log whose format had to be learnt
        from it."""
        counters: dict[LineRules, HitCounter] = {}
        alone = []
        buffer = bytearray(BLOCK_BYTES)
        while not self._stopped and (segment := self._next_segment()):
            log_file = segment.log_file
            open_counter = partial(self._open_counter, self._files[log_file])
            if form := self._formats[log_file]:
                line_rules = self._selection.line_rules(form)
                if line_rules not in counters:
                    counters[line_rules] = open_counter(line_rules)
                counters[line_rules].count_only(self._files[log_file])
                intake = Intake(self._selection, counters.__getitem__, form)
            else:
                intake = Intake(self._selection, open_counter)
            self._count_segment(segment, intake, buffer, advance)
            if not form:
                alone.append(intake.counter)
                self._formats[log_file] = intake.form or ASSUMED
        return alone + list(counters.values())

    def _next_segment(self) -> Segment | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _count_segment(self, segment: Segment, intake: Intake, buffer: bytearray, advance: Advance) -> None:
        lines_before, examples_before, size = intake.counter.lines, len(intake.examples), 0
        for block in segment.blocks(buffer, advance):
            if self._stopped:
                return
            intake.feed(block)
            size += len(block)
        intake.finish()
        examples = [(line - lines_before, head) for line, head in intake.examples[examples_before:]]
        self._counted[segment] = _SegmentCount(size, intake.counter.lines - lines_before, examples)


class _SegmentCount(NamedTuple):
    size: int
    lines: int
    examples: list[tuple[int, bytes]]
