"""Rows of several hit tables: merged, and moved to hit tables that threads share."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules
from tests.core.support import DAY, assert_balanced, distinct_lines, fed, in_threads, views
from tests.support.strategies import DAYS

Rows = dict[tuple[date, bytes], int]

THREADS = [1, 2, 3, 7]
paths = st.one_of(st.sampled_from([b"", b"/", b"/a", b"/\xff"]), st.binary(max_size=40))
tables = st.lists(st.dictionaries(st.tuples(st.sampled_from(DAYS), paths), st.integers(0, 9), max_size=40), max_size=6)


def table_of(rows: Rows, threads: int = 1) -> HitTable:
    table = HitTable()
    table.threads = threads
    for (day, path), count in rows.items():
        table.add(day, path, count)
    return table


def total_of(found: list[Rows]) -> Counter[tuple[date, bytes]]:
    total = Counter[tuple[date, bytes]]()
    for rows in found:
        total.update(rows)
    return total


def many_rows(number: int, seed: int) -> Rows:
    """Return rows. Half of them are the same for every seed."""
    chance = random.Random(seed)
    names = [b"/%d" % at if at % 2 else b"/%d/%d" % (seed, at) for at in range(number)]
    chance.shuffle(names)
    return {(DAYS[at % len(DAYS)], name): at % 5 for at, name in enumerate(sorted(names), seed)}


def csv_of(table: HitTable) -> bytes:
    return b"".join(lines for _, lines, _ in table.csv())


@given(tables, st.sampled_from(THREADS))
def test_any_tables_are_merged(found: list[Rows], threads: int) -> None:
    first, *others = [table_of(rows, threads) for rows in [{}, *found]]
    first.merge(*others)
    expected = total_of(found)
    assert views(first) == expected
    assert len(first) == len(expected)
    assert list(first.sorted_rows()) == sorted((day, path, count) for (day, path), count in expected.items() if count)
    assert all(not list(other.rows()) and len(other) == 0 for other in others)
    for (day, path), count in expected.items():  # the table finds each row again
        first.add(day, path, count)
    first.merge(table_of(expected))
    assert views(first) == {row: 3 * count for row, count in expected.items()}


@pytest.mark.parametrize("threads", THREADS)
def test_many_rows_are_merged_and_sorted_by_several_threads(threads: int) -> None:
    found = [many_rows(40_000, seed) for seed in range(3)]
    first, *others = [table_of(rows, threads) for rows in found]
    first.merge(*others)
    expected = total_of(found)
    assert views(first) == expected
    assert len(first) == len(expected)
    assert list(first.sorted_rows()) == sorted((day, path, count) for (day, path), count in expected.items() if count)
    lines = csv_of(first)
    assert lines == csv_of(table_of(expected))


def test_merged_rows_of_the_same_path_come_once_from_every_iterator() -> None:
    """The bytes of dead rows stay in the table, but no iterator yields them."""
    first, second = fed(distinct_lines(50_000)), fed(distinct_lines(50_000, start=25_000))
    first.merge(second)
    assert len(list(first.rows())) == len(first) == 75_000
    assert sum(number for *_, number in first.csv()) == 75_000
    assert first.views_by_day() == {DAY: 100_000}
    another = fed(distinct_lines(10))
    another.merge(first)
    assert len(list(another.rows())) == len(another) == 75_000
    more = fed(distinct_lines(400_000))
    more.merge(another)  # row by row, because there are few rows
    assert len(more) == 400_000
    assert more.views_by_day() == {DAY: 500_010}
    more.feed(distinct_lines(400_000))
    assert len(list(more.drain().rows())) == 400_000


@pytest.mark.parametrize("threads", THREADS)
def test_the_lines_of_csv_are_the_same_by_any_number_of_threads(threads: int) -> None:
    rows = {(DAYS[0], b"/%d" % at): 1 + at % 3 for at in range(30_000)}
    rows |= {(day, b"/" + b"x" * (at % 3000)): at + 1 for day in DAYS for at in range(1000)}
    rows |= {(DAYS[1], b'/"' * 40_000 + b"%d" % at): 2 for at in range(100)}
    assert csv_of(table_of(rows, threads)) == csv_of(table_of(rows))


def test_the_figures_are_moved_with_the_rows() -> None:
    others = [fed(distinct_lines(10) + b"bad\n", b"worse\n", days={DAY}) for _ in range(3)]
    total = fed(b"bad\n")
    total.merge(*others)
    total.merge()
    assert (total.lines, total.hits, total.malformed, len(total)) == (37, 30, 7, 10)
    assert total.days_seen == {DAY}
    assert_balanced(total)
    assert [other.lines for other in others] == [0, 0, 0]


def test_tables_of_bots_and_referers_are_merged_too() -> None:
    rules = LineRules(apart=True, verdict=lambda _: 2, referers={"sites": lambda _: b"x"})
    several = [HitTable(rules=rules) for _ in range(3)]
    for table in several:
        assert table.bots is not None
        table.bots.add(DAY, b"/bot", 2)
        table.by_referer["sites"].add(DAY, b"/\nx", 3)
    several[0].threads = 2
    several[0].merge(*several[1:])
    assert several[0].bots is not None
    assert (several[0].bots.threads, several[0].by_referer["sites"].threads) == (2, 2)
    assert views(several[0].bots) == {(DAY, b"/bot"): 6}
    assert views(several[0].by_referer["sites"]) == {(DAY, b"/\nx"): 9}


def test_a_refused_merge_changes_nothing() -> None:
    table, other = fed(distinct_lines(5)), fed(distinct_lines(5))
    for wrong in ((table,), (other, table), (other, other)):
        with pytest.raises(ValueError, match="itself"):
            table.merge(*wrong)
    with pytest.raises(TypeError):
        table.merge(other, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one thread"):
        table.threads = 0
    table.threads = 10_000
    assert table.threads < 100
    assert (len(table), len(other)) == (5, 5)


@given(st.dictionaries(st.tuples(st.sampled_from(DAYS), paths), st.integers(0, 9), max_size=60), st.integers(2, 9))
def test_rows_are_moved_to_the_part_of_their_hash(rows: Rows, number: int) -> None:
    table, shards = table_of(rows), [HitTable() for _ in range(number)]
    for _ in range(2):
        table.spill(shards)
        assert (len(table), list(table.rows()), table.views_by_day()) == (0, [], {})
        for (day, path), count in rows.items():
            table.add(day, path, count)
    table.spill(shards)
    assert sum(map(len, shards)) == len(rows)
    assert len(set().union(*map(views, shards))) == len(rows)
    first, *others = shards
    first.merge(*others)
    assert views(first) == {row: 3 * count for row, count in rows.items()}


def test_several_threads_move_rows_to_the_same_parts() -> None:
    shards = [HitTable() for _ in range(8)]
    tables = [HitTable() for _ in range(4)]

    def fill(table: HitTable) -> None:
        for at in range(12):
            table.feed(distinct_lines(4000, start=3000 * at))
            table.spill(shards)

    in_threads(*(lambda table=table: fill(table) for table in tables))
    total = tables[0]
    total.threads = 4
    total.merge(*tables[1:], *shards)
    assert total.hits == sum(views(total).values()) == 4 * 12 * 4000
    assert len(total) == 37_000
    assert set(views(total).values()) == {4, 8}


@pytest.mark.parametrize("number", [0, 1, 257])
def test_the_number_of_parts_has_limits(number: int) -> None:
    table = fed(distinct_lines(10))
    with pytest.raises(ValueError, match="2 to 256"):
        table.spill([HitTable() for _ in range(number)])
    with pytest.raises(ValueError, match="the same hit table"):
        table.spill([HitTable(), table])
    with pytest.raises(ValueError, match="other hit tables"):
        table.spill([HitTable(), None])  # type: ignore[list-item]
    assert len(table) == 10


OTHER_ROWS: dict[str, Callable[[HitTable], object]] = {
    "feed": lambda shard: shard.feed(distinct_lines(200)),
    "finish": lambda shard: (shard.feed(distinct_lines(200)[:-1]), shard.finish()),
    "add": lambda shard: [shard.add(DAY, b"/%d" % at, 1) for at in range(200)],
    "load": lambda shard: [shard.load(piece) for _, piece in fed(distinct_lines(200)).dump()],
    "merge": lambda shard: shard.merge(fed(distinct_lines(200))),
    "spill": lambda shard: fed(distinct_lines(200)).spill([shard, HitTable()]),
    "spill to another place": lambda shard: fed(distinct_lines(200)).spill([HitTable(), HitTable(), shard]),
}


@pytest.mark.parametrize("change", OTHER_ROWS.values(), ids=OTHER_ROWS)
def test_parts_that_got_other_rows_are_merged_row_by_row(change: Callable[[HitTable], object]) -> None:
    shards = [HitTable() for _ in range(3)]
    fed(distinct_lines(200)).spill(shards)
    before = sum(sum(views(shard).values()) for shard in shards)
    for shard in shards:
        change(shard)
    total = HitTable()
    total.merge(*shards)
    assert len(views(total)) == 200
    assert sum(views(total).values()) > before


def test_escaped_paths_of_parts_are_one_row() -> None:
    shards = [HitTable() for _ in range(64)]
    table = HitTable()
    for path in (b"/\xe9", rb"/\xe9"):
        table.add(DAY, path, 1)
    table.spill(shards)
    for shard in shards:
        shard.escape()
    shards[0].merge(*shards[1:])
    assert views(shards[0]) == {(DAY, rb"/\xe9"): 2}
