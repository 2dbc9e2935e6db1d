"""How a log is packed: what its first bytes tell. The name of a file tells nothing."""

import re
import shlex
from typing import NamedTuple

HEAD_BYTES = 512
"""The first bytes that tell how a log is packed; a tar archive is known by byte 257."""


class Packing(NamedTuple):
    """A way in which logs are packed."""

    name: str
    what: str
    """What such a file is, as messages name it."""
    command: str = ""
    """The command that unpacks it, where fasthits does not."""

    def how_to_unpack(self, file: str) -> str:
        """Return what to type to unpack *file*."""
        return f"unpack it: {self.command.format(shlex.quote(file))}"


_PACKINGS = (
    (rb"\x1f\x8b", Packing("gzip", "gzip file", "gzip -dc {} > FILE")),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", Packing("zstd", "zstd file", "zstd -dc --long=31 {} > FILE")),
    (rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90|.{0,5}\Z)", Packing("bzip2", "bzip2 file", "bzip2 -dc {} > FILE")),
    (rb"\xfd7zXZ", Packing("xz", "xz file", "xz -dc {} > FILE")),
    (rb"PK(?:\x03\x04|\x05\x06)", Packing("zip", "zip archive", "unzip {} -d FOLDER")),
    (rb"\xff\xfe(?!\0\0)|\xfe\xff", Packing("utf-16", "text in UTF-16")),
    (rb"(?:[^\0]\0){8}", Packing("utf-16-le", "text in UTF-16")),
    (rb"(?:\0[^\0]){8}", Packing("utf-16-be", "text in UTF-16")),
    (rb".{257}ustar", Packing("tar", "tar archive", "tar -xf {} -C FOLDER")),
    (rb"\x1f\x9d", Packing("compress", "compress file", "gzip -dc {} > FILE")),
    (rb"\x04\x22\x4d\x18", Packing("lz4", "lz4 file", "lz4 -dc {} > FILE")),
    (rb"LZIP\x01", Packing("lzip", "lzip file", "lzip -dc {} > FILE")),
    (rb"\x89LZO\0", Packing("lzop", "lzop file", "lzop -dc {} > FILE")),
    (rb"7z\xbc\xaf\x27\x1c", Packing("7z", "7z archive", "7z x {} -oFOLDER")),
    (rb"Rar!\x1a\x07", Packing("rar", "rar archive", "unrar x {} FOLDER/")),
)
_MATCHING = [(re.compile(first_bytes, re.S), packing) for first_bytes, packing in _PACKINGS]


def packing_of(head: bytes) -> Packing | None:
    r"""Return how a log that begins with *head*, of HEAD_BYTES or all of it, is packed; None for text.

    >>> packing_of(b"\x1f\x8b\x08\0").what
    'gzip file'
    >>> packing_of(b'192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5')
    """
    return next((packing for first_bytes, packing in _MATCHING if first_bytes.match(head)), None)
