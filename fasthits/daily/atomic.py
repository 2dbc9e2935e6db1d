"""Files that are replaced as a whole or not at all."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES, EEXIST, ELOOP, EWOULDBLOCK
from pathlib import Path
from typing import BinaryIO

from fasthits.errors import TableError

LOCK_SECONDS = 60.0
"""How long to wait for another process that replaces the same file."""
LOCK_POLL_SECONDS = 0.05
SUMMARY_START = b"{\n"
"""No JSON log begins so: it has a whole object on its first line."""
MAX_LINKS = 40
"""As Linux follows."""


def check_file(path: Path) -> None:
    """Raise TableError for a target that cannot be written, as far as that shows."""
    try:
        file = resolve(path)
    except OSError as error:
        raise TableError("target cannot be written", path, error.strerror or str(error)) from error
    if file.exists() and not file.is_file():
        raise TableError("target is not a file", path, "name one with --to TARGET")
    if not file.parent.is_dir():
        folder = file.parent if path.is_symlink() else path.parent
        raise TableError("no such folder", folder, "make it, or name another with --to TARGET")
    if not all(os.access(each, os.W_OK, effective_ids=True) for each in (file.parent, file) if each.exists()):
        raise TableError(
            "no permission to write target", path, "run this as its owner, or name another with --to TARGET"
        )


def resolve(path: Path) -> Path:
    """Return the file that *path* leads to, links followed; the last part of it need not be there.

    In a folder where everybody may make files but not remove others' (/tmp), strangers' links are not followed and
    their files not taken for ours, as Linux does with fs.protected_symlinks and fs.protected_regular. Raises OSError.
    """
    at, links = Path("/"), 0
    parts = list(reversed(path.absolute().parts[1:]))
    while parts:
        part = parts.pop()
        step = at.parent if part == ".." else at / part
        try:
            is_link = part != ".." and stat.S_ISLNK(step.lstat().st_mode)
        except FileNotFoundError:
            is_link = False
        if is_link or not parts:
            check_maker(step)
        if not is_link:
            at = step
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(ELOOP, os.strerror(ELOOP), str(path))
        leads_to = Path(step.readlink())
        at = Path("/") if leads_to.is_absolute() else at
        parts += reversed(leads_to.parts[leads_to.is_absolute() :])
    return at


def check_maker(path: Path) -> None:
    """Raise PermissionError for what a stranger has put into a folder where everybody may make files, such as /tmp."""
    try:
        found, folder = path.lstat(), path.parent.stat()
    except FileNotFoundError:
        return
    is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if is_shared and found.st_uid not in (os.geteuid(), folder.st_uid):
        failed = f"user {found.st_uid} has made {path}, in a folder where everybody may: name one elsewhere"
        raise PermissionError(EACCES, failed, str(path))


@contextmanager
def replacing(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Give a new file to be filled for each of *paths*, which takes its place at the end: complete and on the disk.

    All of them are replaced, or none, and nobody else replaces them meanwhile. A new file has the old one's mode and
    owner. Raises OSError.
    """
    paths = tuple(map(resolve, paths))
    with ExitStack() as open_files:
        new = [open_files.enter_context(_new_file(path)) for path in paths]
        yield new
        for path, file in zip(paths, new, strict=True):
            file.flush()
            _copy_ownership(path, file.fileno())
            os.fsync(file.fileno())
        for path in paths:
            _name_of_new(path).replace(path)
        for folder in {path.parent for path in paths}:
            _sync(folder)


def _name_of_new(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Give the file that is to take the place of *path*, beside it; it is removed if it does not.

    Its name is the same in all processes, and whoever has a lock on it writes it: others wait. Only those who may write
    it can open it, so that nobody else can hold the lock. One that is there and not locked is of a process that was
    killed.
    """
    name = _name_of_new(path)
    give_up_at = time.monotonic() + LOCK_SECONDS
    while (file := _take(name)) is None:
        if time.monotonic() > give_up_at:
            raise OSError(EWOULDBLOCK, f"another process writes it, for {LOCK_SECONDS:.0f} s now", str(path))
        time.sleep(LOCK_POLL_SECONDS)
    with file:
        try:
            yield file
        finally:
            if _is_at(name, file.fileno()):
                name.unlink()


def _take(name: Path) -> BinaryIO | None:
    """Return a new file, locked; None while another process has it."""
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        is_mine = True
    except FileExistsError:
        _check_leftover(name)
        try:
            fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # it has taken its place
            return None
        is_mine = False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(name, fd):
            if is_mine:
                return os.fdopen(fd, "wb")
            name.unlink()
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def write_summary(file: Path, figures: Mapping[str, object]) -> None:
    """Write *figures* to *file* as JSON: in its place as a whole, or into what is no file, such as /dev/stderr.

    Raises TableError.
    """
    import json

    try:
        text = json.dumps(figures, indent=2).encode() + b"\n"
        if resolve(file) and file.exists() and not file.is_file():  # such as /dev/stderr
            file.write_bytes(text)
        else:
            check_start(file, SUMMARY_START)
            with replacing(file) as (new,):
                new.write(text)
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error


def check_start(file: Path, start: bytes) -> None:
    """Raise FileExistsError if *file* is there and begins otherwise: it is not ours, and may be a log."""
    if not file.is_file():
        return
    with file.open("rb") as found:
        if found.read(len(start)) not in (b"", start):
            raise FileExistsError(EEXIST, "there is another kind of file; name another", str(file))


def _check_leftover(name: Path) -> None:
    """Raise OSError for a new file that no process of ours can have begun."""
    with suppress(FileNotFoundError):
        found, folder = name.lstat(), name.parent.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.geteuid(), folder.st_uid):
            raise OSError(EEXIST, f"user {found.st_uid} has made a file of that name: remove it", str(name))


def _is_at(name: Path, fd: int) -> bool:
    """Tell whether an open file still has that name."""
    try:
        return os.path.samestat(name.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _copy_ownership(old: Path, fd: int) -> None:
    try:
        found = old.stat()
    except FileNotFoundError:
        os.fchmod(fd, 0o666 & ~_umask())
        return
    if os.geteuid() == 0:
        os.fchown(fd, found.st_uid, found.st_gid)
    os.fchmod(fd, stat.S_IMODE(found.st_mode))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
