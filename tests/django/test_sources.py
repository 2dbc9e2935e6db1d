"""The object that a view shows: `manage.py explain_path` names it, or says why it is not known."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.test.utils import override_settings
from django.urls import path
from django.views.decorators.cache import cache_page
from django.views.generic import (
    CreateView,
    DateDetailView,
    DayArchiveView,
    DeleteView,
    DetailView,
    FormView,
    ListView,
    TemplateView,
    UpdateView,
    View,
)
from django.views.generic.edit import FormMixin
from rest_framework.generics import ListAPIView, RetrieveAPIView, RetrieveUpdateDestroyAPIView
from rest_framework.response import Response
from rest_framework.viewsets import ModelViewSet, ViewSet

from fasthits.django import sources
from fasthits.django.explain import explain_path
from fasthits.django.models import Hits
from fasthits.django.resolve import counts
from tests.django_app.models import Issue, OldSlug, Photo, PressRelease
from tests.support.logger import access_lines

pytestmark = [pytest.mark.usefixtures("tables"), pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


class OnlyQueryset(DetailView):
    def get_queryset(self) -> Any:
        return PressRelease.objects.exclude(title="hidden" if self.request.user.is_anonymous else "")


class QuerysetOfAuthor(DetailView):
    """The page of a release, below that of its author."""

    def get_queryset(self) -> Any:
        get_object_or_404(User, username=self.kwargs["author"])
        return PressRelease.objects.all()


class QuerysetOfKind(DetailView):
    """The page of an object of any model."""

    def get_queryset(self) -> Any:
        return apps.get_model("django_app", self.kwargs["kind"]).objects.all()


class QuerysetOfRequest(DetailView):
    def get_queryset(self) -> Any:
        return self.request.tenant.releases


class OnlyObject(DetailView):
    def get_object(self, queryset: Any = None) -> Any:
        return PressRelease.objects.get()


@counts(Issue, year="year", number="number")
class MarkedClass(View):
    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        return HttpResponse()


class WithComments(FormMixin, DetailView):
    model = PressRelease


class CommentForm(FormView):
    model = PressRelease


class Joined(DateDetailView):
    """The page of a user. Its address has the day on which the user joined."""

    model = User
    date_field = "date_joined"
    month_format = "%m"
    slug_field = "username"


class Releases(ModelViewSet):
    queryset = PressRelease.objects.all()
    lookup_field = "slug"


class Release(RetrieveUpdateDestroyAPIView):
    queryset = PressRelease.objects.all()
    lookup_url_kwarg = "release"


class ReleaseList(ListAPIView):
    queryset = PressRelease.objects.all()


class PlainViewSet(ViewSet):
    def retrieve(self, request: Any, slug: str) -> Any:
        return Response(slug)


class OtherModel(View):
    """The page of a language model."""

    model = "gpt"


class OtherQueryset(RetrieveAPIView):
    queryset = ("gpt",)


def plain(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse(slug)


ARGUMENT = "<slug:slug>/"
urlpatterns = [
    path("queryset/" + ARGUMENT, OnlyQueryset.as_view()),
    path("of-author/<str:author>/" + ARGUMENT, QuerysetOfAuthor.as_view()),
    path("of-kind/<str:kind>/<int:pk>/", QuerysetOfKind.as_view()),
    path("of-request/" + ARGUMENT, QuerysetOfRequest.as_view()),
    path("object/" + ARGUMENT, OnlyObject.as_view()),
    path("marked/<int:year>/<int:number>/", MarkedClass.as_view()),
    path("login/" + ARGUMENT, login_required(cache_page(60)(DetailView.as_view(model=PressRelease)))),
    path("comments/" + ARGUMENT, WithComments.as_view()),
    path("release/<int:pk>/add/", CreateView.as_view(model=Photo, fields="__all__")),
    path("release/<int:pk>/old/", CreateView.as_view(model=OldSlug, fields="__all__")),
    path("release/<int:pk>/form/", CommentForm.as_view()),
    path("release/<int:pk>/edit/", UpdateView.as_view(model=PressRelease, fields="__all__")),
    path("release/<int:pk>/delete/", DeleteView.as_view(model=PressRelease)),
    path("release/<int:pk>/list/", ListView.as_view(model=PressRelease)),
    path("template/" + ARGUMENT, TemplateView.as_view()),
    path("plain/" + ARGUMENT, plain),
    path("other/<int:number>/", DetailView.as_view(model=PressRelease)),
    path("joined/<int:year>/<int:month>/<int:day>/" + ARGUMENT, Joined.as_view()),
    path("archive/<int:year>/<int:month>/<int:day>/", DayArchiveView.as_view(model=User, date_field="date_joined")),
    path("api/" + ARGUMENT, Releases.as_view({"get": "retrieve", "put": "update"})),
    path("api/release/<int:release>/", Release.as_view()),
    path("api/" + ARGUMENT + "list/", Releases.as_view({"get": "list"})),
    path("plain-set/" + ARGUMENT, PlainViewSet.as_view({"get": "retrieve"})),
    path("other-model/" + ARGUMENT, OtherModel.as_view()),
    path("other-queryset/<int:pk>/", OtherQueryset.as_view()),
    path("api/", ReleaseList.as_view()),
]

SITE = override_settings(ROOT_URLCONF=__name__, FASTHITS={"TIME_ZONE": "Europe/Berlin"})


@pytest.fixture
def objects() -> dict[str, Any]:
    """An object of each model. A press release and an issue have the same key."""
    return {
        "release": PressRelease.objects.create(pk=7, title="A", slug="a"),
        "issue": Issue.objects.create(pk=7, year=2026, number=1),
        "user": User.objects.create(username="jo", date_joined="2026-03-12T23:30:00Z"),
        "photo": OldSlug.objects.create(slug="7", press_release_id=7),
    }


FOUND = {
    "/queryset/a/": "release",
    "/of-author/jo/a/": "release",
    "/of-kind/pressrelease/7/": "release",
    "/of-kind/issue/7/": "issue",
    "/marked/2026/1/": "issue",
    "/login/a/": "release",
    "/comments/a/": "release",
    "/joined/2026/3/12/jo/": "user",
    "/api/a/": "release",
    "/api/release/7/": "release",
}

REASONS = {
    "/of-request/a/": "get_queryset() of the view fails without a request: AttributeError: ",
    "/of-author/nobody/a/": "get_queryset() of the view finds no such page: No User matches the given query.",
    "/of-kind/none/7/": "get_queryset() of the view fails without a request: LookupError: ",
    "/object/a/": "only get_object() of the view knows the object: mark it with @counts(Model, field='argument')",
    "/release/7/add/": "the view is a form, which is not the page of an object",
    "/release/7/old/": "the view is a form, which is not the page of an object",
    "/release/7/form/": "the view is a form, which is not the page of an object",
    "/release/7/edit/": "the view is a form, which is not the page of an object",
    "/release/7/delete/": "the view is a form, which is not the page of an object",
    "/release/7/list/": "the view shows a list",
    "/template/a/": "the view has no model: mark it with @counts(Model, field='argument')",
    "/plain-set/a/": "the view has no model: mark it with @counts(Model, field='argument')",
    "/other-model/a/": "the view has no model: mark it with @counts(Model, field='argument')",
    "/other-queryset/1/": "the view has no queryset: mark it with @counts(Model, field='argument')",
    "/plain/a/": "the view is a function: mark it with @counts(Model, field='argument')",
    "/other/5/": "the URL gives number, and nothing that finds a django_app.PressRelease (see @counts)",
    "/joined/2026/3/11/jo/": "there is none: the view shows a auth.User with username='jo', date_joined__date=",
    "/joined/2026/13/1/jo/": "the URL gives year, month, day, slug, and nothing that finds a auth.User",
    "/archive/2026/3/12/": "the view shows a list",
    "/api/a/list/": "the view shows a list",
    "/api/": "the view shows a list",
    "/login/none/": "there is none: the view shows a django_app.PressRelease with slug='none'",
    "/nothing/": "no URL of the site matches",
    "/app/login/a/": 'no URL of the site matches; the site seems to be below /app: set FORCE_SCRIPT_NAME = "/app"',
}


@SITE
def test_the_object_of_each_view_is_found_or_the_reason_is_reported(objects: dict[str, Any]) -> None:
    for text, name in FOUND.items():
        assert explain_path(text.encode()).obj == objects[name], text
    for text, reason in REASONS.items():
        told = explain_path(text.encode())
        assert told.obj is None, text
        assert told.why.startswith(reason), text


@SITE
def test_only_these_objects_get_history(objects: dict[str, Any], parse_log: Callable[..., Any]) -> None:
    parse_log(access_lines([*FOUND, *REASONS]), verbosity=0)
    assert {hits.content_object: hits.views for hits in Hits.objects.all()} == {
        objects["release"]: 7,
        objects["issue"]: 2,
        objects["user"]: 1,
    }


@SITE
def test_a_strangers_path_hides_no_object_of_the_same_view(
    objects: dict[str, Any], parse_log: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If `get_queryset` raised Http404 for the first path in the log, the view had no history on that day."""
    sources._known.clear()
    monkeypatch.setattr(sources, "ANSWERS", 3)
    strangers = [f"/of-author/{number}/a/" for number in range(5)]
    parse_log(access_lines([*strangers, "/of-author/jo/a/"]), verbosity=0)
    assert Hits.objects.get().content_object == objects["release"]


