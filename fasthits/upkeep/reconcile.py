"""The live counters against the log files of the day, and putting right what memcached has lost.

Loggers may go on counting meanwhile. A hit is in its file and, once it has been delivered, in its counter; so the order
decides what a comparison proves. The files are counted first; when deliveries have settled every hit in them is in its
counter, unless that was lost: what a counter has less than the files had *before* is missing. What it has more than the
files have *afterwards* cannot have come from them.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from fasthits._parse import HitTable
from fasthits.daily.counting import DEFAULT_RULES, Progress, count_days
from fasthits.daily.logs.logfiles import STDIN
from fasthits.daily.logs.sources import Patterns
from fasthits.errors import MemcachedError
from fasthits.live.keys import hit_key
from fasthits.live.memcached import BATCH_ROWS, CounterStore, locked, read_views
from fasthits.rules.rules import Rules


class Difference(NamedTuple):
    """A path whose counter does not say what the files say."""

    path: bytes
    in_files: int
    live: int


@dataclass(frozen=True)
class Comparison:
    """The paths in the files of a day, and what their counters say; of paths that no file has nothing is known."""

    equal_paths: int
    equal_hits: int
    missing: list[Difference]
    """Counters that have less than the files had before."""
    more: list[Difference]
    """Counters that have more than the files have afterwards."""

    def hits_missing(self) -> int:
        """Return how many hits the counters lack."""
        return sum(each.in_files - each.live for each in self.missing)

    def hits_more(self) -> int:
        """Return how many hits the counters have too many."""
        return sum(each.live - each.in_files for each in self.more)


def compare(
    day: date,
    logs: Patterns,
    servers: Sequence[str],
    prefix: str,
    settle_seconds: float,
    progress: Progress | None = None,
    rules: Rules = DEFAULT_RULES,
) -> Comparison:
    """Compare the counters of *day* with the files that the patterns *logs* name, which are counted twice.

    *rules* are those of the loggers. Raises LogFileError, MemcachedError and UsageError.
    """
    before = _views(day, logs, progress, rules)
    time.sleep(settle_seconds)
    live = _live_views(day, list(before), servers, prefix)
    time.sleep(settle_seconds)
    after = before if STDIN in logs else _views(day, logs, progress, rules)
    missing = [Difference(path, views, live[path]) for path, views in before.items() if live[path] < views]
    more = [Difference(path, after.get(path, 0), live[path]) for path in before if live[path] > after.get(path, 0)]
    different = {each.path for each in missing + more}
    equal = [views for path, views in before.items() if path not in different]
    return Comparison(len(equal), sum(equal), missing, more)


class Warming(NamedTuple):
    """What was added to the counters of a day."""

    hits: int
    counters: int
    right: int
    """The counters that had no hit missing."""


def warm(
    day: date,
    logs: Patterns,
    servers: Sequence[str],
    prefix: str,
    ttl: int,
    settle_seconds: float,
    progress: Progress | None = None,
    rules: Rules = DEFAULT_RULES,
) -> Warming:
    """Add to the counters of *day* the hits that they lack of those in the files; a second time nothing is missing.

    Exact while nobody counts. While loggers do, a hit that came in between hides one that is missing, so that never too
    many are added, and the next time fewer are missing. Only one at a time may do this, which a lock in memcached
    ensures.

    *rules* are those of the loggers. Raises LogFileError, UsageError and MemcachedError; after the last of these
    another run adds the rest.
    """
    with locked(servers, f"{prefix}{day}#warm"):
        paths, missing = _missing_for_good(day, logs, servers, prefix, settle_seconds, progress, rules)
        rows = [(day, path, views) for path, views in missing.items()]
        store = CounterStore(servers, prefix, ttl)
        added = 0
        for start in range(0, len(rows), BATCH_ROWS):
            delivery = store.add_views(rows[start : start + BATCH_ROWS])
            added += delivery.delivered
            for problem in delivery.problems.values():
                raise MemcachedError("not all that is missing could be added", problem, "run it again")
    return Warming(added, len(rows), paths - len(rows))


def _missing_for_good(
    day: date,
    logs: Patterns,
    servers: Sequence[str],
    prefix: str,
    settle_seconds: float,
    progress: Progress | None,
    rules: Rules,
) -> tuple[int, dict[bytes, int]]:
    """Return how many paths the files have, and what their counters lack when that becomes no less any more.

    As long as it does, from one comparison to the next, loggers deliver what has waited for memcached.
    """
    in_files = _views(day, logs, progress, rules)
    before: dict[bytes, int] = {}
    while True:
        time.sleep(settle_seconds)
        live = _live_views(day, list(in_files), servers, prefix)
        missing = {path: views - live[path] for path, views in in_files.items() if views > live[path]}
        no_less = STDIN in logs or sum(missing.values()) >= sum(before.values())
        if not missing or (before and no_less):
            return len(in_files), {path: min(missing[path], before[path]) for path in missing.keys() & before.keys()}
        before = missing
        if (
            STDIN not in logs
        ):  # which gives its lines once, so that on a busy site less and less would seem to be missing
            in_files = _views(day, logs, progress, rules)


def _views(day: date, logs: Patterns, progress: Progress | None, rules: Rules) -> dict[bytes, int]:
    def take(_: object, tables: Iterator[HitTable]) -> dict[bytes, int]:
        return {path: views for table in tables for _, path, views in table.rows()}

    counted, views = count_days([day], logs, take, progress=progress, rules=rules.live, as_part=True)
    for error in counted.damaged:
        raise error
    return views


def _live_views(day: date, paths: Sequence[bytes], servers: Sequence[str], prefix: str) -> dict[bytes, int]:
    keys = [hit_key(day, path, prefix) for path in paths]
    views = read_views(servers, keys)
    return {path: views.get(key, 0) for path, key in zip(paths, keys, strict=True)}
