"""How `fasthits serve` works for many readers at once: python -m benchmarks.web [--seconds 30].

200 event streams stay open, while 500 requests a second ask for numbers, each for another path. Meanwhile the hits of
a logger rise. No stream may have a gap of more than two seconds, and no answer may be wrong. All requests come from one
process on this machine, which takes a good part of a core.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.server import Memcached

STREAMS = 200
REQUESTS_A_SECOND = 500
CONNECTIONS = 50
PATHS = 5000
HITS_A_SECOND = 2000
TARGETS = ("/api/today?path=/page/{0}", "/api/today?path=/page/{0}", "/api/top?limit=20", "/badge.svg?path=/page/{0}")


def memory_of(pid: int) -> int:
    """Return a process's resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def cpu_of(pid: int) -> float:
    """Return the seconds of a core that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch(port: int, gaps: list[float], until: float) -> None:
    """Read one event stream, and note the seconds between its events."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    last = time.monotonic()
    while time.monotonic() < until:
        line = await asyncio.wait_for(reader.readline(), 30)
        if line.startswith(b"data: "):
            json.loads(line[6:])
            now = time.monotonic()
            gaps.append(now - last)
            last = now
    writer.close()


async def ask(port: int, number: int, times: list[float], until: float) -> None:
    """Send requests over one connection, at its share of the rate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    every = CONNECTIONS / REQUESTS_A_SECOND
    due = time.monotonic() + every * number / CONNECTIONS
    count = 0
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        count += 1
        target = TARGETS[count % len(TARGETS)].format((number * 7919 + count * 31) % PATHS)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        times.append(time.monotonic() - due)  # the wait for the previous answer counts, too
        due += every
    writer.close()


async def read_pages(logger: "asyncio.subprocess.Process", until: float) -> None:
    """Write log lines to the logger."""
    assert logger.stdin
    stamp = f"{date.today():%d/%b/%Y}:10:00:00 +0000"
    number = 0
    while time.monotonic() < until:
        for _ in range(HITS_A_SECOND // 20):
            number += 1
            logger.stdin.write(f'::1 - - [{stamp}] "GET /page/{number % PATHS} HTTP/1.1" 200 5\n'.encode())
        await logger.stdin.drain()
        await asyncio.sleep(0.05)


async def load(port: int, pid: int, server: str, seconds: float) -> None:
    """Run the load, and print the results."""
    command = [sys.executable, "-m", "fasthits", "log", "--memcached", server]
    logger = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    until = time.monotonic() + seconds
    gaps: list[list[float]] = [[] for _ in range(STREAMS)]
    times: list[float] = []
    memory = [memory_of(pid)]
    cpu = cpu_of(pid)

    async def look_at_memory() -> None:
        while time.monotonic() < until:
            await asyncio.sleep(seconds / 6)
            memory.append(memory_of(pid))

    await asyncio.gather(
        read_pages(logger, until),
        look_at_memory(),
        *(watch(port, each, until) for each in gaps),
        *(ask(port, number, times, until) for number in range(CONNECTIONS)),
    )
    cpu = cpu_of(pid) - cpu
    if logger.stdin:
        logger.stdin.close()
    await logger.wait()
    events, longest = sum(map(len, gaps)), max(map(max, gaps))
    times.sort()
    print(f"{STREAMS} streams: {events:,} events, fewest in one {min(map(len, gaps))}, longest gap {longest:.2f} s")
    print(
        f"{len(times) / seconds:,.0f} requests a second: median {statistics.median(times) * 1e3:.1f} ms, "
        f"99 % within {times[int(len(times) * 0.99)] * 1e3:.0f} ms, slowest {times[-1] * 1e3:.0f} ms"
    )
    print(f"memory of the server, from its start on: {', '.join(f'{size / 1024:.0f}' for size in memory)} MiB")
    print(f"it took {cpu / seconds:.2f} of a core")
    assert longest < 3, "a stream starved"


def main() -> None:
    """Run the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: 30)")
    seconds = parser.parse_args().seconds
    print(*(f"{name}: {value}" for name, value in describe_machine().items()), sep="\n", flush=True)
    memcached = Memcached(64)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fasthits", "serve", "--memcached", memcached.address, "--port", "0"]
        served = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
        try:
            assert served.stderr
            port = int(served.stderr.readline().rpartition(":")[2].partition("/")[0])
            asyncio.run(load(port, served.pid, memcached.address, seconds))
        finally:
            served.terminate()
            served.wait()
            memcached.stop()


if __name__ == "__main__":
    main()
