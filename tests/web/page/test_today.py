"""The page in a real browser: live numbers, and its text if there are no numbers."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains

from fasthits.live.keys import figure_path, hit_key
from tests.support.browser import Browser, Chromium
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger
from tests.support.processes import eventually
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.page.support import IS_IDLE, names, shown
from tests.web.support import TODAY, count


def test_numbers_rise_and_rows_change_places_while_lines_come(
    open_page: Callable[..., Browser], logger: Logger
) -> None:
    page = open_page()
    assert page.text("#views") == "0"
    assert page.find("#nothing-yet").is_displayed()
    count(logger, "/a", "/a", "/b")
    page.until(lambda: page.text("#views") == "3")
    assert names(page, "most-read-today") == ["/a", "/b"]
    assert not page.find("#nothing-yet").is_displayed()
    page.run("document.querySelector('#most-read-today li:nth-child(2) button').focus()")
    count(logger, *["/b"] * 1000)
    page.until(lambda: page.text("#views") == "1,003")
    assert names(page, "most-read-today") == ["/b", "/a"]
    assert page.texts("#most-read-today .views") == ["1,001", "2"]
    assert page.texts("#most-read-today .note") == ["+1,001", "+2"]
    assert page.text("#last-minute") == "1,003"
    assert page.driver.switch_to.active_element.accessible_name == "/b +1,001 1,001 views"
    assert page.driver.title == "1,003 views today \u00b7 fasthits"
    assert page.complaints() == []


def test_the_page_says_how_long_its_last_minute_is_so_far(open_page: Callable[..., Browser]) -> None:
    page = open_page()
    page.until(lambda: re.fullmatch(r"last [1-9]\d? s", page.text("#window")))
    assert re.fullmatch(r"\+ in the last \d+ seconds?", page.text("#list-window"))
    assert shown(TODAY) in page.text("#today-day")
    assert page.text("#today-day") != f"{shown(TODAY)}, "


def test_today_is_in_the_chart(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page(chosen="days=7&files=1")
    count(logger, "/", "/")
    page.until(lambda: page.text("#views") == "2")
    page.run("document.querySelector('#chart').scrollIntoView({ block: 'center' })")
    over = page.find("#chart .u-over")
    ActionChains(page.driver).move_to_element_with_offset(over, over.size["width"] // 2 - 4, 0).perform()
    page.until(lambda: page.text(".tooltip") == f"{TODAY:%a} {shown(TODAY)}: 2 so far")


def test_hours_of_today_and_of_a_day_and_today_against_the_same_weekday(
    place: Path,
    memcached: Memcached,
    tmp_path: Path,
    browse: Callable[..., Browser],
    start_logger: Callable[..., Logger],
) -> None:
    week_ago = TODAY - timedelta(days=7)
    write(tmp_path / "days.log", *(hit("/", week_ago, f"{hour:02}:30:00") for hour in (*range(24), 9, 9)))
    fasthits("rollup", str(week_ago), "--logs", tmp_path / "days.log", "--to", tmp_path / "hits.db")
    logger = start_logger("--memcached", memcached.spec)
    logger.write(hit("/", TODAY, "00:00:01") * 30)
    logger.finish()
    with Served(place, "--memcached", memcached.spec, "--database", str(tmp_path / "hits.db")) as served:
        page = browse(f"{served.url}#from={week_ago}&to={week_ago}")
        page.until(lambda: len(page.texts("#today-hours li")) == 24)
        assert page.texts("#today-hours li")[0] == "0:00 30, then 1"
        assert page.texts("#today-hours li")[9] == "9:00 0, then 3"
        assert page.text("#hours-note").startswith(f"Outlined: {week_ago:%a} {shown(week_ago)[:-5]}")
        page.until(lambda: "by this time" in page.text("#compared"))
        page.until(lambda: len(page.texts("#day-hours li")) == 24)
        assert page.texts("#day-hours li")[9] == "9:00 3"
        assert page.complaints() == []


def test_a_tap_on_a_telephone_brings_the_chart_into_view(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page(390, 844)
    count(logger, "/blog/")
    page.until(lambda: names(page, "most-read-today") == ["/blog/"])
    page.find("#most-read-today button").click()
    page.until(lambda: page.text("#subject") == "/blog/" and page.run(IS_IDLE))
    assert page.run("return document.activeElement.id") == "subject"
    assert page.run("return document.getElementById('chart').getBoundingClientRect().top < innerHeight - 150")


def test_the_pulse_is_remembered_over_a_reload(open_page: Callable[..., Browser]) -> None:
    page = open_page()
    points = "return JSON.parse(sessionStorage.getItem('pulse') ?? '[]').length"
    page.until(lambda: page.run("return document.querySelector('#pulse canvas')"))
    page.driver.refresh()
    page.until(lambda: page.text("#status") == "Live" and page.run(points) >= 1)


def test_the_pulse_goes_on_after_the_clock_has_gone_back(open_page: Callable[..., Browser]) -> None:
    script = "const later = Date.now() / 1000 + 3600; sessionStorage.setItem('pulse', JSON.stringify([[later, 5]]))"
    page = open_page(script=script)
    seconds = """
      dispatchEvent(new Event('pagehide'));
      return JSON.parse(sessionStorage.getItem('pulse')).map(([at]) => at - Date.now() / 1000);
    """
    page.until(lambda: (found := page.run(seconds)) and max(found) < 60)


def test_the_page_says_when_there_are_no_numbers_and_recovers(
    open_page: Callable[..., Browser], memcached: Memcached, logger: Logger, kept: Path
) -> None:
    page = open_page()
    memcached.kill()
    page.until(lambda: page.text("#status") == "No numbers" and "does not answer" in page.text("#problems"))
    page.until(lambda: re.fullmatch(r"These numbers are \d+ s old\.", page.text("#age")))
    assert page.run("return Number(getComputedStyle(document.querySelector('.lines')).opacity)") < 1
    assert page.faults() == []
    memcached.start(keep_port=True)
    count(logger, "/a")
    page.until(lambda: page.text("#status") == "Live" and page.text("#views") == "1")
    assert page.texts("#problems li") == []
    assert page.text("#age") == ""


def test_the_page_says_when_the_server_is_gone(
    place: Path, memcached: Memcached, browse: Callable[..., Browser]
) -> None:
    with Served(place, "--memcached", memcached.spec, "--database", "none.db") as served:
        page = browse(served.url)
        served.end()
        page.until(lambda: page.text("#status") == "Connecting" and "s old" in page.text("#age"))
        page.run("location.hash = 'days=7'")
        page.until(lambda: page.text("#history-problem") == "The server does not answer. Is fasthits serve running?")
        assert not page.find("#answer").is_displayed()
        assert page.faults() == []


def test_the_page_without_javascript_says_what_to_do(served: Served, chromium: Chromium) -> None:
    with Browser(chromium) as page:
        page.command("Emulation.setScriptExecutionDisabled", {"value": True})
        page.driver.get(served.url)
        link = page.find(".notice a")
        assert link.is_displayed()
        link.click()
        page.until(lambda: "report" in page.driver.current_url and "/blog/" in page.driver.page_source)


def test_without_a_database_the_page_names_the_command_that_makes_it(
    place: Path, memcached: Memcached, chromium: Chromium
) -> None:
    with Served(place, "--memcached", memcached.spec, "--database", "none.db") as served, Browser(chromium) as page:
        page.driver.get(served.url)
        page.until(lambda: "fasthits rollup makes it" in page.text("#history-problem"))
        assert page.find("#history-problem").is_displayed()
        page.until(lambda: page.text("#status") == "Live")


def test_the_page_opens_with_a_token_and_keeps_it_out_of_the_address(
    place: Path, memcached: Memcached, chromium: Chromium
) -> None:
    with Served(place, "--memcached", memcached.spec, "--token", "s3cret-s3cret") as served, Browser(chromium) as page:
        page.driver.get(f"{served.url}?token=s3cret-s3cret")
        page.until(lambda: page.text("#status") == "Live")
        assert page.driver.current_url == served.url
        eventually(lambda: page.text("#views") == "0")


def test_warnings_of_loggers_are_shown(open_page: Callable[..., Browser], memcached: Memcached) -> None:
    key = hit_key(date.today(), figure_path("warning malformed"))
    assert memcached.ask(f"add {key} 2 600 1\r\n4".encode()) == b"STORED\r\n"
    page = open_page()
    page.until(lambda: "could not read most of its lines: 4 warnings today" in page.text("#problems"))
