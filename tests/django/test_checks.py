"""Mistakes in settings and models, as `manage.py check` reports them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.db import models
from django.test.utils import isolate_apps, override_settings

from fasthits.django import live
from fasthits.django.checks import check_models
from fasthits.django.conf import setting
from fasthits.django.models import HitsMixin
from tests.django_app.models import PressRelease

MEMCACHE = "django.core.cache.backends.memcached.PyMemcacheCache"


@contextmanager
def modify_caches(cache: dict[str, Any]) -> Iterator[None]:
    """Change the settings without a signal to Django's caches. Such a setting would break them."""
    with patch.object(settings._wrapped, "CACHES", {"default": cache}):
        setting.cache_clear()
        live.forget()
        yield
    setting.cache_clear()


def found() -> list[tuple[str, str]]:
    return [(message.id, message.msg) for message in run_checks() if message.id.startswith("fasthits.")]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"MEMCACHED": "web1:11211,web2:11211", "PREFIX": "site:3:", "CACHE": "default", "RULES": {"bots": "count"}},
        {"MEMCACHED": ["unix:/run/memcached.sock"], "LOGS": "/logs/%Y-%m-%d.log", "TIME_ZONE": "Europe/Berlin"},
        {"LIVE": False, "CONFIG": None, "TIME_ZONE": None, "ROLLUP": "/var/lib/fasthits.db"},
        {"MEMCACHED": None, "RESOLVER": "tests.django_app.urls.find_object"},
        {"RESOLVER": lambda path, match: None},
        {"LOGS": Path("/logs/access.log")},
        {"LOGS": [Path("/logs/web1.log"), "/logs/web2.log"]},
    ],
)
def test_valid_settings_give_no_error(settings: dict[str, Any]) -> None:
    with override_settings(FASTHITS=settings):
        assert found() == []


