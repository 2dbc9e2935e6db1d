"""inotify(7) on folders: a file descriptor that is readable when something in a folder has changed.

This calls three functions of the C library: Python packages for inotify are larger than this, or unmaintained.
"""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _IGNORED, _ONLYDIR = 0x2, 0x40, 0x80, 0x100, 0x200, 0x8000, 1 << 24
_WATCHED = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
_EVENT = struct.Struct("iIII")

Rename = tuple[str, str]
"""The old and the new path."""


class FolderWatch:
    """Tells that files in some folders have grown or were renamed. Without inotify in the system it tells nothing."""

    def __init__(self) -> None:
        self._folders: dict[int, str] = {}
        self._fd: int | None = None
        with suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            self._fd = fd if fd >= 0 else None

    def fileno(self) -> int | None:
        """Return the descriptor to poll, if there is one."""
        return self._fd

    def watch(self, folders: Iterable[str]) -> None:
        """Also watch *folders*, as far as they can be watched."""
        if self._fd is None:
            return
        for folder in set(folders) - set(self._folders.values()):
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _WATCHED)
            if number >= 0:
                self._folders[number] = folder

    def changes(self) -> tuple[bool, list[Rename]]:
        """Return whether files have come or gone since the last call, and the renames in their order."""
        changed, renames = False, []
        moved_from: dict[int, str] = {}
        for number, mask, cookie, name in self._events():
            changed |= not mask & _MODIFY
            path = os.path.join(self._folders.get(number, ""), name)
            if mask & _MOVED_FROM:
                moved_from[cookie] = path
            elif mask & _MOVED_TO and cookie in moved_from:
                renames.append((moved_from.pop(cookie), path))
            elif mask & _IGNORED:  # the folder has gone; `watch` takes up a new one of that name
                self._folders.pop(number, None)
        return changed, renames

    def _events(self) -> Iterator[tuple[int, int, int, str]]:
        with suppress(BlockingIOError):
            while self._fd is not None and (events := os.read(self._fd, 1 << 16)):
                at = 0
                while at < len(events):
                    number, mask, cookie, size = _EVENT.unpack_from(events, at)
                    at += _EVENT.size + size
                    yield number, mask, cookie, os.fsdecode(events[at - size : at].rstrip(b"\0"))

    def close(self) -> None:
        """Watch nothing any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
