"""Modules write no file while tests are collected."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import PROJECT

COLLECTED = "conftest.pytest_collection_modifyitems([]); "
COLLECT = "from tests import conftest; conftest.pytest_collection(); "


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("import os; os.mkdir({!r})", "is written while tests are collected"),
        ("open({!r}, 'a')", "is written while tests are collected"),
        ("import os; open(os.open('/dev/null', os.O_WRONLY), 'w'); " + COLLECTED + "open({!r}, 'a')", ""),
    ],
)
def test_a_module_that_writes_is_told_where_tests_are_collected(tmp_path: Path, what: str, told: str) -> None:
    file = tmp_path / "new"
    program = [sys.executable, "-c", COLLECT + what.format(str(file))]
    done = subprocess.run(program, cwd=PROJECT, stderr=subprocess.PIPE, text=True, check=False)
    assert told in done.stderr
    assert (done.returncode, file.exists()) == ((1, False) if told else (0, True)), done.stderr
