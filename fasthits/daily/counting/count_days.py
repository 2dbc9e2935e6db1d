"""The hits of some days, counted in the log files that hold them."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fasthits._parse import HitTable
from fasthits.daily.counting.overflow import BoundedRows
from fasthits.daily.counting.threads import Example, Figures, Files, Progress, Reading, comments_in
from fasthits.daily.days import has_date
from fasthits.daily.layouts import Rows as Rows
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.extents import Gap, Look, look_at_all
from fasthits.daily.logs.logfiles import LogFile
from fasthits.daily.logs.sources import Judgement, Patterns, Sources
from fasthits.errors import DamagedLogError, LogFileError, UsageError
from fasthits.formats.format import PASTED, Format
from fasthits.rules.compiled import ASSUMED, NO_KEEPERS, CompiledRules, Keepers
from fasthits.rules.guidance import BAD_SHARE, Advice, left_out, main_reason
from fasthits.rules.rules import Rules

if TYPE_CHECKING:
    from fasthits.daily.cluster.fleet import Fleet

__all__ = ["DEFAULT_RULES", "Counted", "Example", "Progress", "count_days"]

DEFAULT_RULES = Rules()
NOT_OVER = "the day was not over when it was counted"

Taken = TypeVar("Taken")


class Counted(NamedTuple):
    """The figures of a finished count. ``lines == hits + sum(filtered.values()) + malformed``."""

    files: int
    bytes: int
    """Of log lines, decompressed."""
    formats: list[str]
    """The names of the formats that the files have."""
    lines: int
    hits: int
    filtered: dict[str, int]
    """Lines that are no hits, by reason."""
    malformed: int
    examples: list[Example]
    """The first malformed lines."""
    spooled: int
    """Bytes of rows that went through a temporary file, because memory was too small for all paths."""
    days: list[date]
    """The days whose rows were taken. Without *as_part* a day that is not whole is not among them."""
    parts: dict[date, list[Gap]]
    """The days that are not whole, each with the missing parts; those of `unfinished` only if more is missing."""
    unfinished: list[date]
    """Those of *days* that were not over."""
    missing: dict[date, str]
    """The days without a file, each with the name of a file that is not there."""
    unseen: list[date]
    """The days with a file, but without a line that parses."""
    days_seen: set[date]
    """The days of all lines that parsed."""
    damaged: list[LogFileError]
    """Why files could not be read, or not to their end; their lines before that place are counted."""
    notes: list[str]
    """Remarks on the days and the files."""
    missing_servers: dict[date, list[str]]
    """By day, the files or logs of servers that have no line of that day, but lines of the days around it."""
    hints_of_missing: list[str]
    """The command to type for days without a file."""
    hints_of_unseen: list[str]
    """The command to type for days without a line, if files that were not named may have lines."""
    any_file: str
    """The name of a file, if possible of one with malformed lines."""
    tried: str
    """The format that lines were read as when none was detected."""
    unreadable: dict[str, Advice]
    """The files without a readable line, each with the reason and the command to type."""
    advice: Advice | None
    """Why most lines cannot be read, and what to type; None if most can. If not, the examples are whole lines."""
    lacking: dict[str, Advice]
    """The files whose lines lack a field that the rules need, each with what to do."""
    left_out: Advice | None
    """If no line is a hit, why a rule filters most lines of the days, and what to type."""

    def gaps(self) -> dict[date, list[str]]:
        """Return what is missing of each day that is not whole, as text."""
        found = {day: [gap.text for gap in gaps] for day, gaps in self.parts.items()}
        return found | {day: [*found.get(day, []), NOT_OVER] for day in self.unfinished}

    def figures(self) -> dict[str, object]:
        """Return the figures of a summary, by name."""
        return {
            "files": self.files,
            "formats": self.formats,
            "bytes": self.bytes,
            "lines": self.lines,
            "hits": self.hits,
            "filtered": self.filtered,
            "malformed": self.malformed,
            "spooled": self.spooled,
            "days": [str(day) for day in self.days],
            "parts": {str(day): gaps for day, gaps in self.gaps().items()},
            "missing_servers": {str(day): names for day, names in self.missing_servers.items()},
        }


def count_days(
    days: Sequence[date] | None,
    patterns: Patterns,
    take: Callable[[Counted, Rows], Taken],
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
    as_part: bool = False,
    today: date | None = None,
    fleet: "Fleet | None" = None,
) -> tuple[Counted, Taken]:
    """Count the hits of *days*, by *rules*, in the files that *patterns* name; return the figures and what *take* did.

    *take* receives the figures and the rows: a hit table or, where *max_bytes* is too little memory for all paths at
    once, `MergedRows` from a temporary file. There may be rows of days that are not among `Counted.days`, which do not
    count. The rows have a table for each of *keepers* besides.

    A day's hits are the lines stamped with it in its own file and in the next day's, where requests that ended after
    midnight are; of files without a date in their names, in those that can hold the day. A day without a file or a line
    is left out, and so is a day whose beginning or end is missing, unless *as_part*. Days from *today* on, by default
    this machine's, are always parts. Without *days* all lines of all files count. ``-`` is standard input.

    *threads* is by default one for each processor that this process may use. With a *fleet* its workers count instead.

    A file that cannot be read makes parts of the days that it can hold.

    Raises LogFileError when there is no file at all, or no file can be read; UsageError when the lines of a file lack a
    field of the rules, or a pattern has a date and there are no *days*; FasthitsError when the temporary file has no
    room.
    """
    compiled, today = CompiledRules(rules, keepers), today or date.today()
    look_at = fleet.look_at_all if fleet else look_at_all
    sources = None if days is None else Sources(patterns, days, compiled, look_at)
    if sources and days and len(sources.missing) == len(days):
        raise sources.error_of_missing()
    files, formats = (sources.files, sources.formats) if sources else _all_files(patterns, compiled, look_at)
    if fleet:
        read: Reading = (counting := fleet.count(files, formats, compiled, progress, max_bytes))
        raw: HitTable | Figures = counting.figures
    else:
        kept = BoundedRows(compiled, max_bytes, threads)
        read = Reading(files, formats, compiled, threads, kept.bound)
        raw = read.run(progress)
    if len(read.damaged) == len(files) and not raw.lines:
        raise read.damaged[next(iter(files))]
    if sources is None and raw.days_seen:
        sources = Sources(patterns, sorted(raw.days_seen), compiled, look_at)  # knows which days are whole
    found = _judge(sources, files, read, raw.days_seen, days, today)
    examples, advice = read.examples(), None
    if raw.malformed > (raw.lines - comments_in(raw)) * BAD_SHARE:
        examples = read.whole_examples()
        advice = _why_unreadable(next((each.head for each in examples if each.head.strip()), b""), rules)
    whole = sorted(found.seen if as_part else found.seen - found.parts.keys())
    if isinstance(raw, HitTable):
        rows, rejected, spooled = kept.finish(raw), kept.rejected, kept.spooled
    else:
        rows, rejected, spooled = counting.rows(threads), raw.rejected, raw.spooled
    hits, filtered = raw.hits - rejected.total(), Counter(raw.filtered) + rejected
    reason = main_reason(hits, filtered)
    counted = Counted(
        files=len(files),
        bytes=read.bytes_read(),
        formats=read.formats(),
        lines=raw.lines,
        hits=hits,
        filtered=filtered,
        malformed=raw.malformed,
        examples=examples,
        spooled=spooled,
        days=whole,
        parts=found.parts,
        unfinished=[day for day in whole if day >= today],
        missing=found.missing,
        unseen=found.unseen,
        days_seen=raw.days_seen,
        damaged=list(read.damaged.values()),
        notes=found.judged.notes + (fleet.remarks if fleet else []),
        missing_servers={day: names for day, names in found.judged.missing_servers.items() if day in whole},
        hints_of_missing=sources.hints_of_missing() if sources and found.missing else [],
        hints_of_unseen=[gap.hint for day in found.unseen for gap in found.judged.gaps.get(day, []) if gap.hint],
        any_file=next((example.file for example in examples), next(iter(files)).name),
        tried=_tried(compiled, read.formats()),
        unreadable={each.name: _why_unreadable(read.first_line(each), rules) for each in read.unreadable()},
        advice=advice,
        lacking=read.lacking(),
        left_out=left_out(reason, compiled, read.sample(), days) if reason and found.seen else None,
    )
    return counted, take(counted, rows)


def _tried(compiled: CompiledRules, formats: list[str]) -> str:
    if given := compiled.log_format:
        return given.text if given.name in PASTED else given.name
    return f"{ASSUMED.name}, as none was detected" if formats == [ASSUMED.name] else " and ".join(formats)


def _why_unreadable(line: bytes, rules: Rules) -> Advice:
    from fasthits.rules.unreadable import why_unreadable  # only unreadable lines need it

    return why_unreadable(line, rules)


class _Days(NamedTuple):
    """The findings of the files about the days."""

    seen: set[date]
    """The wanted days that have a file and a line."""
    unseen: list[date]
    missing: dict[date, str]
    parts: dict[date, list[Gap]]
    judged: Judgement


def _judge(
    sources: Sources | None, files: Files, read: Reading, days_seen: set[date], days: Sequence[date] | None, today: date
) -> _Days:
    """Return what is missing of *days*, or of those seen, when all files have been read. No *sources*: no days."""
    asked = sorted(days_seen) if days is None else days
    ends = read.ends()
    judged = sources.judge(ends, today, datetime.now().astimezone()) if sources else Judgement()
    for log_file, error in read.damaged.items():
        end = ends.get(log_file)
        text, first = str(error), date.min
        if end and isinstance(error, DamagedLogError):
            text, first = f"{error}, counted up to {end:%Y-%m-%d %H:%M:%S}", end.date()
        for day in files[log_file] or asked:
            if day >= first:  # unread lines may be of this day
                judged.gaps.setdefault(day, []).append(Gap(text))
    missing = sources.missing if sources and days is not None else {}
    seen = set(asked) & days_seen - missing.keys()
    unseen = sorted(set(asked) - missing.keys() - days_seen)
    return _Days(seen, unseen, missing, {day: judged.gaps[day] for day in judged.gaps if day in seen}, judged)


def _all_files(
    patterns: Patterns, compiled: CompiledRules, look_at: Look
) -> tuple[Files, dict[LogFile, Format | None]]:
    """Return the files of patterns without a date, of which all days count, and the formats of all but streams."""
    found: list[LogFile] = []
    for pattern in patterns:
        if pattern != logfiles.STDIN and has_date(pattern):
            raise UsageError(
                "PATTERN has a date, but no days are given", pattern, "say which days to count: days='yesterday'"
            )
        files = logfiles.find(pattern.replace("%%", "%"))
        if not files:
            raise LogFileError("no such log file", pattern)
        found += files
    extents = look_at([each for each in found if each.size is not None], compiled)
    return dict.fromkeys(found), {each.log_file: each.log_format for each in extents}
