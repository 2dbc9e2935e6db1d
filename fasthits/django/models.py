"""The history: how often each object's page was read on each day; and the mixin for counted models."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from django.contrib.contenttypes.models import ContentType
from django.db import models, router
from django.db.models import Sum
from django.utils.translation import gettext_lazy

from fasthits.django import live
from fasthits.django.expressions import first_day, has_history, history_model, object_id
from fasthits.django.queries import HistoryQuerySet, HitsQuerySet, annotation, with_hits
from fasthits.django.relations import HitsRelation, ObjectOfHistory
from fasthits.django.separate import ask_history

T = TypeVar("T", bound=models.Model)


class Hits(models.Model):
    """How often the page of an object was read on a day. ``parse_log`` replaces the rows of a day each time."""

    date = models.DateField()
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_index=False)  # the indexes below begin with it
    object_id = models.CharField(max_length=255)
    content_object = ObjectOfHistory()
    views = models.PositiveBigIntegerField()

    objects = HitsQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("hits")
        verbose_name_plural = gettext_lazy("traffic")
        ordering = ("-date",)
        constraints = (
            models.UniqueConstraint(fields=("date", "content_type", "object_id"), name="fasthits_once_a_day"),
        )
        indexes = (
            models.Index(fields=("content_type", "object_id", "date"), name="fasthits_of_object"),
            models.Index(fields=("content_type", "date"), name="fasthits_of_days"),
        )

    def __str__(self) -> str:
        return f"{self.date}: {self.views}"


class MostRead(models.Model):
    """The most read objects of a model since a day, as `fasthits.django.ranking` keeps them for pages."""

    content_type = models.ForeignKey(ContentType, models.CASCADE, db_index=False)
    first = models.DateField()
    object_id = models.CharField(max_length=255)
    views = models.PositiveBigIntegerField()
    newest = models.BigIntegerField()
    """The newest row of `Hits` at that time: with newer rows this row is out of date."""

    objects = HistoryQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("content_type", "first", "object_id"), name="fasthits_most_read_once"),
        )

    def __str__(self) -> str:
        return f"since {self.first}: {self.views}"


class CountedQuerySet(models.QuerySet):
    """Objects of a counted model. Let your own queryset inherit from it: ``objects = MyQuerySet.as_manager()``."""

    def with_hits(self, days: int | None = None) -> "CountedQuerySet":
        """Return the objects, each with its views of the last *days* days or of all: see `with_hits`."""
        return with_hits(self, days)


class HitsMixin(models.Model):
    """A model whose objects have a page each, at ``get_absolute_url()``. fasthits counts it."""

    hits = HitsRelation(Hits)
    """The history of the object, newest first. It is deleted with the object."""

    objects = CountedQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def hits_today(self) -> int:
        """How often the page has been read today: live, or as `with_hits_today` has found it.

        0 if there is no counter. While memcached does not answer, `live.UNKNOWN`: 0, shown as nothing.
        """
        known: int | None = self.__dict__.get("hits_today")
        return live.hits_today(self) if known is None else known

    @hits_today.setter
    def hits_today(self, views: int) -> None:
        self.__dict__["hits_today"] = views

    @property
    def hits_total(self) -> int:
        """How often the page was read on all days of the history."""
        return sum_hits(self)

    @property
    def hits_ever(self) -> int:
        """How often the page has been read until now: on all days before today, and today, live."""
        return sum_hits_ever(self)


class Change(NamedTuple):
    """The views of a period, compared with the views of the period of the same length before it."""

    views: int
    before: int

    @property
    def percent(self) -> int | None:
        """How many percent more or, negative, less; None if nobody read the page before."""
        return round(100 * (self.views - self.before) / self.before) if self.before else None


def sum_hits(obj: models.Model, days: int | None = None) -> int:
    """Return the views of an object in the last *days* days or in all: one query, none after `with_hits`.

    `live.UNKNOWN` while a separate database of the history does not answer.
    """
    known: int | None = getattr(obj, annotation(days), None)
    if known is None or isinstance(known, live.Unknown):
        return ask_history(lambda: _sum(obj, days), live.UNKNOWN)
    return known


def sum_hits_ever(obj: models.Model) -> int:
    """Return the views of an object until now: one query, and today's number unless the object has it."""
    today, live_today = live.today(), getattr(obj, "hits_today", None)
    sums = {
        "before": Sum("views", filter=models.Q(date__lt=today)),
        "today": Sum("views", filter=models.Q(date=today)),
    }
    in_history = ask_history(lambda: _rows(obj).aggregate(**sums), None)
    if in_history is None:
        return live.UNKNOWN
    now = live.hits_today(obj) if live_today is None else live_today
    return (in_history["before"] or 0) + max(now, in_history["today"] or 0)  # today is in both after `parse_log today`


