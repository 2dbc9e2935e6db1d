"""Shows records to people: on the terminal, and as the page on speed.

    python -m benchmarks.report

writes docs/speed.md, the picture docs/speed.svg and a sentence of README.md from the records in
``benchmarks/results/``.
"""

import re

from benchmarks import chart, record
from benchmarks.judges import NO_TOTALS
from benchmarks.record import Record
from benchmarks.tasks import ROOT

PAGE, PICTURE, README = ROOT / "docs" / "speed.md", ROOT / "docs" / "speed.svg", ROOT / "README.md"
SENTENCE = r"A day's log of 1 GB, [\d.]+ million lines, takes [\d.]+ seconds"
SCALED = "~"
FIGURES = {
    "seconds": "",
    "start": "",
    "peak": ", peak memory",
    "cpu": ", of a core",
    "p50": ", hit to counter, median",
    "p99": ", hit to counter, 99 %",
}


def amount(seconds_or_bytes: float, figure: str) -> str:
    """Return a figure with its unit, with three digits."""
    if figure == "peak":
        return f"{seconds_or_bytes / 1e6:,.0f} MB"
    if figure == "cpu":
        return f"{seconds_or_bytes:.1%}".replace("%", " %")
    if seconds_or_bytes < 0.1:
        return f"{digits(seconds_or_bytes * 1e3)} ms"
    return f"{digits(seconds_or_bytes)} s"


def digits(value: float) -> str:
    """Return a number with three significant digits, or with all its digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(row: Record) -> str:
    """Return the target and whether it is met."""
    if row["target"] is None:
        return ""
    return f"{row['bound']} {digits(row['target'])}{row['unit']}: {'met' if row['met'] else '**missed**'}"


def cells(row: Record, result: Record) -> list[str]:
    """Return a row's texts: a task and its figure, its yardstick and its figure, how they compare, the verdict."""
    tasks, figure = result["tasks"], row["figure"]

    def of(name: str, value: float) -> str:
        scaled = figure == "seconds" and tasks[name]["lines"] != result["corpus"]["lines"]
        return f"{SCALED * scaled}{amount(value, figure)}"

    own = of(row["task"], row["own"])
    against, other = "", ""
    if row["yardstick"]:
        against, other = row["yardstick"], of(row["yardstick"], row["other"])
    compared = f"{digits(row['value'])}{row['unit']}"
    said = against or row["unit"] == " GB/s"
    return [row["task"] + FIGURES[figure], own, against, other, compared if said else "", verdict(row)]


HEADER = ["", "takes", "against", "takes", "compared", "target"]


def title(result: Record) -> str:
    """Return the name of the log as a heading."""
    corpus = result["corpus"]
    if corpus["name"] == "year":
        return f"A year kept, {corpus['lines']:,} rows, {corpus['paths']:,} paths, {corpus['bytes'] / 1e9:.3g} GB"
    return f"{corpus['bytes'] / 1e9:.3g} GB, {corpus['lines']:,} lines, {corpus['paths']:,} paths"


def conditions(result: Record) -> str:
    """Return a sentence about the conditions of the figures."""
    machine, versions = result["machine"], dict(result["versions"])
    commit, core, python = versions.pop("commit"), versions.pop("core"), versions.pop("python")
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, {machine['kernel']}, "
        f"{machine['libc']}, {python}; {programs}; fasthits {commit} ({core}). "
        f"Medians of {result['runs']} runs, all in turn{_fewer_runs(result)}."
    )


def _fewer_runs(result: Record) -> str:
    """Return how often the long tasks ran."""
    fewer = {task.get("runs", result["runs"]) for task in result["tasks"].values()} - {result["runs"]}
    return f"; of {min(fewer)} for what takes long" if fewer else ""


def wrong_totals(result: Record) -> str:
    """Return the programs with wrong totals, and how far off they are."""
    tasks = result["tasks"].items()
    return "\n".join(
        f"- {name}: {task['totals']}" for name, task in tasks if not task["totals"].startswith(("right", NO_TOTALS))
    )


