"""The cluster that ``--cluster`` names: Dask distributed, as an Executor of concurrent.futures."""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from typing import Any

from fasthits.daily.cluster.fleet import Crew
from fasthits.daily.urls import is_loopback
from fasthits.errors import FasthitsError, UsageError

CONNECT_SECONDS = 20
WORKER_SECONDS = 60
"""How long a cluster without a worker is waited for."""
WATCH_SECONDS = 10
"""So often the scheduler is asked about its workers."""
SILENT_SECONDS = 60
"""A worker says several times a minute that it lives. If it has not for so long, others do its tasks."""
ANSWER_SECONDS = 60
"""If the scheduler has not answered for so long, it is lost."""
RESTART_SECONDS = 20
"""How long the nanny of a silent worker may take to end it."""

_UNREACHABLE = "cannot reach the cluster"
_TLS = "DASK_DISTRIBUTED__COMM__TLS__"
_WHAT = "local, local:4, tcp://HOST:PORT, tls://HOST:PORT, or the scheduler's file"


def warning_of(cluster: str) -> str:
    """Return a warning about a dangerous cluster; "" for nothing."""
    address = _address_of(cluster)
    found = re.fullmatch(r"tcp://(.+?)(?::\d+)?", address)
    if not found or is_loopback(found[1].strip("[]")):
        return ""
    return (
        f"warning: whoever can reach {address} can run programs on all its machines, and on this one; tls:// protects"
    )


@contextmanager
def connected(cluster: str) -> Iterator[Crew]:
    """Give the workers of a cluster; the workers of a local cluster end with the block.

    Raises UsageError if it has another form or Dask is missing, FasthitsError if the cluster cannot be reached or has
    no worker.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError("a cluster needs more packages", cluster, "pip install 'fasthits[cluster]'") from error
    # An error is reported in one line, once. Some loggers have a level of their own.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    client = _connect(distributed, cluster)
    try:
        with _lost(cluster, "the cluster has no worker", f"start one: dask worker {cluster}"):
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        slots = max(1, sum(client.nthreads().values()))
        yield Crew(_Workers(client), slots, cluster, _Watch(client, cluster))
    finally:
        own = client.cluster
        with suppress(Exception):  # the connection may be lost
            client.close(timeout=1)
        if own is not None:
            with suppress(Exception):
                own.close(timeout=5)


def _connect(distributed: Any, cluster: str) -> Any:
    if found := re.fullmatch(r"local(?::(\d+))?", cluster):
        number = int(found[1] or len(os.sched_getaffinity(0)))
        if not number:
            raise UsageError("the cluster has no workers", cluster, "local:2 starts two")
        with _lost(cluster, "cannot start workers on this machine", "has it memory, and room in TMPDIR?"):
            own = distributed.LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                security=True,
                silence_logs=logging.CRITICAL,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},  # 8787 may be in use
            )
            return distributed.Client(own)
    address = _address_of(cluster)
    if not address:
        raise UsageError("not a cluster", cluster, _WHAT)
    unprotected = address.startswith("tcp://")
    hint = "is the scheduler running?" + " If it has certificates, its address is tls://" * unprotected
    with _lost(cluster, _UNREACHABLE, hint):
        # Dask notices the following too late: what is left of its client then can stop the next client for ever.
        security = distributed.security.Security().get_connection_args("client")
        if not unprotected and security["ssl_context"] is None:
            hint = f"{_TLS}CA_FILE and {_TLS}CLIENT__CERT name them, or a file in /etc/dask"
            raise FasthitsError(_UNREACHABLE, cluster, f"no certificates; {hint}")
        if unprotected and security["require_encryption"]:
            raise FasthitsError(_UNREACHABLE, cluster, "Dask's settings on this machine require an address tls://")
        return distributed.Client(address, timeout=CONNECT_SECONDS)


def _address_of(cluster: str) -> str:
    """Return the address of a cluster's scheduler; "" if it has none. Raises FasthitsError for a scheduler's file that
    cannot be read."""
    if os.path.isfile(cluster):
        with (
            _lost(cluster, _UNREACHABLE, "name the file of dask scheduler --scheduler-file FILE"),
            open(cluster) as file,
        ):
            return str(json.load(file)["address"])
    return cluster if re.match(r"(tcp|tls)://.", cluster) else ""


@contextmanager
def _lost(cluster: str, failed: str, hint: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise FasthitsError(failed, cluster, f"{text}; {hint}") from error


class _Workers(Executor):
    """Does tasks on the workers of a cluster.

    Dask's own Executor fails with a strange error if a worker dies just when its result has been fetched.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Return the future result of a function."""
        future = Future[Any]()
        task = self._client.submit(function, *arguments, pure=False, **options)
        future.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        self._client.loop.add_callback(_pass_on, task, future)
        return future


