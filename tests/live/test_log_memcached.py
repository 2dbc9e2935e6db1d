"""The items of `fasthits log` in a real memcached: their keys, values and times to live."""

import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest
from pymemcache import serde
from pymemcache.client.base import Client

from fasthits.live.keys import hit_key
from fasthits.rules.rules import Rules
from tests.support import reference
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, run_fasthits
from tests.support.servers import Memcached, closed_port
from tests.support.through_django import read_through_django

StartLogger = Callable[..., Logger]
StartMemcached = Callable[..., Memcached]


def keyed(views: dict[str, int]) -> dict[str, int]:
    """Return *views* by path as views by key."""
    return {hit_key(DAY, path.encode()): count for path, count in views.items()}


# Keys and values


def test_hits_are_counted_per_day_and_path(memcached: Memcached, logger: Logger) -> None:
    logger.write(access_lines(["/", "/a.html", "/a.html", "/b/"]) + access_line("/a.html", date(2026, 3, 13)))
    expected = {":1:2026-03-12/": 1, ":1:2026-03-12/a.html": 2, ":1:2026-03-12/b/": 1, ":1:2026-03-13/a.html": 1}
    memcached.expect(expected)
    logger.write(access_lines(["/a.html"] * 10))
    memcached.expect(expected | {":1:2026-03-12/a.html": 12})
    assert logger.finish() == 0
    assert memcached.counters() == expected | {":1:2026-03-12/a.html": 12}
    assert logger.stderr == ""


def test_the_query_is_no_part_of_the_path_and_any_status_counts(memcached: Memcached) -> None:
    lines = access_line("/a", query="?x=1") + access_line("/a", query="?y?z") + access_line("/a", status=404)
    done = run_fasthits("log", "--memcached", memcached.spec, stdin=lines + access_line("/a", status=301))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert memcached.counters() == keyed({"/a": 4})


def test_lines_that_are_not_hits_leave_no_key(memcached: Memcached) -> None:
    lines = [access_line("/a", method=method) for method in ("POST", "HEAD", "get", "PUT", "OPTIONS")]
    lines += [access_line("*", method="OPTIONS"), access_line("a.html"), access_line("ftp://o.example/a")]
    lines += [b"\n", b"no line of a log\n"]
    lines += [b'127.0.0.1 - - [31/Feb/2026:10:00:00 +0100] "GET /never HTTP/1.1" 200 5 "-" "-"\n']
    lines += [b'127.0.0.1 - - [12/Mar/2026:10:00:00 +0100] "-" 408 0 "-" "-"\n']
    done = run_fasthits("log", "--memcached", memcached.spec, stdin=b"".join([*lines, access_line("/only")]))
    assert done.returncode == 0
    assert memcached.counters() == keyed({"/only": 1})


def test_a_value_has_djangos_flag_for_an_int(memcached: Memcached) -> None:
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=access_lines(["/a"] * 3)).returncode == 0
    first = memcached.item(":1:2026-03-12/a")
    assert first is not None
    assert (first.value, first.flags) == (b"3", 2)
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=access_lines(["/a"] * 8)).returncode == 0
    later = memcached.item(":1:2026-03-12/a")
    assert later is not None
    assert (later.value, later.flags) == (b"11", 2)
    client = Client(memcached.address, serde=serde.pickle_serde)
    try:
        assert client.get(":1:2026-03-12/a") == 11
    finally:
        client.close()


def test_a_counter_lives_longer_than_a_day_of_25_hours(memcached: Memcached) -> None:
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=access_line("/a")).returncode == 0
    item = memcached.item(hit_key(DAY, b"/a"))
    assert item is not None
    assert 26 * 3600 - 60 <= item.ttl <= 26 * 3600


