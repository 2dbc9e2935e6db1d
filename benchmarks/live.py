"""`fasthits log` at work: some thousands of lines come each second, one by one. Counting them must cost little."""

import os
import shutil
import statistics
import subprocess
import time
from dataclasses import replace
from datetime import date
from io import BufferedRWPair
from itertools import count, islice
from pathlib import Path
from typing import IO, Any

from benchmarks.logs import Corpus
from benchmarks.server import Memcached, get
from benchmarks.tasks import ROOT, SEARCH, Figures, Task, environment
from benchmarks.truth import WrongTotals
from fasthits.live.keys import hit_key

TICK_SECONDS = 0.001
TICKS_A_PROBE = 10
PATIENCE_SECONDS = 10
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Pace(Task):
    """Write the log into the pipe of `fasthits log` at a steady pace, and now and then a probe, which has a new path.

    Each millisecond the benchmark asks memcached for the probe's counter, until it exists. Figures: ``cpu``, the share
    of one core that reader and courier take from the first line to the last; ``p50`` and ``p99``, the seconds from
    writing a probe to the reply with its counter.
    """

    def __init__(self, name: str, corpus: Corpus, lines_a_second: int) -> None:
        super().__init__(name, corpus, f"fasthits log, {lines_a_second:,} lines a second", "memcached")
        self._lines_a_tick = round(lines_a_second * TICK_SECONDS)
        self._memcached: Memcached | None = None
        self._logger: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        self._memcached = Memcached()

    def measure(self) -> Figures:
        assert self._memcached is not None
        env = environment(FASTHITS_MEMCACHED=self._memcached.address)
        with self._memcached.connect() as memcached, self.corpus.log.open("rb") as log:
            command = [shutil.which("fasthits", path=SEARCH) or "fasthits", "log"]
            self._logger = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, env=env, bufsize=0)
            assert self._logger.stdin is not None
            probes = Probes(self._logger.stdin, memcached, self.corpus.truth.day)
            probes.send()
            probes.wait()  # until it has started
            probes.latencies.clear()
            pids = [self._logger.pid, *children_of(self._logger.pid)]
            cpu_before, started = cpu_seconds(pids), time.perf_counter()
            for tick in count():
                lines = list(islice(log, self._lines_a_tick))
                for line in lines:  # as Apache does it
                    self._logger.stdin.write(line)
                if tick % TICKS_A_PROBE == 0:
                    probes.send()
                probes.look()
                time.sleep(max(0, started + (tick + 1) * TICK_SECONDS - time.perf_counter()))
                if not lines:
                    break
            share = (cpu_seconds(pids) - cpu_before) / (time.perf_counter() - started)
            probes.wait()
            self._logger.stdin.close()
            self._logger.wait(PATIENCE_SECONDS)
        self._keys = probes.keys
        percentiles = statistics.quantiles(probes.latencies, n=100, method="inclusive")
        return {"cpu": share, "p50": percentiles[49], "p99": percentiles[98]}

    def check(self) -> str:
        assert self._memcached is not None
        assert self._logger is not None
        self.demand("exit code", self._logger.returncode, 0)
        self.demand("probes", self._memcached.values(self._keys), dict.fromkeys(self._keys, 1))
        difference = self._memcached.difference(self.corpus.truth)
        return self.demand_right(replace(difference, invented=difference.invented - len(self._keys)))

    def close(self) -> None:
        if self._logger is not None:
            self._logger.kill()  # unless it has ended
            self._logger.wait()
            self._logger = None
        if self._memcached is not None:
            self._memcached.stop()
            self._memcached = None


class Probes:
    """Lines with new paths that are written into a logger's pipe and then looked up in memcached."""

    def __init__(self, pipe: IO[bytes], memcached: "BufferedRWPair[Any, Any]", day: date) -> None:
        self.keys: list[bytes] = []
        self.latencies: list[float] = []
        self._pipe, self._memcached, self._day = pipe, memcached, day
        self._waiting: dict[bytes, float] = {}

    def send(self) -> None:
        """Write another probe."""
        path = b"/probe/%d" % len(self.keys)
        key = hit_key(self._day, path).encode("ascii")
        self.keys.append(key)
        stamp = self._day.strftime("%d/%b/%Y:10:00:00 +0100").encode("ascii")
        self._pipe.write(b'192.0.2.1 - - [%b] "GET %b HTTP/1.1" 200 5 "-" "probe"\n' % (stamp, path))
        self._waiting[key] = time.perf_counter()

    def look(self) -> None:
        """Ask memcached once for the probes that have not arrived."""
        for key in get(self._memcached, list(self._waiting)) if self._waiting else ():
            self.latencies.append(time.perf_counter() - self._waiting.pop(key))

    def wait(self) -> None:
        """Ask until all probes have arrived; raise `WrongTotals` if a probe does not arrive."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._waiting:
            if time.monotonic() > deadline:
                raise WrongTotals(f"{len(self._waiting)} of {len(self.keys)} probes are not in memcached")
            self.look()
            time.sleep(TICK_SECONDS)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has forked."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have used until now."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime, stime: fields 14, 15 of proc(5); 3 is first
    return ticks / CLOCK_TICKS
