"""What `python -m benchmarks` measures: each stage does one job on the corpus and knows whether it did it right.

Yardsticks and ceilings are stages too. `Stage.run` is timed; `Stage.prepare` before it and `Stage.check` after it
are not.
"""

import csv
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.corpus import PATHS, Expected, write_day
from benchmarks.server import Memcached
from fasthits._parse import HitCounter
from fasthits.keys import hit_key

ROOT = Path(__file__).parents[1]
DAY = date(2026, 3, 12)
NEVER = date(1970, 1, 1)
ABSENT = b"\x01"  # Apache escapes it, so no line holds one
BLOCK_BYTES = 1 << 18
AWK_PROGRAM = "{ c[$7]++ } END { for (path in c) print c[path], path }"


class WrongTotals(Exception):
    """A stage did not find in the corpus what is in it, so its time means nothing."""


@dataclass(frozen=True)
class Corpus:
    """A day's log on disk, plain and compressed, and what it holds."""

    folder: Path
    log: Path
    gz: Path
    expected: Expected


def make_corpus(parent: Path, lines: int, *, seed: int = 1, paths: int = PATHS) -> Corpus:
    """Return the corpus of these numbers in a folder of its own under *parent*, written unless it is there.

    The folder's name holds a hash of the generator, so that none from before a change to it is taken for a new one.
    """
    sources = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("corpus.py", "website.py"))
    version = hashlib.sha256(sources).hexdigest()[:8]
    folder = parent.absolute() / f"{DAY}-lines-{lines}-seed-{seed}-paths-{paths}-{version}"
    log, gz = folder / f"plain/{DAY:%Y/%m/%d}/access.log", folder / f"gz/{DAY:%Y/%m/%d}/access.log.gz"
    known = folder / "expected.json"
    if not known.exists():
        expected = write_day(log, DAY, lines, seed=seed, paths=paths)
        gz.parent.mkdir(parents=True, exist_ok=True)
        with log.open("rb") as source, gzip.open(gz, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, BLOCK_BYTES)
        expected.save(known)
    return Corpus(folder, log, gz, Expected.load(known))


class Stage(ABC):
    """One job on a corpus."""

    def __init__(self, name: str, corpus: Corpus) -> None:
        self.name = name
        self.corpus = corpus
        self.expected = corpus.expected

    def prepare(self) -> None:  # noqa: B027 (most stages have nothing to prepare)
        """Get ready for one run."""

    @abstractmethod
    def run(self) -> None:
        """Do the job once and keep what came out."""

    @abstractmethod
    def check(self) -> str:
        """Return what there is to say about what came out, or raise `WrongTotals`."""

    def close(self) -> None:  # noqa: B027 (nor anything to close)
        """Stop what is still running, whatever happened."""

    def demand(self, what: str, found: object, wanted: object) -> None:
        """Raise `WrongTotals` unless *found* equals *wanted*."""
        if found != wanted:
            raise WrongTotals(f"{self.name}: {what}: {shorten(found)} found, but {shorten(wanted)} in the corpus")


def shorten(thing: object) -> str:
    """Return *thing* as it looks, or its beginning if that is long."""
    text = repr(thing)
    return text if len(text) < 200 else f"{text[:200]}..."


