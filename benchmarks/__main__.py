"""How long a day takes, beside the programs that everybody has, each checked for its totals before its time counts.

    python -m benchmarks                    a day of 1 GB
    python -m benchmarks --size 4GB         a day of 4 GB: rollup and its stages alone
    python -m benchmarks --distinct         5 million paths in 1 GB

makes the log (see benchmarks.corpus and benchmarks.distinct for what is in it) in build/bench and keeps it, runs
each task once to check it and warm up, then --runs times, in turn, and prints the medians with targets and totals.
Before each task its log is read, to be in the page cache. Programs are timed from start to end, Python's and awk's
alike. What would take minutes is run on a smaller log of the same site; its seconds are scaled to the day by lines, and
marked with ~. Wrong totals of fasthits end the benchmark with an error; those of others are said. Programs that are
missing are named.

The record of a whole run goes to benchmarks/results. The page on speed and its picture are made from it. The record of
some rows, or of another size, goes to build/bench/results.

Other work on the machine shows in the ranges: believe no difference smaller than they are.
"""

import argparse
import compileall
import re
import sys

from benchmarks import report
from benchmarks.corpora import LINE_BYTES, Corpus, make_day, make_distinct
from benchmarks.record import RECORDED, RESULTS, make_record, save
from benchmarks.rows import Row, day_rows, distinct_rows
from benchmarks.tasks import ROOT, Figures, Task, is_here, shown
from benchmarks.truth import WrongTotals

KEPT = ROOT / "build" / "bench"
SMALL_LINES = 100_000
DISTINCT_PATHS = 5_000_000
QUICK_BYTES = 4_600_000
UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_size(text: str) -> tuple[str, int]:
    """Return ``4GB`` or ``500MB`` as it is, and the bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(kB|MB|GB)", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"not a size: {text} (try 4GB or 500MB)")
    return text, int(float(found[1]) * UNITS[found[2]])


def make_rows(options: argparse.Namespace) -> tuple[Corpus, list[Row]]:
    """Return the log that the options ask for, made if need be, and its rows."""
    name, size = ("quick", QUICK_BYTES) if options.quick else options.size
    if options.distinct:
        name = "distinct" if name == "1GB" else f"distinct-{name}"
        distinct = make_distinct(KEPT, name, size, DISTINCT_PATHS * size // 10**9)
        return distinct, distinct_rows(distinct)
    day = make_day(KEPT, name, round(size / LINE_BYTES))
    small = make_day(KEPT, f"{name}-small", min(SMALL_LINES, day.truth.lines // 10))
    return day, day_rows(day, small)


def measure(tasks: list[Task], runs: int) -> tuple[dict[Task, list[Figures]], dict[Task, str]]:
    """Return each task's figures, run by run, and what its check says."""
    figures: dict[Task, list[Figures]] = {task: [] for task in tasks}
    totals = {}
    for run in range(runs + 1):
        print(f"run {run} of {runs}" if run else "warming up and checking", file=sys.stderr, flush=True)
        for task in tasks:
            try:
                task.prepare()
                task.corpus.read()
                figure = task.measure()
                totals[task] = task.check()
            except WrongTotals as error:
                raise WrongTotals(f"{task.name}: {error}") from error
            finally:
                task.close()
            if run:
                figures[task].append(figure)
    return figures, totals


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see ``--help``."""
    about, _, method = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=about,
        epilog=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size", type=parse_size, default="1GB", metavar="SIZE", help="of the log: 4GB, 500MB (default: 1GB)"
    )
    parser.add_argument("--distinct", action="store_true", help="a log with a path of its own in nearly every line")
    parser.add_argument("--quick", action="store_true", help="a log of 5 MB: to see that it works")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="timed runs of each task (default: 7)")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    compileall.compile_dir(ROOT / "fasthits", quiet=1)  # as pip does; an editable install may be without
    corpus, rows = make_rows(options)
    if unknown := set(options.rows or ()) - {row.name for row in rows}:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in rows)}")
    rows = [row for row in rows if not options.rows or row.name in options.rows]
    measured = [row for row in rows if all(is_here(task.needs) for task in row.tasks())]
    try:
        figures, totals = measure(list(dict.fromkeys(task for row in measured for task in row.tasks())), options.runs)
    except WrongTotals as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    record = make_record(corpus, rows, figures, totals, options.runs)
    report.print_record(record)
    to_keep = corpus.name in RECORDED and not options.rows
    print(f"\n{shown(save(record, RESULTS if to_keep else KEPT / 'results'))}")
    if to_keep:
        report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
