"""Log formats: every directive and variable, the steps that they become, and the place of an error."""

from datetime import date

import pytest

from fasthits.errors import UsageError
from fasthits.formats.detection import detect
from fasthits.formats.directives import DateLayout, Field, Kind, Literal, date_layout
from fasthits.formats.format import Format, parse_format
from fasthits.formats.named import NAMES, find_format


def words(text: str) -> list[str]:
    return text.split()


TIME = b"12/Mar/2026:10:00:00 +0100"

APACHE: list[tuple[str, Kind]] = [
    *((directive, "skip") for directive in words("%a %A %C %D %e %f %h %i %I %k %l %L %n %o %P %R %S %T %u %X %c %x")),
    *((directive, "skip") for directive in ("%{c}a", "%{Foobar}C", "%{VAR}e", "%{X-Forwarded-For}i", "%{note}n")),
    *((directive, "skip") for directive in ("%{Location}o", "%{Name}^ti", "%{Name}^to", "%^FB", "%{SSL_PROTOCOL}x")),
    *((directive, "skip") for directive in ("%{pid}P", "%{tid}P", "%{hextid}P", "%{ms}T", "%{us}T", "%{s}T", "%{c}h")),
    *((directive, "skip") for directive in ("%{remote}p", "%200B", "%!200,304O", "%400,501v", "%{%H:%M}t")),
    *((directive, "skip") for directive in ("%{msec_frac}t", "%{usec_frac}t", "%{%B %d %Y}t", "%{end:%T}t")),
    *((directive, "bytes") for directive in ("%b", "%B", "%O", "%>b", "%<B")),
    *((directive, "status") for directive in ("%s", "%>s", "%<s")),
    *((directive, "vhost") for directive in ("%v", "%V", "%<V")),
    *((directive, "port") for directive in ("%p", "%{canonical}p", "%{local}p")),
    *((directive, "referer") for directive in ("%{Referer}i", "%{referer}i", "%!200,304{Referer}i", "%200{REFERER}i")),
    *((directive, "user_agent") for directive in ("%{User-Agent}i", "%{user-agent}i", "%400,501{User-agent}i")),
]
NGINX: list[tuple[str, Kind]] = [
    *((f"${name}", "skip") for name in words("remote_addr remote_user args query_string request_time request_id pipe")),
    *((f"${name}", "skip") for name in words("connection gzip_ratio ssl_protocol upstream_response_time hostname")),
    *((f"${name}", "skip") for name in words("http_x_forwarded_for sent_http_location cookie_id arg_page scheme")),
    *((f"${name}", "skip") for name in words("http_host geoip_country_code request_length https proxy_host")),
    *((f"${name}", "bytes") for name in ("body_bytes_sent", "bytes_sent")),
    *((f"${name}", "vhost") for name in ("host", "server_name")),
    *[("$status", "status"), ("$server_port", "port"), ("${status}", "status")],
    *[("$http_referer", "referer"), ("$http_user_agent", "user_agent")],
]
GET: dict[Kind, str] = {"method": "$request_method"}


def fields(found: Format) -> dict[Kind, str]:
    return {part.kind: part.directive for part in found.parts if isinstance(part, Field) and part.kind != "skip"}


def shape(found: Format) -> list[bytes | str]:
    return [part.text if isinstance(part, Literal) else part.kind for part in found.parts]


@pytest.mark.parametrize(("directive", "kind"), APACHE)
def test_each_directive_of_apache_is_understood(directive: str, kind: Kind) -> None:
    found = parse_format(f'%t "%r" <{directive}>')
    *_, field, closing = found.parts
    assert isinstance(field, Field)
    assert closing == Literal(b">")
    assert (field.kind, field.directive, field.column) == (kind, directive, 10)


@pytest.mark.parametrize(("variable", "kind"), NGINX)
def test_each_variable_of_nginx_is_understood(variable: str, kind: Kind) -> None:
    found = parse_format(f'[$time_local] "$request" <{variable}>')
    *_, field, closing = found.parts
    assert isinstance(field, Field)
    assert closing == Literal(b">")
    assert (field.kind, field.directive, field.column) == (kind, variable.replace("{", "").replace("}", ""), 27)


