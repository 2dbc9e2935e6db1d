"""The compiled core against its contract: a table of lines, the slow oracle, real logs, threads, memory."""

import mmap
import resource
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fasthits._parse import EXAMPLE_BYTES, EXAMPLES, LINE_BYTES, HitCounter, ParsedLine, parse_line
from tests import reference
from tests.strategies import DAYS, blocks_of, day_sets, lines, logs, valid_fields, write_line, write_time

DATA = Path(__file__).parents[2] / "shared" / "data"
DAY = date(2026, 3, 12)
TIME = b"12/Mar/2026:10:00:00 +0100"
FRONT = b"127.0.0.1 - - "
INTACT = b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET /intact HTTP/1.1" 200 5 "-" "-"'
MIB = 1 << 20


def line(
    request: bytes = b"GET /a HTTP/1.1",
    after: bytes = b'" 200 512 "-" "-"',
    *,
    front: bytes = FRONT,
    time: bytes = TIME,
) -> bytes:
    """Return a line with the given parts; *after* is all from the quote that ends the request."""
    return front + b"[" + time + b'] "' + request + after


def fields(
    method: bytes, target: bytes | None = None, protocol: bytes | None = None, **others: bytes | None
) -> ParsedLine:
    """Return what `line` with this request parses to, except for *others*."""
    usual = {
        "host_part": FRONT[:-1],
        "time": TIME,
        "path": None if target is None else target.split(b"?")[0],
        "status": b"200",
        "bytes_sent": b"512",
        "referer": b"-",
        "user_agent": b"-",
    }
    return ParsedLine(**{"method": method, "target": target, "protocol": protocol} | usual | others)


GET_A = fields(b"GET", b"/a", b"HTTP/1.1")


def get(target: bytes, protocol: bytes | None = b"HTTP/1.1", **others: bytes | None) -> ParsedLine:
    """Return what a line with a GET request parses to."""
    return fields(b"GET", target, protocol, **others)


def but(**others: bytes | None) -> ParsedLine:
    """Return what the plainest line parses to, except for *others*."""
    return GET_A._replace(**others)


