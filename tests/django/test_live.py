"""`hits_today` of one object and of many, from a real memcached: through Django's cache and directly."""

import logging
import ssl
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.paginator import Paginator
from django.db import connection
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse_lazy

from fasthits.daily.days import ONE_DAY
from fasthits.django import live
from fasthits.django.addresses import path_of, sign
from fasthits.django.live import with_hits_today
from fasthits.live import quick
from tests.django.support import ITS_ZONE
from tests.django_app.models import Note, Photo, PressRelease
from tests.django_app.wire import Wire
from tests.support.certificates import Authority
from tests.support.logger import access_lines
from tests.support.processes import run_fasthits
from tests.support.servers import Memcached, closed_port

pytestmark = [pytest.mark.usefixtures("tables"), pytest.mark.parametrize("database", ["sqlite"], indirect=True)]

CountToday = Callable[[Iterable[str]], None]


def reads(memcached: Memcached) -> int:
    """Return the number of keys that were asked for."""
    answer = memcached.ask(b"stats", b"END\r\n")
    return int(answer.partition(b"STAT cmd_get ")[2].split()[0])


def test_it_is_an_int_and_rises_with_the_log(count_today: CountToday, release: PressRelease) -> None:
    assert release.hits_today == 0
    count_today(["/press/a/"] * 3 + ["/press/b/"])
    assert (release.hits_today, type(release.hits_today)) == (3, int)
    count_today(["/press/a/"] * 2)
    assert release.hits_today == 5


def render(template: str, obj: Any) -> str:
    return engines["django"].from_string("{% load fasthits %}" + template).render({"obj": obj})


