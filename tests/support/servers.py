"""Real servers, each on a free loopback port or a unix socket in a temporary directory: memcached, apache2, cronolog.

They are children of the tests and are ended by their process ids. They are ready when they answer: no test waits for a
fixed time. If a server is not installed, the test is skipped, or fails with FASTHITS_REQUIRE_SERVERS=1.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote_to_bytes

import pytest
from pymemcache.client.base import Client

from tests.support.processes import (
    POLL_SECONDS,
    end_process,
    environment,
    eventually,
    kill_marked,
    marked,
    new_mark,
    pause,
)

START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
FIGURE_KEY = re.compile(
    r"[^/#]*\d{4}-\d\d-\d\d!"
    "(lines|hits|filtered|malformed|delivered|in-doubt|refused|dropped|reconnects|discarded|by-host|warning-[a-z]+"
    r"|hour-\d\d|rules-[0-9a-f]{8})"
)
"""Besides the keys of hits, a logger makes only these keys."""
PLACE_KEY = re.compile(r"[^/#]*!follow-[0-9a-f]{12}-(begun|ended)")
"""Keys by which a follower marks its place."""
APACHE_MODULES = Path("/usr/lib/apache2/modules")
NO_NUMBERS = (b"text", b"-5", b"1_0", b"+1", b" 1", b"9" * 21, b"9" * 5000)
"""Values that no counter has."""
IS_ROOT = os.geteuid() == 0

# Below the range from which the kernel takes ports for outgoing connections (ip_local_port_range, 32768 and up).
# Otherwise a client that tries the port of a server that is down could get the same port, and connect to itself.
PORTS = range(10240, 32000)


def require_program(name: str) -> str:
    """Return the path of a server's program. Without it, the test is skipped, or fails if servers are required."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin")
    if path:
        return path
    if os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{name} is not installed, and FASTHITS_REQUIRE_SERVERS=1 asks for it")
    pytest.skip(f"{name} is not installed")


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago. If it is taken when you bind it, try another port."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@cache
def _bound() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


def closed_port() -> int:
    """Return a port of 127.0.0.1 that refuses connections: this process holds it, so no other process listens there."""
    return int(_bound().getsockname()[1])


