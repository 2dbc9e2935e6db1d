"""`fasthits serve` over HTTP: the JSON interface, events, the badge, the metrics, and who gets an answer."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from fasthits.live.keys import hit_key
from fasthits.web.events import MAX_STREAMS
from fasthits.web.openapi import ENDPOINTS, describe
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_line
from tests.support.processes import eventually, run_fasthits
from tests.support.servers import Memcached, free_port
from tests.support.webserver import Served

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


@pytest.fixture
def start(place: Path, memcached: Memcached, kept: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*args: str) -> Served:
        where = ("--memcached", memcached.spec, "--database", str(kept))
        started.append(Served(place, *where, *args))
        return started[-1]

    yield start
    for served in started:
        served.__exit__()


@pytest.fixture
def served(start: Callable[..., Served]) -> Served:
    return start()


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path, TODAY) for path in paths))


def test_today_is_what_the_loggers_have_counted(served: Served, logger: Logger) -> None:
    count(logger, "/", "/", HOSTILE, LONG)
    for path, views in (("/", 2), (HOSTILE, 1), (LONG, 1), ("/never", 0)):
        target = f"/api/today?path={quote(path)}"
        eventually(lambda target=target, views=views: served.ask(target).json()["views"] == views)
        assert served.ask(target).json()["path"] == path
    hashed = hit_key(TODAY, LONG.encode()).partition(str(TODAY))[2]
    eventually(lambda: served.ask(f"/api/today?path={quote(hashed)}").json()["views"] == 1)


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


def test_history_is_what_rollups_have_kept(served: Served) -> None:
    days = list(map(str, DAYS))
    assert served.ask("/api/history?path=/").json() == {"path": "/", "days": days, "views": [3, 2, 1], "total": 6}
    site = served.ask("/api/history?days=2").json()
    assert site == {"path": None, "days": days[1:], "views": [3, 2], "total": 5}
    most_read = served.ask("/api/most-read?days=3&limit=1").json()
    assert most_read == {"days": days, "paths": [{"path": "/", "views": 6, "by_day": [3, 2, 1]}]}


def test_a_rollup_meanwhile_is_seen_at_once(start: Callable[..., Served], tmp_path: Path) -> None:
    write(tmp_path / "a.log", hit("/", DAYS[0]))
    rollup = ("rollup", str(DAYS[0]), "--logs", tmp_path / "a.log", "--to", tmp_path / "hits.db")
    served = start("--database", str(tmp_path / "hits.db"))
    assert served.ask("/api/history").status == 503
    for views in (1, 2):
        assert fasthits(*rollup).returncode == 0
        assert served.ask("/api/history").json()["total"] == views
        write(tmp_path / "a.log", hit("/", DAYS[0]) * 2)


def test_search_finds_what_was_read_today_and_before(served: Served, logger: Logger) -> None:
    count(logger, "/old/but/new")
    eventually(lambda: served.ask("/api/search?q=OLD").json()["paths"] == ["/old/but/new", "/old"])
    assert served.ask("/api/search?q=%25").json()["paths"] == []
    assert served.ask(f"/api/search?q={quote('<script>')}").json()["paths"] == [HOSTILE]


def test_the_badge_counts_all_days_and_today(served: Served, logger: Logger) -> None:
    count(logger, *["/"] * 1234)

    def badge() -> ElementTree.Element | None:
        answer = served.ask("/badge.svg?path=/")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        picture = ElementTree.fromstring(answer.body)
        return picture if picture.get("aria-label") == "views: 1,240" else None

    picture = eventually(badge)
    assert picture.findtext("{*}title") == "views: 1,240"


def test_metrics_are_totals_and_not_per_path(served: Served, logger: Logger) -> None:
    count(logger, "/a", "/b")
    text = eventually(lambda: b"fasthits_views_today 2\n" in (body := served.ask("/metrics").body) and body.decode())
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    figures = {name: float(value) for name, value in (line.split(" ") for line in lines)}
    assert figures["fasthits_paths_today"] == 2
    assert figures["fasthits_memcached_up"] == 1
    assert figures["fasthits_loggers"] >= 1
    assert datetime.fromtimestamp(figures["fasthits_rollup_newest_day_seconds"]).date() in (DAYS[-1], DAYS[-2])
    assert "/" not in text


def test_metrics_count_the_lines_of_all_loggers_by_outcome(
    served: Served, start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    assert b'fasthits_logger_lines_today{outcome="hit"} 0\n' in served.ask("/metrics").body
    for paths in (["/a", "/b"], ["/a"]):
        logger = start_logger("--memcached", memcached.spec)
        count(logger, *paths)
        logger.write(access_line("/a", TODAY, "POST") + b"no line of a log\n")
        assert logger.finish() == 0
    body = served.ask("/metrics").body.decode().partition("# HELP fasthits_logger_warnings_today")[0]
    assert [line for line in body.splitlines() if "logger_" in line and not line.startswith("# HELP")] == [
        "# TYPE fasthits_logger_lines_today gauge",
        'fasthits_logger_lines_today{outcome="hit"} 3',
        'fasthits_logger_lines_today{outcome="filtered"} 2',
        'fasthits_logger_lines_today{outcome="malformed"} 2',
        "# TYPE fasthits_logger_hits_today gauge",
        'fasthits_logger_hits_today{outcome="delivered"} 3',
        'fasthits_logger_hits_today{outcome="in_doubt"} 0',
        'fasthits_logger_hits_today{outcome="refused"} 0',
        'fasthits_logger_hits_today{outcome="dropped"} 0',
        "# TYPE fasthits_logger_reconnects_today gauge",
        "fasthits_logger_reconnects_today 0",
        "# TYPE fasthits_logger_discarded_lines_today gauge",
        "fasthits_logger_discarded_lines_today 0",
    ]
    top = eventually(lambda: (found := served.ask("/api/top").json())["views"] == 3 and found)
    assert [each["path"] for each in top["most_read"]] == ["/a", "/b"]
    memcached.kill()
    assert b"fasthits_logger_" not in served.ask("/metrics").body


@pytest.mark.parametrize(
    "target",
    [
        *("/api/today", "/api/today?path=", "/api/today?path=a", "/api/today?path=/a%3Fb", "/api/today?path=/&path=/"),
        *("/api/history?days=0", "/api/history?days=3661", "/api/history?days=1e1", "/api/history?days=%D9%A1"),
        *("/api/top?limit=101", "/api/top?limit=-1", "/api/search", "/api/search?q=", "/badge.svg"),
        "/api/today?path=/" + "x" * 8192,
    ],
)
def test_invalid_parameters_are_errors(served: Served, target: str) -> None:
    answer = served.ask(target)
    assert answer.status == 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "target", ["/", "/api/top", "/badge.svg?path=/", "/nothing", "/static/style.css", "/api/today"]
)
def test_every_answer_tells_the_browser_to_be_strict(served: Served, target: str) -> None:
    headers = served.ask(target).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "server" not in headers


def test_only_reading_requests_are_answered(served: Served) -> None:
    assert [served.ask("/api/top", method).status for method in ("POST", "PUT", "DELETE", "TRACE")] == [405] * 4
    assert served.ask("/api/top", "HEAD").status == 200
    for target in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/", "/static/uplot"):
        assert served.ask(target).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(served: Served, host: str) -> None:
    assert served.ask("/api/top", Host=host).status == 421
    assert served.ask("/events", Host=host).status == 421
    for own in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"):
        assert served.ask("/api/top", Host=own).status == 200


def test_a_token_opens_and_nothing_else_does(start: Callable[..., Served]) -> None:
    served = start("--host", "0.0.0.0", "--token", "s3cret café")
    for target in ("/", "/api/top", "/events", "/metrics", "/static/page.js", "/api/top?token=wrong", "/?token="):
        answer = served.ask(target)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert served.ask("/api/top", Authorization="Bearer wrong").status == 401
    assert served.ask("/api/top", Authorization="Bearer s3cret café".encode().decode("latin-1")).status == 200
    assert served.ask(f"/api/top?token={quote('s3cret café')}", Host="any.example").status == 200
    page = served.ask(f"/?token={quote('s3cret café')}")
    assert (page.status, page.headers["location"]) == (303, "./")
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "s3cret" not in cookie
    assert served.ask("/", Cookie=cookie.partition(";")[0]).status == 200
    assert served.ask("/", Cookie="fasthits=; a b=\x7f; [").status == 401


def test_public_answers_everybody(start: Callable[..., Served]) -> None:
    assert start("--host", "0.0.0.0", "--public").ask("/api/top", Host="any.example").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some.example"])
def test_listening_beyond_loopback_needs_a_token_or_public(host: str) -> None:
    done = run_fasthits("serve", "--host", host)
    assert done.returncode == 2
    assert done.stderr.startswith(b"fasthits: others could read the numbers: ")


def test_an_empty_token_is_refused() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        done = run_fasthits("serve", "--host", host, "--public", "--token", "", "--port", "0")
        assert (done.returncode, done.stderr.partition(b" (")[0]) == (2, b"fasthits: token is empty: --token")


def test_a_port_in_use_is_an_error_of_one_line(served: Served) -> None:
    done = run_fasthits("serve", "--port", str(served.port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"fasthits: cannot listen: 127.0.0.1 port {served.port} (".encode())
    assert done.stderr.count(b"\n") == 1


def test_it_starts_and_answers_without_memcached_and_database(place: Path) -> None:
    spec = f"127.0.0.1:{free_port()}"
    with Served(place, "--memcached", spec, "--database", "none.db") as served:
        assert served.ask("/").status == 200
        for target, told in (("/api/top", spec), ("/api/history", "none.db")):
            answer = served.ask(target)
            assert (answer.status, told in answer.json()["error"]) == (503, True)
        assert served.ask("/api/search?q=a").json() == {"paths": []}
        assert b"views: 0" in served.ask("/badge.svg?path=/").body
        assert b"fasthits_memcached_up 0\n" in served.ask("/metrics").body
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


def test_the_description_names_every_path_of_the_interface(served: Served) -> None:
    assert served.ask("/openapi.json").json() == json.loads(json.dumps(describe(with_token=False)))
    for path in ENDPOINTS:
        assert served.ask(path).status in (200, 400)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from fasthits.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "fasthits: not installed: uvicorn (pip install 'fasthits[web]')\n")
