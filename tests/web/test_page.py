"""The page in a real browser: numbers that rise while Apache's lines come, history, hostile paths, everybody's use."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from fasthits.live.keys import figure_path, hit_key
from tests.support.browser import Browser
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_line
from tests.support.processes import eventually
from tests.support.servers import Memcached
from tests.support.webserver import Served

TODAY = date.today()
DAYS = [TODAY - timedelta(days=before) for before in range(120, 0, -1)]
LONG = "/" + "long" * 500
HOSTILE = [
    "/<script>window.hacked=1</script>",
    '/"><img/src=x/onerror=window.hacked=1>',
    "/'&amp;&lt;b&gt;",
    "/\u202egnp.exe",
    "/%3Cb%3E%22%27`${1+1}`",
    "javascript:window.hacked=1".join(["/", ""]),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with 120 days: / is read once to five times on each, hostile and long paths on the last."""
    folder = tmp_path_factory.mktemp("kept")
    lines = [hit("/", day) * (day.day % 5 + 1) + hit("/blog/", day) for day in DAYS]
    odd = [hit(path.replace('"', r"\""), DAYS[-1]) for path in (*HOSTILE, LONG)]
    write(folder / "days.log", *lines, *odd)
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", folder / "*.log", "--to", folder / "hits.db")
    assert done.returncode == 0
    return folder / "hits.db"


@pytest.fixture
def served(place: Path, memcached: Memcached, kept: Path) -> Iterator[Served]:
    with Served(place, "--memcached", memcached.spec, "--database", str(kept)) as served:
        yield served


@pytest.fixture
def open_page(served: Served) -> Iterator[Callable[..., Browser]]:
    opened: list[Browser] = []

    def open_page(*size: int, dark: bool = False) -> Browser:
        browser = Browser(*size, dark=dark)
        opened.append(browser)
        browser.driver.get(served.url)
        browser.until(lambda: browser.text("#status") == "Live" and browser.text("#kept-total").strip("\u2013"))
        return browser

    yield open_page
    for browser in opened:
        browser.__exit__()


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path.encode(), TODAY) for path in paths))


def test_numbers_rise_and_rows_change_places_while_lines_come(
    open_page: Callable[..., Browser], logger: Logger
) -> None:
    page = open_page()
    assert page.text("#views") == "0"
    assert page.find("#nothing-yet").is_displayed()
    count(logger, "/a", "/a", "/b")
    page.until(lambda: page.text("#views") == "3")
    assert page.texts("#most-read .path") == ["/a", "/b"]
    assert not page.find("#nothing-yet").is_displayed()
    page.run("document.querySelector('#most-read li:nth-child(2) button').focus()")
    count(logger, *["/b"] * 1000)
    page.until(lambda: page.text("#views") == "1,003")
    assert page.texts("#most-read .path") == ["/b", "/a"]
    assert page.texts("#most-read .views") == ["1,001", "2"]
    assert page.texts("#most-read .recent") == ["+1,001", "+2"]
    assert page.text("#last-minute") == "1,003"
    assert page.driver.switch_to.active_element.accessible_name == "/b +1,001 in the last minute 1,001 views"
    assert page.complaints() == []


def test_history_of_all_pages_and_of_one(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    views = {day: day.day % 5 + 1 for day in DAYS}
    total = sum(views[day] + 1 for day in DAYS[-30:]) + len(HOSTILE) + 1
    assert page.text("#kept-total") == f"{total:,}"
    assert page.run("return document.querySelectorAll('#chart canvas').length") == 1
    assert len(page.texts("#days tr")) == 30
    page.find('#range [value="7"]').send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)  # 30, then 90
    page.until(lambda: len(page.texts("#days tr")) == 90)
    page.find("#kept button").click()
    page.until(
        lambda: page.text("#subject") == "/" and page.text("#kept-total") == f"{sum(views[d] for d in DAYS[-90:])}"
    )
    count(logger, "/", "/")
    page.until(lambda: page.text("#path-today") == "2")
    assert page.driver.current_url.endswith("#path=%2F&days=90")
    page.driver.back()
    page.until(lambda: page.text("#subject") == "All pages")
    page.driver.forward()
    page.until(lambda: page.text("#subject") == "/")
    page.find("#all-pages").click()
    page.until(lambda: page.text("#subject") == "All pages")
    assert page.complaints() == []


