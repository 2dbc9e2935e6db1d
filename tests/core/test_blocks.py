"""Blocks: where a log is cut into blocks, which objects can be blocks, and lines as long as the limit."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable, parse_line
from tests.core.support import (
    DAY,
    ENDINGS,
    INTACT,
    TIME,
    agrees,
    as_parsed,
    assert_balanced,
    byte_by_byte,
    fed,
    line,
    long_line,
    state,
    views,
)
from tests.support import reference
from tests.support.strategies import blocks_of, logs


@given(st.binary(max_size=400))
@example(b"")
@example(b"\n")
@example(b"\r")
@example(b"\r\n\r\n\n\r")
@example(bytes(range(256)))
def test_any_bytes_are_counted_without_a_crash(data: bytes) -> None:
    hit_table = fed(data)
    assert_balanced(hit_table)
    assert hit_table.lines == data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


@given(st.data())
def test_cutting_into_blocks_changes_nothing(data: st.DataObject) -> None:
    log = data.draw(logs())
    blocks = data.draw(blocks_of(log))
    assert state(fed(*blocks)) == state(fed(log))


@given(logs())
def test_one_byte_at_a_time_changes_nothing(data: bytes) -> None:
    assert state(fed(*byte_by_byte(data))) == state(fed(data))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_every_single_cut_changes_nothing(ending: bytes) -> None:
    data = ending.join([INTACT, rb"torn \"", line(rb"GET /\\\"? HTTP/1.1"), b"", INTACT])
    whole = state(fed(data))
    assert whole[2] == (5, 3, {}, 2, 0)
    for cut in range(len(data) + 1):
        assert state(fed(data[:cut], data[cut:])) == whole


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda data: memoryview(b"abc")[3:]])
def test_an_empty_block_is_no_line(buffer: Callable[[bytes], object]) -> None:
    hit_table = fed(buffer(b""))
    assert hit_table.lines == 0
    assert parse_line(buffer(b"")) is None
    hit_table.feed(INTACT)
    hit_table.feed(buffer(b""))
    hit_table.finish()
    assert (hit_table.lines, hit_table.hits) == (1, 1)


def test_a_slice_of_a_memoryview_is_read_within_its_bounds() -> None:
    data = b"x" + INTACT + b"5 junk"
    assert parse_line(memoryview(data)[1 : 1 + len(INTACT)]) == parse_line(INTACT)
    assert views(fed(memoryview(data)[1 : 1 + len(INTACT)])) == {(DAY, b"/intact"): 1}


@pytest.mark.parametrize("read", [parse_line, HitTable().feed], ids=["parse_line", "feed"])
class TestWrongTypes:
    """Only contiguous bytes-like objects are accepted."""

    def test_a_strided_buffer_is_refused(self, read: Callable[[object], object]) -> None:
        with pytest.raises(BufferError):
            read(memoryview(INTACT)[::2])

    @pytest.mark.parametrize("wrong", ["text", None, 5, [b"list"], (b"tuple",)], ids=lambda wrong: type(wrong).__name__)
    def test_an_object_without_bytes_is_refused(self, read: Callable[[object], object], wrong: object) -> None:
        with pytest.raises(TypeError):
            read(wrong)


def test_a_refused_block_does_not_change_the_hit_table() -> None:
    hit_table = HitTable()
    hit_table.feed(INTACT[:50])
    for wrong in (memoryview(b"abcd")[::2], "text", None):
        with pytest.raises((BufferError, TypeError)):
            hit_table.feed(wrong)
    hit_table.feed(INTACT[50:])
    hit_table.finish()
    assert state(hit_table) == state(fed(INTACT))


def test_a_block_is_released_after_feed() -> None:
    block = bytearray(INTACT)
    hit_table = HitTable()
    hit_table.feed(block)
    parse_line(block)
    block += b"\n"
    hit_table.finish()
    assert hit_table.hits == 1


def test_a_hit_table_keeps_copies_and_no_references_to_a_block() -> None:
    block = bytearray(INTACT + b"\nbad line\n" + INTACT[:-20])
    hit_table = HitTable()
    hit_table.feed(block)
    block[:] = b"\xff" * len(block)
    hit_table.feed(INTACT[-20:])
    hit_table.finish()
    assert views(hit_table) == {(DAY, b"/intact"): 2}
    assert hit_table.examples == [(2, b"bad line")]


def test_finish_counts_the_last_line_once_and_another_input_may_follow() -> None:
    hit_table = HitTable()
    hit_table.finish()
    assert hit_table.lines == 0
    hit_table.feed(INTACT)
    assert (hit_table.lines, hit_table.hits, len(hit_table)) == (0, 0, 0)
    hit_table.finish()
    hit_table.finish()
    assert (hit_table.lines, hit_table.hits, len(hit_table)) == (1, 1, 1)
    hit_table.feed(b"bad\n" + INTACT[:30])
    hit_table.finish()
    hit_table.feed(INTACT + b"\n")
    hit_table.finish()
    assert (hit_table.lines, hit_table.hits, hit_table.malformed) == (4, 2, 2)
    assert hit_table.examples == [(2, b"bad"), (3, INTACT[:30])]


def ends_at(limit: int, after: bytes) -> bytes:
    """Return a line whose bytes sent end after exactly *limit* bytes. The text *after* follows."""
    end = b'] "GET /a HTTP/1.1" 200 5'
    return b"h" * (limit - len(b" [" + TIME + end)) + b" [" + TIME + end + after


LIMIT_LINES = {
    "one below": long_line(LINE_BYTES - 1),
    "exact": long_line(LINE_BYTES),
    "one above": long_line(LINE_BYTES + 1),
    "far above": long_line(LINE_BYTES + 70_000),
    "bytes end below the limit": ends_at(LINE_BYTES - 1, b""),
    "bytes end at the limit": ends_at(LINE_BYTES, b""),
    "digits go on beyond": ends_at(LINE_BYTES, b"77"),
    "junk beyond": ends_at(LINE_BYTES, b"junk"),
    "junk at the limit": ends_at(LINE_BYTES - 1, b"x"),
    "CR beyond": ends_at(LINE_BYTES, b"\r"),
    "CR at the limit": ends_at(LINE_BYTES - 1, b"\r"),
    "CR at the limit, more beyond": ends_at(LINE_BYTES - 1, b"\rx"),
    "CR at the limit, CR beyond": ends_at(LINE_BYTES - 1, b"\r\r"),
    "CR beyond, more beyond": ends_at(LINE_BYTES, b"\rx"),
    "bytes out of reach": ends_at(LINE_BYTES + 1, b""),
    "time out of reach": ends_at(LINE_BYTES + 60_000, b""),
    "no time": b"x" * (LINE_BYTES + 1),
    "quote out of reach": line(b"GET /" + b"p" * LINE_BYTES),
    "status out of reach": line(b"GET /" + b"p" * (LINE_BYTES - 55)),
}


@pytest.mark.parametrize("text", LIMIT_LINES.values(), ids=LIMIT_LINES)
def test_lines_about_as_long_as_the_limit_are_counted_as_the_oracle_counts(text: bytes) -> None:
    for end in ENDINGS.values():
        assert parse_line(text + end) == as_parsed(reference.parse(text + end))
        data = INTACT + b"\n" + text + end
        data += INTACT + b"\n" if end.endswith(b"\n") else b""
        expected = reference.count(data)
        whole = fed(data)
        assert agrees(whole, expected)
        start = len(INTACT) + 1
        near = [start + LINE_BYTES + offset for offset in (-2, -1, 0, 1, 2)]
        for cut in (1, start, start + 1, start + 70, *near, start + len(text), len(data) - 1):
            assert state(fed(data[:cut], data[cut:])) == state(whole)
        cuts = [0, start, *near, len(data)]
        assert state(fed(*(data[a:b] for a, b in pairwise(cuts)))) == state(whole)


def test_a_line_longer_than_the_limit_counts_if_its_needed_fields_are_before_it() -> None:
    hit_table = fed(long_line(LINE_BYTES + 12345) + b"\n" + INTACT)
    assert views(hit_table) == {(DAY, b"/intact"): 2}
    parsed = parse_line(long_line(LINE_BYTES + 12345))
    assert parsed == parse_line(INTACT)._replace(user_agent=None)


def test_a_long_line_may_come_in_small_blocks() -> None:
    data = long_line(LINE_BYTES + 500) + b"\n" + INTACT + b"\n"
    assert state(fed(*(data[at : at + 7] for at in range(0, len(data), 7)))) == state(fed(data))
    assert fed(data).hits == 2


def test_a_line_with_many_times_is_parsed_by_the_last_time() -> None:
    data = (b"[" + TIME + b'] "') * 30_000 + INTACT
    assert len(data) < LINE_BYTES
    assert views(fed(data)) == {(DAY, b"/intact"): 1}
    assert views(fed(b"[" * 900_000 + INTACT)) == {(DAY, b"/intact"): 1}
    assert views(fed(b"\\" * 900_000 + INTACT)) == {(DAY, b"/intact"): 1}
    assert views(fed(line(b"GET /" + b"\\" * 900_000))) == {(DAY, b"/" + b"\\" * 900_000): 1}
    assert fed(line(b"GET /" + b"\\" * 900_001)).malformed == 1


SOME = (0, 1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 300)
"""Of newlines or brackets: around what is looked at at once, and what is known before lines are counted."""


@pytest.mark.parametrize("before", SOME)
def test_a_line_with_any_number_of_brackets_may_follow_any_number_of_lines(before: int) -> None:
    crowded = [INTACT[:-1] + b"[" * size + b'"\n' + b"[" * size + b"\n" for size in SOME]
    for short in (b"\n", b"x\n", b"[\n", INTACT + b"\n"):
        data = b"".join(short * before + lines + (INTACT + b"\n") * 3 for lines in crowded)
        whole = fed(data)
        assert agrees(whole, reference.count(data))
        for size in (1000, 4096):
            assert state(fed(*(data[at : at + size] for at in range(0, len(data), size)))) == state(whole)


@given(st.lists(st.sampled_from([b"\n", b"[", b"x", b"x" * 60, INTACT, INTACT + b"\n"]), max_size=400))
def test_newlines_and_brackets_are_found_wherever_they_are(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert agrees(fed(data), reference.count(data))
