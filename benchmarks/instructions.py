"""How many instructions the compiled core takes for a line and for a row, counted by callgrind.

    python -m benchmarks.instructions             compares with benchmarks/results/instructions.json
    python -m benchmarks.instructions --record    writes that file

A slower core shows here on any machine, however busy.

A count holds for one architecture, compiler, C library and Python. If these are as in the record, a stage may take 3 %
more, else 25 %. Runs differ by at most 0.5 %, as all hash paths with the same secrets. The processor matters little:
glibc chooses its memchr by what the processor can do, but valgrind shows all programs a processor without AVX-512, so
all processors with AVX2 (since 2013) run the same code.

A count is not a time: a branch that the processor guesses wrong costs as much as 60 instructions, and a search in three
places at once costs less than a loop that ends after two or three. So measure both for a change that is about speed.

Where the instructions go: ``callgrind_annotate build/instructions/part.3`` for the second stage, and so on.
"""

import json
import re
import sys
import sysconfig
from typing import Any

from benchmarks.arguments import make_parser
from benchmarks.callgrind import count_instructions
from benchmarks.corpus import Expected
from benchmarks.logs import make_day, make_objects
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.record import RESULTS
from benchmarks.tasks import ROOT
from benchmarks.workload import STAGES

RECORD = RESULTS / "instructions.json"
KEPT = ROOT / "build" / "instructions"
LINES = 50_000
TOLERANCE = 0.03
OTHER_TOLERANCE = 0.25
"""If the toolchain is not the recorded one."""

Counts = dict[str, float]
"""Instructions by stage, for each line or row."""


UNITS = {stage: "row" if stage in ("rows", "merge") else "line" for stage in STAGES}


def measure() -> Counts:
    """Return the counts of this core. This takes some seconds."""
    day = make_day(KEPT, "day", LINES)
    objects = make_objects(day)
    _, *totals = count_instructions(KEPT, "benchmarks.workload", day.log, objects.log)
    assert isinstance(day.truth, Expected)
    units = {"line": day.truth.lines, "row": len(day.truth.views)}
    return {stage: round(total / units[UNITS[stage]], 1) for stage, total in zip(STAGES, totals, strict=True)}


def toolchain() -> dict[str, str]:
    """Return what the counts depend on beside the core."""
    machine, versions = describe_machine(), describe_versions()
    optimised = re.findall(r"-O\w", f"{sysconfig.get_config_var('CFLAGS')}")
    return {
        "architecture": str(machine["architecture"]),
        "libc": str(machine["libc"]),
        "compiler": f"gcc {versions.get('gcc')} {optimised[-1] if optimised else ''}".strip(),
        "python": versions["python"],
        "cython": versions["cython"],
        "core": versions["core"],
    }


def find_slower(counts: Counts, recorded: dict[str, Any]) -> list[str]:
    """Return a complaint about each stage that takes more instructions than the record allows."""
    tolerance = TOLERANCE if toolchain() == recorded["toolchain"] else OTHER_TOLERANCE
    return [
        f"{stage} takes {counts[stage]:g} instructions a {UNITS[stage]}, {counts[stage] / known - 1:.1%} more, "
        f"and {tolerance:.0%} is allowed"
        for stage, known in recorded["instructions"].items()
        if counts[stage] > known * (1 + tolerance)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Count, and compare or record; see ``--help``."""
    parser = make_parser("benchmarks.instructions", __doc__)
    parser.add_argument("--record", action="store_true", help="write the counts down instead of comparing them")
    options = parser.parse_args(arguments)
    counts = measure()
    if options.record:
        RECORD.parent.mkdir(exist_ok=True)
        fields = {"lines": LINES, "toolchain": toolchain(), "instructions": counts}
        RECORD.write_text(json.dumps(fields, indent=1) + "\n")
    recorded = json.loads(RECORD.read_text())
    for stage, known in recorded["instructions"].items():
        change = counts[stage] / known - 1
        print(f"{stage:10} {counts[stage]:8,.1f} a {UNITS[stage]:5} recorded {known:8,.1f}  {change:+.1%}")
    found = find_slower(counts, recorded)
    for complaint in found:
        print(f"{complaint} (if that is worth it: make instructions RECORD=1)", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
