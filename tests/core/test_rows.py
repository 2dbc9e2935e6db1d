"""Rows: added, merged, drained, read, and limited by `max_paths`."""

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
def test_merged_counts_of_two_logs_equal_the_counts_of_both_in_one(first: bytes, second: bytes) -> None:
    hit_table, other = fed(first), fed(second)
    hit_table.merge(other)
    both = fed(first + second)
    assert views(hit_table) == views(both)
    assert [row[:2] for row in hit_table.rows()] == [row[:2] for row in both.rows()]
    assert state(hit_table)[2] == state(both)[2]
    assert hit_table.days_seen == both.days_seen
    assert hit_table.examples == fed(first).examples
    assert (len(other), other.lines) == (0, 0)


@given(st.lists(logs(ended=True), max_size=4))
def test_drained_rows_add_up_to_all_rows(parts: list[bytes]) -> None:
    hit_table, drained = HitTable(), HitTable()
    for part in parts:
        hit_table.feed(part)
        drained.merge(hit_table.drain())
    assert views(drained) == reference.count(b"".join(parts)).views
    assert len(hit_table) == 0
    assert hit_table.hits == sum(views(drained).values())


@given(logs(), st.integers(0, 4))
def test_max_paths_keeps_the_first_rows_and_counts_the_rest_as_dropped(data: bytes, bound: int) -> None:
    hit_table = fed(data, max_paths=bound)
    kept = list(dict.fromkeys(reference.hits(data)))[:bound]
    expected = reference.count(data)
    assert views(hit_table) == {row: expected.views[row] for row in kept}
    assert [row[:2] for row in hit_table.rows()] == kept
    assert hit_table.hits == expected.hits
    assert hit_table.dropped == expected.hits - sum(expected.views[row] for row in kept)
    assert_balanced(hit_table)


def test_max_paths_may_change_at_any_time() -> None:
    hit_table = HitTable(max_paths=1)
    assert hit_table.max_paths == 1
    a, b, c = (line(b"GET /%b" % name) + b"\n" for name in (b"a", b"b", b"c"))
    hit_table.feed(a + b + a)
    assert (len(hit_table), hit_table.hits, hit_table.dropped) == (1, 3, 1)
    hit_table.max_paths = 2
    hit_table.feed(b + c)
    assert (len(hit_table), hit_table.hits, hit_table.dropped) == (2, 5, 2)
    hit_table.max_paths = 0
    hit_table.feed(a + b + c)
    assert views(hit_table) == {(DAY, b"/a"): 3, (DAY, b"/b"): 2}
    assert (hit_table.hits, hit_table.dropped) == (8, 3)
    hit_table.max_paths = None
    assert hit_table.max_paths is None
    hit_table.feed(c)
    assert len(hit_table) == 3
    assert_balanced(hit_table)


def test_max_paths_limits_rows_so_a_path_of_another_day_needs_another() -> None:
    hit_table = fed(line() + b"\n" + line(time=write_time(DAYS[2])), max_paths=1)
    assert views(hit_table) == {(DAY, b"/a"): 1}
    assert hit_table.dropped == 1


def test_drain_makes_room_under_max_paths() -> None:
    hit_table = HitTable(max_paths=1)
    hit_table.feed(distinct_lines(2))
    assert list(hit_table.drain().rows()) == [(DAY, b"/0", 1)]
    hit_table.feed(distinct_lines(2, start=1))
    assert list(hit_table.rows()) == [(DAY, b"/1", 1)]
    assert (hit_table.hits, hit_table.dropped) == (4, 2)


def test_memory_grows_with_rows_and_is_freed_with_them() -> None:
    hit_table = HitTable()
    assert hit_table.memory == 0
    hit_table.add(DAY, b"/" * 8, 1)
    hit_table.add(DAY, b"/" * 8, 1)
    assert hit_table.memory == 24 + 8
    hit_table.add(DAY, b"/" * 1001, 1)
    assert hit_table.memory == 24 + 8 + 24 + 1008
    drained = hit_table.drain()
    assert (hit_table.memory, drained.memory) == (0, 1064)


def test_max_paths_limits_add_and_merge_too() -> None:
    hit_table = HitTable(max_paths=2)
    hit_table.add(DAY, b"/a", 5)
    other = HitTable()
    for name, count in ((b"/b", 2), (b"/c", 3), (b"/a", 4)):
        other.add(DAY, name, count)
    hit_table.merge(other)
    assert views(hit_table) == {(DAY, b"/a"): 9, (DAY, b"/b"): 2}
    assert (hit_table.dropped, len(hit_table)) == (3, 2)
    hit_table.add(DAY, b"/d", 7)
    hit_table.add(DAY, b"/b", 1)
    assert (hit_table.dropped, len(hit_table)) == (10, 2)


