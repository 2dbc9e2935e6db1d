"""JSON logs: the lines that nginx, Caddy and Traefik write, and what a client can put into them."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import ParsedLine, parse_line
from fasthits.rules.jsonlines import KNOWN, _write_seconds, combined_lines
from fasthits.rules.options import JSON_KINDS
from tests.support.reference import parse
from tests.support.strategies import escape, lines

convert = combined_lines({})

NGINX = {
    "time_iso8601": "2026-03-12T10:00:00+01:00",
    "remote_addr": "192.0.2.7",
    "request": "GET /a?b=1 HTTP/2.0",
    "status": "200",
    "body_bytes_sent": "512",
    "http_referer": "https://example.org/",
    "http_user_agent": 'Mozilla/5.0 "é"',
    "server_name": "www.example.com",
    "server_port": "443",
}
CADDY = {
    "level": "info",
    "ts": 1773309600.123,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "192.0.2.7",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "www.example.com:8443",
        "uri": "/a?b=1",
        "headers": {"User-Agent": ["curl/8.14.1"], "Referer": ["https://example.org/"], "Accept": ["*/*"]},
    },
    "bytes_read": 0,
    "size": 2326,
    "status": 404,
}
TRAEFIK = {
    "ClientAddr": "192.0.2.7:51234",
    "DownstreamContentSize": 17,
    "DownstreamStatus": 200,
    "Duration": 1234567,
    "RequestHost": "whoami.example",
    "RequestMethod": "GET",
    "RequestPath": "/a?b=1",
    "RequestPort": "-",
    "RequestProtocol": "HTTP/1.1",
    "StartLocal": "2026-03-12T10:00:00.123456789+01:00",
    "StartUTC": "2026-03-12T09:00:00.123456789Z",
    "request_User-Agent": "curl/8.14.1",
    "level": "info",
    "msg": "",
    "time": "2026-03-12T10:00:01+01:00",
}


def line_of(found: object) -> bytes:
    return convert(json.dumps(found, ensure_ascii=False).encode())


def read(found: object) -> ParsedLine:
    parsed = parse_line(line_of(found))
    assert parsed is not None
    return parsed


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    _write_seconds.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    _write_seconds.cache_clear()


def test_a_line_of_nginx() -> None:
    assert line_of(NGINX) == (
        b'www.example.com:443 - - - [12/Mar/2026:10:00:00 +0100] "GET /a?b=1 HTTP/2.0" 200 512'
        b' "https://example.org/" "Mozilla/5.0 \\"\\xc3\\xa9\\""'
    )


@pytest.mark.usefixtures("berlin")
def test_a_line_of_caddy() -> None:
    assert line_of(CADDY) == (
        b'www.example.com:8443 - - - [12/Mar/2026:11:00:00 +0100] "GET /a?b=1 HTTP/2.0" 404 2326'
        b' "https://example.org/" "curl/8.14.1"'
    )


def test_a_line_of_traefik() -> None:
    assert line_of(TRAEFIK) == (
        b'whoami.example:0 - - - [12/Mar/2026:10:00:00 +0100] "GET /a?b=1 HTTP/1.1" 200 17 "-" "curl/8.14.1"'
    )


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("when", "written"),
    [
        ("2026-03-12T10:00:00+01:00", b"12/Mar/2026:10:00:00 +0100"),
        ("2026-03-12T10:00:00.123456Z", b"12/Mar/2026:10:00:00 +0000"),
        ("2026-03-12T10:00:00-0330", b"12/Mar/2026:10:00:00 -0330"),
        ("2026-03-12 10:00:00", b"12/Mar/2026:10:00:00 +0000"),
        ("2026/03/12 10:00:00", b"12/Mar/2026:10:00:00 +0000"),
        ("2026-03-12 10:00:00,123 +0100", b"12/Mar/2026:10:00:00 +0100"),
        ("12/Mar/2026:10:00:00 +0100", b"12/Mar/2026:10:00:00 +0100"),
        ("1773309600.123", b"12/Mar/2026:11:00:00 +0100"),
        (1773309600, b"12/Mar/2026:11:00:00 +0100"),
        (1773309600.999, b"12/Mar/2026:11:00:00 +0100"),
        (1773309600123, b"12/Mar/2026:11:00:00 +0100"),
        (1773309600123456, b"12/Mar/2026:11:00:00 +0100"),
        (1773309600123456789, b"12/Mar/2026:11:00:00 +0100"),
        (1782000000, b"21/Jun/2026:02:00:00 +0200"),
    ],
)  # fmt: skip
def test_times(when: str | float, written: bytes) -> None:
    assert read({"time": when, "request": "GET / HTTP/1.1"}).time == written


@pytest.mark.parametrize(
    "when",
    [
        *("", "now", "2026-13-12T10:00:00Z", "2026-02-30T10:00:00Z", "10:00:00", "\u0662026-03-12T10:00:00Z"),
        *('2026-03-12T10:00:00Z] "GET / HTTP/1.1" 200 5', None, [], {}, -1e300, 1e300),
    ],
)  # fmt: skip
def test_what_are_no_times(when: object) -> None:
    assert parse_line(line_of({"time": when, "request": "GET / HTTP/1.1"})) is None


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"request": "GET /a b HTTP/1.1"}, "target", b"/a"),
        ({"request": "-"}, "method", b"-"),
        ({"request": "\x16\x03\x01"}, "method", b"\\x16\\x03\\x01"),
        ({"request": None, "request_method": "GET", "request_uri": "/a b"}, "target", b"/a%20b"),
        ({"request": None, "request_method": "GET", "uri": "/a"}, "path", b"/a"),
        ({"request": None, "method": "POST", "path": "/a"}, "method", b"POST"),
        ({"request": 'GET /a"b\\ HTTP/1.1'}, "target", b'/a\\"b\\\\'),
        ({"request": "GET /é\n HTTP/1.1"}, "target", b"/\\xc3\\xa9\\n"),
        ({"status": 404}, "status", 404),
        ({"status": None}, "status", 0),
        ({"status": "-"}, "status", 0),
        ({"body_bytes_sent": None}, "bytes_sent", None),
        ({"body_bytes_sent": -1}, "bytes_sent", None),
        ({"http_referer": ""}, "referer", b"-"),
        ({"http_user_agent": ["a", "b"]}, "user_agent", b"a"),
        ({"http_user_agent": {"a": "b"}}, "user_agent", b"-"),
        ({"server_name": "[::1]:80"}, "host_part", b"[\\x3a\\x3a1]:80 - - -"),
        ({"server_name": "a b:x"}, "host_part", b"a\\x20b\\x3ax:443 - - -"),
        ({"server_name": None, "host": "o"}, "host_part", b"o:443 - - -"),
        ({"server_name": None, "server_port": None}, "host_part", b"-:0 - - -"),
        ({"server_port": '0 [12/Mar/2026:10:00:00 +0100] "'}, "host_part", b"www.example.com:0 - - -"),
        ({"server_name": '[12/Mar/2026:10:00:00 +0100] "GET /x HTTP/1.1" 200 5'}, "path", b"/a"),
    ],
)  # fmt: skip
def test_fields_are_escaped_and_checked(changes: dict[str, object], field: str, value: bytes | int | None) -> None:
    assert getattr(read(NGINX | changes), field) == value


def test_bytes_of_a_client_that_are_not_utf8_are_kept() -> None:
    """nginx with escape=json writes them as they are."""
    line = convert(json.dumps(NGINX | {"request": "GET /é HTTP/1.1"}, ensure_ascii=False).encode("latin-1"))
    parsed = parse_line(line)
    assert parsed is not None
    assert parsed.target == b"/\\xe9"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"# a comment",
        b'{"torn": "2026',
        b"[]",
        b"{}",
        b"1",
        b'{"level":"info","ts":1773309600.1,"msg":"server running"}',
        b'{"ts":1773309600.1,"request":{"method":"GET"}}',
        b'{"request":"GET / HTTP/1.1"}',
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"time":"2026-03-12T10:00:00Z","request":"GET /\\ud800 HTTP/1.1"}',
    ],
)
def test_what_is_no_such_object_stays_as_it_is(raw: bytes) -> None:
    assert convert(raw) == raw
    assert parse_line(raw) is None


def test_a_plain_line_among_json_is_malformed() -> None:
    raw = b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5'
    assert parse_line(raw) is not None
    assert parse_line(convert(raw)) is None
    assert convert(raw).startswith(b"127.0.0.1 - - [12/Mar/2026:10:00:00 +0100]")


def test_fields_can_be_named() -> None:
    read_own = combined_lines({"time": "when", "path": "http.url", "method": "http.verb", "user_agent": "agent.name"})
    found = {"when": "2026-03-12T10:00:00Z", "http": {"url": "/a?b", "verb": "GET"}, "request": "x", "agent.name": "me"}
    parsed = parse_line(read_own(json.dumps(found).encode()))
    assert parsed is not None
    assert (parsed.method, parsed.target, parsed.user_agent) == (b"GET", b"/a?b", b"me")


def test_each_kind_of_field_can_be_named() -> None:
    assert set(JSON_KINDS) == KNOWN.keys()


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))
inner_names = st.sampled_from(["method", "uri", "headers", "User-Agent"])
values = st.recursive(
    st.one_of(scalars, st.text('] "[\\', max_size=6)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(inner_names, inner),
    max_leaves=5,
)
outer_names = st.sampled_from(sorted({name.split(".")[0] for names in KNOWN.values() for name in names}))
wholes = st.sampled_from([{}, NGINX, CADDY, TRAEFIK])
objects = st.builds(lambda whole, found: whole | found, wholes, st.dictionaries(outer_names, values))
blocks = st.lists(
    st.one_of(objects.map(lambda found: json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")), lines)
)


@given(blocks, st.booleans())
def test_lines_in_are_lines_out(drawn: list[bytes], ended: bool) -> None:
    block = b"\n".join(drawn) + b"\n" * ended
    converted = convert(block)
    assert converted.count(b"\n") == block.count(b"\n")
    assert converted.endswith(b"\n") == block.endswith(b"\n")
    assert converted.split(b"\n") == [convert(line) for line in block.split(b"\n")]
    for line in converted.split(b"\n"):
        assert parse_line(line) is None or parse(line)["host_part"].endswith(b" - - -")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: " " not in text))
def test_a_target_comes_through_as_apache_would_have_logged_it(target: str) -> None:
    assert read(NGINX | {"request": f"GET {target} HTTP/1.1"}).target == escape(target.encode())
