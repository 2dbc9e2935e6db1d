"""Compressed logs, decompressed while they are read: gzip, zstd, bzip2, xz, a zip archive with one file, UTF-16, and
lines that end with CR.

The first bytes show how a log is compressed. A log may be compressed twice. Memory is limited for any data.
A stream that is damaged or ends too early raises DamagedError after everything that could be unpacked.
"""

import codecs
import io
import os
import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import Any, cast

from fasthits.errors import FasthitsError, LogFileError
from fasthits.formats.packing import CR_ENDS, HEAD_BYTES, Packing, packing_of

SUFFIXES = (".gz", ".zst", ".bz2", ".xz", ".zip")
"""The usual endings of packed files' names. They help to find files, but do not tell how these are read."""

PIECE_BYTES = 1 << 14
"""How much is unpacked at a time. This much may be lost before a damaged place."""

MEMBER_START_BYTES = 1 << 12
"""A member's first bytes, which the decoder gets at once: isal fails where a gzip header comes in parts."""

READ_AHEAD = 4
"""Blocks in memory at a time, of which one is being counted."""

MOST_LAYERS = 5
"""The limit of layers, which no log may reach: compression, UTF-16 and CR. Some data decompresses to itself."""

XZ_BYTES = 256 << 20
"""The most memory for a decoder of xz, or of LZMA in a zip archive; `xz -9` needs 65 MiB. The limit of zstd's decoder
is 128 MiB."""

ZIP_DIRECTORY_BYTES = 1 << 20
"""The most that is read at once of a zip archive. Its directory is read at once, and takes more than ten times as much
memory; that of an archive of one file is shorter."""

ENCRYPTED = 1
"""The flag of a file in a zip archive that has a password."""

ZIP_NAME_AT = 26
"""Where the header of a file in a zip archive has the sizes of its name and of its extra field, which follow them."""

GZIP_FORMAT = 1
"""`isal.igzip_lib.DECOMP_GZIP`: with header and check sum, which is checked."""

_DECODERS = {
    "zstd": ("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "ZstdDecompressor"),
    "bzip2": ("bz2", "BZ2Decompressor"),
    "xz": ("lzma", "LZMADecompressor"),
}
"""By the name of a packing other than gzip, the module and the class of its decoder. It is imported when needed."""

_BINARY = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})
"""Bytes that are in no log."""


class DamagedError(Exception):
    """The packed data is damaged or cut short, somewhere before the position to which it has been read."""


def suffix_of(name: str) -> str:
    """Return the ending that a packed file's name has; "" if it has none."""
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def is_text(head: bytes, name: str) -> bool:
    """Tell whether the log of this name that begins with *head* is not compressed.

    Text is text, also where the name says that it is packed. Then no bytes at all, or bytes that no log has, are a
    packed file that is damaged.
    """
    return not packing_of(head) and not (suffix_of(name) and (not head or head.translate(None, _BINARY) != head))


