"""The cluster that ``--cluster`` names: Dask distributed, as an Executor of concurrent.futures."""

import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, NamedTuple

from fasthits.errors import FasthitsError, UsageError

CONNECT_SECONDS = 20
WORKER_SECONDS = 60
"""How long a cluster without a worker is waited for."""

_TLS = "DASK_DISTRIBUTED__COMM__TLS__"
_WHAT = "local, local:4, tcp://HOST:PORT, tls://HOST:PORT, or the scheduler's file"


class Crew(NamedTuple):
    """Those who do the work."""

    executor: Executor
    slots: int
    """How many tasks run at the same time."""
    name: str
    """Where they are."""


def warning_of(cluster: str) -> str:
    """Return a warning about a dangerous cluster; "" for nothing."""
    found = re.fullmatch(r"tcp://(.+?)(?::\d+)?", cluster)
    if not found or _is_loopback(found[1].strip("[]")):
        return ""
    return (
        f"warning: whoever can reach {cluster} can run programs on all its machines, and on this one; tls:// protects"
    )


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


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
    # An error is reported in one line, once.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    client = _connect(distributed, cluster)
    try:
        with _lost(cluster, "the cluster has no worker", f"start one: dask worker {cluster}"):
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        yield Crew(client.get_executor(pure=False), max(1, sum(client.nthreads().values())), cluster)
    finally:
        own = client.cluster
        with suppress(Exception):  # it may be lost
            client.close(timeout=1)
        if own is not None:
            with suppress(Exception):
                own.close(timeout=5)


def _connect(distributed: Any, cluster: str) -> Any:
    if found := re.fullmatch(r"local(?::(\d+))?", cluster):
        number = int(found[1] or len(os.sched_getaffinity(0)))
        if not number:
            raise UsageError("the cluster has no workers", cluster, "local:2 starts two")
        own = distributed.LocalCluster(
            n_workers=number, threads_per_worker=1, dashboard_address=None, security=True, silence_logs=logging.CRITICAL
        )
        return distributed.Client(own)
    hint = "is the scheduler running?" + " If it has certificates, its address is tls://" * cluster.startswith("tcp://")
    with _lost(cluster, "cannot reach the cluster", hint):
        if re.match(r"(tcp|tls)://.", cluster):
            return distributed.Client(cluster, timeout=CONNECT_SECONDS)
        if os.path.isfile(cluster):
            return distributed.Client(scheduler_file=cluster, timeout=CONNECT_SECONDS)
    raise UsageError("not a cluster", cluster, _WHAT)


@contextmanager
def _lost(cluster: str, failed: str, hint: str) -> Iterator[None]:
    try:
        yield
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if "ssl_context" in text:
            text, hint = "no certificates", f"{_TLS}CA_FILE and {_TLS}CLIENT__CERT name them, or a file in /etc/dask"
        raise FasthitsError(failed, cluster, f"{text}; {hint}") from error