@contextmanager
def public_directory() -> Iterator[Path]:
    """Give a new directory that every user may read, unlike the directories of pytest. It is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="fasthits-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)


class Item(NamedTuple):
    """The item under a key in memcached: the value, the client flags, and the seconds to live (-1 for ever)."""

    value: bytes
    flags: int
    ttl: int


class Program(ABC):
    """A program that a test starts and ends; for use in a `with`."""

    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @abstractmethod
    def start(self) -> None:
        """Start it, and return when it answers."""

    def kill(self) -> None:
        """End it at once, as a crash would. If it does not run, do nothing."""
        if self.process is not None:
            end_process(self.process)


class Memcached(Program):
    """One memcached, on a port of 127.0.0.1 or, with *unix*, on a socket in *directory*; for use in a `with`.

    With *certificate*, a file that holds the key, too, it listens with TLS on a second port. The addresses are known
    before the start. If another program has taken a port, the start uses other ports, unless it must keep the port.
    """

    def __init__(self, directory: Path, *args: str, unix: bool = False, certificate: Path | None = None) -> None:
        self.args = args
        self.certificate = certificate
        self.port = 0 if unix else free_port()
        self.tls_port = free_port() if certificate else 0
        self.socket_path = directory / f"memcached-{new_mark()[:8]}.sock" if unix else None

    @property
    def address(self) -> tuple[str, int] | str:
        """The address as pymemcache takes it."""
        return str(self.socket_path) if self.socket_path else ("127.0.0.1", self.port)

    @property
    def spec(self) -> str:
        """The address as `--memcached` and Django's LOCATION take it."""
        return f"unix:{self.socket_path}" if self.socket_path else f"127.0.0.1:{self.port}"

    @property
    def tls_spec(self) -> str:
        """The address with TLS as `--memcached` takes it."""
        return f"tls://127.0.0.1:{self.tls_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "memcached was not started"
        return self.process.pid

    def start(self, *, keep_port: bool = False) -> None:
        """Start it and return when it answers. With *keep_port* try the same port until it is free."""
        program = require_program("memcached")
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.process = subprocess.Popen(
                [program, *self._arguments()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if self._answers_before(deadline):
                return
            end_process(self.process)
            if time.monotonic() > deadline:
                raise AssertionError(f"memcached does not start on {self.spec}")
            if self.port and not keep_port:
                self.port = free_port()
                self.tls_port = free_port() if self.certificate else 0

    def restart(self) -> None:
        """Kill it and start it again, empty, at the same address."""
        self.kill()
        self.start(keep_port=True)

    def pause(self) -> None:
        """Stop it with SIGSTOP: the kernel still accepts connections, but there are no answers.

        Returns when all its threads have stopped.
        """
        os.kill(self.pid, signal.SIGSTOP)
        threads = [task / "stat" for task in Path(f"/proc/{self.pid}/task").iterdir()]
        eventually(
            lambda: all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads),
            what="memcached has stopped",
        )

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def connect(self) -> socket.socket:
        """Return a new connection, which the caller closes."""
        if self.socket_path is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(self.socket_path))
        except OSError:
            connection.close()
            raise
        return connection

    def ask(self, command: bytes, end: bytes | tuple[bytes, ...] = b"\r\n") -> bytes:
        """Send a command over a new connection and return the answer, which ends with *end*, or one of them."""
        answer = b""
        with self.connect() as connection:
            connection.sendall(command + b"\r\n")
            while not answer.endswith(end):
                piece = connection.recv(65536)
                if not piece:
                    raise ConnectionResetError(f"memcached closed the connection after {answer[-100:]!r}")
                answer += piece
        return answer

    def client(self) -> Client:
        """Return a plain pymemcache client, without serde: values come back as bytes. The caller closes it."""
        return Client(self.address, connect_timeout=ANSWER_SECONDS, timeout=ANSWER_SECONDS, default_noreply=False)

    def item(self, key: str) -> Item | None:
        """Return the item under *key*, or None. Its time to live does not change."""
        answer = self.ask(f"mg {key} f t v".encode())
        if answer == b"EN\r\n":
            return None
        head, _, rest = answer.partition(b"\r\n")
        kind, size, flags, ttl = head.split()
        assert (kind, flags[:1], ttl[:1]) == (b"VA", b"f", b"t"), answer
        assert len(rest) == int(size) + 2, answer
        return Item(rest[:-2], int(flags[1:]), int(ttl[1:]))

    def views(self, key: str) -> int:
        """Return the counter under *key*; 0 if there is no counter."""
        item = self.item(key)
        return int(item.value) if item else 0

    def keys(self) -> set[bytes]:
        """Return all its keys as bytes. No key may have expired.

        A dump skips items that another thread holds at that moment. So dumps are added up until every item has a key.
        """
        found: set[bytes] = set()

        def complete() -> bool:
            answer = self.ask(b"lru_crawler metadump hash", (b"END\r\n", b"crawler request\r\n"))
            if not answer.startswith(b"BUSY"):
                lines = [line for line in answer.splitlines() if line.startswith(b"key=")]  # newer ones say OK first
                found.update(unquote_to_bytes(line[len("key=") :].split()[0]) for line in lines)
            return f"STAT curr_items {len(found)}\r\n".encode() in self.ask(b"stats", b"END\r\n")

        eventually(complete, what="memcached lists its keys")
        return found

    def counters(self) -> dict[str, int]:
        """Return all counters by key, without those of `figures`. Any other key or value fails the test."""
        return self._numbers(key for key in self._names() if not FIGURE_KEY.fullmatch(key))

    def figures(self) -> dict[str, int]:
        """Return the figures that loggers have published, of all days and prefixes, without zeros and warnings.

        Those of single hours and rules are left out.
        """
        found = self._published().items()
        return {name: number for name, number in found if not name.startswith(("warning-", "hour-", "rules-"))}

    def warnings(self) -> dict[str, int]:
        """Return how often loggers have warned, by cause, for all days and prefixes together."""
        found = self._published().items()
        return {name.removeprefix("warning-"): number for name, number in found if name.startswith("warning-")}

    def _published(self) -> dict[str, int]:
        found = Counter[str]()
        for key, number in self._numbers(filter(FIGURE_KEY.fullmatch, self._names())).items():
            found[key.rpartition("!")[2]] += number
        return {name: number for name, number in found.items() if number}

    def _names(self) -> list[str]:
        return [name for name in (key.decode("ascii") for key in self.keys()) if not PLACE_KEY.fullmatch(name)]

    def _numbers(self, keys: Iterable[str]) -> dict[str, int]:
        client = self.client()
        try:
            return {key: int(value) for key, value in client.get_many(list(keys)).items()}
        finally:
            client.close()

    def expect(self, counters: Mapping[str, int], timeout: float = 30.0) -> None:
        """Wait until it holds exactly *counters*. AssertionError with what it holds after *timeout* seconds."""
        start = time.monotonic()
        while (held := self.counters()) != counters and (waited := time.monotonic() - start) < timeout:
            time.sleep(pause(waited))
        pairs = {key: (held.get(key), counters.get(key)) for key in {**held, **counters}}
        wrong = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
        assert not wrong, f"{len(wrong)} counters wrong, as (held, expected): {dict(list(wrong.items())[:10])}"

    def _arguments(self) -> list[str]:
        where = (
            ["-s", str(self.socket_path), "-a", "0777"]
            if self.socket_path
            else ["-l", "127.0.0.1", "-p", str(self.port)]
        )
        # The socket's directory belongs to root, and so do the files of TLS.
        user = ["-u", "root" if self.socket_path or self.certificate else "nobody"] if IS_ROOT else []
        if self.certificate:
            where = ["-l", f"notls:127.0.0.1:{self.port},127.0.0.1:{self.tls_port}", "-Z"]
            where += ["-o", f"ssl_chain_cert={self.certificate},ssl_key={self.certificate}"]
        return [*where, "-U", "0", *user, *self.args]

    def _answers_before(self, deadline: float) -> bool:
        """Wait for an answer of the started process; False if it exits or the time is over."""
        assert self.process is not None
        ours = f"STAT pid {self.process.pid}\r\n".encode()
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if ours in self.ask(b"stats", b"END\r\n"):
                    return True
            except OSError:
                pass
            time.sleep(POLL_SECONDS)
        return False


