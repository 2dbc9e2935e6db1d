"""What a worker of a cluster does: look at the beginnings of log files, count a part of them, merge rows.

Rows go through files in the folder of the run (`scratch`), never through the cluster's own messages. A task carries
what it was made with: a worker with another fasthits, or another list of bots, refuses it.
"""

import pickle
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from fasthits import __version__
from fasthits._parse import HitTable
from fasthits.daily.logs.extents import Extent, look
from fasthits.daily.logs.logfiles import LogFile, Segment
from fasthits.daily.reading import Reading, SegmentCount
from fasthits.daily.runs import BOTS, HITS, DamagedPieceError, pack, unpack
from fasthits.daily.scratch import Scratch
from fasthits.errors import FasthitsError, LogFileError
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.formats import Format

FORMAT = 1
"""The version of what tasks and their files look like."""

Places = dict[str, dict[int, list[tuple[int, int]]]]
"""Where the rows are in a file: by table and part, the beginnings and sizes of the frames."""


def versions() -> dict[str, str]:
    """Return what has to be the same everywhere, so that all machines count alike."""
    return {
        "fasthits": __version__,
        "the format of tasks": str(FORMAT),
        "the list of bots (crawler-user-agents)": version("crawler-user-agents"),
    }


def run(made_with: Mapping[str, str], task: bytes) -> Any:
    """Do a task: a pickled function and its arguments. Raises what the function raises.

    Raises FasthitsError if this worker has other versions; then the task is not even looked into.
    """
    for name, here in versions().items():
        if made_with.get(name) != here:
            hint = f"{here} there, {made_with.get(name)} here; install the same on all machines"
            raise FasthitsError(f"a worker has another version of {name}", socket.gethostname(), hint)
    function, arguments = pickle.loads(task)
    return function(*arguments)


@lru_cache(maxsize=4)
def compiled_from(rules: bytes) -> CompiledRules:
    """Return the rules that were pickled: those of all tasks of a run are the same object."""
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
    """A file of rows in the folder of the run."""

    name: str
    size: int
    places: Places


class Outcome(NamedTuple):
    """What a count task has found."""

    rows: File
    lines: int
    hits: int
    malformed: int
    filtered: dict[str, int]
    rejected: dict[str, int]
    days_seen: set[date]
    hours: dict[date, list[int]]
    counts: list[SegmentCount]
    """As many as there were parts of files."""
    damaged: dict[int, LogFileError]
    """By the number of the part."""


def count(rules: bytes, work: Sequence[Work], scratch: Scratch, parts: int, key: bytes) -> Outcome:
    """Count parts of files, and write their rows into a new file. Raises FasthitsError."""
    compiled = compiled_from(rules)
    reading = Reading(
        {each.segment.log_file: each.days for each in work},
        {each.segment.log_file: each.log_format for each in work},
        compiled,
        threads=1,
        segments=_by_file(each.segment for each in work),
    )
    raw = reading.run()
    figures = raw.lines, raw.hits, raw.malformed, raw.filtered
    rejected = Counter[str]()
    table = compiled.finish(raw, rejected)
    hours = table.take_hours()
    for each in tables_of(table).values():
        each.escape()
    return Outcome(
        _write(scratch, {name: each.dump(parts, key) for name, each in tables_of(table).items()}),
        *figures,
        rejected=dict(rejected),
        days_seen=raw.days_seen,
        hours=hours,
        counts=[reading.counted[each.segment] for each in work],
        damaged={at: error for at, each in enumerate(work) if (error := reading.damaged.get(each.segment.log_file))},
    )


def merge(files: Sequence[File], scratch: Scratch, parts: range) -> File:
    """Add up the rows of some *parts* of all *files*; write them into a new file, as one part. Raises FasthitsError.

    The rows of one part are in memory at a time.
    """
    names = dict.fromkeys(name for each in files for name in each.places)
    return _write(scratch, {name: _merged(files, scratch, name, parts) for name in names})


def _merged(files: Sequence[File], scratch: Scratch, name: str, parts: range) -> Iterator[tuple[int, bytes]]:
    for part in parts:
        table = HitTable()
        for file in files:
            for piece in pieces_of(file, scratch, name, part):
                table.load(piece)
        yield from table.dump()


def tables_of(table: HitTable) -> dict[str, HitTable]:
    """Return all tables of a count by name."""
    return {HITS: table, **({} if table.bots is None else {BOTS: table.bots}), **table.by_referer}


def pieces_of(file: File, scratch: Scratch, name: str, part: int) -> Iterator[bytes]:
    """Yield the rows of one part in a file. Raises FasthitsError."""
    for start, size in file.places.get(name, {}).get(part, ()):
        frame = scratch.read_range(file.name, start, size)
        try:
            yield unpack(frame)
        except DamagedPieceError as error:
            raise FasthitsError("a file of the run is damaged", f"{scratch.folder}/{file.name}", str(error)) from error


def _write(scratch: Scratch, rows: Mapping[str, Iterable[tuple[int, bytes]]]) -> File:
    places: Places = {}
    with scratch.new_file() as (name, file):
        at = 0
        for table, pieces in rows.items():
            for part, some in groupby(pieces, itemgetter(0)):
                for frame in pack(piece for _, piece in some):
                    file.write(frame)
                    places.setdefault(table, {}).setdefault(part, []).append((at, len(frame)))
                    at += len(frame)
    return File(name, at, places)


def _by_file(segments: Iterable[Segment]) -> dict[LogFile, list[Segment]]:
    found: dict[LogFile, list[Segment]] = {}
    for each in segments:
        found.setdefault(each.log_file, []).append(each)
    return found
