"""`fasthits log --follow` as a service: memcached comes and goes, files are not readable, options are wrong."""

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from fasthits.live.keys import figure_path, hit_key
from fasthits.live.statistics import RULES
from fasthits.rules.rules import Rules
from tests.support.following import QUICK, Writer, expect_all, follow, views_by_path
from tests.support.logger import access_line
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.servers import IS_ROOT, Memcached, require_program

W3C_LINE = "2026-03-12 10:00:00 GET /a 200\n"


def one_kilobyte() -> int:
    """Return 1 KiB for `slab_chunk_max`: in bytes for memcached 1.6.18, in kilobytes for 1.6.38.

    The newer ones refuse 1,024 KiB, because that is more than -I; the older ones this socket.
    """
    program = [require_program("memcached"), "-u", "nobody", "-s", "/nowhere/socket"]
    tried = subprocess.run([*program, "-I", "2k", "-o", "slab_chunk_max=1024"], stderr=subprocess.PIPE, check=False)
    return 1 if b"slab_chunk_max" in tried.stderr else 1024


def test_a_memcached_that_is_down_hangs_or_restarts_gets_each_line_once(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    memcached.kill()
    with follow(place, memcached, log, patch=QUICK) as follower:
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


def test_counters_that_memcached_has_lost_are_reported(place: Path, logs: Path, memcached: Memcached) -> None:
    log, today = logs / "access.log", date.today()
    key = hit_key(today, b"/a")
    with follow(place, memcached, log, patch=QUICK) as follower:
        for lose in (lambda: None, lambda: memcached.ask(b"flush_all")):
            lose()
            with log.open("ab") as file:
                file.write(access_line("/a", today))
            eventually(lambda: memcached.views(key) == 1, what="the hit is counted")
        said = f"memcached has lost counters of today, such as {key}: {memcached.spec} (was it restarted or full?"
        eventually(lambda: said in follower.stderr, what="it says so")


def test_a_memcached_that_keeps_no_marks_is_reported(
    place: Path, logs: Path, start_memcached: Callable[..., Memcached]
) -> None:
    memcached = start_memcached("-I", "2k", "-o", f"slab_chunk_max={one_kilobyte()}")  # a mark of many files is larger
    files = [logs / f"{number}.log" for number in range(80)]
    for file in files:
        file.write_bytes(access_line(f"/{file.name}"))
    with follow(place, memcached, *files, patch=QUICK) as follower:
        for file in files:
            with file.open("ab") as log:
                log.write(access_line("/a"))
        said = (
            f"memcached does not keep where this follower is: {memcached.spec} (after a kill, lines could count twice"
        )
        eventually(lambda: said in follower.stderr, what=lambda: follower.stderr)
        expect_all(memcached, follower, lambda: Counter({"/a": 80}))


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
    with follow(place, first, log, args=args, patch=QUICK) as follower:
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


def test_counting_goes_on_if_the_state_file_cannot_be_written(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, patch=QUICK) as follower:
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


def test_a_start_on_a_full_disk_is_refused_and_says_what_to_do(place: Path, logs: Path, memcached: Memcached) -> None:
    follower = follow(place, memcached, logs / "access.log")
    Path(f"{follower.state}.new").symlink_to("/dev/full")
    follower.launch()
    assert follower.wait() == 1
    told = f"cannot write the state file (No space left on device): {follower.state} (make room on the disk of {place}"
    assert told in follower.stderr


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
    with follow(place, memcached, log, patch=quick) as follower:
        log.write_bytes(access_line("/a") * 3 + access_line("/b", method="POST") + b"nonsense\n")
        figures = {"lines": 5, "hits": 3, "filtered": 1, "malformed": 1, "delivered": 3}
        eventually(lambda: memcached.figures() == figures, what=lambda: f"{memcached.figures()}")
        assert follower.asked("lines 5, hits 3, filtered 1, malformed 1, pending 0, delivered 3, in doubt 0")


def test_it_says_that_each_host_is_counted_separately_as_other_loggers_do(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, args=("--by-host",)) as follower:
        log.write_bytes((b"www.example.org:80 " + access_line("/a")) * 3)
        eventually(lambda: memcached.counters(), what="the hits are counted")
        assert follower.stop() == 0
    assert memcached.figures()["by-host"] == memcached.figures()["hits"] == 3
    assert memcached.views(hit_key(date.today(), figure_path(RULES + Rules(by_host=True).mark))) == 3


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


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
@pytest.mark.parametrize("what", ["log", "folder"])
def test_a_log_that_was_unreadable_at_the_first_start_begins_at_its_end_after_a_restart(
    what: str, place: Path, logs: Path, memcached: Memcached
) -> None:
    log, own = logs / "access.log", place / "own"
    log.write_bytes(access_line("/old"))
    own.mkdir()
    shutil.chown(own, "nobody")
    hidden, mode = (log, 0o644) if what == "log" else (logs, 0o755)
    hidden.chmod(0o600)
    with follow(place, memcached, log, args=("--user", "nobody", "--state", str(own / "follow.state"))) as follower:
        eventually(lambda: f"cannot read log file: {log}" in follower.stderr, what=lambda: follower.stderr)
        assert follower.stop() == 0
        hidden.chmod(mode)
        follower.start()
        with log.open("ab") as file:
            file.write(access_line("/new"))
        expect_all(memcached, follower, lambda: Counter({"/new": 1}))


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")
def test_state_files_that_root_has_left_are_named_with_what_to_do(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log, own = logs / "access.log", place / "own"
    own.mkdir()
    state, lock = own / "follow.state", own / "follow.state.lock"
    with follow(place, memcached, log, args=("--state", str(state))) as trial:
        assert trial.stop() == 0
    shutil.chown(own, "nobody")
    denied = "fasthits: cannot use the state file (Permission denied): "
    remedy = "give it to the follower's user: chown USER"
    args = ("--user", "nobody", "--state", str(state))
    for given, said in (
        ((), f"{state} ({remedy} {state} {lock})"),
        ((state,), f"{lock} ({remedy} {state} {lock})"),
    ):
        for path in given:
            shutil.chown(path, "nobody")
        for check in ((), ("--check",)):
            wrong = follow(place, memcached, log, args=(*args, *check))
            wrong.launch()
            assert wrong.wait() == 1
            assert wrong.stderr == f"{denied}{said}\n"
    shutil.chown(lock, "nobody")
    with follow(place, memcached, log, args=args) as follower:
        log.write_bytes(access_line("/a"))
        expect_all(memcached, follower, lambda: Counter({"/a": 1}))


def test_mistakes_are_reported_with_what_to_do(place: Path, logs: Path, memcached: Memcached) -> None:
    log, other = logs / "access.log", logs / "other.log"
    with follow(place, memcached, log) as follower:
        second = follow(place, memcached, log)
        with pytest.raises(AssertionError, match="another follower"):
            second.__enter__()
        assert follower.stop() == 0
    others = f"the state file belongs to other logs ({log}): {follower.state} (name another with --state FILE"
    for files, args, said in (
        ([other], (), others),
        ([other], ("--check",), others),
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
    checked = follow(place, memcached, log, logs / "acces.log", args=("--check",))
    checked.launch()
    assert checked.wait() == 0
    assert f"warning: no such log file yet: {logs}/acces.log (is the name right?" in checked.stderr
    (logs / "syslog").write_text("Nov 27 07:00:00 host cron[1]: no line of a web server\n" * 400)
    (logs / "w3c.log").write_text("#Fields: date time cs-method cs-uri-stem sc-status\n" + W3C_LINE * 400)
    checked = follow(
        place, memcached, logs / "syslog", logs / "w3c.log", args=("--check", "--state", str(place / "new.state"))
    )
    checked.launch()
    assert checked.wait() == 0
    (said,) = re.findall("warning: .*", checked.stderr)
    assert re.match(rf"warning: {logs}/syslog: (\d+) of the last \1 lines cannot be read as .*fasthits explain", said)
    follower.state.write_text("{")
    broken = follow(place, memcached, log)
    broken.launch()
    assert broken.wait() == 1
    assert f"the state file is damaged: {follower.state} (delete it: counting then starts at the end" in broken.stderr
