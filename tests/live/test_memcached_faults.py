"""memcached hangs, is slow, dies, is full or holds a text in place of a counter: the logger still reads the pipe.

Lines come at 20,000 a second. The slowest write to the pipe is printed; with FASTHITS_TIMED=1 it must be under 50 ms.
"""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from fasthits.live.keys import hit_key
from fasthits.live.memcached import PIECE_BYTES
from tests.support.gateways import Twemproxy
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, fasthits_command, run_fasthits
from tests.support.proxy import Proxy
from tests.support.servers import Memcached, closed_port

LINES_A_SECOND = 20_000
HANG_SECONDS = 5
STALLS_SOON = "import fasthits.live.reader; fasthits.live.reader.STALL_SECONDS = 1.0"
"""So that the hang is long enough for several reports of it, of which one may be said."""
WARNS_ALWAYS = "import fasthits.live.supervisor; fasthits.live.supervisor.REPORT_SECONDS = 0.0"
TIMED = os.environ.get("FASTHITS_TIMED") == "1"
PATHS = [b"/page/%d" % number for number in range(700)]
LINES = [access_line(path) for path in PATHS]
MEMORY_KIB = 150_000


def send_for(logger: Logger, seconds: float) -> Counter[str]:
    """Write lines at the rate for some seconds, in pieces that fit into a pipe; return the views by key."""
    sent: Counter[int] = Counter()
    slowest = 0.0
    piece = LINES_A_SECOND // 1000
    begun = time.monotonic()
    for number in range(int(seconds * 1000)):
        time.sleep(max(0.0, begun + number / 1000 - time.monotonic()))
        chosen = [(number * piece + each) % len(PATHS) for each in range(piece)]
        lines = b"".join(LINES[each] for each in chosen)
        before = time.monotonic()
        logger.write(lines)
        slowest = max(slowest, time.monotonic() - before)
        sent.update(chosen)
    print(f"slowest write {slowest * 1000:.1f} ms of {sent.total():,} lines")
    assert not TIMED or slowest < 0.050
    return Counter({hit_key(DAY, PATHS[each]): views for each, views in sent.items()})


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has had, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def causes(logger: Logger) -> Counter[str]:
    """Return how often each message was printed, without its numbers."""
    return Counter(re.sub(r"[\d,]+", "N", line) for line in logger.stderr.splitlines())


def status(logger: Logger, name: str) -> int:
    """Return the last figure of that name that the logger has printed."""
    return int(re.findall(rf"{name} (\d+)[,\n]", logger.stderr)[-1])