def test_later_hits_do_not_renew_the_time_to_live(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--ttl", "1000")
    key = hit_key(DAY, b"/a")
    logger.write(access_line("/a"))
    eventually(lambda: memcached.views(key) == 1)
    item = memcached.item(key)
    assert item is not None
    assert 900 <= item.ttl <= 1000
    assert memcached.ask(f"touch {key} 500".encode()) == b"TOUCHED\r\n"  # as after half of its time to live
    logger.write(access_line("/a"))
    eventually(lambda: memcached.views(key) == 2)
    item = memcached.item(key)
    assert item is not None
    assert 400 <= item.ttl <= 500


def test_an_expired_counter_begins_anew(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", memcached.spec, "--ttl", "1000")
    key = hit_key(DAY, b"/a")
    logger.write(access_lines(["/a"] * 5))
    eventually(lambda: memcached.views(key) == 5)
    assert memcached.ask(f"touch {key} -1".encode()) == b"TOUCHED\r\n"
    logger.write(access_lines(["/a"] * 2))
    eventually(lambda: memcached.views(key) == 2)
    item = memcached.item(key)
    assert item is not None
    assert (item.flags, item.ttl > 900) == (2, True)


def test_the_prefix_begins_every_key(memcached: Memcached) -> None:
    lines = access_lines(["/a", b"/caf\xc3\xa9"])
    assert run_fasthits("log", "--memcached", memcached.spec, "--prefix", "site:3:", stdin=lines).returncode == 0
    assert memcached.counters() == {"site:3:2026-03-12/a": 1, hit_key(DAY, b"/caf\xc3\xa9", "site:3:"): 1}


def test_long_and_odd_paths_have_hashed_keys_each_its_own(memcached: Memcached) -> None:
    longest = b"/" + b"a" * (250 - len(":1:2026-03-12/"))
    odd = [longest + b"a", longest + b"b", longest + b"aa", b"/caf\xc3\xa9", b"/caf\xe9", b"/a\tb", b"/a\x7f", b"/\0"]
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=access_lines([longest, *odd, *odd])).returncode == 0
    counters = memcached.counters()
    assert counters == {hit_key(DAY, longest): 1} | {hit_key(DAY, path): 2 for path in odd}
    assert counters.pop(f":1:2026-03-12{longest.decode()}") == 1
    assert len(counters) == len(odd)
    assert all(re.fullmatch(r":1:2026-03-12#[!-~]{1,236}", key) for key in counters)


def test_a_path_with_commands_of_memcached_is_only_a_path(memcached: Memcached, client: Client) -> None:
    client.set("innocent", b"1")
    hostile = [b"/a\rset\rinnocent\r0\r0\r1", b"/\0flush_all", b"/x\x0bdelete\x0binnocent"]
    lines = access_lines(hostile) + b"set innocent 0 0 1\r\n2\r\nflush_all\r\ndelete innocent\r\n"
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=lines).returncode == 0
    assert memcached.counters() == {"innocent": 1} | {hit_key(DAY, path): 1 for path in hostile}


# The pipe


def test_a_hit_on_an_idle_logger_is_readable_while_the_pipe_stays_open(memcached: Memcached, logger: Logger) -> None:
    key = hit_key(DAY, b"/a")
    latencies = []
    for hit in range(1, 21):
        started = time.monotonic()
        logger.write(access_line("/a"))
        eventually(lambda hit=hit: memcached.views(key) == hit, 60)
        latencies.append(1000 * (time.monotonic() - started))
    steady = latencies[1:]  # the first hit waits for the start of Python
    print(f"ms to be read: median {statistics.median(steady):.1f}, slowest {max(steady):.1f}, first {latencies[0]:.0f}")
    assert logger.process.poll() is None


def test_the_last_line_counts_without_a_newline_when_the_pipe_ends(memcached: Memcached, logger: Logger) -> None:
    logger.write(access_lines(["/a", "/b"]).removesuffix(b"\n"))
    memcached.expect(keyed({"/a": 1}))
    assert logger.finish() == 0
    assert memcached.counters() == keyed({"/a": 1, "/b": 1})


def test_a_carriage_return_before_the_newline_is_dropped(memcached: Memcached) -> None:
    lines = access_lines(["/a", "/b"]) + b'- - - [12/Mar/2026:10:00:00 +0100] "GET /c" 200 5\n'
    lines = lines.replace(b"\n", b"\r\n")
    assert run_fasthits("log", "--memcached", memcached.spec, stdin=lines).returncode == 0
    assert memcached.counters() == keyed({"/a": 1, "/b": 1, "/c": 1})


def test_lines_count_when_they_come_one_byte_at_a_time(memcached: Memcached, logger: Logger) -> None:
    lines = access_lines(["/a", "/b"])
    logger.write_pieces(lines[at : at + 1] for at in range(len(lines)))
    memcached.expect(keyed({"/a": 1, "/b": 1}))
    assert logger.finish() == 0


def test_lines_count_wherever_a_write_ends(memcached: Memcached, logger: Logger) -> None:
    line = access_line("/a")
    cuts = range(1, len(line))
    for cut in cuts:
        logger.write_pieces([line + line[:cut], line[cut:] + line])
    memcached.expect(keyed({"/a": 3 * len(cuts)}))
    assert logger.finish() == 0


