"""The texts of pages and of the admin in German, French and Spanish; and right-to-left pages."""

import gettext
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.template import engines
from django.test import Client
from django.test.utils import override_settings
from django.utils import translation

import fasthits.django
from fasthits.django import live
from fasthits.django.models import Hits
from tests.django_app.models import PressRelease

pytestmark = [pytest.mark.usefixtures("tables"), pytest.mark.parametrize("database", ["sqlite"], indirect=True)]

APP = Path(fasthits.django.__file__).parent
LANGUAGES = ("de", "fr", "es")


@pytest.fixture
def release() -> PressRelease:
    release = PressRelease.objects.create(title="A", slug="a")
    Hits.objects.create(date=live.today() - timedelta(1), content_object=release, views=3)
    return release


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Read 3 times in the last 30 days"),
        ("de", "In den letzten 30 Tagen 3-mal gelesen"),
        ("fr", "Lu 3 fois au cours des 30 derniers jours"),
        ("es", "Leído 3 veces en los últimos 30 días"),
        ("ar", "Read 3 times in the last 30 days"),
    ],
)
def test_the_sparkline_speaks_the_language_of_the_page(release: PressRelease, language: str, title: str) -> None:
    with translation.override(language):
        html = engines["django"].from_string("{% load fasthits %}{% sparkline obj %}").render({"obj": release})
    assert f"<title>{title}</title>" in html
    assert "left" not in html
    assert "right" not in html


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("de", ["Zugriffe", "Heute", "Letzte 7 Tage", "Objekt", "Aufrufe", "Noch keine Aufrufe."]),
        ("fr", ["Trafic", "30 derniers jours", "Objet", "Vues", "Pas encore de vues."]),
        ("es", ["Tráfico", "Últimos 7 días", "Objeto", "Visitas", "Aún no hay visitas."]),
        ("ar", ["<bdi>A</bdi>", 'dir="rtl"']),
    ],
)
def test_the_admin_speaks_the_language_of_its_user(release: PressRelease, language: str, texts: list[str]) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    with override_settings(LANGUAGE_CODE=language):
        page = client.get("/admin/fasthits/hits/").content.decode()
        objects = client.get("/admin/django_app/pressrelease/").content.decode()
        client.get(f"/admin/django_app/pressrelease/{release.pk}/change/")
        named = {"de": "letzte 7 Tage", "fr": "7 derniers jours", "es": "últimos 7 días", "ar": "last 7 days"}[language]
        assert [text for text in texts if text not in page] == []
        assert named.lower() in objects.lower()  # Django turns its first letter into a capital


def test_every_text_has_a_translation_and_it_is_compiled() -> None:
    sources = [*APP.rglob("*.html"), APP / "admin.py", APP / "models.py"]
    text = "".join(source.read_text() for source in sources)
    wanted = set(re.findall(r'translate "([^"]+)"|gettext(?:_lazy)?\("([^"]+)"', text))
    names = {one or other for one, other in wanted}
    assert len(names) > 10
    for language in LANGUAGES:
        folder = APP / "locale" / language / "LC_MESSAGES"
        with (folder / "django.mo").open("rb") as file:
            compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        written = dict(re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', (folder / "django.po").read_text(), re.MULTILINE))
        assert names <= compiled.keys()
        assert {key: value for key, value in compiled.items() if key in written} == written