async def _pass_on(task: Any, future: Future[Any]) -> None:
    """Give the result of *task*, or its error, to *future*."""
    result = failed = None
    try:
        result = await task
    except BaseException as error:  # the future passes it on
        failed = error
    if not future.set_running_or_notify_cancel():
        return
    if failed is None:
        future.set_result(result)
    else:
        future.set_exception(failed)


class _Watch:
    """Sees to it that no task waits for ever: for a worker or a scheduler that has stopped, or for any worker at all.

    Dask itself waits five to ten minutes for a worker that is silent, and for ever for another one, or for a scheduler
    that is silent, as long as its machine answers.
    """

    def __init__(self, client: Any, cluster: str) -> None:
        self._client = client
        self._cluster = cluster
        self._asked = self._had_workers = time.monotonic()
        self._silent: set[str] = set()

    def __call__(self) -> list[str]:
        """Replace workers that are silent, and return remarks about them; now and then only.

        Raises FasthitsError if the scheduler does not answer, or has had no worker for a while.
        """
        if time.monotonic() < self._asked + WATCH_SECONDS:
            return []
        workers, self._silent, removed = self._ask()
        self._asked = time.monotonic()
        if workers:
            self._had_workers = self._asked
        elif self._asked > self._had_workers + WORKER_SECONDS:
            hint = f"start one: dask worker {self._cluster}, and run it again"
            raise FasthitsError("the cluster has no worker any more, nothing changed", self._cluster, hint)
        return [
            f"warning: the worker {each} was silent for {SILENT_SECONDS} seconds, and others did its tasks; "
            "look at its machine"
            for each in removed
        ]

    def _ask(self) -> tuple[int, set[str], list[str]]:
        async def ask() -> tuple[int, set[str], list[str]]:
            arguments = self._client.id, self._silent, SILENT_SECONDS, RESTART_SECONDS
            found: tuple[int, set[str], list[str]] = await self._client.run_on_scheduler(_for_scheduler(), *arguments)
            return found

        try:
            answer: tuple[int, set[str], list[str]] = self._client.sync(ask, callback_timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            hint = f"its scheduler has not answered for {ANSWER_SECONDS} seconds; look at its machine, and run it again"
            raise FasthitsError("the cluster is lost, nothing changed", self._cluster, hint) from error
        return answer


def _for_scheduler() -> Callable[..., Coroutine[Any, Any, tuple[int, set[str], list[str]]]]:
    """Return a function for the scheduler, which may have no fasthits: Dask sends the code of such inner functions."""

    async def restart_silent(
        client: str, suspects: set[str], seconds: float, restart_seconds: float, dask_scheduler: Any
    ) -> tuple[int, set[str], list[str]]:
        """Return the number of workers, those with tasks of *client* that are silent, and those that were removed.

        Only *suspects* are, which were silent when this was called before: a scheduler that was stopped itself has
        heard of nobody. Those that have a nanny are started again.
        """
        from distributed.metrics import time
        from distributed.scheduler import heartbeat_interval

        workers = dask_scheduler.workers
        since = time() - max(seconds, 3 * heartbeat_interval(len(workers)))
        silent = {
            each.address
            for each in workers.values()
            if each.last_seen < since
            and any(who.client_key == client for task in each.processing for who in task.who_wants)
        }
        gone = sorted(silent & suspects)
        if gone:
            await dask_scheduler.restart_workers(
                gone, timeout=restart_seconds, wait_for_workers=False, on_error="return", stimulus_id="fasthits"
            )
        return len(workers), silent - set(gone), gone

    return restart_silent
