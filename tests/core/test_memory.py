"""Memory: how much long lines and many hit tables take, whether it is freed, and what happens if it runs out."""

from collections.abc import Callable

import pytest

from fasthits._parse import EXAMPLE_BYTES, LINE_BYTES, HitTable
from tests.core.support import (
    DAY,
    INTACT,
    MIB,
    agrees,
    assert_balanced,
    assert_every_line_in_a_bucket,
    distinct_lines,
    fed,
    line,
    memory_limit,
    status_of_process,
    views,
)
from tests.support import reference


def feed_a_line_of_a_hundred_megabytes() -> None:
    block = b"x" * 65_536
    hit_table = fed(block, b"\n")
    before = status_of_process("VmHWM")
    for _ in range(1600):
        hit_table.feed(block)
    assert hit_table.lines == 1
    growth = status_of_process("VmHWM") - before
    assert growth < 16 * MIB, f"{growth:,} bytes for one line"
    hit_table.feed(b"\n" + INTACT)
    hit_table.finish()
    assert (hit_table.lines, hit_table.malformed, hit_table.hits) == (3, 2, 1)
    assert hit_table.examples[1] == (2, b"x" * EXAMPLE_BYTES)


@pytest.mark.measures_memory
def test_a_line_of_a_hundred_megabytes_takes_little_memory(run_alone: Callable[..., object]) -> None:
    run_alone(feed_a_line_of_a_hundred_megabytes)


def use_and_drop(data: bytes) -> int:
    """Use a hit table in every way that takes memory; return the size of the process then."""
    hit_table = HitTable()
    hit_table.feed(data)
    hit_table.feed(INTACT * 1000)
    drained = hit_table.drain()
    rows = drained.rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert len(drained) == 300_000
    hit_table.merge(fed(INTACT))
    with pytest.raises(TypeError):
        hit_table.feed(None)
    return status_of_process("VmRSS")


def drop_large_hit_tables() -> None:
    data = distinct_lines(300_000)
    before = status_of_process("VmRSS")
    one = use_and_drop(data) - before
    assert one > 300_000 * 10
    for _ in range(6):
        use_and_drop(data)
    settled = status_of_process("VmRSS")
    for _ in range(20):
        use_and_drop(data)
    growth = status_of_process("VmRSS") - settled
    assert growth < one, f"{growth:,} bytes are left of twenty hit tables of {one:,}"


def drop_many_hit_tables() -> None:
    block = b"x" * (LINE_BYTES - 1)

    def use_and_drop_some() -> None:
        for _ in range(50):
            hit_table = fed(INTACT, days={DAY})
            hit_table.count_only({DAY})
            hit_table.feed(block)
            assert hit_table.drain().lines == 0
            with pytest.raises(ValueError, match="itself"):
                hit_table.merge(hit_table)

    use_and_drop_some()
    settled = status_of_process("VmSize")
    for _ in range(10):
        use_and_drop_some()
    growth = status_of_process("VmSize") - settled
    assert growth < 50 * MIB, f"{growth:,} bytes are left of 500 hit tables"


@pytest.mark.measures_memory
@pytest.mark.parametrize("drop", [drop_large_hit_tables, drop_many_hit_tables])
def test_memory_is_freed_with_the_hit_table(run_alone: Callable[..., object], drop: Callable[[], None]) -> None:
    run_alone(drop)


def feed_until_memory_ends() -> None:
    other_lines = b"bad\n" + line(b"HEAD /a") + b"\n"
    data = b"".join(distinct_lines(1000, start=1000 * number) + other_lines for number in range(100))
    block_bytes = 65_500
    blocks = [memoryview(data)[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    hit_table = HitTable()
    with memory_limit(6 * MIB):
        failed_at = None
        for number, block in enumerate(blocks):
            try:
                hit_table.feed(block)
            except MemoryError:
                failed_at = number
                break
    assert failed_at is not None
    lines_fed = data.split(b"\n")
    done = hit_table.lines
    assert sum(map(len, lines_fed[:done])) + done >= block_bytes * failed_at - len(lines_fed[done]) - 1
    assert_balanced(hit_table)
    assert agrees(hit_table, reference.count(b"\n".join(lines_fed[:done]) + b"\n"))
    assert done < 100 * 1002
    hit_table.feed(b"\n".join(lines_fed[done:]))
    hit_table.finish()
    assert agrees(hit_table, reference.count(data))


@pytest.mark.measures_memory
def test_after_a_memory_error_of_feed_the_lines_before_stay_counted(run_alone: Callable[..., object]) -> None:
    run_alone(feed_until_memory_ends)


def add_until_memory_ends() -> None:
    paths = [b"/%d/" % number + b"p" * (number % 500) for number in range(200_000)]
    hit_table, added = HitTable(), 0
    with memory_limit(6 * MIB):
        try:
            for path in paths:
                hit_table.add(DAY, path, 2)
                added += 1
        except MemoryError:
            pass
    assert 0 < added < len(paths)
    assert list(hit_table.rows()) == [(DAY, path, 2) for path in paths[:added]]
    assert_every_line_in_a_bucket(hit_table)
    hit_table.add(DAY, paths[added], 2)
    assert list(hit_table.rows())[added:] == [(DAY, paths[added], 2)]


@pytest.mark.measures_memory
def test_a_memory_error_of_add_changes_nothing(run_alone: Callable[..., object]) -> None:
    run_alone(add_until_memory_ends)


def merge_until_memory_ends() -> None:
    hit_table, other = fed(distinct_lines(400_000)), HitTable()  # whose index has room for all, but not their paths
    for number in range(200_000):
        other.add(DAY, b"/other/%d/" % number + b"p" * 500, 1)
    own, others = views(hit_table), views(other)
    failed = False
    with memory_limit(4 * MIB):
        try:
            hit_table.merge(other)
        except MemoryError:
            failed = True
    assert failed
    assert own.items() <= views(hit_table).items() < {**own, **others}.items()
    assert list(other.rows()) == []
    hit_table.add(DAY, b"/0", 1)
    assert views(hit_table)[DAY, b"/0"] == 2


@pytest.mark.measures_memory
def test_after_a_memory_error_of_merge_both_hit_tables_are_usable(run_alone: Callable[..., object]) -> None:
    run_alone(merge_until_memory_ends)


def keep_an_unfinished_line_until_memory_ends() -> None:
    block = b"x" * (LINE_BYTES - 1)
    hit_tables = [HitTable() for _ in range(40)]
    failures = 0
    with memory_limit(4 * MIB):
        for hit_table in hit_tables:
            try:
                hit_table.feed(block)
            except MemoryError:
                failures += 1
    assert failures > 0
    for hit_table in hit_tables:
        hit_table.feed(b"\n" + INTACT + b"\n")
        assert_balanced(hit_table)
        assert views(hit_table) == {(DAY, b"/intact"): 1}


@pytest.mark.measures_memory
def test_an_unfinished_line_that_memory_cannot_hold_is_given_up(run_alone: Callable[..., object]) -> None:
    run_alone(keep_an_unfinished_line_until_memory_ends)
