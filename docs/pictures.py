"""Takes README's pictures from real runs: python -m docs.pictures.

A made-up site is rolled up for 90 days and read for half a minute, through a real logger into a real memcached, while a
real Chromium and a real terminal look on.
"""

import io
import random
import re
import tempfile
import threading
import time
from datetime import date, timedelta
from math import sin
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.cli.test_top import Terminal
from tests.support.browser import Browser
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
        views = int(900 * weekend * (1.3 + 0.3 * sin(number / 8) + number / 150))
        write(place / "logs" / f"{day}.log", *(hit(path, day) for path in chance.choices(PATHS, WEIGHTS, k=views)))
    done = fasthits("rollup", f"{DAYS[0]}..{DAYS[-1]}", "--logs", place / "logs" / "*.log", cwd=place)
    assert done.returncode == 0, done.stderr


def read(logger: Logger, chance: random.Random, ended: threading.Event) -> None:
    """Read pages until *ended*, some more and some less at once."""
    began = time.monotonic()
    logger.write(b"".join(hit(path, TODAY) for path in chance.choices(PATHS, WEIGHTS, k=4000)))
    while not ended.wait(0.1):
        many = int(6 + 4 * sin((time.monotonic() - began) / 4) + chance.random() * 4)
        logger.write(b"".join(hit(path, TODAY) for path in chance.choices(PATHS, WEIGHTS, k=many)))


def look_at_page(served: Served) -> None:
    """Take a picture of the page in each of SIZES."""
    for name, (width, height, dark) in SIZES.items():
        with Browser(width, height, dark=dark) as browser:
            browser.driver.get(served.url)
            time.sleep(LOOK_SECONDS)
            browser.driver.save_screenshot(str(FOLDER / f"page-{name}.png"))
            assert browser.complaints() == []


def look_at_terminal(memcached: Memcached) -> None:
    """Take a picture of fasthits top."""
    terminal = Terminal("--memcached", memcached.spec)
    terminal.shows("q ends")
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
    with tempfile.TemporaryDirectory() as folder, Browser(width, height) as browser:
        file = write(Path(folder) / "top.svg", picture.encode())
        browser.driver.get(file.as_uri())
        browser.driver.save_screenshot(str(FOLDER / "top.png"))


if __name__ == "__main__":
    main()