TABLE: list[tuple[str, bytes, str, ParsedLine | None]] = [
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
    ("absolute form", line(b"GET http://o.example/a?x=1 HTTP/1.1"), "hit", get(b"http://o.example/a?x=1")),
    ("absolute form with password", line(b"GET https://u:X@o.example/a HTTP/1.1"), "hit",
     get(b"https://u:X@o.example/a")),
    ("absolute form, query before a slash", line(b"GET http://o?a/b"), "hit", get(b"http://o?a/b", None)),
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
    ("two spaces before the status", line(after=b'"  200 512'), "malformed", None),
    ("no space before the status", line(after=b'"200 512'), "malformed", None),
    ("two spaces before the bytes", line(after=b'" 200  512'), "malformed", None),
    ("tab before the bytes", line(after=b'" 200\t512'), "malformed", None),
    ("one byte sent", line(after=b'" 200 5'), "hit", but(bytes_sent=b"5", referer=None, user_agent=None)),
    ("dash at the end", line(after=b'" 200 -'), "hit", but(bytes_sent=b"-", referer=None, user_agent=None)),
    ("bytes of thirty digits", line(after=b'" 200 ' + b"9" * 30 + b' "-" "-"'), "hit", but(bytes_sent=b"9" * 30)),
    ("bytes and letters", line(after=b'" 200 512x "-" "-"'), "malformed", None),
    ("bytes and a quote", line(after=b'" 200 512"-" "-"'), "malformed", None),
    ("bytes and a tab", line(after=b'" 200 512\t"-"'), "malformed", None),
    ("dash and digits", line(after=b'" 200 -5 "-"'), "malformed", None),
    ("digits and dash", line(after=b'" 200 5- "-"'), "malformed", None),
    ("two dashes", line(after=b'" 200 -- "-"'), "malformed", None),
    ("digits and dash in a long line", line(after=b'" 200 5- "' + b"r" * 80 + b'" "-"'), "malformed", None),
    ("bytes with a plus", line(after=b'" 200 +5 "-"'), "malformed", None),
    ("bytes and CR inside the line", line(after=b'" 200 5\r "-"'), "malformed", None),
    ("bytes and two CRs", line(after=b'" 200 5\r\r'), "malformed", None),
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
    ("no space after the time", FRONT + b"[" + TIME + b']"GET /a HTTP/1.1" 200 5', "malformed", None),
    ("two spaces after the time", FRONT + b"[" + TIME + b']  "GET /a HTTP/1.1" 200 5', "malformed", None),
    ("escaped quote after the time", FRONT + b"[" + TIME + rb'] \"GET /a HTTP/1.1" 200 5', "malformed", None),
    ("time alone", FRONT + b"[" + TIME + b"]", "malformed", None),
    ("time and a quote", FRONT + b"[" + TIME + b'] "', "malformed", None),
    ("a day that does not exist, then one that does",
     line(front=line(b"GET /b", time=b"31/Feb/2026:10:00:00 +0000")), "hit",
     but(host_part=line(b"GET /b", time=b"31/Feb/2026:10:00:00 +0000"))),
    ("a time begun and another", line(front=b"[12/Mar/2026:10:00"), "hit", but(host_part=b"[12/Mar/2026:10:00")),
    ("two opening brackets", line(front=b"["), "hit", but(host_part=b"[")),
    ("the first of two whole requests", line(b"GET /1", b'" 200 1 ' + line(b"GET /2")), "hit",
     get(b"/1", None, bytes_sent=b"1", referer=None, user_agent=None)),
    ("torn in the request, an intact line behind", line(b"GET /aaaa", INTACT), "hit",
     get(b"/intact", bytes_sent=b"5", host_part=line(b"GET /aaaa", INTACT[:13]))),
    ("torn in the time, an intact line behind", FRONT + b"[12/Mar/20" + INTACT, "hit",
     get(b"/intact", bytes_sent=b"5", host_part=FRONT + b"[12/Mar/20" + INTACT[:13])),
    ("torn in the status, an intact line behind", line(after=b'" 20' + INTACT), "hit",
     get(b"/intact", bytes_sent=b"5", host_part=line(after=b'" 20' + INTACT[:13]))),
    ("torn in the bytes, a space, an intact line behind", line(after=b'" 200 5 ' + INTACT), "hit",
     but(bytes_sent=b"5", referer=None, user_agent=None)),
    ("torn in the user agent, an intact line behind", line(after=b'" 200 512 "-" "Moz' + INTACT), "hit",
     but(user_agent=b"Moz" + INTACT[: INTACT.index(b'"')])),
    ("torn at the front", b'a/b.html HTTP/1.1" 200 512 "-" "-"', "malformed", None),
    ("torn in the request", line(b"GET /aaaa", b""), "malformed", None),
    ("torn at an escaped quote", line(rb"GET /aaaa\"", b""), "malformed", None),
    ("torn at a backslash", line(b"GET /aaaa\\", b""), "malformed", None),
    ("torn, with the look of an end", line(b"GET /aaaa HTTP/1.1x 200 512 " + b"x" * 80, b""), "malformed", None),
    ("closing quote escaped", line(b"GET /a\\"), "malformed", None),
    ("NUL in the path", line(b"GET /a\0b HTTP/1.1"), "hit", get(b"/a\0b")),
    ("NUL in front", line(front=b"\0\0 "), "hit", but(host_part=b"\0\0")),
    ("NUL in the time", line(time=b"12/Mar/2026:10:00:0\0 +0100"), "malformed", None),
    ("NUL behind the bytes", line(after=b'" 200 5\0'), "malformed", None),
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
ENDINGS = {"open": b"", "LF": b"\n", "CRLF": b"\r\n"}


def fed(*blocks: bytes, days: set[date] | None = None, max_paths: int | None = None) -> HitCounter:
    """Return a counter that has read *blocks* as one input."""
    counter = HitCounter(max_paths=max_paths)
    counter.count_only(days)
    for block in blocks:
        counter.feed(block)
    counter.finish()
    return counter


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    """Yield *data* in blocks of one byte."""
    return (data[i : i + 1] for i in range(len(data)))


def with_ending(text: bytes, ending: str) -> bytes:
    """Return a line with its ending; the CR that a line may end in without a newline is that of a CRLF."""
    return text.removesuffix(b"\r") + b"\r\n" if ending == "CRLF" else text + ENDINGS[ending]


def views(counter: HitCounter) -> dict[tuple[date, bytes], int]:
    """Return the rows of a counter, after making sure that no row comes twice."""
    rows = list(counter.rows())
    table = {(day, path): count for day, path, count in rows}
    assert len(table) == len(rows) == len(counter)
    return table


def state(counter: HitCounter) -> tuple[object, ...]:
    """Return all that can be asked of a counter."""
    rows = list(counter.rows())
    buckets = counter.lines, counter.hits, counter.filtered, counter.malformed, counter.dropped
    return rows, len(counter), buckets, counter.examples, counter.days_seen


def agrees(counter: HitCounter, expected: reference.Counts) -> bool:
    """Compare all numbers of a counter with those of the oracle, on failure by an assertion that shows them."""
    found = reference.Counts(
        Counter(views(counter)), counter.lines, counter.hits, Counter(counter.filtered), counter.malformed
    )
    assert found == expected
    assert counter.filtered == dict(expected.filtered)
    return True


def assert_every_line_in_a_bucket(counter: HitCounter) -> None:
    """Fail unless the buckets add up to the lines."""
    assert counter.lines == counter.hits + sum(counter.filtered.values()) + counter.malformed


def assert_balanced(counter: HitCounter) -> None:
    """Fail unless every line is in a bucket, and every hit in a row or dropped; `add` and `drain` upset the latter."""
    assert_every_line_in_a_bucket(counter)
    assert sum(views(counter).values()) == counter.hits - counter.dropped


def status_of_process(name: str) -> int:
    """Return a size from /proc/self/status in bytes. VmHWM is the peak since exec; getrusage's holds the parent's."""
    for entry in Path("/proc/self/status").read_text().splitlines():
        key, _, value = entry.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise KeyError(name)


def distinct_lines(count: int, start: int = 0) -> bytes:
    """Return a log of hits on as many paths as lines."""
    text = b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /%d HTTP/1.1" 200 5\n'
    return b"".join(text % number for number in range(start, start + count))


@pytest.mark.parametrize(("text", "bucket", "expected"), [row[1:] for row in TABLE], ids=NAMES)
def test_a_line_parses_to_its_fields(text: bytes, bucket: str, expected: ParsedLine | None) -> None:
    assert reference.parse(text) == (expected and expected._asdict())
    assert reference.judge(text)[0] == bucket
    assert parse_line(text) == expected
    assert parse_line(with_ending(text, "LF")) == expected
    assert parse_line(with_ending(text, "CRLF")) == expected


@pytest.mark.parametrize(("text", "bucket", "expected"), [row[1:] for row in TABLE], ids=NAMES)
def test_a_line_lands_in_its_bucket(text: bytes, bucket: str, expected: ParsedLine | None) -> None:
    day = expected and reference.day_of(expected.time)
    for data in (with_ending(text, "LF"), with_ending(text, "CRLF"), text or b"\n"):
        for counter in (fed(data), fed(*byte_by_byte(data))):
            assert counter.lines == 1
            assert counter.hits == (bucket == "hit")
            assert counter.malformed == (bucket == "malformed")
            assert counter.filtered == ({bucket: 1} if bucket in ("method", "target") else {})
            assert views(counter) == ({(day, expected.path): 1} if bucket == "hit" else {})
            assert counter.days_seen == ({day} if day else set())


def test_lines_do_not_disturb_their_neighbours() -> None:
    rows = [expected.path for _, _, bucket, expected in TABLE if bucket == "hit"]
    for end in ("LF", "CRLF"):
        data = b"".join(with_ending(text, end) + with_ending(INTACT, end) for text in EVERY_LINE)
        counter = fed(data)
        assert agrees(counter, reference.count(data))
        assert counter.lines == 2 * len(TABLE)
        assert counter.hits == len(TABLE) + len(rows)
        assert views(counter)[DAY, b"/intact"] == len(TABLE) + rows.count(b"/intact")


def test_parsed_line_is_a_tuple_with_names_in_the_order_of_the_line() -> None:
    names = "host_part", "time", "method", "target", "path", "protocol", "status", "bytes_sent", "referer", "user_agent"
    assert ParsedLine._fields == names
    parsed = parse_line(line())
    assert type(parsed) is ParsedLine
    assert all(type(field) is bytes for field in parsed)


def test_parse_line_takes_a_newline_inside_as_part_of_the_line() -> None:
    assert parse_line(line(b"GET /a\nb HTTP/1.1")) == get(b"/a\nb")
    assert parse_line(b"front\n" + line()) == but(host_part=b"front\n" + FRONT[:-1])
    assert parse_line(line(after=b'" 200 5\n\n')) is None
    assert parse_line(line(after=b'" 200 5\n\r')) is None
    assert parse_line(line(after=b'" 200 5 \n\n')) == but(bytes_sent=b"5", referer=None, user_agent=None)


def test_constants_are_what_the_memory_bounds_rest_on() -> None:
    assert LINE_BYTES == reference.LINE_BYTES == MIB
    assert 0 < EXAMPLES <= 10
    assert 0 < EXAMPLE_BYTES <= 1000


@given(valid_fields())
def test_fields_survive_being_written_to_a_line_and_parsed(expected: dict[str, bytes | None]) -> None:
    assert parse_line(write_line(expected)) == ParsedLine(**expected)


@given(lines, st.sampled_from([b"", b"\n", b"\r\n", b"\r"]))
def test_parse_line_equals_the_oracle(text: bytes, ending: bytes) -> None:
    parsed = parse_line(text + ending)
    assert (parsed and parsed._asdict()) == reference.parse(text + ending)


@given(logs(), day_sets)
def test_counts_equal_the_oracle(data: bytes, days: set[date] | None) -> None:
    counter = fed(data, days=days)
    assert agrees(counter, reference.count(data, days))
    assert_balanced(counter)
    assert [row[:2] for row in counter.rows()] == list(dict.fromkeys(reference.hits(data, days)))


@given(logs(), day_sets)
def test_days_seen_are_those_of_all_parsed_lines(data: bytes, days: set[date] | None) -> None:
    assert fed(data, days=days).days_seen == {reference.judge(text)[1] for text in reference.split_lines(data)} - {None}


@given(logs())
def test_examples_are_the_first_malformed_lines(data: bytes) -> None:
    bad = [
        (number, reference.trim(text)[:EXAMPLE_BYTES])
        for number, text in enumerate(reference.split_lines(data), 1)
        if reference.parse(text) is None
    ]
    assert fed(data).examples == bad[:EXAMPLES]


@given(st.binary(max_size=400))
@example(b"")
@example(b"\n")
@example(b"\r")
@example(b"\r\n\r\n\n\r")
@example(bytes(range(256)))
def test_any_bytes_at_all_are_counted(data: bytes) -> None:
    counter = fed(data)
    assert_balanced(counter)
    assert counter.lines == data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


@given(st.data())
def test_cutting_into_blocks_changes_nothing(data: st.DataObject) -> None:
    log = data.draw(logs())
    blocks = data.draw(blocks_of(log))
    assert state(fed(*blocks)) == state(fed(log))


@given(logs())
def test_one_byte_at_a_time_changes_nothing(data: bytes) -> None:
    assert state(fed(*byte_by_byte(data))) == state(fed(data))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_every_single_cut_changes_nothing(ending: bytes) -> None:
    data = ending.join([INTACT, rb"torn \"", line(rb"GET /\\\"? HTTP/1.1"), b"", INTACT])
    whole = state(fed(data))
    assert whole[2] == (5, 3, {}, 2, 0)
    for cut in range(len(data) + 1):
        assert state(fed(data[:cut], data[cut:])) == whole


@given(logs(ended=True), logs())
def test_counts_of_two_logs_merge_to_those_of_both_in_one(first: bytes, second: bytes) -> None:
    counter, other = fed(first), fed(second)
    counter.merge(other)
    both = fed(first + second)
    assert views(counter) == views(both)
    assert [row[:2] for row in counter.rows()] == [row[:2] for row in both.rows()]
    assert state(counter)[2] == state(both)[2]
    assert counter.days_seen == both.days_seen
    assert counter.examples == fed(first).examples
    assert (len(other), other.lines) == (0, 0)


@given(st.lists(logs(ended=True), max_size=4))
def test_drained_rows_add_up_to_all_rows(parts: list[bytes]) -> None:
    counter, drained = HitCounter(), HitCounter()
    for part in parts:
        counter.feed(part)
        drained.merge(counter.drain())
    assert views(drained) == reference.count(b"".join(parts)).views
    assert len(counter) == 0
    assert counter.hits == sum(views(drained).values())


@given(logs(), st.integers(0, 4))
def test_max_paths_keeps_the_first_rows_and_counts_the_rest_as_dropped(data: bytes, bound: int) -> None:
    counter = fed(data, max_paths=bound)
    kept = list(dict.fromkeys(reference.hits(data)))[:bound]
    expected = reference.count(data)
    assert views(counter) == {row: expected.views[row] for row in kept}
    assert [row[:2] for row in counter.rows()] == kept
    assert counter.hits == expected.hits
    assert counter.dropped == expected.hits - sum(expected.views[row] for row in kept)
    assert_balanced(counter)


LONG_AFTER = b' "http://www.example.org/from/here.html" "Mozilla/5.0 (X11; Linux x86_64)"'
ENDS_OF_PATHS = {
    "HTTP/1.1": b" HTTP/1.1",
    "HTTP/2": b" HTTP/2",
    "HTTP/2.0": b" HTTP/2.0",
    "no protocol": b"",
    "a space": b" ",
    "no digits": b" HTTP/:.?",
    "a quote for a digit": rb" HTTP/1.\"",
    "a backslash for a digit": rb" HTTP/1.\\",
    "another protocol": b" HTTPS/1.1",
    "small letters": b" http/1.1",
    "more than a protocol": b" HTTP/1.1 x",
    "a query": b"?q=1 HTTP/1.1",
    "an empty query": b"?",
    "a quote": rb"\"x HTTP/1.1",
    "a quote in the query": rb"?\" HTTP/1.1",
    "backslashes": rb"\\",
    "backslashes before the query": rb"\\\\?",
    "a torn request": b"\\",
}


def assert_judged_as_by_the_oracle(text: bytes) -> None:
    """Fail unless a line, alone and behind another one, ends where the oracle has it."""
    for end in (b"\n", b"\r\n"):
        assert agrees(fed(text + end), reference.count(text + end))
        data = INTACT + end + text + end + INTACT + end
        assert agrees(fed(data), reference.count(data))


@pytest.mark.parametrize("end", ENDS_OF_PATHS.values(), ids=ENDS_OF_PATHS)
def test_paths_of_any_size_end_where_they_should(end: bytes) -> None:
    for size in (1, 2, 7, *range(58, 71), *range(120, 132), 200):
        for after in (b'" 200 5' + LONG_AFTER, b'" 304 -' + LONG_AFTER, b'" 200 5'):
            assert_judged_as_by_the_oracle(line(b"GET /" + b"p" * (size - 1) + end, after))


def test_lines_that_end_about_where_the_path_is_looked_for_are_complete() -> None:
    for size in range(130):
        for padding in range(140):
            text = line(b"GET /" + b"p" * size + b" HTTP/1.1", b'" 200 5 "' + b"r" * padding)
            if 40 <= size + padding <= 140:
                assert views(fed(text)) == {(DAY, b"/" + b"p" * size): 1}


@pytest.mark.parametrize("sent", [b"", b"-", b"--", *(b"123456789012"[:size] for size in range(1, 13))])
def test_bytes_sent_of_any_size_end_where_they_should(sent: bytes) -> None:
    for status in (b"200", b"20x", b"2000", b"20"):
        for wrong in (b"", b"-", b"x", b"/", b":", b"\0", b"\xb5", b"\xff", b'"', b"\t", b"\r", b" "):
            for after in (LONG_AFTER, LONG_AFTER[1:], b"", b" ", b"5" * 9):
                for request in (b"GET /a HTTP/1.1", b"GET /" + b"p" * 70 + b"?q"):
                    text = b'" %b %b%b%b' % (status, sent, wrong, after)
                    assert agrees(fed(line(request, text)), reference.count(line(request, text)))


TIMES = [
    TIME,
    TIME,
    b"13/Mar/2026:00:00:00 +0100",
    b"12/Mar/2027:10:00:00 +0100",
    b"12/Mar/2026:23:59:59 -0700",
    b"12/Mar/2026:99:99:99 +9999",
    b"31/Feb/2026:10:00:00 +0100",
    b"12/Foo/2026:10:00:00 +0100",
    b"12/Mar/0000:10:00:00 +0100",
    b"\0" * 11 + b":10:00:00 +0100",
    b"12/Mar/2026:1x:00:00 +0100",
    b"12/Mar/2026:10:x0:00 +0100",
    b"12/Mar/2026:10:00:x0 +0100",
    b"12/Mar/2026:10:00:0x +0100",
    b"12/Mar/2026:10:00:0: +0100",
    b"12/Mar/2026:1::00:00 +0100",
    b"12/Mar/2026:10.00:00 +0100",
    b"12/Mar/2026:10:00.00 +0100",
    b"12/Mar/2026.10:00:00 +0100",
    b"12/Mar/2026:10:00:00_+0100",
    b"12/Mar/2026:10:00:00 *0100",
    b"12/Mar/2026:10:00:00 +01oo",
    b"12/Mar/2026:10:00:00 +0100 ",
]


def timed(time: bytes) -> bytes:
    return line(b"GET /a/page.html HTTP/1.1", b'" 200 512' + LONG_AFTER, time=time) + b"\n"


def test_a_time_is_judged_the_same_whatever_was_before_it() -> None:
    for before in TIMES:
        for time in TIMES:
            for data in (timed(before) + timed(time) * 2, timed(time) + timed(before) + timed(time)):
                assert agrees(fed(data), reference.count(data))


@given(st.lists(st.sampled_from(TIMES).map(timed), max_size=12))
def test_times_are_judged_the_same_in_any_order(drawn: list[bytes]) -> None:
    data = b"".join(drawn)
    assert agrees(fed(data), reference.count(data))
    assert state(fed(*(data[at : at + 100] for at in range(0, len(data), 100)))) == state(fed(data))


@given(logs(), st.integers(1, 70))
def test_hits_in_batches_are_those_that_come_one_by_one(data: bytes, times: int) -> None:
    data = (data + b"\n") * times
    whole, singly = fed(data), HitCounter()
    for text in data.split(b"\n")[:-1]:
        singly.feed(text + b"\n")
    assert state(singly) == state(whole)
    assert agrees(whole, reference.count(data))


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
def test_all_kinds_of_buffers_agree(buffer: Callable[[bytes], object]) -> None:
    data = b"\n".join(EVERY_LINE)
    assert state(fed(buffer(data))) == state(fed(data))
    assert parse_line(buffer(INTACT)) == get(b"/intact", bytes_sent=b"5")


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda data: memoryview(b"abc")[3:]])
def test_an_empty_block_is_no_line(buffer: Callable[[bytes], object]) -> None:
    counter = fed(buffer(b""))
    assert counter.lines == 0
    assert parse_line(buffer(b"")) is None
    counter.feed(INTACT)
    counter.feed(buffer(b""))
    counter.finish()
    assert (counter.lines, counter.hits) == (1, 1)


