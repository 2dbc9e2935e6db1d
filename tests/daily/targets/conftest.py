"""A SQLite file and a CSV file, which do not exist yet."""

from pathlib import Path

import pytest

from tests.daily.targets.support import READERS


@pytest.fixture(params=READERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param
