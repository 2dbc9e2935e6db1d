"""``{% load fasthits %}``: hits, the most read objects, and the sparkline."""

from typing import Any

from django import template
from django.db.models import Model

from fasthits.django import live, models, origins, ranking
from fasthits.django.addresses import sign

register = template.Library()

WIDTH, HEIGHT, MARGIN = 150, 30, 2
"""The sparkline's size, in units of its viewBox."""


@register.simple_tag
def hits_today(page: Any) -> int:
    """Return how often a page, an object or an address, has been read today: ``{% hits_today obj %}``."""
    known: int | None = getattr(page, "hits_today", None)
    return live.hits_today(page) if known is None else known


@register.filter
def hits(obj: Any, days: Any) -> int:
    """Return how often the page of *obj* was read in the last *days* days: ``{{ obj|hits:7 }}``."""
    return models.sum_hits(obj, days if days is None else int(days)) if _is_object(obj) else live.UNKNOWN


@register.filter
def hits_change(obj: Any, days: Any) -> models.Change:
    """Return the views of the last *days* days, and of the days before them: ``{{ obj|hits_change:7 }}``.

    ``{% with change=obj|hits_change:7 %}{{ change.views }}, before {{ change.before }}: {{ change.percent }} %``.
    """
    return models.compare_hits(obj, int(days)) if _is_object(obj) else models.Change(live.UNKNOWN, live.UNKNOWN)


@register.filter
def with_hits_today(objects: Any) -> list[Any]:
    """Return *objects* with today's hits, read in one round trip: ``{% for obj in page|with_hits_today %}``."""
    return live.with_hits_today(objects or ())


@register.filter
def with_views_by_day(objects: Any, days: Any = 30) -> list[Any]:
    """Return *objects* with the numbers for sparklines, in one query: ``{% for obj in page|with_views_by_day:30
    %}``."""
    return models.with_views_by_day(objects or (), int(days))


@register.filter
def signed_path(page: Any) -> str:
    """Return the path of a page for ``live.js``: ``<b data-fasthits="{{ obj|signed_path }}">``."""
    try:
        return sign(page)
    except Exception as error:  # an error of the site's get_absolute_url
        live.warn_once(type(page), error)
        return ""


@register.simple_tag
def most_read(*sources: Any, days: Any = 7, limit: Any = 10) -> list[Any]:
    """Return the most read objects: ``{% most_read "press.PressRelease" days=7 limit=5 as top %}``.

    A source is a model's label or a queryset; several are compared. ``days=0`` is today, live.
    """
    found = [source for source in sources if _is_there(source)]
    days, limit = int(days), max(int(limit), 0)
    if days == 0:
        return ranking.most_read_today(*found, limit=limit)
    return ranking.most_read(*found, days=days, limit=limit)


@register.simple_tag
def referrers(page: Any, days: Any = 30, limit: Any = 10) -> list[origins.Referrer]:
    """Return where readers of a page came from: ``{% referrers obj days=7 as found %}``, each with name and views."""
    return origins.referrers(page, int(days), int(limit))


@register.simple_tag
def searches(page: Any, days: Any = 30, limit: Any = 10) -> list[origins.Search]:
    """Return the search terms of readers: ``{% searches obj as found %}``, each with engine, terms and views."""
    return origins.searches(page, int(days), int(limit))


@register.inclusion_tag("fasthits/sparkline.html")
def sparkline(obj: Any, days: Any = 30) -> dict[str, Any]:
    """Draw the views of each of the last *days* days as an inline SVG: ``{% sparkline obj %}``."""
    if not _is_object(obj):
        return {}
    days = int(days)
    views = models.views_by_day(obj, days)
    most = max(views.values(), default=0) or 1
    step = (WIDTH - 2 * MARGIN) / max(len(views) - 1, 1)
    points = [
        (MARGIN + number * step, HEIGHT - MARGIN - count / most * (HEIGHT - 2 * MARGIN))
        for number, count in enumerate(views.values())
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return {
        "days": days,
        "views": views,
        "total": sum(views.values()),
        "box": f"0 0 {WIDTH} {HEIGHT}",
        "line": line,
        "area": f"{MARGIN},{HEIGHT - MARGIN} {line} {WIDTH - MARGIN},{HEIGHT - MARGIN}",
    }


def _is_object(obj: Any) -> bool:
    """Tell whether *obj* is an object of a model. A variable that a template does not have is "" or None."""
    if not isinstance(obj, Model):
        live.warn_once("template", TypeError(f"{type(obj).__name__} {obj!r:.40} is no object of a model"))
    return isinstance(obj, Model)


def _is_there(source: Any) -> bool:
    is_there = source is not None and source != ""
    if not is_there:
        live.warn_once("template", TypeError(f"most_read has {source!r} for a model or a queryset"))
    return is_there
