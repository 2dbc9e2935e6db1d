"""A real Apache with `CustomLog "|... fasthits log"` and with cronolog: live counters and rollup agree."""

import csv
import io
import json
import os
import random
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from threading import Event

from fasthits.live.keys import hit_key
from tests.support import reference
from tests.support.installation import USER, custom_log
from tests.support.processes import children_of, eventually, outlives, run_fasthits
from tests.support.servers import Apache, Memcached, cronolog

LONG = "/" + "long" * 75

# A request, and the path under which it counts; None for no hit.
WELL_FORMED: list[tuple[str, str, str | None]] = [
    ("GET", "/a.html", "/a.html"),
    ("GET", "/a.html", "/a.html"),
    ("GET", "/a.html?x=1", "/a.html"),
    ("GET", "/b.html?q=a/b?c&d=%20", "/b.html"),
    ("GET", "/?", "/"),
    ("GET", "/no-such-page", "/no-such-page"),
    ("GET", "//a.html", "//a.html"),
    ("GET", "/x/../a.html", "/x/../a.html"),
    ("GET", "/caf%C3%A9.html", "/caf%C3%A9.html"),
    ("GET", LONG, LONG),
    ("GET", "http://other.example/a.html?x=1", "http://other.example/a.html"),
    ("HEAD", "/a.html", None),
    ("POST", "/a.html", None),
    ("OPTIONS", "*", None),
    ("get", "/a.html", None),
    ("FOOBAR", "/a.html", None),
]
RAW: list[tuple[bytes, str | None]] = [
    (b'GET /a".html HTTP/1.1', r"/a\".html"),
    (b"GET /a\\b.html HTTP/1.1", r"/a\\b.html"),
    (b"GET /caf\xc3\xa9.html HTTP/1.1", r"/caf\xc3\xa9.html"),
    (b"GET /a\x01\x1b[31m.html HTTP/1.1", r"/a\x01\x1b[31m.html"),
    (b"GET /dir with spaces HTTP/1.1", "/dir"),
    (b"GET /a.html", "/a.html"),  # HTTP/0.9
    (b"GET a.html HTTP/1.1", None),
    (b"GET", None),
    (b"\x16\x03\x01\x02", None),  # TLS to the plain port
]
HEADERS = b'\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: a "b" \\ c\r\n\r\n'


def mixed_requests(seed: int, rounds: int) -> list[tuple[bytes, str | None]]:
    """Return requests of all kinds, each with its path, in random order. The same seed gives the same order.

    The first is an ordinary one. After a request for another host, a log may be that of Varnish.
    """
    requests = list(RAW)
    for method, target, path in WELL_FORMED:
        requests += [(f"{method} {target} HTTP/{version}".encode(), path) for version in ("1.0", "1.1")]
    requests *= rounds
    random.Random(seed).shuffle(requests)
    return [(request + HEADERS, path) for request, path in [(b"GET /a.html HTTP/1.1", "/a.html"), *requests]]


def log_command(memcached: Memcached) -> str:
    """Return `CustomLog`'s first argument for a logger that counts to *memcached*, as `fasthits conf` prints it."""
    return custom_log(run_fasthits("conf", "--memcached", memcached.spec, "--user", USER))


def open_pipes(pid: int, *descriptors: str) -> set[str]:
    """Return the names of the pipes that process *pid* has open, under these or any descriptors."""
    found = set()
    with suppress(OSError):
        for descriptor in descriptors or os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return {name for name in found if name.startswith("pipe:")}


def wait_for_logger(apache: Apache, known: frozenset[int] = frozenset()) -> frozenset[int]:
    """Return *known* and the new logger, as soon as a SIGTERM does not end it any more.

    At its start Apache checks its configuration and starts another logger. Apache does not keep its pipe.
    """

    def new_loggers() -> frozenset[int]:
        pipes = open_pipes(apache.pid)
        readers = set(apache.processes("fasthits")) & set(children_of(apache.pid)) - known
        return frozenset(pid for pid in readers if outlives(pid, signal.SIGTERM) and open_pipes(pid, "0") & pipes)

    return known | eventually(new_loggers, what="a new logger has started")


def lines_under(logs: Path) -> int:
    """Return the number of lines in all files that cronolog has written."""
    return sum(path.read_bytes().count(b"\n") for path in logs.rglob("access.log"))


