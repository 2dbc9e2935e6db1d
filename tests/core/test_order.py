"""Rows in order, as CSV, escaped, and in shares that fit into bounded memory, against sorted(), csv and codecs."""

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
    "escape": lambda counter: counter.escape(),
    "merge": lambda counter: HitTable().merge(counter),
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
    counter = HitTable()
    counter.add(DAY, b"/\xff", 1)
    counter.feed(distinct_lines(40_000))
    rows = read(counter)
    assert next(rows)
    take(counter)
    with pytest.raises(RuntimeError, match="removed"):
        next(rows)
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


# --- Memory -------------------------------------------------------------------------------------------------------


def feed_bounded() -> None:
    bound = 16 * MIB
    blocks = [distinct_lines(10_000, start=10_000 * number) for number in range(60)]
    counter = HitTable()
    release_memory()
    before = status_of_process("VmHWM")
    times_full = 0
    for block in blocks:
        for at in range(0, len(block), 50_000):  # the index grows in the midst of some
            if counter.memory_with(50_000) > bound:
                counter.drain()
                times_full += 1
            counter.feed(block[at : at + 50_000])
    growth = status_of_process("VmHWM") - before
    assert times_full
    assert growth < bound + MIB, f"{growth:,} bytes"


@pytest.mark.measures_memory
def test_a_counter_takes_no_more_than_it_says_beforehand(run_alone: Callable[..., object]) -> None:
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
