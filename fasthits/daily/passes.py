"""Passes over log files by several threads: one, or several where memory is too small for all paths at once."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from fasthits._parse import EXAMPLES, WHOLE, HitTable, LineRules, ParsedLine, parse_lines
from fasthits.daily.logs.logfiles import BLOCK_BYTES, HEAD_BYTES, Advance, LogFile, Segment
from fasthits.errors import LogFileError, StoreError
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.formats import Format
from fasthits.rules.intake import Intake
from fasthits.rules.labelled import W3C
from fasthits.rules.stamps import stamps

Progress = Callable[[int | None], Advance]
"""Receives the size of all files on the disk in bytes, None where it is unknown. Returns what is told of the progress
through them, from any thread."""

Files = Mapping[LogFile, Collection[date] | None]
"""The files to read, each with the days that count in it; None for all days."""

PART_ROWS = 1 << 17
"""A thread's own table with more rows moves them to tables that all threads share, each for a part of all hashes. So
frequent paths are counted where no other thread disturbs, and many paths take memory once, not once for each thread."""

PARTS_OF_THREAD = 4
"""As many parts for each thread, so that threads seldom wait for each other."""

ROW_BYTES = 24
"""At most that much memory takes the index of a table for each row."""

LEAST_TABLE_BYTES = 4 << 20
"""With less memory than this for the table of each thread, fewer threads count."""

SIGNAL_SECONDS = 0.25
"""How long a wait may last. Python handles a signal between two waits; only some signals end one."""

TAIL_BYTES = 1 << 13
"""How much of a file's end is searched for its latest time: some lines, as the last one can be of a slow request."""

UNREADABLE_LINES = 3
"""With fewer lines, all of them torn, a file may have the right format all the same."""
SAMPLED_FILES = 3
"""How many files are looked into for lines to show in a message."""


class Example(NamedTuple):
    """A malformed line: its file, its number from 1, and its beginning."""

    file: str
    line: int
    head: bytes


