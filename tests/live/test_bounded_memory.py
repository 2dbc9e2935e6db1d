"""Many distinct paths while memcached is down: memory stays bounded, and dropped hits are counted and reported.

FASTHITS_PATHS=20000000 sends twenty million. The bound in docs/safety.md: 100 MB, and 600 bytes a path of --max-paths.
"""

import os
import re
import signal
from collections.abc import Callable

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, fasthits_command
from tests.support.servers import Memcached, closed_port

PATHS = int(os.environ.get("FASTHITS_PATHS", "1_000_000"))
MAX_PATHS = 100_000
LONG_PATHS = 3_000
LONG_BYTES = 100_000
CHUNK = 10_000


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has had, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def bound_kib(max_paths: int) -> int:
    """Return the most memory of a process by docs/safety.md, in KiB."""
    return (100_000_000 + 600 * max_paths) // 1024


def peaks_kib(logger: Logger) -> list[int]:
    """Return the most memory that the reader and its courier have had, in KiB."""
    return [peak_kib(pid) for pid in (logger.pid, *logger.children())]


def send_paths(logger: Logger, count: int) -> None:
    """Write a hit for each of so many paths, 60 bytes long."""
    lines = access_lines(f"/CHUNK{number:054d}" for number in range(CHUNK))
    for chunk in range(count // CHUNK):
        logger.write(lines.replace(b"CHUNK", b"%05d" % chunk))
    logger.wait_until_read(timeout=60)


def figures(logger: Logger) -> dict[str, int]:
    """Ask the logger for its figures."""
    said = logger.stderr.count("uptime")
    logger.signal(signal.SIGUSR1)
    eventually(lambda: logger.stderr.count("uptime") > said, what="a status line")
    last = [line for line in logger.stderr.splitlines() if "uptime" in line][-1]
    return {name: int(number) for name, number in re.findall(r"([a-z][a-z ]*) (\d+)", last)}


def test_no_more_than_max_paths_wait_and_the_others_are_counted_as_dropped(
    start_logger: Callable[..., Logger], start_memcached: Callable[..., Memcached]
) -> None:
    memcached = start_memcached("-m", "256")
    memcached.kill()
    logger = start_logger("--memcached", memcached.spec, "--max-paths", str(MAX_PATHS), command=fasthits_command("log"))
    send_paths(logger, PATHS)
    said = figures(logger)
    assert said["hits"] == PATHS
    assert said["pending"] == MAX_PATHS
    assert said["dropped"] == PATHS - MAX_PATHS
    assert f"{MAX_PATHS:,} paths wait for memcached, with no room for more: " in logger.stderr
    assert max(peaks_kib(logger)) < bound_kib(MAX_PATHS)
    memcached.start(keep_port=True)
    eventually(lambda: figures(logger)["pending"] == 0, timeout=60, what="all that waited to be delivered")
    said = figures(logger)
    assert said["delivered"] == MAX_PATHS
    assert said["in doubt"] == said["refused"] == 0
    assert sum(memcached.counters().values()) == MAX_PATHS
    print(f"peaks of reader and courier: {peaks_kib(logger)} KiB")
    assert max(peaks_kib(logger)) < bound_kib(MAX_PATHS)
    assert logger.finish() == 0


def test_fewer_long_paths_may_wait_so_that_memory_stays_bounded(
    start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    memcached.kill()
    max_paths = 200_000
    logger = start_logger("--memcached", memcached.spec, "--max-paths", str(max_paths), command=fasthits_command("log"))
    for number in range(LONG_PATHS):
        logger.write(access_line(f"/{number:0{LONG_BYTES - 1}d}"))
    logger.wait_until_read(timeout=60)
    said = figures(logger)
    assert said["hits"] == LONG_PATHS
    assert 1_000 < said["pending"] < 1_100
    memcached.start(keep_port=True)
    eventually(lambda: figures(logger)["pending"] == 0, timeout=60, what="all that waited to be delivered")
    print(f"peaks of reader and courier: {peaks_kib(logger)} KiB")
    assert max(peaks_kib(logger)) < bound_kib(max_paths)
    logger.write(access_lines(["/a"] * 5))
    memcached.expect(memcached.counters() | {hit_key(DAY, b"/a"): 5})
    assert logger.finish() == 0
    assert sum(memcached.counters().values()) == said["pending"] + 5


def test_at_the_end_of_input_undelivered_hits_are_reported_in_time(start_logger: Callable[..., Logger]) -> None:
    where = ("--memcached", f"127.0.0.1:{closed_port()}", "--max-paths", str(MAX_PATHS), "--drain-timeout", "0.5")
    logger = start_logger(*where)
    send_paths(logger, 2 * MAX_PATHS)
    assert logger.finish() == 0
    last = logger.stderr.splitlines()[-1]
    assert last.startswith(f"fasthits: ended before everything was delivered: {MAX_PATHS:,} hits waiting")
    assert "fasthits warm" in last
