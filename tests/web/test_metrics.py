"""The metrics for Prometheus, and the board of Grafana that shows them."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from fasthits import __version__
from fasthits.live.counters import add_views
from tests.support.logger import Logger, access_line
from tests.support.processes import PROJECT, eventually, fasthits_command
from tests.support.servers import Memcached, closed_port
from tests.support.webserver import Served
from tests.web.support import DAYS, TODAY, count


def metrics(served: Served) -> dict[str, float]:
    """Return the values of all metrics, by name and labels."""
    lines = served.ask("/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_are_totals_and_not_per_path(
    served: Served, start_logger: Callable[..., Logger], memcached: Memcached
) -> None:
    logger = start_logger("--memcached", memcached.spec, command=fasthits_command("log"))
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


@pytest.mark.parametrize("exists", [False, True], ids=["no /proc", "hidden"])
def test_loggers_that_the_system_hides_are_not_said_to_be_none(
    start: Callable[..., Served], tmp_path: Path, exists: bool
) -> None:
    seen = str(tmp_path if exists else tmp_path / "none")
    patch = f"from fasthits.live import processes; processes.PROCESSES = processes.Path({seen!r})"
    figures = metrics(start(patch=patch))
    assert "fasthits_loggers" not in figures
    assert figures["fasthits_rollup_kept_days"] == 3


def test_a_total_without_the_views_of_one_server_is_left_out(
    start: Callable[..., Served], memcached: Memcached
) -> None:
    down = f"127.0.0.1:{closed_port()}"
    served = start("--memcached", down)
    found = metrics(served)
    assert [found[f'fasthits_memcached_up{{server="{server}"}}'] for server in (memcached.spec, down)] == [1, 0]
    assert f'fasthits_views_total{{server="{memcached.spec}"}}' in found
    assert found.keys().isdisjoint({"fasthits_views_today", "fasthits_paths_today"})
    errors = {served.ask(f"/api/today?path=/{number}").json().get("error", "") for number in range(20)}
    assert {error.partition(" (")[0] for error in errors} == {"", f"memcached does not answer: {down}"}


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
