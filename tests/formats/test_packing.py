"""The first bytes of a log tell whether it is packed or text."""

import bz2
import gzip
import lzma

import pytest
from hypothesis import given

from fasthits.formats.packing import HEAD_BYTES, packing_of
from tests.support.commands import hit
from tests.support.strategies import valid_fields, write_line


@given(valid_fields().map(write_line))
def test_a_log_is_text(log: bytes) -> None:
    assert packing_of(log[:HEAD_BYTES]) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xef\xbb\xbf" + hit("/a"),
        bytes(4096) + hit("/a"),
        bytes(HEAD_BYTES),
        b"BZh9.example:80 " + hit("/a"),
        b"PK.example:80 " + hit("/a"),
        b'{"a": 1}\n',
        b"\x1f",
        b"one\r",
        b"\0\0\xfe\xff\n",
        b"\xff\xfe\0\0" + hit("/a"),
        b"one\r\ntwo\r\n",
        b"one\rtwo\n",
    ],
)
def test_text_that_looks_packed_is_text(head: bytes) -> None:
    """Such as a byte-order mark of UTF-8, or the NULs that copytruncate leaves."""
    assert packing_of(head[:HEAD_BYTES]) is None


PACKED = {
    "gzip": [gzip.compress(b"")],
    "bzip2": [bz2.compress(b""), bz2.compress(b"x"), bz2.compress(b"x")[:5]],
    "xz": [lzma.compress(b"")],
    "zstd": [b"\x50\x2a\x4d\x18\4\0\0\0abcd"],
    "utf-16": ["\ufeff192".encode("utf-16-le"), "\ufeff192".encode("utf-16-be")],
    "utf-32": ["\ufeff192".encode("utf-32-le"), "\ufeff192".encode("utf-32-be"), "\ufeff1".encode("utf-32-le")],
    "utf-16-le": [hit("/a").decode().encode("utf-16-le")],
    "utf-16-be": [hit("/a").decode().encode("utf-16-be")],
    "cr": [b"one\rtwo", hit("/a").replace(b"\n", b"\r") * 2, b"x" * 9000 + b"\rone"],
    "zip": [b"PK\x05\x06" + bytes(18)],
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_logs_are_recognised(name: str) -> None:
    assert [packing_of(data).name for data in PACKED[name]] == [name] * len(PACKED[name])


def test_commands_quote_the_name_of_the_file_for_a_shell() -> None:
    assert packing_of(bytes(257) + b"ustar").how_to_unpack("my logs") == "unpack it: tar -xf 'my logs' -C FOLDER"
