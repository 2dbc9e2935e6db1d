"""The page in a real browser: its lists, with paths of all kinds, also hostile paths."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from fasthits.daily.days import ONE_DAY
from tests.support.browser import Browser
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.page.support import HOSTILE, IS_IDLE, LONG, names, roll_up
from tests.web.support import TODAY, count, read_one_line


def test_a_section_is_the_sum_of_its_pages(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days = [TODAY - ONE_DAY]
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


def test_a_switch_shows_static_files_in_place_of_pages(
    place: Path, memcached: Memcached, logger: Logger, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    database = roll_up(tmp_path, [TODAY - ONE_DAY], paths=lambda _: ["/", "/site.css", "/site.css"])
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


def test_lists_of_referrers_searches_bots_and_paths_not_found(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    def line(path: str, referer: str, agent: str = "Mozilla/5.0") -> bytes:
        return hit(path, TODAY - ONE_DAY).replace(
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
    done = fasthits("rollup", str(TODAY - ONE_DAY), "--logs", tmp_path / "day.log", *options)
    assert done.returncode == 0, done.stderr
    with Served(place, "--memcached", memcached.spec, "--database", str(tmp_path / "hits.db")) as served:
        page = browse(served.url)
        assert set(names(page, "referrers")) == {"example.net", "duckduckgo.com"}
        assert names(page, "searches") == ["lamps"]
        assert page.texts("#searches .note") == ["DuckDuckGo"]
        assert page.text("#bots") == "1"
        assert names(page, "read-by-bots") == ["/a"]
        assert names(page, "most-read") == ["/a", "/b"]
        page.run("location.hash = 'sort=not-found'")
        page.until(lambda: names(page, "most-read") == ["/gone"] and page.run(IS_IDLE))
        assert page.text("#kept-title") == "Not found in 30 days"
        assert page.faults() == []
        assert not page.find("#hosts").is_displayed()
        assert page.text("#not-kept").startswith("Not kept here: hosts (--by-host).")
        page.run("location.hash = 'path=%2Fa'")
        page.until(lambda: names(page, "referrers") == ["example.net"] and names(page, "searches") == [])
        assert page.text("#searches .empty") == "Nothing in these days."
        assert page.faults() == []


def test_hosts_are_kept_apart_chosen_and_summed(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    lines = [b"%b:80 %b" % (host, hit("/", TODAY - ONE_DAY)) for host in (b"a.example", b"a.example", b"b.example")]
    write(tmp_path / "day.log", *lines)
    options = ("--to", tmp_path / "hits.db", "--by-host", "--format", "vhost_combined")
    done = fasthits("rollup", str(TODAY - ONE_DAY), "--logs", tmp_path / "day.log", *options)
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


def test_lists_can_be_extended_and_sorted_by_rise(
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
        page.run("location.hash = 'days=all&sort=rise'")
        page.until(lambda: page.text("#most-read .empty").startswith("No day before these is kept"))
        page.find("#sort-not-found").send_keys(Keys.SPACE)
        page.until(lambda: page.text("#most-read .empty").endswith("Run fasthits rollup with --not-found apart."))


def test_paths_are_shown_decoded_and_in_their_raw_form(
    place: Path, memcached: Memcached, tmp_path: Path, browse: Callable[..., Browser]
) -> None:
    days, paths = [TODAY - ONE_DAY], ["/caf%C3%A9", "/caf%C3%A9/menu", "/?page=2", "/%ff%3Cb%3E"]
    database = roll_up(tmp_path, days, "--keep-query", paths=lambda _: paths)
    read_one_line(memcached)
    with Served(place, "--memcached", memcached.spec, "--database", str(database)) as served:
        page = browse(served.url)
        assert set(names(page, "most-read")) == {"/caf\u00e9", "/caf\u00e9/menu", "/?page=2", "/%ff%3Cb%3E"}
        page.run(
            "[...document.querySelectorAll('#most-read li')].find((li) => /caf/.test(li.innerText)).firstChild.click()"
        )
        page.until(lambda: page.text("#subject") == "/caf\u00e9" and page.text("#kept-total") == "1")
        assert page.text("#raw") == "/caf%C3%A9"
        page.run("location.hash = new URLSearchParams({ path: '/?page=2' })")
        page.until(lambda: page.text("#subject") == "/?page=2" and page.text("#kept-total") == "1")
        assert page.text("#path-today") == "0"
        page.find("#search").send_keys("/caf\u00e9/*")
        page.until(lambda: page.texts("#found li") == ["/caf\u00e9/* (section)", "/caf\u00e9/menu"])
        page.find("#found li").click()
        page.until(lambda: page.text("#subject") == "/caf\u00e9/*" and page.text("#kept-total") == "1")
        assert page.complaints() == []


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
