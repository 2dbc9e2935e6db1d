"""Which log files the follower's patterns name, now and later: new files, rotated files, and files that are missing."""

import glob
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from fasthits.live.follow.open_files import OpenFiles, Report, id_of, status_of
from fasthits.live.follow.positions import HEAD_BYTES, FileId, Position, Positions, fingerprint
from fasthits.live.follow.rotated_names import COMPRESSED, name_before_rotation, rotated_files

ABSENT_SECONDS = 86_400.0
"""The time for which a file that was missing at the start may come back. By then the counters of its lines expire."""


class Files:
    """The files of some patterns, now and later."""

    def __init__(self, patterns: Sequence[str], opened: OpenFiles, say: Callable[[str], None], report: Report) -> None:
        """*opened* are the files that are read. *say* gets messages about single events, *report* messages that may
        repeat."""
        self.known: dict[FileId, int] = {}
        """The sizes of the rotated files; a rotated file that is not here is new."""
        self._patterns = patterns
        self._opened = opened
        self._say = say
        self._report = report
        self._paths: set[str] = set()
        """The names of all log files found."""
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
        return *self._absent, *(tail.position() for tail in self._opened.tails.values())

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
                    current[path] = file = id_of(found)
                    if file not in self._opened.tails and path not in absent:
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
        for file, tail in list(self._opened.tails.items()):
            tail.note_rotation(file not in here)
            with suppress(OSError):  # `read` reports it
                self._opened.notice_truncation(tail)
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
        before = [
            file for file, each in self._opened.tails.items() if each.path == path and each.offset and not each.is_young
        ]
        tail = self._opened.open(path, found, found.st_size if at_end else 0)
        if not tail:
            if at_end and not self._opened.can_read(path):  # its end is where to begin, also after a restart
                self._absent += (Position(path, *id_of(found), found.st_size, 0, fingerprint(b"")),)
            return False
        if before and not at_end:
            tail.before = before[-1]
        return found.st_size > 0

    def _note_rotated(self) -> None:
        """Note the sizes of the rotated files. Report those that grow, as only logs do that are written to."""
        known: dict[FileId, int] = {}
        for path, names in rotated_files(self._paths).items():
            for name in names:
                if not (found := status_of(name)) or (file := id_of(found)) in self._opened.tails:
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
                for each in (tail.position() for tail in self._opened.tails.values())
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
            found = status_of(name)
            if found and self.known.get(id_of(found)) != found.st_size:
                self._opened.take_up(name, path, found, ())

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
        self._absent = tuple(
            each for each in positions if not self._opened.reopen(each) and not self._opened.take_copy(each)
        )
        self._find_absent()
        for position in self._absent:
            where = f"{position.path}, read up to byte {position.offset:,}, is missing or unreadable"
            hint = "if it was compressed or moved, repair the counters: fasthits warm"
            self._report(f"missing {position.path}", f"{where}: counting goes on there when it is back ({hint})")
        self._opened.let_go()
        paths = {path for pattern in patterns for path in self._expand(pattern)} | {each.path for each in positions}
        for path, names in rotated_files(paths).items():
            for name in names:
                found = status_of(name)
                if found and found.st_mtime >= saved_at and known.get(id_of(found)) != found.st_size:
                    self._opened.take_up(name, path, found, positions)

    def _find_absent(self) -> None:
        """Go on in the absent files whose names can be read now; report those whose names have another file."""
        absent = []
        for position in self._absent:
            if not self._opened.can_read(position.path) and time.monotonic() < self._absent_until:
                absent.append(position)
                continue
            if self._opened.reopen(position) or self._opened.take_copy(position):
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

    def _find(self, path: str) -> os.stat_result | None:
        """Return the status of *path*; None if it is not a file, with a report if the operator can mend that."""
        found = status_of(path, lambda error: self._opened.unreadable(path, error))
        if found and not stat.S_ISREG(found.st_mode):
            hint = "name the file that the server writes to"
            self._report(f"special {path}", f"cannot follow, not a regular file: {path} ({hint})")
            return None
        return found


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
