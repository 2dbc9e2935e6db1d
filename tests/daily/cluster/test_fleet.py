"""A count by many workers gives the same bytes as one machine, whichever worker dies."""

import gzip
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from fasthits import signals
from fasthits.daily.cluster import fleet, tasks
from fasthits.daily.cluster.engines import connected, warning_of
from fasthits.daily.cluster.fleet import Crew, Fleet
from fasthits.daily.cluster.scratch import read_range
from fasthits.daily.counting import overflow
from fasthits.daily.counting.count_hits import count_hits
from fasthits.daily.logs import logfiles
from fasthits.errors import FasthitsError, LogFileError, UsageError
from fasthits.rules.rules import Rules
from fasthits.signals import Ended, ended_by_signals
from tests.support.commands import hit, write
from tests.support.fleets import DAY, a_log, count_alone, count_by, figures, outputs, write_logs


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of five servers, each packed in another way."""
    return write_logs(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        yield pool


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LEAST_TASK_BYTES", 10_000)


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
def test_workers_give_the_same_bytes_as_one_machine(
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
    """The task writes its tables to a temporary file again and again, in the groups that merge tasks read."""
    monkeypatch.setattr(fleet, "MERGED_AT_ONCE", merged_at_once)
    monkeypatch.setattr(overflow, "bytes_of_tables", lambda size: 1 << 19)
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


class _Blind(Executor):
    """An executor whose worker does not see a folder while it does a task, as if the folder was not mounted there."""

    def __init__(self, folder: Path, function: Callable[..., object]) -> None:
        """*function* is that of the tasks."""
        self._folder = folder
        self._function = function

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()
        is_blind = pickle.loads(args[1])[0] is self._function
        if is_blind:
            self._folder.rename(f"{self._folder}-away")
        future.set_result(function(*args, **kwargs))
        if is_blind:
            Path(f"{self._folder}-away").rename(self._folder)
        return future


def test_a_format_that_a_worker_cannot_see_is_not_assumed(tmp_path: Path) -> None:
    """Another worker counts the file. Without its format the hits would have no host, in silence."""
    (tmp_path / "out").mkdir()
    write(tmp_path / "logs" / "a" / f"{DAY}.log", *(b"example.org:80 " + hit("/") for _ in range(3)))
    count_by(
        _Blind(tmp_path / "logs", tasks.look_at), tmp_path / "logs", tmp_path / "out" / "hits.csv", Rules(by_host=True)
    )
    assert (tmp_path / "out" / "hits.csv").read_text().splitlines()[1:] == ["2026-03-12,example.org,/,3"]


def test_a_worker_that_does_not_see_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "logs" / "a" / f"{DAY}.log", hit("/"))
    with pytest.raises(LogFileError, match=rf"cannot read log file: .*; on the worker {gethostname()}\)"):
        count_by(_Blind(tmp_path / "logs", tasks.count), tmp_path / "logs", tmp_path / "out" / "hits.csv")
    assert outputs(tmp_path / "out") == {}


class _Twice(Executor):
    """An executor that does each task twice. It gives the first result, the second, or an error of the first."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._number = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._number += 1
        both = [self._pool.submit(function, *args, **kwargs) for _ in range(2)]
        both[0].result()
        return both[self._number % 2]


def test_a_task_that_runs_twice_counts_once(logs: Path, pool: Executor, tmp_path: Path, many_tasks: None) -> None:
    (tmp_path / "out").mkdir()
    count_by(_Twice(pool), logs, tmp_path / "out" / "hits.csv")
    count_alone(logs, tmp_path / "alone.csv")
    assert outputs(tmp_path / "out") == {"hits.csv": (tmp_path / "alone.csv").read_bytes()}


