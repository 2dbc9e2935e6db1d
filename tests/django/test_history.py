"""The history in templates and code: the page of the blog's author, most read objects, comparison, lists, export."""

import csv
import io
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.template import engines
from django.test.utils import CaptureQueriesContext, override_settings
from rest_framework import serializers, viewsets
from rest_framework.pagination import PageNumberPagination
from rest_framework.test import APIRequestFactory

from fasthits.django import history, live, origins, queries, ranking
from fasthits.django.models import Hits, MostRead, compare_hits, views_by_day, with_hits, with_views_by_day
from fasthits.django.ranking import most_read, most_read_today
from fasthits.django.signals import hits_saved
from tests.django_app.models import Photo, Place, PressRelease, Restaurant, Tag
from tests.django_app.wire import Wire
from tests.support.commands import write
from tests.support.logger import DAY, access_line
from tests.support.processes import PROJECT, run_fasthits
from tests.support.servers import Memcached

pytestmark = pytest.mark.usefixtures("tables")
MANUAL = (PROJECT / "docs" / "django.md").read_text()
ONE_DATABASE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

CountToday = Callable[[Iterable[str]], None]


def read(obj: Any, views: dict[int, int]) -> Any:
    """Give an object a history: a map from days ago to views."""
    rows = {live.today() - timedelta(ago): number for ago, number in views.items()}
    Hits.objects.bulk_create(Hits(date=day, content_object=obj, views=number) for day, number in rows.items())
    return obj


def render(template: str, **context: Any) -> str:
    return engines["django"].from_string("{% load fasthits %}" + template).render(context)


# As the author wrote it

PAGE = """{% if object.hits %}<p>Read {{ object.hits.0.views }} times on {{ object.hits.0.date|date:"Y-m-d" }},
on {{ object.hits|length }} days: {% for hit in object.hits %}{{ hit.date|date:"j.n." }} {{ hit.views }} {% endfor %}
{% else %}Nobody has read this.{% endif %}"""


def test_the_page_of_the_blogs_author_works_unchanged(release: PressRelease) -> None:
    assert render(PAGE, object=release) == "Nobody has read this."
    for day, views in ((10, 5), (12, 7), (11, 6)):
        Hits.objects.create(date=date(2026, 3, day), content_object=release, views=views)
    assert " ".join(render(PAGE, object=release).split()) == (
        "<p>Read 7 times on 2026-03-12, on 3 days: 12.3. 7 11.3. 6 10.3. 5"
    )


@pytest.mark.parametrize("model", [PressRelease, Photo, Tag, Restaurant])
def test_the_history_is_a_sequence_and_a_manager(model: Any) -> None:
    obj = model.objects.create()
    assert (len(obj.hits), bool(obj.hits), list(obj.hits)) == (0, False, [])
    read(obj, {1: 5, 2: 6, 3: 7})
    with CaptureQueriesContext(connection) as queries:
        assert [hit.views for hit in obj.hits] == [5, 6, 7]
    assert len(queries) == 1
    assert (len(obj.hits), bool(obj.hits), obj.hits[0].views, [hit.views for hit in obj.hits[1:]]) == (
        3,
        True,
        5,
        [6, 7],
    )
    with pytest.raises(IndexError):
        obj.hits[3]
    assert obj.hits.count() == 3
    assert obj.hits.filter(views__gt=5).order_by("views").first().views == 6
    assert obj.hits.create(date=DAY, views=1).content_object.pk == obj.pk
    assert obj.hits.all().delete()[0] == 4
    assert not obj.hits.exists()
    assert render("{{ object.hits.all|length }}{{ object.hits.count }}{{ object.hits.5.views }}", object=obj) == "00"


def test_a_page_of_many_objects_takes_one_query_for_all_histories() -> None:
    for name in "abc":
        read(PressRelease.objects.create(title=name, slug=name), {1: 1, 2: 2})
    with CaptureQueriesContext(connection) as queries:
        objects = list(PressRelease.objects.prefetch_related("hits"))
        text = render("{% for object in objects %}" + PAGE + "{% endfor %}", objects=objects)
    assert text.count("Read 1 times") == 3
    assert len(queries) <= 3  # the objects, their history, and for the first time the content type


# Most read


