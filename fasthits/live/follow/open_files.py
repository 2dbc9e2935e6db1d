"""The open files of a follower: reading on in each, and finding where to go on in a file that was read before.

A file is known by its device and inode, not by its name. It stays open while it is followed, so a rename changes
nothing: the follower reads on for KEEP_SECONDS, because the writer may learn of the rename late.
If a file has become shorter, or begins with other bytes than before, it was truncated (logrotate's copytruncate). The
unread lines are then in the copy, a file in the same folder that begins with the same bytes. Another file under the
name of a followed file that begins with the same bytes is the same log, too: an editor or a restored backup made it, or
the number of the device has changed.
"""

import os
import stat
from collections.abc import Callable
from contextlib import closing, suppress

from fasthits.formats.packing import HEAD_BYTES as PACKING_BYTES
from fasthits.formats.packing import packing_of
from fasthits.live.follow.positions import FileId, Position, Positions
from fasthits.live.follow.rotated_names import files_in, name_before_rotation, rotations
from fasthits.live.follow.tail import NO_FILE, Tail

Report = Callable[[str, str], object]
"""Takes a cause and a line for the operator."""
POWER_FAILURE = "after a power failure? fasthits warm repairs the counters"


class OpenFiles:
    """The files that are read. `Files` finds them."""

    def __init__(self, say: Callable[[str], None], report: Report) -> None:
        """*say* gets messages about single events, *report* messages that may repeat."""
        self.tails: dict[FileId, Tail] = {}
        self._say = say
        self._report = report
        self._held: dict[FileId, int] = {}

    def open(self, path: str, found: os.stat_result, offset: int) -> Tail | None:
        """Begin to read a file at *offset*."""
        try:
            fd = _opened(path)
        except OSError as error:
            self.unreadable(path, error)
            return None
        if id_of(os.fstat(fd)) != id_of(found):  # it was rotated just now
            os.close(fd)
            return None
        if packing := packing_of(os.pread(fd, PACKING_BYTES, 0)):
            os.close(fd)
            if not name_before_rotation(path):
                text = f"cannot follow a {packing.what}: {path} (name the file that the server writes to)"
                self._report(f"packed {path}", text)
            return None
        tail = Tail(path, fd, offset)
        self.tails[tail.file] = tail
        return tail

    def drop(self, tail: Tail) -> None:
        """Close a file."""
        del self.tails[tail.file]
        tail.close()

    def close(self) -> None:
        """Close all files."""
        self.let_go()
        for tail in list(self.tails.values()):
            self.drop(tail)

    def hold(self, positions: Positions) -> None:
        """Keep files open until `let_go`, because they may be deleted meanwhile."""
        for position in positions:
            for path in _places(position):
                with suppress(OSError):
                    self._held[position.file] = _opened(path)
                    break

    def let_go(self) -> None:
        """Close the files that `hold` keeps open."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def contradict(self, positions: Positions) -> bool:
        """Tell whether a file here is not the one that was read up to one of *positions*, although it begins like it:
        the positions are those of another machine, made from the same image."""
        for position in positions:
            for path in _places(position):
                with suppress(OSError), closing(Tail(path, _opened(path), 0)) as tail:
                    if tail.contradicts(position):
                        return True
        return False

    def read(self, tail: Tail) -> bytes:
        """Return the next whole lines of a file, empty if there are none; close the file if it is over."""
        try:
            if tail.has_nothing_new():
                return b""
            self.notice_truncation(tail)
            if tail.before != NO_FILE and tail.limit is None and self._is_copied(tail):
                return b""
            if tail.counted and not tail.rotated and self._is_rewritten(tail, tail.counted):
                return b""
            lines = tail.read()
            if not lines and tail.is_over():
                lines = tail.last_line()
                self.drop(tail)
        except OSError as error:
            self.unreadable(tail.path, error)
            return b""
        return lines

    def _is_copied(self, tail: Tail) -> bool:
        """Tell whether all that is in a file so far was read in the file that had its name before.

        Somebody may just be writing a copy, who restores a backup or saves the log in an editor.
        """
        other = self.tails.get(tail.before)
        if other and tail.skip_copied(other):
            return True
        tail.before = NO_FILE
        if other and tail.offset < other.offset:
            is_long = other.is_deleted and tail.size * 2 >= other.offset
            if tail.offset or is_long:
                start = f"byte {tail.offset:,}" if tail.offset else "its beginning"
                hint = "if an editor saved it, its lines count twice, and fasthits check says so"
                self._say(f"{tail.path} was replaced by another file, which counts from {start} ({hint})")
        return False

    def notice_truncation(self, tail: Tail) -> None:
        """Go on at the beginning of a truncated file, and with its copy.

        `Files.look` calls this, too: while there is no room for lines, nothing is read, and the next copy would not be
        known.
        """
        if not tail.is_truncated():
            tail.learn_head()
            return
        position = tail.position()
        tail.note_truncation()
        if tail.begins_like(position):
            if tail.counted:
                tail.move_to(tail.size)
            else:
                self._go_on_at(tail.size, tail, position)
            return
        tail.start_again()
        if not self.take_copy(position):
            text = f"{tail.path} was truncated and has no copy in its folder: lines not read before are lost"
            self._report(f"truncated {tail.path}", text)

    def _is_rewritten(self, tail: Tail, position: Position) -> bool:
        """Tell whether a truncated file may still be getting the lines that were counted up to *position*; if it has
        got them, go on behind them.

        Somebody restores a backup with `cp`, which keeps the inode, or saves the log in an editor.
        """
        is_whole = tail.begins_like(position) and tail.size >= position.offset
        if not is_whole and tail.may_be_rewritten():
            return True
        tail.counted = None
        if is_whole and not tail.contradicts(position):
            tail.move_to(position.offset)
        elif tail.begins_like(position):
            if tail.offset:
                self._go_on_at(tail.offset, tail, position)
            else:
                self._move_to(tail, position)
        return False

    def _go_on_at(self, size: int, tail: Tail, position: Position) -> None:
        """Go on at *size*, the end of a file that has lost lines which were counted, but still begins in the same way:
        after a power failure the disk may lack the last lines, while the state and memcached know of them."""
        tail.move_to(size)
        lost = f"{position.path} has lost the {position.offset - size:,} bytes behind byte {size:,}, which were counted"
        self._report(f"truncated {position.path}", f"{lost}: counting goes on at its end ({POWER_FAILURE})")

    def reopen(self, position: Position) -> Tail | None:
        """Go on with a file, whatever its name is now; return None if its lines are no longer in it."""
        names = _places(position)
        if position.file in self._held:
            names.append(f"/dev/fd/{self._held[position.file]}")
        for path in names:
            found = status_of(path)
            if not found or id_of(found) != position.file or not (tail := self.open(path, found, 0)):
                continue
            if tail.begins_like(position):
                tail.path = position.path
                self._move_to(tail, position)
                return tail
            if path == position.path:  # it was truncated, or another file got the inode of a deleted file
                tail.start_again()
                return None
            self.drop(tail)
        return self._take_same(position, position.path)

    def take_copy(self, position: Position) -> Tail | None:
        """Read the rest of a file from a copy in its folder, if there is one."""
        for path in rotations(position.path):
            found = status_of(path)
            if found and found.st_size >= position.offset and (tail := self._take_same(position, path)):
                tail.rotated = True
                return tail
        return None

    def _take_same(self, position: Position, path: str) -> Tail | None:
        """Go on at *position* in another file, if it begins in the same way."""
        found = status_of(path)
        if not position.head or not found or id_of(found) in self.tails:
            return None
        if tail := self.open(path, found, 0):
            if tail.begins_like(position):
                tail.path, tail.origin = position.path, position.file
                self._move_to(tail, position)
                return tail
            self.drop(tail)
        return None

    def _move_to(self, tail: Tail, position: Position) -> None:
        """Go on at *position* in a file that begins in the same way, or at its end if the file is shorter.

        If it has lost lines and has grown again, nobody knows where its new lines begin.
        """
        if tail.size < position.offset:
            self._go_on_at(tail.size, tail, position)
            return
        if tail.contradicts(position):
            other = f"{position.path} has other lines before byte {position.offset:,} than those that were counted"
            self._report(f"truncated {position.path}", f"{other}: counting goes on behind them ({POWER_FAILURE})")
        tail.move_to(position.offset)

    def take_up(self, name: str, path: str, found: os.stat_result, positions: Positions) -> None:
        """Read a new rotated file, unless it begins like a file that was read, because then it is a copy."""
        if id_of(found) not in self.tails and stat.S_ISREG(found.st_mode) and (tail := self.open(name, found, 0)):
            tail.path, tail.rotated = path, True
            if any(position.head and tail.begins_like(position) for position in positions):
                self.drop(tail)

    def can_read(self, path: str) -> bool:
        """Tell whether a file can be opened; report why it cannot, if it is there."""
        try:
            os.close(_opened(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self.unreadable(path, error)
            return False
        return True

    def unreadable(self, path: str, error: OSError) -> None:
        """Report that a file cannot be read."""
        hint = "; the follower's user must be able to read it: add the user to its group, often adm"
        why = f"{error.strerror}{hint * isinstance(error, PermissionError)}"
        self._report(f"unreadable {path}", f"cannot read log file: {path} ({why})")


def _places(position: Position) -> list[str]:
    """Return the current names of the file of *position* in its folder."""
    # Without a fingerprint it may be another file with the inode of a deleted file.
    candidates = [
        path
        for path in dict.fromkeys((position.path, *files_in(os.path.dirname(position.path))))
        if position.head or position.path in (path, name_before_rotation(path))
    ]
    found = [(path, status_of(path)) for path in candidates]
    return [
        path for path, status in found if status and id_of(status) == position.file and stat.S_ISREG(status.st_mode)
    ]


def _opened(path: str) -> int:
    """Return a descriptor to read a file; a named pipe would block. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def status_of(path: str, report: Callable[[OSError], None] | None = None) -> os.stat_result | None:
    """Return the status of *path*; None if it is not there or cannot be seen, which *report* is told."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if report:
            report(error)
        return None


def id_of(status: os.stat_result) -> FileId:
    """Return the device and inode."""
    return status.st_dev, status.st_ino
