"""The core reads JSON lines as `json.loads` would. Invalid JSON in fields that it does not need loses no line."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import LINE_BYTES, HitTable, LineRules, ParsedLine, find_json_fields, parse_line, parse_lines
from fasthits.formats.jsonlines import KNOWN, MARKS, TRANSPARENT
from fasthits.formats.named import JSON, NAMES
from fasthits.rules.rules import Rules
from tests.core.support import DAY, assert_every_line_in_a_bucket
from tests.core.test_memory_safety import Guarded
from tests.support import reference, strategies
from tests.support.objects import MESSAGE, comparable, json_ways, read_object
from tests.support.strategies import blocks_of

RULES = LineRules(ways=json_ways())
PLAIN = {"time": "2026-03-12T10:00:00+01:00", "request": "GET /a?b HTTP/1.1", "status": 200}


def line_of(found: object, **options: object) -> bytes:
    return json.dumps(found, ensure_ascii=False, **options).encode("utf-8", "surrogatepass")


def read(line: bytes, rules: LineRules = RULES) -> ParsedLine | None:
    return parse_line(line, rules)


def bucket_of(line: bytes, rules: LineRules = RULES) -> str:
    """Return the bucket of a line."""
    table = HitTable(rules=rules)
    table.feed(line + b"\n")
    assert_every_line_in_a_bucket(table)
    return next(iter(table.filtered), "hit" if table.hits else "malformed")


def assert_agrees(line: bytes) -> None:
    """Fail unless the core reads a line as the oracle does."""
    fields, parsed = read_object(line), read(line)
    assert (parsed is None) == (fields is None or fields == MESSAGE), line
    assert (bucket_of(line) == "message") == (fields == MESSAGE), line
    if parsed:
        method, target, protocol = (*fields["request"].split(b" ", 2), None, None)[:3]
        assert (parsed.method, parsed.protocol) == (method, protocol)
        written = target if parsed.query is None or b"?" in parsed.target else parsed.target + b"?" + parsed.query
        assert written == target
        assert parsed.day == reference.day_of(fields["time"])
        assert parsed.status == (int(fields["status"]) or None) or parsed.status == int(fields["status"])
        assert (parsed.referer, parsed.user_agent) == (fields.get("referer"), fields.get("user_agent"))
        assert parsed.vhost == fields.get("vhost")


texts = st.one_of(
    st.text(max_size=8),
    st.text('] "[\\{}:,\n\x00\ud800\udc00é', max_size=6),
    st.sampled_from(
        ["GET /a HTTP/1.1", "/a b?c", "GET", "-", "", "https://o.example:8/a?b", "http://o", "200", "502, 200"]
    ),
    st.sampled_from(
        ["2026-03-12T10:00:00Z", "2026-02-30 10:00:00", "12/Mar/2026:10:00:00 +0100", "1773309600.5", "info"]
    ),
    st.sampled_from(
        ["http.log.access", "http.log.error", "uvicorn.error", "stdout", "stderr", "[::1]:80", "o:80", "::1"]
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts,
    st.integers(1773309600, 1773309600 * 10**9), st.integers(100, 599),
)  # fmt: skip
every_name = sorted({name for names in (KNOWN | MARKS).values() for name in names} | {*TRANSPARENT})
parts = sorted({part for name in every_name for part in name.split(".")} | {*every_name, "x", ""})
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(parts), inner), max_leaves=6
)
NGINX = {"time_iso8601": "2026-03-12T10:00:00+01:00", "request": "GET / HTTP/2.0", "status": "200", "http_referer": ""}
CADDY = {
    "level": "info", "ts": 1773309600.123, "logger": "http.log.access.log0", "msg": "handled request", "status": 404,
    "request": {"method": "GET", "host": "o.example:8443", "uri": "/a?b=1", "headers": {"User-Agent": ["curl"]}},
}  # fmt: skip
objects = st.builds(
    lambda whole, found: whole | found,
    st.sampled_from([{}, PLAIN, NGINX, CADDY]),
    st.dictionaries(st.sampled_from(parts), values, max_size=6),
)


def has_one_name_twice(found: object) -> bool:
    """Tell whether two keys of an object are the same name in two spellings. Either of them may count."""
    names = list(_names(found)) if isinstance(found, dict) else []
    return len(set(names)) != len(names)


def _names(found: dict[str, object], above: str = "") -> list[str]:
    names = []
    for key, value in found.items():
        name = above + comparable(key)
        if isinstance(value, dict):
            names += _names(value, "" if name in map(comparable, TRANSPARENT) else f"{name}.")
        else:
            names.append(name)
    return names


def wraps_a_line(line: bytes) -> bool:
    """Tell whether the core may find another line in a message."""
    return any(field.kind == "message" and b"{" in field.value for field in find_json_fields(line, RULES).fields)


@pytest.mark.parametrize("found", [PLAIN, NGINX, CADDY])
def test_blanks_may_differ_from_line_to_line(found: dict[str, object]) -> None:
    lines = [line_of(found, separators=each) for each in [(",", ":"), (", ", ": "), (" , ", " :\t"), (",", ": ")]]
    for before, line in product(lines, lines):
        parsed = list(parse_lines(before + b"\n" + line + b"\n", RULES))
        assert parsed == [read(before), read(line)]
        assert parsed[0] == parsed[1] is not None


@given(objects, st.booleans(), st.sampled_from([None, 1]), st.randoms())
def test_the_core_and_the_oracle_agree_on_objects(found: object, ascii_only: bool, indent: int | None, random) -> None:
    items = list(found.items())
    random.shuffle(items)
    line = json.dumps(dict(items), ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    if not has_one_name_twice(found) and not wraps_a_line(line):
        assert_agrees(line.replace(b"\n", b" "))


@given(st.lists(objects.map(line_of) | strategies.lines, max_size=6), st.data())
def test_a_line_is_read_the_same_alone_in_a_block_and_after_other_lines(
    drawn: list[bytes], data: st.DataObject
) -> None:
    log = b"\n".join(drawn) + b"\n"
    rules = LineRules(ways=json_ways(), by_host=True, keep_query=True)
    whole, cut, alone = HitTable(rules=rules), HitTable(rules=rules), Counter()
    whole.feed(log)
    for block in data.draw(blocks_of(log)):
        cut.feed(block)
    for line in reference.split_lines(log):
        alone[bucket_of(line, rules)] += 1
    for table in (whole, cut):
        table.finish()
        assert Counter({"hit": table.hits, "malformed": table.malformed} | table.filtered) == alone
    assert list(whole.rows()) == list(cut.rows())


@given(objects.map(line_of), st.data())
def test_a_damaged_line_does_not_change_the_next_line(line: bytes, data: st.DataObject) -> None:
    at, more = data.draw(st.integers(0, len(line))), data.draw(st.binary(max_size=6))
    for damaged in (line[:at], line[:at] + more + line[at:], line[at:], line + line, line[:at] + line):
        whole = damaged.replace(b"\n", b"")
        parsed = read(whole)
        assert (parsed is None) == (bucket_of(whole) in ("malformed", "message"))
    assert read(line + line) is None
    assert read(line[: data.draw(st.integers(0, len(line) - 1))]) is None


ODD = [
    *(b"NaN", b"-Infinity", b"-", b"", b"0x1", b"0.001, 0.002", b"0.001 : 0.002", b"nul", b"'a'", b"01", b"1.2.3"),
    *(b'"\\q\\u12\\ud800"', b'"\xff\xfe"', b'"\t\x00"', b'"a" "b"', b'["a" {"b"}]', b"[[[[[]]]]]", b"{}", b'{"a"}'),
    *(b'{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}', b'[1,{"x":"]"},null]', b'"}"', b'"{\\"a\\":1}"'),
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("key", [b"x", b"user", b"upstream_response_time"])
def test_a_line_with_an_invalid_value_elsewhere_still_counts(value: bytes, key: bytes) -> None:
    odd = b'"%b":%b' % (key, value)
    plain = line_of(PLAIN, separators=(",", ":"))
    expected = read(plain)
    assert expected is not None
    for line in (
        plain[:-1] + b"," + odd + b"}",
        b"{" + odd + b"," + plain[1:],
        plain.replace(b',"req', b"," + odd + b',"req'),
    ):
        assert read(line) == expected, line


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        *((b"\xef\xbb\xbf", b""), (b"\0\0\0", b""), (b"[", b","), (b"", b"]"), (b" ", b" \r"), (b"", b",\r\n")),
        (b"<190>Mar 12 10:00:00 web nginx: ", b""),
        (b"<34>1 2026-03-11T22:14:15.003Z host su - ID47 - ", b""),
        (b"2026-03-11T10:00:00.1Z stdout F ", b""),
        (b"web-1  | ", b""),
    ],
)
def test_text_around_an_object_does_not_matter(before: bytes, behind: bytes) -> None:
    assert read(before + line_of(PLAIN) + behind) == read(line_of(PLAIN))


def test_the_last_value_of_a_repeated_key_counts() -> None:
    line = b'{"time":"2026-03-12T10:00:00Z","request":"GET /a","request":"GET /b"}'
    parsed = read(line)
    assert parsed is not None
    assert parsed.path == b"/b"
    assert_agrees(line)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (rb"\u00e9", rb"/\xc3\xa9"),
        (rb"\ud83d\ude00", rb"/\xf0\x9f\x98\x80"),
        (rb"\ud83d", rb"/\xed\xa0\xbd"),
        (rb"\xC3\xA9", rb"/\xc3\xa9"),
        (b"\xc3\xa9", rb"/\xc3\xa9"),
        (b"\xe9", rb"/\xe9"),
        (rb"\x22\x5C", rb"/\"\\"),
        (rb"\"\\\/", rb"/\"\\/"),
        (rb"\n\t\v\b\r\f", rb"/\n\t\v\b\r\x0c"),
        (rb"\q\x4g\u12", rb"/\\q\\x4g\\u12"),
        (b"\x7f\x00", rb"/\x7f\x00"),
    ],
)
def test_a_text_has_the_bytes_that_apache_would_have_logged(written: bytes, path: bytes) -> None:
    line = b'{"time":"2026-03-12T10:00:00Z","method":"GET","uri":"/%b"}' % written
    parsed = read(line)
    assert parsed is not None
    assert parsed.path == path
    table = HitTable(rules=RULES)
    table.feed(line + b"\n" + line_of(PLAIN) + b"\n" + line + b"\n")
    assert list(table.rows()) == [(DAY, path, 2), (DAY, b"/a", 1)]


def test_decoded_paths_keep_their_bytes_until_they_are_counted() -> None:
    paths = [b"/" + b"%05d" % number + "é".encode() * 50 for number in range(3_000)]
    line = b'{"time":"2026-03-12T10:00:00Z","method":"GET","uri":"%b"}\n'
    table = HitTable(rules=RULES)
    table.feed(b"".join(line % path for path in paths + paths))
    expected = [(DAY, path.replace("é".encode(), rb"\xc3\xa9"), 2) for path in paths]
    assert list(table.rows()) == expected


WRAPPED = [
    b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b HTTP/1.1" 200 5 "-" "-"',
    line_of(PLAIN),
    line_of({"log": line_of(PLAIN).decode()}),
]


@pytest.mark.parametrize("inner", WRAPPED)
@pytest.mark.parametrize("key", ["log", "message", "MESSAGE", "@message", "msg", "textPayload"])
def test_a_wrapped_line_is_read_in_its_own_format(inner: bytes, key: str) -> None:
    found = {key: inner.decode() + "\n", "stream": "stdout", "time": "2026-03-11T09:00:00Z", "level": "info"}
    parsed = read(line_of(found))
    assert parsed is not None
    assert (parsed.day, parsed.path, parsed.query) == (DAY, b"/a", b"b")


def test_a_line_may_be_wrapped_twice() -> None:
    line = line_of(PLAIN)
    for depth in range(5):
        assert (read(line) is not None) == (depth <= 2)
        line = line_of({"log": line.decode()})


def test_a_wrapped_line_without_a_time_gets_the_time_of_the_outer_line() -> None:
    inner = '{"method":"GET","uri":"/a"}'
    parsed = read(line_of({"log": inner, "time": "2026-03-12T10:00:00.1Z"}))
    assert parsed is not None
    assert (parsed.day, parsed.time, parsed.path) == (DAY, b"2026-03-12T10:00:00.1Z", b"/a")


def lines_flush_against_guards() -> None:
    guarded = Guarded()
    whole = [
        line_of(PLAIN | {"x": [1, {"y": None}], "http_user_agent": 'a"\\é'}),
        line_of({"log": line_of(PLAIN).decode() + "\n"}),
        b'{"time":1773309600.5,"method":"GET","uri":"/\\u00e9\\ud83d\\ude00\\x22\\q","a":NaN,"host":"[::1]:80"}',
        b'2026/03/12 10:00:00.1\tINFO\thttp.log.access\tx\t{"method":"GET","url":"https://o?x"}',
        b'{"time":"[12/Mar/2026:10:00:00 +0100]","request":"/a","method":"GET","args":"x"}',
    ]
    rules = LineRules(ways=json_ways(), by_host=True, keep_query=True)
    for line in whole:
        for part in {line[:end] for end in range(len(line) + 1)} | {line[start:] for start in range(len(line))}:
            for lay in (guarded.before_the_end, guarded.at_the_start):
                assert read(lay(part)) == read(part), part
                find_json_fields(lay(part), RULES)
                table = HitTable(rules=rules)
                table.feed(lay(part))
                table.finish()
                assert table.hits == (
                    read(part) is not None and read(part).method == b"GET" and read(part).path is not None
                )


def test_no_byte_outside_of_a_json_line_is_read(run_alone: Callable[..., object]) -> None:
    run_alone(lines_flush_against_guards)


@pytest.mark.parametrize("filler", [b"x", b"\\", b'\\"', b"{", b'{"', "é".encode(), b"\\u00e9", b" ", b"\\x41"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_line_as_long_as_the_limit_is_in_one_bucket(filler: bytes, wrapped: bool) -> None:
    head = b'{"log":"{\\"request\\":\\"GET /' if wrapped else b'{"time":"2026-03-12T10:00:00Z","request":"GET /'
    for size in (LINE_BYTES - 100, LINE_BYTES, LINE_BYTES + 100):
        line = head + filler * ((size - len(head) - 4) // len(filler))
        for end in (b'"}', b'\\"}"}', b""):
            assert bucket_of(line + end) in ("hit", "malformed", "method", "target")


def test_the_number_of_names_has_a_limit() -> None:
    LineRules(ways=[JSON.reading() | {"names": [(f"a.b{number}", "path", False, False) for number in range(400)]}])
    with pytest.raises(ValueError, match="at most"):
        LineRules(ways=[JSON.reading() | {"names": [(f"a{number}", "path", False, False) for number in range(600)]}])
    with pytest.raises(ValueError, match="no name"):
        LineRules(ways=[JSON.reading() | {"names": [("---", "path", False, False)]}])


def test_find_json_fields_returns_all_keys_of_a_line() -> None:
    found = find_json_fields(
        b'{"when":"x","http":{"verb":"GET","a.b":[{"c":1}]},"list":[1],"time":"yesterday","uri":"/"}', RULES
    )
    assert found.keys == [b"when", b"http.verb", b"http.a.b", b"list", b"time", b"uri"]
    assert (found.trouble, found.fields) == ("date", [("path", b"uri", b"/")])


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (b"", "object"),
        (b"{1}", "object"),
        (b'{"a":1', "end"),
        (line_of(PLAIN) * 2, "glued"),
        (b'{"request":"GET /"}', "time"),
        (b'{"request":"GET /","time":"soon"}', "date"),
        (b'{"time":1773309600}', "request"),
        (b'{"time":1773309600,"log":"hello"}', "wrapped"),
        (line_of(PLAIN), ""),
    ],
)
def test_find_json_fields_says_why_a_line_is_malformed(line: bytes, trouble: str) -> None:
    assert find_json_fields(line, RULES).trouble == trouble
    assert (read(line) is None) == bool(trouble)


def test_the_core_and_the_oracle_agree_on_json_logs() -> None:
    log = b"".join(
        line_of(each) + b"\n" for each in (PLAIN, NGINX, CADDY, PLAIN | {"status": 404}, {"level": "x", "msg": "y"})
    )
    rules = Rules(format="json", statuses=frozenset([200]))
    expected = reference.count(log, [DAY], rules, NAMES["json"])
    table = HitTable(rules=LineRules(ways=json_ways(), statuses=[200]))
    table.count_only([DAY])
    table.feed(log)
    assert (table.hits, table.malformed, table.filtered) == (expected.hits, expected.malformed, dict(expected.filtered))
    assert Counter({(day, path): views for day, path, views in table.rows()}) == expected.views
    assert date(2026, 3, 12) == DAY
