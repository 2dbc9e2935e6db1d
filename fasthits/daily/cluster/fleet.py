"""A count by many machines: tasks for an Executor, whose workers leave rows in files that are merged at the end."""

import pickle
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from fasthits import signals
from fasthits._parse import HitTable
from fasthits.daily.cluster import tasks
from fasthits.daily.cluster.scratch import Scratch
from fasthits.daily.cluster.tasks import File, Outcome, Work
from fasthits.daily.counting.max_memory import bytes_of_tables
from fasthits.daily.counting.runs import MergedRows, Runs, Spool, Workshop, tables_of
from fasthits.daily.counting.threads import SIGNAL_SECONDS, Figures, Files, Progress, Reading, segments_of
from fasthits.daily.logs.extents import Extent, look
from fasthits.daily.logs.logfiles import LogFile, Segment
from fasthits.errors import FasthitsError, UsageError
from fasthits.formats.format import Format
from fasthits.rules.compiled import ASSUMED, CompiledRules

LEAST_TASK_BYTES = 8 << 20
MOST_TASK_BYTES = 256 << 20
"""Of log files on the disk. So a task takes some seconds, and its counts fit into memory."""
TASKS_OF_SLOT = 4
"""There are as many tasks for each that runs at a time, so that all workers end at about the same time."""
UNKNOWN_SLOTS = 8
"""The assumed number of tasks that run at a time, if the Executor does not say it."""
LOOKED_AT = 32
"""The number of files that a task looks at, to see when they begin."""
MERGED_AT_ONCE = 64
"""More files of rows than these are merged by tasks first."""
GROUPS = 256
"""In so many groups are the rows, where tasks merge them."""
MERGED_BYTES = 64 << 20
"""Of rows, packed, that a task merges."""

T = TypeVar("T")


def slots_of(executor: Executor) -> int:
    """Return how many tasks run at a time, as far as an Executor tells."""
    return getattr(executor, "_max_workers", None) or UNKNOWN_SLOTS


class Crew(NamedTuple):
    """Those who do the work."""

    executor: Executor
    slots: int
    """How many tasks run at the same time."""
    name: str
    """Where they are, for messages."""
    watch: Callable[[], list[str]] = list
    """Called several times a second while tasks are waited for. Returns remarks about workers that did not do their
    tasks; raises FasthitsError if the tasks will never end."""