def test_a_full_pipe_is_counted_to_the_last_line(memcached: Memcached, logger: Logger) -> None:
    paths = [f"/{number % 7_000}" for number in range(100_000)]
    logger.write(access_lines(paths))
    assert logger.finish() == 0
    assert memcached.counters() == keyed(Counter(paths))


def test_no_input_at_all_counts_nothing(memcached: Memcached) -> None:
    done = run_fasthits("log", "--memcached", memcached.spec)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert memcached.counters() == {}


# Several loggers


def test_two_loggers_creating_the_same_counters_lose_and_double_nothing(
    memcached: Memcached, start_logger: StartLogger
) -> None:
    loggers = [start_logger("--memcached", memcached.spec) for _ in range(2)]
    for logger in loggers:
        logger.write(access_line("/both-are-up"))
    eventually(lambda: memcached.views(hit_key(DAY, b"/both-are-up")) == 2)
    expected = {"/both-are-up": 2}
    for round_number in range(60):
        paths = [f"/{round_number}/{number}" for number in range(40)]
        lines = access_lines(paths)
        for logger in loggers:
            logger.write(lines)
        expected |= dict.fromkeys(paths, 2)
        last_key = hit_key(DAY, paths[-1].encode())
        eventually(lambda key=last_key: memcached.views(key) == 2)
    assert [logger.finish() for logger in loggers] == [0, 0]
    assert memcached.counters() == keyed(expected)


# Memcached goes and comes


def test_hits_that_came_while_memcached_was_down_are_delivered(memcached: Memcached, start_logger: StartLogger) -> None:
    memcached.kill()
    logger = start_logger("--memcached", memcached.spec)
    logger.write_pieces([access_lines(["/a", "/b"]), access_lines(["/a"] * 40), access_lines(["/c"])])
    eventually(lambda: logger.stderr, what="the logger says that memcached is down")
    memcached.start(keep_port=True)
    memcached.expect(keyed({"/a": 41, "/b": 1, "/c": 1}), timeout=60)
    logger.write(access_lines(["/a", "/d"]))
    memcached.expect(keyed({"/a": 42, "/b": 1, "/c": 1, "/d": 1}))
    assert logger.finish() == 0
    assert memcached.counters() == keyed({"/a": 42, "/b": 1, "/c": 1, "/d": 1})


def test_hits_after_a_restart_of_an_idle_memcached_are_delivered(memcached: Memcached, logger: Logger) -> None:
    for _ in range(3):
        logger.write(access_lines(["/a", "/a", "/b"]))
        memcached.expect(keyed({"/a": 2, "/b": 1}), timeout=60)
        memcached.restart()
    logger.write(access_lines(["/a", "/c"]))
    memcached.expect(keyed({"/a": 1, "/c": 1}), timeout=60)
    assert logger.finish() == 0
    assert memcached.counters() == keyed({"/a": 1, "/c": 1})


def test_a_pause_of_memcached_delays_hits_and_counts_them_once(memcached: Memcached, logger: Logger) -> None:
    logger.write(access_line("/a"))
    memcached.expect(keyed({"/a": 1}))
    memcached.pause()
    try:
        logger.write_pieces(access_line("/a") for _ in range(50))
    finally:
        memcached.resume()
    memcached.expect(keyed({"/a": 51}), timeout=60)
    assert logger.finish() == 0
    assert memcached.counters() == keyed({"/a": 51})


def test_without_memcached_the_end_of_input_reports_undelivered_hits(start_logger: StartLogger) -> None:
    logger = start_logger("--memcached", f"127.0.0.1:{closed_port()}", "--drain-timeout", "1")
    logger.write(access_lines(["/a"] * 20 + ["/b"] * 17))
    logger.wait_until_read()
    started = time.monotonic()
    assert logger.finish() == 0
    took = time.monotonic() - started
    said = logger.stderr.splitlines()
    assert took < 20, f"{took:.1f} s with --drain-timeout 1"
    assert all(line.startswith("fasthits: ") for line in said), said
    assert len(said) <= 2, said  # the first line: there is no memcached; the last line: what became of the hits
    assert re.search(r"\b37\b", said[-1]), said
    assert logger.processes() == []


# Several servers


