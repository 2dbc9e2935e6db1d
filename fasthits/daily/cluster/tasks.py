"""The tasks of a cluster's workers: look at the beginnings of log files, count a part of them, merge rows.

Rows go through files in the scratch folder (`scratch`), never through the cluster's own messages. A task carries
what it was made with: a worker with another fasthits, or another list of bots, refuses it.
"""

import pickle
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from fasthits import __version__
from fasthits.daily.cluster.scratch import Scratch, read_range
from fasthits.daily.counting.max_memory import bytes_of_tables
from fasthits.daily.counting.overflow import BoundedRows
from fasthits.daily.counting.runs import DamagedPieceError, Run, Spool, Workshop, merged, pack, tables_of, unpack
from fasthits.daily.counting.threads import Reading, SegmentCount
from fasthits.daily.logs.extents import Extent, look
from fasthits.daily.logs.logfiles import LogFile, Segment
from fasthits.errors import DamagedLogError, FasthitsError, LogFileError
from fasthits.formats.format import Format
from fasthits.rules.compiled import CompiledRules

FORMAT = 1
"""The version of the format of tasks and their files."""

Places = dict[str, dict[int, list[tuple[int, int]]]]
"""Where the rows are in a file: by table and group, the beginnings and sizes of the frames."""


def versions() -> dict[str, str]:
    """Return the versions that must be the same on all machines."""
    return {
        "fasthits": __version__,
        "the format of tasks": str(FORMAT),
        "the list of bots (crawler-user-agents)": version("crawler-user-agents"),
    }


def run(made_with: Mapping[str, str], task: bytes) -> Any:
    """Do a task: a pickled function and its arguments. Raises the errors of the function, which name the machine.

    Raises FasthitsError if this worker has other versions; then the task is not even looked into.
    """
    for name, here in versions().items():
        if made_with.get(name) != here:
            hint = f"{here} there, {made_with.get(name)} here; install the same on all machines"
            raise FasthitsError(f"a worker has another version of {name}", socket.gethostname(), hint)
    function, arguments = pickle.loads(task)
    try:
        return function(*arguments)
    except FasthitsError as error:
        _name_worker(error)
        raise


def _name_worker(error: FasthitsError) -> None:
    error.hint = "; ".join(filter(None, [error.hint, f"on the worker {socket.gethostname()}"]))


@lru_cache(maxsize=4)
def compiled_from(rules: bytes) -> CompiledRules:
    """Return the rules that were pickled: those of all tasks of a count are the same object."""
    return CompiledRules(*pickle.loads(rules))


def look_at(rules: bytes, files: Sequence[LogFile]) -> list[Extent]:
    """Return when files begin, each with whether it is text. Raises StoreError."""
    return [look(each, compiled_from(rules)) for each in files]


class Work(NamedTuple):
    """A part of a file."""

    segment: Segment
    log_format: Format | None
    days: Collection[date] | None


class File(NamedTuple):
    """A file of rows in the scratch folder."""

    name: str
    size: int
    places: Places


class Outcome(NamedTuple):
    """The findings of a count task."""

    rows: File
    lines: int
    hits: int
    malformed: int
    filtered: dict[str, int]
    rejected: Counter[str]
    views: dict[str, dict[date, int]]
    """By table and day, all paths together."""
    days_seen: set[date]
    hours: dict[date, list[int]]
    spooled: int
    """Bytes of rows that went through a temporary file of the worker."""
    counts: list[SegmentCount]
    """As many as there were parts of files."""
    damaged: dict[int, LogFileError]
    """By the number of the group."""


def count(
    rules: bytes, work: Sequence[Work], scratch: Scratch, groups: int, key: bytes, max_bytes: int | None
) -> Outcome:
    """Count parts of files, and write their rows into a new file. Raises FasthitsError."""
    compiled = compiled_from(rules)
    kept = BoundedRows(compiled, max_bytes, 1, groups, key)
    reading = Reading(
        {each.segment.log_file: each.days for each in work},
        {each.segment.log_file: each.log_format for each in work},
        compiled,
        threads=1,
        bound=kept.bound,
        segments=_by_file(each.segment for each in work),
    )
    raw = reading.run()
    figures = raw.lines, raw.hits, raw.malformed, raw.filtered
    rows = kept.finish(raw)
    tables = tables_of(rows)
    for each in tables.values():
        each.escape()
    for problem in reading.damaged.values():
        if not isinstance(problem, DamagedLogError):  # others may be able to read the file
            _name_worker(problem)
    return Outcome(
        _write(scratch, {name: each.dump(groups, key) for name, each in tables.items()}),
        *figures,
        rejected=kept.rejected,
        views={name: each.views_by_day() for name, each in tables.items()},
        days_seen=raw.days_seen,
        hours=rows.take_hours(),
        spooled=kept.spooled,
        counts=[reading.counted[each.segment] for each in work],
        damaged={at: error for at, each in enumerate(work) if (error := reading.damaged.get(each.segment.log_file))},
    )


def merge(files: Sequence[File], scratch: Scratch, groups: range, max_bytes: int | None) -> File:
    """Add up the rows of some *groups* of all *files*, and write them into a new file. Raises FasthitsError."""
    workshop = Workshop(Spool(), bytes_of_tables(max_bytes))
    runs = {group: runs_of(files, scratch, [group]) for group in groups}
    names = dict.fromkeys(name for each in files for name in each.places)
    return _write(scratch, {name: _merged(runs, name, workshop) for name in names})


def _merged(
    runs: Mapping[int, Mapping[str, Sequence[Run]]], name: str, workshop: Workshop
) -> Iterator[tuple[int, bytes]]:
    for group, of_group in runs.items():
        yield from ((group, piece) for piece in merged(of_group.get(name, []), workshop))


def runs_of(files: Sequence[File], scratch: Scratch, groups: Collection[int]) -> dict[str, list[Run]]:
    """Return the runs of some *groups* in all *files*, by table."""
    runs: dict[str, list[Run]] = {}
    for file in files:
        path = f"{scratch.folder}/{file.name}"
        for name, by_group in file.places.items():
            some = [places for group, places in by_group.items() if group in groups]
            runs.setdefault(name, []).extend(Run(path, partial(_pieces, path, places)) for places in some)
    return runs


def _pieces(path: str, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for start, size in places:
        try:
            yield unpack(read_range(path, start, size))
        except DamagedPieceError as error:
            raise FasthitsError("a file in the scratch folder is damaged", path, str(error)) from error


def _write(scratch: Scratch, rows: Mapping[str, Iterable[tuple[int, bytes]]]) -> File:
    places: Places = {name: {} for name in rows}
    with scratch.new_file() as (name, file):
        at = 0
        for table, pieces in rows.items():
            for group, some in groupby(pieces, itemgetter(0)):
                for frame in pack(piece for _, piece in some):
                    file.write(frame)
                    places[table].setdefault(group, []).append((at, len(frame)))
                    at += len(frame)
    return File(name, at, places)


def _by_file(segments: Iterable[Segment]) -> dict[LogFile, list[Segment]]:
    found: dict[LogFile, list[Segment]] = {}
    for each in segments:
        found.setdefault(each.log_file, []).append(each)
    return found
