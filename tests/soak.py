"""A soak test: loggers run for minutes under random faults, and at the end every hit must be accounted for.

    python -m tests.soak --minutes 20

Four loggers count into one memcached: directly, through a proxy that spoils replies, through HAProxy, and with TLS
through stunnel. At times a new logger replaces a logger that ends. A memcached that is killed loses its counters. So
before each kill writing stops, the loggers deliver their hits, and all counters are read. Connections may be lost at
any other time, because then memcached keeps its counters. So at the end, and for each path,

    delivered <= in memcached <= delivered + in doubt        sent = delivered + in doubt + refused + dropped

Figures that loggers have published may be lost, too, but they are never higher than the figures that loggers print.
"""

import argparse
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from fasthits.live.keys import hit_key
from tests.live.test_status_signal import STATUS_LINE, Status, wait_until_settled
from tests.support.certificates import Authority
from tests.support.gateways import Gateway, Haproxy, Stunnel
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, fasthits_command, outlives
from tests.support.proxy import Proxy
from tests.support.servers import Memcached, public_directory

PATHS = 3_000
FLOOD_PATHS = 30_000
MAX_PATHS = 20_000
TICK_SECONDS = 0.01
RATES = [0, 0, 20, 500, 3_000, 3_000, 12_000]
"""Lines a second, for each logger; each rate for a random time."""
PROGRESS_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
"""How long something may take that is done in a moment unless it is broken."""
SPOILT = "/spoilt"
PUBLISHED = ("lines", "hits", "filtered", "malformed", "delivered")
"""Figures that every run has; connections may be lost after a logger has said how many were."""
IGNORED = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1]


class Load(threading.Thread):
    """Writes to one logger until `stop`: hits and other lines, at changing rates, whole or torn into several writes.

    While a thread holds `lock`, no line is half written.
    """

    def __init__(self, logger: Logger, seed: int) -> None:
        super().__init__(daemon=True)
        self.logger = logger
        self.lock = threading.Lock()
        self.sent: Counter[str] = Counter()
        self.lines = 0
        self.slowest = 0.0
        self._random = random.Random(seed)
        self._ending = threading.Event()
        paths = [f"/{number}" for number in range(PATHS)]
        weights = [1 / (number + 10) for number in range(PATHS)]
        chosen = self._random.choices([*paths, SPOILT], [*weights, 0.02], k=20_000)
        self._lines: list[tuple[str | None, bytes]] = [(path, access_line(path)) for path in chosen]
        self._lines += [(None, access_line("/0", method="POST")), (None, b"no line of a log\n"), (None, b"\n")] * 100
        self._random.shuffle(self._lines)

    def run(self) -> None:
        rate, until = 0, 0.0
        while not self._ending.wait(TICK_SECONDS):
            if time.monotonic() >= until:
                rate = self._random.choice(RATES)
                until = time.monotonic() + self._random.uniform(0.1, 3.0)
            with self.lock:
                self._write_some(rate * TICK_SECONDS)

    def flood(self) -> None:
        """Write one hit of each of very many paths."""
        paths = [f"/flood/{number}" for number in range(FLOOD_PATHS)]
        with self.lock:
            self.sent.update(paths)
            self.lines += len(paths)
            self._write(access_lines(paths))

    def end(self) -> None:
        """Tell the load to end soon."""
        self._ending.set()

    def stop(self) -> None:
        """End the load, and return when the last line is written."""
        self.end()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), f"a write waits for the logger, which said {self.logger.stderr!r}"

    def _write_some(self, number: float) -> None:
        count = int(number) + (self._random.random() < number % 1)
        lines = [self._random.choice(self._lines) for _ in range(count)]
        self.sent.update(path for path, _ in lines if path)
        self.lines += count
        pieces = [line for _, line in lines] if count < 50 else [b"".join(line for _, line in lines)]
        for piece in pieces:
            if self._random.random() < 0.05:
                cut = self._random.randrange(len(piece))
                self._write(piece[:cut])
                self._ending.wait(self._random.choice([0, 0.002]))
                piece = piece[cut:]
            self._write(piece)

    def _write(self, data: bytes) -> None:
        before = time.perf_counter()
        self.logger.write(data)
        self.slowest = max(self.slowest, time.perf_counter() - before)


