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
    return sorted(set(_expand("", pattern.split("/"), endings, errors))), errors


def _expand(folder: str, parts: Sequence[str], endings: Sequence[str], errors: list[OSError]) -> list[str]:
    """Return the names below *folder*, which is empty or ends with a slash."""
    part, *rest = parts
    if rest:
        names = _list(folder, part, [""], errors) if "*" in part else [part]
        return [found for name in names for found in _expand(f"{folder}{name}/", rest, endings, errors)]
    if "*" in part:
        return [folder + name for name in _list(folder, part, endings, errors)]
    return [folder + part + ending for ending in endings]


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
