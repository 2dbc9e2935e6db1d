"""`fasthits log --follow`: each line counts once, over rotation, kills, and a memcached that comes and goes."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.integration.following import QUICK, Follower, Load, Nginx
from tests.integration.logger import access_line
from tests.integration.processes import eventually
from tests.integration.proxy import Proxy
from tests.integration.servers import Memcached, require_program

ROTATIONS = 20
KILLS = 20


@pytest.fixture
def logs(place: Path) -> Path:
    folder = place / "logs"
    folder.mkdir(mode=0o755)
    return folder


def lines_of(files: Iterable[Path]) -> Counter[str]:
    """Return how often each path stands in some log files."""
    return Counter(line.split(" ")[6] for file in files for line in file.read_text().splitlines())


def views_by_path(memcached: Memcached) -> Counter[str]:
    """Return the counters of all days together."""
    views = Counter[str]()
    for key, number in memcached.counters().items():
        views[key[key.index("/") :]] += number
    return views


def expect_all(
    memcached: Memcached, follower: Follower, expected: Callable[[], Counter[str]], timeout: float = 30
) -> None:
    """Return when exactly the lines that were written have been counted, and no more come."""
    eventually(
        lambda: views_by_path(memcached) == expected(),
        timeout,
        lambda: f"{views_by_path(memcached).total():,} of {expected().total():,} counted; it said {follower.stderr}",
    )


class Writer:
    """Appends lines to a log as fast as it is told to, from a thread, and remembers how many; reopens when told."""

    def __init__(self, path: Path, paths: int = 700, pause: float = 0.0005) -> None:
        self.path = path
        self.written = Counter[str]()
        self._paths = [f"/{'x' * 40}/{number}" for number in range(paths)]
        self._random = random.Random(paths)
        self._pause = pause
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._file.close()

    def reopen(self) -> None:
        """Write to the file that now has the name, made anew if need be."""
        with self._lock:
            self._file.close()
            self._file = self.path.open("ab", buffering=0)

    def wait_for(self, lines: int) -> None:
        """Return when so many more lines have been written."""
        wanted = self.written.total() + lines
        eventually(lambda: self.written.total() >= wanted, what="lines are written")

    def _write(self) -> None:
        while not self._ended.wait(self._pause):
            chosen = self._random.choices(self._paths, k=self._random.randint(1, 50))
            with self._lock:
                self._file.write(b"".join(map(access_line, chosen)))
                self.written.update(chosen)


def follow(
    place: Path, memcached: Memcached | Proxy, *files: Path | str, first: str = "", args: tuple[str, ...] = ()
) -> Follower:
    names = [word for file in files for word in ("--follow", str(file))]
    return Follower(place, *names, "--memcached", memcached.spec, *args, first=first)


def test_no_line_is_lost_or_counted_twice_over_rotations_of_nginx(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    late = random.Random(11)
    paths = [f"/{number % 7}" for number in range(50)]
    with Nginx(place, log) as nginx, follow(place, memcached, log) as follower:
        with Load(nginx.port, paths):
            for number in range(ROTATIONS):
                eventually(lambda: log.exists() and log.stat().st_size > 100_000, what="nginx writes its log")
                old = log.rename(logs / f"access.log.{number + 1}")
                if number == 0:
                    time.sleep(2)  # as late as nginx may be: it goes on writing to what has another name
                else:
                    size = old.stat().st_size + late.randint(0, 200_000)
                    eventually(lambda old=old, size=size: old.stat().st_size >= size, what="nginx writes to it still")
                nginx.reopen()
                eventually(log.exists, what="nginx has opened a new log")
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


def test_no_line_is_lost_or_counted_twice_over_kills(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    moment = random.Random(5)
    writer = Writer(log)
    with follow(place, memcached, log, first=QUICK) as follower:
        with writer:
            for number in range(KILLS):
                writer.wait_for(moment.randint(100, 3000))
                time.sleep(moment.random() / 20)
                follower.kill()
                if number % 3 == 1:
                    log.rename(logs / f"access.log.{number}")
                    writer.wait_for(100)
                    writer.reopen()
                follower.start()
        expect_all(memcached, follower, lambda: writer.written)
    assert "in doubt" not in follower.stderr
    assert "first time" not in follower.stderr


def test_a_memcached_that_is_away_hangs_or_restarts_gets_each_line_once(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    memcached.kill()
    with follow(place, memcached, log, first=QUICK) as follower:
        with Writer(log) as writer:
            writer.wait_for(3000)
            eventually(lambda: "cannot reach memcached" in follower.stderr, what="it says that memcached is away")
            memcached.start(keep_port=True)
            for _ in range(5):
                writer.wait_for(1000)
                memcached.pause()
                writer.wait_for(1000)
                memcached.resume()
        expect_all(memcached, follower, lambda: writer.written)
        memcached.restart()
        with Writer(log) as further:
            further.wait_for(2000)
        expect_all(memcached, follower, lambda: further.written)
    assert "in doubt" not in follower.stderr


def test_killed_while_memcached_hangs_it_looks_what_arrived(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log) as follower:
        with Writer(log) as writer:
            for _ in range(3):
                writer.wait_for(1000)
                memcached.pause()
                writer.wait_for(500)
                follower.kill()
                follower.launch()
                writer.wait_for(500)
                memcached.resume()
                eventually(follower.has_begun, 20, lambda: follower.stderr)
        expect_all(memcached, follower, lambda: writer.written)
    assert "in doubt" not in follower.stderr


def test_connections_that_break_leave_hits_in_doubt_at_most(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    moment = random.Random(3)
    with Proxy(memcached, seed=1) as proxy, follow(place, proxy, log, first=QUICK) as follower:
        with Writer(log) as writer:
            for _ in range(20):
                writer.wait_for(500)
                proxy.cut_after = moment.randint(1, 20_000)
                writer.wait_for(500)
                proxy.heal()
        expect_all(memcached, follower, lambda: writer.written)
    assert "connection to memcached lost" in follower.stderr


def test_servers_of_a_cluster_do_not_wait_for_each_other(
    place: Path, logs: Path, start_memcached: Callable[..., Memcached]
) -> None:
    log = logs / "access.log"
    first, second = start_memcached(), start_memcached()
    args = ("--memcached", second.spec)
    with follow(place, first, log, args=args, first=QUICK) as follower:
        with Writer(log, paths=60) as writer:
            eventually(lambda: len(views_by_path(first) + views_by_path(second)) == 60, what="all paths are counted")
            own = set(views_by_path(second))
            second.pause()
            writer.wait_for(2000)
        others = Counter({path: views for path, views in writer.written.items() if path not in own})
        eventually(lambda: others - views_by_path(first) == Counter(), what="the first has all that is its own")
        follower.kill()
        with Writer(log) as further:
            further.wait_for(500)
        second.resume()
        follower.start()
        expected = writer.written + further.written
        eventually(
            lambda: views_by_path(first) + views_by_path(second) == expected,
            20,
            lambda: f"{expected - views_by_path(first) - views_by_path(second)} {follower.stderr}",
        )


def logrotate(place: Path, log: Path, *words: str) -> None:
    """Run logrotate once, whatever it thinks of the time."""
    configuration = place / "logrotate.conf"
    configuration.write_text(f"{log} {{\n rotate 100\n missingok\n nodateext\n " + "\n ".join(words) + "\n}\n")
    configuration.chmod(0o644)
    state = place / "logrotate.state"
    done = subprocess.run(
        [require_program("logrotate"), "-f", "-s", str(state), str(configuration)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_logrotate_with_create_and_a_signal(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    log.touch()
    with Nginx(place, log) as nginx, follow(place, memcached, log) as follower:
        script = f"postrotate\n kill -USR1 $(cat {place}/nginx.pid)\n endscript"
        with Load(nginx.port, ["/a", "/b"]):
            for _ in range(5):
                eventually(lambda: log.exists() and log.stat().st_size > 20_000, what="nginx writes its log")
                logrotate(place, log, "create 0644", script)
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_logrotate_with_copytruncate_loses_nothing_between_rotations(
    place: Path, logs: Path, memcached: Memcached, running: bool
) -> None:
    log = logs / "access.log"
    log.touch()
    with follow(place, memcached, log, first=QUICK) as follower:
        written = Counter[str]()
        for number in range(4):
            with Writer(log) as writer:
                writer.wait_for(2000)
            written += writer.written
            if not running:
                follower.kill()
                with Writer(log, paths=90) as writer:
                    writer.wait_for(500)
                written += writer.written
            logrotate(place, log, "copytruncate")
            with Writer(log, paths=80 + number) as writer:
                writer.wait_for(3000)  # more than there was before
            written += writer.written
            if not running:
                follower.start()
        expect_all(memcached, follower, lambda: written)
