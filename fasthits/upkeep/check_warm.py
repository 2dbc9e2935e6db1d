"""Compares the live counters with the day's log files, and adds to memcached the hits that it has lost.

Loggers may go on counting meanwhile. A hit is first in its file and, once delivered, in its counter. So the order of
reading decides what a comparison proves. The files are counted first. After *settle_seconds* every hit in them has
reached its counter, unless it was lost. So a hit is missing if the files had it *before* and the counter does not have
it. A hit cannot have come from the files if the counter has it and the files do not have it even *afterwards*.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from fasthits.daily.counting.count_days import DEFAULT_RULES, Progress, count_days
from fasthits.daily.layouts import Rows
from fasthits.daily.logs.logfiles import STDIN
from fasthits.daily.logs.sources import Patterns
from fasthits.errors import LogFileError, MemcachedError, UsageError
from fasthits.live.keys import hit_key
from fasthits.live.memcached import BATCH_ROWS, CounterStore, locked, read_views
from fasthits.live.statistics import have_counted_otherwise
from fasthits.rules.rules import FORMATS, Rules

TAKE_THEIRS = "take the options of fasthits log, which fasthits doctor names, or put them into /etc/fasthits.toml"


class Difference(NamedTuple):
    """A path whose counter and files disagree."""

    path: bytes
    in_files: int
    live: int


@dataclass(frozen=True)
class Comparison:
    """The paths in a day's files, compared with their counters. Paths that are in no file are not compared."""

    equal_paths: int
    equal_hits: int
    missing: list[Difference]
    """Counters with fewer hits than the files had before."""
    more: list[Difference]
    """Counters with more hits than the files have afterwards."""

    def hits_missing(self) -> int:
        """Return how many hits the counters lack."""
        return sum(each.in_files - each.live for each in self.missing)

    def hits_more(self) -> int:
        """Return how many hits the counters have too many."""
        return sum(each.live - each.in_files for each in self.more)


class Warming(NamedTuple):
    """The hits that were added to a day's counters."""

    hits: int
    counters: int
    right: int
    """Counters that lacked no hit."""


@dataclass(frozen=True)
class LiveDay:
    """The counters of a day, and the log files of the same hits. Its methods raise LogFileError, MemcachedError and
    UsageError."""

    day: date
    logs: Patterns
    servers: Sequence[str]
    prefix: str
    settle_seconds: float
    rules: Rules = DEFAULT_RULES
    """The rules of the loggers."""
    progress: Progress | None = None

    def compare(self) -> Comparison:
        """Compare the counters with the files, which are counted twice: before and after."""
        self._check_rules()
        before = self._views_in_files()
        time.sleep(self.settle_seconds)
        live = self._views_in_counters(before)
        time.sleep(self.settle_seconds)
        after = before if STDIN in self.logs else self._views_in_files()
        missing = [Difference(path, views, live[path]) for path, views in before.items() if live[path] < views]
        more = [Difference(path, after.get(path, 0), live[path]) for path in before if live[path] > after.get(path, 0)]
        different = {each.path for each in missing + more}
        equal = [views for path, views in before.items() if path not in different]
        return Comparison(len(equal), sum(equal), missing, more)

    def warm(self, ttl: int) -> Warming:
        """Add to the counters the hits that only the files have. A second run finds nothing to add.

        The result is exact while nobody counts. While loggers count, a new hit can hide a missing one, so too few hits
        may be added but never too many; run it again. Only one process at a time may do this, and a lock in memcached
        ensures it. A new counter lives for *ttl* seconds. After MemcachedError another run adds the rest.
        """
        self._check_rules()
        with locked(self.servers, f"{self.prefix}{self.day}#warm"):
            paths, missing = self._missing_for_good()
            rows = [(self.day, path, views) for path, views in missing.items()]
            store = CounterStore(self.servers, self.prefix, ttl)
            added = 0
            for start in range(0, len(rows), BATCH_ROWS):
                delivery = store.add_views(rows[start : start + BATCH_ROWS])
                added += delivery.delivered
                for problem in delivery.problems.values():
                    raise MemcachedError("could not add all missing hits", problem, "run it again")
        return Warming(added, len(rows), paths - len(rows))

    def _check_rules(self) -> None:
        """Raise UsageError if the loggers have counted by other rules: the hits of both cannot be compared."""
        if have_counted_otherwise(self.servers, self.prefix, self.day, self.rules.live.mark):
            names = [name.replace("_", "-") for name in self.rules.texts() if name not in FORMATS]
            raise UsageError("no logger has counted by these rules", ", ".join(names) or "the default", TAKE_THEIRS)

    def _missing_for_good(self) -> tuple[int, dict[bytes, int]]:
        """Return the number of paths in the files, and the hits that their counters lack and will not get.

        While fewer hits are missing from one comparison to the next, loggers are delivering what waited for memcached.
        """
        in_files = self._views_in_files()
        before: dict[bytes, int] = {}
        while True:
            time.sleep(self.settle_seconds)
            live = self._views_in_counters(in_files)
            missing = {path: views - live[path] for path, views in in_files.items() if views > live[path]}
            no_fewer = STDIN in self.logs or sum(missing.values()) >= sum(before.values())
            if not missing or (before and no_fewer):
                lacked_twice = missing.keys() & before.keys()
                return len(in_files), {path: min(missing[path], before[path]) for path in lacked_twice}
            before = missing
            # Standard input gives its lines only once, so on a busy site ever fewer hits would seem to be missing.
            if STDIN not in self.logs:
                in_files = self._views_in_files()

    def _views_in_files(self) -> dict[bytes, int]:
        def take(_: object, rows: Rows) -> dict[bytes, int]:
            return {path: views for _, path, views in rows.rows()}

        rules = self.rules.live
        counted, views = count_days([self.day], self.logs, take, progress=self.progress, rules=rules, as_part=True)
        for error in counted.damaged:
            raise error
        for name, advice in counted.unreadable.items():
            raise LogFileError("no line of this file can be read", name, f"{advice.misses[0]}; {advice.remedy}")
        return views

    def _views_in_counters(self, paths: Iterable[bytes]) -> dict[bytes, int]:
        keys = {path: hit_key(self.day, path, self.prefix) for path in paths}
        views = read_views(self.servers, list(keys.values()))
        return {path: views.get(key, 0) for path, key in keys.items()}
