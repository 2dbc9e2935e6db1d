"""`manage.py parse_log`: from log lines to the `Hits` of objects."""

import io
import json
import random
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError
from django.db import connection, connections, router
from django.db import models as fields
from django.test.utils import CaptureQueriesContext, isolate_apps, override_settings
from django.urls import set_script_prefix

from fasthits.django import history
from fasthits.django.explain import explain_path
from fasthits.django.models import Hits
from tests.django.support import ParseLog, history_of
from tests.django_app.models import Day, Issue, Note, OldSlug, Photo, PressRelease, Tag
from tests.support.commands import write
from tests.support.logger import DAY, access_line, access_lines

pytestmark = pytest.mark.usefixtures("tables")


def test_every_kind_of_primary_key_view_and_url_finds_its_object(parse_log: ParseLog, release: PressRelease) -> None:
    photo, tag = Photo.objects.create(caption="x"), Tag.objects.create(name="café au lait")
    issue, other = (Issue.objects.create(year=year, number=7) for year in (2025, 2026))
    objects = [release, photo, tag, issue, other]
    assert tag.get_absolute_url() == "/tags/caf%C3%A9%20au%20lait"
    parse_log(access_lines([obj.get_absolute_url() for n, obj in enumerate(objects, 1) for _ in range(n)]))
    assert [history_of(obj) for obj in objects] == [{DAY: number} for number in range(1, 6)]
    assert [hits.content_object for hits in Hits.objects.order_by("views")] == objects
    assert [obj.hits.get().object_id for obj in objects] == [str(obj.pk) for obj in objects]


def test_the_paths_of_one_object_add_up(parse_log: ParseLog, release: PressRelease) -> None:
    OldSlug.objects.create(slug="old", press_release=release)
    paths = ["/press/a/", "/press/a", "/press/%61/", "/press/old/", "/press/old", "http://site.example/press/a/"]
    paths += [f"/numbers/{release.pk}/", f"/numbers/00{release.pk}/", "/latest/"]
    out, err = parse_log(access_lines(paths) + access_line("/press/a/", query="?page=2"))
    assert history_of(release) == {DAY: len(paths) + 1}
    assert Hits.objects.count() == 1
    assert "10 hits of 1 object saved for 2026-03-12\n" in out
    assert err == ""


def test_paths_without_an_object_are_left_out_and_listed(parse_log: ParseLog, release: PressRelease) -> None:
    hidden = Photo.objects.create(caption="hidden")
    paths = ["/press/a/edit/", "/press/about/a/", "/press/", "/about/", "/admin/", "/no/such/page", "/press/none/"]
    paths += [hidden.get_absolute_url(), f"/photos/{uuid.uuid4()}/", "/press/a/\\x1b[2J"]
    out, err = parse_log(access_lines([*paths, *paths, "/press/a/", "/about/"]), verbosity=2)
    assert history_of(release) == {DAY: 1}
    assert Hits.objects.count() == 1
    assert f"{2 * len(paths) + 1} hits of {len(paths)} paths with no object\n" in out
    listed = out.splitlines()[-len(paths) :]
    assert listed[0].split() == ["3", "/about/"]
    assert {line.split(maxsplit=1)[1] for line in listed} == set(paths)
    assert err == ""


def test_an_error_of_the_site_affects_only_its_path(parse_log: ParseLog, release: PressRelease) -> None:
    Note.objects.create(slug="a")
    out, err = parse_log(access_lines(["/broken/boom/", "/error/", "/notes/a/", "/press/a/"]))
    assert history_of(release) == {DAY: 1}
    assert "cannot resolve /broken/boom/: ZeroDivisionError: this converter is broken\n" in err
    assert "cannot resolve /error/: LookupError: no such page \\x1b[31m\n" in err
    assert "cannot resolve /notes/a/: FieldError: " in err
    assert "3 hits of 3 paths with no object\n" in out


