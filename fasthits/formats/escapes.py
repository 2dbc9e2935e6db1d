r"""The escapes in a log: ``\"``, ``\\``, ``\n`` and the like, and ``\xhh`` for other unprintable bytes.

Apache writes them like this (ap_escape_logitem, httpd's server/util.c). nginx writes ``\xHH`` for all of them.
"""

import re

from fasthits._parse import unescape

__all__ = ["escape", "unescape"]

_ESCAPED = re.compile(rb"[^ !#-\[\]-~]")
_LETTERS = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b'"': b'"', b"\\": b"\\"}
_ESCAPES = {byte[0]: b"\\" + letter for letter, byte in _LETTERS.items()}
_LOGGED = [
    _ESCAPES.get(byte, b"\\x%02x" % byte) if _ESCAPED.match(bytes([byte])) else bytes([byte]) for byte in range(256)
]


def escape(raw: bytes) -> bytes:
    r"""Return *raw* as Apache logs it: printable ASCII, with a backslash before each quote.

    >>> print(escape('é"\n'.encode()).decode())
    \xc3\xa9\"\n
    """
    return b"".join(map(_LOGGED.__getitem__, raw)) if _ESCAPED.search(raw) else raw
