"""Every row of the table on a tiny log, so that none of them is found to be broken when it is to be measured."""

import os

import pytest

from benchmarks.corpora import Corpus
from benchmarks.rows import Row, day_rows, distinct_rows
from benchmarks.tasks import Task, is_here


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


def test_rows_of_a_day(corpus: Corpus, small: Corpus, subtests: pytest.Subtests) -> None:
    run(day_rows(corpus, small), subtests)


def test_rows_of_distinct_paths(distinct: Corpus, subtests: pytest.Subtests) -> None:
    run(distinct_rows(distinct), subtests)
