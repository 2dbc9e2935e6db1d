"""The site's URLs and views."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import ResolverMatch, include, path, register_converter
from django.views.decorators.cache import never_cache
from django.views.generic import DetailView, ListView, TemplateView, UpdateView, View

from fasthits.django.resolve import counts
from tests.django_app.models import Day, Issue, Note, OldSlug, Photo, Place, PressRelease, Restaurant, Tag


class BrokenConverter:
    """A converter that fails for some arguments with an error other than ValueError."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """Fail for ``boom``."""
        if value == "boom":
            raise ZeroDivisionError("this converter is broken")
        return value

    to_url = str


register_converter(BrokenConverter, "broken")


class PressReleaseList(ListView):
    """All press releases, a hundred a page."""

    model = PressRelease
    paginate_by = 100
    ordering = ("pk",)
    template_name = "django_app/press_releases.html"


class PressReleaseDetail(DetailView):
    """A press release, with every feature of the app."""

    model = PressRelease
    template_name = "django_app/press_release.html"


class PhotoPage(View):
    """A view with the attributes of a DetailView."""

    queryset = Photo.objects.exclude(caption="hidden")
    pk_url_kwarg = "photo"

    def get(self, request: HttpRequest, photo: Any) -> HttpResponse:
        """Return its caption."""
        return HttpResponse(get_object_or_404(self.queryset, pk=photo).caption)


@never_cache
@counts(Issue, year="year", number="issue")
def issue_page(request: HttpRequest, year: int, issue: int) -> HttpResponse:
    """Return an issue, from a function view."""
    return HttpResponse(str(get_object_or_404(Issue, year=year, number=issue)))


def find_object(path: str, match: ResolverMatch | None) -> Any:
    """Return the press release that once had the slug: the site's RESOLVER."""
    if match and match.url_name == "press_release":
        old = OldSlug.objects.filter(slug=match.kwargs["slug"]).select_related("press_release").first()
        return old and old.press_release
    if path == "/latest/":
        return PressRelease.objects.latest("pk")
    if path == "/error/":
        raise LookupError("no such page \x1b[31m")
    return None


urlpatterns = [
    path("admin/", admin.site.urls),
    path("fasthits/", include("fasthits.django.urls")),
    path("press/", PressReleaseList.as_view(), name="press_releases"),
    path("press/<slug:slug>/", PressReleaseDetail.as_view(), name="press_release"),
    path("press/<slug:slug>/edit/", UpdateView.as_view(model=PressRelease, fields="__all__")),
    path("press/about/<slug:slug>/", ListView.as_view(model=PressRelease)),
    path("photos/<uuid:photo>/", PhotoPage.as_view(), name="photo"),
    path("tags/<str:pk>", DetailView.as_view(model=Tag), name="tag"),
    path("issues/<int:year>/<int:issue>/", issue_page, name="issue"),
    path("notes/<slug:slug>/", DetailView.as_view(model=Note, slug_field="title")),  # an unknown field
    path("days/<slug:slug>/", DetailView.as_view(model=Day)),
    path("places/<int:pk>/", DetailView.as_view(model=Place), name="place"),
    path("restaurants/<int:pk>/", DetailView.as_view(model=Restaurant), name="restaurant"),
    path("numbers/<int:pk>/", DetailView.as_view(model=PressRelease)),
    path("about/", TemplateView.as_view(template_name="about.html")),
    path("broken/<broken:pk>/", DetailView.as_view(model=Tag)),
]
