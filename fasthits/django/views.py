"""The live counters as JSON, for open pages."""

from django.http import HttpRequest, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from fasthits.django.live import log, read_today
from fasthits.django.resolve import PathResolver

PATHS = 100
"""Paths that a request may ask for. A request costs a query for each model, and one ``get_many``."""


@require_safe
@cache_control(max_age=1, public=True)
def hits_today(request: HttpRequest) -> HttpResponseBase:
    """Answer ``?path=/a/&path=/b/`` with today's views by path. Paths that are no object's page are left out."""
    asked = dict.fromkeys(path.encode() for path in request.GET.getlist("path") if path.startswith("/"))
    if len(asked) > PATHS:
        return HttpResponseBadRequest(f"more than {PATHS} paths; ask for fewer at once")
    resolver = PathResolver()
    counted = resolver.find(asked)
    for path, error in resolver.errors:
        log.warning("cannot resolve %r: %s: %s", path, type(error).__name__, error)
    views = read_today(counted.keys())
    return JsonResponse({path.decode(): views.get(path, 0) for path in counted})
