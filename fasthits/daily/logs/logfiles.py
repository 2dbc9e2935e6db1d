"""Log files as blocks of lines: found by name, cut into segments for several threads."""

import io
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from fasthits.daily.logs import compression, matching
from fasthits.daily.logs.compression import Ahead, is_text, read_ahead, suffix_of, unpack
from fasthits.daily.urls import is_url
from fasthits.errors import DamagedLogError, LogFileError
from fasthits.formats import packing
from fasthits.records import Record, replace

if TYPE_CHECKING:
    from fasthits.daily.logs.stores import Entry, StoredFile

SUFFIXES = ("", *compression.SUFFIXES)
"""The endings of a log file's name. If it is there with several of them, the first is read."""

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 19
"""As much as the processor's nearer caches hold, so that lines are not fetched from memory twice."""
SEGMENT_BYTES = 16 << 20
STORED_SEGMENT_BYTES = 64 << 20
"""Of a file in a store: there each segment costs some requests more."""
SCAN_BYTES = 1 << 14

STDIN = "-"

Advance = Callable[[int], None]
"""Is called with the number of bytes that were read since its last call."""


class Segment(Record):
    """The lines of a log file that begin in [start, stop); all lines if the file can only be read from its start."""

    log_file: "LogFile"
    start: int = 0
    stop: int | None = None

    def blocks(self, buffer: bytearray, advance: Advance) -> Generator[memoryview]:
        """Yield the segment's lines in blocks. A block is valid until the next. Only the file's last line can lack its
        newline.

        Raises LogFileError if the file cannot be read or unpacked, was replaced, or has shrunk since it was found;
        DamagedLogError after all whole lines that could be unpacked.
        """
        with self.log_file.opened() as file:
            if self.stop is None:
                yield from self._stream(file, memoryview(buffer), advance)
            else:
                yield from self._lines(file, self.stop, memoryview(buffer), advance)
            file.check()
            if self.log_file.size and file.seek(0, os.SEEK_END) < self.log_file.size:
                raise _shrunk(self.log_file.name)

    def _stream(self, file: "LogBytes", buffer: memoryview, advance: Advance) -> Iterator[memoryview]:
        """Yield the parts that can be read only from their start."""
        source = Ahead(file, self.log_file.size)
        before = 0
        with self.log_file.damage_told(source):
            text = unpack(source, self.log_file.name, file)
            for block in _blocks_of(source, buffer) if text is source else read_ahead(text, BLOCK_BYTES):
                after = source.taken
                advance(after - before)
                before = after
                yield block

    def _lines(self, file: "LogBytes", stop: int, buffer: memoryview, advance: Advance) -> Iterator[memoryview]:
        offset = self._line_start(file, self.start, stop)
        end = self._line_start(file, stop, self.log_file.size or 0) if offset < stop else stop
        while offset < end:
            size = file.read_at(buffer[: end - offset], offset)
            if size == 0:
                raise _shrunk(self.log_file.name)
            advance(size)
            yield buffer[:size]
            offset += size

    def _line_start(self, file: "LogBytes", at: int, limit: int) -> int:
        """Return where the first line at or after *at* begins; *limit* if no line begins before *limit*."""
        if at >= limit:
            return limit
        offset, ahead = at - 1, bytearray(SCAN_BYTES)
        while 0 <= offset < limit:
            size = file.read_at(memoryview(ahead)[: limit - offset], offset)
            newline = ahead.find(b"\n", 0, size)
            if newline >= 0:
                return offset + newline + 1
            offset = offset + size if size else limit
        return limit if at else 0