def test_an_empty_variable_is_none_as_for_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FASTHITS_MEMCACHED", "FASTHITS_TLS_CA", "FASTHITS_CONFIG", "FASTHITS_LOGS"):
        monkeypatch.setenv(name, "")
    with override_settings(FASTHITS={}):
        assert found() == []


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"MEMCACHE": "web1"}, "E002", "FASTHITS has an unknown key: 'MEMCACHE'."),
        ({"MEMCACHED": "web1:port"}, "E003", "FASTHITS[\"MEMCACHED\"]: not a memcached server: 'web1:port'."),
        ({"MEMCACHED": []}, "E003", 'FASTHITS["MEMCACHED"]: no memcached server: --memcached.'),
        ({"MEMCACHED": "web1", "TLS_CA": "ca.pem"}, "E003", 'FASTHITS["MEMCACHED"]: TLS files, but no TLS server'),
        ({"MEMCACHED": "tls://web1", "TLS_CA": "none.pem"}, "E003", 'FASTHITS["MEMCACHED"]: cannot use --tls-ca: none'),
        ({"TLS_CA": 5}, "E003", 'FASTHITS["TLS_CA"] is invalid: 5.'),
        ({"MEMCACHED": 11211}, "E003", 'FASTHITS["MEMCACHED"] is invalid: 11211.'),
        ({"PREFIX": "my site:"}, "E003", 'FASTHITS["PREFIX"]: key prefix with a space'),
        ({"PREFIX": None}, "E003", 'FASTHITS["PREFIX"]: not a key prefix: None.'),
        ({"LOGS": "/logs/%H.log"}, "E003", 'FASTHITS["LOGS"]: PATTERN names the time of day with %H: /logs/%H.log.'),
        ({"CACHE": "fast"}, "E003", "FASTHITS[\"CACHE\"]: no such cache: 'fast'."),
        ({"RESOLVER": "no.such.module"}, "E003", "FASTHITS[\"RESOLVER\"] is invalid: 'no.such.module'."),
        ({"RESOLVER": 5}, "E003", 'FASTHITS["RESOLVER"] is invalid: 5.'),
        ({"TIME_ZONE": "Mars"}, "E003", "FASTHITS[\"TIME_ZONE\"] is invalid: 'Mars'."),
        ({"TIME_ZONE": ""}, "E003", "FASTHITS[\"TIME_ZONE\"] is invalid: ''."),
        ({"MEMCACHED": {"LOCATION": "web1"}}, "E003", 'FASTHITS["MEMCACHED"] is invalid: {'),
        ({"LOGS": {"/logs/access.log": "combined"}}, "E003", 'FASTHITS["LOGS"] is invalid: {'),
        ({"LIVE": 1}, "E003", 'FASTHITS["LIVE"] is invalid: 1.'),
        ({"CONFIG": "none.toml"}, "E003", 'FASTHITS["CONFIG"]: cannot read config file: none.toml.'),
        ({"CONFIG": 5}, "E003", 'FASTHITS["CONFIG"] is invalid: 5.'),
        ({"ROLLUP": "mysql://x"}, "E003", "FASTHITS[\"ROLLUP\"] is invalid: 'mysql://x'."),
        ({"ROLLUP": ""}, "E003", "FASTHITS[\"ROLLUP\"] is invalid: ''."),
        ({"ROLLUP": 5}, "E003", 'FASTHITS["ROLLUP"] is invalid: 5.'),
        ({"RULES": {"colour": "red"}}, "E003", 'FASTHITS["RULES"]: no such rule: colour.'),
        ({"RULES": {"status": "ok"}}, "E003", "FASTHITS[\"RULES\"]: invalid status: 'ok'."),
        ({"RULES": {"by_host": True}}, "E003", 'FASTHITS["RULES"]: not a rule for Django: by-host'),
        (["MEMCACHED"], "E001", "FASTHITS is not a dict: ['MEMCACHED']."),
        (None, "E001", "FASTHITS is not a dict: None."),
    ],
)
def test_a_mistake_is_an_error(settings: Any, code: str, message: str) -> None:
    with override_settings(FASTHITS=settings):
        ((number, said),) = found()
    assert number == f"fasthits.{code}"
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ({"BACKEND": MEMCACHE}, "KeyError: 'LOCATION'"),
        ({"BACKEND": MEMCACHE, "LOCATION": "memcached://a"}, "not a memcached server: 'memcached://a'"),
        ({"BACKEND": "no.such.Cache", "LOCATION": "redis://:secret@a"}, "ModuleNotFoundError: No module named 'no'"),
    ],
)
def test_a_cache_with_unknown_servers_is_an_error(cache: dict[str, Any], said: str) -> None:
    with override_settings(FASTHITS={}), modify_caches(cache):
        ((number, message),) = found()
        assert live.hits_today("/") is live.UNKNOWN
    assert number == "fasthits.E003"
    assert message.startswith(f"cannot take the servers of CACHES['default']: {said}")
    assert "secret" not in message
    with override_settings(FASTHITS={"MEMCACHED": "127.0.0.1:1"}), modify_caches(cache):
        assert found() == []


def checked(*models_to_check: type[models.Model]) -> list[tuple[Any, Any]]:
    """Return the errors of these models as if the site had no other models."""
    config = apps.get_app_config("django_app")
    config.models = {model.__name__.lower(): model for model in models_to_check}
    try:
        return [(error.id, error.obj) for error in check_models([config])]
    finally:
        config.models = apps.all_models["django_app"]


@isolate_apps("tests.django_app")
def test_a_counted_model_without_get_absolute_url_is_an_error() -> None:
    class Homeless(HitsMixin):
        class Meta:
            app_label = "django_app"

    class Housed(Homeless):
        def get_absolute_url(self) -> str:
            return "/"

        class Meta:
            app_label = "django_app"

    assert checked(Homeless, Housed) == [("fasthits.E004", Homeless)]


@isolate_apps("tests.django_app")
def test_a_field_in_the_place_of_the_history_is_an_error() -> None:
    class Read(HitsMixin):
        hits = models.PositiveIntegerField(default=0)

        def get_absolute_url(self) -> str:
            return "/"

        class Meta:
            app_label = "django_app"

    assert checked(Read) == [("fasthits.E006", Read)]


