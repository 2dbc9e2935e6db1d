"""Format strings as people paste them: whole directives of nginx, Apache and Tomcat, and Envoy's operators."""

from datetime import date

import pytest

from fasthits._parse import LineRules, ParsedLine, parse_line
from fasthits.errors import UsageError
from fasthits.formats.directives import Field, scan_apache
from fasthits.formats.format import parse_format
from fasthits.formats.named import NAMES, find_format
from fasthits.formats.pasted import directive_string

NGINX = '$remote_addr [$time_local] "$request" $status'
APACHE = r"%h %l %u %t \"%r\" %>s %b"
TIME = b"12/Mar/2026:10:00:00 +0100"


def read(text: str, line: bytes) -> ParsedLine | None:
    return parse_line(line, LineRules(ways=[parse_format(text).reading()]))


@pytest.mark.parametrize(
    ("text", "string"),
    [
        ("log_format main '$remote_addr [$time_local] '\n                '\"$request\" $status';", NGINX),
        ("  log_format main escape=default '$remote_addr [$time_local] ' '\"$request\" $status' ;\n", NGINX),
        ("'$remote_addr [$time_local] '\n'\"$request\" $status';", NGINX),
        (f"'{NGINX}'", NGINX),
        (f'LogFormat "{APACHE}" mine', APACHE),
        (f'logformat "{APACHE}"', APACHE),
        (f'CustomLog logs/access.log "{APACHE}" env=!dontlog', APACHE),
        (f'CustomLog "|/usr/bin/cronolog /var/log/%Y" "{APACHE}"', APACHE),
        ("CustomLog /var/log/apache2/access.log combined", "combined"),
        (f"LogFormat '{APACHE}' mine", APACHE),
        (f'CustomLog logs/ssl_request_log \\\n          "{APACHE}"', APACHE),
        (f'LogFormat \\\r\n    "{APACHE}" \\\r\n    mine', APACHE),
        ('LogFormat "%h %t \\\n%m" mine', "%h %t %m"),
        (f'"{APACHE}"', APACHE),
        (f'accesslog.format = "{APACHE}"', APACHE),
        ('accesslog.format="%h|%V|%t|%m|%U%q|%s"', "%h|%V|%t|%m|%U%q|%s"),
        (f"log-format-upstream: {NGINX}", NGINX),
        (f"log-format-upstream: '{NGINX}'\n", NGINX),
        ('log-format-upstream: $remote_addr [$time_local]\n      "$request" $status', NGINX),
        ('<Valve className="x.AccessLogValve" pattern="%h %t &quot;%r&quot; %s" />', '%h %t "%r" %s'),
        ("pattern='common'", "common"),
        (NGINX, NGINX),
        ("'$remote_addr' '$request'", "'$remote_addr' '$request'"),
        ('"%v" %t "%r" %>s', '"%v" %t "%r" %>s'),
        ("combined", "combined"),
        ("", ""),
    ],
)
def test_the_format_string_is_found_in_pasted_text(text: str, string: str) -> None:
    assert directive_string(text) == string


def test_a_pasted_directive_may_name_a_format() -> None:
    assert find_format("CustomLog logs/access.log combined") is NAMES["combined"]
    assert find_format('<Valve pattern="common"/>') is NAMES["common"]


def test_a_log_format_of_json_lines_is_named() -> None:
    with pytest.raises(UsageError, match="log_format of JSON lines: x \\(--format json\\)"):
        parse_format('log_format x escape=json \'{"time":"$time_iso8601",\' \'"uri":"$uri"}\';')


def test_unknown_variables_are_skipped() -> None:
    parsed = read('$my_own [$time_local] "$request" $status $other', b'x [%b] "GET /a HTTP/1.1" 200 y' % TIME)
    assert parsed
    assert (parsed.path, parsed.status) == (b"/a", 200)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("$time_local $request $status", b"%b GET /a HTTP/1.1 200"),
        ("%t %r %>s", b"[%b] GET /a HTTP/1.1 200"),
    ],
)
def test_an_unquoted_request_is_read_as_three_words(text: str, line: bytes) -> None:
    parsed = read(text, line % TIME)
    assert parsed
    assert (parsed.method, parsed.path, parsed.protocol, parsed.status) == (b"GET", b"/a", b"HTTP/1.1", 200)


@pytest.mark.parametrize(
    ("text", "line", "host"),
    [
        ("[$time_local] $request_method $scheme://$host$request_uri $status",
         b"[%b] GET https://x.org/a?b 200", b"x.org"),
        ('[$time_local] "$request_method ${scheme}://$http_host$uri$is_args$args $server_protocol" $status',
         b'[%b] "GET https://x.org:8443/a?b HTTP/1.1" 200', b"x.org"),
        ('$server_name [$time_local] "$request" $status "$scheme://$host$request_uri"',
         b'y.org [%b] "GET /a?b HTTP/1.1" 200 "https://x.org/c"', b"y.org"),
    ],
)  # fmt: skip
def test_scheme_host_and_path_may_be_a_url(text: str, line: bytes, host: bytes) -> None:
    parsed = read(text, line % TIME)
    assert parsed
    assert (parsed.method, parsed.path, parsed.query, parsed.status) == (b"GET", b"/a", b"b", 200)
    assert parsed.vhost == host


