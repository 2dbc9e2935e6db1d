"""When the reader reads its pipe again: seldom enough to save work, often enough that no writer waits."""

import os
from collections.abc import Iterator

import pytest

from fasthits.live.memcached import CounterStore
from fasthits.live.reader import READ_SECONDS, Reader
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.rules import Rules

LINE = b'192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 5\n'


def no_store(watch: int) -> CounterStore:
    raise AssertionError("nothing is delivered here")


@pytest.fixture
def pipe() -> Iterator[tuple[Reader, int]]:
    """A reader, and the write end of its pipe."""
    reading, writing = os.pipe()
    reader = Reader(reading, no_store, print, 1000, 1.0, CompiledRules(Rules()))
    yield reader, writing
    reader.close()
    os.close(reading)
    os.close(writing)


def fill(writing: int) -> None:
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, LINE)
    except BlockingIOError:
        os.set_blocking(writing, True)


def test_a_pipe_that_is_full_after_a_pause_is_read_sooner_the_next_time(pipe: tuple[Reader, int]) -> None:
    reader, writing = pipe
    pauses = []
    for _ in range(3):
        os.write(writing, LINE)
        reader._read()
        pauses.append(reader._pause)
        fill(writing)
        reader._read()
    assert pauses == [READ_SECONDS, READ_SECONDS / 4, READ_SECONDS / 16]


def test_the_pipe_of_a_site_that_becomes_quiet_is_read_seldom(pipe: tuple[Reader, int]) -> None:
    reader, writing = pipe
    reader._pause = READ_SECONDS / 64
    for _ in range(8):
        os.write(writing, LINE)
        reader._read()
    assert reader._pause == READ_SECONDS


def test_the_rest_in_a_pipe_is_read_at_once(pipe: tuple[Reader, int]) -> None:
    reader, writing = pipe
    fill(writing)
    reader._read()
    assert reader._read_at == 0