def test_a_slice_of_a_memoryview_is_read_within_its_bounds() -> None:
    data = b"x" + INTACT + b"5 junk"
    assert parse_line(memoryview(data)[1 : 1 + len(INTACT)]) == parse_line(INTACT)
    assert views(fed(memoryview(data)[1 : 1 + len(INTACT)])) == {(DAY, b"/intact"): 1}


@pytest.mark.parametrize("read", [parse_line, HitCounter().feed], ids=["parse_line", "feed"])
class TestWrongTypes:
    """What no bytes-like object in one piece is, is refused."""

    def test_a_strided_buffer_is_refused(self, read: Callable[[object], object]) -> None:
        with pytest.raises(BufferError):
            read(memoryview(INTACT)[::2])

    @pytest.mark.parametrize("wrong", ["text", None, 5, [b"list"], (b"tuple",)], ids=lambda wrong: type(wrong).__name__)
    def test_what_holds_no_bytes_is_refused(self, read: Callable[[object], object], wrong: object) -> None:
        with pytest.raises(TypeError):
            read(wrong)


def test_refused_blocks_leave_the_counter_as_it_was() -> None:
    counter = HitCounter()
    counter.feed(INTACT[:50])
    for wrong in (memoryview(b"abcd")[::2], "text", None):
        with pytest.raises((BufferError, TypeError)):
            counter.feed(wrong)
    counter.feed(INTACT[50:])
    counter.finish()
    assert state(counter) == state(fed(INTACT))


