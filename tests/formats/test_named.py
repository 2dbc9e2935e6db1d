"""The named formats: lines of each format are read as its program wrote them, with and without the format's name."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules, ParsedLine, parse_lines
from fasthits.errors import UsageError
from fasthits.formats.misses import lack_of_dates, why_not
from fasthits.formats.named import FORMATS, NAMES, find_format, key_of
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.intake import Intake
from fasthits.rules.rules import Rules


class Read(NamedTuple):
    """The fields of a line. A field is None if the line or the format does not have it."""

    method: bytes
    path: bytes | None
    status: int
    query: bytes | None
    host: bytes | None
    referer: bytes | None
    user_agent: bytes | None
    day: date


Lines = list[tuple[bytes, Read | None]]
"""Lines of a format, and what is to be read in each; None for a malformed line, a message of the server, a comment."""


def lines_of_formats() -> dict[str, Lines]:
    """Return the lines of formats.txt, by the name of their format."""
    found: dict[str, Lines] = {}
    for section in (Path(__file__).parent / "formats.txt").read_bytes().split(b"\n== ")[1:]:
        name, _, rest = section.partition(b"\n")
        pairs = rest.strip(b"\n").split(b"\n")
        found[name.decode()] = [
            (line, _expected(what.removeprefix(b"    "))) for line, what in zip(pairs[::2], pairs[1::2], strict=True)
        ]
    return found


def _expected(text: bytes) -> Read | None:
    if text in (b"malformed", b"message", b"comment"):
        return None
    method, path, status, *others = text.split(b" | ")
    named = dict(other.partition(b" ")[::2] for other in others)
    fields = (named.get(kind) for kind in (b"query", b"host", b"referer", b"user_agent"))
    day = date.fromisoformat(named.get(b"day", b"2026-03-12").decode())
    return Read(method, None if path == b"none" else path, int(status), *fields, day)


LINES = lines_of_formats()


def is_hit(read: Read) -> bool:
    return read.method == b"GET" and (read.path or b"").startswith((b"/", b"http://", b"https://"))


def read_from(found: ParsedLine | None) -> Read | None:
    if found is None:
        return None
    fields = found.path, found.status or 0, found.query or None, found.vhost, found.referer, found.user_agent, found.day
    return Read(found.method, *fields)


@cache
def compiled(name: str, by_host: bool = False) -> CompiledRules:
    return CompiledRules(Rules(format=name, by_host=by_host))


def count(blocks: Sequence[bytes], name: str, by_host: bool = False) -> Intake:
    """Return the count of *blocks*, which are one log, in the format *name*."""
    intake = Intake(compiled(name, by_host), lambda line_rules: HitTable(rules=line_rules))
    for block in blocks:
        intake.feed(block)
    intake.finish()
    return intake


def figures(intake: Intake) -> tuple[object, ...]:
    table = intake.hit_table
    return table.lines, table.hits, table.filtered, table.malformed, sorted(table.rows())


def text_of(lines: Lines) -> bytes:
    return b"".join(line + b"\n" for line, _ in lines)


def test_each_format_has_lines() -> None:
    assert LINES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", LINES)
def test_lines_have_the_fields_that_their_program_wrote(name: str) -> None:
    parsed = parse_lines(text_of(LINES[name]), LineRules(ways=[way.reading() for way in NAMES[name].ways]))
    assert list(map(read_from, parsed)) == [read for _, read in LINES[name]]


@pytest.mark.parametrize("name", LINES)
def test_the_format_of_a_log_is_detected(name: str) -> None:
    found = compiled("auto").detect(text_of(LINES[name]), ended=True)
    assert found
    assert key_of(found) in map(key_of, NAMES[name].ways)


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("by_name", [True, False])
def test_every_line_counts_exactly_once(name: str, by_name: bool) -> None:
    lines = LINES[name]
    reads = [read for _, read in lines if read]
    hits = Counter((read.day, read.path) for read in reads if is_hit(read))
    table = count([text_of(lines)], name if by_name else "auto").hit_table
    assert {(day, path): views for day, path, views in table.rows()} == hits
    others = table.malformed + table.filtered.get("message", 0) + table.filtered.get("comment", 0)
    assert (table.lines, table.hits, others) == (len(lines), hits.total(), len(lines) - len(reads))
    assert table.malformed + sum(table.filtered.values()) == len(lines) - hits.total()


@pytest.mark.parametrize(
    "name", [name for name, lines in LINES.items() if any(read and read.host for _, read in lines)]
)
@pytest.mark.parametrize("by_name", [True, False])
def test_hosts_are_kept_apart(name: str, by_name: bool) -> None:
    read = [read for _, read in LINES[name] if read and is_hit(read)]
    hits = Counter((read.host or b"-") + b" " + (read.path or b"") for read in read)
    table = count([text_of(LINES[name])], name if by_name else "auto", by_host=True).hit_table
    assert {path: views for _, path, views in table.rows()} == hits


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("by_name", [True, False])
def test_blocks_may_be_cut_anywhere(name: str, by_name: bool) -> None:
    text, given_name = text_of(LINES[name]), name if by_name else "auto"
    whole = figures(count([text], given_name))
    for at in range(1, len(text), 29 if by_name else 211):
        assert figures(count([text[:at], text[at:]], given_name)) == whole
    assert figures(count([text[at : at + 50] for at in range(0, len(text), 50)], given_name)) == whole


@pytest.mark.parametrize("name", LINES)
def test_the_example_of_a_format_is_a_hit(name: str) -> None:
    columns = text_of(LINES[name][2:3]) if name == "w3c" else b""
    table = count([columns + FORMATS[name].example.encode() + b"\n"], name).hit_table
    assert (table.hits, table.malformed) == (1, 0)
    assert FORMATS[name].source.startswith(("https://", "http://"))
    assert FORMATS[name].writer


# --- Mutations ----------------------------------------------------------------------------------------------------

ALL_LINES = [line for lines in LINES.values() for line, _ in lines]
PREFIXES = [b"<13>Mar 12 10:00:00 web nginx: ", b'"', b"\xef\xbb\xbf", b"\0\0\0"]


@st.composite
def mutated_lines(draw: st.DrawFn) -> bytes:
    """Return a line of a named format with a few errors."""
    line = draw(st.sampled_from(ALL_LINES))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        match draw(st.integers(0, 6)):
            case 0:
                line = line.replace(b" ", b"  ", draw(st.integers(1, 5)))
            case 1:
                line = line[:at] + b'"' + line[at:]
            case 2:
                line = line[:at]
            case 3:
                line += draw(st.sampled_from(ALL_LINES))
            case 4:
                line = draw(st.sampled_from(PREFIXES)) + line
            case 5:
                line = line[:at] + draw(st.binary(max_size=3)).replace(b"\n", b"") + line[at:]
            case _:
                line = line[at:] + line[:at]
    return line


@given(lines=st.lists(mutated_lines(), min_size=1, max_size=6), name=st.sampled_from(["auto", *LINES]), data=st.data())
def test_mutated_lines_count_once_at_most(lines: list[bytes], name: str, data: st.DataObject) -> None:
    text = b"\n".join([*lines, b""])
    whole = count([text], name)
    table = whole.hit_table
    assert table.lines == text.count(b"\n")
    assert table.lines == table.hits + sum(table.filtered.values()) + table.malformed
    assert sum(views for _, _, views in table.rows()) == table.hits
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    pieces = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    if name != "auto":
        assert figures(count(pieces, name)) == figures(whole)


# --- Names and misses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("haproxi", "did you mean haproxy?"),
        ("IIS", "did you mean w3c?"),
        ("aws", "did you mean elb or alb or api-gateway?"),
        ("xyz", "fasthits formats"),
        ("main", "fasthits formats lists the names; .*of your own LogFormat or log_format, give the string"),
        ("", "fasthits formats"),
    ],
)
def test_an_error_about_an_unknown_name_suggests_names(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        find_format(text)


def test_the_nearest_formats_are_listed_first_with_what_the_line_lacks() -> None:
    first, *others = why_not(b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" OK')
    assert first == ("combined", "no status in column 62", 61)
    assert [miss.reached for miss in others] == sorted((miss.reached for miss in others), reverse=True)
    assert len({miss.name for miss in others}) == len(others) > 20
    assert ("bunny", "no '|' in column 64", 0) in others


def test_a_line_lacks_nothing_of_its_own_format() -> None:
    assert "werkzeug" not in [miss.name for miss in why_not(LINES["werkzeug"][3][0])]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'INFO:     192.0.2.1:56789 - "GET / HTTP/1.1" 200 OK', True),
        (b'2026-03-12 10:00:00 "GET / HTTP/1.1" 200 OK', False),
        (b"INFO:     Application startup complete.", False),
    ],
)
def test_a_log_without_dates_is_explained(line: bytes, told: bool) -> None:
    assert (lack_of_dates([b"", line]) is not None) == told
