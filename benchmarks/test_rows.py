"""Every row of the table works on a tiny log, so no row fails when the benchmark runs."""

import os
from pathlib import Path

import pytest

from benchmarks import __main__, record
from benchmarks.logs import Corpus, make_day
from benchmarks.rows import Row, day_rows, distinct_rows
from benchmarks.tasks import Task, is_here
from benchmarks.truth import WrongTotals


def run(rows: list[Row], subtests: pytest.Subtests) -> None:
    """Do each task once and check it."""
    for task in dict.fromkeys(task for row in rows for task in row.tasks()):
        with subtests.test(task.name):
            run_once(task)


def run_once(task: Task) -> None:
    if not is_here(task.needs):
        if task.needs == "memcached" and os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
            pytest.fail("memcached is not installed, but FASTHITS_REQUIRE_SERVERS=1")
        pytest.skip(f"{task.needs} is not installed")
    try:
        task.prepare()
        assert all(figure >= 0 for figure in task.measure().values())
        assert task.check()
    finally:
        task.close()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the logs and records of a quick run, which has few lines here."""
    monkeypatch.setattr(__main__, "KEPT", tmp_path)
    monkeypatch.setattr(__main__, "QUICK_BYTES", 500_000)
    return tmp_path


def test_rows_of_a_day(corpus: Corpus, small: Corpus, subtests: pytest.Subtests) -> None:
    run(day_rows(corpus, small), subtests)


def test_wrong_totals_are_an_error(tmp_path: Path) -> None:
    day = make_day(tmp_path, "day", 100)
    with day.log.open("ab") as log:
        log.write(b"one more line\n")
    small = make_day(tmp_path, "small", 10)
    tasks = {task.name: task for row in day_rows(day, small) for task in row.tasks()}
    for name in ("`wc -l`", "`fasthits rollup`", "tokenising alone, 1 thread", "counting alone, 2 threads"):
        with pytest.raises(WrongTotals):
            run_once(tasks[name])


def test_command_line(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--quick", "--runs", "1", "--rows", "count-1", "rollup-memory"]) == 0
    said = capsys.readouterr().out
    assert "fasthits rollup, peak memory" in said
    assert "at most 64 MB more: met" in said
    recorded = record.load("quick", kept / "results")
    assert recorded is not None
    assert [row["name"] for row in recorded["rows"]] == ["rollup-memory", "count-1"]
    assert recorded["tasks"]["`fasthits rollup`"]["seconds"]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick", "--rows", "nothing"], "no row nothing; there are rollup,"),
        (["much"], "no such part: much (try 1GB, 500MB, distinct or year)"),
        (["--runs", "0"], "at least 1"),
    ],
)
def test_command_line_mistakes(
    arguments: list[str], message: str, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        __main__.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_rows_of_distinct_paths(distinct: Corpus, subtests: pytest.Subtests) -> None:
    run(distinct_rows(distinct), subtests)


def test_a_part_that_fails_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def run_part(part: str, _: object) -> bool:
        measured.append(part)
        if part == "4GB":
            raise WrongTotals("hits: 1 found, but 2 in the log")
        return False

    monkeypatch.setattr(__main__, "run_part", run_part)
    assert __main__.main([]) == 1
    assert measured == ["1GB", "4GB", "distinct", "year"]
    assert "benchmarks: 4GB: hits: 1 found, but 2 in the log" in capsys.readouterr().err
