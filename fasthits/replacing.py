"""Files that are replaced as a whole or not at all."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fasthits.errors import TableError

LOCK_SECONDS = 60.0


def check_file(path: Path) -> None:
    """Raise TableError for a target that cannot be written, as far as that shows."""
    if path.exists() and not path.is_file():
        raise TableError("target is not a file", path, "name one with --to TARGET")
    if not path.parent.is_dir():
        raise TableError("no such folder", path.parent, "make it, or name another with --to TARGET")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise TableError("target may not be written", path, "name another with --to TARGET")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a new file to be filled, which takes the place of *path* at the end: complete and on the disk, or not at
    all.

    Meanwhile a lock on the folder keeps others that use this out. The new file has the old one's mode and owner. Raises
    OSError.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    new = path.with_name(f".{path.name}.new")
    try:
        _lock(folder)
    except BaseException:
        os.close(folder)
        raise
    try:
        new.unlink(missing_ok=True)  # of one that was killed
        with new.open("xb") as file:
            yield file
            file.flush()
            if path.exists():
                _copy_ownership(path.stat(), file.fileno())
            os.fsync(file.fileno())
        new.replace(path)
        os.fsync(folder)
    finally:
        new.unlink(missing_ok=True)
        os.close(folder)


def write_summary(file: Path, figures: Mapping[str, object]) -> None:
    """Write *figures* to *file* as JSON: in its place as a whole, or into what is no file, such as /dev/stderr.

    Raises TableError.
    """
    import json

    try:
        special = file.exists() and not file.is_file()
        with file.open("wb") if special else replacing(file.resolve()) as new:
            new.write(json.dumps(figures, indent=2).encode() + b"\n")
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error


def _lock(folder: int) -> None:
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up_at:
                raise OSError(error.errno, f"its folder is locked, for {LOCK_SECONDS:.0f} s now") from error
            time.sleep(0.05)


def _copy_ownership(old: os.stat_result, fd: int) -> None:
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    if os.geteuid() == 0:
        os.fchown(fd, old.st_uid, old.st_gid)
