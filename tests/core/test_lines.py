"""Lines and their fields: a table of lines that servers write, and a comparison with the slow oracle."""

import mmap
from array import array
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasthits._parse import EXAMPLE_BYTES, EXAMPLES, LINE_BYTES, ParsedLine, parse_line
from tests.core.support import (
    DAY,
    FRONT,
    INTACT,
    MIB,
    TIME,
    Fields,
    agrees,
    as_parsed,
    byte_by_byte,
    fed,
    line,
    state,
    views,
    with_ending,
)
from tests.support import reference
from tests.support.strategies import lines, valid_fields, write_line, write_time


def fields(method: bytes, target: bytes | None = None, protocol: bytes | None = None, **others: bytes | None) -> Fields:
    """Return the parsed line of `line` with this request, with *others* changed."""
    usual = {
        "host_part": FRONT[:-1],
        "time": TIME,
        "path": None if target is None else target.split(b"?")[0],
        "status": b"200",
        "bytes_sent": b"512",
        "referer": b"-",
        "user_agent": b"-",
    }
    return Fields(**{"method": method, "target": target, "protocol": protocol} | usual | others)


GET_A = fields(b"GET", b"/a", b"HTTP/1.1")


def get(target: bytes, protocol: bytes | None = b"HTTP/1.1", **others: bytes | None) -> Fields:
    """Return the parsed line of a GET request."""
    return fields(b"GET", target, protocol, **others)


def but(**others: bytes | None) -> Fields:
    """Return the parsed line of the plainest line, with *others* changed."""
    return GET_A._replace(**others)