def test_most_read_of_a_model_a_label_and_a_queryset() -> None:
    objects = [
        read(PressRelease.objects.create(title=name, slug=name), {1: number, 20: 90})
        for number, name in enumerate("abcd", 1)
    ]
    read(Photo.objects.create(caption="x"), {1: 99})
    newest_first = objects[::-1]
    for kept in (False, True):
        for source in (PressRelease, "django_app.PressRelease", PressRelease.objects.all()):
            assert [(obj, obj.hits_7_days) for obj in most_read(source, limit=2)] == [(objects[3], 4), (objects[2], 3)]
        assert most_read(PressRelease.objects.exclude(slug="d"), limit=3) == newest_first[1:]
        assert most_read(PressRelease, limit=10) == newest_first
        assert most_read(PressRelease, days=30, limit=1)[0].hits_30_days == 94
        assert most_read(PressRelease, days=8, limit=1)[0].hits_8_days == 4
        assert Hits.objects.most_read(PressRelease) == newest_first
        assert MostRead.objects.exists() == kept
        ranking.keep("default")


def test_most_read_over_several_models_in_a_template() -> None:
    read(PressRelease.objects.create(title="release", slug="a"), {1: 5})
    read(Photo.objects.create(caption="photo"), {1: 7})
    read(Photo.objects.create(caption="old"), {9: 100})
    read(Tag.objects.create(name="tag"), {2: 6})
    template = (
        "{% most_read 'django_app.PressRelease' 'django_app.Photo' tags days=7 limit=2 as top %}"
        "{% for obj in top %}{{ obj }} {{ obj.hits_7_days }},{% endfor %}"
    )
    for _ in range(2):
        assert render(template, tags=Tag.objects.all()) == "photo 7,Tag object (tag) 6,"
        ranking.keep("default")


def test_the_kept_list_takes_one_query_and_is_read_by_an_index() -> None:
    releases = PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(30))
    for number, obj in enumerate(releases):
        read(obj, {1: number})
    ranking.keep("default")
    most_read(PressRelease, limit=5)
    with CaptureQueriesContext(connection) as queries:
        assert [obj.hits_7_days for obj in most_read(PressRelease, limit=5)] == [29, 28, 27, 26, 25]
    assert len(queries) == 1
    assert "SUM" not in queries.captured_queries[0]["sql"]


def test_the_kept_list_is_not_used_when_it_is_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (PressRelease.objects.create(title=name, slug=name) for name in "ab")
    read(one, {1: 5, 7: 5})
    read(other, {2: 6})
    ranking.keep("default")
    assert most_read(PressRelease, limit=1) == [one]
    tomorrow = live.today() + timedelta(1)
    monkeypatch.setattr(live, "today", lambda: tomorrow)
    assert most_read(PressRelease, limit=1) == [other]  # tomorrow's list, without the oldest day
    read(one, {1: 50})
    assert [(obj, obj.hits_7_days) for obj in most_read(PressRelease, limit=1)] == [(one, 55)]


def test_the_kept_list_is_long_enough_for_a_page_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "KEPT", 3)
    monkeypatch.setattr(queries, "KEPT", 3)
    objects = [read(PressRelease.objects.create(title=name, slug=name), {1: n}) for n, name in enumerate("edcba", 1)]
    ranking.keep("default")
    assert {row.views for row in MostRead.objects.all()} == {3, 4, 5}
    assert most_read(PressRelease, limit=5) == objects[::-1]
    assert most_read(PressRelease.objects.filter(slug__in="ed"), limit=2) == [objects[1], objects[0]]
    objects[4].delete()  # the list has two objects now, but more objects were read
    assert most_read(PressRelease, limit=5) == objects[3::-1]


