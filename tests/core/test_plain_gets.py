"""The fast path gives the same result as the general path: paths, times and sizes of all shapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules
from fasthits.formats.named import NAMES
from tests.core.support import (
    DAY,
    FRONT,
    INTACT,
    LONG_AFTER,
    TIME,
    agrees,
    fed,
    line,
    state,
    views,
)
from tests.support import reference
from tests.support.strategies import logs

ENDS_OF_PATHS = {
    "HTTP/1.1": b" HTTP/1.1",
    "HTTP/2": b" HTTP/2",
    "HTTP/2.0": b" HTTP/2.0",
    "no protocol": b"",
    "a space": b" ",
    "no digits": b" HTTP/:.?",
    "a quote for a digit": rb" HTTP/1.\"",
    "a backslash for a digit": rb" HTTP/1.\\",
    "another protocol": b" HTTPS/1.1",
    "small letters": b" http/1.1",
    "more than a protocol": b" HTTP/1.1 x",
    "a query": b"?q=1 HTTP/1.1",
    "an empty query": b"?",
    "a quote": rb"\"x HTTP/1.1",
    "a quote in the query": rb"?\" HTTP/1.1",
    "backslashes": rb"\\",
    "backslashes before the query": rb"\\\\?",
    "a torn request": b"\\",
}


def assert_agrees_with_the_oracle(text: bytes) -> None:
    """Fail unless the core and the oracle agree on a line, alone and after another line."""
    for end in (b"\n", b"\r\n"):
        assert agrees(fed(text + end), reference.count(text + end))
        data = INTACT + end + text + end + INTACT + end
        assert agrees(fed(data), reference.count(data))


@pytest.mark.parametrize("end", ENDS_OF_PATHS.values(), ids=ENDS_OF_PATHS)
def test_the_end_of_a_path_of_any_size_is_found(end: bytes) -> None:
    for size in (1, 2, 7, *range(58, 71), *range(120, 132), 200):
        for after in (b'" 200 5' + LONG_AFTER, b'" 304 -' + LONG_AFTER, b'" 200 5'):
            assert_agrees_with_the_oracle(line(b"GET /" + b"p" * (size - 1) + end, after))


def test_lines_that_end_near_their_path_are_read_completely() -> None:
    for size in range(130):
        for padding in range(140):
            text = line(b"GET /" + b"p" * size + b" HTTP/1.1", b'" 200 5 "' + b"r" * padding)
            if 40 <= size + padding <= 140:
                assert views(fed(text)) == {(DAY, b"/" + b"p" * size): 1}


@pytest.mark.parametrize("sent", [b"", b"-", b"--", *(b"123456789012"[:size] for size in range(1, 13))])
def test_the_end_of_bytes_sent_of_any_size_is_found(sent: bytes) -> None:
    for status in (b"200", b"20x", b"2000", b"20"):
        for wrong in (b"", b"-", b"x", b"/", b":", b"\0", b"\xb5", b"\xff", b'"', b"\t", b"\r", b" "):
            for after in (LONG_AFTER, LONG_AFTER[1:], b"", b" ", b"5" * 9):
                for request in (b"GET /a HTTP/1.1", b"GET /" + b"p" * 70 + b"?q"):
                    text = b'" %b %b%b%b' % (status, sent, wrong, after)
                    assert agrees(fed(line(request, text)), reference.count(line(request, text)))


@pytest.mark.parametrize(
    "method", ["G", "GE", "GETS", "HEAD", "POST", "PROPFIND", *("M" * size for size in range(13, 20)), "Get", ""]
)
def test_the_end_of_a_method_of_any_size_is_found(method: str) -> None:
    for path in (b"/a", b"/" + b"p" * 80 + b"?q", b"http://o/a", b"*", b" /a", rb"\"/a"):
        assert_agrees_with_the_oracle(line(method.encode() + b" " + path + b" HTTP/1.1", b'" 200 5' + LONG_AFTER))


@pytest.mark.parametrize("method", [b"HEAD", b"M" * 15, b"M" * 16])
def test_hits_of_other_methods_count_under_their_path(method: bytes) -> None:
    hit_table = HitTable(rules=LineRules(methods=[method]))
    hit_table.feed((line(method + b" /a?q HTTP/1.1", b'" 200 5' + LONG_AFTER) + b"\n") * 2)
    assert views(hit_table) == {(DAY, b"/a"): 2}


def test_a_glued_line_is_found_anywhere_after_the_bytes_sent() -> None:
    other = line(b"GET / HTTP/1.1", b'" 200 5', front=b"")
    for before in range(200):
        for after in (0, 1, 30, 63, 64, 65, 128, 300):
            glued = line(after=b'" 200 5 "' + b"r" * before + other + b"r" * after)
            assert fed(glued + b"\n" + INTACT + b"\n").malformed == 1


TIMES = [
    TIME,
    TIME,
    b"13/Mar/2026:00:00:00 +0100",
    b"12/Mar/2027:10:00:00 +0100",
    b"12/Mar/2026:23:59:59 -0700",
    b"12/Mar/2026:99:99:99 +9999",
    b"31/Feb/2026:10:00:00 +0100",
    b"12/Foo/2026:10:00:00 +0100",
    b"12/Mar/0000:10:00:00 +0100",
    b"\0" * 11 + b":10:00:00 +0100",
    b"12/Mar/2026:1x:00:00 +0100",
    b"12/Mar/2026:10:x0:00 +0100",
    b"12/Mar/2026:10:00:x0 +0100",
    b"12/Mar/2026:10:00:0x +0100",
    b"12/Mar/2026:10:00:0: +0100",
    b"12/Mar/2026:1::00:00 +0100",
    b"12/Mar/2026:10.00:00 +0100",
    b"12/Mar/2026:10:00.00 +0100",
    b"12/Mar/2026.10:00:00 +0100",
    b"12/Mar/2026:10:00:00_+0100",
    b"12/Mar/2026:10:00:00 *0100",
    b"12/Mar/2026:10:00:00 +01oo",
    b"12/Mar/2026:10:00:00 +0100 ",
]


def timed(time: bytes) -> bytes:
    return line(b"GET /a/page.html HTTP/1.1", b'" 200 512' + LONG_AFTER, time=time) + b"\n"


def test_the_line_before_does_not_change_how_a_time_is_read() -> None:
    for before in TIMES:
        for time in TIMES:
            for data in (timed(before) + timed(time) * 2, timed(time) + timed(before) + timed(time)):
                assert agrees(fed(data), reference.count(data))


@given(st.lists(st.sampled_from(TIMES).map(timed), max_size=12))
def test_times_are_read_the_same_in_any_order(drawn: list[bytes]) -> None:
    data = b"".join(drawn)
    assert agrees(fed(data), reference.count(data))
    assert state(fed(*(data[at : at + 100] for at in range(0, len(data), 100)))) == state(fed(data))


@given(logs(), st.integers(1, 70))
def test_hits_in_batches_count_like_hits_one_by_one(data: bytes, times: int) -> None:
    data = (data + b"\n") * times
    whole, singly = fed(data), HitTable()
    for text in data.split(b"\n")[:-1]:
        singly.feed(text + b"\n")
    assert state(singly) == state(whole)
    assert agrees(whole, reference.count(data))


def test_a_zone_of_nuls_is_invalid_before_the_first_plain_line_too() -> None:
    """Before the first plain line the remembered zone is all zeros, while a day is remembered from another line."""
    other = line(b"HEAD /a", front=b"[x ")
    nuls = FRONT + b"[12/Mar/2026:10:00:00 " + b"\0" * 8 + b"GET /a HTTP/1.1" + b'" 200 512' + LONG_AFTER
    data = other + b"\n" + nuls + b"\n"
    assert agrees(fed(data), reference.count(data))
    assert fed(data).malformed == 1


@pytest.mark.parametrize("wrong", [b']x"', b"] x", b"] G", b'x "', b'[ "'])
def test_the_zone_of_a_malformed_line_is_not_remembered(wrong: bytes) -> None:
    bad = FRONT + b"[" + TIME + wrong + b"GET /a HTTP/1.1" + b'" 200 512' + LONG_AFTER
    data = (bad + b"\n") * 3
    assert agrees(fed(data), reference.count(data))
    assert fed(data).malformed == 3


def test_a_line_without_a_user_agent_does_not_get_the_one_of_the_line_before() -> None:
    agents = []

    def verdict(agent: bytes) -> int:
        agents.append(agent)
        return 0

    data = (line(after=b'" 200 5' + LONG_AFTER) + b"\n") * 3
    for log_format in ("combined", "common"):
        HitTable(rules=LineRules(verdict=verdict, ways=[NAMES[log_format].reading()])).feed(data)
    assert agents == [b"Mozilla/5.0 (X11; Linux x86_64)", b"-"]