class LogFile(Record, uncompared=("name", "size", "modified", "entry")):
    """A log file, or standard input, in its state when it was found. Equal if it is the same file, whatever its
    name."""

    name: str
    identity: tuple[int, int] | tuple[None, int, str] | str | None = None
    """Device and inode; in a store the name, without links; for another machine, which has other devices, the inode
    and the name."""
    size: int | None = None
    """In bytes on the disk; None for a pipe or standard input."""
    modified: float = 0.0
    """When it was last changed, in seconds since 1970."""
    problem: LogFileError | None = None
    """Why this user cannot see the file, or the files in this folder."""
    entry: "Entry | None" = None
    """A store's information about it; None for a file of this machine."""

    @property
    def is_empty(self) -> bool:
        """Whether it has no lines. Nothing is no compressed file: an empty file of such a name lost its lines."""
        return self.size == 0 and not suffix_of(self.name)

    @property
    def elsewhere(self) -> "LogFile":
        """The same file for another machine that shares the file system, but has another current folder."""
        if type(self.identity) is not tuple:
            return self
        name = os.path.abspath(self.name)
        return replace(self, name=name, identity=(None, self.identity[1], name))

    def learn_from(self, other: "LogFile") -> None:
        """Take over the findings of another machine about this file."""
        if "_is_text" in vars(other):
            vars(self)["_is_text"] = other._is_text

    def _is_same(self, status: os.stat_result) -> bool:
        if type(self.identity) is tuple and self.identity[0] is None:
            return self.identity[1] == status.st_ino and status.st_size >= (self.size or 0)
        return self.identity == _identity(status)

    @contextmanager
    def opened(self) -> Iterator["LogBytes"]:
        """Open the file. Raises LogFileError if it was replaced or cannot be read, also while the caller reads it."""
        if self.problem:
            raise self.problem
        if self.entry:
            from fasthits.daily.logs.stores import StoredFile

            with StoredFile(self.entry) as stored:
                yield stored
            return
        with _errors_of(self.name):
            if self.name == STDIN:
                with _LocalFile(0, closefd=False) as file:
                    yield file
                return
            with _LocalFile(self.name) as file:
                if not self._is_same(os.fstat(file.fileno())):
                    raise LogFileError("log file was replaced while it was read", self.name, "run it again")
                yield file

    @contextmanager
    def damage_told(self, source: Ahead) -> Iterator[None]:
        """Raise DamagedLogError, which says where, for damage to the file that *source* reads."""
        try:
            yield
        except compression.DamagedError as error:
            at = f"after {source.taken:,} of {self.size:,} bytes" if self.size is not None else "in the middle"
            raise DamagedLogError("compressed log file is damaged or cut short", self.name, f"{at}: {error}") from error

    def head(self) -> tuple[bytes, bool]:
        """Return the first HEAD_BYTES, or all of it, and whether the log ends there; b"" for a pipe.

        For a damaged file, these are its whole lines. Raises LogFileError.
        """
        if self.size is None:
            return b"", False
        pieces, size = [], 0
        with self.opened() as file:
            source = Ahead(file, self.size)
            self.__dict__["_is_text"] = is_text(source.head, self.name)  # so the file is not opened once more
            try:
                text = unpack(source, self.name, file)
                while size <= HEAD_BYTES and (piece := text.read(HEAD_BYTES + 1 - size)):
                    pieces.append(piece)
                    size += len(piece)
            except compression.DamagedError:  # reading the whole file reports it
                return b"".join(pieces), False
        return b"".join(pieces)[:HEAD_BYTES], size <= HEAD_BYTES

    @cached_property
    def _is_text(self) -> bool:
        head = bytearray(packing.HEAD_BYTES)
        with self.opened() as file:
            return is_text(bytes(head[: file.read_at(memoryview(head), 0)]), self.name)

    def segments(self, step: int | None = None) -> list[Segment]:
        """Return the parts that threads can read at the same time: several only of a file that is not packed.

        *step* is the size of each; by default what suits the threads of this machine. A file that cannot be read has
        one segment. Reading that says why.
        """
        try:
            if self.size is None or not self._is_text:
                return [Segment(self)]
        except LogFileError:
            return [Segment(self)]
        step = step or (STORED_SEGMENT_BYTES if self.entry else SEGMENT_BYTES)
        return [Segment(self, at, min(at + step, self.size)) for at in range(0, self.size, step)]


