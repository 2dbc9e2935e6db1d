"""Targets of tests: the rows that are in a SQLite or CSV file, and rows to replace them by."""

import csv
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path

from fasthits._parse import HitTable
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.target import Target

MARCH = [date(2026, 3, day) for day in range(1, 32)]
Row = tuple[str, str, int]


def csv_rows(file: Path) -> list[Row]:
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["date", "path", "views"]
    return [(day, path, int(views)) for day, path, views in rows]


def sqlite_rows(file: Path) -> list[Row]:
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT date, path, views FROM hits ORDER BY date, views DESC, path").fetchall()
    database.close()
    return rows


READERS: dict[str, Callable[[Path], list[Row]]] = {"hits.csv": csv_rows, "hits.db": sqlite_rows}


def read(file: Path) -> list[Row]:
    return READERS[file.name](file)


def rows_of(rows: dict[date, dict[str, int]]) -> HitTable:
    """Return rows, by day and path, as a hit table has them."""
    hit_table = HitTable()
    for day, paths in rows.items():
        for path, views in paths.items():
            hit_table.add(day, path.encode(), views)
    return hit_table


def table(file: Path) -> Target:
    return open_target(str(file))