def test_other_periods_are_found_among_the_objects_of_a_longer_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only few objects are summed up. The result is right even if an object outside of the list was read more often."""
    for module in (ranking, queries):
        monkeypatch.setattr(module, "KEPT", 4)
    monkeypatch.setattr(queries, "FIRST_CANDIDATES", 2)
    a, b, c, d, e, f = (
        read(PressRelease.objects.create(title=name, slug=name), views)
        for name, views in {
            "a": {1: 90},
            "b": {2: 80, 25: 15},
            "c": {3: 70},
            "d": {25: 60},
            "e": {25: 50},
            "f": {1: 20},
        }.items()
    )
    ranking.keep("default")
    whole = "SELECT .*GROUP BY .*ORDER BY .*LIMIT [45]"  # a sum over all objects

    def found(days: int, limit: int, objects: Any = PressRelease) -> tuple[list[Any], bool]:
        with CaptureQueriesContext(connection) as asked:
            top = most_read(objects, days=days, limit=limit)
        return top, any(re.search(whole, each["sql"]) for each in asked.captured_queries)

    assert found(14, 1) == ([a], False)
    assert found(14, 3) == ([a, b, c], False)  # objects with at least as many views as the last object of the list
    assert found(14, 4) == ([a, b, c, f], True)  # d is in the list, f is not
    assert found(14, 2, PressRelease.objects.exclude(slug="a")) == ([b, c], False)
    assert [obj.hits_14_days for obj in most_read(PressRelease, days=14, limit=3)] == [90, 80, 70]
    assert found(400, 5) == ([b, a, c, d, e], True)  # longer than all lists
    tomorrow = live.today() + timedelta(1)
    monkeypatch.setattr(live, "today", lambda: tomorrow + timedelta(1))  # two nights without a run
    assert found(30, 3) == ([b, a, c], False)


def test_the_most_read_of_any_number_of_days_are_those_with_the_largest_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a kept list begins on the same day: the list of tomorrow, or on the day after a run."""
    run = live.today()
    ages = (0, 1, 2, 5, 6, 7, 8, 28, 29, 30, 31, 88, 89, 90, 91, 363, 364, 365, 366, 367)
    objects = PressRelease.objects.bulk_create(PressRelease(title=str(age), slug=str(age)) for age in ages)
    views = {obj: {run - timedelta(age): age + 1, run: 5 + age % 3} for age, obj in zip(ages, objects, strict=True)}
    rows = ((obj, day, number) for obj, days in views.items() for day, number in days.items())
    Hits.objects.bulk_create(Hits(content_object=obj, date=day, views=number) for obj, day, number in rows)
    ranking.keep("default")
    for ago in (0, 1, 2):
        today = run + timedelta(ago)
        monkeypatch.setattr(live, "today", lambda today=today: today)
        near = {days + other for days in queries.PERIODS for other in (-2, -1, 0, 1, 2)} - {-1, 0}
        for days in near if ago else near | {*range(1, 367, 7)}:
            first = today - timedelta(days)
            sums = {obj: sum(number for day, number in read.items() if day >= first) for obj, read in views.items()}
            best = sorted((obj for obj in objects if sums[obj]), key=lambda obj: (-sums[obj], obj.pk))[:15]
            found = [(obj, getattr(obj, f"hits_{days}_days")) for obj in most_read(PressRelease, days=days, limit=15)]
            assert found == [(obj, sums[obj]) for obj in best], (today, days)


def test_a_run_for_an_old_day_keeps_the_lists_in_use(release: PressRelease, tmp_path: Path) -> None:
    read(release, {1: 5})
    ranking.keep("default")
    old = live.today() - timedelta(600)
    log = write(tmp_path / f"{old}.log", access_line("/press/a/", old) * 3)
    call_command("parse_log", str(old), logs=str(log), partial=True, verbosity=0)
    with CaptureQueriesContext(connection) as asked:
        assert most_read(PressRelease, limit=1) == [release]
    assert len(asked) == 1


def test_the_most_read_today_of_a_queryset_sum_no_objects(count_today: CountToday) -> None:
    """Even if only few of its objects are in the kept list."""
    release = PressRelease.objects.create(title="new", slug="a")
    read(PressRelease.objects.create(title="other", slug="b"), {1: 5})
    ranking.keep("default")
    count_today(["/press/a/"])
    with CaptureQueriesContext(connection) as asked:
        assert most_read_today(PressRelease.objects.filter(slug="a")) == [release]
    assert "SUM(" not in str(asked.captured_queries)


@pytest.mark.parametrize("ago", [0, 1, 2, 5, 100, 400])
def test_the_most_read_today_are_found_when_parse_log_has_not_run_for_days(
    count_today: CountToday, monkeypatch: pytest.MonkeyPatch, ago: int
) -> None:
    monkeypatch.setattr(ranking, "NEW_OBJECTS", 1)
    release = read(PressRelease.objects.create(title="A", slug="a"), {ago + 1: 9})
    PressRelease.objects.create(title="new", slug="new")
    count_today(["/press/a/"])
    today = live.today()
    with monkeypatch.context() as at_the_run:
        at_the_run.setattr(live, "today", lambda: today - timedelta(ago))
        ranking.keep("default")
    assert most_read_today(PressRelease) == [release]


