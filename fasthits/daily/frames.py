"""Rows in files: pieces of rows, each packed into a frame that has a check sum."""

import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from fasthits._parse import LINE_BYTES

LEVEL = 1
"""zstd's fastest. The next levels take twice the time for a tenth less."""

PIECE_BYTES = 1 << 17
MOST_PIECE_BYTES = PIECE_BYTES + 4 * LINE_BYTES + 64
"""No piece is larger: it ends behind the row that fills it, whose path may be as long as a line, all of it escaped."""


class DamagedPieceError(Exception):
    """A packed piece was altered or cut off."""


def _zstd() -> Any:
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def pack(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each piece as a frame of zstd with a check sum."""
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    packer = zstd.ZstdCompressor(options={parameter.compression_level: LEVEL, parameter.checksum_flag: True})
    for piece in pieces:
        yield packer.compress(piece, mode=packer.FLUSH_FRAME)


def unpack(frame: bytes) -> bytes:
    """Return the piece in a frame. Raises DamagedPieceError."""
    zstd = _zstd()
    unpacker = zstd.ZstdDecompressor()
    try:
        piece: bytes = unpacker.decompress(frame, MOST_PIECE_BYTES + 1)
    except zstd.ZstdError as error:
        raise DamagedPieceError(str(error)) from error
    if not unpacker.eof or unpacker.unused_data or len(piece) > MOST_PIECE_BYTES:
        raise DamagedPieceError("it is cut off or too large")
    return piece
