"""Log files in stores: S3, Google Cloud Storage, Azure, HDFS, and servers with SSH. fsspec lists and reads them.

Folders are listed level by level, and nothing is kept of a listing. A file is read in ranges. It must be the same file
when it is listed, when it is opened, and after its last byte: a store that has versions shows that by its version, any
other store by the time of the last change, and all by the size. Only a file that a server writes to may have grown, if
it still begins as it did.
"""

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar
from zlib import crc32

from fasthits.daily.logs import matching
from fasthits.daily.logs.store_connections import MissingError, check_writable, connect, errors_of, kind_of, replaced
from fasthits.errors import LogFileError, StoreError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from fasthits.daily.logs.sftp import SftpFile

FIRST_RANGE_BYTES = 1 << 16
"""The size of the range to fetch where reading begins: the head of a log. The next ranges are larger and larger."""
RANGE_BYTES = 8 << 20
ASKED_AT_ONCE = 16
START_BYTES = 1 << 12
"""Files that begin with the same bytes, so many, are the same file; each line has a time."""

_VERSIONS = ("generation", "ETag", "etag")
"""Under these names a store tells the version of a file's content."""
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""Under these names a store tells when a file was last changed."""

S = TypeVar("S")
T = TypeVar("T")


class Entry(NamedTuple):
    """A file in a store, as the store tells of it."""

    name: str
    """Its address."""
    size: int
    modified: float
    """When it was last changed, in seconds since 1970; 0 if the store does not tell."""
    version: str
    """Another content has another version."""
    is_whole: bool
    """Whether it was put there as a whole, at that time: no server writes to it."""
    start: int | None = None
    """A check sum of its first bytes, if a server may write to it."""
    real: str = ""
    """The address to which links lead, if a server has links: that of the same file under another name."""


def match(pattern: str, endings: Sequence[str]) -> list[Entry]:
    """Return the files that match *pattern* with one of *endings*, in order of their names.

    ``*`` matches any characters except ``/``, but no leading dot. Raises StoreError if a folder cannot be
    listed, UsageError if this is no address of a store.
    """
    kind = kind_of(pattern)
    root, *parts, last = _parts_of(pattern)
    store = connect(pattern)
    folders = [root]
    for part in parts:
        if "*" in part:
            named = matching.pattern_of(part, [""])
            found = of_each(folders, lambda folder, part=part: _list(store, folder, part))  # type: ignore[misc]
            folders = [
                f"{folder}{name}/"
                for folder, infos in zip(folders, found, strict=True)
                for name in sorted(name for name, info in infos if named(name) and info["type"] == "directory")
            ]
        else:
            folders = [f"{folder}{part}/" for folder in folders]
    named = matching.pattern_of(last, endings)
    found = of_each(folders, lambda folder: _list(store, folder, last))
    entries = sorted(
        _entry(f"{folder}{name}", info)
        for folder, infos in zip(folders, found, strict=True)
        for name, info in infos
        if named(name) and info["type"] == "file"
    )
    if not entries and kind.root:
        _check_root(root, os.getpid())
    return _opened(entries) if kind.is_server else entries


@cache
def _check_root(root: str, process: int) -> None:
    """Raise StoreError if the store has no such bucket. It may keep that to itself."""
    try:
        connect(root).info(root)
    except FileNotFoundError as error:
        hint = f"look at the name: {root}"
        raise StoreError(f"no such {kind_of(root).root}", root.split("/")[2], hint) from error
    except Exception:
        return


def of_each(things: Sequence[S], ask: Callable[[S], T]) -> list[T]:
    """Return what *ask* returns for each of *things*. It is asked several times at once."""
    if len(things) < 2:
        return [ask(each) for each in things]
    with ThreadPoolExecutor(min(len(things), ASKED_AT_ONCE)) as pool:
        try:
            return list(pool.map(ask, things))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _parts_of(pattern: str) -> list[str]:
    """Return the root of a store, and the parts of the name below it."""
    scheme, _, place = pattern.partition("://")
    host, *parts = place.split("/")
    if "*" in host:
        raise UsageError("PATTERN has * in the name of a bucket or host", pattern, "repeat --logs for several")
    if not host or not any(parts):
        raise UsageError("not an address of log files", pattern, f"for example {scheme}://logs/*/%Y/%m/%d/access.log")
    return [f"{scheme}://{host}/", *parts]


def _list(store: "AbstractFileSystem", folder: str, part: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what is in *folder* and can match *part*, each with its name; nothing if there is no such folder."""
    stem = part.partition("*")[0]
    try:
        with errors_of(folder):
            if stem and kind_of(folder).has_prefixes:
                found = store.find(folder, maxdepth=1, withdirs=True, detail=True, prefix=stem).values()
            else:
                found = store.ls(folder, detail=True)
            below = store._strip_protocol(folder).strip("/") + "/"
            named = [(each["name"].lstrip("/").removeprefix(below).rstrip("/"), each) for each in found]
            named = [(name, each) for name, each in named if name and "/" not in name and name.startswith(stem)]
    except MissingError:
        return []
    return [(name, _target(store, folder + name) if each["type"] == "link" else each) for name, each in named]