class _LocalFile(io.FileIO):
    """An open file of this machine."""

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*, and return how many bytes: 0 only at the end. It waits, also where standard input does
        not: that has nothing yet, then."""
        while (size := cast("int | None", super().readinto(buffer))) is None:
            waiting = poll()
            waiting.register(self, POLLIN)
            waiting.poll()
        return size

    def read_at(self, buffer: memoryview, offset: int) -> int:
        """Read what begins at *offset* into *buffer*, and return how many bytes: 0 only at the end."""
        return os.preadv(self.fileno(), [buffer], offset)

    def check(self) -> None:
        """Do nothing: the file is the one that was found, as it was opened."""


LogBytes: TypeAlias = "_LocalFile | StoredFile"
"""A log file that is open."""


class Found(NamedTuple):
    """The files that a name of log files matches."""

    files: list[LogFile]
    left_out: list[LogFileError]
    """Directories, links and pipes that match ``*``."""


def find(name: str) -> list[LogFile]:
    """Return the log files of *name*, as `search` does."""
    return search(name).files


def search(name: str) -> Found:
    """Return the log files of *name*, in order; none if there are none. ``*`` matches any characters except ``/``.

    Of a plain file and its compressed copies only the plain file is returned. ``-`` is standard input. Files that this
    user may not see are among the files, with the problem.

    Raises LogFileError if there are only such files, directories, and links to nothing; StoreError.
    """
    if name == STDIN:
        return Found([LogFile(name)], [])
    if is_url(name):
        from fasthits.daily.logs import stores

        entries = stores.match(name, SUFFIXES)
        stored = [LogFile(each.name, each.real or each.name, each.size, each.modified, entry=each) for each in entries]
        return Found(_without_copies(stored), [])
    names, hidden = matching.match(name, SUFFIXES)
    seen = [found for match in names if (found := _look_at(match, "*" in name))]
    left_out = [each for each in seen if isinstance(each, LogFileError)]
    files = _without_copies([each for each in seen if isinstance(each, LogFile)])
    files += dict.fromkeys(map(_hidden_files, hidden))
    problems = [each.problem for each in files if each.problem]
    if len(problems) == len(files) and (problems or left_out):
        raise [*problems, *left_out][0]
    return Found(files, left_out)


def _without_copies(found: Sequence[LogFile]) -> list[LogFile]:
    """Return the files without compressed copies of others among them."""
    first: dict[str, LogFile] = {}
    files: dict[LogFile, None] = {}  # a link and its file are the same
    for each in found:
        plain = first.setdefault(each.name.removesuffix(suffix_of(each.name)), each)  # plain before packed
        if plain is each or not _is_copy(each, plain):
            files[each] = None
    return list(files)


def _is_copy(packed: LogFile, plain: LogFile) -> bool:
    """Tell whether *packed* holds what *plain* holds, or was being written when the compressor was killed.

    Not all such names are copies: a line that a server logs late makes a file anew that has been compressed.
    """
    try:
        copied, lines = packed.head()[0], plain.head()[0]
    except LogFileError:
        return plain.problem is not None
    size = min(len(copied), len(lines))
    return not copied or (bool(lines) and copied[:size] == lines[:size])


def _look_at(name: str, starred: bool) -> LogFile | LogFileError | None:
    """Return a log file; LogFileError for a name that is no log file; None if nothing has this name."""
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return LogFileError("log file is a broken link", name) if starred and os.path.islink(name) else None
    except OSError as error:
        return LogFile(name, size=0, problem=_cannot_read(name, error))
    if stat.S_ISDIR(status.st_mode):
        return LogFileError("log file is a directory", name, f"name a file in it: {name.rstrip('/')}/access.log")
    if stat.S_ISREG(status.st_mode):
        return LogFile(name, _identity(status), status.st_size, status.st_mtime)
    if starred:  # reading a pipe that nobody writes to would wait for ever
        return LogFileError("log file is a pipe or a device", name, "name it without *")
    return LogFile(name, _identity(status), modified=status.st_mtime)


def _hidden_files(error: OSError) -> LogFile:
    """Return an unreadable log file that represents the files in a folder that cannot be listed."""
    folder, hint = str(error.filename), error.strerror or str(error)
    if isinstance(error, PermissionError):
        hint += "; run this as root or, on Debian and Ubuntu, as a user in the group adm"
    problem = LogFileError("cannot list the folder of log files", folder.rstrip("/") or "/", hint)
    problem.__cause__ = error
    return LogFile(folder, size=0, problem=problem)


def _cannot_read(name: str, error: OSError) -> LogFileError:
    hint = "it was there a moment ago; run it again" if isinstance(error, FileNotFoundError) else error.strerror
    problem = LogFileError("cannot read log file", name, hint or str(error))
    problem.__cause__ = error
    return problem


def _shrunk(name: str) -> LogFileError:
    return LogFileError("log file shrank while it was read", name, "run it again")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _blocks_of(source: Ahead, buffer: memoryview) -> Iterator[memoryview]:
    size = source.readinto(buffer)
    if size == packing.HEAD_BYTES:  # there may be more lines to detect the format
        size += source.readinto(buffer[size:])
    while size:
        yield buffer[:size]
        size = source.readinto(buffer)


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_read(name, error) from error