WRONG_CALLS = {
    "positional max_paths": lambda counter: HitCounter(5),
    "max_paths": lambda counter: HitCounter(max_paths="5"),
    "max_bytes": lambda counter: HitCounter(max_bytes="5"),
    "assigned max_paths": lambda counter: setattr(counter, "max_paths", "5"),
    "merge of None": lambda counter: counter.merge(None),
    "merge of a dict": lambda counter: counter.merge({}),
    "add with day as text": lambda counter: counter.add("2026-03-12", b"/a", 1),
    "add without day": lambda counter: counter.add(None, b"/a", 1),
    "add with path as text": lambda counter: counter.add(DAY, "/a", 1),
    "add without path": lambda counter: counter.add(DAY, None, 1),
    "add with views as text": lambda counter: counter.add(DAY, b"/a", "1"),
    "count_only of a number": lambda counter: counter.count_only(5),
    "count_only of text": lambda counter: counter.count_only(["2026-03-12"]),
}


@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_types_are_refused(call: Callable[[HitCounter], object]) -> None:
    counter = fed(INTACT)
    with pytest.raises(TypeError):
        call(counter)
    counter.feed(line() + b"\n")
    assert views(counter) == {(DAY, b"/intact"): 1, (DAY, b"/a"): 1}
    assert counter.max_paths is None


def test_a_block_is_released_after_feed() -> None:
    block = bytearray(INTACT)
    counter = HitCounter()
    counter.feed(block)
    parse_line(block)
    block += b"\n"
    counter.finish()
    assert counter.hits == 1


def test_a_counter_copies_what_it_keeps_of_a_block() -> None:
    block = bytearray(INTACT + b"\nbad line\n" + INTACT[:-20])
    counter = HitCounter()
    counter.feed(block)
    block[:] = b"\xff" * len(block)
    counter.feed(INTACT[-20:])
    counter.finish()
    assert views(counter) == {(DAY, b"/intact"): 2}
    assert counter.examples == [(2, b"bad line")]


def test_finish_ends_a_line_once_and_another_input_may_follow() -> None:
    counter = HitCounter()
    counter.finish()
    assert counter.lines == 0
    counter.feed(INTACT)
    assert (counter.lines, counter.hits, len(counter)) == (0, 0, 0)
    counter.finish()
    counter.finish()
    assert (counter.lines, counter.hits, len(counter)) == (1, 1, 1)
    counter.feed(b"bad\n" + INTACT[:30])
    counter.finish()
    counter.feed(INTACT + b"\n")
    counter.finish()
    assert (counter.lines, counter.hits, counter.malformed) == (4, 2, 2)
    assert counter.examples == [(2, b"bad"), (3, INTACT[:30])]


def test_a_new_counter_is_empty() -> None:
    assert state(HitCounter()) == ([], 0, (0, 0, {}, 0, 0), [], set())


def test_filtered_names_the_first_reason_that_holds_and_no_zeros() -> None:
    other_day = write_time(DAY + timedelta(days=1))
    counter = fed(
        b"\n".join(
            [
                line(b"HEAD * HTTP/1.1", time=other_day),
                line(b"GET * HTTP/1.1", time=other_day),
                line(b"GET /a HTTP/1.1", time=other_day),
                line(b"GET /a HTTP/1.1"),
            ]
        ),
        days={DAY},
    )
    assert counter.filtered == {"method": 1, "target": 1, "day": 1}
    assert list(counter.filtered) == ["method", "target", "day"]
    assert fed(line(b"GET * HTTP/1.1")).filtered == {"target": 1}


def test_what_a_counter_returns_is_a_copy() -> None:
    counter = fed(b"bad\n" + INTACT)
    before = state(counter)
    counter.filtered["day"] = 5
    counter.examples.clear()
    counter.days_seen.clear()
    assert state(counter) == before


def test_buckets_are_not_to_be_assigned() -> None:
    counter = HitCounter()
    for name in ("lines", "hits", "filtered", "malformed", "dropped", "examples", "days_seen"):
        with pytest.raises(AttributeError):
            setattr(counter, name, 5)


def test_count_only_holds_from_then_on() -> None:
    today, tomorrow = (line(time=write_time(day)) + b"\n" for day in (DAYS[1], DAYS[2]))
    counter = HitCounter()
    counter.feed(today + tomorrow)
    counter.count_only([DAYS[2]])
    counter.feed(today + tomorrow)
    counter.count_only(frozenset())
    counter.feed(today + tomorrow)
    counter.count_only(None)
    counter.feed(today + tomorrow)
    assert views(counter) == {(DAYS[1], b"/a"): 2, (DAYS[2], b"/a"): 3}
    assert counter.filtered == {"day": 3}
    assert counter.days_seen == {DAYS[1], DAYS[2]}
    assert_balanced(counter)


def test_count_only_holds_for_the_day_of_the_line_before_too() -> None:
    counter = HitCounter()
    for days in (None, {DAYS[2]}, {DAY}, {DAYS[2]}, None):
        counter.count_only(days)
        counter.feed(INTACT + b"\n")
    assert (counter.hits, counter.filtered) == (3, {"day": 2})


def test_count_only_judges_a_line_when_it_is_complete() -> None:
    counter = HitCounter()
    counter.feed(INTACT[:-5])
    counter.count_only({DAY + timedelta(days=1)})
    counter.feed(INTACT[-5:] + b"\n")
    assert counter.filtered == {"day": 1}
    assert len(counter) == 0


def test_count_only_takes_any_collection_and_keeps_no_tie_to_it() -> None:
    days = [DAY, DAY]
    counter = HitCounter()
    counter.count_only(days)
    days.clear()
    counter.feed(INTACT + b"\n")
    assert counter.hits == 1
    counter.count_only({DAY: "a key"})
    counter.feed(INTACT + b"\n")
    assert counter.hits == 2


