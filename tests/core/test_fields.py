"""The fields of lines of any format: as tuples, and as places in the line. Where and why reading stopped."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import FoundFields, HitTable, LineRules, ParsedLine, find_fields, parse_line, parse_lines
from fasthits.formats.directives import Field
from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES
from tests.core.support import DAY, INTACT, TIME, as_parsed, line
from tests.core.test_line_rules import FEW, FORMATS, lines_of
from tests.support import reference
from tests.support.strategies import logs


@cache
def rules_of(log_format: Format) -> LineRules:
    return LineRules(ways=[log_format.reading()])


def oracle(text: bytes, log_format: Format) -> dict[str, object] | None:
    """Return the fields of `ParsedLine` as the oracle reads them."""
    fields = reference.read_fields(text, log_format)
    if fields is None:
        return None
    clock = log_format.field("time")
    method, path, query = reference.target_of(fields)
    size = fields.get("bytes")
    host = fields.get("vhost")
    if log_format.absolute and path is not None:
        origin, path = reference.without_origin(path)
        host = host if origin is None else origin
    return {
        "day": reference.field_day(clock, fields["time"]),
        "time": fields["time"],
        "method": method,
        "path": path,
        "query": query[1:] if query else None,
        "status": int(fields["status"]) if fields.get("status", b"").isdigit() else None,
        "bytes_sent": int(size) if size not in (None, b"-") and len(size) <= 18 else None,
        "referer": fields.get("referer"),
        "user_agent": fields.get("user_agent"),
        "vhost": host,
    }


def assert_read_as_by_the_oracle(text: bytes, log_format: Format) -> None:
    rules = rules_of(log_format)
    expected = oracle(text, log_format)
    parsed = parse_line(text, rules)
    assert (parsed is None) == (expected is None)
    if parsed and expected:
        assert {name: getattr(parsed, name) for name in expected} == expected
    assert_found_as_by_the_oracle(find_fields(text, rules), text, log_format)


def assert_found_as_by_the_oracle(found: FoundFields, line: bytes, log_format: Format) -> None:
    expected = reference.read_fields(line, log_format)
    parts = log_format.read_parts
    text = found.text
    named = {
        parts[step].kind: text[start:end]
        for step, start, end in found.fields
        if isinstance(parts[step], Field) and parts[step].kind not in ("skip", "port")
    }
    assert (found.trouble == "") == (expected is not None)
    assert 0 <= found.stopped <= len(text)
    assert all(0 <= field.start <= field.end <= len(text) for field in found.fields)
    if expected is not None:
        if found.host[1]:
            named["vhost"] = text[slice(*found.host)]
        assert named == expected
    hit_table = HitTable(rules=rules_of(log_format))
    hit_table.feed(line + b"\n")
    assert (found.trouble != "") == (hit_table.malformed == 1)


@pytest.mark.parametrize("name", FORMATS)
def test_the_core_and_the_oracle_agree_on_lines_that_nearly_follow_a_format(name: str) -> None:
    log_format = FORMATS[name]

    @FEW
    @given(lines_of(log_format).filter(lambda text: b"\n" not in text))
    def check(text: bytes) -> None:
        assert_read_as_by_the_oracle(text, log_format)

    check()


@given(data=logs(), name=st.sampled_from(sorted(FORMATS)))
def test_the_core_and_the_oracle_agree_on_any_log(data: bytes, name: str) -> None:
    log_format = FORMATS[name]
    found = list(parse_lines(data, rules_of(log_format)))
    texts = reference.split_lines(data)
    assert found == [parse_line(text, rules_of(log_format)) for text in texts]
    for text in texts:
        assert_read_as_by_the_oracle(text, log_format)


@given(logs())
def test_without_rules_lines_are_read_as_combined(data: bytes) -> None:
    texts = reference.split_lines(data)
    expected = [as_parsed(reference.parse(text)) for text in texts]
    assert list(parse_lines(data)) == [parse_line(text) for text in texts] == expected
    with_hosts = LineRules(ways=[NAMES["combined"].reading()], by_host=True, methods=[b"PUT"], statuses=[404])
    assert list(parse_lines(data, with_hosts)) == expected


def test_a_block_gives_a_result_for_each_line() -> None:
    paths = [each and each.path for each in parse_lines(INTACT + b"\n\njunk\r\n" + line() + b"\r\n" + INTACT)]
    assert paths == [b"/intact", None, None, b"/a", b"/intact"]
    assert list(parse_lines(b"")) == []
    assert list(parse_lines(b"\n")) == [None]


def test_a_virtual_host_is_read_if_the_format_has_one() -> None:
    rules = rules_of(NAMES["vhost_combined"])
    hosts = [each and each.vhost for each in parse_lines(b"[::1]:80 " + line() + b"\n:80 " + line(), rules)]
    assert hosts == [b"[::1]", None]
    short = rules_of(NAMES["short"])
    parsed = parse_line(b"example.org [%b] GET /a 200" % TIME, short)
    assert parsed == (DAY, TIME, b"GET", None, b"/a", None, None, 200, None, None, None, b"example.org", None)


def test_a_block_is_held_until_the_iterator_is_finished_or_deleted() -> None:
    block = bytearray(INTACT + b"\n" + INTACT)
    found = parse_lines(block)
    assert isinstance(next(found), ParsedLine)
    with pytest.raises(BufferError):
        block.clear()
    found.close()
    block += b"\n"
    assert len(list(parse_lines(block))) == 2
    block.clear()


def take_first(read: Callable[[object], Iterator[object]]) -> Callable[[object], object]:
    return lambda block: next(read(block))


@pytest.mark.parametrize("read", [take_first(parse_lines), find_fields])
def test_only_contiguous_buffers_are_accepted(read: Callable[[object], object]) -> None:
    with pytest.raises(BufferError):
        read(memoryview(INTACT)[::2])
    for wrong in ("text", None, 5, [b"list"]):
        with pytest.raises(TypeError):
            read(wrong)
    with pytest.raises(TypeError):
        parse_line(INTACT, {})


TORN = line(b"GET /a", b"")
TROUBLES = {
    "nothing wrong": (INTACT, "combined", (12, len(INTACT), "")),
    "empty": (b"", "combined", (0, 0, "absent")),
    "no time": (b"x [y", "combined", (0, 0, "absent")),
    "day of no calendar": (line(time=b"31/Feb/2026:10:00:00 +0100"), "combined", (0, 15, "day")),
    "no space behind the time, and torn": (b"[" + TIME + b']"GET', "combined", (2, 29, "absent")),
    "torn request": (TORN, "combined", (2, 44, "absent")),
    "status of two digits": (line(after=b'" 20 5'), "combined", (4, 61, "absent")),
    "bytes of letters": (line(after=b'" 200 x'), "combined", (6, 65, "absent")),
    "more than bytes": (line(after=b'" 200 55x'), "combined", (6, 67, "end")),
    "the time that leads furthest": (b"[x [" + TIME + b'] "[' + TIME + b'] "GET" 2', "combined", (4, 68, "absent")),
    "the first of equals": (b"[" + TIME + b'] "a" b [' + TIME + b'] "a" b', "combined", (4, 33, "absent")),
    "another literal": (b"x y", "$time_iso8601|$request_method|$uri", (0, 0, "absent")),
    "ISO day of no calendar": (b"2026-02-30T10:00:00Z|GET|/", "$time_iso8601|$request_method|$uri", (0, 0, "day")),
    "what follows the needed": (line(after=b'" 200 5 x'), "combined", (7, 66, "")),
}


@pytest.mark.parametrize(("text", "log_format", "expected"), TROUBLES.values(), ids=TROUBLES)
def test_find_fields_says_where_and_why_reading_stopped(
    text: bytes, log_format: str, expected: tuple[int, int, str]
) -> None:
    found = find_fields(text, rules_of(NAMES.get(log_format) or parse_format(log_format)))
    assert found[2:5] == expected


def test_find_fields_returns_the_fields_before_the_one_that_disagrees() -> None:
    found = find_fields(line(b"GET /a", b'" 200 x'))
    assert [text for text in (line(b"GET /a", b'" 200 x')[start:end] for _, start, end in found.fields)] == [
        *(TIME, b"GET /a", b"200"),
    ]


COMBINED = NAMES["combined"].reading()
STEPS = COMBINED["steps"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": []}, "1 to 128 steps"),
        ({"steps": STEPS, "needed": 0}, "1 to 128 steps"),
        ({"steps": STEPS, "needed": 13}, "1 to 128 steps"),
        ({"steps": STEPS * 11, "needed": 1}, "1 to 128 steps"),
        ({"steps": STEPS[1:], "needed": 3}, "needs a time"),
        ({"steps": [*STEPS[2:5], *STEPS], "needed": 3}, "needs a time"),
        ({"steps": [("skip", "literal", b"", None), *STEPS], "needed": 3}, "at least one byte"),
        ({"steps": STEPS[1:] + STEPS, "needed": 20}, "what is searched for"),
    ],
)
def test_impossible_steps_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LineRules(ways=[COMBINED | wrong])
