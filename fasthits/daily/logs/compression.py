"""Compressed log files: a thread decompresses the next block while the last one is counted.

The decoders work as Python's own `gzip.GzipFile`: they read through several members, check sums, and raise for a stream
that is damaged or ends too early.
"""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO, cast

SUFFIXES = {
    ".gz": ("isal.igzip", "IGzipFile"),
    ".zst": ("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "ZstdFile"),
    ".bz2": ("bz2", "BZ2File"),
    ".xz": ("lzma", "LZMAFile"),
}
"""By the ending of a compressed file's name, the module and the class of its decoder. It is imported when needed."""

PIECE_BYTES = 1 << 14
"""How much is decompressed at a time. So much may be lost before a damaged place."""

READ_AHEAD = 4
"""Blocks in memory at a time, of which one is being counted."""


class DamagedError(Exception):
    """The compressed data is damaged or cut short, somewhere before the position to which it has been read.

    It is raised after everything that could be decompressed.
    """


def decompress(file: BinaryIO, suffix: str, block_bytes: int) -> Iterator[memoryview]:
    """Yield the decompressed content of *file* in blocks. A block is valid until the next.

    Raises DamagedError; OSError if the file cannot be read.
    """
    module, name = SUFFIXES[suffix]
    decoder = getattr(import_module(module), name)
    stream = decoder(fileobj=file) if suffix == ".gz" else decoder(file)
    filled: SimpleQueue[memoryview | Exception | None] = SimpleQueue()
    free: SimpleQueue[bytearray | None] = SimpleQueue()
    for _ in range(READ_AHEAD):
        free.put(bytearray(block_bytes))
    # No pool: Ctrl-C would wait for a thread that waits for a pipe.
    Thread(target=_fill, args=(stream.readinto, free, filled), daemon=True).start()
    try:
        while (block := filled.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
            free.put(cast(bytearray, block.obj))
    finally:
        free.put(None)


def _fill(
    read: Callable[[memoryview], int],
    free: "SimpleQueue[bytearray | None]",
    filled: "SimpleQueue[memoryview | Exception | None]",
) -> None:
    while (buffer := free.get()) is not None:
        view, size = memoryview(buffer), 0
        problem = None
        try:
            while size < len(buffer) and (got := read(view[size : size + PIECE_BYTES])):
                size += got
        except Exception as error:
            problem = error if _is_read_error(error) else _damaged(error)
        if size:
            filled.put(view[:size])
        if problem or size < len(buffer):
            filled.put(problem)
            return


def _is_read_error(error: Exception) -> bool:
    """Tell whether the file, not its content, could not be read: only such an error has a number."""
    return isinstance(error, OSError) and error.errno is not None


def _damaged(error: Exception) -> DamagedError:
    damaged = DamagedError(str(error))
    damaged.__cause__ = error
    return damaged
