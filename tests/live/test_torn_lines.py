"""Torn, long and hostile lines: whole beginnings count, ends are dropped, memory does not grow, and memcached gets the
bytes of lines only as parts of keys.

Writes to a pipe are atomic up to 4,096 bytes. The system may split longer writes, and put lines of other processes in
between. So the tests tear lines in a first pipe, keep the bytes that come out, and give exactly these bytes to the
logger. Then the oracle knows what the logger must count.
"""

import fcntl
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from fasthits.live.keys import KEY_BYTES, hit_key
from fasthits.rules.rules import Rules
from tests.live.test_status_signal import read_status
from tests.support import reference
from tests.support.logger import DAY, Logger, access_line
from tests.support.processes import eventually, fasthits_command
from tests.support.servers import Memcached

StartLogger = Callable[..., Logger]

WRITERS = 6
MEGABYTE = 1 << 20
LIMIT_MEMORY_KB = 16 << 10
"""How much a reader may grow, whatever comes: its buffer, one line, and what the allocator takes besides."""


def expect_reference(memcached: Memcached, logger: Logger, data: bytes, rules: Rules | None = None) -> reference.Counts:
    """Fail unless logger and memcached agree with the oracle on *data*, which is everything written so far.

    A last line without a newline is ignored. Returns the count of the oracle.
    """
    counts = reference.count(data[: data.rindex(b"\n") + 1], rules=rules or Rules())
    logger.wait_until_read(30)
    eventually(lambda: read_status(logger).delivered == counts.hits, 60, lambda: f"{counts.hits} hits delivered")
    status = read_status(logger)
    filtered = counts.filtered.total()
    assert (status.lines, status.hits, status.filtered, status.malformed) == (
        *(counts.lines, counts.hits, filtered, counts.malformed),
    )
    assert memcached.counters() == keyed(counts)
    return counts


def keyed(counts: reference.Counts) -> dict[str, int]:
    """Return the counters that memcached should hold."""
    views: Counter[str] = Counter()
    for (day, path), count in counts.views.items():
        views[hit_key(day, path)] += count
    return dict(views)


def write_randomly(logger: Logger, data: bytes, seed: int) -> None:
    """Write *data* in pieces of random sizes."""
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        size = chance.choice([1, 7, 100, 1_000, 4_096, 70_000, 300_000])
        logger.write(data[at : at + size])
        at += size


@pytest.fixture
def running(memcached: Memcached, logger: Logger) -> Logger:
    """A logger that has counted one hit of /up."""
    logger.write(access_line("/up"))
    memcached.expect({hit_key(DAY, b"/up"): 1})
    return logger


UP = access_line("/up")


# Torn


def long_line(path: str, size: int, where: str) -> bytes:
    """Return a hit of *path* with *size* bytes, including its newline; *where* names the long field."""
    line = access_line(path)
    padding = b"x" * (size - len(line))
    place = {"path": b" HTTP/1.1", "user": b" - [", "agent": b'"\n'}[where]
    return padding.join(part for part in _cut(line, line.rindex(place)))


def _cut(line: bytes, at: int) -> tuple[bytes, bytes]:
    return line[:at], line[at:]


def _write_lines(write_end: int, lines: Sequence[bytes], start: Event) -> None:
    start.wait(30)
    for line in lines:
        while line:  # like Apache: write the whole line, and then the rest that was not written
            line = line[os.write(write_end, line) :]


def torn_together(writers: Iterable[Sequence[bytes]]) -> bytes:
    """Return the bytes from one pipe into which that many processes write their lines at the same time."""
    context = multiprocessing.get_context("fork")
    start = context.Event()
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, os.sysconf("SC_PAGE_SIZE"))  # the smallest pipe: it is always full
    processes = [context.Process(target=_write_lines, args=(write_end, lines, start)) for lines in writers]
    try:
        for process in processes:
            process.start()
        os.close(write_end)
        start.set()
        pieces = []
        while piece := os.read(read_end, 3_000):
            pieces.append(piece)
    finally:
        os.close(read_end)
        for process in processes:
            process.kill()
            process.join(30)
    return b"".join(pieces)