@isolate_apps("tests.django_app")
def test_a_field_in_the_place_of_a_number_is_an_error() -> None:
    """Pages would show a number of the database for the live number, and `save` would write the live number there."""

    class Counted(models.Model):
        hits_today = models.PositiveIntegerField(default=777)

        class Meta:
            app_label = "django_app"

    class Read(HitsMixin, Counted):
        hits_total = models.PositiveIntegerField(default=0)

        def get_absolute_url(self) -> str:
            return "/"

        class Meta:
            app_label = "django_app"

    assert Read().hits_today == 777
    assert checked(Read) == [("fasthits.E006", Read)] * 2


@isolate_apps("tests.django_app")
@pytest.mark.parametrize("name", ["hits", "hits_today"])
def test_a_relation_in_the_place_of_the_history_or_of_a_number_is_an_error(name: str) -> None:
    """Django does not name it: the relation would take the place in silence."""

    class Read(HitsMixin):
        def get_absolute_url(self) -> str:
            return "/"

        class Meta:
            app_label = "django_app"

    class Hit(models.Model):
        of = models.ForeignKey(Read, models.CASCADE, related_name=name)

        class Meta:
            app_label = "django_app"

    assert checked(Read) == [("fasthits.E006", Read)]


class Undeleted(models.Manager):
    """A manager that hides objects."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(deleted=False)


@isolate_apps("tests.django_app")
@pytest.mark.parametrize("name", ["objects", "undeleted"])
def test_a_manager_that_HitsMixin_replaces_is_named(name: str) -> None:
    """Views and the admin would show deleted objects; AbstractUser's manager has methods for the login."""
    meta = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "django_app"})}
    columns = {"deleted": models.BooleanField(default=False), name: Undeleted()}
    abstract = type("Meta", (), {"app_label": "django_app", "abstract": True})
    hiding = type("Hiding", (models.Model,), meta | columns | {"Meta": abstract})
    page = meta | {"get_absolute_url": lambda self: "/"}
    first = type("First", (HitsMixin, hiding), dict(page))
    last = type("Last", (hiding, HitsMixin), dict(page))
    own = type("Own", (HitsMixin, hiding), page | {"objects": Undeleted()})
    plain = type("Plain", (models.Model,), meta | {"objects": models.Manager()})
    assert checked(first, last, own, type("OfPlain", (HitsMixin, plain), dict(page))) == [("fasthits.W005", first)]


class ConvertedField(models.AutoField):
    """Integers in the database, other objects in Python, as django-hashid-field has them."""

    def from_db_value(self, value: int, *_: Any) -> str:
        return f"x{value}"


@isolate_apps("tests.django_app")
def test_a_primary_key_that_the_history_cannot_have_is_named() -> None:
    """The text of some keys differs between Python and the database, so sums would silently be 0. Others are too
    long."""
    fields: list[tuple[Any, str | None]] = [
        (models.DecimalField(max_digits=5, decimal_places=2, primary_key=True), "E005"),
        (models.DateTimeField(primary_key=True), "E005"),
        (ConvertedField(primary_key=True), "E005"),
        (models.BinaryField(primary_key=True), "E005"),
        (models.SmallAutoField(primary_key=True), None),
        (models.EmailField(primary_key=True), None),
        (models.OneToOneField(PressRelease, models.CASCADE, primary_key=True), None),
        (models.CharField(max_length=255, primary_key=True), None),
        (models.CharField(max_length=256, primary_key=True), "W003"),
        (models.TextField(primary_key=True), "W003"),
    ]
    if composite := getattr(models, "CompositePrimaryKey", None):  # since Django 5.2
        fields.append((composite("a", "b"), "E005"))
    for number, (field, code) in enumerate(fields):
        meta = type("Meta", (), {"app_label": "django_app"})
        columns = {"a": models.IntegerField(), "b": models.IntegerField(), "get_absolute_url": lambda self: "/"}
        columns |= {"pk" if type(field) is composite else "key": field}
        model = type(f"Keyed{number}", (HitsMixin,), {"__module__": __name__, "Meta": meta} | columns)
        assert checked(model) == ([(f"fasthits.{code}", model)] if code else []), field
