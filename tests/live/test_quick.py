"""Reading counters for a page: over kept connections, within a deadline, and with a pause after a server hung."""

import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from fasthits.errors import MemcachedError
from fasthits.live import pauses, quick
from fasthits.live.counters import add_views
from fasthits.live.keys import hit_key
from fasthits.live.quick import QuickReader
from fasthits.live.servers import Server
from tests.support.servers import NO_NUMBERS, Memcached, closed_port

DAY = date(2026, 3, 12)


def key(path: str) -> str:
    return hit_key(DAY, path.encode())


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits longer than 0.1 s here: the machine may be busy."""
    monkeypatch.setattr(quick, "PAGE_SECONDS", 30.0)


@pytest.fixture
def told() -> list[str]:
    """The messages of a reader."""
    return []


@pytest.fixture
def reader_of(told: list[str]) -> Iterator[Callable[..., QuickReader]]:
    made: list[QuickReader] = []

    def make(*servers: str) -> QuickReader:
        made.append(QuickReader([Server(each) for each in servers], lambda error: told.append(str(error))))
        return made[-1]

    yield make
    for each in made:
        each.close()


def count(memcached: Memcached, *paths: str) -> None:
    assert not add_views([(DAY, path, 3) for path in paths], memcached.spec).problems


def connections(memcached: Memcached) -> int:
    stats = memcached.ask(b"stats", b"END\r\n")
    return int(stats.partition(b"STAT total_connections ")[2].split()[0])


def test_it_reads_counters_and_0_for_a_missing_counter(
    memcached: Memcached, reader_of: Callable[..., QuickReader]
) -> None:
    paths = [f"/{number}" for number in range(2500)]
    count(memcached, *paths)
    reader = reader_of(memcached.spec)
    assert reader.read(map(key, [*paths, "/none"])) == {key(path): 3 for path in paths} | {key("/none"): 0}
    assert reader.read([]) == {}


def test_thousands_of_counters_may_take_longer_than_a_page_waits(
    memcached: Memcached, reader_of: Callable[..., QuickReader], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of 20,000 objects had no numbers, and then no page had any for a while."""
    paths = [f"/{number}" for number in range(2500)]
    count(memcached, *paths)
    reader = reader_of(memcached.spec)
    exchange, now, spent = quick._exchange, time.monotonic, 0.0

    def exchange_slowly(*arguments: Any) -> dict[bytes, bytes]:
        nonlocal spent
        spent += 20.0
        return exchange(*arguments)

    monkeypatch.setattr(quick, "_exchange", exchange_slowly)
    monkeypatch.setattr(time, "monotonic", lambda: now() + spent)
    assert reader.read(map(key, paths)) == {key(path): 3 for path in paths}
    assert (spent, told) == (60.0, [])


def test_a_connection_is_kept_and_made_again_when_the_server_has_closed_it(
    memcached: Memcached, reader_of: Callable[..., QuickReader], told: list[str]
) -> None:
    reader = reader_of(memcached.spec)
    reader.read([key("/")])
    before = connections(memcached)
    for _ in range(10):
        reader.read([key("/")])
    assert connections(memcached) == before + 1  # the connection that asks for the number of connections
    memcached.restart()
    count(memcached, "/")
    assert reader.read([key("/")]) == {key("/"): 3}
    assert told == []


