"""Today's counters as memcached lists them: all counters, no items of others, and changes within a minute."""

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import date, datetime, time, tzinfo
from socket import socket
from urllib.parse import quote

import pytest

from fasthits.daily.days import ONE_DAY
from fasthits.errors import MemcachedError
from fasthits.live import sampler as live
from fasthits.live.counters import add_views, hits_today
from fasthits.live.keys import figure_path, hit_key
from fasthits.live.listing import CounterReader
from fasthits.live.memcached import router
from fasthits.live.sampler import LivePath, LiveViews
from fasthits.live.servers import Server
from fasthits.live.statistics import FIGURES, read_figures
from tests.support.logger import DAY, Logger, access_line, access_lines
from tests.support.processes import eventually
from tests.support.proxy import Proxy, Stranger
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


def test_a_clock_that_goes_back_over_midnight_does_not_count_the_day_again(
    memcached: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, next_day = date.today(), date.today() + ONE_DAY

    class Clock(datetime):
        day = date.min

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.combine(cls.day, time(12))

    monkeypatch.setattr(live, "datetime", Clock)
    today = LiveViews([memcached.spec], ":1:")
    store(memcached, {b"/a": 5})
    add_views([(next_day, "/a", 2)], memcached.spec)
    seen = []
    for Clock.day in (day, next_day, day, day):
        seen += today.sample(1).seen.values()
        store(memcached, {b"/a": 6})
    assert seen == [0, 2, 2, 2]
    store(memcached, {b"/a": 9})
    assert today.sample(1).seen[memcached.spec] == 5
    today.close()


def test_the_return_of_a_lost_server_is_not_taken_for_new_hits(
    start_memcached: Callable[..., Memcached],
) -> None:
    stays, goes = start_memcached(), start_memcached()
    a, b = paths_of(stays, goes)[0][0], paths_of(goes, stays)[0][0]
    store(stays, {a: 5})
    store(goes, {b: 7})
    today = LiveViews([stays.spec, goes.spec], ":1:")
    assert today.sample(5).views == 12
    goes.kill()
    sample = today.sample(5)
    assert sample.views == 5
    assert [goes.spec in problem for problem in sample.problems] == [True]
    goes.start(keep_port=True)
    store(goes, {b: 7})
    back = eventually(lambda: (sample := today.sample(5)).views == 12 and sample)
    assert (back.problems, back.last_minute) == ([], 0)
    today.close()
    goes.kill()
    stays.kill()
    with pytest.raises(MemcachedError, match="cannot reach memcached"):
        today.sample(5)


def paths_of(first: Memcached, second: Memcached) -> tuple[list[bytes], list[bytes]]:
    """Return some paths whose keys belong to the first of two servers, and some of the second."""
    _, server_of = router([Server(first.spec), Server(second.spec)])
    paths = [b"/%d" % number for number in range(40)]
    mine = [path for path in paths if server_of(hit_key(date.today(), path)) == first.spec]
    return mine, [path for path in paths if path not in mine]


def test_counters_from_before_the_list_of_servers_was_extended_do_not_count(
    start_memcached: Callable[..., Memcached],
) -> None:
    """Each other reader asks only the server that a key belongs to now."""
    new, old = start_memcached(), start_memcached()
    servers = [new.spec, old.spec]
    today = date.today()
    of_new, of_old = paths_of(new, old)
    paths = [path.decode() for path in of_new + of_old]
    add_views([(today, path, 5) for path in paths], old.spec)
    add_views([(today, path, 2) for path in paths[1:]], servers)
    assert not add_views([(today, path, 3) for path in paths[1:3]], old.spec).problems
    with closing(LiveViews(servers, ":1:")) as live_views:
        sample = live_views.sample(len(paths))
        listed = {each.path: each.views for each in sample.most_read}
        assert listed == {path: views for path, views in hits_today(paths, servers, day=today).items() if views}
        assert paths[0] not in listed
        add_views([(today, paths[1], 7)], old.spec)
        add_views([(today, paths[2], 1)], servers)
        assert live_views.sample(1).last_minute == 1


def test_figures_from_before_the_list_of_servers_was_extended_do_not_count(
    start_memcached: Callable[..., Memcached],
) -> None:
    new, old = start_memcached(), start_memcached()
    for server in (new, old):
        client = server.client()
        for name in FIGURES:
            client.set(hit_key(date.today(), figure_path(name)), b"1" if server is old else b"2", noreply=False)
        client.close()
    servers = [Server(new.spec), Server(old.spec)]
    with closing(LiveViews(servers, ":1:")) as live_views:
        assert live_views.sample(1).figures == read_figures(servers, ":1:")
    assert set(read_figures(servers, ":1:").values()) == {1, 2}


@pytest.mark.parametrize("dumped", [b"", b"key=%s exp=0 la=0 cas=1 fetch=no cls=1 size=64\n"], ids=["none", "a key"])
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"VALUE other 2 1\r\n5\r\nEND\r\n", None),
        (b"VALUE \xff 2 1\r\n5\r\nEND\r\n", None),
        (b"VALUE %s 2 5000\r\n" + b"9" * 5000 + b"\r\nEND\r\n", None),
        (b"CLIENT_ERROR \xff\r\n", r"memcached does not list its keys: .* \(CLIENT_ERROR \\xff\)"),
        (b"x" * 3_000_000, r"memcached does not answer: .* \(its answer has no lines\)"),
    ],
)
def test_an_answer_that_is_not_memcacheds_is_no_number(dumped: bytes, reply: bytes, told: str | None) -> None:
    key = hit_key(date.today(), b"/a").encode()

    def answer(client: socket) -> None:
        for line in client.makefile("rb"):
            if line == b"version\r\n":
                client.sendall(b"VERSION 1.6.18\r\n")
            elif dumped and b"metadump" in line:
                client.sendall(dumped % quote(key, safe="").encode() + b"END\r\n")
            else:
                client.sendall(reply.replace(b"%s", key))

    expected = pytest.raises(MemcachedError, match=told) if told else nullcontext()
    with Stranger(answer) as odd, closing(LiveViews([odd.spec], ":1:")) as live_views, expected:
        assert live_views.sample(1).views == 0


def test_keys_that_get_cannot_ask_for_are_passed_over(memcached: Memcached) -> None:
    """The binary protocol takes any bytes in a key."""
    store(memcached, {b"/a": 5})
    for path in (b"/caf\xe9", b"/a b", b"/a\r\nflush_all", b"/\x7f"):
        key = hit_key(date.today(), b"").encode() + path
        head = struct.pack("!BBHBBHIIQ", 0x80, 1, len(key), 8, 0, 0, 8 + len(key) + 1, 0, 0)
        with memcached.connect() as connection:
            connection.sendall(head + bytes(8) + key + b"1")
            assert connection.recv(24)[6:8] == b"\0\0"
    with closing(CounterReader(memcached.spec, ":1:")) as reader:
        assert reader.views(date.today()) == {"/a": 5}


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
    store(memcached, {b"/%d" % number: 1 for number in range(4_000)})

    def list_again_and_again(_: int) -> list[int]:
        found = []
        for _ in range(3):
            with closing(CounterReader(memcached.spec, ":1:")) as reader:
                found.append(len(reader.views(date.today())))
        return found

    with ThreadPoolExecutor(3) as pool:
        found = [number for numbers in pool.map(list_again_and_again, range(3)) for number in numbers]
    assert set(found) == {4_000}


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
