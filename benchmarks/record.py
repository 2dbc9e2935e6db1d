"""The record of a benchmark, kept in a JSON file: the log, the machine, and each row's value and target."""

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.logs import Corpus
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.rows import Known, Row
from benchmarks.tasks import Figures, Task, is_here

RESULTS = Path(__file__).with_name("results")
RECORDED = ("4GB", "1GB", "distinct", "year")
"""The logs whose records are part of the project, in the order of the page on speed."""

Record = dict[str, Any]


def make_record(
    corpus: Corpus, rows: list[Row], figures: dict[Task, list[Figures]], totals: dict[Task, str], runs: int
) -> Record:
    """Return the record of *rows*. Their tasks have *figures* of *runs* runs; a row without figures is missing."""
    measured = [row for row in rows if all(task in figures for task in row.tasks())]
    return {
        "corpus": {
            "name": corpus.name,
            "bytes": corpus.truth.size,
            "lines": corpus.truth.lines,
            "paths": corpus.truth.path_count(),
        },
        "machine": describe_machine(),
        "versions": describe_versions(),
        "runs": runs,
        "missing": sorted({task.needs for row in rows for task in row.tasks() if not is_here(task.needs)}),
        "tasks": {
            task.name: {"command": task.command, "lines": task.corpus.truth.lines, "totals": totals[task]}
            | {"runs": len(each)}
            | {name: _spread([run[name] for run in each]) for name in each[0]}
            for task, each in figures.items()
        },
        "rows": [_judge(row, corpus, figures) for row in measured],
    }


def _spread(values: list[float]) -> dict[str, float]:
    spread = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in spread.items()}


def _judge(row: Row, corpus: Corpus, figures: dict[Task, list[Figures]]) -> Record:
    def of(task: Task) -> float:
        median = statistics.median(run[row.figure] for run in figures[task])
        # A task that was measured on a smaller log would take longer on this log, in proportion to the lines.
        return median * corpus.truth.lines / task.corpus.truth.lines if row.figure == "seconds" else median

    own, other = of(row.task), 0.0
    if row.yardstick is not None:
        other = row.yardstick.figure if isinstance(row.yardstick, Known) else of(row.yardstick)
    value = row.measure.value(own, other)
    bound = row.target
    met = None if bound is None else value <= bound if row.measure.at_most else value >= bound
    return {
        "name": row.name,
        "task": row.task.name,
        "yardstick": row.yardstick.name if row.yardstick else None,
        "figure": row.figure,
        "own": float(f"{own:.4g}"),
        "other": float(f"{other:.4g}") if row.yardstick else None,
        "value": float(f"{value:.4g}"),
        "unit": row.measure.unit,
        "bound": "at most" if row.measure.at_most else "at least",
        "target": bound,
        "met": met,
    }


def save(record: Record, folder: Path) -> Path:
    """Write a record to a folder, under the name of its log, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{record['corpus']['name']}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def load(name: str, folder: Path = RESULTS) -> Record | None:
    """Return the record of a log; None if there is no record."""
    file = folder / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
