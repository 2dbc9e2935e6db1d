"""Rows in order, as CSV, and escaped, compared with sorted(), csv and codecs; and the memory that this takes."""

import csv
import io
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable, release_memory
from tests.core.support import (
    DAY,
    MIB,
    distinct_lines,
    fed,
    memory_limit,
    status_of_process,
    views,
)
from tests.support.strategies import DAYS

Rows = dict[tuple[date, bytes], int]

csv.field_size_limit(4 * LINE_BYTES)


def filled(rows: Rows) -> HitTable:
    """Return a hit table that has *rows*."""
    hit_table = HitTable()
    for (day, path), count in rows.items():
        hit_table.add(day, path, count)
    return hit_table


def in_csv_order(rows: Rows) -> list[tuple[date, bytes, int]]:
    found = [(day, path, count) for (day, path), count in rows.items() if count]
    return sorted(found, key=lambda row: (row[0], -row[2], row[1]))


def as_csv(day: date, path: bytes, count: int) -> bytes:
    """Return a line by RFC 4180 that ends in LF, without a field that a spreadsheet would take for a formula."""
    if re.match(rb"'*[=+\-@\t\r]", path) and len(path) > 1:
        path = b"'" + path
    if any(special in path for special in (b'"', b",", b"\r", b"\n")):
        path = b'"' + path.replace(b'"', b'""') + b'"'
    return b"%b,%b,%d\n" % (str(day).encode(), path, count)


def assert_in_order(rows: Rows) -> None:
    """Fail unless `sorted_rows` and `csv` agree on *rows* with sorted() and the module csv."""
    hit_table = filled(rows)
    expected = in_csv_order(rows)
    assert list(hit_table.sorted_rows()) == sorted((day, path, count) for day, path, count in expected)
    blocks = list(hit_table.csv())
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
    assert views(hit_table) == rows


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
def test_any_rows_are_sorted(rows: Rows) -> None:
    assert_in_order(rows)


@given(st.sets(paths, max_size=80), st.integers(1, 3))
def test_many_paths_with_few_different_views_are_sorted(found: set[bytes], most: int) -> None:
    assert_in_order({(DAY, path): 1 + number % most for number, path in enumerate(found)})


@pytest.mark.parametrize("size", [0, 1, 2, 11, 12, 13, 14, 25, 300, 12_000])
def test_parts_of_every_size_are_sorted(size: int) -> None:
    chance = random.Random(size)
    for kinds in (1, 3, size + 1):
        names = [b"/%d/%b" % (number % kinds, b"x" * (number % 17)) + b"%d" % number for number in range(size)]
        chance.shuffle(names)
        assert_in_order({(DAYS[number % 2], name): 1 + number % kinds for number, name in enumerate(names)})


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_rows_that_are_already_in_order_are_sorted(order: int) -> None:
    names = [b"/%06d" % number for number in range(10_000)][::order]
    assert_in_order({(DAY, name): 1 for name in names})


def test_a_path_comes_before_longer_paths_that_begin_with_it() -> None:
    for unit in (b"\0", b"a", b"\xff"):
        assert_in_order({(DAY, unit * size): 1 for size in range(70, -1, -1)})


def test_many_days_are_sorted_and_each_block_of_csv_has_one_day() -> None:
    every_day = [date(1999, 12, 1) + timedelta(number * 7919 % 800) for number in range(800)]
    rows = {(day, b"/%d" % number): number % 3 for day in every_day for number in range(4)}
    assert_in_order(rows)
    assert [day for day, _ in groupby(day for day, _, _ in filled(rows).csv())] == sorted(every_day)


def test_the_views_of_each_day_are_the_sum_of_its_rows() -> None:
    every_day = [date(1999, 12, 1) + timedelta(number * 7919 % 800) for number in range(800)]
    hit_table = filled({(day, b"/%d" % number): number % 3 for day in every_day for number in range(4)})
    assert hit_table.views_by_day() == dict.fromkeys(every_day, sum(at % 3 for at in range(4)))
    hit_table.add(DAY, b"/", 2**63)
    assert hit_table.views_by_day()[DAY] == 2**63
    assert filled({}).views_by_day() == filled({(DAY, b"/a"): 0}).views_by_day() == {}


