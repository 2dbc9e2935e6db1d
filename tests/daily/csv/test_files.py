"""Days of a CSV file are replaced, and all other rows stay unchanged, whichever program wrote the file."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from datetime import date
from itertools import groupby, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable
from fasthits.daily.csv import files as csvfiles
from fasthits.daily.csv.files import Block, CsvFile, Written, csv_line, harmless, replace_days
from fasthits.daily.past.history import History
from fasthits.errors import TableError
from tests.support.commands import write

COLUMNS = ("date", "path", "views")
DAYS = ["2026-03-11", "2026-03-12", "2026-03-13", "2026-03-14"]
paths = st.text(st.sampled_from('ab,"\n\r é0123-'), max_size=12).map(lambda text: "/" + text)
rows = st.lists(st.tuples(st.sampled_from(DAYS), paths, st.integers(1, 99).map(str)), max_size=30).map(
    lambda rows: sorted(rows, key=lambda row: row[0])
)


def blocks_of(rows: list[tuple[str, str, str]]) -> Iterator[Block]:
    return (
        Block(day, b"".join(csv_line(row) for row in group), 1) for day, group in groupby(rows, key=lambda row: row[0])
    )


def read(file: Path) -> list[tuple[str, ...]]:
    header, *found = csv.reader(io.StringIO(file.read_bytes().decode(), newline=""))
    assert tuple(header) == COLUMNS
    return [tuple(row) for row in found]


@given(old=rows, new=rows, replaced=st.sets(st.sampled_from(DAYS)), piece=st.sampled_from([1, 7, 40, 200, 1 << 20]),
       ending=st.sampled_from(["\n", "\r\n"]), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))  # fmt: skip
def test_days_are_replaced_and_others_stay(
    old: list[tuple[str, str, str]], new: list[tuple[str, str, str]], replaced: set[str], piece: int, ending: str,
    quoting: int, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    file = tmp_path_factory.mktemp("csv") / "hits.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(old)
    # csv.writer leaves a carriage return unquoted where lines end in a newline, up to Python 3.12
    lines = (
        b"".join(map(csv_line, old)).decode() if ending == "\n" and quoting == csv.QUOTE_MINIMAL else text.getvalue()
    )
    data = ("date,path,views" + ending + lines).encode()
    write(file, data)
    new = [row for row in new if row[0] in replaced]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfiles, "PIECE_BYTES", piece)
        replace_days([CsvFile(file, COLUMNS)], sorted(replaced), [blocks_of(new)])
    kept = [row for row in old if row[0] not in replaced]
    assert read(file) == sorted(kept + new, key=lambda row: row[0])


@pytest.mark.parametrize(
    ("rows", "hits"),
    [
        (b"2026-03-11,/a,3\n2026-03-11,/b,4\n", 7),
        (b'2026-03-11,"/a,1\n,2\n",3\n2026-03-11,"/""b,",4\n', 7),
        (b'2026-03-11,/a,"3"\n2026-03-11,"/\n,b","4"\n', 7),
        (b'"2026-03-11",/a,3\r\n"2026-03-11",/b,4\r\n', 7),
        (b"2026-03-11,/a,many\n", None),
        (b"2026-03-11,/a,\n", None),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_day_with_more_hits_than_were_counted_is_left_unchanged(
    rows: bytes, hits: int | None, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvfiles, "PIECE_BYTES", piece)
    file = write(tmp_path / "hits.csv", b"date,path,views\n", rows)
    before = file.read_bytes()
    days, new = ["2026-03-11", "2026-03-12"], [[Block("2026-03-12", b"2026-03-12,/c,1\n", 1)]]
    if hits is None:
        with pytest.raises(TableError, match="no number of views in a row of 2026-03-11"):
            replace_days([CsvFile(file, COLUMNS)], days, new, {"2026-03-12": 1})
        assert file.read_bytes() == before
        return
    written = replace_days([CsvFile(file, COLUMNS)], days, new, {"2026-03-12": 1, "2026-03-11": hits - 1})
    assert written == Written(1, {"2026-03-11": hits})
    found = read(file)
    assert len(found) == 3
    assert found[-1] == ("2026-03-12", "/c", "1")
    written = replace_days([CsvFile(file, COLUMNS)], days, [[]], {"2026-03-12": 1, "2026-03-11": hits})
    assert written == Written(0, {"2026-03-11": hits, "2026-03-12": 1})
    assert read(file) == []


def test_blocks_of_one_day_are_copied_byte_for_byte(tmp_path: Path) -> None:
    """So are numbers that csv would write differently."""
    lines = b'2026-03-11,/a,007\n2026-03-11,"/b",1\n'
    file = write(tmp_path / "hits.csv", b"date,path,views\n" + lines)
    replace_days([CsvFile(file, COLUMNS)], ["2026-03-12"], [[Block("2026-03-12", b"2026-03-12,/c,1\n", 1)]])
    assert file.read_bytes() == b"date,path,views\n" + lines + b"2026-03-12,/c,1\n"


@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b"2026-03-12,/a,1\n2026-03-11,/a,1\n", "not sorted by date: 2026-03-11 follows 2026-03-12"),
        (b"2026-03-11,/a,1\n2026-03-11,/a\n2026-03-11,/b,1\n", "has 2 fields, not 3, in row 3"),
        (b"2026-03-11,/a,1\n2026-03-11,/b,1,2\n2026-03-11,/a,1\n", "has 4 fields, not 3, in row 3"),
        (b"2026-03-11,/a,1\n2026-03-11,/\xff,1\n", "not a CSV file of fasthits"),
        (b"2026-03-11,/a,1\n\n", "has 0 fields, not 3, in row 3: .* \\(correct or remove the row"),
        (b"2026-03-11,/a,1\n3/10/2026,/a,1\n", "no date YYYY-MM-DD in row 3: .* \\(it has '3/10/2026'"),
        (b"10.03.2026,/a,1\n10.03.2026,/b,1\n", "no date YYYY-MM-DD in row 2: .* write dates as 2026-03-12"),
        (b"2026-02-30,/a,1\n", "no date YYYY-MM-DD in row 2"),
        (b"2026-03-11,/a,1\n2026-03-11,/b,2", "CSV file ends within a line: .*add a newline"),
    ],
)
def test_an_invalid_csv_file_is_left_unchanged(
    rows: bytes, message: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "hits.csv", b"date,path,views\n" + rows)
    monkeypatch.setattr(csvfiles, "PIECE_BYTES", piece)
    with pytest.raises(TableError, match=message):
        replace_days([CsvFile(file, COLUMNS)], ["2026-03-20"], [[]])
    assert file.read_bytes() == b"date,path,views\n" + rows


@pytest.mark.parametrize("path", [b"/a", b'/a"b'])
def test_a_quote_within_a_field_hides_no_day(path: bytes, tmp_path: Path) -> None:
    """RFC 4180 does not allow it, but csv reads such a field."""
    file = write(tmp_path / "hits.csv", b"date,path,views\n2026-03-11," + path + b',1\n2026-03-12,/c"d,1\n')
    replace_days([CsvFile(file, COLUMNS)], ["2026-03-11"], [[]])
    assert file.read_bytes() == b'date,path,views\n2026-03-12,"/c""d",1\n'


def test_a_quote_that_is_never_closed_does_not_take_quadratic_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csvfiles, "PIECE_BYTES", 1_000)
    monkeypatch.setattr(csvfiles, "QUOTED_BYTES", 10_000)
    data = b'date,path,views\n2026-03-11,/a"b,1\n' + b"2026-03-11,/c,1\n" * 1_000
    file = write(tmp_path / "hits.csv", data)
    with pytest.raises(TableError, match="a quoted field has no end"):
        replace_days([CsvFile(file, COLUMNS)], ["2026-03-12"], [[]])
    assert file.read_bytes() == data


def test_a_header_may_have_quotes(tmp_path: Path) -> None:
    file = write(tmp_path / "hits.csv", b'"date","path","views"\r\n"2026-03-11","/a","1"\r\n')
    replace_days([CsvFile(file, COLUMNS)], ["2026-03-12"], [[]])
    assert file.read_bytes() == b"date,path,views\n2026-03-11,/a,1\n"


ROWS = b"date,path,views\n2026-03-11,/a,1\n"
OTHER_KINDS = {
    "gzip": (gzip.compress(ROWS), r"it is a gzip file; unpack it: gzip -dc \S*hits.csv > FILE"),
    "utf-16": (ROWS.decode().encode("utf-16"), r"text in UTF-16; unpack it: iconv -f UTF-16 -t UTF-8 \S*hits.csv >"),
    "utf-16-le": (ROWS.decode().encode("utf-16-le"), r"text in UTF-16; unpack it: iconv -f UTF-16-LE -t"),
    "sqlite": (b"SQLite format 3\0" + bytes(84), r"it is a SQLite file; give it a name that ends in .db"),
    "mac": (ROWS.replace(b"\n", b"\r"), r"text whose lines end with CR only; unpack it: tr '\\r' '\\n' < \S*hits.csv"),
    "blank": (b"\n" + ROWS, "its first line must be date,path,views"),
    "binary": (bytes(1 << 15), "its first line must be date,path,views|CSV file ends within a line"),
    "a huge field": (ROWS + b'2026-03-11,"/' + b"x" * (5 << 20) + b'",1\n', "field larger than field limit"),
}


@pytest.mark.parametrize(("content", "message"), OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_a_file_of_another_kind_is_named_as_such(content: bytes, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "hits.csv", content)
    with pytest.raises(TableError, match=rf"not a CSV file of fasthits: \S*hits.csv \(.*{message}"):
        _ = History(file).days
    if "field" not in message:
        with pytest.raises(TableError, match=rf"not a CSV file of fasthits: \S*hits.csv \(.*{message}"):
            replace_days([CsvFile(file, COLUMNS)], ["2026-03-12"], [[]])
        assert file.read_bytes() == content


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Excel's "CSV UTF-8" does."""
    file = write(tmp_path / "hits.csv", b"\xef\xbb\xbf" + ROWS.replace(b"\n", b"\r\n"))
    assert History(file).days == [date(2026, 3, 11)]
    CsvFile(file, COLUMNS).check()
    replace_days([CsvFile(file, COLUMNS)], ["2026-03-12"], [[]])
    assert file.read_bytes() == ROWS


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "==", "'=1", "''+1", "=,", '="a"', "-"]
PLAIN_TEXTS = ["/=1", "a=1", "'", "'a", "", " =1", "1-1", "é", "http://=1"]


