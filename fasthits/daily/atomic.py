"""Files that are replaced as a whole or not at all: written beside the old file, then renamed. And the folder for
large temporary files."""

import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES, EBADF, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, EWOULDBLOCK
from pathlib import Path
from typing import BinaryIO, cast

from fasthits.daily.layouts import ANOTHER
from fasthits.errors import TableError, UsageError

LOCK_SECONDS = 60.0
"""How long a process waits for another process that replaces the same file."""
LOCK_POLL_SECONDS = 0.05
SUMMARY_START = b"{\n"
"""No JSON log begins so: it has a whole object on its first line."""
MAX_LINKS = 40
"""As many as Linux follows."""
LARGE_FILES = "/var/tmp"
"""For temporary files that memory has no room for: /tmp is in memory on Debian 13 and others (file-hierarchy(7))."""


def temporary_folder() -> str:
    """Return the folder for large temporary files: TMPDIR, or LARGE_FILES if this process may write there."""
    if named := os.environ.get("TMPDIR"):
        return named
    return LARGE_FILES if os.access(LARGE_FILES, os.W_OK | os.X_OK) else tempfile.gettempdir()


def check_file(path: Path) -> None:
    """Raise TableError if *path* cannot be written, as far as that shows without writing."""
    try:
        file = resolve(path)
    except OSError as error:
        raise TableError("cannot write target", path, error.strerror or str(error)) from error
    if file.exists() and not file.is_file():
        raise TableError("target is not a file", path, "name a file with --to TARGET")
    if _is_mounted(file):
        hint = "mount the folder; what is written beside the file would be lost with a container"
        raise TableError("target is mounted without its folder", path, hint)
    if not file.parent.is_dir():
        folder = file.parent if path.is_symlink() else path.parent
        raise TableError("no such folder", folder, f"make it, or {ANOTHER}")
    for each in (file.parent, file):
        if each.exists() and not os.access(each, os.W_OK, effective_ids=True):
            raise unwritable(path, file.parent, ANOTHER)


def _is_mounted(file: Path) -> bool:
    """Tell whether a mount, as Docker makes it, is of this file alone. No new file can replace it, and after a kill
    SQLite needs the journal beside it."""
    name = re.sub(rb"[ \t\n\\]", lambda found: b"\\%03o" % found[0][0], os.fsencode(file))
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    return any(mount.split(b" ")[4] == name for mount in mounts.splitlines())


def unwritable(name: object, folder: Path, otherwise: str) -> TableError:
    """Return the error of a target in a *folder* that this user may not write to."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:  # systemd's ProtectSystem does that, too
        return TableError("cannot write target", name, f"the file system is read-only; {otherwise}")
    return TableError("no permission to write target", name, f"run this as its owner, or {otherwise}")


def resolve(path: Path) -> Path:
    """Return the file that *path* leads to through links. The file need not exist.

    In a folder such as /tmp, where every user may create files, another user's link or file is an error, as it is with
    Linux's fs.protected_symlinks and fs.protected_regular. Raises OSError.
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
    """Raise PermissionError for another user's file in a folder where every user may create files, such as /tmp."""
    try:
        found, folder = path.lstat(), path.parent.stat()
    except FileNotFoundError:
        return
    is_shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if is_shared and found.st_uid not in (os.geteuid(), folder.st_uid):
        failed = f"user {found.st_uid} has made {path}, in a folder that every user may write to; choose another folder"
        raise PermissionError(EACCES, failed, str(path))


class NothingNew(Exception):
    """Ends `replacing` without replacing a file."""


