"""`fasthits check` compares the log with the live counters, and `fasthits warm` repairs the counters."""

import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from fasthits.live.keys import hit_key
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually, run_fasthits
from tests.support.proxy import Proxy
from tests.support.servers import Memcached

SETTLE = ("--settle", "0.1")
LONG = "/" + "long" * 100
NONE_WAS_RIGHT = (
    "fasthits: no counter had all its hits "
    "(unless memcached has just been restarted, take --memcached and --prefix from the logger: fasthits doctor)"
)


@pytest.fixture
def log(place: Path) -> Path:
    """The day's log: 5 paths, 30 hits, and lines that are not hits."""
    file = place / "access.log"
    paths = ["/a"] * 12 + ["/b"] * 8 + [LONG] * 5 + ["/c"] * 4 + ["/caf%C3%A9"]
    file.write_bytes(access_lines(paths) + access_line("/a", method="POST") + b"malformed\n")
    return file


def run(command: str, log: Path, memcached: Memcached, *args: str) -> "subprocess.CompletedProcess[bytes]":
    where = ("--logs", str(log), "--memcached", memcached.spec)
    return run_fasthits(command, str(DAY), *where, *SETTLE, *args)


def live(memcached: Memcached, path: str) -> int:
    return memcached.views(hit_key(DAY, path.encode()))


def test_counters_that_the_logger_made_are_equal_to_its_log(memcached: Memcached, logger: Logger, log: Path) -> None:
    logger.write(log.read_bytes())
    assert logger.finish() == 0
    done = run("check", log, memcached)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"fasthits: 5 paths equal, with 30 hits\n"


def test_check_reports_missing_and_surplus_hits_for_each_path(memcached: Memcached, logger: Logger, log: Path) -> None:
    logger.write(log.read_bytes() + access_line("/a") * 2)
    assert logger.finish() == 0
    client = memcached.client()
    client.delete(hit_key(DAY, b"/b"))
    client.decr(hit_key(DAY, b"/c"), 1)
    client.close()
    done = run("check", log, memcached)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == ["missing\t8\t0\t/b", "missing\t4\t3\t/c", "more\t12\t14\t/a"]
    assert b"2 paths equal, with 6 hits" in done.stderr
    assert b"2 paths missing 9 hits (to add them: fasthits warm)" in done.stderr
    why = "the log lacks lines, as with cronolog when Apache restarts, or lines were counted twice, or by other rules"
    assert f"1 path with 2 hits more than in the log ({why}: fasthits doctor)" in done.stderr.decode()
    assert [run("check", log, memcached, "--tolerance", hits).returncode for hits in ("10", "11")] == [1, 0]


def test_warm_brings_back_all_that_memcached_lost_once(memcached: Memcached, logger: Logger, log: Path) -> None:
    logger.write(log.read_bytes())
    assert logger.finish() == 0
    memcached.restart()
    first = run("warm", log, memcached)
    said, hint = first.stderr.decode().splitlines()
    assert said == "fasthits: 2026-03-12: 30 hits added to 5 counters, 0 already right"
    assert hint == NONE_WAS_RIGHT
    assert run("check", log, memcached).returncode == 0
    second = run("warm", log, memcached)
    assert second.stderr == b"fasthits: 2026-03-12: 0 hits added to 0 counters, 5 already right\n"
    assert [first.returncode, second.returncode, live(memcached, "/a"), live(memcached, LONG)] == [0, 0, 12, 5]
    item = memcached.item(hit_key(DAY, b"/a"))
    assert item is not None
    assert item.flags == 2


def test_warm_adds_missing_hits_and_removes_nothing(memcached: Memcached, log: Path) -> None:
    client = memcached.client()
    for path, views in ((b"/a", 11), (b"/b", 9)):
        client.set(hit_key(DAY, path), str(views).encode(), noreply=False, flags=2)
    client.close()
    assert run("warm", log, memcached).returncode == 0
    assert [live(memcached, path) for path in ("/a", "/b", "/c")] == [12, 9, 4]