def test_count_only_tells_many_days_apart() -> None:
    every_day = [date(1999, 12, 1) + timedelta(days=number) for number in range(800)]
    data = b"\n".join(line(time=write_time(day)) for day in every_day)
    counter = fed(data, days=set(every_day[::3]))
    assert counter.days_seen == set(every_day)
    assert views(counter) == {(day, b"/a"): 1 for day in every_day[::3]}
    assert counter.filtered == {"day": 800 - len(every_day[::3])}


def test_every_day_of_four_centuries_is_told_from_those_that_are_not() -> None:
    for year in range(1900, 2301, 4):
        texts = {(d, m): write_time(date(year, m, 1))[2:] for m in range(1, 13) for d in range(34)}
        data = b"\n".join(line(time=b"%02d%b" % (d, rest)) for (d, _), rest in texts.items())
        first = date(year, 1, 1)
        length = (date(year + 1, 1, 1) - first).days
        counter = fed(data)
        assert counter.days_seen == {first + timedelta(days=number) for number in range(length)}
        assert counter.malformed == 34 * 12 - length


def test_days_far_off_are_days() -> None:
    first, last = b"01/Jan/0001:00:00:00 +0000", b"31/Dec/9999:23:59:59 +0000"
    counter = fed(b"\n".join([line(time=first), line(time=last)]))
    assert list(counter.rows()) == [(date.min, b"/a", 1), (date.max, b"/a", 1)]
    assert counter.days_seen == {date.min, date.max}


def test_max_paths_may_change_at_any_time() -> None:
    counter = HitCounter(max_paths=1)
    assert counter.max_paths == 1
    a, b, c = (line(b"GET /%b" % name) + b"\n" for name in (b"a", b"b", b"c"))
    counter.feed(a + b + a)
    assert (len(counter), counter.hits, counter.dropped) == (1, 3, 1)
    counter.max_paths = 2
    counter.feed(b + c)
    assert (len(counter), counter.hits, counter.dropped) == (2, 5, 2)
    counter.max_paths = 0
    counter.feed(a + b + c)
    assert views(counter) == {(DAY, b"/a"): 3, (DAY, b"/b"): 2}
    assert (counter.hits, counter.dropped) == (8, 3)
    counter.max_paths = None
    assert counter.max_paths is None
    counter.feed(c)
    assert len(counter) == 3
    assert_balanced(counter)


def test_max_paths_is_a_bound_on_rows_so_a_path_of_another_day_needs_room() -> None:
    counter = fed(line() + b"\n" + line(time=write_time(DAYS[2])), max_paths=1)
    assert views(counter) == {(DAY, b"/a"): 1}
    assert counter.dropped == 1


def test_drain_makes_room_under_max_paths() -> None:
    counter = HitCounter(max_paths=1)
    counter.feed(distinct_lines(2))
    assert list(counter.drain().rows()) == [(DAY, b"/0", 1)]
    counter.feed(distinct_lines(2, start=1))
    assert list(counter.rows()) == [(DAY, b"/1", 1)]
    assert (counter.hits, counter.dropped) == (4, 2)


def test_memory_is_that_of_the_rows_and_goes_with_them() -> None:
    counter = HitCounter()
    assert counter.memory == 0
    counter.add(DAY, b"/" * 8, 1)
    counter.add(DAY, b"/" * 8, 1)
    assert counter.memory == 24 + 8
    counter.add(DAY, b"/" * 1001, 1)
    assert counter.memory == 24 + 8 + 24 + 1008
    drained = counter.drain()
    assert (counter.memory, drained.memory) == (0, 1064)


def test_max_paths_bounds_add_and_merge_too() -> None:
    counter = HitCounter(max_paths=2)
    counter.add(DAY, b"/a", 5)
    other = HitCounter()
    for name, count in ((b"/b", 2), (b"/c", 3), (b"/a", 4)):
        other.add(DAY, name, count)
    counter.merge(other)
    assert views(counter) == {(DAY, b"/a"): 9, (DAY, b"/b"): 2}
    assert (counter.dropped, len(counter)) == (3, 2)
    counter.add(DAY, b"/d", 7)
    counter.add(DAY, b"/b", 1)
    assert (counter.dropped, len(counter)) == (10, 2)


def test_merge_adds_what_the_other_dropped() -> None:
    counter, other = fed(INTACT), fed(distinct_lines(3), max_paths=1)
    counter.merge(other)
    assert (counter.hits, counter.dropped, len(counter)) == (4, 2, 2)
    assert_balanced(counter)


def test_add_changes_rows_and_no_bucket() -> None:
    counter = HitCounter()
    counter.add(DAY, b"/a", 3)
    counter.add(DAY, b"/a", 4)
    counter.add(DAYS[2], b"/a", 1)
    counter.feed(line() + b"\n")
    assert list(counter.rows()) == [(DAY, b"/a", 8), (DAYS[2], b"/a", 1)]
    assert (counter.lines, counter.hits, counter.filtered) == (1, 1, {})
    assert_every_line_in_a_bucket(counter)
    assert counter.days_seen == {DAY}


@pytest.mark.parametrize("path", [b"", b"/", b"/a?b", b"\0", b"/a\0b", b"\n", b"\xff" * 70_000], ids=range(7))
def test_add_takes_any_path(path: bytes) -> None:
    counter = HitCounter()
    counter.add(DAY, path, 1)
    counter.add(DAY, path + b"x", 1)
    counter.add(DAY, path, 1)
    assert list(counter.rows()) == [(DAY, path, 2), (DAY, path + b"x", 1)]


def test_paths_that_differ_behind_a_nul_are_two() -> None:
    counter = fed(line(b"GET /a\0b") + b"\n" + line(b"GET /a\0c") + b"\n" + line(b"GET /a\0") + b"\n" + line(b"GET /a"))
    assert [path for _, path, _ in counter.rows()] == [b"/a\0b", b"/a\0c", b"/a\0", b"/a"]


def test_counts_pass_four_billion() -> None:
    counter = HitCounter()
    counter.add(DAY, b"/a", 2**32 - 1)
    counter.feed(line() + b"\n" + line() + b"\n")
    assert list(counter.rows()) == [(DAY, b"/a", 2**32 + 1)]
    counter.add(DAY, b"/a", 2**40)
    other = fed(line() + b"\n")
    other.add(DAY, b"/a", 2**40)
    other.merge(counter)
    assert list(other.drain().rows()) == [(DAY, b"/a", 2 * 2**40 + 2**32 + 2)]
    assert (other.lines, other.hits) == (3, 3)


def test_drain_takes_the_rows_and_leaves_the_rest() -> None:
    counter = HitCounter()
    counter.feed(distinct_lines(3) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT[:60])
    buckets = state(counter)[2]
    drained = counter.drain()
    assert list(drained.rows()) == [(DAY, b"/%d" % number, 1) for number in range(3)]
    assert (drained.lines, drained.hits, drained.filtered, drained.malformed) == (0, 0, {}, 0)
    assert len(counter) == 0
    assert list(counter.rows()) == []
    assert state(counter)[2] == buckets
    assert counter.examples == [(4, b"bad")]
    counter.feed(INTACT[60:] + b"\n" + distinct_lines(1))
    assert list(counter.rows()) == [(DAY, b"/intact", 1), (DAY, b"/0", 1)]
    assert (counter.lines, counter.hits) == (7, 5)
    assert len(drained) == 3


def test_drain_of_an_empty_counter_is_empty() -> None:
    counter = HitCounter()
    assert state(counter.drain()) == state(counter) == state(HitCounter())


def test_a_drained_counter_counts_on_by_itself() -> None:
    counter = fed(distinct_lines(1))
    drained = counter.drain()
    drained.feed(distinct_lines(2))
    drained.add(DAY, b"/0", 5)
    assert views(drained) == {(DAY, b"/0"): 7, (DAY, b"/1"): 1}
    assert len(counter) == 0


