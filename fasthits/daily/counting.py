"""The hits of some days, counted by several threads from the files that hold them."""

import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from fasthits._parse import EXAMPLES, WHOLE, HitTable, LineRules
from fasthits.daily.logs.extents import Gap
from fasthits.daily.logs.logfiles import BLOCK_BYTES, Advance, LogFile, Segment
from fasthits.daily.logs.sources import Judgement, Patterns, Sources
from fasthits.errors import DamagedLogError, LogFileError
from fasthits.rules.formats import Format
from fasthits.rules.rules import Rules
from fasthits.rules.selection import ASSUMED, NO_KEEPERS, Intake, Keepers, Selection
from fasthits.rules.stamps import stamps

Progress = Callable[[int | None], Advance]
"""Is told how many bytes the files have on the disk, None where that is unknown, and returns what is told of the
progress through them, from any thread."""

DEFAULT_RULES = Rules()

LEAST_TABLE_BYTES = 4 << 20
"""Where memory for a table of that size is not there for each thread, fewer threads count."""


SIGNAL_SECONDS = 0.25
"""How long a wait may last. Python handles a signal between two waits; only some signals end one."""

TAIL_BYTES = 1 << 13
"""How much of a file's end tells when it ends: some lines, as one of a slow request can be of an earlier time."""


class Example(NamedTuple):
    """A malformed line: where it stands, from line 1, and how it begins."""

    file: str
    line: int
    head: bytes


