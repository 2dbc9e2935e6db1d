"""The admin: columns, history and the page "Traffic", as a member of staff sees them."""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from fasthits.django import live
from fasthits.django.models import Hits
from tests.django_app.models import Photo, PressRelease, Tag
from tests.django_app.wire import Wire
from tests.support.servers import Memcached

pytestmark = pytest.mark.usefixtures("tables")

CountToday = Callable[[Iterable[str]], None]


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    return client


def read(obj: object, days_ago: int, views: int) -> None:
    Hits.objects.create(date=live.today() - timedelta(days_ago), content_object=obj, views=views)


def text_of(html: bytes) -> str:
    """Return the text of *html* on one line, roughly as a browser shows it."""
    return " ".join(unescape(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", html.decode())).split())


def test_the_list_has_two_columns_and_costs_one_round_trip_and_no_query(
    memcached: Memcached, count_today: CountToday, staff: Client
) -> None:
    for number in range(30):
        release = PressRelease.objects.create(title=f"T{number}", slug=f"s{number}")
        read(release, 3, 100 + number)
        read(release, 20, 1)
    count_today(["/press/s4/"] * 7)
    with Wire(memcached) as wire, override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "MEMCACHED": wire.spec}):
        staff.get("/admin/django_app/pressrelease/")
        del wire.commands[:]
        with CaptureQueriesContext(connection) as queries:
            page = staff.get("/admin/django_app/pressrelease/?o=4")
        assert [command.split()[0] for command in wire.commands] == [b"get"]
    assert sum("pressrelease" in query["sql"] for query in queries.captured_queries) == 3  # two counts and the list
    assert "Today" in text_of(page.content)
    assert "T4 s4 7 104" in text_of(page.content)
    titles = re.findall(r"T\d+", text_of(page.content))
    assert titles == [f"T{number}" for number in range(29, -1, -1)]  # the most read first


def test_an_object_shows_its_history_read_only(count_today: CountToday, staff: Client) -> None:
    release = PressRelease.objects.create(title="A", slug="a")
    read(release, 1, 41)
    read(release, 31, 97)
    page = staff.get(f"/admin/django_app/pressrelease/{release.pk}/change/")
    assert b"<svg" in page.content
    assert "Read 41 times in the last 30 days" in text_of(page.content)
    assert "97" not in text_of(page.content)
    hidden = re.findall(r'<input type="hidden" name="(fasthits[^"]*)" value="([^"]*)"', page.content.decode())
    assert [name for name, _ in hidden if "-0-" in name] == []
    form = dict(hidden) | {"title": "B", "slug": "b"}
    form |= {"fasthits-hits-content_type-object_id-0-views": "1000000"}
    assert staff.post(f"/admin/django_app/pressrelease/{release.pk}/change/", form).status_code == 302
    release.refresh_from_db()
    assert (release.title, release.hits_total) == ("B", 138)
    assert staff.get("/admin/django_app/pressrelease/add/").status_code == 200


def test_traffic_has_the_most_read_objects(count_today: CountToday, staff: Client) -> None:
    release = PressRelease.objects.create(title="<b>release</b>", slug="release")
    photo, tag = Photo.objects.create(caption="photo"), Tag.objects.create(name="tag")
    new = PressRelease.objects.create(title="new one", slug="new")
    read(release, 2, 1111)
    read(photo, 2, 2222)
    read(photo, 20, 3333)
    read(tag, 29, 4444)
    count_today(["/press/new/"] * 6 + [tag.get_absolute_url()] * 8)
    with CaptureQueriesContext(connection) as queries:
        page = staff.get("/admin/fasthits/hits/")
    assert "<b>release" not in page.content.decode()
    today, week, month = re.split("Today |Last 7 days |Last 30 days ", text_of(page.content))[-3:]
    assert today.startswith("Object Model Views Tag object (tag) tag 8 new one press release 6 ")
    assert "release</b>" not in today
    assert week.startswith("Object Model Views photo photo 2222 <b>release</b> press release 1111 ")
    assert "tag" not in week
    assert month.startswith("Object Model Views photo photo 5555 Tag object (tag) tag 4444 <b>release</b> press")
    assert f'href="/admin/django_app/pressrelease/{new.pk}/change/"' in page.content.decode()
    hits = [
        query["sql"] for query in queries.captured_queries if "django_app_" in query["sql"] or "hits" in query["sql"]
    ]
    assert len(hits) <= 2 + 2 + 3 + 4  # two lists and their sums, three models with a history, four with newest objects
    assert "Traffic" in text_of(staff.get("/admin/").content)


def test_traffic_leads_to_objects_with_any_key(staff: Client) -> None:
    """The admin would read ``part_22`` as ``part"``."""
    tag = Tag.objects.create(name="part_22")
    read(tag, 2, 5)
    (address,) = set(
        re.findall(r'href="(/admin/django_app/tag/p[^"]*)"', staff.get("/admin/fasthits/hits/").content.decode())
    )
    assert staff.get(address).context["original"] == tag


def test_traffic_without_hits(staff: Client) -> None:
    assert text_of(staff.get("/admin/fasthits/hits/").content).count("No views yet.") == 3


def test_traffic_needs_the_permission_to_view_hits() -> None:
    user = User.objects.create_user("some", is_staff=True)
    client = Client()
    client.force_login(user)
    assert client.get("/admin/fasthits/hits/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_hits"))
    assert client.get("/admin/fasthits/hits/").status_code == 200
    assert client.get("/admin/fasthits/hits/add/").status_code == 403
    assert Client().get("/admin/fasthits/hits/").status_code == 302