@pytest.mark.parametrize("model", [PressRelease, Photo])
def test_rows_from_a_time_when_keys_had_another_type_are_no_objects(model: Any) -> None:
    """The site has changed its keys from UUIDs to integers, or the other way; PostgreSQL would not cast them."""
    obj = read(model.objects.create(), {1: 5})
    kind, day = ContentType.objects.get_for_model(model), live.today() - timedelta(1)
    for key in ("a-slug", f"{obj.pk}-4e29-41d4-a716-446655440000", "9" * 19, "9" * 30, "%s", "12345678901234567", ""):
        Hits.objects.create(date=day, content_type=kind, object_id=key, views=9)
    assert most_read(model, days=7) == [obj]
    ranking.keep("default")
    assert [most_read(model, days=days) for days in (7, 5, 400)] == [[obj]] * 3
    assert list(ranking.objects_of(ranking.top_keys(7, 9)).values()) == [obj]
    history._forget_deleted(Hits.objects.all(), model, "default")
    assert [row.object_id for row in Hits.objects.all()] == [str(obj.pk)]


def test_most_read_of_a_multi_table_child() -> None:
    read(Place.objects.create(name="place"), {1: 9})
    restaurant = read(Restaurant.objects.create(name="restaurant"), {1: 3})
    for _ in range(2):
        assert most_read(Restaurant, limit=1) == [restaurant]
        assert [obj.name for obj in most_read(Place, limit=2)] == ["place", "restaurant"]
        ranking.keep("default")


def test_the_most_read_today_are_live(memcached: Memcached, count_today: CountToday) -> None:
    release = PressRelease.objects.create(title="new", slug="a")
    photo = read(Photo.objects.create(caption="photo"), {3: 1})
    PressRelease.objects.create(title="never", slug="never")
    count_today(["/press/a/"] * 4 + [photo.get_absolute_url()] * 5)
    with Wire(memcached) as wire, override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "MEMCACHED": wire.spec}):
        assert most_read_today(PressRelease, Photo, limit=2) == [photo, release]
        text = "{% most_read 'django_app.PressRelease' days=0 as top %}"
        assert len(wire.commands) == 1
        assert render(text + "{% for obj in top %}{{ obj }} {{ obj.hits_today }}{% endfor %}") == "new 4"
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "LIVE": False}):
        assert most_read_today(PressRelease, limit=2) == []


def test_a_new_multi_table_child_is_among_the_most_read_today(count_today: CountToday) -> None:
    """Its primary key is a relation to its parent, as that of Wagtail's pages."""
    restaurant = Restaurant.objects.create(name="new")
    count_today([restaurant.get_absolute_url()] * 2)
    assert most_read_today(Restaurant, limit=1) == [restaurant]


# Totals, comparison, lists


def test_the_period_is_compared_with_the_one_before(release: PressRelease) -> None:
    assert compare_hits(release).percent is None
    read(release, {0: 1000, 1: 20, 7: 10, 8: 12, 14: 8, 15: 500})
    assert compare_hits(release, 7) == (30, 20)
    template = (
        "{% with change=obj|hits_change:7 %}{{ change.views }} {{ change.before }} {{ change.percent }}{% endwith %}"
    )
    with CaptureQueriesContext(connection) as queries:
        assert render(template, obj=release) == "30 20 50"
    assert len(queries) == 1


def test_querysets_sort_and_filter_by_views_whatever_the_key_is() -> None:
    """`Sum("hits__views")` cannot do this with UUID keys."""
    photos = [read(Photo.objects.create(caption=f"{number}"), {1: number, 9: 5}) for number in (2, 3, 1)]
    found = Photo.objects.with_hits(days=7).with_hits().filter(hits_7_days__gt=1).order_by("-hits_7_days")
    assert list(found) == [photos[1], photos[0]]
    assert with_hits(Photo.objects.all(), 7).annotate(more=F("hits_7_days") + 1).order_by("more").first() == photos[2]


def test_sparklines_of_a_list_take_one_query() -> None:
    photos = [read(Photo.objects.create(caption=f"{number}"), {1: number, 40: 9}) for number in range(1, 5)]
    template = "{% for obj in objects|with_views_by_day:30 %}{% sparkline obj %}{% endfor %}"
    with CaptureQueriesContext(connection) as queries:
        text = render(template, objects=Photo.objects.order_by("caption"))
    assert len(queries) == 2
    assert [f"Read {number} time" in text for number in range(1, 6)] == [True] * 4 + [False]
    assert with_views_by_day([]) == []
    assert list(views_by_day(with_views_by_day(photos, 2)[0], 2).values()) == [0, 1]


