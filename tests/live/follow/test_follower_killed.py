"""`fasthits log --follow` is killed or ended and started again: each line counts once."""

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.following import QUICK, Writer, expect_all, follow, logrotate, views_by_path
from tests.support.logger import access_line
from tests.support.processes import eventually
from tests.support.servers import Memcached

KILLS = 6


@pytest.mark.slow
def test_no_line_is_lost_or_counted_twice_over_kills(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    moment = random.Random(5)
    writer = Writer(log)
    with follow(place, memcached, log, patch=QUICK) as follower:
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
    patch = DIE.format(flag=str(flag), moment="after" if moment == "hanging" else moment, pause=pause)
    with follow(place, memcached, log, patch=patch) as follower:
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
    with follow(place, memcached, log, patch=QUICK) as follower:
        old = follower.state.read_bytes()
        log.write_bytes(access_line("/a") * 3)
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
    assert "3 hits in doubt, not counted again" in follower.stderr


def test_the_marks_in_memcached_correct_an_old_state_file(place: Path, logs: Path, memcached: Memcached) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, patch=QUICK) as follower:
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


def test_an_old_copy_of_the_state_file_is_refused_and_nothing_counts_twice(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    log.touch()
    with follow(place, memcached, log) as follower:
        assert follower.stop() == 0
        copy = follower.state.read_bytes()
        follower.start()
        log.write_bytes(access_line("/a") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        assert follower.stop() == 0
        follower.state.write_bytes(copy)
        for said in range(1, 3):
            follower.launch()
            assert follower.wait() == 1
            told = f"{memcached.spec} has counted further than the state file says: {follower.state} (an old copy"
            assert follower.stderr.count(told) == said
            assert follower.stderr.count("\n") == said
        assert views_by_path(memcached) == Counter({"/a": 3})
        follower.state.unlink()
        follower.start()
        with log.open("ab") as file:
            file.write(access_line("/b"))
        expect_all(memcached, follower, lambda: Counter({"/a": 3, "/b": 1}))


def test_a_copy_of_the_machine_does_not_go_on_at_the_place_of_the_other_machine(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    """A machine made from an image of a running web server has the same files and state, and the same memcached."""
    log = logs / "access.log"
    log.touch()
    with follow(place, memcached, log, patch=QUICK) as follower:
        image = follower.state.read_bytes()
        log.write_bytes(access_line("/a") * 30)
        expect_all(memcached, follower, lambda: Counter({"/a": 30}))
        eventually(lambda: follower.state.read_bytes() != image, what="it has saved its state")
        image, size = follower.state.read_bytes(), log.stat().st_size
        with log.open("ab") as file:
            file.write(access_line("/of-the-original") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 30, "/of-the-original": 3}))
        follower.kill()
        os.truncate(log, size)
        with log.open("ab") as file:
            file.write(access_line("/copy") * 50)
        follower.state.write_bytes(image)
        follower.launch()
        assert follower.wait() == 1
        told = (
            f"{memcached.spec} has counted further than the state file says: {follower.state} (an old copy, or in use"
        )
        assert told in follower.stderr
        follower.state.unlink()
        follower.start()
        with log.open("ab") as file:
            file.write(access_line("/new"))
        expect_all(memcached, follower, lambda: Counter({"/a": 30, "/of-the-original": 3, "/new": 1}))


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


@pytest.mark.parametrize("killed", [False, True])
def test_a_log_that_is_not_there_at_the_start_goes_on_when_it_is_back(
    killed: bool, place: Path, logs: Path, memcached: Memcached
) -> None:
    """As if its disk was mounted after the follower had started."""
    log = logs / "access.log"
    with follow(place, memcached, log) as follower:
        log.write_bytes(access_line("/a") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        hidden = logs.rename(logs.with_name("hidden"))
        for _ in range(2):
            if killed:
                follower.kill()
            else:
                assert follower.stop() == 0
            follower.start()
        hidden.rename(logs)
        with log.open("ab") as file:
            file.write(access_line("/a"))
        expect_all(memcached, follower, lambda: Counter({"/a": 4}))
    assert follower.stderr.count("is missing or unreadable: counting goes on there") == 2


def test_the_state_of_an_earlier_version_is_gone_on_with(place: Path, logs: Path, memcached: Memcached) -> None:
    """An upgrade. Positions had no fingerprint of the last bytes, so they cannot contradict a log."""
    log = logs / "access.log"
    with follow(place, memcached, log) as follower:
        log.write_bytes(access_line("/a") * 3)
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        assert follower.stop() == 0
        state = json.loads(follower.state.read_bytes())
        for _, positions in state["marks"]:
            for position in positions:
                position.pop()
        follower.state.write_text(json.dumps(state | {"clean": False}))
        with log.open("ab") as file:
            file.write(access_line("/a") * 2)
        follower.start()
        expect_all(memcached, follower, lambda: Counter({"/a": 5}))


def test_lines_that_were_not_delivered_at_the_end_count_after_the_next_start(
    place: Path, logs: Path, memcached: Memcached
) -> None:
    log = logs / "access.log"
    with follow(place, memcached, log, args=("--drain-timeout", "0.2"), patch=QUICK) as follower:
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
