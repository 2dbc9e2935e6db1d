"""``{% load fasthits %}``: hits and the sparkline."""

from typing import Any

from django import template
from django.db.models import Model

from fasthits.django import live
from fasthits.django.models import sum_hits, views_by_day

register = template.Library()

WIDTH, HEIGHT, MARGIN = 150, 30, 2
"""The sparkline's size, in units of its viewBox."""


@register.simple_tag
def hits_today(obj: Any) -> int:
    """Return how often the page of *obj* has been read today: ``{% hits_today obj %}``."""
    known: int | None = getattr(obj, "hits_today", None)
    return live.hits_today(obj) if known is None else known


@register.filter
def hits(obj: Model, days: int) -> int:
    """Return how often the page of *obj* was read in the last *days* days: ``{{ obj|hits:7 }}``."""
    return sum_hits(obj, days)


@register.filter
def with_hits_today(objects: Any) -> list[Any]:
    """Return *objects* with today's hits, read in one round trip: ``{% for obj in page|with_hits_today %}``."""
    return live.with_hits_today(objects)


@register.inclusion_tag("fasthits/sparkline.html")
def sparkline(obj: Model, days: int = 30) -> dict[str, Any]:
    """Draw the views of each of the last *days* days as an inline SVG: ``{% sparkline obj %}``."""
    views = views_by_day(obj, days)
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
