"""One stage of the core's work on a log, for callgrind: ``python -m benchmarks.workload STAGE LOG``.

It imports little, because everything takes fifty times as long under valgrind.
"""

import sys
from collections.abc import Callable
from datetime import date

from fasthits._parse import HitTable, LineRules
from fasthits.formats.json_ltsv_w3c import JSON

NEVER = date(1970, 1, 1)


def load(block: bytes) -> None:
    """Do nothing with the log."""


def tokenise(block: bytes) -> None:
    """Judge all lines. No line is of a day that counts."""
    counter = HitTable()
    counter.count_only([NEVER])
    counter.feed(block)


def count(block: bytes) -> HitTable:
    """Count all hits."""
    counter = HitTable()
    counter.feed(block)
    return counter


def agents(block: bytes) -> None:
    """Count all hits whose user agents are no bots. The core asks once about each user agent."""
    HitTable(rules=LineRules(verdict=lambda agent: 2 if b"bot" in agent else 0)).feed(block)


def count_json(block: bytes) -> None:
    """Count all hits of the same requests as JSON lines."""
    HitTable(rules=LineRules(ways=[JSON.reading()])).feed(block)


def load_json(block: bytes) -> None:
    """Do nothing with JSON lines, but make their rules."""
    LineRules(ways=[JSON.reading()])


def merge(block: bytes) -> None:
    """Count all hits and merge them into another counter."""
    HitTable().merge(count(block))


def rows(block: bytes) -> None:
    """Count all hits and read the rows."""
    for _ in count(block).rows():
        pass


if __name__ == "__main__":
    stages: dict[str, Callable[[bytes], object]] = {
        stage.__name__: stage for stage in (load, tokenise, count, agents, load_json, count_json, merge, rows)
    }
    name, log = sys.argv[1:]
    with open(log, "rb") as file:
        stages[name](file.read())
