"""The hits of some days, counted in the log files that hold them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from itertools import chain
from typing import NamedTuple, TypeVar

from fasthits._parse import WHOLE, HitTable
from fasthits.daily.days import has_date
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.extents import Gap
from fasthits.daily.logs.logfiles import LogFile
from fasthits.daily.logs.sources import Judgement, Patterns, Sources
from fasthits.daily.passes import Example, Files, Pass, Passes, Progress
from fasthits.errors import DamagedLogError, LogFileError, UsageError
from fasthits.rules.compiled import ASSUMED, NO_KEEPERS, CompiledRules, Keepers
from fasthits.rules.formats import Format
from fasthits.rules.guidance import BAD_SHARE, Advice, left_out, only_reason
from fasthits.rules.rules import Rules

__all__ = ["DEFAULT_RULES", "Counted", "Example", "Progress", "count_days"]

DEFAULT_RULES = Rules()

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
    passes: int
    """How often the files were read: more than once where memory was too small for all paths at once."""
    days: list[date]
    """The days whose rows were taken. Without *as_part* a day that is not whole is not among them."""
    parts: dict[date, list[Gap]]
    """The days that are not whole, each with what is missing."""
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
    """What to type for the days without a file."""
    hints_of_unseen: list[str]
    """What to type for the days without a line, where files that were not named may have some."""
    any_file: str
    """The name of a file, if possible of one with malformed lines."""
    tried: str
    """The format that lines were read as when none was detected."""
    unreadable: dict[str, Advice]
    """The files of which no line can be read, each with why, and what to type."""
    advice: Advice | None
    """Why most lines cannot be read, and what to type; None if most can. If not, the examples are whole lines."""
    left_out: Advice | None
    """Why a single rule filters all lines of the days, and what to type; None if it does not."""

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
            "passes": self.passes,
            "days": [str(day) for day in self.days],
            "parts": {str(day): [gap.text for gap in gaps] for day, gaps in self.parts.items()},
            "missing_servers": {str(day): names for day, names in self.missing_servers.items()},
        }


def count_days(
    days: Sequence[date] | None,
    patterns: Patterns,
    take: Callable[[list[date], Iterator[HitTable]], Taken],
    threads: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    rules: Rules = DEFAULT_RULES,
    keepers: Keepers = NO_KEEPERS,
    as_part: bool = False,
    today: date | None = None,
) -> tuple[Counted, Taken]:
    """Count the hits of *days*, by *rules*, in the files that *patterns* name; return the figures and what *take* did.

    *take* receives the days that count and hit tables that have all their rows between them: one table, or several
    where *max_bytes* is too little for all paths at once. Then the files are read again for each further table, and a
    table is empty when the next one comes. The tables have a table for each of *keepers* besides.

    A day's hits are the lines stamped with it in its own file and in the next day's, where requests that ended after
    midnight are; of files without a date in their names, in those that can hold the day. A day without a file or a line
    is left out, and so is a day whose beginning or end is missing, unless *as_part*. Days from *today* on, by default
    this machine's, are always parts. Without *days* all lines of all files count. ``-`` is standard input.

    *threads* is by default one for each processor that this process may use.

    A file that cannot be read makes parts of the days that it can hold.

    Raises LogFileError when there is no file at all, no file can be read, or a file cannot be read again; UsageError
    when the lines of a file lack a field of the rules, or a pattern has a date and there are no *days*.
    """
    compiled = CompiledRules(rules, keepers)
    sources = None if days is None else Sources(patterns, days, compiled)
    if sources and days and len(sources.missing) == len(days):
        raise sources.error_of_missing()
    files, formats = (sources.files, sources.formats) if sources else _all_files(patterns, compiled)
    passes = Passes(files, formats, compiled, threads, progress, max_bytes)
    raw = passes.count()
    if len(passes.last.damaged) == len(files) and not raw.lines:
        raise passes.last.damaged[next(iter(files))]
    if sources is None and raw.days_seen:
        sources = Sources(patterns, sorted(raw.days_seen), compiled)  # tells which of the days are whole
    found = _judge(sources, files, passes.last, raw.days_seen, days, today or date.today())
    read, lines, hits, malformed, before = passes.last, raw.lines, raw.hits, raw.malformed, raw.filtered
    examples, advice = read.examples(), None
    if malformed > lines * BAD_SHARE:
        examples = read.whole_examples()
        advice = _why_unreadable(next((each.head for each in examples if each.head.strip()), b""), rules)
    whole = sorted(found.seen if as_part else found.seen - found.parts.keys())
    rejected = Counter[str]()
    tables = _finish(passes, raw, found.parts.keys() - set(whole), compiled, rejected)
    taken = take(whole, tables)
    for _ in tables:
        pass  # what nobody took: the rules reject hits by their paths when a table is finished, so only then
    filtered = Counter(before) + rejected
    reason = only_reason(hits - rejected.total(), filtered)
    counted = Counted(
        files=len(files),
        bytes=read.bytes_read(),
        formats=read.formats(),
        lines=lines,
        hits=hits - rejected.total(),
        filtered=filtered,
        malformed=malformed,
        examples=examples,
        passes=passes.number,
        days=whole,
        parts=found.parts,
        missing=found.missing,
        unseen=found.unseen,
        days_seen=found.days_seen,
        damaged=list(read.damaged.values()),
        notes=found.judged.notes,
        missing_servers={day: names for day, names in found.judged.missing_servers.items() if day in whole},
        hints_of_missing=sources.hints_of_missing() if sources and found.missing else [],
        hints_of_unseen=[gap.hint for day in found.unseen for gap in found.judged.gaps.get(day, []) if gap.hint],
        any_file=next((example.file for example in examples), next(iter(files)).name),
        tried=compiled.log_format.text if compiled.log_format else f"{ASSUMED.name}, as none was detected",
        unreadable={each.name: _why_unreadable(read.first_line(each), rules) for each in read.unreadable()},
        advice=advice,
        left_out=left_out(reason, rules, read.sample(days)) if reason else None,
    )
    return counted, taken


def _why_unreadable(line: bytes, rules: Rules) -> Advice:
    from fasthits.rules.unreadable import why_unreadable  # a count of readable lines does not need it

    return why_unreadable(line, rules)


class _Days(NamedTuple):
    """What the files tell about the days."""

    days_seen: set[date]
    seen: set[date]
    """The days asked for that have a file and a line."""
    unseen: list[date]
    missing: dict[date, str]
    parts: dict[date, list[Gap]]
    judged: Judgement


def _judge(
    sources: Sources | None, files: Files, read: Pass, days_seen: set[date], days: Sequence[date] | None, today: date
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
            if day >= first:  # the file can hold lines of it that were not read
                judged.gaps.setdefault(day, []).append(Gap(text))
    missing = sources.missing if sources and days is not None else {}
    seen = set(asked) & days_seen - missing.keys()
    unseen = sorted(set(asked) - missing.keys() - days_seen)
    return _Days(
        days_seen, seen, unseen, missing, {day: judged.gaps[day] for day in judged.gaps if day in seen}, judged
    )


def _finish(
    passes: Passes, raw: HitTable, unwanted: Collection[date], compiled: CompiledRules, rejected: Counter[str]
) -> Iterator[HitTable]:
    """Yield tables of final paths, without the days *unwanted*: the one of *raw*, and those of further passes.

    A table is empty when the next one comes.
    """
    share = raw.share
    for each in chain([raw], passes.count_rest(share)):
        table = compiled.finish(each, rejected)
        if unwanted:
            table = _without_days(table, unwanted, compiled)
        yield table
        if share != WHOLE:
            table.drain()


def _all_files(patterns: Patterns, compiled: CompiledRules) -> tuple[Files, dict[LogFile, Format | None]]:
    """Return the files of patterns without a date, of which all days count, and the formats of all but streams."""
    found: list[LogFile] = []
    for pattern in patterns:
        if pattern != logfiles.STDIN and has_date(pattern):
            raise UsageError("PATTERN has a date, but no days are given", pattern, "say which days to count")
        files = logfiles.find(pattern.replace("%%", "%"))
        if not files:
            raise LogFileError("no such log file", pattern)
        found += files
    formats = {each: compiled.detect(*each.head()) for each in found if each.size is not None}
    return dict.fromkeys(found), formats


def _without_days(table: HitTable, days: Collection[date], compiled: CompiledRules) -> HitTable:
    """Return the rows and hours of *table* without those of *days*; *table* has none any more."""
    wanted = HitTable(rules=compiled.line_rules(ASSUMED))
    wanted.share = table.share
    pairs = [(table, wanted), *((table.by_referer[name], wanted.by_referer[name]) for name in table.by_referer)]
    if table.bots is not None and wanted.bots is not None:
        pairs.append((table.bots, wanted.bots))
    for before, after in pairs:
        for day, path, views in before.rows():
            if day not in days:
                after.add(day, path, views)
    for day, hours in table.take_hours().items():
        if day not in days:
            wanted.add_hours(day, hours)
    table.drain()
    return wanted
