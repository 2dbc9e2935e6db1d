"""The history of objects: results of the managers and the mixin, and the number of their queries."""

import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.template import engines
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from fasthits.django import live
from fasthits.django.models import Hits, compare_hits, sum_hits, views_by_day, with_hits, with_views_by_day
from tests.django_app.models import Note, Photo, PressRelease, Tag
from tests.support.logger import DAY

pytestmark = pytest.mark.usefixtures("tables")


def days_ago(days: int) -> Any:
    return live.today() - timedelta(days)


def read(obj: Any, views: dict[int, int]) -> Any:
    """Give an object a history: a map from days ago to views."""
    Hits.objects.bulk_create(Hits(date=days_ago(ago), content_object=obj, views=count) for ago, count in views.items())
    return obj


@pytest.fixture(params=["integer", "uuid", "string"])
def objects(request: pytest.FixtureRequest) -> list[Any]:
    """Three objects of a model: much read long ago, read last week, never read. And an object of another model."""
    made = {
        "integer": lambda name: PressRelease.objects.create(title=name, slug=name),
        "uuid": lambda name: Photo.objects.create(caption=name),
        "string": lambda name: Tag.objects.create(name=name),
    }
    other = "uuid" if request.param != "uuid" else "integer"
    read(made[other]("other"), {1: 1000})
    make = made[request.param]
    return [read(make("old"), {8: 100, 40: 1, 7: 2}), read(make("new"), {1: 3, 2: 4, 0: 5}), make("never")]


def test_with_hits_annotates_sums_in_the_query_of_the_objects(objects: list[Any]) -> None:
    model = type(objects[0])
    model.objects.with_hits().first()  # this caches the content type
    with CaptureQueriesContext(connection) as queries:
        found = {str(obj): obj for obj in model.objects.with_hits(days=7).with_hits(days=30).with_hits()}
        sums = [(obj.hits_7_days, obj.hits_30_days, obj.hits_total) for obj in map(found.get, map(str, objects))]
    assert sums == [(2, 102, 103), (12, 12, 12), (0, 0, 0)]
    assert len(queries) == 1
    assert [obj.hits_total for obj in objects] == [103, 12, 0]
    assert [sum_hits(obj, 7) for obj in objects] == [2, 12, 0]


def test_most_read_is_bounded(objects: list[Any]) -> None:
    old, new, _ = objects
    assert [(obj, obj.hits_7_days) for obj in Hits.objects.most_read(type(old))] == [(new, 12), (old, 2)]
    assert [(obj, obj.hits_30_days) for obj in Hits.objects.most_read(type(old), days=30, limit=1)] == [(old, 102)]


def test_the_history_of_an_object(objects: list[Any]) -> None:
    old, new, never = objects
    assert list(old.hits.values_list("date", "views")) == [(days_ago(7), 2), (days_ago(8), 100), (days_ago(40), 1)]
    assert list(Hits.objects.for_object(old)) == list(old.hits.all())
    assert [hits.content_object for hits in Hits.objects.for_object(new)] == [new] * 3
    assert not never.hits.exists()
    fetched = {str(obj): obj for obj in type(old).objects.prefetch_related("hits")}
    with CaptureQueriesContext(connection) as queries:
        assert [hits.views for hits in fetched[str(new)].hits.all()] == [5, 3, 4]
    assert len(queries) == 0
    assert list(views_by_day(new, 3).items()) == [
        (days_ago(3), 0),
        (days_ago(2), 4),
        (days_ago(1), 3),
        (days_ago(0), 5),
    ]
    assert list(views_by_day(old, 7).items()) == [(days_ago(7), 2), *((days_ago(ago), 0) for ago in range(6, 0, -1))]


def test_the_history_is_deleted_with_its_object(objects: list[Any]) -> None:
    objects[0].delete()
    assert not Hits.objects.of_model(type(objects[0])).exclude(object_id=str(objects[1].pk)).exists()
    assert Hits.objects.for_object(objects[1]).count() == 3


