"""The stages of a rollup that run inside this process: reading blocks of a log, tokenising, counting, merging."""

import os
import time
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from benchmarks.logs import Corpus
from benchmarks.tasks import Figures, Task
from benchmarks.workload import NEVER
from fasthits._parse import HitTable

BLOCK_BYTES = 1 << 18


def read_blocks(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytearray, int]]:
    """Yield the file in blocks as (buffer, size); the buffer is the same each time."""
    buffer = bytearray(BLOCK_BYTES)
    with path.open("rb", buffering=0) as file, memoryview(buffer) as view:
        left = (os.fstat(file.fileno()).st_size if stop is None else stop) - file.seek(start)
        while left and (size := file.readinto(view[: min(left, BLOCK_BYTES)])):
            left -= size
            yield buffer, size


def feed(counter: HitTable, path: Path, start: int = 0, stop: int | None = None) -> HitTable:
    """Feed a part of the file to *counter* and return *counter*."""
    for buffer, size in read_blocks(path, start, stop):
        with memoryview(buffer) as view, view[:size] as block:
            counter.feed(block)
    counter.finish()
    return counter


class Stage(Task):
    """A job of the compiled core on the whole log."""

    def __init__(self, name: str, corpus: Corpus) -> None:
        super().__init__(name, corpus, "")
        self.counter = HitTable()

    def prepare(self) -> None:
        self.counter = HitTable()

    def measure(self) -> Figures:
        started = time.perf_counter()
        self.run()
        return {"seconds": time.perf_counter() - started}

    @abstractmethod
    def run(self) -> None:
        """Do it, with `counter`."""

    def check(self) -> str:
        counter = self.counter
        counted = {"hits": counter.hits, "filtered": counter.filtered, "malformed": counter.malformed}
        self.demand("totals", {"lines": counter.lines} | counted, self.wanted())
        return f"right: {counter.lines:,} lines"

    def wanted(self) -> object:
        """Return the totals that `counter` must have."""
        return self.corpus.truth.summary()


class Tokenise(Stage):
    """Let the core read all lines. No line is of a day that counts."""

    def run(self) -> None:
        self.counter.count_only([NEVER])
        feed(self.counter, self.corpus.log)

    def wanted(self) -> object:
        wanted = self.corpus.truth.summary()
        hits, filtered = wanted["hits"], wanted["filtered"]
        assert isinstance(hits, int)
        assert isinstance(filtered, dict)
        return wanted | {"hits": 0, "filtered": filtered | {"day": filtered.get("day", 0) + hits}}


class Count(Stage):
    """Count the day's hits in one thread, or in several: each thread fills its own hit table, and these are merged."""

    def __init__(self, name: str, corpus: Corpus, threads: int) -> None:
        super().__init__(name, corpus)
        self._threads = threads

    def run(self) -> None:
        with ThreadPoolExecutor(self._threads) as pool:
            parts = [pool.submit(self._count, *part) for part in pairwise(self._cuts())]
            self.counter, *others = [part.result() for part in parts]
        for other in others:
            self.counter.merge(other)

    def check(self) -> str:
        super().check()
        return self.demand_right(self.corpus.truth.difference((path, views) for _, path, views in self.counter.rows()))

    def _count(self, start: int, stop: int) -> HitTable:
        counter = HitTable()
        counter.count_only([self.corpus.truth.day])
        return feed(counter, self.corpus.log, start, stop)

    def _cuts(self) -> list[int]:
        size = self.corpus.log.stat().st_size
        cuts = [0]
        with self.corpus.log.open("rb") as file:
            for part in range(1, self._threads):
                file.seek(size * part // self._threads)
                file.readline()
                cuts.append(file.tell())
        return [*cuts, size]
