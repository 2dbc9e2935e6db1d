"""A count by a real Dask cluster, over TLS: whichever process dies, a target has the right or the old numbers."""

import gzip
import json
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import dask.config
import distributed
import pytest

from fasthits.daily.cluster import engines, fleet
from fasthits.daily.cluster.engines import connected
from fasthits.daily.cluster.fleet import Fleet
from fasthits.daily.rollup import Summary, roll_up
from fasthits.daily.targets.opening import open_target
from fasthits.daily.targets.refusals import days_left
from fasthits.errors import FasthitsError
from tests.support.cluster import IDLE, DaskCluster, dask_cluster, tls_settings
from tests.support.commands import fasthits, write
from tests.support.fleets import DAY, a_log, count_alone, outputs, write_logs
from tests.support.processes import PROJECT, environment, eventually, fasthits_command
from tests.support.servers import free_port
from tests.support.stores import ObjectStore

# Dask's client of a scheduler that was killed can raise an error when Python frees it, in whatever test that is.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <function Client\.__del__:pytest.PytestUnraisableExceptionWarning"
)
KEPT = b"date,path,views\r\n2026-03-12,/kept,7\r\n"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of five servers."""
    return write_logs(tmp_path_factory.mktemp("logs"), 200)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate that the command of the manual makes."""
    folder = tmp_path_factory.mktemp("certificate")
    manual = (PROJECT / "docs" / "scale.md").read_text()
    command = re.search(r"^    (openssl req .*)$", manual, re.MULTILINE)
    assert command
    subprocess.run(command[1], shell=True, cwd=folder, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def whole_cluster(
    certificate: Path, store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaskCluster]:
    settings = tls_settings(certificate)
    here = {name.removeprefix("DASK_").lower().replace("__", "."): value for name, value in settings.items()}
    with (
        dask.config.set(here),
        dask_cluster(tmp_path_factory.mktemp("dask"), {**settings, **store.environment}) as cluster,
    ):
        yield cluster


@pytest.fixture
def cluster(whole_cluster: DaskCluster) -> DaskCluster:
    """A scheduler and two workers. Processes that another test killed are started again."""
    whole_cluster.mend(2)
    with distributed.Client(address_of(whole_cluster)) as client:
        client.wait_for_workers(2, timeout=120)
    return whole_cluster


@pytest.fixture
def cluster_of_the_manual(store: ObjectStore, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of the cluster that the first command of the manual starts, and the second command."""
    manual = (PROJECT / "docs" / "scale.md").read_text()
    found = re.search(r"^    (dask scheduler .*)\n    (fasthits rollup .*)$", manual, re.MULTILINE)
    assert found
    port = free_port()
    starts, counts = (command.replace("8786", str(port)) for command in found.groups())
    starts = starts.replace("dask ", f"{sys.executable} -W ignore -m dask ")
    quiet = subprocess.DEVNULL
    settings = environment("", {**IDLE, "DASK_TEMPORARY_DIRECTORY": str(tmp_path / "dask")})
    shell = subprocess.Popen(
        starts, shell=True, start_new_session=True, cwd=tmp_path, env=settings, stdout=quiet, stderr=quiet
    )
    try:
        yield f"tcp://127.0.0.1:{port}", counts
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LEAST_TASK_BYTES", 10_000)


def address_of(cluster: DaskCluster) -> str:
    return str(json.loads(cluster.scheduler_file.read_text())["address"])


def count_by_cluster(
    cluster: DaskCluster,
    logs: Path | str,
    target: Path,
    finished: Callable[[int], None] = lambda size: None,
    begun: Callable[[], object] = lambda: None,
    scratch: str = "",
) -> Summary:
    """Count by a cluster. *begun* is called before the tasks that count, *finished* after each of these tasks."""

    def progress(_: int) -> Callable[[int], None]:
        begun()
        return finished

    with connected(address_of(cluster)) as crew:
        workers = Fleet(crew, scratch or str(target.parent))
        return count_alone(logs, target, fleet=workers, progress=progress)


class Place(NamedTuple):
    """A folder for logs and the folders of runs."""

    name: str
    put: Callable[[str, bytes], object]
    remove: Callable[[str], object]
    names: Callable[[], list[str]]
    """All files that are there."""


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, store: ObjectStore, tmp_path: Path) -> Place:
    """An empty folder that all machines share."""
    if request.param == "disk":
        folder = tmp_path / "shared"
        folder.mkdir()
        return Place(
            str(folder),
            lambda name, data: write(tmp_path / "new", data).rename(write(folder / name, b"")),
            lambda name: (folder / name).unlink(),
            lambda: [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()],
        )
    bucket = store.bucket()
    return Place(
        f"s3://{bucket}",
        lambda name, data: store.put(bucket, name, data),
        lambda name: store.client.delete_object(Bucket=bucket, Key=name),
        lambda: [each["Key"] for each in store.client.list_objects_v2(Bucket=bucket).get("Contents", [])],
    )


def test_killing_workers_changes_no_byte_of_the_result(
    cluster: DaskCluster, logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    """The soak test `python -m tests.soak_cluster` kills workers at any moment."""
    killed: list[int] = []

    def kill(_: int) -> None:
        if len(killed) < 3:
            victim = cluster.workers.pop(0)
            cluster.start_worker()
            victim.kill()
            killed.append(victim.pid)

    (tmp_path / "out").mkdir()
    assert address_of(cluster).startswith("tls://")
    count_by_cluster(cluster, logs, tmp_path / "out" / "hits.csv", kill)
    count_alone(logs, tmp_path / "alone.csv")
    assert len(killed) == 3
    assert outputs(tmp_path / "out") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}


def test_local_workers_write_the_same_parquet_folder_as_one_process(logs: Path, tmp_path: Path) -> None:
    words = ("rollup", str(DAY), "--logs", f"{logs}/*/%F.log")
    with socket.socket() as dashboard:
        with suppress(OSError):  # if another scheduler runs here anyway
            dashboard.bind(("127.0.0.1", 8787))
            dashboard.listen()
        together = fasthits(*words, "--to", "fleet/", "--cluster", "local:1", cwd=tmp_path)
    alone = fasthits(*words, "--to", "alone/", cwd=tmp_path)
    assert (together.returncode, alone.returncode) == (0, 0), together.stderr
    assert len(together.stderr.splitlines()) == len(alone.stderr.splitlines())
    name = f"hits/date={DAY}/hits.parquet"
    assert (tmp_path / "fleet" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"fleet", "alone"}


def test_a_cluster_counts_logs_in_a_store_and_leaves_no_rows_there(
    cluster: DaskCluster, store: ObjectStore, logs: Path, tmp_path: Path
) -> None:
    bucket = store.bucket()
    for file in logs.rglob("*.log*"):
        store.put(bucket, f"logs/{file.relative_to(logs)}", file.read_bytes())
    with connected(str(cluster.scheduler_file)) as crew:
        workers = Fleet(crew, f"s3://{bucket}/scratch")
        target = open_target(str(tmp_path / "hits.csv"))
        done = roll_up([DAY], (f"s3://{bucket}/logs/*/%F.log",), target, fleet=workers)
    count_alone(logs, tmp_path / "alone.csv")
    assert done.counted.files == 10
    assert (tmp_path / "hits.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert store.client.list_objects_v2(Bucket=bucket, Prefix="scratch/")["KeyCount"] == 0


def test_the_commands_of_the_manual_count_the_same_bytes_when_a_worker_is_killed(
    cluster_of_the_manual: tuple[str, str], store: ObjectStore, tmp_path: Path
) -> None:
    """The worker is stopped while it has a task, and then killed."""
    address, counts = cluster_of_the_manual
    bucket, today = store.bucket(), date.today()
    for day in (today - timedelta(2), today - timedelta(1), today):
        for server in range(6):
            lines = a_log(day, 100, server) * (500 if day == today - timedelta(1) else 1)
            store.put(bucket, f"web{server}/{day:%Y/%m/%d}/access.log", lines)
    counts = counts.replace("s3://logs/", f"s3://{bucket}/")
    alone = counts.partition(" --cluster")[0].replace("hits.csv", "alone.csv")
    assert fasthits(*shlex.split(alone)[1:], cwd=tmp_path).returncode == 0
    unprotected = dask.config.set({"distributed.comm.require-encryption": False})
    with unprotected, distributed.Client(address, timeout=120) as client:
        client.wait_for_workers(3, timeout=120)
        processes = client.run(os.getpid)

        def busy() -> list[str]:
            return list(
                client.run_on_scheduler(
                    lambda dask_scheduler: [name for name, each in dask_scheduler.workers.items() if each.processing]
                )
            )

        def stopped() -> int:
            """A process that was stopped while it had a task that counts. Several workers have such tasks at a time."""
            for name in busy()[1:]:
                os.kill(processes[name], signal.SIGSTOP)
                if name in busy():
                    return int(processes[name])
                os.kill(processes[name], signal.SIGCONT)
            return 0

        words = fasthits_command(*shlex.split(counts)[1:])
        driver = subprocess.Popen(words, cwd=tmp_path, env=environment(""), stderr=subprocess.PIPE)
        os.kill(eventually(stopped, 120), signal.SIGKILL)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert (tmp_path / "hits.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert not list(tmp_path.glob("fasthits-*"))


def test_damaged_files_of_all_tasks_are_named_and_nothing_changes(
    place: Place, cluster: DaskCluster, tmp_path: Path, many_tasks: None
) -> None:
    good = a_log(DAY, 300, "good")
    logs = {f"{server}/{DAY}.log": good for server in ("good", "other", "gone", "replaced")}
    logs[f"cut/{DAY}.log.gz"] = gzip.compress(good)[:-20]
    logs[f"empty/{DAY}.log.gz"] = b""
    logs[f"nuls/{DAY}.log.gz"] = bytes(4096)
    for name, data in logs.items():
        place.put(name, data)

    def change() -> None:
        place.put(f"replaced/{DAY}.log", good[::-1])
        place.remove(f"gone/{DAY}.log")

    target = write(tmp_path / "out" / "hits.csv", KEPT)
    done = count_by_cluster(cluster, place.name, target, begun=change, scratch=place.name)
    bad = [name for name in sorted(logs) if any(f"{place.name}/{name}" in str(each) for each in done.counted.damaged)]
    assert [name.partition("/")[0] for name in bad] == ["cut", "empty", "gone", "nuls", "replaced"]
    assert len(done.counted.parts[DAY]) == 5
    assert list(days_left(done.counted, done.fewer))  # so the exit code is 1
    assert outputs(tmp_path / "out") == {"hits.csv": KEPT}
    assert sorted(place.names()) == sorted(logs.keys() - {f"gone/{DAY}.log"})


def test_if_a_store_denies_access_during_a_run_the_error_names_the_files_left(
    cluster: DaskCluster, store: ObjectStore, tmp_path: Path, many_tasks: None
) -> None:
    bucket = store.bucket()
    for server in "ab":
        store.put(bucket, f"{server}/{DAY}.log", a_log(DAY, 300, server))
    target = write(tmp_path / "hits.csv", KEPT)
    with ExitStack() as closed, pytest.raises(FasthitsError, match="denies access") as raised:
        count_by_cluster(
            cluster,
            f"s3://{bucket}",
            target,
            begun=lambda: closed.enter_context(store.closed_to_all()),
            scratch=f"s3://{bucket}",
        )
    left = {each["Key"].partition("/")[0] for each in store.client.list_objects_v2(Bucket=bucket)["Contents"]} - {*"ab"}
    assert str(raised.value).endswith(f"remove s3://{bucket}/{left.pop()})")
    assert not left
    assert outputs(tmp_path) == {"hits.csv": KEPT}


@contextmanager
def refused(folder: Path, match: str) -> Iterator[Path]:
    """Give a target with a kept day. The run must fail with this message, change nothing and leave no file."""
    target = write(folder / "hits.csv", KEPT)
    with pytest.raises(FasthitsError, match=match):
        yield target
    assert outputs(folder) == {"hits.csv": KEPT}


def test_killing_the_scheduler_is_an_error_and_keeps_the_old_numbers(
    cluster: DaskCluster, logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    def stop() -> None:
        cluster.workers[0].send_signal(signal.SIGSTOP)  # so that at least one task is not finished

    def kill(_: int) -> None:
        cluster.scheduler.kill()

    with refused(tmp_path, f"the cluster is lost, nothing changed: {address_of(cluster)}") as target:
        count_by_cluster(cluster, logs, target, kill, stop)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATCH_SECONDS", "SILENT_SECONDS"):
        monkeypatch.setattr(engines, name, 0.5)


@pytest.mark.parametrize("name", ["distributed", "distributed.client", "distributed.scheduler"])
def test_dask_prints_nothing_of_its_own(name: str, cluster: DaskCluster) -> None:
    logging.getLogger(name).setLevel(logging.WARNING)  # Dask sets a level for some of its loggers
    with connected(address_of(cluster)):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)


def test_a_task_whose_workers_die_is_an_error_that_names_the_last(
    cluster: DaskCluster, logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    """Dask repeats a task three times. In this test it does not repeat tasks."""
    victim = cluster.workers[0]
    with distributed.Client(address_of(cluster)) as client:

        def repeat(times: int) -> None:
            client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", times))

        repeat(0)
        try:
            with refused(tmp_path, r"workers of a task died, .*the last .* tls://.*--max-memory") as target:
                count_by_cluster(
                    cluster,
                    logs,
                    target,
                    finished=lambda size: victim.kill(),
                    begun=lambda: victim.send_signal(signal.SIGSTOP),
                )
        finally:
            repeat(3)


def test_a_hanging_worker_is_named_and_others_do_its_tasks(
    cluster: DaskCluster, logs: Path, tmp_path: Path, many_tasks: None, short_patience: None
) -> None:
    """A half-dead machine keeps its connections open, too."""
    stopped = cluster.workers[0]
    (tmp_path / "out").mkdir()
    done = count_by_cluster(
        cluster, logs, tmp_path / "out" / "hits.csv", begun=lambda: stopped.send_signal(signal.SIGSTOP)
    )
    count_alone(logs, tmp_path / "alone.csv")
    assert outputs(tmp_path / "out") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}
    (remark,) = [note for note in done.counted.notes if "worker" in note]
    assert re.match(r"warning: the worker tls://127\.0\.0\.1:\d+ was silent for .* look at its machine", remark)
    stopped.kill()
    stopped.wait()


def test_a_cluster_that_has_lost_all_workers_is_an_error(
    cluster: DaskCluster,
    logs: Path,
    tmp_path: Path,
    many_tasks: None,
    short_patience: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kill_all() -> None:
        monkeypatch.setattr(engines, "WORKER_SECONDS", 0.5)
        for worker in cluster.workers:
            worker.kill()

    with refused(tmp_path, r"no worker any more, nothing changed: tls://.*start one: dask worker tls") as target:
        count_by_cluster(cluster, logs, target, begun=kill_all)


def test_a_hanging_scheduler_is_an_error(
    cluster: DaskCluster,
    logs: Path,
    tmp_path: Path,
    many_tasks: None,
    short_patience: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "ANSWER_SECONDS", 2)
    try:
        with refused(tmp_path, r"the cluster is lost.*: tls://.*its scheduler has not answered for") as target:
            count_by_cluster(cluster, logs, target, begun=lambda: cluster.scheduler.send_signal(signal.SIGSTOP))
    finally:
        cluster.scheduler.kill()
        cluster.scheduler.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_rollup_that_is_interrupted_leaves_the_old_numbers_and_no_task(
    number: signal.Signals, cluster: DaskCluster, logs: Path, tmp_path: Path
) -> None:
    """A run that was killed cannot remove its folder. The next rollup makes another folder."""
    target = write(tmp_path / "hits.csv", KEPT)
    arguments = ["rollup", str(DAY), "--logs", f"{logs}/*/%F.log", "--to", str(target)]
    command = fasthits_command(*arguments, "--cluster", str(cluster.scheduler_file))
    with connected(str(cluster.scheduler_file)) as crew:
        client: distributed.Client = crew.executor._client  # type: ignore[attr-defined]
        client.wait_for_workers(2)

        def tasks() -> int:
            return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

        for worker in cluster.workers:
            worker.send_signal(signal.SIGSTOP)
        try:
            driver = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment("", cluster.environment))
            eventually(tasks, 120, "a task")
            driver.send_signal(number)
            _, said = driver.communicate(timeout=120)
            eventually(lambda: not tasks(), 120, "no task is left")
        finally:
            for worker in cluster.workers:
                worker.send_signal(signal.SIGCONT)
    assert target.read_bytes() == KEPT
    if number == signal.SIGINT:
        assert (driver.returncode, said) == (130, b"fasthits: interrupted\n")
        assert outputs(tmp_path) == {"hits.csv": KEPT}
    (tmp_path / "again").mkdir()
    count_by_cluster(cluster, logs, tmp_path / "again" / "hits.csv")
    count_alone(logs, tmp_path / "alone.csv")
    assert outputs(tmp_path / "again") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}


def test_a_client_without_a_certificate_is_refused(cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 2)
    address = address_of(cluster)
    clean = {name: None for name in ("ca-file", "client.cert")}
    with (
        dask.config.set({f"distributed.comm.tls.{name}": value for name, value in clean.items()}),
        pytest.raises(FasthitsError, match=f"cannot reach the cluster: {address}") as raised,
        connected(address),
    ):
        pass
    assert "DASK_DISTRIBUTED__COMM__TLS" in str(raised.value)


def test_an_unreachable_cluster_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 1)
    for required, said in (False, "is the scheduler running"), (True, "settings on this machine require .* tls://"):
        with (
            dask.config.set({"distributed.comm.require-encryption": required}),
            pytest.raises(FasthitsError, match=rf"cannot reach the cluster: tcp://127\.0\.0\.1:9 .*{said}"),
            connected("tcp://127.0.0.1:9"),
        ):
            pass
