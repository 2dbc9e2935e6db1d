"""`fasthits log --follow`: each line counts once, in spite of rotation, kills and a memcached that comes and goes."""

import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support.following import QUICK, Follower, Load, Nginx
from tests.support.logger import access_line
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.servers import IS_ROOT, Memcached, require_program

ROTATIONS = 6
KILLS = 6


@pytest.fixture
def logs(place: Path) -> Path:
    folder = place / "logs"
    folder.mkdir(mode=0o755)
    return folder


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

    def __enter__(self) -> "Writer":
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
                    time.sleep(2)  # nginx may be late: it goes on writing to the renamed file
                else:
                    size = old.stat().st_size + late.randint(0, 200_000)
                    eventually(lambda old=old, size=size: old.stat().st_size >= size, what="nginx writes to it still")
                nginx.reopen()
                eventually(log.exists, what="nginx has opened a new log")
        expect_all(memcached, follower, lambda: lines_of(logs.iterdir()))


@pytest.mark.slow
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


def test_a_memcached_that_is_down_hangs_or_restarts_gets_each_line_once(
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


def test_after_a_kill_while_memcached_hangs_the_marks_tell_what_arrived(
    place: Path, logs: Path, memcached: Memcached
) -> None:
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
                eventually(follower.has_begun, 60, lambda: follower.stderr)
        expect_all(memcached, follower, lambda: writer.written)
    assert "in doubt" not in follower.stderr


def test_broken_connections_at_most_leave_hits_in_doubt(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    moment = random.Random(3)
    with Proxy(memcached, seed=1) as proxy, follow(place, proxy, log) as follower:
        with Writer(log) as writer:
            for _ in range(2):
                writer.wait_for(500)
                proxy.cut_after = moment.randint(1, 20_000)
                eventually(lambda: proxy.cut_after is None, what="the connection is cut in a reply")
                proxy.cut_request_after = moment.randint(1, 100_000)
                eventually(lambda: proxy.cut_request_after is None, what="the connection is cut in a request")
        written = writer.written.total()
        lines = f"lines {written}, hits {written}, filtered 0, malformed 0, pending 0, "
        eventually(lambda: follower.asked(lines), 60, lambda: follower.stderr)
        delivered, in_doubt = map(int, re.findall(r"delivered (\d+), in doubt (\d+)", follower.stderr)[-1])
    counted = views_by_path(memcached)
    assert delivered + in_doubt == written
    assert counted <= writer.written, "none is counted twice"
    assert delivered <= counted.total()
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
    """Run logrotate once, even if the time has not come."""
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
                writer.wait_for(3000)  # more bytes than before
            written += writer.written
            if not running:
                follower.start()
        expect_all(memcached, follower, lambda: written)


DIE = """
import os, signal, fasthits.live.follow.carrier as c, fasthits.live.connections as k
c.SETTLE_SECONDS = 0.5
flag = {flag!r}
def die():
    os.unlink(flag)
    {pause}
    os.kill(os.getpid(), signal.SIGKILL)
send, receive, begun = k.Channel.send, k.Channel.receive, []
def watched_send(self, data):
    mine = bytes(data[:4]) == b"set " and os.path.exists(flag)
    if mine and {moment!r} == "before":
        die()
    if mine and {pause!r}:
        {pause}
    sent = send(self, data)
    assert not mine or sent == len(data), "it did not go in one send"
    if mine and {moment!r} == "after":
        die()
    begun.append(mine)
    return sent
def watched_receive(self):
    received = receive(self)
    if received and begun and begun[-1] and {moment!r} == "answered":
        die()
    return received
k.Channel.send, k.Channel.receive = watched_send, watched_receive
"""
"""Python that has a follower killed before it sends a segment, after that, or when it is answered, if a file exists."""


@pytest.mark.parametrize("moment", ["before", "after", "answered", "hanging"])
def test_a_kill_at_the_worst_moments_loses_and_doubles_nothing(
    place: Path, logs: Path, memcached: Memcached, moment: str
) -> None:
    log, flag = logs / "access.log", place / "die"
    expected = Counter({f"/{number}": 20 for number in range(400)})
    lines = b"".join(access_line(path) for path in expected.elements())
    pause = f"os.kill({memcached.pid}, signal.SIGSTOP)" if moment == "hanging" else "pass"
    first = DIE.format(flag=str(flag), moment="after" if moment == "hanging" else moment, pause=pause)
    with follow(place, memcached, log, first=first) as follower:
        for number in range(5):
            flag.touch()
            with log.open("ab") as file:
                file.write(lines)
            assert follower.wait() == -signal.SIGKILL
            follower.launch()
            memcached.resume()
            eventually(follower.has_begun, 60, lambda: follower.stderr)
            total = Counter({path: views * (number + 1) for path, views in expected.items()})
            expect_all(memcached, follower, lambda total=total: total)
    assert "in doubt" not in follower.stderr


def test_after_a_kill_during_a_delivery_hits_in_doubt_are_reported(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    """A sudden end may leave one mark without the other in memcached: only a part of the delivery has arrived."""
    log = logs / "access.log"
    with follow(place, memcached, log, first=QUICK) as follower:
        log.write_bytes(access_line("/a") * 3)
        old = follower.state.read_bytes()
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        follower.kill()
        follower.state.write_bytes(old)
        (ended,) = (key.decode() for key in sorted(memcached.keys()) if key.endswith(b"-ended"))
        client = memcached.client()
        client.set(ended, b"1")
        client.close()
        follower.start()
        with log.open("ab") as file:
            file.write(access_line("/b"))
        expect_all(memcached, follower, lambda: Counter({"/a": 3, "/b": 1}))
    assert "the follower was killed while memcached was counting" in follower.stderr
    assert "3 hits in doubt are not counted again" in follower.stderr


def test_the_marks_in_memcached_correct_an_old_state_file(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, first=QUICK) as follower:
        old = follower.state.read_bytes()
        log.write_bytes(access_line("/a") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        follower.kill()
        follower.state.write_bytes(old)  # like after a power failure
        with log.open("ab") as file:
            file.write(access_line("/b"))
        logrotate(place, log, "copytruncate")
        with log.open("ab") as file:
            file.write(access_line("/c") * 9)
        follower.start()
        expect_all(memcached, follower, lambda: Counter({"/a": 3, "/b": 1, "/c": 9}))


def test_counting_goes_on_if_the_state_file_cannot_be_written(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, first=QUICK) as follower:
        Path(f"{follower.state}.new").mkdir()
        log.write_bytes(access_line("/a") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        eventually(lambda: "cannot write the state file" in follower.stderr, what="it says so")
        follower.kill()
        follower.launch()
        assert follower.wait() == 1
        assert f"cannot write the state file (Is a directory): {follower.state}" in follower.stderr
        Path(f"{follower.state}.new").rmdir()
        follower.start()
        with log.open("ab") as file:
            file.write(access_line("/b"))
        expect_all(memcached, follower, lambda: Counter({"/a": 3, "/b": 1}))


def test_after_a_proper_end_it_goes_on_where_it_was(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    written = Counter[str]()
    with follow(place, memcached, log) as follower:
        for signal_number in (signal.SIGTERM, signal.SIGINT) * 3:
            with Writer(log) as writer:
                writer.wait_for(500)
                assert follower.stop(signal_number) == 0
                writer.wait_for(500)
            written += writer.written
            follower.start()
        expect_all(memcached, follower, lambda: written)
    assert follower.stderr.count("first time") == 0


def test_lines_that_were_not_delivered_at_the_end_count_after_the_next_start(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, args=("--drain-timeout", "0.2"), first=QUICK) as follower:
        memcached.pause()
        log.write_bytes(access_line("/a") * 3)
        eventually(lambda: follower.asked("hits 3"), what="it has read the lines")
        assert follower.stop() == 0
        assert "ended before everything was delivered: 3 hits waiting; the next start counts" in follower.stderr
        memcached.resume()
        follower.start()
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        memcached.kill()
        assert follower.stop() == 0
        follower.launch()  # after a proper end there is no need to ask memcached
        eventually(follower.has_begun, what=lambda: follower.stderr)


def test_a_signal_ends_it_while_it_waits_for_memcached_at_the_start(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    log.touch()
    with follow(place, memcached, log) as follower:
        follower.kill()
        memcached.kill()
        follower.launch()
        eventually(lambda: "cannot reach memcached" in follower.stderr, what="it looks for memcached")
        assert follower.stop() == 0


def test_figures_are_published_as_those_of_other_loggers(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    quick = "import fasthits.live.statistics as h; h.PUBLISH_SECONDS = 0.1"
    with follow(place, memcached, log, first=quick) as follower:
        log.write_bytes(access_line("/a") * 3 + access_line("/b", method="POST") + b"nonsense\n")
        figures = {"lines": 5, "hits": 3, "filtered": 1, "malformed": 1, "delivered": 3}
        eventually(lambda: memcached.figures() == figures, what=lambda: f"{memcached.figures()}")
        assert follower.asked("lines 5, hits 3, filtered 1, malformed 1, pending 0, delivered 3, in doubt 0")


def test_rules_and_formats_apply_to_each_file(place: Path, logs: Path, memcached: Memcached) -> None:
    a, b = logs / "a.log", logs / "b.json"
    with follow(
        place, memcached, a, logs / "*.json", args=("--exclude-path", "/private/*", "--fold-slash")
    ) as follower:
        a.write_bytes(access_line("/x/") + access_line("/private/x"))
        b.write_text('{"time_local": "12/Mar/2026:10:00:00 +0100", "request": "GET /x HTTP/1.1", "status": 200}\n' * 2)
        expect_all(memcached, follower, lambda: Counter({"/x": 3}))


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_a_follower_reports_an_unreadable_log_until_it_is_readable(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log, own = logs / "access.log", place / "own"
    log.write_bytes(access_line("/old"))
    log.chmod(0o600)
    own.mkdir()
    shutil.chown(own, "nobody")
    state = own / "follow.state"
    with follow(place, memcached, log, args=("--user", "nobody", "--state", str(state))) as follower:
        eventually(
            lambda: f"cannot read log file: {log} (Permission denied; the follower's user" in follower.stderr,
            what=lambda: follower.stderr,
        )
        log.chmod(0o644)
        with log.open("ab") as file:
            file.write(access_line("/new"))
        expect_all(memcached, follower, lambda: Counter({"/new": 1}))
        assert follower.stop() == 0


def test_mistakes_are_reported_with_what_to_do(place: Path, logs: Path, memcached: Memcached) -> None:
    log, other = logs / "access.log", logs / "other.log"
    with follow(place, memcached, log) as follower:
        second = follow(place, memcached, log)
        with pytest.raises(AssertionError, match="another follower"):
            second.__enter__()
        assert follower.stop() == 0
    for files, args, said in (
        (
            [other],
            (),
            f"the state file belongs to other logs ({log}): {follower.state} (name another with --state FILE",
        ),
        (
            [log],
            ("--state", str(place / "no" / "state")),
            f"no folder for the state file: {place}/no (make it: install",
        ),
        ([], ("--state", "x"), "--state is for --follow: x (name the log file with --follow FILE)"),
        (["-"], (), "not a file to follow: '-' (name a log file; * stands for several)"),
    ):
        wrong = follow(place, memcached, *files, args=args)
        wrong.launch()
        assert wrong.wait() in (1, 2)
        assert said in wrong.stderr
    checked = follow(place, memcached, log, args=("--check", "--state", str(place / "no" / "state")))
    checked.launch()
    assert checked.wait() == 1
    assert "no folder for the state file" in checked.stderr
    follower.state.write_text("{")
    broken = follow(place, memcached, log)
    broken.launch()
    assert broken.wait() == 1
    assert f"the state file is damaged: {follower.state} (put a copy of it back, or delete it" in broken.stderr