def serve(root: Path, memcached: Memcached, requests: list[bytes]) -> str:
    """Send *requests*, twelve at a time, to an Apache that logs to fasthits and cronolog; return the files' pattern.

    Apache's signal kills cronolog even if its pipe holds lines. So this waits until cronolog's file is complete.
    """
    logs = root / "logs"
    to_cronolog, pattern = cronolog(logs)
    with Apache(root / "apache", [log_command(memcached), to_cronolog]) as apache:
        answers = [apache.exchange(requests[0])]
        eventually(lambda: lines_under(logs) == 1, what="the first request is logged")
        with ThreadPoolExecutor(12) as clients:
            answers += clients.map(apache.exchange, requests[1:])
        assert all(answers)
        eventually(lambda: lines_under(logs) >= len(requests), what="cronolog has written all lines")
        wait_for_logger(apache)
        apache.stop()
        assert lines_under(logs) == len(requests)
        assert not re.findall("^fasthits: .*", apache.error_log, re.MULTILINE)
        assert "Traceback" not in apache.error_log
    return pattern


def test_today_and_rollup_agree_on_every_path_of_a_real_apache(place: Path, memcached: Memcached) -> None:
    requests = mixed_requests(seed=2, rounds=20)
    for attempt in range(2):  # once more if midnight came between
        day = date.today()
        pattern = serve(place / f"attempt-{attempt}", memcached, [request for request, _ in requests])
        if date.today() == day:
            break
        memcached.restart()
    expected = Counter(path for _, path in requests if path is not None)

    summary = place / "summary.json"
    rollup = run_fasthits("rollup", day.isoformat(), "--logs", pattern, "--to", "-", "--summary", str(summary))
    assert rollup.returncode == 0, rollup.stderr
    table = list(csv.reader(io.StringIO(rollup.stdout.decode(), newline="")))
    assert table[0] == ["date", "path", "views"]
    assert {row[0] for row in table[1:]} == {day.isoformat()}
    rolled_up = {path: int(views) for _, path, views in table[1:]}
    assert rolled_up == expected
    assert len(rolled_up) == len(table) - 1
    report = json.loads(summary.read_text())
    assert report["lines"] == len(requests)
    assert report["hits"] == expected.total()

    today = run_fasthits("today", *rolled_up, "--date", day.isoformat(), "--memcached", memcached.spec)
    assert today.returncode == 0, today.stderr
    assert today.stdout.decode() == "".join(f"{views}\t{path}\n" for path, views in rolled_up.items())
    assert memcached.counters() == {hit_key(day, path.encode()): views for path, views in expected.items()}


@contextmanager
def slow_download(apache: Apache, target: str) -> Iterator[None]:
    """Request a big file and read little of it. After the block, read it to its end."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", apache.port))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        yield
        while connection.recv(1 << 16):
            pass


def test_graceful_restarts_under_load_lose_no_hit(place: Path, memcached: Memcached) -> None:
    """A file that Apache itself writes has the truth. Slow downloads are logged after the old logger's SIGTERM."""
    access_log = place / "access.log"
    files = {**Apache.FILES, "big.bin": bytes(16 << 20)}
    over = Event()

    def load(path: str) -> Counter[str]:
        answered: Counter[str] = Counter()
        for _ in range(5_000):
            if over.is_set():
                break
            with suppress(ConnectionError):  # a request in the queue of an ending worker gets no answer and no line
                answered[path] += apache.request(path) == 200
        return answered

    with (
        Apache(place / "apache", [log_command(memcached), f'"{access_log}"'], files=files) as apache,
        ThreadPoolExecutor(4) as clients,
    ):
        loads = [clients.submit(load, path) for path in ("/a.html", "/b.html", "/a.html", "/b.html")]
        try:
            loggers = wait_for_logger(apache)
            for number in range(3):
                with slow_download(apache, f"/big.bin?{number}"):
                    apache.graceful()
                    loggers = wait_for_logger(apache, loggers)
        finally:
            over.set()
        answered = sum((load.result(timeout=60) for load in loads), Counter({"/big.bin": 3}))
        apache.stop()
        said = apache.error_log

    views = reference.count(access_log.read_bytes()).views
    assert memcached.counters() == {hit_key(day, path): count for (day, path), count in views.items()}
    logged: Counter[str] = Counter()
    for (_, path), count in views.items():  # of both days, should midnight come between
        logged[path.decode()] += count
    assert logged >= answered
    assert logged["/big.bin"] == 3
    assert min(answered["/a.html"], answered["/b.html"]) > 20
    assert not re.findall("^fasthits: .*|Traceback", said, re.MULTILINE)
