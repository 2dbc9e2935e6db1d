"""Rows: added, merged, drained, read, and as many as there may be."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable
from tests.core.support import (
    DAY,
    INTACT,
    assert_balanced,
    assert_every_line_in_a_bucket,
    distinct_lines,
    fed,
    line,
    state,
    views,
)
from tests.support import reference
from tests.support.strategies import DAYS, logs, write_time


@given(logs(ended=True), logs())
def test_counts_of_two_logs_merge_to_those_of_both_in_one(first: bytes, second: bytes) -> None:
    counter, other = fed(first), fed(second)
    counter.merge(other)
    both = fed(first + second)
    assert views(counter) == views(both)
    assert [row[:2] for row in counter.rows()] == [row[:2] for row in both.rows()]
    assert state(counter)[2] == state(both)[2]
    assert counter.days_seen == both.days_seen
    assert counter.examples == fed(first).examples
    assert (len(other), other.lines) == (0, 0)


@given(st.lists(logs(ended=True), max_size=4))
def test_drained_rows_add_up_to_all_rows(parts: list[bytes]) -> None:
    counter, drained = HitTable(), HitTable()
    for part in parts:
        counter.feed(part)
        drained.merge(counter.drain())
    assert views(drained) == reference.count(b"".join(parts)).views
    assert len(counter) == 0
    assert counter.hits == sum(views(drained).values())


@given(logs(), st.integers(0, 4))
def test_max_paths_keeps_the_first_rows_and_counts_the_rest_as_dropped(data: bytes, bound: int) -> None:
    counter = fed(data, max_paths=bound)
    kept = list(dict.fromkeys(reference.hits(data)))[:bound]
    expected = reference.count(data)
    assert views(counter) == {row: expected.views[row] for row in kept}
    assert [row[:2] for row in counter.rows()] == kept
    assert counter.hits == expected.hits
    assert counter.dropped == expected.hits - sum(expected.views[row] for row in kept)
    assert_balanced(counter)


def test_max_paths_may_change_at_any_time() -> None:
    counter = HitTable(max_paths=1)
    assert counter.max_paths == 1
    a, b, c = (line(b"GET /%b" % name) + b"\n" for name in (b"a", b"b", b"c"))
    counter.feed(a + b + a)
    assert (len(counter), counter.hits, counter.dropped) == (1, 3, 1)
    counter.max_paths = 2
    counter.feed(b + c)
    assert (len(counter), counter.hits, counter.dropped) == (2, 5, 2)
    counter.max_paths = 0
    counter.feed(a + b + c)
    assert views(counter) == {(DAY, b"/a"): 3, (DAY, b"/b"): 2}
    assert (counter.hits, counter.dropped) == (8, 3)
    counter.max_paths = None
    assert counter.max_paths is None
    counter.feed(c)
    assert len(counter) == 3
    assert_balanced(counter)


def test_max_paths_is_a_bound_on_rows_so_a_path_of_another_day_needs_room() -> None:
    counter = fed(line() + b"\n" + line(time=write_time(DAYS[2])), max_paths=1)
    assert views(counter) == {(DAY, b"/a"): 1}
    assert counter.dropped == 1


def test_drain_makes_room_under_max_paths() -> None:
    counter = HitTable(max_paths=1)
    counter.feed(distinct_lines(2))
    assert list(counter.drain().rows()) == [(DAY, b"/0", 1)]
    counter.feed(distinct_lines(2, start=1))
    assert list(counter.rows()) == [(DAY, b"/1", 1)]
    assert (counter.hits, counter.dropped) == (4, 2)


def test_memory_is_that_of_the_rows_and_goes_with_them() -> None:
    counter = HitTable()
    assert counter.memory == 0
    counter.add(DAY, b"/" * 8, 1)
    counter.add(DAY, b"/" * 8, 1)
    assert counter.memory == 24 + 8
    counter.add(DAY, b"/" * 1001, 1)
    assert counter.memory == 24 + 8 + 24 + 1008
    drained = counter.drain()
    assert (counter.memory, drained.memory) == (0, 1064)


def test_max_paths_bounds_add_and_merge_too() -> None:
    counter = HitTable(max_paths=2)
    counter.add(DAY, b"/a", 5)
    other = HitTable()
    for name, count in ((b"/b", 2), (b"/c", 3), (b"/a", 4)):
        other.add(DAY, name, count)
    counter.merge(other)
    assert views(counter) == {(DAY, b"/a"): 9, (DAY, b"/b"): 2}
    assert (counter.dropped, len(counter)) == (3, 2)
    counter.add(DAY, b"/d", 7)
    counter.add(DAY, b"/b", 1)
    assert (counter.dropped, len(counter)) == (10, 2)


def test_merge_adds_what_the_other_dropped() -> None:
    counter, other = fed(INTACT), fed(distinct_lines(3), max_paths=1)
    counter.merge(other)
    assert (counter.hits, counter.dropped, len(counter)) == (4, 2, 2)
    assert_balanced(counter)


def test_add_changes_rows_and_no_bucket() -> None:
    counter = HitTable()
    counter.add(DAY, b"/a", 3)
    counter.add(DAY, b"/a", 4)
    counter.add(DAYS[2], b"/a", 1)
    counter.feed(line() + b"\n")
    assert list(counter.rows()) == [(DAY, b"/a", 8), (DAYS[2], b"/a", 1)]
    assert (counter.lines, counter.hits, counter.filtered) == (1, 1, {})
    assert_every_line_in_a_bucket(counter)
    assert counter.days_seen == {DAY}


@pytest.mark.parametrize("path", [b"", b"/", b"/a?b", b"\0", b"/a\0b", b"\n", b"\xff" * 70_000], ids=range(7))
def test_add_takes_any_path(path: bytes) -> None:
    counter = HitTable()
    counter.add(DAY, path, 1)
    counter.add(DAY, path + b"x", 1)
    counter.add(DAY, path, 1)
    assert list(counter.rows()) == [(DAY, path, 2), (DAY, path + b"x", 1)]


def test_paths_that_differ_behind_a_nul_are_two() -> None:
    counter = fed(line(b"GET /a\0b") + b"\n" + line(b"GET /a\0c") + b"\n" + line(b"GET /a\0") + b"\n" + line(b"GET /a"))
    assert [path for _, path, _ in counter.rows()] == [b"/a\0b", b"/a\0c", b"/a\0", b"/a"]


def test_counts_pass_four_billion() -> None:
    counter = HitTable()
    counter.add(DAY, b"/a", 2**32 - 1)
    counter.feed(line() + b"\n" + line() + b"\n")
    assert list(counter.rows()) == [(DAY, b"/a", 2**32 + 1)]
    counter.add(DAY, b"/a", 2**40)
    other = fed(line() + b"\n")
    other.add(DAY, b"/a", 2**40)
    other.merge(counter)
    assert list(other.drain().rows()) == [(DAY, b"/a", 2 * 2**40 + 2**32 + 2)]
    assert (other.lines, other.hits) == (3, 3)


def test_drain_takes_the_rows_and_leaves_the_rest() -> None:
    counter = HitTable()
    counter.feed(distinct_lines(3) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT[:60])
    buckets = state(counter)[2]
    drained = counter.drain()
    assert list(drained.rows()) == [(DAY, b"/%d" % number, 1) for number in range(3)]
    assert (drained.lines, drained.hits, drained.filtered, drained.malformed) == (0, 0, {}, 0)
    assert len(counter) == 0
    assert list(counter.rows()) == []
    assert state(counter)[2] == buckets
    assert counter.examples == [(4, b"bad")]
    counter.feed(INTACT[60:] + b"\n" + distinct_lines(1))
    assert list(counter.rows()) == [(DAY, b"/intact", 1), (DAY, b"/0", 1)]
    assert (counter.lines, counter.hits) == (7, 5)
    assert len(drained) == 3


def test_drain_of_an_empty_counter_is_empty() -> None:
    counter = HitTable()
    assert state(counter.drain()) == state(counter) == state(HitTable())


def test_a_drained_counter_counts_on_by_itself() -> None:
    counter = fed(distinct_lines(1))
    drained = counter.drain()
    drained.feed(distinct_lines(2))
    drained.add(DAY, b"/0", 5)
    assert views(drained) == {(DAY, b"/0"): 7, (DAY, b"/1"): 1}
    assert len(counter) == 0


def test_rows_come_in_the_order_in_which_they_were_first_seen() -> None:
    names = [b"/%d" % (number * 7919 % 5000) for number in range(5000)]
    counter = fed(b"\n".join(line(b"GET " + name) for name in names + names[::-1]))
    assert list(counter.rows()) == [(DAY, name, 2) for name in names]


def test_merge_keeps_own_rows_first_and_appends_those_of_the_other_in_their_order() -> None:
    counter, other = fed(distinct_lines(3)), fed(distinct_lines(2, start=8) + distinct_lines(3, start=1))
    counter.merge(other)
    assert [(path, count) for _, path, count in counter.rows()] == [
        *((b"/0", 1), (b"/1", 2), (b"/2", 2), (b"/8", 1), (b"/9", 1), (b"/3", 1)),
    ]


def test_merge_leaves_the_other_empty_but_for_its_partial_line_and_examples() -> None:
    counter, other = HitTable(), HitTable()
    counter.feed(INTACT[:40])
    other.feed(distinct_lines(2) + b"bad\n" + INTACT[:60])
    before = state(other)
    counter.merge(other)
    assert state(counter)[:3] == before[:3]
    assert counter.examples == []
    assert (other.lines, other.hits, other.malformed, len(other), other.memory) == (0, 0, 0, 0, 0)
    assert other.examples == [(3, b"bad")]
    other.feed(INTACT[60:] + b"\n")
    counter.feed(INTACT[40:] + b"\n")
    assert views(other) == {(DAY, b"/intact"): 1}
    assert views(counter)[DAY, b"/intact"] == 1


def test_rows_of_a_counter_that_was_merged_are_not_read_on() -> None:
    other = fed(distinct_lines(10))
    rows = other.rows()
    next(rows)
    HitTable().merge(other)
    with pytest.raises(RuntimeError, match="taken"):
        next(rows)


def test_merge_with_itself_is_refused_and_changes_nothing() -> None:
    counter = fed(distinct_lines(1000) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT)
    before = state(counter)
    with pytest.raises(ValueError, match="itself"):
        counter.merge(counter)
    assert state(counter) == before
    counter.merge(fed(INTACT))
    assert views(counter)[DAY, b"/intact"] == 2


def test_merge_of_an_empty_counter_changes_nothing() -> None:
    counter = fed(distinct_lines(3) + b"bad\n")
    before = state(counter)
    counter.merge(HitTable())
    assert state(counter) == before


def test_merge_of_many_rows_loses_none() -> None:
    counter, other = fed(distinct_lines(60_000)), fed(distinct_lines(60_000, start=30_000))
    counter.merge(other)
    assert views(counter) == {(DAY, b"/%d" % n): 1 + (30_000 <= n < 60_000) for n in range(90_000)}
    assert counter.hits == counter.lines == 120_000


def test_table_grows_to_many_paths_and_finds_them_again() -> None:
    data = distinct_lines(200_000)
    counter = HitTable()
    counter.feed(data)
    assert list(counter.rows()) == [(DAY, b"/%d" % number, 1) for number in range(200_000)]
    counter.feed(data)
    assert len(counter) == 200_000
    assert {count for _, _, count in counter.rows()} == {2}
    assert counter.hits == 400_000


def test_long_and_short_paths_share_a_table() -> None:
    names = [b"/" + b"x" * size for size in range(0, 20_000, 13)]
    counter = fed(b"\n".join(line(b"GET " + name) for name in names))
    assert [path for _, path, _ in counter.rows()] == names


@pytest.mark.parametrize("size", range(1, 50, 8))
def test_tables_filled_to_the_brim_lose_no_row(size: int) -> None:
    for first in range(0, 96, 8):
        counter = HitTable()
        paths = [b"/" * first, *(b"%0*d" % (size + 4, number) for number in range(2500))]
        for path in paths:
            counter.add(DAY, path, 1)
        assert [path for _, path, _ in counter.rows()] == paths


def test_rows_outlive_the_name_of_their_counter() -> None:
    rows = fed(distinct_lines(1000)).rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert [path for _, path, _ in rows] == [b"/%d" % number for number in range(1, 1000)]


CHANGES = {
    "feed": lambda counter: counter.feed(distinct_lines(50_000)),
    "add": lambda counter: [counter.add(DAY, b"/new" * number, 1) for number in range(1, 1000)],
    "merge": lambda counter: counter.merge(fed(distinct_lines(50_000))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rows_go_on_while_the_table_grows(change: Callable[[HitTable], object]) -> None:
    counter = fed(distinct_lines(1000))
    rows = counter.rows()
    seen = [next(rows)]
    change(counter)
    seen += rows
    assert [path for _, path, _ in seen[:1000]] == [b"/%d" % number for number in range(1000)]
    assert seen[1:] == list(counter.rows())[1:]


def test_rows_that_were_drained_end_with_an_error() -> None:
    counter = fed(distinct_lines(3))
    rows = counter.rows()
    assert next(rows) == (DAY, b"/0", 1)
    drained = counter.drain()
    with pytest.raises(RuntimeError):
        next(rows)
    assert len(list(drained.rows())) == 3
