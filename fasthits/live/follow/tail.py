"""One followed log file: its whole lines from a position on, and whether it is still the same file."""

import os
import time

from fasthits.formats.json_ltsv_w3c import NAMES_COLUMNS
from fasthits.live.follow.positions import HEAD_BYTES, LAST_BYTES, FileId, Position, fingerprint

BLOCK_BYTES = 1 << 14
LONGEST_LINE_BYTES = 1 << 20
"""A longer line is counted in pieces."""
KEEP_SECONDS = 3600.0
"""The time from a rotation, or from a rotated file's last line, until the file is closed."""
KEEP_DELETED_SECONDS = 60.0
"""The same for a deleted file, which takes room on the disk while it is open."""
REWRITE_SECONDS = 1.0
"""Somebody who writes a log again, with `cp` or an editor, does not pause for so long."""
YOUNG_SECONDS = 2.0
"""A log that begins so much later begins with a later time."""

NO_FILE: FileId = (0, 0)


class Tail:
    """One file, read from a position."""

    def __init__(self, path: str, fd: int, offset: int) -> None:
        """*fd* is the open file."""
        status = os.fstat(fd)
        self.path = path
        self.file: FileId = (status.st_dev, status.st_ino)
        self.origin = self.file
        """The file of which this is a copy, or the file itself."""
        self.offset = offset
        self.before: FileId = NO_FILE
        """The file that had this name before, of which this may be a copy; NO_FILE if it is none."""
        self.counted: Position | None = None
        """The position before the file was truncated, until it is known whether it gets the same lines again."""
        self.limit: int | None = None
        """The end of reading for now; None for no limit."""
        self.rotated = False
        """Whether it was renamed or deleted."""
        self.ended_at = -1
        """The size of the file when there were no more whole lines; -1 if there may be more."""
        self._fd = fd
        self._head = self._head_before = b""
        self._rewritten = -1, 0.0
        """The size of a file that is written again, and since when it has had this size."""
        self._last = self._find_last(offset)
        self._columns = self._find_columns()
        self._grew_at = time.monotonic()
        self._seen_at = self._grew_at
        """When the file was known to be as it was read, for the last time."""
        self._begun_at = float("-inf") if offset else self._grew_at
        self.learn_head()

    @property
    def size(self) -> int:
        """The size of the file now."""
        return os.fstat(self._fd).st_size

    @property
    def is_deleted(self) -> bool:
        """Whether the file has no name any more."""
        return not os.fstat(self._fd).st_nlink

    @property
    def is_young(self) -> bool:
        """Whether the next log of this name may begin with the same lines, because both begin in the same second.

        On a busy machine the follower may see the next log long after it has begun.
        """
        return self._seen_at < self._begun_at + YOUNG_SECONDS

    def position(self) -> Position:
        """Return the position up to which the file has been read."""
        head, last = fingerprint(self._head), fingerprint(self._last)
        return Position(self.path, *self.file, self.offset, len(self._head), head, last)

    def begins_like(self, position: Position) -> bool:
        """Tell whether the file begins like the file of *position*."""
        head = os.pread(self._fd, position.head, 0)
        return len(head) == position.head and fingerprint(head) == position.fingerprint

    def contradicts(self, position: Position) -> bool:
        """Tell whether the file begins like the file of *position*, but has other bytes just before its offset."""
        if not position.last or self.size < position.offset or not self.begins_like(position):
            return False
        return fingerprint(self._find_last(position.offset)) != position.last

    def move_to(self, offset: int) -> None:
        """Go on from *offset*, where a line begins."""
        self.offset, self.ended_at = offset, -1
        if offset:
            self._begun_at = float("-inf")
        self._head = b""
        self._last = self._find_last(offset)
        self._columns = self._find_columns()
        self.learn_head()

    def skip_copied(self, other: "Tail") -> bool:
        """Skip the bytes that *other* has at the same place; return whether these are all so far.

        If its first bytes are not those by which *other* is known, this is another log: nothing is skipped.
        """
        read = other.position()
        whole = self.begins_like(read) and self.size >= read.offset and not self.contradicts(read)
        offset, same = max(self.offset, read.offset * whole), True
        while same and (block := os.pread(self._fd, LONGEST_LINE_BYTES, offset)):
            theirs = os.pread(other._fd, len(block), offset)
            same = block == theirs
            offset += len(block) if same else _length_of_equal(block, theirs)
        self.move_to(offset if same or offset >= read.head else 0)
        return same

    def may_be_rewritten(self) -> bool:
        """Tell whether what has come since the truncation are the lines that were there before, and more may come."""
        size, now = self.size, time.monotonic()
        if size != self._rewritten[0]:
            self._rewritten = size, now
        head = os.pread(self._fd, len(self._head_before), 0)
        return not head or (self._head_before.startswith(head) and now < self._rewritten[1] + REWRITE_SECONDS)

    def note_truncation(self) -> None:
        """Remember how far the file was counted, because somebody may write the same lines again."""
        if not self.counted and not self.is_young:
            self.counted, self._head_before = self.position(), self._head
        self._rewritten = -1, 0.0

    def note_rotation(self, rotated: bool) -> None:
        """Note whether the file is without its name now; the time until it is closed begins when it loses its name."""
        if rotated and not self.rotated:
            self._grew_at = time.monotonic()
        self.rotated = rotated

    def has_nothing_new(self) -> bool:
        """Tell, with one system call, that there was no more line and that the file still has the same size."""
        now = time.monotonic()
        waits = self.rotated or self.counted or self.limit is not None or self.before != NO_FILE
        if waits or self.ended_at != self.size:
            return False
        self._seen_at = now
        return True

    def is_truncated(self) -> bool:
        """Tell whether the file is no longer the file read so far."""
        now = time.monotonic()
        if self.size < self.offset or os.pread(self._fd, len(self._head), 0) != self._head:
            return True
        self._seen_at = now
        return False

    def start_again(self) -> None:
        """Read the file from its first byte outside a hole: a writer that does not append leaves a hole."""
        try:
            self.offset = os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError:
            self.offset = 0
        self.ended_at = -1
        self._head = self._columns = b""
        self._begun_at = self._seen_at = time.monotonic()
        self._last = self._find_last(self.offset)
        self.origin = NO_FILE

    def learn_head(self) -> None:
        """Read the first bytes of the file, by which it is known, as far as they are there."""
        if len(self._head) < HEAD_BYTES:
            head = os.pread(self._fd, HEAD_BYTES, 0)
            if head.startswith(self._head):  # otherwise it was truncated just now
                self._head = head

    def read(self) -> bytes:
        """Return the next whole lines; empty if there are none. Raises OSError.

        The first lines of a W3C log come behind the line that names their columns, which stands before them.
        """
        size = self.size
        most = LONGEST_LINE_BYTES if self.limit is None else min(LONGEST_LINE_BYTES, self.limit - self.offset)
        block = os.pread(self._fd, max(0, min(most, BLOCK_BYTES)), self.offset)
        end = block.rfind(b"\n") + 1
        if not end and len(block) == BLOCK_BYTES:
            block = os.pread(self._fd, most, self.offset)
            end = block.find(b"\n") + 1 or len(block) // LONGEST_LINE_BYTES * LONGEST_LINE_BYTES
        self.ended_at = -1 if end or self.limit is not None else size
        if not end:
            return b""
        self.offset += end
        self._last = (self._last + block[:end])[-LAST_BYTES:]  # later the file may be truncated
        self._grew_at = time.monotonic()
        self.learn_head()
        return self._whole(block[:end])

    def lines_before(self) -> bytes:
        """Return the last whole lines before the position, BLOCK_BYTES at most, in W3C behind the names of columns."""
        begin = max(0, self.offset - BLOCK_BYTES)
        block = os.pread(self._fd, self.offset - begin, begin)
        return self._columns + block[block.find(b"\n") + 1 if begin else 0 : block.rfind(b"\n") + 1]

    def last_line(self) -> bytes:
        """Return the rest without a newline, when no more will come."""
        block = os.pread(self._fd, LONGEST_LINE_BYTES, self.offset)
        self.offset += len(block)
        return self._whole(block)

    def is_over(self) -> bool:
        """Tell whether the file was rotated and has had no new line for long."""
        keep = KEEP_DELETED_SECONDS if self.is_deleted else KEEP_SECONDS
        return self.rotated and self.limit is None and time.monotonic() > self._grew_at + keep

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def _find_last(self, offset: int) -> bytes:
        return os.pread(self._fd, min(offset, LAST_BYTES), max(0, offset - LAST_BYTES))

    def _whole(self, lines: bytes) -> bytes:
        """Return *lines* with a newline after the last line, and without the NULs of a hole before the first."""
        lines = lines.lstrip(b"\0") if lines.startswith(b"\0") else lines
        if not lines:
            return b""
        columns, self._columns = self._columns, b""
        return columns + (lines if lines.endswith(b"\n") else lines + b"\n")

    def _find_columns(self) -> bytes:
        """Return the last line before the offset that names the columns of a W3C log; empty for other logs."""
        end = self.offset if os.pread(self._fd, 1, 0) == b"#" else 0
        while end:
            begin = max(0, end - LONGEST_LINE_BYTES)
            block = os.pread(self._fd, end - begin, begin)
            place = block.rfind(b"\n" + NAMES_COLUMNS) + 1
            if place or (not begin and block.startswith(NAMES_COLUMNS)):
                line, newline, _ = os.pread(self._fd, BLOCK_BYTES, begin + place).partition(b"\n")
                return line + newline
            end = begin and begin + len(NAMES_COLUMNS)  # the line may stand across the border
        return b""


def _length_of_equal(block: bytes, other: bytes) -> int:
    """Return how many bytes both begin with."""
    return next((at for at, (one, two) in enumerate(zip(block, other, strict=False)) if one != two), len(other))
