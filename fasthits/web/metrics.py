"""Figures in Prometheus' text format: totals, never one for each path, of which there are too many."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from fasthits.live import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Figures(NamedTuple):
    """What is known; None for what is not."""

    sample: Sample | None
    newest_day: date | None
    loggers: int


def exposition(figures: Figures) -> str:
    """Return the figures as Prometheus reads them; what is not known is left out."""
    return "".join(
        f"# HELP fasthits_{name} {text}\n# TYPE fasthits_{name} gauge\nfasthits_{name} {value}\n"
        for name, text, value in _gauges(figures)
    )


def _gauges(figures: Figures) -> Iterator[tuple[str, str, float]]:
    sample = figures.sample
    yield "memcached_up", "Whether every memcached answers.", int(bool(sample and not sample.problems))
    if sample:
        yield "views_today", "Live views of today, all paths together.", sample.views
        yield "paths_today", "Paths read today.", sample.paths
        if sample.rate is not None:
            yield "views_per_second", "Views a second, over the last minute or as long as it is known.", sample.rate
    yield "loggers", "Piped loggers that run on this machine.", figures.loggers
    if figures.newest_day:
        midnight = datetime.combine(figures.newest_day, datetime.min.time(), UTC)
        yield "rollup_newest_day_seconds", "The newest day that is kept, as a Unix time.", int(midnight.timestamp())
