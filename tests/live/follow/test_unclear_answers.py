"""A follower whose memcached, or a proxy before it, gives answers that make no sense: hits wait, or are in doubt."""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fasthits.live.follow.carrier import Carrier, Place
from fasthits.live.follow.positions import Mark
from fasthits.live.servers import Server
from tests.support.following import QUICK, expect_all, follow, views_by_path
from tests.support.logger import access_line
from tests.support.processes import eventually
from tests.support.proxy import Proxy, Stranger
from tests.support.servers import Memcached

LATE = b"SERVER_ERROR Connection timed out"
"""The answer of twemproxy."""


def answering(answers: dict[bytes, Callable[[], bytes]]) -> Callable[[socket.socket], None]:
    """Return a treatment that gives an answer to each line by its first word; data and ``noreply`` get none."""

    def treat(client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            for line in lines:
                answer = answers.get(line.split()[0])
                if answer and b"noreply" not in line:
                    client.sendall(answer() + b"\r\n")

    return treat


def sane(**changes: bytes) -> dict[bytes, Callable[[], bytes]]:
    """Return answers like those of memcached, with *changes*."""
    answers = {
        "version": b"VERSION 1.6.18",
        "add": b"STORED",
        "incr": b"0",
        "set": b"STORED",
        "get": b"END",
        "touch": b"TOUCHED",
    }
    return {word.encode(): lambda answer=answer: answer for word, answer in (answers | changes).items()}


@pytest.mark.parametrize(
    "instead", [b"ERROR", b"WHAT IS THIS", b"CLIENT_ERROR bad thing", b"SERVER_ERROR backend failure", LATE], ids=str
)
def test_hits_wait_until_the_answers_make_sense(place: Path, logs: Path, memcached: Memcached, instead: bytes) -> None:
    log = logs / "access.log"
    with Proxy(memcached, seed=1) as proxy, follow(place, proxy, log) as follower:
        proxy.instead = instead
        log.write_bytes(access_line("/a") * 3)
        said = f"no clear answer from memcached: {proxy.spec} (STORED, {instead.decode()}: look at the server or proxy"
        eventually(lambda: said in follower.stderr, what=lambda: follower.stderr)
        assert follower.asked("pending 3, delivered 0, in doubt 0, refused 0")
        assert views_by_path(memcached) == Counter({"/a": 0})
        proxy.heal()
        expect_all(memcached, follower, lambda: Counter({"/a": 3}))
        eventually(lambda: follower.asked("pending 0, delivered 3, in doubt 0, refused 0"))
    assert "no room" not in follower.stderr


def test_an_error_of_a_proxy_does_not_mean_that_memcached_is_full(place: Path, logs: Path) -> None:
    log = logs / "access.log"
    with Stranger(answering(sane(add=LATE, incr=b"NOT_FOUND"))) as server, follow(place, server, log) as follower:
        log.write_bytes(access_line("/a"))
        said = f"no clear answer from memcached: {server.spec} ({LATE.decode()}: look"
        eventually(lambda: said in follower.stderr, what=lambda: follower.stderr)
        assert "no room" not in follower.stderr


def test_lines_of_another_protocol_are_no_answers(place: Path, logs: Path) -> None:
    def treat(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(b"VERSION 1.6.18\r\n")
        client.recv(1 << 16)
        while True:
            client.sendall(b"key=%3A1 exp=1\n" * 100)

    log = logs / "access.log"
    with Stranger(treat) as server, follow(place, server, log) as follower:
        log.write_bytes(access_line("/a") * 3)
        eventually(lambda: "no clear answer from memcached" in follower.stderr, what=lambda: follower.stderr)
        assert follower.asked("pending 3, delivered 0, in doubt 0, refused 0")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"STORED", "delivered 3, in doubt 0"),
        (b"SERVER_ERROR out of memory storing object", "delivered 3, in doubt 0"),
        (LATE, "delivered 0, in doubt 3"),
        (b"NOT_STORED", "delivered 0, in doubt 3"),
        (b"ERROR", "delivered 0, in doubt 3"),
        (b"x" * 3000, "delivered 0, in doubt 3"),
    ],
)
def test_the_reply_to_the_last_mark_tells_whether_hits_were_counted(
    place: Path, logs: Path, reply: bytes, outcome: str
) -> None:
    log = logs / "access.log"
    with Stranger(answering(sane(set=reply))) as server, follow(place, server, log, patch=QUICK) as follower:
        log.write_bytes(access_line("/a") * 3)
        eventually(lambda: follower.asked(f"pending 0, {outcome}, refused 0"), what=lambda: follower.stderr)
        text = f"no clear answer whether hits were counted: {server.spec} ({reply.decode()[:100]}), 3 hits in doubt"
        assert (text in follower.stderr) == ("in doubt 3" in outcome)


def test_an_error_does_not_mean_that_there_are_no_marks() -> None:
    mark = Mark(7, ())
    packed = b"7 3 eAGLNteJjo0FAAYTAdQ="
    marks = b"VALUE :1:!follow-me-begun 0 %d\r\n%b\r\nVALUE :1:!follow-me-ended 0 1\r\n7\r\nEND" % (len(packed), packed)
    replies = iter([LATE, b"ERROR", b"WHAT IS THIS", b"VALUE x\r\nEND"])
    answers = sane() | {b"get": lambda: next(replies, marks)}
    reported: list[str] = []
    read, write = os.pipe()
    with Stranger(answering(answers)) as server, closing(open(read)), closing(open(write, "wb")):
        carrier = Carrier(
            Server(server.spec), "me", ":1:", 60, read, lambda _, text: reported.append(text), lambda *_: None
        )
        assert carrier.recover(time.monotonic()) == Place(mark, 3, 7)
        carrier.queue.put(None)
        carrier.start()
        carrier.join()
    unclear = [text for text in reported if text.startswith("no clear answer")]
    assert [text.partition(" (")[2].partition(": look")[0] for text in unclear] == [
        LATE.decode(),
        "ERROR",
        "WHAT IS THIS",
        "VALUE x",
    ]
