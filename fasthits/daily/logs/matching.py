"""Names of files that match a pattern, and the folders that hide some."""

import os
import re
from collections.abc import Callable, Sequence


def match(pattern: str, endings: Sequence[str]) -> tuple[list[str], list[OSError]]:
    """Return the names that match *pattern* with one of *endings*, and errors of folders that could not be listed.

    ``*`` matches any characters except ``/``, but no leading dot. In the last part of a pattern without ``*``
    there the file need not exist. Unlike `glob`, this does not take a folder that this user may not list for an empty
    folder.
    """
    errors: list[OSError] = []
    return sorted(set(_expand(pattern, endings, errors))), errors


def _expand(pattern: str, endings: Sequence[str], errors: list[OSError]) -> list[str]:
    """Return the names that match *pattern*, from folder to folder."""
    *parts, last = pattern.split("/")
    folders = [""]  # each ends with a slash, but for the first
    for part in parts:
        folders = [
            f"{folder}{name}/"
            for folder in folders
            for name in (_list(folder, part, [""], errors) if "*" in part else [part])
        ]
    if "*" in last:
        return [folder + name for folder in folders for name in _list(folder, last, endings, errors)]
    return [folder + last + ending for folder in folders for ending in endings]


def pattern_of(part: str, endings: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a name matches *part* of a pattern with one of *endings*."""
    matching = re.compile(".*".join(map(re.escape, part.split("*"))) + f"(?:{'|'.join(map(re.escape, endings))})", re.S)
    return lambda name: matching.fullmatch(name) is not None and (part.startswith(".") or name[0] != ".")


def _list(folder: str, part: str, endings: Sequence[str], errors: list[OSError]) -> list[str]:
    try:
        names = os.listdir(folder or ".")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        errors.append(error)
        return []
    return list(filter(pattern_of(part, endings), names))
