"""Sums of the tables of referrers and searches in a SQLite file: the views of a day by site or search, all paths
together. Without them a year of a busy site would take seconds.

``referrers_sums`` and ``searches_sums`` are made with the sums of hits (`daily.sqlite.sums`), in one transaction, and
triggers delete the sums of a day whose rows somebody else changes. A day without sums is read from its rows.
"""

import sqlite3
from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, ...]] = {"referrers": ("referrer",), "searches": ("engine", "terms")}
"""The tables, and the columns that their sums keep beside day and host."""

_CHANGED_DAYS = {"insert": "= NEW.date", "update": "IN (OLD.date, NEW.date)", "delete": "= OLD.date"}


def sums_of(table: str) -> str:
    """Return the name of the table with the sums of a table."""
    return f"{table}_sums"


def valid(database: sqlite3.Connection) -> list[str]:
    """Return the tables that have sums, and triggers that keep them true."""
    found = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"))
    return [table for table in TEXTS if sums_of(table) in found and found.items() >= triggers(table).items()]


def summed(database: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the days that have sums, by table."""
    return {table: set(days_with_rows(database, sums_of(table))) for table in valid(database)}


def pause(database: sqlite3.Connection) -> None:
    """Let the transaction change the tables, and note the changed days itself, until `resume`."""
    whole = valid(database)
    for table in _there(database):
        texts = [f"{text} TEXT" for text in ("date", "host", *TEXTS[table])]
        key = ", ".join(("date", "host", *TEXTS[table]))
        declared = f"{sums_of(table)}({', '.join(texts)}, views INTEGER, PRIMARY KEY ({key})) WITHOUT ROWID"
        database.execute(f"CREATE TABLE IF NOT EXISTS {declared}")
        if table not in whole:
            database.execute(f"DELETE FROM {sums_of(table)}")
        for name in triggers(table):
            database.execute(f"DROP TRIGGER IF EXISTS {name}")


def resume(database: sqlite3.Connection) -> None:
    """From now on triggers note changed days."""
    for table in _there(database):
        for trigger in triggers(table).values():
            database.execute(trigger)


def make(database: sqlite3.Connection, day: str) -> None:
    """Make the sums of a day."""
    for table in _there(database):
        texts, has_host = ", ".join(TEXTS[table]), "host" in columns_of(database, table)
        chosen = f"date, {'host' if has_host else repr('')}, {texts}"
        grouped = f"date, host, {texts}" if has_host else f"date, {texts}"
        database.execute(f"DELETE FROM {sums_of(table)} WHERE date = ?", [day])
        database.execute(
            f"INSERT INTO {sums_of(table)} SELECT {chosen}, sum(views) FROM {table} WHERE date = ? GROUP BY {grouped}",
            [day],
        )


def days_without(database: sqlite3.Connection) -> set[str]:
    """Return the days that have rows, but no sums."""
    whole = valid(database)
    found: set[str] = set()
    for table in _there(database):
        made = days_with_rows(database, sums_of(table)) if table in whole else []
        found |= set(days_with_rows(database, table)).difference(made)
    return found


def days_with_rows(database: sqlite3.Connection, table: str) -> list[str]:
    """Return the days that have rows in a table, in order.

    Each step looks up the next day in the primary key; SELECT DISTINCT would go through all rows.
    """
    query = (
        f"WITH RECURSIVE days(day) AS (SELECT min(date) FROM {table} UNION ALL "
        f"SELECT (SELECT min(date) FROM {table} WHERE date > day) FROM days WHERE day > '') "
        "SELECT day FROM days WHERE day IS NOT NULL"
    )
    return [day for (day,) in database.execute(query)]


def _there(database: sqlite3.Connection) -> list[str]:
    return [table for table in TEXTS if columns_of(database, table)]


def columns_of(database: sqlite3.Connection, table: str) -> list[str]:
    """Return the names of a table's columns, in order; none if there is no such table."""
    return [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]


def triggers(table: str) -> dict[str, str]:
    """Return the triggers that delete a day's sums when its rows in a table change, by name."""
    sums = sums_of(table)
    return {
        f"{sums}_{change}": f"CREATE TRIGGER {sums}_{change} AFTER {change} ON {table} "
        f"BEGIN DELETE FROM {sums} WHERE date {days}; END"
        for change, days in _CHANGED_DAYS.items()
    }
