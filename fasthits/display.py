"""Text for people to read: strangers' text made safe to print, numbers with their nouns, and bars."""

import os
from collections.abc import Sequence
from datetime import date

BARS = "▁▂▃▄▅▆▇█"
PARTS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
"""Parts of a block, from the left: no, one, ... seven eighths."""
CURLY_QUOTES = "\u201c\u201d\u201e\u2018\u2019"
"""What word processors, chats and web pages make of plain quotes."""
NOT_KEPT = "·"
"""The sign for a day that is not kept."""


def discard_output() -> None:
    """Let standard output lead nowhere, after an error of it: or the interpreter tries to flush it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in ``1,204 lines``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def some_of(texts: Sequence[str], most: int, comma: str = ", ") -> str:
    """Return the first *most* of *texts*, and how many more there are: there may be a log for each of a thousand sites.

    >>> some_of(["/a", "/b", "/c"], 2)
    '/a, /b and 1 more'
    """
    more = f" and {len(texts) - most:,} more" * (len(texts) > most)
    return comma.join(texts[:most]) + more


def as_sent(path: str) -> str:
    """Return a path as browsers send it: ``/caf%C3%A9`` for ``/café``."""
    encoded = path.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in encoded)


def printable(text: str) -> str:
    r"""Return *text* with every character that a terminal could act on written as ``\xhh`` or ``\uhhhh``.

    These are the characters that `str.isprintable` rejects: control characters, bidirectional marks, separators other
    than the space, and lone surrogates (Python's form of bytes that are not UTF-8 in arguments and file names).

    >>> printable("/caf\u00e9\x1b[2J\u202e")
    '/café\\x1b[2J\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def long_date(day: date) -> str:
    """Return a day as pages and reports write it. Terminals and JSON have 2026-03-12.

    >>> long_date(date(2026, 3, 2))
    '2 Mar 2026'
    """
    return f"{day.day} {day:%b} {day.year}"


def sparkline(values: Sequence[float | None]) -> str:
    """Return a bar for each of *values*: blank for 0, NOT_KEPT for None, the highest bar for the greatest value.

    >>> sparkline([0, 1, None, 4, 80])
    ' ▁·▁█'
    """
    most = max((value for value in values if value), default=0) or 1
    return "".join(
        NOT_KEPT if value is None else BARS[int(value * (len(BARS) - 1) / most)] if value else " " for value in values
    )


def long_bar(value: int, most: int, width: int) -> str:
    """Return a bar that lies: *width* columns for *most*, in steps of an eighth; at least one step unless *value* is 0.

    >>> long_bar(30, 40, 10), long_bar(1, 4000, 10), long_bar(0, 40, 10)
    ('███████▌', '▏', '')
    """
    eighths = max(value * width * 8 // (most or 1), bool(value))
    return "█" * (eighths // 8) + PARTS[eighths % 8]


def fit_days(values: Sequence[int | None], width: int) -> tuple[int, list[float | None]]:
    """Return *values*, one a day, so that they fit into *width*: the number of days that each stands for, and averages.

    The number is 1, or of whole weeks. A week is the average of its kept days; None if none of them is kept. The last
    week is whole, the first may be short.

    >>> fit_days([1, None, 3], 3)
    (1, [1, None, 3])
    >>> fit_days([50, *[2] * 6, None, *[None] * 7, 7], 3)
    (7, [26.0, 2.0, 7.0])
    """
    step = 1
    while -(-len(values) // step) > max(width, 1):
        step += 7 if step > 1 else 6
    if step == 1:
        return 1, list(values)
    starts = range(len(values) % step - step if len(values) % step else 0, len(values), step)
    return step, [_average(values[max(0, start) : start + step]) for start in starts]


def _average(values: Sequence[int | None]) -> float | None:
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None
