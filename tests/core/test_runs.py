"""Rows as bytes: dumped rows can be loaded, runs are merged, and damaged bytes are refused."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable, csv_of_piece, merge_runs, rows_of_piece
from tests.core.support import DAY, take_number
from tests.support.strategies import DAYS

Rows = dict[tuple[date, bytes], int]
Row = tuple[date, bytes, int]

KEY = bytes(range(16))
LARGEST = 2**63 - 1
paths = st.one_of(
    st.sampled_from([b"", b"/", b"/a", b"/a\n", b"/a\nx", b"/\xff", b"/same-start/0", b"/same-start/1"]),
    st.binary(max_size=20),
)
rows = st.dictionaries(st.tuples(st.sampled_from([date.min, *DAYS, date.max]), paths), st.integers(0, 300), max_size=30)


def table_of(found: Rows) -> HitTable:
    table = HitTable()
    for (day, path), views in found.items():
        table.add(day, path, views)
    return table


def run_of(found: Rows, by_views: bool = False) -> list[bytes]:
    return [piece for _, piece in table_of(found).dump(by_views=by_views)]


def read(pieces: "list[bytes]") -> list[Row]:
    return [row for piece in pieces for row in rows_of_piece(piece)]


def in_order(found: Rows, by_views: bool = False) -> list[Row]:
    order = (lambda row: (row[0], -row[2], row[1])) if by_views else None
    return sorted(((day, path, views) for (day, path), views in found.items() if views), key=order)


def number(value: int) -> bytes:
    """The oracle: return a number as a varint."""
    low = value & 0x7F
    return bytes([low | 0x80]) + number(value >> 7) if value >> 7 else bytes([low])


def piece_of(found: list[Row]) -> bytes:
    """The oracle: return rows as a piece."""
    days = [0, *(day.toordinal() for day, _, _ in found)]
    return b"".join(
        number(day - before) + number(views) + number(len(path)) + path
        for before, day, (_, path, views) in zip(days, days[1:], found, strict=False)
    )


def rows_or_damage(piece: bytes) -> list[Row]:
    """The oracle: return the rows of a piece; raise ValueError or IndexError for damage."""
    found, at, day = [], 0, 0
    while at < len(piece):
        days, at = take_number(piece, at)
        views, at = take_number(piece, at)
        size, at = take_number(piece, at)
        day += days
        if not views or size > len(piece) - at or size > 4 * LINE_BYTES or not day <= date.max.toordinal():
            raise ValueError("damaged")
        found.append((date.fromordinal(day), piece[at : at + size], views))
        at += size
    return found


@given(rows, st.booleans())
def test_dumped_rows_are_in_order_and_can_be_loaded(found: Rows, by_views: bool) -> None:
    pieces = run_of(found, by_views)
    assert b"".join(pieces) == piece_of(in_order(found, by_views))
    assert read(pieces) == in_order(found, by_views)
    loaded = HitTable()
    for piece in pieces:
        loaded.load(piece)
        loaded.load(bytearray(piece))
    assert list(loaded.sorted_rows()) == [(day, path, 2 * views) for day, path, views in in_order(found)]
    assert (loaded.lines, loaded.hits, loaded.dropped) == (0, 0, 0)


@given(rows, st.integers(1, 9))
def test_day_and_path_of_a_row_choose_its_group(found: Rows, groups: int) -> None:
    dumped = list(table_of(found).dump(groups, KEY))
    numbers = [number for number, _ in dumped]
    assert numbers == sorted(numbers)
    by_group = {number: read([piece for _, piece in group]) for number, group in groupby(dumped, itemgetter(0))}
    assert sorted(row for some in by_group.values() for row in some) == in_order(found)
    assert all(some == sorted(some) for some in by_group.values())
    assert all(0 <= number < groups for number in by_group)
    heads = [{(day, path.partition(b"\n")[0]) for day, path, _ in some} for some in by_group.values()]
    assert sum(map(len, heads)) == len(set().union(*heads))
    assert list(table_of(dict(reversed(found.items()))).dump(groups, KEY)) == dumped


def test_groups_have_similar_sizes_and_depend_on_the_key() -> None:
    found = {(DAY, b"/%d" % at): 1 for at in range(8_000)}
    sizes = Counter({number: len(read([piece])) for number, piece in table_of(found).dump(8, KEY)})
    assert sum(sizes.values()) == 8_000
    assert all(850 < size < 1_150 for size in sizes.values())
    assert list(table_of(found).dump(8, KEY)) != list(table_of(found).dump(8, bytes(16)))


def test_the_groups_never_change() -> None:
    """Other machines, and other versions with this format, must choose the same groups."""
    found = {b"/": 832, b"/a": 285, b"/b": 751, b"/" + b"x" * 99: 46}
    assert {path: number for path in found for number, _ in table_of({(DAY, path): 1}).dump(1000, KEY)} == found


@given(st.lists(rows, max_size=7), st.one_of(st.none(), st.sets(st.sampled_from(DAYS))))
def test_merged_runs_add_up_equal_rows(found: list[Rows], days: set[date] | None) -> None:
    total = Counter[tuple[date, bytes]]()
    for some in found:
        total.update(some)
    merged = list(merge_runs([run_of(some) for some in found], days=days))
    expected = [row for row in in_order(total) if days is None or row[0] in days]
    assert read(merged) == expected
    assert b"".join(merged) == piece_of(expected)


@given(rows, st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_runs_by_views_are_merged_in_that_order(found: Rows, where: list[int]) -> None:
    pairs = list(zip(found.items(), where, strict=False))
    runs = [run_of({row: views for (row, views), at in pairs if at == number}, by_views=True) for number in range(3)]
    assert read(list(merge_runs(runs, by_views=True))) == in_order(found, by_views=True)


def many(seed: int, size: int = 9_000) -> Rows:
    chance = random.Random(seed)
    names = [b"/%d/%b" % (chance.randrange(20_000), b"p" * chance.randrange(90)) for _ in range(size)]
    return {(chance.choice(DAYS), name): chance.randrange(1, 5) for name in names}


def test_many_rows_are_in_many_pieces() -> None:
    found = [many(seed) for seed in range(5)]
    runs = [run_of(some) for some in found]
    assert all(len(run) > 3 for run in runs)
    assert all(1 << 17 <= len(piece) < (1 << 17) + 200 for run in runs for piece in run[:-1])
    total = Counter[tuple[date, bytes]]()
    for some in found:
        total.update(some)
    merged = list(merge_runs([iter(run) for run in runs]))
    assert read(merged) == in_order(total)
    assert all(1 << 17 <= len(piece) < (1 << 17) + 200 for piece in merged[:-1])
    by_views = run_of(total, by_views=True)
    expected = b"".join(lines for _, lines, _ in table_of(total).csv())
    assert b"".join(lines for piece in by_views for _, lines, _ in csv_of_piece(piece)) == expected


@given(rows, st.integers(1, 3))
def test_the_csv_of_a_piece_is_that_of_its_table(found: Rows, fields: int) -> None:
    pieces = run_of(found, by_views=True)
    assert [each for piece in pieces for each in csv_of_piece(piece, fields)] == list(table_of(found).csv(fields))


def test_text_is_as_in_sorted_rows() -> None:
    table = table_of({(DAY, "/é".encode()): 2, (DAY, b"/a"): 1})
    ((_, piece),) = table.dump()
    assert rows_of_piece(piece, as_text=True) == list(table.sorted_rows(as_text=True))


damaged = st.one_of(
    st.binary(max_size=30),
    st.tuples(rows.map(in_order).map(piece_of), st.integers(0, 60), st.integers(0, 255)).map(
        lambda change: change[0][: change[1]] + bytes([change[2]]) + change[0][change[1] + 1 :]
    ),
    st.tuples(rows.map(in_order).map(piece_of), st.integers(0, 60)).map(lambda cut: cut[0][: -cut[1]]),
)


@given(damaged)
def test_bytes_that_are_refused_change_nothing(piece: bytes) -> None:
    table = table_of({(DAY, b"/kept"): 1})
    try:
        expected = rows_or_damage(piece)
    except (ValueError, IndexError):
        for use in USES:
            with pytest.raises(ValueError, match="damaged rows"):
                use(table, piece)
        assert list(table.rows()) == [(DAY, b"/kept", 1)]
    else:
        assert rows_of_piece(piece) == expected
        assert csv_of_piece(piece) is not None
        table.load(piece)
        assert sum(views for _, _, views in table.rows()) == 1 + sum(views for _, _, views in expected)


USES: list[Callable[[HitTable, bytes], object]] = [
    lambda table, piece: table.load(piece),
    lambda table, piece: rows_of_piece(piece),
    lambda table, piece: csv_of_piece(piece),
    lambda table, piece: list(merge_runs([[piece_of([(date.min, b"", 1)])], [piece]])) and None,
]


@pytest.mark.parametrize(
    ("runs", "bad"),
    [
        ([[piece_of([(DAY, b"/b", 1), (DAY, b"/a", 1)])], [piece_of([(DAY, b"/", 1)])]], 0),
        ([[piece_of([(DAY, b"/a", 1)])], [piece_of([(DAY, b"/b", 1)]), piece_of([(DAY, b"/a", 1)])]], 1),
        ([[piece_of([(DAY, b"/a", LARGEST)])], [piece_of([(DAY, b"/a", 1)])]], 1),
        ([[piece_of([(DAY, b"/a", 1)]), b"\x01"]], 0),
    ],
    ids=["in a piece", "between pieces", "sum", "later piece"],
)
def test_an_error_about_damage_names_the_run(runs: list[list[bytes]], bad: int) -> None:
    with pytest.raises(ValueError, match="damaged rows") as caught:
        list(merge_runs(runs))
    assert caught.value.args == ("damaged rows", bad)


def test_equal_rows_of_runs_by_views_are_damage() -> None:
    run = run_of({(DAY, b"/a"): 2}, by_views=True)
    with pytest.raises(ValueError, match="damaged rows"):
        list(merge_runs([run, run], by_views=True))


def test_an_exception_of_an_iterator_of_pieces_is_raised() -> None:
    def read() -> "object":
        yield piece_of([(DAY, b"/a", 1)])
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        list(merge_runs([read()]))  # type: ignore[list-item]


def test_without_rows_there_are_no_pieces() -> None:
    assert list(merge_runs([])) == list(merge_runs([[], [b"", b""]])) == list(HitTable().dump()) == []


def test_the_longest_path_can_be_dumped_and_loaded() -> None:
    found = {(DAY, b"/" * LINE_BYTES): 1, (DAY, b"/a"): 1}
    assert read(list(merge_runs([run_of(found), run_of(found)]))) == [(DAY, path, 2) for _, path, _ in in_order(found)]
    escaped = table_of({(DAY, b"\xff" * LINE_BYTES): 1})
    escaped.escape()
    ((_, piece),) = escaped.dump()
    assert len(rows_of_piece(piece)[0][1]) == 4 * LINE_BYTES


@pytest.mark.parametrize("wrong", [0, -1, 65_537])
def test_an_impossible_number_of_parts_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="1 to 65536 groups"):
        list(HitTable().dump(wrong))


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a key has 16 bytes, not 3"):
        list(HitTable().dump(2, b"key"))


def test_dump_raises_if_rows_are_removed_meanwhile() -> None:
    table = table_of(many(1))
    pieces = table.dump()
    next(pieces)
    table.drain()
    with pytest.raises(RuntimeError, match="while they were read"):
        next(pieces)


def test_views_of_more_than_63_bits_are_refused() -> None:
    table = table_of({(DAY, b"/a"): 2**63})
    with pytest.raises(ValueError, match="63 bits"):
        list(table.dump())


def test_load_respects_max_paths() -> None:
    table = HitTable(max_paths=2)
    table.load(piece_of([(DAY, b"/a", 1), (DAY, b"/b", 2), (DAY, b"/c", 3)]))
    table.load(piece_of([(DAY, b"/a", 1)]))
    assert list(table.rows()) == [(DAY, b"/a", 2), (DAY, b"/b", 2)]
    assert table.dropped == 3


def test_rows_without_a_path_are_merged() -> None:
    runs = [[piece_of([(DAY, b"", 1)])], [piece_of([(DAY, b"", 2), (DAY, b"/a", 3)])]]
    assert [row for piece in merge_runs(runs) for row in rows_of_piece(piece)] == [(DAY, b"", 3), (DAY, b"/a", 3)]