def test_several_servers_share_the_keys_as_django_looks_them_up(
    start_memcached: StartMemcached, start_logger: StartLogger
) -> None:
    servers = [start_memcached(), start_memcached(unix=True), start_memcached()]
    specs = [server.spec for server in servers]
    options = [word for spec in specs for word in ("--memcached", spec)]
    paths = [b"/%d" % number for number in range(300)] + [b"/long" + b"x" * 300, b"/caf\xc3\xa9"]
    logger = start_logger(*options)
    logger.write(access_lines([path for number, path in enumerate(paths) for _ in range(number % 5 + 1)]))
    assert logger.finish() == 0
    held = [server.counters() for server in servers]
    assert all(held)
    assert sum(map(len, held)) == len(paths)
    expected = {hit_key(DAY, path).removeprefix(":1:"): number % 5 + 1 for number, path in enumerate(paths)}
    assert read_through_django("PyMemcacheCache", specs, expected).get == expected
    asked = [f"/{number}" for number in range(300)]
    done = run_fasthits("today", *asked, "--date", DAY.isoformat(), env={"FASTHITS_MEMCACHED": ",".join(specs)})
    answer = "".join(f"{number % 5 + 1}\t{path}\n" for number, path in enumerate(asked))
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, answer, b"")


def test_the_servers_come_from_the_environment_when_no_option_names_them(start_memcached: StartMemcached) -> None:
    servers = [start_memcached(), start_memcached(unix=True)]
    lines = access_lines(f"/{number}" for number in range(100))
    done = run_fasthits("log", stdin=lines, env={"FASTHITS_MEMCACHED": ",".join(server.spec for server in servers)})
    assert (done.returncode, done.stderr) == (0, b"")
    held = [server.counters() for server in servers]
    assert all(held)
    assert held[0] | held[1] == keyed({f"/{number}": 1 for number in range(100)})


def test_one_server_that_is_down_does_not_keep_the_hits_from_the_others(
    start_memcached: StartMemcached, start_logger: StartLogger
) -> None:
    up, down = start_memcached(), start_memcached()
    logger = start_logger("--memcached", up.spec, "--memcached", down.spec)
    paths = [f"/{number}" for number in range(100)]
    logger.write(access_lines(paths))
    eventually(lambda: len(up.counters()) + len(down.counters()) == len(paths))
    of_up, of_down = up.counters(), down.counters()
    down.kill()
    logger.write(access_lines(paths))
    up.expect(dict.fromkeys(of_up, 2))
    down.start(keep_port=True)
    down.expect(dict.fromkeys(of_down, 1), timeout=60)
    assert logger.finish() == 0


# Hostile lines

SNIPPETS = [
    *(b" ", b"\n", b"\r", b"\r\n", b"\0", b"\t", b"\x1b[2J", b"\x7f", b"\xff", b"\xc3\xa9"),
    *(
        b'"',
        b'\\"',
        b"\\",
        b"]",
        b"[",
        b"?",
        b"#",
        b"%0d%0a",
        b"x" * 300,
        b"\x80" * 300,
        b"/" + b"y" * 236,
        b"/" + b"y" * 237,
    ),
    *(
        b"set x 0 0 1\r\n1\r\n",
        b"\nset y 0 0 1\ny\n",
        b"\r\nms z 1\r\n1\r\n",
        b"ma z N0 J9\r\n",
        b"mn\r\n",
        b"flush_all\r\n",
    ),
    *(b":1:2026-03-12/forged", b"GET /inner HTTP/1.1", b'[12/Mar/2026:10:00:00 +0100] "GET /second'),
]


def hostile_lines(seed: int, count: int) -> bytes:
    """Return lines that try to become something else than counters in memcached. A seed gives the same lines."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        path = b"/" + b"".join(chance.choice([*SNIPPETS, b"p%d" % (number % 97)]) for _ in range(chance.randrange(4)))
        line = bytearray(access_line(path.replace(b"\n", b"\r") if number % 2 else path))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(line))
            line[at : at + chance.choice([0, 0, 1, 20])] = chance.choice([*SNIPPETS, chance.randbytes(4)])
        lines.append(bytes(line))
    return b"".join(lines)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_lines_leave_no_foreign_key_and_no_wrong_count(memcached: Memcached, logger: Logger, seed: int) -> None:
    data = hostile_lines(seed, 1_500)
    expected: Counter[str] = Counter()
    for (day, path), views in reference.count(data, rules=Rules()).views.items():
        expected[hit_key(day, path)] += views
    assert len(expected) > 250
    assert sum("#" in key for key in expected) > 50
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        size = chance.choice([1, 100, 4_096, 70_000])
        logger.write(data[at : at + size])
        at += size
    assert logger.finish() == 0
    assert memcached.counters() == expected
    assert b"STAT cmd_flush 0\r\n" in memcached.ask(b"stats", b"END\r\n")
