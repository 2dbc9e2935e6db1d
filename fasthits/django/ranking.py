"""The most read objects, of one model or of several, over some days or today; and the lists of them that are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from heapq import heappush, heapreplace, nlargest
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction
from django.db.models import IntegerField, Max, Model, Q, QuerySet, Sum
from django.db.models.manager import BaseManager

from fasthits.django import live, queries
from fasthits.django.expressions import first_day, key_field, keys_of
from fasthits.django.models import Hits, HitsMixin, MostRead
from fasthits.django.queries import KEPT, PERIODS, annotation

IN_VALUES = 900
"""The most values in a query. Every database allows this many."""
NEW_OBJECTS = 100
CANDIDATES, CANDIDATE_DAYS = 200, 30
"""memcached cannot list counters by value. So today's most read objects are looked for among the CANDIDATES most read
in the last CANDIDATE_DAYS days and the NEW_OBJECTS newest of each model."""


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
    found: dict[Any, None] = {}
    for source in sources:
        objects = _objects(source)
        found |= dict.fromkeys([*queries.candidates(objects, CANDIDATE_DAYS, CANDIDATES), *newest(objects)])
    read = [obj for obj in live.with_hits_today(found) if obj.hits_today]
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


def objects_of(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Model]:
    """Return the objects of *keys*, content types and object ids, that still exist: a query for every thousand."""
    by_type: dict[int, list[str]] = defaultdict(list)
    for content_type, key in keys:
        by_type[content_type].append(key)
    found: dict[tuple[int, str], Model] = {}
    kinds = ContentType.objects.db_manager(router.db_for_read(Hits))
    for content_type, wanted in by_type.items():
        model = kinds.get_for_id(content_type).model_class()
        wanted = keys_of(model, wanted) if model else []
        for start in range(0, len(wanted), IN_VALUES):
            objects = model._base_manager.filter(pk__in=wanted[start : start + IN_VALUES])
            found |= {(content_type, str(obj.pk)): obj for obj in objects}
    return found


def lock_history(database: str) -> None:
    """Let other writers of the history wait until the transaction ends.

    They wait for this row, in SQLite for the file. A lock on the saved rows would not do, because there may be none.
    A transaction begins with it: SQLite refuses to wait in a transaction that has read before.
    """
    own_type = ContentType.objects.using(database).filter(app_label="fasthits", model="hits")
    own_type.update(model="hits")


def keep(database: str) -> None:
    """Save the lists of the most read objects in the history. Every command that changes the history ends with this.

    It sums before it writes, so that other writers do not wait for the sums. One query sums all periods. If another
    command has added rows since, that command saves the lists.
    """
    hits = Hits.objects.using(database)
    latest = _latest(hits)
    firsts = sorted({first_day(days) + timedelta(later) for days in PERIODS for later in (0, 1)})
    sums = {f"since_{first}": Sum("views", filter=Q(date__gte=first)) for first in firsts}
    rows = hits.filter(date__gte=firsts[0]).order_by().values_list("content_type", "object_id").annotate(**sums)
    tops: dict[tuple[int, date], list[tuple[int, str]]] = defaultdict(list)
    for kind, key, *views in rows.iterator():
        for first, number in zip(firsts, views, strict=True):
            if number:
                _push(tops[kind, first], number, key)
    with transaction.atomic(database):
        lock_history(database)
        if _latest(hits) != latest:
            return
        MostRead.objects.using(database).all().delete()
        MostRead.objects.using(database).bulk_create(
            MostRead(content_type_id=kind, first=first, object_id=key, views=views, newest=latest)
            for (kind, first), top in tops.items()
            for views, key in top
        )


def _latest(hits: QuerySet) -> int | None:
    return hits.aggregate(newest=Max("pk"))["newest"]


def _push(top: list[tuple[int, str]], views: int, key: str) -> None:
    """Take an object into *top*, a heap of at most KEPT, if it has more views than the last of them."""
    if len(top) < KEPT:
        heappush(top, (views, key))
    elif views > top[0][0]:
        heapreplace(top, (views, key))


def _objects(source: Any) -> QuerySet:
    """Return the objects of a label, a model, or a manager or queryset."""
    if isinstance(source, str):
        try:
            source = apps.get_model(source)
        except (LookupError, ValueError) as error:
            raise LookupError(f'no such model: {source!r} (write "app.Model")') from error
    source = getattr(source, "_default_manager", source)
    if not isinstance(source, (QuerySet, BaseManager)):
        raise TypeError(f"no model, label, manager or queryset: {source!r:.80}")
    return source.all()
