"""How long questions about a year take: 50,000 paths, 16.4 million rows, a database of 1 GB.

fasthits makes the sums that an older version has not kept. Each question is asked in three ways: by the library, by a
command, from its start to its end, and by the first request to a new `fasthits serve`, because the server keeps its
answers.
"""

import http.client
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.judges import judge_nothing
from benchmarks.logs import Corpus
from benchmarks.rows import MS, Row
from benchmarks.server import Memcached
from benchmarks.tasks import ROOT, SEARCH, Command, Figures, Task, environment, shown
from benchmarks.truth import Difference, Totals, Views, WrongTotals, compare
from fasthits.daily.days import Range
from fasthits.daily.layouts import PLAIN
from fasthits.daily.past.history import History
from fasthits.daily.sqlite.target import SqliteTarget

PATHS = 50_000
DAYS = 365
LAST = date(2026, 11, 24)
READ = 0.9
"""Share of the paths that are read on a day."""
MOST_VIEWS = 200_000
"""Mean views of the most read path on a day; the others follow Zipf's law, with noise."""
SECTIONS = ("blog", "docs", "news", "shop", "wiki", "forum", "help", "img", "about", "events")
ANSWER_MS = 300
BADGE_MS = 20
"""The most milliseconds for an answer, and for a badge and all that a page asks for again and again."""
FILE = "year.db"

Site = list[tuple[str, int]]


class Question(NamedTuple):
    """A question to the library, and the milliseconds that its answer may take."""

    row: str
    name: str
    ask: Callable[[], object]
    most: float = ANSWER_MS


