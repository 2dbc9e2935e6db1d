"""How long questions about a year take: 50,000 paths, 16.4 million rows, a database of 1 GB.

    python -m benchmarks.year

makes the database in build/bench and keeps it, lets fasthits make the sums that an older version has not kept, checks
the totals against the rows, and asks each question --runs times. It prints the medians beside their targets, and ends
with an error if a total is wrong. The file is read once before, to be in the page cache. It is the same each time.
"""

import argparse
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.tasks import ROOT, shown
from fasthits.daily.columns import PLAIN
from fasthits.daily.days import Range
from fasthits.daily.history import History
from fasthits.daily.targets import SqliteFile

KEPT = ROOT / "build" / "bench"
PATHS = 50_000
DAYS = 365
LAST = date(2026, 11, 24)
READ = 0.9
"""Share of the paths that are read on a day."""
MOST_VIEWS = 200_000
"""Mean views of the most read path on a day; the others follow Zipf's law, with noise."""
SECTIONS = ("blog", "docs", "news", "shop", "wiki", "forum", "help", "img", "about", "events")
ANSWER_SECONDS = 0.3
BADGE_SECONDS = 0.02

Site = list[tuple[str, int]]


class Question(NamedTuple):
    """A question, and the seconds that its answer may take."""

    name: str
    ask: Callable[[], object]
    seconds: float = ANSWER_SECONDS


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


def make_year(file: Path, site: Site, days: int = DAYS) -> None:
    """Fill the table of views in a new SQLite file, and nothing else: as rollups did before they kept sums."""
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


def check_totals(file: Path, history: History, days: Range) -> str:
    """Return the total of the year, or what is wrong with it."""
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT sum(views), count(DISTINCT path) FROM hits WHERE date BETWEEN ? AND ?"
        views, paths = database.execute(query, days.ends).fetchone()
    most_read = history.most_read(days)
    if (most_read.views, most_read.count, sum(filter(None, history.site(days)))) != (views, paths, views):
        raise SystemExit(f"benchmarks: wrong totals: {most_read.views:,} views instead of {views:,}")
    return f"{views:,} views of {paths:,} paths on {len(days.days)} days"


def questions(history: History, year: Range) -> list[Question]:
    """Return what pages, commands and the API ask."""
    path, *others = (each.path for each in history.most_read(year).paths)
    half = history.range_of(len(year.days) // 2) or year
    return [
        Question("newest day", history.newest, BADGE_SECONDS),
        Question("a path by day", lambda: history.by_day(path, year), BADGE_SECONDS),
        Question("site by day", lambda: history.site(year), BADGE_SECONDS),
        Question("site by day, without static files", lambda: history.site(year, pages=True)),
        Question("a section by day", lambda: history.by_day("/blog/*", year)),
        Question("most read", lambda: history.most_read(year)),
        Question("most read, by day", lambda: history.by_days([path, *others], year)),
        Question("most read, compared", lambda: history.most_read(half, before=history.before(half))),
        Question("risen most", lambda: history.most_read(half, sort="rise")),
        Question("most read, without static files", lambda: history.most_read(year, pages=True)),
        Question("most read of a section", lambda: history.most_read(year, prefix="/blog/")),
        Question("search", lambda: history.most_read(year, text="Ab1")),
        Question("the last of all paths", lambda: history.most_read(year, 20, PATHS - 1_000)),
        Question("10,000 paths", lambda: history.most_read(year, 10_000)),
        Question("sections", lambda: history.sections(year)),
    ]


def seconds_of(work: Callable[[], object], runs: int) -> float:
    """Return the median."""
    found = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see ``--help``."""
    about, _, method = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.year",
        description=about,
        epilog=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="times that each is asked (default: 7)")
    parser.add_argument("--quick", action="store_true", help="500 paths on 30 days: to see that it works")
    options = parser.parse_args(arguments)
    paths, days, name = (500, 30, "quick.db") if options.quick else (PATHS, DAYS, "year.db")
    file = KEPT / name
    if not file.exists():
        print("making the database", file=sys.stderr)
        KEPT.mkdir(parents=True, exist_ok=True)
        make_year(file, paths_of_site(paths), days)
    started = time.perf_counter()
    SqliteFile(file).catch_up()
    made = time.perf_counter() - started
    with file.open("rb") as opened:
        while opened.read(1 << 20):
            pass
    history = History(file)
    year = Range(LAST - timedelta(days - 1), LAST)
    print(f"{shown(file)}: {check_totals(file, history, year)}; sums made in {made:.1f} s\n")
    for question in questions(history, year):
        seconds = seconds_of(question.ask, options.runs)
        met = "met" if seconds <= question.seconds else "not met"
        print(f"{seconds * 1e3:8.1f} ms  {question.name:34}  at most {question.seconds * 1e3:.0f} ms: {met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
