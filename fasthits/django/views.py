"""The live counters as JSON, for pages that are open."""

from django.http import HttpRequest, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from fasthits.django.live import log, read_today
from fasthits.django.resolve import PathResolver

PATHS = 100
"""How many paths a request may ask for: a query for each model that they lead to, and one ``get_many``."""


@require_safe
@cache_control(max_age=1, public=True)
def hits_today(request: HttpRequest) -> HttpResponseBase:
    """Answer ``?path=/a/&path=/b/`` with today's views by path, of the paths of objects alone."""
    asked = dict.fromkeys(path.encode() for path in request.GET.getlist("path") if path.startswith("/"))
    if len(asked) > PATHS:
        return HttpResponseBadRequest(f"more than {PATHS} paths")
    resolver = PathResolver()
    counted = resolver.find(asked)
    for path, error in resolver.errors:
        log.warning("cannot resolve %r: %s: %s", path, type(error).__name__, error)
    views = read_today(counted.keys())
    return JsonResponse({path.decode(): views.get(path, 0) for path in counted})
