"""Rows in order, as CSV, escaped, and in shares that fit into bounded memory, against sorted(), csv and codecs."""

import csv
import io
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, WHOLE, HitTable
from tests.core.support import (
    DAY,
    INTACT,
    MIB,
    agrees,
    assert_every_line_in_a_bucket,
    distinct_lines,
    fed,
    line,
    memory_limit,
    status_of_process,
    views,
)
from tests.support import reference
from tests.support.strategies import DAYS, day_sets, logs

Rows = dict[tuple[date, bytes], int]

csv.field_size_limit(4 * LINE_BYTES)


def filled(rows: Rows) -> HitTable:
    """Return a counter that has *rows*."""
    counter = HitTable()
    for (day, path), count in rows.items():
        counter.add(day, path, count)
    return counter


def in_csv_order(rows: Rows) -> list[tuple[date, bytes, int]]:
    found = [(day, path, count) for (day, path), count in rows.items() if count]
    return sorted(found, key=lambda row: (row[0], -row[2], row[1]))


def as_csv(day: date, path: bytes, count: int) -> bytes:
    """Return a line by RFC 4180, but for its end, with nothing that a spreadsheet would calculate."""
    if re.match(rb"'*[=+\-@\t\r]", path) and len(path) > 1:
        path = b"'" + path
    if any(special in path for special in (b'"', b",", b"\r", b"\n")):
        path = b'"' + path.replace(b'"', b'""') + b'"'
    return b"%b,%b,%d\n" % (str(day).encode(), path, count)


def assert_in_order(rows: Rows) -> None:
    """Fail unless `sorted_rows` and `csv` give *rows* as sorted() and the module csv understand them."""
    counter = filled(rows)
    expected = in_csv_order(rows)
    assert list(counter.sorted_rows()) == sorted((day, path, count) for day, path, count in expected)
    blocks = list(counter.csv())
    assert b"".join(lines for _, lines, _ in blocks) == b"".join(as_csv(*row) for row in expected)
    for day, lines, number in blocks:
        read = list(csv.reader(io.StringIO(lines.decode("latin-1"), newline="")))
        assert len(read) == number > 0
        assert {row[0] for row in read} == {str(day)}
    text = b"".join(lines for _, lines, _ in blocks).decode("latin-1")
    read = [
        (date.fromisoformat(day), re.sub(rb"^'(?='*[=+\-@\t\r])", b"", path.encode("latin-1")), int(count))
        for day, path, count in csv.reader(io.StringIO(text, newline=""))
    ]
    assert read == expected
    assert views(counter) == rows