@contextmanager
def replacing(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Give a new file for each of *paths*, to be written in the block. At its end they replace the old files.

    They are complete and on the disk before. If the block raises an error, no file is replaced. Meanwhile no other
    process replaces them. A new file has the old file's mode and owner. Only a kill between two renames leaves some
    files old and some new. Raises OSError.
    """
    paths = tuple(map(resolve, paths))
    for folder in filter(Path.is_dir, paths):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(folder))
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
            sync(folder)


def _name_of_new(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Give the new file, which is next to *path*; it is removed if it does not replace *path*.

    It has the same name in all processes. The process that holds its lock writes it, the others wait. Only its user can
    open it, so nobody else can hold the lock. A file of that name without a lock comes from a process that was killed.
    """
    name, file = _name_of_new(path), None
    give_up_at = time.monotonic() + LOCK_SECONDS
    try:
        while (file := _take(name)) is None:
            if time.monotonic() > give_up_at:
                raise OSError(
                    EWOULDBLOCK,
                    f"another process has been writing it for {LOCK_SECONDS:.0f} s; try again later",
                    str(path),
                )
            time.sleep(LOCK_POLL_SECONDS)
        yield file
    except KeyboardInterrupt:  # it may come just after the file was made
        with suppress(OSError):
            _remove_leftover(name)
        raise
    finally:
        if file is not None:
            if _is_at(name, file.fileno()):
                name.unlink()
            file.close()


def _take(name: Path) -> BinaryIO | None:
    """Return the new file, locked; None while another process has it."""
    try:
        file = _open(name, "xb")
    except FileExistsError:
        with suppress(FileNotFoundError):  # it may have replaced the old file already
            _remove_leftover(name)
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(name, file.fileno()):
            return file
    except BlockingIOError:
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _open(name: Path, mode: str) -> BinaryIO:
    def opener(file: str, flags: int) -> int:
        return os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)

    return cast(BinaryIO, open(name, mode, opener=opener))


def _remove_leftover(name: Path) -> None:
    """Remove the new file of a process that was killed: nobody has its lock. Raises OSError, also if it is another
    user's."""
    _check_leftover(name)
    with _open(name, "rb") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(name, file.fileno()):
            name.unlink()


def check_summary(file: Path) -> None:
    """Raise TableError if no summary can be written to *file*, as far as that shows without writing; UsageError for
    ``-``, which is standard output elsewhere."""
    if str(file) == "-":
        raise UsageError("not a file for the summary", file, "--summary /dev/stdout prints it")
    try:
        folder = resolve(file).parent
        if file.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder; name a file with --summary FILE")
        if file.exists() and not file.is_file():  # such as /dev/stderr
            return
        if not folder.is_dir():
            raise FileNotFoundError(ENOENT, "no such folder; make it, or name another with --summary FILE")
        if not os.access(folder, os.W_OK, effective_ids=True):
            raise PermissionError(EACCES, "no permission to write to its folder; name another with --summary FILE")
        check_start(file, SUMMARY_START)
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or str(error)) from error


def write_summary(file: Path, figures: Mapping[str, object]) -> None:
    """Write *figures* to *file* as JSON, as `write_whole` does. Raises TableError."""
    import json

    try:
        write_whole(file, json.dumps(figures, indent=2).encode() + b"\n", SUMMARY_START)
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error


def write_whole(file: Path, text: bytes, start: bytes) -> None:
    """Replace *file* as a whole, or write into a device or a named pipe: one that is replaced is lost to all programs.

    Raises OSError; FileExistsError if the file does not begin with *start*.
    """
    if resolve(file) and file.exists() and not file.is_file():  # such as /dev/stderr
        file.write_bytes(text)
    else:
        check_start(file, start)
        with replacing(file) as (new,):
            new.write(text)


def check_start(file: Path, start: bytes) -> None:
    """Raise FileExistsError if *file* exists and does not begin with *start*: it may be a log."""
    if not resolve(file).is_file():
        return
    with file.open("rb") as found:
        if found.read(len(start)) not in (b"", start):
            raise FileExistsError(EEXIST, "it is another kind of file; name another", str(file))


def _check_leftover(name: Path) -> None:
    """Raise OSError if another user has made the new file."""
    with suppress(FileNotFoundError):
        found, folder = name.lstat(), name.parent.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.geteuid(), folder.st_uid):
            raise OSError(EEXIST, f"user {found.st_uid} has made a file of that name; remove it", str(name))


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


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, if the file system can do that. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (EINVAL, EBADF):  # as VirtualBox's shared folders say
            raise
    finally:
        os.close(fd)