def test_lines_torn_by_many_processes_count_by_their_beginning(memcached: Memcached, running: Logger) -> None:
    chance = random.Random(7)
    sizes = [90, 300, 4_095, 4_096, 4_097, 5_000, 8_100, 20_000]
    lines = [
        [
            long_line(
                f"/{writer}/{number % 5}", max(120, chance.choice(sizes)), chance.choice(["path", "user", "agent"])
            )
            for number in range(150)
        ]
        for writer in range(WRITERS)
    ]
    sent = set(b"".join(map(b"".join, lines)).splitlines())
    for _ in range(5):  # on a busy machine, once, no process wrote before another had ended
        data = torn_together(lines)
        if are_torn := sum(line not in sent for line in data.splitlines()) > 100:
            break
    assert are_torn
    assert sorted(data) == sorted(b"".join(map(b"".join, lines)))
    running.write(data)
    expect_reference(memcached, running, UP + data)
    assert running.finish() == 0


def test_writers_of_the_loggers_own_pipe_never_lose_a_short_line(memcached: Memcached, running: Logger) -> None:
    """Lines of up to 4,096 bytes are never torn. At first the pipe is full, because the reader does not read."""
    lines = [
        [long_line(f"/{writer}/{number % 50}", 120 + number * 37 % 3_977, "agent") for number in range(400)]
        for writer in range(WRITERS)
    ]
    context = multiprocessing.get_context("fork")
    start = context.Event()
    write_end = os.open(f"/proc/{running.pid}/fd/0", os.O_WRONLY)
    running.signal(signal.SIGSTOP)
    processes = [context.Process(target=_write_lines, args=(write_end, own, start)) for own in lines]
    try:
        for process in processes:
            process.start()
        start.set()
        eventually(lambda: running.unread() > 1 << 15, 60, "the pipe fills")
        running.signal(signal.SIGCONT)
        for process in processes:
            process.join(30)
            assert process.exitcode == 0
    finally:
        os.close(write_end)
        for process in processes:
            process.kill()
            process.join(30)
    data = UP + b"".join(map(b"".join, lines))
    assert expect_reference(memcached, running, data).hits == 1 + WRITERS * 400
    assert running.finish() == 0


@pytest.mark.parametrize("where", ["path", "user", "agent"])
def test_a_torn_line_with_other_lines_inside_counts_by_its_beginning(
    memcached: Memcached, running: Logger, where: str
) -> None:
    """First the beginning of the line, then other lines, then its end: the newline of the first other line ends the
    beginning."""
    line = long_line("/torn", 140, where)
    between = access_line("/first") + access_line("/second")
    data = b"".join(line[:cut] + between + line[cut:] for cut in range(len(line) + 1))
    write_randomly(running, data, seed=3)
    counts = expect_reference(memcached, running, UP + data)
    cuts = len(line) + 1
    assert counts.views[DAY, b"/second"] == cuts
    assert counts.lines == 1 + 3 * cuts
    assert 1 + cuts < counts.hits < 1 + 3 * cuts, "a line that is glued to a whole one is not counted, nor is that one"
    assert running.finish() == 0


def test_a_last_line_without_a_newline_counts_if_its_needed_fields_are_whole(place: Path, memcached: Memcached) -> None:
    """The line ends at the pipe's end. If it ends before its bytes sent, it is malformed."""
    line = b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5 "-" "-"'
    cuts = [1, line.index(b"[") + 10, line.index(b'"') + 6, line.index(b"200") + 3, line.index(b"200") + 5, len(line)]
    expected: Counter[str] = Counter()
    for cut in cuts:
        with Logger(place, "--memcached", memcached.spec) as logger:
            logger.write(UP + line[:cut])
            assert logger.finish() == 0
        expected.update(keyed(reference.count(UP + line[:cut])))
        assert memcached.counters() == expected
    assert expected[hit_key(DAY, b"/a")] == 2


# Long


