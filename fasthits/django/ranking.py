"""The most read objects, for pages: fast however many objects there are.

A sum over all objects takes too long for a page. So each ``parse_log`` keeps the KEPT most read objects of each model
over each of the PERIODS, in `MostRead`. A list of which a queryset lets too few objects through, and any other period,
is summed when it is asked for.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from heapq import nlargest
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import models, router
from django.db.models import IntegerField, Max, Model, OuterRef, QuerySet, Subquery, Sum

from fasthits.django import live
from fasthits.django.expressions import FirstDay, ObjectId, PrimaryKey, first_day, has_history
from fasthits.django.models import Hits, HitsMixin, MostRead, annotation, with_hits, with_number

PERIODS = (1, 7, 30)
"""The periods that are kept, in days. Each is kept for today and, as it is read until the next run, for tomorrow."""
KEPT = 500
IN_VALUES = 900
"""Up to so many values go into a query, which every database allows."""
NEW_OBJECTS = 100
"""memcached cannot list counters by value. So today's most read objects are looked for among those most read in the
last 30 days and the NEW_OBJECTS newest of each model."""


def most_read(*sources: Any, days: int = 7, limit: int = 10) -> list[Any]:
    """Return the *limit* objects that were read most in the last *days* days, most read first.

    *sources* are models, their labels such as ``"press.PressRelease"``, or querysets. Each costs a query. The views of
    an object are in ``hits_7_days``, named after *days*.
    """
    name = annotation(days)
    found = [obj for source in sources for obj in _most_read(_objects(source), days, limit)]
    return nlargest(limit, found, key=lambda obj: getattr(obj, name)) if len(sources) > 1 else found


def most_read_today(*sources: Any, limit: int = 10) -> list[Any]:
    """Return the *limit* objects that have been read most today, live: a query for each source, and one round trip.

    See NEW_OBJECTS for which objects it looks at.
    """
    candidates: dict[Any, None] = {}
    for source in sources:
        objects = _objects(source)
        candidates |= dict.fromkeys([*_most_read(objects, PERIODS[-1], KEPT), *newest(objects)])
    read = [obj for obj in live.with_hits_today(candidates) if obj.hits_today]
    return nlargest(limit, read, key=lambda obj: obj.hits_today)


def newest(objects: QuerySet) -> Iterable[Model]:
    """Return the newest of *objects*, by ``get_latest_by`` or an integer primary key; nothing without either."""
    latest = objects.model._meta.get_latest_by or (isinstance(objects.model._meta.pk, IntegerField) and "pk")
    if not latest:
        return ()
    return objects.order_by(*([latest] if isinstance(latest, str) else latest)).reverse()[:NEW_OBJECTS]


def counted_models() -> Iterator[type[Model]]:
    """Yield each model that has a history of its own."""
    return (model for model in apps.get_models() if issubclass(model, HitsMixin) and not model._meta.proxy)


def top_keys(days: int, limit: int) -> dict[tuple[int, str], int]:
    """Return the views of the most read objects of all models, by content type and object id: most read first."""
    names = ("content_type", "object_id")
    kept = _kept(days).order_by("-views").values_list(*names, "views")[:limit]
    rows = list(kept) or list(
        Hits.objects.last_days(days)
        .order_by()
        .values_list(*names)
        .annotate(total=Sum("views"))
        .order_by("-total")[:limit]
    )
    return {(kind, key): views for kind, key, views in rows}


def objects_of(keys: Iterable[tuple[int, str]], database: str | None = None) -> dict[tuple[int, str], Model]:
    """Return the objects of *keys*, content types and object ids, that still exist: a query for every thousand."""
    by_type: dict[int, list[str]] = defaultdict(list)
    for content_type, key in keys:
        by_type[content_type].append(key)
    found: dict[tuple[int, str], Model] = {}
    for content_type, wanted in by_type.items():
        model = ContentType.objects.db_manager(database).get_for_id(content_type).model_class()
        for start in range(0, len(wanted) if model else 0, IN_VALUES):
            objects = model._base_manager.filter(pk__in=wanted[start : start + IN_VALUES])
            found |= {(content_type, str(obj.pk)): obj for obj in objects}
    return found


def first_kept() -> date:
    """Return the first day of the longest period that is kept."""
    return first_day(max(PERIODS))


def keep(database: str) -> None:
    """Keep the most read objects, as they are now in the history. ``parse_log`` calls this."""
    hits = Hits.objects.using(database)
    latest = hits.aggregate(newest=Max("pk"))["newest"]
    firsts = {first_day(days) + timedelta(later) for days in PERIODS for later in (0, 1)}
    MostRead.objects.using(database).all().delete()
    kinds = hits.filter(date__gte=first_kept()).order_by().values_list("content_type", flat=True).distinct()
    for kind in list(kinds):
        for first in firsts:
            rows = hits.filter(content_type=kind, date__gte=first).order_by().values_list("object_id")
            top = rows.annotate(total=Sum("views")).order_by("-total", "object_id")[:KEPT]
            MostRead.objects.using(database).bulk_create(
                MostRead(content_type_id=kind, first=first, object_id=key, views=views, newest=latest)
                for key, views in top
            )


def _objects(source: Any) -> QuerySet:
    if isinstance(source, QuerySet):
        return source
    model = apps.get_model(source) if isinstance(source, str) else source
    return model._default_manager.all()


def _most_read(objects: QuerySet, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects*: from the kept list, or else from a new sum, if that has enough of them."""
    if not has_history(router.db_for_read(Hits)):
        return []
    objects = objects.order_by()
    if days in PERIODS and limit <= KEPT:
        listed = MostRead.objects.filter(first=FirstDay(days)).of_model(objects.model)
        views = listed.filter(object_id=ObjectId(OuterRef("pk"), objects.model)).values("views")
        found = _among(objects, listed.filter(newest__gte=_latest()), views, days, limit)
        if len(found) == limit:
            return found
    views_of_day = Hits.objects.of_model(objects.model).last_days(days).order_by()
    by_object = views_of_day.values("object_id").annotate(total=Sum("views"))
    found = _among(objects, by_object.order_by("-total")[: max(KEPT, limit)], None, days, limit)
    return found if len(found) == limit else list(Hits.objects.most_read(objects, days)[:limit])


def _among(objects: QuerySet, keys: QuerySet, views: QuerySet | None, days: int, limit: int) -> list[Any]:
    """Return the most read of *objects* that are among *keys*, rows with an ``object_id``."""
    read = objects.filter(pk__in=keys.values(key=PrimaryKey("object_id", objects.model)))
    name = annotation(days)
    read = with_hits(read, days) if views is None else with_number(read, name, views)
    return list(read.order_by(f"-{name}", "pk")[:limit])


def _kept(days: int) -> QuerySet:
    """Return the kept rows of a period that are up to date."""
    return MostRead.objects.filter(first=FirstDay(days), newest__gte=_latest())


def _latest() -> Subquery:
    return Subquery(Hits.objects.order_by("-pk").values("pk")[:1], output_field=models.BigIntegerField())
