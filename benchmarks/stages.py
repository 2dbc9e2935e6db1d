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


def feed(hit_table: HitTable, path: Path, start: int = 0, stop: int | None = None) -> HitTable:
    """Feed a part of the file to *hit_table* and return *hit_table*."""
    for buffer, size in read_blocks(path, start, stop):
        with memoryview(buffer) as view, view[:size] as block:
            hit_table.feed(block)
    hit_table.finish()
    return hit_table


class Stage(Task):
    """A job of the compiled core on the whole log."""

    def __init__(self, name: str, corpus: Corpus) -> None:
        super().__init__(name, corpus, "")
        self.hit_table = HitTable()

    def prepare(self) -> None:
        self.hit_table = HitTable()

    def measure(self) -> Figures:
        started = time.perf_counter()
        self.run()
        return {"seconds": time.perf_counter() - started}

    @abstractmethod
    def run(self) -> None:
        """Do it, with `hit_table`."""

    def check(self) -> str:
        hit_table = self.hit_table
        counted = {"hits": hit_table.hits, "filtered": hit_table.filtered, "malformed": hit_table.malformed}
        self.demand("totals", {"lines": hit_table.lines} | counted, self.wanted())
        return f"right: {hit_table.lines:,} lines"

    def wanted(self) -> object:
        """Return the totals that `hit_table` must have."""
        return self.corpus.truth.summary()


class Tokenise(Stage):
    """Let the core read all lines. No line is of a day that counts."""

    def run(self) -> None:
        self.hit_table.count_only([NEVER])
        feed(self.hit_table, self.corpus.log)

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
            self.hit_table, *others = [part.result() for part in parts]
        for other in others:
            self.hit_table.merge(other)

    def check(self) -> str:
        super().check()
        return self.demand_right(
            self.corpus.truth.difference((path, views) for _, path, views in self.hit_table.rows())
        )

    def _count(self, start: int, stop: int) -> HitTable:
        hit_table = HitTable()
        hit_table.count_only([self.corpus.truth.day])
        return feed(hit_table, self.corpus.log, start, stop)

    def _cuts(self) -> list[int]:
        size = self.corpus.log.stat().st_size
        cuts = [0]
        with self.corpus.log.open("rb") as file:
            for part in range(1, self._threads):
                file.seek(size * part // self._threads)
                file.readline()
                cuts.append(file.tell())
        return [*cuts, size]