@pytest.mark.parametrize(
    "path",
    [
        "/numbers/99999999999999999999999999/",
        "/issues/99999999999999999999/1/",
        "/tags/a%00b",
        "/tags/%FF%FE",
        "/tags/",
        "/tags/" + "x" * 3000,
        "/press/\\xff\\n\\\\/",
        "//",
        "/%",
        "http://",
        "https://site.example",
    ],
)
def test_hostile_paths_break_neither_the_run_nor_the_database(
    parse_log: ParseLog, release: PressRelease, path: str
) -> None:
    out, err = parse_log(access_lines([path, "/press/a/"]))
    assert history_of(release) == {DAY: 1}
    assert "1 hit of 1 path with no object" in out
    assert err == ""


def test_a_path_that_matches_two_objects_is_an_error(parse_log: ParseLog) -> None:
    for _ in range(2):
        Issue.objects.create(year=2026, number=1)
    _, err = parse_log(access_lines(["/issues/2026/1/"]))
    assert "cannot resolve /issues/2026/1/: MultipleObjectsReturned: 2 objects of Issue by year, number\n" in err
    assert not Hits.objects.exists()


def test_an_object_whose_key_is_too_long_for_the_history_is_an_error_and_the_others_are_saved(
    parse_log: ParseLog, release: PressRelease
) -> None:
    def find(path: str, match: Any) -> Any:
        return Tag(pk="é" * int(path.strip("/"))) if path.strip("/").isdigit() else None

    with override_settings(FASTHITS={"RESOLVER": find, "TIME_ZONE": "Europe/Berlin"}):
        _, err = parse_log(access_lines(["/press/a/", "/255/", "/256/"]))
    said = "the primary key of the django_app.Tag has 256 characters, and the history takes up to 255"
    assert err == f"cannot resolve /256/: ValueError: {said}\n"
    assert history_of(release) == {DAY: 1}


def test_an_object_whose_key_the_history_cannot_have_is_an_error_and_the_others_are_saved(
    parse_log: ParseLog, release: PressRelease
) -> None:
    Day.objects.create(day=DAY, slug="a")

    def find(path: str, match: Any) -> Any:
        return {"/new/": PressRelease(slug="x"), "/day/": Day(day=DAY)}.get(path)

    with override_settings(FASTHITS={"RESOLVER": find, "TIME_ZONE": "Europe/Berlin"}):
        out, err = parse_log(access_lines(["/press/a/", "/days/a/", "/day/", "/new/"]))
    of_days = "the primary key of the django_app.Day is a DateField, and the history takes integers, UUIDs and text"
    unsaved = "the django_app.PressRelease is not saved: it has no primary key"
    assert set(err.splitlines()) == {
        f"cannot resolve /days/a/: ValueError: {of_days}",
        f"cannot resolve /day/: ValueError: {of_days}",
        f"cannot resolve /new/: ValueError: {unsaved}",
    }
    assert "1 hit of 1 object saved for 2026-03-12\n3 hits of 3 paths with no object\n" in out
    assert history_of(release) == {DAY: 1}


def test_an_object_with_a_composite_key_is_an_error_and_the_others_are_saved(
    parse_log: ParseLog, release: PressRelease
) -> None:
    composite = getattr(fields, "CompositePrimaryKey", None)  # since Django 5.2
    if composite is None:
        pytest.skip("this Django has no composite keys")
    with isolate_apps("tests.django_app"):
        columns = {"a": fields.IntegerField(), "b": fields.IntegerField(), "pk": composite("a", "b")}
        meta = type("Meta", (), {"app_label": "django_app"})
        pair = type("Pair", (fields.Model,), {"__module__": __name__, "Meta": meta} | columns)
    find = {"/pair/": pair(a=1, b=2)}.get
    with override_settings(FASTHITS={"RESOLVER": lambda path, match: find(path), "TIME_ZONE": "Europe/Berlin"}):
        _, err = parse_log(access_lines(["/press/a/", "/pair/"]))
    assert err.startswith("cannot resolve /pair/: ValueError: the primary key of the django_app.Pair is a Composite")
    assert history_of(release) == {DAY: 1}


