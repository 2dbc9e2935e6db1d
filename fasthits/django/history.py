"""Hits counted in log files, assigned to Django objects, and saved day by day."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction

from fasthits._parse import HitTable
from fasthits.daily.counting import Counted, count_days
from fasthits.daily.logs.sources import Patterns
from fasthits.daily.refusals import Fewer, find_fewer
from fasthits.django.live import today
from fasthits.django.models import Hits
from fasthits.django.resolve import ObjectKey, PathResolver
from fasthits.rules.rules import Rules

BATCH_PATHS = 100_000
"""So many paths are resolved to objects at once, with one query for each model."""

SAVED_ROWS = 5_000
"""So many rows are inserted at once."""

TOP_PATHS = 20


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
    """What was counted, and which objects it belongs to."""

    counted: Counted
    resolver: PathResolver
    tied: Tied
    fewer: list[Fewer] = field(default_factory=list)
    """Days that were left as they were, because more views of objects are kept."""

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
        """What was saved."""
        left = {day for day, *_ in self.fewer}
        views = {key: views for key, views in self.tied.views.items() if key[0] not in left}
        return Saved(
            [day for day in self.counted.days if day not in left],
            len({key for _, key in views}),
            sum(views.values()),
        )


class Saved(NamedTuple):
    """The days that were saved, with the number of their objects and views."""

    days: list[date]
    objects: int
    views: int


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

    The paths of one object add up; paths without an object are left out. A day stays as it is if the log has no line
    of it, or if more views are saved than were counted, unless *with_fewer*. The other arguments are `count_days`'s.

    Raises LogFileError, UsageError for FASTHITS, and the database's errors, with nothing changed.
    """
    resolver = PathResolver(rules)

    def take(_: object, tables: Iterator[HitTable]) -> Tied:
        tied = Tied()
        for table in tables:
            rows = iter(table.rows())
            while batch := list(islice(rows, BATCH_PATHS)):
                _tie(batch, resolver, tied)
        return tied

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
    own_type = ContentType.objects.db_manager(database).get_for_model(Hits)
    kept = Hits.objects.using(database).filter(date__in=parsed.counted.days)
    with transaction.atomic(database):
        # Other savers wait for this row, in SQLite for the file, until the transaction ends. A lock on the saved rows
        # would not do, because there may be none.
        ContentType.objects.using(database).filter(pk=own_type.pk).update(model=own_type.model)
        if not with_fewer:
            parsed.fewer = find_fewer(parsed.hits(), dict(kept.totals()))
        saved = set(parsed.saved.days)
        kept.filter(date__in=saved).delete()
        rows = (item for item in parsed.tied.views.items() if item[0][0] in saved)
        while batch := [_row(day, key, views) for (day, key), views in islice(rows, SAVED_ROWS)]:
            Hits.objects.using(database).bulk_create(batch)


def _row(day: date, key: ObjectKey, views: int) -> Any:
    return Hits(date=day, content_type_id=key.content_type_id, object_id=key.object_id, views=views)
