"""Expressions for queries of the history. Their values are looked up when a query runs, not when it is made.

So a queryset of a class can have them: it touches no database at import, and its first day moves with the calendar.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.db.models import Expression, Func, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat, Replace, Substr

from fasthits.django import live

TABLES = ("fasthits_hits", "fasthits_mostread")

TEXTS = (models.CharField, models.TextField)
KEY_FIELDS = (models.IntegerField, models.UUIDField, *TEXTS)
"""Fields whose values have one text each, which every database makes of them."""


def first_day(days: int) -> date:
    """Return the first of the last *days* whole days before today.

    Today's hits enter the history when the day is over, or earlier by ``parse_log today``; then they count, too.
    """
    today = live.today()
    return today - timedelta(min(days, (today - date.min).days))


class FirstDay(Expression):
    """The first of the last *days* days."""

    def __init__(self, days: int) -> None:
        super().__init__(output_field=models.DateField())
        self.days = days

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return the day on which the query runs."""
        return "%s", [connection.ops.adapt_datefield_value(first_day(self.days))]


def history_model(model: type[models.Model]) -> type[models.Model]:
    """Return the model that has the history of *model*'s objects: of a multi-table child the topmost counted parent.

    So the pages of a child count for its parent, which is the same object, and there is one row a day.
    """
    model = model._meta.concrete_model
    for parent, link in model._meta.parents.items():
        if link and link.primary_key and any(field.related_model is _hits() for field in parent._meta.private_fields):
            return history_model(parent)
    return model


def key_field(model: type[models.Model]) -> models.Field:
    """Return the field that has the values of a model's primary key: for a multi-table child that of its parent."""
    return value_field(model._meta.pk)


def value_field(field: models.Field) -> models.Field:
    """Return the field that has the values of *field*: for a relation the field that it points to."""
    while field.is_relation:
        field = field.target_field
    return field


def has_key_of_history(model: type[models.Model]) -> bool:
    """Tell whether the history can have the primary keys of *model*.

    A field that converts values of the database, such as django-hashid-field's, has another text in Python.
    """
    field = key_field(model)
    return isinstance(field, KEY_FIELDS) and not hasattr(field, "from_db_value")


def object_id(obj: models.Model) -> str | None:
    """Return the `Hits.object_id` of an object, also if its UUID was given as text; None if it has no primary key."""
    return None if obj.pk is None else str(key_field(obj.__class__).get_prep_value(obj.pk))


def content_type_of(model: type[models.Model]) -> Subquery:
    """Return a subquery for the id of the content type of *model*'s history. It needs no separate query."""
    meta = history_model(model)._meta
    return Subquery(ContentType.objects.filter(app_label=meta.app_label, model=meta.model_name).values("pk")[:1])


