"""How the loggers fare: the figures of all of them together, which each adds to in memcached now and then.

They are counters as those of hits are, one for each figure and day: the day on which they are published.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from fasthits.live.causes import CAUSES, warning_figure
from fasthits.live.keys import figure_path, hit_key
from fasthits.live.memcached import Row, read_views

PUBLISH_SECONDS = 10.0

FIGURES = (
    *("lines", "hits", "filtered", "malformed"),
    *("delivered", "in doubt", "refused", "dropped", "reconnects", "discarded"),
    *map(warning_figure, CAUSES),
)
"""Each line is a hit, filtered or malformed; a hit that is in none of the next four waits. Discarded lines are none of
these lines: they came while a logger could not count. The rest are numbers of warnings."""


class Health:
    """The figures of one logger on their way to memcached, as rows, which are taken and may be put back.

    They are worth taking when one has risen since the last time; so a logger without lines does not try again. That of
    reconnects is not: it rises by trying.
    """

    def __init__(self, figures: Callable[[], Mapping[str, int]]) -> None:
        """*figures* returns those of FIGURES that are not 0, none lower than before; it is called after this."""
        self._figures = figures
        self._seen = [0] * len(FIGURES)
        self._published = Counter[bytes]()
        self.at = time.monotonic() + PUBLISH_SECONDS
        """When they may be taken, at the earliest; a time of the monotonic clock."""

    def __bool__(self) -> bool:
        return any(
            now > seen for name, now, seen in zip(FIGURES, self._now(), self._seen, strict=True) if name != "reconnects"
        )

    def take(self) -> list[Row]:
        """Return how much each figure has risen since it was taken and not put back; none if none has of late."""
        self.at = time.monotonic() + PUBLISH_SECONDS
        if not self:
            return []
        self._seen = self._now()
        today = date.today()
        numbers = zip(map(figure_path, FIGURES), self._seen, strict=True)
        rows = [(today, path, rise) for path, number in numbers if (rise := number - self._published[path])]
        self._published.update({path: rise for _, path, rise in rows})
        return rows

    def put(self, rows: Iterable[Row]) -> None:
        """Take back what memcached did not get."""
        self._published.subtract({path: rise for _, path, rise in rows})

    def _now(self) -> list[int]:
        figures = self._figures()
        return [figures.get(name, 0) for name in FIGURES]


def read_figures(servers: Sequence[str], prefix: str) -> dict[str, int]:
    """Return what all loggers together have published today, by the names in FIGURES. Raises MemcachedError."""
    keys = {name: hit_key(date.today(), figure_path(name), prefix) for name in FIGURES}
    numbers = read_views(servers, list(keys.values()))
    return {name: numbers.get(key, 0) for name, key in keys.items()}