def piped(*argv: str) -> str:
    """Return `CustomLog`'s first argument for a command. The command has an absolute path: no shell looks for it.

    Apache splits the command at spaces. Text between single quotes is one word.
    """
    assert os.path.isabs(argv[0]), argv[0]
    assert not any(character in word for word in argv for character in "'\"\\"), argv
    return '"|{}"'.format(" ".join(f"'{word}'" if " " in word or not word else word for word in argv))


def cronolog(directory: Path) -> tuple[str, str]:
    """Return `CustomLog`'s first argument for a cronolog that writes under *directory*, and its files' pattern."""
    pattern = f"{directory}/%Y/%m/%d/access.log"
    return piped(require_program("cronolog"), pattern), pattern


class Apache:
    """One apache2 (mpm_event) that serves *files* from a directory of its own; for use in a `with`.

    Each of *custom_logs* becomes a `CustomLog ... combined` line; *extra* ends the configuration. Started as root it
    serves as www-data. Only the parent is our child; loggers, which may outlive it, are among `processes`.
    """

    FILES: Mapping[str, bytes] = {
        "a.html": b"<p>a</p>\n",
        "b.html": b"<p>b</p>\n",
        "index.html": b"<p>index</p>\n",
        "big.bin": b"x" * 3_000_000,
    }

    def __init__(
        self,
        root: Path,
        custom_logs: Sequence[str],
        *,
        files: Mapping[str, bytes] = FILES,
        extra: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.custom_logs = custom_logs
        self.extra = extra
        self.mark = new_mark()
        self.env = environment(self.mark, env)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        (root / "htdocs").mkdir(parents=True)
        for name, content in files.items():
            (root / "htdocs" / name).write_bytes(content)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            end_process(self.process)
        kill_marked(self.mark)

    @property
    def error_log(self) -> str:
        """The text of the error log, which includes the loggers' stderr."""
        path = self.root / "error.log"
        return path.read_text(errors="backslashreplace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None, "Apache was not started"
        return self.process.pid

    def processes(self, word: str = "") -> list[int]:
        """Return the ids of this Apache and its descendants, or only of those with *word* among their arguments."""
        found = marked(self.mark)
        return [pid for pid in found if word in _arguments_of(pid)] if word else found

    def start(self) -> None:
        """Start it and return when it accepts requests. No request is sent for that, so the logs stay empty."""
        program = require_program("apache2")
        deadline = time.monotonic() + START_SECONDS
        while True:
            (self.root / "apache2.conf").write_text(self._configuration())
            before = self._times_ready()
            self.process = subprocess.Popen(
                [program, "-d", str(self.root), "-f", str(self.root / "apache2.conf"), "-D", "FOREGROUND"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.env,
                start_new_session=True,
            )
            if self._ready_after(before):
                return
            assert "could not bind" in self.error_log, f"Apache does not start:\n{self.error_log}"
            assert time.monotonic() < deadline, "Apache finds no free port"
            self.port = free_port()

    def graceful(self) -> None:
        """Do what `apache2 -k graceful` does. Return when new workers accept requests; old workers may still run."""
        self._signal_and_wait(signal.SIGUSR1)

    def restart(self) -> None:
        """Do what `apache2 -k restart` does, and return when it accepts requests again."""
        self._signal_and_wait(signal.SIGHUP)

    def stop(self, timeout: float = 60.0) -> None:
        """Do what `apache2 -k stop` does, and return when Apache and, by itself, every logger has ended."""
        self._end(signal.SIGTERM, timeout)

    def graceful_stop(self, timeout: float = 60.0) -> None:
        """Do what `apache2 -k graceful-stop` does, and return like `stop`."""
        self._end(signal.SIGWINCH, timeout)

    def exchange(self, request: bytes) -> bytes:
        """Send these bytes over a new connection, and return all bytes that come back until Apache closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(request)
            pieces = []
            while piece := connection.recv(65536):
                pieces.append(piece)
            return b"".join(pieces)

    def request(self, target: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> int:
        """Send a well-formed request and return the status of the answer; ConnectionError if there is no answer."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {target} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n"
        answer = self.exchange(head.encode("latin-1") + body)
        if not answer:
            raise ConnectionResetError("Apache closed the connection without an answer")
        assert answer.startswith(b"HTTP/1.1 "), answer[:100]
        return int(answer[9:12])

    def _times_ready(self) -> int:
        return self.error_log.count("resuming normal operations")

    def _ready_after(self, before: int) -> bool:
        """Wait until Apache has become ready more often than *before*; False if it exits."""
        process = self.process
        assert process is not None
        eventually(lambda: self._times_ready() > before or process.poll() is not None, START_SECONDS, "Apache is ready")
        return process.poll() is None

    def _signal_and_wait(self, number: signal.Signals) -> None:
        before = self._times_ready()
        os.kill(self.pid, number)
        eventually(lambda: self._times_ready() > before, START_SECONDS, f"Apache is ready again after {number.name}")

    def _end(self, number: signal.Signals, timeout: float) -> None:
        assert self.process is not None
        os.kill(self.pid, number)
        self.process.wait(timeout=timeout)
        eventually(lambda: not self.processes(), timeout, "all loggers of Apache have ended")

    def _configuration(self) -> str:
        modules = ["mpm_event", "authz_core"]
        lines = [
            f'ServerRoot "{self.root}"',
            "ServerName localhost",
            f"Listen 127.0.0.1:{self.port}",
            f'PidFile "{self.root}/apache2.pid"',
            f'DefaultRuntimeDir "{self.root}"',
            f'ErrorLog "{self.root}/error.log"',
            "LogLevel notice",
            *(f'LoadModule {name}_module "{APACHE_MODULES}/mod_{name}.so"' for name in modules),
            *(["User www-data", "Group www-data"] if IS_ROOT else []),
            "StartServers 1",
            f'DocumentRoot "{self.root}/htdocs"',
            r'LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined',
            *(f"CustomLog {log} combined" for log in self.custom_logs),
            self.extra,
        ]
        return "\n".join(lines) + "\n"


def _arguments_of(pid: int) -> list[str]:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return []
