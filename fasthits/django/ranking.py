"""The most read objects, of one model or of several, over some days or today; and the lists of them that are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from heapq import nlargest
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import IntegerField, Max, Model, QuerySet, Sum

from fasthits.django import live, queries
from fasthits.django.expressions import first_day, key_field
from fasthits.django.models import Hits, HitsMixin, MostRead
from fasthits.django.queries import KEPT, PERIODS, annotation

IN_VALUES = 900
"""The most values in a query. Every database allows this many."""
NEW_OBJECTS = 100
"""memcached cannot list counters by value. So today's most read objects are looked for among those most read in the
last 30 days and the NEW_OBJECTS newest of each model."""


def most_read(*sources: Any, days: int = 7, limit: int = 10) -> list[Any]:
    """Return the *limit* objects that were read most in the last *days* days, most read first.

    *sources* are models, their labels such as ``"press.PressRelease"``, or querysets. Each costs a query. The views of
    an object are in ``hits_7_days``, named after *days*.
    """
    name = annotation(days)
    found = [obj for source in sources for obj in Hits.objects.most_read(_objects(source), days, limit)]
    return nlargest(limit, found, key=lambda obj: getattr(obj, name)) if len(sources) > 1 else found


def most_read_today(*sources: Any, limit: int = 10) -> list[Any]:
    """Return the *limit* objects that have been read most today, live: a query for each source, and one round trip.

    NEW_OBJECTS says which objects it looks at.
    """
    candidates: dict[Any, None] = {}
    for source in sources:
        objects = _objects(source)
        candidates |= dict.fromkeys([*Hits.objects.most_read(objects, PERIODS[-1], KEPT), *newest(objects)])
    read = [obj for obj in live.with_hits_today(candidates) if obj.hits_today]
    return nlargest(limit, read, key=lambda obj: obj.hits_today)


def newest(objects: QuerySet) -> Iterable[Model]:
    """Return the newest of *objects*, by ``get_latest_by`` or an integer primary key; nothing without either."""
    key = objects.model._meta.pk
    latest = objects.model._meta.get_latest_by or (isinstance(key_field(objects.model), IntegerField) and key.attname)
    if not latest:
        return ()
    return objects.order_by(*([latest] if isinstance(latest, str) else latest)).reverse()[:NEW_OBJECTS]


def counted_models() -> Iterator[type[Model]]:
    """Yield each model that has its own history."""
    return (model for model in apps.get_models() if issubclass(model, HitsMixin) and not model._meta.proxy)


def top_keys(days: int, limit: int) -> dict[tuple[int, str], int]:
    """Return the views of the most read objects of all models, by content type and object id: most read first."""
    names = ("content_type", "object_id")
    listed = queries.kept(days).order_by("-views").values_list(*names, "views")[:limit]
    rows = list(listed) or list(
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
    """Save the lists of the most read objects in the history. ``parse_log`` calls this.

    It sums before it writes, so that other writers do not wait for the sums.
    """
    hits = Hits.objects.using(database)
    latest = hits.aggregate(newest=Max("pk"))["newest"]
    firsts = {first_day(days) + timedelta(later) for days in PERIODS for later in (0, 1)}
    kinds = hits.filter(date__gte=first_kept()).order_by().values_list("content_type", flat=True).distinct()
    rows = [
        MostRead(content_type_id=kind, first=first, object_id=key, views=views, newest=latest)
        for kind in kinds
        for first in firsts
        for key, views in _top(hits.filter(content_type=kind, date__gte=first))
    ]
    with transaction.atomic(database):
        MostRead.objects.using(database).all().delete()
        MostRead.objects.using(database).bulk_create(rows)


def _top(hits: QuerySet) -> QuerySet:
    by_object = hits.order_by().values_list("object_id").annotate(total=Sum("views"))
    return by_object.order_by("-total", "object_id")[:KEPT]


def _objects(source: Any) -> QuerySet:
    if isinstance(source, QuerySet):
        return source
    model = apps.get_model(source) if isinstance(source, str) else source
    return model._default_manager.all()
