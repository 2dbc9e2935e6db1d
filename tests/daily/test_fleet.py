"""A count by many workers: the same bytes as by one machine, whoever dies."""

import bz2
import gzip
import lzma
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from fasthits.daily import bounded, fleet, tasks
from fasthits.daily.columns import hits_layout, referrers_layout, searches_layout
from fasthits.daily.engines import connected, warning_of
from fasthits.daily.fleet import Fleet, slots_of
from fasthits.daily.hits import count_hits
from fasthits.daily.logs import logfiles
from fasthits.daily.opening import open_table
from fasthits.daily.rollup import Summary, roll_up
from fasthits.daily.scratch import read_range
from fasthits.errors import FasthitsError, UsageError
from fasthits.rules.rules import Rules
from tests.support.cluster import DaskCluster, dask_cluster
from tests.support.commands import fasthits, hit, write
from tests.support.stores import object_store

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAY = date(2026, 3, 12)
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
AGENTS = (b"Mozilla/5.0 (X11; Linux x86_64)", b"Googlebot/2.1")
REFERERS = (b"-", b"https://www.google.com/search?q=tea", b"https://example.org/")


def a_log(day: date, lines: int, seed: object) -> bytes:
    """Return lines of a day and of the end of the day before, with all that can be in a log."""
    choice = random.Random(f"{seed}")
    text = [hit("/late", day - timedelta(1), "23:59:59")]
    for _ in range(lines):
        path = choice.choice([b"/caf\xe9", b"/caf\xc3\xa9", rb"/caf\xe9", b"/p%d?a=b" % choice.randrange(400)])
        line = hit(path, day, f"{choice.randrange(24):02}:00:00", choice.choice(["GET", "GET", "POST"]))
        line = line.replace(AGENTS[0], choice.choice(AGENTS)).replace(b'"-"', b'"%s"' % choice.choice(REFERERS))
        text.append(line if choice.random() > 0.01 else b"junk %d\n" % choice.randrange(100))
    return b"".join(text)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of five servers, each packed in another way."""
    folder = tmp_path_factory.mktemp("logs")
    for number, (suffix, pack) in enumerate(PACKERS.items()):
        for day in (DAY - timedelta(1), DAY, DAY + timedelta(1)):
            write(folder / f"web{number}" / f"{day}.log{suffix}", pack(a_log(day, 800, (number, day))))
    return folder


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        yield pool


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LEAST_TASK_BYTES", 10_000)


def count_alone(logs: Path, target: Path, rules: Rules | None = None, **options: Any) -> Summary:
    rules = rules or Rules()
    layouts = [hits_layout(rules.by_host, rules.bots == "apart")]
    if rules.bots == "apart":
        layouts += [referrers_layout(True, ["example.org"]), searches_layout()]
    keepers = {each.name: each.keep for each in layouts if each.keep}
    table = open_table(str(target), layouts)
    return roll_up([DAY], (f"{logs}/*/%F.log",), table, rules=rules, keepers=keepers, **options)


def count_by(executor: Executor, logs: Path, target: Path, rules: Rules | None = None, **options: Any) -> Summary:
    workers = Fleet(executor, slots_of(executor), "the pool", str(target.parent))
    return count_alone(logs, target, rules, fleet=workers, **options)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder; nothing else may be there."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def figures(summary: Summary) -> dict[str, object]:
    """Return what was counted, without the examples of malformed lines: those of any files may be taken.

    Threads take files in any order, too.
    """
    found = summary.counted
    parts = {day: sorted(gaps) for day, gaps in found.parts.items()}
    damaged = sorted(map(str, found.damaged))
    return found._replace(examples=[], any_file="")._asdict() | {"parts": parts, "damaged": damaged}


@pytest.mark.parametrize("merged_at_once", [1, 64])
@pytest.mark.parametrize("target", ["hits.csv", "hits.db"])
@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(bots="apart", fold_slash=True, keep_query=("a",)),
        Rules(bots="exclude", statuses=frozenset({200}), exclude_paths=("/p1*",), exclude_static=True),
    ],
    ids=["plain", "apart, with referrers", "narrow"],
)
def test_workers_count_the_bytes_that_one_machine_counts(
    rules: Rules,
    target: str,
    merged_at_once: int,
    logs: Path,
    pool: Executor,
    tmp_path: Path,
    many_tasks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "MERGED_AT_ONCE", merged_at_once)
    monkeypatch.setattr(fleet, "MERGED_BYTES", 4000)
    (tmp_path / "alone").mkdir()
    (tmp_path / "fleet").mkdir()
    alone = count_alone(logs, tmp_path / "alone" / target, rules)
    together = count_by(pool, logs, tmp_path / "fleet" / target, rules)
    assert outputs(tmp_path / "fleet") == outputs(tmp_path / "alone")
    assert figures(together) == figures(alone)
    assert together.rows == alone.rows > 0


@pytest.mark.parametrize("merged_at_once", [1, 64])
def test_a_task_with_little_memory_leaves_the_same_rows(
    merged_at_once: int, logs: Path, tmp_path: Path, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables go through a temporary file again and again, and are divided into the parts that merge tasks read."""
    monkeypatch.setattr(fleet, "MERGED_AT_ONCE", merged_at_once)
    monkeypatch.setattr(bounded, "bytes_of_tables", lambda size: 1 << 19)
    rules = Rules(bots="apart", fold_slash=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "alone").mkdir()
    with ThreadPoolExecutor(1) as here:
        together = count_by(here, logs, tmp_path / "out" / "hits.csv", rules, max_bytes=1 << 30)
    alone = count_alone(logs, tmp_path / "alone" / "hits.csv", rules)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "alone")
    assert together.counted.spooled > alone.counted.spooled == 0


