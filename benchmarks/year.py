"""A database with a year of a large site: 50,000 paths, 16.4 million rows, 0.9 GB. It is the same each time.

python -m benchmarks.year hits.db
"""

import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from fasthits.daily.columns import PLAIN

PATHS = 50_000
DAYS = 365
LAST = date(2026, 11, 24)
READ = 0.9
"""Share of the paths that are read on a day."""
MOST_VIEWS = 200_000
"""Views of the most read path on a day; the others follow Zipf's law, with noise."""
SECTIONS = ("blog", "docs", "news", "shop", "wiki", "forum", "help", "img", "about", "events")


def paths_of_site(paths: int = PATHS) -> list[tuple[str, int]]:
    """Return the paths in order, each with its mean views a day."""
    drawn = random.Random(16)
    found = []
    for rank in range(1, paths + 1):
        section = drawn.choice(SECTIONS)
        ending = drawn.choice((".png", ".jpg", ".css")) if section == "img" else ""
        found.append((f"/{section}/{drawn.randrange(2016, 2027)}/{drawn.getrandbits(60):x}-{rank}{ending}", rank))
    return sorted((path, max(1, MOST_VIEWS // rank)) for path, rank in found)


def rows_of_day(site: list[tuple[str, int]], day: date) -> Iterator[tuple[str, str, int]]:
    """Yield a day's rows, sorted by path."""
    chance = random.Random(day.toordinal()).random
    text = day.isoformat()
    for path, views in site:
        if chance() < READ:
            yield text, path, 1 + int(views * 2 * chance())


def make_year(file: Path, paths: int = PATHS, days: int = DAYS) -> None:
    """Fill the table of views in a new SQLite file, and nothing else: as rollups did before they kept sums."""
    site = paths_of_site(paths)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"CREATE TABLE {PLAIN.declaration}")
        for number in reversed(range(days)):
            rows = rows_of_day(site, LAST - timedelta(number))
            database.executemany("INSERT INTO hits VALUES (?, ?, ?)", rows)
        database.commit()


if __name__ == "__main__":
    make_year(Path(sys.argv[1]))
