"""Hypothesis strategies: lines of Apache, damaged lines, lines that try to mislead, logs, blocks of logs."""

from datetime import date, timedelta

from hypothesis import strategies as st

from tests.support.reference_lines import MONTHS

DAYS = [date(2026, 3, 11), date(2026, 3, 12), date(2026, 3, 13)]
ESCAPES = {b'"'[0]: b'\\"', b"\\"[0]: b"\\\\", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 13: b"\\r"}
ANCHOR = b'[12/Mar/2026:10:00:00 +0100] "'


def escape(raw: bytes) -> bytes:
    """Return *raw* as Apache logs it (ap_escape_logitem, server/util.c)."""
    return b"".join(ESCAPES.get(c) or (b"%c" % c if 0x20 <= c < 0x7F else b"\\x%02x" % c) for c in raw)


def write_time(day: date, clock: str = "10:00:00", zone: str = "+0100") -> bytes:
    """Return the text that Apache's %t writes between the brackets."""
    return f"{day.day:02}/{MONTHS[day.month - 1].decode()}/{day.year:04}:{clock} {zone}".encode()


def write_request(fields: dict[str, bytes | None]) -> bytes:
    """Return the request line, made of its three parts, as far as they exist."""
    return b" ".join(fields[part] for part in ("method", "target", "protocol") if fields[part] is not None)


def write_line(fields: dict[str, bytes | None]) -> bytes:
    """Return the line of a log that has these fields."""
    line = b'%b [%b] "%b" ' % (fields["host_part"], fields["time"], write_request(fields))
    line += b"%b %b" % (fields["status"], fields["bytes_sent"])
    for quoted in (fields["referer"], fields["user_agent"]):
        line += b"" if quoted is None else b' "%b"' % quoted
    return line