def print_record(result: Record) -> None:
    """Print all of a record."""
    print(f"\n{result['corpus']['name']}: {title(result)}\n{conditions(result)}\n")
    lines = [HEADER, *(cells(row, result) for row in result["rows"])]
    lines = [[cell.replace("`", "").replace("**", "") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nWhat was run, how long it took, and its totals:")
    for name, task in result["tasks"].items():
        figures = [
            f"{amount(task[figure]['median'], figure)} ({amount(task[figure]['min'], figure)} to "
            f"{amount(task[figure]['max'], figure)})"
            for figure in FIGURES
            if figure in task
        ]
        print(f"  {name}, {task['lines']:,} lines: {', '.join(figures)}\n    {task['totals']}")
        if task["command"]:
            print(f"    $ {task['command']}")
    if result["missing"]:
        print(f"Not measured, because they are not here: {', '.join(result['missing'])}")


INTRODUCTION = f"""\
<!-- made by python -m benchmarks.report -->
# Speed

How long a day's log takes, from the start of the command to its end. The tables compare fasthits with programs that
only read the log, and with programs that also count it.

![Seconds for a day of 1 GB, on a log scale]({PICTURE.name})

- The log is in the page cache. The totals of each program were checked before its time counted.
- `{SCALED}` was measured on a smaller log of the same site and scaled by lines.
- The last column is the target that the project has set itself. **missed** is a target that it does not reach.

## Where fasthits loses

"""
END = """\
## Where the time goes

- **A rollup of 100 lines** takes 320 million instructions (callgrind): Python itself 37, the start of the compiled core
  28, most of it for `inspect`, which Cython imports for the stable ABI, other imports more than half, the formats and
  their detection a tenth. A disk adds two fsyncs: of the new rows, and of the name of their file.
- **A day of 1 GB to CSV, two threads** (profile on 2 cores of a Xeon, 0.38 s): the start takes a fifth of it, 77 ms, of
  which Python itself takes 12, imports about 45, the log formats 14. Writing 50,000 rows takes 25 ms. The rest is
  counting, which both cores do at once.
- **5 million paths to CSV**: counting takes 1.8 of 2.9 s. Sorting and writing the rows is done by one thread, so two
  threads are 1.2 to 1.4 times as fast as one.
- **5 million paths to SQLite**: a row takes microseconds more than in CSV. Four tenths of these insert the row. Three
  tenths give each new path a number, and three pack the sums by which a year is read in a moment: see
  [Rollup](rollup.md).
- **`--exclude-bots`**: the list of bots takes 30 ms to load and file, the verdicts on 1,400 agents 20 ms. The rest is
  finding the agent in each line.
- **`fasthits log` from a pipe** is done when memcached has answered: reader, courier, memcached and the writer share
  the cores. The reader takes 0.75 s for 1 GB, reading the pipe included.

## To repeat it

    make bench                                          all parts; twenty minutes, and the first time the logs are made
    make bench BENCH='4GB'                              only 4 GB
    make bench BENCH='distinct --rows distinct-sqlite'  some rows; this changes no page

The records, with all commands, are in `benchmarks/results/`. `corpus.py`, `distinct.py` and `year.py`
in `benchmarks/` say what is in the logs. `make instructions` counts the instructions that the core takes for a line, so
that a busy machine does not matter. `python -m benchmarks.web` puts load on the page of `fasthits serve`.
"""
LOSSES = """\
- Small files, because of Python's start-up: gawk has counted more than 100,000 lines by then.
- Reading only: `cat` does no more than that, and is faster.
- Any other question: DuckDB and Polars answer it from the same file, GoAccess shows it.

Targets that are missed:

"""


def page() -> str:
    """Return the page on speed, from the records that exist. Conditions that several records share come once."""
    results = [result for name in record.RECORDED if (result := record.load(name))]
    parts = [INTRODUCTION + LOSSES + missed(results)]
    for result, following in zip(results, [*results[1:], None], strict=True):
        parts += [f"## {title(result)}\n", table([HEADER, *(cells(row, result) for row in result["rows"])])]
        if wrong := wrong_totals(result):
            parts.append(f"Programs whose totals are wrong:\n\n{wrong}\n")
        if following is None or conditions(following) != conditions(result):
            parts.append(f"{conditions(result)}\n")
    return "\n".join([*parts, END])


def sentence(day: Record) -> str:
    """Return the sentence for README."""
    lines, seconds = day["corpus"]["lines"], day["tasks"]["`fasthits rollup`"]["seconds"]["median"]
    return f"A day's log of 1 GB, {lines / 1e6:.1f} million lines, takes {seconds:.1f} seconds"


def missed(results: list[Record]) -> str:
    """Return the rows that miss their targets, as a table."""
    rows = [[result["corpus"]["name"], *cells(row, result)] for result in results for row in result["rows"]]
    found = [row for row in rows if "**missed**" in row[-1]]
    return table([["log", *HEADER], *found]) if found else "None.\n"


def table(lines: list[list[str]]) -> str:
    """Return *lines* of cells as a table in Markdown; the first line is the header."""
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |\n" for row in rows)


def write() -> None:
    """Write the page. If there is a record of a day, also draw the picture and write the sentence of README."""
    if day := record.load("1GB"):
        PICTURE.write_text(chart.draw(day), encoding="utf-8")
        README.write_text(re.sub(SENTENCE, sentence(day), README.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
