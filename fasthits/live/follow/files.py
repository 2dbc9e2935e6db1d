"""Log files that are still being written, followed over rotation.

A file is known by its device and inode, not by its name. It stays open while it is followed, so a rename changes
nothing: the follower reads on for KEEP_SECONDS, because the writer may learn of the rename late.
If a file has become shorter, or begins with other bytes than before, it was truncated (logrotate's copytruncate). The
unread lines are then in the copy, a file in the same folder that begins with the same bytes. Another file under the
name of a followed file that begins with the same bytes is the same log, too: an editor or a restored backup made it, or
the number of the device has changed.
"""

import glob
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from fnmatch import fnmatchcase

from fasthits.formats.packing import HEAD_BYTES as PACKING_BYTES
from fasthits.formats.packing import packing_of
from fasthits.live.follow.positions import HEAD_BYTES, FileId, Position, Positions, fingerprint
from fasthits.live.follow.rotated_names import COMPRESSED, files_in, name_before_rotation, rotated_files, rotations
from fasthits.live.follow.tail import NO_FILE, Tail

Report = Callable[[str, str], object]
"""Takes a cause and a line for the operator."""
ABSENT_SECONDS = 86_400.0
"""The time for which a file that was missing at the start may come back. By then the counters of its lines expire."""
POWER_FAILURE = "after a power failure? fasthits warm repairs the counters"


