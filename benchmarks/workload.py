"""The stages of the core's work, one after the other, for callgrind: ``python -m benchmarks.workload LOG JSON``.

JSON is a log of the same requests.
"""

import os
import sys
from datetime import date
from pathlib import Path

from benchmarks.callgrind import begin
from fasthits._parse import HitTable, LineRules
from fasthits.formats.json_ltsv_w3c import JSON

NEVER = date(1970, 1, 1)
STAGES = ("tokenise", "count", "agents", "count_json", "rows", "merge")


def main(log: str, objects: str) -> None:
    """Do each stage between two points."""
    day, of_objects = Path(log).read_bytes(), Path(objects).read_bytes()
    never, counted, merged = HitTable(), HitTable(), HitTable()
    never.count_only([NEVER])
    agents = HitTable(rules=LineRules(verdict=lambda agent: 2 if b"bot" in agent else 0))
    counted_json = HitTable(rules=LineRules(ways=[JSON.reading()]))
    begin()
    os.getppid()
    never.feed(day)  # read all lines; no line is of a day that counts
    os.getppid()
    counted.feed(day)
    os.getppid()
    agents.feed(day)  # the core asks once about each user agent
    os.getppid()
    counted_json.feed(of_objects)
    os.getppid()
    for _ in counted.rows():
        pass
    os.getppid()
    merged.merge(counted)
    os.getppid()


if __name__ == "__main__":
    main(*sys.argv[1:])
