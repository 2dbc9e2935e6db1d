"""The page in a real browser: past days, their chart, and days that are not kept."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from fasthits.daily.days import ONE_DAY
from tests.support.browser import Browser
from tests.support.logger import Logger
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.page.support import DAYS, HOSTILE, IS_IDLE, LONG, names, roll_up, shown
from tests.web.support import TODAY, count

LONG_HASH = f"#{sha256(LONG.encode()).hexdigest()}"


def test_history_of_all_pages_and_of_one(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    views = {day: day.day % 5 + 1 for day in DAYS}
    total = sum(views[day] + 1 for day in DAYS[-30:]) + len(HOSTILE) + 1
    assert page.text("#kept-total") == f"{total:,}"
    assert page.run("return document.querySelectorAll('#chart canvas').length") == 1
    page.find("#days-table summary").click()
    page.until(lambda: len(page.texts("#days tr")) == 30)
    page.find('#range [value="7"]').send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)  # 30, then 90
    page.until(lambda: len(page.texts("#days tr")) == 90)
    page.find("#most-read li button").click()
    page.until(
        lambda: page.text("#subject") == "/" and page.text("#kept-total") == f"{sum(views[d] for d in DAYS[-90:])}"
    )
    assert page.run("return document.activeElement.id") == "subject"
    assert page.driver.title == "/ in 90 days \u00b7 fasthits"
    assert page.texts('#most-read [aria-current="true"] .name') == ["/"]
    count(logger, "/", "/", *["//wp-login.php"] * 3)  # a stranger's path, not one with its host
    page.until(lambda: page.text("#path-today") == "2")
    page.until(lambda: "//wp-login.php" in names(page, "most-read-today"))
    page.run("location.hash = location.hash.replace('%2F', '%2Fnever')")
    page.until(lambda: page.text("#subject") == "/never" and page.text("#path-today") == "0")
    page.driver.back()
    page.until(lambda: page.text("#subject") == "/" and page.text("#path-today") == "2")
    assert page.driver.current_url.endswith("#path=%2F&days=90&files=1")
    page.driver.back()
    page.until(lambda: page.text("#subject") == "All pages and files")
    page.driver.forward()
    page.until(lambda: page.text("#subject") == "/")
    page.find("#all-pages").click()
    page.until(lambda: page.text("#subject") == "All pages and files")
    assert page.complaints() == []


def test_a_late_answer_to_an_earlier_choice_is_ignored(open_page: Callable[..., Browser]) -> None:
    hold = """
    const real = fetch;
    window.fetch = async (address, options) => {
      const answer = await real(address);  // as if the request could not be taken back
      if (/history.*path=%2F$/.test(address)) await new Promise((go) => { window.release = go; });
      return answer;
    };"""
    page = open_page(script=hold)
    page.run("location.hash = 'path=%2F&days=7'")
    page.until(lambda: page.run("return Boolean(window.release)"))
    assert page.find("#past").get_attribute("aria-busy") == "true"
    assert page.run("return Number(getComputedStyle(document.getElementById('chart')).opacity)") < 1
    page.run("location.hash = 'path=%2Fblog%2F&days=7'")
    page.until(lambda: page.text("#kept-total") == "7" and page.run(IS_IDLE))
    page.run("window.release()")
    assert (
        page.driver.execute_async_script(
            "setTimeout(arguments[0], 0, document.getElementById('kept-total').textContent)"
        )
        == "7"
    )
    assert page.text("#subject") == "/blog/"


def test_past_days_of_a_hash_are_those_of_its_path(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    count(logger, LONG)
    page.until(lambda: names(page, "most-read-today")[:1] == [f"a long or unusual path ({LONG_HASH})"])
    page.find("#most-read-today button").click()
    page.until(lambda: page.text("#subject") == LONG and page.run(IS_IDLE))
    assert (page.text("#kept-total"), page.text("#path-today")) == ("1", "1")


def test_a_locked_database_is_asked_again_soon(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    database = roll_up(tmp_path, [TODAY - ONE_DAY], paths=lambda day: ["/"])
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            page = browse(f"{served.url}")
            page.until(lambda: "such as a rollup, is using it" in page.text("#history-problem"))
        page.until(lambda: names(page, "most-read") == ["/"] and page.text("#kept-total") == "1")


def test_days_that_are_not_kept_are_gaps(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - timedelta(days=before) for before in range(10, 3, -1)]
    gone = days[2:4]
    database = roll_up(tmp_path, [day for day in days if day not in gone], paths=lambda _: ["/"] * 10)
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(f"{served.url}#days=7")
        assert page.text("#kept") == (
            f"{shown(days[0])} to {shown(days[-1])}: 5 of 7 days kept. "
            f"Kept up to {shown(days[-1])}; 5 days are missing: "
            f"{shown(gone[0])} to {shown(gone[1])}, {shown(TODAY - 3 * ONE_DAY)} to {shown(TODAY - ONE_DAY)}."
        )
        assert (page.text("#kept-total"), page.text("#kept-average")) == ("50", "10")
        assert "2 days not kept" in str(page.find("#chart").get_attribute("aria-label"))
        page.find("#days-table summary").click()
        page.until(lambda: page.texts("#days td") == ["10"] * 3 + ["not kept"] * 2 + ["10"] * 2)


def test_the_page_shows_a_new_day_by_itself(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - timedelta(days=before) for before in (2, 1)]
    database = roll_up(tmp_path, days[:1], paths=lambda _: ["/"] * 3)
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(served.url)
        assert page.text("#kept-total") == "3"
        roll_up(tmp_path, days, paths=lambda _: ["/"] * 3)
        page.run("dispatchEvent(new Event('visibilitychange'))")  # or within a minute
        page.until(lambda: page.text("#kept-total") == "6")


def test_any_range_can_be_chosen(open_page: Callable[..., Browser]) -> None:
    page = open_page(chosen="days=7&files=1")
    page.find("#days-table summary").click()
    page.until(lambda: len(page.texts("#days tr")) == 7)
    page.find("#days tr:nth-child(2) button").click()
    page.until(lambda: page.text("#kept").startswith(f"{shown(DAYS[-2])}: 1 day.") and page.run(IS_IDLE))
    assert names(page, "most-read") == ["/", "/blog/"]
    page.driver.back()
    page.until(lambda: page.run("return document.querySelector('[name=days][value=\"7\"]').checked"))
    page.run("location.hash = 'days=all&files=1'")
    page.until(lambda: page.text("#kept").endswith(": 120 days."))
    page.find(".other summary").click()
    month = f"{DAYS[-40]:%Y-%m}"
    page.find(f'#months [value="{month}"]').click()
    page.until(lambda: page.text("#kept").startswith(f"1 {DAYS[-40]:%b %Y} to "))
    page.run("document.getElementById('from').value = arguments[0]", str(DAYS[-9]))
    page.run("document.getElementById('to').value = arguments[0]", str(DAYS[-5]))
    page.find("#dates button").click()
    page.until(lambda: page.text("#kept") == f"{shown(DAYS[-9])} to {shown(DAYS[-5])}: 5 days.")
    assert page.complaints() == []


def test_a_click_on_a_bar_shows_its_day(open_page: Callable[..., Browser]) -> None:
    page = open_page(chosen="days=7&files=1")
    page.run("document.querySelector('#chart').scrollIntoView({ block: 'center' })")
    page.until(lambda: page.run("return document.querySelector('#chart .u-over').clientWidth > 0"))
    ActionChains(page.driver).move_to_element(page.find("#chart .u-over")).perform()
    page.until(lambda: page.text(".tooltip") != "")
    picked = page.text(".tooltip")
    ActionChains(page.driver).click().perform()
    page.until(lambda: re.search(r"#from=(\S+)&to=\1", page.driver.current_url.replace("files=1&", "")) is not None)
    page.until(lambda: page.run(IS_IDLE) and picked.endswith(f": {page.text('#kept-total')}"))


def test_a_single_day_is_one_bar_in_the_middle(open_page: Callable[..., Browser]) -> None:
    page = open_page(chosen=f"from={DAYS[-2]}&to={DAYS[-2]}&files=1")
    page.run("document.querySelector('#chart').scrollIntoView({ block: 'center' })")
    page.until(lambda: page.run("return document.querySelector('#chart .u-over').clientWidth > 0"))
    for place in (-100, 100):
        ActionChains(page.driver).move_to_element_with_offset(page.find("#chart .u-over"), place, 0).perform()
        page.until(lambda: shown(DAYS[-2]) in page.text(".tooltip"))
    row = "const { width, height } = arguments[0], pen = arguments[0].getContext('2d');"
    ink = "return [0.25, 0.5, 0.75].map((x) => pen.getImageData(width * x, height * 0.8, 1, 1).data[3] > 200)"
    page.until(lambda: page.run(row + ink, page.find("#chart canvas")) == [False, True, False])


def test_labels_of_an_axis_are_never_cut(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    database = roll_up(tmp_path, [TODAY - ONE_DAY], paths=lambda _: ["/"])
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE hits SET views = 1250000")
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(f"{served.url}#files=1", 390, 844)
        page.until(lambda: page.text("#kept-total") == "1,250,000")
        room = "return Number.parseFloat(document.querySelectorAll('#chart .u-axis')[1].style.width)"
        pen = "const pen = new OffscreenCanvas(9, 9).getContext('2d'); pen.font = '12px system-ui, sans-serif';"
        wide = f"{pen} return pen.measureText('1.25M').width"
        page.until(lambda: page.run(room) > page.run(wide) + 4)
        beside = "const [plot, bars] = ['#chart .u-wrap', '#chart .u-over'].map((each) => document.querySelector(each)"
        beside += ".getBoundingClientRect()); return plot.right - bars.right"
        assert page.run(beside) > page.run(wide.replace("1.25M", "30 Nov")) / 2


def test_days_can_be_saved_as_csv(open_page: Callable[..., Browser], tmp_path: Path) -> None:
    page = open_page(chosen="path=%2Fblog%2F&days=7")
    page.command("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.find("#csv").click()
    saved = tmp_path / f"fasthits-{DAYS[-7]}-{DAYS[-1]}.csv"
    page.until(lambda: saved.exists() and saved.stat().st_size)  # Chromium makes the file before it writes it
    assert saved.read_text() == "date,views\n" + "".join(f"{day},1\n" for day in DAYS[-7:])