class Files:
    """The files of some patterns, now and later."""

    def __init__(self, patterns: Sequence[str], say: Callable[[str], None], report: Report) -> None:
        """*say* gets messages about single events, *report* messages that may repeat."""
        self.tails: dict[FileId, Tail] = {}
        self.known: dict[FileId, int] = {}
        """The sizes of the rotated files; a rotated file that is not here is new."""
        self._patterns = patterns
        self._say = say
        self._report = report
        self._paths: set[str] = set()
        """The names of all log files found."""
        self._held: dict[FileId, int] = {}
        self._absent: Positions = ()
        """Where to go on in files that were missing or unreadable when the follower started, and still are."""
        self._absent_until = time.monotonic() + ABSENT_SECONDS
        self._searched: set[str] = set()
        """Patterns whose folders could be read, so that a file found later is new."""

    def searched(self) -> list[str]:
        """Return the patterns whose files could be seen: all others begin at their ends, also after a restart."""
        return [pattern for pattern in self._patterns if pattern in self._searched]

    def folders(self) -> set[str]:
        """Return the folders of the files and of the patterns."""
        return {os.path.dirname(path) for path in (*self._patterns, *self._paths)}

    def positions(self) -> Positions:
        """Return up to where each file has been read, also of files that are missing since the start."""
        return *self._absent, *(tail.position() for tail in self.tails.values())

    def look(self, renames: Iterable[tuple[str, str]] = ()) -> None:
        """Find new files, and note which files were rotated.

        *renames* since the last look tell of files that were renamed before they were seen.
        """
        self._find_absent()
        absent = {position.path for position in self._absent}
        self._follow_renames(renames)
        current: dict[str, FileId] = {}
        for pattern in self._patterns:
            is_new = pattern in self._searched
            begun = 0
            names = self._expand(pattern)
            for path in names:
                if found := self._find(path):
                    current[path] = file = _id(found)
                    if file not in self.tails and path not in absent:
                        begun += self._begin(path, found, at_end=not is_new)
            if not is_new and _could_search(pattern) and not any(map(os.path.lexists, names)):
                hint = "a file that appears there counts from its beginning; only * stands for other characters"
                self._report(f"missing {pattern}", f"no such log file yet: {pattern} (is the name right? {hint})")
            if begun and not is_new:
                what = f"{pattern} is" if begun == 1 else f"{begun:,} files of {pattern} are"
                hint = f"fasthits warm --logs {shlex.quote(pattern)} counts what was there already"
                self._say(f"{what} followed for the first time: counting from the end ({hint})")
            if _could_search(pattern):
                self._searched.add(pattern)
        self._paths |= current.keys()
        here = set(current.values())
        for file, tail in list(self.tails.items()):
            tail.note_rotation(file not in here)
            with suppress(OSError):  # `read` reports it
                self._notice_truncation(tail)
            tail.ended_at = -1  # a writer may fill room that it has reserved
        self._note_rotated()

    def _expand(self, pattern: str) -> list[str]:
        """Return the log files of *pattern*, without compressed files and rotated files of other log files, also of
        those whose name is missing for a moment.
        """
        if "*" not in pattern:
            return [pattern]
        names = {name for name in glob.glob(_only_stars(pattern)) if not name.endswith(COMPRESSED)}
        return sorted(name for name in names if name_before_rotation(name) not in names | self._paths)

    def _begin(self, path: str, found: os.stat_result, at_end: bool) -> bool:
        """Begin to read a file that was not followed; return whether lines were in it."""
        before = [file for file, each in self.tails.items() if each.path == path and each.offset and not each.is_young]
        tail = self._open(path, found, found.st_size if at_end else 0)
        if not tail:
            if at_end and not self._can_read(path):  # its end is where to begin, also after a restart
                self._absent += (Position(path, *_id(found), found.st_size, 0, fingerprint(b"")),)
            return False
        if before and not at_end:
            tail.before = before[-1]
        return found.st_size > 0

    def _note_rotated(self) -> None:
        """Note the sizes of the rotated files. Report those that grow, as only logs do that are written to."""
        known: dict[FileId, int] = {}
        for path, names in rotated_files(self._paths).items():
            for name in names:
                if not (found := _status(name)) or (file := _id(found)) in self.tails:
                    continue
                known[file] = found.st_size
                if found.st_size > self.known.get(file, found.st_size) and not self._is_copy(name):
                    text = f"not followed, although it grows: {name} (it is named like a rotated file of {path}: "
                    self._report(f"rotated {name}", f"{text}add --follow {shlex.quote(name)})")
        self.known = known

    def _is_copy(self, name: str) -> bool:
        """Tell whether a file begins like a followed file: logrotate's copytruncate is copying it."""
        with suppress(OSError), open(name, "rb") as file:
            head = file.read(HEAD_BYTES)
            return any(
                each.head and fingerprint(head[: each.head]) == each.fingerprint
                for each in (tail.position() for tail in self.tails.values())
            )
        return True

    def _follow_renames(self, renames: Iterable[tuple[str, str]]) -> None:
        """Find the files that were made and renamed since the last look."""
        unseen: dict[str, str] = {}
        for old, new in renames:
            if old in unseen:
                unseen[new] = unseen.pop(old)
            elif self._is_followed(old):
                unseen[new] = old
        for name, path in unseen.items():
            found = _status(name)
            if found and self.known.get(_id(found)) != found.st_size:
                self._take_up(name, path, found, ())

    def _is_followed(self, path: str) -> bool:
        return path in self._patterns or path in self._paths

    def resume(self, positions: Positions, patterns: Iterable[str], known: dict[FileId, int], saved_at: float) -> None:
        """Go on at *positions*, and find the files rotated since *saved_at*; *known* are the files rotated before.

        Files of other patterns than *patterns* begin at their end. Files without a pattern are left alone. Missing
        files are reported, and `look` goes on in them if they come back.
        """
        self._searched |= set(patterns)
        positions = tuple(
            each for each in positions if any(fnmatchcase(each.path, _only_stars(name)) for name in self._patterns)
        )
        self._paths |= {each.path for each in positions}
        self._absent = tuple(each for each in positions if not self._reopen(each) and not self._take_copy(each))
        self._find_absent()
        for position in self._absent:
            where = f"{position.path}, read up to byte {position.offset:,}, is missing or unreadable"
            hint = "if it was compressed or moved, repair the counters: fasthits warm"
            self._report(f"missing {position.path}", f"{where}: counting goes on there when it is back ({hint})")
        self._let_go()
        paths = {path for pattern in patterns for path in self._expand(pattern)} | {each.path for each in positions}
        for path, names in rotated_files(paths).items():
            for name in names:
                found = _status(name)
                if found and found.st_mtime >= saved_at and known.get(_id(found)) != found.st_size:
                    self._take_up(name, path, found, positions)

    def _find_absent(self) -> None:
        """Go on in the absent files whose names can be read now; report those whose names have another file."""
        absent = []
        for position in self._absent:
            if not self._can_read(position.path) and time.monotonic() < self._absent_until:
                absent.append(position)
                continue
            if self._reopen(position) or self._take_copy(position):
                continue
            self._say(
                f"{position.path}, read up to byte {position.offset:,}, is gone (compressed, or moved elsewhere): "
                "lines that it got later are not counted (repair the counters: fasthits warm)"
            )
        self._absent = tuple(absent)

    def move_absent_to(self, positions: Positions) -> None:
        """Go on at these of *positions* when the absent files are back, and say that lines before are not counted."""
        later = {position.file: position for position in positions}
        for position in self._absent:
            if later.get(position.file, position) != position:
                text = f"{position.path} is missing: a server that had fewer of its lines does not get the others"
                self._say(f"{text} (repair the counters: fasthits warm)")
        self._absent = tuple(later.get(position.file, position) for position in self._absent)

    def read(self, tail: Tail) -> bytes:
        """Return the next whole lines of a file, empty if there are none; close the file if it is over."""
        try:
            if tail.has_nothing_new():
                return b""
            self._notice_truncation(tail)
            if tail.before != NO_FILE and tail.limit is None and self._is_copied(tail):
                return b""
            if tail.counted and not tail.rotated and self._is_rewritten(tail, tail.counted):
                return b""
            lines = tail.read()
            if not lines and tail.is_over():
                lines = tail.last_line()
                self.drop(tail)
        except OSError as error:
            self._unreadable(tail.path, error)
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

    def _notice_truncation(self, tail: Tail) -> None:
        """Go on at the beginning of a truncated file, and with its copy.

        `look` calls this, too: while there is no room for lines, nothing is read, and the next copy would not be known.
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
        if not self._take_copy(position):
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

    def drop(self, tail: Tail) -> None:
        """Close a file."""
        del self.tails[tail.file]
        tail.close()

    def close(self) -> None:
        """Close all files."""
        self._let_go()
        for tail in list(self.tails.values()):
            self.drop(tail)

    def _find(self, path: str) -> os.stat_result | None:
        """Return the status of *path*; None if it is not a file, with a report if the operator can mend that."""
        found = _status(path, lambda error: self._unreadable(path, error))
        if found and not stat.S_ISREG(found.st_mode):
            hint = "name the file that the server writes to"
            self._report(f"special {path}", f"cannot follow, not a regular file: {path} ({hint})")
            return None
        return found

    def _open(self, path: str, found: os.stat_result, offset: int) -> Tail | None:
        """Begin to read a file at *offset*."""
        try:
            fd = _opened(path)
        except OSError as error:
            self._unreadable(path, error)
            return None
        if _id(os.fstat(fd)) != _id(found):  # it was rotated just now
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

    def _can_read(self, path: str) -> bool:
        try:
            os.close(_opened(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._unreadable(path, error)
            return False
        return True

    def _unreadable(self, path: str, error: OSError) -> None:
        hint = "; the follower's user must be able to read it: add the user to its group, often adm"
        why = f"{error.strerror}{hint * isinstance(error, PermissionError)}"
        self._report(f"unreadable {path}", f"cannot read log file: {path} ({why})")

    def hold(self, positions: Positions) -> None:
        """Keep files open until `resume`, because they may be deleted meanwhile."""
        for position in positions:
            for path in _places(position):
                with suppress(OSError):
                    self._held[position.file] = _opened(path)
                    break

    def contradict(self, positions: Positions) -> bool:
        """Tell whether a file here is not the one that was read up to one of *positions*, although it begins like it:
        the positions are those of another machine, made from the same image."""
        for position in positions:
            for path in _places(position):
                with suppress(OSError), closing(Tail(path, _opened(path), 0)) as tail:
                    if tail.contradicts(position):
                        return True
        return False

    def _let_go(self) -> None:
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def _reopen(self, position: Position) -> Tail | None:
        """Go on with a file, whatever its name is now; return None if its lines are no longer in it."""
        names = _places(position)
        if position.file in self._held:
            names.append(f"/dev/fd/{self._held[position.file]}")
        for path in names:
            found = _status(path)
            if not found or _id(found) != position.file or not (tail := self._open(path, found, 0)):
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

    def _take_copy(self, position: Position) -> Tail | None:
        """Read the rest of a file from a copy in its folder, if there is one."""
        for path in rotations(position.path):
            found = _status(path)
            if found and found.st_size >= position.offset and (tail := self._take_same(position, path)):
                tail.rotated = True
                return tail
        return None

    def _take_same(self, position: Position, path: str) -> Tail | None:
        """Go on at *position* in another file, if it begins in the same way."""
        found = _status(path)
        if not position.head or not found or _id(found) in self.tails:
            return None
        if tail := self._open(path, found, 0):
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

    def _take_up(self, name: str, path: str, found: os.stat_result, positions: Positions) -> None:
        """Read a new rotated file, unless it begins like a file that was read, because then it is a copy."""
        if _id(found) not in self.tails and stat.S_ISREG(found.st_mode) and (tail := self._open(name, found, 0)):
            tail.path, tail.rotated = path, True
            if any(position.head and tail.begins_like(position) for position in positions):
                self.drop(tail)


def _places(position: Position) -> list[str]:
    """Return the current names of the file of *position* in its folder."""
    # Without a fingerprint it may be another file with the inode of a deleted file.
    candidates = [
        path
        for path in dict.fromkeys((position.path, *files_in(os.path.dirname(position.path))))
        if position.head or position.path in (path, name_before_rotation(path))
    ]
    found = [(path, _status(path)) for path in candidates]
    return [path for path, status in found if status and _id(status) == position.file and stat.S_ISREG(status.st_mode)]


def _only_stars(pattern: str) -> str:
    """Return *pattern* for `glob` and `fnmatch`, which would read ``?`` and ``[`` as more than these characters."""
    return re.sub(r"[?[]", r"[\g<0>]", pattern)


def _could_search(pattern: str) -> bool:
    """Tell whether all files of *pattern* can be seen, so that a file found later is new."""
    folder = os.path.dirname(pattern)
    while "*" in folder:
        folder = os.path.dirname(folder)
    try:
        if "*" in pattern:
            os.listdir(folder)
        else:
            os.stat(pattern)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def _opened(path: str) -> int:
    """Return a descriptor to read a file; a named pipe would block. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _status(path: str, report: Callable[[OSError], None] | None = None) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if report:
            report(error)
        return None


def _id(status: os.stat_result) -> FileId:
    return status.st_dev, status.st_ino