ALPHABET = [b"\0", b"\1", b"a", b"=", b"'", b"b", b'"', b",", b"\r", b"\n", b" ", b"\x7f", b"\x80", b"\xff"]
tails = st.lists(st.sampled_from(ALPHABET), max_size=9).map(b"".join)
prefixes = st.builds(
    lambda unit, size: (unit * 32)[:size],
    st.sampled_from([b"/", b"\0", b"\xff", b"/ab"]),
    st.sampled_from([0, 1, 6, 7, 8, 13, 14, 15, 21, 31]),
)
paths = st.builds(bytes.__add__, prefixes, tails)
counts = st.one_of(st.integers(0, 3), st.sampled_from([2**32 - 1, 2**32, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
days = st.one_of(st.sampled_from(DAYS), st.sampled_from([date.min, date.max]), st.dates())


@given(st.dictionaries(st.tuples(days, paths), counts, max_size=60))
def test_any_rows_come_in_order(rows: Rows) -> None:
    assert_in_order(rows)


@given(st.sets(paths, max_size=80), st.integers(1, 3))
def test_many_paths_with_few_numbers_come_in_order(found: set[bytes], most: int) -> None:
    assert_in_order({(DAY, path): 1 + number % most for number, path in enumerate(found)})


@pytest.mark.parametrize("size", [0, 1, 2, 11, 12, 13, 14, 25, 300, 12_000])
def test_parts_of_every_size_come_in_order(size: int) -> None:
    chance = random.Random(size)
    for kinds in (1, 3, size + 1):
        names = [b"/%d/%b" % (number % kinds, b"x" * (number % 17)) + b"%d" % number for number in range(size)]
        chance.shuffle(names)
        assert_in_order({(DAYS[number % 2], name): 1 + number % kinds for number, name in enumerate(names)})


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_rows_that_are_in_order_already_come_in_order(order: int) -> None:
    names = [b"/%06d" % number for number in range(10_000)][::order]
    assert_in_order({(DAY, name): 1 for name in names})


def test_paths_that_begin_each_other_come_shortest_first() -> None:
    for unit in (b"\0", b"a", b"\xff"):
        assert_in_order({(DAY, unit * size): 1 for size in range(70, -1, -1)})


def test_many_days_come_in_order_and_each_block_has_one() -> None:
    every_day = [date(1999, 12, 1) + timedelta(number * 7919 % 800) for number in range(800)]
    rows = {(day, b"/%d" % number): number % 3 for day in every_day for number in range(4)}
    assert_in_order(rows)
    assert [day for day, _ in groupby(day for day, _, _ in filled(rows).csv())] == sorted(every_day)


def test_the_views_of_each_day_are_the_sum_of_its_rows() -> None:
    every_day = [date(1999, 12, 1) + timedelta(number * 7919 % 800) for number in range(800)]
    counter = filled({(day, b"/%d" % number): number % 3 for day in every_day for number in range(4)})
    assert counter.views_by_day() == dict.fromkeys(every_day, sum(at % 3 for at in range(4)))
    counter.add(DAY, b"/", 2**63)
    assert counter.views_by_day()[DAY] == 2**63
    assert filled({}).views_by_day() == filled({(DAY, b"/a"): 0}).views_by_day() == {}


def test_long_paths_come_in_order() -> None:
    ends = [b"", b"\0", b"a", b'"', b",", b"\xff", b"ab"]
    rows = {(DAY, b"/" + b"p" * (size - 1 - len(end)) + end): 1 for size in (LINE_BYTES, 300_000) for end in ends}
    assert len(rows) > 12
    assert_in_order(rows)
    assert_in_order({(DAY, b'"' * LINE_BYTES): 1, (DAY, b"/a"): 2, (DAY, b'"' * (LINE_BYTES - 1)): 1})


def test_an_empty_counter_has_no_block() -> None:
    for rows in ({}, {(DAY, b"/a"): 0}):
        assert list(filled(rows).csv()) == list(filled(rows).sorted_rows()) == []


def test_blocks_of_csv_are_of_some_size() -> None:
    blocks = list(fed(distinct_lines(50_000)).csv())
    assert sum(number for _, _, number in blocks) == 50_000
    assert all(100_000 < len(lines) < MIB for _, lines, _ in blocks[:-1])
    assert len(blocks) < 20


TAKERS: dict[str, Callable[[HitTable], object]] = {
    "drain": lambda counter: counter.drain(),
    "share": lambda counter: setattr(counter, "share", (0, 1 << 63)),
    "escape": lambda counter: counter.escape(),
    "feed": lambda counter: counter.feed(distinct_lines(60_000, start=40_000)),
}
READERS: dict[str, Callable[[HitTable], Iterator[tuple[object, ...]]]] = {
    "rows": HitTable.rows,
    "sorted_rows": HitTable.sorted_rows,
    "csv": HitTable.csv,
}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_rows_that_are_taken_away_end_their_readers(
    take: Callable[[HitTable], object], read: Callable[[HitTable], Iterator[tuple[object, ...]]]
) -> None:
    counter = HitTable(max_bytes=4 * MIB)
    counter.add(DAY, b"/\xff", 1)
    counter.feed(distinct_lines(40_000))
    assert counter.share == WHOLE
    rows = read(counter)
    assert next(rows)
    take(counter)
    with pytest.raises(RuntimeError, match="taken"):
        next(rows)
    assert counter.share == WHOLE or len(counter) < 100_000
    assert sum(number for *_, number in counter.csv()) == len(counter)


def test_readers_go_on_while_rows_come() -> None:
    counter = fed(distinct_lines(40_000))
    rows, blocks = counter.sorted_rows(), counter.csv()
    seen, lines = [next(rows)], [next(blocks)]
    counter.feed(distinct_lines(40_000, start=40_000))
    counter.escape()
    seen += rows
    lines += blocks
    assert seen == [(DAY, path, 1) for path in sorted(b"/%d" % number for number in range(40_000))]
    assert sum(number for _, _, number in lines) == 40_000


# --- Escapes ------------------------------------------------------------------------------------------------------


def escaped(path: bytes) -> bytes:
    return path.decode("utf-8", "backslashreplace").encode()


UTF8 = [b"a", "é".encode(), "€".encode(), "\U0001f600".encode(), b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xf4\x8f\xbf\xbf"]
NOT_UTF8 = [
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf0\x9f"),
    *(b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xf0\x9f\x98", b"\xe2(\xa1"),
]
broken = st.lists(st.sampled_from([*UTF8, *NOT_UTF8, rb"\xff", b"\\", b"\0"]), max_size=6).map(b"".join)


@given(st.dictionaries(st.tuples(st.sampled_from(DAYS), st.one_of(broken, st.binary(max_size=20))), st.integers(0, 9)))
@example({(DAY, b"/" + tail): 1 for tail in (*UTF8, *NOT_UTF8)})
@example({(DAY, rb"/\xff"): 1, (DAY, b"/\xff"): 2, (DAYS[0], b"/\xff"): 4})
def test_escape_writes_paths_as_python_does_and_equal_rows_add_up(rows: Rows) -> None:
    counter = filled(rows)
    counter.escape()
    expected = Counter[tuple[date, bytes]]()
    for (day, path), count in rows.items():
        expected[day, escaped(path)] += count
    assert +Counter(views(counter)) == +expected
    for _, path, _ in counter.sorted_rows():
        path.decode()
    before = list(counter.rows())
    counter.escape()
    assert list(counter.rows()) == before
    for (day, path), count in rows.items():  # the rows are found again
        counter.add(day, escaped(path), count)
    assert +Counter(views(counter)) == +(expected + expected)


def test_every_two_bytes_are_escaped_as_python_does() -> None:
    rows = {(DAY, bytes([first, second])): 1 for first in range(256) for second in range(256)}
    counter = filled(rows)
    counter.escape()
    assert views(counter) == Counter((day, escaped(path)) for day, path in rows)


def test_escape_of_long_and_many_paths() -> None:
    rows = {(DAY, b"\xff" * LINE_BYTES): 1, (DAY, b"a" * (LINE_BYTES - 1) + b"\xe2"): 2}
    rows |= {(DAY, b"/%d\xe9" % number): 1 for number in range(20_000)}
    counter = filled(rows)
    counter.escape()
    assert views(counter) == {(day, escaped(path)): count for (day, path), count in rows.items()}
    assert sum(number for *_, number in counter.csv()) == len(rows)


# --- Shares -------------------------------------------------------------------------------------------------------


def figures(counter: HitTable) -> tuple[object, ...]:
    """Return what is the same in all shares."""
    return counter.lines, counter.hits, counter.filtered, counter.malformed, counter.examples, counter.days_seen


def with_share(share: tuple[int, int], data: bytes, days: set[date] | None = None) -> HitTable:
    counter = HitTable()
    counter.share = share
    counter.count_only(days)
    counter.feed(data)
    counter.finish()
    return counter


def shares_of(data: bytes, max_bytes: int, block_bytes: int = 1 << 16) -> Iterator[HitTable]:
    """Yield counters of successive shares, until all rows have been in one."""
    first = 0
    while first <= WHOLE[1]:
        counter = HitTable(max_bytes=max_bytes)
        counter.share = first, WHOLE[1]
        for at in range(0, len(data), block_bytes):
            counter.feed(data[at : at + block_bytes])
        counter.finish()
        yield counter
        assert counter.share[0] == first
        first = counter.share[1] + 1


@given(logs(), day_sets, st.lists(st.integers(0, WHOLE[1]), max_size=3))
def test_shares_of_a_log_add_up_and_have_the_same_figures(data: bytes, days: set[date] | None, cuts: list[int]) -> None:
    whole = fed(data, days=days)
    edges = sorted({0, *cuts, 1 << 64})
    parts = [with_share((first, behind - 1), data, days) for first, behind in pairwise(edges)]
    assert agrees(whole, reference.count(data, days))
    found = [views(part) for part in parts]
    assert sum(map(len, found)) == len(whole)
    assert {row: count for part in found for row, count in part.items()} == views(whole)
    for part in parts:
        assert figures(part) == figures(whole)
        assert_every_line_in_a_bucket(part)


@given(st.integers(0, WHOLE[1]), st.integers(0, WHOLE[1]))
def test_a_share_that_is_set_later_keeps_the_same_rows(first: int, last: int) -> None:
    data = distinct_lines(200)
    counter = fed(data)
    counter.share = first, last
    assert counter.share == (first, last)
    assert list(counter.rows()) == list(with_share((first, last), data).rows())
    counter.feed(data)  # rows that were kept are found, those that were removed do not come back
    assert list(counter.rows()) == [(day, path, 2) for day, path, _ in with_share((first, last), data).rows()]
    assert counter.hits == 400


def long_lines(count: int) -> bytes:
    return b"".join(line(b"GET /%d/%b HTTP/1.1" % (number, b"p" * 60_000)) + b"\n" for number in range(count))


LOGS = {
    "many paths": lambda: distinct_lines(60_000),
    "long paths": lambda: long_lines(200),
    "both": lambda: (
        b"bad\n" + distinct_lines(3000) * 2 + long_lines(60) + line(b"HEAD /") + b"\n" + distinct_lines(9000)
    ),
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize("block_bytes", [1 << 16, 1 << 30], ids=["small blocks", "one block"])
def test_bounded_counters_have_all_rows_between_them(log: Callable[[], bytes], block_bytes: int) -> None:
    data = log()
    whole = fed(data)
    found: dict[tuple[date, bytes], int] = {}
    shares = 0
    for counter in shares_of(data, MIB, block_bytes):
        shares += 1
        assert counter.memory <= MIB
        assert figures(counter) == figures(whole)
        rows = views(counter)
        assert not rows.keys() & found.keys()
        assert rows == views(with_share(counter.share, data))
        found |= rows
    assert shares > 1
    assert found == views(whole)


def test_the_bound_may_change_and_none_is_none() -> None:
    counter = HitTable(max_bytes=MIB)
    assert (counter.max_bytes, counter.share) == (MIB, WHOLE)
    counter.max_bytes = None
    counter.feed(distinct_lines(30_000))
    assert (counter.max_bytes, counter.share, len(counter)) == (None, WHOLE, 30_000)
    counter.max_bytes = 2 * MIB
    counter.feed(distinct_lines(30_000, start=30_000))
    assert counter.share == (0, (1 << 63) - 1)
    assert 0 < len(counter) < 60_000
    assert counter.hits == 60_000


def test_a_new_counter_has_the_whole_share() -> None:
    assert WHOLE == (0, 2**64 - 1)
    assert (HitTable().share, HitTable().max_bytes) == (WHOLE, None)


def test_a_bound_that_no_row_fits_under_is_a_memory_error_and_loses_no_line_before() -> None:
    counter = HitTable(max_bytes=1000)
    counter.feed(b"bad\n")
    with pytest.raises(MemoryError):
        counter.feed(b"worse\n" + INTACT + b"\n" + INTACT + b"\n")
    assert (counter.lines, counter.malformed, counter.hits, len(counter)) == (2, 2, 0, 0)
    counter.max_bytes = None
    counter.share = WHOLE
    counter.feed(INTACT + b"\n")
    assert views(counter) == {(DAY, b"/intact"): 1}


@pytest.mark.parametrize("wrong", [5, None, "ab", (1,), (1, 2, 3), (-1, 5), (0, 2**64)], ids=repr)
def test_what_is_no_share_is_refused(wrong: object) -> None:
    counter = fed(distinct_lines(10))
    with pytest.raises((TypeError, ValueError, OverflowError)):
        counter.share = wrong
    assert (counter.share, len(counter)) == (WHOLE, 10)


@pytest.mark.parametrize("wrong", ["5", -1, 2**64], ids=repr)
def test_what_is_no_bound_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        HitTable(max_bytes=wrong)
    counter = HitTable(max_bytes=5)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        counter.max_bytes = wrong
    assert counter.max_bytes == 5


# --- Memory -------------------------------------------------------------------------------------------------------


def feed_bounded() -> None:
    bound = 16 * MIB
    blocks = [distinct_lines(10_000, start=10_000 * number) for number in range(60)]
    counter = HitTable(max_bytes=bound)
    before = status_of_process("VmHWM")
    for block in blocks:
        for text in block.splitlines(keepends=True):  # the index grows after some single one
            counter.feed(text)
    growth = status_of_process("VmHWM") - before
    assert counter.share != WHOLE
    assert growth < bound + MIB, f"{growth:,} bytes"


@pytest.mark.measures_memory
def test_a_bounded_counter_takes_no_more_than_its_bound(run_alone: Callable[..., object]) -> None:
    run_alone(feed_bounded)


def order_without_memory() -> None:
    counter = fed(*(distinct_lines(10_000, start=10_000 * number) for number in range(120)))
    next(counter.csv())  # gives the index up, whose memory would do
    for read in (counter.csv, counter.sorted_rows):
        with memory_limit(2 * MIB), pytest.raises(MemoryError):
            next(read())
    assert sum(number for *_, number in counter.csv()) == sum(1 for _ in counter.sorted_rows()) == 1_200_000


def write_without_memory() -> None:
    counter = filled({(DAY, b"/a"): 2, (DAY, b"/" * LINE_BYTES): 1})
    blocks = counter.csv()
    assert next(blocks) == (DAY, b"2026-03-12,/a,2\n", 1)
    with memory_limit(MIB // 2), pytest.raises(MemoryError):
        next(blocks)
    assert sum(number for *_, number in counter.csv()) == 2


@pytest.mark.measures_memory
@pytest.mark.parametrize("read", [order_without_memory, write_without_memory])
def test_order_without_memory_is_an_error_and_changes_nothing(
    run_alone: Callable[..., object], read: Callable[[], None]
) -> None:
    run_alone(read)


def test_rows_are_found_again_after_they_were_put_in_order() -> None:
    counter = fed(distinct_lines(5000))
    for number, read in enumerate((counter.csv, counter.sorted_rows), 1):
        assert sum(1 for _ in read()) > 0
        counter.feed(distinct_lines(6000))
        assert len(counter) == 6000
        counter.add(DAY, b"/0", 1)
        assert dict((path, views) for _, path, views in counter.rows())[b"/0"] == 1 + 2 * number


def escape_without_memory() -> None:
    rows = {(DAY, b"/%d\xe9" % number + b"\xff" * 50): 1 for number in range(30_000)}
    expected = {(day, escaped(path)): count for (day, path), count in rows.items()}
    counter = filled(rows)
    failed = False
    with memory_limit(4 * MIB):
        try:
            counter.escape()
        except MemoryError:
            failed = True
    assert failed
    found = views(counter)
    assert found.keys() & rows.keys()
    assert Counter((day, escaped(path)) for day, path in found) == expected
    counter.escape()
    assert views(counter) == expected

    counter = filled({(DAY, b"/\xe9"): 1, (DAY, b"\xff" * LINE_BYTES): 2, (DAY, b"/b"): 3})
    with memory_limit(2 * MIB), pytest.raises(MemoryError):
        counter.escape()
    assert views(counter) == {(DAY, rb"/\xe9"): 1, (DAY, b"\xff" * LINE_BYTES): 2, (DAY, b"/b"): 3}


@pytest.mark.measures_memory
def test_escape_without_memory_keeps_each_view_in_one_spelling(run_alone: Callable[..., object]) -> None:
    run_alone(escape_without_memory)