class Soak:
    """The loggers, their load, the faults, and all figures."""

    def __init__(self, directory: Path, servers: ExitStack, seed: int) -> None:
        self._directory = directory
        self._cleanup = servers
        self._random = random.Random(seed)
        self._memcached = servers.enter_context(Memcached(directory, "-m", "1024"))
        self._proxy = servers.enter_context(Proxy(self._memcached, seed))
        authority = Authority(directory)
        certificate = authority.issue("127.0.0.1")
        self._haproxy = servers.enter_context(Haproxy(directory, self._memcached))
        self._stunnel = servers.enter_context(Stunnel(directory, self._memcached, certificate))
        self._ways = [
            ["--memcached", self._memcached.spec],
            ["--memcached", self._proxy.spec],
            ["--memcached", self._haproxy.spec],
            ["--memcached", self._stunnel.spec, "--tls-ca", str(authority.file)],
        ]
        self._loads: list[Load] = []
        self._begun_at = self._progress_at = time.monotonic()
        self.faults: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self.ended: list[Status] = []
        self.lines = self.largest = 0
        self.slowest = 0.0
        for way in self._ways:
            self._start_logger(way)

    def run(self, seconds: float) -> None:
        """Make faults for that time, and then let the loggers deliver everything and end."""
        faults: list[tuple[Callable[[], None], int]] = [
            (self.hang, 4),
            (self.lose_connections, 6),
            (self.delay_replies, 2),
            (self.drip_replies, 2),
            (self.cut_replies, 6),
            (self.answer_for_memcached, 4),
            (self.forget_connections, 4),
            (self.kill_haproxy, 4),
            (self.kill_tls_server, 6),
            (self.kill_courier, 12),
            (self.stop_courier, 3),
            (self.send_signals, 3),
            (self.flood, 2),
            (self.restart_memcached, 2),
            (self.replace_logger, 2),
        ]
        while time.monotonic() < self._begun_at + seconds:
            (fault,) = self._random.choices([fault for fault, _ in faults], [weight for _, weight in faults])
            self.faults[fault.__name__] += 1
            fault()
            self._proxy.heal()
            self._pass(0.0, 1.0)
        while self._loads:
            self._end_logger(self._loads[0])
        self._read_counters()

    def hang(self) -> None:
        self._memcached.pause()
        self._pass(0.05, self._random.choice([0.5, 3.0, 12.0]))
        self._memcached.resume()

    def lose_connections(self) -> None:
        self._proxy.refuse()
        self._pass(0.0, 2.0)
        self._proxy.accept()

    def delay_replies(self) -> None:
        self._proxy.delay = self._random.uniform(0.05, 1.0)
        self._pass(0.5, 3.0)

    def drip_replies(self) -> None:
        self._proxy.piece_bytes, self._proxy.pause = self._random.choice([1, 7, 300]), 0.0005
        self._pass(0.5, 3.0)

    def cut_replies(self) -> None:
        self._proxy.cut_after = self._random.choice([1, 2, 3, self._random.randint(1, 100_000)])
        self._pass(0.0, 1.0)

    def answer_for_memcached(self) -> None:
        self._proxy.instead = b"SERVER_ERROR Connection timed out"
        self._pass(0.0, 1.0)

    def forget_connections(self) -> None:
        self._proxy.forget()
        self._pass(0.0, 1.0)
        self._proxy.refuse()  # hits that were sent stay in doubt, because no error is ever reported for them
        self._proxy.accept()

    def kill_haproxy(self) -> None:
        self._flap(self._haproxy)

    def kill_tls_server(self) -> None:
        self._flap(self._stunnel)

    def _flap(self, gateway: Gateway) -> None:
        for _ in range(self._random.choice([1, 1, 5])):
            gateway.kill()
            self._pass(0.0, 1.0)
            gateway.start()
            self._pass(0.0, 0.3)

    def kill_courier(self) -> None:
        for courier in self._random.choice(self._loads).logger.children():
            os.kill(courier, signal.SIGKILL)

    def stop_courier(self) -> None:
        couriers = self._random.choice(self._loads).logger.children()
        for courier in couriers:
            os.kill(courier, signal.SIGSTOP)
        self._pass(0.0, 2.0)
        for courier in couriers:
            os.kill(courier, signal.SIGCONT)

    def send_signals(self) -> None:
        for _ in range(20):
            os.killpg(self._random.choice(self._loads).logger.pid, self._random.choice(IGNORED))

    def flood(self) -> None:
        """Send more paths than may wait, while no path can be delivered."""
        self._memcached.pause()
        self._random.choice(self._loads).flood()
        self._pass(0.0, 1.0)
        self._memcached.resume()

    def restart_memcached(self) -> None:
        """Kill memcached after everything was delivered and read. Write while it is down. At times make a counter a
        text."""
        with ExitStack() as locks:
            for load in self._loads:
                assert load.lock.acquire(timeout=PATIENCE_SECONDS), f"a write waits for {load.logger.stderr!r}"
                locks.callback(load.lock.release)
            wait_until_settled([load.logger for load in self._loads], PATIENCE_SECONDS)
            self._read_counters()
            self._memcached.kill()  # meanwhile HAProxy, stunnel and the proxy accept connections
        self._pass(0.0, 3.0)
        self._memcached.start(keep_port=True)
        if self._random.random() < 0.5:
            self._memcached.ask(f"add {hit_key(DAY, SPOILT.encode())} 0 0 4\r\ntext".encode())

    def replace_logger(self) -> None:
        """Start a new logger before an old logger ends, as Apache does at a graceful restart."""
        old = self._loads[0]
        self._start_logger(self._random.choice(self._ways))
        self._pass(0.0, 3.0)
        self._end_logger(old)

    def _start_logger(self, way: Sequence[str]) -> None:
        logger = self._cleanup.enter_context(
            Logger(self._directory, *way, "--max-paths", str(MAX_PATHS), command=fasthits_command("log"))
        )
        eventually(lambda: outlives(logger.pid, signal.SIGUSR1), PATIENCE_SECONDS, "the logger is there")
        logger.write(access_line("/0", method="POST"))
        eventually(logger.children, PATIENCE_SECONDS, "the logger has a courier")
        load = Load(logger, self._random.getrandbits(32))
        load.lines += 1
        load.start()
        self._loads.append(load)

    def _end_logger(self, load: Load) -> None:
        """Let a logger deliver its hits, keep its figures, and end it."""
        load.stop()
        (status,) = wait_until_settled([load.logger], PATIENCE_SECONDS)
        self._measure()
        self._loads.remove(load)
        assert load.logger.finish(PATIENCE_SECONDS) == 0, load.logger.stderr
        assert (status.lines, status.hits) == (load.lines, load.sent.total()), f"{load.lines} lines, {status}"
        said = [line for line in load.logger.stderr.splitlines() if not STATUS_LINE.fullmatch(line)]
        causes = Counter(re.sub("[0-9,]+", "N", line.split(": ")[1]) for line in said)
        assert max(causes.values(), default=0) <= 1 + status.uptime // 60, said
        self.ended.append(status)
        self.sent.update(load.sent)
        self.lines += load.lines
        self.slowest = max(self.slowest, load.slowest)

    def _read_counters(self) -> None:
        """Keep the counters of memcached. No logger adds to them now."""
        spoilt = hit_key(DAY, SPOILT.encode())
        item = self._memcached.item(spoilt)
        if item is not None and item.value == b"text":
            self._memcached.ask(f"delete {spoilt}".encode())
        self.held.update(self._memcached.counters())
        self.published.update(self._memcached.figures())

    def end_writing(self) -> None:
        """End the remaining loads after a failed run."""
        for load in self._loads:
            load.end()

    def _pass(self, least: float, most: float) -> None:
        """Let a random time pass. The loads go on."""
        until = time.monotonic() + self._random.uniform(least, most)
        while (now := time.monotonic()) < until:
            if now >= self._progress_at + PROGRESS_SECONDS:
                self._progress_at = now
                self._measure()
                lines = self.lines + sum(load.lines for load in self._loads)
                print(f"{now - self._begun_at:5.0f} s: {lines:,} lines, {self.faults.total():,} faults", flush=True)
            time.sleep(min(0.1, until - now))

    def _measure(self) -> None:
        """Keep the sizes of all processes."""
        for load in self._loads:
            for pid in (load.logger.pid, *load.logger.children()):
                with suppress(OSError, KeyError):  # the process has ended meanwhile
                    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                    self.largest = max(self.largest, int(fields["VmHWM"].split()[0]))

    def errors(self) -> list[str]:
        """Return the errors in the sums."""
        sent = Counter({hit_key(DAY, path.encode()): views for path, views in self.sent.items()})
        total = {name: sum(getattr(status, name) for status in self.ended) for name in Status._fields}
        accounted = sum(total[name] for name in ("delivered", "in_doubt", "refused", "dropped"))
        twice = {key: views - sent[key] for key, views in self.held.items() if views > sent[key]}
        found = []
        if accounted != sent.total():
            found.append(f"{sent.total():,} hits were sent, but {accounted:,} are accounted for")
        delivered, in_doubt, held = total["delivered"], total["in_doubt"], self.held.total()
        if not delivered <= held <= delivered + in_doubt:
            found.append(f"memcached held {held:,}; delivered {delivered:,}, in doubt {in_doubt:,}")
        if twice:
            found.append(f"counted more often than sent: {dict(list(twice.items())[:10])}")
        for name in PUBLISHED:
            if not 0 < self.published[name] <= (said := total[name.replace("-", "_")]):
                found.append(f"{self.published[name]:,} {name} were published; the loggers say {said:,}")
        return found

    def figures(self) -> str:
        """Return the final figures, one line each."""
        total = {name: sum(getattr(status, name) for status in self.ended) for name in Status._fields}
        names = ["hits", "delivered", "in_doubt", "refused", "dropped", "reconnects"]
        figures = {"lines": self.lines} | {name.replace("_", " "): total[name] for name in names}
        figures |= {f"{name}, published": self.published[name] for name in PUBLISHED}
        figures |= {"in memcached": self.held.total(), "loggers": len(self.ended), "faults": self.faults.total()}
        figures |= {f"  {name.replace('_', ' ')}": count for name, count in sorted(self.faults.items())}
        lines = [f"{name:22}{number:>14,}" for name, number in figures.items()]
        lines.append(f"{'largest process':22}{self.largest / 1024:>14,.1f} MiB")
        lines.append(
            f"{'slowest write':22}{self.slowest * 1000:>14,.1f} ms (with the writer's own waits for a processor)"
        )
        return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak test that the arguments describe and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run `fasthits log` under random faults, then check that every hit is accounted for.",
        epilog="Faults: memcached stopped and continued, killed and restarted, slow, closing connections, holding text "
        "in a counter; proxies that answer for it, lead nowhere, or come and go, with TLS and without; couriers killed "
        "and stopped; signals; more paths than may wait; loggers replaced. Lines come at changing rates, some torn. "
        "Needs memcached, HAProxy and stunnel, which are started on free ports of 127.0.0.1. Exit status: 0 when all "
        "sums are right, 1 when one is off or something hangs.",
    )
    parser.add_argument("--minutes", type=float, default=20.0, metavar="N", help="how long (default: %(default)g)")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="repeat the faults of an earlier run (default: a new one)"
    )
    options = parser.parse_args(argv)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"{options.minutes:g} minutes with --seed {seed}", flush=True)
    try:
        with public_directory() as directory, ExitStack() as servers:
            soak = Soak(directory, servers, seed)
            servers.callback(soak.end_writing)
            soak.run(options.minutes * 60)
    except (AssertionError, pytest.skip.Exception, pytest.fail.Exception) as error:  # the last two: no memcached
        errors = [str(error)[-1000:]]
    else:
        print(soak.figures())
        errors = soak.errors()
    for error in errors:
        print(f"WRONG: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