def _target(store: "AbstractFileSystem", link: str) -> Mapping[str, Any]:
    """Return what a store tells of the file or folder that a link names."""
    try:
        with errors_of(link):
            return dict(store.info(link))
    except StoreError:
        raise
    except LogFileError:  # a broken link, or one that this user may not follow
        return {"type": "link"}


def _opened(listed: Sequence[Entry]) -> list[Entry]:
    """Return files of a server as they are when they are opened.

    If they are rotated meanwhile, a file can be found under two names. Then both stay as they were listed: whoever
    reads them is told that they were replaced.
    """
    found: dict[str, tuple[Entry, Entry]] = {}  # a link and its file are the same
    for before, now in zip(listed, of_each(listed, _begun), strict=True):
        found.setdefault(now.real or now.name, (before, now))
    numbers = Counter(now.start for _, now in found.values() if now.size)
    changed = {now.start for before, now in found.values() if now._replace(start=None, real="") != before}
    twice = {start for start in changed if numbers[start] > 1}
    return [before if now.start in twice else now for before, now in found.values()]


def _begun(listed: Entry) -> Entry:
    """Return a file of a server as it is when it is opened; as it was listed if it cannot be that file."""
    try:
        store = connect(listed.name)
        with errors_of(listed.name), closing(store.open(listed.name, "rb")) as file:
            now = _entry(listed.name, file.info())
            start = crc32(file.read(min(now.size, START_BYTES)))
            real = listed.name.removesuffix(store._strip_protocol(listed.name)) + store.real(listed.name)
    except StoreError:
        raise
    except LogFileError:  # reading the whole file reports it
        return listed
    return (
        now._replace(start=start, real=real) if now.size >= listed.size and now.modified >= listed.modified else listed
    )


def _entry(name: str, info: Mapping[str, Any]) -> Entry:
    version = next((str(info[key]).strip('"') for key in _VERSIONS if info.get(key)), "")
    modified = next((_seconds(info[key]) for key in _TIMES if info.get(key)), 0.0)
    return Entry(name, int(info["size"]), modified, version or str(modified), bool(version))


