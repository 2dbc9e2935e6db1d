"""The hits of some days, counted in the log files, tied to their objects and saved."""

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
from fasthits.daily.keeping import Fewer, find_fewer
from fasthits.daily.logs.sources import Patterns
from fasthits.django.live import today
from fasthits.django.models import Hits
from fasthits.django.resolve import ObjectKey, PathResolver
from fasthits.rules.rules import Rules

BATCH_PATHS = 100_000
"""How many paths are tied to their objects at once: a query for each model and so many paths."""

SAVED_ROWS = 5_000
"""How many rows are made at once, to be inserted."""

TOP_PATHS = 20


@dataclass
class Tied:
    """Views, tied to their objects."""

    views: Counter[tuple[date, ObjectKey]] = field(default_factory=Counter)
    """The views of the objects."""
    loose_paths: int = 0
    """How many paths lead to no object."""
    loose_views: int = 0
    top: list[tuple[int, bytes]] = field(default_factory=list)
    """The TOP_PATHS most read of them, as (views, path)."""


@dataclass
class Parsed:
    """What was counted, and what became of it."""

    counted: Counted
    resolver: PathResolver
    tied: Tied
    fewer: list[Fewer] = field(default_factory=list)
    """The days that stayed, as more views of objects are kept."""

    @property
    def objects(self) -> int:
        """How many objects were read."""
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
    """The days that were saved, and how many objects and views of them."""

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
    """Count the hits of *days* and put them in place of all rows of `Hits` of those days, in one transaction.

    Paths that lead to one object add up; those that lead to none are left out. A day of which more views are kept stays
    as it is, unless *with_fewer*; so does one without a line. The other arguments are those of `count_days`.

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
        # Others who save wait at this row, in SQLite at the file, until the transaction ends. A lock on the rows that
        # are kept would not do where there are none.
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
