"""What the tests of rollups share: a day, what a rollup wrote and said, and other programs that write."""

import contextlib
import csv
import io
import sqlite3
from datetime import date
from pathlib import Path

DAY = date(2026, 3, 12)
TARGETS = ["hits.db", "hits.csv"]
KEPT = [("2026-03-11", "/old", 1), ("2026-03-12", "/old", 3), ("2026-03-13", "/old", 1)]
"""The rows of the fixture `kept`."""


def rows_in(target: Path) -> list[tuple[str, str, int]]:
    table = table_of(target)
    return [(*key, views) for key, views in rows_of(table).items()] if isinstance(table, bytes) else table


def table_of(file: Path) -> list[tuple[str, str, int]] | bytes:
    """Return the content of a target: the bytes of CSV, the rows of SQLite."""
    if file.suffix == ".csv":
        return file.read_bytes()
    with contextlib.closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT * FROM hits").fetchall()


def change(database: Path, *statements: str) -> None:
    """Change a SQLite database as another program would."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def rows_of(text: bytes) -> dict[tuple[str, str], int]:
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    assert header == ["date", "path", "views"]
    return {(day, path): int(views) for day, path, views in rows}


def only_line(stderr: bytes) -> str:
    lines = stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("fasthits: ")
    return lines[0]
