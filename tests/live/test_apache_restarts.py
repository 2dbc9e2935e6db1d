"""A real Apache under load is restarted and stopped in every way: each request that it answers is counted, once.

A file that Apache itself writes, too, has the truth. Apache tells its loggers to end before its old workers have logged
their last lines, and starts new loggers while the old loggers still read.
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Self

import pytest

from fasthits.live.keys import hit_key
from tests.live.test_apache import log_command, slow_download, wait_for_logger
from tests.support import reference
from tests.support.processes import children_of, eventually, is_alive, outlives
from tests.support.servers import Apache, Memcached, piped

BIG_BYTES = 16 << 20
"""More than the sockets of a download hold, so that Apache is not done with it before its client is."""
PIECE_BYTES = 1 << 18
MAX_REQUESTS = 20_000
"""Where a client ends by itself."""
FURTHER_REQUESTS = 20

Ask = Callable[[HTTPConnection, str], None]


class Load:
    """Four clients that send requests to Apache during a `with`: on new and kept connections, and slowly.

    A request without an answer is no error: Apache closes connections, and its port, while it restarts or ends.
    """

    def __init__(self, apache: Apache) -> None:
        self.answered: Counter[str] = Counter()
        self._apache = apache
        self._over = Event()
        self._threads = ThreadPoolExecutor(4)
        self._clients: list[Future[None]] = []

    def __enter__(self) -> Self:
        asks = {"/a.html": ask_anew, "/b.html": ask, "/index.html": ask, "/big.bin": self._ask_slowly}
        self._clients = [self._threads.submit(self._send, target, ask) for target, ask in asks.items()]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._threads.shutdown()
        for client in self._clients:
            client.result()

    def wait_for_more(self) -> None:
        """Return when each client but the slow client has got more answers."""
        goals = {path: self.answered[path] + FURTHER_REQUESTS for path in ("/a.html", "/b.html", "/index.html")}

        def reached() -> bool:
            return all(self.answered[path] >= min(goal, MAX_REQUESTS) for path, goal in goals.items())

        eventually(reached, 60, lambda: f"{goals} answers; there are {self.answered}")

    def _send(self, target: str, ask: Ask) -> None:
        with closing(HTTPConnection("127.0.0.1", self._apache.port, timeout=60)) as connection:
            while self.answered[target] < MAX_REQUESTS and not self._over.is_set():
                try:
                    ask(connection, target)
                    self.answered[target] += 1
                except (OSError, HTTPException):
                    connection.close()
                    self._over.wait(0.005)

    def _ask_slowly(self, connection: HTTPConnection, target: str) -> None:
        connection.request("GET", target, headers={"Connection": "close"})
        response = connection.getresponse()
        left = BIG_BYTES
        while piece := response.read(PIECE_BYTES):
            left -= len(piece)
            self._over.wait(0.005)
        if left:
            raise ConnectionResetError(f"{left} bytes of {target} did not come")


def ask(connection: HTTPConnection, target: str) -> None:
    """Send a request on the existing connection, if there is one, and read the whole answer."""
    connection.request("GET", target)
    connection.getresponse().read()


def ask_anew(connection: HTTPConnection, target: str) -> None:
    """Send a request on a new connection and read the whole answer."""
    ask(connection, target)
    connection.close()


@contextmanager
def apache_with_file(root: Path, command: str) -> Iterator[tuple[Apache, Path]]:
    """Give an Apache that runs the logger *command* and also writes all lines to a log file."""
    access_log = root / "access.log"
    root.mkdir(exist_ok=True)
    files = {**Apache.FILES, "big.bin": bytes(BIG_BYTES)}
    with Apache(root / "apache", [f'"{access_log}"', command], files=files) as apache:
        yield apache, access_log


def direct_command(memcached: Memcached) -> str:
    """Return `CustomLog`'s first argument for a logger that Apache starts without a shell."""
    return piped(sys.executable, "-m", "fasthits", "log", "--memcached", memcached.spec)


def views_in(access_log: Path) -> dict[str, int]:
    """Return the counters that the lines of a log file give."""
    views = reference.count(access_log.read_bytes()).views
    return {hit_key(day, path): count for (day, path), count in views.items()}


def missing(access_log: Path, answered: Counter[str]) -> int:
    """Return how many of the answers have no line in the file."""
    logged = Counter(path.decode() for _, path in reference.hits(access_log.read_bytes()))
    return (answered - logged).total()


def wait_until_logged(access_log: Path, answered: Counter[str], unlogged: int = 0) -> None:
    """Return when the file has the lines of the answers, except *unlogged*. Apache sends an answer before its line."""
    eventually(lambda: missing(access_log, answered) <= unlogged, what=f"the lines of {answered}")


def assert_all_counted(
    memcached: Memcached, apache: Apache, access_log: Path, answered: Counter[str], unlogged: int = 0
) -> None:
    """Fail unless memcached agrees with the file, the file has all answers, and the loggers have reported nothing.

    At most *unlogged* answers may be missing: a worker that Apache kills after an answer writes no line to any log.
    """
    expected = views_in(access_log)
    assert missing(access_log, answered) <= unlogged
    held = memcached.counters()
    assert held == expected, f"off by {sum(held.values()) - sum(expected.values())} of {sum(expected.values())} hits"
    assert not re.findall("^fasthits: .*|Traceback", apache.error_log, re.MULTILINE)


