"""The linters and type checkers, each with no finding."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = ["fasthits", "tests", "benchmarks", "docs", "setup.py"]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *PYTHON],
        ["ruff", "format", "--check", *PYTHON],
        ["mypy"],
        ["mypy.stubtest", "fasthits._parse", "--mypy-config-file", "pyproject.toml"],
        ["cython_lint.cython_lint", "fasthits"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_checkers_find_nothing(command: list[str]) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # cython-lint looks for pycodestyle
    environment = os.environ | {"PATH": path}
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_core_never_needs_the_interpreter_without_the_gil(tmp_path: Path) -> None:
    """Cython scores each line by its calls into Python; nothing that runs without the GIL may have one."""
    release = [f"-X{check}=False" for check in ("boundscheck", "wraparound", "initializedcheck")] + ["-Xcdivision=True"]
    annotate = [sys.executable, "-m", "cython", "-a", *release, "-o", tmp_path / "_parse.c", "fasthits/_parse.pyx"]
    subprocess.run(annotate, cwd=ROOT, check=True, capture_output=True)
    html = (tmp_path / "_parse.html").read_text()
    scores = {
        int(number): int(score)
        for score, number in re.findall(
            r'class="cython line score-(\d+)"[^>]*>[^\d]*(\d+)', re.sub(r"&#xA0;|<span[^>]*>", "", html)
        )
    }
    source = (ROOT / "fasthits" / "_parse.pyx").read_text().splitlines()
    assert len(scores) >= len(source)
    scored, function = [], False
    for number, line in enumerate(source, 1):
        if line and not line[0].isspace() and not line.startswith(")"):
            function = line.startswith("cdef") and ("noexcept nogil" in line or line.endswith("("))
        if function and scores[number]:
            scored.append((number, line))
    assert not scored


def test_nothing_but_what_a_project_has_by_custom_is_at_the_top() -> None:
    wanted = {"fasthits", "benchmarks", "docs", "tests", "setup.py", "pyproject.toml", "README.md"}
    custom = {"LICENSE", "CHANGELOG.md", "MANIFEST.in", "Makefile", ".gitignore", ".ci", ".git"}
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    found = {name for name in os.listdir(ROOT) if not any(fnmatch(name, pattern) for pattern in ignored)}
    assert found - custom == wanted