class Fleet:
    """The workers of one count, and the scratch folder that they share."""

    def __init__(self, crew: Crew, scratch: str) -> None:
        """*scratch* is where the scratch folder is to be."""
        self._crew = crew
        self.scratch = Scratch(scratch)
        self.remarks: list[str] = []
        """About the workers."""
        self._versions = tasks.versions()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Make the scratch folder; remove it at the end of the block. Raises FasthitsError, which names it if it is
        still there."""
        self.scratch.make()
        try:
            yield
        except BaseException as error:
            try:
                self.scratch.remove()
            except FasthitsError as left:
                error.add_note(str(left))
                if isinstance(error, FasthitsError):
                    error.hint = "; ".join(filter(None, [error.hint, f"remove {self.scratch.folder}"]))
            raise
        self.scratch.remove()

    def do(self, function: Callable[..., T], all_arguments: Sequence[Sequence[Any]]) -> Iterator[tuple[int, T]]:
        """Yield (number, result) of *function* with each of *all_arguments*, in any order.

        If a task raises an error, or this generator is closed, the other tasks are cancelled. Raises the error of a
        task, and FasthitsError if the workers are lost.
        """
        futures: dict[Future[T], int] = {}
        try:
            with self._lost():
                for number, arguments in enumerate(all_arguments):
                    task = pickle.dumps((function, tuple(arguments)))
                    futures[self._crew.executor.submit(tasks.run, self._versions, task)] = number
                waiting = set(futures)
                while waiting:
                    done, waiting = wait(waiting, timeout=SIGNAL_SECONDS, return_when=FIRST_COMPLETED)
                    signals.check()
                    self.remarks += self._crew.watch()
                    for future in done:
                        result = future.result()
                        yield futures.pop(future), result
                        del future, result
        finally:
            for future in futures:
                future.cancel()

    def in_order(self, function: Callable[..., T], all_arguments: Sequence[Sequence[Any]]) -> list[T]:
        """Return the results of `do`, in the order of *all_arguments*."""
        return [result for _, result in sorted(self.do(function, all_arguments), key=lambda done: done[0])]

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            hint = "install the same fasthits, with the same extras, on all machines"
            raise FasthitsError("a worker lacks a package", error.name or error, hint) from error
        except (CancelledError, BrokenProcessPool, OSError, TimeoutError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise FasthitsError(
                "the cluster is lost, nothing changed", self._crew.name, f"{text}; run it again"
            ) from error
        except FasthitsError:
            raise
        except Exception as error:
            if type(error).__name__ == "KilledWorker":
                where = f"the last of them was {error.last_worker.address}"  # type: ignore[attr-defined]
                hint = f"{where}; have they enough memory? Lower --max-memory, or run it again"
                raise FasthitsError("the workers of a task died, nothing changed", self._crew.name, hint) from error
            if type(error).__name__ in _LOST:
                hint = f"{' '.join(str(error).split())}; run it again"
                raise FasthitsError("the cluster is lost, nothing changed", self._crew.name, hint) from error
            raise

    def look_at_all(self, files: Sequence[LogFile], compiled: CompiledRules) -> list[Extent]:
        """Return when each of *files* begins, as workers see it.

        Where a worker saw no beginning, this machine looks again: another worker may be able to read the file, and
        needs to know its format.
        """
        portions = [files[at : at + LOOKED_AT] for at in range(0, len(files), LOOKED_AT)]
        arguments = [(_pickled(compiled), [each.elsewhere for each in portion]) for portion in portions]
        found = [extent for some in self.in_order(tasks.look_at, arguments) for extent in some]
        return [
            extent.of(log_file) if extent.begin else look(log_file, compiled)
            for extent, log_file in zip(found, files, strict=True)
        ]

    def count(
        self,
        files: Files,
        formats: Mapping[LogFile, Format | None],
        compiled: CompiledRules,
        progress: Progress | None,
        max_bytes: int | None,
    ) -> "Counting":
        """Return the counts of *files*; no task takes more memory than *max_bytes*."""
        return Counting(self, files, formats, compiled, progress, max_bytes)


_LOST = ("FutureCancelledError", "CommClosedError", "WorkerCrashedError", "BrokenExecutor")
"""Errors of engines that a count does not survive."""


def _pickled(compiled: CompiledRules) -> bytes:
    return pickle.dumps((compiled.rules, compiled.keepers))


class Counting(Reading):
    """A count of files by a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        files: Files,
        formats: Mapping[LogFile, Format | None],
        compiled: CompiledRules,
        progress: Progress | None,
        max_bytes: int | None,
    ) -> None:
        for each in files:
            if each.size is None:
                raise UsageError("a cluster reads files only", each.name, "run this without --cluster")
        step = sum(each.size or 0 for each in files) // (fleet._crew.slots * TASKS_OF_SLOT)
        step = min(max(step, LEAST_TASK_BYTES), MOST_TASK_BYTES)
        segments = {each: segments_of(each, formats.get(each), step) for each in files}
        super().__init__(files, formats, compiled, segments=segments)
        self._fleet = fleet
        self._max_bytes = max_bytes
        self._tasks = _divided([segment for each in segments.values() for segment in each], step)
        self._outcomes: list[Outcome] = []
        self._run(self.begin(progress))

    def _run(self, advance: Callable[[int], None]) -> None:
        groups = 1 if len(self._tasks) <= MERGED_AT_ONCE else GROUPS
        rules, key = _pickled(self._compiled), secrets.token_bytes(16)
        arguments = [
            (rules, [self._for_worker(each) for each in work], self._fleet.scratch, groups, key, self._max_bytes)
            for work in self._tasks
        ]
        for number, outcome in self._fleet.do(tasks.count, arguments):
            work = self._tasks[number]
            self._outcomes.append(outcome)
            self.counted |= zip(work, outcome.counts, strict=True)
            self.damaged |= {work[at].log_file: error for at, error in outcome.damaged.items()}
            advance(sum(map(_size, work)))
        self.damaged = {each: self.damaged[each] for each in self._files if each in self.damaged}

    def _for_worker(self, segment: Segment) -> Work:
        log_file = segment.log_file
        there = Segment(log_file.elsewhere, segment.start, segment.stop)
        return Work(there, self._formats[log_file], self._files[log_file])

    @property
    def figures(self) -> Figures:
        """The figures of all tasks."""
        filtered, rejected = Counter[str](), Counter[str]()
        for each in self._outcomes:
            filtered.update(each.filtered)
            rejected.update(each.rejected)
        return Figures(
            lines=sum(each.lines for each in self._outcomes),
            hits=sum(each.hits for each in self._outcomes),
            malformed=sum(each.malformed for each in self._outcomes),
            filtered=dict(filtered),
            rejected=rejected,
            days_seen=set[date]().union(*(each.days_seen for each in self._outcomes)),
            spooled=sum(each.spooled for each in self._outcomes),
        )

    def rows(self, threads: int | None) -> MergedRows:
        """Return the rows of all tasks, merged from the files of these whenever they are read, and the hours."""
        figures = HitTable(rules=self._compiled.line_rules(ASSUMED))
        views = {name: Counter[date]() for name in tables_of(figures)}
        for outcome in self._outcomes:
            for day, hours in outcome.hours.items():
                figures.add_hours(day, hours)
            for name, by_day in outcome.views.items():
                views[name].update(by_day)
        runs = tasks.runs_of(self._few_files(), self._fleet.scratch, range(GROUPS))
        tables = {name: Runs([runs.get(name, [])], by_day) for name, by_day in views.items()}
        workshop = Workshop(Spool(), bytes_of_tables(self._max_bytes), threads or 1)
        return MergedRows(tables, workshop, figures)

    def _few_files(self) -> list[File]:
        """Return files that have all rows: those of the tasks, or fewer into which tasks have merged them."""
        files = [each.rows for each in self._outcomes]
        if len(files) <= MERGED_AT_ONCE:
            return files
        merges = min(GROUPS, sum(each.size for each in files) // MERGED_BYTES + 1)
        bounds = [GROUPS * at // merges for at in range(merges + 1)]
        ranges = [range(first, last) for first, last in pairwise(bounds)]
        scratch, most = self._fleet.scratch, self._max_bytes
        arguments = [([_only(each, groups) for each in files], scratch, groups, most) for groups in ranges]
        return self._fleet.in_order(tasks.merge, arguments)


def _only(file: File, groups: range) -> File:
    """Return *file* without the places of other groups."""
    places = {
        name: {group: found for group, found in by_group.items() if group in groups}
        for name, by_group in file.places.items()
    }
    return file._replace(places=places)


def _size(segment: Segment) -> int:
    return (segment.log_file.size or 0) if segment.stop is None else segment.stop - segment.start


def _divided(segments: Sequence[Segment], step: int) -> list[list[Segment]]:
    """Return the work of each task: parts of files of about *step* bytes together, the largest first."""
    work: list[list[Segment]] = []
    room = 0
    for each in sorted(segments, key=_size, reverse=True):
        if not work or _size(each) > room:
            work.append([])
            room = step
        work[-1].append(each)
        room -= _size(each)
    return work
