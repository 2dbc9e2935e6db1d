"""Memory: what long lines and many counters take, what comes back, and what happens where it ends."""

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


def read_an_endless_line() -> None:
    block = b"x" * 65_536
    counter = fed(block, b"\n")
    before = status_of_process("VmHWM")
    for _ in range(1600):
        counter.feed(block)
    assert counter.lines == 1
    growth = status_of_process("VmHWM") - before
    assert growth < 16 * MIB, f"{growth:,} bytes for one line"
    counter.feed(b"\n" + INTACT)
    counter.finish()
    assert (counter.lines, counter.malformed, counter.hits) == (3, 2, 1)
    assert counter.examples[1] == (2, b"x" * EXAMPLE_BYTES)


@pytest.mark.measures_memory
def test_a_line_of_a_hundred_megabytes_is_one_malformed_line_in_little_memory(run_alone: Callable[..., object]) -> None:
    run_alone(read_an_endless_line)


def use_and_drop(data: bytes) -> int:
    """Use a counter in every way that takes memory and return how large the process was then."""
    counter = HitTable()
    counter.feed(data)
    counter.feed(INTACT * 1000)
    drained = counter.drain()
    rows = drained.rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert len(drained) == 300_000
    counter.merge(fed(INTACT))
    with pytest.raises(TypeError):
        counter.feed(None)
    return status_of_process("VmRSS")


def drop_large_counters() -> None:
    data = distinct_lines(300_000)
    before = status_of_process("VmRSS")
    one = use_and_drop(data) - before
    assert one > 300_000 * 10
    for _ in range(2):
        use_and_drop(data)
    settled = status_of_process("VmRSS")
    for _ in range(20):
        use_and_drop(data)
    growth = status_of_process("VmRSS") - settled
    assert growth < one, f"{growth:,} bytes are left of twenty counters of {one:,}"


def drop_many_counters() -> None:
    block = b"x" * (LINE_BYTES - 1)

    def use_and_drop_some() -> None:
        for _ in range(50):
            counter = fed(INTACT, days={DAY})
            counter.count_only({DAY})
            counter.feed(block)
            assert counter.drain().lines == 0
            with pytest.raises(ValueError, match="itself"):
                counter.merge(counter)

    use_and_drop_some()
    settled = status_of_process("VmSize")
    for _ in range(10):
        use_and_drop_some()
    growth = status_of_process("VmSize") - settled
    assert growth < 50 * MIB, f"{growth:,} bytes are left of 500 counters"


@pytest.mark.measures_memory
@pytest.mark.parametrize("drop", [drop_large_counters, drop_many_counters])
def test_memory_comes_back_when_counters_go(run_alone: Callable[..., object], drop: Callable[[], None]) -> None:
    run_alone(drop)


def feed_until_memory_ends() -> None:
    other_lines = b"bad\n" + line(b"HEAD /a") + b"\n"
    data = b"".join(distinct_lines(1000, start=1000 * number) + other_lines for number in range(100))
    block_bytes = 65_500
    blocks = [memoryview(data)[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    counter = HitTable()
    with memory_limit(6 * MIB):
        failed_at = None
        for number, block in enumerate(blocks):
            try:
                counter.feed(block)
            except MemoryError:
                failed_at = number
                break
    assert failed_at is not None
    lines_fed = data.split(b"\n")
    done = counter.lines
    assert sum(map(len, lines_fed[:done])) + done >= block_bytes * failed_at - len(lines_fed[done]) - 1
    assert_balanced(counter)
    assert agrees(counter, reference.count(b"\n".join(lines_fed[:done]) + b"\n"))
    assert done < 100 * 1002
    counter.feed(b"\n".join(lines_fed[done:]))
    counter.finish()
    assert agrees(counter, reference.count(data))


@pytest.mark.measures_memory
def test_feed_without_memory_loses_no_line_before(run_alone: Callable[..., object]) -> None:
    run_alone(feed_until_memory_ends)


def add_until_memory_ends() -> None:
    paths = [b"/%d/" % number + b"p" * (number % 500) for number in range(200_000)]
    counter, added = HitTable(), 0
    with memory_limit(6 * MIB):
        try:
            for path in paths:
                counter.add(DAY, path, 2)
                added += 1
        except MemoryError:
            pass
    assert 0 < added < len(paths)
    assert list(counter.rows()) == [(DAY, path, 2) for path in paths[:added]]
    assert_every_line_in_a_bucket(counter)
    counter.add(DAY, paths[added], 2)
    assert list(counter.rows())[added:] == [(DAY, paths[added], 2)]


@pytest.mark.measures_memory
def test_add_without_memory_changes_nothing(run_alone: Callable[..., object]) -> None:
    run_alone(add_until_memory_ends)


def merge_until_memory_ends() -> None:
    counter, other = fed(distinct_lines(400_000)), HitTable()  # whose index has room for all, but not their paths
    for number in range(200_000):
        other.add(DAY, b"/other/%d/" % number + b"p" * 500, 1)
    own, others = views(counter), views(other)
    failed = False
    with memory_limit(4 * MIB):
        try:
            counter.merge(other)
        except MemoryError:
            failed = True
    assert failed
    assert own.items() <= views(counter).items() < {**own, **others}.items()
    assert list(other.rows()) == []
    counter.add(DAY, b"/0", 1)
    assert views(counter)[DAY, b"/0"] == 2


@pytest.mark.measures_memory
def test_merge_without_memory_leaves_both_usable(run_alone: Callable[..., object]) -> None:
    run_alone(merge_until_memory_ends)


def keep_a_partial_line_until_memory_ends() -> None:
    block = b"x" * (LINE_BYTES - 1)
    counters = [HitTable() for _ in range(40)]
    failures = 0
    with memory_limit(4 * MIB):
        for counter in counters:
            try:
                counter.feed(block)
            except MemoryError:
                failures += 1
    assert failures > 0
    for counter in counters:
        counter.feed(b"\n" + INTACT + b"\n")
        assert_balanced(counter)
        assert views(counter) == {(DAY, b"/intact"): 1}


@pytest.mark.measures_memory
def test_a_partial_line_without_memory_does_no_harm(run_alone: Callable[..., object]) -> None:
    run_alone(keep_a_partial_line_until_memory_ends)
