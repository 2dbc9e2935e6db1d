"""How long a day takes, compared with programs that everybody has. A time only counts if the totals are right.

    python -m benchmarks                    all parts: 1GB, 4GB, distinct and year
    python -m benchmarks 4GB                a day of 4 GB: rollup and its stages alone
    python -m benchmarks distinct           5 million paths in 1 GB
    python -m benchmarks 500MB year         a day of another size, and the year

makes the logs in build/bench and keeps them (benchmarks.corpus, benchmarks.distinct and benchmarks.year describe them).
It runs each task once, to check it and to warm up. Then it runs the tasks in turn, --runs times, and prints the medians
with targets and totals. Tasks of more than five seconds run three times at most. Before each task its log is read, so
that it is in the page cache. Programs are timed from start to end, those in Python like those in awk. Tasks that would
take minutes run on a smaller log of the same site. Their seconds are scaled to the day by lines, and marked with ~. If
fasthits has wrong totals, the part ends with an error, and the next part follows. Wrong totals of other programs and
missing programs are reported.

The record of a whole part goes to benchmarks/results. The page on speed, its picture and the sentence in README are
made from these records. The record of some rows, or of another size, goes to build/bench/results.

Other work on the machine makes the ranges larger: do not believe a difference that is smaller than the ranges.
"""

import argparse
import compileall
import re
import sys
import time

from benchmarks import installed, report
from benchmarks.arguments import make_parser
from benchmarks.logs import LINE_BYTES, Corpus, make_day, make_distinct
from benchmarks.record import RECORDED, RESULTS, make_record, save
from benchmarks.rows import Row, day_rows, distinct_rows
from benchmarks.tasks import ROOT, Figures, Task, is_here, shown
from benchmarks.truth import WrongTotals
from benchmarks.year import make_year, year_rows


class NoSuchRow(Exception):
    """No row of the part has the name that was asked for."""


KEPT = ROOT / "build" / "bench"
SMALL_LINES = 100_000
DISTINCT_PATHS = 5_000_000
QUICK_BYTES = 4_600_000
DISTINCT_BYTES = 10**9
QUICK_YEAR = (500, 30)
"""Paths and days."""
LONG_SECONDS = 5
LONG_RUNS = 3
"""A task that takes longer has this many runs at most."""
PARTS = ["1GB", "4GB", "distinct", "year"]
UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_part(text: str) -> str:
    """Return the name of a part: ``distinct``, ``year``, or the size of a day, as ``4GB`` or ``500MB``."""
    if text not in ("distinct", "year") and not bytes_of(text):
        raise argparse.ArgumentTypeError(f"no such part: {text} (try 1GB, 500MB, distinct or year)")
    return text


def bytes_of(text: str) -> int:
    """Return ``4GB`` or ``500MB`` in bytes; 0 if the text is not a size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(kB|MB|GB)", text)
    return int(float(found[1]) * UNITS[found[2]]) if found else 0


def make_rows(part: str, quick: bool) -> tuple[Corpus, list[Row]]:
    """Return the log or the database of a part, and its rows. Make the log if it does not exist."""
    if part == "year":
        year = make_year(KEPT, "year-quick" if quick else "year", *(QUICK_YEAR if quick else ()))
        return year, year_rows(year)
    if part == "distinct":
        size = QUICK_BYTES if quick else DISTINCT_BYTES
        distinct = make_distinct(
            KEPT, "distinct-quick" if quick else part, size, DISTINCT_PATHS * size // DISTINCT_BYTES
        )
        return distinct, distinct_rows(distinct)
    name, size = ("quick", QUICK_BYTES) if quick else (part, bytes_of(part))
    day = make_day(KEPT, name, round(size / LINE_BYTES))
    small = make_day(KEPT, f"{name}-small", min(SMALL_LINES, day.truth.lines // 10))
    return day, day_rows(day, small)


def measure(tasks: list[Task], runs: int) -> tuple[dict[Task, list[Figures]], dict[Task, str]]:
    """Return each task's figures, run by run, and what its check says."""
    figures: dict[Task, list[Figures]] = {task: [] for task in tasks}
    totals = {}
    long = set[Task]()
    for run in range(runs + 1):
        print(f"run {run} of {runs}" if run else "warming up and checking", file=sys.stderr, flush=True)
        for task in tasks:
            if task in long and run > LONG_RUNS:
                continue
            started = time.perf_counter()
            try:
                task.prepare()
                task.corpus.read()
                figure = task.measure()
                taken = time.perf_counter() - started
                totals[task] = task.check()
            except WrongTotals as error:
                raise WrongTotals(f"{task.name}: {error}") from error
            finally:
                task.close()
            if taken > LONG_SECONDS:
                long.add(task)
            if run:
                figures[task].append(figure)
    return figures, totals


def run_part(part: str, options: argparse.Namespace) -> bool:
    """Measure a part and keep its record; return whether the page on speed shows it."""
    corpus, rows = make_rows(part, options.quick)
    if options.rows and (unknown := set(options.rows) - {row.name for row in rows}):
        raise NoSuchRow(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in rows)}")
    rows = [row for row in rows if not options.rows or row.name in options.rows]
    measured = [row for row in rows if all(is_here(task.needs) for task in row.tasks())]
    figures, totals = measure(list(dict.fromkeys(task for row in measured for task in row.tasks())), options.runs)
    record = make_record(corpus, rows, figures, totals, options.runs)
    report.print_record(record)
    to_keep = corpus.name in RECORDED and not options.rows
    print(f"\n{shown(save(record, RESULTS if to_keep else KEPT / 'results'))}")
    return to_keep


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see ``--help``."""
    parser = make_parser("benchmarks", __doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        type=parse_part,
        metavar="PART",
        help=f"a size, distinct or year (default: {' '.join(PARTS)})",
    )
    parser.add_argument("--quick", action="store_true", help="a log of 5 MB, a small year: to see that it works")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows of one part")
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="timed runs of each task (default: 9)")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    parts = options.parts or PARTS
    if options.rows and len(parts) > 1:
        parts = parts[:1]
    installed.install()
    compileall.compile_dir(ROOT / "fasthits", quiet=1)  # pip does this; an editable install may lack these files
    kept, failed = False, False
    for part in parts:
        try:
            kept |= run_part(part, options)
        except NoSuchRow as error:
            parser.error(str(error))
        except WrongTotals as error:
            print(f"benchmarks: {part}: {error}", file=sys.stderr)
            failed = True
    if kept:
        report.write()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
