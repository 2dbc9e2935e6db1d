"""Takes the pictures of README and docs from real runs: python -m docs.pictures.

A made-up site is rolled up for 90 days and read for half a minute, through a real logger into a real memcached, while a
real Chromium and a real terminal look on. TZ chooses the time of day that they see: TZ=Australia/Sydney.
"""

import io
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import pi, sin
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.cli.test_top import Terminal
from tests.support.browser import Browser, Chromium
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger
from tests.support.servers import Memcached, public_directory
from tests.support.webserver import Served

FOLDER = Path(__file__).parent
TODAY = date.today()
DAYS = [TODAY - timedelta(days=before) for before in range(90, 0, -1)]
LOOK_SECONDS = 45
PATHS = [
    *("/", "/blog/", "/about.html", "/blog/2026/reading-apache-logs", "/static/site.css", "/products/", "/search"),
    *("/static/site.js", "/blog/2026/counting-without-cookies", "/contact.html", "/products/lamp", "/feed.xml"),
    *("/products/chair", "/downloads/manual.pdf", "/<script>alert(1)</script>", "/jobs.html", "/products/table"),
    *(f"/blog/archive/{number}" for number in range(60)),
]
WEIGHTS = [1 / (place + 1) ** 0.85 for place in range(len(PATHS))]
BY_HOUR = [1.2 + sin((hour - 9) / 24 * 2 * pi) for hour in range(24)]
SIZES = {"light": (1280, 880, False), "dark": (1280, 880, True), "phone": (390, 844, False)}


def main() -> None:
    """Make the pictures in the folder of this file."""
    chance = random.Random(7)
    with (
        public_directory() as place,
        Memcached(place) as memcached,
        Logger(place, "--memcached", memcached.spec) as logger,
    ):
        roll_up(place, chance)
        ended = threading.Event()
        readers = threading.Thread(target=read, args=(logger, chance, ended))
        readers.start()
        try:
            with Served(place, "--memcached", memcached.spec) as served:
                look_at_page(served)
            look_at_terminal(memcached)
        finally:
            ended.set()
            readers.join()


def roll_up(place: Path, chance: random.Random) -> None:
    """Fill a database with the days before today."""
    for number, day in enumerate(DAYS):
        weekend = 0.6 if day.weekday() > 4 else 1
        views = int(11_000 * weekend * (1.3 + 0.3 * sin(number / 8) + number / 150))
        write(place / "logs" / f"{day}.log", *visits(day, views, 24, chance))
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", place / "logs" / "*.log", cwd=place)
    assert done.returncode == 0, done.stderr


def visits(day: date, number: int, hours: int, chance: random.Random) -> Iterator[bytes]:
    """Yield the lines of so many visits in the first *hours* of a day."""
    paths = chance.choices(PATHS, WEIGHTS, k=number)
    for path, hour in zip(paths, chance.choices(range(hours), BY_HOUR[:hours], k=number), strict=True):
        yield hit(path, day, f"{hour:02}:00:00")


def read(logger: Logger, chance: random.Random, ended: threading.Event) -> None:
    """Read pages until *ended*, some more and some less at once."""
    began = time.monotonic()
    now = datetime.now()
    so_far = sum(BY_HOUR[: now.hour + 1]) / sum(BY_HOUR)
    logger.write(b"".join(visits(TODAY, int(17_000 * so_far), now.hour + 1, chance)))
    while not ended.wait(0.4):
        many = int(1.5 + sin((time.monotonic() - began) / 4) + chance.random() * 1.5)
        clock = f"{datetime.now():%H:%M:%S}"
        logger.write(b"".join(hit(path, TODAY, clock) for path in chance.choices(PATHS, WEIGHTS, k=many)))


def look_at_page(served: Served) -> None:
    """Take a picture of the page in each of SIZES."""
    for name, (width, height, dark) in SIZES.items():
        with Chromium() as chromium, Browser(chromium, width, height, dark=dark) as browser:
            browser.driver.get(served.url)
            time.sleep(LOOK_SECONDS)
            browser.driver.save_screenshot(str(FOLDER / f"page-{name}.png"))
            assert browser.complaints() == []


def look_at_terminal(memcached: Memcached) -> None:
    """Take a picture of fasthits top."""
    terminal = Terminal("--memcached", memcached.spec)
    terminal.shows("q quits")
    began = time.monotonic()
    while time.monotonic() < began + LOOK_SECONDS:
        terminal.text()  # or it would wait for its output to be taken
        time.sleep(0.1)
    console = Console(record=True, width=terminal.screen.columns, file=io.StringIO())
    for line in range(terminal.screen.lines):
        cells = terminal.screen.buffer[line]
        text = Text()
        for column in range(terminal.screen.columns):
            cell = cells[column]
            color = "default" if cell.fg == "default" else cell.fg.replace("brown", "yellow")
            text.append(cell.data, style=f"{'bold ' * cell.bold}{color}")
        console.print(text, end="\n", no_wrap=True)
    terminal.process.send("q")
    picture = console.export_svg(title="fasthits top")
    width, height = (round(float(size)) for size in re.findall(r'viewBox="0 0 (\S+) (\S+)"', picture)[0])
    with tempfile.TemporaryDirectory() as folder, Chromium() as chromium, Browser(chromium, width, height) as browser:
        file = write(Path(folder) / "top.svg", picture.encode())
        browser.driver.get(file.as_uri())
        browser.driver.save_screenshot(str(FOLDER / "top.png"))


if __name__ == "__main__":
    main()
