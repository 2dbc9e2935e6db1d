"""inotify(7) on folders: a file descriptor that can be read when something in them has changed.

Three functions of the C library, called as they are: the libraries for it are larger than this, or no longer kept.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

_CHANGES = 0x2 | 0x40 | 0x80 | 0x100 | 0x200  # IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE
_ONLYDIR = 0x01000000
_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")


class FolderWatch:
    """Tells that something has changed in some folders, not what; where the system has no inotify, it tells nothing."""

    def __init__(self) -> None:
        self._folders: dict[int, str] = {}
        self._fd: int | None = None
        with suppress(OSError, AttributeError):
            self._libc = ctypes.CDLL(None, use_errno=True)
            fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            self._fd = fd if fd >= 0 else None

    def fileno(self) -> int | None:
        """Return what to poll, if there is anything to poll."""
        return self._fd

    def watch(self, folders: Iterable[str]) -> None:
        """Watch *folders*, those that can be watched, besides the ones watched already."""
        if self._fd is None:
            return
        for folder in set(folders) - set(self._folders.values()):
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _CHANGES | _ONLYDIR)
            if number >= 0:
                self._folders[number] = folder

    def clear(self) -> None:
        """Take note of what has changed so far, so that only further changes are told."""
        if self._fd is None:
            return
        with suppress(BlockingIOError):
            while events := os.read(self._fd, 1 << 16):
                at = 0
                while at < len(events):
                    number, mask, _, size = _EVENT.unpack_from(events, at)
                    at += _EVENT.size + size
                    if mask & _IGNORED:  # the folder has gone; one that comes in its place is watched anew
                        self._folders.pop(number, None)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
