"""Whether the lines of a log have the format that they are read with, whether the rules leave any of them, and whether
their days are those of this machine.

Without this, a logger with the wrong format or rules would count nothing and say nothing, as on a quiet site.
"""

from collections import deque
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from fasthits._parse import LINE_BYTES, HitTable, parse_lines
from fasthits.errors import UsageError
from fasthits.live.backlog import FreshBacklog
from fasthits.records import replace
from fasthits.rules.compiled import ASSUMED, CompiledRules
from fasthits.rules.guidance import BAD_SHARE, lacking, left_out, main_reason, requests_among, shown
from fasthits.rules.guidance import ENOUGH_LINES as ENOUGH_REQUESTS
from fasthits.rules.intake import Intake
from fasthits.rules.timestamps import written_times
from fasthits.rules.unreadable import why_unreadable

LOOK_SECONDS = 30.0
"""The time from the first line to the first look, and from one look to the next."""
LOOKS = 2
ENOUGH_LINES = 20
"""Fewer lines in LOOKS looks are judged only if the log never had a good line."""
FEWEST_LINES = 3
MOST_LEFT_OUT = 1_000
"""If one rule has left out as many lines and none was a hit, the rule is probably wrong."""
SAMPLED_LINES = 100
TIMED_LINES = 10
RECENT = timedelta(hours=1)
"""Lines that are older tell nothing: a follower reads what was written before a change of the time zone, too."""
EXAMPLE_CHARACTERS = 100
EXPLAIN = "fasthits explain LOGFILE says what to type"

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),  # RFC 9110, RFC 5789
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "PRI", "PURGE"),
    *("-", ""),  # no request was sent
)
"""A line with another method is misread, or comes from a client that does not speak HTTP."""


class Misfit(NamedTuple):
    """What is wrong with most lines: the name of the cause, and a sentence."""

    cause: str
    text: str


class _Seen(NamedTuple):
    """The number of lines so far, of unreadable lines, and of lines whose method does not count."""

    lines: int
    malformed: int
    methods: int


