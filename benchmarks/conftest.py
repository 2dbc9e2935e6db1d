"""The logs of a session: tiny with ``--benchmark-disable``, where the suite runs as tests."""

from pathlib import Path

import pytest

from benchmarks.logs import Corpus, make_day, make_distinct


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the session's logs."""
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest, corpora: Path) -> Corpus:
    """A day's log and its content: 200,000 lines for timing, 5,000 for tests."""
    return make_day(corpora, "day", 5_000 if request.config.getoption("benchmark_disable") else 200_000)


@pytest.fixture(scope="session")
def small(corpora: Path, corpus: Corpus) -> Corpus:
    """A day's log of the same site, with a tenth of the lines."""
    return make_day(corpora, "small", corpus.truth.lines // 10)


@pytest.fixture(scope="session")
def distinct(corpora: Path) -> Corpus:
    """A log in which nearly each line has a different path."""
    return make_distinct(corpora, "distinct", 1_000_000, 5_000)


@pytest.fixture(scope="session")
def block(corpus: Corpus) -> bytes:
    """The day's log in memory."""
    return corpus.log.read_bytes()
