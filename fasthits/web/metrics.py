"""Figures in Prometheus' text format: totals, never one for each path, of which there are too many."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from fasthits.live.causes import CAUSES, warning_figure
from fasthits.live.sampler import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LINES = {'{outcome="hit"}': "hits", '{outcome="filtered"}': "filtered", '{outcome="malformed"}': "malformed"}
_HITS = {
    **{'{outcome="delivered"}': "delivered", '{outcome="in_doubt"}': "in doubt"},
    **{'{outcome="refused"}': "refused", '{outcome="dropped"}': "dropped"},
}
"""The figure of the loggers for each label."""


class Figures(NamedTuple):
    """What is known; None for what is not."""

    sample: Sample | None
    newest_day: date | None
    loggers: int
    health: Mapping[str, int] | None


def exposition(figures: Figures) -> str:
    """Return the figures as Prometheus reads them; what is not known is left out."""
    return "".join(
        f"# HELP fasthits_{name} {text}\n# TYPE fasthits_{name} gauge\n"
        + "".join(f"fasthits_{name}{label} {value}\n" for label, value in values.items())
        for name, text, values in _gauges(figures)
    )


def _gauges(figures: Figures) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Yield the name of each, what it tells, and its value for each label; one that has no labels has ``""``."""
    sample, health = figures.sample, figures.health
    yield "memcached_up", "Whether every memcached answers.", {"": int(bool(sample and not sample.problems))}
    if sample:
        yield "views_today", "Live views of today, all paths together.", {"": sample.views}
        yield "paths_today", "Paths read today.", {"": sample.paths}
        if sample.rate is not None:
            text = "Views a second, over the last minute or as long as it is known."
            yield "views_per_second", text, {"": sample.rate}
    yield "loggers", "Piped loggers that run on this machine.", {"": figures.loggers}
    if health:
        lines = {label: health[name] for label, name in _LINES.items()}
        hits = {label: health[name] for label, name in _HITS.items()}
        yield "logger_lines_today", "What all loggers together have read today, in lines.", lines
        yield "logger_hits_today", "What became of the hits among them that wait no more.", hits
        text = "Connections to memcached that loggers have made today in place of one that was lost."
        yield "logger_reconnects_today", text, {"": health["reconnects"]}
        text = "Lines that loggers have thrown away today while they could not count."
        yield "logger_discarded_lines_today", text, {"": health["discarded"]}
        warnings = {f'{{cause="{cause}"}}': health[warning_figure(cause)] for cause in CAUSES}
        yield "logger_warnings_today", "Warnings of all loggers today, one a minute for each cause.", warnings
    if figures.newest_day:
        midnight = datetime.combine(figures.newest_day, datetime.min.time(), UTC)
        seconds = int(midnight.timestamp())
        yield "rollup_newest_day_seconds", "The newest day that is kept, as a Unix time.", {"": seconds}
