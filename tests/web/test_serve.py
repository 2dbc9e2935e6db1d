"""`fasthits serve` over HTTP: the JSON interface, events, the badge, the metrics, and who gets an answer."""

import base64
import gzip
import hashlib
import hmac
import json
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest

from fasthits import __version__
from fasthits.daily.days import ONE_DAY
from fasthits.live.counters import add_views
from fasthits.live.keys import hit_key
from fasthits.web.events import MAX_STREAMS
from fasthits.web.openapi import ENDPOINTS, describe
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_line
from tests.support.processes import PROJECT, eventually, run_fasthits
from tests.support.servers import Memcached, closed_port
from tests.support.webserver import Answer, Served

TODAY = date.today()
DAYS = [TODAY - timedelta(days=before) for before in (3, 2, 1)]
HOSTILE = "/<script>alert(1)</script>\\\"'&"
LONG = "/" + "x" * 2000


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three days: / is read 3, 2 and 1 times, /old once a day."""
    folder = tmp_path_factory.mktemp("kept")
    for views, day in zip((3, 2, 1), DAYS, strict=True):
        write(folder / f"{day}.log", hit("/", day) * views + hit("/old", day))
    write(folder / "odd.log", hit(HOSTILE, DAYS[0]) + hit(LONG, DAYS[0]))
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", folder / "*.log", "--to", folder / "hits.db")
    assert done.returncode == 0
    return folder / "hits.db"


@pytest.fixture(scope="module")
def idle(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for tests that only read: no hit is counted today, and the database does not change."""
    place = tmp_path_factory.mktemp("idle")
    with Memcached(place) as memcached, Served(place, "--memcached", memcached.spec, "--database", str(kept)) as served:
        yield served


@pytest.fixture
def start(place: Path, memcached: Memcached, kept: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*args: str, **options: int) -> Served:
        where = ("--memcached", memcached.spec, "--database", str(kept))
        started.append(Served(place, *where, *args, **options))
        return started[-1]

    yield start
    for served in started:
        served.__exit__()


@pytest.fixture
def served(start: Callable[..., Served]) -> Served:
    return start()


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path, TODAY) for path in paths))


def test_today_equals_the_counts_of_the_loggers(served: Served, logger: Logger) -> None:
    count(logger, "/", "/", HOSTILE, LONG)
    for path, views in (("/", 2), (HOSTILE, 1), (LONG, 1), ("/never", 0)):
        target = f"/api/today?path={quote(path)}"
        eventually(lambda target=target, views=views: served.ask(target).json()["views"] == views)
        assert served.ask(target).json()["path"] == path
    hashed = hit_key(TODAY, LONG.encode()).partition(str(TODAY))[2]
    eventually(lambda: served.ask(f"/api/today?path={quote(hashed)}").json()["views"] == 1)


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


def test_top_has_totals_and_the_most_read(served: Served, logger: Logger) -> None:
    count(logger, "/b", "/a", "/a", "/c")
    document = eventually(lambda: (top := served.ask("/api/top?limit=2").json())["views"] == 4 and top)
    assert [(each["path"], each["views"]) for each in document["most_read"]] == [("/a", 2), ("/b", 1)]
    assert (document["day"], document["paths"], document["problems"]) == (str(TODAY), 3, [])
    assert datetime.fromisoformat(document["at"]).date() == TODAY


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
    served: Served, memcached: Memcached
) -> None:
    assert served.ask("/api/top").status == 200
    memcached.pause()
    eventually(lambda: b"nothing within" in served.ask("/api/top").body)
    assert b"views: 6+" in served.ask("/badge.svg?path=/").body
    assert f'memcached_up{{server="{memcached.spec}"}} 0\n'.encode() in served.ask("/metrics").body
    for target in ("/api/today?path=/", f"/api/hours?day={TODAY}"):
        assert served.ask(target).status == 503
    memcached.resume()
    eventually(lambda: served.ask("/api/today?path=/").status == 200)


