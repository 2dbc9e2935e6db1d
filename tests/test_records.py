"""Records behave like frozen dataclasses."""

import pickle

import pytest

from fasthits.records import Record, fields_of, replace


class Place(Record, uncompared=("note",)):
    """A record with a default and with an attribute that is not compared."""

    host: str
    port: int = 80
    note: str = ""


def test_attributes_can_be_positional_or_keywords() -> None:
    place = Place("a", note="b")
    assert (place.host, place.port, place.note) == ("a", 80, "b")
    assert repr(place) == "Place(host='a', port=80, note='b')"
    assert fields_of(place) == {"host": "a", "port": 80, "note": "b"}


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), (("a", 1, "b", 2), {}), (("a",), {"host": "b"}), (("a",), {"x": 1})]
)
def test_other_attributes_are_refused(values: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Place has the attributes host, port, note"):
        Place(*values, **named)  # type: ignore[arg-type]


def test_records_are_equal_by_their_compared_attributes() -> None:
    assert Place("a", note="b") == Place("a", note="c")
    assert len({Place("a", note="b"), Place("a", note="c"), Place("a", 81)}) == 2
    assert Place("a") != ("a", 80, "")


def test_records_do_not_change() -> None:
    place = Place("a")
    with pytest.raises(AttributeError, match=r"Place\.port cannot be changed"):
        place.port = 81  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"Place\.port cannot be deleted"):
        del place.port
    assert replace(place, port=81) == Place("a", 81)
    assert place.port == 80


def test_records_can_be_sent_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(Place("a", note="b"))).note == "b"
