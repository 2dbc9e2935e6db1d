"""Whatever a stranger sends, a line costs at most a few times as much as an ordinary line of the same length.

Costs are instructions, which callgrind counts. So they are the same on any machine, however busy it is.
"""

import pytest

from benchmarks.callgrind import count_instructions
from tests.support.costs import CASES, SHORT, SIZES, measured

GROWTH = 1.25
"""Four times as long a line costs at most four times as much, and this much more for what is to be ignored."""
NOISE = 200_000
"""So many instructions a longer line takes at once, for memory."""


pytestmark = [pytest.mark.slow, pytest.mark.builds]


@pytest.fixture(scope="session")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, int], int]:
    """Return the instructions that each line takes, less those of a short line."""
    counts = count_instructions(tmp_path_factory.mktemp("costs"), "tests.support.costs")
    # What is counted before the first line of a case is none, nor does that line count the first time.
    lines = [line for name in CASES for line in (None, None, *measured(name))]
    taken = {line: count for line, count in zip(lines, counts, strict=True) if line}
    return {line: count - taken[line[0], "", SHORT] for line, count in taken.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_worst_line_costs_a_few_times_an_ordinary_one(name: str, costs: dict[tuple[str, str, int], int]) -> None:
    case = CASES[name]
    for size in SIZES:
        ordinary = costs[name, case.ordinary, size]
        assert ordinary > 0
        for text in case.worst:
            assert costs[name, text, size] <= case.most * ordinary, (text, size)


@pytest.mark.parametrize("name", CASES)
def test_a_longer_line_costs_no_more_for_each_byte(name: str, costs: dict[tuple[str, str, int], int]) -> None:
    small, large = SIZES
    for text in CASES[name].worst:
        assert costs[name, text, large] <= GROWTH * large / small * max(0, costs[name, text, small]) + NOISE, text
