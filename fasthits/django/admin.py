"""The admin: columns and a history for counted models, and a page "Traffic" with the most read objects."""

from collections.abc import Iterable
from heapq import nlargest
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.admin import GenericTabularInline
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy

from fasthits.django import live, ranking
from fasthits.django.models import Hits
from fasthits.django.queries import annotation, with_hits

COLUMN_DAYS = 7
TOP_OBJECTS = 20


class HitsInline(GenericTabularInline):
    """The last 30 days of an object, read-only: ``inlines = [HitsInline]``."""

    model = Hits
    template = "admin/fasthits/history.html"
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return no rows to edit: the template draws the sparkline and its table."""
        return super().get_queryset(request).none()

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

    @admin.display(description=gettext_lazy("today"))
    def hits_today_column(self, obj: Any) -> int:
        """Return today's hits."""
        return obj.hits_today

    @admin.display(
        description=format_lazy(gettext_lazy("last {days} days"), days=COLUMN_DAYS),
        ordering=f"-{annotation(COLUMN_DAYS)}",
    )
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
        week = ranking.top_keys(7, TOP_OBJECTS)
        month = ranking.top_keys(ranking.CANDIDATE_DAYS, ranking.CANDIDATES)
        objects = ranking.objects_of(week.keys() | month.keys())
        newest = (obj for model in ranking.counted_models() for obj in ranking.newest(model._base_manager.all()))
        candidates = live.with_hits_today({*objects.values(), *newest})
        tables = [
            (gettext("Today"), self._rows((obj, obj.hits_today) for obj in candidates)),
            (_last(7), self._rows((objects[key], views) for key, views in week.items() if key in objects)),
            (_last(30), self._rows((objects[key], views) for key, views in month.items() if key in objects)),
        ]
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        context = self.admin_site.each_context(request) | {"title": gettext("Traffic"), "tables": tables}
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
            return reverse(page, args=(quote(obj.pk),))
        except NoReverseMatch:
            return None


def _last(days: int) -> str:
    return gettext("Last {days} days").format(days=days)
