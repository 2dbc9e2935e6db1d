"""The names of the live counters."""

import hashlib
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits.errors import UsageError
from fasthits.live.keys import KEY_BYTES, check_prefix, figure_path, hit_key
from fasthits.live.statistics import FIGURES

DAY = date(2026, 3, 12)


def test_a_key_equals_the_key_of_djangos_cache() -> None:
    assert hit_key(DAY, b"/a/b.html") == ":1:2026-03-12/a/b.html"
    assert hit_key(DAY, b"/", "site:3:") == "site:3:2026-03-12/"


def test_a_path_is_hashed_only_if_it_is_too_long_for_a_key() -> None:
    longest = b"/" + b"x" * (KEY_BYTES - len(":1:2026-03-12/"))
    assert hit_key(DAY, longest) == ":1:2026-03-12" + longest.decode()
    assert len(hit_key(DAY, longest)) == KEY_BYTES
    assert hit_key(DAY, longest + b"x") == ":1:2026-03-12#" + hashlib.sha256(longest + b"x").hexdigest()


@pytest.mark.parametrize("byte", [b" ", b"\n", b"\r", b"\0", b"\t", b"\x7f", b"\x80", b"\xff", "é".encode()])
def test_a_path_with_a_byte_that_keys_must_not_have_is_hashed(byte: bytes) -> None:
    path = b"/a" + byte + b"b"
    assert hit_key(DAY, path) == ":1:2026-03-12#" + hashlib.sha256(path).hexdigest()


@given(st.binary(max_size=400).map(lambda rest: b"/" + rest))
def test_every_key_is_legal(path: bytes) -> None:
    assert re.fullmatch(r"[\x21-\x7e]{1,250}", hit_key(DAY, path))


@given(st.sets(st.binary(max_size=8).map(lambda rest: b"/" + rest) | st.sampled_from([b"/" + b"x" * 300, b"/#"])))
def test_distinct_paths_have_distinct_keys(paths: set[bytes]) -> None:
    assert len({hit_key(DAY, path) for path in paths}) == len(paths)


@pytest.mark.parametrize("figure", FIGURES)
def test_no_hit_has_the_key_of_a_figure(figure: str) -> None:
    longest = "x" * 175
    assert hit_key(DAY, figure_path(figure)) == f":1:2026-03-12!{figure.replace(' ', '-')}"
    assert re.fullmatch(rf"{longest}2026-03-12![a-z-]+", hit_key(DAY, figure_path(figure), longest))


@pytest.mark.parametrize("prefix", ["a b", "é", "\n", "x" * 176])
def test_a_prefix_that_makes_illegal_keys_is_a_usage_error(prefix: str) -> None:
    with pytest.raises(UsageError):
        check_prefix(prefix)


def test_the_longest_prefix_leaves_room_for_a_hash() -> None:
    prefix = check_prefix("x" * 175)
    assert len(hit_key(DAY, b"/\xff", prefix)) == KEY_BYTES
