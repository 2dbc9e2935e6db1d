"""Each address accepts the parameters it is described with, and no others."""

import json
from urllib.parse import urlencode

import pytest

from fasthits.web.openapi import ENDPOINTS, describe
from tests.support.webserver import Served
from tests.web.support import DAYS


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


def test_the_description_names_every_path_of_the_interface(idle: Served) -> None:
    assert idle.ask("/openapi.json").json() == json.loads(json.dumps(describe(with_token=False)))
    for path in ENDPOINTS:
        assert idle.ask(path).status in (200, 400)


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
        *("/api/history?path=/%00", "/api/referrers?prefix=/a%00/", "/badge.svg?path=/%00", "/api/most-read?q=%00"),
        *("/api/history?host=a%00", "/api/today?path=/caf%E9", "/badge.svg?path=/caf%E9"),
    ],
)
def test_invalid_parameters_are_errors(idle: Served, target: str) -> None:
    answer = idle.ask(target)
    assert answer.status == 400
    assert list(answer.json()) == ["error"]
