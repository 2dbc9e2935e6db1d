"""How far a follower has read its files, and the state file that keeps this over restarts."""

import errno
import fcntl
import json
import os
import secrets
import shlex
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from fasthits.errors import StateError, UsageError

DEFAULT_STATE = "/var/lib/fasthits/follow.state"
HEAD_BYTES = 1024
"""The fingerprint of a file covers its first bytes, up to this number."""
LAST_BYTES = 256
"""As many bytes before a position tell two logs apart: they hold a client and a time."""
STATE_FORMAT = 1
BEGINNING = b'{"format": '
"""The first bytes of a state file."""
START_OVER = "delete it: counting then starts at the end of the files"

FileId = tuple[int, int]
"""Device and inode."""


class Position(NamedTuple):
    """Up to where a file has been counted; a line begins at *offset*."""

    path: str
    """The file's name when it was found; it may have been renamed since."""
    device: int
    inode: int
    offset: int
    head: int
    """The number of bytes in the fingerprint."""
    fingerprint: str
    last: str = ""
    """The fingerprint of the last bytes before *offset*; empty in a state that an earlier version has left."""

    @property
    def file(self) -> FileId:
        return self.device, self.inode


Positions = tuple[Position, ...]


def fingerprint(head: bytes) -> str:
    """Return a hash that tells files with different beginnings apart."""
    return blake2b(head, digest_size=12).hexdigest()


class Mark(NamedTuple):
    """Everything before these positions has been counted. A later mark has a higher number."""

    number: int
    positions: Positions

    def encode(self) -> str:
        """Return the mark as JSON."""
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def of(cls, values: object) -> "Mark":
        """Return the mark in a JSON value. Raises ValueError for an invalid mark."""
        if not isinstance(values, list) or len(values) != 2 or type(values[0]) is not int:
            raise ValueError
        return cls(values[0], tuple(map(_position, values[1])))


def _position(values: object) -> Position:
    kinds = [str, int, int, int, int, str, str]
    if not isinstance(values, list) or [type(value) for value in values] not in (kinds, kinds[:-1]):
        raise ValueError
    if min(values[1:5]) < 0:
        raise ValueError
    return Position(*values)


@dataclass
class State:
    """The content of the state file."""

    follower: str = field(default_factory=lambda: secrets.token_hex(6))
    """The name under which this follower marks its place in memcached."""
    patterns: list[str] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    """Up to where each server has counted."""
    known: dict[FileId, int] = field(default_factory=dict)
    """The sizes of the rotated files at that time."""
    clean: bool = False
    """Whether the follower that wrote this has ended properly, with nothing in flight."""
    saved_at: float = 0.0
    """The time of saving, on the clock of the file system."""


class StateFile:
    """The state file of one follower, locked against other followers."""

    def __init__(self, path: str) -> None:
        """Lock it. Raises StateError."""
        self.path = path
        check_place(path)
        try:
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(path, error.errno) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            hint = "two followers would count each line twice; end that process, or use another --state for other logs"
            raise StateError(f"another follower (process {pid}) uses the state file", path, hint) from error
        with suppress(OSError):  # the disk is full; `save` says so
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def save(self, state: State) -> None:
        """Replace the file by one with *state*, in one step and on the disk. Raises OSError."""
        distinct = {mark.number: mark for mark in state.marks.values()}
        held = {
            "format": STATE_FORMAT,
            "follower": state.follower,
            "clean": state.clean,
            "patterns": state.patterns,
            "servers": {server: mark.number for server, mark in state.marks.items()},
            "marks": list(distinct.values()),
            "known": [[*file, size] for file, size in state.known.items()],
        }
        new = f"{self.path}.new"
        with open(new, "w", encoding="utf-8", opener=_private) as file:
            json.dump(held, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, self.path)

    def close(self) -> None:
        """Unlock the file."""
        os.close(self._lock)


