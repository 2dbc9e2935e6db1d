"""Lines that Apache 2.4 wrote for requests that no browser sends: ugly.log.gz has each request and its line."""

import gzip
from datetime import date
from pathlib import Path

import pytest

from fasthits._parse import parse_line
from tests.core.support import (
    Fields,
    agrees,
    as_parsed,
    byte_by_byte,
    fed,
    state,
    views,
)
from tests.support import reference

LOG = gzip.decompress((Path(__file__).parent / "ugly.log.gz").read_bytes())


def sent(
    request: bytes,
    status: int,
    size: int,
    *,
    clock: bytes = b"21:41:25",
    host: bytes = b"127.0.0.1 - -",
    referer: bytes = b"-",
    agent: bytes = b"-",
) -> tuple[bytes | None, ...]:
    """Return the fields of the line for a request that was sent. *request* holds method, target and protocol."""
    method, target, protocol = [*request.split(b" ", 2), None, None][:3]
    path = None if target is None else target.split(b"?")[0]
    time = b"23/Nov/2026:" + clock + b" +0000"
    return host, time, method, target, path, protocol, b"%d" % status, b"%d" % size, referer, agent


AUTH = b"GET /auth/a.html HTTP/1.1"


PLAIN = b"GET /a.html HTTP/1.1"


