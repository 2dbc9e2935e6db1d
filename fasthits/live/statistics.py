"""The figures of all loggers together, to which each logger adds in memcached every PUBLISH_SECONDS.

They are counters like the counters of hits: one for each figure and day, the day of publishing. Figures of hours count
the hits of an hour of the day in the lines.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta

from fasthits._parse import HitTable
from fasthits.display import counted
from fasthits.live.causes import CAUSES, warning_figure
from fasthits.live.keys import figure_path, hit_key
from fasthits.live.memcached import Row, read_views
from fasthits.rules.rules import Rules

PUBLISH_SECONDS = 10.0

FIGURES = (
    *("lines", "hits", "filtered", "malformed"),
    *("delivered", "in doubt", "refused", "dropped", "reconnects", "discarded", "by host"),
    *map(warning_figure, CAUSES),
)
"""Each line is a hit, filtered or malformed. A hit that is not delivered, in doubt, refused or dropped is waiting.
Discarded lines are not among the lines: they came while a logger could not count. The figure "by host" has the hits of
loggers that count each host separately. The rest are numbers of warnings."""

RULES = "rules "
"""How the figure of the hits that were counted by certain rules begins; it ends with their `Rules.mark`."""

NO_LOSS = "no hit lost"

HOURS = tuple(f"hour {hour:02}" for hour in range(24))
_HOUR_BYTES = b"!hour-"


def hours_of(table: HitTable) -> Counter[str]:
    """Return the hits by hour that *table* has counted since the last call, as figures: a day and one of HOURS.

    Hits of days before yesterday are left out: a log of years that is read again would make thousands of figures.
    """
    first = date.today() - timedelta(days=1)
    return Counter(
        {
            f"{day} {HOURS[hour]}": views
            for day, hours in table.take_hours().items()
            if day >= first
            for hour, views in enumerate(hours)
            if views
        }
    )


class Health:
    """The figures of one logger on their way to memcached, as rows, which are taken and may be put back.

    Rows are worth taking when a figure has risen since the last time, so a logger without lines does not try again.
    The figure of reconnects does not count for this, because trying raises it.
    """

    def __init__(self, figures: Callable[[], Mapping[str, int]], rules: Rules) -> None:
        """*figures* returns the FIGURES that are not 0, and those of `hours_of`; none may fall. It is not
        called before this returns. The figures of the logger's *rules* are added: those of RULES and "by host"."""
        self._figures = figures
        self._of_rules = [RULES + rules.mark, *["by host"] * rules.by_host]
        self._seen = Counter[str]()
        self._published = Counter[tuple[date | None, bytes]]()
        self.at = time.monotonic() + PUBLISH_SECONDS
        """The earliest time to take rows, on the monotonic clock."""

    def __bool__(self) -> bool:
        return any(number > self._seen[name] for name, number in self._now().items() if name != "reconnects")

    def take(self) -> list[Row]:
        """Return each figure's increase since it was last taken and not put back; empty if no figure has risen."""
        self.at = time.monotonic() + PUBLISH_SECONDS
        if not self:
            return []
        self._seen = self._now()
        rows = []
        for name, number in self._seen.items():
            day, path = _place_of(name)
            if rise := number - self._published[day, path]:
                self._published[day, path] = number
                rows.append((day or date.today(), path, rise))
        return rows

    def put(self, rows: Iterable[Row]) -> None:
        """Take back the rows that memcached did not get."""
        for day, path, rise in rows:
            self._published[day if path.startswith(_HOUR_BYTES) else None, path] -= rise

    def _now(self) -> Counter[str]:
        figures = self._figures()
        found = Counter({name: number for name, number in figures.items() if _is_of_today(name) or "hour" in name})
        return found + Counter(dict.fromkeys(self._of_rules, found["hits"]))


def _place_of(name: str) -> tuple[date | None, bytes]:
    """Return the day of a figure, None for the day of publishing, and what it has in place of a path."""
    if _is_of_today(name):
        return None, figure_path(name)
    day, _, hour = name.partition(" ")
    return date.fromisoformat(day), figure_path(hour)


def _is_of_today(name: str) -> bool:
    return name in FIGURES or name.startswith(RULES)


def losses_in(figures: Mapping[str, int]) -> str:
    """Return a logger's hits that have not been counted, as text; NO_LOSS if there are none.

    >>> losses_in({"hits": 1200, "pending": 1000, "dropped": 2})
    '1,000 hits waiting, 2 hits dropped'
    """
    losses = {"waiting": "pending", "in doubt": "in doubt", "refused": "refused", "dropped": "dropped"}
    told = [f"{counted(hits, 'hit')} {what}" for what, name in losses.items() if (hits := figures.get(name, 0))]
    return ", ".join(told) or NO_LOSS


def status_line(figures: Mapping[str, int], begun_at: float) -> str:
    """Return the figures of a logger that began then, on the monotonic clock, as a line for the operator."""
    figures = {**figures, "uptime": int(time.monotonic() - begun_at)}
    return ", ".join(f"{name} {number}" for name, number in figures.items()) + " s"


def read_figures(servers: Sequence[str], prefix: str, day: date | None = None) -> dict[str, int]:
    """Return the figures of all loggers together, by the names in FIGURES; of today, or of *day*.

    Raises MemcachedError.
    """
    keys = {name: hit_key(day or date.today(), figure_path(name), prefix) for name in FIGURES}
    numbers = read_views(servers, list(keys.values()))
    return {name: numbers.get(key, 0) for name, key in keys.items()}


def have_counted_otherwise(servers: Sequence[str], prefix: str, day: date, mark: str) -> bool:
    """Tell whether loggers have counted on *day*, but none of them by the rules with this `Rules.mark`.

    Raises MemcachedError.
    """
    hits, by_rules = (hit_key(day, figure_path(name), prefix) for name in ("hits", RULES + mark))
    found = read_views(servers, [hits, by_rules])
    return hits in found and by_rules not in found


def is_by_host(figures: Mapping[str, int]) -> bool:
    """Tell whether all loggers count each host separately. Then no counter has the views of a path of all hosts.

    A path does not tell: that of a single host begins with ``//``, too, if a client asks for it so.
    """
    return 0 < figures.get("hits", 0) <= figures.get("by host", 0)


def hour_keys(prefix: str, day: date) -> list[str]:
    """Return the keys of the hits in each hour of *day*, of all loggers together."""
    return [hit_key(day, figure_path(name), prefix) for name in HOURS]
