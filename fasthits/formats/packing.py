"""How a log is packed: what its first bytes tell. The name of a file tells nothing."""

from typing import NamedTuple

HEAD_BYTES = 1 << 14
"""The first bytes that tell how a log is packed: they have the end of its first line."""


class Packing(NamedTuple):
    """A way in which logs are packed."""

    name: str
    what: str
    """The name of such a file in messages."""
    command: str = ""
    """The command that unpacks it, where fasthits does not."""

    def how_to_unpack(self, file: str) -> str:
        """Return the command that unpacks *file*."""
        import shlex  # only errors need it

        return f"unpack it: {self.command.format(shlex.quote(file))}"


_GZIP = Packing("gzip", "gzip file", "gzip -dc {} > FILE")
_ZSTD = Packing("zstd", "zstd file", "zstd -dc --long=31 {} > FILE")
_BZIP2 = Packing("bzip2", "bzip2 file", "bzip2 -dc {} > FILE")
_XZ = Packing("xz", "xz file", "xz -dc {} > FILE")
_ZIP = Packing("zip", "zip archive", "unzip {} -d FOLDER")
_TAR = Packing("tar", "tar archive", "tar -xf {} -C FOLDER")
_UTF_16, _UTF_16_LE, _UTF_16_BE = (
    Packing(name, "text in UTF-16", f"iconv -f {name.upper()} -t UTF-8 {{}} > FILE")
    for name in ("utf-16", "utf-16-le", "utf-16-be")
)

_UTF_32 = Packing("utf-32", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 {} > FILE")

_STARTS = (
    (b"\x1f\x8b", _GZIP),
    (b"\x28\xb5\x2f\xfd", _ZSTD),
    (b"\xfd7zXZ", _XZ),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"\x1f\x9d", Packing("compress", "compress file", "gzip -dc {} > FILE")),
    (b"\x04\x22\x4d\x18", Packing("lz4", "lz4 file", "lz4 -dc {} > FILE")),
    (b"LZIP\x01", Packing("lzip", "lzip file", "lzip -dc {} > FILE")),
    (b"\x89LZO\0", Packing("lzop", "lzop file", "lzop -dc {} > FILE")),
    (b"7z\xbc\xaf\x27\x1c", Packing("7z", "7z archive", "7z x {} -oFOLDER")),
    (b"Rar!\x1a\x07", Packing("rar", "rar archive", "unrar x {} FOLDER/")),
)
CR_ENDS = Packing("cr", "text whose lines end with CR only", "tr '\\r' '\\n' < {} > FILE")
"""As classic Mac OS and some exports write text."""
_BZIP2_DATA = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows `BZh9`: a block, or the end of a stream without a block."""
_UNITS = 8
"""The number of ASCII characters that show text in UTF-16 without a byte-order mark."""
_CONTROLS = bytes(byte for byte in range(1, 0x20) if byte not in b"\b\t\n\v\f\r\x1b")
_CONTROLS_SHARE = 0.03
_SURE_BYTES = 1 << 10
"""A tenth of compressed data are control characters, as of any random bytes. Servers escape them."""
_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


def packing_of(head: bytes) -> Packing | None:
    r"""Return how a log that begins with *head*, of HEAD_BYTES or all of it, is packed; None for text.

    >>> packing_of(b"\x1f\x8b\x08\0").what
    'gzip file'
    >>> packing_of(b'192.0.2.7 - - [12/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5')
    """
    for start, packing in _STARTS:
        if head.startswith(start):
            return packing
    if head[257:262] == b"ustar":
        return _TAR
    if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:  # a frame to be skipped, as pzstd puts it in front
        return _ZSTD
    if head[:3] == b"BZh" and (head[4:10] in _BZIP2_DATA or 3 < len(head) < 10):
        return _BZIP2
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and head[2:4] != bytes(2):
        return _UTF_16
    units = head[4:20]
    if head[:4] in _UTF_32_MARKS and 4 * len(units.replace(b"\0", b"")) == len(units) > 0:  # ASCII characters
        return _UTF_32
    for zeros, others, packing in ((1, 0, _UTF_16_LE), (0, 1, _UTF_16_BE)):
        if head[zeros : 2 * _UNITS : 2] == bytes(_UNITS) and 0 not in head[others : 2 * _UNITS : 2]:
            return packing
    if b"\r" in head.rstrip(b"\r") and b"\n" not in head:  # servers escape a CR within a line
        return CR_ENDS
    return None


def is_compressed(data: bytes) -> bool:
    r"""Tell whether bytes from the middle of a file, some kB, are compressed data and no text. Fewer do not tell.

    >>> import random
    >>> is_compressed(random.Random(1).randbytes(8192)), is_compressed(b"\xc3\xa9\0\n" * 2048)
    (True, False)
    """
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return len(data) >= _SURE_BYTES and controls > len(data) * _CONTROLS_SHARE


def remedy(head: bytes, file: str, otherwise: str) -> str:
    r"""Return what to do with a file that begins with *head* and is of the wrong kind: unpack it, or *otherwise*.

    >>> remedy(b"\x1f\x8b\x08\0", "web1.hits.gz", "name another file")
    'unpack it: gzip -dc web1.hits.gz > FILE'
    """
    packing = packing_of(head)
    return packing.how_to_unpack(file) if packing and packing.command else otherwise
