"""The keys of the live counters in memcached, and how long the counters live.

The writer and every reader use the same function to make a key.
"""

from datetime import date

from fasthits.errors import UsageError

DEFAULT_SERVER = "127.0.0.1:11211"

DEFAULT_TTL_SECONDS = 26 * 60 * 60
"""A day has 25 hours when the clocks go back, and a counter that begins just after midnight must outlive the day."""
MAX_TTL_SECONDS = 30 * 24 * 60 * 60
"""memcached takes a larger number for a date (its REALTIME_MAXDELTA)."""

DEFAULT_PREFIX = ":1:"
"""The default prefix of Django's cache: KEY_PREFIX "", VERSION 1."""

PATH_STARTS = ("/", "http://", "https://")
"""How the path of a hit begins."""

KEY_BYTES = 250
"""The longest key of memcached (its KEY_MAX_LENGTH)."""

_LEGAL = bytes(range(0x21, 0x7F))
_DAY_BYTES = len("2026-03-12")
_HASHED_BYTES = _DAY_BYTES + len("#") + 64  # SHA-256 in hex


def hit_key(day: date, path: bytes, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the counter of *path* on *day*: ASCII, legal in memcached, distinct for distinct arguments.

    If a path is too long for a key, or holds a byte outside 0x21-0x7e, the key has ``#`` and the path's SHA-256 in hex
    instead. The path of a hit never begins with ``#``. `check_prefix` must accept *prefix*.

    >>> hit_key(date(2026, 3, 12), b"/about")
    ':1:2026-03-12/about'
    >>> hit_key(date(2026, 3, 12), b"/a b")[:26]
    ':1:2026-03-12#73c9c45d21e1'
    """
    if len(prefix) + _DAY_BYTES + len(path) > KEY_BYTES or path.translate(None, _LEGAL):
        from hashlib import sha256  # loads OpenSSL, 3 ms that most commands do not need

        return f"{prefix}{day.isoformat()}#{sha256(path).hexdigest()}"
    return f"{prefix}{day.isoformat()}{path.decode('ascii')}"


def path_in_key(key: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return what `hit_key` put into *key* for a path: the path, or ``#`` and its SHA-256.

    >>> path_in_key(":1:2026-03-12/about")
    '/about'
    """
    return key[len(prefix) + _DAY_BYTES :]


def figure_path(figure: str) -> bytes:
    """Return the part of a figure's key that stands in place of a path: it begins with ``!``, as no path does.

    >>> hit_key(date(2026, 3, 12), figure_path("in doubt"))
    ':1:2026-03-12!in-doubt'
    """
    return b"!" + figure.replace(" ", "-").encode("ascii")


def place_key(follower: str, name: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key under which a follower of log files marks its place, which belongs to no day.

    >>> place_key("c0ffee", "begun")
    ':1:!follow-c0ffee-begun'
    """
    return f"{prefix}!follow-{follower}-{name}"


def check_prefix(prefix: str) -> str:
    """Return *prefix*; raise UsageError when keys that begin with it would not be legal."""
    if not isinstance(prefix, str):
        raise UsageError("not a key prefix", repr(prefix), f"text, for example {DEFAULT_PREFIX!r}")
    if not prefix.isascii() or prefix.encode().translate(None, _LEGAL):
        raise UsageError("key prefix with a space, control or non-ASCII character", repr(prefix))
    if len(prefix) > KEY_BYTES - _HASHED_BYTES:
        raise UsageError(f"key prefix longer than {KEY_BYTES - _HASHED_BYTES} characters", repr(prefix))
    return prefix
