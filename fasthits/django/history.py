"""Hits counted in log files, assigned to Django objects, and saved day by day."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.contenttypes.models import ContentType
from django.db import models, router, transaction

from fasthits.daily.counting.count_days import Counted, count_days
from fasthits.daily.layouts import Rows
from fasthits.daily.logs.sources import Patterns
from fasthits.daily.targets.refusals import Change, compare
from fasthits.django import ranking
from fasthits.django.conf import in_time_zone
from fasthits.django.expressions import PrimaryKey
from fasthits.django.live import today
from fasthits.django.models import Hits
from fasthits.django.resolve import ObjectKey, PathResolver
from fasthits.django.signals import hits_saved
from fasthits.rules.rules import Rules

BATCH_PATHS = 100_000
"""The number of paths to resolve to objects at a time, with one query for each model."""

SAVED_ROWS = 5_000
"""The number of rows to insert at a time."""

TOP_PATHS = 20

NAMED_LOSSES = 5
"""A message names up to this many objects that would lose views."""


@dataclass
class Loss:
    """The objects that would lose views of a day."""

    day: date
    objects: int = 0
    named: list[str] = field(default_factory=list)
    """The first NAMED_LOSSES, each with its numbers."""

    def __str__(self) -> str:
        more = f" and {self.objects - len(self.named):,} more" * (self.objects > len(self.named))
        return f"{self.day}: {', '.join(self.named)}{more}"


@dataclass
class Tied:
    """Views by object."""

    views: Counter[tuple[date, ObjectKey]] = field(default_factory=Counter)
    """The views of the objects."""
    loose_paths: int = 0
    """Paths without an object."""
    loose_views: int = 0
    top: list[tuple[int, bytes]] = field(default_factory=list)
    """The TOP_PATHS most read of the paths without an object, as (views, path)."""


@dataclass
class Parsed:
    """The counted hits, and the objects to which they belong."""

    counted: Counted
    resolver: PathResolver
    tied: Tied
    fewer: list[Change] = field(default_factory=list)
    """Days left unchanged, because more views of objects are kept."""
    more: list[Change] = field(default_factory=list)
    """Days of which fewer views of objects were kept."""
    losses: list[Loss] = field(default_factory=list)
    """Days left unchanged, because objects would lose views that are kept."""

    @property
    def objects(self) -> int:
        """The number of objects that were read."""
        return len({key for _, key in self.tied.views})

    def hits(self) -> Counter[date]:
        """Return the views of all objects by day."""
        hits = Counter[date]()
        for (day, _), views in self.tied.views.items():
            hits[day] += views
        return hits

    @property
    def saved(self) -> "Saved":
        """The saved hits."""
        left = {day for day, *_ in self.fewer} | {loss.day for loss in self.losses}
        views = {key: views for key, views in self.tied.views.items() if key[0] not in left}
        return Saved(
            [day for day in self.counted.days if day not in left],
            len({key for _, key in views}),
            sum(views.values()),
            [each for each in self.more if each.day not in left],
        )


class Saved(NamedTuple):
    """The days that were saved, with the number of their objects and views."""

    days: list[date]
    objects: int
    views: int
    more: list[Change]
    """Days of which fewer views of objects were kept."""


def parse_logs(
    days: Sequence[date],
    patterns: Patterns,
    rules: Rules,
    threads: int | None = None,
    max_bytes: int | None = None,
    as_part: bool = False,
    with_fewer: bool = False,
) -> Parsed:
    """Count the hits of *days* and replace all rows of `Hits` of those days, in one transaction.

    The paths of one object add up; paths without an object are left out. A day is left unchanged if the log has no line
    of it; or, unless *with_fewer*, if more views are kept than were counted, of all objects or of one: its address may
    have changed since. The other arguments are `count_days`'s.

    Raises LogFileError, UsageError for FASTHITS, and the database's errors, with nothing changed.
    """
    resolver = PathResolver(rules)

    def take(counted: Counted, found: Rows) -> Tied:
        reading.close()
        tied = Tied()
        wanted = set(counted.days)
        rows = (row for row in found.rows() if row[0] in wanted)
        while batch := list(islice(rows, BATCH_PATHS)):
            _tie(batch, resolver, tied)
        return tied

    with ExitStack() as reading:
        reading.enter_context(in_time_zone())
        counted, tied = count_days(
            days, patterns, take, threads, max_bytes=max_bytes, rules=rules, as_part=as_part, today=today()
        )
    parsed = Parsed(counted, resolver, tied)
    _save(parsed, with_fewer)
    return parsed


def _tie(rows: Iterable[tuple[date, bytes, int]], resolver: PathResolver, tied: Tied) -> None:
    """Add the views of *rows* to their objects."""
    by_path: dict[bytes, list[tuple[date, int]]] = defaultdict(list)
    for day, path, views in rows:
        by_path[path].append((day, views))
    keys = resolver.find(by_path)
    for path, key in keys.items():
        for day, views in by_path.pop(path):
            tied.views[day, key] += views
    loose = [(sum(views for _, views in days), path) for path, days in by_path.items()]
    tied.loose_paths += len(loose)
    tied.loose_views += sum(views for views, _ in loose)
    tied.top = heapq.nlargest(TOP_PATHS, [*tied.top, *loose])


def _save(parsed: Parsed, with_fewer: bool) -> None:
    database = router.db_for_write(Hits)
    kept = Hits.objects.using(database).filter(date__in=parsed.counted.days)
    with transaction.atomic(database):
        ranking.lock_history(database)
        if not with_fewer:
            parsed.fewer, parsed.more = compare(parsed.hits(), dict(kept.totals()))
            fewer = {day for day, *_ in parsed.fewer}
            parsed.losses = _find_losses(parsed.tied.views, kept.exclude(date__in=fewer), database)
        saved = set(parsed.saved.days)
        kept.filter(date__in=saved).delete()
        save_views({key: views for key, views in parsed.tied.views.items() if key[0] in saved}, database)
        for model in {key.model for _, key in parsed.tied.views}:
            _forget_deleted(kept.filter(date__in=saved).of_model(model), model, database)


def _forget_deleted(rows: models.QuerySet, model: type[models.Model], database: str) -> None:
    """Delete the rows of objects that were deleted since their pages were found: after their own history."""
    if router.db_for_write(model) == database:  # a query cannot use two databases; a replica may be late
        # No manager: also that of Meta.base_manager_name may hide objects.
        objects = models.QuerySet(model).using(database).filter(pk=PrimaryKey(models.OuterRef("object_id"), model))
        rows.exclude(models.Exists(objects)).delete()


def publish(parsed: Parsed) -> None:
    """After `parse_logs`: keep the lists of the most read objects, and send `hits_saved`. Raises DatabaseError."""
    database, days = router.db_for_write(Hits), parsed.saved.days
    if days:
        ranking.keep(database)  # also after an old day: a list older than the newest row is not used
        hits_saved.send_robust(sender=Hits, days=days, using=database)


def save_views(views: Mapping[tuple[date, ObjectKey], int], database: str) -> None:
    """Add rows of `Hits` for the views by day and object."""
    rows = iter(views.items())
    while batch := [_row(day, key, number, database) for (day, key), number in islice(rows, SAVED_ROWS)]:
        Hits.objects.using(database).bulk_create(batch)


def _find_losses(views: Counter[tuple[date, ObjectKey]], kept: models.QuerySet, database: str) -> list[Loss]:
    """Return the views of the *kept* rows that would be lost. Rows of objects that are gone are no loss."""
    keys = {_content_type(key.model, database).pk: key.model for _, key in views}
    fewer: dict[tuple[int, str], list[tuple[date, int, int]]] = defaultdict(list)
    for day, kind, object_id, before in (
        kept.order_by("date").values_list("date", "content_type", "object_id", "views").iterator()
    ):
        now = views[day, ObjectKey(keys[kind], object_id)] if kind in keys else 0
        if now < before:
            fewer[kind, object_id].append((day, now, before))
    losses: dict[date, Loss] = {}
    for (kind, object_id), obj in ranking.objects_of(fewer).items():
        for day, now, before in fewer[kind, object_id]:
            loss = losses.setdefault(day, Loss(day))
            loss.objects += 1
            if len(loss.named) < NAMED_LOSSES:
                loss.named.append(f"{obj._meta.verbose_name} {object_id}: {now:,} counted, {before:,} kept")
    return [losses[day] for day in sorted(losses)]


def _row(day: date, key: ObjectKey, views: int, database: str) -> Any:
    return Hits(date=day, content_type=_content_type(key.model, database), object_id=key.object_id, views=views)


def _content_type(model: type[models.Model], database: str) -> ContentType:
    return ContentType.objects.db_manager(database).get_for_model(model)