def explained(*paths: str) -> str:
    out = io.StringIO()
    try:
        call_command("explain_path", *paths, stdout=out)
    except CommandError as error:
        out.write(f"{error} ({error.returncode})\n")
    return out.getvalue()


def test_explain_path_shows_object_view_and_counter(objects: dict[str, Any], count_today: Callable[..., None]) -> None:
    from fasthits.django import live

    count_today(["/press/a/"] * 3)
    assert explained("https://site.example/press/a/?x=1") == (
        "path     /press/a/\n"
        "view     tests.django_app.urls.PressReleaseDetail at press/<slug:slug>/\n"
        "object   django_app.PressRelease 7: A\n"
        "because  the view shows a django_app.PressRelease with slug='a'\n"
        f"counter  :1:{live.today()}/press/a/: 3\n"
    )
    told = explained("/press/7/", "/press/none/", "/error/")
    assert "because  RESOLVER returns it\n" in told
    assert "because  LookupError: no such page \\x1b[31m\n" in told
    assert told.endswith("hits of a path without an object are not saved (1)\n")


@pytest.mark.parametrize("path", ["http://[::1", "//[", "/press/\udcff/", "http://[x]/press/a/"])
def test_explain_path_says_why_a_text_is_not_an_address(path: str) -> None:
    assert explained(path) == f"not an address: {path!a} (write a byte that is not UTF-8 as %hh) (2)\n"


@pytest.mark.parametrize("error", [Http404("no page"), PressRelease.DoesNotExist("no release")])
def test_an_error_of_a_resolver_may_mean_that_there_is_no_object(
    error: Exception, parse_log: Callable[..., Any]
) -> None:
    """The views of Wagtail and `get_object_or_404` do this."""

    def find(path: str, match: Any) -> None:
        raise error

    with override_settings(FASTHITS={"RESOLVER": find}):
        assert explain_path(b"/nothing/").why == "no URL of the site matches, and RESOLVER finds none"
        parse_log(access_lines(["/nothing/"]), verbosity=0)
    assert not Hits.objects.exists()