class Ahead(io.RawIOBase):
    """A stream whose first bytes are known before they are read."""

    def __init__(self, stream: io.RawIOBase, limit: int | None = None) -> None:
        """Read the first bytes of *stream*, which ends after *limit* bytes at the latest.

        Lines that come one by one are not waited for: the bytes that tell a packing have no newline before them.
        """
        self._stream = stream
        self._limit = limit
        self.taken = 0
        """How many bytes of the stream have been read."""
        self._damaged: DamagedError | None = None
        head = memoryview(bytearray(HEAD_BYTES))
        try:
            while self.taken < HEAD_BYTES and b"\n" not in bytes(head) and self._take(head[self.taken :]):
                pass
        except DamagedError as error:
            self._damaged = error  # raised after the bytes before the damage
        self.head = bytes(head[: self.taken])
        self._left = self.head

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*, and return how many bytes: 0 only at the end."""
        if not self._left:
            if self._damaged:
                raise self._damaged
            return self._take(memoryview(buffer))
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def _take(self, view: memoryview) -> int:
        if self._limit is not None:
            view = view[: self._limit - self.taken]
        size = (len(view) and self._stream.readinto(view)) or 0
        self.taken += size
        return size


def unpack(source: Ahead, name: str, file: io.RawIOBase | None = None) -> Ahead:
    """Return the text of the log of this name: *source* itself, if it is not packed.

    *source* reads *file*, which a zip archive needs, too. Raises DamagedError, as reading the text does;
    LogFileError for what fasthits does not unpack; OSError if the file cannot be read.
    """
    if not packing_of(source.head):
        if not is_text(source.head, name):
            raise DamagedError(f"it does not begin like a {suffix_of(name)} file" if source.head else "it is empty")
        return source
    stream = source
    for _ in range(MOST_LAYERS):
        packing = packing_of(stream.head)
        if not packing:
            return stream
        stream = Ahead(_open(packing, stream, name, file if stream is source else None))
    raise LogFileError("log file is compressed more than four times", name, "decompress it")


def _open(packing: Packing, stream: Ahead, name: str, file: io.RawIOBase | None) -> "_Unpacking":
    if packing.name == "gzip" or packing.name in _DECODERS:
        return _Members(packing, stream, name)
    if packing.name.startswith("utf-16"):
        return _Utf16(packing, stream, name)
    if packing is CR_ENDS:
        return _CrEnds(packing, stream, name)
    if packing.name == "zip" and file and file.seekable():
        return _Zipped(packing, file, name)
    raise LogFileError(f"log file is a {packing.what}", name, packing.how_to_unpack(name))


class _Unpacking(io.RawIOBase):
    """The text of a compressed stream."""

    def __init__(self, packing: Packing, stream: io.RawIOBase, name: str) -> None:
        self._packing = packing
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*, and return how many bytes: 0 only at the end.

        Raises DamagedError after everything that could be unpacked, LogFileError, and OSError.
        """
        try:
            piece = self._next_piece(min(len(buffer), PIECE_BYTES))
        except (FasthitsError, DamagedError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # an error of the file, not of its content
                raise
            # A Python may be built without the library. For a packing in a zip archive that is a RuntimeError.
            if isinstance(error, ImportError | RuntimeError) or "memory" in str(error).lower():
                raise self._refused(f"cannot be unpacked by fasthits: {error}") from error
            raise DamagedError(str(error)) from error
        buffer[: len(piece)] = piece
        return len(piece)

    def _next_piece(self, most: int) -> bytes:
        """Return up to *most* bytes, none only at the end."""
        raise AssertionError("each packing has its own")

    def _refused(self, what: str) -> LogFileError:
        return LogFileError(f"log file {what}", self._name, self._packing.how_to_unpack(self._name))


class _Members(_Unpacking):
    """Compressed data: members that follow each other. NULs may be between and after them, as padding.

    Python's classes of files for bzip2 and xz end in silence at a member that is damaged in its first bytes.
    """

    def __init__(self, packing: Packing, stream: io.RawIOBase, name: str) -> None:
        super().__init__(packing, stream, name)
        self._decoder: Any = None
        self._input = b""

    def _next_piece(self, most: int) -> bytes:
        while (self._decoder and not self._decoder.eof) or self._begin_member():
            if self._decoder.needs_input and not self._input:
                self._input = self._stream.read(PIECE_BYTES) or b""
                if not self._input:
                    raise DamagedError("it ends in the middle of the data")
            piece: bytes = self._decoder.decompress(self._input, most)
            self._input = b""
            if piece:
                return piece
        return b""

    def _begin_member(self) -> bool:
        """Begin the next member; tell whether there is one."""
        first = self._decoder.unused_data.lstrip(b"\0") if self._decoder else b""
        while len(first) < MEMBER_START_BYTES and (more := self._stream.read(PIECE_BYTES)):
            first = (first + more).lstrip(b"\0")
        if not first:
            return False
        if packing_of(first[:HEAD_BYTES]) != self._packing:
            raise DamagedError("other bytes follow the compressed data")
        self._decoder, self._input = _new_decoder(self._packing.name), first
        return True


def _new_decoder(name: str) -> object:
    if name == "gzip":
        return _new_gzip_decoder()
    module, decoder = _DECODERS[name]
    return getattr(import_module(module), decoder)(**({"memlimit": XZ_BYTES} if name == "xz" else {}))


def _new_gzip_decoder() -> object:
    try:
        from isal.igzip_lib import IgzipDecompressor
    except ImportError:  # a processor for which there is no wheel of isal
        return _Zlib()
    return IgzipDecompressor(flag=GZIP_FORMAT)


class _Zlib:
    """Decodes a gzip member as isal does, with the standard library, which takes two to three times as long."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._has_more = False

    @property
    def needs_input(self) -> bool:
        return not self._has_more and not self.eof

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._member.decompress(self._member.unconsumed_tail + data, max_length)
        self._has_more = len(piece) == max_length or bool(self._member.unconsumed_tail)
        return piece


class _Zipped(_Unpacking):
    """The file in a zip archive."""

    _member: Any = None

    def _next_piece(self, most: int) -> bytes:
        if self._member is None:
            self._member = self._open()
        piece: bytes = self._member.read(most)
        return piece

    def _open(self) -> object:
        from zipfile import ZIP_LZMA, ZipFile

        archive = ZipFile(_Bounded(self._stream, self._refused("is a zip archive of too many files")))
        members = [each for each in archive.infolist() if not each.is_dir()]
        if len(members) != 1:
            raise self._refused(f"is a zip archive of {len(members):,} files")
        if members[0].flag_bits & ENCRYPTED:
            raise self._refused("is a zip archive with a password")
        if members[0].compress_type == ZIP_LZMA:
            self._packing = self._packing._replace(command="7z x {} -oFOLDER")  # unzip has no LZMA
            if self._dictionary_bytes(members[0].header_offset) > XZ_BYTES:
                raise self._refused(f"needs more than {XZ_BYTES >> 20} MiB of memory")
        return archive.open(members[0])

    def _dictionary_bytes(self, offset: int) -> int:
        """Return what LZMA needs for the file whose header is at *offset*: the last of the properties before its
        data."""
        self._stream.seek(offset + ZIP_NAME_AT)
        sizes = self._stream.read(4) or b""
        self._stream.seek(int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little"), os.SEEK_CUR)
        return int.from_bytes((self._stream.read(9) or b"")[5:], "little")


class _Bounded:
    """A zip archive for ZipFile, which reads as much at once as the archive says."""

    def __init__(self, stream: io.RawIOBase, error: LogFileError) -> None:
        self._stream = stream
        self._error = error
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        """Read up to *size* bytes. Raises the error if that is more than ZIP_DIRECTORY_BYTES."""
        if size > ZIP_DIRECTORY_BYTES:
            raise self._error
        return self._stream.read(size) or b""


class _Utf16(_Unpacking):
    """Text in UTF-16, as UTF-8."""

    def __init__(self, packing: Packing, stream: io.RawIOBase, name: str) -> None:
        super().__init__(packing, stream, name)
        self._decoder = codecs.getincrementaldecoder(packing.name)(errors="replace")
        self._text = b""

    def _next_piece(self, most: int) -> bytes:
        while not self._text and (units := self._stream.read(PIECE_BYTES)):
            self._text = self._decoder.decode(units).encode()
        self._text = self._text or self._decoder.decode(b"", final=True).encode()
        piece, self._text = self._text[:most], self._text[most:]
        return piece


class _CrEnds(_Unpacking):
    """Text whose lines end with CR, with LF in its place."""

    def _next_piece(self, most: int) -> bytes:
        return (self._stream.read(most) or b"").replace(b"\r", b"\n")


class Blocks(io.RawIOBase):
    """Blocks of bytes, as a stream."""

    def __init__(self, blocks: Iterator[memoryview]) -> None:
        self._blocks = blocks
        self.last = self.left = memoryview(b"")
        """The latest block, and its unread part."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*, and return how many bytes: 0 only at the end."""
        while not self.left:
            if (block := next(self._blocks, None)) is None:
                return 0
            self.last = self.left = block.cast("B")
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def unpack_blocks(blocks: Iterator[memoryview], name: str) -> Iterator[memoryview]:
    """Yield *blocks*; if they are compressed, their text. The name is for messages.

    Raises DamagedError and LogFileError.
    """
    stream = Blocks(blocks)
    source = Ahead(stream)
    text = unpack(source, name)
    if text is not source:
        while piece := text.read(PIECE_BYTES):
            yield memoryview(piece)
        return
    # A block that has all of the head is not cut: a format is detected from many lines.
    whole = len(source.head) == len(stream.last) - len(stream.left)
    yield stream.last if whole else memoryview(source.head + stream.left)
    yield from blocks


def read_ahead(stream: io.RawIOBase, block_bytes: int) -> Iterator[memoryview]:
    """Yield the content of *stream* in blocks of whole lines, while a thread reads the next blocks.

    A block is valid until the next. Only the last line can lack its newline. Lines longer than a block are cut. Raises
    the error of reading, after all whole lines before that place.
    """
    filled: SimpleQueue[memoryview | Exception | None] = SimpleQueue()
    free: SimpleQueue[bytearray | None] = SimpleQueue()
    for _ in range(READ_AHEAD):
        free.put(bytearray(block_bytes))
    # No pool: Ctrl-C would wait for a thread that waits for a pipe.
    Thread(target=_fill, args=(stream, free, filled), daemon=True).start()
    try:
        while (block := filled.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
            free.put(cast(bytearray, block.obj))
    finally:
        free.put(None)


def _fill(
    stream: io.RawIOBase,
    free: "SimpleQueue[bytearray | None]",
    filled: "SimpleQueue[memoryview | Exception | None]",
) -> None:
    torn = b""
    while (buffer := free.get()) is not None:
        block = memoryview(buffer)
        block[: len(torn)] = torn
        size, problem = _fill_block(stream, block, len(torn))
        whole = size
        if problem or size == len(block):
            newline = buffer.rfind(b"\n", 0, size)
            whole = newline + 1 if newline >= 0 or problem else size
        torn = bytes(block[whole:size])
        if whole:
            filled.put(block[:whole])
        if problem or size < len(block):
            filled.put(problem)
            return


def _fill_block(stream: io.RawIOBase, block: memoryview, size: int) -> tuple[int, Exception | None]:
    """Read into *block* after the *size* bytes in it; return how much is in it, and why it is not full, if not the
    end."""
    try:
        while size < len(block) and (got := stream.readinto(block[size:])):
            size += got
    except Exception as error:
        return size, error
    return size, None
