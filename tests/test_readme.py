"""README.md is short, and its commands work in a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from fasthits import __version__
from tests.support.processes import PROJECT, environment, new_mark

README = PROJECT / "README.md"
MOST_LINES = 150


@pytest.mark.slow
@pytest.mark.builds
def test_the_commands_of_install_make_fasthits_work(tmp_path: Path) -> None:
    """This is done in a fresh clone, but in a folder of this test instead of /opt and /usr/bin."""
    clone = copytree(PROJECT, tmp_path / "clone", ignore=ignore_patterns(".*", "build", "demo", "*.so", "__pycache__"))
    if (made := PROJECT / "build" / "cython").exists():
        copytree(made, clone / "build" / "cython")  # with its times: an old file is made again
    (tmp_path / "bin").mkdir()
    section = README.read_text().partition("\n## Install\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (.*)$", section, re.MULTILINE)
    script = "\n".join(lines).replace("/opt/", f"{tmp_path}/opt/").replace("/usr/bin/", f"{tmp_path}/bin/")
    # The test checks that the core is built, but not how fast the core is or how fast Python starts.
    quickly = os.environ | {"CFLAGS": "-O0", "PIP_NO_COMPILE": "1"}
    subprocess.run(["sh", "-ec", script], cwd=clone, env=quickly, check=True, capture_output=True, timeout=600)
    done = subprocess.run([tmp_path / "bin" / "fasthits", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"fasthits {__version__}\n", done.stderr


def test_make_demo_shows_live_numbers(tmp_path: Path) -> None:
    """After .venv was made, `make demo` is this script."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    demo = ["bash", str(PROJECT / "benchmarks" / "demo.sh")]
    env = environment(new_mark(), {"PATH": path})
    done = subprocess.run(demo, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\$ fasthits today .*\n[1-9]\d*\t/", done.stdout, re.MULTILINE), done.stdout


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_the_lines_for_django_are_those_of_the_tutorial() -> None:
    (block,) = re.findall(r"^```diff\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for line in block.splitlines() if not line.startswith("# ")]
    tutorial = (PROJECT / "docs" / "django.md").read_text().splitlines()
    assert [line for line in lines if line not in tutorial] == []
