"""What the tests of the page share: many days, hostile paths, small steps."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from fasthits.daily.days import ONE_DAY
from tests.support.browser import Browser
from tests.support.commands import hit, write
from tests.web import support as web
from tests.web.support import TODAY

DAYS = [TODAY - before * ONE_DAY for before in range(120, 0, -1)]
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


def roll_up(folder: Path, days: list[date], *options: str, paths: Callable[[date], list[str]]) -> Path:
    """Roll up the log of some days, and return the database."""
    write(folder / "days.log", *(hit(path, day) for day in days for path in paths(day)))
    web.roll_up(folder, f"{days[0]}..{days[-1]}", *options)
    return folder / "hits.db"


def names(page: Browser, kind: str) -> list[str]:
    """Return the names in one of the lists."""
    return page.texts(f"#{kind} .name")


def shown(day: date) -> str:
    """Return a day as the page writes it."""
    return f"{day.day} {day:%b %Y}"
