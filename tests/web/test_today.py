"""The numbers of today over HTTP: single paths, hours, the most read paths, and events as the numbers rise."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from urllib.parse import quote

from fasthits.live.keys import hit_key
from tests.support.logger import Logger, access_line
from tests.support.processes import eventually
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.support import DAYS, HOSTILE, LONG, TODAY, count, read_one_line


def test_today_equals_the_counts_of_the_loggers(served: Served, logger: Logger) -> None:
    count(logger, "/", "/", HOSTILE, LONG)
    for path, views in (("/", 2), (HOSTILE, 1), (LONG, 1), ("/never", 0)):
        target = f"/api/today?path={quote(path)}"
        eventually(lambda target=target, views=views: served.ask(target).json()["views"] == views)
        assert served.ask(target).json()["path"] == path
    hashed = hit_key(TODAY, LONG.encode()).partition(str(TODAY))[2]
    eventually(lambda: served.ask(f"/api/today?path={quote(hashed)}").json()["views"] == 1)


def test_no_page_has_0_views_where_no_logger_counts(served: Served, memcached: Memcached) -> None:
    """As with another memcached or --prefix than the logger's."""
    for path in ("/", "%23" + "0" * 64):
        answer = served.ask(f"/api/today?path={path}").json()
        assert (answer["views"], answer["reason"]) == (None, "no logger has counted a line today: fasthits doctor")
    assert b"views: unknown today" in served.ask("/badge.svg?path=/&days=1").body
    assert b"views: 6+" in served.ask("/badge.svg?path=/").body
    read_one_line(memcached)
    eventually(lambda: served.ask("/api/today?path=/").json()["views"] == 0)
    assert b"views: 0 today" in served.ask("/badge.svg?path=/&days=1").body
    assert b"views: 6<" in served.ask("/badge.svg?path=/").body


def test_a_path_without_its_host_is_unknown_where_each_host_is_counted_separately(
    start: Callable[..., Served], start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    served = start()
    with start_logger("--memcached", memcached.spec, "--by-host") as logger:
        logger.write(b"www.example.org:80 " + access_line("/", TODAY))
        logger.finish()
    eventually(lambda: served.ask("/api/today?path=//www.example.org/").json()["views"] == 1)
    assert served.ask("/api/today?path=//www.example.org/never").json()["views"] == 0
    unknown = served.ask("/api/today?path=/").json()
    assert (unknown["views"], unknown["reason"].partition(":")[0]) == (None, "each host is counted separately")
    assert b"views: 6+" in served.ask("/badge.svg?path=/").body
    assert b"views: unknown today" in served.ask("/badge.svg?path=/&days=1").body
    with start_logger("--memcached", memcached.spec) as logger:
        count(logger, "/a")
        logger.finish()
    eventually(lambda: served.ask("/api/today?path=/").json()["views"] == 0)


def test_hours_of_today_come_from_the_loggers_and_others_from_the_database(
    start: Callable[..., Served], start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    served = start()
    today = f"/api/hours?day={TODAY}"
    assert served.ask(today).json() == {"day": str(TODAY), "hours": None}
    with start_logger("--memcached", memcached.spec) as logger:
        count(logger, "/", "/a")
        logger.finish()
    hour = int(access_line("/", TODAY).partition(b":")[2][:2])
    assert served.ask(today).json()["hours"] == [2 * (each == hour) for each in range(24)]
    kept = served.ask(f"/api/hours?day={DAYS[1]}").json()["hours"]
    assert (sum(kept), len(kept)) == (3, 24)
    memcached.kill()
    assert served.ask(today).status == 503


def test_memcached_may_answer_too_late_for_a_page_of_django(start: Callable[..., Served], memcached: Memcached) -> None:
    """On a busy machine an answer may take longer than the 0.1 s that such a page waits."""
    read_one_line(memcached)
    served = start(patch="from fasthits.live import quick; quick.PAGE_SECONDS = 1e-9")
    assert served.ask("/api/today?path=/never").json()["views"] == 0
    assert served.ask(f"/api/hours?day={TODAY}").json()["hours"] is None


def test_top_has_totals_and_the_most_read(served: Served, logger: Logger) -> None:
    count(logger, "/b", "/a", "/a", "/c")
    document = eventually(lambda: (top := served.ask("/api/top?limit=2").json())["views"] == 4 and top)
    assert [(each["path"], each["views"]) for each in document["most_read"]] == [("/a", 2), ("/b", 1)]
    assert (document["day"], document["paths"], document["problems"]) == (str(TODAY), 3, [])
    assert datetime.fromisoformat(document["at"]).date() == TODAY


def test_static_files_can_be_left_out_of_the_list_of_today(start: Callable[..., Served], logger: Logger) -> None:
    served = start("--site", "https://www.example.org/")
    with closing(served.events("?pages=1")) as events:
        assert next(events)[0] == "sample"
        count(logger, "/a", "/a", "/site.css", "/logo.PNG?v=2")
        seen = next(data for _, data in events if data["views"] == 2)
    assert (seen["paths"], seen["last_minute"]) == (1, 2)
    assert [each["path"] for each in seen["most_read"]] == ["/a"]
    assert 0 < seen["window_seconds"] <= 60
    top = eventually(lambda: (found := served.ask("/api/top").json())["views"] == 4 and found)
    assert (top["paths"], top["site"], top["time_zone"]) == (3, "https://www.example.org", time.strftime("%Z"))
    assert 0 <= top["age_seconds"] < 60


def test_events_come_as_the_numbers_rise(served: Served, logger: Logger) -> None:
    with closing(served.events()) as events:
        name, first = next(events)
        assert (name, first["views"], first["rate"]) == ("sample", 0, None)
        count(logger, "/a", "/a")
        seen = next(data for _, data in events if data["views"] == 2)
        assert seen["last_minute"] == 2
        assert seen["rate"] > 0
        assert seen["most_read"] == [{"path": "/a", "views": 2, "last_minute": 2}]


def test_events_report_that_memcached_is_down_and_continue_when_it_is_back(
    served: Served, memcached: Memcached
) -> None:
    with closing(served.events()) as events:
        assert next(events)[0] == "sample"
        memcached.kill()
        problem = next(data for name, data in events if name == "problem")
        assert "memcached does not answer" in problem["error"]
        assert served.ask("/api/today?path=/").status == 503
        assert served.ask("/api/history").status == 200
        memcached.start(keep_port=True)
        assert next(name for name, _ in events if name == "sample")


def test_numbers_of_a_hanging_memcached_are_unknown_and_others_are_answered(
    start: Callable[..., Served], memcached: Memcached
) -> None:
    served = start(patch="from fasthits.web import now; now.PATIENCE_SECONDS = 1.0")
    assert served.ask("/api/top").status == 200
    memcached.pause()
    eventually(lambda: b"nothing within" in served.ask("/api/top").body)
    assert b"views: 6+" in served.ask("/badge.svg?path=/").body
    assert f'memcached_up{{server="{memcached.spec}"}} 0\n'.encode() in served.ask("/metrics").body
    for target in ("/api/today?path=/", f"/api/hours?day={TODAY}"):
        assert served.ask(target).status == 503
    memcached.resume()
    eventually(lambda: served.ask("/api/today?path=/").status == 200)
