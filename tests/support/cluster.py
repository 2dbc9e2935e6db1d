"""A real Dask cluster for tests: a scheduler and workers, each a process, on free ports of 127.0.0.1."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.forks import Forked
from tests.support.processes import PROJECT, end_process, eventually

RUN_DASK = "import sys; from dask.cli import run_cli; del sys.argv[0]; run_cli()"
IDLE = {"DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms", "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
"""The environment in which Dask's idle processes take a fifth of the time."""


class DaskCluster:
    """A scheduler and its workers, without nannies: a worker that was killed is not started again."""

    def __init__(self, folder: Path, stack: ExitStack, environment: Mapping[str, str]) -> None:
        self.scheduler_file = folder / "scheduler.json"
        self.environment = dict(environment)
        """What a client needs, too."""
        self._folder = folder
        self._stack = stack
        self.workers: list[Forked] = []
        self._start_scheduler()

    def start_worker(self) -> Forked:
        """Start a worker, which does one task at a time."""
        options = ["--scheduler-file", str(self.scheduler_file), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        self.workers.append(self._start("worker", *options, "--local-directory", str(self._folder)))
        return self.workers[-1]

    def mend(self, workers: int) -> None:
        """Start the scheduler if it was killed, and as many workers as are missing from *workers*."""
        if self.scheduler.poll() is not None:
            while self.workers:
                end_process(self.workers.pop())
            self.scheduler_file.unlink()
            self._start_scheduler()
        self.workers = [each for each in self.workers if each.poll() is None]
        while len(self.workers) < workers:
            self.start_worker()

    def _start_scheduler(self) -> None:
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._start("scheduler", *options, "--scheduler-file", str(self.scheduler_file))
        eventually(self._is_written, 120, "the scheduler's file")

    def _is_written(self) -> bool:
        return self.scheduler_file.exists() and self.scheduler_file.read_bytes().rstrip().endswith(b"}")

    def _start(self, *arguments: str) -> Forked:
        environment = {**os.environ, **IDLE, **self.environment, "PYTHONPATH": str(PROJECT)}
        with open(os.devnull, "r+b") as quiet:
            process = Forked(["dask", *arguments], [quiet.fileno()] * 3, self._folder, environment, RUN_DASK)
        self._stack.callback(end_process, process)
        return process


@contextmanager
def dask_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[DaskCluster]:
    """Give a cluster without workers. It ends with the block."""
    with ExitStack() as stack:
        yield DaskCluster(folder, stack, environment)


def tls_settings(certificate: Path) -> dict[str, str]:
    """Return the environment in which Dask speaks TLS. All processes have and trust the same certificate, whose file
    has the key, too."""
    names = ["CA_FILE", "SCHEDULER__CERT", "WORKER__CERT", "CLIENT__CERT"]
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(certificate) for name in names} | {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"
    }