def test_long_paths_are_sorted() -> None:
    ends = [b"", b"\0", b"a", b'"', b",", b"\xff", b"ab"]
    rows = {(DAY, b"/" + b"p" * (size - 1 - len(end)) + end): 1 for size in (LINE_BYTES, 300_000) for end in ends}
    assert len(rows) > 12
    assert_in_order(rows)
    assert_in_order({(DAY, b'"' * LINE_BYTES): 1, (DAY, b"/a"): 2, (DAY, b'"' * (LINE_BYTES - 1)): 1})


def test_an_empty_hit_table_has_no_block_of_csv() -> None:
    for rows in ({}, {(DAY, b"/a"): 0}):
        assert list(filled(rows).csv()) == list(filled(rows).sorted_rows()) == []


def test_blocks_of_csv_have_a_limited_size() -> None:
    blocks = list(fed(distinct_lines(50_000)).csv())
    assert sum(number for _, _, number in blocks) == 50_000
    assert all(100_000 < len(lines) < MIB for _, lines, _ in blocks[:-1])
    assert len(blocks) < 20


TAKERS: dict[str, Callable[[HitTable], object]] = {
    "drain": lambda hit_table: hit_table.drain(),
    "escape": lambda hit_table: hit_table.escape(),
    "merge": lambda hit_table: HitTable().merge(hit_table),
}
READERS: dict[str, Callable[[HitTable], Iterator[tuple[object, ...]]]] = {
    "rows": HitTable.rows,
    "sorted_rows": HitTable.sorted_rows,
    "csv": HitTable.csv,
}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_iterators_raise_if_rows_were_removed(
    take: Callable[[HitTable], object], read: Callable[[HitTable], Iterator[tuple[object, ...]]]
) -> None:
    hit_table = HitTable()
    hit_table.add(DAY, b"/\xff", 1)
    hit_table.feed(distinct_lines(40_000))
    rows = read(hit_table)
    assert next(rows)
    take(hit_table)
    with pytest.raises(RuntimeError, match="removed"):
        next(rows)
    assert sum(number for *_, number in hit_table.csv()) == len(hit_table)


def test_iterators_go_on_while_rows_are_added() -> None:
    hit_table = fed(distinct_lines(40_000))
    rows, blocks = hit_table.sorted_rows(), hit_table.csv()
    seen, lines = [next(rows)], [next(blocks)]
    hit_table.feed(distinct_lines(40_000, start=40_000))
    hit_table.escape()
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
def test_escape_writes_paths_as_python_does_and_adds_up_equal_rows(rows: Rows) -> None:
    hit_table = filled(rows)
    hit_table.escape()
    expected = Counter[tuple[date, bytes]]()
    for (day, path), count in rows.items():
        expected[day, escaped(path)] += count
    assert +Counter(views(hit_table)) == +expected
    for _, path, _ in hit_table.sorted_rows():
        path.decode()
    before = list(hit_table.rows())
    hit_table.escape()
    assert list(hit_table.rows()) == before
    for (day, path), count in rows.items():  # the table finds the rows again
        hit_table.add(day, escaped(path), count)
    assert +Counter(views(hit_table)) == +(expected + expected)


def test_every_two_bytes_are_escaped_as_python_does() -> None:
    rows = {(DAY, bytes([first, second])): 1 for first in range(256) for second in range(256)}
    hit_table = filled(rows)
    hit_table.escape()
    assert views(hit_table) == Counter((day, escaped(path)) for day, path in rows)


def test_escape_of_long_and_many_paths() -> None:
    rows = {(DAY, b"\xff" * LINE_BYTES): 1, (DAY, b"a" * (LINE_BYTES - 1) + b"\xe2"): 2}
    rows |= {(DAY, b"/%d\xe9" % number): 1 for number in range(20_000)}
    hit_table = filled(rows)
    hit_table.escape()
    assert views(hit_table) == {(day, escaped(path)): count for (day, path), count in rows.items()}
    assert sum(number for *_, number in hit_table.csv()) == len(rows)