def read_state(path: str, patterns: Sequence[str]) -> State | None:
    """Return the state of a follower of *patterns*, or None if there is no file. Raises StateError."""
    other = "name another with --state FILE"
    try:
        text = Path(path).read_bytes()
        saved_at = os.stat(path).st_mtime
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read the state file ({error.strerror})", path, other) from error
    if text.strip(b"\0") and text[: len(BEGINNING)] != BEGINNING[: len(text)]:  # perhaps the log: keep it
        raise StateError("this is no state file", path, other)
    try:
        held = json.loads(text)
        if held["format"] != STATE_FORMAT:
            raise StateError("the state file comes from another version of fasthits", path, START_OVER)
        marks = {str(mark[0]): Mark.of(mark) for mark in held["marks"]}
        state = State(
            follower=_text(held["follower"]),
            patterns=list(map(_text, held["patterns"])),
            marks={server: marks[str(number)] for server, number in held["servers"].items()},
            known={(int(device), int(inode)): int(size) for device, inode, size in held["known"]},
            clean=held["clean"] is True,
            saved_at=saved_at,
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise StateError("the state file is damaged", path, START_OVER) from error
    if state.patterns and not set(state.patterns) & set(patterns):
        raise StateError(
            f"the state file belongs to other logs ({state.patterns[0]})", path, f"{other}, or {START_OVER}"
        )
    return state


def check_place(path: str) -> None:
    """Raise StateError if a state file obviously cannot be at *path*, or be used."""
    folder = os.path.dirname(path) or "."
    present = [name for name in (path, f"{path}.lock") if os.path.exists(name)]
    for name in present:
        if not stat.S_ISREG(os.stat(name).st_mode):
            what = "a folder" if os.path.isdir(name) else "no regular file"
            raise StateError(f"the state file is {what}", name, "name a file with --state FILE")
    if not os.path.isdir(folder):
        hint = f"make it: install -d -o USER {folder}; or name a file elsewhere with --state FILE"
        raise StateError("no folder for the state file", folder, hint)
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        raise unwritable(path, errno.EROFS if is_read_only else errno.EACCES)
    for name in present:
        if not os.access(name, os.R_OK if name == path else os.R_OK | os.W_OK):
            hint = f"give it to the follower's user: chown USER {' '.join(map(shlex.quote, present))}"
            raise StateError(f"cannot use the state file ({os.strerror(errno.EACCES)})", name, hint)


def unwritable(path: str, reason: int | None) -> StateError:
    """Return the error of a state file that cannot be written, for the error number *reason*."""
    folder = os.path.dirname(path) or "."
    hint = "name a file elsewhere with --state FILE"
    if reason == errno.EACCES:
        hint = f"the follower's user must own {folder}, or {hint}"
    if reason in (errno.ENOSPC, errno.EDQUOT):
        hint = f"make room on the disk of {folder}, or {hint}"
    if reason == errno.EROFS:
        hint = f"{hint}; with systemd, StateDirectory= and ReadWritePaths= name folders that it may write to"
    if reason in (errno.EMFILE, errno.ENFILE):  # each followed log is one
        hint = "raise the limit: ulimit -n, or LimitNOFILE= in the unit"
    return StateError(f"cannot write the state file ({os.strerror(reason or 0)})", path, hint)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def state_path(given: str | None) -> str:
    """Return the name of the state file: *given*, or in systemd's StateDirectory, or DEFAULT_STATE.

    Raises UsageError for an empty name.
    """
    if given == "":
        raise UsageError("not a state file", repr(given), "name a file with --state FILE")
    if given is not None:
        return given
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return os.path.join(folder, "follow.state") if folder else DEFAULT_STATE


def check_patterns(patterns: Sequence[str]) -> list[str]:
    """Return *patterns* with absolute paths, each once. Raises UsageError."""
    for pattern in patterns:
        if not pattern or pattern == "-":
            raise UsageError("not a file to follow", repr(pattern), "name a log file; * stands for several")
    return list(dict.fromkeys(map(os.path.abspath, patterns)))
