"""PostgreSQL as a target: each day of a table is a partition, which is filled, indexed and attached in one transaction.

Readers go on meanwhile. Only where a partition takes the place of another, they wait for the last moment, or it waits
for them. A partition has no primary key, because PostgreSQL's keys have room for 2,704 bytes, and a path can be longer;
its index by path has only hashes. The date is a column of each row, as in SQLite.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fasthits.daily.layouts import PLAIN, Cell, Layout, Rows, not_filled, other_columns
from fasthits.daily.postgres import referrers, sums
from fasthits.daily.postgres.database import Postgres, check_schema, looking, writing
from fasthits.daily.removed_paths import remove_paths
from fasthits.daily.sqlite.referrers import TEXTS
from fasthits.daily.targets.refusals import NOT_COMPARED
from fasthits.daily.targets.target import NO_FIGURES, Replaced, RowsOfDays, Target
from fasthits.errors import TableError

if TYPE_CHECKING:
    from fasthits.daily.counting.threads import Progress

TEXT = 'text COLLATE "C"'


class PostgresTarget(Target):
    """Tables in a PostgreSQL database, which are created if they do not exist."""

    def __init__(self, url: str, layouts: Sequence[Layout] = (PLAIN,)) -> None:
        self._url = url
        self._layouts = layouts

    def check(self) -> None:
        with looking(self._url) as database:
            if database.execute("SHOW server_encoding").fetchone() != ("UTF8",):
                raise TableError(
                    "the database is not in UTF-8", database.name, "make one: createdb -E UTF8 -T template0"
                )
            self._check_tables(database)
            _check_rights(database, self._layouts)

    def replace(
        self, days: Sequence[date], rows: Rows, with_fewer: bool = False, figures: Mapping[str, Any] = NO_FIGURES
    ) -> Replaced:
        if not days:
            return Replaced(0, [], [])
        new = RowsOfDays(days, rows)
        with writing(self._url) as database:
            for layout in self._layouts:
                _declare(database, layout)
            self._check_tables(database)
            sums.declare(database)
            referrers.declare(database, [layout.name for layout in self._layouts])
            compared = NOT_COMPARED if with_fewer else new.compare(_kept_hits(database, self._layouts[0], days))
            replaced = list(map(date.isoformat, new.days))
            if not replaced:
                database.rollback()
                return Replaced(0, *compared)
            made = [_Days(database, layout) for layout in self._layouts]
            for each, layout in zip(made, self._layouts, strict=True):
                each.fill(new.rows(layout), replaced)
            for day in replaced:
                sums.make(database, day, made[0].table_of(day))
                for each in made[1:]:
                    each.sum_up(day)
            old = [
                layout.name for layout in self._layouts if sums.partitions_of(database, layout.name).keys() & replaced
            ]
            if old:
                database.lock_alone(list(dict.fromkeys(["hits", *old])))
            for each in made:
                each.attach(replaced)
            if not sums.days_without(database):
                remove_paths(database)
        return Replaced(made[0].rows, *compared)

    def catch_up(self, progress: "Progress | None" = None) -> None:
        with looking(self._url) as database:
            days, of_sources = sums.days_without(database), referrers.days_without(database)
        advance = progress(len(days) + len(of_sources)) if progress and (days or of_sources) else None
        for day in days:
            with writing(self._url) as database:
                sums.declare(database)
                sums.make(database, day)
                if not sums.days_without(database):
                    remove_paths(database)
            if advance:
                advance(1)
        for table, day in of_sources:
            with writing(self._url) as database:
                referrers.declare(database, [table])
                referrers.make(database, table, day, table)
            if advance:
                advance(1)

    def newest_before(self, day: str) -> str | None:
        with looking(self._url) as database:
            kept = sums.partitions_of(database, "hits").keys() | sums.summed(database)  # without a hit, only sums
        return max((found for found in kept if found < day), default=None)

    def stale(self, days: Sequence[date]) -> list[str]:
        with looking(self._url) as database:
            found = {table: sums.partitions_of(database, table).keys() for table in not_filled(self._layouts)}
        return [table for table, kept in found.items() if kept & set(map(date.isoformat, days))]

    def _check_tables(self, database: Postgres) -> None:
        for layout in self._layouts:
            found = database.columns_of(layout.name)
            if found and found != list(layout.columns):
                raise other_columns(database.name, layout.name, layout.columns, found, "database")
            if found:
                sums.partitions_of(database, layout.name)
        sums.check(database)


class _Days:
    """The new partitions of a table."""

    def __init__(self, database: Postgres, layout: Layout) -> None:
        self.rows = 0
        self._database = database
        self._layout = layout
        self._filled: set[str] = set()
        self._to_add_up: set[str] = set()

    def fill(self, rows: Iterable[tuple[Cell, ...]], days: Collection[str]) -> None:
        """Copy the rows of these days into a table for each day. Rows with equal texts are added up."""
        for day, of_day in groupby(rows, key=itemgetter(0)):
            if day not in days:
                continue
            if day in self._filled or len(self._layout.numbers) > 1:  # the rows of bots follow the others
                self._to_add_up.add(str(day))
            self.rows += self._database.copy(self.table_of(str(day)), self._storable(of_day))
        for day in self._to_add_up:
            self._add_up(day)
        if "path" in self._layout.texts:
            for day in self._filled:
                self._database.execute(f"CREATE INDEX ON {_new(self._layout, day)} USING hash (path)")

    def table_of(self, day: str) -> str:
        """Return the name of a day's new table; make it if there is none."""
        if day not in self._filled:
            self._make(_new(self._layout, day), day)
            self._filled.add(day)
        return _new(self._layout, day)

    def sum_up(self, day: str) -> None:
        """Make the sums of a day, if it is a table of referrers or searches."""
        if self._layout.name in TEXTS:
            referrers.make(self._database, self._layout.name, day, self.table_of(day))

    def attach(self, replaced: Sequence[str]) -> None:
        """Put the new tables in place of the old partitions of these days."""
        name, old = self._layout.name, sums.partitions_of(self._database, self._layout.name)
        for day in replaced:
            if day in old:
                self._database.execute(f"DROP TABLE {old[day]}")
            if day not in self._filled:
                continue
            partition = f"{name}_{day.replace('-', '_')}"
            self._database.execute(f"ALTER TABLE {_new(self._layout, day)} RENAME TO {partition}")
            self._database.execute(f"ALTER TABLE {name} ATTACH PARTITION {partition} FOR VALUES IN ('{day}')")
            if name == "hits":
                sums.watch(self._database, partition, day)
            elif name in TEXTS:
                referrers.watch(self._database, name, partition, day)

    def _make(self, table: str, day: str) -> None:
        # With the CHECK, nothing is read again when it is attached.
        self._database.execute(f"CREATE TABLE {table} (LIKE {self._layout.name}, CHECK (date = '{day}'))")

    def _storable(self, rows: Iterable[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
        """Yield rows with each zero byte, which PostgreSQL cannot store, as ``\\x00``."""
        layout = self._layout
        texts = [at for at, name in enumerate(layout.texts) if at and name not in layout.integers]
        for row in rows:
            if any("\0" in row[at] for at in texts):  # type: ignore[operator]
                self._to_add_up.add(str(row[0]))
                yield tuple(cell.replace("\0", "\\x00") if isinstance(cell, str) else cell for cell in row)
            else:
                yield row

    def _add_up(self, day: str) -> None:
        """Add up the rows of a day that have equal texts."""
        table, texts = _new(self._layout, day), ", ".join(self._layout.texts)
        numbers = ", ".join(f"sum({number})" for number in self._layout.numbers)
        (before,) = self._database.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
        self._make(f"{table}er", day)
        query = f"SELECT {texts}, {numbers} FROM {table} GROUP BY {texts}"
        self.rows += self._database.execute(f"INSERT INTO {table}er {query}").rowcount - before
        self._database.execute(f"DROP TABLE {table}")
        self._database.execute(f"ALTER TABLE {table}er RENAME TO {table}")


def _new(layout: Layout, day: str) -> str:
    return f"{layout.name}_{day.replace('-', '_')}_new"


def _declare(database: Postgres, layout: Layout) -> None:
    if database.columns_of(layout.name):
        return
    kinds = {"date": "date", **dict.fromkeys(layout.integers, "smallint"), **dict.fromkeys(layout.numbers, "bigint")}
    columns = [f"{name} {kinds.get(name, TEXT)} NOT NULL" for name in layout.columns]
    database.execute(f"CREATE TABLE {layout.name} ({', '.join(columns)}) PARTITION BY LIST (date)")
    if "path" in layout.texts:
        database.execute(f"CREATE INDEX ON {layout.name} USING hash (path)")


def _kept_hits(database: Postgres, layout: Layout, days: Sequence[date]) -> dict[date, int]:
    """Return the hits by day of the *days* that have rows."""
    total = " + ".join(f"sum({number})" for number in layout.numbers)
    query = f"SELECT date, {total} FROM {layout.name} WHERE date = ANY(?::date[]) GROUP BY date"
    found = database.execute(query, [[day.isoformat() for day in days]])
    return {date.fromisoformat(day): hits for day, hits in found}


def _check_rights(database: Postgres, layouts: Sequence[Layout]) -> None:
    """Raise TableError if the user cannot make tables, or does not own the existing tables."""
    check_schema(database)
    query = (
        "SELECT current_user, current_schema(), has_schema_privilege(current_schema(), 'CREATE'), "
        "(SELECT string_agg(relname, ', ') FROM pg_class "
        "WHERE oid IN (SELECT to_regclass(name) FROM unnest(?::text[]) name) AND NOT pg_has_role(relowner, 'USAGE'))"
    )
    row = database.execute(query, [[layout.name for layout in layouts]]).fetchone()
    assert row
    user, schema, can_create, of_others = row
    if not can_create:
        hint = f"as its owner: GRANT CREATE ON SCHEMA {schema} TO {user}"
        raise TableError(f"user {user} has no right to make tables in schema {schema}", database.name, hint)
    if of_others:
        raise TableError(f"user {user} does not own the tables {of_others}", database.name, "connect as their owner")
