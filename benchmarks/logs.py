"""The logs of the benchmarks: made once, kept, and made again if their generator changes."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from benchmarks.corpus import PATHS, Expected, write_day
from benchmarks.distinct import Distinct, write_distinct
from benchmarks.objects import write_objects
from benchmarks.truth import Truth

DAY = date(2026, 3, 12)
LINE_BYTES = 229.3
"""The average line of a day."""
FILE = f"{DAY:%Y/%m/%d}/access.log"
SEED = 1
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """A log in a folder, and its content."""

    name: str
    folder: Path
    truth: Truth

    @property
    def log(self) -> Path:
        return self.folder / FILE

    def read(self) -> None:
        """Read the log and its compressed files, so that they are in the page cache."""
        buffer = bytearray(BLOCK_BYTES)
        for path in self.folder.rglob("access.log*"):
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def compress(self) -> list[Path]:
        """Return two copies of the log, packed by `gzip -6`, like logs of two servers. Make them unless they exist."""
        first, second = copies = [self.folder / server / f"{FILE}.gz" for server in ("web1", "web2")]
        if not second.exists():
            for path in copies:
                path.parent.mkdir(parents=True, exist_ok=True)
            with first.open("wb") as target:
                subprocess.run(["gzip", "-6", "-c", self.log], stdout=target, check=True)
            part = Path(shutil.copyfile(first, second.with_suffix(".part")))
            part.rename(second)  # so that an existing file is always whole
        return copies


def make_day(parent: Path, name: str, lines: int) -> Corpus:
    """Return a day's log (see `benchmarks.corpus`) in the folder *name* of *parent*. Write it unless it exists."""
    folder = parent / name
    known = _claim(folder, f"{lines} lines")
    if not known.exists():
        write_day(folder / FILE, DAY, lines, seed=SEED, paths=PATHS).save(known)
    return Corpus(name, folder, Expected.load(known))


def make_distinct(parent: Path, name: str, size: int, paths: int) -> Corpus:
    """Return a log of *paths* paths (see `benchmarks.distinct`) in the same way."""
    folder = parent / name
    known = _claim(folder, f"{size} bytes, {paths} paths")
    if not known.exists():
        write_distinct(folder / FILE, DAY, size, paths=paths, seed=SEED).save(known)
    return Corpus(name, folder, Distinct.load(known))


def make_objects(day: Corpus) -> Corpus:
    """Return the same requests as JSON lines (see `benchmarks.objects`), in a folder beside that of the day."""
    assert isinstance(day.truth, Expected)
    folder = day.folder.with_name(f"{day.folder.name}-json")
    known = _claim(folder, f"objects of {day.truth.lines} lines")
    if not known.exists():
        replace(day.truth, size=write_objects(day.log, folder / FILE)).save(known)
    return Corpus(f"{day.name}-json", folder, Expected.load(known))


def _claim(folder: Path, what: str) -> Path:
    """Return the file for the content of a log of *what*. If the file does not exist, its folder is emptied.

    The file's name holds a hash of the generators, so a log from before a change to them is never used.
    """
    sources = sorted(Path(__file__).with_name(f"{name}.py") for name in ("corpus", "distinct", "objects", "website"))
    made_by = b"".join(source.read_bytes() for source in sources) + f"{what} of {FILE}, seed {SEED}".encode()
    known = folder / f"truth-{hashlib.sha256(made_by).hexdigest()[:12]}.json"
    if not known.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return known
