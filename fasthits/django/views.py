"""The live counters as JSON, for open pages."""

from django.http import HttpRequest, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from fasthits.django.addresses import signed_path
from fasthits.django.live import UNKNOWN, read_today

PATHS = 100
"""Paths that a request may ask for. A request costs no query, and one round trip."""


@csrf_exempt  # it changes nothing
@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(max_age=1, public=True)
def hits_today(request: HttpRequest) -> HttpResponseBase:
    """Answer the signed paths in ``path=...&path=...`` with today's views.

    Only readers of a page have its signed path, so nobody can ask for pages that are hidden or do not exist. Paths
    that this site has not signed, and unknown numbers, are left out. live.js sends POST, which does not count as a hit.
    """
    asked = dict.fromkeys((request.POST if request.method == "POST" else request.GET).getlist("path"))
    if len(asked) > PATHS:
        return HttpResponseBadRequest(f"more than {PATHS} paths; ask for fewer at once")
    paths = {text: path for text in asked if (path := signed_path(text)) is not None}
    views = read_today(set(paths.values()))
    return JsonResponse({text: views[path] for text, path in paths.items() if views[path] is not UNKNOWN})
