r"""The escapes of a log: ``\"``, ``\\``, ``\n`` and the like, and ``\xhh`` for other bytes that do not print.

So Apache writes them (ap_escape_logitem, httpd's server/util.c); nginx writes ``\xHH`` for all of them.
"""

import re

_ESCAPE = re.compile(rb'\\(?:x(?P<hex>[0-9A-Fa-f]{2})|(?P<letter>["\\bnrtv]))')
_ESCAPED = re.compile(rb"[^ !#-\[\]-~]")
_LETTERS = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b'"': b'"', b"\\": b"\\"}
_ESCAPES = {bytes([byte]): b"\\x%02x" % byte for byte in range(256)} | {
    byte: b"\\" + letter for letter, byte in _LETTERS.items()
}


def unescape(text: bytes) -> bytes:
    r"""Return the bytes that were logged as *text*; a backslash that begins no escape stays.

    >>> unescape(rb'caf\xc3\xa9 \"\\')
    b'caf\xc3\xa9 "\\'
    """
    return _ESCAPE.sub(_byte, text) if b"\\" in text else text


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found["hex"].decode()) if found["hex"] else _LETTERS[found["letter"]]


def escape(raw: bytes) -> bytes:
    r"""Return *raw* as Apache logs it: printable ASCII in which each quote has a backslash before it.

    >>> print(escape('é"\n'.encode()).decode())
    \xc3\xa9\"\n
    """
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], raw)