@pytest.mark.slow
def test_warm_never_counts_too_many_hits_while_a_logger_runs(memcached: Memcached, logger: Logger, log: Path) -> None:
    """Each line goes to the log and to the logger, as Apache does it. Memcached loses everything twice."""
    sent = Counter({"/a": 12, "/b": 8, LONG: 5, "/c": 4, "/caf%C3%A9": 1})
    ended = threading.Event()

    def read_on() -> None:
        with log.open("ab", buffering=0) as file:
            for number in range(200_000):
                if ended.wait(0.0002):  # some thousands of lines a second
                    return
                path = f"/{number % 40}" if number % 2 else "/a"
                sent[path] += 1
                file.write(access_line(path))
                logger.write(access_line(path))

    reading = threading.Thread(target=read_on)
    reading.start()
    try:
        for _ in range(2):
            memcached.restart()
            for _ in range(2):
                assert run("warm", log, memcached, "--settle", "1").returncode == 0  # longer than a retry
                here = {path: live(memcached, path) for path in list(sent)}
                assert {path: views for path, views in here.items() if views > sent[path]} == {}
    finally:
        ended.set()
        reading.join()
    assert logger.finish() == 0
    assert run("warm", log, memcached).returncode == 0
    in_doubt = {path: sent[path] - live(memcached, path) for path in sent}
    assert set(in_doubt.values()) == {0}


def test_warm_waits_for_hits_that_a_logger_has_not_delivered_yet(
    memcached: Memcached, start_logger: Callable[..., Logger], log: Path
) -> None:
    """Memcached has lost the first lines of the log. The other lines wait in the logger, as after an outage."""
    backlog = access_lines(f"/waiting/{number}" for number in range(10_000))
    with log.open("ab") as file:
        file.write(backlog)
    with Proxy(memcached, seed=1) as proxy:
        proxy.delay = 0.1  # for each piece of a reply: together they take longer than warm waits
        logger = start_logger("--memcached", proxy.spec)
        logger.write(backlog)
        logger.wait_until_read()
        done = run("warm", log, memcached, "--settle", "1")
        assert logger.finish() == 0
    assert done.stderr == b"fasthits: 2026-03-12: 30 hits added to 5 counters, 10,000 already right\n"
    assert run("check", log, memcached).returncode == 0


def test_warm_reads_standard_input_once(memcached: Memcached, log: Path) -> None:
    lines = log.read_bytes()
    where = (str(DAY), "--logs", "-", "--memcached", memcached.spec, *SETTLE)
    added = [run_fasthits("warm", *where, stdin=lines).stderr for _ in range(2)]
    assert [b" 30 hits added to 5 counters" in added[0], b" 0 hits added to 0 counters" in added[1]] == [True, True]