# Under load


@pytest.mark.parametrize(
    ("restart", "times", "unlogged"),
    [
        pytest.param(Apache.graceful, 6, 0, id="six graceful restarts"),
        pytest.param(Apache.restart, 2, 8, id="two restarts"),
    ],
)
def test_restarts_under_load_lose_no_hit(
    place: Path, memcached: Memcached, restart: Callable[[Apache], None], times: int, unlogged: int
) -> None:
    with apache_with_file(place, log_command(memcached)) as (apache, access_log):
        with Load(apache) as load:
            loggers = wait_for_logger(apache)
            for _ in range(times):
                load.wait_for_more()
                restart(apache)
                loggers = wait_for_logger(apache, loggers)
            load.wait_for_more()
        wait_until_logged(access_log, load.answered, unlogged)
        apache.stop()
        assert len(loggers) == times + 1
        assert_all_counted(memcached, apache, access_log, load.answered, unlogged)


@pytest.mark.parametrize("end", [Apache.graceful_stop, Apache.stop], ids=["graceful-stop", "stop"])
def test_the_end_of_apache_under_load_loses_no_hit(
    place: Path, memcached: Memcached, end: Callable[[Apache], None]
) -> None:
    with apache_with_file(place, log_command(memcached)) as (apache, access_log):
        with Load(apache) as load:
            wait_for_logger(apache)
            load.wait_for_more()
            end(apache)
        assert_all_counted(memcached, apache, access_log, load.answered, unlogged=4)


def test_a_graceful_restart_while_the_logger_still_starts_loses_no_hit(place: Path, memcached: Memcached) -> None:
    """A logger first ignores SIGTERM. From then on, Apache may tell it to end before it has read a line."""
    with apache_with_file(place, log_command(memcached)) as (apache, access_log):
        marks = 6
        with Load(apache) as load:
            loggers = wait_for_logger(apache)
            for _ in range(marks):
                apache.graceful()
                loggers = wait_for_logger(apache, loggers)
                assert apache.request("/index.html?mark") == 200
        answered = load.answered + Counter({"/index.html": marks})
        wait_until_logged(access_log, answered)
        apache.stop()
        assert len(loggers) == marks + 1
        assert_all_counted(memcached, apache, access_log, answered)


# Old and new loggers


def test_old_loggers_count_for_old_workers_while_the_new_logger_runs(place: Path, memcached: Memcached) -> None:
    """Three generations of workers keep three old loggers alive, because each has a download that does not end."""
    with apache_with_file(place, log_command(memcached)) as (apache, access_log):
        loggers = wait_for_logger(apache)
        with ExitStack() as downloads:
            for number in range(3):
                downloads.enter_context(slow_download(apache, f"/big.bin?{number}"))
                apache.graceful()
                loggers = wait_for_logger(apache, loggers)
            assert len(loggers) == 4
            assert apache.request("/a.html") == 200
            wait_until_logged(access_log, Counter({"/a.html": 1}))
            memcached.expect(views_in(access_log))
            assert loggers <= set(children_of(apache.pid))
            assert all(outlives(pid, signal.SIGTERM) for pid in loggers)
            assert len({os.readlink(f"/proc/{pid}/fd/0") for pid in loggers}) == 4
        eventually(lambda: sum(map(is_alive, loggers)) == 1, what="the old loggers have ended by themselves")
        wait_until_logged(access_log, Counter({"/big.bin": 3}))
        memcached.expect(views_in(access_log))
        apache.stop()
        assert_all_counted(memcached, apache, access_log, Counter({"/a.html": 1, "/big.bin": 3}))


@pytest.mark.parametrize("shell", [False, True], ids=["direct", "shell"])
def test_a_logger_killed_at_the_start_of_apache_does_no_harm(place: Path, memcached: Memcached, shell: bool) -> None:
    """Apache checks its configuration first. For this it starts the logger, and ends it after about 2 ms.

    The shell that `conf` prints ignores that signal. Its logger goes on until its pipe has ended.
    """
    command = log_command(memcached) if shell else direct_command(memcached)
    expected: Counter[str] = Counter()
    for start in range(4):
        with apache_with_file(place / str(start), command) as (apache, access_log):
            assert [apache.request("/a.html") for _ in range(25)] == [200] * 25
            wait_until_logged(access_log, Counter({"/a.html": 25}))
            expected += Counter(views_in(access_log))
            memcached.expect(expected)
            processes = eventually(
                lambda apache=apache: len(found := apache.processes("fasthits")) == 2 and found,
                what="one logger and its courier are left",
            )
            apache.stop()
            eventually(lambda left=processes: not any(map(is_alive, left)), what="both have ended with Apache")
            assert not re.findall("^fasthits: .*|Traceback", apache.error_log, re.MULTILINE)
    assert memcached.counters() == expected
    assert expected.total() == 100
