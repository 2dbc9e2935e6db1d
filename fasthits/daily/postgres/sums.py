"""Sums of the views in PostgreSQL, in tables as `daily.sqlite.sums` keeps them in SQLite, and what keeps them true.

A trigger deletes the sums of a day whose rows somebody else changes. Whoever drops a day's partition removes the day;
until the next rollup no sums count then, and readers add up rows.
"""

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter

from fasthits._parse import pack_sums
from fasthits.daily.layouts import ANOTHER
from fasthits.daily.postgres.database import Postgres
from fasthits.daily.removed_paths import note_missing_paths, note_removed_days, views_by_path
from fasthits.errors import TableError

TABLES = {
    "hits_paths": {"id": "bigint PRIMARY KEY", "path": 'text COLLATE "C"'},
    "hits_sums": {
        "date": "date NOT NULL",
        "host": 'text COLLATE "C" NOT NULL',
        "views": "bigint NOT NULL",
        "bots": "bigint",
        "rows": "bigint NOT NULL",
        "packed": "bytea NOT NULL",
        "packed_bots": "bytea",
    },
}
INDEXES = ("CREATE INDEX ON hits_paths USING hash (path)", "CREATE INDEX ON hits_sums (date)")
CHANGED = """
CREATE OR REPLACE FUNCTION hits_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('DELETE FROM %I.hits_sums WHERE date = $1', TG_TABLE_SCHEMA) USING TG_ARGV[0]::date;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        EXECUTE format('DELETE FROM %I.hits_sums WHERE date = $1', TG_TABLE_SCHEMA) USING OLD.date;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        EXECUTE format('DELETE FROM %I.hits_sums WHERE date = $1', TG_TABLE_SCHEMA) USING NEW.date;
    END IF;
    RETURN NULL;
END $$
"""
TRIGGER = (
    "CREATE TRIGGER hits_changed AFTER INSERT OR UPDATE OR DELETE ON hits FOR EACH ROW EXECUTE FUNCTION hits_changed()"
)
_HAS_TRIGGER = (
    "SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass('hits') AND tgname = 'hits_changed' AND tgenabled <> 'D'"
)
_PATHS_STAY = "SELECT attnotnull FROM pg_attribute WHERE attrelid = to_regclass('hits_paths') AND attname = 'path'"


def partitions_of(database: Postgres, table: str) -> Mapping[str, str]:
    """Return the names of a table's partitions by day. Raises TableError if another program has made the table.

    The server writes the day in the user's DateStyle, and reads it in the same style.
    """
    query = (
        "SELECT substring(pg_get_expr(relpartbound, oid) from ?)::date, oid::regclass::text FROM pg_class "
        "WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(?))"
    )
    found = database.execute(query, [r"^FOR VALUES IN \('([\d./-]{10})'\)$", table]).fetchall()
    partitioned = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(?)"
    if database.execute(partitioned, [table]).fetchone() == (False,):
        raise TableError(f"another program has made the table {table}", database.name, "name another database")
    there = [(day, name) for day, name in found if not name.isdecimal()]  # another rollup has just replaced the others
    for day, name in there:
        if day is None:
            hint = f"detach it: ALTER TABLE {table} DETACH PARTITION {name}"
            raise TableError(f"another program has made the partition {name}", database.name, hint)
    return dict(there)


def check(database: Postgres) -> None:
    """Raise TableError if another program has made a table with the name of ours."""
    for name, declared in TABLES.items():
        found = database.columns_of(name)
        if found and found != list(declared):
            failed = f"another program has made the table {name} ({', '.join(found)})"
            raise TableError(failed, database.name, ANOTHER)


def are_valid(database: Postgres) -> bool:
    """Tell whether there are sums, a trigger that keeps them true, and the partition of each day that has sums."""
    if not all(map(database.columns_of, TABLES)) or database.execute(_HAS_TRIGGER).fetchone() is None:
        return False
    return summed(database) <= partitions_of(database, "hits").keys()


def summed(database: Postgres) -> set[str]:
    """Return the days that have sums."""
    return {day for (day,) in database.execute("SELECT DISTINCT date FROM hits_sums")}


def days_with_rows(database: Postgres, without: set[str]) -> list[str]:
    """Return the days that have rows in the table hits, in order; of those in *without* it does not matter."""
    days = sorted(partitions_of(database, "hits").keys() - without)
    return [day for day in days if database.execute("SELECT 1 FROM hits WHERE date = ? LIMIT 1", [day]).fetchone()]


