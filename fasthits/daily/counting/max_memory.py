"""``--max-memory``: how much memory a day's hit tables may take."""

import os
import re
from contextlib import suppress
from pathlib import Path

from fasthits.errors import UsageError

MOST_BY_DEFAULT = 1 << 30
"""In bytes."""
MAX_MEMORY_HELP = (
    "Memory limit for counting, such as 512M or 2G. If the paths need more, their counts go through a temporary file "
    "in the folder TMPDIR. The default is 1G, or half of the memory that the machine or its container has, if that "
    "is less."
)
LEAST_MEMORY = 32 << 20
"""In bytes."""

OTHER_BYTES = 72 << 20
"""The most memory that a command takes besides its hit tables."""

CGROUPS = Path("/sys/fs/cgroup")


def parse_max_memory(text: str | None) -> int:
    """Return the number of bytes in a text such as ``512M`` or ``2G``; the default for None. Raises UsageError below
    LEAST_MEMORY.

    >>> parse_max_memory("512m")
    536870912
    """
    if text is None:
        return default_max_memory()
    size = re.fullmatch(r"(\d{1,6})([MG])", text.upper(), re.ASCII)
    if not size or (number := int(size[1]) << {"M": 20, "G": 30}[size[2]]) < LEAST_MEMORY:
        raise UsageError("invalid --max-memory", repr(text), f"{LEAST_MEMORY >> 20}M or more, for example 2G")
    return number


def default_max_memory() -> int:
    """Return how many bytes counting may take if nobody has said: a stranger who asks for millions of paths makes no
    machine kill its web server for want of memory."""
    return max(min(MOST_BY_DEFAULT, bytes_of_machine() // 2), LEAST_MEMORY)


def bytes_of_machine() -> int:
    """Return how much memory this machine has, or the container or service of this process may take."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():  # cgroups(7): number:controllers:path
            _, kind, path = line.split(":", 2)
            if kind in ("", "memory"):
                found += _limits(CGROUPS / kind / path.lstrip("/"))
    return min(found)


def _limits(group: Path) -> list[int]:
    """Return the limits of a group and of those around it. In a container the outermost is its own."""
    found = []
    for folder in (group, *group.parents):
        for name in ("memory.max", "memory.limit_in_bytes"):  # version 2 and 1
            with suppress(OSError, ValueError):  # ValueError: "max"
                found.append(int((folder / name).read_text()))
    return found


def bytes_of_tables(max_memory: int | None) -> int:
    """Return how many bytes the hit tables may take in a command that may take *max_memory*; None is the default."""
    if max_memory is None:
        max_memory = default_max_memory()
    return max(max_memory // 4, max_memory - OTHER_BYTES)