def test_a_locked_database_is_reported_soon(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "day.log", hit("/", DAYS[0]))
    done = fasthits("rollup", str(DAYS[0]), "--logs", tmp_path / "day.log", "--to", tmp_path / "hits.db")
    assert done.returncode == 0
    with closing(sqlite3.connect(tmp_path / "hits.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = start("--database", str(tmp_path / "hits.db")).ask("/api/history")
        assert (answer.status, answer.json()["error"].partition("locked; ")[2]) == (
            503,
            "another program, such as a rollup, is using it: try again in a few seconds)",
        )


def test_history_equals_the_days_that_rollups_have_kept(idle: Served) -> None:
    days = list(map(str, DAYS))
    kept = {"oldest": days[0], "newest": days[-1], "missing": []}
    assert idle.ask("/api/history?path=/").json() == {
        **{"path": "/", "prefix": None, "host": None, "from": days[0], "to": days[-1], "kept_days": 3, **kept},
        **{"days": days, "views": [3, 2, 1], "total": 6, "before": None},
    }
    before = {"from": str(DAYS[0] - ONE_DAY), "to": days[0], "kept_days": 1, "total": 6}
    assert idle.ask("/api/history?days=2").json() == {
        **{"path": None, "prefix": None, "host": None, "from": days[1], "to": days[-1], "kept_days": 2, **kept},
        **{"days": days[1:], "views": [3, 2], "total": 5, "before": before},
    }
    asked = f"from={days[0]}&to={days[0]}"
    assert idle.ask(f"/api/history?prefix=/&{asked}").json()["views"] == [6]
    most_read = idle.ask(f"/api/most-read?{asked}&limit=2&offset=1&by_day=1").json()
    assert most_read == {
        **{"from": days[0], "to": days[0], "kept_days": 1, **kept, "before": None, "count": 4, "views": 6, "next": 3},
        "paths": [
            {"path": path, "views": 1, "share": pytest.approx(1 / 6), "before": None, "by_day": [1]}
            for path in (HOSTILE, "/old")
        ],
    }
    rises = idle.ask("/api/most-read?days=1&sort=rise&q=OLD").json()["paths"]
    assert rises == [{"path": "/old", "views": 1, "share": 0.5, "before": 1}]


def test_a_day_that_is_not_kept_is_unknown_and_not_zero(start: Callable[..., Served], tmp_path: Path) -> None:
    kept, gap, yesterday = TODAY - 4 * ONE_DAY, TODAY - 3 * ONE_DAY, TODAY - ONE_DAY
    write(tmp_path / "a.log", hit("/", kept) * 2 + hit("/", TODAY - 2 * ONE_DAY))
    roll_up(tmp_path, f"{kept}..{TODAY - 2 * ONE_DAY}")
    served = start("--database", str(tmp_path / "hits.db"))
    history = served.ask("/api/history?days=all").json()
    assert (history["views"], history["kept_days"]) == ([2, None, 1], 2)
    assert history["missing"] == [str(gap), str(yesterday)]
    outside = served.ask("/api/history?from=2020-01-01&to=2020-01-02").json()
    assert (outside["views"], outside["kept_days"], outside["missing"]) == ([None, None], 0, [])
    assert b"views: 3+" in served.ask("/badge.svg?path=/").body
    assert b"fasthits_rollup_missing_days 2\n" in served.ask("/metrics").body


def test_paths_with_a_query_and_of_a_host_are_found_in_both_halves(
    start: Callable[..., Served], tmp_path: Path, start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    options = ("--keep-query", "all", "--by-host", "--format", "vhost_combined")

    def line(host: str, day: date) -> bytes:
        return f"{host}:80 ".encode() + hit("/a?page=2", day)

    write(tmp_path / "a.log", line("one.example", DAYS[-1]) * 2, line("two.example", DAYS[-1]))
    roll_up(tmp_path, str(DAYS[-1]), *options)
    logger = start_logger("--memcached", memcached.spec, *options)
    logger.write(line("one.example", TODAY))
    served = start("--database", str(tmp_path / "hits.db"))
    path = quote("//one.example/a?page=2")
    eventually(lambda: served.ask(f"/api/today?path={path}").json()["views"] == 1)
    assert served.ask(f"/api/history?path={path}").json()["views"] == [2]
    assert served.ask("/api/history?path=/a%3Fpage=2&host=two.example").json()["views"] == [1]
    hosts = served.ask("/api/hosts").json()
    assert (hosts["kept"], [(row["host"], row["views"]) for row in hosts["rows"]]) == (
        True,
        [("one.example", 2), ("two.example", 1)],
    )
    assert b"views: 3" in served.ask(f"/badge.svg?path={path}").body


def test_sections_referrers_searches_bots_and_paths_not_found_equal_the_rollup(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    day = DAYS[-1]
    search = hit("/blog/a", day).replace(b'"-"', b'"https://www.google.com/search?q=page+hits"', 1)
    linked = hit("/blog/b", day).replace(b'"-"', b'"https://other.example/x"', 1)
    robot = re.sub(rb'"Mozilla[^"]*"', b'"Googlebot/2.1"', hit("/", day))
    gone = hit("/blog/gone", day).replace(b" 200 ", b" 410 ") * 2 + hit("/nothing", day).replace(b" 200 ", b" 404 ")
    write(tmp_path / "a.log", hit("/blog/a", day) * 2, search, linked * 3, robot, hit("/site.css", day), gone)
    roll_up(tmp_path, str(day), "--referrers", "site", "--search-terms", "--bots", "apart", "--not-found", "apart")
    served = start("--database", str(tmp_path / "hits.db"))

    def rows(target: str) -> list[tuple[object, ...]]:
        answer = served.ask(target).json()
        assert answer["kept"]
        return [tuple(row.values())[: 3 if "searches" in target else 2] for row in answer["rows"]]

    assert rows("/api/sections?pages=1") == [("/blog/*", 6)]
    assert rows("/api/sections?prefix=/blog/&limit=1") == [("/blog/a", 3)]
    assert served.ask("/api/sections?limit=1").json()["next"] == 1
    assert ("other.example", 3) in rows("/api/referrers")
    assert rows("/api/referrers?path=/blog/b") == [("other.example", 3)]
    assert rows("/api/searches?prefix=/blog/") == [("Google", "page hits", 1)]
    assert rows("/api/bots") == [(str(day), 1)]
    assert rows("/api/read-by-bots") == [("/", 1)]
    assert rows("/api/read-by-bots?prefix=/blog/") == []
    assert rows("/api/not-found") == [("/blog/gone", 2), ("/nothing", 1)]
    assert rows("/api/not-found?limit=1&offset=1") == [("/nothing", 1)]
    assert rows("/api/not-found?prefix=/blog/") == [("/blog/gone", 2)]
    assert served.ask("/api/history?prefix=/blog/&pages=1").json()["total"] == 6
    assert "/blog/gone" in served.ask("/report").body.decode().partition("Not found")[2]


def roll_up(folder: Path, days: str, *options: str) -> None:
    done = fasthits("rollup", days, "--logs", folder / "*.log", "--to", folder / "hits.db", "--partial", *options)
    assert (folder / "hits.db").exists(), done.stderr


def test_an_answer_is_sent_again_only_after_the_database_has_changed(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    write(tmp_path / "a.log", hit("/", DAYS[0]))
    roll_up(tmp_path, str(DAYS[0]))
    served = start("--database", str(tmp_path / "hits.db"))
    first = served.ask("/api/history")
    assert (first.status, first.headers["cache-control"]) == (200, "no-cache")
    again = served.ask("/api/history", If_None_Match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    write(tmp_path / "a.log", hit("/", DAYS[0]) * 2)
    roll_up(tmp_path, str(DAYS[0]))
    changed = served.ask("/api/history", If_None_Match=first.headers["etag"])
    assert (changed.status, changed.json()["total"]) == (200, 2)


def test_long_answers_are_packed_and_events_are_not(idle: Served) -> None:
    packed = idle.ask("/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == idle.ask("/openapi.json").json()
    with idle.connection() as connection:
        connection.request("GET", "/events", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.headers["Content-Encoding"] is None
        assert answer.readline() == b"event: sample\n"


def test_the_policy_of_the_report_allows_only_its_style(idle: Served) -> None:
    page = idle.ask(f"/report?from={DAYS[0]}&to={DAYS[-1]}")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    (style,) = re.findall(rb"<style>(.*?)</style>", page.body, re.S)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in page.headers["content-security-policy"]
    assert b"style=" not in page.body
    assert b"&lt;script&gt;" in page.body
    assert b"<script" not in page.body


def test_a_csv_file_is_refused(tmp_path: Path) -> None:
    done = run_fasthits("serve", "--port", "0", "--database", str(tmp_path / "hits.csv"))
    assert (done.returncode, done.stderr.partition(b": /")[0]) == (2, b"fasthits: serve cannot read CSV")


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


def test_a_hash_whose_path_is_not_known_stays_unknown(idle: Served) -> None:
    answer = idle.ask(f"/api/today?path=%23{'0' * 64}").json()
    assert (answer["views"], answer["reason"]) == (None, "no counter of today has this hash")
    assert idle.ask("/api/today?path=/never").json()["views"] == 0
    assert idle.ask(f"/api/history?path=%23{'0' * 64}").status == 400
    assert b"views: unknown" in idle.ask(f"/badge.svg?path=%23{'0' * 64}").body


def test_past_days_of_a_hash_are_those_of_its_path(idle: Served) -> None:
    digits = hashlib.sha256(LONG.encode()).hexdigest()
    found = idle.ask(f"/api/history?path=%23{digits}").json()
    assert (found["path"], found["total"]) == (LONG, 1)
    assert b"views: 1" in idle.ask(f"/badge.svg?path=%23{digits}").body


def test_a_new_rollup_is_seen_at_once(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/", DAYS[0]))
    rollup = ("rollup", str(DAYS[0]), "--logs", tmp_path / "a.log", "--to", tmp_path / "hits.db")
    served = start("--database", str(tmp_path / "hits.db"))
    assert served.ask("/api/history").status == 503
    for views in (1, 2):
        assert fasthits(*rollup).returncode == 0
        assert served.ask("/api/history").json()["total"] == views
        write(tmp_path / "a.log", hit("/", DAYS[0]) * 2)


def test_search_finds_paths_that_were_read_today_and_before(served: Served, logger: Logger) -> None:
    count(logger, "/old/but/new")
    eventually(lambda: served.ask("/api/search?q=OLD").json()["paths"] == ["/old/but/new", "/old"])
    assert served.ask("/api/search?q=%25").json()["paths"] == []
    assert served.ask(f"/api/search?q={quote('<script>')}").json()["paths"] == [HOSTILE]


def test_the_badge_counts_all_days_and_today(served: Served, logger: Logger) -> None:
    count(logger, *["/"] * 1234)

    def badge(asked: str = "") -> ElementTree.Element:
        answer = served.ask(f"/badge.svg?path=/{asked}")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        return ElementTree.fromstring(answer.body)

    eventually(lambda: badge().get("aria-label") == "views: 1,240")
    assert badge().findtext("{*}title") == "views: 1,240"
    for asked, said in (("days=2", "views: 1,235 in 2 days"), ("days=1&label=%3Creads%3E", "<reads>: 1,234 today")):
        assert badge(f"&{asked}").get("aria-label") == said


def metrics(served: Served) -> dict[str, float]:
    """Return the values of all metrics, by name and labels."""
    lines = served.ask("/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_are_totals_and_not_per_path(served: Served, logger: Logger, memcached: Memcached) -> None:
    server = f'{{server="{memcached.spec}"}}'
    assert metrics(served)[f"fasthits_views_total{server}"] == 0
    count(logger, "/a", "/b")
    figures = eventually(lambda: (found := metrics(served))["fasthits_views_today"] == 2 and found)
    assert figures["fasthits_paths_today"] == 2
    assert figures[f"fasthits_views_total{server}"] == 2
    assert figures[f"fasthits_memcached_up{server}"] == 1
    assert figures["fasthits_loggers"] >= 1
    assert figures["fasthits_rollup_kept_days"] == 3
    assert figures["fasthits_rollup_missing_days"] == 0
    newest = datetime.fromtimestamp(figures["fasthits_rollup_newest_day_timestamp_seconds"])
    assert (newest.date(), newest.hour) == (DAYS[-1], 0)
    (build,) = [name for name in figures if name.startswith("fasthits_build_info{")]
    assert f'version="{__version__}"' in build
    assert 0 < figures["fasthits_scrape_duration_seconds"] < 60
    assert not [name for name in figures if "/" in name.replace(memcached.spec, "")]


def test_a_counter_never_falls_when_memcached_loses_what_it_held(served: Served, memcached: Memcached) -> None:
    name = f'fasthits_views_total{{server="{memcached.spec}"}}'
    metrics(served)
    add_views([(TODAY, "/a", 5)], memcached.spec)
    eventually(lambda: metrics(served)[name] == 5)
    memcached.kill()
    eventually(lambda: name not in metrics(served))
    assert metrics(served)[f'fasthits_memcached_up{{server="{memcached.spec}"}}'] == 0
    memcached.start(keep_port=True)
    add_views([(TODAY, "/a", 2)], memcached.spec)
    eventually(lambda: metrics(served).get(name) == 7)


def test_names_of_metrics_follow_the_conventions(served: Served, logger: Logger) -> None:
    text = served.ask("/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert set(kinds.values()) == {"counter", "gauge"}
    assert {name for name, kind in kinds.items() if kind == "counter"} == {n for n in kinds if n.endswith("_total")}
    assert {name for name in kinds if "timestamp" in name} == {n for n in kinds if n.endswith("_timestamp_seconds")}
    assert set(re.findall(r"^# HELP (\S+) \S.*\.$", text, re.M)) == kinds.keys()


def test_metrics_count_the_lines_of_all_loggers_by_outcome(
    served: Served, start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    assert metrics(served)['fasthits_logger_lines_total{outcome="hit"}'] == 0
    for paths in (["/a", "/b"], ["/a"]):
        logger = start_logger("--memcached", memcached.spec)
        count(logger, *paths)
        logger.write(access_line("/a", TODAY, "POST") + b"no line of a log\n")
        assert logger.finish() == 0
    eventually(lambda: metrics(served)['fasthits_logger_lines_total{outcome="hit"}'] == 3)
    found = {name: value for name, value in metrics(served).items() if "logger_" in name and "warnings" not in name}
    assert found == {
        'fasthits_logger_lines_total{outcome="hit"}': 3,
        'fasthits_logger_lines_total{outcome="filtered"}': 2,
        'fasthits_logger_lines_total{outcome="malformed"}': 2,
        'fasthits_logger_hits_total{outcome="delivered"}': 3,
        'fasthits_logger_hits_total{outcome="in_doubt"}': 0,
        'fasthits_logger_hits_total{outcome="refused"}': 0,
        'fasthits_logger_hits_total{outcome="dropped"}': 0,
        "fasthits_logger_reconnects_total": 0,
        "fasthits_logger_discarded_lines_total": 0,
    }
    top = eventually(lambda: (found := served.ask("/api/top").json())["views"] == 3 and found)
    assert [each["path"] for each in top["most_read"]] == ["/a", "/b"]
    memcached.kill()
    eventually(lambda: b"fasthits_logger_" not in served.ask("/metrics").body)


def test_the_board_for_grafana_asks_for_metrics_that_exist(served: Served, logger: Logger) -> None:
    board = json.loads((PROJECT / "docs" / "grafana.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "time", "templating"} <= board.keys()
    assert board["templating"]["list"][0]["type"] == "datasource"
    served_names = set(re.findall(r"^# TYPE (\S+) ", served.ask("/metrics").body.decode(), re.M))
    places = set()
    for panel in board["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        asked = [set(re.findall(r"fasthits_\w+", target["expr"])) for target in panel["targets"]]
        assert asked
        assert all(names and names <= served_names for names in asked), panel["title"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places
        assert at["x"] + at["w"] <= 24
        places |= cells


@pytest.mark.parametrize(
    "target",
    [
        *("/api/today", "/api/today?path=", "/api/today?path=a", "/api/today?path=/&path=/", "/api/today?path=/&day=1"),
        *("/api/history?days=0", "/api/history?days=3661", "/api/history?days=1e1", "/api/history?days=%D9%A1"),
        *("/api/top?limit=101", "/api/top?limit=-1", "/api/search", "/api/search?q=", "/badge.svg"),
        *("/api/history?from=2026-03-12", "/api/history?to=2026-03-12", "/api/history?from=2026-03-12&to=2026-03-11"),
        *("/api/history?from=2000-01-01&to=2026-03-11", "/api/history?from=2026-03-01&to=2026-03-12&days=3"),
        *("/api/history?from=today&to=today", "/api/history?path=/&prefix=/", "/api/history?prefix=/blog"),
        *("/api/history?nothing=1", "/metrics?path=/", "/openapi.json?x", "/events?path=/", "/api/most-read?sort=up"),
        *("/api/most-read?pages=yes", "/api/most-read?offset=-1", "/api/hours", "/api/hours?day=yesterday"),
        *("/badge.svg?path=/&label=", "/badge.svg?path=/&label=%00", "/badge.svg?path=/&label=" + "x" * 41),
        "/api/today?path=/" + "x" * 8192,
    ],
)
def test_invalid_parameters_are_errors(idle: Served, target: str) -> None:
    answer = idle.ask(target)
    assert answer.status == 400
    assert list(answer.json()) == ["error"]


def test_every_described_parameter_is_accepted(idle: Served) -> None:
    values = {
        **{"path": "/", "prefix": "/", "q": "a", "label": "reads", "day": str(DAYS[0]), "days": "all", "limit": "100"},
        **{"offset": "0", "sort": "rise", "pages": "1", "by_day": "1"},
    }
    for address, endpoint in ENDPOINTS.items():
        needed = {name: values[name] for name in endpoint.required}
        for name in endpoint.parameters:
            given = {"from": str(DAYS[0]), "to": str(DAYS[0])} if name in ("from", "to") else {name: values.get(name)}
            if name == "host":
                continue  # the table of this database has no hosts
            answer = idle.ask(f"{address}?{urlencode({**needed, **given})}")
            assert answer.status == 200, (address, name, answer.body)
    answer = idle.ask("/api/history?host=www.example.org")
    assert (answer.status, "--by-host" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    "target", ["/", "/api/top", "/badge.svg?path=/", "/nothing", "/static/style.css", "/api/today"]
)
def test_every_answer_tells_the_browser_to_be_strict(idle: Served, target: str) -> None:
    headers = idle.ask(target).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "server" not in headers


def test_only_reading_requests_are_answered(idle: Served) -> None:
    assert [idle.ask("/api/top", method).status for method in ("POST", "PUT", "DELETE", "TRACE")] == [405] * 4
    assert idle.ask("/api/top", "HEAD").status == 200
    for target in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/", "/static/uplot"):
        assert idle.ask(target).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(idle: Served, host: str) -> None:
    assert idle.ask("/api/top", Host=host).status == 421
    assert idle.ask("/events", Host=host).status == 421
    for own in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        assert idle.ask("/api/top", Host=own).status == 200


def test_only_the_token_opens_the_page(start: Callable[..., Served]) -> None:
    served = start("--host", "0.0.0.0", "--token", "s3cret café")
    for target in ("/", "/api/top", "/events", "/metrics", "/static/page.js", "/api/top?token=wrong", "/badge.svg"):
        answer = served.ask(target)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert list(answer.json()) == ["error"]
    assert served.ask("/api/top", Authorization="Bearer wrong").status == 401
    assert served.ask("/api/top", Authorization="Bearer s3cret café".encode().decode("latin-1")).status == 200
    assert served.ask(f"/api/top?token={quote('s3cret café')}", Host="any.example").status == 401
    described = served.ask("/openapi.json", Authorization="Bearer s3cret café".encode().decode("latin-1")).json()
    assert described == json.loads(json.dumps(describe(with_token=True)))
    page = served.ask(f"/?token={quote('s3cret café')}")
    check_cookie(served, page)
    assert served.ask("/", Cookie="fasthits=; a b=\x7f; [").status == 401
    assert served.ask("/?token=", Accept="text/html").status == 401


def check_cookie(served: Served, page: Answer) -> None:
    """Check that the answer redirects to the page and sets a cookie that opens the page and expires."""
    assert (page.status, page.headers["location"]) == (303, "./")
    cookie = page.headers["set-cookie"]
    assert {"HttpOnly", "Max-Age=2592000", "SameSite=strict"} <= set(cookie.split("; "))
    assert "s3cret" not in cookie
    assert "Path" not in cookie, "the browser keeps it for the folder of the page"
    value = cookie.partition(";")[0]
    assert served.ask("/", Cookie=value).status == 200
    ends_at, _, proof = value.removeprefix("fasthits=").partition(".")
    expired = f"1.{hmac.digest('s3cret café'.encode(), b'fasthits 1', 'sha256').hex()}"
    for forged in (
        expired,
        f"{int(ends_at) + 1}.{proof}",
        f"1.{proof}",
        f"{ends_at}.",
        ends_at,
        f"-1.{proof}",
        "²." + proof,
    ):
        assert served.ask("/api/top", Cookie=f"fasthits={forged}".encode().decode("latin-1")).status == 401


def test_a_person_is_asked_for_the_token_in_a_form(start: Callable[..., Served]) -> None:
    served = start("--token", "s3cret café")
    form = served.ask("/", Accept="text/html,*/*;q=0.8")
    assert (form.status, form.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert b'<form method="post" action="./">' in form.body
    assert "form-action 'self'" in form.headers["content-security-policy"]
    for name in re.findall(rb'href="(static/[^"]+)"', form.body):
        assert served.ask(f"/{name.decode()}").status == 200
    wrong = served.submit("/", token="wrong")
    assert (wrong.status, b"This is not the token." in wrong.body) == (401, True)
    assert served.submit("/", token="x" * 20_000).status == 401
    check_cookie(served, served.submit("/", token="s3cret café"))
    assert served.submit("/api/top", token="s3cret café").status == 401
    assert "Secure" not in served.submit("/", token="s3cret café").headers["set-cookie"]
    behind_https = served.submit("/", {"X-Forwarded-Proto": "https"}, token="s3cret café")
    assert "; Secure" in behind_https.headers["set-cookie"]


def test_the_token_comes_from_a_file_that_others_cannot_read(start: Callable[..., Served], tmp_path: Path) -> None:
    file = write(tmp_path / "token", b"s3cret\n")
    file.chmod(0o640)
    served = start("--token-file", str(file))
    assert served.ask("/api/top", Authorization="Bearer s3cret").status == 200
    assert served.ask("/api/top").status == 401


@pytest.mark.parametrize(
    ("content", "mode", "options", "said"),
    [
        (b"s3cret", 0o644, (), "everybody on this machine may read the token: "),
        (b"\n", 0o600, (), "token is empty: "),
        (b"\xff", 0o600, (), "cannot read the token: "),
        (None, 0o600, (), "cannot read the token: "),
        (b"s3cret", 0o600, ("--token", "other"), "choose one of these: "),
        (b"s3cret", 0o600, ("--public",), "choose one of these: "),
    ],
)
def test_a_token_file_that_is_not_safe_or_not_clear_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, options: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        write(file, content).chmod(mode)
    done = run_fasthits("serve", "--port", "0", "--token-file", str(file), *options)
    assert (done.returncode, done.stderr.startswith(f"fasthits: {said}".encode())) == (2, True), done.stderr


def test_badges_can_be_public_while_the_page_is_private(start: Callable[..., Served]) -> None:
    served = start("--token", "s3cret", "--public-badges")
    assert served.ask("/badge.svg?path=/", Host="any.example").status == 200
    assert served.ask("/api/history?path=/").status == 401
    without_token = start("--public-badges")
    assert without_token.ask("/badge.svg?path=/", Host="any.example").status == 200
    assert without_token.ask("/", Host="any.example").status == 421


@pytest.mark.parametrize("site", ["example.org", "https://", "https://example.org/a", "https://a b", "javascript:x"])
def test_an_invalid_address_of_a_site_is_refused(site: str) -> None:
    done = run_fasthits("serve", "--port", "0", "--site", site)
    assert (done.returncode, done.stderr.partition(b": ")[2].partition(b":")[0]) == (2, b"not the address of a site")


def test_public_answers_everybody_and_the_scripts_of_other_sites(start: Callable[..., Served], served: Served) -> None:
    public = start("--host", "0.0.0.0", "--public")
    answer = public.ask("/api/top", Host="any.example", Origin="https://other.example")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    for target in ("/", "/static/page.js"):
        assert "access-control-allow-origin" not in public.ask(target).headers
    assert "access-control-allow-origin" not in served.ask("/api/top").headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some.example"])
def test_listening_beyond_loopback_needs_a_token_or_public(host: str) -> None:
    done = run_fasthits("serve", "--host", host)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: others could read the numbers: ")


def test_an_empty_token_is_refused() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        done = run_fasthits("serve", "--host", host, "--public", "--token", "", "--port", "0")
        assert (done.returncode, done.stderr.partition(b" (")[0]) == (2, b"fasthits: token is empty: --token")


def test_a_port_in_use_is_an_error_of_one_line(idle: Served) -> None:
    done = run_fasthits("serve", "--port", str(idle.port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"fasthits: cannot listen: 127.0.0.1 port {idle.port} (".encode())
    assert done.stderr.count(b"\n") == 1


def test_it_starts_and_answers_without_memcached_and_database(place: Path) -> None:
    spec = f"127.0.0.1:{closed_port()}"
    with Served(place, "--memcached", spec, "--database", "none.db") as served:
        assert served.ask("/").status == 200
        for target, told in (("/api/top", spec), ("/api/history", "none.db")):
            answer = served.ask(target)
            assert (answer.status, told in answer.json()["error"]) == (503, True)
        assert served.ask("/api/search?q=a").json() == {"paths": []}
        assert b"views: unknown" in served.ask("/badge.svg?path=/").body
        assert f'fasthits_memcached_up{{server="{spec}"}} 0\n'.encode() in served.ask("/metrics").body
        with closing(served.events()) as events:
            assert next(events)[0] == "problem"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_soon_while_a_page_is_open(start: Callable[..., Served], number: signal.Signals) -> None:
    served = start()
    with closing(served.events()) as events:
        next(events)
        assert served.end(number) in (0, -signal.SIGTERM)
        assert list(events) is not None
    assert "Traceback" not in served.said
    assert served.said.count("\n") == 1


def test_streams_that_readers_leave_are_closed(served: Served) -> None:
    descriptors = Path(f"/proc/{served.process.pid}/fd")
    served.ask("/api/top")
    before = len(list(descriptors.iterdir()))

    def open_stream() -> bytes:
        with socket.create_connection(("127.0.0.1", served.port)) as stream:
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return stream.recv(12)

    assert {open_stream() for _ in range(MAX_STREAMS)} == {b"HTTP/1.1 200"}
    eventually(lambda: len(list(descriptors.iterdir())) <= before)
    assert {open_stream() for _ in range(20)} == {b"HTTP/1.1 200"}


def test_requests_that_are_not_finished_block_nobody_and_write_no_traceback(start: Callable[..., Served]) -> None:
    served = start(descriptors=256)
    with ExitStack() as opened:
        for _ in range(300):
            half = opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 10))
            half.sendall(b"GET / HTTP/1.1\r\nHost: local")
        for _ in range(10):
            assert served.ask("/api/history").status == 200
    assert served.said.count("\n") == 1


def test_one_line_tells_that_descriptors_ran_out(start: Callable[..., Served]) -> None:
    served = start()
    descriptors = len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))
    before = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (descriptors + 4, before[1]))
    with ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", served.port), 10)).sendall(b"GET ")
        eventually(lambda: "cannot accept connections: Too many open files (raise the limit: " in served.said)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, before)
    assert served.ask("/api/history").status == 200
    assert served.said.count("\n") == 2


@pytest.mark.slow
def test_a_client_that_does_not_finish_its_request_is_cut_off(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 60) as half:
        half.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionResetError):
            assert half.recv(1) == b""


def test_the_number_of_streams_is_limited(served: Served) -> None:
    with ExitStack() as opened:
        for _ in range(MAX_STREAMS):
            stream = opened.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert stream.recv(12) == b"HTTP/1.1 200"
        answer = served.ask("/events")
        assert (answer.status, answer.json()) == (503, {"error": "too many streams"})
    with closing(served.events()) as events:
        assert next(events)[0] == "sample"


def test_the_description_names_every_path_of_the_interface(idle: Served) -> None:
    assert idle.ask("/openapi.json").json() == json.loads(json.dumps(describe(with_token=False)))
    for path in ENDPOINTS:
        assert idle.ask(path).status in (200, 400)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from fasthits.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "fasthits: not installed: uvicorn (pip install 'fasthits[web]')\n")
