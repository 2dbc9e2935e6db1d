"""The page in a browser, and a database with many days for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, Chromium
from tests.support.commands import fasthits, hit, write
from tests.support.servers import Memcached
from tests.support.webserver import Served
from tests.web.page.support import DAYS, HOSTILE, IS_IDLE, LONG


@pytest.fixture(scope="session")
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


@pytest.fixture
def browse(chromium: Chromium) -> Iterator[Callable[..., Browser]]:
    """Return a function that opens a page at an address and waits until it shows numbers."""
    opened: list[Browser] = []

    def browse(address: str, *size: int, dark: bool = False, script: str = "") -> Browser:
        browser = Browser(chromium, *size, dark=dark)
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
    """Return a function that opens the page. Its argument is the part of the address that says what is shown."""

    def open_page(*size: int, chosen: str = "files=1", **others: Any) -> Browser:
        return browse(f"{served.url}#{chosen}", *size, **others)

    return open_page
