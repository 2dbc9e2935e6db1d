"""How long the two commands take from their start to their exit, Python's own start included; each run is checked."""

import pytest

from benchmarks.fixture import Benchmark
from benchmarks.stages import Corpus, Log, Rollup, Stage


def measure(benchmark: Benchmark, stage: Stage) -> None:
    """Check *stage*, then time five runs of it and check each.

    The check comes first because pytest-benchmark gives a row to whatever fails later, and with
    ``--benchmark-disable`` calls no *teardown* at all.
    """
    try:
        stage.prepare()
        stage.run()
        stage.check()
        stage.close()
        benchmark.pedantic(stage.run, setup=stage.prepare, teardown=stage.check, rounds=5)
    finally:
        stage.close()


@pytest.mark.parametrize("options", [(), ("--threads", "1")], ids=["default", "one-thread"])
def test_rollup(benchmark: Benchmark, corpus: Corpus, options: tuple[str, ...]) -> None:
    measure(benchmark, Rollup("rollup", corpus, *options))


def test_rollup_of_gz(benchmark: Benchmark, corpus: Corpus) -> None:
    measure(benchmark, Rollup("rollup of the .gz", corpus, compressed=True))


@pytest.mark.usefixtures("_memcached")
def test_log(benchmark: Benchmark, corpus: Corpus) -> None:
    measure(benchmark, Log("log", corpus))