class Misfits:
    """Looks at the lines of one log now and then, while lines come."""

    def __init__(self, compiled: CompiledRules) -> None:
        self._compiled = compiled
        self._rules = compiled.rules
        self._before = deque([_Seen(0, 0, 0)], LOOKS)
        self._has_told = False
        self._has_fields = False
        self._told_offset_on: date | None = None
        self.at = float("inf")
        """The time of the next look, on the monotonic clock; infinite while there are no new lines."""

    @cached_property
    def _lenient(self) -> CompiledRules:
        return CompiledRules(replace(self._rules, methods=tuple({*self._rules.methods, *METHODS})))

    def wake(self, now: float) -> None:
        """Plan the next look, because a line has come."""
        self.at = min(self.at, now + LOOK_SECONDS)

    def look(self, backlog: FreshBacklog, block: bytes | memoryview) -> Misfit | None:
        """Return what is wrong if most recent lines are bad, if one rule has left out all lines so far, if no line
        has a field that the rules need, or if the times have another offset than this machine's.

        *block* is the block that was read last.
        """
        self.at = float("inf")
        found = self._look_at_format(backlog.intake, block)
        found = found or self._look_at_rules(backlog, block) or self._look_at_fields(backlog.intake, block)
        return found or self._look_at_offset(backlog.intake, block)

    def _look_at_rules(self, backlog: FreshBacklog, block: bytes | memoryview) -> Misfit | None:
        """Return which rule leaves out most lines, if no line is a hit: once, as a site may have nothing else."""
        hits, filtered = backlog.outcome()
        reason = main_reason(hits, filtered)
        if self._has_told or reason is None or filtered[reason] < MOST_LEFT_OUT:
            return None
        self._has_told = True
        sample = backlog.intake.log_format or ASSUMED, b"\n".join(_whole_lines(block).split(b"\n")[:SAMPLED_LINES])
        what = f"no hits, and {filtered[reason]:,} lines filtered by one rule ({reason})"
        return Misfit("filtered", f"{what}: {left_out(reason, self._compiled, [sample])}")

    def _look_at_fields(self, intake: Intake, block: bytes | memoryview) -> Misfit | None:
        """Return which field that the rules need is missing: once, and only if no block before had it. A single client
        can send many requests without a user agent.
        """
        if self._has_told or self._has_fields or not intake.log_format:
            return None
        lines = parse_lines(_whole_lines(block), self._compiled.field_rules(intake.log_format))
        requests = requests_among(lines)
        advice = lacking(self._compiled, intake.log_format, requests)
        self._has_told = advice is not None
        self._has_fields = advice is None and len(requests) >= ENOUGH_REQUESTS
        return Misfit("format", str(advice)) if advice else None

    def _look_at_offset(self, intake: Intake, block: bytes | memoryview) -> Misfit | None:
        """Return how the times of the last lines differ from this machine's: once a day, while that lasts. Then today's
        counters begin at another midnight than that of those who read them."""
        today = date.today()
        if self._told_offset_on == today or not intake.log_format:
            return None
        lines = _whole_lines(block).split(b"\n")[-TIMED_LINES - 1 :]
        stamps = [stamp for stamp in written_times(lines, intake.log_format, self._compiled) if stamp.tzinfo]
        recent = [stamp for stamp in stamps if abs(datetime.now(UTC) - stamp) < RECENT]
        here = {stamp.astimezone().utcoffset() for stamp in recent}
        if not recent or here & {stamp.utcoffset() for stamp in recent}:
            return None
        self._told_offset_on = today
        what = f"the times of the log have the offset {recent[-1]:%z}, and this machine {recent[-1].astimezone():%z}"
        return Misfit("offset", f"{what}: days begin at another midnight (set the same TZ for the server and fasthits)")

    def _look_at_format(self, intake: Intake, block: bytes | memoryview) -> Misfit | None:
        hit_table = intake.hit_table
        now = _Seen(hit_table.lines, hit_table.malformed, hit_table.filtered.get("method", 0))
        then = self._before[0]
        self._before.append(now)
        lines = now.lines - then.lines
        never_good = now.lines == now.malformed + now.methods
        if lines < (FEWEST_LINES if never_good else ENOUGH_LINES):
            if never_good:
                self._before = deque([_Seen(0, 0, 0)], LOOKS)  # few lines: the next look includes them
            return None
        malformed, methods = now.malformed - then.malformed, now.methods - then.methods
        if malformed + methods < lines * BAD_SHARE:
            return None
        log_format = (intake.log_format or ASSUMED).name
        trial = _count(self._lenient, intake, block)
        if malformed >= methods:
            number = trial.examples[0][0] if trial.examples else 1
            example = _whole_lines(block).split(b"\n")[number - 1]
            what = f"{malformed:,} of the last {lines:,} lines cannot be read as {log_format}"
            why = why_unreadable(example, self._rules).misses[0]
            return Misfit("malformed", f"{what}{_such_as(example)} ({why}; {EXPLAIN})")
        if trial.filtered.get("method", 0) < trial.lines * BAD_SHARE:
            return None  # these are methods of HTTP, which the rules leave out
        what = f"{methods:,} of the last {lines:,} lines have no HTTP method where {log_format} has it"
        example = _whole_lines(block).partition(b"\n")[0]
        return Misfit("methods", f"{what}{_such_as(example)} (give the format of the log with --format; {EXPLAIN})")


def misfit_of(lines: bytes, compiled: CompiledRules) -> str | None:
    """Return what is wrong with most of these whole lines, such as the last ones of a log; None if nothing is."""
    backlog = FreshBacklog(compiled)
    try:
        backlog.intake.feed(lines)
    except UsageError as lack:
        return str(lack)
    found = Misfits(compiled).look(backlog, lines)
    return found.text if found else None


def _count(compiled: CompiledRules, intake: Intake, block: bytes | memoryview) -> HitTable:
    log_format = intake.log_format or ASSUMED
    hit_table = HitTable(rules=compiled.line_rules(log_format))
    hit_table.feed(_whole_lines(block))
    hit_table.finish()
    return hit_table


def _whole_lines(block: bytes | memoryview) -> bytes:
    """Return the bytes between the first and the last newline; all bytes if there are not two newlines."""
    text = bytes(block[: 2 * LINE_BYTES])
    first, last = text.find(b"\n") + 1, text.rfind(b"\n") + 1
    return text[first:last] if first < last else text


def _such_as(example: bytes) -> str:
    return f", such as {shown(example, EXAMPLE_CHARACTERS)!r}"
