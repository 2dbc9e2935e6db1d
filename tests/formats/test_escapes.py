"""What Apache makes of bytes in a log, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits.formats.escapes import escape, unescape
from tests.support import strategies


@given(st.binary())
def test_escaped_bytes_are_restored(raw: bytes) -> None:
    assert escape(raw) == strategies.escape(raw)
    assert unescape(escape(raw)) == raw


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        (b"", b""),
        (b"caf\\xC3\\xa9", "café".encode()),
        (b"\\x22\\x5C", b'"\\'),
        (b"\\\\x41", b"\\x41"),
        (b"\\x4", b"\\x4"),
        (b"\\q\\", b"\\q\\"),
        (b"\\b\\n\\r\\t\\v", b"\b\n\r\t\v"),
    ],
)
def test_the_meaning_of_each_escape(text: bytes, raw: bytes) -> None:
    assert unescape(text) == raw
