"""``manage.py import_hitcount``: takes over the history that django-hitcount has kept."""

from argparse import ArgumentParser
from collections import Counter
from datetime import date
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management.base import CommandError
from django.db import router, transaction
from django.db.models import Count
from django.db.models.functions import TruncDate

from fasthits.daily.days import parse_day
from fasthits.display import counted
from fasthits.django import ranking
from fasthits.django.commands import HitsCommand
from fasthits.django.conf import setting
from fasthits.django.history import save_views
from fasthits.django.live import today
from fasthits.django.models import Hits
from fasthits.django.resolve import ObjectKey


class Command(HitsCommand):
    """Turns django-hitcount's rows into rows of `Hits`."""

    failed = "cannot take over hits"
    help = (
        "Take over the hits that django-hitcount has saved, for the days before the first day that fasthits has. "
        "A second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the day for hits without a date."""
        parser.add_argument(
            "--undated",
            metavar="DATE",
            help="Save the hits whose dates hitcount_cleanup has deleted on this day. Without it they are left out.",
        )

    def handle(self, *, undated: str | None, **_: Any) -> None:
        """Save the hits in one transaction, and say how many they were."""
        try:
            hit = apps.get_model("hitcount", "Hit")
        except LookupError as error:
            raise CommandError('add "hitcount" to INSTALLED_APPS: its tables are read through its models') from error
        undated_day = parse_day(undated, today()) if undated else None
        database = router.db_for_write(Hits)
        first = Hits.objects.using(database).order_by("date").values_list("date", flat=True).first() or today()
        if undated_day and undated_day >= first:
            raise CommandError(f"--undated must be before the first day that fasthits has: {first}")
        dated = _dated(hit)
        views = Counter({key: number for key, number in dated.items() if key[0] < first})
        rest = _undated(hit, dated)
        if undated_day:
            for key, number in rest.items():
                views[undated_day, key] += number
        with transaction.atomic(database):
            save_views(views, database)
        ranking.keep(database)
        days = len({day for day, _ in views})
        self.stdout.write(f"{counted(views.total(), 'hit')} of {counted(days, 'day')} before {first} saved")
        if rest and not undated_day:
            self.stdout.write(f"{counted(rest.total(), 'hit')} without a date left out (--undated DATE saves them)")


def _dated(hit: Any) -> Counter[tuple[date, ObjectKey]]:
    """Return the hits that have a date, by day and object."""
    day = TruncDate("created", tzinfo=setting("TIME_ZONE"))
    rows = hit.objects.order_by().annotate(day=day).values_list("day", "hitcount__content_type", "hitcount__object_pk")
    found = Counter[tuple[date, ObjectKey]]()
    for at, kind, key, number in rows.annotate(number=Count("pk")).iterator():
        if obj := _key(kind, key):
            found[at, obj] += number
    return found


def _undated(hit: Any, dated: Counter[tuple[date, ObjectKey]]) -> Counter[ObjectKey]:
    """Return the hits in the totals that have no date any more, by object."""
    found = Counter[ObjectKey]()
    totals = hit._meta.get_field("hitcount").related_model.objects.order_by()
    for kind, key, number in totals.values_list("content_type", "object_pk", "hits").iterator():
        if obj := _key(kind, key):
            found[obj] += number
    for (_, obj), number in dated.items():
        found[obj] -= number
    return +found


def _key(content_type: int, key: Any) -> ObjectKey | None:
    """Return the object, or None where its model is gone."""
    model = ContentType.objects.get_for_id(content_type).model_class()
    return ObjectKey.of(model, key) if model else None