def test_between_and_totals(objects: list[Any]) -> None:
    days = Hits.objects.between(days_ago(8), days_ago(1))
    assert {hits.views for hits in days} == {100, 2, 3, 4, 1000}
    read(objects[2], {2: 6})
    assert [tuple(row) for row in days.of_model(type(objects[0])).totals()] == [
        (days_ago(8), 100),
        (days_ago(7), 2),
        (days_ago(2), 10),
        (days_ago(1), 3),
    ]
    assert days.totals().last().total == 1003


def test_a_model_without_the_mixin_has_a_history_as_well() -> None:
    note = read(Note.objects.create(slug="a"), {1: 3, 9: 4})
    assert with_hits(Note.objects.all(), 7).get().hits_7_days == 3
    assert sum_hits(note) == 7


@pytest.mark.parametrize("text", ["550e8400e29b41d4a716446655440000", "550E8400-E29B-41D4-A716-446655440000"])
def test_a_uuid_given_as_text_is_the_same_key(text: str) -> None:
    read(Photo(pk=text), {1: 9})
    Photo.objects.create(pk=text)
    photo = Photo(pk=text)
    assert (photo.hits_total, Photo.objects.with_hits().get().hits_all_days, Photo.objects.get().hits_total) == (9,) * 3
    assert [*views_by_day(with_views_by_day([photo], 1)[0], 1).values()] == [9]
    Photo(pk=text).hits.create(date=DAY, views=5)
    assert photo.hits_total == 14
    photo.delete()
    assert not Hits.objects.exists()


def test_a_lazy_object_such_as_request_user_has_its_history(objects: list[Any]) -> None:
    lazy = SimpleLazyObject(lambda: objects[1])
    template = "{{ obj|hits:7 }} {% sparkline obj %}{% with change=obj|hits_change:7 %}{{ change.views }}{% endwith %}"
    text = engines["django"].from_string("{% load fasthits %}" + template).render({"obj": lazy})
    assert text.startswith("12 <figure")
    assert text.endswith("7")
    assert [hits.views for hits in Hits.objects.for_object(lazy)] == [5, 3, 4]
    assert sum(views_by_day(with_views_by_day([lazy], 7)[0], 7).values()) == 12
    assert compare_hits(lazy) == compare_hits(objects[1]) == (7, 0)
    assert Hits.objects.create(date=DAY, content_object=lazy, views=1).content_object == objects[1]


def test_querysets_with_hits_can_be_pickled(objects: list[Any]) -> None:
    model = type(objects[0])
    for queryset in (with_hits(model.objects.all(), 7).with_hits(), Hits.objects.for_object(objects[0])):
        again = pickle.loads(pickle.dumps(queryset))
        assert list(again) == list(queryset)
        lazily = queryset.all()
        lazily.query = pickle.loads(pickle.dumps(queryset.query))
        assert list(lazily) == list(queryset)


def test_sums_are_integers_in_every_database(objects: list[Any]) -> None:
    found = type(objects[0]).objects.with_hits(7).get(pk=objects[1].pk).hits_7_days
    assert (found, type(found)) == (12, int)


def test_an_object_has_one_row_a_day() -> None:
    release = read(PressRelease.objects.create(title="x", slug="x"), {1: 1})
    with pytest.raises(IntegrityError), transaction.atomic():
        read(release, {1: 2})


def test_the_history_of_an_object_is_found_by_an_index() -> None:
    for number in range(100):
        read(PressRelease(pk=number), dict.fromkeys(range(100), 1))
    connection.cursor().execute("ANALYZE fasthits_hits")
    assert "fasthits_of_object" in Hits.objects.for_object(PressRelease(pk=1)).explain()
    assert "fasthits_o" in Hits.objects.of_model(PressRelease).filter(date__gte=days_ago(7)).explain()
