"""Log files, cut into segments, which several threads read and count."""

import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from fasthits import signals
from fasthits._parse import EXAMPLES, HitTable, LineRules, parse_lines
from fasthits.daily.logs.logfiles import BLOCK_BYTES, HEAD_BYTES, Advance, LogFile, Segment
from fasthits.errors import LogFileError, StoreError
from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import W3C
from fasthits.formats.packing import is_compressed
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.guidance import Advice, lacking
from fasthits.rules.intake import Intake
from fasthits.rules.timestamps import timestamps

Progress = Callable[[int | None], Advance]
"""Receives the size of all files on the disk in bytes, None where it is unknown. Returns a function that gets the
progress through them, from any thread."""

Files = Mapping[LogFile, Collection[date] | None]
"""The files to read, each with the days that count in it; None for all days."""

SHARD_ROWS = 1 << 17
"""A thread's own table with more rows moves them to tables that all threads share, each for a shard of all hashes. So
frequent paths are counted where no other thread disturbs, and many paths take memory once, not once for each thread."""

SHARDS_OF_THREAD = 4
"""As many shards for each thread, so that threads seldom wait for each other."""

LEAST_TABLE_BYTES = 4 << 20
"""With less memory than this for the table of each thread, fewer threads count."""

OWN_SHARE = 8
"""The tables that threads do not share may take an eighth of the memory."""
SHARDS_SHARE = 11
"""The shards may take so many sixteenths. Three are for shards on their way out, of which each thread may have one."""

SIGNAL_SECONDS = 0.25
"""How long a wait may last. Python handles a signal between two waits; only some signals end one."""

TAIL_BYTES = 1 << 13
"""How much of a file's end is searched for its latest time: some lines, as the last one can be of a slow request."""
ZCAT = "do not join text and compressed files with cat, but with zcat -f"

UNREADABLE_LINES = 3
"""With fewer lines, all of them torn, a file may have the right format all the same."""
SAMPLED_FILES = 3
"""How many files are looked into for lines to show in a message."""


class Bound(NamedTuple):
    """How much memory hit tables may take."""

    max_bytes: int
    give_away: Callable[[HitTable], None]
    """Receives the rows that memory has no room for, from any thread. It may raise an error."""


class Example(NamedTuple):
    """A malformed line: its file, its number from 1, and its beginning."""

    file: str
    line: int
    head: bytes


class Figures(NamedTuple):
    """The figures that the workers of a fleet have counted besides rows, as in `HitTable`."""

    lines: int
    hits: int
    malformed: int
    filtered: dict[str, int]
    rejected: Counter[str]
    """The hits that rules reject by their paths, by reason."""
    days_seen: set[date]
    spooled: int
    """Bytes of rows that went through temporary files."""