def test_rows_come_in_the_order_in_which_they_were_first_seen() -> None:
    names = [b"/%d" % (number * 7919 % 5000) for number in range(5000)]
    counter = fed(b"\n".join(line(b"GET " + name) for name in names + names[::-1]))
    assert list(counter.rows()) == [(DAY, name, 2) for name in names]


def test_merge_keeps_own_rows_first_and_appends_those_of_the_other_in_their_order() -> None:
    counter, other = fed(distinct_lines(3)), fed(distinct_lines(2, start=8) + distinct_lines(3, start=1))
    counter.merge(other)
    assert [(path, count) for _, path, count in counter.rows()] == [
        *((b"/0", 1), (b"/1", 2), (b"/2", 2), (b"/8", 1), (b"/9", 1), (b"/3", 1)),
    ]


def test_merge_leaves_the_other_empty_but_for_its_partial_line_and_examples() -> None:
    counter, other = HitCounter(), HitCounter()
    counter.feed(INTACT[:40])
    other.feed(distinct_lines(2) + b"bad\n" + INTACT[:60])
    before = state(other)
    counter.merge(other)
    assert state(counter)[:3] == before[:3]
    assert counter.examples == []
    assert (other.lines, other.hits, other.malformed, len(other), other.memory) == (0, 0, 0, 0, 0)
    assert other.examples == [(3, b"bad")]
    other.feed(INTACT[60:] + b"\n")
    counter.feed(INTACT[40:] + b"\n")
    assert views(other) == {(DAY, b"/intact"): 1}
    assert views(counter)[DAY, b"/intact"] == 1


def test_rows_of_a_counter_that_was_merged_are_not_read_on() -> None:
    other = fed(distinct_lines(10))
    rows = other.rows()
    next(rows)
    HitCounter().merge(other)
    with pytest.raises(RuntimeError, match="taken"):
        next(rows)


def test_merge_with_itself_is_refused_and_changes_nothing() -> None:
    counter = fed(distinct_lines(1000) + b"bad\n" + line(b"HEAD /a") + b"\n" + INTACT)
    before = state(counter)
    with pytest.raises(ValueError, match="itself"):
        counter.merge(counter)
    assert state(counter) == before
    counter.merge(fed(INTACT))
    assert views(counter)[DAY, b"/intact"] == 2


def test_merge_of_an_empty_counter_changes_nothing() -> None:
    counter = fed(distinct_lines(3) + b"bad\n")
    before = state(counter)
    counter.merge(HitCounter())
    assert state(counter) == before


def test_merge_of_many_rows_loses_none() -> None:
    counter, other = fed(distinct_lines(60_000)), fed(distinct_lines(60_000, start=30_000))
    counter.merge(other)
    assert views(counter) == {(DAY, b"/%d" % n): 1 + (30_000 <= n < 60_000) for n in range(90_000)}
    assert counter.hits == counter.lines == 120_000


def test_table_grows_to_many_paths_and_finds_them_again() -> None:
    data = distinct_lines(200_000)
    counter = HitCounter()
    counter.feed(data)
    assert list(counter.rows()) == [(DAY, b"/%d" % number, 1) for number in range(200_000)]
    counter.feed(data)
    assert len(counter) == 200_000
    assert {count for _, _, count in counter.rows()} == {2}
    assert counter.hits == 400_000


def test_long_and_short_paths_share_a_table() -> None:
    names = [b"/" + b"x" * size for size in range(0, 20_000, 13)]
    counter = fed(b"\n".join(line(b"GET " + name) for name in names))
    assert [path for _, path, _ in counter.rows()] == names


@pytest.mark.parametrize("size", range(1, 50, 8))
def test_tables_filled_to_the_brim_lose_no_row(size: int) -> None:
    for first in range(0, 96, 8):
        counter = HitCounter()
        paths = [b"/" * first, *(b"%0*d" % (size + 4, number) for number in range(2500))]
        for path in paths:
            counter.add(DAY, path, 1)
        assert [path for _, path, _ in counter.rows()] == paths


def test_examples_are_the_first_three_and_cut() -> None:
    long = b"y" * (EXAMPLE_BYTES + 50)
    counter = fed(INTACT + b"\n" + long + b"\r\n\n" + INTACT + b"\nz\r\nlate\n")
    assert EXAMPLES == 3
    assert counter.examples == [(2, long[:EXAMPLE_BYTES]), (3, b""), (5, b"z")]
    assert counter.malformed == 4


