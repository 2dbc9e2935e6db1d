"""The page in a real browser: keyboard, themes, accessibility and size."""

import gzip
from collections.abc import Callable

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.logger import Logger
from tests.support.processes import PROJECT
from tests.web.page.support import DAYS, HOSTILE, IS_IDLE, names
from tests.web.support import count

COMPRESSED_BYTES = 120_000


def test_the_search_box_works_with_the_keyboard_only(open_page: Callable[..., Browser]) -> None:
    page = open_page()
    page.find("body").send_keys("/")
    assert page.run("return document.activeElement.id") == "search"
    page.find("#search").send_keys("BLO")
    page.until(lambda: page.texts("#found li") == ["/blog/"])
    page.find("#search").send_keys(Keys.ARROW_DOWN)
    assert page.find("#search").get_attribute("aria-activedescendant") == page.find("#found li").get_attribute("id")
    page.find("#search").send_keys(Keys.ESCAPE)
    assert page.find("#search").get_attribute("aria-expanded") == "false"
    page.find("#search").send_keys("blo")
    page.until(lambda: page.find("#search").get_attribute("aria-expanded") == "true")
    page.find("#search").send_keys(Keys.ENTER)
    page.until(lambda: page.text("#subject") == "/blog/" and page.text("#kept-total") == "30")
    page.find("#search").send_keys("nothing has this")
    page.until(lambda: page.texts("#found li") == ["No path contains this."])
    page.find("#search").send_keys(Keys.ENTER)
    assert page.text("#subject") == "/blog/"


@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((1280, 900), True), ((390, 844), False)])
def test_no_fault_of_accessibility(
    open_page: Callable[..., Browser], logger: Logger, size: tuple[int, int], dark: bool
) -> None:
    page = open_page(*size, dark=dark)
    count(logger, "/a", "/a", "/b", *HOSTILE[:1])
    page.until(lambda: page.text("#views") == "4")
    page.run("for (const each of document.querySelectorAll('details')) each.open = true")
    page.find("#search").send_keys("b")
    page.until(lambda: page.texts("#found li"))
    assert page.faults() == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    for chosen in (
        "path=%2Fblog%2Farchive%2F1",
        "prefix=%2Fblog%2F&days=all",
        f"from={DAYS[-3]}&to={DAYS[-3]}",
        "sort=rise&host=a",
    ):
        page.run("location.hash = arguments[0]", chosen)
        page.until(lambda: page.run(IS_IDLE))
        assert page.faults() == [], chosen
        assert page.run("return document.documentElement.scrollWidth <= innerWidth"), chosen


def test_the_theme_follows_the_system_until_one_is_chosen(open_page: Callable[..., Browser]) -> None:
    page = open_page(dark=True)
    ground = "return getComputedStyle(document.body).backgroundColor"
    dark = page.run(ground)
    page.find("#theme").click()
    light = page.run(ground)
    assert dark != light
    page.driver.refresh()
    assert page.run(ground) == light
    page.find("#theme").click()
    assert (page.run(ground), page.text("#theme")) == (dark, "Theme: dark")


def test_the_keyboard_reaches_every_part_in_a_few_keys(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    count(logger, "/a", "/a", "/b")
    page.until(lambda: names(page, "most-read-today") == ["/a", "/b"])
    focused = "return document.activeElement.id || document.activeElement.textContent"
    keys = ActionChains(page.driver)
    keys.send_keys(Keys.TAB, Keys.TAB, Keys.ENTER).perform()
    assert page.run(focused) == "subject"
    assert "#subject" not in page.driver.current_url
    page.run("document.querySelector('#most-read-today button').focus()")
    keys.reset_actions()
    keys.send_keys(Keys.ARROW_DOWN).perform()
    assert page.driver.switch_to.active_element.accessible_name.startswith("/b ")
    keys.send_keys(Keys.TAB).perform()
    assert not page.run("return document.getElementById('most-read-today').contains(document.activeElement)")


def test_the_whole_page_is_small() -> None:
    files = [
        file for file in (PROJECT / "fasthits/web/static").rglob("*") if file.suffix in (".js", ".css", ".html", ".svg")
    ]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < COMPRESSED_BYTES
