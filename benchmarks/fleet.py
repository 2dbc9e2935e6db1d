"""What a cluster costs beside one machine: CPU seconds, memory, rows in files.

    python -m benchmarks.fleet --megabytes 2000 --paths 4500000

Workers of Dask on this machine count logs in .gz files, and then a log with very many paths, into Parquet. The rows of
both have to be those that this process counts alone. CPU seconds mean something also where others use the machine.
"""

import argparse
import gzip
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from fasthits.daily import tasks
from fasthits.daily.engines import Crew, connected
from fasthits.daily.fleet import Fleet
from fasthits.daily.opening import open_table
from fasthits.daily.rollup import roll_up

DAY = date(2026, 3, 12)
SERVERS = 8
WORKERS = 2
TINY_TASKS = 300
LINE = (
    b'192.0.2.%d - - [12/Mar/2026:%02d:%02d:%02d +0100] "GET /%x/a-page-of-the-site/%d HTTP/1.1" 200 %d "-" '
    b'"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"\n'
)
LINE_BYTES = 215


def lines_of_a_day(lines: int, paths: int) -> Iterator[bytes]:
    """Yield the lines of a day, evenly over it. Each of *paths* is read as often as the others, or once more."""
    for at in range(lines):
        second = at * 86_399 // lines
        path = at * 2_654_435_761 % paths
        clock = second // 3600, second // 60 % 60, second % 60
        yield LINE % (at % 250, *clock, path * 40_503 % (1 << 32), path, at * 7919 % 90_000)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all threads together."""
    return time.process_time()


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def nothing() -> None:
    """Do nothing: the smallest task."""


class Workers:
    """The workers of a cluster, and what they have used."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self._client: Any = crew.executor._client  # type: ignore[attr-defined]

    def each(self, function: Callable[[], float]) -> list[float]:
        """Return what *function* returns in each worker."""
        return list(self._client.run(function).values())

    @contextmanager
    def used(self, found: dict[str, float], name: str) -> Iterator[None]:
        """Enter the CPU seconds of all workers in the block."""
        before = sum(self.each(cpu_seconds))
        yield
        found[name] = sum(self.each(cpu_seconds)) - before

    def fleet(self, scratch: Path) -> Fleet:
        """Return the workers for one run."""
        return Fleet(self.crew.executor, self.crew.slots, self.crew.name, str(scratch))


def measure(folder: Path, megabytes: int, paths: int) -> dict[str, float]:
    """Return all figures by name."""
    found: dict[str, float] = {}
    lines = megabytes * 1_000_000 // LINE_BYTES // SERVERS
    for server in range(SERVERS):
        (folder / f"web{server}").mkdir()
        with gzip.open(folder / f"web{server}" / f"{DAY}.log.gz", "wb", compresslevel=1) as file:
            file.writelines(lines_of_a_day(lines, 50_000))
    gz, many = (f"{folder}/*/%F.log.gz",), (f"{folder}/many.log",)
    before = cpu_seconds()
    roll_up([DAY], gz, open_table(str(folder / "alone.csv")), as_part=True)
    found["CPU s alone, .gz"] = cpu_seconds() - before
    with (folder / "many.log").open("wb") as file:
        file.writelines(lines_of_a_day(paths, paths))
    with connected(f"local:{WORKERS}") as crew:
        workers = Workers(crew)
        fleet = workers.fleet(folder)
        with fleet.working():  # imports what tasks need
            list(fleet.do(tasks.merge, [([], fleet.scratch, range(1), None)] * 8 * WORKERS))
        with workers.used(found, "CPU s of the workers, .gz"):
            roll_up([DAY], gz, open_table(str(folder / "fleet.csv")), as_part=True, fleet=workers.fleet(folder))
        assert (folder / "fleet.csv").read_bytes() == (folder / "alone.csv").read_bytes()
        found["ratio"] = found["CPU s of the workers, .gz"] / found["CPU s alone, .gz"]
        before = time.monotonic()
        assert len(list(workers.fleet(folder).do(nothing, [()] * TINY_TASKS))) == TINY_TASKS
        found["ms a tiny task"] = (time.monotonic() - before) / TINY_TASKS * 1e3
        written = _rows_written()
        with workers.used(found, f"CPU s of the workers, {paths:,} paths"):
            target = open_table(f"{folder}/stats/")
            done = roll_up([DAY], many, target, as_part=True, fleet=workers.fleet(folder))
        assert done.rows == paths
        found["bytes a row in the folder of the run"] = sum(written) / paths
        found["MB of a worker, most"] = max(workers.each(peak_bytes)) / 1e6
        found["MB of the process that writes Parquet, most"] = peak_bytes() / 1e6
    return found


def _rows_written() -> list[int]:
    """Return a list to which the size of each file of rows is added from now on."""
    sizes: list[int] = []
    real = Fleet.do

    def do(self: Fleet, *arguments: Any) -> Iterator[tuple[int, Any]]:
        for number, result in real(self, *arguments):
            if isinstance(result, tasks.Outcome):
                sizes.append(result.rows.size)
            yield number, result

    Fleet.do = do  # type: ignore[method-assign, assignment]
    return sizes


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures for the sizes in the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=200, help="of log in .gz files (default: %(default)s)")
    parser.add_argument("--paths", type=int, default=4_500_000, help="of the other log (default: %(default)s)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for name, figure in measure(Path(folder), options.megabytes, options.paths).items():
            print(f"{name:50}{figure:>10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
