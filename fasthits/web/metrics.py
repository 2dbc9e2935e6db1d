"""Metrics in Prometheus' text format. Only totals: there are too many paths for a metric each."""

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
"""The loggers' figure for each label."""


class Figures(NamedTuple):
    """What the metrics are made of; None for what cannot be read."""

    sample: Sample | None
    newest_day: date | None
    loggers: int
    health: Mapping[str, int] | None


def exposition(figures: Figures) -> str:
    """Return the figures as Prometheus reads them, without those that are None."""
    return "".join(
        f"# HELP fasthits_{name} {text}\n# TYPE fasthits_{name} gauge\n"
        + "".join(f"fasthits_{name}{label} {value}\n" for label, value in values.items())
        for name, text, values in _gauges(figures)
    )


def _gauges(figures: Figures) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Yield each metric: its name, its help text, and its values by label; ``""`` is no label."""
    sample, health = figures.sample, figures.health
    yield "memcached_up", "1 if every memcached answers, else 0.", {"": int(bool(sample and not sample.problems))}
    if sample:
        yield "views_today", "Today's live views of all paths together.", {"": sample.views}
        yield "paths_today", "Paths read today.", {"": sample.paths}
        if sample.rate is not None:
            text = "Views a second over the last minute, or since sampling began."
            yield "views_per_second", text, {"": sample.rate}
    yield "loggers", "Loggers running on this machine.", {"": figures.loggers}
    if health:
        lines = {label: health[name] for label, name in _LINES.items()}
        hits = {label: health[name] for label, name in _HITS.items()}
        yield "logger_lines_today", "Lines that all loggers have read today, by outcome.", lines
        yield "logger_hits_today", "Hits that all loggers have finished with today, by outcome.", hits
        text = "Connections to memcached that loggers have made again today."
        yield "logger_reconnects_today", text, {"": health["reconnects"]}
        text = "Lines that loggers have discarded today because they could not count."
        yield "logger_discarded_lines_today", text, {"": health["discarded"]}
        warnings = {f'{{cause="{cause}"}}': health[warning_figure(cause)] for cause in CAUSES}
        yield "logger_warnings_today", "Warnings of all loggers today, at most one a minute and cause.", warnings
    if figures.newest_day:
        midnight = datetime.combine(figures.newest_day, datetime.min.time(), UTC)
        seconds = int(midnight.timestamp())
        yield "rollup_newest_day_seconds", "Newest day in the database, as a Unix time.", {"": seconds}
