"""A page of the site in a real Chromium: its number rises while a real `fasthits log` counts lines.

With FASTHITS_SCREENSHOT=docs/django.png the picture of the page goes there.
"""

import os
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from fasthits.django import live
from fasthits.django.models import Hits
from tests.django_app.models import PressRelease
from tests.django_app.site import Site
from tests.support.browser import Browser, Chromium
from tests.support.logger import Logger, access_lines
from tests.support.servers import Memcached

WAIT_SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_number_on_the_page_rises_while_it_is_open(
    shared_tables: dict[str, Any],
    memcached: Memcached,
    start_logger: Callable[..., Logger],
    chromium: Chromium,
    tmp_path: Path,
) -> None:
    release = PressRelease.objects.create(title="The new library opens on Saturday", slug="library")
    weeks = random.Random(7)
    for ago in range(1, 31):
        views = int((120 + 9 * (30 - ago)) * (0.55 if (live.today() - timedelta(ago)).weekday() > 4 else 1.0))
        views += weeks.randrange(40)
        Hits.objects.create(date=live.today() - timedelta(ago), content_object=release, views=views)
    logger = start_logger("--memcached", memcached.spec)
    site_of_tests = Site.of_tests(tmp_path / "site.log", shared_tables, memcached.spec)
    with site_of_tests as site, Browser(chromium, 1000, 700) as page:
        browser = page.driver
        waiting = WebDriverWait(browser, WAIT_SECONDS, poll_frequency=0.05)
        browser.get(f"{site.address}{release.get_absolute_url()}")
        number = browser.find_element(By.CSS_SELECTOR, "[data-fasthits]")
        assert number.text == "0"
        read = 0
        for more in (137, 12, 1):
            logger.write(access_lines([release.get_absolute_url()] * more, live.today()))
            read += more
            waiting.until(lambda _, read=read: number.text == str(read), f"the page shows {read}")
        if screenshot := os.environ.get("FASTHITS_SCREENSHOT"):
            browser.find_element(By.TAG_NAME, "body").screenshot(screenshot)
        picture = browser.find_element(By.CSS_SELECTOR, "figure svg")
        assert picture.aria_role in ("img", "image")
        total = sum(release.hits.values_list("views", flat=True))
        assert picture.accessible_name == f"Read {total} times in the last 30 days"
        cell = browser.find_element(By.CSS_SELECTOR, "figure td")
        assert not cell.is_displayed()
        browser.find_element(By.CSS_SELECTOR, "figure summary").click()
        assert cell.is_displayed()
        said = (tmp_path / "site.log").read_text()
        assert '"POST /fasthits/hits_today.json HTTP/1.1" 200' in said  # no rule counts it as a hit
        assert '"GET /fasthits/hits_today.json' not in said
        memcached.kill()  # the page keeps its number, and its script goes on
        errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors
    assert logger.finish() == 0
