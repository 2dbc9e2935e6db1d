"""What the readings of the oracle share: where a line ends, what wraps it, its day, another line in it."""

import re
from datetime import date

LINE_BYTES = 1 << 20
TIME_BYTES = 26
"""So many bytes at least follow the bracket of a time that is searched for: a time with its zone, or what is behind."""
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

QUOTED = rb'(?:[^"\\]++|\\.)*+'  # up to the first quote that no backslash escapes
ANOTHER_LINE = re.compile(rb'\[\d\d/.{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "%b" \d{3}' % QUOTED, re.DOTALL)
"""Text that may not follow the bytes: with it, two lines are glued together."""


def holds_another_line(line: bytes, start: int) -> bool:
    """Tell whether a line has, anywhere after *start*, a whole request with a valid date."""
    return any(day_of(found[0][1:27]) for found in ANOTHER_LINE.finditer(line, start))


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of *data*, the last one with or without a newline."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def trim(line: bytes) -> bytes:
    """Return the part of a line that the core reads."""
    return line.removesuffix(b"\n").removesuffix(b"\r")[:LINE_BYTES]


def text_of(line: bytes) -> bytes:
    """Return a line without the NULs and the byte-order mark before its text."""
    return line.lstrip(b"\0").removeprefix(b"\xef\xbb\xbf")


def unquoted(line: bytes) -> bytes | None:
    """Return the text inside a line that is in quotes as a whole; None for any other line."""
    line = line.strip(b" \t\r\0")
    if len(line) < 2 or line[:1] != b'"' or line[-1:] != b'"':
        return None
    inside = line[1:-1]
    first = inside.find(b'"')
    if first < 0 or inside[first : first + 2] == b'""':
        return None if b'"' in inside.replace(b'""', b"") else inside.replace(b'""', b'"')
    if not re.fullmatch(rb'(?:[^"\\]|\\.)*+', inside, re.DOTALL):
        return None
    return re.sub(rb'\\(["\\])', rb"\1", inside)


def day_of(time: bytes) -> date | None:
    """Return the day of a time, or None for an invalid date."""
    day, month, year = time[:2], time[3:6], time[7:11]
    try:
        return date(int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None
