"""How long a day takes, stage by stage, beside the programs that everybody has.

    python -m benchmarks --lines 1000000

makes a seeded log (see benchmarks.corpus for what is in it), runs every stage once to check it and warm up, then --runs
times in turn, and prints the medians. All stages read the same file, which is in the page cache by then. Stages that
are programs include their start and end, Python's and awk's alike; the others run inside this process and read the file
in blocks. A stage whose totals are wrong ends the benchmark with an error, except awk, which cannot help it: its row
says how far off it is.

Other work on the machine shows in the load average and in the range beside each median. With a load near the number
of cores a second thread gains nothing and no figure means much; believe no difference smaller than the ranges.
"""

import argparse
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module, metadata
from pathlib import Path

from benchmarks.corpus import PATHS
from benchmarks.stages import ROOT, Stage, WrongTotals, all_stages, find_awk, make_corpus

YARDSTICK = "wc -l"


def first_line(*command: str) -> str | None:
    """Return the first line that a command prints, None where there is no such program or it fails."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout.partition("\n")[0] if done.returncode == 0 else None


def describe_machine() -> list[str]:
    """Return what the figures depend on: processor and its load, kernel, compilers, versions, commit."""
    cpuinfo = Path("/proc/cpuinfo")
    fields = [line.partition(":") for line in cpuinfo.read_text().splitlines()] if cpuinfo.exists() else []
    model = next((value.strip() for key, _, value in fields if key.strip() == "model name"), platform.machine())
    core = Path(import_module("fasthits._parse").__file__ or "built in").name
    tools = [
        first_line("gcc", "--version"),
        " ".join(platform.libc_ver()),
        first_line("wc", "--version"),
        (first_line(find_awk() or "awk", "-W", "version") or "no awk").partition(",")[0],
        first_line("memcached", "-V"),
    ]
    commit = first_line("git", "--no-optional-locks", "-C", str(ROOT), "describe", "--always", "--dirty")
    return [
        f"{model}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before this, "
        f"{platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}, " + ", ".join(filter(None, tools)),
        f"fasthits {version_of('fasthits')} ({core}, commit {commit or 'none'}), Cython {version_of('cython')}",
    ]


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution, or what the package itself says."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        try:
            return str(import_module(distribution).__version__)
        except ImportError:
            return "not installed"


def measure(stages: list[Stage], runs: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return each stage's seconds, run by run, and what its check says."""
    seconds: dict[str, list[float]] = {stage.name: [] for stage in stages}
    remarks = {}
    for run in range(runs + 1):
        for stage in stages:
            stage.prepare()
            try:
                started = time.perf_counter()
                stage.run()
                passed = time.perf_counter() - started
                remarks[stage.name] = stage.check()
            finally:
                stage.close()
            if run:
                seconds[stage.name].append(passed)
    return seconds, remarks


def print_table(seconds: dict[str, list[float]], remarks: dict[str, str], size: int, lines: int) -> None:
    """Print a row for each stage."""
    yardstick = statistics.median(seconds[YARDSTICK])
    print(f"{'':27} {'median s':>9} {'range':>15} {'GB/s':>7} {'ns/line':>8} {'x wc -l':>8}  totals")
    for name, measured in seconds.items():
        median = statistics.median(measured)
        spread = f"{min(measured):.3f}-{max(measured):.3f}"
        speed, a_line, ratio = size / median / 1e9, median / lines * 1e9, median / yardstick
        print(f"{name:27} {median:9.3f} {spread:>15} {speed:7.2f} {a_line:8.1f} {ratio:8.2f}  {remarks[name]}")


def main() -> int:
    """Run the benchmark; see ``--help``."""
    about, _, method = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=about,
        epilog=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--lines", type=int, default=1_000_000, metavar="N", help="lines of the log (default: 1000000)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="timed runs of each stage (default: 5)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the log (default: 1)")
    parser.add_argument("--paths", type=int, default=PATHS, metavar="N", help=f"paths it has (default: {PATHS})")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the log there, and use it again the next time")
    options = parser.parse_args()
    if options.lines < 1 or options.runs < 1:
        parser.error("--lines and --runs must be at least 1")
    print(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]))
    print(*describe_machine(), sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="fasthits-benchmarks-") as scratch:
        corpus = make_corpus(options.keep or Path(scratch), options.lines, seed=options.seed, paths=options.paths)
        known = corpus.expected
        print(f"{known.lines:,} lines, {known.size / 1e6:.1f} MB, {known.size / known.lines:.0f} bytes a line", end="")
        print(f", {known.hits:,} hits on {len(known.views):,} paths, median of {options.runs} runs\n", flush=True)
        try:
            seconds, remarks = measure(all_stages(corpus), options.runs)
        except WrongTotals as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 1
    print_table(seconds, remarks, known.size, known.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
