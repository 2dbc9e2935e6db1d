"""What to say about lines that cannot be read, or that a rule leaves out: why, and what to type.

Each command that meets such lines takes its words from here. Nothing here runs while lines are counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from fasthits._parse import FoundFields, LineRules, ParsedLine, find_fields
from fasthits.display import printable
from fasthits.rules.directives import Field, Literal
from fasthits.rules.formats import JSON, NAMES, Format, parse_format
from fasthits.rules.rules import Rules

SHOWN_CHARACTERS = 1000
"""Most characters that a message shows of a line."""
NEAREST = 3
"""Most formats of which a message says what they miss in a line."""
NAMED_VALUES = 4
"""Most methods, statuses and the like that a message names."""
BAD_SHARE = 0.9
"""With a greater share of unreadable lines, the format is wrong."""

PASTE = (
    "--format with the string of the server's configuration, which this shows: "
    "grep -rshE 'LogFormat|log_format' /etc/apache2 /etc/httpd /etc/nginx"
)
"""What to type for a format that has no name."""

OTHER_LOGS = (
    (rb"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:.]+ \d{4}\] \[", "Apache's error log"),
    (rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#", "nginx's error log"),
    (rb"\s*<(?:!doctype|html|\?xml)", "an HTML or XML page"),
    (rb"date,(?:host,)?path,", "a CSV file of fasthits"),
    (rb"SQLite format 3\0", "an SQLite database"),
    (
        rb"(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
        rb"(?:postfix|sendmail|sm-mta|dovecot|exim|opendkim|amavis)",
        "a mail log",
    ),
    (
        rb"(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ [\w./-]+(?:\[\d+\])?: ",
        "syslog without access lines",
    ),
)
"""Files that are taken for access logs: how their lines begin, and what they are."""
_BINARY = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


@dataclass(frozen=True)
class Advice:
    """Why a line cannot be read or does not count, and what to type."""

    misses: Sequence[str]
    """What the nearest formats miss in the line, a sentence each; for JSON the keys that it has."""
    remedy: str

    def __str__(self) -> str:
        """Return the advice in one line."""
        return f"{self.misses[0]} ({self.remedy})"

    def lines(self) -> list[str]:
        """Return the advice in full, what to type last."""
        return [*self.misses, f"-> {self.remedy}"]


def advise(line: bytes, rules: Rules) -> Advice:
    """Return why *line*, which *rules* cannot read, is unreadable, and what to type.

    >>> str(advise(b"<html>", Rules()))
    'this looks like an HTML or XML page (name the access log)'
    """
    if not line.strip():
        return Advice(["the lines are blank"], "name the access log")
    own = None if rules.format == "auto" else parse_format(rules.format)
    instead = f"the line is not {printable(rules.format)}: it can be" if own else "the line can be"
    for name, log_format in NAMES.items():
        if log_format != own and log_format.parts and not read_fields(line, log_format).trouble:
            return Advice([f"{instead} read as {name}"], f"try --format {name}")
    from fasthits.rules.jsonkeys import read_keys  # a count of readable lines does not need it

    if keys := read_keys(line, rules.json_fields):
        if keys.missing and (wrapped := keys.wrapped()):
            inner = advise(wrapped, rules)
            return Advice([f"the line wraps another line, and {inner.misses[0]}", *inner.misses[1:]], inner.remedy)
        if keys.missing or own in (None, JSON):
            return Advice(keys.told(), keys.remedy())
        return Advice([f"{instead} read as json"], "try --format json")
    if kind := _other_log(line):
        return Advice([f"this looks like {kind}"], "name the access log")
    if own == JSON:
        return Advice(["json: the line is no JSON object"], "leave --format out")
    if own:
        told = f"{printable(rules.format)}: {trouble(read_fields(line, own), own)}"
        return Advice([told], f"leave --format out, or {PASTE}")
    return Advice(_nearest(line), PASTE)


def _other_log(line: bytes) -> str:
    """Return what a line that is no line of an access log comes from, or ``""``."""
    for beginning, kind in OTHER_LOGS:
        if re.match(beginning, line, re.IGNORECASE):
            return kind
    beginning = line[:SHOWN_CHARACTERS]
    return "binary data" if len(_BINARY.findall(beginning)) * 10 > len(beginning) else ""


def _nearest(line: bytes) -> list[str]:
    """Return what the formats miss that agree with *line* beyond its time, nearest first; or that it has no time."""
    found = {name: read_fields(line, log_format) for name, log_format in NAMES.items() if log_format.parts}
    near = sorted(
        (name for name in found if _has_time(found[name], NAMES[name])), key=lambda name: -found[name].stopped
    )
    misses: dict[str, list[str]] = {}
    for name in near:
        misses.setdefault(trouble(found[name], NAMES[name]), []).append(name)
    told = [f"{', '.join(names)}: {text}" for text, names in misses.items()]
    return told[:NEAREST] or [f"no named format finds its time in it: {trouble(found['combined'], NAMES['combined'])}"]


def _has_time(found: FoundFields, log_format: Format) -> bool:
    parts = (log_format.read_parts[each.step] for each in found.fields)
    return any(isinstance(part, Field) and part.kind == "time" for part in parts)


def read_fields(line: bytes, log_format: Format) -> FoundFields:
    """Return what the core finds in a line of *log_format*, which is not JSON."""
    return find_fields(line, _line_rules(log_format))


@lru_cache
def _line_rules(log_format: Format) -> LineRules:
    return LineRules(**log_format.reading())  # type: ignore[arg-type]  # it is made for this


def trouble(found: FoundFields, log_format: Format) -> str:
    """Return why the core stopped reading a line; ``""`` if it did not.

    >>> trouble(read_fields(b'[12/Mar/2026:10:00:00 +0100] "GET /a" ok', NAMES["common"]), NAMES["common"])
    'no status in column 39'
    """
    if not found.trouble:
        return ""
    part = log_format.read_parts[found.step]
    if log_format.anchored and not found.fields and found.trouble == "absent":
        return 'no time like [12/Mar/2026:10:00:00 +0100] followed by a space and a quote (")'
    match found.trouble:
        case "day":
            return f"no such date in column {found.stopped + 1}"
        case "end":
            return f"no end of {part_name(part)} in column {found.stopped + 1}"
    return f"no {part_name(part)} in column {found.stopped + 1}"


def part_name(part: Literal | Field) -> str:
    """Return what messages call a part of a format."""
    if isinstance(part, Literal):
        return repr(part.text.decode("utf-8", "backslashreplace"))
    return part.directive if part.kind == "skip" else part.kind.replace("_", " ")


def shown(line: bytes, characters: int = SHOWN_CHARACTERS) -> str:
    r"""Return a line for a terminal, cut if it is long.

    >>> shown(b"\x1b[2J" + b"a" * 2000, 10)
    '\\x1b[2Jaaa ... (2,004 bytes)'
    """
    text = printable(line[:characters].decode("utf-8", "backslashreplace"))
    if len(line) <= characters and len(text) <= characters:
        return text
    return f"{text[:characters]} ... ({len(line):,} bytes)"


# --- Lines that a rule leaves out ---------------------------------------------------------------------------------


def only_reason(hits: int, filtered: dict[str, int]) -> str | None:
    """Return the reason that alone filters all lines of the days that count; None if there are several, or hits.

    >>> only_reason(0, {"method": 40, "day": 7})
    'method'
    """
    reasons = filtered.keys() - {"day"}
    return next(iter(reasons)) if not hits and len(reasons) == 1 else None


_LOOKED_AT: dict[str, Callable[[ParsedLine], bytes | None]] = {
    "method": lambda line: line.method,
    "target": lambda line: line.target,
    "status": lambda line: None if not line.status else b"%03d" % line.status,
    "agent": lambda line: line.user_agent,
    "bot": lambda line: line.user_agent,
    "path": lambda line: line.path,
    "static": lambda line: line.path,
}
"""What of a line each reason looks at."""


def left_out(reason: str, rules: Rules, lines: Iterable[ParsedLine | None]) -> Advice:
    """Return why a rule leaves lines out, and how to count them. *lines* are some of them, if any are known.

    >>> str(left_out("method", Rules(), []))
    'only GET counts (change --method)'
    """
    look = _LOOKED_AT.get(reason)
    found = Counter(value for line in lines if look and line and (value := look(line)) is not None)
    values = [shown(value, 60) for value, _ in found.most_common(NAMED_VALUES)]
    the_log_has = f"; the log has {', '.join(values)}" * bool(values)
    return Advice([_why_left_out(reason, rules) + the_log_has], how_to_count(reason, rules, values))


def _why_left_out(reason: str, rules: Rules) -> str:
    match reason:
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


def how_to_count(reason: str, rules: Rules, values: Sequence[str]) -> str:
    """Return the option that counts lines which are filtered for a reason. *values* are what it looks at in them.

    >>> how_to_count("method", Rules(), ["HEAD"])
    '--method GET,HEAD counts such lines'
    """
    match reason:
        case "method":
            return f"--method {','.join([*rules.methods, *values])} counts such lines" if values else "change --method"
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