def test_lines_of_a_megabyte_count_by_their_beginning(memcached: Memcached, start_logger: StartLogger) -> None:
    """In one log format: the oracle takes seconds to try each format it knows on a malformed line as long as this."""
    a, b = access_line("/a"), access_line("/b")
    lines = [
        long_line("/agent", MEGABYTE, "agent"),
        long_line("/agent", 3 * MEGABYTE, "agent"),
        long_line("/user", MEGABYTE // 2, "user"),
        long_line("/user", 2 * MEGABYTE, "user"),
        long_line("/path", MEGABYTE // 2, "path"),
        long_line("/path", 2 * MEGABYTE, "path"),
        *(bytes(MEGABYTE - 100 + more) + a for more in range(0, 120, 10)),  # where reading of the line ends
        b"\xff" * MEGABYTE + b"\n",
        b"[" * MEGABYTE + b"\n",
        b'[12/Mar/2026:10:00:00 +0100] "' * 500 + b"-" * MEGABYTE + b"\n",
        b"\\" * MEGABYTE + b'" 200 5\n',
        a.replace(b"/a", b"/" + b"\\" * MEGABYTE),
    ]
    data = b"".join(line + b for line in lines)
    logger = start_logger("--memcached", memcached.spec, "--format", "combined")
    write_randomly(logger, data, seed=11)
    counts = expect_reference(memcached, logger, data, Rules(format="combined"))
    assert counts.views[DAY, b"/b"] == len(lines)
    assert counts.views[DAY, b"/agent"] == 2
    assert 0 < counts.views[DAY, b"/a"] < 12
    assert logger.finish() == 0


def test_binary_bytes_and_nuls_need_no_special_care(memcached: Memcached, running: Logger) -> None:
    chance = random.Random(13)
    lines = []
    for byte in range(256):
        odd = bytes([byte])
        lines += [access_line(b"/a" + odd + b"b"), odd + access_line("/head"), access_line("/tail") + odd]
    lines += [chance.randbytes(chance.randrange(600)) + access_line("/after") for _ in range(300)]
    data = b"".join(lines) + b"\n"
    write_randomly(running, data, seed=17)
    counts = expect_reference(memcached, running, UP + data)
    assert counts.views[DAY, b"/after"] > 250
    assert len(counts.views) > 200
    assert running.finish() == 0


def peak_memory_kb(pid: int) -> int:
    """Return the most memory that a process has had so far."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0])


@pytest.mark.measures_memory
@pytest.mark.parametrize("head", [b"", access_line("/long").removesuffix(b'"\n')], ids=["nothing", "hit"])
def test_a_line_of_200_megabytes_takes_no_more_memory_than_one_of_a_megabyte(
    memcached: Memcached, start_logger: StartLogger, head: bytes
) -> None:
    running = start_logger("--memcached", memcached.spec, command=fasthits_command("log"))
    running.write(UP)
    memcached.expect({hit_key(DAY, b"/up"): 1})
    before = peak_memory_kb(running.pid)
    running.write(head)
    piece = bytes(range(11, 256)) * (MEGABYTE // 245)
    for _ in range(200):
        running.write(piece)
    running.write(b"\n" + access_line("/next"))
    expected = {hit_key(DAY, path): 1 for path in [b"/up", b"/next", *([b"/long"] if head else [])]}
    memcached.expect(expected, timeout=60)
    grown = peak_memory_kb(running.pid) - before
    status = read_status(running)
    print(f"grown by {grown:,} KB from {before:,} KB")
    assert grown < LIMIT_MEMORY_KB
    assert (status.lines, status.hits) == (3, len(expected))
    assert running.finish() == 0


# Hostile

COMMANDS = [
    *(b"set evil 0 0 4\r\nevil\r\n", b"add evil 0 0 1\r\n1\r\n", b"append kept 0 0 1\r\n9\r\n", b"delete kept\r\n"),
    *(b"incr kept 5\r\n", b"touch kept 1\r\n", b"flush_all\r\n", b"cas kept 0 0 1 1\r\n7\r\n", b"verbosity 2\r\n"),
    *(b"ms evil S4\r\nevil\r\n", b"md kept\r\n", b"ma kept D5\r\n", b"mn\r\n", b"quit\r\n", b"shutdown\r\n"),
    *(b"\x80\x01\x00\x04\x08\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00", b"set evil 0 0 9999999\r\n"),
]
SEPARATORS = [b" ", b"\t", b"\v", b"\f", b"\r", b"\0", b"\x85", b"\xa0", b"\xe2\x80\xa8", b"%0d%0a", b"\\r\\n", b"\x7f"]
DAYS = [DAY, date(2026, 3, 13), date(1000, 1, 1), date(9999, 12, 31)]


def hostile_path(chance: random.Random, prefix: str) -> bytes:
    """Return a path that would do harm if memcached got it as anything but a part of a key."""
    kind = chance.randrange(6)
    if kind == 0:  # commands, each with another separator at its end
        words = b"".join(chance.choices(COMMANDS, k=chance.randrange(1, 4)))
        return b"/" + words.replace(b"\r\n", chance.choice(SEPARATORS)).replace(b" ", chance.choice(SEPARATORS))
    if kind == 1:  # about as long as the longest key
        room = KEY_BYTES - len(prefix) - len("2026-03-12")
        filling = chance.choice([b"y", b"%", b"~", b"!", b"\x80"])
        return (b"/" + filling * KEY_BYTES)[: room + chance.randrange(-2, 4)]
    if kind == 2:  # paths that look like another counter, or like the hashed key of a long path
        return b"/" + chance.choice([b"#" + b"0" * 64, b":1:2026-03-12/up", b"../#", b"*", b"{}", b"%s%n"])
    if kind == 3:
        return b"http://h" + chance.randbytes(chance.randrange(40)).translate(None, b'\n ?"\\')
    if kind == 4:
        return b"/" + chance.randbytes(chance.randrange(40))
    return b"/" + bytes(chance.choices(range(0x21, 0x7F), k=chance.randrange(300))).translate(None, b'?"\\')


def hostile_lines(seed: int, count: int, prefix: str) -> bytes:
    """Return lines of hostile paths. Some lines are torn by another line or by a memcached command."""
    chance = random.Random(seed)
    lines = []
    for _ in range(count):
        line = access_line(
            hostile_path(chance, prefix), chance.choice(DAYS), query=chance.choice(["", "", "?set+evil"])
        )
        torn = chance.randrange(8)
        at = chance.randrange(len(line))
        if torn == 0:
            line = line[:at] + chance.choice(COMMANDS) + line[at:]
        elif torn == 1:
            line = line[:at] + access_line(hostile_path(chance, prefix)) + line[at:]
        elif torn == 2:
            line = line[:at] + b"\n" * chance.randrange(3)
        lines.append(line)
        if chance.random() < 0.1:
            lines.append(chance.choice(COMMANDS))
    return b"".join(lines)


@pytest.mark.parametrize("prefix", [":1:", "", "p" * 175], ids=["usual", "none", "long"])
@pytest.mark.parametrize("seed", range(2))
def test_memcached_only_gets_keys_of_hits_and_no_other_command(
    memcached: Memcached, start_logger: StartLogger, prefix: str, seed: int
) -> None:
    data = hostile_lines(seed, 1_500, prefix)
    counts = reference.count(data, rules=Rules())
    views: Counter[str] = Counter()
    for (day, path), count in counts.views.items():
        views[hit_key(day, path, prefix)] += count
    assert len(views) > 600
    assert {len(key) for key in views} >= {KEY_BYTES - 1, KEY_BYTES}
    assert memcached.ask(b"set kept 0 0 4\r\n1234") == b"STORED\r\n"
    logger = start_logger("--memcached", memcached.spec, "--prefix", prefix)
    write_randomly(logger, data, seed)
    eventually(lambda: memcached.counters() == views | {"kept": 1234}, 60, lambda: "all hits delivered")
    assert logger.finish() == 0
    assert logger.stderr == ""
    assert memcached.counters() == views | {"kept": 1234}
    stats = dict(line.split()[1:3] for line in memcached.ask(b"stats", b"END\r\n").splitlines()[:-1])
    assert [stats[name] for name in (b"cmd_flush", b"cmd_touch", b"delete_hits", b"delete_misses")] == [b"0"] * 4
    assert int(stats[b"cmd_set"]) <= 1 + counts.hits