def paths_of_site(paths: int = PATHS) -> Site:
    """Return the paths in order, each with its mean views a day."""
    drawn = random.Random(16)
    found = []
    for rank in range(1, paths + 1):
        section = drawn.choice(SECTIONS)
        ending = drawn.choice((".png", ".jpg", ".css")) if section == "img" else ""
        found.append((f"/{section}/{drawn.randrange(2016, 2027)}/{drawn.getrandbits(60):x}-{rank}{ending}", rank))
    return sorted((path, max(1, MOST_VIEWS // rank)) for path, rank in found)


def rows_of_day(site: Site, day: date) -> Iterator[tuple[str, str, int]]:
    """Yield a day's rows, sorted by path."""
    chance = random.Random(day.toordinal()).random
    text = day.isoformat()
    for path, views in site:
        if chance() < READ:
            yield text, path, 1 + int(views * 2 * chance())


@dataclass(frozen=True)
class Kept:
    """The content of the database."""

    file: Path
    days: int

    @property
    def day(self) -> date:
        return LAST

    @property
    def size(self) -> int:
        return self.file.stat().st_size

    @property
    def lines(self) -> int:
        """Its rows."""
        return _rows_views_paths(self.file)[0]

    def path_count(self) -> int:
        return _rows_views_paths(self.file)[2]

    def summary(self) -> Totals:
        return {"lines": self.lines, "hits": _rows_views_paths(self.file)[1], "filtered": {}, "malformed": 0}

    def difference(self, views: Views, *, all_days: bool = False) -> Difference:
        with closing(sqlite3.connect(self.file)) as database:
            query = "SELECT path, sum(views) FROM hits GROUP BY path"
            return compare(views, {path.encode(): number for path, number in database.execute(query)})

    def table_bytes(self) -> int:
        return self.size


@cache
def _rows_views_paths(file: Path) -> tuple[int, int, int]:
    with closing(sqlite3.connect(file)) as database:
        found: tuple[int, int, int] = database.execute(
            "SELECT count(*), sum(views), count(DISTINCT path) FROM hits"
        ).fetchone()
    return found


class Year(Corpus):
    """The database of a year, in a folder."""

    @property
    def log(self) -> Path:
        return self.folder / FILE

    def read(self) -> None:
        """Read the database, so that it is in the page cache."""
        with self.log.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def make_year(parent: Path, name: str, paths: int = PATHS, days: int = DAYS) -> Year:
    """Return the database in the folder *name* of *parent*, with right sums. If it does not exist, make it."""
    file = parent / name / FILE
    if not file.exists():
        print("making the database", file=sys.stderr)
        file.parent.mkdir(parents=True, exist_ok=True)
        _fill(file, paths_of_site(paths), days)
    SqliteTarget(file).catch_up()
    year = Year(name, file.parent, Kept(file, days))
    check_totals(year)
    return year


def _fill(file: Path, site: Site, days: int) -> None:
    """Fill only the table of views in a new SQLite file, like rollups of a version that kept no sums."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"CREATE TABLE {PLAIN.declaration}")
        for number in reversed(range(days)):
            rows = rows_of_day(site, LAST - timedelta(number))
            database.executemany("INSERT INTO hits VALUES (?, ?, ?)", rows)
        database.commit()
    new.replace(file)


def days_of(year: Year) -> Range:
    """Return the days that the database keeps."""
    assert isinstance(year.truth, Kept)
    return Range(LAST - timedelta(year.truth.days - 1), LAST)


def check_totals(year: Year) -> None:
    """Raise `WrongTotals` unless the sums agree with the rows."""
    history, days = History(year.log), days_of(year)
    most_read = history.most_read(days)
    found = (most_read.views, most_read.count, sum(filter(None, history.site(days))))
    _, views, paths = _rows_views_paths(year.log)
    if found != (views, paths, views):
        raise WrongTotals(f"views, paths, views by day: {found} found, but {(views, paths, views)} in the rows")


def questions(history: History, year: Range) -> list[Question]:
    """Return the questions of pages, commands and the API."""
    path, *others = (each.path for each in history.most_read(year).paths)
    half = history.range_of(len(year.days) // 2) or year
    return [
        Question("newest", "newest day", history.newest, BADGE_MS),
        Question("path", "a path by day", lambda: history.by_day(path, year), BADGE_MS),
        Question("site", "site by day", lambda: history.site(year), BADGE_MS),
        Question("site-pages", "site by day, without static files", lambda: history.site(year, pages=True)),
        Question("section", "a section by day", lambda: history.by_day("/blog/*", year)),
        Question("most-read", "most read", lambda: history.most_read(year)),
        Question("most-read-days", "most read, by day", lambda: history.by_days([path, *others], year)),
        Question("compared", "most read, compared", lambda: history.most_read(half, before=history.before(half))),
        Question("risen", "risen most", lambda: history.most_read(half, sort="rise")),
        Question("most-read-pages", "most read, without static files", lambda: history.most_read(year, pages=True)),
        Question("of-section", "most read of a section", lambda: history.most_read(year, prefix="/blog/")),
        Question("search", "search", lambda: history.most_read(year, text="Ab1")),
        Question("last", "the last of all paths", lambda: history.most_read(year, 20, PATHS - 1_000)),
        Question("10000", "10,000 paths", lambda: history.most_read(year, 10_000)),
        Question("sections", "sections", lambda: history.sections(year)),
    ]


COMMANDS = {
    "history": "history",
    "history-path": "history '/blog/*' --days 365",
    "most-read": "most-read",
    "most-read-year": "most-read --days 365",
    "report": "report --days 365 --to -",
}
"""Rows and commands."""
REQUESTS = {
    "history": "/api/history?days=365",
    "most-read": "/api/most-read?days=365&limit=20",
    "most-read-compared": "/api/most-read?days=30",
    "sections": "/api/sections?days=365",
    "search": "/api/most-read?days=365&q=ab1",
    "page": "/",
    "report": "/report?days=365",
    "badge": "/badge.svg?path=/&days=7",
    "metrics": "/metrics",
}
"""Rows and addresses. The page itself asks the others."""
LOOKED_AT_OFTEN = ("badge", "metrics")
"""A page asks for these again and again: the second answer is measured."""


class Ask(Task):
    """A question to the library in a process that is already running."""

    def __init__(self, year: Year, question: Question) -> None:
        super().__init__(question.name, year, "")
        self._ask = question.ask

    def measure(self) -> Figures:
        started = time.perf_counter()
        self._ask()
        return {"seconds": time.perf_counter() - started}

    def check(self) -> str:
        return "right: its totals are those of the rows"


class Request(Task):
    """The first or the second request for an address to a server that has just started."""

    def __init__(self, year: Year, address: str, again: bool = False) -> None:
        super().__init__(f"`GET {address}`", year, f"fasthits serve --database {shown(year.log)}", "uvicorn")
        self._address = address
        self._again = again
        self._served: subprocess.Popen[str] | None = None
        self._memcached: Memcached | None = None
        self._status = 0

    def prepare(self) -> None:
        self._memcached = Memcached(64)
        command = ["fasthits", "serve", "--database", str(self.corpus.log), "--port", "0"]
        self._served = subprocess.Popen(
            [shutil.which(command[0], path=SEARCH) or command[0], *command[1:], "--memcached", self._memcached.address],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert self._served.stderr
        self._port = int(self._served.stderr.readline().rpartition(":")[2].partition("/")[0])
        self._get(self._address if self._again else "/openapi.json")  # the server is up

    def measure(self) -> Figures:
        started = time.perf_counter()
        self._status = self._get(self._address)
        return {"seconds": time.perf_counter() - started}

    def _get(self, address: str) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request("GET", address)
            answer = connection.getresponse()
            answer.read()
        return answer.status

    def check(self) -> str:
        self.demand("status", self._status, 200)
        return "right: 200"

    def close(self) -> None:
        if self._served is not None:
            self._served.terminate()
            self._served.communicate()
            self._served = None
        if self._memcached is not None:
            self._memcached.stop()
            self._memcached = None


def year_rows(year: Year) -> list[Row]:
    """Return the rows of questions to the library, commands and requests."""
    asked = questions(History(year.log), days_of(year))
    rows = [Row(each.row, Ask(year, each), MS, each.most) for each in asked]
    for row, words in COMMANDS.items():
        command = f"fasthits {words} --database {shown(year.log)}"
        rows.append(Row(f"command-{row}", Command(f"`fasthits {words}`", year, command, judge_nothing), MS, ANSWER_MS))
    for row, address in REQUESTS.items():
        often = row in LOOKED_AT_OFTEN
        rows.append(Row(f"get-{row}", Request(year, address, often), MS, BADGE_MS if often else ANSWER_MS))
    return rows