@pytest.mark.parametrize("name", tasks.versions())
def test_a_worker_with_another_version_refuses_tasks(
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


def test_a_broken_pool_of_processes_is_an_error_and_nothing_changes(
    logs: Path, tmp_path: Path, many_tasks: None
) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        pool.submit(_end)
        with pytest.raises(FasthitsError, match="the cluster is lost, nothing changed: the pool"):
            count_by(pool, logs, tmp_path / "hits.csv")
    assert outputs(tmp_path) == {}


def test_a_folder_that_workers_do_not_share_is_an_error(tmp_path: Path, pool: Executor) -> None:
    scratch = fleet.Scratch(str(tmp_path))
    workers = Fleet(Crew(pool, 2, "the pool"), str(tmp_path))
    with pytest.raises(
        FasthitsError, match=rf"this worker does not see the scratch folder: .*--scratch.*{gethostname()}"
    ):
        workers.in_order(tasks.merge, [([], scratch, range(1), None)])
    with pytest.raises(FasthitsError, match=r"cannot use the scratch folder: .*No such file"):
        fleet.Scratch(str(tmp_path / "nowhere")).make()


def test_a_file_of_the_run_that_was_altered_is_an_error(tmp_path: Path) -> None:
    scratch = fleet.Scratch(str(tmp_path))
    scratch.make()
    with scratch.new_file() as (name, file):
        file.write(b"no frame of rows")
    damaged = tasks.File(name, 16, {"hits": {0: [(0, 16)]}})
    with pytest.raises(FasthitsError, match=f"a file in the scratch folder is damaged: {tmp_path}"):
        list(tasks.runs_of([damaged], scratch, [0])["hits"][0].pieces())
    with pytest.raises(FasthitsError, match="a file in the scratch folder is too short"):
        read_range(f"{scratch.folder}/{name}", 10, 20)


def test_a_log_is_the_same_file_on_machines_with_other_device_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their current folders may be others, too."""
    write(tmp_path / "access.log", hit("/a"))
    monkeypatch.chdir(tmp_path)
    (found,) = logfiles.find("access.log")
    there, head = found.elsewhere, found.head()
    monkeypatch.chdir("/")
    assert there.head() == head
    (tmp_path / "other").write_bytes(hit("/b"))
    (tmp_path / "other").rename(tmp_path / "access.log")
    with pytest.raises(FasthitsError, match="replaced while it was read"):
        there.head()


def test_only_a_cluster_on_this_machine_is_safe_without_tls(tmp_path: Path) -> None:
    assert "tls:// protects" in warning_of("tcp://scheduler:8786")
    assert "tls:// protects" in warning_of("tcp://10.0.0.1:8786")
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://10.0.0.1:8786"}')
    assert "tls:// protects" in warning_of(str(file))
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
def test_an_invalid_cluster_is_a_usage_error(cluster: str) -> None:
    with pytest.raises(UsageError, match=r"not a cluster|the cluster has no workers"), connected(cluster):
        pass


@pytest.mark.parametrize("text", ["", "{}", "[]", "\0"])
def test_a_wrong_scheduler_file_is_an_error(text: str, tmp_path: Path) -> None:
    file = write(tmp_path / "scheduler.json", text.encode())
    with (
        pytest.raises(FasthitsError, match=rf"cannot reach the cluster: {file} .*dask scheduler --scheduler-file"),
        connected(str(file)),
    ):
        pass


class Finalized:
    """In its finalizer a signal comes, as it may in those of Dask: Python drops what the signal's handler raises."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Ended)])
def test_a_signal_that_python_drops_ends_the_wait_for_workers(
    number: signal.Signals, expected: type[BaseException], tmp_path: Path
) -> None:
    may_end = threading.Event()

    class Waits(ThreadPoolExecutor):
        def submit(self, *_: Any) -> Future[Any]:  # type: ignore[override]
            return super().submit(may_end.wait, 60)

    def watch() -> list[str]:
        Finalized(number)
        return []

    with Waits(1) as executor:
        work = Fleet(Crew(executor, 1, "the test", watch), str(tmp_path)).do(int, [()])
        try:
            with ended_by_signals(), pytest.raises(expected):
                next(work)
        finally:
            may_end.set()
    signals.check()