@pytest.mark.parametrize(
    ("directive", "time_format", "width"),
    [
        ("%t", "apache", 26),
        ("%{begin}t", "apache", 26),
        ("%{end}t", "apache", 26),
        ("%{sec}t", "epoch", None),
        ("%{begin:msec}t", "epoch_ms", None),
        ("%{usec}t", "epoch_us", None),
        ("%{%s}t", "epoch", None),
        ("%{end:%s}t", "epoch", None),
        ("%{sec}t.%{usec_frac}t", "epoch", None),
        ("%{begin:%s}t.%{begin:msec_frac}t", "epoch", None),
        ("%{%Y-%m-%d %H:%M:%S}t", "%Y-%m-%d %H:%M:%S", 19),
        ("%{begin:%FT%T%z}t", "%Y-%m-%dT%H:%M:%S%z", 24),
        ("%{end:%d/%b/%Y:%T}t", "%d/%b/%Y:%H:%M:%S", 20),
        ("%{%D}t", "%m/%d/%y", 8),
        ("%{%c}t", "%a %b %e %H:%M:%S %Y", 24),
        ("%{%Y%j}t", "%Y%j", 7),
        ("$time_local", "apache", 26),
        ("$time_iso8601", "iso8601", None),
        ("$msec", "epoch", None),
    ],
)
def test_each_time_is_understood(directive: str, time_format: str, width: int | None) -> None:
    request = '"%r"' if "%" in directive else '"$request"'
    field = parse_format(f"{directive} {request}").field("time")
    assert field is not None
    assert (field.time_format, field.width, field.column) == (time_format, width, 1)
    assert field.bracketed == (directive in ("%t", "%{begin}t", "%{end}t"))


@pytest.mark.parametrize(
    ("time_format", "layout"),
    [
        ("apache", DateLayout(year=7, year_digits=4, month=3, month_named=True, day=0, day_digits=2, hour=12)),
        ("iso8601", DateLayout(year=0, year_digits=4, month=5, month_named=False, day=8, day_digits=2, hour=11)),
        ("%d.%m.%y", DateLayout(year=6, year_digits=2, month=3, month_named=False, day=0, day_digits=2, hour=None)),
        ("%a %b %e %Y", DateLayout(year=11, year_digits=4, month=4, month_named=True, day=8, day_digits=2, hour=None)),
        ("%j/%Y", DateLayout(year=4, year_digits=4, month=None, month_named=False, day=0, day_digits=3, hour=None)),
        ("%H:%M:%S", None),
        ("%d.%m.", None),
        ("epoch", None),
    ],
)
def test_the_date_is_found_in_a_time(time_format: str, layout: DateLayout | None) -> None:
    assert date_layout(time_format) == layout
    if layout and "%" in time_format and "%e" not in time_format:
        text = date(2026, 3, 12).strftime(time_format)
        year = text[layout.year : layout.year + layout.year_digits]
        day = text[layout.day : layout.day + layout.day_digits]
        assert (year, day) == ("2026"[-layout.year_digits :], "12" if layout.day_digits == 2 else "071")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%v %t %m %U %>s", {"vhost": "%v", "time": "%t", "method": "%m", "path": "%U", "status": "%>s"}),
        ("%t %m %U%q", {"time": "%t", "method": "%m", "target": "%U%q"}),
        ("%t %m %U %q", {"time": "%t", "method": "%m", "path": "%U", "query": "%q"}),
        ("%t %m %U %H %p", {"time": "%t", "method": "%m", "path": "%U", "protocol": "%H", "port": "%p"}),
        ('%t "%m %U%q %H" %U', {"time": "%t", "request": "%m %U%q %H"}),
        ('%t "%m %U %H"', {"time": "%t", "request": "%m %U %H"}),
        ('%t "%r" %m %U %q %H', {"time": "%t", "request": "%r"}),
        ('%t "%r" %s %>s', {"time": "%t", "request": "%r", "status": "%>s"}),
        ('%t "%r" %>s %s', {"time": "%t", "request": "%r", "status": "%>s"}),
        ('%t "%r" %b %O', {"time": "%t", "request": "%r", "bytes": "%b"}),
        ('%{%F}t %t "%r"', {"time": "%t", "request": "%r"}),
        ('%{%T}t %{%F}t "%r"', {"time": "%{%F}t", "request": "%r"}),
        ("$msec $request_method $uri$is_args$args", {"time": "$msec", **GET, "target": "$uri$is_args$args"}),
        ("$msec $request_method $request_uri $uri", {"time": "$msec", **GET, "target": "$request_uri"}),
        ("$msec $request_method $uri?$args", {"time": "$msec", **GET, "path": "$uri"}),
    ],
)  # fmt: skip
def test_one_field_of_each_kind_is_read(text: str, expected: dict[Kind, str]) -> None:
    assert fields(parse_format(text)) == expected


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        (r"%t \"%r\" 100%% %s", [b"[", b'] "', b'" 100% ']),
        (r"%t\t'%r'\\%s", [b"[", b"]\t'", b"'\\"]),
        ("%t é %r\\'", [b"[", "] é ".encode(), b"'"]),
        (r"[$time_local] \"$request\" 5%", [b"[", b'] "', b'" 5%']),
    ],
)
def test_literals_are_the_bytes_that_the_server_writes(text: str, literals: list[bytes]) -> None:
    assert [part.text for part in parse_format(text).parts if isinstance(part, Literal)] == literals


