"""Today's counters as memcached lists them: all counters, no items of others, and changes within a minute."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from socket import socket
from urllib.parse import quote

import pytest

from fasthits.errors import MemcachedError
from fasthits.live import sampler as live
from fasthits.live.keys import figure_path, hit_key
from fasthits.live.listing import CounterReader
from fasthits.live.sampler import LivePath, LiveViews
from fasthits.live.statistics import FIGURES
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.servers import Memcached, closed_port

LONG = "/" + "long" * 100
ODD = "/%7E-_.~!*'();:@&=+$,[]\"<>\\^`{|}"


def store(memcached: Memcached, views: dict[bytes, int]) -> None:
    """Store counters in memcached as loggers do, many at once."""
    commands = [
        f"set {hit_key(date.today(), path)} 2 86400 {len(str(count))} noreply\r\n{count}\r\n"
        for path, count in views.items()
    ]
    with memcached.connect() as connection:
        connection.sendall("".join(commands).encode("ascii") + b"version\r\n")
        assert connection.recv(100).startswith(b"VERSION")


def test_every_kind_of_path_is_listed_as_the_logger_counted_it(memcached: Memcached, logger: Logger) -> None:
    paths = ["/a"] * 3 + ["/b"] * 2 + ["http://o.example/a", LONG, ODD.replace('"', r"\"")]
    logger.write(access_lines(paths))
    assert logger.finish() == 0
    hashed = hit_key(DAY, LONG.encode()).partition(str(DAY))[2]
    reader = CounterReader(memcached.spec, ":1:")
    expected = {"/a": 3, "/b": 2, "http://o.example/a": 1, hashed: 1, ODD.replace('"', r"\""): 1}
    assert reader.views(DAY) == expected
    reader.close()
    assert reader.views(DAY) == expected  # over a new connection
    reader.close()


def test_items_of_other_programs_are_not_counters(memcached: Memcached, logger: Logger) -> None:
    logger.write(access_line("/a") + access_line("/a", date(2026, 3, 11)))
    assert logger.finish() == 0
    client = memcached.client()
    others = [":1:2026-03-12", ":1:2026-03-12#warm", ":1:2026-03-1", ":2:2026-03-12/a", "x:1:2026-03-12/a", "/a"]
    others += [hit_key(DAY, figure_path(figure)) for figure in FIGURES]
    for key in [*others, *(f"{number}" * 40 for number in range(2000))]:
        client.set(key, b"1", noreply=True)
    client.set(":1:2026-03-12/text", b"no number\r\nEND\r\n", noreply=False)
    client.close()
    reader = CounterReader(memcached.spec, ":1:")
    assert reader.views(DAY) == {"/a": 1}
    assert reader.views(date(2026, 3, 11)) == {"/a": 1}
    reader.close()


def test_a_hundred_thousand_paths_and_a_listing_in_many_pieces(memcached: Memcached) -> None:
    views = {b"/a/longer/path/of/a/busy/site/%d" % number: number % 7 + 1 for number in range(100_000)}
    store(memcached, views)
    today = LiveViews([memcached.spec], ":1:")
    sample = today.sample(3)
    assert (sample.paths, sample.views) == (100_000, sum(views.values()))
    assert [each.views for each in sample.most_read] == [7, 7, 7]
    today.close()


def test_increases_are_known_for_a_minute(memcached: Memcached) -> None:
    today = LiveViews([memcached.spec], ":1:")
    store(memcached, {b"/a": 5, b"/b": 9})
    first = today.sample(10)
    assert (first.views, first.last_minute, first.rate) == (14, 0, None)
    store(memcached, {b"/a": 8, b"/c": 2})

    def seen() -> list[LivePath] | None:
        sample = today.sample(10)
        return sample.most_read if sample.paths == 3 else None

    assert eventually(seen) == [("/b", 9, 0), ("/a", 8, 3), ("/c", 2, 2)]
    assert today.search("A", 5) == ["/a"]
    assert (today.views_of("/c"), today.views_of("/d")) == (2, None)
    today.close()


def test_increases_before_the_window_or_in_a_gap_are_not_recent(
    memcached: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = LiveViews([memcached.spec], ":1:")
    store(memcached, {b"/a": 5})
    today.sample(1)
    store(memcached, {b"/a": 8})
    assert today.sample(1).last_minute == 3
    monkeypatch.setattr(live, "WINDOW_SECONDS", 1e-9)
    assert today.sample(1).last_minute == 0
    monkeypatch.setattr(live, "GAP_SECONDS", 0.0)
    store(memcached, {b"/a": 9})
    gap = today.sample(1)
    assert (gap.views, gap.last_minute, gap.rate) == (9, 0, None)
    today.close()


def test_the_return_of_a_lost_server_is_not_taken_for_new_hits(
    start_memcached: Callable[..., Memcached],
) -> None:
    stays, goes = start_memcached(), start_memcached()
    store(stays, {b"/a": 5})
    store(goes, {b"/b": 7})
    today = LiveViews([stays.spec, goes.spec], ":1:")
    assert today.sample(5).views == 12
    goes.kill()
    sample = today.sample(5)
    assert sample.views == 5
    assert [goes.spec in problem for problem in sample.problems] == [True]
    goes.start(keep_port=True)
    store(goes, {b"/b": 7})
    back = eventually(lambda: (sample := today.sample(5)).views == 12 and sample)
    assert (back.problems, back.last_minute) == ([], 0)
    today.close()
    goes.kill()
    stays.kill()
    with pytest.raises(MemcachedError, match="cannot reach memcached"):
        today.sample(5)


def test_a_server_that_refuses_to_list_is_reported(start_memcached: Callable[..., Memcached]) -> None:
    memcached = start_memcached("-o", "no_lru_crawler")
    for server, message in (
        (memcached.spec, "not list its keys"),
        (f"127.0.0.1:{closed_port()}", "cannot reach memcached"),
    ):
        with closing(LiveViews([server], ":1:")) as today, pytest.raises(MemcachedError, match=message):
            today.sample(1)


def test_several_listings_at_once_wait_for_each_other(memcached: Memcached) -> None:
    """memcached has one crawler, and answers BUSY while the crawler works for another client."""
    store(memcached, {b"/%d" % number: 1 for number in range(20_000)})

    def list_again_and_again(_: int) -> list[int]:
        found = []
        for _ in range(3):
            with closing(CounterReader(memcached.spec, ":1:")) as reader:
                found.append(len(reader.views(date.today())))
        return found

    with ThreadPoolExecutor(3) as pool:
        found = [number for numbers in pool.map(list_again_and_again, range(3)) for number in numbers]
    assert set(found) == {20_000}


def test_a_path_that_somebody_has_just_read_is_listed(memcached: Memcached) -> None:
    """memcached holds an item that was read twice for up to a second, and `metadump all` passes over it."""
    store(memcached, {b"/a": 5, b"/b": 2})
    keys = b" ".join(hit_key(date.today(), path).encode() for path in (b"/a", b"/b"))
    for _ in range(20):
        memcached.ask(b"\r\n".join([b"get " + keys] * 1000 + [b"mn"]), b"MN\r\n")
        with closing(CounterReader(memcached.spec, ":1:")) as reader:
            assert reader.views(date.today()) == {"/a": 5, "/b": 2}


class RepliesToTheFirstList(Proxy):
    """A proxy that gives another *reply* to the first request for a list of keys."""

    def __init__(self, memcached: Memcached, reply: bytes) -> None:
        super().__init__(memcached, 1)
        self.reply = reply

    def _answer(self, client: socket, reply: bytes) -> bool:
        if self.reply and b"key=" in reply:
            if not reply.endswith(b"END\r\n"):
                return True  # newer servers send the end by itself
            reply, self.reply = self.reply, b""
        elif self.reply and reply == b"END\r\n":
            reply, self.reply = self.reply, b""
        return super()._answer(client, reply)


def test_a_memcached_that_does_not_walk_its_table_is_listed(memcached: Memcached) -> None:
    """An old memcached knows `metadump all` alone."""
    store(memcached, {b"/a": 5})
    old = RepliesToTheFirstList(memcached, b"BADCLASS invalid class id\r\n")
    with old as proxy, closing(CounterReader(proxy.spec, ":1:")) as reader:
        assert reader.views(date.today()) == {"/a": 5}
        assert not proxy.reply


def test_the_first_sample_is_made_from_more_than_one_list(memcached: Memcached) -> None:
    """A busy memcached answers now and then as if it had no keys."""
    store(memcached, {b"/a": 5})
    busy = RepliesToTheFirstList(memcached, b"END\r\n")
    with busy as proxy, closing(LiveViews([proxy.spec], ":1:")) as today:
        assert today.sample(1).views == 5
        assert not proxy.reply


def test_keys_are_encoded_as_memcached_does(memcached: Memcached) -> None:
    """Keys are found by the beginning of a line. So quote() and memcached must agree on the encoding."""
    prefix = "".join(chr(byte) for byte in range(0x21, 0x7F))
    client = memcached.client()
    client.set(prefix, b"1", noreply=False)
    client.close()

    def listed() -> bytes:
        return memcached.ask(b"lru_crawler metadump all", (b"END\r\n", b"crawler request\r\n"))

    assert quote(prefix, safe="").encode() in eventually(lambda: not (keys := listed()).startswith(b"BUSY") and keys)
