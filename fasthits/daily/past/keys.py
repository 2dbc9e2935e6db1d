"""Keys of past days: a path, a section such as ``/blog/*``, a path of a host, or the hash of a path."""

import re
from contextlib import suppress
from datetime import date
from itertools import chain
from typing import NamedTuple, Self

from fasthits.daily.days import Range
from fasthits.daily.past.kept import Kept
from fasthits.errors import UsageError
from fasthits.rules.paths import BAD_BYTE, part_host, spellings

EVER = Range(date.min, date.max)
LEAST_HASHED = 66
"""A shorter path fits a key, unless it has odd characters: a key has 250 bytes, the longest prefix 175, a day 10."""
LEAST_DIGITS = 8
SECTION_END = "/*"
"""The end of a key that names a section: all paths that begin with the text before the ``*``."""


def path_in(path: str, starts: str = r"/|https?://") -> str:
    """Return the path of an argument as a rollup writes it: bytes that are not UTF-8 become ``\\xhh``."""
    if isinstance(path, str) and re.match(starts, path):
        with suppress(UnicodeEncodeError):  # half a character
            return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    raise UsageError("not a path", repr(path), "a path begins with /")


def key_in(key: str) -> str:
    """Return the key of an argument likewise. Both raise UsageError if it is none."""
    return path_in(key, r"/|https?://|#")


class Key(NamedTuple):
    """The meaning of a key: a path, or the beginning of the paths of a section."""

    host: str | None
    path: str
    is_section: bool

    @classmethod
    def of(cls, key: str, host: str | None, kept: Kept) -> Self:
        """Return the meaning of *key* in a database, for one *host* if that is given. Raises UsageError."""
        if key.startswith("#"):
            host, key = None, path_of(key, kept)
        if host is None and kept.has_hosts and key.startswith("//"):
            host, key = part_host(key)
            kept.check_host(host)
        is_section = key.endswith(SECTION_END)
        return cls(host, key[:-1] if is_section else key, is_section)


def path_of(key: str, kept: Kept) -> str:
    """Return the kept path of a hash; another key as it is. Raises UsageError if no kept path has this hash."""
    if not key.startswith("#"):
        return key
    if len(key) < 1 + LEAST_DIGITS:
        raise UsageError("not the hash of a path", key, f"# and its first {LEAST_DIGITS} digits, or more")
    from hashlib import sha256  # loads OpenSSL, 3 ms that most commands do not need

    hosts = [f"//{host}" for host in kept.hosts(EVER)] if kept.has_hosts else [""]
    for path in chain((path for _, path in kept.paths), kept.paths_without_sums(EVER)):
        is_odd = not (path.isascii() and path.isprintable() and " " not in path) or BAD_BYTE.search(path.encode())
        for host in hosts:
            whole = f"{host}{path}"
            if is_odd or len(whole) >= LEAST_HASHED:
                digits = (sha256(logged).hexdigest() for logged in spellings(whole.encode()))
                if any(each.startswith(key[1:]) for each in digits):
                    return whole
    raise UsageError("no kept path has this hash", key, "the path becomes known when the day is rolled up")