def test_skipped_fields_next_to_each_other_become_one_step() -> None:
    assert shape(parse_format("%h%l %{%F}t%{msec_frac}t%D %m %U"))[:4] == ["skip", b" ", "time", "skip"]


def test_quotes_and_brackets_around_a_field_are_read() -> None:
    found = parse_format('"%v" [%{%F}t] "%r" "%s')
    marks = {part.kind: (part.quoted, part.bracketed) for part in found.parts if isinstance(part, Field)}
    assert marks == {"vhost": (True, False), "time": (False, True), "request": (True, False), "status": (False, False)}


@pytest.mark.parametrize(
    "text",
    [
        '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"',
        r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"",
        '%a - %u [%{begin:%d/%b/%Y:%T %z}t] "%r" %>s %B "%{Referer}i" "%{User-Agent}i"',
        '$remote_addr - $remote_user [$time_local] "$request" '
        '$status $body_bytes_sent "$http_referer" "$http_user_agent"',
        '%h %l %u %t "%m %U%q %H" %>s %b "%{Referer}i" "%{User-Agent}i"',
    ],
)
def test_a_format_equal_to_combined_has_the_same_steps(text: str) -> None:
    found = parse_format(text)
    assert found.parts[-10:] == NAMES["combined"].parts[-10:]
    assert found.anchored


@pytest.mark.parametrize("name", ["combined", "common", "vhost_combined", "vhost_common"])
def test_named_formats_are_anchored_at_their_time(name: str) -> None:
    found = find_format(name)
    assert found is NAMES[name]
    assert found.name == name
    assert found.anchored


@pytest.mark.parametrize(
    "text",
    ["%v %t %m %U %>s", '%t %D "%r"', '%{%F}t "%r"', '[$time_iso8601] "$request"', "%t '%r'", '$time_local "$request"'],
)
def test_other_formats_are_read_from_the_left(text: str) -> None:
    assert not parse_format(text).anchored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%t %m %Q", "unknown directive %Q in column 7 of the log format: %t %m %Q"),
        ("%t %r %{Referer}j", "unknown directive %j in column 7 of the log format: %t %r %{Referer}j"),
        ("%t %r %^xx", "unknown directive %^xx in column 7 of the log format: %t %r %^xx"),
        ("%t %r %", "unfinished directive in column 7 of the log format: %t %r %"),
        ("%t %r %>", "unfinished directive in column 7 of the log format: %t %r %>"),
        ("%t %r %{Referer", "unfinished directive in column 7 of the log format: %t %r %{Referer"),
        ("%m%U %t", "no separator between %m and %U in column 3 of the log format: %m%U %t"),
        ("%t %r%s", "no separator between %r and %s in column 6 of the log format: %t %r%s"),
        ("%t %r%D", "no separator between %r and %D in column 6 of the log format: %t %r%D"),
        ("%t\\n%r", "line break after column 3 of the log format: %t\\n%r"),
        ("$request $", "unfinished variable in column 10 of the log format: $request $"),
        ("[$time_local] $stauts", "unknown variable $stauts in column 15 of the log format"),
        ("$request $time_locl", "unknown variable $time_locl in column 10 of the log format"),
        ("[%START_TIME%] %REQ(:METHOD", "unfinished operator in column 16 of the log format"),
        ('"%r" %>s', "log format without a date"),
        ('%{%H:%M}t "%r" %>s', "log format without a date"),
        ('%{%d %B %Y}t "%r" %>s', "log format without a date"),
        ("%t %m %>s", "log format without a path"),
        ("%t %m %q", "log format without a path"),
        ("%t %U %>s", "log format without a method: %t %U %>s"),
        ('%t %!200"%r"', "unknown directive %\" in column 4"),
        ('%t "%200r"', "log format without a path"),
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_format(text)
    assert str(raised.value).startswith(message)


