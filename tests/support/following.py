"""`fasthits log --follow` as a service, what writes the logs that it follows (nginx, a thread), and logrotate."""

import os
import random
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from tests.support.forks import Forked
from tests.support.logger import access_line
from tests.support.processes import (
    children_of,
    end_process,
    eventually,
    kill_marked,
    new_mark,
    start_fasthits,
)
from tests.support.proxy import Proxy, Stranger
from tests.support.servers import IS_ROOT, Memcached, free_port, require_program

QUICK = "import fasthits.live.follow.carrier as s; s.SETTLE_SECONDS = 0.3"
"""For tests with many kills. A memcached that runs needs no more."""


class Follower:
    """A follower. A test can start it again and again, with the same arguments; its stderr is one file."""

    def __init__(self, place: Path, *args: str, patch: str = "") -> None:
        """*patch* is Python that changes modules of fasthits first."""
        self.state = Path(args[args.index("--state") + 1]) if "--state" in args else place / "follow.state"
        self._args = ["log", *args] if "--state" in args else ["log", "--state", str(self.state), *args]
        self._patch = patch
        self.mark = new_mark()
        self._stderr = place / f"follower-{self.mark[:8]}"
        self._stderr.touch()
        self.process: Forked | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            end_process(self.process)
        kill_marked(self.mark)

    @property
    def stderr(self) -> str:
        """The messages of the follower since its first start."""
        return self._stderr.read_text()

    def start(self) -> None:
        """Start the follower, and return when it follows."""
        self.launch()
        eventually(self.has_begun, 60, lambda: f"it follows; it said {self.stderr!r}")

    def has_begun(self) -> bool:
        """Tell whether it follows: it has written its state file since its start."""
        assert self._process().poll() is None, self.stderr
        return self._saves() != self._saved_before

    def launch(self) -> None:
        """Start the follower."""
        self._saved_before = self._saves()
        with self._stderr.open("ab") as stderr, open(os.devnull, "rb") as nothing:
            self.process = start_fasthits(self._args, self.mark, nothing.fileno(), stderr.fileno(), patch=self._patch)

    def wait(self, timeout: float = 60.0) -> int:
        """Return its exit status when it has ended."""
        return self._process().wait(timeout)

    def kill(self) -> None:
        """Kill its whole process group, as the kernel may when memory is short."""
        os.killpg(self._process().pid, signal.SIGKILL)
        self._process().wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the follower as systemd does, and return its exit status."""
        self._process().send_signal(number)
        return self.wait()

    def asked(self, wanted: str) -> bool:
        """Ask the follower for its figures, and tell whether they include these."""
        said = len(self.stderr)
        self._process().send_signal(signal.SIGUSR1)
        eventually(lambda: "uptime" in self.stderr[said:], what="it tells its figures")
        return wanted in self.stderr[said:]

    def _process(self) -> Forked:
        assert self.process is not None
        return self.process

    def _saves(self) -> tuple[int, int] | None:
        try:
            status = self.state.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


class Nginx:
    """An nginx that answers everything with 200 and logs to *log*; for use in a `with`."""

    def __init__(self, place: Path, log: Path) -> None:
        self.port = free_port()
        self._place = place
        self._configuration = place / "nginx.conf"
        user = "user root;" if IS_ROOT else ""
        self._configuration.write_text(
            f"""daemon off; master_process on; worker_processes 2; {user} pid {place}/nginx.pid;
error_log {place}/nginx-error.log;
events {{ worker_connections 256; }}
http {{ access_log {log}; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{self.port}; location / {{ return 200 x; }} }} }}
"""
        )
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = require_program("nginx")
        self.process = subprocess.Popen([program, "-c", str(self._configuration), "-p", str(self._place)])
        pid = self.process.pid
        eventually(lambda: (self._place / "nginx.pid").exists() and len(children_of(pid)) == 2, what="nginx runs")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=60)

    def reopen(self) -> None:
        """Let nginx reopen its log, as logrotate's postrotate does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)


class Load:
    """Clients that request some paths as fast as they can, until the end of the `with`."""

    def __init__(self, port: int, paths: Sequence[str], readers: int = 2) -> None:
        self._port = port
        self._request = b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths)
        self._answers = len(paths)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(readers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as connection:
            while not self._ended.is_set():
                connection.sendall(self._request)
                answer = b""
                while answer.count(b"HTTP/1.1 200") < self._answers:
                    piece = connection.recv(1 << 16)
                    assert piece, "nginx has closed the connection"
                    answer += piece


def lines_of(files: Iterable[Path]) -> Counter[str]:
    """Return how often each path is in some log files."""
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
    """Return when exactly the lines that were written have been counted."""
    eventually(
        lambda: views_by_path(memcached) == expected(),
        timeout,
        lambda: f"{views_by_path(memcached).total():,} of {expected().total():,} counted; it said {follower.stderr}",
    )


class Writer:
    """A thread that appends lines to a log at a given speed, counts them, and can open the log again."""

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

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._file.close()

    def reopen(self) -> None:
        """Open the file that has the log's name now, or create it."""
        with self._lock:
            self._file.close()
            self._file = self.path.open("ab", buffering=0)

    def wait_for(self, lines: int) -> None:
        """Return when so many more lines have been written."""
        wanted = self._total() + lines
        eventually(lambda: self._total() >= wanted, what="lines are written")

    def _total(self) -> int:
        with self._lock:
            return self.written.total()

    def _write(self) -> None:
        while not self._ended.wait(self._pause):
            chosen = self._random.choices(self._paths, k=self._random.randint(1, 50))
            with self._lock:
                self._file.write(b"".join(map(access_line, chosen)))
                self.written.update(chosen)


def follow(
    place: Path,
    memcached: Memcached | Proxy | Stranger,
    *files: Path | str,
    patch: str = "",
    args: tuple[str, ...] = (),
) -> Follower:
    names = [word for file in files for word in ("--follow", str(file))]
    return Follower(place, *names, "--memcached", memcached.spec, *args, patch=patch)


def logrotate(place: Path, log: Path, *words: str) -> None:
    """Run logrotate once, even if the time has not come."""
    configuration = place / "logrotate.conf"
    configuration.write_text(f"{log} {{\n rotate 100\n missingok\n nodateext\n " + "\n ".join(words) + "\n}\n")
    configuration.chmod(0o644)
    state = place / "logrotate.state"
    done = subprocess.run(
        [require_program("logrotate"), "-f", "-s", str(state), str(configuration)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
