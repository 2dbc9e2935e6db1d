"""Numbers as a line of bars, one character each."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int]) -> str:
    """Return a bar for each of *values*, 0 being the lowest and the greatest of them the highest.

    >>> sparkline([0, 1, 2, 4, 8])
    '▁▁▂▄█'
    """
    most = max(values, default=0) or 1
    return "".join(BARS[value * (len(BARS) - 1) // most] for value in values)