def test_merge_adds_the_dropped_hits_of_the_other_table() -> None:
    hit_table, other = fed(INTACT), fed(distinct_lines(3), max_paths=1)
    hit_table.merge(other)
    assert (hit_table.hits, hit_table.dropped, len(hit_table)) == (4, 2, 2)
    assert_balanced(hit_table)


def test_add_changes_rows_but_no_bucket() -> None:
    hit_table = HitTable()
    hit_table.add(DAY, b"/a", 3)
    hit_table.add(DAY, b"/a", 4)
    hit_table.add(DAYS[2], b"/a", 1)
    hit_table.feed(line() + b"\n")
    assert list(hit_table.rows()) == [(DAY, b"/a", 8), (DAYS[2], b"/a", 1)]
    assert (hit_table.lines, hit_table.hits, hit_table.filtered) == (1, 1, {})
    assert_every_line_in_a_bucket(hit_table)
    assert hit_table.days_seen == {DAY}


@pytest.mark.parametrize("path", [b"", b"/", b"/a?b", b"\0", b"/a\0b", b"\n", b"\xff" * 70_000], ids=range(7))
def test_add_takes_any_path(path: bytes) -> None:
    hit_table = HitTable()
    hit_table.add(DAY, path, 1)
    hit_table.add(DAY, path + b"x", 1)
    hit_table.add(DAY, path, 1)
    assert list(hit_table.rows()) == [(DAY, path, 2), (DAY, path + b"x", 1)]


def test_paths_that_differ_after_a_nul_are_different_paths() -> None:
    hit_table = fed(
        line(b"GET /a\0b") + b"\n" + line(b"GET /a\0c") + b"\n" + line(b"GET /a\0") + b"\n" + line(b"GET /a")
    )
    assert [path for _, path, _ in hit_table.rows()] == [b"/a\0b", b"/a\0c", b"/a\0", b"/a"]


def test_views_may_exceed_four_billion() -> None:
    hit_table = HitTable()
    hit_table.add(DAY, b"/a", 2**32 - 1)
    hit_table.feed(line() + b"\n" + line() + b"\n")
    assert list(hit_table.rows()) == [(DAY, b"/a", 2**32 + 1)]
    hit_table.add(DAY, b"/a", 2**40)
    other = fed(line() + b"\n")
    other.add(DAY, b"/a", 2**40)
    other.merge(hit_table)
    assert list(other.drain().rows()) == [(DAY, b"/a", 2 * 2**40 + 2**32 + 2)]
    assert (other.lines, other.hits) == (3, 3)


def test_drain_moves_the_rows_and_leaves_everything_else() -> None:
    hit_table = HitTable()
    hit_table.feed(distinct_lines(3) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT[:60])
    buckets = state(hit_table)[2]
    drained = hit_table.drain()
    assert list(drained.rows()) == [(DAY, b"/%d" % number, 1) for number in range(3)]
    assert (drained.lines, drained.hits, drained.filtered, drained.malformed) == (0, 0, {}, 0)
    assert len(hit_table) == 0
    assert list(hit_table.rows()) == []
    assert state(hit_table)[2] == buckets
    assert hit_table.examples == [(4, b"bad")]
    hit_table.feed(INTACT[60:] + b"\n" + distinct_lines(1))
    assert list(hit_table.rows()) == [(DAY, b"/intact", 1), (DAY, b"/0", 1)]
    assert (hit_table.lines, hit_table.hits) == (7, 5)
    assert len(drained) == 3


def test_drain_of_an_empty_hit_table_is_empty() -> None:
    hit_table = HitTable()
    assert state(hit_table.drain()) == state(hit_table) == state(HitTable())


def test_a_drained_hit_table_can_count_further_lines() -> None:
    hit_table = fed(distinct_lines(1))
    drained = hit_table.drain()
    drained.feed(distinct_lines(2))
    drained.add(DAY, b"/0", 5)
    assert views(drained) == {(DAY, b"/0"): 7, (DAY, b"/1"): 1}
    assert len(hit_table) == 0


def test_rows_come_in_the_order_first_seen() -> None:
    names = [b"/%d" % (number * 7919 % 5000) for number in range(5000)]
    hit_table = fed(b"\n".join(line(b"GET " + name) for name in names + names[::-1]))
    assert list(hit_table.rows()) == [(DAY, name, 2) for name in names]


def test_merge_keeps_own_rows_first_and_appends_those_of_the_other_in_their_order() -> None:
    hit_table, other = fed(distinct_lines(3)), fed(distinct_lines(2, start=8) + distinct_lines(3, start=1))
    hit_table.merge(other)
    assert [(path, count) for _, path, count in hit_table.rows()] == [
        *((b"/0", 1), (b"/1", 2), (b"/2", 2), (b"/8", 1), (b"/9", 1), (b"/3", 1)),
    ]


