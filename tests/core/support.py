"""Functions that make lines, feed hit tables with them, and check hit tables."""

import resource
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from fasthits._parse import HitTable, ParsedLine
from tests.support import reference

DAY = date(2026, 3, 12)


TIME = b"12/Mar/2026:10:00:00 +0100"


FRONT = b"127.0.0.1 - - "


INTACT = b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET /intact HTTP/1.1" 200 5 "-" "-"'


MIB = 1 << 20


class Fields(NamedTuple):
    """The fields that the oracle reads in a line of combined, all as text."""

    host_part: bytes
    time: bytes
    method: bytes
    target: bytes | None
    path: bytes | None
    protocol: bytes | None
    status: bytes
    bytes_sent: bytes
    referer: bytes | None
    user_agent: bytes | None


def take_number(data: bytes, at: int) -> tuple[int, int]:
    """The oracle: return the varint that begins at *at*, and where it ends.

    Raises IndexError or ValueError for damage.
    """
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at += 1
        shift += 7
        if shift == 63:
            raise ValueError("too many bits")
    return value | data[at] << shift, at + 1


def as_parsed(fields: Fields | dict[str, bytes | None] | None) -> ParsedLine | None:
    """Return what `parse_line` must return for a line in which the oracle has read *fields*."""
    if fields is None:
        return None
    values = fields._asdict() if isinstance(fields, Fields) else fields
    size, target = values["bytes_sent"], values["target"]
    return ParsedLine(
        **values
        | {
            "day": reference.day_of(values["time"]),
            "query": target.partition(b"?")[2] if target and b"?" in target else None,
            "status": int(values["status"]),
            "bytes_sent": None if size == b"-" or len(size) > 18 else int(size),
            "vhost": None,
        }
    )


def line(
    request: bytes = b"GET /a HTTP/1.1",
    after: bytes = b'" 200 512 "-" "-"',
    *,
    front: bytes = FRONT,
    time: bytes = TIME,
) -> bytes:
    """Return a line with the given parts. *after* begins with the quote that ends the request."""
    return front + b"[" + time + b'] "' + request + after


ENDINGS = {"open": b"", "LF": b"\n", "CRLF": b"\r\n"}


def fed(*blocks: bytes, days: set[date] | None = None, max_paths: int | None = None) -> HitTable:
    """Return a hit table that has read *blocks* as one input."""
    hit_table = HitTable(max_paths=max_paths)
    hit_table.count_only(days)
    for block in blocks:
        hit_table.feed(block)
    hit_table.finish()
    return hit_table


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    """Yield *data* in blocks of one byte."""
    return (data[i : i + 1] for i in range(len(data)))


def with_ending(text: bytes, ending: str) -> bytes:
    """Return a line with its ending. If a line without a newline ends in a CR, return it with CRLF."""
    return text.removesuffix(b"\r") + b"\r\n" if ending == "CRLF" else text + ENDINGS[ending]


def views(hit_table: HitTable) -> dict[tuple[date, bytes], int]:
    """Return the rows of a hit table. Fail if a row comes twice."""
    rows = list(hit_table.rows())
    table = {(day, path): count for day, path, count in rows}
    assert len(table) == len(rows) == len(hit_table)
    return table


def state(hit_table: HitTable) -> tuple[object, ...]:
    """Return all figures of a hit table."""
    rows = list(hit_table.rows())
    buckets = hit_table.lines, hit_table.hits, hit_table.filtered, hit_table.malformed, hit_table.dropped
    return rows, len(hit_table), buckets, hit_table.examples, hit_table.days_seen


def agrees(hit_table: HitTable, expected: reference.Counts) -> bool:
    """Compare all figures of a hit table with those of the oracle. A failure shows both."""
    found = reference.Counts(
        Counter(views(hit_table)), hit_table.lines, hit_table.hits, Counter(hit_table.filtered), hit_table.malformed
    )
    assert found == expected
    assert hit_table.filtered == dict(expected.filtered)
    return True


def assert_every_line_in_a_bucket(hit_table: HitTable) -> None:
    """Fail unless the buckets add up to the lines."""
    assert hit_table.lines == hit_table.hits + sum(hit_table.filtered.values()) + hit_table.malformed


def assert_balanced(hit_table: HitTable) -> None:
    """Fail unless every line is in a bucket, and every hit in a row or dropped. Not for use after `add` and `drain`."""
    assert_every_line_in_a_bucket(hit_table)
    assert sum(views(hit_table).values()) == hit_table.hits - hit_table.dropped


def status_of_process(name: str) -> int:
    """Return a size from /proc/self/status in bytes. VmHWM is the peak since exec; getrusage's holds the parent's."""
    for entry in Path("/proc/self/status").read_text().splitlines():
        key, _, value = entry.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise KeyError(name)


def distinct_lines(count: int, start: int = 0) -> bytes:
    """Return a log in which every line is a hit on another path."""
    text = b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /%d HTTP/1.1" 200 5\n'
    return b"".join(text % number for number in range(start, start + count))


def referred(path: bytes, referer: bytes, agent: bytes = b"x") -> bytes:
    """Return a line of a hit with this *referer*."""
    return b'1 - - [12/Mar/2026:10:00:00 +0100] "GET %b HTTP/1.1" 200 5 "%b" "%b"\n' % (path, referer, agent)


def tables_of(hit_table: HitTable) -> list[HitTable]:
    """Return a hit table that keeps bots apart, and its side tables."""
    assert hit_table.bots is not None
    return [hit_table, hit_table.bots, *hit_table.by_referer.values()]


LONG_AFTER = b' "http://www.example.org/from/here.html" "Mozilla/5.0 (X11; Linux x86_64)"'


def long_line(size: int, head: bytes = INTACT[:-1]) -> bytes:
    """Return a line of *size* bytes. Its user agent is as long as needed."""
    return head + b"m" * (size - len(head) - 1) + b'"'


def in_threads(*functions: Callable[[], object]) -> None:
    """Run functions in threads at the same time, and raise the first of their exceptions."""
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
    """Let Python's threads take turns after *seconds*. With many seconds, a thread runs until it releases the GIL."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def memory_limit(headroom: int) -> Iterator[None]:
    """Let this process grow by no more than *headroom* bytes meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (status_of_process("VmSize") + headroom, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
