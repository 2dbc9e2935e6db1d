"""How fast the core is on a block in memory, and the limits: a memchr pass, counting newlines, hashing paths.

    python -m pytest benchmarks --benchmark-columns=min,median,iqr,rounds

Each function checks its totals within the time it reports; that takes microseconds.
"""

from collections import Counter, deque

import pytest

from benchmarks.corpus import Expected
from benchmarks.fixture import Benchmark
from benchmarks.logs import Corpus
from benchmarks.workload import NEVER
from fasthits._parse import HitTable, parse_line, parse_lines

ABSENT = b"\x01"  # Apache escapes this byte, so no line has it


@pytest.fixture(scope="session")
def expected(corpus: Corpus) -> Expected:
    """The content of the block."""
    assert isinstance(corpus.truth, Expected)
    return corpus.truth


def test_find_absent_byte(benchmark: Benchmark, block: bytes) -> None:
    def find() -> None:
        assert ABSENT not in block

    benchmark(find)


def test_count_newlines(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    def count_newlines() -> None:
        assert block.count(b"\n") == expected.lines

    benchmark(count_newlines)


@pytest.fixture(scope="session")
def paths(block: bytes) -> list[bytes]:
    """The path of each hit, in the order of the lines."""
    parsed = filter(None, map(parse_line, block.splitlines(keepends=True)))
    return [
        line.path for line in parsed if line.method == b"GET" and line.path and line.path.startswith((b"/", b"http"))
    ]


def test_hash_paths(benchmark: Benchmark, paths: list[bytes]) -> None:
    """Only hashing. Each time the objects are new, because a bytes object keeps its hash."""
    fresh: list[bytes] = []

    def copy() -> None:
        fresh[:] = map(bytes, map(bytearray, paths))

    def hash_all() -> None:
        deque(map(hash, fresh), maxlen=0)

    benchmark.pedantic(hash_all, setup=copy, teardown=fresh.clear, rounds=20)


def test_count_paths_in_a_dict(benchmark: Benchmark, expected: Expected, paths: list[bytes]) -> None:
    """Only counting: the paths were found and hashed before."""

    def count() -> None:
        assert Counter(paths).total() == expected.hits

    benchmark(count)


def test_tokenise(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    def tokenise() -> None:
        hit_table = HitTable()
        hit_table.count_only([NEVER])
        hit_table.feed(block)
        assert (hit_table.lines, hit_table.hits, hit_table.malformed) == (expected.lines, 0, expected.malformed)
        assert hit_table.filtered == expected.filtered | {"day": expected.hits}

    benchmark(tokenise)


def test_count(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    def count() -> HitTable:
        hit_table = HitTable()
        hit_table.feed(block)
        assert (hit_table.lines, hit_table.hits, hit_table.malformed) == (
            expected.lines,
            expected.hits,
            expected.malformed,
        )
        assert hit_table.filtered == expected.filtered
        return hit_table

    assert {(day, path): views for day, path, views in count().rows()} == expected.views
    benchmark(count)


def test_count_one_day(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    hits, filtered = expected.of_day()

    def count() -> None:
        hit_table = HitTable()
        hit_table.count_only([expected.day])
        hit_table.feed(block)
        assert (hit_table.lines, hit_table.hits, hit_table.filtered) == (expected.lines, hits, filtered)

    benchmark(count)


def test_merge(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    cut = block.index(b"\n", len(block) // 2) + 1

    halves: list[HitTable] = []

    def count_halves() -> None:
        for half in block[:cut], block[cut:]:
            halves.append(HitTable())
            halves[-1].feed(half)

    def merge() -> None:
        first, second = halves[-2:]
        first.merge(second)
        assert (first.lines, first.hits, len(first)) == (expected.lines, expected.hits, len(expected.views))

    benchmark.pedantic(merge, setup=count_halves, teardown=halves.clear, rounds=20)


def test_rows(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    hit_table = HitTable()
    hit_table.feed(block)

    def read_rows() -> None:
        assert len(list(hit_table.rows())) == len(expected.views)

    benchmark(read_rows)


def test_parse_lines(benchmark: Benchmark, expected: Expected, block: bytes) -> None:
    """A tuple for each line, which Python looks at."""

    def parse() -> None:
        statuses = Counter(line and line.status for line in parse_lines(block))
        assert (statuses.total(), statuses[None]) == (expected.lines, expected.malformed)

    benchmark(parse)