def state(database: Postgres) -> str:
    """Return a text that changes with each rollup, and with what others change."""
    written = (
        "SELECT string_agg(concat_ws(' ', relid, pg_relation_filenode(relid), n_tup_ins, n_tup_upd, n_tup_del), ',' "
        "ORDER BY relid) FROM pg_stat_user_tables WHERE schemaname = current_schema()"
    )  # not counted on a replica
    summed = "SELECT string_agg(concat_ws(' ', xmin, ctid), ',' ORDER BY date, host) FROM hits_sums"
    (found,) = database.execute(f"SELECT md5(concat(({written}), ({summed})))")
    return str(found[0])


def days_without(database: Postgres) -> list[str]:
    """Return the days with rows, but without sums; the newest first, because they are read most."""
    if not database.columns_of("hits"):
        return []
    has_sums = database.columns_of("hits_sums") and database.execute(_HAS_TRIGGER).fetchone()
    made = summed(database) if has_sums else set()
    return days_with_rows(database, made)[::-1]


def declare(database: Postgres) -> None:
    """Make the tables of sums, and the trigger; delete sums that may be wrong."""
    for name, columns in TABLES.items():
        if not database.columns_of(name):
            declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
            database.execute(f"CREATE TABLE {name} ({declared})")
            if name == "hits_sums":
                # The core has packed them.
                database.execute("ALTER TABLE hits_sums ALTER packed SET STORAGE EXTERNAL")
                database.execute("ALTER TABLE hits_sums ALTER packed_bots SET STORAGE EXTERNAL")
            for index in INDEXES:
                if f"ON {name} " in index:
                    database.execute(index)
    if database.execute(_PATHS_STAY).fetchone() == (True,):  # a table of an earlier version
        database.execute("ALTER TABLE hits_paths ALTER path DROP NOT NULL")
    if database.execute(_HAS_TRIGGER).fetchone() is None:
        database.execute(CHANGED)
        database.execute("DROP TRIGGER IF EXISTS hits_changed ON hits")
        database.execute(TRIGGER)
        database.execute("DELETE FROM hits_sums")
    gone = summed(database) - partitions_of(database, "hits").keys()
    for day in gone:
        database.execute("DELETE FROM hits_sums WHERE date = ?", [day])
    note_removed_days(database)


def watch(database: Postgres, partition: str, day: str) -> None:
    """Let the sums of a day be deleted when somebody empties its partition. Triggers for rows come with the table."""
    database.execute(
        f"CREATE TRIGGER hits_emptied AFTER TRUNCATE ON {partition} FOR EACH STATEMENT "
        f"EXECUTE FUNCTION hits_changed('{day}')"
    )


def make(database: Postgres, day: str, table: str = "hits") -> None:
    """Make the sums of a day, whose rows are in *table*. A day with negative views, which somebody else has written,
    stays without sums."""
    columns = database.columns_of("hits")
    numbers = ["views", "bots"] if "bots" in columns else ["views"]
    host = "host" if "host" in columns else "''"
    before = views_by_path(database, day)
    database.execute("DELETE FROM hits_sums WHERE date = ?", [day])
    database.execute(
        "INSERT INTO hits_paths "
        "SELECT (SELECT coalesce(max(id), 0) FROM hits_paths) + row_number() OVER (ORDER BY path), path "
        f"FROM (SELECT DISTINCT path FROM {table} new WHERE date = ? "
        "AND NOT EXISTS (SELECT FROM hits_paths old WHERE old.path = new.path)) new",
        [day],
    )
    odd = " OR ".join(f"{number} < 0" for number in numbers)
    query = (
        f"SELECT {host}, sum(views), {'sum(bots)' if 'bots' in columns else 'NULL::bigint'}, "
        f"count(*) FILTER (WHERE views > 0), count(*) FILTER (WHERE {odd}) FROM {table} WHERE date = ? GROUP BY 1"
    )
    hosts = database.execute(query, [day]).fetchall() or [("", 0, 0 if "bots" in columns else None, 0, 0)]
    if any(row[-1] for row in hosts):
        return
    packed = {number: _packed(database, number, day, host, table) for number in numbers}
    empty = pack_sums([])
    for name, views, bots, rows, _ in hosts:
        blobs = [packed["views"].get(name, empty), packed["bots"].get(name, empty) if "bots" in packed else None]
        database.execute("INSERT INTO hits_sums VALUES (?, ?, ?, ?, ?, ?, ?)", [day, name, views, bots, rows, *blobs])
    note_missing_paths(database, before, views_by_path(database, day))


def _packed(database: Postgres, number: str, day: str, host: str, table: str) -> dict[str, bytes]:
    query = (
        f"SELECT {host}, id, {number} FROM {table} JOIN hits_paths USING (path) WHERE date = ? AND {number} > 0 "
        "ORDER BY 1, 2"
    )
    by_host = groupby(database.stream(query, [day]), key=itemgetter(0))
    return {name: pack_sums((row[1], row[2]) for row in rows) for name, rows in by_host}