# --- Memory -------------------------------------------------------------------------------------------------------


def feed_bounded() -> None:
    bound = 16 * MIB
    blocks = [distinct_lines(10_000, start=10_000 * number) for number in range(60)]
    hit_table = HitTable()
    release_memory()
    before = status_of_process("VmHWM")
    times_full = 0
    for block in blocks:
        for at in range(0, len(block), 50_000):  # in some blocks the index grows
            if hit_table.memory_with(50_000) > bound:
                hit_table.drain()
                times_full += 1
            hit_table.feed(block[at : at + 50_000])
    growth = status_of_process("VmHWM") - before
    assert times_full
    assert growth < bound + MIB, f"{growth:,} bytes"


@pytest.mark.measures_memory
def test_a_hit_table_takes_no_more_memory_than_it_says_before(run_alone: Callable[..., object]) -> None:
    run_alone(feed_bounded)


def order_without_memory() -> None:
    hit_table = fed(*(distinct_lines(10_000, start=10_000 * number) for number in range(120)))
    next(hit_table.csv())  # frees the index, whose memory would be enough
    for read in (hit_table.csv, hit_table.sorted_rows):
        with memory_limit(2 * MIB), pytest.raises(MemoryError):
            next(read())
    assert sum(number for *_, number in hit_table.csv()) == sum(1 for _ in hit_table.sorted_rows()) == 1_200_000


def write_without_memory() -> None:
    hit_table = filled({(DAY, b"/a"): 2, (DAY, b"/" * LINE_BYTES): 1})
    blocks = hit_table.csv()
    assert next(blocks) == (DAY, b"2026-03-12,/a,2\n", 1)
    with memory_limit(MIB // 2), pytest.raises(MemoryError):
        next(blocks)
    assert sum(number for *_, number in hit_table.csv()) == 2


@pytest.mark.measures_memory
@pytest.mark.parametrize("read", [order_without_memory, write_without_memory])
def test_a_memory_error_of_sorting_changes_nothing(run_alone: Callable[..., object], read: Callable[[], None]) -> None:
    run_alone(read)


def test_rows_are_found_after_they_were_sorted() -> None:
    hit_table = fed(distinct_lines(5000))
    for number, read in enumerate((hit_table.csv, hit_table.sorted_rows), 1):
        assert sum(1 for _ in read()) > 0
        hit_table.feed(distinct_lines(6000))
        assert len(hit_table) == 6000
        hit_table.add(DAY, b"/0", 1)
        assert dict((path, views) for _, path, views in hit_table.rows())[b"/0"] == 1 + 2 * number


def escape_without_memory() -> None:
    rows = {(DAY, b"/%d\xe9" % number + b"\xff" * 50): 1 for number in range(30_000)}
    expected = {(day, escaped(path)): count for (day, path), count in rows.items()}
    hit_table = filled(rows)
    failed = False
    with memory_limit(4 * MIB):
        try:
            hit_table.escape()
        except MemoryError:
            failed = True
    assert failed
    found = views(hit_table)
    assert found.keys() & rows.keys()
    assert Counter((day, escaped(path)) for day, path in found) == expected
    hit_table.escape()
    assert views(hit_table) == expected

    hit_table = filled({(DAY, b"/\xe9"): 1, (DAY, b"\xff" * LINE_BYTES): 2, (DAY, b"/b"): 3})
    with memory_limit(2 * MIB), pytest.raises(MemoryError):
        hit_table.escape()
    assert views(hit_table) == {(DAY, rb"/\xe9"): 1, (DAY, b"\xff" * LINE_BYTES): 2, (DAY, b"/b"): 3}


@pytest.mark.measures_memory
def test_after_a_memory_error_of_escape_each_view_is_in_one_spelling(run_alone: Callable[..., object]) -> None:
    run_alone(escape_without_memory)