def test_merge_leaves_the_other_table_its_unfinished_line_and_examples() -> None:
    hit_table, other = HitTable(), HitTable()
    hit_table.feed(INTACT[:40])
    other.feed(distinct_lines(2) + b"bad\n" + INTACT[:60])
    before = state(other)
    hit_table.merge(other)
    assert state(hit_table)[:3] == before[:3]
    assert hit_table.examples == []
    assert (other.lines, other.hits, other.malformed, len(other), other.memory) == (0, 0, 0, 0, 0)
    assert other.examples == [(3, b"bad")]
    other.feed(INTACT[60:] + b"\n")
    hit_table.feed(INTACT[40:] + b"\n")
    assert views(other) == {(DAY, b"/intact"): 1}
    assert views(hit_table)[DAY, b"/intact"] == 1


def test_an_iterator_of_a_merged_hit_table_raises() -> None:
    other = fed(distinct_lines(10))
    rows = other.rows()
    next(rows)
    HitTable().merge(other)
    with pytest.raises(RuntimeError, match="removed"):
        next(rows)


def test_merge_with_itself_is_refused_and_changes_nothing() -> None:
    hit_table = fed(distinct_lines(1000) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT)
    before = state(hit_table)
    with pytest.raises(ValueError, match="itself"):
        hit_table.merge(hit_table)
    assert state(hit_table) == before
    hit_table.merge(fed(INTACT))
    assert views(hit_table)[DAY, b"/intact"] == 2


def test_merging_an_empty_hit_table_changes_nothing() -> None:
    hit_table = fed(distinct_lines(3) + b"bad\n")
    before = state(hit_table)
    hit_table.merge(HitTable())
    assert state(hit_table) == before


def test_merging_many_rows_loses_no_row() -> None:
    hit_table, other = fed(distinct_lines(60_000)), fed(distinct_lines(60_000, start=30_000))
    hit_table.merge(other)
    assert views(hit_table) == {(DAY, b"/%d" % n): 1 + (30_000 <= n < 60_000) for n in range(90_000)}
    assert hit_table.hits == hit_table.lines == 120_000


def test_the_table_grows_to_many_paths_and_finds_them() -> None:
    data = distinct_lines(200_000)
    hit_table = HitTable()
    hit_table.feed(data)
    assert list(hit_table.rows()) == [(DAY, b"/%d" % number, 1) for number in range(200_000)]
    hit_table.feed(data)
    assert len(hit_table) == 200_000
    assert {count for _, _, count in hit_table.rows()} == {2}
    assert hit_table.hits == 400_000


def test_long_and_short_paths_share_a_table() -> None:
    names = [b"/" + b"x" * size for size in range(0, 20_000, 13)]
    hit_table = fed(b"\n".join(line(b"GET " + name) for name in names))
    assert [path for _, path, _ in hit_table.rows()] == names


@pytest.mark.parametrize("size", range(1, 50, 8))
def test_full_tables_lose_no_row(size: int) -> None:
    for first in range(0, 96, 8):
        hit_table = HitTable()
        paths = [b"/" * first, *(b"%0*d" % (size + 4, number) for number in range(2500))]
        for path in paths:
            hit_table.add(DAY, path, 1)
        assert [path for _, path, _ in hit_table.rows()] == paths


def test_an_iterator_of_rows_keeps_its_hit_table_alive() -> None:
    rows = fed(distinct_lines(1000)).rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert [path for _, path, _ in rows] == [b"/%d" % number for number in range(1, 1000)]


CHANGES = {
    "feed": lambda hit_table: hit_table.feed(distinct_lines(50_000)),
    "add": lambda hit_table: [hit_table.add(DAY, b"/new" * number, 1) for number in range(1, 1000)],
    "merge": lambda hit_table: hit_table.merge(fed(distinct_lines(50_000))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_iterator_of_rows_goes_on_while_the_table_grows(change: Callable[[HitTable], object]) -> None:
    hit_table = fed(distinct_lines(1000))
    rows = hit_table.rows()
    seen = [next(rows)]
    change(hit_table)
    seen += rows
    assert [path for _, path, _ in seen[:1000]] == [b"/%d" % number for number in range(1000)]
    assert seen[1:] == list(hit_table.rows())[1:]


def test_an_iterator_raises_after_its_rows_were_drained() -> None:
    hit_table = fed(distinct_lines(3))
    rows = hit_table.rows()
    assert next(rows) == (DAY, b"/0", 1)
    drained = hit_table.drain()
    with pytest.raises(RuntimeError):
        next(rows)
    assert len(list(drained.rows())) == 3