UGLY = [
    sent(b"GET /a.html HTTP/1.0", 200, 246),
    sent(PLAIN, 200, 246, referer=b"http://example.org/x?y=1", agent=b"Mozilla/5.0 (X11; Linux x86_64)"),
    sent(rb"GET /a\".html HTTP/1.1", 404, 416),
    sent(rb"GET /a\\b.html HTTP/1.1", 404, 416),
    sent(PLAIN, 200, 246, agent=rb"x\\\" \"y\" \\x41 end" + b"\\\\"),
    sent(rb"GET /caf\xc3\xa9.html HTTP/1.1", 404, 416),
    sent(rb"GET /caf\xe9.html HTTP/1.1", 404, 416),
    sent(b"GET /caf%C3%A9%20x%22.html?q=%0a HTTP/1.1", 404, 416),
    sent(b"GET /a", 400, 448),
    sent(b"GET /dir with", 400, 448),
    sent(b"GET /dir%20with%20space/f.html HTTP/1.1", 200, 248),
    *[sent(PLAIN, 400, 448)] * 3,
    sent(b"GET /a b.html", 400, 448),
    sent(PLAIN, 200, 246, agent=rb"a\tb"),
    sent(rb"GET /a\x01\x1b[31m.html HTTP/1.1", 400, 448),
    sent(b"GET /a b.html", 400, 448),
    sent(rb"GET /a\x7f.html HTTP/1.1", 400, 448),
    sent(rb"GET /a.html HTTP/1.1\n", 400, 448),
    sent(PLAIN, 200, 246),
    *[sent(b"GET", 400, 448)] * 2,
    sent(b"GET /a.html", 200, 2),
    sent(b"GET /a.html HTTP/2.0", 200, 246),
    sent(b"PRI * HTTP/2.0", 400, 448),
    sent(b"GET /a.html HTTP/9.9", 200, 246),
    sent(b"GET /a.html FOO", 400, 448),
    sent(b"get /a.html HTTP/1.1", 501, 464),
    sent(b"FOOBAR /a.html HTTP/1.1", 501, 467),
    sent(b"HEAD /a.html HTTP/1.1", 200, 244),
    sent(b"POST /a.html HTTP/1.1", 200, 246),
    sent(b"GET http://other.example/a.html?x=1 HTTP/1.1", 200, 246),
    sent(b"GET https://u:XXXXXXXX@other.example/a.html HTTP/1.1", 400, 448),
    sent(b"CONNECT example.org:443 HTTP/1.1", 405, 489),
    sent(b"OPTIONS * HTTP/1.1", 200, 126),
    sent(b"GET /a.html#frag HTTP/1.1", 400, 448),
    sent(b"GET a.html HTTP/1.1", 400, 448),
    sent(b"GET //a.html HTTP/1.1", 200, 246),
    sent(b"GET /x/../a.html HTTP/1.1", 200, 246),
    sent(b"GET /a%00.html HTTP/1.1", 404, 416),
    sent(b"GET /? HTTP/1.1", 200, 250),
    sent(b"GET /dir%20with%20space HTTP/1.1", 301, 504),
    sent(PLAIN, 200, 246),
    sent(PLAIN, 206, 286),
    *[sent(PLAIN, 400, 448)] * 2,
    sent(PLAIN, 200, 246),
    sent(b"GET /" + b"u" * 8100 + b" HTTP/1.1", 403, 419),
    sent(b"GET /" + b"v" * 8186, 414, 479),
    sent(b"GET /" + rb"\xff" * 8000 + b" HTTP/1.1", 403, 419),
    sent(PLAIN, 200, 246, agent=b"w" * 8000),
    sent(PLAIN, 400, 500),
    sent(b"GET /" + rb"\xff" * 8000 + b" HTTP/1.1", 403, 419, referer=rb"\xfd" * 8000, agent=rb"\xfe" * 8000),
    sent(PLAIN, 200, 246, agent=b""),
    sent(PLAIN, 200, 246, agent=b"one, two"),
    sent(PLAIN, 200, 246, agent=b"one two"),
    sent(rb"\x16\x03\x01 random", 400, 448),
    sent(b"-", 408, 0, clock=b"21:41:27"),
    sent(rb"{\"id\":1,\"method\":\"x\"}\n", 400, 448, clock=b"21:41:27"),
    sent(b"-", 408, 0, clock=b"21:41:40"),
    sent(PLAIN, 400, 448, clock=b"21:41:41"),
    sent(rb"\x16\x03\x01\x02", 400, 448, clock=b"21:41:41"),
    sent(b"GET /a.html?k1 HTTP/1.1", 200, 227, clock=b"21:41:42"),
    sent(b"GET /a.html?k2 HTTP/1.1", 200, 227, clock=b"21:41:42"),
    sent(b"GET /big.bin HTTP/1.0", 200, 2807808, clock=b"21:41:43"),
    sent(AUTH, 200, 248, clock=b"21:43:12", host=b"127.0.0.1 - bob"),
    sent(AUTH, 401, 639, clock=b"21:43:12", host=rb"127.0.0.1 - jo \"hn] doe"),
    sent(AUTH, 401, 639, clock=b"21:43:12", host=b'127.0.0.1 - ""'),
    sent(AUTH, 401, 639, clock=b"21:43:12", host=rb"127.0.0.1 - a\nb\tc"),
    sent(AUTH, 401, 639, clock=b"21:43:12", host=rb"127.0.0.1 - \xc3\xa9\xc3\xbc"),
    sent(AUTH, 401, 639, clock=b"21:43:12", host=b"127.0.0.1 - " + b"x" * 5000),
    sent(b"GET /old/x HTTP/1.0", 301, 482, clock=b"21:43:12"),
    sent(b"-", 408, 0, clock=b"21:43:14"),
    sent(b"GET /a.html?v6 HTTP/1.0", 200, 246, clock=b"21:43:14", host=b"::1 - -"),
    sent(b"GET /a.html?reused HTTP/1.1", 200, 227, clock=b"21:43:14"),
]


@pytest.mark.parametrize("number", range(1, 77))
def test_an_ugly_line_parses_to_the_request_that_was_sent(number: int) -> None:
    text = LOG.splitlines(keepends=True)[number - 1]
    assert parse_line(text) == as_parsed(Fields(*UGLY[number - 1]))


def test_ugly_lines_are_all_in_a_bucket() -> None:
    hit_table = fed(LOG)
    no_get = b"PRI get FOOBAR HEAD POST CONNECT OPTIONS".split()
    by_method = [row for row in UGLY if row[2] in no_get or row[2].startswith((b"-", b"\\", b"{"))]
    by_target = [row for row in UGLY if row[2:4] in ((b"GET", None), (b"GET", b"a.html"))]
    assert (len(by_method), len(by_target)) == (13, 3)
    assert (hit_table.lines, hit_table.hits, hit_table.malformed) == (76, 60, 0)
    assert hit_table.filtered == {"method": 13, "target": 3}
    assert agrees(hit_table, reference.count(LOG))
    page = sum(row[2] == b"GET" and row[4] == b"/a.html" for row in UGLY)
    assert views(hit_table)[date(2026, 11, 23), b"/a.html"] == page > 20
    assert state(fed(*byte_by_byte(LOG))) == state(hit_table)