@pytest.mark.parametrize("addresses", [b"192.0.2.1", b"192.0.2.1, 10.0.0.1", b"-", b"192.0.2.1,10.0.0.1, ::1"])
def test_a_list_of_addresses_may_replace_an_address(addresses: bytes) -> None:
    text = "$http_x_forwarded_for $time_iso8601 $request_method $uri $upstream_addr $status"
    for upstream in (b"10.0.0.1:80", b"10.0.0.1:80, unix:/x : 10.0.0.2:80"):
        parsed = read(text, b"%b 2026-03-12T10:00:00.5+01:00 GET /a %b 200" % (addresses, upstream))
        assert parsed
        assert (parsed.day, parsed.path, parsed.status) == (date(2026, 3, 12), b"/a", 200)


TOMCAT = "%a %{x}c %F %I %S %X %{a}r %{b}s %D %T"


def test_each_directive_of_tomcat_is_understood() -> None:
    fields = [piece for piece in scan_apache(TOMCAT) if isinstance(piece, Field)]
    assert [field.kind for field in fields] == ["skip"] * 10


@pytest.mark.parametrize(
    ("pattern", "time"),
    [
        ("dd/MMM/yyyy:HH:mm:ss Z", TIME),
        ("yyyy-MM-dd'T'HH:mm:ss.SSS", b"2026-03-12T10:00:00.123"),
        ("yyyy-MM-dd HH:mm", b"2026-03-12 10:00"),
    ],
)
def test_times_may_have_patterns_of_java(pattern: str, time: bytes) -> None:
    parsed = read(f'%h %{{{pattern}}}t "%r" %s %b', b'::1 %b "GET /a HTTP/1.1" 200 5' % time)
    assert parsed
    assert (parsed.day, parsed.time, parsed.path) == (date(2026, 3, 12), time, b"/a")


ENVOY = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)


def test_a_string_of_envoy_may_end_with_a_line_break() -> None:
    assert parse_format(ENVOY + "\\n").parts == parse_format(ENVOY).parts


@pytest.mark.parametrize("status", [b"200", b"0"])
def test_the_default_format_of_envoy_is_read(status: bytes) -> None:
    line = b'[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" %b - 154 226 100 85 "10.0.35.28" "nsq2http" '
    line += b'"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"'
    parsed = read(ENVOY, line % status)
    assert parsed
    assert (parsed.day, parsed.method, parsed.path) == (date(2016, 4, 15), b"POST", b"/api/v1/locations")
    assert (parsed.status, parsed.bytes_sent, parsed.user_agent) == (int(status), 226, b"nsq2http")
    assert parsed.vhost == b"locations"


@pytest.mark.parametrize(
    ("operator", "time"),
    [("%START_TIME(%s)%", b"1773309600"), ("%START_TIME(%s.%3f)%", b"1773309600.123"),
     ("%START_TIME(%Y/%m/%dT%H:%M:%S.%6f)%", b"2026/03/12T10:00:00.123456")],
)  # fmt: skip
def test_times_of_envoy_may_have_formats(operator: str, time: bytes) -> None:
    parsed = read(f"{operator} %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%", b"%b GET /a?b 200" % time)
    assert parsed
    assert (parsed.day, parsed.path, parsed.query) == (date(2026, 3, 12), b"/a", b"b")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("%t %r %Q", "unknown directive %Q in column 7 of the log format: %t %r %Q (write %{Q}n for text"),
        ("$request [$time_local] $stauts", "unknown variable $stauts in column 24 of the log format"),
        ('%(h)s %(t)s "%(r)s" %(s)s', "a log format of Gunicorn or uWSGI, whose variables are not read"),
        ("log-format = %(addr) [%(ltime)] %(method)", "a log format of Gunicorn or uWSGI, whose variables are not"),
        ('%h %t "%r" %s "%{i,User-Agent}"', "a log format of Undertow, whose variables are not read"),
        ("$time_local $request_method $host$request_uri", "no separator between $host and $request_uri in column 34"),
        ('$request\n  "$status"', "line break after column 9 of the log format"),
        ("%t %r %", "unfinished directive in column 7 of the log format: %t %r % (write %% for"),
    ],
)
def test_an_error_says_what_to_write_instead(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_format(text)
    assert str(raised.value).startswith(hint)
    assert "(" in str(raised.value)
