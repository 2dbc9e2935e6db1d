"""The figures of a hit table: buckets, days, examples."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given

from fasthits._parse import EXAMPLE_BYTES, EXAMPLES, HitTable
from tests.core.support import (
    DAY,
    INTACT,
    agrees,
    assert_balanced,
    fed,
    line,
    state,
    views,
)
from tests.support import reference
from tests.support.strategies import DAYS, day_sets, logs, write_time


@given(logs(), day_sets)
def test_counts_equal_the_oracle(data: bytes, days: set[date] | None) -> None:
    hit_table = fed(data, days=days)
    assert agrees(hit_table, reference.count(data, days))
    assert_balanced(hit_table)
    assert [row[:2] for row in hit_table.rows()] == list(dict.fromkeys(reference.hits(data, days)))


@given(logs(), day_sets)
def test_days_seen_has_the_days_of_all_parsed_lines(data: bytes, days: set[date] | None) -> None:
    assert fed(data, days=days).days_seen == {reference.judge(text)[1] for text in reference.split_lines(data)} - {None}


@given(logs())
def test_examples_are_the_first_malformed_lines(data: bytes) -> None:
    bad = [
        (number, reference.trim(text)[:EXAMPLE_BYTES])
        for number, text in enumerate(reference.split_lines(data), 1)
        if reference.parse(text) is None
    ]
    assert fed(data).examples == bad[:EXAMPLES]


WRONG_CALLS = {
    "positional max_paths": lambda hit_table: HitTable(5),
    "max_paths": lambda hit_table: HitTable(max_paths="5"),
    "max_bytes": lambda hit_table: HitTable(max_bytes=5),
    "memory_with text": lambda hit_table: hit_table.memory_with("5"),
    "assigned max_paths": lambda hit_table: setattr(hit_table, "max_paths", "5"),
    "merge of None": lambda hit_table: hit_table.merge(None),
    "merge of a dict": lambda hit_table: hit_table.merge({}),
    "add with day as text": lambda hit_table: hit_table.add("2026-03-12", b"/a", 1),
    "add without day": lambda hit_table: hit_table.add(None, b"/a", 1),
    "add with path as text": lambda hit_table: hit_table.add(DAY, "/a", 1),
    "add without path": lambda hit_table: hit_table.add(DAY, None, 1),
    "add with views as text": lambda hit_table: hit_table.add(DAY, b"/a", "1"),
    "count_only of a number": lambda hit_table: hit_table.count_only(5),
    "count_only of text": lambda hit_table: hit_table.count_only(["2026-03-12"]),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_types_are_refused(call: Callable[[HitTable], object]) -> None:
    hit_table = fed(INTACT)
    with pytest.raises(TypeError):
        call(hit_table)
    hit_table.feed(line() + b"\n")
    assert views(hit_table) == {(DAY, b"/intact"): 1, (DAY, b"/a"): 1}
    assert hit_table.max_paths is None


def test_a_new_hit_table_is_empty() -> None:
    assert state(HitTable()) == ([], 0, (0, 0, {}, 0, 0), [], set())


def test_filtered_names_the_first_reason_that_holds_and_no_zeros() -> None:
    other_day = write_time(DAY + timedelta(days=1))
    hit_table = fed(
        b"\n".join(
            [
                line(b"HEAD * HTTP/1.1", time=other_day),
                line(b"GET * HTTP/1.1", time=other_day),
                line(b"GET /a HTTP/1.1", time=other_day),
                line(b"GET /a HTTP/1.1"),
            ]
        ),
        days={DAY},
    )
    assert hit_table.filtered == {"method": 1, "target": 1, "day": 1}
    assert list(hit_table.filtered) == ["method", "target", "day"]
    assert fed(line(b"GET * HTTP/1.1")).filtered == {"target": 1}


def test_a_hit_table_returns_copies() -> None:
    hit_table = fed(b"bad\n" + INTACT)
    before = state(hit_table)
    hit_table.filtered["day"] = 5
    hit_table.examples.clear()
    hit_table.days_seen.clear()
    assert state(hit_table) == before


def test_buckets_cannot_be_assigned() -> None:
    hit_table = HitTable()
    for name in ("lines", "hits", "filtered", "malformed", "dropped", "examples", "days_seen"):
        with pytest.raises(AttributeError):
            setattr(hit_table, name, 5)


def test_count_only_applies_to_the_lines_after_it() -> None:
    today, tomorrow = (line(time=write_time(day)) + b"\n" for day in (DAYS[1], DAYS[2]))
    hit_table = HitTable()
    hit_table.feed(today + tomorrow)
    hit_table.count_only([DAYS[2]])
    hit_table.feed(today + tomorrow)
    hit_table.count_only(frozenset())
    hit_table.feed(today + tomorrow)
    hit_table.count_only(None)
    hit_table.feed(today + tomorrow)
    assert views(hit_table) == {(DAYS[1], b"/a"): 2, (DAYS[2], b"/a"): 3}
    assert hit_table.filtered == {"day": 3}
    assert hit_table.days_seen == {DAYS[1], DAYS[2]}
    assert_balanced(hit_table)


def test_count_only_applies_also_to_the_day_of_the_line_before() -> None:
    hit_table = HitTable()
    for days in (None, {DAYS[2]}, {DAY}, {DAYS[2]}, None):
        hit_table.count_only(days)
        hit_table.feed(INTACT + b"\n")
    assert (hit_table.hits, hit_table.filtered) == (3, {"day": 2})


def test_count_only_judges_a_line_when_it_is_complete() -> None:
    hit_table = HitTable()
    hit_table.feed(INTACT[:-5])
    hit_table.count_only({DAY + timedelta(days=1)})
    hit_table.feed(INTACT[-5:] + b"\n")
    assert hit_table.filtered == {"day": 1}
    assert len(hit_table) == 0


def test_count_only_takes_any_collection_and_copies_it() -> None:
    days = [DAY, DAY]
    hit_table = HitTable()
    hit_table.count_only(days)
    days.clear()
    hit_table.feed(INTACT + b"\n")
    assert hit_table.hits == 1
    hit_table.count_only({DAY: "a key"})
    hit_table.feed(INTACT + b"\n")
    assert hit_table.hits == 2


def test_count_only_takes_many_days() -> None:
    every_day = [date(1999, 12, 1) + timedelta(days=number) for number in range(800)]
    data = b"\n".join(line(time=write_time(day)) for day in every_day)
    hit_table = fed(data, days=set(every_day[::3]))
    assert hit_table.days_seen == set(every_day)
    assert views(hit_table) == {(day, b"/a"): 1 for day in every_day[::3]}
    assert hit_table.filtered == {"day": 800 - len(every_day[::3])}


def test_examples_are_the_first_three_malformed_lines_cut_off() -> None:
    long = b"y" * (EXAMPLE_BYTES + 50)
    hit_table = fed(INTACT + b"\n" + long + b"\r\n\n" + INTACT + b"\nz\r\nlate\n")
    assert EXAMPLES == 3
    assert hit_table.examples == [(2, long[:EXAMPLE_BYTES]), (3, b""), (5, b"z")]
    assert hit_table.malformed == 4


@pytest.mark.parametrize("size", [EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
@pytest.mark.parametrize("cut", [0, 1, EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
def test_the_example_of_a_line_in_two_blocks_is_its_beginning(size: int, cut: int) -> None:
    text = bytes(65 + number % 26 for number in range(size))
    assert fed(text[:cut], text[cut:] + b"\n").examples == [(1, text[:EXAMPLE_BYTES])]


def test_a_hit_table_has_no_subclasses() -> None:
    with pytest.raises(TypeError):
        type("Sub", (HitTable,), {})