class Reading:
    """One reading of the files. Each thread has its own hit tables: one table for all formats that are read in the same
    way."""

    def __init__(
        self,
        files: Files,
        formats: Mapping[LogFile, Format | None],
        compiled: CompiledRules,
        threads: int | None = None,
        bound: Bound | None = None,
        segments: Mapping[LogFile, list[Segment]] | None = None,
    ) -> None:
        """*formats* are those of all files that can be read twice, None for an unknown one.

        Only *segments* are read; by default all of all files. *threads* is by default one for each processor that this
        process may use. Raises UsageError for a format that lacks a field of the rules.
        """
        self._files = files
        self._compiled = compiled
        self._formats = {log_file: self._format_of(log_file, formats.get(log_file)) for log_file in files}
        self._segments = segments or {each: segments_of(each, self._formats[each]) for each in files}
        queue = [segment for log_file in files for segment in self._segments[log_file]]
        # Parts that can be read only from their start take longest, so they come first.
        self._queue = deque(sorted(queue, key=lambda segment: segment.stop is not None))
        self._threads = threads or len(os.sched_getaffinity(0))
        self._workers = min(self._threads, len(queue) or 1)
        kinds = len({log_format and compiled.line_rules(log_format) for log_format in self._formats.values()})
        if bound:
            self._workers = min(self._workers, max(1, bound.max_bytes // (LEAST_TABLE_BYTES * kinds)))
        self._shards = [HitTable() for _ in range(self._workers * SHARDS_OF_THREAD)] if self._may_share() else []
        self._bound = bound
        self.counted: dict[Segment, SegmentCount] = {}
        """The findings in each segment."""
        self.damaged: dict[LogFile, LogFileError] = {}
        """The files that could not be read to their end, each with the error."""
        self._heads: dict[LogFile, bytes] = {}
        """The first bytes of sources that cannot be read again."""
        self._stopped = False

    def _format_of(self, log_file: LogFile, detected: Format | None) -> Format | None:
        """Return the format of a file; None where only reading the file shows it."""
        if self._compiled.log_format or log_file.size is None:
            return self._compiled.log_format
        return self._compiled.checked(detected)

    def run(self, progress: Progress | None = None) -> HitTable:
        """Count all files, and return the total of the rows that were not given away, and of all figures."""
        advance = self.begin(progress)
        outcomes: SimpleQueue[list[HitTable] | BaseException] = SimpleQueue()
        for _ in range(self._workers):
            # No pool: at an interrupt it would wait for a thread that waits for standard input.
            Thread(target=self._work, args=(advance, outcomes), daemon=True).start()
        tables = []
        try:
            for _ in range(self._workers):
                outcome = _wait_for(outcomes)
                if isinstance(outcome, BaseException):
                    raise outcome
                tables += outcome
        except BaseException:
            self._stopped = True
            raise
        for log_file in self._mixed():
            self.damaged.setdefault(
                log_file, LogFileError("compressed data between lines of text", log_file.name, ZCAT)
            )
        return self._merged(tables or [HitTable(rules=self._compiled.line_rules(ASSUMED))])

    def begin(self, progress: Progress | None) -> Advance:
        """Return what is to be told of the progress."""
        sizes = [log_file.size for log_file in self._files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return progress(total) if progress else lambda size: None

    def _may_share(self) -> bool:
        """Tell whether several threads count, and only views of paths, as shards have no tables of bots or referers."""
        table = HitTable(rules=self._compiled.line_rules(ASSUMED))
        return self._workers > 1 and table.bots is None and not table.by_referer

    def _merged(self, tables: list[HitTable]) -> HitTable:
        for table in tables:
            if any(map(len, self._shards)):
                table.spill(self._shards)
        total = max(tables, key=len)
        total.threads = self._threads
        total.merge(*(table for table in tables if table is not total), *self._shards)
        return total

    def _work(self, advance: Advance, outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> None:
        try:
            outcomes.put(self._count_segments(advance))
        except BaseException as error:
            outcomes.put(error)

    def bytes_read(self) -> int:
        """Return the bytes of all log lines, decompressed."""
        return sum(count.size for count in self.counted.values())

    def formats(self) -> list[str]:
        """Return the names of the formats that the files have."""
        return sorted(
            {
                log_format.name
                for log_file, log_format in self._formats.items()
                if log_format and (log_file not in self.damaged or self._has_lines(log_file))
            }
        )

    def _has_lines(self, log_file: LogFile) -> bool:
        return any(self.counted[segment].size for segment in self._segments[log_file])

    def ends(self) -> dict[LogFile, datetime]:
        """Return the latest time in the last lines of each file that has one."""
        found = {}
        for log_file, segments in self._segments.items():
            log_format = self._formats[log_file] or ASSUMED
            for tail in (self.counted[segment].tail for segment in reversed(segments)):
                if times := list(timestamps(tail.split(b"\n"), log_format, self._compiled)):
                    found[log_file] = max(times)
                    break
        return found

    def examples(self) -> list[Example]:
        """Return some malformed lines, numbered from the beginning of their files."""
        examples = []
        for log_file, segments in self._segments.items():
            before = 0
            for count in map(self.counted.__getitem__, segments):
                examples += [Example(log_file.name, before + line, head) for line, head in count.examples]
                before += count.lines
        return examples[:EXAMPLES]

    def unreadable(self) -> list[LogFile]:
        """Return the files that have lines, but none that can be read."""
        found = []
        for log_file, segments in self._segments.items():
            counts = [self.counted[segment] for segment in segments]
            lines = sum(each.lines - each.comments for each in counts)
            if lines >= UNREADABLE_LINES and lines == sum(each.malformed for each in counts):
                found.append(log_file)
        return found

    def _mixed(self) -> list[LogFile]:
        """Return the files that have lines, and compressed data at the end of a segment."""
        unreadable = self.unreadable()
        return [
            log_file
            for log_file, segments in self._segments.items()
            if log_file not in unreadable and any(is_compressed(self.counted[segment].tail) for segment in segments)
        ]

    def first_line(self, log_file: LogFile) -> bytes:
        """Return the first line of a file that is not blank, and no comment; b"" if its first bytes have none."""
        lines = (line for line in self._head(log_file).split(b"\n") if line.strip())
        return next((line for line in lines if self._formats[log_file] != W3C or not line.startswith(b"#")), b"")

    def whole_examples(self) -> list[Example]:
        """Return `examples` with whole lines, as far as these are in the first bytes of their files."""
        named = {log_file.name: log_file for log_file in self._files}
        heads = {name: self._head(named[name]).split(b"\n")[:-1] for name in {each.file for each in self.examples()}}
        return [
            each._replace(head=heads[each.file][each.line - 1]) if each.line <= len(heads[each.file]) else each
            for each in self.examples()
        ]

    def sample(self) -> Iterator[tuple[Format, bytes]]:
        """Yield the format and the first lines of some files."""
        for log_file, log_format in islice(self._formats.items(), SAMPLED_FILES):
            if log_format:
                yield log_format, self._head(log_file)

    def lacking(self) -> dict[str, Advice]:
        """Return the files whose lines lack a field that the rules need, each with what to do."""
        found = {}
        for log_file, log_format in islice(self._formats.items(), SAMPLED_FILES):
            if log_format:
                lines = parse_lines(self._head(log_file), self._compiled.field_rules(log_format))
                if advice := lacking(self._compiled, log_format, lines):
                    found[log_file.name] = advice
        return found

    def _head(self, log_file: LogFile) -> bytes:
        if log_file.size is None:
            return self._heads.get(log_file, b"")
        with suppress(LogFileError):  # it may be gone; it is only read for a message
            return log_file.head()[0]
        return b""

    def _keep_head(self, log_file: LogFile, block: memoryview) -> None:
        if log_file.size is None and len(head := self._heads.get(log_file, b"")) < HEAD_BYTES:
            self._heads[log_file] = head + bytes(block[:HEAD_BYTES])

    def _count_segments(self, advance: Advance) -> list[HitTable]:
        """Return one table for all formats that are read alike, and one for each log whose lines had to tell its
        format."""
        tables: dict[LineRules, HitTable] = {}
        alone: list[HitTable] = []
        buffer = bytearray(BLOCK_BYTES)
        while not self._stopped and (segment := self._next_segment()):
            log_file = segment.log_file
            open_table = partial(table_of_days, self._files[log_file])
            if log_format := self._formats[log_file]:
                line_rules = self._compiled.line_rules(log_format)
                if line_rules not in tables:
                    tables[line_rules] = open_table(line_rules)
                tables[line_rules].count_only(self._files[log_file])
                intake = Intake(self._compiled, tables.__getitem__, log_format)
            else:
                intake = Intake(self._compiled, open_table)
            self._count_segment(segment, intake, [*tables.values(), *alone], buffer, advance)
            if not log_format:
                alone.append(intake.hit_table)
                self._formats[log_file] = intake.log_format or ASSUMED
        return alone + list(tables.values())

    def _make_room(self, table: HitTable, others: Collection[HitTable]) -> None:
        """Move the rows of a thread's tables to the shards, if there are many; and away, if memory is too little."""
        own = {table, *others}
        is_full = False
        if self._bound:
            most = self._bound.max_bytes // (OWN_SHARE if self._shards else 1) // self._workers
            is_full = sum(each.memory_with(BLOCK_BYTES) for each in own) > most
        if self._shards and (is_full or len(table) > SHARD_ROWS):
            for each in own:
                each.spill(self._shards)
            if self._bound:
                self._give_parts_away(self._bound)
        elif self._bound and is_full:
            for each in own:
                self._bound.give_away(each.drain())

    def _give_parts_away(self, bound: Bound) -> None:
        """Give shards away until the others may stay. Several threads may do so at once, each with other shards."""
        most = bound.max_bytes // 16 * SHARDS_SHARE
        while sum(shard.memory_with(0) for shard in self._shards) > most and any(map(len, self._shards)):
            bound.give_away(max(self._shards, key=len).drain())

    def _next_segment(self) -> Segment | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _count_segment(
        self, segment: Segment, intake: Intake, others: Collection[HitTable], buffer: bytearray, advance: Advance
    ) -> None:
        before, examples_before, size = intake.hit_table, len(intake.examples), 0
        lines_before, malformed_before, comments_before = before.lines, before.malformed, comments_in(before)
        tail = b""
        try:
            for block in segment.blocks(buffer, advance):
                if self._stopped:
                    return
                intake.feed(block)
                self._keep_head(segment.log_file, block)
                self._make_room(intake.hit_table, others)
                size += len(block)
                last = bytes(block[-TAIL_BYTES:])
                tail = last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
        except StoreError:  # the other files of the store would fail, too
            raise
        except LogFileError as error:
            self.damaged[segment.log_file] = error
        intake.finish()
        examples = [(line - lines_before, head) for line, head in intake.examples[examples_before:]]
        lines, malformed = intake.hit_table.lines - lines_before, intake.hit_table.malformed - malformed_before
        comments = comments_in(intake.hit_table) - comments_before
        self.counted[segment] = SegmentCount(size, lines, comments, malformed, examples, tail)


def comments_in(table: "HitTable | Figures") -> int:
    """Return how many lines of W3C logs were comments."""
    return table.filtered.get("comment", 0)


def table_of_days(days: Collection[date] | None, line_rules: LineRules) -> HitTable:
    """Return a hit table that counts only hits of *days*; None is every day."""
    table = HitTable(rules=line_rules)
    table.count_only(days)
    return table


def segments_of(log_file: LogFile, log_format: Format | None, step: int | None = None) -> list[Segment]:
    """Return the parts of a file that can be read at the same time; *step* is how large they are."""
    # If lines name the columns of the lines that follow, a file is read from its beginning.
    return [Segment(log_file)] if log_format == W3C else log_file.segments(step)


def _wait_for(outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> list[HitTable] | BaseException:
    """Return the next outcome. A signal ends the wait, also a signal that came just before it."""
    while True:
        signals.check()
        with suppress(Empty):
            return outcomes.get(timeout=SIGNAL_SECONDS)


class SegmentCount(NamedTuple):
    """The findings in a segment."""

    size: int
    lines: int
    comments: int
    malformed: int
    examples: list[tuple[int, bytes]]
    tail: bytes
    """The last bytes of the segment."""
