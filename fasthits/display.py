"""Text for people to read: strangers' text made safe to print, numbers with their nouns, and bars."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in ``1,204 lines``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


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


def sparkline(values: Sequence[int]) -> str:
    """Return a bar for each of *values*: the lowest bar for 0, the highest for the greatest value.

    >>> sparkline([0, 1, 2, 4, 8])
    '▁▁▂▄█'
    """
    most = max(values, default=0) or 1
    return "".join(BARS[value * (len(BARS) - 1) // most] for value in values)
