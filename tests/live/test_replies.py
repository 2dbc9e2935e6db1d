"""What replies to ``add`` and ``incr`` mean for hits: all replies of memcached or a proxy, cut into any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits.live.replies import COUNTED, CREATED, REPLY_BYTES, Outcome, Replies

SURE, NOT, NEVER, DOUBT = Outcome.COUNTED, Outcome.NOT_COUNTED, Outcome.REFUSED, Outcome.UNKNOWN

TABLE = [
    # the reply to add, the reply to incr, the result for the hits, whether later replies can be understood
    (b"STORED", b"7", SURE, True),
    (b"NOT_STORED", b"18446744073709551615", SURE, True),
    (b"SERVER_ERROR out of memory storing object", b"7", SURE, True),
    (b"SERVER_ERROR Connection timed out", b"7", SURE, True),
    # replies of memcached
    (b"SERVER_ERROR out of memory storing object", b"NOT_FOUND", NOT, True),
    (b"SERVER_ERROR object too large for cache", b"NOT_FOUND", NOT, True),
    (b"STORED", b"NOT_FOUND", NOT, True),
    (b"NOT_STORED", b"SERVER_ERROR out of memory", NOT, True),
    (b"NOT_STORED", b"SERVER_ERROR out of memory in incr/decr", NOT, True),
    (b"NOT_STORED", b"CLIENT_ERROR cannot increment or decrement non-numeric value", NEVER, True),
    # replies of proxies, and of memcached as a proxy
    (b"STORED", b"SERVER_ERROR Connection timed out", DOUBT, True),
    (b"SERVER_ERROR Connection refused", b"SERVER_ERROR Connection refused", DOUBT, True),
    (b"STORED", b"SERVER_ERROR Connection reset by peer", DOUBT, True),
    (b"STORED", b"SERVER_ERROR backend failure", DOUBT, True),
    (b"STORED", b"SERVER_ERROR", DOUBT, False),
    (b"STORED", b"SERVER_ERROR Out of memory during read", DOUBT, True),
    # texts that do not answer such commands
    (b"STORED", b"CLIENT_ERROR bad command line format", DOUBT, False),
    (b"STORED", b"ERROR", DOUBT, False),
    (b"ERROR", b"ERROR", DOUBT, False),
    (b"CLIENT_ERROR bad data chunk", b"7", DOUBT, False),
    (b"STORED", b"STORED", DOUBT, False),
    (b"STORED", b"", DOUBT, False),
    (b"STORED", b"-7", DOUBT, False),
    (b"STORED", b"7 ", DOUBT, False),
    (b"7", b"NOT_FOUND", DOUBT, False),
    (b"NOT_FOUND", b"7", DOUBT, False),
    (b"", b"7", DOUBT, False),
    (b"VERSION 1.6.18", b"NOT_FOUND", DOUBT, False),
]


@pytest.mark.parametrize(("added", "counted", "outcome", "in_step"), TABLE)
def test_two_lines(added: bytes, counted: bytes, outcome: Outcome, in_step: bool) -> None:
    replies = Replies()
    replies.feed(b"STORED\r\n1\r\n%b\r\n%b\r\nSTORED\r\n3\r\n" % (added, counted))
    assert [answer.outcome for answer in replies.answers] == [SURE, outcome, SURE][: 3 if in_step else 2]
    assert replies.in_step == in_step
    assert replies.trusted == (outcome is not DOUBT)


@pytest.mark.parametrize(("added", "counted", "outcome", "in_step"), TABLE)
def test_an_incomplete_reply_is_not_used(added: bytes, counted: bytes, outcome: Outcome, in_step: bool) -> None:
    whole = b"%b\r\n%b\r\n" % (added, counted)
    for end in range(len(whole)):
        replies = Replies()
        replies.feed(whole[:end])
        assert replies.answers == []
        assert replies.left(0) == (end > 0)


@given(st.lists(st.sampled_from(TABLE), max_size=8), st.lists(st.integers(0, 200), max_size=8))
def test_replies_may_be_cut_anywhere(rows: list[tuple[bytes, bytes, Outcome, bool]], cuts: list[int]) -> None:
    data = b"".join(b"%b\r\n%b\r\n" % row[:2] for row in rows)
    whole, cut = Replies(), Replies()
    whole.feed(data)
    ends = sorted({min(each, len(data)) for each in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(ends):
        if cut.in_step:  # otherwise nobody reads on
            cut.feed(data[start:end])
    assert cut.answers == whole.answers
    assert (cut.trusted, cut.in_step) == (whole.trusted, whole.in_step)


def test_a_surplus_reply_is_reported() -> None:
    for surplus, left in ((b"", False), (b"\r\n", True), (b"x", True), (b"STORED\r\n4\r\n", True)):
        replies = Replies()
        replies.feed(b"STORED\r\n1\r\n" + surplus)
        assert replies.answers[0] == CREATED
        assert replies.left(1) == left


def test_an_answer_tells_whether_there_was_a_counter() -> None:
    replies = Replies()
    replies.feed(b"STORED\r\n1\r\nNOT_STORED\r\n2\r\n")
    assert replies.answers == [CREATED, COUNTED]
    replies.feed(b"NOT_STORED\r\n3\r\nSERVER_ERROR out of memory storing object\r\n4\r\nSTORED\r\n1\r\n")
    assert replies.answers[2:] == [COUNTED, COUNTED, CREATED]


def test_a_reply_without_end_ends_the_connection() -> None:
    for data in (b"S" * (REPLY_BYTES + 1), b"STORED\n1\n"):
        replies = Replies()
        replies.feed(data)
        assert not replies.in_step
        assert not replies.trusted
