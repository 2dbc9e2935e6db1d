"""The parts of the supervisor: discarding lines, and how often a message is printed."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from types import SimpleNamespace

import pytest

from fasthits.errors import UsageError
from fasthits.live import supervisor
from fasthits.live.supervisor import Throttle, describe


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        with suppress(OSError):
            os.close(end)


def test_discarded_lines_are_counted_and_the_end_is_noticed(pipe: tuple[int, int]) -> None:
    read, write = pipe
    discarding = supervisor._Pipe(read)
    os.write(write, b"a\nb\n\n")
    assert discarding.discard(0.01)
    assert discarding.lines == 3
    os.write(write, b"c\nno newline")
    os.close(write)
    assert not discarding.discard(60)
    assert discarding.lines == 4


def test_counting_begins_again_with_a_whole_line(pipe: tuple[int, int]) -> None:
    read, write = pipe
    discarding = supervisor._Pipe(read)
    os.write(write, b"a\nhalf")
    thread = Thread(target=discarding.discard, args=[0.5])
    thread.start()
    thread.join(0.7)  # it would be wrong if it ended now
    os.write(write, b" rest\nwhole\n")
    thread.join()
    assert os.read(read, 100) == b"whole\n"
    assert discarding.lines == 2


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(read, False)
    discarding = supervisor._Pipe(read)
    assert discarding.discard(0.01)
    os.close(write)
    assert not discarding.discard(60)


def test_an_unreadable_descriptor_counts_as_its_end() -> None:
    assert not supervisor._Pipe(os.open(os.devnull, os.O_WRONLY)).discard(60)
    assert not supervisor._Pipe(9999).has_writer()


def test_a_child_that_fails_does_not_read_the_pipe() -> None:
    """Two readers of a pipe tear each other's lines."""
    program = """
import os
from fasthits.live.supervisor import supervise

def count(discarded):
    if os.fork() == 0:
        raise ZeroDivisionError
    print(os.waitstatus_to_exitcode(os.wait()[1]), os.read(0, 100))

supervise(lambda: lambda: count)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"a line\n", capture_output=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"1 b'a line\\n'\n", b"")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of the supervisor, which shows `now`."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: clock.now)
    return clock


def test_a_cause_is_reported_once_a_minute(clock: SimpleNamespace) -> None:
    told: list[str] = []
    report = Throttle(told.append)
    for second in range(121):
        clock.now = 1000.0 + second
        report("a", f"a {second}")
        report("b", f"b {second}")
    assert told == ["a 0", "b 0", "a 60", "b 60", "a 120", "b 120"]


def test_causes_of_one_kind_have_a_few_lines_a_minute(clock: SimpleNamespace) -> None:
    told: list[str] = []
    report = Throttle(told.append)
    for minute in range(2):
        clock.now = 1000.0 + minute * 60
        told.clear()
        for number in range(3000):
            report(f"unreadable {number}", f"cannot read {number}")
        assert report("state", "cannot write the state")
        assert told[:2] == ["cannot read 0", "cannot read 1"]
        assert told[-2:] == ["cannot read 10; more lines like this are left out for a minute", "cannot write the state"]
        assert len(told) == 12


def test_a_failure_is_reported_in_one_line_with_its_exit_code() -> None:
    assert describe(UsageError("no such user", "joe", "name another"))[::2] == ("no such user: joe (name another)", 2)
    assert describe(MemoryError())[::2] == ("out of memory", 1)
    assert describe(SystemExit(3)).exit_code == 3
    assert describe(SystemExit("text")).exit_code == 1
    assert describe(KeyboardInterrupt())[::2] == ("interrupted", 130)
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    assert describe(caught.value).text.startswith('unexpected error: ValueError("invalid literal')
    assert "(test_supervisor.py:" in describe(caught.value).text


def test_a_message_is_one_short_line_of_printable_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(supervisor.os, "write", lambda fd, data: written.append(data))
    supervisor.say("a\nb\x1b" + "\U0001f600" * 10_000)
    assert written[0].startswith("fasthits: a\\nb\\x1b\U0001f600".encode())
    assert written[0].count(b"\n") == 1
    assert len(written[0]) <= select.PIPE_BUF
