"""Days of rows, put into the target of a rollup."""

from datetime import date

from fasthits._parse import HitTable
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.target import Replaced


def count(rows: dict[date, dict[bytes, int]]) -> HitTable:
    """Return a hit table with the views of each path on each day."""
    found = HitTable()
    for day, paths in rows.items():
        for path, views in paths.items():
            found.add(day, path, views)
    return found


def replace(target: str, rows: dict[date, dict[bytes, int]], with_fewer: bool = False) -> Replaced:
    """Replace the days of *rows* in a target."""
    return open_target(target).replace(sorted(rows), count(rows), with_fewer)
