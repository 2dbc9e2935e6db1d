"""The tags and filters of `{% load fasthits %}`."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.template import engines
from django.test.utils import CaptureQueriesContext, override_settings

from fasthits.django import live
from fasthits.django.models import Hits
from tests.django_app.models import Note, PressRelease

pytestmark = [pytest.mark.usefixtures("tables"), pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def release() -> PressRelease:
    """A press release with 1200 views yesterday, 34 thirty days ago, and one view too old to show."""
    made = PressRelease.objects.create(title="A", slug="a")
    for ago, views in ((1, 1200), (30, 34), (31, 1)):
        Hits.objects.create(date=live.today() - timedelta(ago), content_object=made, views=views)
    return made


def render(template: str, **context: Any) -> str:
    return engines["django"].from_string("{% load fasthits %}" + template).render(context)


def test_hits_today(count_today: Callable[[Iterable[str]], None], release: PressRelease) -> None:
    count_today(["/press/a/"] * 3)
    assert render("{% hits_today obj %} {% hits_today obj as n %}{{ n|add:1 }}", obj=release) == "3 4"
    template = "{% for obj in objects|with_hits_today %}{{ obj.hits_today }}{% endfor %}"
    assert render(template, objects=PressRelease.objects.all()) == "3"
    assert render("{% hits_today '/press/a/?page=2' %}") == "3"
    assert render("{% hits_today obj %}", obj=Note(slug="a")) == ""  # it has no page
    assert render("{% hits_today obj %}", obj=None) == ""


def test_hits_of_some_days(release: PressRelease) -> None:
    template = "{{ obj|hits:7 }} {{ obj|hits:30 }} {{ obj.hits_total }}"
    assert render(template, obj=release) == "1200 1234 1235"
    annotated = PressRelease.objects.with_hits(7).with_hits(30).with_hits().get()
    with CaptureQueriesContext(connection) as queries:
        assert render(template, obj=annotated) == "1200 1234 1235"
    assert len(queries) == 0


def test_the_sparkline_is_an_image_with_a_title_and_a_table(release: PressRelease) -> None:
    with CaptureQueriesContext(connection) as queries:
        figure = ElementTree.fromstring(render("{% sparkline obj %}", obj=release))  # well-formed
    assert len(queries) == 1
    svg = figure.find("svg")
    assert svg is not None
    assert svg.get("role") == "img"
    assert svg[0].tag == "title"
    assert svg[0].text == "Read 1234 times in the last 30 days"
    line = svg.find("polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
    assert len(points) == 30
    assert points[-1] == (148.0, 2.0)  # the highest day at the top, the newest at the right
    assert [y for _, y in points[1:-1]] == [28.0] * 28
    assert points[0][0] == 2.0
    assert 2.0 < points[0][1] < 28.0
    rows = figure.findall("details/table/tbody/tr")
    assert [int(row.findtext("td") or "") for row in rows] == [34] + [0] * 28 + [1200]


def test_the_sparkline_of_an_object_that_was_never_read() -> None:
    figure = ElementTree.fromstring(render("{% sparkline obj days=1 %}", obj=PressRelease(pk=5)))
    assert figure.findtext("svg/title") == "Read 0 times in the last 1 days"


@override_settings(USE_THOUSAND_SEPARATOR=True, LANGUAGE_CODE="de")
def test_numbers_are_localised_in_text_and_not_in_the_drawing(release: PressRelease) -> None:
    html = render("{% sparkline obj %} {{ obj|hits:30 }}", obj=release)
    figure = ElementTree.fromstring(html.rpartition(" ")[0])
    assert html.endswith(" 1.234")
    assert figure.findall("details/table/tbody/tr/td")[-1].text == "1.200"
    assert all(len(point.split(",")) == 2 for point in figure.find("svg/polyline").get("points").split())


def test_texts_of_an_object_are_escaped() -> None:
    found: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            found.append(tag)

    obj = PressRelease(pk=1, title="<script>", slug='"><script>')
    Tags().feed(render("{% sparkline obj %}{% hits_today obj %}", obj=obj))
    assert "script" not in found


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{% hits_today missing %}{% hits_today None %}", ""),
        ("{{ missing|signed_path }}{{ missing|hits:7 }}", ""),
        ("{% with change=missing|hits_change:7 %}{{ change.views }}{{ change.percent|default:'' }}{% endwith %}", ""),
        ("{% sparkline missing %}{% sparkline None %}", "\n\n"),
        ("{% for obj in missing|with_hits_today %}x{% endfor %}{{ missing|with_views_by_day:7 }}", "[]"),
        ("{% most_read missing None days=0 as top %}{{ top }}{% most_read missing as top %}{{ top }}", "[][]"),
        ("{% referrers missing as found %}{{ found }}", "[]"),
        ("{{ obj|hits:'7' }} {{ obj|hits:99999999 }}", "1200 1235"),
        ("{% with change=obj|hits_change:'99999999' %}{{ change.views }}{% endwith %}", "1235"),
        ("{% most_read 'django_app.PressRelease' days='7' limit='3' as top %}{{ top|length }}", "1"),
        ("{% most_read 'django_app.PressRelease' days=99999999 limit=-1 as top %}{{ top|length }}", "0"),
        ("{% most_read manager days=7 as top %}{{ top|length }}", "1"),
    ],
)
def test_a_template_without_a_variable_and_with_odd_numbers_is_shown(
    template: str, shown: str, release: PressRelease, count_today: Callable[[Iterable[str]], None]
) -> None:
    """A missing object has no number. Above all it does not have the number of the home page."""
    count_today(["/"] * 3)
    assert render(template, obj=release, manager=PressRelease.objects) == shown


@pytest.mark.parametrize("source", ["nonsense", "no.Model"])
def test_a_model_that_does_not_exist_is_reported(source: str) -> None:
    with pytest.raises(LookupError, match=rf'no such model: .*{source}.* \(write "app.Model"\)'):
        render("{% most_read source as top %}", source=source)
