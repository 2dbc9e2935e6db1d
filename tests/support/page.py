"""Shared by the tests of the page in a browser: days, hostile paths, small steps."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from tests.support.browser import Browser
from tests.support.commands import fasthits, hit, write
from tests.support.logger import Logger, access_line

TODAY = date.today()
DAY = timedelta(days=1)
DAYS = [TODAY - timedelta(days=before) for before in range(120, 0, -1)]
LONG = "/" + "long" * 500
IS_IDLE = "return !document.querySelector('[aria-busy=true]')"
HOSTILE = [
    "/<script>window.hacked=1</script>",
    '/"><img/src=x/onerror=window.hacked=1>',
    "/'&amp;&lt;b&gt;",
    "/\u202egnp.exe",
    "/%3Cb%3E%22%27`${1+1}`",
    "javascript:window.hacked=1".join(["/", ""]),
]


def count(logger: Logger, *paths: str) -> None:
    logger.write(b"".join(access_line(path.encode(), TODAY) for path in paths))


def roll_up(folder: Path, days: list[date], *options: str, paths: Callable[[date], list[str]]) -> Path:
    """Roll up the log of some days, and return the database."""
    write(folder / "days.log", *(hit(path, day) for day in days for path in paths(day)))
    target = folder / "hits.db"
    fasthits(
        "rollup", f"{days[0]}..{days[-1]}", "--logs", folder / "*.log", "--to", target, *options
    )  # exit code 1: some days are missing
    assert target.exists()
    return target


def names(page: Browser, kind: str) -> list[str]:
    """Return the names in one of the lists."""
    return page.texts(f"#{kind} .name")


def shown(day: date) -> str:
    """Return a day as the page writes it."""
    return f"{day.day} {day:%b %Y}"
