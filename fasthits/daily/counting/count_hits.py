"""The hits of files, streams and bytes, counted in one call: a finished result."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

from fasthits._parse import EXAMPLES, HitTable, LineRules, rows_of_piece
from fasthits.daily.counting.count_days import count_days
from fasthits.daily.counting.max_memory import LEAST_MEMORY, bytes_of_tables, parse_max_memory
from fasthits.daily.counting.overflow import BoundedRows
from fasthits.daily.counting.threads import Example, table_of_days
from fasthits.daily.days import days_of
from fasthits.daily.layouts import Rows
from fasthits.daily.logs.lines import Source, Stream, open_stream
from fasthits.daily.logs.logfiles import BLOCK_BYTES
from fasthits.errors import DamagedLogError, UsageError
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.intake import Intake
from fasthits.rules.keywords import RuleOptions, number_of, rules_of
from fasthits.rules.rules import Rules

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from fasthits.daily.cluster.fleet import Fleet

ViewsByDay = Mapping[date, Mapping[str, int]]


@dataclass(frozen=True, eq=False)
class HitCount:
    """The hits of some logs. All figures are final: ``lines == hits + sum(filtered.values()) + malformed``.

    It can be pickled, so that a process of a pool can return it. Then all rows are in memory.
    """

    lines: int
    hits: int
    """How many lines are hits."""
    filtered: Mapping[str, int]
    """How many lines parsed, but are no hits, by reason: ``comment``, ``message``, ``method``, ``target``, ``status``,
    ``day``, ``agent``, ``bot``, ``path`` or ``static``."""
    malformed: int
    """How many lines did not parse."""
    examples: Sequence[Example]
    """Some malformed lines: file, number of the line, first bytes."""
    formats: Sequence[str]
    """The names of the log formats."""
    days: Sequence[date]
    """The wanted days that have lines, in order."""
    missing: Sequence[date]
    """The wanted days without a line: nothing is known of them, so they are not in `views`."""
    parts: Mapping[date, Sequence[str]]
    """The days that are not whole, each with the missing parts. Only files tell; a stream does not."""
    damaged: Sequence[str]
    """The files that could not be read to their end, and why; their lines before that place are counted."""
    _rows: Rows = field(repr=False)

    @cached_property
    def views(self) -> ViewsByDay:
        """The views by day and path, for each of `days`. With ``bots="apart"`` only the views of people."""
        return self._by_day(self._rows)

    @cached_property
    def bots(self) -> ViewsByDay:
        """With ``bots="apart"`` the views of known bots, as `views`; otherwise empty."""
        return MappingProxyType({}) if self._rows.bots is None else self._by_day(self._rows.bots)

    def rows(self) -> Iterator[tuple[date, str, int]]:
        """Yield (day, path, views) as in the CSV of a rollup: by day, then views, most first, then path."""
        for _, piece in self._rows.dump(by_views=True):
            yield from ((day, path.decode(), views) for day, path, views in rows_of_piece(piece))

    def __reduce__(self) -> tuple[object, ...]:
        """Return what pickle and copy store: the figures, and all rows."""
        figures = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "_rows"}
        figures |= {name: dict(figures[name]) for name in _MAPPINGS}
        bots = self._rows.bots
        return _count_of, (figures, _pieces_of(self._rows), None if bots is None else _pieces_of(bots))

    def _by_day(self, rows: Rows) -> ViewsByDay:
        found: dict[date, dict[str, int]] = {day: {} for day in self.days}
        for _, piece in rows.dump():
            for day, path, views in rows_of_piece(piece):
                found[day][path.decode()] = views
        return MappingProxyType({day: MappingProxyType(views) for day, views in found.items()})


_MAPPINGS = ("filtered", "parts")
_OTHERS = ("days", "threads", "max_memory", "executor", "scratch")
"""The arguments of `count_hits` that are no rules."""


def _pieces_of(rows: Rows) -> list[bytes]:
    return [piece for _, piece in rows.dump()]


def _count_of(figures: dict[str, Any], pieces: Iterable[bytes], bots: Iterable[bytes] | None) -> HitCount:
    """Return the HitCount that `HitCount.__reduce__` has stored."""
    table = HitTable(rules=LineRules(apart=bots is not None))
    for piece in pieces:
        table.load(piece)
    if table.bots is not None:
        for piece in bots or ():
            table.bots.load(piece)
    return HitCount(**figures | {name: MappingProxyType(figures[name]) for name in _MAPPINGS}, _rows=table)


def count_hits(
    *sources: Source,
    days: "date | str | Iterable[date] | None" = None,
    threads: int | None = None,
    max_memory: int | str | None = None,
    executor: "Executor | None" = None,
    scratch: "str | os.PathLike[str]" = ".",
    **rules: Unpack[RuleOptions],
) -> HitCount:
    r"""Count the hits of log files, streams and bytes by day and path.

    A text or path names log files, as ``--logs`` does: ``access.log*``, ``/srv/logs/%Y-%m-%d.log``, compressed or not.
    Bytes are a log. Everything else is a stream: a binary file, or an iterable of blocks of bytes, which may end
    anywhere in a line; it is read once, block by block. All may be compressed. A file that several names match counts
    once.

    *days* are the only days that count: a date, dates, or a text as for ``fasthits rollup``: ``2026-03-12``,
    ``yesterday``, ``2026-03-01..2026-03-31``. Without *days* all lines count. What is there is counted, even of a day
    that is not whole; `HitCount.parts` tells which days are not.

    Files are counted by *threads*, by default one for each processor. *max_memory*, in bytes or as ``512M``, bounds the
    memory of the count and of `HitCount.rows`, not that of `HitCount.views`: if the paths need more, their counts go
    through a temporary file in the folder ``TMPDIR``. *rules* are the options of ``fasthits rollup``:
    ``exclude_bots=True``, ``status="200,304"``, ``keep_query=["page"]``, ``log_format="combined"``.

    With an *executor* of `concurrent.futures`, its workers count the files instead: processes of this machine, or of a
    cluster. All of them need the same fasthits, the files under the same names, and the folder *scratch*, where they
    leave rows for each other; it may be an address in a store, such as ``s3://logs/scratch``.

    A path in the result is text; bytes that are not UTF-8 are written as ``\xhh``.

    Raises LogFileError for files that are missing or cannot be read, and for streams that are damaged; UsageError for
    invalid arguments and for a log that lacks a field of the rules; FasthitsError where the temporary file has no room;
    TypeError for text in a stream, and for what is no log or no executor.

    >>> log = b'192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "curl/8"\njunk\n'
    >>> count = count_hits(log)
    >>> list(count.rows())
    [(datetime.date(2026, 3, 12), '/a', 1)]
    >>> count.lines, count.hits, count.malformed
    (2, 1, 1)
    """
    if not sources:
        raise UsageError("nothing to count", "count_hits()", "name files, or give a stream or bytes")
    threads = None if threads is None else number_of("a number of threads", threads)
    wanted, asked, max_bytes = rules_of(rules, _OTHERS), days_of(days), _bytes_of(max_memory)
    if asked == []:
        raise UsageError("no days", repr(days), "leave it out to count all days")
    names = [os.fsdecode(source) for source in sources if isinstance(source, str | os.PathLike)]
    parts = [_count_files(names, asked, threads, max_bytes, wanted, _fleet(executor, scratch))] if names else []
    number = 0
    for source in sources:
        if not isinstance(source, str | os.PathLike):
            number += 1
            name = getattr(source, "name", None)
            name = name if isinstance(name, str) else f"<stream {number}>"
            parts.append(_count_stream(source, name, asked, max_bytes, wanted))
    return _sum_of(parts, asked, max_bytes)


def _fleet(executor: "Executor | None", scratch: "str | os.PathLike[str]") -> "Fleet | None":
    if executor is None:
        return None
    if not hasattr(executor, "submit"):  # a multiprocessing.Pool
        raise TypeError(f"an executor is one of concurrent.futures, not {type(executor).__name__}")
    from fasthits.daily.cluster.fleet import Crew, Fleet, slots_of

    return Fleet(Crew(executor, slots_of(executor), type(executor).__name__), os.fspath(scratch))


def _bytes_of(max_memory: int | str | None) -> int | None:
    if isinstance(max_memory, str):
        return parse_max_memory(max_memory)
    if max_memory is not None and not isinstance(max_memory, int | float):
        raise UsageError("not a number of bytes", repr(max_memory), "for example 512M")
    if max_memory is not None and not max_memory >= LEAST_MEMORY:  # nan is neither less nor more
        raise UsageError("max_memory is too small", max_memory, f"{LEAST_MEMORY} or more")
    return max_memory


@dataclass
class _Part:
    """The counts of some sources, and the days seen in them."""

    figures: dict[str, int]
    filtered: Mapping[str, int]
    rows: Rows
    examples: Sequence[Example]
    formats: Sequence[str]
    days_seen: set[date]
    gaps: Mapping[date, Sequence[str]] = field(default_factory=dict)
    damaged: Sequence[str] = ()


def _count_files(
    names: Sequence[str],
    days: list[date] | None,
    threads: int | None,
    max_bytes: int | None,
    rules: Rules,
    fleet: "Fleet | None",
) -> _Part:
    def take(_: object, rows: Rows) -> Rows:
        return _kept([rows], max_bytes) if fleet else rows  # a fleet's files are removed next

    with fleet.working() if fleet else nullcontext():
        found, rows = count_days(days, tuple(names), take, threads, None, max_bytes, rules, as_part=True, fleet=fleet)
    for error in found.damaged:
        if not isinstance(error, DamagedLogError):
            raise error
    return _Part(
        {"lines": found.lines, "hits": found.hits, "malformed": found.malformed},
        found.filtered,
        rows,
        found.examples,
        found.formats,
        found.days_seen,
        found.gaps(),
        [str(error) for error in found.damaged],
    )


def _count_stream(source: Stream, name: str, days: list[date] | None, max_bytes: int | None, rules: Rules) -> _Part:
    compiled = CompiledRules(rules)
    log_format, blocks = open_stream(source, compiled)
    intake = Intake(compiled, partial(table_of_days, days), log_format)
    kept = BoundedRows(compiled, max_bytes)
    for block in blocks:
        for at in range(0, len(block), BLOCK_BYTES):
            if kept.bound and intake.hit_table.memory_with(BLOCK_BYTES) > kept.bound.max_bytes:
                kept.bound.give_away(intake.hit_table.drain())
            intake.feed(block[at : at + BLOCK_BYTES])
    intake.finish()
    raw = intake.hit_table
    rows = kept.finish(raw)
    return _Part(
        {"lines": raw.lines, "hits": raw.hits - kept.rejected.total(), "malformed": raw.malformed},
        Counter(raw.filtered) + kept.rejected,
        rows,
        [Example(name, line, head) for line, head in intake.examples],
        [(intake.log_format or ASSUMED).name],
        raw.days_seen,
    )


def _kept(parts: Sequence[Rows], max_bytes: int | None) -> Rows:
    """Return the sum of all rows: in memory if all are there, else in a temporary file."""
    from fasthits.daily.counting.runs import Spill, Spool, Workshop  # few counts need it

    tables = [each for each in parts if isinstance(each, HitTable)]
    if len(tables) == len(parts):
        table = tables[0]
        table.merge(*tables[1:])
        table.escape()
        if table.bots is not None:
            table.bots.escape()
        return table
    spill = Spill(Workshop(Spool(), bytes_of_tables(max_bytes)))
    for each in parts:
        spill.add(each)
    return spill.rows(HitTable())


def _sum_of(parts: Sequence[_Part], asked: list[date] | None, max_bytes: int | None) -> HitCount:
    figures, filtered, gaps = Counter[str](), Counter[str](), dict[date, list[str]]()
    for part in parts:
        figures.update(part.figures)
        filtered.update(part.filtered)
        for day, texts in part.gaps.items():
            gaps.setdefault(day, []).extend(texts)
    days_seen = set[date]().union(*(part.days_seen for part in parts))
    days = sorted(days_seen if asked is None else days_seen & set(asked))
    return HitCount(
        **{name: figures[name] for name in ("lines", "hits", "malformed")},
        filtered=MappingProxyType(dict(filtered)),
        examples=tuple(example for part in parts for example in part.examples)[:EXAMPLES],
        formats=tuple(sorted({name for part in parts for name in part.formats})),
        days=tuple(days),
        missing=tuple(day for day in asked or () if day not in days_seen),
        parts=MappingProxyType({day: tuple(gaps[day]) for day in sorted(gaps)}),
        damaged=tuple(text for part in parts for text in part.damaged),
        _rows=_kept([part.rows for part in parts], max_bytes),
    )
