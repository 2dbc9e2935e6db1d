"""The app breaks nothing: deleting, migrating, importing, async views, other databases, sites without memcached."""

import gc
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, connections, router, transaction
from django.db.models.signals import post_delete
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import translation
from psycopg import sql

from fasthits.django import expressions, live, models, ranking, separate
from fasthits.django.checks import check_routers
from fasthits.django.live import UNKNOWN
from fasthits.django.models import Hits, HitsMixin, sum_hits, sum_hits_ever, views_by_day, with_hits
from fasthits.django.ranking import most_read
from tests.django_app.models import Headline, Photo, Place, PressRelease, Restaurant, Tag
from tests.support.processes import PROJECT, environment, new_mark
from tests.support.servers import Memcached

pytestmark = pytest.mark.usefixtures("tables")

CountToday = Callable[[Iterable[str]], None]
YESTERDAY = timedelta(1)


def read(obj: Any, views: int = 5, days_ago: int = 1) -> Any:
    Hits.objects.create(date=live.today() - timedelta(days_ago), content_object=obj, views=views)
    return obj


def render(template: str, **context: Any) -> str:
    return engines["django"].from_string("{% load fasthits %}" + template).render(context)


# Deleting


@pytest.mark.parametrize("action", ["page", "list"])
def test_a_user_who_may_delete_an_object_may_delete_its_history_with_it(action: str) -> None:
    release = read(read(PressRelease.objects.create(title="A", slug="a")), days_ago=2)
    other = read(PressRelease.objects.create(title="B", slug="b"))
    user = User.objects.create_user("editor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_pressrelease", "delete_pressrelease"]))
    client = Client()
    client.force_login(user)
    if action == "page":
        where, form = f"/admin/django_app/pressrelease/{release.pk}/delete/", {"post": "yes"}
    else:
        where = "/admin/django_app/pressrelease/"
        form = {"action": "delete_selected", "_selected_action": str(release.pk), "post": "yes"}
    if action == "page":
        confirmation = client.get(where).content.decode()
        assert "hits" not in confirmation  # the page does not list its days one by one
    assert client.post(where, form).status_code == 302
    assert list(PressRelease.objects.all()) == [other]
    assert [hits.content_object for hits in Hits.objects.all()] == [other]


def test_the_admin_cannot_edit_or_delete_history() -> None:
    hits = Hits.objects.get(object_id=str(read(PressRelease.objects.create(title="A", slug="a")).pk))
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for page in ("add", f"{hits.pk}/change", f"{hits.pk}/delete"):
        assert client.post(f"/admin/fasthits/hits/{page}/", {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": hits.pk, "post": "yes"}
    client.post("/admin/fasthits/hits/", form)
    assert Hits.objects.count() == 1


@pytest.mark.parametrize("how", ["object", "queryset", "proxy", "twice"])
def test_history_is_deleted_with_its_object(how: str) -> None:
    gone, kept = (read(PressRelease.objects.create(title=name, slug=name)) for name in "ab")
    read(Photo.objects.create(caption="x"))
    if how == "proxy":
        Headline.objects.get(pk=gone.pk).delete()
    elif how == "queryset":
        PressRelease.objects.filter(pk=gone.pk).delete()
    else:
        gone.delete()
    assert {str(hits.content_object) for hits in Hits.objects.all()} == {str(kept), "x"}


def test_many_objects_are_deleted_with_a_few_queries() -> None:
    for number in range(30):
        read(PressRelease.objects.create(title="x", slug=f"x{number}"))
    kept = read(PressRelease.objects.create(title="y", slug="y"))
    with CaptureQueriesContext(connection) as made:
        number, _ = PressRelease.objects.exclude(pk=kept.pk).delete()
    assert number == 30
    assert len(made) < 10
    assert [hits.content_object for hits in Hits.objects.all()] == [kept]


def test_history_is_deleted_with_objects_if_the_site_listens_to_its_deletion() -> None:
    gone = [read(PressRelease.objects.create(title=name, slug=name)) for name in "ab"]
    heard = []

    def hear(instance: Hits, **_: object) -> None:
        heard.append(instance.views)

    post_delete.connect(hear, sender=Hits)
    try:
        PressRelease.objects.filter(pk__in=[each.pk for each in gone]).delete()
    finally:
        post_delete.disconnect(hear, sender=Hits)
    assert len(heard) == 2
    assert not Hits.objects.exists()


def test_a_deletion_that_is_rolled_back_leaves_the_history() -> None:
    release = read(PressRelease.objects.create(title="A", slug="a"))
    with transaction.atomic():
        release.delete()
        transaction.set_rollback(True)
    assert Hits.objects.count() == 1


# Other databases


class HitsElsewhere:
    """Routes the history and the content types to another database."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "stats" if model._meta.app_label == "fasthits" else None

    db_for_write = db_for_read

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if app_label == "fasthits":
            return db == "stats"
        return app_label == "contenttypes" if db == "stats" else None


def drop_tables() -> None:
    """Drop the tables of fasthits. After the test they are restored."""
    for table in ("fasthits_mostread", "fasthits_hits"):
        connection.cursor().execute(f"DROP TABLE {table}")


@pytest.fixture
def second_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A second database, with the history. The site's database has tables for it, too."""
    where = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "stats.sqlite3")}
    connections.settings["stats"] = connections.configure_settings({"default": {}, "stats": where})["stats"]
    monkeypatch.setattr(router, "routers", [HitsElsewhere()])
    monkeypatch.setattr(expressions, "_with_history", set())
    ContentType.objects.clear_cache()
    call_command("migrate", database="stats", verbosity=0)
    yield "stats"
    connections["stats"].close()
    del connections["stats"], connections.settings["stats"]
    ContentType.objects.clear_cache()