def test_sparklines_of_a_list_of_several_models_take_one_query_each() -> None:
    """Objects of two models may have the same primary key. A child has the history of its parent."""
    release, place = PressRelease.objects.create(pk=7), Place.objects.create(pk=7)
    restaurant = Restaurant.objects.create(pk=8)
    for obj, views in ((release, 1), (place, 2), (restaurant, 3)):
        read(obj, {1: views})
    row = {"pk": 7}  # of values()
    with CaptureQueriesContext(connection) as queries:
        found = with_views_by_day([release, place, row, restaurant, PressRelease()], 1)
    assert len(queries) == 2
    assert found[2] is row
    assert [list(views_by_day(obj, 1).values()) for obj in found if obj is not row] == [[1], [2], [3], [0]]


@ONE_DATABASE
@pytest.mark.parametrize("page_size", [None, 100])
def test_the_recipe_for_rest_framework(memcached: Memcached, count_today: CountToday, page_size: int | None) -> None:
    """The code of the manual, with pages and without pages, which is the framework's default."""
    recipe = MANUAL.partition("**Django REST framework:**")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"serializers": serializers, "viewsets": viewsets, "PressRelease": PressRelease}
    names |= {"with_hits_today": live.with_hits_today, "__name__": __name__}
    exec(recipe, names)
    for number in range(100):
        read(PressRelease.objects.create(title=f"{number}", slug=f"x{number}"), {1: number})
    count_today(["/press/x3/"] * 2)
    pages = type("Pages", (PageNumberPagination,), {"page_size": page_size})
    view = names["ReleaseViewSet"].as_view({"get": "list"}, pagination_class=pages)
    with Wire(memcached) as wire, override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "MEMCACHED": wire.spec}):
        with CaptureQueriesContext(connection) as queries:
            found = view(APIRequestFactory().get("/")).data
        assert (len(wire.commands), len(queries)) == (1, 2 if page_size else 1)  # with pages also their number
        assert (found["results"] if page_size else found)[3] == {"title": "3", "hits_today": 2, "hits_7_days": 3}
        one = names["ReleaseViewSet"].as_view({"get": "retrieve"})
        assert one(APIRequestFactory().get("/"), pk=PressRelease.objects.get(title="3").pk).data == {
            "title": "3",
            "hits_today": 2,
            "hits_7_days": 3,
        }


# After the nightly run


def test_a_signal_names_the_days_that_were_saved(parse_log: Callable[..., Any], release: PressRelease) -> None:
    told: list[Any] = []

    def take(sender: Any, days: list[date], using: str, **_: Any) -> None:
        told.append((sender, days, using, release.hits_total))

    hits_saved.connect(take)
    try:
        parse_log(access_line("/press/a/"))
        with pytest.raises(CommandError):
            parse_log(access_line("/none/"))
    finally:
        hits_saved.disconnect(take)
    assert told == [(Hits, [DAY], "default", 1)]


def test_the_nightly_run_keeps_the_most_read(release: PressRelease, tmp_path: Path) -> None:
    yesterday = live.today() - timedelta(1)
    log = write(tmp_path / f"{yesterday}.log", access_line("/press/a/", yesterday) * 3)
    call_command("parse_log", str(yesterday), logs=str(log), partial=True, verbosity=0)
    key = release.pk
    assert set(MostRead.objects.values_list("object_id", "views")) == {(str(key), 3)}
    assert most_read(PressRelease) == [release]
    release.delete()
    PressRelease.objects.create(pk=key, title="another with the same key", slug="a")
    assert most_read(PressRelease) == []


