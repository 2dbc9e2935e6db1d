"""Logs with so many paths that threads share hit tables: the numbers do not depend on memory or number of threads."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from fasthits.daily.counting import threads
from fasthits.daily.logs import logfiles
from fasthits.daily.rollup import Summary, roll_up
from fasthits.daily.targets.opening import open_target
from tests.support.commands import hit

DAY = date(2026, 3, 12)
PATHS = 30_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in which a few paths are frequent. Most paths come once or twice, far from each other."""
    numbers = [number * 7919 % PATHS for number in range(PATHS)] + list(range(0, PATHS, 2))
    lines = [
        hit(f"/{number}/{'p' * (number % 90)}") + (hit("/often") if number % 3 else b"bad\n") for number in numbers
    ]
    file = tmp_path / "access.log"
    file.write_bytes(b"".join(lines))
    return file


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks, segments and tables small, so that a small log behaves like a large log."""
    monkeypatch.setattr(logfiles, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(logfiles, "SEGMENT_BYTES", 1 << 18)
    monkeypatch.setattr(threads, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(threads, "SHARD_ROWS", 500)


def counted(log: Path, target: Path, threads: int, max_bytes: int | None = None) -> tuple[bytes, Summary]:
    found = roll_up([DAY], [str(log)], open_target(str(target)), threads, max_bytes=max_bytes, as_part=True)
    return target.read_bytes(), found


@pytest.fixture
def spilled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows in the shards, at each moment at which a thread looked."""
    seen: list[int] = []
    make_room: Callable[..., None] = threads.Reading._make_room

    def look(self: threads.Reading, *tables: object) -> None:
        make_room(self, *tables)
        seen.append(sum(map(len, self._shards)))

    monkeypatch.setattr(threads.Reading, "_make_room", look)
    return seen


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_numbers_are_those_of_one_thread(log: Path, tmp_path: Path, threads: int, spilled: list[int]) -> None:
    expected, one = counted(log, tmp_path / "one.csv", 1)
    assert set(spilled) == {0}, "a single thread needs no shards"
    found, several = counted(log, tmp_path / "several.csv", threads)
    assert max(spilled) > PATHS // 2
    assert found == expected
    assert found.count(b"\n") == PATHS + 2
    assert several.counted.figures() == one.counted.figures()
    assert several.rows == one.rows == PATHS + 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [4 << 20, 8 << 20, 12 << 20])
def test_the_numbers_are_the_same_in_little_memory(
    log: Path, tmp_path: Path, size: int, spilled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LEAST_TABLE_BYTES", 1 << 16)
    expected, _ = counted(log, tmp_path / "one.csv", 1)
    found, several = counted(log, tmp_path / "several.csv", 3, size)
    assert max(spilled) > 0
    assert several.counted.spooled
    assert found == expected