class Counted:
    """What was counted, and in what."""

    def __init__(self, run: "_Run", days: Sequence[date], sources: Sources, judged: Judgement, as_part: bool) -> None:
        raw = run.total
        self._run = run
        self._asked, self._judged = days, judged
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
        self.damaged = list(run.last.damaged.values())
        """What is wrong with files that could not be read to their end; their lines before that place are counted."""
        self.days_seen = raw.days_seen
        """The days of all lines that parsed."""
        self.missing = sources.missing
        """The days asked for that have no file, each with the name of one that is not there."""
        self.unseen = sorted(set(days) - self.missing.keys() - self.days_seen)
        """The days asked for that have a file, but no line that parses is stamped with."""
        seen = set(days) & self.days_seen - self.missing.keys()
        self.parts = {day: gaps for day, gaps in judged.gaps.items() if day in seen}
        """What is missing of the days that are not whole, by day."""
        self.days = sorted(seen if as_part else seen - self.parts.keys())
        """The days asked for whose hits are there: all of them, unless they were asked for as parts."""
        self.counter = self._wanted(run.selection.finish(raw, self._rejected))
        """The rows of the first share of them: all, unless *max_bytes* was too little for that. Its figures say
        nothing."""

    @property
    def hits(self) -> int:
        """How many lines were hits; where there are several shares, not before all of them have been there."""
        return self._hits - self._rejected.total()

    @property
    def any_file(self) -> str:
        """The name of one of the files: of one with malformed lines, if there is any."""
        return self.examples[0].file if self.examples else next(iter(self._run.files)).name

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of the days and the files."""
        return self._judged.notes

    @property
    def missing_servers(self) -> dict[date, list[str]]:
        """By day, the files or logs of servers that have none of that day, but of others around it."""
        return {day: names for day, names in self._judged.missing_servers.items() if day in self.days}

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
            "days": [str(day) for day in self.days],
            "parts": {str(day): [gap.text for gap in gaps] for day, gaps in self.parts.items()},
            "missing_servers": {str(day): names for day, names in self.missing_servers.items()},
        }

    def hints_of_missing(self) -> list[str]:
        """Return what is there in place of the days without a file, and what to type."""
        return self._run.sources.hints_of_missing()

    def hints_of_unseen(self) -> list[str]:
        """Return what to type for the days without a line, where the files that were not named may have some."""
        return [gap.hint for day in self.unseen for gap in self._judged.gaps.get(day, []) if gap.hint]

    @property
    def tried(self) -> str:
        """The format that the lines were read as."""
        log_format = self._run.selection.log_format
        return log_format.text if log_format else f"{ASSUMED.name}, as none was detected"

    def _wanted(self, counter: HitTable) -> HitTable:
        """Return *counter* without the rows of days that are not whole."""
        unwanted = self.parts.keys() - set(self.days)
        return _without_days(counter, unwanted, self._run.selection) if unwanted else counter

    def shares(self) -> Iterator[HitTable]:
        """Yield counters that have all the rows between them; the one before is empty when the next one comes.

        Raises LogFileError as `count_hits` does.
        """
        yield self.counter
        if self.counter.share == WHOLE:
            return
        self.counter.drain()
        for raw in self._run.count_rest(self.counter.share):
            counter = self._wanted(self._run.selection.finish(raw, self._rejected))
            yield counter
            counter.drain()


def count_hits(
    days: Sequence[date],
    patterns: Patterns,
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
    as_part: bool = False,
    today: date | None = None,
) -> Counted:
    """Count the hits of *days*, by *rules*, in the files that *patterns* name, or standard input for ``-``.

    A day's hits are the lines stamped with it in its own file and in the next day's, where requests that ended after
    midnight are; of files without a date in their names, in those that can hold the day. A day without a file or a line
    is left out, and so is one whose beginning or end is missing, unless *as_part*. Days from
    *today* on, by default this machine's, are always parts.

    *threads* is by default one for each processor this process may use. The tables take *max_bytes* at most; where that
    is too little for all paths at once, the files are read again for each further share of them. The counters have a
    table for each of *keepers* besides.

    Raises LogFileError when there is no file at all, or one cannot be read, or again; UsageError when the lines of a
    file lack what the rules look at.
    """
    selection = Selection(rules, keepers)
    sources = Sources(patterns, days, selection)
    if len(sources.missing) == len(days):
        raise sources.error_of_missing()
    run = _Run(sources, selection, threads or len(os.sched_getaffinity(0)), progress, max_bytes)
    judged = sources.judge(run.last.ends(), today or date.today(), datetime.now().astimezone())
    for log_file, error in run.last.damaged.items():
        for day in run.days_behind(log_file):
            judged.gaps.setdefault(day, []).append(Gap(str(error)))
    return Counted(run, days, sources, judged, as_part)


def _without_days(counter: HitTable, days: Collection[date], selection: Selection) -> HitTable:
    """Return the rows of *counter* but for those of *days*; it has no rows any more."""
    wanted = HitTable(rules=selection.line_rules(ASSUMED))
    wanted.share = counter.share
    pairs = [(counter, wanted), *((counter.by_referer[name], wanted.by_referer[name]) for name in counter.by_referer)]
    if counter.bots is not None and wanted.bots is not None:
        pairs.append((counter.bots, wanted.bots))
    for before, after in pairs:
        for day, path, views in before.rows():
            if day not in days:
                after.add(day, path, views)
    counter.drain()
    return wanted


class _Run:
    """As many passes over the files as their paths need, one if memory is enough for all of them."""

    def __init__(
        self,
        sources: Sources,
        selection: Selection,
        threads: int,
        progress: Progress | None,
        max_bytes: int | None,
    ) -> None:
        self.sources = sources
        self.files = sources.files
        self.selection = selection
        self._formats = {log_file: self._format_of(log_file) for log_file in self.files}
        self._threads = threads
        self._progress = progress
        # Final paths have tables of their own, beside those that they are made from.
        self._max_bytes = max_bytes and max_bytes // (1 + selection.rules.looks_at_paths)
        self.passes = 0
        self.last: _Pass
        self.total = self.count(0)
        """The rows of the first share."""

    def _format_of(self, log_file: LogFile) -> Format | None:
        """Return the format of a file; None where that shows only when it is read."""
        if self.selection.log_format or log_file.size is None:
            return self.selection.log_format
        return self.selection.checked(self.sources.formats[log_file])

    def days_behind(self, log_file: LogFile) -> set[date]:
        """Return the days of which a file that is damaged can hold lines behind that place."""
        end = self.last.ends().get(log_file)
        return {day for day in self.files[log_file] if not end or day >= end.date()}

    def count(self, first_hash: int) -> HitTable:
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

    def count_rest(self, share: tuple[int, int]) -> Iterator[HitTable]:
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
        tables = len({log_format and selection.line_rules(log_format) for log_format in formats.values()})
        if max_bytes:
            self._workers = min(self._workers, max(1, max_bytes // (LEAST_TABLE_BYTES * tables) - 1))
        counters = self._workers * tables
        # At the most there is the table that all are merged into, as large as all together, and the last one merged.
        self._table_bytes = max_bytes and max_bytes // (counters + (counters > 1))
        self._counted: dict[Segment, _SegmentCount] = {}
        self.damaged: dict[LogFile, DamagedLogError] = {}
        """What is wrong with files that could not be read to their end."""
        self._stopped = False

    def run(self, advance: Advance) -> HitTable:
        """Count everything, and return the total."""
        outcomes: SimpleQueue[list[HitTable] | BaseException] = SimpleQueue()
        for _ in range(self._workers):
            # No pool: at an interrupt it would wait for a thread that waits for standard input.
            Thread(target=self._work, args=(advance, outcomes), daemon=True).start()
        counters = []
        try:
            for _ in range(self._workers):
                outcome = _wait_for(outcomes)
                if isinstance(outcome, BaseException):
                    raise outcome
                counters += outcome
        except BaseException:
            self._stopped = True
            raise
        return self._merged(counters or [HitTable(rules=self._selection.line_rules(ASSUMED))])

    def _open_counter(self, days: set[date], line_rules: LineRules) -> HitTable:
        counter = HitTable(max_bytes=self._table_bytes, rules=line_rules)
        counter.share = self._share
        counter.count_only(days)
        return counter

    def _merged(self, counters: list[HitTable]) -> HitTable:
        """Return the total, of the share that all of them have."""
        share = self._share[0], min(counter.share[1] for counter in counters)
        total = counters.pop()
        total.share, total.max_bytes = share, None
        while counters:
            counter = counters.pop()
            counter.share = share
            total.merge(counter)
        return total

    def _work(self, advance: Advance, outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> None:
        try:
            outcomes.put(self._count_segments(advance))
        except BaseException as error:
            outcomes.put(error)

    def bytes_read(self) -> int:
        return sum(count.size for count in self._counted.values())

    def formats(self) -> list[str]:
        """Return the names of the formats that the files have."""
        return sorted({log_format.name for log_format in self._formats.values() if log_format})

    def ends(self) -> dict[LogFile, datetime]:
        """Return the latest time in the last lines of each file that has one."""
        found = {}
        for log_file, segments in self._segments.items():
            log_format = self._formats[log_file] or ASSUMED
            for tail in (self._counted[segment].tail for segment in reversed(segments)):
                if times := list(stamps(tail.split(b"\n"), log_format, self._selection)):
                    found[log_file] = max(times)
                    break
        return found

    def examples(self) -> list[Example]:
        """Return some malformed lines, the line numbers of segments becoming those of their files."""
        examples = []
        for log_file, segments in self._segments.items():
            before = 0
            for count in map(self._counted.__getitem__, segments):
                examples += [Example(log_file.name, before + line, head) for line, head in count.examples]
                before += count.lines
        return examples[:EXAMPLES]

    def _count_segments(self, advance: Advance) -> list[HitTable]:
        """Return one counter for all formats that are read alike, and one for each log whose format had to be learnt
        from it."""
        counters: dict[LineRules, HitTable] = {}
        alone = []
        buffer = bytearray(BLOCK_BYTES)
        while not self._stopped and (segment := self._next_segment()):
            log_file = segment.log_file
            open_counter = partial(self._open_counter, self._files[log_file])
            if log_format := self._formats[log_file]:
                line_rules = self._selection.line_rules(log_format)
                if line_rules not in counters:
                    counters[line_rules] = open_counter(line_rules)
                counters[line_rules].count_only(self._files[log_file])
                intake = Intake(self._selection, counters.__getitem__, log_format)
            else:
                intake = Intake(self._selection, open_counter)
            self._count_segment(segment, intake, buffer, advance)
            if not log_format:
                alone.append(intake.counter)
                self._formats[log_file] = intake.log_format or ASSUMED
        return alone + list(counters.values())

    def _next_segment(self) -> Segment | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _count_segment(self, segment: Segment, intake: Intake, buffer: bytearray, advance: Advance) -> None:
        lines_before, examples_before, size = intake.counter.lines, len(intake.examples), 0
        tail = b""
        try:
            for block in segment.blocks(buffer, advance):
                if self._stopped:
                    return
                intake.feed(block)
                size += len(block)
                last = bytes(block[-TAIL_BYTES:])
                tail = last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
        except DamagedLogError as error:
            self.damaged[segment.log_file] = error
        intake.finish()
        examples = [(line - lines_before, head) for line, head in intake.examples[examples_before:]]
        self._counted[segment] = _SegmentCount(size, intake.counter.lines - lines_before, examples, tail)


def _wait_for(outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> list[HitTable] | BaseException:
    """Return the next outcome. A signal ends the wait, also a signal that came just before it."""
    while True:
        with suppress(Empty):
            return outcomes.get(timeout=SIGNAL_SECONDS)


class _SegmentCount(NamedTuple):
    size: int
    lines: int
    examples: list[tuple[int, bytes]]
    tail: bytes
    """Its last bytes."""