def called(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_old_history_is_pruned(release: PressRelease) -> None:
    read(release, {1: 1, 10: 2, 11: 3, 400: 4})
    day = live.today() - timedelta(10)
    assert called("prune_hits", "--keep", "10", "--dry-run") == f"2 rows before {day} would be deleted\n"
    assert release.hits_total == 10
    for long in ("1000000", "9" * 20):
        assert called("prune_hits", "--keep", long) == "0 rows before 0001-01-01 deleted\n"
    assert called("prune_hits", "--before", str(day)) == f"2 rows before {day} deleted\n"
    assert release.hits_total == 3
    for wrong in (["--keep", "0"], ["--before", "12 March"], []):
        with pytest.raises(CommandError):
            called("prune_hits", *wrong)


def test_pruned_history_is_not_in_the_lists_of_most_read(release: PressRelease) -> None:
    read(release, {1: 5, 80: 90})
    ranking.keep("default")
    called("prune_hits", "--keep", "30")
    assert [obj.hits_90_days for obj in most_read(PressRelease, days=90)] == [5]


def test_history_is_exported(release: PressRelease) -> None:
    photo = Photo.objects.create(caption="x")
    for obj, day, views in ((release, 12, 5), (photo, 12, 6), (release, 13, 7)):
        Hits.objects.create(date=date(2026, 3, day), content_object=obj, views=views)
    rows = list(csv.reader(called("export_hits").splitlines()))
    assert rows[0] == ["date", "model", "object_id", "views"]
    assert sorted(rows[1:]) == sorted(
        [
            ["2026-03-12", "django_app.pressrelease", str(release.pk), "5"],
            ["2026-03-12", "django_app.photo", str(photo.pk), "6"],
            ["2026-03-13", "django_app.pressrelease", str(release.pk), "7"],
        ]
    )
    assert called("export_hits", "2026-03-13..2026-03-14").count("\n") == 2
    Hits.objects.create(date=date(2026, 3, 14), content_object=Tag.objects.create(name="=1+1"), views=8)
    assert "django_app.tag,'=1+1,8" in called("export_hits", "2026-03-14")  # a spreadsheet calculates no formula
    with pytest.raises(CommandError, match="not a DATE"):
        called("export_hits", "12 March")


def test_the_history_of_django_hitcount_is_imported(release: PressRelease) -> None:
    from hitcount.models import Hit, HitCount

    berlin = ZoneInfo("Europe/Berlin")
    count = HitCount.objects.create(content_object=release)
    for day, hour, number in ((10, 12, 2), (11, 0, 3), (12, 12, 4)):
        for _ in range(number):
            hit = Hit.objects.create(hitcount=count, ip="::1", session="s", user_agent="M")
            Hit.objects.filter(pk=hit.pk).update(created=datetime(2026, 3, day, hour, 30, tzinfo=berlin))
    HitCount.objects.filter(pk=count.pk).update(hits=100)
    Hits.objects.create(date=date(2026, 3, 12), content_object=release, views=50)
    said = called("import_hitcount")
    assert said == (
        "5 hits of 2 days before 2026-03-12 saved\n91 hits without a date left out (--undated DATE saves them)\n"
    )
    kept = {date(2026, 3, 10): 2, date(2026, 3, 11): 3, date(2026, 3, 12): 50}
    assert dict(release.hits.values_list("date", "views")) == kept
    assert called("import_hitcount").startswith("0 hits of 0 days before 2026-03-10 saved\n")
    with pytest.raises(CommandError, match="--undated must be before the first day that fasthits has: 2026-03-10"):
        called("import_hitcount", "--undated", "2026-03-10")
    assert called("import_hitcount", "--undated", "2025-01-01") == "91 hits of 1 day before 2026-03-10 saved\n"
    assert dict(release.hits.values_list("date", "views")) == kept | {date(2025, 1, 1): 91}


@ONE_DATABASE
def test_referrers_and_search_terms_of_an_object(
    release: PressRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin"}):
        day = live.today() - timedelta(1)
    lines = b"".join(
        access_line("/press/a/", day).replace(b'"-"', f'"{referer}"'.encode()) * number
        for referer, number in (
            ("https://a.example/x", 3),
            ("https://b.example/", 4),
            ("https://www.bing.com/search?q=cats", 2),
        )
    )
    log = write(tmp_path / f"{day}.log", lines)
    target = tmp_path / "hits.db"
    done = run_fasthits(
        "rollup", str(day), "--logs", str(log), "--to", str(target), "--referrers", "--search-terms", "--partial"
    )
    assert done.returncode == 0, done.stderr
    template = (
        "{% referrers obj limit=2 as found %}{% for each in found %}{{ each.name }} {{ each.views }},{% endfor %}"
        "{% searches obj days='7' limit='3' as found %}"
        "{% for each in found %}{{ each.engine }} {{ each.terms }} {{ each.views }},{% endfor %}"
    )
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "ROLLUP": target}):
        assert render(template, obj=release) == "b.example 4,a.example 3,Bing cats 2,"
    with override_settings(FASTHITS={}):
        assert render(template, obj=release) == ""
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "ROLLUP": tmp_path / "none.db"}):
        assert render(template, obj=release) == ""
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "ROLLUP": target}):
        with closing(sqlite3.connect(target)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert render(template, obj=release) == ""
        assert render(template, obj=release) == "", "a page asks a database that has just been locked"
        origins._ask_at.clear()
        assert render(template, obj=release) == "b.example 4,a.example 3,Bing cats 2,"
