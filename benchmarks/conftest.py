"""The corpus of a session: 200,000 lines, or 20,000 with ``--benchmark-disable``, where the suite runs as tests."""

import os
import shutil

import pytest

from benchmarks.stages import Corpus, make_corpus


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A day's log and what it holds."""
    lines = 20_000 if request.config.getoption("benchmark_disable") else 200_000
    return make_corpus(tmp_path_factory.mktemp("corpus"), lines)


@pytest.fixture(scope="session")
def block(corpus: Corpus) -> bytes:
    """The log in memory."""
    return corpus.log.read_bytes()


@pytest.fixture
def _memcached() -> None:
    """Skip where no memcached is installed; fail if FASTHITS_REQUIRE_SERVERS=1 says there has to be one."""
    if not shutil.which("memcached"):
        if os.environ.get("FASTHITS_REQUIRE_SERVERS") == "1":
            pytest.fail("memcached is not installed, but FASTHITS_REQUIRE_SERVERS=1")
        pytest.skip("memcached is not installed")
