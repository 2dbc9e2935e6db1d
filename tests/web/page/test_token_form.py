"""The form that asks a person for the token, in a real browser."""

from pathlib import Path

import pytest

from tests.support.browser import Browser, Chromium
from tests.support.servers import Memcached
from tests.support.webserver import Served


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_person_types_the_token_and_sees_the_page(
    place: Path, memcached: Memcached, chromium: Chromium, width: int, dark: bool
) -> None:
    server = Served(place, "--memcached", memcached.spec, "--token", "s3cret-s3cret")
    with server as served, Browser(chromium, width, dark=dark) as page:
        page.driver.get(served.url)
        assert page.faults() == []
        assert page.run("return window.violations") == []
        page.find("#token").send_keys("wrong\n")
        page.until(lambda: page.texts("[role=alert]") == ["This is not the token."])
        assert page.faults() == []
        page.find("#token").send_keys("s3cret-s3cret\n")
        page.until(lambda: page.text("#status") == "Live")
        assert page.driver.current_url == served.url
        assert page.run("return window.violations") == []
