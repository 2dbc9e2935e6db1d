"""The admin: columns and a history for counted models, and a page "Traffic" with the most read objects."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.admin import GenericTabularInline
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import IntegerField, Model, QuerySet, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from fasthits.django import live
from fasthits.django.models import Hits, HitsMixin, annotation, first_day, with_hits

COLUMN_DAYS = 7
HISTORY_DAYS = 30
TOP_OBJECTS = 20
CANDIDATES = 500
NEW_OBJECTS = 100
"""memcached cannot list counters by value. So the page looks for today's most read objects among the CANDIDATES most
read of the last 30 days and the NEW_OBJECTS newest of each model."""


class HitsInline(GenericTabularInline):
    """The last 30 days of an object, read-only: ``inlines = [HitsInline]``."""

    model = Hits
    template = "admin/fasthits/history.html"
    verbose_name_plural = "hits"
    fields = readonly_fields = ("date", "views")
    ordering = ("-date",)
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the rows of the last HISTORY_DAYS."""
        return super().get_queryset(request).filter(date__gte=first_day(HISTORY_DAYS))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only `parse_log` writes hits."""
        return False

    has_change_permission = has_delete_permission = has_add_permission


class HitsAdminMixin:
    """Adds the columns "today" and "last 7 days" to a ModelAdmin, and `HitsInline` to the page of an object.

    The list costs no extra query, and one ``get_many``.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the objects with their views of the last 7 days, so the list can be sorted by them."""
        return with_hits(super().get_queryset(request), COLUMN_DAYS)  # type: ignore[misc]

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Return the columns, with the two of hits last."""
        return [*super().get_list_display(request), "hits_today_column", "hits_days_column"]  # type: ignore[misc]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Return the inlines, with `HitsInline` unless the object is new."""
        return [*super().get_inlines(request, obj), *([HitsInline] if obj else [])]  # type: ignore[misc]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list, with today's hits of the objects on its page."""
        changelist = super().get_changelist_instance(request)  # type: ignore[misc]
        live.with_hits_today(changelist.result_list)
        return changelist

    @admin.display(description="today")
    def hits_today_column(self, obj: Any) -> int:
        """Return today's hits."""
        return obj.hits_today

    @admin.display(description=f"last {COLUMN_DAYS} days", ordering=f"-{annotation(COLUMN_DAYS)}")
    def hits_days_column(self, obj: Any) -> int:
        """Return the views of the last 7 days."""
        return getattr(obj, annotation(COLUMN_DAYS))


class Read(NamedTuple):
    """A row of the page "Traffic"."""

    name: str
    kind: str
    address: str | None
    """Its change page in the admin; None if there is no such page."""
    views: int
    percent: int
    """Views as a percentage of the most read object's."""


@admin.register(Hits)
class TrafficAdmin(admin.ModelAdmin):
    """The page "Traffic": the most read objects today, and over 7 and 30 days."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only `parse_log` writes hits."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False, as for `has_add_permission`."""
        return False

    has_delete_permission = has_change_permission

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """Return the page, which replaces the list of all rows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        week, month = _most_read(7, TOP_OBJECTS), _most_read(30, CANDIDATES)
        objects = _objects_of(week.keys() | month.keys())
        candidates = live.with_hits_today({*objects.values(), *_newest()})
        tables = [
            ("Today", self._rows((obj, obj.hits_today) for obj in candidates)),
            ("Last 7 days", self._rows((objects[key], views) for key, views in week.items() if key in objects)),
            ("Last 30 days", self._rows((objects[key], views) for key, views in month.items() if key in objects)),
        ]
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        context = self.admin_site.each_context(request) | {"title": "Traffic", "tables": tables}
        return TemplateResponse(request, "admin/fasthits/traffic.html", context | (extra_context or {}))

    def _rows(self, views: Iterable[tuple[Any, int]]) -> list[Read]:
        top = nlargest(TOP_OBJECTS, ((obj, count) for obj, count in views if count), key=lambda row: row[1])
        return [
            Read(str(obj), obj._meta.verbose_name, self._address(obj), count, 100 * count // top[0][1])
            for obj, count in top
        ]

    def _address(self, obj: Model) -> str | None:
        page = f"{self.admin_site.name}:{obj._meta.app_label}_{obj._meta.model_name}_change"
        try:
            return reverse(page, args=(obj.pk,))
        except NoReverseMatch:
            return None


def _most_read(days: int, limit: int) -> dict[tuple[int, str], int]:
    """Return the views of the most read objects of all models, by content type and object id."""
    rows = Hits.objects.filter(date__gte=first_day(days)).order_by().values_list("content_type", "object_id")
    return {(kind, key): views for kind, key, views in rows.annotate(total=Sum("views")).order_by("-total")[:limit]}


def _objects_of(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Model]:
    """Return the objects that still exist, with one query for each model."""
    by_type: dict[int, set[str]] = defaultdict(set)
    for content_type, key in keys:
        by_type[content_type].add(key)
    found: dict[tuple[int, str], Model] = {}
    for content_type, wanted in by_type.items():
        model = ContentType.objects.get_for_id(content_type).model_class()
        if model is not None:
            found |= {(content_type, str(obj.pk)): obj for obj in model._base_manager.filter(pk__in=wanted)}
    return found


def _newest() -> Iterator[Model]:
    """Yield the newest objects of each model with HitsMixin, by ``get_latest_by`` or an integer primary key."""
    for model in apps.get_models():
        latest = model._meta.get_latest_by or (isinstance(model._meta.pk, IntegerField) and "pk")
        if issubclass(model, HitsMixin) and latest:
            names = [latest] if isinstance(latest, str) else latest
            yield from model._base_manager.order_by(*names).reverse()[:NEW_OBJECTS]
