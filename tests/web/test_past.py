"""The kept days over HTTP: history, most read, sections, referrers and what else rollups keep; the report."""

import base64
import hashlib
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from fasthits.daily.days import ONE_DAY
from fasthits.web.archive import CHEAP_AT_ONCE
from tests.support.commands import fasthits, hit, write
from tests.support.postgres import Postgres
from tests.support.processes import run_fasthits
from tests.support.servers import public_directory
from tests.support.targets import replace
from tests.support.webserver import Served
from tests.web.support import DAYS, HOSTILE, TODAY, roll_up


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


def test_a_new_rollup_is_seen_at_once(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/", DAYS[0]))
    rollup = ("rollup", str(DAYS[0]), "--logs", tmp_path / "a.log", "--to", tmp_path / "hits.db")
    served = start("--database", str(tmp_path / "hits.db"))
    assert served.ask("/api/history").status == 503
    for views in (1, 2):
        assert fasthits(*rollup).returncode == 0
        assert served.ask("/api/history").json()["total"] == views
        write(tmp_path / "a.log", hit("/", DAYS[0]) * 2)


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


def test_nothing_waits_long_for_a_postgresql_that_is_locked(start: Callable[..., Served]) -> None:
    patch = "from fasthits.web import api, archive; api.SOON_SECONDS = 0.1; archive.PATIENCE_SECONDS = 1.0"
    with public_directory() as folder, Postgres(folder) as postgres:
        replace(postgres.url(), {DAYS[0]: {b"/": 3}})
        served = start("--database", postgres.url(), patch=patch)
        with psycopg.connect(postgres.url()) as other:
            other.execute("LOCK TABLE hits IN ACCESS EXCLUSIVE MODE")
            with ThreadPoolExecutor(CHEAP_AT_ONCE + 1) as readers:
                answers = list(readers.map(served.ask, [f"/api/history?path=/{n}" for n in range(CHEAP_AT_ONCE + 1)]))
            said = "(the server has not answered for 1 s; does another program hold a lock?"
            assert [(answer.status, said in answer.json()["error"]) for answer in answers] == [(503, True)] * len(
                answers
            )
            assert b"views: unknown" in served.ask("/badge.svg?path=/").body, "at least 0 is not a number"
            assert served.ask("/api/search?q=a").json() == {"paths": []}
            metrics = served.ask("/metrics").body
            assert b"fasthits_views_today 0\n" in metrics
            assert b"fasthits_rollup_kept_days" not in metrics
        assert served.ask("/api/history").json()["total"] == 3


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


def test_a_database_of_another_kind_is_an_error_at_the_start_that_hides_the_password() -> None:
    done = run_fasthits("serve", "--port", "0", "--database", "mysql://me:secret@db/hits")
    error = b"fasthits: no database that fasthits knows: mysql://***@db/hits"
    assert (done.returncode, done.stderr.partition(b" (")[0]) == (1, error)