def test_a_hang_stops_no_writer_and_everything_is_counted_once_afterwards(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    logger = start_logger("--memcached", memcached.spec, first=STALLS_SOON)
    sent = send_for(logger, 0.5)
    memcached.pause()
    try:
        sent += send_for(logger, HANG_SECONDS)
        logger.wait_until_read()
    finally:
        memcached.resume()
    sent += send_for(logger, 0.5)
    memcached.expect(sent, timeout=60)
    assert peak_kib(logger.pid) < MEMORY_KIB
    assert logger.finish() == 0
    assert memcached.counters() == sent
    said = causes(logger)
    # The first message if a batch was in flight; the second if the connection was idle or did not exist yet. Such a
    # connection has two seconds to prove itself, which is also a stall here, so then both may be said.
    stalls = ("memcached has not answered for N s: N hits waiting", "said nothing for N s): N hits waiting")
    assert said
    assert all(any(each in text for each in stalls) for text in said)
    assert max(said.values()) == 1


def test_a_slow_server_stops_no_writer_and_everything_is_counted_once(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    with Proxy(memcached, seed=1) as proxy:
        logger = start_logger("--memcached", proxy.spec, command=fasthits_command("log"))
        proxy.delay = 0.2
        sent = send_for(logger, 2)
        proxy.delay, proxy.pause, proxy.piece_bytes = 0.0, 0.001, 50
        sent += send_for(logger, 2)
        logger.wait_until_read()
        memcached.expect(sent, timeout=60)
        assert peak_kib(logger.pid) < MEMORY_KIB
        assert logger.finish() == 0
    assert memcached.counters() == sent
    assert logger.stderr == ""


def test_hits_that_come_while_it_is_down_are_counted_when_it_is_back(memcached: Memcached, logger: Logger) -> None:
    memcached.expect(send_for(logger, 0.5), timeout=60)
    memcached.kill()  # the logger is at rest, so no hit is in doubt; the counters are lost
    sent = send_for(logger, 2)
    logger.wait_until_read()
    memcached.start(keep_port=True)
    sent += send_for(logger, 0.5)
    memcached.expect(sent, timeout=60)
    assert logger.finish() == 0
    assert memcached.counters() == sent
    said = causes(logger)
    assert len(said) == 1
    assert max(said.values()) == 1
    assert "cannot reach memcached" in logger.stderr
    assert re.search(r"[\d,]+ hits waiting", logger.stderr)


def test_a_server_that_is_never_there_stops_no_writer(start_logger: Callable[..., Logger]) -> None:
    where = ("--memcached", f"127.0.0.1:{closed_port()}", "--drain-timeout", "0.2")
    logger = start_logger(*where, command=fasthits_command("log"))
    sent = send_for(logger, 2)
    logger.wait_until_read()
    assert peak_kib(logger.pid) < MEMORY_KIB
    assert logger.finish() == 0
    last = logger.stderr.splitlines()[-1]
    assert f"{sent.total():,} hits waiting" in last
    assert "fasthits warm" in last
    assert max(causes(logger).values()) == 1


@pytest.fixture
def full(start_memcached: Callable[..., Memcached]) -> Memcached:
    """A memcached that refuses new items, because its memory is full."""
    server = start_memcached("-M", "-m", "2")
    with server.connect() as connection:
        for size in range(1, 100, 8):  # each size of item that a counter could have
            answer = b"STORED"
            for number in range(100_000):
                connection.sendall(b"add other:%d:%d 0 0 %d\r\n%b\r\n" % (size, number, size, b"x" * size))
                answer = connection.recv(200)
                if b"SERVER_ERROR" in answer:
                    break
            assert b"SERVER_ERROR" in answer
    return server


def restart(memcached: Memcached) -> None:
    memcached.restart()


def flush(memcached: Memcached) -> None:
    assert memcached.ask(b"flush_all") == b"OK\r\n"


@pytest.mark.parametrize("lose", [restart, flush])
@pytest.mark.parametrize("ttl", [(), ("--ttl", "86399")], ids=["for a day", "shorter than a day"])
def test_counters_that_memcached_has_lost_are_reported_once(
    memcached: Memcached, start_logger: Callable[..., Logger], lose: Callable[[Memcached], None], ttl: tuple[str, ...]
) -> None:
    """Without a word the numbers would be too low for the rest of the day. Counters that may expire say nothing."""
    today = date.today()
    keys = [hit_key(today, path) for path in (b"/a", b"/b")]
    logger = start_logger("--memcached", memcached.spec, *ttl, patch=WARNS_ALWAYS)
    logger.write(access_lines(["/a", "/b"], today))
    memcached.expect(dict.fromkeys(keys, 1))
    logger.write(access_lines(["/a", "/b"], today))
    memcached.expect(dict.fromkeys(keys, 2))
    lose(memcached)
    for path, key in zip(("/a", "/b"), keys, strict=True):
        logger.write(access_lines([path], today))
        eventually(lambda key=key: memcached.views(key) == 1, what="the hit is counted")
    assert logger.finish() == 0
    hint = "was it restarted or full? fasthits warm repairs them"
    said = f"fasthits: memcached has lost counters of today, such as {keys[0]}: {memcached.spec} ({hint})\n"
    assert logger.stderr.count("has lost counters") == logger.stderr.count(said) == (0 if ttl else 1)


def test_hits_that_a_full_server_refuses_wait_until_there_is_room(
    full: Memcached, start_logger: Callable[..., Logger]
) -> None:
    logger = start_logger("--memcached", full.spec)
    sent = send_for(logger, 1)
    eventually(lambda: "no room for new counters" in logger.stderr, what="the logger to say so")
    with full.connect() as connection:
        connection.sendall(b"flush_all\r\n")
        assert connection.recv(100) == b"OK\r\n"
    full.expect(sent, timeout=60)
    assert logger.finish() == 0
    assert max(causes(logger).values()) == 1


def test_a_counter_that_holds_a_text_is_left_and_its_hits_are_reported(memcached: Memcached, logger: Logger) -> None:
    spoilt = hit_key(DAY, PATHS[3])
    client = memcached.client()
    client.set(spoilt, b"text", noreply=False)
    sent = send_for(logger, 1)
    others = {key: views for key, views in sent.items() if key != spoilt}
    eventually(lambda: client.get_many(list(others)) == {key: b"%d" % views for key, views in others.items()}, 60)
    logger.wait_until_read()
    eventually(lambda: asked(logger, "pending") == 0, what="nothing to be pending")
    assert client.get(spoilt) == b"text"
    client.close()
    assert status(logger, "refused") == sent[spoilt]
    assert f"memcached refuses to count: {spoilt} on " in logger.stderr
    assert logger.finish() == 0


def asked(logger: Logger, name: str) -> int:
    """Ask the logger for its figures, and return one."""
    said = logger.stderr.count("uptime")

    def answers() -> bool:
        logger.signal(signal.SIGUSR1)  # a logger that is still starting ignores the signal
        return logger.stderr.count("uptime") > said

    eventually(answers, what="a status line")
    return status(logger, name)


def test_hits_that_a_proxy_answers_with_an_error_are_in_doubt_and_never_sent_again(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    key = hit_key(DAY, b"/a")
    with Proxy(memcached, seed=1) as proxy:
        logger = start_logger("--memcached", proxy.spec)
        logger.write(access_lines(["/a"] * 10))
        memcached.expect({key: 10})
        proxy.instead = b"SERVER_ERROR Connection timed out"
        logger.write(access_lines(["/a"] * 300))
        eventually(lambda: asked(logger, "in doubt") == 300, what="the hits to be in doubt")
        proxy.heal()
        logger.write(access_lines(["/a"]))
        memcached.expect({key: 311})
        assert logger.finish() == 0
    assert memcached.counters() == {key: 311}
    said = (
        f"no clear answer whether hits were counted: {key} on {proxy.spec} (NOT_STORED, SERVER_ERROR Connection timed"
    )
    assert said in logger.stderr


def test_hits_that_twemproxy_answers_late_are_not_sent_again(
    memcached: Memcached, start_logger: Callable[..., Logger], place: Path
) -> None:
    with Twemproxy(place, memcached) as proxy:
        logger = start_logger("--memcached", proxy.spec)
        sent = Counter({hit_key(DAY, b"/0"): 1})
        logger.write(access_lines(["/0"]))
        memcached.expect(sent)
        for turn in range(3):
            memcached.pause()
            paths = [f"/{number}" for number in range(200)] * 2
            sent += Counter(hit_key(DAY, path.encode()) for path in paths)
            logger.write(access_lines(paths))
            eventually(lambda turn=turn: asked(logger, "in doubt") > turn, what="the proxy to answer")
            memcached.resume()
            eventually(lambda: asked(logger, "pending") == 0, what="the rest to be delivered")
        in_doubt, delivered = asked(logger, "in doubt"), asked(logger, "delivered")
        assert logger.finish() == 0
    held = Counter(memcached.counters())
    assert delivered + in_doubt == sent.total()
    assert delivered <= held.total() <= delivered + in_doubt
    assert not held - sent, "counted twice"


def test_twemproxy_answers_for_a_memcached_that_is_down_and_few_hits_are_risked(
    memcached: Memcached, start_logger: Callable[..., Logger], place: Path
) -> None:
    """Twemproxy itself answers the command version. So each attempt would leave a batch in doubt."""
    paths = [f"/{number}" for number in range(2000)]
    with Twemproxy(place, memcached) as proxy:
        memcached.kill()
        logger = start_logger("--memcached", proxy.spec)
        logger.write(access_lines(paths * 3))
        eventually(lambda: "the proxy cannot reach its memcached" in logger.stderr, what="the logger says so")
        eventually(lambda: asked(logger, "pending") == 6000, what="all lines are counted and wait")
        memcached.start(keep_port=True)
        memcached.expect({hit_key(DAY, path.encode()): 3 for path in paths})
        assert asked(logger, "in doubt") == 0
        assert logger.finish() == 0


def test_most_of_a_batch_is_not_risked_when_the_connection_is_lost(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    """Thousands of hits wait. Only the hits of the two pieces in flight are in doubt."""
    paths = [f"/{number:0100}" for number in range(1000)]
    with Proxy(memcached, seed=1) as proxy:
        proxy.refuse()
        logger = start_logger("--memcached", proxy.spec)
        logger.write(access_lines(paths))
        logger.wait_until_read()
        proxy.cut_after = len("VERSION 1.6.18\r\nNOT_FOUND\r\n") + 1
        proxy.accept()
        eventually(lambda: asked(logger, "pending") == 0, what="the rest to be delivered")
        in_doubt = asked(logger, "in doubt")
        assert logger.finish() == 0
    row = len(f"add {hit_key(DAY, paths[0].encode())} 2 93600 1\r\n0\r\nincr {hit_key(DAY, paths[0].encode())} 1\r\n")
    assert 0 < in_doubt <= 2 * (PIECE_BYTES // row + 1)
    assert 1000 - in_doubt <= sum(memcached.counters().values()) <= 1000


def test_an_unreachable_server_does_not_delay_the_others(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    """There are few hits at a time, so each retry for the unreachable server is due before them."""
    logger = start_logger(
        "--memcached", memcached.spec, "--memcached", f"127.0.0.1:{closed_port()}", "--drain-timeout", "0"
    )
    logger.write(access_lines(PATHS[:20]))
    eventually(memcached.counters, what="the first hits")
    for turn in range(1, 5):
        logger.write(access_lines(PATHS[20 * turn : 20 * turn + 20]))
        eventually(lambda turn=turn: asked(logger, "delivered") > 5 * turn, what=f"hits of turn {turn} to be delivered")
        assert asked(logger, "pending") > 5 * turn
        time.sleep(0.6)  # longer than the time between retries
    assert asked(logger, "delivered") + asked(logger, "pending") == 100
    assert sum(memcached.counters().values()) == asked(logger, "delivered")
    assert logger.finish() == 0


def test_hits_that_a_hung_server_may_have_at_the_end_are_reported_as_in_doubt(
    memcached: Memcached, start_logger: Callable[..., Logger]
) -> None:
    logger = start_logger("--memcached", memcached.spec, "--drain-timeout", "1.5")
    logger.write(access_lines(["/a"]))
    memcached.expect({hit_key(DAY, b"/a"): 1})
    memcached.pause()
    try:
        logger.write(access_lines(["/b"] * 3))
        logger.wait_until_read()
        assert logger.finish() == 0
    finally:
        memcached.resume()
    assert logger.stderr == "fasthits: ended: 3 hits in doubt in all\n"


def test_a_server_at_its_limit_of_connections_has_hits_wait(start_memcached: Callable[..., Memcached]) -> None:
    server = start_memcached("-c", "40")
    held = [server.connect() for _ in range(40)]
    try:
        done = run_fasthits("log", "--memcached", server.spec, "--drain-timeout", "0.3", stdin=access_lines(["/a"] * 4))
    finally:
        for connection in held:
            connection.close()
    assert done.returncode == 0
    assert b"in doubt" not in done.stderr


def test_an_invalid_server_name_is_an_error_of_one_line(start_logger: Callable[..., Logger]) -> None:
    logger = start_logger("--memcached", "foo..bar:11211", "--drain-timeout", "0.2")
    logger.write(access_lines(["/a"] * 4))
    assert logger.finish() == 0
    lines = logger.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["fasthits"] * 2
    assert "4 hits waiting" in lines[-1]
