"""Sums of the tables of referrers and searches in PostgreSQL, as `daily.sqlite.referrers` keeps them in SQLite."""

from collections.abc import Sequence

from fasthits.daily.postgres.database import Postgres
from fasthits.daily.postgres.sums import partitions_of
from fasthits.daily.sqlite.referrers import TEXTS, sums_of

CHANGED = """
CREATE OR REPLACE FUNCTION sources_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE remove text := format('DELETE FROM %I.%I WHERE date = $1', TG_TABLE_SCHEMA, TG_ARGV[0]);
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE remove USING TG_ARGV[1]::date;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        EXECUTE remove USING OLD.date;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        EXECUTE remove USING NEW.date;
    END IF;
    RETURN NULL;
END $$
"""
_HAS_TRIGGER = (
    "SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(?) AND tgname = 'sources_changed' AND tgenabled <> 'D'"
)


def summed(database: Postgres) -> dict[str, set[str]]:
    """Return the days that have sums, by table: of tables whose sums are true."""
    found = {table: _summed(database, table) for table in TEXTS if _has_sums(database, table)}
    return {table: days for table, days in found.items() if days <= partitions_of(database, table).keys()}


def declare(database: Postgres, tables: Sequence[str]) -> None:
    """Make the tables of sums, and the triggers, of those of *tables* that have sums; delete sums that may be wrong."""
    for table in TEXTS.keys() & tables:
        sums = sums_of(table)
        if not database.columns_of(sums):
            texts = "".join(f'{name} text COLLATE "C" NOT NULL, ' for name in ("host", *TEXTS[table]))
            database.execute(f"CREATE TABLE {sums} (date date NOT NULL, {texts}views bigint NOT NULL)")
            database.execute(f"CREATE INDEX ON {sums} (date)")
        if not _has_sums(database, table):
            database.execute(CHANGED)
            database.execute(f"DROP TRIGGER IF EXISTS sources_changed ON {table}")
            database.execute(
                f"CREATE TRIGGER sources_changed AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW "
                f"EXECUTE FUNCTION sources_changed('{sums}')"
            )
            database.execute(f"DELETE FROM {sums}")
        for day in _summed(database, table) - partitions_of(database, table).keys():
            database.execute(f"DELETE FROM {sums} WHERE date = ?", [day])


def watch(database: Postgres, table: str, partition: str, day: str) -> None:
    """Let the sums of a day be deleted when somebody empties its partition."""
    database.execute(
        f"CREATE TRIGGER sources_emptied AFTER TRUNCATE ON {partition} FOR EACH STATEMENT "
        f"EXECUTE FUNCTION sources_changed('{sums_of(table)}', '{day}')"
    )


def make(database: Postgres, table: str, day: str, new: str) -> None:
    """Make the sums of a day of a table, whose rows are in *new*."""
    texts, host = ", ".join(TEXTS[table]), "host" if "host" in database.columns_of(table) else "''"
    database.execute(f"DELETE FROM {sums_of(table)} WHERE date = ?", [day])
    chosen = f"date, {host} AS of_host, {texts}, sum(views)"
    grouped = f"date, of_host, {texts}"
    database.execute(
        f"INSERT INTO {sums_of(table)} SELECT {chosen} FROM {new} WHERE date = ? GROUP BY {grouped}", [day]
    )


def days_without(database: Postgres) -> list[tuple[str, str]]:
    """Return the tables and days that have rows, but no sums."""
    found = []
    for table in TEXTS:
        if database.columns_of(table):
            made = _summed(database, table) if _has_sums(database, table) else set()
            query = f"SELECT 1 FROM {table} WHERE date = ? LIMIT 1"
            days = sorted(partitions_of(database, table).keys() - made, reverse=True)
            found += [(table, day) for day in days if database.execute(query, [day]).fetchone()]
    return found


def _has_sums(database: Postgres, table: str) -> bool:
    """Tell whether a table has sums, and a trigger that keeps them true."""
    return bool(database.columns_of(sums_of(table))) and database.execute(_HAS_TRIGGER, [table]).fetchone() is not None


def _summed(database: Postgres, table: str) -> set[str]:
    """Return the days that have sums. Each step looks up the next in the index; DISTINCT would read all rows."""
    sums = sums_of(table)
    query = (
        f"WITH RECURSIVE days(day) AS (SELECT min(date) FROM {sums} UNION ALL "
        f"SELECT (SELECT min(date) FROM {sums} WHERE date > day) FROM days WHERE day IS NOT NULL) "
        "SELECT day FROM days WHERE day IS NOT NULL"
    )
    return {day for (day,) in database.execute(query)}
