"""Explains lines that a rule leaves out: why, and what to type. For other lines see `rules.unreadable`."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby, islice
from typing import NamedTuple

from fasthits._parse import ParsedLine, parse_lines
from fasthits.display import printable
from fasthits.formats.directives import Kind
from fasthits.formats.format import HINTS, WORDS, Format
from fasthits.formats.named import JSON
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.judge import Judge
from fasthits.rules.rules import Rules

SHOWN_CHARACTERS = 1000
"""Most characters that a message shows of a line."""
NAMED_VALUES = 4
"""Most methods, statuses and the like that a message names."""
LOOKED_AT_LINES = 1000
ENOUGH_LINES = 20
"""If so many lines lack a field, the log has no such field. In JSON, clients may have sent none in fewer lines."""
BAD_SHARE = 0.9
"""With a greater share of unreadable lines, the format is wrong."""


class Advice(NamedTuple):
    """Why a line cannot be read or does not count, and what to type."""

    misses: Sequence[str]
    """Where the nearest formats fail in the line, a sentence each; for JSON the keys that it has."""
    remedy: str

    def __str__(self) -> str:
        """Return the advice in one line."""
        return printable(f"{self.misses[0]} ({self.remedy})")

    def lines(self) -> list[str]:
        """Return the advice in full, what to type last."""
        return [printable(line) for line in (*self.misses, f"-> {self.remedy}")]


def shown(line: bytes, characters: int = SHOWN_CHARACTERS) -> str:
    r"""Return a line for a terminal, cut if it is long.

    >>> shown(b"\x1b[2J" + b"a" * 2000, 10)
    '\\x1b[2Jaaa ... (2,004 bytes)'
    """
    text = printable(line[:characters].decode("utf-8", "backslashreplace"))
    if len(line) <= characters and len(text) <= characters:
        return text
    return f"{text[:characters]} ... ({len(line):,} bytes)"


def main_reason(hits: int, filtered: dict[str, int]) -> str | None:
    """Return the only reason to name if there is no hit: that of most of the requests on the days that count. None if
    there are hits.

    Comments are no reason. Other lines that are no requests are one only if there are no requests.

    >>> main_reason(0, {"method": 40, "path": 7, "day": 99})
    'method'
    """
    if hits:
        return None
    reasons = {reason: lines for reason, lines in filtered.items() if reason not in ("day", "comment")}
    requests = {reason: lines for reason, lines in reasons.items() if reason not in ("message", "target")}
    return max(requests or reasons, key=reasons.__getitem__, default=None)


_LOOKED_AT: dict[str, Callable[[ParsedLine], bytes | None]] = {
    "method": lambda line: line.method,
    "target": lambda line: line.target,
    "status": lambda line: None if not line.status else b"%03d" % line.status,
    "agent": lambda line: line.user_agent,
    "bot": lambda line: line.user_agent,
    "path": lambda line: line.path,
    "static": lambda line: line.path,
}
"""The part of a line that each reason looks at."""


def left_out(
    reason: str, compiled: CompiledRules, logs: Iterable[tuple[Format, bytes]], days: Collection[date] | None = None
) -> Advice:
    """Return why a rule leaves lines out, and how to count them. Some of them may be in *logs*: lines of *days*, or of
    any day, each with their format.

    >>> str(left_out("method", CompiledRules(Rules()), []))
    'only GET counts (change --method)'
    """
    found = Counter[bytes | None]()
    if look := _LOOKED_AT.get(reason):
        for log_format, lines in logs:
            judge, parsed = Judge(compiled, log_format), parse_lines(lines, compiled.line_rules(log_format))
            for line, known in zip(lines.split(b"\n"), parsed, strict=False):
                bucket, _ = judge(line)
                if bucket == reason and known and (days is None or known.day in days):
                    found[look(known)] += 1
    values = [shown(value, 60) for value, _ in found.most_common() if value is not None][:NAMED_VALUES]
    the_log_has = f"; the log has {', '.join(values)}" * bool(values)
    rules = compiled.rules
    return Advice([_why_left_out(reason, rules) + the_log_has], how_to_count(reason, rules, values))


def _why_left_out(reason: str, rules: Rules) -> str:
    match reason:
        case "message":
            return "they are other messages of the server, not requests"
        case "method":
            return f"only {' and '.join(rules.methods)} counts"
        case "target":
            return "only targets that begin with / or http count"
        case "status":
            return "--pages counts only some statuses" if "statuses" in rules.pages else "only some statuses count"
        case "bot":
            return "their user agents are those of known bots"
        case "static":
            return "pages load such files by themselves"
    return f"their {'user agents' if reason == 'agent' else 'paths'} are excluded or not included"


def lacking(compiled: CompiledRules, log_format: Format, lines: Iterable[ParsedLine | None]) -> Advice | None:
    """Return which field that the rules need is in none of *lines*, of a log of *log_format*, and what to do; or None.

    Nothing else would show it: without user agents nobody is a bot, and without hosts all paths are of one host.
    """
    needs = list(compiled.needs())
    some = requests_among(lines) if needs else []
    if len(some) < ENOUGH_LINES:
        return None
    by_name = log_format.names or not log_format.parts
    for kind, option, _ in needs:
        if kind == "status" or (kind == "referer" and by_name):  # `left_out` tells it; clients may have sent none
            continue
        missing = (None,) if kind == "referer" or by_name else (None, b"-")  # Traefik writes - for each user agent
        if all(getattr(line, kind) in missing for line in some):
            told = f"{option} needs the {WORDS[kind]}, which the first {len(some):,} lines do not have"
            return Advice([told], _how_to_log(kind, compiled, log_format))
    return None


def requests_among(lines: Iterable[ParsedLine | None]) -> list[ParsedLine]:
    """Return those of the first *lines* that `lacking` looks at."""
    return [line for line in islice(lines, LOOKED_AT_LINES) if line and (line.target or b"/").startswith(b"/")]


def _how_to_log(kind: Kind, compiled: CompiledRules, log_format: Format) -> str:
    if log_format == JSON:
        return f"name its field: --json-fields {kind}=NAME"
    if log_format.names:
        return f"let the server log it as {next(name for name, of in log_format.names if of == kind).decode()}"
    if not compiled.log_format and kind == "user_agent":
        return "let the server log it; Traefik does so with accessLog.fields.headers.names.User-Agent=keep"
    return f"leave --format out, or add {HINTS[kind]} to the log format"


def how_to_count(reason: str, rules: Rules, values: Sequence[str]) -> str:
    """Return the option that counts lines which are filtered for a reason. *values* are what it looks at in them.

    >>> how_to_count("method", Rules(), ["HEAD"])
    '--method GET,HEAD counts such lines'
    >>> how_to_count("method", Rules(), ["/a?x=1"])
    'that is no HTTP method: give the format of the log with --format'
    >>> how_to_count("method", Rules(), ["-"])
    'the lines have no method: --method GET,- counts them'
    """
    match reason:
        case "method":
            if values == ["-"]:
                return f"the lines have no method: --method {','.join([*rules.methods, '-'])} counts them"
            words = [value for value in values if value.isascii() and value.isalpha()]  # a stranger may send `id`
            if values and not words:
                return "that is no HTTP method: give the format of the log with --format"
            return f"--method {','.join([*rules.methods, *words])} counts such lines" if words else "change --method"
        case "message":
            return "name the log that has the requests"
        case "target":
            return "does the log have paths elsewhere? --format"
        case "status":
            counted = ",".join([*_spell(rules.statuses or ()), *values])
            return f"--status {counted} counts such lines" if values else "name its field: --json-fields status=NAME"
        case "bot":
            return "--bots count counts such lines"
        case "static":
            return "--no-exclude-static counts such lines"
        case "agent":
            return "change --include-agent or --exclude-agent"
        case "path":
            return "change --include-path or --exclude-path"
    return "fasthits explain LOGFILE says more"


def _spell(statuses: Iterable[int]) -> Iterator[str]:
    """Yield statuses as ``--status`` takes them.

    >>> list(_spell([304, *range(200, 300)]))
    ['200-299', '304']
    """
    for _, run in groupby(enumerate(sorted(statuses)), lambda pair: pair[1] - pair[0]):
        numbers = [status for _, status in run]
        yield f"{numbers[0]:03}" + f"-{numbers[-1]:03}" * (len(numbers) > 1)
