"""``manage.py prune_hits``: deletes the history before a day."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.db import router

from fasthits.daily.days import parse_day
from fasthits.display import counted
from fasthits.django import ranking
from fasthits.django.commands import HitsCommand
from fasthits.django.expressions import first_day
from fasthits.django.live import today
from fasthits.django.models import Hits
from fasthits.errors import UsageError


class Command(HitsCommand):
    """Deletes rows of `Hits`."""

    failed = "cannot delete hits, nothing changed"
    help = "Delete the hits of all objects before a day. Save them first: manage.py export_hits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the day, or a number of days."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--before", metavar="DATE", help="The first day to keep: YYYY-MM-DD.")
        which.add_argument("--keep", metavar="DAYS", type=int, help="Keep only the last so many days.")
        parser.add_argument("--dry-run", action="store_true", help="Only say how many rows would be deleted.")

    def handle(self, *, before: str | date | None, keep: int | None, dry_run: bool, **_: Any) -> None:
        """Delete the rows in one statement, and say how many they were."""
        first = parse_day(str(before), today()) if before else first_day(self._days(keep))
        database = router.db_for_write(Hits)
        rows = Hits.objects.using(database).filter(date__lt=first)
        number = rows.count() if dry_run else rows.delete()[0]
        if number and not dry_run:
            ranking.keep(database)
        self.stdout.write(f"{counted(number, 'row')} before {first} {'would be deleted' if dry_run else 'deleted'}")

    def _days(self, keep: int | None) -> int:
        if keep is None or keep < 1:
            raise UsageError("--keep must be 1 or more", keep)
        return keep