def read_back(cell: str) -> str:
    """Return the text that a cell had before it was made harmless, in the way that the documentation describes."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r]", cell) else cell


@pytest.mark.parametrize("text", FORMULAS + PLAIN_TEXTS)
def test_formulas_are_harmless_in_all_csv_and_can_be_read_back(text: str) -> None:
    cell = harmless(text)
    assert (cell == text) == (text in [*PLAIN_TEXTS, "-"])
    assert cell == "-" or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert read_back(cell) == text
    hit_table = HitTable()
    hit_table.add(date(2026, 3, 12), f"/p\n{text}\n{text}".encode(), 7)
    ((_, lines, _),) = hit_table.csv(3)
    assert lines == csv_line(["2026-03-12", "/p", cell, cell, "7"])


def test_no_two_texts_become_one() -> None:
    texts = ["".join(chars) for size in range(5) for chars in product("'=-a", repeat=size)]
    assert len({harmless(text) for text in texts}) == len(texts)
    assert [read_back(harmless(text)) for text in texts] == texts


def test_rows_with_formulas_get_no_second_apostrophe(tmp_path: Path) -> None:
    """They get no second apostrophe, whether their block is parsed or copied."""
    rows = b"2026-03-11,'=1,1\n2026-03-11,=old,1\n2026-03-12,'=1,1\n"
    file = write(tmp_path / "hits.csv", b"date,path,views\n" + rows)
    for day in ("2026-03-13", "2026-03-14"):
        replace_days([CsvFile(file, COLUMNS)], [day], [[Block(day, day.encode() + b",/c,1\n", 1)]])
    assert file.read_bytes() == b"date,path,views\n" + rows + b"2026-03-13,/c,1\n2026-03-14,/c,1\n"
