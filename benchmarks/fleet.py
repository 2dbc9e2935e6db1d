"""What a cluster costs, compared with one machine: CPU seconds, memory, rows in files.

    python -m benchmarks.fleet

Dask workers on this machine count a day's log of 1 GB, which two servers have as .gz, and then five million paths, into
Parquet. The rows of the first count must equal those of one process. CPU seconds are comparable even if other
programs use the machine.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.__main__ import make_rows
from benchmarks.logs import DAY
from fasthits.daily.cluster import tasks
from fasthits.daily.cluster.engines import connected
from fasthits.daily.cluster.fleet import Crew, Fleet
from fasthits.daily.rollup import roll_up
from fasthits.daily.targets.opening import open_target

WORKERS = 2
TINY_TASKS = 300
RUNS = 3


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def nothing() -> None:
    """Do nothing: the smallest task."""


class Workers:
    """The workers of a cluster, and their use of CPU and memory."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self._client: Any = crew.executor._client  # type: ignore[attr-defined]

    def each(self, function: Callable[[], float]) -> list[float]:
        """Return the results of *function* in each worker."""
        return list(self._client.run(function).values())

    @contextmanager
    def used(self, found: dict[str, float], name: str) -> Iterator[None]:
        """Add the CPU seconds of all workers during the block."""
        before = sum(self.each(time.process_time))
        yield
        found[name] = sum(self.each(time.process_time)) - before

    def warm_up(self, scratch: Path) -> None:
        """Let all workers import what tasks need."""
        fleet = self.fleet(scratch)
        with fleet.working():
            list(fleet.do(tasks.merge, [([], fleet.scratch, range(1), None)] * 8 * self.crew.slots))

    def fleet(self, scratch: Path) -> Fleet:
        """Return the workers for one run."""
        return Fleet(self.crew, str(scratch))


def measure(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield all figures by name. Each group has its own process, so that no group sees the memory peak of another."""
    day, distinct = (make_rows(part, quick=False)[0] for part in ("1GB", "distinct"))
    day.compress()
    gz = f"{day.folder}/web*/%Y/%m/%d/access.log.gz"
    for group, log in (packed, gz), (faster, gz), (many_paths, str(distinct.log)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield from pool.submit(group, folder, (log,)).result().items()


def packed(folder: Path, logs: tuple[str]) -> dict[str, float]:
    """Return what a cluster costs, compared with one machine."""
    found: dict[str, float] = {}
    before = time.process_time()
    roll_up([DAY], logs, open_target(str(folder / "alone.csv")), as_part=True)
    found["CPU s alone, .gz"] = time.process_time() - before
    with connected(f"local:{WORKERS}") as crew:
        workers = Workers(crew)
        workers.warm_up(folder)
        with workers.used(found, "CPU s of the workers, .gz"):
            roll_up([DAY], logs, open_target(str(folder / "fleet.csv")), as_part=True, fleet=workers.fleet(folder))
        assert (folder / "fleet.csv").read_bytes() == (folder / "alone.csv").read_bytes()
        found["ratio"] = found["CPU s of the workers, .gz"] / found["CPU s alone, .gz"]
        before = time.monotonic()
        assert len(list(workers.fleet(folder).do(nothing, [()] * TINY_TASKS))) == TINY_TASKS
        found["ms a tiny task"] = (time.monotonic() - before) / TINY_TASKS * 1e3
    return found


def faster(folder: Path, logs: tuple[str]) -> dict[str, float]:
    """Return how many times faster two workers are than one worker, in the best run of each."""
    best: dict[int, float] = {}
    with connected("local:1") as one, connected("local:2") as two:
        for crew in (one, two) * RUNS:
            workers = Workers(crew)
            workers.warm_up(folder)
            done = roll_up([DAY], logs, open_target(f"{folder}/stats.csv"), as_part=True, fleet=workers.fleet(folder))
            best[crew.slots] = min(done.seconds, best.get(crew.slots, done.seconds))
    return {"s of one worker, .gz": best[1], "s of two workers, .gz": best[2], "times faster": best[1] / best[2]}


def many_paths(folder: Path, logs: tuple[str]) -> dict[str, float]:
    """Return what many paths cost, into Parquet."""
    found: dict[str, float] = {}
    with connected(f"local:{WORKERS}") as crew:
        workers = Workers(crew)
        written = _rows_written()
        with workers.used(found, "CPU s of the workers, many paths"):
            target = open_target(f"{folder}/stats/")
            done = roll_up([DAY], logs, target, as_part=True, fleet=workers.fleet(folder))
        found["million paths"] = done.rows / 1e6
        found["bytes a row in the folder of the run"] = sum(written) / done.rows
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


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for name, figure in measure(Path(folder)):
            print(f"{name:50}{figure:>10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
