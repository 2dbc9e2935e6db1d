"""Queries of the history: sums, and the most read objects, fast however many objects there are.

A sum over all objects takes too long for a page. So each ``parse_log`` keeps lists of the KEPT most read objects of
each model over each of the PERIODS, in `MostRead`. Over another period the candidates are those of the next longer
list: over fewer days no object is read more often, so what is not in that list has at most the views of its last row.
Only if that does not settle it, and for more days than the longest list has, the query sums all rows.
"""

from datetime import date
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Cast

from fasthits.django.expressions import (
    FirstDay,
    FromHistory,
    NumberFromHistory,
    ObjectId,
    PrimaryKey,
    content_type_of,
    first_day,
    has_history,
    keys_of,
    object_id,
)

PERIODS = (1, 7, 30, 90, 365)
"""The periods that are kept, in days. Each is kept for today, and for tomorrow, because pages read it until the next
run."""
KEPT = 500
FIRST_CANDIDATES = 50
"""The candidates of a longer list to look at first: a sum for each takes time, and a page seldom needs more."""


def annotation(days: int | None) -> str:
    """Return the name of the attribute that `with_hits` adds: ``hits_7_days``, ``hits_all_days``."""
    return f"hits_{'all' if days is None else days}_days"


def with_hits(objects: QuerySet, days: int | None = None) -> QuerySet:
    """Return *objects*, each with its views of the last *days* days or of all: ``hits_7_days``, ``hits_all_days``.

    The query of the objects sums them; there is no other query. Sort by them: ``.order_by("-hits_7_days")``. They are
    `live.UNKNOWN` where the history is in another database.
    """
    hits = _table("Hits").of_model(objects.model).filter(object_id=ObjectId(OuterRef("pk"), objects.model))
    if days is not None:
        hits = hits.filter(date__gte=FirstDay(days))
    views = hits.order_by().values("content_type").annotate(total=Sum("views")).values("total")
    return with_number(objects, annotation(days), views)


def with_number(objects: QuerySet, name: str, query: QuerySet) -> QuerySet:
    """Return *objects*, each with the number that *query* finds in the history, or 0."""
    number = NumberFromHistory(query.query, objects.model)  # a query, not a queryset, can be pickled
    return objects.annotate(**{name: number})


class HistoryQuerySet(models.QuerySet):
    """Rows of a table of objects' views."""

    def of_model(self, model: type[models.Model]) -> "HistoryQuerySet":
        """Return the rows of all objects of *model*."""
        return self.filter(content_type=content_type_of(model))


class HitsQuerySet(HistoryQuerySet):
    """Rows of `Hits`: an object and a day each."""

    def for_object(self, obj: models.Model) -> "HitsQuerySet":
        """Return the rows of *obj*, newest first."""
        return self.of_model(obj.__class__).filter(object_id=object_id(obj)).order_by("-date")

    def between(self, first: date, last: date) -> "HitsQuerySet":
        """Return the rows from *first* to *last*, both included."""
        return self.filter(date__range=(first, last))

    def last_days(self, days: int | None) -> "HitsQuerySet":
        """Return the rows of the last *days* days, or of all days for None."""
        return self.all() if days is None else self.filter(date__gte=FirstDay(days))

    def most_read(self, objects: Any, days: int = 7, limit: int = 10) -> list[Any]:
        """Return the *limit* objects of a model or queryset that were read most in the last *days* days, most first.

        Their views are in ``hits_7_days``, named after *days*. One query if the kept objects are enough, see PERIODS.
        """
        found = objects if isinstance(objects, QuerySet) else objects._default_manager.using(self.db).all()
        return _most_read(found.order_by(), days, limit)

    def totals(self) -> QuerySet:
        """Return the views of each day, all objects together, oldest first: rows with ``date`` and ``total``."""
        return (
            self.order_by("date").values("date").annotate(total=Sum("views")).values_list("date", "total", named=True)
        )


def kept(days: int) -> QuerySet:
    """Return the kept rows of a period that are up to date."""
    return _table("MostRead").filter(first=FirstDay(days), newest__gte=_latest())


