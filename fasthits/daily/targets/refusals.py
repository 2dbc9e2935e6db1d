"""Which days a run leaves unchanged, and why: only a better count of a day replaces the day that is kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from fasthits.daily.counting.count_days import Counted
from fasthits.daily.days import name_days
from fasthits.daily.logs.extents import Gap
from fasthits.daily.logs.sources import NAME_LOGS
from fasthits.display import counted as number_of
from fasthits.display import printable, some_of
from fasthits.rules.guidance import main_reason, shown

NAMED_GAPS = 3
"""The number of missing parts of a day that a message names."""
NAMED_SERVERS = 10
NAMED_FILES = 10
"""How many files a message names, and about how many there are remarks."""
NAMED_DAYS = 10
"""How many days with fewer or more hits a message names, with their numbers."""

SHOWN_OF_LINE = 120
"""Characters that are shown of a malformed line among good lines; mostly the request is among them."""

ONLY_RULES = "if only the rules have changed, --replace replaces the day"
WHY_FEWER = f"is a log missing? merge adds up several servers; {ONLY_RULES}"

FEW_LINES = 20
"""On a quiet night, one rule may filter this many lines, and no hits come."""


MANY_MALFORMED = 0.1
"""A greater share of malformed lines needs attention."""


class Change(NamedTuple):
    """A day with other hits in the new count than in the kept one."""

    day: date
    counted: int
    kept: int

    def __str__(self) -> str:
        return f"{self.day}: {self.counted:,} counted, {self.kept:,} kept"


class Compared(NamedTuple):
    """The days with other hits than are kept, in order: days with fewer hits stay, days with more are replaced."""

    fewer: list[Change]
    more: list[Change]


NOT_COMPARED = Compared([], [])


def compare(counted: Mapping[date, int], kept: Mapping[date, int]) -> Compared:
    """Compare the hits of each day that is *kept*. Both map a day to its hits.

    >>> compare({date(2026, 3, 12): 7, date(2026, 3, 13): 5}, {date(2026, 3, 12): 7, date(2026, 3, 14): 1})
    Compared(fewer=[Change(day=datetime.date(2026, 3, 14), counted=0, kept=1)], more=[])
    """
    changes = [Change(day, counted.get(day, 0), hits) for day, hits in sorted(kept.items())]
    return Compared(
        [each for each in changes if each.counted < each.kept],
        [each for each in changes if each.counted > each.kept],
    )


def days_left(found: Counted, fewer: Sequence[Change], why_fewer: str = WHY_FEWER) -> Iterator[str]:
    """Yield a line for each reason why days were left unchanged, with what to type; nothing if no day was left."""
    if found.missing:
        hints = "; ".join(found.hints_of_missing)
        yield f"no log file, left unchanged: {name_days(found.missing)} ({hints})"
    if found.unseen:
        yield _why_unseen(found)
    if found.days_seen:
        yield from _unreadable(found)
    for day, gaps in found.parts.items():
        if day not in found.days:
            ways = some_of(list(dict.fromkeys(gap.hint for gap in gaps if gap.hint)), NAMED_GAPS, "; ")
            ways += "; " * bool(ways) + "--partial counts what is there"
            yield f"not the whole day, left unchanged: {day}: {_join(gaps)} ({ways})"
    yield from fewer_left(fewer, why_fewer)


def fewer_left(fewer: Sequence[Change], why: str) -> Iterator[str]:
    """Yield a line if days were left unchanged because they have fewer hits now; *why* that may be."""
    if fewer:
        yield f"fewer hits than are kept, left unchanged: {_name(fewer)} ({why})"


def more_than_kept(more: Sequence[Change]) -> Iterator[str]:
    """Yield a line if days were replaced that had fewer hits: the log was not whole then, or the rules differ."""
    if more:
        yield f"more hits than were kept: {_name(more)}"


def _name(changes: Sequence[Change]) -> str:
    more = f"; and {number_of(len(changes) - NAMED_DAYS, 'more day')}" * (len(changes) > NAMED_DAYS)
    return "; ".join(map(str, changes[:NAMED_DAYS])) + more


def remarks(found: Counted, of_few_lines: bool = True) -> Iterator[str]:
    """Yield notes and warnings about the days that were counted: lines that do not count, parts of days, servers
    without a line.

    Without *of_few_lines* it is no warning that a rule filters a few lines, and no line is a hit.
    """
    reason = main_reason(found.hits, found.filtered)
    lines = found.filtered[reason] if reason else 0
    if found.left_out and (of_few_lines or lines > FEW_LINES):
        yield f"warning: no hits, and {number_of(lines, 'line')} filtered by one rule ({reason}): {found.left_out}"
    if found.advice and found.days_seen:
        yield f"warning: {found.malformed:,} of {number_of(found.lines, 'line')} cannot be read; see the examples"
    yield from _first_of([f"warning: {name}: {lack}" for name, lack in found.lacking.items()])
    yield from _first_of([note for note in found.notes if note.startswith("warning")])
    yield from _first_of([note for note in found.notes if not note.startswith("warning")])
    for day in found.days:
        if day in found.parts:
            yield f"{day} is only a part: {_join(found.parts[day])}"
    for day, names in found.missing_servers.items():
        named = some_of(names, NAMED_SERVERS)
        yield f"warning: no line of {day} in {named}; if these sites had visitors, a log is missing"


def said_of(found: Counted, others: Iterable[str]) -> list[str]:
    """Return the remarks on the counted days and *others* as a list for a program, without the word "warning"."""
    return [text.removeprefix("warning: ") for text in (*remarks(found), *others)]


def needs_attention(found: Counted) -> bool:
    """Tell whether a summary is to be shown although nobody asked for it: it has remarks, or many lines are malformed.

    So the first day of a log is shown once: nobody but the reader knows whether older files are missing.
    """
    return found.malformed > found.lines * MANY_MALFORMED or any(remarks(found, of_few_lines=False))


def examples(found: Counted) -> Iterator[str]:
    """Yield the examples of malformed lines for a terminal; if most lines are malformed, whole, and what to type."""
    for example in found.examples:
        line = shown(example.head) if found.advice else shown(example.head)[:SHOWN_OF_LINE]
        yield f"{printable(example.file)}:{example.line}: {line}"
    if found.advice:
        yield from found.advice.lines()


def _first_of(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:NAMED_FILES]
    if len(lines) > NAMED_FILES:
        yield f"and {len(lines) - NAMED_FILES:,} more like this"


def _join(gaps: Sequence[Gap]) -> str:
    return some_of(list(dict.fromkeys(gap.text for gap in gaps)), NAMED_GAPS, "; ")


def _unreadable(found: Counted) -> Iterator[str]:
    """Yield a line for each file of which no line could be read, while others were."""
    for name, advice in list(found.unreadable.items())[:NAMED_FILES]:
        yield f"no line of this file can be read, counted without it: {name} ({advice.misses[0]}; {advice.remedy})"
    if (more := len(found.unreadable) - NAMED_FILES) > 0:
        yield f"no line of {number_of(more, 'more file')} can be read"


def _why_unseen(found: Counted) -> str:
    days = name_days(found.unseen)
    explain = f"fasthits explain {found.any_file} shows how each line is read"
    damaged = list(dict.fromkeys(map(str, found.damaged)))
    hints = [*damaged[:NAMED_GAPS], *dict.fromkeys(found.hints_of_unseen)]
    if not found.lines:
        return f"the log is empty, left unchanged: {days} ({'; '.join([*hints, NAME_LOGS])})"
    if not found.days_seen:
        hints += [f"tried as {found.tried}", explain]
        return f"none of {number_of(found.lines, 'line')} can be read, left unchanged: {days} ({'; '.join(hints)})"
    hints.append(f"the log has {name_days(sorted(found.days_seen))}")
    if [day.toordinal() + 1 for day in found.unseen] == [min(found.days_seen).toordinal()]:
        hints.append("if the log is new, run this again tomorrow")
    hints.append(NAME_LOGS)
    if found.malformed:
        hints.append(f"{number_of(found.malformed, 'line')} did not parse")
    return f"no line of the day, left unchanged: {days} ({'; '.join([*hints, explain])})"