@pytest.fixture
def stats(second_database: str) -> str:
    """A second database, and the only one with the history."""
    drop_tables()
    return second_database


ELSEWHERE = (
    "no number is shown: LookupError: the history is not in the database 'default' "
    "(it is in 'stats': a query reads one database)"
)


def test_history_in_another_database(
    stats: str, parse_log: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Objects can be deleted, and pages show the numbers that need only one database."""
    from tests.support.logger import DAY, access_lines

    release, other = (PressRelease.objects.create(title=name, slug=name) for name in "ab")
    parse_log(access_lines(["/press/a/"] * 3 + ["/press/b/"]))
    assert dict(Hits.objects.using("stats").values_list("date", "views").filter(views=3)) == {DAY: 3}
    assert (release.hits_total, [hit.views for hit in release.hits], bool(other.hits)) == (3, [3], True)
    listed = PressRelease.objects.with_hits().order_by("-hits_all_days", "pk")  # a query cannot use two databases
    assert [obj.hits_all_days for obj in listed] == [UNKNOWN, UNKNOWN]
    assert (
        render("{% for obj in all %}[{{ obj.hits_all_days }}{{ obj|hits:None }}]{% endfor %}", all=listed) == "[3][1]"
    )
    assert most_read(PressRelease) == Hits.objects.most_read(PressRelease.objects.using("default")) == []
    assert [record.message for record in caplog.records] == [ELSEWHERE]
    release.delete()
    other.delete()
    assert PressRelease.objects.count() == 0
    assert Hits.objects.using("stats").count() == 2  # they are deleted at a commit, and this test makes none


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_old_tables_in_the_database_of_the_objects_are_not_taken_for_the_history(
    second_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A site made them before its router sent the history elsewhere, or its router lets `migrate` make them there."""
    release = PressRelease.objects.create(title="a", slug="a")
    kind = ContentType.objects.db_manager("default").get_for_model(PressRelease)
    day = live.today() - timedelta(1)
    Hits.objects.using("default").create(date=day, content_type_id=kind.pk, object_id=str(release.pk), views=3)
    read(release)
    assert (release.hits_total, views_by_day(release, 7)[day]) == (5, 5)
    assert [obj.hits_7_days for obj in PressRelease.objects.with_hits(7)] == [UNKNOWN]
    assert most_read(PressRelease) == most_read(PressRelease, days=20) == []
    assert [record.message for record in caplog.records] == [ELSEWHERE]


class ObjectsElsewhere:
    """Routes the site's objects to another database, and says nothing about their history."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "stats" if model._meta.app_label == "django_app" else None

    db_for_write = db_for_read


def test_objects_in_another_database_have_the_same_history_prefetched(
    second_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a router, Django looks for related rows in the database of the object."""
    with connections[second_database].schema_editor() as editor:
        editor.create_model(PressRelease)
    monkeypatch.setattr(router, "routers", [ObjectsElsewhere()])
    release = read(PressRelease.objects.create(title="a", slug="a"))
    (prefetched,) = PressRelease.objects.prefetch_related("hits")
    assert [hit.views for hit in prefetched.hits] == [hit.views for hit in release.hits] == [5]


def test_a_database_without_content_types_is_an_error_of_the_check(stats: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_routers() == []
    monkeypatch.setattr(HitsElsewhere, "allow_migrate", lambda self, db, app_label, **_: app_label == "fasthits")
    (error,) = check_routers()
    assert (error.id, str(error.hint).endswith("manage.py migrate --database stats")) == ("fasthits.E007", True)


def test_before_the_first_migrate_commands_say_what_to_type(database: dict[str, Any], tmp_path: Path) -> None:
    """The table of content types is missing, too. `manage.py check` finds nothing wrong with that."""
    env = environment(new_mark(), {"SITE_DATABASE": json.dumps(fresh_database(database, tmp_path))})
    command = [sys.executable, "-m", "tests.django_app", "export_hits"]
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("(manage.py migrate; if that does not help, manage.py check)\n")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_content_types_come_from_the_database_of_the_history(stats: str, parse_log: Callable[..., Any]) -> None:
    """The same number may belong to another model in the other database. The history would be that of other objects."""
    from tests.support.logger import DAY, access_lines

    release = PressRelease.objects.create(title="a", slug="a")
    kinds = ContentType.objects.using(stats)
    number = ContentType.objects.get_for_model(Tag).pk
    kinds.filter(pk=number).update(id=9999)
    kinds.filter(app_label="django_app", model="pressrelease").update(id=number)
    parse_log(access_lines(["/press/a/"] * 3))
    assert [hit.views for hit in PressRelease.objects.prefetch_related("hits").get().hits.all()] == [3]
    assert list(ranking.objects_of(Hits.objects.values_list("content_type", "object_id")).values()) == [release]
    row = Hits(content_object=release, date=DAY, views=1)
    assert row.content_type_id == number


def test_history_in_another_database_is_deleted_when_the_deletion_is_committed(
    database: dict[str, Any], stats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.test.testcases import TestCase

    release = PressRelease.objects.create(title="a", slug="a")
    kind = ContentType.objects.db_manager("stats").get_for_model(PressRelease)
    Hits.objects.create(date=date(2026, 3, 12), content_type_id=kind.pk, object_id=str(release.pk), views=3)
    with TestCase.captureOnCommitCallbacks(execute=True):
        release.delete()
    assert Hits.objects.count() == 0


SHOWN = (
    "{{ obj.hits_total }}{{ obj.hits_ever }}{{ obj|hits:7 }}"
    "{% with change=obj|hits_change:7 %}{{ change.views }}{{ change.percent|default:'' }}{% endwith %}"
    "{% if obj.hits %}{{ obj.hits.0.views }}{% endif %}{% for hit in obj.hits %}{{ hit.views }}{% endfor %}"
    "{% for hit in obj.hits|slice:':7' %}{{ hit.views }}{% endfor %}{{ obj.hits.0.views }}{% sparkline obj %}"
    "{% for other in all|with_views_by_day:7 %}{% sparkline other days=7 %}{% endfor %}"
)
"""All that a template can show of the history of an object."""


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@override_settings(FASTHITS={"LIVE": False})
def test_pages_are_shown_without_numbers_while_a_separate_database_is_away(
    stats: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = PressRelease.objects.create(title="a", slug="a")
    kind = ContentType.objects.db_manager("stats").get_for_model(PressRelease)
    Hits.objects.create(date=live.today() - YESTERDAY, content_type_id=kind.pk, object_id=str(release.pk), views=3)
    objects = PressRelease.objects.with_hits(7)
    file = tmp_path / "stats.sqlite3"
    whole = file.read_bytes()

    def show() -> str:
        return "".join(render(SHOWN, obj=obj, all=objects.all()) for obj in objects.all()).strip()

    assert "33333333" in show()
    connections["stats"].close()
    file.write_bytes(b"no database" * 100)
    separate._pauses_of.cache_clear()
    live.forget()
    caplog.clear()
    assert show() == ""
    assert (release.hits_total, release.hits_ever, list(release.hits), len(release.hits)) == (UNKNOWN, UNKNOWN, [], 0)
    with pytest.raises(DatabaseError):
        release.hits.count()
    said = [record.message for record in caplog.records if "'default'" not in record.message]
    assert said == ["no number is shown: the database 'stats' of the history fails: file is not a database"]
    connections["stats"].close()
    caplog.clear()
    gc.collect()  # Django loses a connection to a file that is no database, and Python 3.13 warns of it
    file.write_bytes(whole)
    assert show() == "", "no page asks it again at once"
    separate._pauses_of("stats")._paused_until = 0.0
    assert "33333333" in show()


def test_an_error_of_the_sites_own_database_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("away")

    release = PressRelease.objects.create(title="a", slug="a")
    monkeypatch.setattr(models, "_rows", fail)
    with pytest.raises(OperationalError, match="away"):
        render("{{ obj|hits:7 }}", obj=release)


# Before migrate, at import, in async views


@pytest.fixture
def no_tables(database: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that does not have the tables of fasthits yet."""
    monkeypatch.setattr(expressions, "_with_history", set())
    drop_tables()


def test_before_migrate_pages_show_no_number_and_objects_can_be_deleted(
    no_tables: None, caplog: pytest.LogCaptureFixture
) -> None:
    release = PressRelease.objects.create(title="A", slug="a")
    page = "{{ obj|hits:7 }} {{ obj.hits_total }} {% sparkline obj %}"
    assert render(page + "{% most_read 'django_app.PressRelease' as top %}{{ top }}", obj=release).startswith("0 0 ")
    assert [obj.hits_7_days for obj in PressRelease.objects.with_hits(7).order_by("-hits_7_days")] == [0]
    release.delete()
    assert PressRelease.objects.count() == 0
    assert [record.message for record in caplog.records] == [
        "no number is shown: LookupError: no table fasthits_hits in the database 'default' (manage.py migrate)"
    ]


def test_an_object_can_be_deleted_if_only_the_last_migration_is_missing(
    monkeypatch: pytest.MonkeyPatch, parse_log: Callable[..., Any]
) -> None:
    from tests.support.logger import access_lines

    monkeypatch.setattr(expressions, "_with_history", set())
    connection.cursor().execute("DROP TABLE fasthits_mostread")
    release = PressRelease.objects.create(title="A", slug="a")
    assert most_read(PressRelease) == []
    with pytest.raises(CommandError, match=r"\(manage.py migrate, then run it again\)$"):
        parse_log(access_lines(["/press/a/"]))
    release.delete()
    assert PressRelease.objects.count() == 0


@pytest.mark.parametrize(
    ("command", "failed"),
    [
        (["parse_log", "2026-03-12", "--partial"], "cannot save hits, nothing changed"),
        (["prune_hits", "--keep", "3"], "cannot delete hits, nothing changed"),
        (["export_hits"], "cannot read hits"),
        (["import_hitcount"], "cannot take over hits"),
    ],
)
def test_a_database_error_is_one_line_that_says_what_to_type(
    no_tables: None, tmp_path: Path, command: list[str], failed: str
) -> None:
    from tests.support.logger import access_lines

    (tmp_path / "log").write_bytes(access_lines(["/press/a/"]))
    logs = ["--logs", f"{tmp_path}/log"] if command[0] == "parse_log" else []
    with pytest.raises(CommandError, match=rf"^{failed}: .*fasthits_hits.* \(manage\.py migrate\)$"):
        call_command(*command, *logs)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_output_that_cannot_be_written_is_one_line(database: dict[str, Any]) -> None:
    env = environment(new_mark(), {"SITE_DATABASE": json.dumps(database)})
    command = [sys.executable, "-m", "tests.django_app", "export_hits"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=PROJECT, env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    said = b"CommandError: cannot write: standard output (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_queryset_of_a_class_touches_no_database_until_it_is_used() -> None:
    ContentType.objects.clear_cache()
    with CaptureQueriesContext(connection) as queries:
        objects = PressRelease.objects.with_hits(days=1).with_hits()
        with_hits(Photo.objects.all(), 7)
        Hits.objects.for_object(PressRelease(pk=1))
    assert len(queries) == 0
    read(PressRelease.objects.create(title="A", slug="a"))
    with CaptureQueriesContext(connection) as queries:
        assert [(obj.hits_1_days, obj.hits_all_days) for obj in objects] == [(5, 5)]
    assert len(queries) == 1


def test_the_first_day_of_a_queryset_moves_with_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    read(PressRelease.objects.create(title="A", slug="a"))
    objects = PressRelease.objects.with_hits(days=1)
    assert objects.all().get().hits_1_days == 5
    tomorrow = live.today() + timedelta(1)
    monkeypatch.setattr(live, "today", lambda: tomorrow)
    assert objects.all().get().hits_1_days == 0


def fresh_database(database: dict[str, Any], place: Path) -> dict[str, Any]:
    """Return another database without any table, of the same kind."""
    if "sqlite3" in database["ENGINE"]:
        return database | {"NAME": str(place / "db.sqlite3")}
    name = f"fresh_{uuid4().hex}"
    with psycopg.connect(
        host=database["HOST"], user=database["USER"], dbname=database["NAME"], autocommit=True
    ) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return database | {"NAME": name}


def test_migrate_works_on_a_fresh_database_with_a_queryset_of_a_class(database: dict[str, Any], tmp_path: Path) -> None:
    """Import the site with a database that has no table, as the first `migrate` does."""
    program = """
import django
django.setup()
from tests.django_app.models import PressRelease
from django.views.generic import DetailView
from django.core.management import call_command
class Page(DetailView):
    queryset = PressRelease.objects.with_hits(days=7)
call_command("migrate", run_syncdb=True, verbosity=0)
print(list(Page.queryset.all()))
"""
    where = json.dumps(fresh_database(database, tmp_path))
    env = {"DJANGO_SETTINGS_MODULE": "tests.django_app.settings", "SITE_DATABASE": where}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment(new_mark(), env), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_async_views_with_a_cold_cache_of_content_types(count_today: CountToday) -> None:
    release = read(PressRelease.objects.create(title="A", slug="a"))
    count_today(["/press/a/"] * 2)
    ContentType.objects.clear_cache()

    async def view() -> list[Any]:
        objects = [obj.hits_7_days async for obj in PressRelease.objects.with_hits(7)]
        most = [obj.hits_7_days for obj in await sync_to_async(most_read)(PressRelease)]
        days = [hit.views async for hit in release.hits.all()]
        return [release.hits_today, await release.hits.acount(), *objects, *most, *days]

    assert async_to_sync(view)() == [2, 1, 5, 5, 5]


def test_a_model_without_rows() -> None:
    assert Hits.objects.most_read(Tag) == most_read(Tag) == []
    tag = Tag.objects.create(name="x")
    assert (tag.hits_total, sum_hits(tag, 7), list(tag.hits), tag.hits_ever) == (0, 0, [], 0)
    assert set(views_by_day(tag, 3).values()) == {0}


# Without memcached


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_site_without_memcached(
    memcached: Memcached, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QuickReader", None)
    monkeypatch.setattr(PressRelease, "get_absolute_url", None)  # it may make queries
    release = read(PressRelease.objects.create(title="A", slug="a"))
    with override_settings(FASTHITS=settings.FASTHITS | {"MEMCACHED": memcached.spec, "LIVE": False}):
        assert release.hits_today is UNKNOWN
        assert live.with_hits_today([release])[0].hits_today is UNKNOWN
        assert render("Read {% hits_today obj %}{{ obj.hits_today }}times", obj=release) == "Read times"
        assert (release.hits_total, release.hits_ever) == (5, 5)
    assert caplog.records == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("language", "grouping"), [("en", False), ("en", True), ("de", True), ("ar", True)])
def test_an_unknown_number_is_0_in_sums_and_shows_nothing(language: str, grouping: bool) -> None:
    with override_settings(USE_THOUSAND_SEPARATOR=grouping), translation.override(language):
        template = "[{{ n }}][{{ n|add:1 }}][{% if n %}y{% endif %}][{% if n > 5 %}y{% endif %}]"
        template += "[{% if n.unknown %}y{% endif %}]"
        assert render(template, n=UNKNOWN) == "[][1][][][y]"
        assert render(template, n=7) == "[7][8][y][y][]"
    assert (UNKNOWN + 5, sum([UNKNOWN, 2]), f"{UNKNOWN}|{UNKNOWN:,}", str(UNKNOWN)) == (5, 2, "|", "")
    assert (json.dumps([UNKNOWN]), sorted([1, UNKNOWN]), {0: "x"}[UNKNOWN]) == ("[0]", [0, 1], "x")
    assert UNKNOWN == 0
    assert UNKNOWN != 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "wrong",
    [
        {"MEMCACHED": "a b"},
        {"MEMCACHED": "127.0.0.1:1", "TIME_ZONE": "Mars"},
        {"PREFIX": "a b"},
        {"CACHE": "none"},
        {"RULES": {"x": 1}},
        {"LIVE": "False"},
        {"CONFIG": "none.toml"},
        None,
    ],
)
def test_wrong_settings_break_no_page(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    release = read(PressRelease.objects.create(title="A", slug="a"))
    with override_settings(FASTHITS=wrong):
        page = "{% hits_today obj %} {{ obj|hits:7 }} {% sparkline obj %}{{ obj|signed_path }}"
        assert " 5 <figure" in render(page, obj=release)
        render(page, obj=release)
    assert caplog.records
    messages = [record.message for record in caplog.records]
    assert len(messages) == len(set(messages)), "each once"


# Multi-table inheritance


def test_hits_of_a_multi_table_child_count_for_its_parent(
    parse_log: Callable[..., Any],
) -> None:
    from tests.support.logger import DAY, access_lines

    restaurant = Restaurant.objects.create(name="R")
    place = Place.objects.get(pk=restaurant.pk)
    parse_log(access_lines([restaurant.get_absolute_url()] * 3 + [place.get_absolute_url()]))
    for obj in (place, restaurant):
        assert (obj.hits_total, [(hit.date, hit.views) for hit in obj.hits]) == (4, [(DAY, 4)])
        assert type(obj).objects.with_hits().get().hits_all_days == 4
        (fetched,) = type(obj).objects.prefetch_related("hits")
        assert [hit.views for hit in fetched.hits.all()] == [4]
        if connection.vendor == "sqlite":  # other databases do not compare a text with a number
            assert type(obj).objects.filter(hits__views=4).get() == obj
    assert Hits.objects.get().content_object == place
    restaurant.delete(keep_parents=True)
    assert place.hits_total == 4
    Place.objects.get().delete()
    assert Hits.objects.count() == 0


@pytest.mark.parametrize("model", [Place, Restaurant])
def test_the_deletion_of_a_child_leaves_nothing_behind(model: type[HitsMixin]) -> None:
    restaurant = read(Restaurant.objects.create(name="R"))
    model.objects.get(pk=restaurant.pk).delete()
    assert Hits.objects.count() == Place.objects.count() == 0


def test_migrate_joins_the_histories_of_a_child_and_its_parent() -> None:
    """In earlier versions a child had its own rows."""
    from importlib import import_module

    from django.apps import apps

    restaurant = Restaurant.objects.create(name="R")
    child, parent = (ContentType.objects.get_for_model(model) for model in (Restaurant, Place))
    first, second = date(2026, 3, 11), date(2026, 3, 12)
    for kind, day, views in ((child, first, 1), (child, second, 2), (parent, second, 40)):
        Hits.objects.create(date=day, content_type=kind, object_id=str(restaurant.pk), views=views)
    other = read(PressRelease.objects.create(title="A", slug="a"), 7)
    with connection.schema_editor() if connection.vendor != "sqlite" else _Editor() as editor:
        import_module("fasthits.django.migrations.0002_most_read").join_histories(apps, editor)
    assert dict(restaurant.hits.values_list("date", "views")) == {first: 1, second: 42}
    assert Hits.objects.filter(content_type=parent).count() == 2
    assert (Hits.objects.count(), other.hits_total) == (3, 7)


class _Editor:
    connection = connection

    def __enter__(self) -> "_Editor":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_hits_ever_counts_today_once(count_today: CountToday) -> None:
    release = read(read(PressRelease.objects.create(title="A", slug="a"), 100), 4, days_ago=0)
    count_today(["/press/a/"] * 6)
    assert (release.hits_total, release.hits_ever) == (104, 106)
    assert sum_hits_ever(live.with_hits_today([release])[0]) == 106
    with override_settings(FASTHITS={"TIME_ZONE": "Europe/Berlin", "LIVE": False}):
        assert PressRelease.objects.get().hits_ever == 104


def test_the_tests_use_the_logger_of_the_manual() -> None:
    assert live.log is logging.getLogger("fasthits.django")