def cache_of(backend: str, location: Any, **more: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": location, **more}}


ZONE = {"TIME_ZONE": "Europe/Berlin"}
"""The day that the lines of these tests have."""

PYMEMCACHE, PYLIBMC = "memcached.PyMemcacheCache", "memcached.PyLibMCCache"


@pytest.mark.parametrize("backend", [PYMEMCACHE, PYLIBMC])
@pytest.mark.parametrize(
    ("caching", "counting"),
    [
        ({"KEY_PREFIX": "site", "VERSION": 3}, {}),
        ({"KEY_PREFIX": "site", "VERSION": 3}, {"PREFIX": "site:3:"}),
        ({}, {"PREFIX": "hits:"}),
    ],
    ids=["other prefix", "same prefix", "prefix of its own"],
)
def test_the_servers_are_those_of_the_cache_whatever_the_prefix(
    memcached: Memcached, release: PressRelease, backend: str, caching: dict[str, Any], counting: dict[str, str]
) -> None:
    logging = ("log", "--memcached", memcached.spec, "--prefix", counting.get("PREFIX", ":1:"))
    run_fasthits(*logging, stdin=access_lines(["/press/a/"] * 3, live.today()))
    with override_settings(CACHES=cache_of(backend, memcached.spec, **caching), FASTHITS=ZONE | counting):
        assert release.hits_today == 3


@pytest.mark.parametrize("backend", [PYMEMCACHE, PYLIBMC])
def test_several_servers(start_memcached: Callable[..., Memcached], backend: str) -> None:
    servers = [start_memcached().spec for _ in range(3)]
    releases = [PressRelease(title="x", slug=f"x{number}") for number in range(30)]
    lines = access_lines([release.get_absolute_url() for release in releases], live.today())
    run_fasthits("log", "--memcached", ",".join(servers), stdin=lines)
    with override_settings(CACHES=cache_of(backend, servers), FASTHITS=ZONE):
        assert [release.hits_today for release in with_hits_today(releases)] == [1] * 30


def test_over_tls(start_memcached: Callable[..., Memcached], place: Path, release: PressRelease) -> None:
    """With the TLS settings of Django's cache, and with those of fasthits."""
    authority = Authority(place)
    memcached = start_memcached(certificate=authority.issue("127.0.0.1"))
    ours = {"MEMCACHED": memcached.tls_spec, "TLS_CA": authority.file}
    lines = access_lines(["/press/a/"] * 3, live.today())
    options = ["--memcached", memcached.tls_spec, "--tls-ca", str(authority.file)]
    assert run_fasthits("log", *options, stdin=lines).returncode == 0
    assert run_fasthits("log", *options, "--prefix", "other:", stdin=lines * 2).returncode == 0
    location = memcached.tls_spec.removeprefix("tls://")
    context = ssl.create_default_context(cafile=authority.file)
    caches = cache_of(PYMEMCACHE, location, OPTIONS={"tls_context": context})
    with override_settings(CACHES=caches, FASTHITS=ZONE):
        assert release.hits_today == 3
    with override_settings(CACHES=caches, FASTHITS=ZONE | {"PREFIX": "other:"}):
        assert release.hits_today == 6
    with override_settings(FASTHITS=ZONE | ours):
        assert release.hits_today == 3


def test_without_memcached_the_number_is_0_and_there_is_no_error(
    memcached: Memcached, count_today: CountToday, release: PressRelease, caplog: pytest.LogCaptureFixture
) -> None:
    count_today(["/press/a/"])
    memcached.kill()
    assert [release.hits_today for _ in range(3)] == [0] * 3
    assert with_hits_today([release])[0].hits_today == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no live counters: memcached does not answer: " in caplog.text
    assert render("Read {% hits_today obj %}.", release) == "Read ."


def test_where_each_host_is_counted_separately_the_number_is_unknown(
    memcached: Memcached,
    count_today: CountToday,
    release: PressRelease,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "FIGURES_SECONDS", 0.0)
    line = b"www.example.org:80 " + access_lines(["/press/a/"], live.today())
    assert run_fasthits("log", "--memcached", memcached.spec, "--by-host", stdin=line, env=ITS_ZONE).returncode == 0
    assert [release.hits_today for _ in range(3)] == [live.UNKNOWN] * 3
    assert with_hits_today([release])[0].hits_today is live.UNKNOWN
    (record,) = caplog.records
    assert record.getMessage() == (
        "no number is shown: each host is counted separately: /press/a/ (URLs of objects have no host: let a logger "
        "with another --prefix count this site without --by-host)"
    )
    count_today(["/press/b/"] * 2)
    assert live.hits_today("/press/b/") == 2
    assert repr(live.hits_today("/press/a/")) == "0"


def test_whether_each_host_is_counted_separately_is_asked_until_a_logger_tells(
    memcached: Memcached, count_today: CountToday, release: PressRelease
) -> None:
    """As after a restart of memcached: a page that nobody has read is not 0 for a minute, it is unknown."""
    count_today([])
    assert release.hits_today is not live.UNKNOWN
    line = b"www.example.org:80 " + access_lines(["/press/a/"], live.today())
    assert run_fasthits("log", "--memcached", memcached.spec, "--by-host", stdin=line, env=ITS_ZONE).returncode == 0
    assert release.hits_today is live.UNKNOWN


def test_that_no_logger_has_counted_is_told_once(
    count_today: CountToday, release: PressRelease, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a PREFIX that is not the logger's."""
    assert [repr(release.hits_today) for _ in range(3)] == ["0"] * 3
    (record,) = caplog.records
    assert record.getMessage() == (
        "0 is shown: no logger has counted a hit today or yesterday under the prefix: :1: (fasthits doctor "
        "--django-settings MODULE compares it with that of the logger)"
    )


def test_after_midnight_the_hits_of_yesterday_tell_that_a_logger_runs(
    count_today: CountToday, release: PressRelease, caplog: pytest.LogCaptureFixture
) -> None:
    count_today(["/press/b/"])
    day = live.today()
    for later in (1, 2):
        with patch.object(live, "today", lambda later=later: day + later * ONE_DAY):
            assert repr(release.hits_today) == "0"
        assert len(caplog.records) == later - 1


def test_the_figures_of_the_loggers_are_asked_once_a_minute(
    memcached: Memcached, count_today: CountToday, release: PressRelease
) -> None:
    count_today(["/press/b/"])
    before = reads(memcached)
    for _ in range(10):
        live.hits_today(release.get_absolute_url())
    assert reads(memcached) == before + 10 + 3


@pytest.mark.parametrize("backend", [PYMEMCACHE, PYLIBMC])
def test_a_cache_of_django_without_memcached(release: PressRelease, backend: str) -> None:
    with override_settings(CACHES=cache_of(backend, f"127.0.0.1:{closed_port()}"), FASTHITS=ZONE):
        assert release.hits_today == 0


@pytest.mark.parametrize("backend", [PYMEMCACHE, PYLIBMC])
def test_only_one_page_waits_for_a_hanging_memcached_with_any_settings_of_the_cache(
    memcached: Memcached,
    release: PressRelease,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Django's documented settings have no time-outs."""
    with (
        Wire(memcached) as wire,
        override_settings(CACHES=cache_of(backend, wire.spec, KEY_FUNCTION=lambda *_: "x"), FASTHITS=ZONE),
    ):
        assert release.hits_today == 0
        caplog.clear()
        monkeypatch.setattr(quick, "PAGE_SECONDS", 0.1)
        memcached.pause()
        try:
            assert {render("{% hits_today obj %}", release) for _ in range(20)} == {""}
            assert Client().get("/press/").status_code == 200
        finally:
            memcached.resume()
    assert [record.message.partition(": 127.0.0.1:")[0] for record in caplog.records] == [
        "no live counters: memcached does not answer"
    ]


def test_a_value_that_is_not_a_number_is_none(
    memcached: Memcached, count_today: CountToday, release: PressRelease
) -> None:
    client = memcached.client()
    client.set(f":1:{live.today()}/press/a/", b"something else")
    client.close()
    assert release.hits_today == 0


def test_an_object_without_a_url_has_no_hits(
    count_today: CountToday, release: PressRelease, caplog: pytest.LogCaptureFixture
) -> None:
    count_today(["/press/a/"])
    unsaved, note = PressRelease(slug="no slug"), Note(slug="a")
    assert unsaved.hits_today == 0
    assert [obj.hits_today for obj in with_hits_today([unsaved, note, release])] == [0, 0, 1]
    assert "NoReverseMatch" in caplog.text


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/a/", b"/a/"),
        ("/a/?page=2#top", b"/a/"),
        ("https://site.example/a/", b"/a/"),
        ("https://site.example", b"/"),
        ("/café/ä b", b"/caf%C3%A9/%C3%A4%20b"),
        ("/caf%C3%A9/", b"/caf%C3%A9/"),
        ("/a\r\nset x 0 0 1", b"/aset%20x%200%200%201"),
    ],
)
def test_the_path_of_an_object_equals_the_path_in_the_log(address: str, path: bytes) -> None:
    class Page:
        def get_absolute_url(self) -> str:
            return address

    assert path_of(Page()) == path


def test_long_and_odd_paths_are_counted_under_a_hash(count_today: CountToday) -> None:
    long = PressRelease(title="x", slug="x" * 300)
    count_today([long.get_absolute_url()] * 2)
    assert long.hits_today == 2


def test_rules_apply_to_the_paths_of_objects(memcached: Memcached, release: PressRelease) -> None:
    logging = ("log", "--memcached", memcached.spec, "--fold-slash", "--decode")
    paths = ["/press/a/", "/press/a", "/press/%61/", "/press/b/"]
    assert run_fasthits(*logging, stdin=access_lines(paths, live.today())).returncode == 0
    with override_settings(
        FASTHITS=ZONE | {"MEMCACHED": memcached.spec, "RULES": {"fold_slash": True, "decode": True}}
    ):
        assert release.hits_today == 3
        path = sign(release)
        assert Client().get("/fasthits/hits_today.json", {"path": path}).json() == {path: 3}


def test_today_is_the_day_in_the_web_servers_time_zone() -> None:
    for name in ("Pacific/Kiritimati", "Etc/GMT+12"):  # these two zones always have different dates
        with override_settings(FASTHITS={"TIME_ZONE": name}):
            assert live.today() == datetime.now(ZoneInfo(name)).date()


def test_a_queryset_a_page_and_a_list_keep_their_objects(count_today: CountToday) -> None:
    photos = [Photo.objects.create(caption=f"{number}") for number in range(3)]
    count_today([photo.get_absolute_url() for photo in photos[1:]])
    in_order = Photo.objects.order_by("caption")
    assert [photo.hits_today for photo in with_hits_today(in_order)] == [0, 1, 1]
    with CaptureQueriesContext(connection) as queries:
        assert [photo.hits_today for photo in in_order] == [0, 1, 1]  # the queryset was evaluated and keeps its objects
    assert len(queries) == 0
    page = Paginator(in_order, 2).page(2)
    with_hits_today(page)
    assert [photo.__dict__["hits_today"] for photo in page] == [1]


def test_what_is_no_object_is_returned_as_it_is(
    count_today: CountToday, release: PressRelease, caplog: pytest.LogCaptureFixture
) -> None:
    count_today(["/press/a/"])
    for rows in (PressRelease.objects.values("slug"), PressRelease.objects.values_list("slug"), ["/press/a/"]):
        assert with_hits_today(rows) == list(rows)
        text = "{% for row in obj|with_hits_today %}{{ row }}[{{ row.hits_today }}]{% endfor %}"
        assert render(text, rows).endswith("[]")
    assert caplog.records


def test_an_address_may_be_lazy(count_today: CountToday, release: PressRelease) -> None:
    count_today(["/press/a/"] * 2)
    assert live.hits_today(reverse_lazy("press_release", args=["a"])) == 2
    assert render("{% hits_today obj %}", reverse_lazy("press_release", args=["a"])) == "2"


@pytest.mark.parametrize("through", ["straight", PYMEMCACHE, PYLIBMC])
def test_a_page_of_100_objects_costs_one_round_trip_and_no_extra_query(
    memcached: Memcached, count_today: CountToday, through: str
) -> None:
    releases = PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(120))
    count_today([release.get_absolute_url() for release in releases] * 2)
    with Wire(memcached) as wire:
        caches = settings.CACHES if through == "straight" else cache_of(through, wire.spec)
        with (
            override_settings(CACHES=caches, FASTHITS=ZONE | {"MEMCACHED": wire.spec}),
            CaptureQueriesContext(connection) as queries,
        ):
            page = Client().get("/press/")
        assert page.content.decode().count("</a> 2</li>") == 100
        assert len(queries) == 2  # Django's own: the number of objects, and the objects of the page
        asked = [command for command in wire.commands if not command.startswith(b"quit")]
        assert len(asked) == 1
        assert asked[0].startswith(b"get")
        assert asked[0].count(b"/press/x") == 100


