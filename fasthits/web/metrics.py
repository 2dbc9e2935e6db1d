"""Metrics in Prometheus' text format. Only totals: there are too many paths for a metric each."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from fasthits import __version__
from fasthits.live.causes import CAUSES, warning_figure
from fasthits.live.sampler import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LINES = {"hit": "hits", "filtered": "filtered", "malformed": "malformed"}
_HITS = {"delivered": "delivered", "in_doubt": "in doubt", "refused": "refused", "dropped": "dropped"}
"""The loggers' figure for each outcome."""

Values = Mapping[str, float]
"""Values by label; ``""`` is no label."""


class Figures(NamedTuple):
    """The sources of the metrics; None for a source that cannot be read."""

    servers: Sequence[str]
    sample: Sample | None
    kept: Mapping[str, Any] | None
    """See `kept_document`."""
    loggers: int | None
    seconds: float
    """How long it took to gather all this."""


def exposition(figures: Figures) -> str:
    """Return the figures as text for Prometheus, without figures that are None."""
    return "".join(
        f"# HELP fasthits_{name} {text}\n# TYPE fasthits_{name} {'counter' if name.endswith('_total') else 'gauge'}\n"
        + "".join(f"fasthits_{name}{label} {value}\n" for label, value in values.items())
        for name, text, values in _metrics(figures)
    )


def _metrics(figures: Figures) -> Iterator[tuple[str, str, Values]]:
    """Yield each metric: its name, its help text, and its values."""
    build = f"{_label('version', __version__)[:-1]},{_label('python', platform.python_version())[1:]}"
    yield "build_info", "The version of fasthits. Always 1.", {build: 1}
    answering = figures.sample.servers if figures.sample else {}
    up = {_label("server", server): int(answering.get(server, False)) for server in figures.servers}
    yield "memcached_up", "1 if this memcached answers, else 0.", up
    if figures.sample:
        yield from _live(figures.sample)
    if figures.loggers is not None:
        yield "loggers", "Loggers running on this machine.", {"": figures.loggers}
    if figures.sample and figures.sample.figures:
        yield from _loggers(figures.sample.figures)
    if figures.kept:
        yield from _kept(figures.kept)
    yield "scrape_duration_seconds", "Seconds it took to gather these figures.", {"": round(figures.seconds, 6)}


def _live(sample: Sample) -> Iterator[tuple[str, str, Values]]:
    rises = {_label("server", server): rise for server, rise in sample.seen.items()}
    yield "views_total", "Views that came to the live counters of this memcached since this server started.", rises
    if all(sample.servers.values()):  # a part of the servers has a part of the views
        yield "views_today", "Today's live views of all paths together. Begins at 0 each midnight.", {"": sample.views}
        yield "paths_today", "Paths read today.", {"": sample.paths}
    yield "sample_timestamp_seconds", "When the live counters were read.", {"": round(sample.at.timestamp(), 3)}


def _loggers(health: Mapping[str, int]) -> Iterator[tuple[str, str, Values]]:
    """Yield the counters of all loggers. They begin at 0 each midnight; Prometheus takes that for a restart."""
    lines = {_label("outcome", outcome): health[name] for outcome, name in _LINES.items()}
    yield "logger_lines_total", "Lines that all loggers have read, by outcome.", lines
    hits = {_label("outcome", outcome): health[name] for outcome, name in _HITS.items()}
    yield "logger_hits_total", "Hits that all loggers have finished with, by outcome.", hits
    text = "Reconnections of loggers to memcached."
    yield "logger_reconnects_total", text, {"": health["reconnects"]}
    text = "Lines that loggers have discarded because they could not count."
    yield "logger_discarded_lines_total", text, {"": health["discarded"]}
    warnings = {_label("cause", cause): health[warning_figure(cause)] for cause in CAUSES}
    yield "logger_warnings_total", "Warnings of all loggers, at most one a minute and cause.", warnings


def _kept(kept: Mapping[str, Any]) -> Iterator[tuple[str, str, Values]]:
    if kept["newest"]:
        midnight = datetime.combine(date.fromisoformat(kept["newest"]), datetime.min.time()).astimezone()
        text = "The newest kept day: its first second, as a Unix time."
        yield "rollup_newest_day_timestamp_seconds", text, {"": int(midnight.timestamp())}
    yield "rollup_kept_days", "Days in the database.", {"": kept["kept_days"]}
    text = "Days from the oldest kept day to yesterday that are not in the database."
    yield "rollup_missing_days", text, {"": len(kept["missing"])}


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{name}="{escaped}"}}'
