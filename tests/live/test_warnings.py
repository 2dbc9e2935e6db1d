"""Warnings of loggers are shown where people look, because nobody reads the standard error of loggers."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from fasthits.live.causes import CAUSES, LOSSES, OTHER, warnings_of
from fasthits.live.keys import hit_key
from fasthits.live.memcached import router
from fasthits.live.servers import Server
from fasthits.live.statistics import FIGURES
from tests.live.test_statistics import OFTEN
from tests.support.logger import Logger, access_line
from tests.support.processes import eventually, run_fasthits
from tests.support.servers import Memcached, closed_port
from tests.support.webserver import Served

StartLogger = Callable[..., Logger]

DISCARDED = """
from fasthits.live.supervisor import _Pipe
def init(self, fd, init=_Pipe.__init__):
    init(self, fd)
    self.unreported = 7
_Pipe.__init__ = init
"""
TOLD = [
    "7 lines were discarded while a logger could not count (fasthits log --check with the logger's options says why; "
    "repair the counters: fasthits warm)",
    "a logger could not reach memcached: 1 warning today (start memcached, or name another with --memcached; hits wait "
    "until then)",
]


@pytest.fixture
def warned(start_logger: StartLogger, memcached: Memcached) -> Memcached:
    """A memcached that was down for a while, and that now holds the warnings of a logger."""
    memcached.kill()
    logger = start_logger("--memcached", memcached.spec, patch=OFTEN + DISCARDED)
    logger.write(access_line("/a"))
    eventually(lambda: "cannot reach" in logger.stderr, what="the logger warns")
    memcached.start(keep_port=True)
    eventually(lambda: memcached.figures().get("delivered") == 1, what="the hit is delivered")
    assert logger.finish() == 0
    return memcached


def test_warnings_are_published_when_memcached_is_back(warned: Memcached) -> None:
    assert warned.warnings() == {"unreachable": 1}
    assert warned.figures() == {"lines": 1, "hits": 1, "delivered": 1, "discarded": 7}


def test_top_prints_them(warned: Memcached) -> None:
    done = run_fasthits("top", "--once", "--memcached", warned.spec)
    assert done.stderr.decode().splitlines() == [f"fasthits: {text}" for text in TOLD]
    done = run_fasthits("top", "--json", "--memcached", warned.spec)
    assert json.loads(done.stdout)["warnings"] == TOLD


def test_today_prints_them_beside_the_numbers(warned: Memcached) -> None:
    """A script that reads only the number would never learn that it is too low."""
    done = run_fasthits("today", "/b", "--memcached", warned.spec)
    assert (done.returncode, done.stdout) == (0, b"0\t/b\n")
    assert done.stderr.decode().splitlines() == [f"fasthits: {text}" for text in TOLD]


def test_today_prints_its_numbers_if_the_warnings_are_on_a_server_that_is_down(memcached: Memcached) -> None:
    servers = [memcached.spec, f"127.0.0.1:{closed_port()}"]
    _, server_of = router(list(map(Server, servers)))
    keys = {path: hit_key(date.today(), path.encode()) for path in map("/{}".format, range(30))}
    path = next(path for path, key in keys.items() if server_of(key) == memcached.spec)
    client = memcached.client()
    client.set(keys[path], b"5", noreply=False)
    client.close()
    done = run_fasthits("today", path, "--memcached", ",".join(servers))
    assert (done.returncode, done.stdout) == (0, f"5\t{path}\n".encode())
    assert done.stderr.startswith(b"fasthits: warnings of loggers are unknown: cannot reach memcached: ")


def test_the_web_server_answers_with_them(warned: Memcached, place: Path) -> None:
    with Served(place, "--memcached", warned.spec) as served:
        assert served.ask("/api/top").json()["warnings"] == TOLD
        assert next(served.events())[1]["warnings"] == TOLD
        metrics = served.ask("/metrics").body.decode()
    assert 'fasthits_logger_warnings_total{cause="unreachable"} 1\n' in metrics
    assert 'fasthits_logger_warnings_total{cause="lost"} 0\n' in metrics
    assert "fasthits_logger_discarded_lines_total 7\n" in metrics


def test_an_unknown_cause_is_published_as_other(memcached: Memcached, start_logger: StartLogger) -> None:
    logger = start_logger(
        "--memcached",
        memcached.spec,
        patch="import fasthits.live.reader as p; p.Reader._look_for_misfits = lambda self: (\n"
        "    setattr(self._misfits, 'at', float('inf')), self._report('invented', 'an invention'))\n"
        "import fasthits.live.misfits; fasthits.live.misfits.LOOK_SECONDS = 0",
    )
    logger.write(access_line("/a"))
    eventually(lambda: "an invention" in logger.stderr, what="the logger warns")
    assert logger.finish() == 0
    assert memcached.warnings() == {OTHER: 1}


def test_each_cause_says_what_happened_and_what_to_do() -> None:
    found = warnings_of(dict.fromkeys(FIGURES, 2))
    assert [warned.cause for warned in found] == [*LOSSES, *CAUSES]
    assert all(warned.text.startswith(("a logger ", "2 ")) and warned.remedy for warned in found)
    assert warnings_of({"hits": 3}) == []
