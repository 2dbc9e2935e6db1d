"""Paths are found by their host and query, by their hash, and by a search, today and in the kept days."""

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import quote

from tests.support.commands import hit, write
from tests.support.logger import Logger, access_lines
from tests.support.processes import eventually
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.support import DAYS, HOSTILE, LONG, TODAY, count, roll_up


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


def test_a_path_that_is_not_utf8_has_the_views_that_a_rollup_adds_up(served: Served, logger: Logger) -> None:
    logger.write(access_lines([b"/caf\xe9"] * 3 + [rb"/caf\xe9"], TODAY))
    logger.finish()
    eventually(lambda: served.ask("/api/today?path=/caf%5Cxe9").json()["views"] == 4)


def test_a_path_that_is_encoded_once_only_is_not_said_to_have_no_views(idle: Served) -> None:
    """Browsers send /caf%C3%A9 for /café, so logs have it so."""
    answer = idle.ask("/api/today?path=/caf%C3%A9").json()
    assert (answer["views"], "as /caf%C3%A9" in answer["reason"]) == (0, True)
    assert b"views: unknown" in idle.ask("/badge.svg?path=/caf%C3%A9").body
    assert idle.ask("/api/today?path=/caf%25C3%25A9").json()["reason"] is None
    assert b"views: 0" in idle.ask("/badge.svg?path=/caf%25C3%25A9").body
    for target in ("history?path=/", "history?prefix=/", "bots?path=/", "sections?prefix=/", "most-read?q=/"):
        end = "/" if "prefix" in target else ""
        assert "as /caf%C3%A9" in idle.ask(f"/api/{target}caf%C3%A9{end}").json()["reason"]
        assert "reason" not in idle.ask(f"/api/{target}caf%25C3%25A9{end}").json()


def test_a_path_that_is_logged_as_it_is_shown_needs_no_reason(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/caf\u00e9/", DAYS[-1]) * 2)
    roll_up(tmp_path, str(DAYS[-1]))
    served = start("--database", str(tmp_path / "hits.db"))
    for target in ("history?path=/caf%C3%A9/", "history?prefix=/caf%C3%A9/", "most-read?q=caf%C3%A9"):
        assert "reason" not in served.ask(f"/api/{target}").json()
    assert served.ask("/api/search?q=caf%C3%A9").json() == {"paths": ["/caf\u00e9/"]}


def test_a_search_finds_what_browsers_send_for_the_text(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "access.log", hit("/caf%C3%A9/", DAYS[-1]))
    roll_up(tmp_path, str(DAYS[-1]))
    served = start("--database", str(tmp_path / "hits.db"))
    assert served.ask("/api/search?q=caf%C3%A9").json() == {"paths": ["/caf%C3%A9/"]}


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


def test_search_finds_paths_that_were_read_today_and_before(served: Served, logger: Logger) -> None:
    count(logger, "/old/but/new")
    eventually(lambda: served.ask("/api/search?q=OLD").json()["paths"] == ["/old/but/new", "/old"])
    assert served.ask("/api/search?q=%25").json()["paths"] == []
    assert served.ask(f"/api/search?q={quote('<script>')}").json()["paths"] == [HOSTILE]
