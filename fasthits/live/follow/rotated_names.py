"""Names of rotated files: before its rotation ``access.log.1`` or ``access.log-20261125`` was ``access.log``."""

import os
import re
from collections.abc import Iterable

COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".zip", ".Z", ".lz4")
"""Endings of compressed files, which no server writes to."""

_ADDED = r"(?:\.\d{1,4}|[._-]\d{8}(?:[.-]?\d+)*|[._-]\d{4}-\d\d-\d\d(?:[.T-]?\d+)*|\.old|\.bak)"
"""What rotation adds after a name, or before its extension: a number (0 to 9999), a date, or a word. Caddy adds a time
such as ``-2026-11-25T10-00-00.000``."""
_ROTATED = re.compile(rf"(.+?){_ADDED}((?:\.[a-z]+)?)", re.S)


def name_before_rotation(path: str) -> str | None:
    """Return the name of a file before rotation renamed it to *path*; None if *path* is not such a name.

    >>> name_before_rotation("/var/log/nginx/access.log.1")
    '/var/log/nginx/access.log'
    """
    found = _ROTATED.fullmatch(path)
    return found[1] + found[2] if found else None


def rotations(path: str) -> list[str]:
    """Return the names of the rotated files of *path*, without compressed files."""
    return rotated_files([path]).get(path, [])


def rotated_files(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the rotated files of each of *paths* that has some, without compressed files."""
    wanted = set(paths)
    found: dict[str, list[str]] = {}
    for folder in {os.path.dirname(path) for path in wanted}:
        for name in files_in(folder):
            if (path := name_before_rotation(name)) in wanted:
                found.setdefault(path, []).append(name)
    return found


def files_in(folder: str) -> list[str]:
    """Return the paths of all files in a folder; none if it cannot be listed."""
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except OSError:
        return []
