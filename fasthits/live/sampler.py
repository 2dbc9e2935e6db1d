"""Today's counters of all loggers and servers: totals, the most read paths, and how fast they rise."""

import heapq
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from fasthits.errors import MemcachedError
from fasthits.live.asking import Asked
from fasthits.live.causes import NO_LOGGER, warnings_of
from fasthits.live.listing import CounterReader
from fasthits.live.memcached import router
from fasthits.live.servers import Server
from fasthits.live.statistics import FIGURES
from fasthits.rules.paths import is_static

WINDOW_SECONDS = 60.0
GAP_SECONDS = 10.0
"""After a longer pause between samples, the time of the views is unknown, so the window begins again. It also does when
a server fails or comes back, because its views would look like new views."""


class LivePath(NamedTuple):
    """A path as in the log, or ``#`` and its SHA-256 if it cannot be in a key; its views today and in the window."""

    path: str
    views: int
    last_minute: int


class Listed(NamedTuple):
    """The number of paths that match a question, and some of them."""

    found: int
    paths: list[LivePath]


@dataclass(frozen=True)
class Sample:
    """The live counters at one moment."""

    at: datetime
    day: date
    views: int
    paths: int
    last_minute: int
    window_seconds: float
    """How long the window is: WINDOW_SECONDS, or less when it has begun later. 0 in its first sample."""
    rate: float | None
    """Views a second over the window; None for the window's first sample."""
    most_read: list[LivePath]
    servers: dict[str, bool] = field(default_factory=dict)
    """Each server, and whether it has answered."""
    seen: dict[str, int] = field(default_factory=dict)
    """For each server that has answered, the views that came since the first sample; it never falls."""
    problems: list[str] = field(default_factory=list)
    """The errors of servers whose counters are missing."""
    figures: dict[str, int] | None = None
    """Today's figures of all loggers together, by the names in FIGURES; None if a server has not answered."""
    warnings: list[str] = field(default_factory=list)
    """Today's losses and warnings of loggers, a sentence for each."""

    def document(self, limit: int) -> dict[str, Any]:
        """Return the sample as a JSON document, with its first *limit* paths."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "day": str(self.day),
            "time_zone": self.at.tzname(),
            "age_seconds": round(max(0.0, (datetime.now().astimezone() - self.at).total_seconds()), 3),
            "views": self.views,
            "paths": self.paths,
            "last_minute": self.last_minute,
            "window_seconds": round(self.window_seconds, 1),
            "rate": None if self.rate is None else round(self.rate, 2),
            "most_read": [each._asdict() for each in self.most_read[:limit]],
            "problems": self.problems,
            "warnings": self.warnings,
        }


class LiveViews:
    """Takes samples of today's live counters, and keeps the changes of the last WINDOW_SECONDS."""

    def __init__(self, servers: Sequence[str], prefix: str) -> None:
        nodes, server_of = router(list(map(Server, servers)))
        self._readers = [CounterReader(server, prefix, server_of) for server in nodes]
        self._asked = [Asked(reader.server, reader.views_and_figures) for reader in self._readers]
        self._answers: dict[str, tuple[date, dict[str, int]]] = {}
        self._seen: Counter[str] = Counter()
        self._views: dict[str, int] = {}
        self._static: dict[str, bool] = {}
        self._day = date.min
        self._failing: set[str] = set()
        self._window_from = self._sampled_at = -GAP_SECONDS
        self._increases: deque[tuple[float, dict[str, int]]] = deque()
        self._recent: Counter[str] = Counter()

    def views_of(self, path: str) -> int | None:
        """Return the views of a path in the last sample, or None."""
        return self._views.get(path)

    def search(self, text: str, limit: int) -> list[str]:
        """Return the most read paths of the last sample that hold *text* in any case."""
        return [each.path for each in self.list_paths(limit, text=text).paths]

    def list_paths(
        self, limit: int, offset: int = 0, text: str = "", by: Literal["views", "last_minute"] = "views"
    ) -> Listed:
        """Return the paths of the last sample that hold *text* in any case, most views first, from *offset* on."""
        wanted, recent = text.lower(), self._recent
        views = self._views  # another thread may take the next sample meanwhile
        if wanted:
            views = {path: count for path, count in views.items() if wanted in path.lower()}
        found = (LivePath(path, count, recent[path]) for path, count in views.items())
        order = _by_views if by == "views" else _by_last_minute
        return Listed(len(views), heapq.nsmallest(offset + limit, found, key=order)[offset:])

    def sample(self, limit: int, patience: float | None = None) -> Sample:
        """Ask the servers and return a sample with the *limit* most read paths.

        A server that hangs is waited for *patience* seconds, once, or by default until its connection fails.
        Raises MemcachedError when no server answers.
        """
        at, now = datetime.now().astimezone(), time.monotonic()
        answers, figures, problems = self._ask(at.date(), patience)
        rises = {server: self._rises(server, views, at.date()) for server, views in answers.items()}
        failing = {str(problem.subject) for problem in problems}
        if at.date() != self._day or failing != self._failing or now - self._sampled_at > GAP_SECONDS:
            self._begin_window(now)
        else:
            self._slide_window(now, rises.values())
        views, *others = answers.values()
        if others:
            views = {path: count for answer in answers.values() for path, count in answer.items()}
        if at.date() != self._day:
            self._static.clear()
        self._failing = failing
        self._answers |= {server: (at.date(), found) for server, found in answers.items()}
        self._views, self._day, self._sampled_at = views, at.date(), now
        passed = min(now - self._window_from, WINDOW_SECONDS)
        last_minute = self._recent.total()
        return Sample(
            at=at,
            day=self._day,
            views=sum(views.values()),
            paths=len(views),
            last_minute=last_minute,
            window_seconds=passed,
            rate=last_minute / passed if passed else None,
            most_read=self.list_paths(limit).paths,
            servers={reader.server: reader.server in answers for reader in self._readers},
            seen={server: self._seen[server] for server in answers},
            problems=[str(problem) for problem in problems],
            figures=None if problems else {name: figures.get(name, 0) for name in FIGURES},
            warnings=list(map(str, warnings_of(figures)))
            or [NO_LOGGER] * (not (views or figures.get("lines") or problems)),
        )

    def without_static(self, sample: Sample, limit: int) -> Sample:
        """Return *sample*, the last sample, without the views of static files."""
        views = {path: count for path, count in self._views.items() if not self._is_static(path)}
        last_minute = sum(count for path, count in self._recent.items() if not self._is_static(path))
        most_read = heapq.nsmallest(limit, views.items(), key=lambda item: (-item[1], item[0]))
        return replace(
            sample,
            views=sum(views.values()),
            paths=len(views),
            last_minute=last_minute,
            rate=last_minute / sample.window_seconds if sample.window_seconds else None,
            most_read=[LivePath(path, count, self._recent[path]) for path, count in most_read],
        )

    def _is_static(self, path: str) -> bool:
        known = self._static.get(path)
        if known is None:
            known = self._static[path] = is_static(path.partition("?")[0].encode())
        return known

    def close(self) -> None:
        """Close the connections; they are made again when needed."""
        for reader in self._readers:
            reader.close()

    def _ask(
        self, day: date, patience: float | None
    ) -> tuple[dict[str, dict[str, int]], dict[str, int], list[MemcachedError]]:
        """Return the views of each server that answers, the figures, and the errors of the other servers."""
        answers: dict[str, dict[str, int]] = {}
        figures: dict[str, int] = {}
        problems = []
        for asked in self._asked:
            asked.start(day)
        for reader, asked in zip(self._readers, self._asked, strict=True):
            try:
                views, more = asked.answer(day, patience)
            except MemcachedError as problem:
                problems.append(problem)
            else:
                answers[reader.server] = views
                figures |= more
        if len(problems) == len(self._readers):
            raise problems[0]
        return answers, figures, problems

    def _rises(self, server: str, views: dict[str, int], day: date) -> dict[str, int]:
        """Return the views that came since the last answer of *server*, and add them to those seen; none at first.

        None, too, when the clock has gone back to the day before: its views came before.
        """
        answered_on, before = self._answers.get(server, (date.max, {}))
        if answered_on > day:
            return {}
        if answered_on != day:
            before = {}
        rises = {}
        for path, count in views.items():
            known = before.get(path, 0)
            if count != known:
                rises[path] = count - known if count > known else count  # memcached had dropped the counter
        self._seen[server] += sum(rises.values())
        return rises

    def _begin_window(self, now: float) -> None:
        self._increases.clear()
        self._recent.clear()
        self._window_from = now

    def _slide_window(self, now: float, rises: Iterable[dict[str, int]]) -> None:
        increase = {path: count for rise in rises for path, count in rise.items()}
        self._increases.append((now, increase))
        self._recent.update(increase)
        while self._increases[0][0] <= now - WINDOW_SECONDS:
            self._recent -= Counter(self._increases.popleft()[1])


def _by_views(path: LivePath) -> tuple[int, str]:
    return -path.views, path.path


def _by_last_minute(path: LivePath) -> tuple[int, int, str]:
    return -path.last_minute, -path.views, path.path
