"""A folder for the logs that are followed."""

from pathlib import Path

import pytest


@pytest.fixture
def logs(place: Path) -> Path:
    folder = place / "logs"
    folder.mkdir(mode=0o755)
    return folder