@pytest.mark.parametrize("size", [EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
@pytest.mark.parametrize("cut", [0, 1, EXAMPLE_BYTES - 1, EXAMPLE_BYTES, EXAMPLE_BYTES + 1])
def test_example_of_a_line_in_two_blocks_is_its_head(size: int, cut: int) -> None:
    text = bytes(65 + number % 26 for number in range(size))
    assert fed(text[:cut], text[cut:] + b"\n").examples == [(1, text[:EXAMPLE_BYTES])]


def long_line(size: int, head: bytes = INTACT[:-1]) -> bytes:
    """Return a line of *size* bytes, a user agent filled up to that."""
    return head + b"m" * (size - len(head) - 1) + b'"'


def ends_at(limit: int, after: bytes) -> bytes:
    """Return a line whose bytes field ends just where *limit* bytes do, *after* following."""
    end = b'] "GET /a HTTP/1.1" 200 5'
    return b"h" * (limit - len(b" [" + TIME + end)) + b" [" + TIME + end + after


LIMIT_LINES = {
    "one below": long_line(LINE_BYTES - 1),
    "exact": long_line(LINE_BYTES),
    "one above": long_line(LINE_BYTES + 1),
    "far above": long_line(LINE_BYTES + 70_000),
    "bytes end below the limit": ends_at(LINE_BYTES - 1, b""),
    "bytes end at the limit": ends_at(LINE_BYTES, b""),
    "digits go on beyond": ends_at(LINE_BYTES, b"77"),
    "junk beyond": ends_at(LINE_BYTES, b"junk"),
    "junk at the limit": ends_at(LINE_BYTES - 1, b"x"),
    "CR beyond": ends_at(LINE_BYTES, b"\r"),
    "CR at the limit": ends_at(LINE_BYTES - 1, b"\r"),
    "CR at the limit, more beyond": ends_at(LINE_BYTES - 1, b"\rx"),
    "CR at the limit, CR beyond": ends_at(LINE_BYTES - 1, b"\r\r"),
    "CR beyond, more beyond": ends_at(LINE_BYTES, b"\rx"),
    "bytes out of reach": ends_at(LINE_BYTES + 1, b""),
    "time out of reach": ends_at(LINE_BYTES + 60_000, b""),
    "no time": b"x" * (LINE_BYTES + 1),
    "quote out of reach": line(b"GET /" + b"p" * LINE_BYTES),
    "status out of reach": line(b"GET /" + b"p" * (LINE_BYTES - 55)),
}


@pytest.mark.parametrize("text", LIMIT_LINES.values(), ids=LIMIT_LINES)
def test_a_line_about_as_long_as_the_limit_is_judged_by_its_head(text: bytes) -> None:
    for end in ENDINGS.values():
        parsed = parse_line(text + end)
        assert (parsed and parsed._asdict()) == reference.parse(text + end)
        data = INTACT + b"\n" + text + end
        data += INTACT + b"\n" if end.endswith(b"\n") else b""
        expected = reference.count(data)
        whole = fed(data)
        assert agrees(whole, expected)
        start = len(INTACT) + 1
        near = [start + LINE_BYTES + offset for offset in (-2, -1, 0, 1, 2)]
        for cut in (1, start, start + 1, start + 70, *near, start + len(text), len(data) - 1):
            assert state(fed(data[:cut], data[cut:])) == state(whole)
        cuts = [0, start, *near, len(data)]
        assert state(fed(*(data[a:b] for a, b in pairwise(cuts)))) == state(whole)


def test_a_line_of_more_than_the_limit_with_an_intact_head_counts() -> None:
    counter = fed(long_line(LINE_BYTES + 12345) + b"\n" + INTACT)
    assert views(counter) == {(DAY, b"/intact"): 2}
    parsed = parse_line(long_line(LINE_BYTES + 12345))
    assert parsed == parse_line(INTACT)._replace(user_agent=None)


def test_a_long_line_in_small_blocks_is_the_same_line() -> None:
    data = long_line(LINE_BYTES + 500) + b"\n" + INTACT + b"\n"
    assert state(fed(*(data[at : at + 7] for at in range(0, len(data), 7)))) == state(fed(data))
    assert fed(data).hits == 2


def test_a_line_of_many_times_is_parsed_by_its_last() -> None:
    data = (b"[" + TIME + b'] "') * 30_000 + INTACT
    assert len(data) < LINE_BYTES
    assert views(fed(data)) == {(DAY, b"/intact"): 1}
    assert views(fed(b"[" * 900_000 + INTACT)) == {(DAY, b"/intact"): 1}
    assert views(fed(b"\\" * 900_000 + INTACT)) == {(DAY, b"/intact"): 1}
    assert views(fed(line(b"GET /" + b"\\" * 900_000))) == {(DAY, b"/" + b"\\" * 900_000): 1}
    assert fed(line(b"GET /" + b"\\" * 900_001)).malformed == 1


def test_no_subclasses() -> None:
    with pytest.raises(TypeError):
        type("Sub", (HitCounter,), {})


def test_rows_outlive_the_name_of_their_counter() -> None:
    rows = fed(distinct_lines(1000)).rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert [path for _, path, _ in rows] == [b"/%d" % number for number in range(1, 1000)]


CHANGES = {
    "feed": lambda counter: counter.feed(distinct_lines(50_000)),
    "add": lambda counter: [counter.add(DAY, b"/new" * number, 1) for number in range(1, 1000)],
    "merge": lambda counter: counter.merge(fed(distinct_lines(50_000))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rows_go_on_while_the_table_grows(change: Callable[[HitCounter], object]) -> None:
    counter = fed(distinct_lines(1000))
    rows = counter.rows()
    seen = [next(rows)]
    change(counter)
    seen += rows
    assert [path for _, path, _ in seen[:1000]] == [b"/%d" % number for number in range(1000)]
    assert seen[1:] == list(counter.rows())[1:]


def test_rows_that_were_drained_end_with_an_error() -> None:
    counter = fed(distinct_lines(3))
    rows = counter.rows()
    assert next(rows) == (DAY, b"/0", 1)
    drained = counter.drain()
    with pytest.raises(RuntimeError):
        next(rows)
    assert len(list(drained.rows())) == 3


def in_threads(*functions: Callable[[], object]) -> None:
    """Run functions in threads at once and raise the first of their exceptions."""
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """Let Python threads take turns after *seconds*, or, with many, only where the running one gives the GIL away."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_two_threads_may_feed_one_counter() -> None:
    counter = HitCounter()
    blocks = [distinct_lines(2000, start=500 * number) for number in range(20)]

    def feed_all() -> None:
        for block in blocks:
            counter.feed(block)

    def look_on() -> None:
        for _ in range(200):
            assert 0 <= counter.lines <= 80_000
            assert len(counter) <= 11_500
            assert counter.filtered == {}
            assert counter.days_seen <= {DAY}

    with switch_interval(1e-5):
        in_threads(feed_all, feed_all, look_on)
    expected = Counter(path for block in blocks * 2 for _, path in reference.hits(block))
    assert views(counter) == {(DAY, path): count for path, count in expected.items()}
    assert counter.lines == counter.hits == 80_000


def test_threads_may_drain_and_merge_a_counter_that_is_fed() -> None:
    counter, total = HitCounter(), HitCounter()
    blocks = [distinct_lines(2000, start=500 * number) for number in range(20)]

    def feed_all() -> None:
        for block in blocks:
            counter.feed(block)

    def drain_often() -> None:
        for _ in range(100):
            total.merge(counter.drain())

    with switch_interval(1e-5):
        in_threads(feed_all, feed_all, drain_often, drain_often)
    total.merge(counter.drain())
    assert sum(views(total).values()) == counter.hits == 80_000
    assert len(total) == 11_500


def feed_two_counters_while_a_third_thread_looks_on() -> bool:
    """Return whether both were within `feed` at a moment in which this thread ran."""
    block = INTACT + b"\n"
    block *= 400_000
    started: list[int] = []
    finished: list[int] = []
    counters = HitCounter(), HitCounter()

    def feed(number: int) -> None:
        started.append(number)
        counters[number].feed(block)
        finished.append(number)

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(2)]
    with switch_interval(1000.0):
        for thread in threads:
            thread.start()
        both_within = sorted(started) == [0, 1] and not finished
        for thread in threads:
            thread.join()
    assert [counter.hits for counter in counters] == [400_000, 400_000]
    return both_within


def test_feed_works_without_the_gil() -> None:
    assert any(feed_two_counters_while_a_third_thread_looks_on() for _ in range(10))


def merge_two_counters_into_each_other() -> None:
    block = distinct_lines(300) * 20
    for _ in range(40):
        first, second = HitCounter(), HitCounter()
        with switch_interval(1e-6):
            in_threads(
                *(lambda counter=counter: [counter.feed(block) for _ in range(4)] for counter in (first, second)),
                lambda a=first, b=second: [a.merge(b) for _ in range(4)],
                lambda a=first, b=second: [b.merge(a) for _ in range(4)],
            )
        assert first.hits + second.hits == 2 * 4 * 6000
        for counter in (first, second):
            assert_balanced(counter)


def test_counters_that_merge_into_each_other_do_not_wait_for_ever(run_alone: Callable[..., object]) -> None:
    run_alone(merge_two_counters_into_each_other)


def read_an_endless_line() -> None:
    block = b"x" * 65_536
    counter = fed(block, b"\n")
    before = status_of_process("VmHWM")
    for _ in range(1600):
        counter.feed(block)
    assert counter.lines == 1
    growth = status_of_process("VmHWM") - before
    assert growth < 16 * MIB, f"{growth:,} bytes for one line"
    counter.feed(b"\n" + INTACT)
    counter.finish()
    assert (counter.lines, counter.malformed, counter.hits) == (3, 2, 1)
    assert counter.examples[1] == (2, b"x" * EXAMPLE_BYTES)


@pytest.mark.measures_memory
def test_a_line_of_a_hundred_megabytes_is_one_malformed_line_in_little_memory(run_alone: Callable[..., object]) -> None:
    run_alone(read_an_endless_line)


def use_and_drop(data: bytes) -> int:
    """Use a counter in every way that takes memory and return how large the process was then."""
    counter = HitCounter()
    counter.feed(data)
    counter.feed(INTACT * 1000)
    drained = counter.drain()
    rows = drained.rows()
    assert next(rows) == (DAY, b"/0", 1)
    assert len(drained) == 300_000
    counter.merge(fed(INTACT))
    with pytest.raises(TypeError):
        counter.feed(None)
    return status_of_process("VmRSS")


def drop_large_counters() -> None:
    data = distinct_lines(300_000)
    before = status_of_process("VmRSS")
    one = use_and_drop(data) - before
    assert one > 300_000 * 10
    for _ in range(2):
        use_and_drop(data)
    settled = status_of_process("VmRSS")
    for _ in range(20):
        use_and_drop(data)
    growth = status_of_process("VmRSS") - settled
    assert growth < one, f"{growth:,} bytes are left of twenty counters of {one:,}"


def drop_many_counters() -> None:
    block = b"x" * (LINE_BYTES - 1)

    def use_and_drop_some() -> None:
        for _ in range(50):
            counter = fed(INTACT, days={DAY})
            counter.count_only({DAY})
            counter.feed(block)
            assert counter.drain().lines == 0
            with pytest.raises(ValueError, match="itself"):
                counter.merge(counter)

    use_and_drop_some()
    settled = status_of_process("VmSize")
    for _ in range(10):
        use_and_drop_some()
    growth = status_of_process("VmSize") - settled
    assert growth < 50 * MIB, f"{growth:,} bytes are left of 500 counters"


@pytest.mark.measures_memory
@pytest.mark.parametrize("drop", [drop_large_counters, drop_many_counters])
def test_memory_comes_back_when_counters_go(run_alone: Callable[..., object], drop: Callable[[], None]) -> None:
    run_alone(drop)


@contextmanager
def memory_limit(headroom: int) -> Iterator[None]:
    """Let this process grow by no more than *headroom* bytes meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (status_of_process("VmSize") + headroom, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def feed_until_memory_ends() -> None:
    other_lines = b"bad\n" + line(b"HEAD /a") + b"\n"
    data = b"".join(distinct_lines(1000, start=1000 * number) + other_lines for number in range(200))
    block_bytes = 65_500
    blocks = [memoryview(data)[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    counter = HitCounter()
    with memory_limit(6 * MIB):
        failed_at = None
        for number, block in enumerate(blocks):
            try:
                counter.feed(block)
            except MemoryError:
                failed_at = number
                break
    assert failed_at is not None
    lines_fed = data.split(b"\n")
    done = counter.lines
    assert sum(map(len, lines_fed[:done])) + done >= block_bytes * failed_at - len(lines_fed[done]) - 1
    assert_balanced(counter)
    assert agrees(counter, reference.count(b"\n".join(lines_fed[:done]) + b"\n"))
    assert done < 200 * 1002
    counter.feed(b"\n".join(lines_fed[done:]))
    counter.finish()
    assert agrees(counter, reference.count(data))


@pytest.mark.measures_memory
def test_feed_without_memory_loses_no_line_before(run_alone: Callable[..., object]) -> None:
    run_alone(feed_until_memory_ends)


def add_until_memory_ends() -> None:
    paths = [b"/%d/" % number + b"p" * (number % 500) for number in range(200_000)]
    counter, added = HitCounter(), 0
    with memory_limit(6 * MIB):
        try:
            for path in paths:
                counter.add(DAY, path, 2)
                added += 1
        except MemoryError:
            pass
    assert 0 < added < len(paths)
    assert list(counter.rows()) == [(DAY, path, 2) for path in paths[:added]]
    assert_every_line_in_a_bucket(counter)
    counter.add(DAY, paths[added], 2)
    assert list(counter.rows())[added:] == [(DAY, paths[added], 2)]


@pytest.mark.measures_memory
def test_add_without_memory_changes_nothing(run_alone: Callable[..., object]) -> None:
    run_alone(add_until_memory_ends)


def merge_until_memory_ends() -> None:
    counter, other = fed(distinct_lines(400_000)), HitCounter()  # whose index has room for all, but not their paths
    for number in range(200_000):
        other.add(DAY, b"/other/%d/" % number + b"p" * 500, 1)
    own, others = views(counter), views(other)
    failed = False
    with memory_limit(4 * MIB):
        try:
            counter.merge(other)
        except MemoryError:
            failed = True
    assert failed
    assert own.items() < views(counter).items() < {**own, **others}.items()
    assert list(other.rows()) == []
    counter.add(DAY, b"/0", 1)
    assert views(counter)[DAY, b"/0"] == 2


@pytest.mark.measures_memory
def test_merge_without_memory_leaves_both_usable(run_alone: Callable[..., object]) -> None:
    run_alone(merge_until_memory_ends)


def keep_a_partial_line_until_memory_ends() -> None:
    block = b"x" * (LINE_BYTES - 1)
    counters = [HitCounter() for _ in range(40)]
    failures = 0
    with memory_limit(4 * MIB):
        for counter in counters:
            try:
                counter.feed(block)
            except MemoryError:
                failures += 1
    assert failures > 0
    for counter in counters:
        counter.feed(b"\n" + INTACT + b"\n")
        assert_balanced(counter)
        assert views(counter) == {(DAY, b"/intact"): 1}


@pytest.mark.measures_memory
def test_a_partial_line_without_memory_does_no_harm(run_alone: Callable[..., object]) -> None:
    run_alone(keep_a_partial_line_until_memory_ends)


def read_data(name: str) -> bytes:
    """Return a log of real lines, or skip the test where it is not at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {name}")
    return path.read_bytes()


def test_real_log_counts_as_it_was_counted_by_hand() -> None:
    data = read_data("apache-combined-10k.log")
    counter = fed(data)
    assert (counter.lines, counter.hits, counter.filtered, counter.malformed) == (10_000, 9_952, {"method": 48}, 0)
    per_day: Counter[date] = Counter()
    for (day, _), count in views(counter).items():
        per_day[day] += count
    assert per_day == {date(2015, 5, 17 + n): count for n, count in enumerate((1_626, 2_881, 2_883, 2_562))}
    assert counter.days_seen == set(per_day)
    assert sum(count for _, path, count in counter.rows() if path == b"/favicon.ico") == 799
    assert agrees(counter, reference.count(data))
    assert state(fed(*(data[at : at + 4096] for at in range(0, len(data), 4096)))) == state(counter)
    parsed = [parse_line(text) for text in data.splitlines()]
    assert [found._asdict() for found in parsed] == [reference.parse(text) for text in data.splitlines()]


def test_real_log_of_one_day() -> None:
    counter = fed(read_data("apache-combined-10k.log"), days={date(2015, 5, 18)})
    assert (counter.hits, counter.filtered["day"]) == (2_881, 9_952 - 2_881)
    assert {day for day, _, _ in counter.rows()} == {date(2015, 5, 18)}
    assert counter.days_seen == {date(2015, 5, 17 + n) for n in range(4)}


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
    """Return the fields of a line that was logged for what was sent; *request* holds method, target and protocol."""
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
def test_ugly_line_parses_to_what_was_sent(number: int) -> None:
    text = read_data("apache-ugly.log").splitlines(keepends=True)[number - 1]
    assert parse_line(text) == ParsedLine(*UGLY[number - 1])


def test_ugly_lines_are_all_in_a_bucket() -> None:
    data = read_data("apache-ugly.log")
    counter = fed(data)
    no_get = b"PRI get FOOBAR HEAD POST CONNECT OPTIONS".split()
    by_method = [row for row in UGLY if row[2] in no_get or row[2].startswith((b"-", b"\\", b"{"))]
    by_target = [row for row in UGLY if row[2:4] in ((b"GET", None), (b"GET", b"a.html"))]
    assert (len(by_method), len(by_target)) == (13, 3)
    assert (counter.lines, counter.hits, counter.malformed) == (76, 60, 0)
    assert counter.filtered == {"method": 13, "target": 3}
    assert agrees(counter, reference.count(data))
    page = sum(row[2] == b"GET" and row[4] == b"/a.html" for row in UGLY)
    assert views(counter)[date(2026, 11, 23), b"/a.html"] == page > 20
    assert state(fed(*byte_by_byte(data))) == state(counter)


def test_doctest_of_the_stub_holds() -> None:
    parsed = parse_line(b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b HTTP/1.1" 200 512')
    found = parsed.method, parsed.target, parsed.path, parsed.status, parsed.referer
    assert found == (b"GET", b"/a?b", b"/a", b"200", None)
    assert parse_line(b"not a line of a log") is None
