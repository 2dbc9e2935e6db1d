"""The page in a real browser: live numbers, past days, what is unknown, hostile paths, keyboard and accessibility."""

import gzip
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from fasthits.live.keys import figure_path, hit_key
from tests.support.browser import Browser, Chromium
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_line
from tests.support.processes import PROJECT, eventually
from tests.support.servers import Memcached
from tests.support.webserver import Served

TODAY = date.today()
DAY = timedelta(days=1)
DAYS = [TODAY - timedelta(days=before) for before in range(120, 0, -1)]
LONG = "/" + "long" * 500
IS_IDLE = "return !document.querySelector('[aria-busy=true]')"
COMPRESSED_BYTES = 120_000
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
    """A database with 120 days: / is read one to five times a day, hostile and long paths on the last day."""
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def browse(chromium: Chromium) -> Iterator[Callable[..., Browser]]:
    """Return a function that opens a page at an address and waits until numbers are there."""
    opened: list[Browser] = []

    def browse(address: str, *size: int, dark: bool = False, script: str = "") -> Browser:
        browser = Browser(*size, dark=dark, chromium=chromium)
        opened.append(browser)
        if script:
            browser.command("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        browser.driver.get(address)
        browser.until(lambda: browser.text("#status") == "Live" and browser.run(IS_IDLE), "the first numbers")
        return browser

    yield browse
    for browser in opened:
        browser.__exit__()


@pytest.fixture
def open_page(served: Served, browse: Callable[..., Browser]) -> Callable[..., Browser]:
    """Return a function that opens the page, with what is chosen in the address."""

    def open_page(*size: int, chosen: str = "files=1", **others: Any) -> Browser:
        return browse(f"{served.url}#{chosen}", *size, **others)

    return open_page


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path.encode(), TODAY) for path in paths))


def roll_up(folder: Path, days: list[date], *options: str, paths: Callable[[date], list[str]]) -> Path:
    """Roll up the log of some days, and return the database."""
    write(folder / "days.log", *(hit(path, day) for day in days for path in paths(day)))
    target = folder / "hits.db"
    fasthits(
        "rollup", f"{days[0]}..{days[-1]}", "--logs", folder / "*.log", "--to", target, *options
    )  # 1: days missing
    assert target.exists()
    return target


def names(page: Browser, kind: str) -> list[str]:
    """Return the names in one of the lists."""
    return page.texts(f"#{kind} .name")


def shown(day: date) -> str:
    """Return a day as the page writes it."""
    return f"{day.day} {day:%b %Y}"


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


def test_the_window_of_the_last_minute_is_the_one_that_is_known(open_page: Callable[..., Browser]) -> None:
    page = open_page()
    page.until(lambda: re.fullmatch(r"last [1-9]\d? s", page.text("#window")))
    assert re.fullmatch(r"\+ in the last \d+ seconds?", page.text("#list-window"))
    assert shown(TODAY) in page.text("#today-day")
    assert page.text("#today-day") != f"{shown(TODAY)}, "


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
    count(logger, "/", "/")
    page.until(lambda: page.text("#path-today") == "2")
    assert page.driver.current_url.endswith("#path=%2F&days=90&files=1")
    page.driver.back()
    page.until(lambda: page.text("#subject") == "All pages and files")
    page.driver.forward()
    page.until(lambda: page.text("#subject") == "/")
    page.find("#all-pages").click()
    page.until(lambda: page.text("#subject") == "All pages and files")
    assert page.complaints() == []


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


def test_an_answer_belongs_to_what_is_chosen_now(open_page: Callable[..., Browser]) -> None:
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
            f"{shown(gone[0])} to {shown(gone[1])}, {shown(TODAY - 3 * DAY)} to {shown(TODAY - DAY)}."
        )
        assert (page.text("#kept-total"), page.text("#kept-average")) == ("50", "10")
        assert "2 days not kept" in str(page.find("#chart").get_attribute("aria-label"))
        page.find("#days-table summary").click()
        page.until(lambda: page.texts("#days td") == ["10"] * 3 + ["not kept"] * 2 + ["10"] * 2)


