"""What is built and what is documented."""

import ast
import doctest
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fasthits import _parse
from tests.support.documentation import MODULES as MODULES_WITH_DJANGO
from tests.support.documentation import assert_documented, assert_examples_are_true

ROOT = Path(__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
MODULES = [name for name in MODULES_WITH_DJANGO if not name.startswith("fasthits.django")]


def is_annotated(name: str) -> bool:
    """Tell whether a file is Cython's HTML, which lies beside the source, and no template or page."""
    return name.endswith(".html") and "/templates/" not in name and "/static/" not in name


@pytest.mark.slow
def test_wheel_and_sdist_build_and_hold_no_generated_c(tmp_path: Path) -> None:
    """They are built in a copy, where other tests that look at the tree are not disturbed."""
    not_of_git = shutil.ignore_patterns(".*", "build", "dist", "demo", "*.egg-info", "__pycache__")
    tree = shutil.copytree(ROOT, tmp_path / "tree", ignore=not_of_git)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, tree]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "fasthits/_parse.pyx",
        *(f"fasthits/core/{room.name}" for room in (ROOT / "fasthits" / "core").glob("*.*")),
        "fasthits/_parse.pyi",
        "fasthits/py.typed",
        "setup.py",
        "LICENSE",
    } <= source
    assert "docs/fasthits.1" in source
    assert not [name for name in source if name.endswith((".c", ".so")) or is_annotated(name)]
    assert not [name for name in source if name.startswith("tests/")], "setuptools takes some of them, that cannot run"
    with zipfile.ZipFile(wheel) as archive:
        built = set(archive.namelist())
    assert {"fasthits/_parse.abi3.so", "fasthits/_parse.pyi", "fasthits/py.typed", "fasthits/cli/rollup.py"} <= built
    assert [name for name in built if name.endswith("data/share/man/man1/fasthits.1")]
    assert {f"fasthits/web/static/uplot/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")} <= built
    package = {file.relative_to(ROOT) for file in (ROOT / "fasthits").rglob("*.*") if "__pycache__" not in file.parts}
    assert {str(file) for file in package if file.suffix in (".py", ".html", ".js")} <= built
    assert not [
        name
        for name in built
        if name.endswith((".c", ".h", ".pyx", ".pxd")) or name.startswith(("tests", "bench")) or is_annotated(name)
    ]
    assert "-cp311-abi3-" in wheel.name


@pytest.mark.parametrize("name", ["fasthits", *MODULES])
def test_what_is_public_is_documented(name: str) -> None:
    assert_documented(name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert_examples_are_true(name)


def test_examples_in_the_stub_are_true() -> None:
    text = (ROOT / "fasthits" / "_parse.pyi").read_text()
    docstrings = [ast.get_docstring(node) for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    names = vars(_parse).copy()
    attempted = 0
    for docstring in filter(None, docstrings):
        examples = doctest.DocTestParser().get_doctest(docstring, names, "_parse.pyi", None, 0)
        result = doctest.DocTestRunner().run(examples)
        assert result.failed == 0
        attempted += result.attempted
    assert attempted >= 3
