"""The badge: its numbers, and who gets it."""

from collections.abc import Callable
from xml.etree import ElementTree

from tests.support.logger import Logger
from tests.support.processes import eventually
from tests.support.webserver import Served
from tests.web.support import count


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


def test_badges_can_be_public_while_the_page_is_private(start: Callable[..., Served]) -> None:
    served = start("--token", "s3cret-s3cret", "--public-badges")
    answer = served.ask("/badge.svg?path=/", Host="any.example")
    assert (answer.status, answer.headers["cache-control"]) == (200, "max-age=60")
    assert served.ask("/api/history?path=/").status == 401
    private = start("--token", "s3cret-s3cret")
    assert private.ask("/badge.svg?path=/").status == 401
    answer = private.ask("/badge.svg?path=/", Authorization="Bearer s3cret-s3cret")
    assert answer.headers["cache-control"] == "private, max-age=60", "no proxy gives it to others"
    without_token = start("--public-badges")
    assert without_token.ask("/badge.svg?path=/", Host="any.example").status == 200
    assert without_token.ask("/", Host="any.example").status == 421