def test_python_counts_by_any_executor(logs: Path, pool: Executor, tmp_path: Path) -> None:
    name = f"{logs}/*/%F.log"
    together = count_hits(name, days=DAY, executor=pool, scratch=tmp_path, bots="apart")
    alone = count_hits(name, days=DAY, bots="apart")
    assert list(together.rows()) == list(alone.rows())
    assert (together.bots, together.lines, together.filtered) == (alone.bots, alone.lines, alone.filtered)
    assert outputs(tmp_path) == {}


def test_a_plain_file_is_divided_among_tasks(pool: Executor, tmp_path: Path, many_tasks: None) -> None:
    write(tmp_path / "logs" / "a" / f"{DAY}.log", a_log(DAY, 5000, 1))
    done: list[int] = []
    (tmp_path / "out").mkdir()
    together = count_by(pool, tmp_path / "logs", tmp_path / "out" / "hits.csv", progress=lambda size: done.append)
    alone = count_alone(tmp_path / "logs", tmp_path / "alone.csv")
    assert len(done) > 5
    assert sum(done) == (tmp_path / "logs" / "a" / f"{DAY}.log").stat().st_size
    assert (tmp_path / "out" / "hits.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert figures(together) == figures(alone)


def test_files_that_cannot_be_read_leave_the_day_as_one_machine_does(
    pool: Executor, tmp_path: Path, many_tasks: None
) -> None:
    logs = tmp_path / "logs"
    for server in "abc":
        write(logs / server / f"{DAY}.log", a_log(DAY, 300, server))
    for server in "de":
        write(logs / server / f"{DAY}.log.gz", gzip.compress(a_log(DAY, 300, server))[:-20])
    write(logs / "f" / f"{DAY + timedelta(1)}.log", hit("/"))
    (tmp_path / "out").mkdir()
    kept = write(tmp_path / "out" / "hits.csv", b"date,path,views\r\n2026-03-12,/kept,7\r\n")
    together = count_by(pool, logs, kept)
    assert figures(together) == figures(count_alone(logs, tmp_path / "alone.csv"))
    assert [f"/{server}/" in gap.text for gap, server in zip(together.counted.parts[DAY], "de", strict=True)] == [
        True
    ] * 2
    assert outputs(tmp_path / "out") == {"hits.csv": b"date,path,views\r\n2026-03-12,/kept,7\r\n"}


class _Twice(Executor):
    """Does each task twice, and gives the first result, the second or an error of the first."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._number = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._number += 1
        both = [self._pool.submit(function, *args, **kwargs) for _ in range(2)]
        both[0].result()
        return both[self._number % 2]


def test_a_task_that_was_done_twice_counts_once(logs: Path, pool: Executor, tmp_path: Path, many_tasks: None) -> None:
    (tmp_path / "out").mkdir()
    count_by(_Twice(pool), logs, tmp_path / "out" / "hits.csv")
    count_alone(logs, tmp_path / "alone.csv")
    assert outputs(tmp_path / "out") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}


@pytest.mark.parametrize("name", tasks.versions())
def test_a_worker_with_another_version_refuses(
    name: str, logs: Path, pool: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tasks.versions
    monkeypatch.setattr(tasks, "versions", lambda: real() | {name: "99"})
    with pytest.raises(FasthitsError, match=r"a worker has another version of .*: .* there, 99 here") as raised:
        count_by(pool, logs, tmp_path / "hits.csv")
    assert name in str(raised.value)
    assert outputs(tmp_path) == {}


def _end(*_: object) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_pool_whose_process_was_killed_is_an_error_and_nothing_changes(
    logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        pool.submit(_end)
        with pytest.raises(FasthitsError, match="the cluster is lost, nothing changed: the pool"):
            count_by(pool, logs, tmp_path / "hits.csv")
    assert outputs(tmp_path) == {}


def test_a_folder_that_workers_do_not_share_is_an_error(tmp_path: Path, pool: Executor) -> None:
    scratch = fleet.Scratch(str(tmp_path))
    workers = Fleet(pool, 2, "the pool", str(tmp_path))
    with pytest.raises(FasthitsError, match=r"this worker does not see the folder of the run: .*--scratch"):
        workers.in_order(tasks.merge, [([], scratch, range(1), None)])
    with pytest.raises(FasthitsError, match=r"cannot use the folder of the run: .*No such file"):
        fleet.Scratch(str(tmp_path / "nowhere")).make()


def test_a_file_of_the_run_that_was_altered_is_an_error(tmp_path: Path) -> None:
    scratch = fleet.Scratch(str(tmp_path))
    scratch.make()
    with scratch.new_file() as (name, file):
        file.write(b"no frame of rows")
    damaged = tasks.File(name, 16, {"hits": {0: [(0, 16)]}})
    with pytest.raises(FasthitsError, match=f"a file of the run is damaged: {tmp_path}"):
        list(tasks.runs_of([damaged], scratch, [0])["hits"][0].pieces())
    with pytest.raises(FasthitsError, match="a file of the run is too short"):
        read_range(f"{scratch.folder}/{name}", 10, 20)


def test_a_log_is_the_same_on_a_machine_where_its_disk_has_another_number(tmp_path: Path) -> None:
    (found,) = logfiles.find(str(write(tmp_path / "access.log", hit("/a"))))
    there = found.elsewhere
    assert there.head() == found.head()
    (tmp_path / "other").write_bytes(hit("/b"))
    (tmp_path / "other").rename(tmp_path / "access.log")
    with pytest.raises(FasthitsError, match="replaced while it was read"):
        there.head()


def test_only_a_cluster_on_this_machine_is_safe_without_tls() -> None:
    assert "tls:// protects" in warning_of("tcp://scheduler:8786")
    assert "tls:// protects" in warning_of("tcp://10.0.0.1:8786")
    safe = (
        "tcp://127.0.0.1:8786",
        "tcp://localhost:8786",
        "tcp://[::1]:8786",
        "tls://scheduler:8786",
        "local",
        "a.json",
    )
    assert not any(map(warning_of, safe))


@pytest.mark.parametrize("cluster", ["scheduler:8786", "local:0", "/no/such/file.json", "tcp://"])
def test_what_is_no_cluster_is_an_error_of_usage(cluster: str) -> None:
    with pytest.raises(UsageError, match=r"not a cluster|the cluster has no workers"), connected(cluster):
        pass


# A real cluster of Dask.


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


def count_by_cluster(cluster: DaskCluster, logs: Path, target: Path, finished: Callable[[int], None]) -> Summary:
    """Count by a cluster; *finished* is called whenever a task is finished."""
    with connected(str(cluster.scheduler_file)) as crew:
        workers = Fleet(crew.executor, crew.slots, crew.name, str(target.parent))
        return count_alone(logs, target, fleet=workers, progress=lambda size: finished)


def test_a_worker_that_is_killed_changes_no_byte(
    cluster: DaskCluster, logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    killed: list[int] = []

    def kill(_: int) -> None:
        if len(killed) < 3:
            victim = cluster.workers.pop(0)
            cluster.start_worker()
            victim.kill()
            killed.append(victim.pid)

    (tmp_path / "out").mkdir()
    count_by_cluster(cluster, logs, tmp_path / "out" / "hits.csv", kill)
    count_alone(logs, tmp_path / "alone.csv")
    assert len(killed) == 3
    assert outputs(tmp_path / "out") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}


def test_a_scheduler_that_is_killed_is_an_error_and_leaves_no_file(cluster: DaskCluster, tmp_path: Path) -> None:
    def kill_then_wait(workers: Fleet) -> None:
        with workers.working():
            for _ in workers.do(time.sleep, [(0,), (600,)]):
                cluster.scheduler.kill()

    with connected(str(cluster.scheduler_file)) as crew:
        workers = Fleet(crew.executor, crew.slots, crew.name, str(tmp_path))
        with pytest.raises(FasthitsError, match=f"the cluster is lost, nothing changed: {cluster.scheduler_file}"):
            kill_then_wait(workers)
    assert outputs(tmp_path) == {}


def test_a_cluster_counts_logs_in_a_store_and_leaves_its_rows_there(logs: Path, tmp_path: Path) -> None:
    """The command line, from a bucket to a file, with the folder of the run in the bucket."""
    with object_store() as store:
        bucket = store.bucket()
        for file in logs.rglob("*.log*"):
            store.put(bucket, f"logs/{file.relative_to(logs)}", file.read_bytes())
        with dask_cluster(tmp_path, environment=store.environment) as cluster:
            arguments = [
                "rollup",
                str(DAY),
                "--logs",
                f"s3://{bucket}/logs/*/%F.log",
                "--to",
                str(tmp_path / "hits.csv"),
            ]
            arguments += ["--cluster", str(cluster.scheduler_file), "--scratch", f"s3://{bucket}/scratch"]
            done = fasthits(*arguments, **store.environment)
        found = store.client.list_objects_v2(Bucket=bucket, Prefix="scratch/")
    assert done.returncode == 0
    assert b"10 files" in done.stderr
    assert b"Traceback" not in done.stderr
    assert found["KeyCount"] == 0
    count_alone(logs, tmp_path / "alone.csv")
    assert (tmp_path / "hits.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", hit("/a"))
    arguments: Sequence[str] = ["rollup", str(DAY), "--logs", str(log), "--to", "-", "--cluster", "tcp://127.0.0.1:9"]
    quick = "from fasthits.daily import engines; engines.CONNECT_SECONDS = 1"
    done = fasthits(*arguments, first=quick)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("fasthits: cannot reach the cluster: tcp://127.0.0.1:9 (")
