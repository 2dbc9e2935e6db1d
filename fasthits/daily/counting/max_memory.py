"""``--max-memory``: how much memory a day's hit tables may take."""

import re

from fasthits.errors import UsageError

MAX_MEMORY = "1G"
MAX_MEMORY_HELP = (
    "Memory limit for counting, such as 512M or 2G. If the paths need more, their counts go through a temporary file "
    "in the folder TMPDIR."
)
LEAST_MEMORY = 32 << 20
"""In bytes."""

OTHER_BYTES = 72 << 20
"""The most memory that a command takes besides its hit tables."""


def parse_max_memory(text: str) -> int:
    """Return the number of bytes in a text such as ``512M`` or ``2G``. Raises UsageError below LEAST_MEMORY.

    >>> parse_max_memory("512m")
    536870912
    """
    size = re.fullmatch(r"(\d{1,6})([MG])", text.upper(), re.ASCII)
    if not size or (number := int(size[1]) << {"M": 20, "G": 30}[size[2]]) < LEAST_MEMORY:
        raise UsageError("invalid --max-memory", repr(text), f"{LEAST_MEMORY >> 20}M or more, for example 2G")
    return number


def bytes_of_tables(max_memory: int) -> int:
    """Return how many bytes the hit tables may take in a command that may take *max_memory*."""
    return max(max_memory // 4, max_memory - OTHER_BYTES)


MAX_BYTES = parse_max_memory(MAX_MEMORY)
"""MAX_MEMORY in bytes."""
