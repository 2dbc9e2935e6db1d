"""Whatever a stranger sends, a line costs at most a few times an ordinary one of its length, and no more for each byte.

The costs are instructions, counted by callgrind, so that they are the same on any machine however busy.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.costs import CASES, SIZES, measured

ROOT = Path(__file__).parents[1]

GROWTH = 1.3
"""A line twice as long costs at most twice as much, and this much more for what is to be ignored."""


@pytest.fixture(scope="session")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, int], int]:
    """Return the instructions that each line takes."""
    folder = tmp_path_factory.mktemp("costs")
    command = [
        *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/part", "--dump-before=getppid"),
        *(sys.executable, "-m", "tests.costs"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = sorted(folder.glob("part.*"), key=lambda part: int(part.suffix[1:]))
    counts = []
    for part in parts:
        total = re.search(r"^totals: (\d+)", part.read_text(), re.MULTILINE)
        assert total
        counts.append(int(total[1]))
    lines = []
    for name in CASES:
        lines += [(name, "", 0), *(line for line in measured() if line[0] == name)]
    assert len(counts) == 2 * len(lines)
    return dict(zip(lines, counts[1::2], strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_worst_line_costs_a_few_times_an_ordinary_one(name: str, costs: dict[tuple[str, str, int], int]) -> None:
    case = CASES[name]
    ratios = {
        (text, size): costs[name, text, size] / costs[name, case.ordinary, size]
        for text in case.worst
        for size in SIZES
    }
    assert max(ratios.values()) <= case.most, max(ratios, key=ratios.__getitem__)


@pytest.mark.parametrize("name", CASES)
def test_a_line_twice_as_long_costs_at_most_twice_as_much(
    name: str, costs: dict[tuple[str, str, int], int]
) -> None:
    for text in CASES[name].worst:
        for small, large in ((SIZES[0], SIZES[1]), (SIZES[1], SIZES[2])):
            growth = costs[name, text, large] / costs[name, text, small]
            assert growth <= GROWTH * large / small, (text, large, growth)
