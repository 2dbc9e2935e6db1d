"""Hits of many log files, counted together if the files have the same format."""

import time
from collections import Counter
from collections.abc import Collection, Iterator

from fasthits.formats.format import Format
from fasthits.formats.json_ltsv_w3c import W3C
from fasthits.live.backlog import FreshBacklog
from fasthits.live.follow.positions import FileId
from fasthits.live.memcached import Row
from fasthits.live.misfits import Misfit, Misfits
from fasthits.live.statistics import hours_of
from fasthits.rules.compiled import CompiledRules


class _Lines:
    """The hits in one file, or in all files of the same format."""

    def __init__(self, compiled: CompiledRules) -> None:
        self._backlog = FreshBacklog(compiled)
        self._misfits = Misfits(compiled)
        self._seen = Counter[str]()

    @property
    def log_format(self) -> Format | None:
        """The format, once it is known for sure."""
        intake = self._backlog.intake
        return None if intake.lines_in_doubt else intake.log_format

    def size(self) -> tuple[int, int]:
        """Return the number of rows and their memory in bytes."""
        return len(self._backlog), self._backlog.memory()

    def feed(self, lines: bytes) -> Misfit | None:
        """Count whole lines; if a look is due, return what is wrong with most lines. Raises UsageError as `Intake`."""
        self._backlog.intake.feed(lines)
        now = time.monotonic()
        misfit = self._misfits.look(self._backlog, lines) if now >= self._misfits.at else None
        self._misfits.wake(now)
        return misfit

    def take(self) -> Iterator[Row]:
        """Remove and yield all rows."""
        while self._backlog:
            yield from self._backlog.take()

    def figures(self) -> Counter[str]:
        """Return the figures' increases since the last call, after all rows have been taken."""
        hit_table, hits = self._backlog.hit_table, self._backlog.hits()
        filtered = hit_table.lines - hits - hit_table.malformed
        now = Counter(lines=hit_table.lines, hits=hits, filtered=filtered, malformed=hit_table.malformed)
        rise, self._seen = now - self._seen, now
        hours = hours_of(hit_table)
        return rise + hours if self._backlog.knows_hours else rise


class Tally:
    """The hits of some files since `take` was last called."""

    def __init__(self, compiled: CompiledRules) -> None:
        self.rows = self.bytes = 0
        """The size of the hits that wait to be taken."""
        self._compiled = compiled
        self._lines: dict[FileId, _Lines] = {}
        self._alone: set[FileId] = set()
        self._of_format: dict[Format, _Lines] = {}
        self._fed: dict[int, _Lines] = {}

    def __bool__(self) -> bool:
        return bool(self._fed)

    def feed(self, file: FileId, lines: bytes) -> Misfit | None:
        """Count whole lines of a file; if a look is due, return what is wrong with most lines.

        Raises UsageError, once for each format, when the format lacks a field that the rules need; the lines count.
        """
        if file not in self._lines:
            self._lines[file] = _Lines(self._compiled)
            self._alone.add(file)
        counted = self._lines[file]
        self._fed[id(counted)] = counted
        rows, size = counted.size()
        try:
            return counted.feed(lines)
        finally:
            rows_now, size_now = counted.size()
            self.rows += rows_now - rows
            self.bytes += size_now - size

    def take(self) -> tuple[list[Row], Counter[str]]:
        """Remove and return all rows, and the increases of the figures of lines."""
        rows: list[Row] = []
        figures = Counter[str]()
        for lines in self._fed.values():
            rows += lines.take()
            figures += lines.figures()
        self._fed.clear()
        self.rows = self.bytes = 0
        self._share()
        return rows, figures

    def forget_all_but(self, files: Collection[FileId]) -> None:
        """Forget files that are no longer read."""
        self._lines = {file: lines for file, lines in self._lines.items() if file in files}
        self._alone &= self._lines.keys()

    def _share(self) -> None:
        """Count files of the same known format together: a table for each file would take much memory."""
        for file in list(self._alone):
            lines = self._lines[file]
            if lines.log_format and lines.log_format != W3C:  # in W3C each file names its columns
                self._lines[file] = self._of_format.setdefault(lines.log_format, lines)
                self._alone.discard(file)