def test_a_second_run_changes_nothing_and_a_new_log_replaces_the_day(
    parse_log: ParseLog, release: PressRelease
) -> None:
    other = PressRelease.objects.create(title="B", slug="b")
    before = DAY - timedelta(1)
    Hits.objects.create(date=before, content_object=release, views=5)
    lines = access_lines(["/press/a/"] * 3 + ["/press/b/"])
    for _ in range(2):
        parse_log(lines)
        assert (history_of(release), history_of(other)) == ({before: 5, DAY: 3}, {DAY: 1})
    parse_log(access_lines(["/press/a/"] * 4 + ["/press/b/"]))
    assert (history_of(release), history_of(other)) == ({before: 5, DAY: 4}, {DAY: 1})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", "the log is empty, left unchanged: 2026-03-12 ("),
        (b"no line\n" * 3, "none of 3 lines can be read, left unchanged: 2026-03-12 (tried as combined, "),
        (access_line("/press/a/", DAY + timedelta(1)), "no line of the day, left unchanged: 2026-03-12 (the log has "),
        (access_line("/press/a/") * 4, "fewer hits than are kept, left unchanged: 2026-03-12: 4 counted, 5 kept (is a"),
        (access_line("/nothing/") * 9, "fewer hits than are kept, left unchanged: 2026-03-12: 0 counted, 5 kept (is a"),
        (access_line("/press/a/", method="POST"), "fewer hits than are kept, left unchanged: 2026-03-12: 0 counted, "),
    ],
)
def test_a_saved_day_is_not_replaced_by_fewer_hits(
    parse_log: ParseLog, release: PressRelease, lines: bytes, message: str
) -> None:
    other = PressRelease.objects.create(title="B", slug="b")
    parse_log(access_lines(["/press/a/"] * 2 + ["/press/b/"] * 3))
    with pytest.raises(CommandError) as error:
        parse_log(lines)
    assert (error.value.returncode, str(error.value)[: len(message)]) == (1, message)
    assert (history_of(release), history_of(other)) == ({DAY: 2}, {DAY: 3})
    if "fewer" in message:
        out, _ = parse_log(lines, str(DAY), "--replace")
        assert f"{lines.count(b'GET /press/a/')} hits of {'1 object' if b'GET /press/' in lines else '0 obj'}" in out
        assert sum(history_of(release).values()) == lines.count(b"GET /press/a/")
        assert history_of(other) == {}


def test_hits_of_deleted_objects_are_not_reported_as_missing(parse_log: ParseLog, release: PressRelease) -> None:
    other = PressRelease.objects.create(title="B", slug="b")
    lines = access_lines(["/press/a/"] * 2 + ["/press/b/"] * 3)
    parse_log(lines)
    other.delete()
    parse_log(lines)
    assert history_of(release) == {DAY: 2}


def test_objects_with_keys_of_19_digits_have_a_history(parse_log: ParseLog) -> None:
    """Snowflake IDs have so many. PostgreSQL lost their rows."""
    releases = [
        PressRelease.objects.create(pk=key, slug=str(key))
        for key in (9, 1442337061234567890, fields.BigIntegerField.MAX_BIGINT)
    ]
    parse_log(access_lines([release.get_absolute_url() for release in releases]))
    assert {hits.content_object for hits in Hits.objects.all()} == set(releases)
    assert set(Hits.objects.most_read(PressRelease, days=100_000)) == set(releases)


class HidesAll(fields.Manager):
    """A manager that hides objects, as for deletions that can be undone."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


def test_objects_that_the_base_manager_hides_have_a_history(
    parse_log: ParseLog, release: PressRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = HidesAll()
    manager.model = PressRelease
    monkeypatch.setitem(vars(PressRelease._meta), "base_manager", manager)
    parse_log(access_lines(["/press/a/"]))
    assert history_of(release) == {DAY: 1}
    assert explain_path(b"/press/a/").obj == release


class ReadsFromReplica:
    """Lets all models be read from a replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"