JSON = "/fasthits/hits_today.json"


def test_the_json_of_open_pages(count_today: CountToday, release: PressRelease) -> None:
    photo = Photo.objects.create(caption="x")
    count_today(["/press/a/"] * 3 + ["/admin/", "/about/"])
    asked = [sign(release), sign(photo), sign("/about/")]
    for ask in (Client().get, Client(enforce_csrf_checks=True).post):
        answer = ask(JSON, {"path": asked})
        assert answer.json() == dict(zip(asked, [3, 0, 1], strict=True))
        assert answer.headers["Content-Type"] == "application/json"
        assert "max-age=1" in answer.headers["Cache-Control"]
        assert ask(JSON).json() == {}


def test_the_json_has_no_numbers_of_paths_that_no_page_has_shown(
    count_today: CountToday, release: PressRelease
) -> None:
    count_today(["/press/a/"])
    signed = sign(release)
    changed = ["/press/a/", "/press/b/", "http://x/press/a/", "", "/é", signed + "x", "/admin/" + signed[9:], "\0:x"]
    assert Client().get(JSON, {"path": [*changed, signed]}).json() == {signed: 1}


@pytest.mark.parametrize("address", ["/café/", "https://site.example/café/?a=1", "/caf%C3%A9/#top"])
def test_the_json_has_the_number_of_any_address(count_today: CountToday, address: str) -> None:
    count_today(["/caf%C3%A9/"] * 5)
    assert Client().get(JSON, {"path": sign(address)}).json() == {sign("/café/"): 5}


def test_the_json_is_bounded(memcached: Memcached, release: PressRelease) -> None:
    with Wire(memcached) as wire, override_settings(FASTHITS=ZONE | {"MEMCACHED": wire.spec}):
        paths = [sign(f"/press/x{number}/") for number in range(101)]
        assert Client().post(JSON, {"path": paths}).status_code == 400
        assert not wire.commands
        with CaptureQueriesContext(connection) as queries:
            assert len(Client().post(JSON, {"path": paths[:100]}).json()) == 100
        assert len(queries) == 0
        assert [command.split()[0] for command in wire.commands] == [b"get"]
    assert Client().put(JSON).status_code == 405


def test_the_json_leaves_unknown_numbers_out(release: PressRelease) -> None:
    with override_settings(FASTHITS=ZONE | {"LIVE": False}):
        assert Client().post(JSON, {"path": sign(release)}).json() == {}