TABLE: list[tuple[str, bytes, str, Fields | None]] = [
    ("combined", line(), "hit", GET_A),
    ("common", line(after=b'" 200 512'), "hit", but(referer=None, user_agent=None)),
    ("virtual host in front", line(front=b"example.org:443 ::1 - - "), "hit",
     but(host_part=b"example.org:443 ::1 - -")),
    ("IPv6 client", line(front=b"::1 - - "), "hit", but(host_part=b"::1 - -")),
    ("quote in the path", line(rb"GET /a\".html HTTP/1.1"), "hit", get(rb"/a\".html")),
    ("backslash in the path", line(rb"GET /a\\b.html HTTP/1.1"), "hit", get(rb"/a\\b.html")),
    ("backslash before the closing quote", line(rb"GET /a\\"), "hit", get(rb"/a\\", None)),
    ("four backslashes before the closing quote", line(rb"GET /a\\\\"), "hit", get(rb"/a\\\\", None)),
    ("three backslashes and a quote", line(rb"GET /a\\\" HTTP/1.1"), "hit", get(rb"/a\\\"")),
    ("escaped quotes only", line(rb"\"\""), "method", fields(rb"\"\"")),
    ("escaped look of an end", line(rb"GET /a\" 200 5 HTTP/1.1"), "hit", get(rb"/a\"", b"200 5 HTTP/1.1")),
    ("escaped UTF-8", line(rb"GET /caf\xc3\xa9.html HTTP/1.1"), "hit", get(rb"/caf\xc3\xa9.html")),
    ("percent escapes", line(b"GET /%C3%A9%20%22%00?q=%0a HTTP/1.1"), "hit", get(b"/%C3%A9%20%22%00?q=%0a")),
    ("cut at NUL by the server", line(b"GET /a"), "hit", get(b"/a", None)),
    ("space in the path", line(b"GET /dir with"), "hit", get(b"/dir", b"with")),
    ("space in the path before a protocol", line(b"GET /a b HTTP/1.1"), "hit", get(b"/a", b"b HTTP/1.1")),
    ("tab in the path, made a space", line(b"GET /a b.html"), "hit", get(b"/a", b"b.html")),
    ("escaped controls", line(rb"GET /a\x01\x1b[31m.html HTTP/1.1"), "hit", get(rb"/a\x01\x1b[31m.html")),
    ("escaped line feed", line(rb"GET /a.html HTTP/1.1\n"), "hit", get(b"/a.html", rb"HTTP/1.1\n")),
    ("GET without target", line(b"GET"), "target", fields(b"GET")),
    ("GET and a space", line(b"GET "), "target", get(b"", None)),
    ("HTTP/0.9", line(b"GET /a.html"), "hit", get(b"/a.html", None)),
    ("trailing space", line(b"GET /a "), "hit", get(b"/a", b"")),
    ("two spaces after the method", line(b"GET  /a HTTP/1.1"), "target", get(b"", b"/a HTTP/1.1")),
    ("two spaces after the target", line(b"GET /a  HTTP/1.1"), "hit", get(b"/a", b" HTTP/1.1")),
    ("space before the method", line(b" GET /a"), "method", fields(b"", b"GET", b"/a")),
    ("tab after the method", line(b"GET\t/a HTTP/1.1"), "method", fields(b"GET\t/a", b"HTTP/1.1")),
    ("odd protocol", line(b"GET /a.html FOO"), "hit", get(b"/a.html", b"FOO")),
    ("HTTP/9.9", line(b"GET /a.html HTTP/9.9"), "hit", get(b"/a.html", b"HTTP/9.9")),
    ("HTTP/2.0", line(b"GET /a.html HTTP/2.0"), "hit", get(b"/a.html", b"HTTP/2.0")),
    ("empty request", line(b""), "method", fields(b"")),
    ("request of one dash", line(b"-", b'" 408 0 "-" "-"'), "method", fields(b"-", status=b"408", bytes_sent=b"0")),
    ("no request, nothing else", b'"-" 408 0 "-" "-"', "malformed", None),
    ("absolute log_format", line(b"GET http://o.example/a?x=1 HTTP/1.1"), "hit", get(b"http://o.example/a?x=1")),
    ("absolute form with password", line(b"GET https://u:X@o.example/a HTTP/1.1"), "hit",
     get(b"https://u:X@o.example/a")),
    ("absolute log_format, query before a slash", line(b"GET http://o?a/b"), "hit", get(b"http://o?a/b", None)),
    ("http:// alone", line(b"GET http:// HTTP/1.1"), "hit", get(b"http://")),
    ("https:// alone", line(b"GET https:// HTTP/1.1"), "hit", get(b"https://")),
    ("http:// at the end of the request", line(b"GET http://"), "hit", get(b"http://", None)),
    ("http:/ with one slash", line(b"GET http:/a HTTP/1.1"), "target", get(b"http:/a")),
    ("http: cut before its slashes", line(b"GET http:"), "target", get(b"http:", None)),
    ("https:/ with one slash", line(b"GET https:/a HTTP/1.1"), "target", get(b"https:/a")),
    ("httpx://", line(b"GET httpx://a HTTP/1.1"), "target", get(b"httpx://a")),
    ("HTTP:// in capitals", line(b"GET HTTP://o/ HTTP/1.1"), "target", get(b"HTTP://o/")),
    ("ftp://", line(b"GET ftp://o/ HTTP/1.1"), "target", get(b"ftp://o/")),
    ("slashes only behind the target", line(b"GET h ttp:// /a"), "target", get(b"h", b"ttp:// /a")),
    ("asterisk", line(b"OPTIONS * HTTP/1.1"), "method", fields(b"OPTIONS", b"*", b"HTTP/1.1")),
    ("GET of an asterisk", line(b"GET * HTTP/1.1"), "target", get(b"*")),
    ("relative target", line(b"GET a.html HTTP/1.1"), "target", get(b"a.html")),
    ("query alone", line(b"GET ?x HTTP/1.1"), "target", get(b"?x")),
    ("empty query", line(b"GET /? HTTP/1.1"), "hit", get(b"/?")),
    ("two question marks", line(b"GET /a?b?c HTTP/1.1"), "hit", get(b"/a?b?c")),
    ("question mark in the protocol", line(b"GET /a HTTP?1"), "hit", get(b"/a", b"HTTP?1")),
    ("fragment", line(b"GET /a.html#frag HTTP/1.1"), "hit", get(b"/a.html#frag")),
    ("two slashes", line(b"GET //a.html HTTP/1.1"), "hit", get(b"//a.html")),
    ("dots", line(b"GET /x/../a.html HTTP/1.1"), "hit", get(b"/x/../a.html")),
    ("root", line(b"GET / HTTP/1.1"), "hit", get(b"/")),
    ("HEAD", line(b"HEAD /a HTTP/1.1"), "method", fields(b"HEAD", b"/a", b"HTTP/1.1")),
    ("POST", line(b"POST /a HTTP/1.1"), "method", fields(b"POST", b"/a", b"HTTP/1.1")),
    ("CONNECT", line(b"CONNECT o.example:443 HTTP/1.1"), "method", fields(b"CONNECT", b"o.example:443", b"HTTP/1.1")),
    ("PRI", line(b"PRI * HTTP/2.0"), "method", fields(b"PRI", b"*", b"HTTP/2.0")),
    ("get in small letters", line(b"get /a HTTP/1.1"), "method", fields(b"get", b"/a", b"HTTP/1.1")),
    ("method that begins with GET", line(b"GETX /a HTTP/1.1"), "method", fields(b"GETX", b"/a", b"HTTP/1.1")),
    ("method that GET begins with", line(b"GE /a HTTP/1.1"), "method", fields(b"GE", b"/a", b"HTTP/1.1")),
    ("TLS on a plain port", line(rb"\x16\x03\x01\x02"), "method", fields(rb"\x16\x03\x01\x02")),
    ("JSON", line(rb"{\"id\":1}\n"), "method", fields(rb"{\"id\":1}\n")),
    ("not modified, no bytes", line(after=b'" 304 - "-" "-"'), "hit", but(status=b"304", bytes_sent=b"-")),
    ("status 000", line(after=b'" 000 1'), "hit", but(status=b"000", bytes_sent=b"1", referer=None, user_agent=None)),
    ("status of two digits", line(after=b'" 20 512 "-" "-"'), "malformed", None),
    ("status of four digits", line(after=b'" 2000 512 "-" "-"'), "malformed", None),
    ("status of letters", line(after=b'" 2oo 512'), "malformed", None),
    ("status of a dash", line(after=b'" - 512'), "malformed", None),
    ("no status", line(after=b'"'), "malformed", None),
    ("status at the end", line(after=b'" 200'), "malformed", None),
    ("status and a space at the end", line(after=b'" 200 '), "malformed", None),
    ("two spaces before the status", line(after=b'"  200 512'), "hit", but(referer=None, user_agent=None)),
    ("tab before the status", line(after=b'"\t200 512'), "hit", but(referer=None, user_agent=None)),
    ("no space before the status", line(after=b'"200 512'), "hit", but(referer=None, user_agent=None)),
    ("two spaces before the bytes", line(after=b'" 200  512'), "hit", but(referer=None, user_agent=None)),
    ("tab before the bytes", line(after=b'" 200\t512'), "hit", but(referer=None, user_agent=None)),
    ("no space before the bytes", line(after=b'" 200512'), "malformed", None),
    ("tabs everywhere", FRONT + b"[" + TIME + b']\t"GET /a HTTP/1.1"\t200\t512\t"r"\t"u"', "hit",
     but(referer=b"r", user_agent=b"u")),
    ("one byte sent", line(after=b'" 200 5'), "hit", but(bytes_sent=b"5", referer=None, user_agent=None)),
    ("dash at the end", line(after=b'" 200 -'), "hit", but(bytes_sent=b"-", referer=None, user_agent=None)),
    ("bytes of thirty digits", line(after=b'" 200 ' + b"9" * 30 + b' "-" "-"'), "hit", but(bytes_sent=b"9" * 30)),
    ("bytes and letters", line(after=b'" 200 512x "-" "-"'), "malformed", None),
    ("bytes and a quote", line(after=b'" 200 512"-" "-"'), "malformed", None),
    ("bytes and a tab", line(after=b'" 200 512\t"-"'), "hit", but(user_agent=None)),
    ("dash and digits", line(after=b'" 200 -5 "-"'), "malformed", None),
    ("digits and dash", line(after=b'" 200 5- "-"'), "malformed", None),
    ("two dashes", line(after=b'" 200 -- "-"'), "malformed", None),
    ("digits and dash in a long line", line(after=b'" 200 5- "' + b"r" * 80 + b'" "-"'), "malformed", None),
    ("bytes with a plus", line(after=b'" 200 +5 "-"'), "malformed", None),
    ("bytes and CR inside the line", line(after=b'" 200 5\r "-"'), "malformed", None),
    ("bytes and two CRs", line(after=b'" 200 5\r\r'), "hit",
     but(bytes_sent=b"5", referer=None, user_agent=None)),
    ("space after the bytes", line(after=b'" 200 512 '), "hit", but(referer=None, user_agent=None)),
    ("something without quotes after the bytes", line(after=b'" 200 512 x "a" "b"'), "hit",
     but(referer=None, user_agent=None)),
    ("referer alone", line(after=b'" 200 512 "a"'), "hit", but(referer=b"a", user_agent=None)),
    ("referer torn", line(after=b'" 200 512 "http://o'), "hit", but(referer=None, user_agent=None)),
    ("referer just begun", line(after=b'" 200 512 "'), "hit", but(referer=None, user_agent=None)),
    ("user agent torn", line(after=b'" 200 512 "-" "Mozil'), "hit", but(user_agent=None)),
    ("user agent torn at a backslash", line(after=b'" 200 512 "-" "Mozil\\'), "hit", but(user_agent=None)),
    ("user agent empty", line(after=b'" 200 512 "-" ""'), "hit", but(user_agent=b"")),
    ("referer empty", line(after=b'" 200 512 "" "-"'), "hit", but(referer=b"")),
    ("user agent ends in a backslash", line(after=b'" 200 512 "-" "end\\\\"'), "hit", but(user_agent=b"end\\\\")),
    ("quotes in referer and agent", line(after=rb'" 200 512 "a\"b" "\"y\" x\\\""'), "hit",
     but(referer=rb"a\"b", user_agent=rb"\"y\" x\\\"")),
    ("fields after the user agent", line(after=b'" 200 512 "r" "u" 17 "more"'), "hit",
     but(referer=b"r", user_agent=b"u")),
    ("user name with spaces, bracket, quote", line(front=rb"127.0.0.1 - jo \"hn] doe "), "hit",
     but(host_part=rb"127.0.0.1 - jo \"hn] doe")),
    ("user name empty", line(front=b'127.0.0.1 - "" '), "hit", but(host_part=b'127.0.0.1 - ""')),
    ("user name with opening bracket", line(front=b"127.0.0.1 - [x "), "hit", but(host_part=b"127.0.0.1 - [x")),
    ("user name ends in opening bracket", line(front=b"127.0.0.1 - ["), "hit", but(host_part=b"127.0.0.1 - [")),
    ("user name that is a time", line(front=b"127.0.0.1 - [" + TIME + b"] "), "hit",
     but(host_part=b"127.0.0.1 - [" + TIME + b"]")),
    ("user name that is a time and an escaped quote",
     line(front=b"127.0.0.1 - [" + TIME + rb'] \"GET /x\" 200 5 '), "hit",
     but(host_part=b"127.0.0.1 - [" + TIME + rb'] \"GET /x\" 200 5')),
    ("user name escaped", line(front=rb"127.0.0.1 - a\nb\tc\xc3\xa9 "), "hit",
     but(host_part=rb"127.0.0.1 - a\nb\tc\xc3\xa9")),
    ("user name of 5,000", line(front=b"127.0.0.1 - " + b"x" * 5000 + b" "), "hit",
     but(host_part=b"127.0.0.1 - " + b"x" * 5000)),
    ("nothing before the time", line(front=b""), "hit", but(host_part=b"")),
    ("one space before the time", line(front=b" "), "hit", but(host_part=b"")),
    ("zone east", line(time=b"12/Mar/2026:10:00:00 +0215"), "hit", but(time=b"12/Mar/2026:10:00:00 +0215")),
    ("zone west", line(time=b"12/Mar/2026:10:00:00 -0700"), "hit", but(time=b"12/Mar/2026:10:00:00 -0700")),
    ("clock past its end", line(time=b"12/Mar/2026:99:99:99 +9999"), "hit", but(time=b"12/Mar/2026:99:99:99 +9999")),
    ("29 February of a leap year", line(time=b"29/Feb/2024:10:00:00 +0000"), "hit",
     but(time=b"29/Feb/2024:10:00:00 +0000")),
    ("29 February 2000", line(time=b"29/Feb/2000:10:00:00 +0000"), "hit",
     but(time=b"29/Feb/2000:10:00:00 +0000")),
    ("29 February 1900", line(time=b"29/Feb/1900:10:00:00 +0000"), "malformed", None),
    ("29 February 2026", line(time=b"29/Feb/2026:10:00:00 +0000"), "malformed", None),
    ("31 February", line(time=b"31/Feb/2026:10:00:00 +0000"), "malformed", None),
    ("31 April", line(time=b"31/Apr/2026:10:00:00 +0000"), "malformed", None),
    ("day 00", line(time=b"00/Mar/2026:10:00:00 +0000"), "malformed", None),
    ("day 32", line(time=b"32/Mar/2026:10:00:00 +0000"), "malformed", None),
    ("day 99", line(time=b"99/Mar/2026:10:00:00 +0000"), "malformed", None),
    ("month Foo", line(time=b"12/Foo/2026:10:00:00 +0000"), "malformed", None),
    ("month in small letters", line(time=b"12/mar/2026:10:00:00 +0000"), "malformed", None),
    ("month across two months", line(time=b"12/nFe/2026:10:00:00 +0000"), "malformed", None),
    ("month as digits", line(time=b"12/003/2026:10:00:00 +0000"), "malformed", None),
    ("year 0000", line(time=b"12/Mar/0000:10:00:00 +0000"), "malformed", None),
    ("year 0001", line(time=b"01/Jan/0001:10:00:00 +0000"), "hit", but(time=b"01/Jan/0001:10:00:00 +0000")),
    ("year 9999", line(time=b"31/Dec/9999:23:59:59 +0000"), "hit", but(time=b"31/Dec/9999:23:59:59 +0000")),
    ("year of two digits", line(time=b"12/Mar/26:10:00:00 +0000"), "malformed", None),
    ("day of one digit", line(time=b"1/Mar/2026:10:00:00 +0000"), "malformed", None),
    ("day with a space", line(time=b" 1/Mar/2026:10:00:00 +0000"), "malformed", None),
    ("zone without sign", line(time=b"12/Mar/2026:10:00:00 00100"), "malformed", None),
    ("zone of letters", line(time=b"12/Mar/2026:10:00:00 +01oo"), "malformed", None),
    ("hour of letters", line(time=b"12/Mar/2026:1o:00:00 +0100"), "malformed", None),
    ("seconds missing", line(time=b"12/Mar/2026:10:00 +0100"), "malformed", None),
    ("colon for slash", line(time=b"12:Mar/2026:10:00:00 +0100"), "malformed", None),
    ("slash for colon", line(time=b"12/Mar/2026/10:00:00 +0100"), "malformed", None),
    ("byte above the digits", line(time=b"1:/Mar/2026:10:00:00 +0100"), "malformed", None),
    ("byte below the digits", line(time=b"1//Mar/2026:10:00:00 +0100"), "malformed", None),
    ("time without its closing bracket", FRONT + b"[" + TIME + b' "GET /a HTTP/1.1" 200 5', "malformed", None),
    ("time without its opening bracket", FRONT + TIME + b'] "GET /a HTTP/1.1" 200 5', "malformed", None),
    ("no space after the time", FRONT + b"[" + TIME + b']"GET /a HTTP/1.1" 200 512', "hit",
     but(referer=None, user_agent=None)),
    ("two spaces after the time", FRONT + b"[" + TIME + b']  "GET /a HTTP/1.1" 200 512', "hit",
     but(referer=None, user_agent=None)),
    ("text after the time", FRONT + b"[" + TIME + b'] 17 "GET /a HTTP/1.1" 200 512', "malformed", None),
    ("a time that ends the user agent, a quote behind it",
     line(b"GETX", b'" 20 512 "-" "x [' + TIME + b']"'), "malformed", None),
    ("fraction in the time", line(time=b"12/Mar/2026:10:00:00.123 +0100"), "hit",
     but(time=b"12/Mar/2026:10:00:00.123 +0100")),
    ("fraction behind a comma", line(time=b"12/Mar/2026:10:00:00,123456 +0100"), "hit",
     but(time=b"12/Mar/2026:10:00:00,123456 +0100")),
    ("fraction without digits", line(time=b"12/Mar/2026:10:00:00. +0100"), "malformed", None),
    ("name of a zone", line(time=b"12/Mar/2026:10:00:00 CEST"), "hit", but(time=b"12/Mar/2026:10:00:00 CEST")),
    ("name of a zone in small letters", line(time=b"12/Mar/2026:10:00:00 cest"), "malformed", None),
    ("long name of a zone", line(time=b"12/Mar/2026:10:00:00 EUROPE"), "malformed", None),
    ("zone Z", line(time=b"12/Mar/2026:10:00:00Z"), "hit", but(time=b"12/Mar/2026:10:00:00Z")),
    ("zone with a colon", line(time=b"12/Mar/2026:10:00:00 +01:00"), "hit",
     but(time=b"12/Mar/2026:10:00:00 +01:00")),
    ("no zone", line(time=b"12/Mar/2026:10:00:00"), "hit", but(time=b"12/Mar/2026:10:00:00")),
    ("a day that does not exist, without a zone", line(time=b"31/Feb/2026:10:00:00"), "malformed", None),
    ("in quotes that double those inside", b'"' + line().replace(b'"', b'""') + b'"', "hit", but()),
    ("in quotes that escape those inside", b'"' + line().replace(b'"', b'\\"') + b'"', "hit", but()),
    ("in quotes, a quote escaped in the path, all doubled",
     b'"' + line(b'GET /\\"a HTTP/1.1').replace(b'"', b'""') + b'"', "hit", get(b'/\\"a')),
    ("in quotes, a quote escaped in the path, all escaped",
     b'"' + line(b'GET /\\"a HTTP/1.1').replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"', "hit", get(b'/\\"a')),
    ("in quotes, and blanks", b' "' + line().replace(b'"', b'""') + b'"\t', "hit", but()),
    ("in quotes that are not closed", b'"' + line(after=b'" 200 512').replace(b'"', b'""'), "malformed", None),
    ("in quotes with a quote inside that is not doubled", b'"x " y ' + line().replace(b'"', b'""') + b'"',
     "malformed", None),
    ("in quotes twice", b'""' + line().replace(b'"', b'""') + b'""', "malformed", None),
    ("byte-order mark", line(front=b"\xef\xbb\xbf" + FRONT), "hit", but()),
    ("NULs and a byte-order mark", line(front=b"\0\0\xef\xbb\xbf" + FRONT), "hit", but()),
    ("a list of addresses", line(front=b"192.0.2.1, 10.0.0.1 - - "), "hit", but(host_part=b"192.0.2.1, 10.0.0.1 - -")),
    ("escaped quote after the time", FRONT + b"[" + TIME + rb'] \"GET /a HTTP/1.1" 200 5', "malformed", None),
    ("time alone", FRONT + b"[" + TIME + b"]", "malformed", None),
    ("time and a quote", FRONT + b"[" + TIME + b'] "', "malformed", None),
    ("a day that does not exist, then one that does",
     line(front=line(b"GET /b", time=b"31/Feb/2026:10:00:00 +0000")), "hit",
     but(host_part=line(b"GET /b", time=b"31/Feb/2026:10:00:00 +0000"))),
    ("a time begun and another", line(front=b"[12/Mar/2026:10:00"), "hit", but(host_part=b"[12/Mar/2026:10:00")),
    ("two opening brackets", line(front=b"["), "hit", but(host_part=b"[")),
    ("two whole requests", line(b"GET /1", b'" 200 1 ' + line(b"GET /2")), "malformed", None),
    ("a whole request, and another one without its bytes", line(after=b'" 200 512 ' + line(after=b'" 200')),
     "malformed", None),
    ("a whole request, and another one that is torn", line(after=b'" 200 512 ' + line(b"GET /b", b"")), "hit",
     but(referer=None, user_agent=None)),
    ("a user agent that ends in a time", line(after=b'" 200 512 "-" "x [' + TIME + b'] "'), "hit",
     but(user_agent=b"x [" + TIME + b"] ")),
    ("a user agent with a whole request",
     line(after=b'" 200 512 "-" "[' + TIME + rb'] \"GET /b HTTP/1.1\" 200 5"'), "hit",
     but(user_agent=b"[" + TIME + rb'] \"GET /b HTTP/1.1\" 200 5')),
    ("torn in the request, an intact line behind", line(b"GET /aaaa", INTACT), "hit",
     get(b"/intact", bytes_sent=b"5", host_part=line(b"GET /aaaa", INTACT[:13]))),
    ("torn in the time, an intact line behind", FRONT + b"[12/Mar/20" + INTACT, "hit",
     get(b"/intact", bytes_sent=b"5", host_part=FRONT + b"[12/Mar/20" + INTACT[:13])),
    ("torn in the status, an intact line behind", line(after=b'" 20' + INTACT), "hit",
     get(b"/intact", bytes_sent=b"5", host_part=line(after=b'" 20' + INTACT[:13]))),
    ("torn in the bytes, a space, an intact line behind", line(after=b'" 200 5 ' + INTACT), "malformed", None),
    ("torn in the user agent, an intact line behind", line(after=b'" 200 512 "-" "Moz' + INTACT), "malformed", None),
    ("torn at the front", b'a/b.html HTTP/1.1" 200 512 "-" "-"', "malformed", None),
    ("torn in the request", line(b"GET /aaaa", b""), "malformed", None),
    ("torn at an escaped quote", line(rb"GET /aaaa\"", b""), "malformed", None),
    ("torn at a backslash", line(b"GET /aaaa\\", b""), "malformed", None),
    ("torn, with the look of an end", line(b"GET /aaaa HTTP/1.1x 200 512 " + b"x" * 80, b""), "malformed", None),
    ("closing quote escaped", line(b"GET /a\\"), "malformed", None),
    ("NUL in the path", line(b"GET /a\0b HTTP/1.1"), "hit", get(b"/a\0b")),
    ("NUL in front", line(front=b"\0\0 "), "hit", but(host_part=b"")),
    ("NUL in the time", line(time=b"12/Mar/2026:10:00:0\0 +0100"), "malformed", None),
    ("NUL behind the bytes", line(after=b'" 200 512\0'), "hit", but(referer=None, user_agent=None)),
    ("NUL and text behind the bytes", line(after=b'" 200 512\0x'), "malformed", None),
    ("NULs only", b"\0\0\0", "malformed", None),
    ("high bytes", line(b"GET /\xff\x80\xe9 HTTP/1.1", front=b"\xff "), "hit",
     get(b"/\xff\x80\xe9", host_part=b"\xff")),
    ("high byte for a digit", line(time=b"12/Mar/202\xb6:10:00:00 +0100"), "malformed", None),
    ("CR in the path", line(b"GET /a\rb HTTP/1.1"), "hit", get(b"/a\rb")),
    ("CR in front", line(front=b"\r "), "hit", but(host_part=b"\r")),
    ("empty", b"", "malformed", None),
    ("one CR", b"\r", "malformed", None),
    ("one space", b" ", "malformed", None),
    ("one quote", b'"', "malformed", None),
    ("one bracket", b"[", "malformed", None),
    ("prose", b"not a line of a log", "malformed", None),
]  # fmt: skip


NAMES = [name for name, *_ in TABLE]


EVERY_LINE = [text for _, text, _, _ in TABLE]


@pytest.mark.parametrize(("text", "bucket", "expected"), [row[1:] for row in TABLE], ids=NAMES)
def test_a_line_parses_to_its_fields(text: bytes, bucket: str, expected: Fields | None) -> None:
    assert reference.parse(text) == (expected and expected._asdict())
    assert reference.judge(text)[0] == bucket
    for data in (text, with_ending(text, "LF"), with_ending(text, "CRLF")):
        assert parse_line(data) == as_parsed(expected)


@pytest.mark.parametrize(("text", "bucket", "expected"), [row[1:] for row in TABLE], ids=NAMES)
def test_a_line_lands_in_its_bucket(text: bytes, bucket: str, expected: Fields | None) -> None:
    day = expected and reference.day_of(expected.time)
    for data in (with_ending(text, "LF"), with_ending(text, "CRLF"), text or b"\n"):
        for hit_table in (fed(data), fed(*byte_by_byte(data))):
            assert hit_table.lines == 1
            assert hit_table.hits == (bucket == "hit")
            assert hit_table.malformed == (bucket == "malformed")
            assert hit_table.filtered == ({bucket: 1} if bucket in ("method", "target") else {})
            assert views(hit_table) == ({(day, expected.path): 1} if bucket == "hit" else {})
            assert hit_table.days_seen == ({day} if day else set())


def test_lines_do_not_disturb_their_neighbours() -> None:
    rows = [expected.path for _, _, bucket, expected in TABLE if bucket == "hit"]
    for end in ("LF", "CRLF"):
        data = b"".join(with_ending(text, end) + with_ending(INTACT, end) for text in EVERY_LINE)
        hit_table = fed(data)
        assert agrees(hit_table, reference.count(data))
        assert hit_table.lines == 2 * len(TABLE)
        assert hit_table.hits == len(TABLE) + len(rows)
        assert views(hit_table)[DAY, b"/intact"] == len(TABLE) + rows.count(b"/intact")


def test_a_parsed_line_is_a_tuple_with_names_and_types() -> None:
    parsed = parse_line(line(b"GET /a?b HTTP/1.1", b'" 404 5 "r" "u"'))
    assert type(parsed) is ParsedLine
    assert parsed == (
        *(DAY, TIME, b"GET", b"/a?b", b"/a", b"b", b"HTTP/1.1", 404, 5, b"r", b"u", None, b"127.0.0.1 - -"),
    )
    assert type(parsed.day) is date
    day, *_, host_part = parsed
    assert (day, host_part) == (parsed.day, parsed.host_part)


def test_bytes_sent_with_more_than_18_digits_become_none() -> None:
    for digits in (1, 17, 18):
        assert parse_line(line(after=b'" 200 ' + b"9" * digits)).bytes_sent == 10**digits - 1
    for text in (b"9" * 19, b"9" * 5000, b"-"):
        assert parse_line(line(after=b'" 200 ' + text)).bytes_sent is None


def test_parse_line_takes_a_newline_inside_as_part_of_the_line() -> None:
    assert parse_line(line(b"GET /a\nb HTTP/1.1")) == as_parsed(get(b"/a\nb"))
    assert parse_line(b"front\n" + line()) == as_parsed(but(host_part=b"front\n" + FRONT[:-1]))
    assert parse_line(line(after=b'" 200 5\n\n')) is None
    assert parse_line(line(after=b'" 200 5\n\r')) is None
    assert parse_line(line(after=b'" 200 5 \n\n')) == as_parsed(but(bytes_sent=b"5", referer=None, user_agent=None))


def test_the_constants_have_sensible_values() -> None:
    assert LINE_BYTES == reference.LINE_BYTES == MIB
    assert 0 < EXAMPLES <= 10
    assert 0 < EXAMPLE_BYTES <= 1000


@given(valid_fields())
def test_fields_survive_being_written_to_a_line_and_parsed(expected: dict[str, bytes | None]) -> None:
    assert parse_line(write_line(expected)) == as_parsed(expected)


@given(lines, st.sampled_from([b"", b"\n", b"\r\n", b"\r"]))
def test_parse_line_equals_the_oracle(text: bytes, ending: bytes) -> None:
    assert parse_line(text + ending) == as_parsed(reference.parse(text + ending))


def as_mmap(data: bytes) -> mmap.mmap:
    """Return an anonymous mapping that holds *data*."""
    mapping = mmap.mmap(-1, max(1, len(data)))
    mapping[: len(data)] = data
    return mapping


BUFFERS = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "writable memoryview": lambda data: memoryview(bytearray(data)),
    "array": lambda data: array("B", data),
    "mmap": as_mmap,
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
def test_all_kinds_of_buffers_give_the_same_result(buffer: Callable[[bytes], object]) -> None:
    data = b"\n".join(EVERY_LINE)
    assert state(fed(buffer(data))) == state(fed(data))
    assert parse_line(buffer(INTACT)) == as_parsed(get(b"/intact", bytes_sent=b"5"))


def test_the_core_knows_all_valid_dates_of_four_centuries() -> None:
    for year in range(1900, 2301, 4):
        texts = {(d, m): write_time(date(year, m, 1))[2:] for m in range(1, 13) for d in range(34)}
        data = b"\n".join(line(time=b"%02d%b" % (d, rest)) for (d, _), rest in texts.items())
        first = date(year, 1, 1)
        length = (date(year + 1, 1, 1) - first).days
        hit_table = fed(data)
        assert hit_table.days_seen == {first + timedelta(days=number) for number in range(length)}
        assert hit_table.malformed == 34 * 12 - length


def test_the_first_and_the_last_date_are_valid() -> None:
    first, last = b"01/Jan/0001:00:00:00 +0000", b"31/Dec/9999:23:59:59 +0000"
    hit_table = fed(b"\n".join([line(time=first), line(time=last)]))
    assert list(hit_table.rows()) == [(date.min, b"/a", 1), (date.max, b"/a", 1)]
    assert hit_table.days_seen == {date.min, date.max}
