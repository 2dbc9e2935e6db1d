"""A target with days that are kept, for the tests of rollups that may replace them."""

from datetime import date
from pathlib import Path

import pytest

from tests.daily.support import KEPT, TARGETS, rows_in
from tests.support.commands import fasthits, hit


@pytest.fixture(params=TARGETS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A target with three days, the second with three hits."""
    lines = [hit("/old", date.fromisoformat(day)) * views for day, _, views in KEPT]
    done = fasthits(*("rollup", "2026-03-11..2026-03-13", "--logs", "-", "--to"), tmp_path / request.param,
                    stdin=b"".join(lines))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows_in(tmp_path / request.param) == KEPT
    return tmp_path / request.param
