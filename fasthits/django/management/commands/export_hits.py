"""``manage.py export_hits``: the history of the objects as CSV."""

import csv
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import router

from fasthits.daily.csv.files import harmless
from fasthits.daily.days import parse_days
from fasthits.django.commands import HitsCommand
from fasthits.django.live import today
from fasthits.django.models import Hits


class Command(HitsCommand):
    """Writes rows of `Hits`."""

    failed = "cannot read hits"
    help = "Write the hits of all objects as CSV to standard output: date, model, primary key, views."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a range of days."""
        text = "A day or a range: 2026-01-01..2026-12-31. Default: all."
        parser.add_argument("days", metavar="DATE", nargs="?", help=text)

    def handle(self, *, days: str | date | None, **_: Any) -> None:
        """Write a header and a line for each row, in order of day, model and primary key."""
        database = router.db_for_read(Hits)
        rows = Hits.objects.using(database).order_by("date", "content_type", "object_id")
        if days:
            wanted = parse_days(str(days), today())
            rows = rows.between(wanted[0], wanted[-1])
        labels = {each.pk: f"{each.app_label}.{each.model}" for each in ContentType.objects.using(database).all()}
        out = csv.writer(self.stdout._out)
        out.writerow(["date", "model", "object_id", "views"])
        for day, kind, key, views in rows.values_list("date", "content_type", "object_id", "views").iterator():
            out.writerow([day, labels[kind], harmless(key), views])