class Passes:
    """As many passes over *files* as their paths need: one, unless *max_bytes* is too little for the tables."""

    def __init__(
        self,
        files: Files,
        formats: Mapping[LogFile, Format | None],
        compiled: CompiledRules,
        threads: int | None = None,
        progress: Progress | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """*formats* are those of all files that can be read twice, None for an unknown one.

        *threads* is by default one for each processor that this process may use. Raises UsageError for a format that
        lacks a field of the rules.
        """
        self._files = files
        self._compiled = compiled
        self._formats = {log_file: self._format_of(log_file, formats.get(log_file)) for log_file in files}
        self._threads = threads or len(os.sched_getaffinity(0))
        self._progress = progress
        # Final paths have tables of their own, beside those that they are made from.
        self._max_bytes = max_bytes and max_bytes // (1 + compiled.rules.looks_at_paths)
        self.number = 0
        """How many passes there were."""
        self.last: Pass
        """The latest one."""

    def _format_of(self, log_file: LogFile, detected: Format | None) -> Format | None:
        """Return the format of a file; None where only reading the file shows it."""
        if self._compiled.log_format or log_file.size is None:
            return self._compiled.log_format
        return self._compiled.checked(detected)

    def count(self, first_hash: int = 0) -> HitTable:
        """Return the raw rows from *first_hash* on, as many as memory allows, with the figures of all rows.

        Raises LogFileError for a file that cannot be read again.
        """
        sizes = [log_file.size for log_file in self._files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        advance = self._progress(total) if self._progress else lambda size: None
        share = first_hash, WHOLE[1]
        before = self.last.damaged if self.number else None
        self.last = Pass(self._files, self._formats, self._compiled, share, self._threads, self._max_bytes)
        table = self.last.run(advance)
        self.number += 1
        if before is not None:
            for log_file in before.keys() ^ self.last.damaged.keys():
                raise LogFileError("log file changed while it was read", log_file.name, "run it again")
        if table.share[1] != WHOLE[1]:
            self._check_readable_again()
        return table

    def count_rest(self, share: tuple[int, int]) -> Iterator[HitTable]:
        """Yield the raw rows behind *share*, one share from each pass."""
        while share[1] != WHOLE[1]:
            table = self.count(share[1] + 1)
            table.take_hours()  # the first pass has counted all of them
            share = table.share
            yield table

    def _check_readable_again(self) -> None:
        """Raise LogFileError if an input cannot be read twice, such as a pipe."""
        for log_file in self._files:
            if log_file.size is None:
                hint = "raise --max-memory, or put it into a file"
                raise LogFileError("too many paths for the memory, and what cannot be read twice", log_file.name, hint)


class Pass:
    """One pass over the files. Each thread has its own hit tables: one for all formats that are read alike."""

    def __init__(
        self,
        files: Files,
        formats: Mapping[LogFile, Format | None],
        compiled: CompiledRules,
        share: tuple[int, int],
        threads: int,
        max_bytes: int | None,
    ) -> None:
        self._files = files
        self._formats = dict(formats)
        self._compiled = compiled
        self._share = share
        self._segments = {
            # Where lines name the columns of those that follow, a file is read from its beginning.
            log_file: [Segment(log_file)] if formats[log_file] == W3C else log_file.segments()
            for log_file in files
        }
        segments = [segment for log_file in files for segment in self._segments[log_file]]
        # What can only be read from the front takes longest, so it comes first.
        self._queue = deque(sorted(segments, key=lambda segment: segment.stop is not None))
        self._threads = threads
        self._workers = min(threads, len(segments) or 1)
        kinds = len({log_format and compiled.line_rules(log_format) for log_format in formats.values()})
        if max_bytes:
            self._workers = min(self._workers, max(1, max_bytes // (LEAST_TABLE_BYTES * kinds) - 1))
        tables = self._workers * kinds
        self._parts = self._open_parts(share, self._workers * PARTS_OF_THREAD) if self._may_share() else []
        # Merging needs an index for all rows. The parts may take half of the memory.
        self._table_bytes = max_bytes and max_bytes // (1 + bool(self._parts)) // (tables + (tables > 1))
        self._parts_bytes = max_bytes and max_bytes // 2
        self._counted: dict[Segment, _SegmentCount] = {}
        self.damaged: dict[LogFile, LogFileError] = {}
        """The files that could not be read to their end, each with the error."""
        self._heads: dict[LogFile, bytes] = {}
        """The first bytes of what cannot be read again."""
        self._stopped = False

    def run(self, advance: Advance) -> HitTable:
        """Count all files, and return the total."""
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
        return self._merged(tables or [HitTable(rules=self._compiled.line_rules(ASSUMED))])

    def _may_share(self) -> bool:
        """Tell whether several threads count, and only views of paths, as parts have no tables of bots or referers."""
        table = HitTable(rules=self._compiled.line_rules(ASSUMED))
        return self._workers > 1 and table.bots is None and not table.by_referer

    def _open_parts(self, share: tuple[int, int], number: int) -> list[HitTable]:
        """Return *number* hit tables, which divide *share* between them."""
        first, last = share
        size = (last - first) // number + 1
        parts = []
        for start in range(first, last + 1, size):
            part = HitTable()
            part.share = start, min(start + size - 1, last)
            parts.append(part)
        return parts

    def _open_table(self, days: Collection[date] | None, line_rules: LineRules) -> HitTable:
        table = HitTable(max_bytes=self._table_bytes, rules=line_rules)
        table.share = self._share
        table.count_only(days)
        return table

    def _merged(self, tables: list[HitTable]) -> HitTable:
        """Return the total, of the share that all of them have."""
        share = self._share[0], min(table.share[1] for table in tables)
        for table in tables:
            table.share = share
            if any(map(len, self._parts)) and len(table) <= PART_ROWS:
                table.spill(self._parts)
        for part in self._parts:
            part.share = part.share[0], min(part.share[1], share[1])
        total = max(tables, key=len)
        total.max_bytes, total.threads = None, self._threads
        total.merge(*(table for table in tables if table is not total), *self._parts)
        return total

    def _work(self, advance: Advance, outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> None:
        try:
            outcomes.put(self._count_segments(advance))
        except BaseException as error:
            outcomes.put(error)

    def bytes_read(self) -> int:
        """Return the bytes of all log lines, decompressed."""
        return sum(count.size for count in self._counted.values())

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
        return any(self._counted[segment].size for segment in self._segments[log_file])

    def ends(self) -> dict[LogFile, datetime]:
        """Return the latest time in the last lines of each file that has one."""
        found = {}
        for log_file, segments in self._segments.items():
            log_format = self._formats[log_file] or ASSUMED
            for tail in (self._counted[segment].tail for segment in reversed(segments)):
                if times := list(stamps(tail.split(b"\n"), log_format, self._compiled)):
                    found[log_file] = max(times)
                    break
        return found

    def examples(self) -> list[Example]:
        """Return some malformed lines, numbered from the beginning of their files."""
        examples = []
        for log_file, segments in self._segments.items():
            before = 0
            for count in map(self._counted.__getitem__, segments):
                examples += [Example(log_file.name, before + line, head) for line, head in count.examples]
                before += count.lines
        return examples[:EXAMPLES]

    def unreadable(self) -> list[LogFile]:
        """Return the files that have lines, but none that can be read."""
        found = []
        for log_file, segments in self._segments.items():
            counts = [self._counted[segment] for segment in segments]
            lines = sum(each.lines for each in counts)
            if lines >= UNREADABLE_LINES and lines == sum(each.malformed for each in counts):
                found.append(log_file)
        return found

    def first_line(self, log_file: LogFile) -> bytes:
        """Return the first line of a file that is not blank; b"" if its first bytes have none."""
        return next((line for line in self._head(log_file).split(b"\n") if line.strip()), b"")

    def whole_examples(self) -> list[Example]:
        """Return `examples` with whole lines, as far as these are in the first bytes of their files."""
        named = {log_file.name: log_file for log_file in self._files}
        heads = {name: self._head(named[name]).split(b"\n")[:-1] for name in {each.file for each in self.examples()}}
        return [
            each._replace(head=heads[each.file][each.line - 1]) if each.line <= len(heads[each.file]) else each
            for each in self.examples()
        ]

    def sample(self, days: Collection[date] | None) -> Iterator[ParsedLine]:
        """Yield some lines that parse, of *days* or of any day."""
        for log_file, log_format in islice(self._formats.items(), SAMPLED_FILES):
            if log_format:
                for line in parse_lines(self._head(log_file), self._compiled.line_rules(log_format)):
                    if line and (days is None or line.day in days):
                        yield line

    def _head(self, log_file: LogFile) -> bytes:
        if log_file.size is None:
            return self._heads.get(log_file, b"")
        with suppress(LogFileError):  # it was there a moment ago; what it has is only for a message
            return log_file.head()[0]
        return b""

    def _keep_head(self, log_file: LogFile, block: memoryview) -> None:
        if log_file.size is None and len(head := self._heads.get(log_file, b"")) < HEAD_BYTES:
            self._heads[log_file] = head + bytes(block[:HEAD_BYTES])

    def _count_segments(self, advance: Advance) -> list[HitTable]:
        """Return one table for all formats that are read alike, and one for each log whose lines had to tell its
        format."""
        tables: dict[LineRules, HitTable] = {}
        alone = []
        buffer = bytearray(BLOCK_BYTES)
        while not self._stopped and (segment := self._next_segment()):
            log_file = segment.log_file
            open_table = partial(self._open_table, self._files[log_file])
            if log_format := self._formats[log_file]:
                line_rules = self._compiled.line_rules(log_format)
                if line_rules not in tables:
                    tables[line_rules] = open_table(line_rules)
                tables[line_rules].count_only(self._files[log_file])
                intake = Intake(self._compiled, tables.__getitem__, log_format)
            else:
                intake = Intake(self._compiled, open_table)
            self._count_segment(segment, intake, buffer, advance)
            if not log_format:
                alone.append(intake.hit_table)
                self._formats[log_file] = intake.log_format or ASSUMED
        return alone + list(tables.values())

    def _share_rows(self, table: HitTable) -> None:
        """Move the rows of a thread to the parts, if it has many, and the parts have memory for more."""
        if len(table) > PART_ROWS and self._parts:
            taken = sum(part.memory + ROW_BYTES * len(part) for part in self._parts)
            if self._parts_bytes is None or taken + table.memory < self._parts_bytes:
                table.spill(self._parts)

    def _next_segment(self) -> Segment | None:
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _count_segment(self, segment: Segment, intake: Intake, buffer: bytearray, advance: Advance) -> None:
        before, examples_before, size = intake.hit_table, len(intake.examples), 0
        lines_before, malformed_before = before.lines, before.malformed
        tail = b""
        try:
            for block in segment.blocks(buffer, advance):
                if self._stopped:
                    return
                intake.feed(block)
                self._keep_head(segment.log_file, block)
                self._share_rows(intake.hit_table)
                size += len(block)
                last = bytes(block[-TAIL_BYTES:])
                tail = last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
        except StoreError:  # the other files are there as well
            raise
        except LogFileError as error:
            self.damaged[segment.log_file] = error
        intake.finish()
        examples = [(line - lines_before, head) for line, head in intake.examples[examples_before:]]
        lines, malformed = intake.hit_table.lines - lines_before, intake.hit_table.malformed - malformed_before
        self._counted[segment] = _SegmentCount(size, lines, malformed, examples, tail)


def _wait_for(outcomes: "SimpleQueue[list[HitTable] | BaseException]") -> list[HitTable] | BaseException:
    """Return the next outcome. A signal ends the wait, also a signal that came just before it."""
    while True:
        with suppress(Empty):
            return outcomes.get(timeout=SIGNAL_SECONDS)


class _SegmentCount(NamedTuple):
    size: int
    lines: int
    malformed: int
    examples: list[tuple[int, bytes]]
    tail: bytes
    """The last bytes of the segment."""
