"""A real Dask cluster for tests: a scheduler and workers, each a process, on free ports of 127.0.0.1."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.processes import PROJECT, end_process, eventually


class DaskCluster:
    """A scheduler and its workers, without nannies: a worker that is killed stays away."""

    def __init__(self, folder: Path, stack: ExitStack, environment: Mapping[str, str]) -> None:
        self.scheduler_file = folder / "scheduler.json"
        self._folder = folder
        self._stack = stack
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(PROJECT)}
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._start("scheduler", *options, "--scheduler-file", str(self.scheduler_file))
        eventually(self.scheduler_file.exists, 60, "the scheduler's file")
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, which does one task at a time."""
        options = ["--scheduler-file", str(self.scheduler_file), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        self.workers.append(self._start("worker", *options, "--local-directory", str(self._folder)))
        return self.workers[-1]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", "dask", *arguments]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=self._environment, cwd=self._folder)
        self._stack.callback(end_process, process)
        return process


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[DaskCluster]:
    """Give a cluster, which ends with the block."""
    with ExitStack() as stack:
        cluster = DaskCluster(folder, stack, environment or {})
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
