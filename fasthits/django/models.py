"""The history: how often each object's page was read on each day; and the mixin for counted models."""

from datetime import date, timedelta
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connections, models
from django.db.models import F, Func, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat, Replace, Substr

from fasthits.django import live


def first_day(days: int) -> date:
    """Return the first of the last *days* whole days before today.

    Today's hits enter the history when the day is over, or earlier by ``parse_log today``; then they count, too.
    """
    return live.today() - timedelta(days)


def annotation(days: int | None) -> str:
    """Return the name of the attribute that `with_hits` adds: ``hits_7_days``, ``hits_all_days``."""
    return f"hits_{'all' if days is None else days}_days"


def with_hits(objects: QuerySet, days: int | None = None) -> QuerySet:
    """Return *objects*, each with its views of the last *days* days or of all: ``hits_7_days``, ``hits_all_days``.

    The query of the objects sums them; there is no other query.
    """
    hits = Hits.objects.using(objects.db).of_model(objects.model).filter(object_id=_object_id(objects))
    if days is not None:
        hits = hits.filter(date__gte=first_day(days))
    views = hits.order_by().values("content_type").annotate(total=Sum("views")).values("total")
    return objects.annotate(**{annotation(days): Coalesce(Subquery(views), 0, output_field=models.BigIntegerField())})


def _key_field(model: type[models.Model]) -> models.Field:
    field = model._meta.pk
    while field.is_relation:
        field = field.target_field
    return field


def _has_text_uuids(objects: QuerySet) -> bool:
    """Tell whether the database stores UUID keys as 32 hex digits, while `Hits.object_id` has hyphens."""
    is_uuid = isinstance(_key_field(objects.model), models.UUIDField)
    return is_uuid and not connections[objects.db].features.has_native_uuid_field


def _object_id(objects: QuerySet) -> Func:
    """Return an expression for the `Hits.object_id` of a row of *objects*, in the outer query."""
    text = Cast(OuterRef("pk"), models.TextField())
    if not _has_text_uuids(objects):
        return text
    groups = [Substr(text, start, size) for start, size in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))]
    hyphen = Value("-")
    return Concat(groups[0], *(part for group in groups[1:] for part in (hyphen, group)))


def _primary_key(objects: QuerySet) -> Any:
    """Return an expression for the primary key of an object, from `Hits.object_id`."""
    field = _key_field(objects.model)
    if _has_text_uuids(objects):
        return Replace("object_id", Value("-"), Value(""), output_field=models.CharField())
    if isinstance(field, models.IntegerField):
        return Cast("object_id", models.BigIntegerField())
    return Cast("object_id", models.UUIDField()) if isinstance(field, models.UUIDField) else F("object_id")


class HitsQuerySet(models.QuerySet):
    """Rows of `Hits`: an object and a day each."""

    def of_model(self, model: type[models.Model]) -> "HitsQuerySet":
        """Return the rows of all objects of *model*."""
        return self.filter(content_type=ContentType.objects.db_manager(self.db).get_for_model(model))

    def for_object(self, obj: models.Model) -> "HitsQuerySet":
        """Return the rows of *obj*, newest first."""
        return self.of_model(type(obj)).filter(object_id=str(obj.pk)).order_by("-date")

    def between(self, first: date, last: date) -> "HitsQuerySet":
        """Return the rows from *first* to *last*, both included."""
        return self.filter(date__range=(first, last))

    def most_read(self, model: type[models.Model], days: int = 7) -> QuerySet:
        """Return the objects of *model* that were read in the last *days* days, most read first, in one query.

        Their views are in ``hits_7_days``, named after *days*.
        """
        objects = model._default_manager.using(self.db).all()
        read = self.of_model(model).filter(date__gte=first_day(days)).order_by().values(key=_primary_key(objects))
        return with_hits(objects.filter(pk__in=read), days).order_by(f"-{annotation(days)}", "pk")

    def totals(self) -> QuerySet:
        """Return the views of each day, all objects together, oldest first: rows with ``date`` and ``total``."""
        return (
            self.order_by("date").values("date").annotate(total=Sum("views")).values_list("date", "total", named=True)
        )


class Hits(models.Model):
    """How often the page of an object was read on a day. ``parse_log`` replaces the rows of a day each time."""

    date = models.DateField()
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_index=False)  # the indexes below begin with it
    object_id = models.CharField(max_length=255)
    content_object = GenericForeignKey()
    views = models.PositiveBigIntegerField()

    objects = HitsQuerySet.as_manager()

    class Meta:
        verbose_name = "hits"
        verbose_name_plural = "traffic"
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


class CountedQuerySet(models.QuerySet):
    """Objects of a counted model. Let your own queryset inherit from it: ``objects = MyQuerySet.as_manager()``."""

    def with_hits(self, days: int | None = None) -> "CountedQuerySet":
        """Return the objects, each with its views of the last *days* days or of all: see `with_hits`."""
        return with_hits(self, days)


class HitsMixin(models.Model):
    """A model whose objects have a page each, at ``get_absolute_url()``. fasthits counts it."""

    hits = GenericRelation(Hits)
    """The history of the object, newest first. It is deleted with the object."""

    objects = CountedQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def hits_today(self) -> int:
        """How often the page has been read today: live, or as `with_hits_today` has found it.

        0 if there is no counter, or memcached does not answer.
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


def sum_hits(obj: models.Model, days: int | None = None) -> int:
    """Return the views of an object in the last *days* days or in all: one query, none after `with_hits`."""
    known: int | None = getattr(obj, annotation(days), None)
    if known is not None:
        return known
    hits = Hits.objects.for_object(obj)
    if days is not None:
        hits = hits.filter(date__gte=first_day(days))
    return hits.aggregate(total=Sum("views"))["total"] or 0


def views_by_day(obj: models.Model, days: int) -> dict[date, int]:
    """Return the views of an object on each of the last *days* days, oldest first, including days with 0 views."""
    first = first_day(days)
    views = dict.fromkeys((first + timedelta(day) for day in range(days)), 0)
    rows = Hits.objects.for_object(obj).filter(date__gte=first, date__lt=live.today())
    return views | dict(rows.order_by().values_list("date", "views"))
