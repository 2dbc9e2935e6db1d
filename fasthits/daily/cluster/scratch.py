"""The folder for the files of one run on a cluster: on a file system or in a store that all machines share.

Workers write files under new names, and only files whose names came back are read. So it does not matter how often a
task ran, nor where a worker died.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fasthits.daily.urls import check_url, is_url
from fasthits.errors import FasthitsError, LogFileError

MARK = "run"
"""The name of a file that is there from the run's beginning to its end: a late worker leaves nothing behind."""
NAME_ANOTHER = "name a folder with room, which all workers share, with --scratch"


class Scratch:
    """A folder for one run."""

    def __init__(self, place: str) -> None:
        """*place* is where the folder is to be: a folder, or an address such as ``s3://logs/scratch``.

        Raises UsageError for an address with a password.
        """
        check_url(place)
        self.folder = f"{place.rstrip('/') if is_url(place) else os.path.abspath(place)}/fasthits-{uuid.uuid4().hex}"

    def make(self) -> None:
        """Make the folder. Raises FasthitsError."""
        with _errors_of(self.folder):
            if not is_url(self.folder):
                Path(self.folder).mkdir(mode=0o700)
            with self._new_file(MARK) as file:
                file.write(b"fasthits\n")

    @contextmanager
    def new_file(self) -> Iterator[tuple[str, BinaryIO]]:
        """Give the name of a new file, and the file, to be written in the block. Raises FasthitsError."""
        name = uuid.uuid4().hex
        with _errors_of(self.folder):
            if not self._is_there():
                raise FasthitsError("this worker does not see the scratch folder", self.folder, NAME_ANOTHER)
            with self._new_file(name) as file:
                yield name, file
            if is_url(self.folder) and not self._is_there():  # stores accept files for removed folders
                from fasthits.daily.logs.stores import remove_folder

                remove_folder(f"{self.folder}/{name}")

    def remove(self) -> None:
        """Remove the folder with all its files. Raises FasthitsError, which names it."""
        with _errors_of(self.folder, "cannot remove the files of the run"):
            if is_url(self.folder):
                from fasthits.daily.logs.stores import remove_folder

                remove_folder(self.folder)
            else:
                # Under another name first, so that a worker that is late makes no new file there meanwhile.
                ended = f"{self.folder}-ended"
                os.rename(self.folder, ended)
                self.folder = ended
                shutil.rmtree(ended)

    def _is_there(self) -> bool:
        path = f"{self.folder}/{MARK}"
        if is_url(path):
            from fasthits.daily.logs.stores import is_there

            return is_there(path)
        return os.path.exists(path)

    @contextmanager
    def _new_file(self, name: str) -> Iterator[BinaryIO]:
        path = f"{self.folder}/{name}"
        if is_url(path):
            from fasthits.daily.logs.stores import new_file

            with new_file(path) as stored:
                yield stored
        else:
            with open(path, "xb") as file:
                yield file


def read_range(path: str, start: int, size: int) -> bytes:
    """Return *size* bytes of a file from *start* on. Raises FasthitsError."""
    with _errors_of(path):
        if is_url(path):
            from fasthits.daily.logs import stores

            found = stores.read_range(path, start, size)
        else:
            with open(path, "rb") as file:
                found = os.pread(file.fileno(), size, start)
    if len(found) != size:
        raise FasthitsError("a file in the scratch folder is too short", path, "run it again")
    return found


@contextmanager
def _errors_of(path: str, failed: str = "cannot use the scratch folder") -> Iterator[None]:
    try:
        yield
    except LogFileError as error:  # an error of a store
        raise FasthitsError(failed, path, f"{error.failed}: {error.hint}; {NAME_ANOTHER}") from error
    except OSError as error:
        raise FasthitsError(failed, path, f"{error.strerror or error}; {NAME_ANOTHER}") from error
