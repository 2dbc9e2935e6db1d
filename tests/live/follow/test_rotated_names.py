"""Names that are taken for those of rotated files, and names that are not."""

from pathlib import Path

import pytest

from fasthits.live.follow.rotated_names import rotations


@pytest.mark.parametrize(
    ("name", "is_rotated"),
    [
        *((name, True) for name in ("a.log.1", "a.log.12", "a.log-20261125", "a.log.20261125-1730", "a-20261125.log")),
        *((name, True) for name in ("a.log.old", "a.1.log", "a.log-2026-11-25", "a.log-20261125-1795600000")),
        *((name, True) for name in ("a-2026-11-25T10-00-00.000.log", "a.log_20261125", "a.log_2026-11-25")),
        *((name, False) for name in ("a.log", "a.log.1.gz", "a-2.log", "b.log.1", "a.logs", "a.log.txt", "aa.log.1")),
        ("a-2026-11-25T10-00-00.000.log.gz", False),
    ],
)
def test_names_of_rotated_files_are_recognised(tmp_path: Path, name: str, is_rotated: bool) -> None:
    (tmp_path / name).touch()
    assert rotations(str(tmp_path / "a.log")) == ([str(tmp_path / name)] if is_rotated else [])