def test_a_server_that_hangs_is_asked_once_and_reported_once(
    memcached: Memcached,
    reader_of: Callable[..., QuickReader],
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count(memcached, "/")
    reader = reader_of(memcached.spec)
    reader.read([key("/")])
    memcached.pause()
    monkeypatch.setattr(quick, "PAGE_SECONDS", 0.1)
    try:
        assert [reader.read([key("/")]) for _ in range(20)] == [{}] * 20
        monkeypatch.setattr(pauses, "PAUSE_SECONDS", 0.0)
        reader._sources[Server(memcached.spec)]._pauses._paused_until = 0.0
        assert [reader.read([key("/")]) for _ in range(3)] == [{}] * 3
    finally:
        memcached.resume()
    assert told == [f"memcached does not answer: {memcached.spec} (timed out)"]
    monkeypatch.setattr(quick, "PAGE_SECONDS", 30.0)
    assert reader.read([key("/")]) == {key("/"): 3}


def test_an_unreachable_server_is_reported_once(reader_of: Callable[..., QuickReader], told: list[str]) -> None:
    reader = reader_of(f"127.0.0.1:{closed_port()}")
    assert [reader.read([key("/")]) for _ in range(5)] == [{}] * 5
    assert len(told) == 1
    assert "Connection refused" in told[0]


def test_only_one_of_the_pages_after_a_pause_tries_again(
    memcached: Memcached, reader_of: Callable[..., QuickReader]
) -> None:
    source = reader_of(memcached.spec)._sources[Server(memcached.spec)]._pauses
    source.failed(MemcachedError("x", "y"))
    assert not source.may_ask()
    source._paused_until = 0.0
    assert [source.may_ask() for _ in range(3)] == [True, False, False]


def test_if_one_of_two_servers_answers_its_counters_are_read(
    start_memcached: Callable[..., Memcached], reader_of: Callable[..., QuickReader], told: list[str]
) -> None:
    servers = [start_memcached(), start_memcached()]
    specs = [each.spec for each in servers]
    paths = [f"/{number}" for number in range(40)]
    add_views([(DAY, path, 3) for path in paths], specs)
    reader = reader_of(*specs)
    servers[0].kill()
    found = reader.read(map(key, paths))
    assert 0 < len(found) < 40
    assert set(found.values()) == {3}
    assert len(told) == 1


def test_a_server_that_hangs_takes_no_time_from_the_others(
    start_memcached: Callable[..., Memcached],
    reader_of: Callable[..., QuickReader],
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also not on the pages that try it again: they were shown without any number, and the log named both servers."""
    servers = [start_memcached(), start_memcached()]
    paths = [f"/{number}" for number in range(40)]
    add_views([(DAY, path, 3) for path in paths], [each.spec for each in servers])
    reader = reader_of(*(each.spec for each in servers))
    hanging = servers[0].spec
    keys = sorted(map(key, paths), key=lambda each: str(reader.server_of(each)) != hanging)  # it is asked first
    assert str(reader.server_of(keys[0])) == hanging
    assert len(reader.read(keys)) == 40
    servers[0].pause()
    try:
        monkeypatch.setattr(quick, "PAGE_SECONDS", 1.0)
        monkeypatch.setattr(pauses, "PAUSE_SECONDS", 0.0)
        found = [reader.read(keys) for _ in range(3)]
    finally:
        servers[0].resume()
    assert [set(each) for each in found[1:]] == [{each for each in keys if str(reader.server_of(each)) != hanging}] * 2
    assert told == [f"memcached does not answer: {hanging} (timed out)"]


def test_a_name_that_takes_long_to_look_up_is_not_waited_for(
    memcached: Memcached, reader_of: Callable[..., QuickReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later page uses the connection that was made late."""
    count(memcached, "/")
    go_on, look_up = threading.Event(), socket.getaddrinfo

    def slow(*arguments: object, **options: object) -> object:
        go_on.wait()
        return look_up(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    reader = reader_of(f"localhost:{memcached.port}")
    monkeypatch.setattr(quick, "PAGE_SECONDS", 0.1)
    assert reader.read([key("/")]) == {}
    monkeypatch.setattr(quick, "PAGE_SECONDS", 30.0)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "fasthits-connect":
            thread.join()
    (source,) = reader._sources.values()
    assert len(source._idle) == 1
    source._pauses._paused_until = 0.0
    assert reader.read([key("/")]) == {key("/"): 3}


def test_threads_share_a_reader_and_keep_few_connections(
    memcached: Memcached, reader_of: Callable[..., QuickReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "IDLE_CHANNELS", 2)
    paths = [f"/{number}" for number in range(16)]
    count(memcached, *paths)
    reader, wrong = reader_of(memcached.spec), []

    def read(path: str) -> None:
        wrong.extend(found for _ in range(50) if (found := reader.read([key(path)])) != {key(path): 3})

    threads = [threading.Thread(target=read, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    (source,) = reader._sources.values()
    assert len(source._idle) <= 2


def test_a_forked_child_has_its_own_connections(memcached: Memcached, reader_of: Callable[..., QuickReader]) -> None:
    count(memcached, "/")
    reader = reader_of(memcached.spec)
    reader.read([key("/")])
    (source,) = reader._sources.values()
    mine = source._idle[0]

    def read(answers: "multiprocessing.SimpleQueue[object]") -> None:
        answers.put((reader.read([key("/")]), source._idle[0] is mine))

    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=read, args=[answers])
    child.start()
    child.join()
    assert answers.get() == ({key("/"): 3}, False)
    assert reader.read([key("/")]) == {key("/"): 3}
    assert source._idle[0] is mine


def test_a_value_that_is_not_a_number_is_unknown_and_other_values_are_read(
    memcached: Memcached, reader_of: Callable[..., QuickReader], told: list[str]
) -> None:
    count(memcached, "/")
    client = memcached.client()
    no_numbers = [*NO_NUMBERS, b"", b"END\r\n", b"\r\nVALUE x 0 1\r\n1\r\nEND\r\n"]
    for number, value in enumerate(no_numbers):
        client.set(key(f"/{number}"), value)
    client.close()
    reader = reader_of(memcached.spec)
    assert reader.read(map(key, ["/", *(f"/{number}" for number in range(len(no_numbers)))])) == {key("/"): 3}
    assert len(told) == 1
    assert told[0].startswith("no number in counter: ")


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n", b"ERROR\r\n", b"SERVER_ERROR down\r\n", b"VALUE a b c\r\n", b"", b"x" * 50],
)
def test_a_server_that_is_not_memcached_is_reported_by_a_quick_reader(
    reader_of: Callable[..., QuickReader], told: list[str], said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "REPLY_BYTES", 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert reader_of(f"127.0.0.1:{listener.getsockname()[1]}").read([key("/")]) == {}
        thread.join()
    assert len(told) == 1


def test_a_reply_is_whole_at_its_end_and_not_before() -> None:
    reply = b"VALUE a 2 1\r\n1\r\nVALUE b 2 5 77\r\nEND\r\n\r\nEND\r\n"
    server = Server("127.0.0.1:1")
    assert quick._read_values(reply, server) == {b"a": b"1", b"b": b"END\r\n"}
    assert [quick._read_values(reply[:size], server) for size in range(len(reply))] == [None] * len(reply)
