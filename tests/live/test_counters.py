"""Live counters for one's own code, against a real memcached."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from pymemcache.client.base import Client

from fasthits import add_views, count_hits, hit_key, hits_today
from fasthits.errors import MemcachedError, UsageError
from fasthits.live.keys import hit_key as own_hit_key
from tests.support.commands import hit
from tests.support.logger import access_line
from tests.support.processes import run_fasthits
from tests.support.servers import Memcached, closed_port

TODAY = date.today()


def test_added_views_can_be_read(memcached: Memcached, client: Client) -> None:
    rows = [(TODAY, "/a", 2), (TODAY, b"/a", 3), (TODAY - timedelta(1), "/a", 7), (TODAY, "/b c", 1)]
    delivery = add_views(rows, memcached.spec)
    assert (delivery.delivered, delivery.in_doubt, delivery.refused, delivery.returned) == (13, 0, 0, [])
    assert hits_today(["/a", "/b c", "/none"], memcached.spec) == {"/a": 5, "/b c": 1, "/none": None}
    assert hits_today(["/a"], [memcached.spec], day=TODAY - timedelta(1)) == {"/a": 7}
    assert hits_today(["/a"], memcached.spec, prefix="other:") == {"/a": None}
    assert hits_today([], memcached.spec) == {}
    assert client.get(hit_key(TODAY, "/a")) == b"5"


def test_many_rows_and_several_servers(memcached: Memcached, start_memcached: Callable[..., Memcached]) -> None:
    servers = f"{memcached.spec},{start_memcached().spec}"
    log = b"".join(hit(f"/{number}", TODAY) for number in range(3500))
    assert add_views(count_hits(log).rows(), servers).delivered == 3500
    found = hits_today([f"/{number}" for number in range(3500)], servers)
    assert set(found.values()) == {1}


def test_add_views_returns_the_rows_that_it_could_not_add(memcached: Memcached) -> None:
    down = f"127.0.0.1:{closed_port()}"
    delivery = add_views([(TODAY, "/a", 2), (TODAY, "/b", 1)], down)
    assert (delivery.delivered, delivery.in_doubt) == (0, 0)
    assert delivery.returned == [(TODAY, b"/a", 2), (TODAY, b"/b", 1)]
    assert "unreachable" in delivery.problems
    assert add_views(delivery.returned, memcached.spec).delivered == 3
    with pytest.raises(MemcachedError, match="cannot reach memcached"):
        hits_today(["/a"], down)


@pytest.mark.parametrize(
    "row",
    [
        *((TODAY, "/a", 0), (TODAY, "/a", -1), (TODAY, "/a", 1.5), (TODAY, "a", 1), (TODAY, "", 1)),
        *((TODAY, "/a"), TODAY, None, "/a"),
    ],
)
def test_an_invalid_row_is_an_error_with_nothing_sent(row: object, memcached: Memcached) -> None:
    with pytest.raises(UsageError):
        add_views([(TODAY, "/good", 1), row], memcached.spec)
    assert hits_today(["/good"], memcached.spec) == {"/good": None}


@pytest.mark.parametrize(
    "options",
    [
        *({"prefix": "a b"}, {"prefix": None}, {"prefix": b":1:"}),
        *({"memcached": "nowhere:port"}, {"memcached": []}, {"memcached": None}, {"memcached": ("127.0.0.1", 11211)}),
        *({"ttl": 0}, {"ttl": 10**9}, {"ttl": "60"}, {"ttl": None}, {"ttl": 1.5}, {"ttl": timedelta(1)}),
    ],
)
def test_an_invalid_argument_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        add_views([(TODAY, "/a", 1)], **options)


def test_a_path_without_its_host_is_an_error_where_each_host_is_counted_separately(memcached: Memcached) -> None:
    def log(line: bytes, *args: str) -> None:
        assert run_fasthits("log", "--memcached", memcached.spec, *args, stdin=line).returncode == 0

    log(b"www.example.org:80 " + access_line("/a", TODAY), "--by-host")
    for paths in (["/a"], [b"/a"], ["//www.example.org/a", "/never-read"]):
        with pytest.raises(UsageError, match=r"no counter: b?'/.*' \(each host is counted separately: put "):
            hits_today(paths, memcached.spec)
    found = {"//www.example.org/a": 1, "//www.example.org/b": None}
    assert hits_today(found, memcached.spec) == found
    assert hits_today(["/a"], memcached.spec, day=TODAY - timedelta(1)) == {"/a": None}
    log(access_line("/b", TODAY))
    assert hits_today(["/a"], memcached.spec) == {"/a": None}


def test_a_str_is_not_accepted_as_a_list_of_paths() -> None:
    with pytest.raises(UsageError, match="paths must be a list"):
        hits_today("/about")
    with pytest.raises(UsageError, match="paths must be a list"):
        hits_today(b"/about")


@pytest.mark.parametrize("day", ["", 0, "2026-03-12"])
def test_a_day_that_is_no_date_is_not_taken_for_today(day: object) -> None:
    with pytest.raises(UsageError, match="not a date"):
        hits_today(["/about"], day=day)


def test_keys_equal_those_of_loggers() -> None:
    for path in ("/", "/a?b", "/" + "x" * 300, "/é", "//example.org/a"):
        assert (
            hit_key(TODAY, path, "p:") == hit_key(TODAY, path.encode(), "p:") == own_hit_key(TODAY, path.encode(), "p:")
        )
    assert hit_key(datetime(2026, 3, 12, 10), "/a") == ":1:2026-03-12/a"
    for day, path in (("2026-03-12", "/a"), (TODAY, None), (TODAY, "/\ud83d")):
        with pytest.raises(UsageError, match=r"not a (date|path)"):
            hit_key(day, path)
    with pytest.raises(UsageError, match="not a path: 'about'"):
        hit_key(TODAY, "about")
    with pytest.raises(UsageError, match="key prefix"):
        hit_key(TODAY, "/", "a b")