@pytest.mark.parametrize("routers", [[], [ReadsFromReplica()]], ids=["", "replica"])
def test_an_object_that_is_deleted_during_the_run_leaves_nothing_behind(
    parse_log: ParseLog, release: PressRelease, monkeypatch: pytest.MonkeyPatch, routers: list[Any]
) -> None:
    monkeypatch.setitem(connections.settings, "replica", connections.settings["default"])
    monkeypatch.setattr(connections._connections, "replica", connections["default"], raising=False)
    monkeypatch.setattr(router, "routers", routers)
    others = [Photo.objects.create(), Tag.objects.create(name="x"), Issue.objects.create(year=2026, number=3)]
    gone = [Photo.objects.create(), Tag.objects.create(name="y"), release]
    save = history._save

    def delete_and_save(*arguments: Any) -> None:
        for obj in gone:
            type(obj).objects.filter(pk=obj.pk).delete()
        save(*arguments)

    monkeypatch.setattr(history, "_save", delete_and_save)
    parse_log(access_lines([obj.get_absolute_url() for obj in (*others, *gone)]))
    assert {hits.content_object for hits in Hits.objects.all()} == set(others)


def test_a_range_saves_the_other_days(parse_log: ParseLog, release: PressRelease, tmp_path: Path) -> None:
    days = [DAY + timedelta(number) for number in range(4)]
    Hits.objects.create(date=days[1], content_object=release, views=5)
    Hits.objects.create(date=days[3], content_object=release, views=2)
    write(tmp_path / f"{days[1]}.log", access_line("/press/a/", days[1]))
    write(tmp_path / f"{days[2]}.log", b"")
    write(tmp_path / f"{days[3]}.log", access_line("/press/a/", days[3]) * 7)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match=f"fewer hits than are kept, left unchanged: {days[1]}: 1 counted, 5 kept"):
        parse_log(access_line("/press/a/", days[0]), f"{days[0]}..{days[3]}", out=out, err=err)
    assert (
        f"8 hits of 1 object saved for {days[0]}, {days[3]}\nmore hits than were kept: {days[3]}: 7 counted, 2 kept\n"
        in out.getvalue()
    )
    assert f"no line of the day, left unchanged: {days[2]} (the log has " in err.getvalue()
    assert history_of(release) == {days[0]: 1, days[1]: 5, days[3]: 7}


def test_a_range_with_a_day_without_a_log(parse_log: ParseLog, release: PressRelease) -> None:
    first, second, third, fourth = (DAY + timedelta(number) for number in range(4))
    Hits.objects.create(date=third, content_object=release, views=9)
    parse_log(access_line("/press/a/", first), day=first)
    parse_log(access_line("/press/a/", first) + access_line("/press/a/", second) * 2, day=second)
    with pytest.raises(
        CommandError,
        match=rf"^no log file, left unchanged: {third} \(there are files for {first}\.\.{second}, {fourth}; ",
    ):
        parse_log(access_line("/press/a/", fourth) * 4, f"{first}..{fourth}", day=fourth)
    assert history_of(release) == {first: 2, second: 2, third: 9, fourth: 4}


def test_memory_too_small_for_all_paths_changes_nothing(
    parse_log: ParseLog, release: PressRelease, tmp_path: Path
) -> None:
    paths = [f"/no/{number}/{'x' * 3600}" for number in range(10_000)]
    lines = access_lines([*paths, "/press/a/", *paths, "/press/a"])
    for memory, several in (("32m", True), ("1G", False)):
        with override_settings(FASTHITS={}):
            out, _ = parse_log(lines, str(DAY), "--max-memory", memory, summary=tmp_path / "summary.json")
        assert history_of(release) == {DAY: 2}
        assert "20,000 hits of 10,000 paths with no object" in out
        assert (json.loads((tmp_path / "summary.json").read_text())["spooled"] > 0) == several


