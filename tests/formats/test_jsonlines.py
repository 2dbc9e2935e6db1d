"""JSON logs: the lines that servers, load balancers and CDNs write, and what a client can put into them."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits import count_hits
from fasthits._parse import HitTable, LineRules, ParsedLine, parse_line
from fasthits.formats.detection import detect
from fasthits.formats.jsonlines import KNOWN, MARKS, URLS
from fasthits.formats.named import NAMES
from fasthits.rules.options import JSON_KINDS
from tests.core.support import DAY
from tests.support.objects import comparable, json_ways
from tests.support.strategies import escape

RULES = LineRules(ways=json_ways(), by_host=True)

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
    "resp_headers": {"Server": ["Caddy"]},
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
ENVOY = {
    "authority": "www.example.com",
    "bytes_sent": 17,
    "method": "GET",
    "path": "/a?b=1",
    "protocol": "HTTP/1.1",
    "response_code": 200,
    "response_flags": "-",
    "route_name": None,
    "start_time": "2026-03-12T10:00:00.123Z",
    "upstream_transport_failure_reason": None,
    "user_agent": "curl/8.14.1",
}
GOOGLE = {
    "httpRequest": {
        "latency": "0.058927s",
        "referer": "https://example.org/",
        "remoteIp": "198.51.100.1",
        "requestMethod": "GET",
        "requestSize": "257",
        "requestUrl": "https://www.example.com/a?b=1",
        "responseSize": "1467",
        "status": 302,
        "userAgent": "curl/8.14.1",
    },
    "insertId": "1vzs264g1u90hp5",
    "jsonPayload": {"@type": "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry"},
    "logName": "projects/site/logs/requests",
    "receiveTimestamp": "2026-03-12T10:00:01Z",
    "severity": "INFO",
    "timestamp": "2026-03-12T10:00:00.582013Z",
}
CLOUDFLARE = {
    "ClientIP": "192.0.2.7",
    "ClientRequestHost": "www.example.com",
    "ClientRequestMethod": "GET",
    "ClientRequestURI": "/a?b=1",
    "ClientRequestReferer": "https://example.org/",
    "ClientRequestUserAgent": "curl/8.14.1",
    "EdgeEndTimestamp": "2026-03-13T00:00:00Z",
    "EdgeResponseBytes": 512,
    "EdgeResponseStatus": 200,
    "EdgeStartTimestamp": 1773309600123456789,
    "RayID": "3a6050bcbe121a87",
}
API_GATEWAY = {
    "requestId": "$context.requestId",
    "ip": "192.0.2.7",
    "requestTime": "12/Mar/2026:10:00:00 +0000",
    "httpMethod": "GET",
    "resourcePath": "/a",
    "status": "200",
    "protocol": "HTTP/1.1",
    "responseLength": "512",
}
ALB = {
    "type": "h2",
    "time": "2026-03-12T10:00:00.186641Z",
    "elb": "app/my-loadbalancer/50dc6c495c0c9188",
    "elb_status_code": 200,
    "sent_bytes": 512,
    "request_verb": "GET",
    "request_url": "https://www.example.com:443/a?b=1",
    "request_proto": "HTTP/2.0",
    "user_agent": "curl/8.14.1",
    "domain_name": "www.example.com",
}
CLOUDFRONT = {
    "date": "2026-03-12",
    "time": "10:00:00",
    "x-edge-location": "FRA56-P9",
    "sc-bytes": "512",
    "cs-method": "GET",
    "cs(Host)": "d111111abcdef8.cloudfront.net",
    "cs-uri-stem": "/a",
    "sc-status": "200",
    "cs(Referer)": "-",
    "cs(User-Agent)": "curl/8.14.1",
    "cs-uri-query": "b=1",
}
FASTLY = {
    "timestamp": "2026-03-12T10:00:00+0000",
    "host": "www.example.com",
    "url": "/a?b=1",
    "request_method": "GET",
    "request_referer": "https://example.org/",
    "request_user_agent": "curl/8.14.1",
    "response_status": 200,
}
ECS = {
    "@timestamp": "2026-03-12T10:00:00.000Z",
    "http": {"request": {"method": "GET"}, "response": {"status_code": 200, "body": {"bytes": 512}}, "version": "1.1"},
    "url": {"original": "/a?b=1", "domain": "www.example.com"},
    "user_agent": {"original": "curl/8.14.1", "name": "curl"},
    "host": {"name": "web1"},
    "message": "whatever was logged",
}
FLAT_ECS = {
    "@timestamp": "2026-03-12T10:00:00.000Z", "http.request.method": "GET", "url.path": "/a", "url.query": "b=1",
    "http.response.status_code": 200,
}  # fmt: skip
PINO = {
    "level": 30,
    "time": 1773309600123,
    "pid": 42,
    "hostname": "web1",
    "req": {
        "id": 1,
        "method": "GET",
        "url": "/a?b=1",
        "headers": {"host": "www.example.com", "user-agent": "curl/8.14.1"},
    },
    "res": {"statusCode": 200, "headers": {"content-type": "text/html"}},
    "responseTime": 4,
    "msg": "request completed",
}
LOGSTASH = {
    "@timestamp": "2026-03-12T10:00:00+0100",
    "@message": "GET HTTP/1.1 /a?b=1 200",
    "@fields": {"client": "192.0.2.7", "status": 200, "request": "/a?b=1", "method": "GET", "protocol": "HTTP/1.1",
                "referrer": "-", "user-agent": "curl/8.14.1"},
}  # fmt: skip
GKE = {
    "jsonPayload": {"request": "GET /a?b=1 HTTP/1.1", "status": 200},
    "logName": "projects/site/logs/stdout",
    "severity": "INFO",
    "timestamp": "2026-03-12T10:00:00.582013Z",
}
SERVERS = {
    **{"nginx": NGINX, "caddy": CADDY, "traefik": TRAEFIK, "envoy": ENVOY, "google": GOOGLE, "gke": GKE, "alb": ALB},
    **{"cloudflare": CLOUDFLARE, "cloudfront": CLOUDFRONT, "fastly": FASTLY, "ecs": ECS, "flat ecs": FLAT_ECS},
    **{"pino": PINO, "logstash": LOGSTASH, "api gateway": API_GATEWAY},
}


def line_of(found: object) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode()


def read(found: object) -> ParsedLine:
    parsed = parse_line(line_of(found), RULES)
    assert parsed is not None
    return parsed


def bucket_of(found: object) -> str:
    table = HitTable(rules=RULES)
    table.feed(line_of(found) + b"\n")
    return next(iter(table.filtered), "hit" if table.hits else "malformed")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("server", SERVERS)
def test_the_lines_of_servers_count(server: str) -> None:
    found = SERVERS[server]
    parsed = read(found)
    assert (parsed.day, parsed.method, parsed.path) == (DAY, b"GET", b"/a")
    assert parsed.query == (None if server == "api gateway" else b"b=1")
    assert bucket_of(found) == "hit"


@pytest.mark.parametrize(
    "before", [b"", b"\xef\xbb\xbf", b"[", b"2026-03-12T10:00:00.1Z stdout F ", b"<190>Mar 12 nginx: "]
)
@pytest.mark.parametrize("behind", [b"", b",", b"]", b" \r", b"},\r"])
def test_json_lines_are_detected(before: bytes, behind: bytes) -> None:
    line = before + line_of(NGINX).removesuffix(b"}" * behind.startswith(b"}")) + behind
    assert detect([line]) is NAMES["json"]
    assert count_hits(line).hits == 1


def test_all_fields_of_a_line() -> None:
    assert read(NGINX) == ParsedLine(
        *(DAY, b"2026-03-12T10:00:00+01:00", b"GET", b"/a?b=1", b"/a", b"b=1", b"HTTP/2.0", 200, 512),
        *(b"https://example.org/", b'Mozilla/5.0 \\"\\xc3\\xa9\\"', b"www.example.com", None),
    )
    assert read(CADDY)[1:] == (
        *(b"1773309600.123", b"GET", b"/a?b=1", b"/a", b"b=1", b"HTTP/2.0", 404, 2326),
        *(b"https://example.org/", b"curl/8.14.1", b"www.example.com", None),
    )
    assert read(TRAEFIK)[1:] == (
        *(b"2026-03-12T10:00:00.123456789+01:00", b"GET", b"/a?b=1", b"/a", b"b=1", b"HTTP/1.1", 200, 17),
        *(None, b"curl/8.14.1", b"whoami.example", None),
    )
    assert read(GOOGLE)[2:] == (
        *(b"GET", b"/a?b=1", b"/a", b"b=1", None, 302, 1467, b"https://example.org/", b"curl/8.14.1"),
        *(b"www.example.com", None),
    )


MESSAGES: dict[str, dict[str, object]] = {
    "caddy's start": {"level": "info", "ts": 1773309600.1, "logger": "admin", "msg": "admin endpoint started"},
    "caddy without a logger": {"level": "info", "ts": 1773309600.1, "msg": "server running"},
    "caddy's error": CADDY | {"level": "error", "logger": "http.log.error.log0", "msg": "refused", "status": 502},
    "caddy's try": CADDY | {"level": "debug", "logger": "http.handlers.reverse_proxy", "msg": "upstream roundtrip"},
    "caddy's rewrite": CADDY | {"level": "debug", "logger": "http.handlers.rewrite", "msg": "rewrote request"},
    "traefik's own": {"level": "error", "msg": "middleware not found", "time": "2026-03-12T10:00:00Z"},
    "traefik's debug": {
        "Request": '{"Method":"GET","URL":{"Path":"/a"}}', "level": "debug", "msg": "vulcand/oxy: begin ServeHttp",
        "time": "2026-03-12T10:00:00Z",
    },
    "istio's own": {"level": "info", "time": "2026-03-12T10:00:00.1Z", "scope": "ads", "msg": "ADS: new connection"},
    "google's app": {
        "severity": "ERROR", "timestamp": "2026-03-12T10:00:00Z", "textPayload": "worker timeout",
        "logName": "projects/site/logs/stderr",
    },
    "pino's within a request": {key: value for key, value in PINO.items() if key != "res"} | {"msg": "query done"},
    "uvicorn's error": {"logger": "uvicorn.error", "level": "INFO", "message": "started", "time": 1773309600},
    "nginx's error in docker": {
        "log": '2026/03/12 10:00:00 [error] 7#7: *1 open() failed, request: "GET /a HTTP/1.1"\n', "stream": "stderr",
        "time": "2026-03-12T10:00:00.1Z",
    },
    "systemd's": {"MESSAGE": "Started nginx.service", "PRIORITY": "6", "__REALTIME_TIMESTAMP": "1773309600123456"},
}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_of_a_server_that_are_no_access_entries_are_filtered(message: str) -> None:
    assert bucket_of(MESSAGES[message]) == "message"
    assert parse_line(line_of(MESSAGES[message]), RULES) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "error", "msg": "x"},
        {"logger": "anything"},
        {"severity": "WARNING"},
        {"stream": "stderr"},
        {"message": "GET /a"},
        {"level": "info", "message": "", "status": None},
    ],
)
def test_one_field_does_not_turn_an_access_entry_into_a_message(changes: dict[str, object]) -> None:
    assert bucket_of(NGINX | changes) == "hit"


@pytest.mark.parametrize("spelling", ["userAgent", "user_agent", "User-Agent", "USER AGENT", "user-agent"])
def test_a_name_may_have_any_spelling(spelling: str) -> None:
    found = {"Time": "2026-03-12T10:00:00Z", "requestMethod": "GET", "Request-URI": "/a", spelling: "me"}
    parsed = read(found)
    assert (parsed.path, parsed.user_agent) == (b"/a", b"me")


TIMES = [
    *("2026-03-12T10:00:00+01:00", "2026-03-12T10:00:00.123456Z", "2026-03-12T10:00:00-0330", "2026-03-12 10:00:00"),
    *("2026/03/12 10:00:00", "2026-03-12 10:00:00,123 +0100", "12/Mar/2026:10:00:00 +0100", "12/Mar/2026:10:00:00"),
    *("[12/Mar/2026:10:00:00 +0100]", "1773309600.123", "1773309600", 1773309600, 1773309600.999, 1773309600123),
    *(1773309600123456, 1773309600123456789, "1773309600123", "1.773309600123e9", "1.7733096e+09", "2026-03-12"),
    *("2026-03-12 10:00:00.123 +0000 UTC", "2026-03-12T10:00:00 CET"),
]


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("when", TIMES)
def test_times(when: str | float) -> None:
    assert read({"time": when, "request": "GET / HTTP/1.1"}).day == DAY


@pytest.mark.usefixtures("berlin")
def test_seconds_are_local_time_and_written_dates_stay_as_written() -> None:
    assert read({"time": 1773356399, "request": "GET /"}).day == DAY
    assert read({"time": 1773356400, "request": "GET /"}).day > DAY
    assert read({"time": "2026-03-12T23:59:59Z", "request": "GET /"}).day == DAY


@pytest.mark.parametrize(
    "when",
    [
        *("", "now", "2026-13-12T10:00:00Z", "2026-02-30T10:00:00Z", "10:00:00", "\u0662026-03-12T10:00:00Z", "2026"),
        *('2026-03-12T10:00:00Z] "GET / HTTP/1.1" 200 5', None, [], {}, -1e300, 1e300, 0, 0.012, -1, 20260312100000),
        *("31/Feb/2026:10:00:00 +0100", "12/Mar/2026:10:00:xx", "1773309600x", "12.5e99", "9" * 400, "0" * 30),
    ],
)  # fmt: skip
def test_invalid_times_are_not_read(when: object) -> None:
    assert parse_line(line_of({"time": when, "request": "GET / HTTP/1.1"}), RULES) is None
    assert read({"time": when, "@timestamp": "2026-03-12T10:00:00Z", "request": "GET / HTTP/1.1"}).day == DAY


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"request": "GET /a b HTTP/1.1"}, "target", b"/a"),
        ({"request": "-"}, "method", b"-"),
        ({"request": ""}, "method", b"-"),
        ({"request": None}, "method", b"-"),
        ({"request": "\x16\x03\x01"}, "method", b"\\x16\\x03\\x01"),
        ({"request": None, "request_method": "GET", "request_uri": "/a b"}, "target", b"/a%20b"),
        ({"request": None, "request_method": "GET", "uri": "/a"}, "path", b"/a"),
        ({"request": None, "method": "POST", "path": "/a"}, "method", b"POST"),
        ({"request": "/a b?c", "method": "GET"}, "target", b"/a%20b?c"),
        ({"request": "/a?x", "method": "GET", "path": "/var/log/nginx/access.log"}, "target", b"/a?x"),
        ({"request": "/a", "method": "GET", "uri": "/a?x"}, "target", b"/a?x"),
        ({"request": "/a", "path": "/b"}, "method", b"-"),
        ({"request": "POST", "url": "/a"}, "method", b"POST"),
        ({"request": None, "method": "GET", "url": "https://o.example"}, "target", b"/"),
        ({"request": None, "method": "GET", "url": "https://o.example?x"}, "query", b"x"),
        ({"request": None, "method": "GET", "uri": "https://o.example/a"}, "target", b"https://o.example/a"),
        ({"request": None, "method": "GET", "uri": "/a", "args": "?x"}, "query", b"x"),
        ({"request": None, "method": "GET", "uri": "/a?x", "args": "y"}, "query", b"x"),
        ({"request": None, "method": "GET", "uri": "/a", "args": "-"}, "query", None),
        ({"request": 'GET /a"b\\ HTTP/1.1'}, "target", b'/a\\"b\\\\'),
        ({"request": "GET /é\n HTTP/1.1"}, "target", b"/\\xc3\\xa9\\n"),
        ({"status": 404}, "status", 404),
        ({"status": "502, 200"}, "status", 502),
        ({"status": None}, "status", None),
        ({"status": "-"}, "status", None),
        ({"status": 2000}, "status", None),
        ({"body_bytes_sent": None}, "bytes_sent", None),
        ({"body_bytes_sent": -1}, "bytes_sent", None),
        ({"http_referer": ""}, "referer", b"-"),
        ({"http_user_agent": ["a", "b"]}, "user_agent", b"a"),
        ({"http_user_agent": {"a": "b"}}, "user_agent", None),
        ({"server_name": "[::1]:80"}, "vhost", b"[::1]"),
        ({"server_name": "2001:db8::1"}, "vhost", b"2001:db8::1"),
        ({"server_name": "a b:x"}, "vhost", b"a\\x20b:x"),
        ({"server_name": None, "host": "o"}, "vhost", b"o"),
        ({"server_name": None}, "vhost", None),
        ({"server_name": '[12/Mar/2026:10:00:00 +0100] "GET /x HTTP/1.1" 200 5'}, "path", b"/a"),
    ],
)  # fmt: skip
def test_fields_are_escaped_and_checked(changes: dict[str, object], field: str, value: bytes | int | None) -> None:
    assert getattr(read(NGINX | changes), field) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"# a comment",
        b'{"torn": "2026',
        b"[]",
        b"{}",
        b"1",
        b'{"ts":1773309600.1,"request":{"method":"GET"}}',
        b'{"request":"GET / HTTP/1.1"}',
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"log":"hello\\n","stream":"stdout","time":"2026-03-12T10:00:00Z"}',
        b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "{"',
    ],
)
def test_lines_without_a_whole_access_entry_are_malformed(raw: bytes) -> None:
    assert parse_line(raw, RULES) is None
    table = HitTable(rules=RULES)
    table.feed(raw + b"\n")
    assert (table.lines, table.malformed) == (1, 1)


def test_fields_can_be_named() -> None:
    names = {"time": "when", "path": "http.url", "method": "http.verb", "user_agent": "agent.name"}
    rules = LineRules(ways=json_ways(names))
    found = {"when": "2026-03-12T10:00:00Z", "http": {"url": "/a?b", "verb": "GET"}, "request": "x", "agent.name": "me"}
    parsed = parse_line(line_of(found), rules)
    assert parsed is not None
    assert (parsed.method, parsed.target, parsed.user_agent) == (b"GET", b"/a?b", b"me")
    assert parse_line(line_of(NGINX), rules) is None


def test_a_url_in_a_named_field_counts_by_its_path() -> None:
    rules = LineRules(ways=json_ways({"path": "properties.url", "method": "properties.method"}))
    found = {"time": "2026-03-12T10:00:00Z", "properties": {"url": "https://o.example/a?b", "method": "GET"}}
    parsed = parse_line(line_of(found), rules)
    assert parsed is not None
    assert (parsed.target, parsed.vhost) == (b"/a?b", b"o.example")


def test_a_key_chosen_for_one_field_is_no_longer_read_as_another() -> None:
    rules = LineRules(ways=json_ways({"path": "message"}))
    found = {"time": "2026-03-12T10:00:00Z", "level": "info", "method": "GET", "message": "/a", "request": "GET /b"}
    parsed = parse_line(line_of(found), rules)
    assert parsed is not None
    assert parsed.path == b"/a"


def test_each_kind_of_field_can_be_named() -> None:
    assert set(JSON_KINDS) == KNOWN.keys()


def test_no_name_has_two_kinds() -> None:
    names = [comparable(name) for known in (KNOWN | MARKS).values() for name in known]
    assert len(names) == len(set(names))
    assert {name for name in KNOWN["path"]} >= URLS


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: " " not in text))
def test_a_target_is_read_as_apache_would_have_logged_it(target: str) -> None:
    assert read(NGINX | {"request": f"GET {target} HTTP/1.1"}).target == escape(target.encode())
