"""How much memory counting takes where nobody has said it, and where the rows go that have no room there."""

import os
import tempfile
from pathlib import Path

import pytest

from fasthits.daily import atomic
from fasthits.daily.counting import max_memory
from fasthits.daily.counting.runs import Spool

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"memory.max": "max"}, 1 << 30),
        ({"memory.max": str(8 << 30)}, 1 << 30),
        ({"memory.max": str(512 << 20)}, 256 << 20),
        ({"memory.max": str(16 << 20)}, 32 << 20),
        ({"memory/memory.limit_in_bytes": str(9223372036854771712)}, 1 << 30),
        ({"memory/memory.limit_in_bytes": str(512 << 20)}, 256 << 20),
        ({"memory.max": "512 MB"}, 1 << 30),
    ],
)
def test_by_default_counting_takes_half_of_what_the_container_may_take(
    limits: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a container are in the outermost folder, whatever the group is called outside of it: cgroups(7)."""
    for name, text in limits.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(max_memory, "CGROUPS", tmp_path)
    assert max_memory.default_max_memory() == min(expected, MACHINE // 2)


def test_rows_without_room_go_to_a_folder_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Debian 13 and others /tmp is in memory."""

    def folder_of_rows() -> str:
        spool = Spool()
        spool.write([b"rows"])
        return os.path.dirname(os.readlink(f"/proc/self/fd/{spool._fd}"))

    monkeypatch.delenv("TMPDIR", raising=False)
    assert folder_of_rows() == os.path.realpath("/var/tmp")
    monkeypatch.setattr(atomic, "LARGE_FILES", str(tmp_path / "none"))
    assert folder_of_rows() == os.path.realpath(tempfile.gettempdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert folder_of_rows() == str(tmp_path)