def candidates(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the kept most read of *objects*, which may be few: of a longer list if parse_log has not run for days.

    Without any list, return what `most_read` finds.
    """
    if not has_history(objects.db, objects.model):
        return []
    objects = objects.order_by()
    if found := _among_kept(objects, days, limit):
        return found
    kept_list = _find_list(objects.model, days)
    return _among_kept(objects, kept_list.days, limit) if kept_list else _among_all(objects, days, limit)


class _List(NamedTuple):
    """A kept list: its first day, and how many objects of a model it has."""

    first: date
    size: int

    @property
    def days(self) -> int:
        """The days that it has until today."""
        return (first_day(0) - self.first).days


def _most_read(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects*: from the kept list, or from a longer one, or by a sum over all."""
    if not has_history(objects.db, objects.model):
        return []
    found = _among_kept(objects, days, limit)  # other days too: on the next day, a list of 7 days is that of 8
    if len(found) == limit:
        return found
    kept_list = _find_list(objects.model, days)
    if kept_list is None:
        return _among_all(objects, days, limit)
    if kept_list.first == first_day(days):
        return found if kept_list.size < KEPT else _top(objects, days, limit)  # a short list has all objects with views
    settled = _among_candidates(objects, days, limit, kept_list)
    return _among_all(objects, days, limit) if settled is None else settled


def _find_list(model: type[models.Model], days: int) -> _List | None:
    """Return the shortest kept list that has all of the last *days* days; None if there is no such list."""
    of_model = models.Q(content_type=content_type_of(model))
    lists = _table("MostRead").filter(first__lte=FirstDay(days), newest__gte=_latest()).order_by("-first")
    found = lists.values_list("first").annotate(own=Count("pk", filter=of_model)).first()
    return _List(*found) if found else None


def _among_candidates(objects: QuerySet, days: int, limit: int, longer: _List) -> list[Any] | None:
    """Return the most read of *objects* by sums for those in a list of more days; None if others may have more."""
    rows = _table("MostRead").filter(first=longer.first, views__gt=0).of_model(objects.model).order_by("-views")
    listed = list(rows.values_list("object_id", "views"))
    for size in sorted({min(max(FIRST_CANDIDATES, 4 * limit), KEPT), KEPT}):
        keys = [key for key, _ in listed[:size]]
        found = _top(objects.filter(pk__in=keys_of(objects.model, keys)), days, limit)
        if len(keys) == len(listed) and longer.size < KEPT:  # a short list has all objects with views
            return found
        if len(found) == limit and getattr(found[-1], annotation(days)) >= listed[len(keys) - 1][1]:
            return found
    return None


def _among_all(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects*, by a sum over the history of all objects of the model."""
    # A group by the bare column leads SQLite to the index of the objects: it reads all their days, not only *days*.
    key = Cast("object_id", models.TextField())
    sums = (
        _table("Hits").of_model(objects.model).last_days(days).order_by().values(key=key).annotate(total=Sum("views"))
    )
    keys = sums.order_by("-total").values_list("key", flat=True)[: max(KEPT, limit)]
    found = _top(objects.filter(pk__in=keys_of(objects.model, keys)), days, limit)
    return found if len(found) == limit or len(keys) < KEPT else _top(objects, days, limit)


def _among_kept(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects* in the kept list, with the views in it."""
    listed, name = kept(days).of_model(objects.model), annotation(days)
    keys = listed.filter(views__gt=0).values(key=PrimaryKey("object_id", objects.model))
    read = objects.filter(pk__in=FromHistory(keys, objects.model))
    of_period = _table("MostRead").filter(first=FirstDay(days)).of_model(objects.model)
    views = of_period.filter(object_id=ObjectId(OuterRef("pk"), objects.model)).values("views")
    return list(with_number(read, name, views).order_by(f"-{name}", "pk")[:limit])


def _top(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of a few *objects*, by a sum for each."""
    name = annotation(days)
    top = with_hits(objects, days).order_by(f"-{name}", "pk")[:limit]
    return [obj for obj in top if getattr(obj, name)]


def _latest() -> Subquery:
    """Return a subquery for the newest row of `Hits`."""
    return Subquery(_table("Hits").order_by("-pk").values("pk")[:1], output_field=models.BigIntegerField())


def _table(name: str) -> Any:
    return apps.get_model("fasthits", name, require_ready=False).objects.all()
