"""Which of the named formats a log has, by its first lines."""

import re
from collections.abc import Sequence
from functools import lru_cache

from fasthits._parse import HitTable, LineRules, find_json_fields, parse_line
from fasthits.formats.format import Format
from fasthits.formats.named import JSON, NAMES, key_of

_HOSTS = (
    rb"(?P<host>[^\s\[:]+|\[[0-9A-Fa-f:.]+\]):\d+ [^- ]\S* ",
    rb"\S+ (?P<host>(?=[^ ]*[A-Za-z])[\w-]+(?:\.[\w-]+)*(?::\d+)?|\[[0-9A-Fa-f:.]+\]) (?:\S+ ){1,2}\[",
)
"""What a line with a virtual host before its time begins with: the host as its first word, or as the second of three or
four: ``%h %V %u`` in lighttpd, ``%h %v %l %u``.

With more words, the second is no host: ``time stdout F`` in the log files of Kubernetes, ``time machine nginx:``.
"""


def detect(lines: Sequence[bytes]) -> Format | None:
    """Return the named format of most of *lines*, the first lines of a log; None if no format fits a line.

    The core reads the lines in each format. Of the formats that fit most lines, the one with the most parts counts, if
    at least one line has all its parts: a log that mixes common and combined is combined. Formats that are read from
    the time on come first. Formats that the core reads alike count under the first name.
    """
    lines = [line.strip() for line in lines]
    read: dict[str, int] = {}
    for name in sorted(distinct_ways(), key=lambda name: not NAMES[name].anchored):
        if len(lines) in read.values() and not NAMES[name].anchored:
            break  # formats that are read from the time on come first, and one of them fits all lines
        read[name] = _lines_read(_rules_for(name), lines)
    read[JSON.name] = sum(_holds_an_object(line) for line in lines)
    most = max(read.values())
    if most == 0:
        return None
    best = [NAMES[name] for name, number in read.items() if number == most and _stands_out(NAMES[name], lines)]
    if len(best) > 1:
        best = [each for each in best if each.parts and _lines_read(_rules_for(each.name, whole=True), lines)] or best
    return max(best, key=lambda each: (each.anchored, each.host_words is not None, len(each.parts), each.absolute))


def _holds_an_object(line: bytes) -> bool:
    """Tell whether there is one object in a line, as a whole and with a key."""
    found = find_json_fields(line, _json_rules()) if b"{" in line else None
    return found is not None and found.keys != [] and found.trouble not in ("object", "end", "glued")


@lru_cache(1)
def _json_rules() -> LineRules:
    return LineRules(ways=[JSON.reading()])


def _lines_read(rules: LineRules, lines: Sequence[bytes]) -> int:
    table = HitTable(rules=rules)
    table.feed(b"\n".join([*lines, b""]))
    return len(lines) - table.malformed


def _stands_out(log_format: Format, lines: Sequence[bytes]) -> bool:
    """Tell whether *lines* have what only this format has, of those that are read from the time on.

    That is a virtual host before the time in most of the lines, or an absolute target in each of them.
    """
    host_words = log_format.host_words
    if not log_format.anchored or (host_words is None and not log_format.absolute):
        return True
    rules = _rules_for(log_format.name)
    parsed = [(line, fields) for line in lines if (fields := parse_line(line, rules))]
    if host_words is None:
        return all(fields.target and not fields.target.startswith(b"/") for _, fields in parsed)
    hosts = [found["host"] for line, _ in parsed if (found := re.match(_HOSTS[host_words], line))]
    return sum(not _is_ipv6(host) for host in hosts) * 2 > len(parsed)


def _is_ipv6(text: bytes) -> bool:
    from ipaddress import IPv6Address

    try:
        IPv6Address(text.decode("ascii", "replace"))
    except ValueError:
        return False
    return True


@lru_cache(128)
def _rules_for(name: str, whole: bool = False) -> LineRules:
    """Return what reads the lines of a format; with *whole*, only the lines that have all its parts."""
    ways = [each.reading() for each in distinct_ways()[name]]
    return LineRules(ways=[way | {"needed": len(way["steps"])} for way in ways] if whole else ways, guesses=True)


@lru_cache(1)
def distinct_ways() -> dict[str, list[Format]]:
    """Return the formats that have strings by name, without those whose lines are read as those of an earlier one."""
    found: dict[str, list[Format]] = {}
    taken = set[str]()
    for log_format in NAMES.values():
        for each in log_format.ways:
            if each.parts and each.how == "steps" and key_of(each) not in taken:
                taken.add(key_of(each))
                found.setdefault(log_format.name, []).append(each)
    return found