def refuse_views(number: int) -> None:
    """Make the database refuse every row with this number of views."""
    if connection.vendor == "sqlite":
        body = "BEGIN SELECT RAISE(ABORT, 'no more'); END"
    else:
        body = "EXECUTE FUNCTION refuse()"
        function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
        connection.cursor().execute(f"{function} AS $$ BEGIN RAISE EXCEPTION 'no more'; END $$")
    when = f"BEFORE INSERT ON fasthits_hits FOR EACH ROW WHEN (NEW.views = {number})"
    connection.cursor().execute(f"CREATE TRIGGER refusing {when} {body}")


def test_a_day_is_saved_as_a_whole_or_not_at_all(
    parse_log: ParseLog, release: PressRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(20))
    monkeypatch.setattr(history, "SAVED_ROWS", 10)
    Hits.objects.create(date=DAY, content_object=release, views=5)
    refuse_views(2)
    with pytest.raises(CommandError, match="cannot save hits, nothing changed: no more"):
        parse_log(access_lines([f"/press/x{number}/" for number in range(20)] + ["/press/x19/"] + ["/press/a/"] * 5))
    assert history_of(release) == {DAY: 5}
    assert Hits.objects.count() == 1


def queries_of(parse_log: ParseLog, paths: list[str]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        parse_log(access_lines(paths), str(DAY), "--replace", verbosity=0)
    statements = [query["sql"] for query in queries.captured_queries]
    return [sql for sql in statements if sql.startswith(("SELECT", "DECLARE")) and 'FROM "django_app_' in sql]


def test_a_model_takes_one_query_however_many_paths_and_objects_there_are(parse_log: ParseLog) -> None:
    PressRelease.objects.bulk_create(PressRelease(title="x", slug=f"x{number}") for number in range(2000))
    photos = Photo.objects.bulk_create(Photo(caption="x") for _ in range(2000))
    ContentType.objects.get_for_models(PressRelease, Photo, Hits)
    with override_settings(FASTHITS={}):
        few = queries_of(parse_log, ["/press/x1/", photos[1].get_absolute_url(), "/nothing/", "/press/none/"])
        many = [f"/press/x{number}/" for number in range(3000)] + [photo.get_absolute_url() for photo in photos]
        random.Random(1).shuffle(many)
        all_of_them = queries_of(parse_log, [*many, *(f"/nothing/{number}/" for number in range(3000))])
    assert (len(few), len(all_of_them)) == (2, 2)
    assert all(" IN (" in sql for sql in few)  # by value, not by reading the whole table
    assert Hits.objects.filter(views=1).count() == 4000


def test_paths_come_in_batches_that_add_up(
    parse_log: ParseLog, release: PressRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH_PATHS", 2)
    paths = ["/press/a/", "/no/1", "/no/2", "/press/a", "/no/3", "/no/3", "/press/%61/"]
    out, _ = parse_log(access_lines(paths), verbosity=2)
    assert history_of(release) == {DAY: 3}
    assert "4 hits of 3 paths with no object" in out
    assert out.splitlines()[-3].split() == ["2", "/no/3"]


def test_a_site_below_a_prefix(parse_log: ParseLog, release: PressRelease) -> None:
    set_script_prefix("/site/")
    try:
        parse_log(access_lines(["/site/press/a/", release.get_absolute_url(), "/sitemap/"]))
    finally:
        set_script_prefix("/")
    assert history_of(release) == {DAY: 2}


@override_settings(ROOT_URLCONF="tests.django_app.urls_by_language", USE_I18N=True, LANGUAGE_CODE="en")
def test_a_site_in_several_languages(parse_log: ParseLog, release: PressRelease) -> None:
    parse_log(access_lines(["/en/press/a/", "/de/press/a/", "/xx/press/a/", "/press/a/"]))
    assert history_of(release) == {DAY: 2}


@override_settings(APPEND_SLASH=False)
def test_a_site_that_does_not_append_slashes(parse_log: ParseLog, release: PressRelease) -> None:
    parse_log(access_lines(["/press/a/", "/press/a"]))
    assert history_of(release) == {DAY: 1}
