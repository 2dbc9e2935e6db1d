"""Whether the web server's log has the time zone in which the app takes its days."""

from collections.abc import Sequence
from datetime import date, datetime

from fasthits.daily.logs.sources import Patterns, Sources
from fasthits.django.conf import NAME, in_time_zone, setting
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.timestamps import detect_format, timestamps
from fasthits.upkeep.doctor.logs import sample

SAMPLE_LINES = 20
"""The first lines of each file to look at."""


def find_difference(patterns: Patterns, days: Sequence[date]) -> str | None:
    """Return a warning if the newest of the logs' first lines has another offset than TIME_ZONE; else None.

    Raises FasthitsError and `Finding` for logs that cannot be read.
    """
    compiled, zone = CompiledRules(setting("RULES")), setting("TIME_ZONE")
    found: list[datetime] = []
    with in_time_zone():  # times without an offset do not differ
        for each in Sources(patterns, days, compiled).files:
            lines = sample(each)[:SAMPLE_LINES] if each.size else []
            found += timestamps(lines, detect_format(lines, compiled), compiled)
    newest = max(found, default=None)
    if newest is None or newest.utcoffset() == newest.astimezone(zone).utcoffset():
        return None
    ours = f"{newest.astimezone(zone):%z} ({zone})"
    return (
        f"the log's times are at {newest:%z}, but days are taken at {ours}, so today may be the wrong day: "
        f'set {NAME}["TIME_ZONE"] to the time zone of the web server'
    )
