"""What the tests of PostgreSQL share: what is in the tables, and who waits."""

from datetime import date
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


MARCH = [date(2026, 3, day) for day in range(1, 32)]
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = "
    "current_database())"
)


def rows_of(psql: Connection, table: str = "hits") -> list[tuple[Any, ...]]:
    columns = [name for (name,) in psql.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position", [table]
    )]  # fmt: skip
    texts = ", ".join("date::text" if name == "date" else name for name in columns)
    return psql.execute(f"SELECT {texts} FROM {table} ORDER BY {', '.join(columns)}").fetchall()  # type: ignore[arg-type]


def sums_in(psql: Connection) -> list[tuple[Any, ...]]:
    return psql.execute("SELECT date::text, host, views, bots, rows FROM hits_sums ORDER BY 1, 2").fetchall()
