"""Queries of the history: sums, and the most read objects, fast however many objects there are.

A sum over all objects takes too long for a page. So each ``parse_log`` keeps the KEPT most read objects of each model
over each of the PERIODS, in `MostRead`. If a queryset has too few objects of a list, and for any other period, the
query sums all rows.
"""

from datetime import date
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from fasthits.django.expressions import FirstDay, FromHistory, ObjectId, PrimaryKey, content_type_of, has_history

PERIODS = (1, 7, 30)
"""The periods that are kept, in days. Each is kept for today, and for tomorrow, because pages read it until the next
run."""
KEPT = 500


def annotation(days: int | None) -> str:
    """Return the name of the attribute that `with_hits` adds: ``hits_7_days``, ``hits_all_days``."""
    return f"hits_{'all' if days is None else days}_days"


def with_hits(objects: QuerySet, days: int | None = None) -> QuerySet:
    """Return *objects*, each with its views of the last *days* days or of all: ``hits_7_days``, ``hits_all_days``.

    The query of the objects sums them; there is no other query. Sort by them: ``.order_by("-hits_7_days")``.
    """
    hits = _table("Hits").of_model(objects.model).filter(object_id=ObjectId(OuterRef("pk"), objects.model))
    if days is not None:
        hits = hits.filter(date__gte=FirstDay(days))
    views = hits.order_by().values("content_type").annotate(total=Sum("views")).values("total")
    return with_number(objects, annotation(days), views)


def with_number(objects: QuerySet, name: str, query: QuerySet) -> QuerySet:
    """Return *objects*, each with the number that *query* finds in the history, or 0."""
    return objects.annotate(**{name: Coalesce(FromHistory(query), 0, output_field=models.BigIntegerField())})


class HistoryQuerySet(models.QuerySet):
    """Rows of a table of objects' views."""

    def of_model(self, model: type[models.Model]) -> "HistoryQuerySet":
        """Return the rows of all objects of *model*."""
        return self.filter(content_type=content_type_of(model))


class HitsQuerySet(HistoryQuerySet):
    """Rows of `Hits`: an object and a day each."""

    def for_object(self, obj: models.Model) -> "HitsQuerySet":
        """Return the rows of *obj*, newest first."""
        return self.of_model(type(obj)).filter(object_id=str(obj.pk)).order_by("-date")

    def between(self, first: date, last: date) -> "HitsQuerySet":
        """Return the rows from *first* to *last*, both included."""
        return self.filter(date__range=(first, last))

    def last_days(self, days: int | None) -> "HitsQuerySet":
        """Return the rows of the last *days* days, or of all days for None."""
        return self.all() if days is None else self.filter(date__gte=FirstDay(days))

    def most_read(self, objects: Any, days: int = 7, limit: int | None = None) -> Any:
        """Return the objects of a model or queryset that were read in the last *days* days, most read first.

        Their views are in ``hits_7_days``, named after *days*. Without a *limit* it sums all objects, and returns a
        queryset. With a *limit* it returns a list: one query of the kept objects if these are enough, see PERIODS.
        """
        found = objects if isinstance(objects, QuerySet) else objects._default_manager.using(self.db).all()
        if limit is not None:
            return _most_read(found.order_by(), days, limit)
        read = self.of_model(found.model).last_days(days).order_by()
        keys = read.values(key=PrimaryKey("object_id", found.model))
        return with_hits(found.filter(pk__in=FromHistory(keys)), days).order_by(f"-{annotation(days)}", "pk")

    def totals(self) -> QuerySet:
        """Return the views of each day, all objects together, oldest first: rows with ``date`` and ``total``."""
        return (
            self.order_by("date").values("date").annotate(total=Sum("views")).values_list("date", "total", named=True)
        )


def kept(days: int) -> QuerySet:
    """Return the kept rows of a period that are up to date."""
    return _table("MostRead").filter(first=FirstDay(days), newest__gte=_latest())


def _most_read(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects*: from the kept list, or from a new one, if that has enough of them."""
    if not has_history(objects.db):
        return []
    if days in PERIODS:
        found = _among_kept(objects, days, limit)
        of_model = models.Q(content_type=content_type_of(objects.model))
        sizes = kept(days).aggregate(all=Count("pk"), own=Count("pk", filter=of_model)) if len(found) < limit else {}
        if len(found) == limit or (sizes["all"] and sizes["own"] < KEPT):  # a short list has all that were read
            return found
        if sizes["all"]:
            return _top(objects, days, limit)
    rows = _table("Hits").of_model(objects.model).last_days(days).order_by().values("object_id")
    keys = rows.annotate(total=Sum("views")).order_by("-total").values_list("object_id", flat=True)[: max(KEPT, limit)]
    found = _top(objects.filter(pk__in=list(keys)), days, limit)
    return found if len(found) == limit or len(keys) < KEPT else _top(objects, days, limit)


def _among_kept(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects* in the kept list, with the views in it."""
    listed, name = kept(days).of_model(objects.model), annotation(days)
    keys = listed.filter(views__gt=0).values(key=PrimaryKey("object_id", objects.model))
    read = objects.filter(pk__in=FromHistory(keys))
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
