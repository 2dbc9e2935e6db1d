"""Modules write no file while tests are collected; the processes of a test can be found and ended."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.logger import Logger, access_line
from tests.support.processes import PROJECT, eventually, is_alive, new_mark
from tests.support.servers import closed_port

COLLECT = "from tests import conftest; conftest.pytest_collection(); "
COLLECTED = "conftest.pytest_collection_modifyitems([]); "


def run(program: str, where: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python with a file in a folder of this project, or in a folder of the test."""
    command = [sys.executable, "-c", program.format(str(where))]
    return subprocess.run(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize("write", ["import os; os.mkdir({!r})", "open({!r}, 'a')"])
def test_a_module_that_writes_while_tests_are_collected_is_an_error(write: str) -> None:
    file = PROJECT / "tests" / new_mark()
    done = run(COLLECT + write, file)
    assert f"is written while tests are collected: {file}" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize("write", [COLLECTED + "open({!r}, 'a')", "import os; open(os.open({!r}, os.O_CREAT), 'r')"])
def test_other_writes_are_allowed(write: str, tmp_path: Path) -> None:
    done = run(COLLECT + write, tmp_path / "new")
    assert (done.returncode, (tmp_path / "new").exists()) == (0, True), done.stderr


@pytest.mark.parametrize("first", ["", "pass"], ids=["fork", "process"])
def test_a_logger_and_its_courier_are_found_by_their_mark_and_ended(
    start_logger: Callable[..., Logger], first: str
) -> None:
    with start_logger("--memcached", f"127.0.0.1:{closed_port()}", first=first) as logger:
        logger.write(access_line("/a"))
        (courier,) = eventually(logger.children, what="the logger has a courier")
        assert set(logger.processes()) == {logger.pid, courier}
    eventually(lambda: not is_alive(logger.pid) and not is_alive(courier), what="both are ended")
