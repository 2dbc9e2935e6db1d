"""Folders whose files a rollup replaces together: on this machine, or in a store."""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from fasthits.daily.atomic import resolve, sync, temporary_folder, unwritable
from fasthits.daily.layouts import ANOTHER
from fasthits.errors import LogFileError, TableError, UsageError

LOCK_SECONDS = 60.0
"""How long a rollup waits for another one."""
LOCK_POLL_SECONDS = 0.05
LOCK = ".fasthits.lock"
LAST = "~"
"""Comes after each day."""


def name_of(table: str, day: str) -> str:
    """Return the name of a table's file of a day."""
    return f"{table}/date={day}/{table}.parquet"


class Folder(Protocol):
    """A folder. The names of its files are relative to it, such as ``hits/date=2026-11-23/hits.parquet``."""

    name: str
    """The folder's name for messages."""

    def check(self) -> None:
        """Raise TableError if files cannot be replaced, as far as that shows without changing anything."""

    def newest(self, table: str, before: str = LAST) -> str | None:
        """Return the name of a table's file whose day is the newest, of those before the day *before*."""

    def others(self, name: str) -> list[str]:
        """Return the names of the other Parquet files in the folder of a file, in order."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to read. Raises FileNotFoundError."""

    @contextmanager
    def replacing(self) -> Iterator[Callable[[str], Path]]:
        """Give a function that returns where to write a new file of a name.

        At the end of the block the new files take the place of the old ones; if it raises an error, nothing changes.
        """

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise TableError for the errors of the folder that the block raises."""


class LocalFolder(Folder):
    """A folder on this machine. Rollups wait for each other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = Path(name)

    def check(self) -> None:
        found = resolve(self._folder)
        if found.exists() and not found.is_dir():
            raise TableError("target is not a folder", self.name, ANOTHER)
        parent = found if found.exists() else found.parent
        if not parent.is_dir():
            raise TableError("no such folder", self._folder.parent, f"make it, or {ANOTHER}")
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            raise unwritable(self.name, parent, ANOTHER)

    def newest(self, table: str, before: str = LAST) -> str | None:
        names = (str(found.relative_to(self._folder)) for found in self._folder.glob(name_of(table, "*")))
        return max((name for name in names if name < name_of(table, before)), default=None)

    def others(self, name: str) -> list[str]:
        return _others((self._folder / name).parent.glob("*.parquet"), name)

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    @contextmanager
    def replacing(self) -> Iterator[Callable[[str], Path]]:
        folder = resolve(self._folder)
        folder.mkdir(exist_ok=True)
        files: list[Path] = []

        def new(name: str) -> Path:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            _forget(_new(file))  # left by a killed rollup
            files.append(file)
            return _new(file)

        with self._alone(folder):
            try:
                yield new
                for file in files:
                    _new(file).replace(file)
            finally:
                for file in files:
                    _forget(_new(file))
            for parent in {file.parent for file in files}:
                sync(parent)

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where, text = error.filename or self.name, error.strerror or str(error)
            raise TableError("cannot write Parquet files", where, text) from error

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        give_up_at = time.monotonic() + LOCK_SECONDS
        lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        failed = f"another rollup has been writing for {LOCK_SECONDS:.0f} s"
                        raise TableError(failed, self.name, "try again later") from None
                time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(lock)


class StoredFolder(Folder):
    """A folder in a store. A new file comes into being as a whole, by one PUT. No rollup knows of another."""

    def __init__(self, name: str) -> None:
        from fasthits.daily.logs.store_connections import check_writable, connect

        self.name = name
        check_writable(name)
        with self.errors():
            self._store = connect(name)

    def check(self) -> None:
        self.newest("hits")

    def newest(self, table: str, before: str = LAST) -> str | None:
        try:
            days = self._store.ls(f"{self.name}{table}/", detail=False)
        except FileNotFoundError as error:
            if "NoSuchBucket" in repr(error.__cause__):
                raise
            return None
        names = (f"{table}/{day.rstrip('/').rpartition('/')[2]}/{table}.parquet" for day in days if "/date=" in day)
        earlier = sorted((name for name in names if name < name_of(table, before)), reverse=True)
        return next((name for name in earlier if self._store.exists(f"{self.name}{name}")), None)

    def others(self, name: str) -> list[str]:
        try:
            return _others(self._store.ls(f"{self.name}{os.path.dirname(name)}/", detail=False), name)
        except FileNotFoundError:
            return []

    def open(self, name: str) -> BinaryIO:
        found: BinaryIO = self._store.open(f"{self.name}{name}", "rb")
        return found

    @contextmanager
    def replacing(self) -> Iterator[Callable[[str], Path]]:
        with TemporaryDirectory(prefix="fasthits-", dir=temporary_folder()) as folder:
            files: dict[str, Path] = {}

            def new(name: str) -> Path:
                return files.setdefault(name, Path(folder) / str(len(files)))

            yield new
            for name, file in files.items():
                self._store.put_file(str(file), f"{self.name}{name}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        from fasthits.daily.logs.store_connections import errors_of

        try:
            with errors_of(self.name):
                yield
        except UsageError:
            raise
        except LogFileError as error:
            failed = error.failed if "log file" not in error.failed else "cannot write Parquet files"
            raise TableError(failed, error.subject, error.hint) from error


def open_folder(name: str) -> Folder:
    """Return the folder of a name: a path, or the address of a store."""
    return StoredFolder(name) if "://" in name else LocalFolder(name)


def _others(found: Iterable[str | Path], name: str) -> list[str]:
    folder, own = os.path.split(name)
    names = sorted(os.path.basename(each) for each in found)
    return [f"{folder}/{each}" for each in names if each.endswith(".parquet") and each[0] != "." and each != own]


def _new(file: Path) -> Path:
    """Return the name of a new file until it replaces the old one. Readers take no name with a leading dot."""
    return file.with_name(f".{file.name}.new")


def _forget(file: Path) -> None:
    with suppress(FileNotFoundError):
        file.unlink()
