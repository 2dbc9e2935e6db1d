"""The oracle reads logs of real servers, and lines that try to mislead it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import parse_line
from fasthits.formats.named import NAMES, find_format
from fasthits.rules.options import make_rules
from fasthits.rules.rules import Rules
from tests.support import reference
from tests.support.strategies import escaped, lines

TIME = b"12/Mar/2026:10:00:00 +0100"
COMMON = b'127.0.0.1 - - [%b] "GET /a HTTP/1.1" 200 5' % TIME
AGENT = b"Mozilla/5.0 (X11; Linux x86_64)"
COMBINED = COMMON + b' "-" "%b"' % AGENT

NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    '"$http_x_forwarded_for" rt=$request_time uct="$upstream_connect_time"'
)
DEBIAN = r"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D"

Fields = dict[str, bytes]
A: Fields = {"time": TIME, "request": b"GET /a HTTP/1.1", "status": b"200", "bytes": b"5"}
A_BY: Fields = A | {"referer": b"-", "user_agent": AGENT}
V: Fields = {"vhost": b"example.org"}
S: Fields = {"vhost": b"o", "time": TIME, "method": b"GET", "path": b"/a", "status": b"200"}


def got(time: bytes, path: bytes = b"/a", **others: bytes) -> Fields:
    return {"time": time, "method": b"GET", "path": path, **others}


def asked(time: bytes, request: bytes = b"GET /a", **others: bytes) -> Fields:
    return {"time": time, "request": request, **others}


LOGS: list[tuple[str, bytes, Fields | None]] = [
    # logs of users of GoAccess, lnav, AWStats and Matomo
    ("common", COMMON, A),
    ("common", COMMON[:-1] + b"-", A | {"bytes": b"-"}),
    ("common", COMBINED, A),
    ("combined", COMBINED, A_BY),
    ("combined", COMMON, A),
    ("combined", COMBINED + b" ", A_BY),  # dreamhost
    ("combined", COMBINED + b"\r\n", A_BY),
    ("combined", COMBINED + b' 1 "web@docker" "http://10.0.0.2:80" 2ms', A_BY),  # Traefik
    ("combined", b"2001:db8::7" + COMMON[9:], A),
    ("combined", b"host.example" + COMMON[9:], A),
    ("combined", b'::1 - jo \\"van\\" doe' + COMMON[13:], A),
    ("combined", b"::1 - [12/Mar/2026:10:00:00 +0100]" + COMMON[13:], A),
    ("combined", b'::1 - ""' + COMMON[13:], A),
    ("combined", b"", None),
    ("combined", b"\r\n", None),
    ("combined", b"# a comment", None),
    ("combined", b"#Fields: date time cs-method", None),
    ("vhost_combined", b"example.org:443 " + COMBINED, V | A_BY),
    ("vhost_common", b"example.org:80 " + COMMON, V | A),
    (DEBIAN, b"example.org:443 " + COMBINED + b" 1234", V | A_BY),
    ('%v %h %l %u %t "%r" %>s %b', b"example.org " + COMMON, V | A),
    (NGINX, COMBINED + b' "192.0.2.1, 10.0.0.1" rt=0.003 uct="-"', A_BY),
    (NGINX, COMMON + b' "-" "a\\x22b" "', A | {"referer": b"-", "user_agent": b"a\\x22b"}),
    # anchored at the time
    ("combined", COMMON + b' "torn', A),
    ("combined", COMMON + b' "-" "torn', A | {"referer": b"-"}),
    ("combined", COMMON + b" - -", A),
    ("combined", COMMON + b"x", None),
    ("combined", b'- [%b] "GET /\\"a\\\\" 404 -' % TIME, asked(TIME, b'GET /\\"a\\\\', status=b"404", bytes=b"-")),
    ("vhost_combined", b"torn" + COMMON[9:], A),
    ("vhost_combined", b"::1" + COMMON[9:], A),
    ("vhost_combined", b"torn - jo:e" + COMMON[13:], A),
    ('%t "%r"', b'[%b] "GET /a"' % TIME, asked(TIME)),
    ('%t "%r"', b'[%b] "GET /a' % TIME, None),
    ('%t "%r"', b'[31/Feb/2026:10:00:00 +0100] "a" [%b] "GET /a" 5' % TIME, asked(TIME)),
    ('%h %t "%r" %D %>s', b'- [%b] "GET /a" 12 200' % TIME, asked(TIME, status=b"200")),
    ('%h %t "%r" %D %>s', b'- [%b] "GET /a" 12' % TIME, None),
    # from the left
    ("short", b"o [%b] GET /a 200" % TIME, S),
    ("short", b"o [%b] GET /a 200 " % TIME, S),
    ("short", b"o [%b] GET /a 2000" % TIME, None),
    ("short", b"o [%b] GET /a -" % TIME, S | {"status": b"-"}),
    ("short", b"o [%b] GET /a b 200" % TIME, None),
    ("short", b"o [%b] GET /a" % TIME, None),
    ("short", b"o o [%b] GET /a 200" % TIME, S | {"vhost": b"o o"}),
    ('"%v" %t %m %U %>s', b'"o" [%b] GET /a 200' % TIME, S),
    ('"%v" %t %m %U %>s', b'"o\\"" [%b] GET /a 200' % TIME, S | {"vhost": b'o\\"'}),
    (
        "%t %m %U%q %s",
        b"[%b] GET /a?b 200" % TIME,
        {"time": TIME, "method": b"GET", "target": b"/a?b", "status": b"200"},
    ),
    ("%m %s %t %U", b"GET 200 [%b] /a b" % TIME, got(TIME, b"/a b", status=b"200")),
    ('%t %m %U "%{Referer}i"', b'[%b] GET /a b "-"' % TIME, got(TIME, b"/a b", referer=b"-")),
    ('%t %m %U "%{Referer}i"', b'[%b] GET /a "-' % TIME, got(TIME)),
    ('%t %m %U "%{Referer}i"', b"[%b] GET /a b" % TIME, got(TIME, b"/a b")),
    ("%t %m %U %q", b"[%b] GET /a " % TIME, got(TIME, query=b"")),
    ("%t %m %U %q|%B", b"[%b] GET /a ?b|-" % TIME, got(TIME, query=b"?b", bytes=b"-")),
    ('"%{User-Agent}i" %t "%r"', b'"a \\"b" [%b] "GET /a"' % TIME, asked(TIME, user_agent=b'a \\"b')),
    # times
    ("%{%F %T}t %m %U", b"2026-03-12 10:00:00 GET /a", got(b"2026-03-12 10:00:00")),
    ("%{%F %T}t %m %U", b"2026-13-12 10:00:00 GET /a", None),
    ("%{%F %T}t %m %U", b"2026-03-12 10:00 GET /a", None),
    ("%{%e.%b %y}t %m %U", b" 2.Mar 26 GET /a", got(b" 2.Mar 26")),
    ("%{%Y-%j}t %m %U", b"2026-365 GET /a", got(b"2026-365")),
    ("%{%Y-%j}t %m %U", b"2026-366 GET /a", None),
    ("%{sec}t %m %U", b"1773309600 GET /a", got(b"1773309600")),
    ("%{sec}t %m %U", b"1773309600x GET /a", None),
    ("%{usec}t %m %U", b"1773309600123456 GET /a", got(b"1773309600123456")),
    ("$time_iso8601 $request_method $uri", b"2026-03-12T10:00:00+01:00 GET /a", got(b"2026-03-12T10:00:00+01:00")),
    ("$time_iso8601 $request_method $uri", b"2026-03-12 10:00:00 GET /a", got(b"2026-03-12 10:00:00")),
    ("$time_iso8601 $request_method $uri", b"2026-03-12T10:00:00.123Z GET /a", got(b"2026-03-12T10:00:00.123Z")),
    ("$time_iso8601 $request_method $uri", b"2026-03-12T10:00 GET /a", None),
    ('$msec "$request" $http_referer|', b'1773309600.123 "GET /a" x|', asked(b"1773309600.123", referer=b"x")),
]
JSON = b'{"time": "2026-03-12T10:00:00+01:00", "request": "GET /a HTTP/1.1", "status": 200, "size": 5}'


@pytest.mark.parametrize(("text", "line", "fields"), LOGS)
def test_the_fields_of_a_line(text: str, line: bytes, fields: Fields | None) -> None:
    assert reference.read_fields(line, find_format(text)) == fields


def test_the_fields_of_an_object() -> None:
    expected = {"time": b"12/Mar/2026:10:00:00 +0000", "request": b"GET /a HTTP/1.1", "status": b"200"}
    assert reference.read_fields(JSON, NAMES["json"]) == expected
    assert reference.read_fields(COMBINED, NAMES["json"]) is None


@pytest.mark.parametrize(("text", "line", "fields"), [row for row in LOGS if row[0] in NAMES and row[0] != "short"])
def test_the_core_reads_named_formats_as_the_oracle_does(text: str, line: bytes, fields: Fields | None) -> None:
    parsed = parse_line(line)
    assert (parsed is None) == (fields is None)
    if parsed and fields:
        sent = None if fields["bytes"] == b"-" else int(fields["bytes"])
        assert (parsed.time, parsed.status, parsed.bytes_sent) == (fields["time"], int(fields["status"]), sent)


@pytest.mark.parametrize(
    ("options", "line", "bucket", "path"),
    [
        ({}, COMBINED, "hit", b"/a"),
        ({}, b"", "malformed", None),
        ({"method": "HEAD"}, COMBINED, "method", b"/a"),
        ({"method": "HEAD,GET"}, COMBINED, "hit", b"/a"),
        ({"status": "404", "exclude-agent": "*"}, COMBINED, "status", b"/a"),
        ({"status": "2xx"}, COMBINED, "hit", b"/a"),
        ({"exclude-agent": "linux", "exclude-path": "*"}, COMBINED, "agent", b"/a"),
        ({"include-agent": "linux"}, COMMON, "agent", b"/a"),
        ({"exclude-bots": True, "exclude-path": "*"}, COMMON + b' "-" "curl/8.14.1"', "bot", b"/a"),
        ({"bots": "apart"}, COMMON + b' "-" "curl/8.14.1"', "bot", b"/a"),
        ({"exclude-bots": True}, COMMON, "hit", b"/a"),
        ({"exclude-path": "/a"}, COMBINED, "path", b"/a"),
        ({"exclude-static": True}, COMBINED.replace(b"/a", b"/a.css"), "static", b"/a.css"),
        ({"by-host": True}, b"Example.org:80 " + COMBINED, "hit", b"//example.org/a"),
        ({"by-host": True}, COMBINED, "hit", b"//-/a"),
        ({"keep-query": "b"}, COMBINED.replace(b"/a", b"/a?c=1&b=2"), "hit", b"/a?b=2"),
        ({"keep-query": True}, COMBINED.replace(b"GET /a", b"GET a?b"), "target", b"a?b"),
    ],
)
def test_the_bucket_of_a_line(options: dict[str, object], line: bytes, bucket: str, path: bytes | None) -> None:
    log_format = NAMES["vhost_combined"]
    found, day, final = reference.judge(line, rules=make_rules(options), log_format=log_format)
    assert (found, final) == (bucket, path)
    assert (day is None) == (bucket == "malformed")


@given(lines)
def test_the_oracle_reads_combined_as_a_regular_expression_written_by_hand(line: bytes) -> None:
    by_hand, read = reference.parse(line), reference.read_fields(line, NAMES["combined"])
    assert (by_hand is None) == (read is None)
    if by_hand and read:
        kinds = {"time": "time", "status": "status", "bytes_sent": "bytes", "referer": "referer"}
        kinds["user_agent"] = "user_agent"
        assert {name: by_hand[name] for name in kinds} == {name: read.get(kind) for name, kind in kinds.items()}


formats = st.sampled_from([*dict.fromkeys(text for text, _, _ in LOGS), "json"])
known_lines = st.sampled_from([JSON, *(line for _, line, _ in LOGS)])


@given(st.one_of(lines, known_lines, known_lines), formats, escaped, st.integers(0, 80))
def test_the_oracle_reads_any_line_in_any_format(line: bytes, text: str, more: bytes, size: int) -> None:
    for each in (line, line + more, more + line, line[:size]):
        rules = Rules(keep_query=True, by_host=True)
        bucket, day, path = reference.judge(each, rules=rules, log_format=find_format(text))
        assert bucket in ("hit", "malformed", "method", "target")
        assert (day is None) == (bucket == "malformed")
        assert bucket != "hit" or path.startswith(b"//")
