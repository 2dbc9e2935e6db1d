"""Packed sums: packed pairs can be unpacked, and damaged bytes raise ValueError."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import add_sums, pack_sums
from tests.core.support import take_number

LARGEST = 2**63 - 1
NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 70_000), st.integers(0, LARGEST))
PAIRS = st.dictionaries(st.integers(1, 400), NUMBERS, max_size=40).map(lambda views: sorted(views.items()))


def sums(count: int) -> "array[int]":
    return array("Q", bytes(8 * count))


def unpack(packed: bytes, ids: int) -> tuple[list[tuple[int, int]], int]:
    """The oracle: return the pairs, and where each number ends; raise IndexError or ValueError for damage."""
    pairs, at, before = [], 0, 0
    while at < len(packed):
        difference, at = take_number(packed, at)
        size = 8 if packed[at : at + 2] == b"\xff\xff" else 2
        at += 2 * (size == 8)
        if len(packed) < at + size:
            raise IndexError("cut off")
        before += difference
        if not difference or before >= ids:
            raise ValueError("no such id")
        pairs.append((before, int.from_bytes(packed[at : at + size], "little")))
        at += size
    return pairs, at


@given(PAIRS)
def test_packed_pairs_can_be_unpacked(pairs: list[tuple[int, int]]) -> None:
    packed = pack_sums(iter(pairs))
    assert unpack(packed, 401)[0] == pairs
    found = sums(401)
    total = sum(views for _, views in pairs)
    if total >= 2**64:
        with pytest.raises(ValueError, match="damaged"):
            add_sums(packed, found)
    else:
        assert add_sums(packed, found) == (len(pairs), total)
        assert {path: views for path, views in enumerate(found) if views} == {
            path: views for path, views in pairs if views
        }


@given(PAIRS, st.lists(st.integers(0, 2), min_size=401, max_size=401))
def test_views_are_added_at_their_places(pairs: list[tuple[int, int]], places: list[int]) -> None:
    pairs = [(path, views % 1000) for path, views in pairs]
    found = array("Q", [7, 7, 7])
    add_sums(pack_sums(pairs), found, array("I", places))
    assert found.tolist() == [7 + sum(views for path, views in pairs if places[path] == place) for place in range(3)]


@given(st.one_of(st.binary(max_size=40), PAIRS.map(pack_sums)), st.integers(0, 60), st.integers(1, 500))
def test_any_bytes_are_added_or_refused(packed: bytes, cut: int, ids: int) -> None:
    packed = packed[: len(packed) - cut] if cut < len(packed) else packed
    try:
        pairs, _ = unpack(packed, ids)
        if sum(views for _, views in pairs) >= 2**64:
            raise ValueError("overflow")
    except (IndexError, ValueError):
        with pytest.raises(ValueError, match="damaged"):
            add_sums(packed, sums(ids))
    else:
        assert add_sums(packed, sums(ids)) == (len(pairs), sum(views for _, views in pairs))


def test_ids_and_places_outside_of_the_sums_are_refused() -> None:
    packed = pack_sums([(5, 1)])
    assert add_sums(packed, sums(6)) == (1, 1)
    for found, places in (
        (sums(5), None),
        (sums(0), None),
        (sums(9), array("I", [0] * 5)),
        (sums(2), array("I", [2] * 6)),
        (sums(0), array("I", [0] * 6)),
    ):
        with pytest.raises(ValueError, match="damaged"):
            add_sums(packed, found, places)


def test_a_sum_that_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        add_sums(pack_sums([(1, 1)]), array("Q", [0, 2**64 - 1]))


@pytest.mark.parametrize(
    "pairs", [[(0, 1)], [(2, 1), (2, 1)], [(2, 1), (1, 1)], [(1, 2**63)], [(2**63, 1)], [(1, -1)], [(-1, 1)]]
)
def test_pairs_that_cannot_be_packed_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        pack_sums(pairs)


def test_wrong_arguments_of_sums_are_refused() -> None:
    with pytest.raises(TypeError):
        pack_sums([(1, "2")])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        add_sums("text", sums(1))  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        add_sums(b"", bytes(8))
    with pytest.raises(ValueError, match="aligned"):
        add_sums(b"", memoryview(bytearray(17))[1:])
