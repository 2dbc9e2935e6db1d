"""Explains why a line of a log cannot be read, and what to type. All commands that meet such lines take these words."""

import re

from fasthits._parse import LineRules, find_fields, parse_line
from fasthits.display import printable
from fasthits.formats.detection import detect
from fasthits.formats.jsonkeys import how_to_unpack, read_keys
from fasthits.formats.misses import GLUED, lack_of_dates, trouble_of, why_not
from fasthits.formats.named import JSON, NAMES, find_format
from fasthits.rules.compiled import CompiledRules, field_rules
from fasthits.rules.guidance import Advice, shown
from fasthits.rules.rules import Rules

NEAREST = 3
"""The number of formats in a message that says where they fail in a line."""
NO_TIME = 'no time like [12/Mar/2026:10:00:00 +0100] followed by a space and a quote (")'

PASTE = (
    "--format with the string of the server's configuration, which this shows: "
    "grep -rshE 'LogFormat|log_format' /etc/apache2 /etc/httpd /etc/nginx"
)
"""The option to type for a format without a name."""
END_LINES = "let the program that writes or forwards the log end each line with a line break"
"""The remedy for lines that are glued together, as syslog's octet counting leaves them in a file."""

_NAME_THE_LOG = "name the access log"

OTHER_LOGS = (
    (rb"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:.]+ \d{4}\] \[", "Apache's error log", _NAME_THE_LOG),
    (rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#", "nginx's error log", _NAME_THE_LOG),
    (rb"\s*<(?:!doctype|html|\?xml)", "an HTML or XML page", _NAME_THE_LOG),
    (rb"date,(?:host,)?path,", "a CSV file of fasthits", _NAME_THE_LOG),
    (rb"SQLite format 3\0", "an SQLite database", _NAME_THE_LOG),
    (
        rb"\[\d\d/[A-Z][a-z]{2}/\d{4}:[^]]{8,20}\] \S+ (?:TLS|SSL)v[\d.]+ \S+ \"",
        "mod_ssl's log ssl_request_log, which has no statuses",
        "name ssl_access_log, which has the same requests",
    ),
    (rb"==> .+ <==\s*$", "the output of tail for several files", "name these files, or use tail -q"),
    (
        rb"-- (?:Logs begin|Journal begins|Boot|Reboot|No entries)\b.* --\s*$",
        "journalctl's own lines",
        "journalctl -o cat",
    ),
    (
        rb'.*[,;]"[^"]* ""[A-Z]{3,9} [^" ]+ HTTP/',
        "a column of a CSV file, in which quotes are doubled",
        'sed \'s/""/"/g\' LOGFILE >NEWFILE',
    ),
    (
        rb"[\d.:a-f]+, [^,]+, \d+/\d+/\d+, \d+:\d\d:\d\d, ",
        "IIS's own log format, whose dates depend on the language",
        "let IIS write W3C: IIS Manager, Logging, Format",
    ),
    (
        rb"(?:.{,60} haproxy\[\d+\]: )?\S+:\d+ \[[^]]{20,30}\] \S+ \S+/\S+ [-+\d]+/[-+\d]+/[-+\d]+ [-+\d]+ [-\w]{2} ",
        "HAProxy's log of TCP, which has no requests",
        "option httplog, in HAProxy's configuration",
    ),
    (
        rb"(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ "
        rb"(?:postfix|sendmail|sm-mta|dovecot|exim|opendkim|amavis)",
        "a mail log",
        _NAME_THE_LOG,
    ),
    (
        rb"(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ [\w./-]+(?:\[\d+\])?: ",
        "syslog without access lines",
        f"{_NAME_THE_LOG}, or give its format: {PASTE}",
    ),
)
"""Files that are taken for access logs: the beginning of their lines, their names, and what to do."""
LINES_OF_A_LINE = 5
"""The number of CRs that show that a line is several lines, which end with CR."""
_OF_W3C = rb"\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d[ \t](?:[^ \t]+[ \t])*(?:GET|HEAD|POST)[ \t](?:[^ \t]+[ \t]){3}"
_OF_W3C_WITHOUT_DATE = rb"\d\d:\d\d:\d\d[ \t](?:[^ \t]+[ \t])+(?:GET|HEAD|POST)[ \t]/[^ \t]*[ \t].*\d{3}"
_DAY = re.compile(rb"\[(\d{1,2}/[^/\s\]]{2,20}/\d{4}):\d")
_APACHES_DAY = re.compile(rb"\d\d/[A-Z][a-z]{2}/\d{4}")
_NUMBERS = re.compile(rb"\d\d/\d\d/\d{4}")
_OF_NUMBERS = "give its time in --format: [%{%m/%d/%Y:%H:%M:%S}t %{zone}n] in cPanel's log, %d/%m if the day is first"
_OF_WORDS = "let the program write days of two digits and English months (LC_ALL=C)"
DAY_CHARACTERS = 30
LOOKED_AT_BYTES = 1000
"""As much of a line tells whether it is binary."""
_BINARY = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


def why_unreadable(line: bytes, rules: Rules) -> Advice:
    """Return why *line*, which *rules* cannot read, is unreadable, and what to type.

    >>> str(why_unreadable(b"<html>", Rules()))
    'this looks like an HTML or XML page (name the access log)'
    """
    if not line.strip():
        return Advice(["the lines are blank"], "name the access log")
    if b"\r" in line.strip(b"\r") and detect(line.strip(b"\r").split(b"\r")[:LINES_OF_A_LINE]):
        return Advice(["the lines end with CR only, so they are one line"], "tr '\\r' '\\n' <LOGFILE >NEWFILE")
    if re.match(_OF_W3C_WITHOUT_DATE, line):
        told = "the line looks like one of W3C's format, but the #Fields: line before it has no column date"
        return Advice([told], "let IIS write the date: IIS Manager, Logging, Select Fields")
    if re.match(_OF_W3C, line):
        told = "the line looks like one of W3C's format, but no #Fields: line before it names these columns"
        return Advice([told], "give fasthits the file from its beginning; fasthits explain LOGFILE compares the two")
    own = None if rules.format == "auto" else find_format(rules.format)
    instead = f"the line is not {printable(rules.format)}: it can be" if own else "the line can be"
    for name, log_format in NAMES.items():
        if log_format != own and log_format.parts and parse_line(line, field_rules(log_format.ways, guesses=True)):
            return Advice([f"{instead} read as {name}"], f"try --format {name}")
    if unpack := how_to_unpack(line):
        return Advice(["json: the objects do not stand one in a line"], f"jq -c '{unpack}' LOGFILE >NEWFILE")
    if keys := read_keys(line, rules.json_fields):
        wrapped = keys.wrapped() if keys.missing else b""
        if own not in (None, JSON) and (wrapped or not keys.missing) and parse_line(line, _json_rules(rules)):
            return Advice([f"{instead} read as json"], "try --format json")
        if wrapped:
            inner = why_unreadable(wrapped, rules)
            return Advice([f"the line wraps another line, and {inner.misses[0]}", *inner.misses[1:]], inner.remedy)
        return Advice(keys.told(), keys.remedy())
    if other := _other_log(line):
        return Advice([f"this looks like {other[0]}"], other[1])
    if own == JSON:
        return Advice(["json: the line is no JSON object"], "leave --format out")
    if own:
        missed = trouble_of(find_fields(line, field_rules((own,))), own)
        try_next = END_LINES if missed.endswith(GLUED) else f"leave --format out, or {PASTE}"
        return Advice([f"{printable(rules.format)}: {missed}"], try_next)
    if (day := _DAY.search(line)) and not _APACHES_DAY.fullmatch(day[1]):
        told = f"the day is {shown(day[1], DAY_CHARACTERS)}, where Apache writes 12/Mar/2026"
        return Advice([told], _OF_NUMBERS if _NUMBERS.fullmatch(day[1]) else _OF_WORDS)
    if remedy := lack_of_dates([line]):
        return Advice(["the line has a request, but no date"], remedy)
    nearest = _nearest(line)
    return Advice(nearest, END_LINES if nearest[0].endswith(GLUED) else PASTE)


def _json_rules(rules: Rules) -> LineRules:
    return CompiledRules(Rules(format="json", json_fields=rules.json_fields)).field_rules(JSON)


def _other_log(line: bytes) -> tuple[str, str] | None:
    """Return the name of the log that a line comes from, if it is no access log, and what to do; or None."""
    for beginning, kind, remedy in OTHER_LOGS:
        if re.match(beginning, line, re.IGNORECASE):
            return kind, remedy
    beginning = line[:LOOKED_AT_BYTES]
    return ("binary data", _NAME_THE_LOG) if len(_BINARY.findall(beginning)) * 10 > len(beginning) else None


def _nearest(line: bytes) -> list[str]:
    """Return where the named formats fail that fit the beginning of *line*, nearest first."""
    by_text: dict[str, list[str]] = {}
    for miss in why_not(line):
        if miss.reached:
            by_text.setdefault(miss.missing, []).append(miss.name)
    told = [f"{', '.join(names)}: {text}" for text, names in by_text.items()]
    return told[:NEAREST] or [f"no named format finds its time in it: {NO_TIME}"]