class ObjectId(Func):
    """The `Hits.object_id` for a primary key of *model*: text, a UUID with hyphens."""

    def __init__(self, key: Any, model: type[models.Model]) -> None:
        super().__init__(key, output_field=models.CharField())
        self.is_uuid = isinstance(key_field(model), models.UUIDField)

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return the SQL. A database without UUIDs stores 32 hex digits."""
        (key,) = self.get_source_expressions()
        text = Cast(key, models.TextField())
        if not self.is_uuid or connection.features.has_native_uuid_field:
            return compiler.compile(text)
        groups = [Substr(text, start, size) for start, size in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))]
        hyphen = Value("-")
        return compiler.compile(Concat(groups[0], *(part for group in groups[1:] for part in (hyphen, group))))


def keys_of(model: type[models.Model], object_ids: Iterable[str]) -> list[str]:
    """Return the *object_ids* that can be primary keys of *model*: those of other types are from before it changed."""
    return [object_id for object_id in object_ids if _can_be_key(key_field(model), object_id)]


def _can_be_key(field: models.Field, object_id: str) -> bool:
    try:
        value = field.to_python(object_id)
    except ValidationError:
        return False
    return not isinstance(value, int) or abs(value) < 1 << 63


class PrimaryKey(Func):
    """The primary key of an object of *model*, for an `object_id`; NULL for those that `keys_of` leaves out."""

    def __init__(self, object_id: Any, model: type[models.Model]) -> None:
        field = key_field(model)
        kinds = (models.UUIDField, models.IntegerField)
        self.kind = next((kind for kind in kinds if isinstance(field, kind)), models.CharField)
        super().__init__(object_id, output_field=self.kind())

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return the SQL."""
        (text,) = self.get_source_expressions()
        if self.kind is models.UUIDField:
            return compiler.compile(Replace(text, Value("-"), Value(""), output_field=models.CharField()))
        sql, values = compiler.compile(text)
        if self.kind is models.CharField:
            return sql, values
        key = f"CAST({sql} AS bigint)"  # SQLite makes 550 of the UUID 550e8400-...
        return f"CASE WHEN CAST({key} AS text) = {sql} THEN {key} END", [*values, *values, *values]

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return the SQL for PostgreSQL, where the cast of a text that is no key is an error."""
        if self.kind is models.CharField:
            return self.as_sql(compiler, connection, **context)
        sql, values = compiler.compile(self.get_source_expressions()[0])
        if self.kind is models.UUIDField:
            return f"CASE WHEN {sql} ~ %s THEN CAST({sql} AS uuid) END", [*values, _UUID, *values]
        number = f"CASE WHEN {sql} ~ %s THEN CAST({sql} AS numeric) END"  # some of 19 digits are no bigint
        key = f"CASE WHEN {number} BETWEEN {-1 << 63} AND {(1 << 63) - 1} THEN CAST({sql} AS bigint) END"
        return key, [*values, _INTEGER, *values, *values]


_INTEGER = "^-?[0-9]{1,19}$"
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class FromHistory(Subquery):
    """The part of the history that a query of objects of *model* finds; NULL where the history is not in their
    database, or not migrated yet."""

    def __init__(self, query: Any, model: type[models.Model]) -> None:
        super().__init__(query)
        self.model = model

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return the SQL."""
        if not has_history(connection.alias, self.model):
            return "(NULL)", []
        return super().as_sql(compiler, connection, *args, **context)


class NumberFromHistory(Coalesce):
    """The number that a query of objects of *model* finds in the history, or 0; `live.UNKNOWN` where the history is
    not in their database."""

    def __init__(self, query: Any, model: type[models.Model]) -> None:
        super().__init__(FromHistory(query, model), 0, output_field=models.BigIntegerField())
        self.model = model

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return the SQL."""
        if not has_history(connection.alias, self.model):
            return compiler.compile(Cast(Value(None), self.output_field))
        return super().as_sql(compiler, connection, *args, **context)

    def convert_value(self, value: int | None, *_: Any) -> int:
        """Return the number of a row."""
        return live.UNKNOWN if value is None else int(value)  # PostgreSQL's sums are decimal numbers


def has_history(database: str, model: type[models.Model] | None = None) -> bool:
    """Tell whether the history is in *database*, with *model* for a query of its objects. If it is not, a warning says
    so, once.

    Tables are not enough for that: *database* may have empty or old ones, and the router may send the history to
    another.
    """
    where = router.db_for_write(_hits())  # not for read: there may be several replicas
    if model is not None and router.db_for_write(model) != where:
        reason = f"it is in {where!r}: a query reads one database"
        live.warn_once(database, LookupError(f"the history is not in the database {database!r} ({reason})"))
        return False
    if database not in _with_history:
        with connections[database].cursor() as cursor:
            # The driver's cursor: a page costs no further query that a test of the site would count.
            found = connections[database].introspection.table_names(cursor.cursor)
        if missing := [table for table in TABLES if table not in found]:
            reason = f"no table {missing[0]} in the database {database!r} ({to_migrate(database)})"
            live.warn_once(database, LookupError(reason))
            return False
        _with_history.add(database)
    return True


def to_migrate(database: str) -> str:
    """Return the command that makes the tables of the history."""
    return "manage.py migrate" + f" --database {database}" * (database != DEFAULT_DB_ALIAS)


_with_history: set[str] = set()


def _hits() -> type[models.Model]:
    return apps.get_model("fasthits", "Hits", require_ready=False)