def test_two_runs_of_warm_at_once_do_not_add_twice(memcached: Memcached, log: Path) -> None:
    client = memcached.client()
    client.add(f":1:{DAY}#warm", b"somebody", noreply=False)
    refused = run("warm", log, memcached)
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"fasthits: another process is at work: :1:2026-03-12#warm (")
    client.delete(f":1:{DAY}#warm", noreply=False)
    client.close()
    done = [None, None]

    def warm(number: int) -> None:
        done[number] = run("warm", log, memcached).returncode

    both = [threading.Thread(target=warm, args=(number,)) for number in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(done) in ([0, 0], [0, 1])
    assert live(memcached, "/a") == 12
    assert memcached.item(f":1:{DAY}#warm") is None


def test_several_servers_are_compared_and_warmed_alike(start_memcached: Callable[..., Memcached], log: Path) -> None:
    specs = ",".join(start_memcached().spec for _ in range(2))
    where = (str(DAY), "--logs", str(log), "--memcached", specs, *SETTLE)
    assert run_fasthits("warm", *where).returncode == 0
    assert run_fasthits("check", *where).stderr == b"fasthits: 5 paths equal, with 30 hits\n"


@pytest.mark.parametrize("command", ["check", "warm"])
def test_bad_input_is_one_line(command: str, memcached: Memcached, log: Path) -> None:
    where = ("--memcached", memcached.spec)
    for arguments, code, message in (
        (("2026-03-12", "--logs", "/nothing", *where), 1, b"fasthits: no log file for 2026-03-12: /nothing ("),
        (("2026-03-12..2026-03-13", *where), 2, b"fasthits: not a DATE: "),
        (
            (str(DAY), "--logs", str(log), *SETTLE, "--memcached", "127.0.0.1:1"),
            1,
            b"fasthits: cannot reach memcached: ",
        ),
    ):
        done = run_fasthits(command, *arguments)
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.startswith(message)
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", ["check", "warm"])
def test_a_log_that_cannot_be_read_or_is_of_another_day_never_seems_right(
    command: str, memcached: Memcached, log: Path
) -> None:
    log.write_bytes(b"of another kind\n" * 5)
    done = run(command, log, memcached)
    assert done.returncode == 1
    assert done.stderr.startswith(b"fasthits: no line of this file can be read: ")
    log.write_bytes(access_line("/a", date(2026, 3, 1)) * 5)
    done = run(command, log, memcached)
    assert done.returncode == 0
    told = b"fasthits: nothing was compared: the log has no hit of 2026-03-12 (name another log with --logs"
    assert done.stderr.splitlines()[-1].startswith(told)


def test_one_of_several_logs_that_cannot_be_read_is_an_error(memcached: Memcached, log: Path) -> None:
    log.with_name("access.log.1").write_bytes(b"of another kind\n" * 1000)
    done = run("check", log.with_name("access.log*"), memcached)
    assert done.returncode == 1
    assert b"no line of this file can be read: " in done.stderr


def test_a_counter_that_holds_no_number_is_an_error_and_stays(memcached: Memcached, log: Path) -> None:
    client = memcached.client()
    client.set(hit_key(DAY, b"/a"), b"text", noreply=False)
    done = run("warm", log, memcached)
    assert (done.returncode, client.get(hit_key(DAY, b"/a"))) == (1, b"text")
    client.close()
    assert b"no number in counter: :1:2026-03-12/a" in done.stderr
    eventually(lambda: memcached.item(f":1:{DAY}#warm") is None, what="the lock to be gone")


@pytest.mark.parametrize("command", ["check", "warm"])
def test_rules_by_which_no_logger_counts_are_refused(
    memcached: Memcached, start_logger: Callable[..., Logger], place: Path, command: str
) -> None:
    """The hits of the style sheet would be missing, and `warm` would add them."""
    log = place / "access.log"
    today = date.today()
    log.write_bytes(access_lines(["/a", "/a.css"], today))
    logger = start_logger("--memcached", memcached.spec, "--exclude-static")
    logger.write(log.read_bytes())
    assert logger.finish() == 0
    where = ("--logs", str(log), "--memcached", memcached.spec, *SETTLE)
    for given, named in (((), "the default"), (("--exclude-static", "--fold-slash"), "exclude-static, fold-slash")):
        done = run_fasthits(command, *where, *given)
        said = f"fasthits: no logger has counted by these rules: {named} (take the options of fasthits log, which"
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode().startswith(said)
    assert run_fasthits(command, *where, "--exclude-static", "--format", "combined").returncode == 0
    assert memcached.counters() == {hit_key(today, b"/a"): 1}


def test_counters_that_no_logger_has_made_are_reported(memcached: Memcached, logger: Logger, log: Path) -> None:
    """A prefix was forgotten, so `warm` repairs nothing."""
    logger.write(log.read_bytes())
    assert logger.finish() == 0
    for command in ("check", "warm"):
        assert NONE_WAS_RIGHT in run(command, log, memcached, "--prefix", "other:").stderr.decode().splitlines()
        assert NONE_WAS_RIGHT not in run(command, log, memcached).stderr.decode().splitlines()
