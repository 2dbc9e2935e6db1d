"""What a counter says of the lines it has read: buckets, days, examples."""

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
    counter = fed(data, days=days)
    assert agrees(counter, reference.count(data, days))
    assert_balanced(counter)
    assert [row[:2] for row in counter.rows()] == list(dict.fromkeys(reference.hits(data, days)))


@given(logs(), day_sets)
def test_days_seen_are_those_of_all_parsed_lines(data: bytes, days: set[date] | None) -> None:
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
    "positional max_paths": lambda counter: HitTable(5),
    "max_paths": lambda counter: HitTable(max_paths="5"),
    "max_bytes": lambda counter: HitTable(max_bytes=5),
    "memory_with text": lambda counter: counter.memory_with("5"),
    "assigned max_paths": lambda counter: setattr(counter, "max_paths", "5"),
    "merge of None": lambda counter: counter.merge(None),
    "merge of a dict": lambda counter: counter.merge({}),
    "add with day as text": lambda counter: counter.add("2026-03-12", b"/a", 1),
    "add without day": lambda counter: counter.add(None, b"/a", 1),
    "add with path as text": lambda counter: counter.add(DAY, "/a", 1),
    "add without path": lambda counter: counter.add(DAY, None, 1),
    "add with views as text": lambda counter: counter.add(DAY, b"/a", "1"),
    "count_only of a number": lambda counter: counter.count_only(5),
    "count_only of text": lambda counter: counter.count_only(["2026-03-12"]),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_types_are_refused(call: Callable[[HitTable], object]) -> None:
    counter = fed(INTACT)
    with pytest.raises(TypeError):
        call(counter)
    counter.feed(line() + b"\n")
    assert views(counter) == {(DAY, b"/intact"): 1, (DAY, b"/a"): 1}
    assert counter.max_paths is None


def test_a_new_counter_is_empty() -> None:
    assert state(HitTable()) == ([], 0, (0, 0, {}, 0, 0), [], set())


def test_filtered_names_the_first_reason_that_holds_and_no_zeros() -> None:
    other_day = write_time(DAY + timedelta(days=1))
    counter = fed(
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
    assert counter.filtered == {"method": 1, "target": 1, "day": 1}
    assert list(counter.filtered) == ["method", "target", "day"]
    assert fed(line(b"GET * HTTP/1.1")).filtered == {"target": 1}


def test_what_a_counter_returns_is_a_copy() -> None:
    counter = fed(b"bad\n" + INTACT)
    before = state(counter)
    counter.filtered["day"] = 5
    counter.examples.clear()
    counter.days_seen.clear()
    assert state(counter) == before


def test_buckets_are_not_to_be_assigned() -> None:
    counter = HitTable()
    for name in ("lines", "hits", "filtered", "malformed", "dropped", "examples", "days_seen"):
        with pytest.raises(AttributeError):
            setattr(counter, name, 5)


def test_count_only_holds_from_then_on() -> None:
    today, tomorrow = (line(time=write_time(day)) + b"\n" for day in (DAYS[1], DAYS[2]))
    counter = HitTable()
    counter.feed(today + tomorrow)
    counter.count_only([DAYS[2]])
    counter.feed(today + tomorrow)
    counter.count_only(frozenset())
    counter.feed(today + tomorrow)
    counter.count_only(None)
    counter.feed(today + tomorrow)
    assert views(counter) == {(DAYS[1], b"/a"): 2, (DAYS[2], b"/a"): 3}
    assert counter.filtered == {"day": 3}
    assert counter.days_seen == {DAYS[1], DAYS[2]}
    assert_balanced(counter)


def test_count_only_holds_for_the_day_of_the_line_before_too() -> None:
    counter = HitTable()
    for days in (None, {DAYS[2]}, {DAY}, {DAYS[2]}, None):
        counter.count_only(days)
        counter.feed(INTACT + b"\n")
    assert (counter.hits, counter.filtered) == (3, {"day": 2})


def test_count_only_judges_a_line_when_it_is_complete() -> None:
    counter = HitTable()
    counter.feed(INTACT[:-5])
    counter.count_only({DAY + timedelta(days=1)})
    counter.feed(INTACT[-5:] + b"\n")
    assert counter.filtered == {"day": 1}
    assert len(counter) == 0


def test_count_only_takes_any_collection_and_keeps_no_tie_to_it() -> None:
    days = [DAY, DAY]
    counter = HitTable()
    counter.count_only(days)
    days.clear()
    counter.feed(INTACT + b"\n")
    assert counter.hits == 1
    counter.count_only({DAY: "a key"})
    counter.feed(INTACT + b"\n")
    assert counter.hits == 2


def test_count_only_tells_many_days_apart() -> None:
    every_day = [date(1999, 12, 1) + timedelta(days=number) for number in range(800)]
    data = b"\n".join(line(time=write_time(day)) for day in every_day)
    counter = fed(data, days=set(every_day[::3]))
    assert counter.days_seen == set(every_day)
    assert views(counter) == {(day, b"/a"): 1 for day in every_day[::3]}
    assert counter.filtered == {"day": 800 - len(every_day[::3])}


def test_examples_are_the_first_three_and_cut() -> None:
    long = b"y" * (EXAMPLE_BYTES + 50)
    counter = fed(INTACT + b"\n" + long + b"\r\n\n" + INTACT + b"\nz\r\nlate\n")
    assert EXAMPLES == 3
    assert counter.examples == [(2, long[:EXAMPLE_BYTES]), (3, b""), (5, b"z")]
    assert counter.malformed == 4


@pytest.mark.parametrize("size", [EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
@pytest.mark.parametrize("cut", [0, 1, EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
def test_example_of_a_line_in_two_blocks_is_its_head(size: int, cut: int) -> None:
    text = bytes(65 + number % 26 for number in range(size))
    assert fed(text[:cut], text[cut:] + b"\n").examples == [(1, text[:EXAMPLE_BYTES])]


def test_no_subclasses() -> None:
    with pytest.raises(TypeError):
        type("Sub", (HitTable,), {})