escaped = st.one_of(
    st.binary(max_size=12).map(escape),
    st.text(alphabet='a] ["\\\n\r\t-/é', max_size=12).map(lambda text: escape(text.encode())),
)
hosts = st.sampled_from([b"127.0.0.1", b"::1", b"host.example", b"example.org:443 10.0.0.1", b"2001:db8::7"])
users = st.one_of(
    st.sampled_from([b"-", b'""', b"bob", b'jo \\"hn] doe', b"[a", b"[12/Mar/2026:10:00:00 +0100]", b"]"]), escaped
)
clocks = st.times().map(lambda time: f"{time:%H:%M:%S}")
zones = st.sampled_from(["+0000", "-0700", "+0215", "+1400", "-0000"])
times = st.builds(write_time, st.one_of(st.sampled_from(DAYS), st.dates()), clocks, zones)
words = escaped.map(lambda word: word.replace(b" ", b"%20"))
methods = st.one_of(
    st.just(b"GET"), st.just(b"GET"), st.sampled_from([b"HEAD", b"POST", b"get", b"GE", b"GETX", b"-", b""]), words
)
targets = st.one_of(
    st.sampled_from([b"/", b"/a", b"/a", b"/a?", b"/a?b=c?d", b"//a", b"/caf\\xc3\\xa9", b'/a\\"b', b"/a\\\\", b""]),
    st.sampled_from([b"*", b"a.html", b"?x", b"http://o.example/a?b", b"https://o.example", b"http:/a", b"HTTP://o/"]),
    words.map(lambda word: b"/" + word),
    words,
    st.builds(
        lambda size, end: b"/" + b"p" * size + end,
        st.one_of(st.integers(56, 70), st.integers(118, 130)),
        st.sampled_from([b"", b"", b"?", b"?q", b"?a?b", b'\\"', b'?\\"', b"\\\\", b"\\\\?", b"\xff"]),
    ),
)
protocols = st.one_of(
    st.sampled_from([b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/2", b"FOO", b"b HTTP/1.1", b""]), escaped
)
statuses = st.integers(0, 999).map(lambda status: b"%03d" % status)
sizes = st.one_of(st.just(b"-"), st.integers(1, 26).map(lambda digits: b"1234567890"[:digits] + b"7" * (digits - 10)))
agents = st.one_of(escaped, st.just(b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/9"))

# Made once: Hypothesis would check strategies that are made for each line again and again.
optional_targets = st.one_of(targets, targets, targets, st.none())
optional_protocols = st.one_of(protocols, protocols, st.none())
optional_referers = st.one_of(escaped, st.just(b"-"), st.none())
optional_agents = st.one_of(agents, st.none())


@st.composite
def valid_fields(draw: st.DrawFn) -> dict[str, bytes | None]:
    """Draw the fields of a line that parses: common or combined, with or without a virtual host before them."""
    target = draw(optional_targets)
    referer = draw(optional_referers)
    return {
        "host_part": draw(hosts) + b" - " + draw(users),
        "time": draw(times),
        "method": draw(methods),
        "target": target,
        "path": None if target is None else target.split(b"?")[0],
        "protocol": None if target is None else draw(optional_protocols),
        "status": draw(statuses),
        "bytes_sent": draw(sizes),
        "referer": referer,
        "user_agent": None if referer is None else draw(optional_agents),
    }


valid_lines = valid_fields().map(write_line)
insertions = st.sampled_from(
    [b'"', b"\\", b'\\"', b'\\\\"', b"[", b"]", b" ", b"\0", b"\r", b"-", b"?", b"\xff", ANCHOR, b'" 200 5', b"\t"]
)


@st.composite
def mutated_lines(draw: st.DrawFn) -> bytes:
    """Draw a valid line, and then change, remove or add some bytes."""
    line = bytearray(draw(valid_lines))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(line)))
        match draw(st.sampled_from(["change", "cut", "tear", "insert", "repeat"])):
            case "change" if at < len(line):
                line[at] = draw(st.integers(0, 255))
            case "cut":
                del line[at : at + draw(st.integers(1, 40))]
            case "tear":
                del line[at:]
            case "repeat":
                line[at:at] = line[max(0, at - draw(st.integers(1, 60))) : at]
            case _:
                line[at:at] = draw(insertions)
    return bytes(line)


fragments = st.one_of(
    st.sampled_from(
        [
            *(b"127.0.0.1 - - ", ANCHOR, b'[31/Feb/2026:10:00:00 +0100] "', b'[12/Foo/2026:10:00:00 +0100] "', b"["),
            *(b'[01/Jan/0000:10:00:00 +0100] "', b'[12/Mar/2026:10:00:00 +0100] \\"', ANCHOR[:-1], ANCHOR[:-2], b"]"),
            *(b"GET /a HTTP/1.1", b"GET /b", b"GET http://o/", b"GET", b"HEAD /a HTTP/1.1", b"/", b"?", b" ", b"\t"),
            *(b'" 200 5', b'" 200 -', b'" 200 5x', b'" 20 5', b'" 2000 5', b'" 200', b'" 200 ', b"200 5", b"5", b"-"),
            *(b'"', b'\\"', b'\\\\"', b'\\\\\\"', b"\\", b' "-"', b' "-" "-"', b' "', b'""', b"\0", b"\r", b"\xff"),
        ]
    ),
    st.binary(max_size=4),
)
hostile_lines = st.one_of(
    st.lists(fragments, max_size=14).map(b"".join),
    st.builds(lambda *parts: b"".join(parts), valid_lines, valid_lines),
    st.builds(lambda line, size: line[:size], valid_lines, st.integers(0, 120)),
    st.builds(lambda head, line: head + ANCHOR + line, st.lists(fragments, max_size=4).map(b"".join), valid_lines),
)
lines = st.one_of(valid_lines, mutated_lines(), hostile_lines, st.binary(max_size=20))


@st.composite
def logs(draw: st.DrawFn, ended: bool = False) -> bytes:
    """Draw a log of a few lines. The last line may lack its newline, unless *ended*."""
    drawn = draw(st.lists(lines, max_size=8))
    drawn += draw(st.lists(st.sampled_from(drawn), max_size=4)) if drawn else []
    endings = [draw(st.sampled_from([b"\n", b"\n", b"\r\n"])) for _ in drawn]
    if drawn and not ended:
        endings[-1] = draw(st.sampled_from([b"\n", b"\r\n", b"\r", b""]))
    return b"".join(line + ending for line, ending in zip(drawn, endings, strict=True))


@st.composite
def blocks_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut *data* into blocks."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


day_sets = st.one_of(st.none(), st.sets(st.sampled_from([*DAYS, DAYS[0] - timedelta(days=1)]), max_size=3))
