"""The migrations are complete, and migrate the tables of an older version."""

from datetime import timedelta
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command

from fasthits.django import live, ranking
from fasthits.django.models import Hits
from tests.django_app.models import Restaurant


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "fasthits", check=True, dry_run=True, verbosity=0)


def test_an_older_site_migrates(shared_tables: dict[str, Any]) -> None:
    """It has rows of a multi-table child. After the migration they belong to the parent."""
    call_command("migrate", "fasthits", "0001", verbosity=0)
    restaurant = Restaurant.objects.create(name="R")
    kind = ContentType.objects.get(app_label="django_app", model="restaurant")
    Hits.objects.create(date=live.today() - timedelta(1), content_type=kind, object_id=str(restaurant.pk), views=3)
    call_command("migrate", "fasthits", verbosity=0)
    assert (restaurant.hits_total, Hits.objects.get().content_type.model) == (3, "place")
    ranking.keep("default")
    assert ranking.most_read(Restaurant) == [restaurant]