def start(command: list[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start a program in the project's folder and in the C locale, which awk is fastest in, without our settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FASTHITS_")}
    return subprocess.Popen(command, cwd=ROOT, env=environment | {"LC_ALL": "C"}, **pipes)


class Program(Stage):
    """A program that is given the log's name and prints its result."""

    def __init__(self, name: str, corpus: Corpus, command: list[str], judge: Callable[[bytes, Expected], str]) -> None:
        super().__init__(name, corpus)
        self.command = [*command, str(corpus.log)]
        self.judge = judge

    def run(self) -> None:
        with start(self.command, stdout=subprocess.PIPE) as process:
            self.output, _ = process.communicate()
        self.code = process.returncode

    def check(self) -> str:
        self.demand("exit code", self.code, 0)
        return self.judge(self.output, self.expected)


class Discard(Program):
    """A program whose output goes to /dev/null."""

    def run(self) -> None:
        with start(self.command, stdout=subprocess.DEVNULL) as process:
            self.code = process.wait()
        self.output = b""


def judge_nothing(output: bytes, expected: Expected) -> str:
    """Say that a program that only reads has no totals."""
    return "reads only"


def judge_wc(output: bytes, expected: Expected) -> str:
    """Compare the lines with those of the corpus."""
    lines = int(output.split()[0])
    if lines != expected.lines:
        raise WrongTotals(f"wc -l: {lines} lines found, but {expected.lines} in the corpus")
    return f"{lines:,} lines"


def judge_awk(output: bytes, expected: Expected) -> str:
    """Say how far off awk is. It knows nothing of days, so those are added up."""
    views: Counter[bytes] = Counter()
    for (_, path), count in expected.views.items():
        views[path] += count
    counted = {path: int(count) for count, _, path in (line.partition(b" ") for line in output.split(b"\n")[:-1])}
    wrong = sum(counted.get(path) != count for path, count in views.items())
    more = sum(counted.values()) / expected.hits - 1
    invented = len(counted.keys() - views.keys())
    return f"hits {more:+.1%}, {wrong:,} of {len(views):,} paths wrong, {invented:,} rows that are no path"


def read_blocks(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytearray, int]]:
    """Yield the file in blocks as (buffer, size); the buffer is the same each time."""
    buffer = bytearray(BLOCK_BYTES)
    with path.open("rb", buffering=0) as file, memoryview(buffer) as view:
        left = (os.fstat(file.fileno()).st_size if stop is None else stop) - file.seek(start)
        while left and (size := file.readinto(view[: min(left, BLOCK_BYTES)])):
            left -= size
            yield buffer, size


class Find(Stage):
    """Read the file and look for a byte that is not there: what the C library's memchr leaves to be gained."""

    def run(self) -> None:
        self.found = [buffer.find(ABSENT, 0, size) for buffer, size in read_blocks(self.corpus.log)]

    def check(self) -> str:
        self.demand("bytes that no line holds", sum(place >= 0 for place in self.found), 0)
        return "a byte that is not there"


class Newlines(Stage):
    """Read the file and count its newlines as well as Python's own types can."""

    def run(self) -> None:
        self.lines = sum(buffer.count(b"\n", 0, size) for buffer, size in read_blocks(self.corpus.log))

    def check(self) -> str:
        self.demand("lines", self.lines, self.expected.lines)
        return f"{self.lines:,} lines"


def feed(counter: HitCounter, path: Path, start: int = 0, stop: int | None = None) -> HitCounter:
    """Feed a part of the file to *counter* and return it."""
    for buffer, size in read_blocks(path, start, stop):
        with memoryview(buffer) as view, view[:size] as block:
            counter.feed(block)
    counter.finish()
    return counter


class Tokenise(Stage):
    """Read the file and let the core judge its lines, none of them of a day that counts."""

    def run(self) -> None:
        self.counter = HitCounter()
        self.counter.count_only([NEVER])
        feed(self.counter, self.corpus.log)

    def check(self) -> str:
        counter, expected = self.counter, self.expected
        self.demand("lines", counter.lines, expected.lines)
        self.demand("filtered", counter.filtered, expected.filtered | {"day": expected.hits})
        self.demand("malformed", counter.malformed, expected.malformed)
        return f"{counter.lines:,} lines"


class Count(Stage):
    """Read the file and count its hits, in one thread or in several with a part and a counter each, merged."""

    def __init__(self, name: str, corpus: Corpus, threads: int) -> None:
        super().__init__(name, corpus)
        self.threads = threads

    def run(self) -> None:
        log, cuts = self.corpus.log, self._cuts()
        with ThreadPoolExecutor(self.threads) as pool:
            parts = [pool.submit(feed, HitCounter(), log, *part) for part in pairwise(cuts)]
            self.counter, *others = [part.result() for part in parts]
        for other in others:
            self.counter.merge(other)

    def _cuts(self) -> list[int]:
        size = self.corpus.log.stat().st_size
        cuts = [0]
        with self.corpus.log.open("rb") as file:
            for part in range(1, self.threads):
                file.seek(size * part // self.threads)
                file.readline()
                cuts.append(file.tell())
        return [*cuts, size]

    def check(self) -> str:
        counter, expected = self.counter, self.expected
        self.demand("lines", counter.lines, expected.lines)
        self.demand("hits", counter.hits, expected.hits)
        self.demand("filtered", counter.filtered, expected.filtered)
        self.demand("malformed", counter.malformed, expected.malformed)
        self.demand("views", {(day, path): views for day, path, views in counter.rows()}, expected.views)
        return f"{counter.hits:,} hits, {len(counter):,} rows"


class Rollup(Stage):
    """``fasthits rollup`` as a user runs it, Python's start included, to a CSV file."""

    def __init__(self, name: str, corpus: Corpus, *options: str, compressed: bool = False) -> None:
        super().__init__(name, corpus)
        pattern = corpus.folder / ("gz" if compressed else "plain") / "%Y/%m/%d/access.log"
        self.csv, self.summary = corpus.folder / "hits.csv", corpus.folder / "summary.json"
        self.command = [sys.executable, "-m", "fasthits", "rollup", str(corpus.expected.day), "--logs", str(pattern)]
        self.command += ["--to", str(self.csv), "--summary", str(self.summary), *options]

    def prepare(self) -> None:
        self.csv.unlink(missing_ok=True)
        self.summary.unlink(missing_ok=True)

    def run(self) -> None:
        with start(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            _, self.messages = process.communicate()
        self.code = process.returncode

    def check(self) -> str:
        if self.code:
            raise WrongTotals(f"{self.name}: exit code {self.code}: {self.messages.decode(errors='replace').strip()}")
        hits, filtered = self.expected.of_day()
        summary = json.loads(self.summary.read_text())
        wanted = {"lines": self.expected.lines, "hits": hits, "malformed": self.expected.malformed}
        self.demand("summary", {key: summary[key] for key in wanted}, wanted)
        self.demand("filtered", {reason: count for reason, count in summary["filtered"].items() if count}, filtered)
        with self.csv.open(newline="") as file:
            rows = {(date.fromisoformat(row[0]), row[1].encode()): int(row[2]) for row in list(csv.reader(file))[1:]}
        views = {row: count for row, count in self.expected.views.items() if row[0] == self.expected.day}
        self.demand("views", rows, views)
        return f"{hits:,} hits, {len(rows):,} rows"


class Log(Stage):
    """``cat | fasthits log`` into a memcached of its own, from the first byte to the logger's exit."""

    memcached: Memcached | None = None

    def prepare(self) -> None:
        self.memcached = Memcached()

    def run(self) -> None:
        assert self.memcached is not None
        command = [sys.executable, "-m", "fasthits", "log", "--memcached", self.memcached.address]
        with (
            start(["cat", str(self.corpus.log)], stdout=subprocess.PIPE) as cat,
            start(command, stdin=cat.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as log,
        ):
            assert cat.stdout is not None
            cat.stdout.close()
            _, self.messages = log.communicate()
        self.code = log.returncode

    def check(self) -> str:
        assert self.memcached is not None
        if self.code:
            raise WrongTotals(f"{self.name}: exit code {self.code}: {self.messages.decode(errors='replace').strip()}")
        self.demand("messages", self.messages, b"")
        wanted = {hit_key(day, path).encode("ascii"): views for (day, path), views in self.expected.views.items()}
        self.demand("keys", self.memcached.items(), len(wanted))
        counters = self.memcached.values(list(wanted))
        self.demand("hits", sum(counters.values()), self.expected.hits)
        self.demand("views", counters, wanted)
        self.close()
        return f"{self.expected.hits:,} hits, {len(counters):,} keys"

    def close(self) -> None:
        if self.memcached is not None:
            self.memcached.stop()
            self.memcached = None


def find_awk() -> str | None:
    """Return the name of the awk to race: gawk, or else mawk."""
    return next(filter(shutil.which, ("gawk", "mawk")), None)


def all_stages(corpus: Corpus) -> list[Stage]:
    """Return the stages that this machine has the programs for, in the order of the table."""
    stages: list[Stage] = [
        Discard("cat > /dev/null", corpus, ["cat"], judge_nothing),
        Program("wc -l", corpus, ["wc", "-l"], judge_wc),
        Find("memchr pass", corpus),
        Newlines("bytes.count(newline)", corpus),
        Tokenise("tokenise", corpus),
        Count("count, 1 thread", corpus, 1),
        Count("count, 2 threads", corpus, 2),
        Rollup("rollup to CSV, --threads 1", corpus, "--threads", "1"),
        Rollup("rollup to CSV", corpus),
        Rollup("rollup of the .gz to CSV", corpus, compressed=True),
    ]
    if shutil.which("memcached"):
        stages.append(Log("log, pipe to memcached", corpus))
    if awk := find_awk():
        stages.append(Program(f"{awk} c[$7]++", corpus, [awk, AWK_PROGRAM], judge_awk))
    return stages
