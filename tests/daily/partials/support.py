"""Partials of tests: small ones, and what a merge of all in a folder gives."""

from datetime import date
from pathlib import Path

from fasthits._parse import HitTable
from fasthits.daily.counting.count_days import DEFAULT_RULES
from fasthits.daily.layouts import hits_layout
from fasthits.daily.partials.target import Origin, PartialTarget
from fasthits.daily.targets.target import Replaced
from fasthits.rules.rules import Rules
from tests.support.commands import fasthits

DAY, NEXT = date(2026, 3, 12), date(2026, 3, 13)


def partial_of(file: Path, server: str, days: dict[date, int], rules: Rules = DEFAULT_RULES) -> Path:
    """Write a partial with some hits. The path has the name of the server."""
    hit_table = HitTable()
    for day, views in days.items():
        hit_table.add(day, f"/{server}".encode(), views)
    table = PartialTarget(file, [hits_layout(rules.by_host)], Origin.of(server, rules))
    assert table.replace(sorted(days), hit_table, with_fewer=True) == Replaced(len(days), [], [])
    return file


def merged(folder: Path, *options: str) -> tuple[int, list[str], str]:
    """Merge all partials in a folder; return the exit code, the rows and the messages."""
    done = fasthits("merge", *sorted(folder.glob("*.hits")), "--to", "hits.csv", *options, cwd=folder)
    rows = (folder / "hits.csv").read_text().splitlines()[1:] if (folder / "hits.csv").exists() else []
    return done.returncode, rows, done.stderr.decode()