def _seconds(time: object) -> float:
    """Return a time, in one of the ways in which stores tell it, in seconds since 1970."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return time.timestamp() if isinstance(time, datetime) else float(time)  # type: ignore[arg-type]


class StoredFile(io.RawIOBase):
    """An open file in a store. What is read comes from the latest range that was fetched."""

    def __init__(self, entry: Entry) -> None:
        """Open a file that was listed as *entry*. Raises LogFileError if it is another by now or cannot be read."""
        self._entry = entry
        self._is_of_server = kind_of(entry.name).is_server
        self._position = 0
        self._start, self._range = 0, memoryview(b"")
        with errors_of(entry.name):
            store = connect(entry.name)
            self._file = store.open(entry.name, "rb", cache_type="none")
            if self._is_of_server:
                _check_begun(entry, self._file)
            else:  # if the file knows its version, this reads exactly that version
                _check_same(entry, getattr(self._file, "details", None) or store.info(entry.name))

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._entry.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into *buffer*, and return how many bytes: 0 only at the end."""
        size = self.read_at(memoryview(buffer), self._position)
        self._position += size
        return size

    def read_at(self, buffer: memoryview, offset: int) -> int:
        """Read what begins at *offset* into *buffer*, and return how many bytes: 0 only at the end."""
        if not self._start <= offset < self._start + len(self._range):
            self._fetch(offset, len(buffer))
        found = self._range[offset - self._start :][: len(buffer)]
        buffer[: len(found)] = found
        return len(found)

    def check(self) -> None:
        """Raise LogFileError if the store has another content by now."""
        with errors_of(self._entry.name):
            if self._is_of_server:
                _check_begun(self._entry, self._file)
            else:
                _check_same(self._entry, connect(self._entry.name).info(self._entry.name))

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._range = memoryview(b"")
            if file := getattr(self, "_file", None):  # None if opening failed
                file.close()
        super().close()

    def _fetch(self, offset: int, wanted: int) -> None:
        """Fetch a range that begins at *offset*: a longer one each time, while the file is read on."""
        goes_on = self._range and offset == self._start + len(self._range)
        size = max(wanted, FIRST_RANGE_BYTES, 4 * len(self._range) * bool(goes_on))
        size = min(size, max(wanted, RANGE_BYTES), max(0, self._entry.size - offset))
        self._range = memoryview(b"")  # frees the previous range first
        with errors_of(self._entry.name):
            self._file.seek(offset)
            fetched = self._file.read(size) if size else b""
        if len(fetched) != size:
            self.check()
            hint = f"{offset + len(fetched):,} of {self._entry.size:,} bytes came; run it again"
            raise LogFileError("the store sent only a part of a log file", self._entry.name, hint)
        self._start, self._range = offset, memoryview(fetched)


@contextmanager
def new_file(name: str) -> Iterator[BinaryIO]:
    """Give a new file in a store, to be written in the block. It is there when the block ends without an error."""
    check_writable(name)
    store = connect(name)
    with errors_of(name), store.open(name, "wb", block_size=RANGE_BYTES) as file:
        try:
            yield file
        except BaseException:
            file.discard()
            raise


def read_range(name: str, start: int, size: int) -> bytes:
    """Return *size* bytes of a file from *start* on, fewer at its end. Raises LogFileError."""
    with errors_of(name):
        found: bytes = connect(name).cat_file(name, start=start, end=start + size)
        return found


def is_there(name: str) -> bool:
    """Tell whether a store has a file. Raises StoreError."""
    try:
        with errors_of(name):
            return bool(connect(name).info(name)["type"] == "file")
    except MissingError:
        return False


def remove_folder(folder: str) -> None:
    """Remove a folder with all its files. Raises LogFileError."""
    store = connect(folder)
    with errors_of(folder):
        store.rm(folder.rstrip("/"), recursive=True)


def _check_same(entry: Entry, info: Mapping[str, Any]) -> None:
    now = _entry(entry.name, info)
    if (now.version, now.size) != (entry.version, entry.size):
        raise replaced(entry.name)


def _check_begun(entry: Entry, file: "SftpFile") -> None:
    info = file.info()
    if entry.start is None:
        _check_same(entry, info)
        return
    file.seek(0)
    if info["size"] < entry.size or crc32(file.read(min(entry.size, START_BYTES))) != entry.start:
        raise replaced(entry.name)