def test_the_page_takes_up_a_new_day_by_itself(
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


def test_a_section_is_the_sum_of_its_pages(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - DAY]
    database = roll_up(tmp_path, days, paths=lambda _: ["/", "/blog/a", "/blog/a", "/blog/2026/b", "/shop/x"])
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(f"{served.url}#path=%2Fblog%2F2026%2Fb")
        assert page.texts("#crumbs button") == ["/blog/*", "/blog/2026/*"]
        page.find("#crumbs button").click()
        page.until(lambda: page.text("#subject") == "/blog/*" and page.run(IS_IDLE))
        assert page.text("#kept-total") == "3"
        assert names(page, "most-read") == ["/blog/a", "/blog/2026/b"]
        page.find("#search").send_keys("/shop/*")
        page.until(lambda: "/shop/* (section)" in page.texts("#found li"))
        page.find("#search").send_keys(Keys.ENTER)
        page.until(lambda: page.text("#subject") == "/shop/*" and page.text("#kept-total") == "1")


def test_pages_come_first_and_static_files_are_a_switch_away(
    place: Path, memcached: Memcached, logger: Logger, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    database = roll_up(tmp_path, [TODAY - DAY], paths=lambda _: ["/", "/site.css", "/site.css"])
    count(logger, "/", "/site.js", "/site.js")
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(served.url)
        page.until(lambda: page.text("#views") == "1")
        assert (names(page, "most-read-today"), names(page, "most-read")) == (["/"], ["/"])
        assert page.text("#kept-total") == "1"
        page.find("#files").click()
        page.until(lambda: names(page, "most-read-today") == ["/site.js", "/"] and page.text("#views") == "3")
        page.until(lambda: names(page, "most-read") == ["/site.css", "/"] and page.text("#kept-total") == "3")
        assert page.driver.current_url.endswith("#days=30&files=1")
        assert page.complaints() == []


def test_where_readers_came_from_what_they_searched_for_bots_and_what_was_not_found(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    def line(path: str, referer: str, agent: str = "Mozilla/5.0") -> bytes:
        return hit(path, TODAY - DAY).replace(
            b'"-" "Mozilla/5.0 (X11; Linux x86_64)"', f'"{referer}" "{agent}"'.encode()
        )

    lines = [
        line("/a", "https://example.net/x"),
        line("/b", "https://duckduckgo.com/?q=lamps"),
        line("/a", "-", "Googlebot/2.1"),
        line("/gone", "-").replace(b" 200 ", b" 404 "),
    ]
    write(tmp_path / "day.log", *lines)
    options = ("--to", tmp_path / "hits.db", "--referrers", "--search-terms", "--bots", "apart", "--not-found", "apart")
    done = fasthits("rollup", str(TODAY - DAY), "--logs", tmp_path / "day.log", *options)
    assert done.returncode == 0, done.stderr
    with Served(place, "--memcached", memcached.spec, "--database", str(tmp_path / "hits.db")) as served:
        page = browse(served.url)
        assert set(names(page, "referrers")) == {"example.net", "duckduckgo.com"}
        assert names(page, "searches") == ["lamps"]
        assert page.texts("#searches .note") == ["DuckDuckGo"]
        assert page.text("#bots") == "1"
        assert names(page, "read-by-bots") == ["/a"]
        assert names(page, "most-read") == ["/a", "/b"]
        assert names(page, "not-found") == ["/gone"]
        assert not page.find("#hosts").is_displayed()
        assert page.text("#not-kept").startswith("Not kept here: hosts (--by-host).")
        page.run("location.hash = 'path=%2Fa'")
        page.until(lambda: names(page, "referrers") == ["example.net"] and names(page, "searches") == [])
        assert page.text("#searches .empty") == "Nothing in these days."
        assert page.faults() == []


def test_hosts_are_told_apart_chosen_and_summed(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    lines = [b"%b:80 %b" % (host, hit("/", TODAY - DAY)) for host in (b"a.example", b"a.example", b"b.example")]
    write(tmp_path / "day.log", *lines)
    options = ("--to", tmp_path / "hits.db", "--by-host", "--format", "vhost_combined")
    done = fasthits("rollup", str(TODAY - DAY), "--logs", tmp_path / "day.log", *options)
    assert done.returncode == 0, done.stderr
    with Served(place, "--memcached", memcached.spec, "--database", str(tmp_path / "hits.db")) as served:
        page = browse(served.url)
        assert names(page, "most-read") == ["/"]
        assert page.text("#kept-total") == "3"
        page.find("#hosts li button").click()
        page.until(lambda: page.text("#subject") == "All pages of a.example" and page.text("#kept-total") == "2")
        page.until(lambda: page.run(IS_IDLE) and page.texts("#most-read .views") == ["2"])
        assert page.texts('#hosts [aria-current="true"] .name') == ["a.example"]
        page.find("#most-read li button").click()
        page.until(lambda: page.text("#subject") == "/" and page.text("#kept-total") == "2")
        page.find("#all-hosts").click()
        page.until(lambda: not page.find("#host-box").is_displayed() and page.run(IS_IDLE))
        assert page.complaints() == []
        assert page.faults() == []


def test_a_page_of_the_site_can_be_opened(place: Path, memcached: Memcached, browse: Callable[..., Browser]) -> None:
    address = "https://www.example.org/"
    with Served(place, "--memcached", memcached.spec, "--database", "none.db", "--site", address) as served:
        page = browse(f"{served.url}#path=%2Fcaf%25C3%25A9")
        page.until(lambda: page.find("#visit").is_displayed())
        assert page.find("#visit").get_attribute("href") == "https://www.example.org/caf%C3%A9"
        page.run("location.hash = 'path=%2F%2Fevil.example%2F'")
        page.until(lambda: not page.find("#visit").is_displayed())


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


def test_lists_go_on_and_can_be_sorted_by_rise(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - timedelta(days=before) for before in range(14, 0, -1)]
    steady = [f"/{number:02}" for number in range(25) for _ in range(3)]
    database = roll_up(
        tmp_path, days, paths=lambda day: steady + ["/new"] * (day in days[7:]) + ["/old"] * (day in days[:7])
    )
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(f"{served.url}#days=7")
        assert names(page, "most-read") == [f"/{number:02}" for number in range(10)]
        assert page.texts("#most-read .change") == ["="] * 10
        assert page.texts("#most-read .share")[0] == f"{100 * 21 / (25 * 21 + 7):.1f} %"
        for rows in (20, 26):
            page.find("#most-read .more").click()
            page.until(lambda rows=rows: len(names(page, "most-read")) == rows)
        assert not page.find("#most-read .more").is_displayed()
        page.find("#sort-rise").send_keys(Keys.SPACE)
        page.until(lambda: names(page, "most-read")[:1] == ["/new"])
        assert page.texts("#most-read .change")[0] == "new"
        assert "sort=rise" in page.driver.current_url


def test_paths_are_shown_decoded_and_the_raw_form_is_at_hand(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - DAY]
    database = roll_up(tmp_path, days, "--keep-query", paths=lambda _: ["/caf%C3%A9", "/?page=2", "/%ff%3Cb%3E"])
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(served.url)
        assert set(names(page, "most-read")) == {"/caf\u00e9", "/?page=2", "/%ff%3Cb%3E"}
        page.run(
            "[...document.querySelectorAll('#most-read li')].find((li) => /caf/.test(li.innerText)).firstChild.click()"
        )
        page.until(lambda: page.text("#subject") == "/caf\u00e9" and page.text("#kept-total") == "1")
        assert page.text("#raw") == "/caf%C3%A9"
        page.run("location.hash = new URLSearchParams({ path: '/?page=2' })")
        page.until(lambda: page.text("#subject") == "/?page=2" and page.text("#kept-total") == "1")
        assert page.text("#path-today") == "0"
        assert page.complaints() == []


def test_labels_of_an_axis_are_never_cut(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    database = roll_up(tmp_path, [TODAY - DAY], paths=lambda _: ["/"])
    with sqlite3.connect(database) as connection:
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


def test_hostile_paths_are_text_everywhere(open_page: Callable[..., Browser], logger: Logger) -> None:
    page = open_page()
    readable = [path.replace('"', r"\"").replace("\u202e", r"\u202e") for path in HOSTILE]
    count(logger, *(path.replace('"', r"\"") for path in (*HOSTILE, LONG)))
    page.until(lambda: page.text("#paths") == str(len(HOSTILE) + 1))
    live = set(names(page, "most-read-today"))
    assert {path for path in readable if "202e" not in path} <= live
    assert sum(path.startswith("a long or unusual path (#") for path in live) == 2
    page.find('#range [value="7"]').send_keys(Keys.SPACE)
    page.until(lambda: set(readable) <= set(names(page, "most-read")))
    for path, text in (*zip(HOSTILE, readable, strict=True), (LONG, LONG)):
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


def test_the_page_without_javascript_says_what_to_do(served: Served) -> None:
    with Browser() as page:
        page.command("Emulation.setScriptExecutionDisabled", {"value": True})
        page.driver.get(served.url)
        link = page.find(".notice a")
        assert link.is_displayed()
        link.click()
        page.until(lambda: "report" in page.driver.current_url and "/blog/" in page.driver.page_source)


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


def test_days_can_be_saved_as_csv(open_page: Callable[..., Browser], tmp_path: Path) -> None:
    page = open_page(chosen="path=%2Fblog%2F&days=7")
    page.command("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.find("#csv").click()
    saved = tmp_path / f"fasthits-{DAYS[-7]}-{DAYS[-1]}.csv"
    page.until(saved.exists)
    assert saved.read_text() == "date,views\n" + "".join(f"{day},1\n" for day in DAYS[-7:])


def test_the_whole_page_is_small() -> None:
    files = [
        file for file in (PROJECT / "fasthits/web/static").rglob("*") if file.suffix in (".js", ".css", ".html", ".svg")
    ]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < COMPRESSED_BYTES


def test_without_a_database_the_page_says_what_makes_it(place: Path, memcached: Memcached) -> None:
    with Served(place, "--memcached", memcached.spec, "--database", "none.db") as served, Browser() as page:
        page.driver.get(served.url)
        page.until(lambda: "make it with fasthits rollup" in page.text("#history-problem"))
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
