"""A soak test: a Dask cluster rolls up again and again while its workers are killed. The result never changes.

    python -m tests.soak_cluster --kills 20

The kills come at any moment of a run, also while a worker writes its rows or merges the rows of others. After each run
the target must equal the file that one machine makes, and no other file may be left.
"""

import argparse
import bz2
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from fasthits.daily.cluster import fleet
from fasthits.daily.cluster.engines import connected
from fasthits.daily.cluster.fleet import Fleet
from tests.support.cluster import DaskCluster, dask_cluster
from tests.support.commands import write
from tests.support.fleets import DAY, a_log, count_alone, outputs
from tests.support.processes import eventually

WORKERS = 3
SERVERS = 12
LINES = 3_000
TIMES = 10
"""Of each server, and how often they are in its log: a task takes a moment, as bzip2 is slow, so kills fall into it."""
MOST_SECONDS = 2.0
"""Between two kills of a run, if the processors have nothing else to do."""


class Killer(threading.Thread):
    """Kills workers at random moments until `end`, and starts a new one for each."""

    def __init__(self, cluster: DaskCluster, most: int, choice: random.Random) -> None:
        super().__init__(daemon=True)
        self.kills = 0
        self._cluster = cluster
        self._most = most
        self._random = choice
        self._ending = threading.Event()

    def run(self) -> None:
        while self.kills < self._most and not self._ending.wait(self._random.uniform(0, MOST_SECONDS)):
            victim = self._cluster.workers.pop(0)
            self._cluster.start_worker()
            victim.kill()
            self.kills += 1

    def end(self) -> None:
        """Stop killing workers."""
        self._ending.set()
        self.join()


def soak(folder: Path, kills: int, seed: int) -> str:
    """Roll up until that many workers were killed; return an error, or ""."""
    for server in range(SERVERS):
        write(folder / "logs" / f"web{server}" / f"{DAY}.log.bz2", bz2.compress(a_log(DAY, LINES, server) * TIMES))
    count_alone(folder / "logs", folder / "alone.csv")
    alone = (folder / "alone.csv").read_bytes()
    choice, done, runs = random.Random(seed), 0, 0
    (folder / "out").mkdir()
    target = folder / "out" / "hits.csv"
    with dask_cluster(folder, {}) as cluster:
        cluster.mend(WORKERS)
        while done < kills:
            target.unlink(missing_ok=True)
            with connected(str(cluster.scheduler_file)) as crew:
                eventually(lambda crew=crew: len(crew.executor._client.nthreads()) >= WORKERS, 120)  # type: ignore[misc]
                workers = Fleet(crew, str(target.parent))
                killer = Killer(cluster, kills - done, choice)
                begun = time.monotonic()
                killer.start()
                try:
                    count_alone(folder / "logs", target, fleet=workers)
                finally:
                    killer.end()
            done, runs = done + killer.kills, runs + 1
            print(f"run {runs}: {killer.kills} workers killed in {time.monotonic() - begun:.1f} s", flush=True)
            if outputs(target.parent) != {"hits.csv": alone}:
                return f"run {runs} made another file, or left something: {sorted(outputs(target.parent))}"
            cluster.mend(WORKERS)
    print(f"{done} workers killed in {runs} runs: each made the {len(alone):,} bytes that one machine makes")
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak test that the arguments describe, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak_cluster", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="how many workers (default: %(default)s)")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat the moments of an earlier run")
    options = parser.parse_args(argv)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"{options.kills} kills with --seed {seed}", flush=True)
    fleet.LEAST_TASK_BYTES = 10_000
    fleet.MERGED_AT_ONCE = 4  # so that there are tasks that merge
    with tempfile.TemporaryDirectory() as folder:
        wrong = soak(Path(folder), options.kills, seed)
    if wrong:
        print(f"WRONG: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
