"""The figures of all loggers together, to which each logger adds in memcached every PUBLISH_SECONDS.

They are counters like those of hits: one for each figure and day, the day of publishing.
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
"""Each line is a hit, filtered or malformed. A hit that is not delivered, in doubt, refused or dropped is waiting.
Discarded lines are not among the lines: they came while a logger could not count. The rest are numbers of warnings."""


class Health:
    """The figures of one logger on their way to memcached, as rows, which are taken and may be put back.

    Rows are worth taking when a figure has risen since the last time, so a logger without lines does not try again.
    The figure of reconnects does not count for this, because trying raises it.
    """

    def __init__(self, figures: Callable[[], Mapping[str, int]]) -> None:
        """*figures* returns the FIGURES that are not 0; none may fall. It is not called before this returns."""
        self._figures = figures
        self._seen = [0] * len(FIGURES)
        self._published = Counter[bytes]()
        self.at = time.monotonic() + PUBLISH_SECONDS
        """The earliest time to take rows, on the monotonic clock."""

    def __bool__(self) -> bool:
        return any(
            now > seen for name, now, seen in zip(FIGURES, self._now(), self._seen, strict=True) if name != "reconnects"
        )

    def take(self) -> list[Row]:
        """Return each figure's increase since it was last taken and not put back; empty if no figure has risen."""
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
        """Take back the rows that memcached did not get."""
        self._published.subtract({path: rise for _, path, rise in rows})

    def _now(self) -> list[int]:
        figures = self._figures()
        return [figures.get(name, 0) for name in FIGURES]


def read_figures(servers: Sequence[str], prefix: str) -> dict[str, int]:
    """Return today's figures of all loggers together, by the names in FIGURES. Raises MemcachedError."""
    keys = {name: hit_key(date.today(), figure_path(name), prefix) for name in FIGURES}
    numbers = read_views(servers, list(keys.values()))
    return {name: numbers.get(key, 0) for name, key in keys.items()}
