"""Fields by name: LTSV, and the W3C extended format, where a line names the columns of the lines after it."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import HitTable, LineRules, find_fields, parse_line, parse_lines
from fasthits.daily.counting.count_hits import count_hits
from fasthits.formats.json_ltsv_w3c import LTSV, W3C

DAY = date(2026, 3, 12)
IIS = (
    b"#Software: Microsoft Internet Information Services 10.0\n"
    b"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port c-ip cs(User-Agent) cs(Referer) sc-status\n"
    b"2026-03-12 00:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) - 200\n"
    b"2026-03-12 00:00:02 10.0.0.1 GET /b.html - 80 192.0.2.1 Mozilla/5.0+(X11) http://o.example/ 404\r\n"
    b"2026-03-12 00:00:03 10.0.0.1 POST /b.html - 80 192.0.2.1 Mozilla/5.0+(X11) - 200\n"
)
CLOUDFRONT = (
    b"#Version: 1.0\n"
    b"#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    b"cs(User-Agent) cs-uri-query x-host-header\n"
    b"2026-03-12\t10:00:00\tFRA2\t2390\t192.0.2.1\tGET\td1.cloudfront.net\t/a\t200\t-\tMozilla/5.0%20(X11)\t-\t"
    b"o.example\n"
)
ACCESS = (
    b"time:[12/Mar/2026:10:00:00 +0100]\thost:192.0.2.1\treq:GET /a?b HTTP/1.1\tstatus:200\tsize:512\treferer:-\tua:M\n"
)


def fed(data: bytes, block: int = 1000, keep_query: bool = False, by_host: bool = False) -> HitTable:
    hit_table = HitTable(rules=LineRules(ways=[W3C.reading()], keep_query=keep_query, by_host=by_host))
    for at in range(0, len(data), block):
        hit_table.feed(data[at : at + block])
    hit_table.finish()
    return hit_table


@pytest.mark.parametrize("block", [1, 30, 1000])
def test_a_fields_line_names_the_columns(block: int) -> None:
    hit_table = fed(IIS + CLOUDFRONT, block)
    assert [row[1:] for row in hit_table.rows()] == [(b"/a.html", 1), (b"/b.html", 1), (b"/a", 1)]
    assert (hit_table.lines, hit_table.hits, hit_table.filtered, hit_table.malformed) == (
        8,
        3,
        {"method": 1, "comment": 4},
        0,
    )


def test_keys_of_rows_have_the_host_and_a_question_mark_before_the_query() -> None:
    hit_table = fed(IIS + CLOUDFRONT, keep_query=True, by_host=True)
    assert [path for _, path, _ in hit_table.rows()] == [b"- /a.html?x=1", b"- /b.html", b"o.example /a"]


def test_the_fields_of_a_line() -> None:
    *_, parsed = parse_lines(CLOUDFRONT, LineRules(ways=[W3C.reading()]))
    assert parsed
    assert (parsed.day, parsed.time, parsed.method, parsed.path) == (DAY, b"2026-03-12\t10:00:00", b"GET", b"/a")
    assert (parsed.status, parsed.bytes_sent, parsed.referer) == (200, 2390, None)
    assert (parsed.vhost, parsed.user_agent) == (b"o.example", b"Mozilla/5.0%20(X11)")


@pytest.mark.parametrize(
    "line",
    [
        b"2026-03-12 00:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) -",
        b"2026-03-12 00:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) - 20",
        b"2026-03-12 00:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) - 200 5",
        b"2026-02-30 00:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) - 200",
        b"2026-03-12 0:00:01 10.0.0.1 GET /a.html x=1 80 192.0.2.1 Mozilla/5.0+(X11) - 200",
        b"",
    ],
)
def test_a_line_with_other_columns_is_malformed(line: bytes) -> None:
    hit_table = fed(IIS + line + b"\n")
    assert (hit_table.hits, hit_table.malformed) == (2, 1)


def test_no_line_is_read_before_a_line_names_the_columns_of_its_file() -> None:
    hit_table = fed(IIS)
    hit_table.feed(IIS.split(b"\n", 2)[2])
    hit_table.finish()
    assert (hit_table.hits, hit_table.malformed) == (2, 3)
    assert fed(b"#Fields:" + b" date" * 129 + b"\n2026-03-12\n").malformed == 1


def test_without_a_column_for_the_method_each_line_is_a_get() -> None:
    assert fed(b"#Fields: date cs-uri-stem\n2026-03-12 /a\n").hits == 1


@pytest.mark.parametrize("size", [1, 40_000])
def test_a_file_is_known_by_its_columns_and_read_by_one_thread(size: int, tmp_path: Path) -> None:
    head, _, lines = IIS.partition(b"2026")
    (tmp_path / "u_ex.log").write_bytes(head + (b"2026" + lines) * size)
    count = count_hits(str(tmp_path / "u_ex.log"))
    assert (count.hits, count.malformed, count.filtered) == (2 * size, 0, {"method": size, "comment": 2})


def test_labels_may_come_in_any_order() -> None:
    rules = LineRules(ways=[LTSV.reading()])
    fields = ACCESS.rstrip().split(b"\t")
    for line in (ACCESS, b"\t".join(fields[::-1]), ACCESS.replace(b"[", b"").replace(b"]", b"")):
        parsed = parse_line(line, rules)
        assert parsed
        assert (parsed.day, parsed.path, parsed.query, parsed.status) == (DAY, b"/a", b"b", 200)
        assert (parsed.bytes_sent, parsed.user_agent) == (512, b"M")
    assert parse_line(b"time:2026-03-12T10:00:00Z\tmethod:GET\turi:/a", rules) is not None


@pytest.mark.parametrize(
    "line",
    [
        *(ACCESS.rstrip() + ACCESS, ACCESS.rstrip() + b"\t" + ACCESS, ACCESS[:30], ACCESS.replace(b"200", b"20")),
        *(ACCESS.replace(b"12/Mar", b"31/Feb"), ACCESS.replace(b"\tua:", b"\tua"), ACCESS.replace(b"req:", b"x:")),
        *(b"\t", b":"),
    ],
)
def test_torn_and_glued_lines_with_labels_are_malformed(line: bytes) -> None:
    rules = LineRules(ways=[LTSV.reading()])
    assert parse_line(line, rules) is None
    assert find_fields(line.rstrip(b"\n"), rules).trouble in ("absent", "day")


def test_lines_with_labels_and_lines_of_other_formats_may_be_mixed(tmp_path: Path) -> None:
    combined = b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /b HTTP/1.1" 200 5\n'
    for number, data in enumerate((combined + ACCESS, ACCESS + combined)):
        (tmp_path / f"{number}.log").write_bytes(data)
        count = count_hits(str(tmp_path / f"{number}.log"))
        assert (count.hits, count.malformed) == (2, 0)


PIECES = (
    *(b"\t", b" ", b'"', b"-", b"#Fields: date time cs-uri-stem cs-uri-query", b"\n", b"2026-03-12", b"10:00:00"),
    *(b"/a", b"q", b"\0", b"cs-method", b"GET", b"\r\n"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_every_line_is_in_one_bucket(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    hit_tables = [fed(data, block, keep_query=True) for block in (1, 7, 1000)]
    states = [(list(each.rows()), each.lines, each.hits, each.filtered, each.malformed) for each in hit_tables]
    assert states[0] == states[1] == states[2]
    for each in hit_tables:
        assert each.lines == each.hits + sum(each.filtered.values()) + each.malformed