def compare_hits(obj: models.Model, days: int = 7) -> Change:
    """Return the views of the last *days* days and of as many days before them: one query."""
    first = first_day(days)
    sums = {
        "now": Sum("views", filter=models.Q(date__gte=first)),
        "before": Sum("views", filter=models.Q(date__lt=first)),
    }

    def compare() -> Change:
        found = _rows(obj).filter(date__gte=first_day(2 * days), date__lt=live.today()).aggregate(**sums)
        return Change(found["now"] or 0, found["before"] or 0)

    return ask_history(compare, Change(live.UNKNOWN, live.UNKNOWN))


def views_by_day(obj: models.Model, days: int) -> dict[date, int]:
    """Return the views of an object on each of the last *days* days, oldest first, including days with 0 views.

    Today is in it only where ``parse_log today`` has saved it. One query; none after `with_views_by_day`. Empty while
    a separate database of the history does not answer.
    """
    known: dict[date, int] | None = obj.__dict__.get(f"_hits_by_day_{days}")
    if known is not None:
        return known
    return ask_history(
        lambda: _each_day(days) | dict(_rows(obj).last_days(days).order_by().values_list("date", "views")), {}
    )


def with_views_by_day(objects: Iterable[T], days: int = 30) -> list[T]:
    """Return *objects* as a list, each with what `views_by_day` needs: one query for all objects of a model.

    Rows of ``values()`` are returned as they are.
    """
    found = list(objects)
    by_model: dict[type[models.Model], list[models.Model]] = defaultdict(list)
    for obj in found:
        if isinstance(obj, models.Model):
            by_model[history_model(obj.__class__)].append(obj)
    for model, of_model in by_model.items():
        keys = {object_id(obj) for obj in of_model}
        views = ask_history(partial(_views_by_key, model, keys, days), {})
        for obj in of_model:
            obj.__dict__[f"_hits_by_day_{days}"] = views.get(object_id(obj), {})
    return found


def _views_by_key(model: type[models.Model], keys: set[str | None], days: int) -> dict[str | None, dict[date, int]]:
    by_key = {key: _each_day(days) for key in keys}
    rows = _history().of_model(model).filter(object_id__in=by_key).last_days(days)
    for key, day, views in rows.order_by().values_list("object_id", "date", "views"):
        by_key[key][day] = views
    return by_key


def _sum(obj: models.Model, days: int | None) -> int:
    return _rows(obj).last_days(days).aggregate(total=Sum("views"))["total"] or 0


def _rows(obj: models.Model) -> HitsQuerySet:
    return _history().for_object(obj)


def _history() -> HitsQuerySet:
    """Return the history for pages, which show no views while its table is missing."""
    database = router.db_for_read(Hits)
    hits = Hits.objects.using(database)
    return hits if has_history(database) else hits.none()


def _each_day(days: int) -> dict[date, int]:
    first = first_day(days)
    return dict.fromkeys((first + timedelta(day) for day in range((live.today() - first).days)), 0)