def test_an_error_names_the_field_that_an_option_needs() -> None:
    NAMES["combined"].require("status", "--status")
    NAMES["json"].require("status", "--status")
    with pytest.raises(
        UsageError, match=r"^--status needs a log format with the status: %t %r \(add %>s or \$status\)"
    ):
        parse_format("%t %r").require("status", "--status")
    with pytest.raises(UsageError, match="--exclude-bots needs a log format with the user agent"):
        NAMES["common"].require("user_agent", "--exclude-bots")


COMMON = b'127.0.0.1 - - [%b] "GET /a HTTP/1.1" 200 5' % TIME
COMBINED = COMMON + b' "-" "Mozilla/5.0 (X11; Linux x86_64)"'


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([], None),
        ([b"", b"# a comment", b"nonsense"], None),
        ([COMMON], "common"),
        ([COMBINED], "combined"),
        ([COMBINED + b" "], "combined"),
        ([COMBINED + b' "1.2.3.4" 0.003'], "combined"),
        ([COMMON, COMMON, COMBINED, COMMON], "combined"),
        ([b"", b"# a comment", COMMON + b"\r"], "common"),
        ([b"example.org:80 " + COMBINED], "vhost_combined"),
        ([b"example.org:80 " + COMMON], "vhost_common"),
        ([b"www.example.org:443 ::1 - bob [%b] \"GET / HTTP/2.0\" 200 5" % TIME], "vhost_common"),
        ([b'2001:db8::7 - - [%b] "GET / HTTP/1.1" 200 5' % TIME], "common"),
        ([b'2001:db8::7 jo doe [%b] "GET / HTTP/1.1" 200 5' % TIME], "common"),
        ([b'host.example - jo van doe [%b] "GET / HTTP/1.1" 200 5' % TIME], "common"),
        ([b"example.org [%b] GET /a 200" % TIME], "short"),
        ([b'{"time": "2026-03-12T10:00:00+01:00"}', b"{torn"], "json"),
        ([COMMON + b' "-" "-" 1 "web@docker" "http://10.0.0.2:80" 2ms'], "combined"),
        ([COMBINED, COMBINED.replace(b"/a", b"http://proxy.example/a")], "combined"),
        ([COMBINED.replace(b"/a", b"http://own.example/a")], "varnishncsa"),
        ([COMBINED.replace(b" - - ", b" www.example.org - ")], "lighttpd"),
        ([COMBINED.replace(b" - - ", b" www.example.org - - ")], "lighttpd"),
        ([b"2026-03-12T09:00:00.123456789Z stdout F " + COMBINED], "combined"),
        ([b"2026-03-12T10:00:00.123+01:00 web1 nginx: " + COMBINED], "combined"),
        ([b"web-7d9f nginx " + COMBINED], "combined"),
        ([COMBINED.replace(b" - - ", b" www.example.org - "), COMBINED, COMBINED], "combined"),
        ([COMBINED.replace(b" - - ", b" - jo van doe ")], "combined"),
    ],
)  # fmt: skip
def test_the_format_of_a_log_is_detected_from_its_first_lines(lines: list[bytes], name: str | None) -> None:
    assert detect(lines) is (NAMES[name] if name else None)