def test_hostile_paths_are_text_everywhere(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    shown = [path.replace('"', r"\"").replace("\u202e", r"\u202e") for path in HOSTILE]
    count(logger, *(path.replace('"', r"\"") for path in (*HOSTILE, LONG)))
    page.until(lambda: page.text("#paths") == str(len(HOSTILE) + 1))
    live = set(page.texts("#most-read .path"))
    assert {path for path in shown if "202e" not in path} <= live
    assert sum(path.startswith("a path too long or odd for a key (#") for path in live) == 2
    page.find('#range [value="7"]').send_keys(Keys.SPACE)
    page.until(lambda: set(shown) <= set(page.texts("#kept .path")))
    for path, text in (*zip(HOSTILE, shown, strict=True), (LONG, LONG)):
        page.find("#search").send_keys(text[1:40].replace(r"\u202e", "") if path != LONG else "longlong")
        page.until(lambda text=text: text in page.texts("#found li"))
        page.run(
            "[...document.querySelectorAll('#found li')].find((li) => li.textContent === arguments[0]).click()", text
        )
        page.until(lambda text=text: page.text("#subject") == text and page.text("#kept-total") == "1")
    assert page.run("return [window.hacked, document.querySelectorAll('main script, main img, main b').length]") == [
        None,
        0,
    ]
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints() == []


def test_the_search_box_works_by_keyboard_alone(open_page: Callable[..., Browser]) -> None:
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
    page.until(lambda: page.texts("#found li") == ["No page has that in its path."])
    page.find("#search").send_keys(Keys.ENTER)
    assert page.text("#subject") == "/blog/"


@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((1280, 900), True), ((390, 844), False)])
def test_no_serious_fault_of_accessibility(
    open_page: Callable[..., Browser], logger: Logger, size: tuple[int, int], dark: bool
) -> None:
    page = open_page(*size, dark=dark)
    count(logger, "/a", "/a", "/b", *HOSTILE[:1])
    page.until(lambda: page.text("#views") == "4")
    page.run("document.querySelector('details').open = true")
    page.find("#search").send_keys("b")
    page.until(lambda: page.texts("#found li"))
    assert page.faults() == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


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


def test_it_says_when_there_are_no_numbers_and_goes_on_by_itself(
    open_page: Callable[..., Browser], memcached: Memcached, logger: Logger, kept: Path
) -> None:
    page = open_page()
    memcached.kill()
    page.until(lambda: page.text("#status") == "No numbers" and "does not answer" in page.text("#problems"))
    memcached.start(keep_port=True)
    count(logger, "/a")
    page.until(lambda: page.text("#status") == "Live" and page.text("#views") == "1")
    assert page.texts("#problems li") == []


def test_without_a_database_it_says_what_makes_one(place: Path, memcached: Memcached) -> None:
    with Served(place, "--memcached", memcached.spec, "--database", "none.db") as served, Browser() as page:
        page.driver.get(served.url)
        page.until(lambda: "fasthits rollup makes it" in page.text("#history-problem"))
        assert page.find("#history-problem").is_displayed()
        page.until(lambda: page.text("#status") == "Live")


def test_the_page_opens_with_a_token_and_keeps_it_out_of_the_address(place: Path, memcached: Memcached) -> None:
    with Served(place, "--memcached", memcached.spec, "--token", "s3cret") as served, Browser() as page:
        page.driver.get(f"{served.url}?token=s3cret")
        page.until(lambda: page.text("#status") == "Live")
        assert page.driver.current_url == served.url
        eventually(lambda: page.text("#views") == "0")


def test_warnings_of_loggers_are_shown(open_page: Callable[..., Browser], memcached: Memcached) -> None:
    key = hit_key(date.today(), figure_path("warning malformed"))
    assert memcached.ask(f"add {key} 2 600 1\r\n4".encode()) == b"STORED\r\n"
    page = open_page()
    page.until(lambda: "could not read most of its lines: 4 warnings today" in page.text("#problems"))
