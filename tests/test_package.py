"""The wheel and the source archive, and the documentation of public names."""

import ast
import doctest
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from filecmp import cmp
from pathlib import Path

import pytest

from fasthits import _parse
from tests.support.documentation import MODULES as MODULES_WITH_DJANGO
from tests.support.documentation import assert_documented, assert_examples_are_true

ROOT = Path(__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
EARLIEST = 315532800
"""The time of each file: 1980-01-01, the earliest that a zip archive can tell."""
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
PLATFORM = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}{'t' * IS_FREE_THREADED}"
"""The end of the name of setuptools' folder for what it has built."""
CORE = f"fasthits/_parse{sysconfig.get_config_var('EXT_SUFFIX') if IS_FREE_THREADED else '.abi3.so'}"
PYTHONS = "-cp{0}{1}-cp{0}{1}t-".format(*sys.version_info) if IS_FREE_THREADED else "-cp311-abi3-"
"""In the name of a wheel: those that it is for."""
MODULES = [name for name in MODULES_WITH_DJANGO if not name.startswith("fasthits.django")]


def is_annotated(name: str) -> bool:
    """Tell whether a file is Cython's HTML, which is next to its source file, and not a template or page."""
    return name.endswith(".html") and "/templates/" not in name and "/static/" not in name


def built(tree: Path, umask: int, copy: Callable[[str, str], object]) -> tuple[Path, Path]:
    """Copy the project to *tree*, with the permissions of a clone under this umask; return its sdist and its wheel.

    A *copy* that keeps the times of files has what Cython made at the last build, too.
    """
    not_of_git = shutil.ignore_patterns(
        ".venv", ".git", ".*_cache", "build", "dist", "demo", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, tree, ignore=not_of_git, copy_function=copy)
    if copy is shutil.copy2 and (made := ROOT / "build" / "cython").exists():
        shutil.copytree(made, tree / "build" / "cython")
    for path in tree.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
    for folder in tree.glob("fasthits/*.so"):
        folder.unlink()
    removed = tree / "build" / "lib" / "fasthits" / "gone_since.py"
    for lib in (removed, tree / "build" / f"lib.{PLATFORM}" / "fasthits" / "gone_since.py"):
        lib.parent.mkdir(parents=True)
        lib.write_text("import this\n")
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", tree / "out", tree]
    quickly = os.environ | {"CFLAGS": "-O0"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree, umask=umask, env=quickly)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: fasthits" not in done.stderr
    (sdist,), (wheel,) = (tree / "out").glob("*.tar.gz"), (tree / "out").glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
@pytest.mark.builds
def test_two_clones_build_the_same_wheel_and_sdist_with_the_right_files(tmp_path: Path) -> None:
    sdist, wheel = built(tmp_path / "one", 0o022, shutil.copy2)
    another = built(tmp_path / "another" / "clone", 0o077, shutil.copyfile)
    for first, second in zip((sdist, wheel), another, strict=True):
        assert cmp(first, second, shallow=False), first.name
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
        assert {(each.mtime, each.uid, each.gid, each.uname) for each in archive} == {(EARLIEST, 0, 0, "")}
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
    needed = {str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("*") if "__pycache__" not in file.parts}
    assert needed | {"CHANGELOG.md", "Makefile", "benchmarks/corpus.py"} <= source, "the source archive runs its tests"
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        core = archive.read(CORE)
    assert str(tmp_path).encode() not in core
    assert b".debug_info" not in core
    assert sys.prefix.encode() not in core
    assert not [name for name in inside if "gone_since" in name]
    assert {CORE, "fasthits/_parse.pyi", "fasthits/py.typed", "fasthits/cli/rollup.py"} <= inside
    assert [name for name in inside if name.endswith("data/share/man/man1/fasthits.1")]
    assert {f"fasthits/web/static/uplot/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")} <= inside
    package = {file.relative_to(ROOT) for file in (ROOT / "fasthits").rglob("*.*") if "__pycache__" not in file.parts}
    assert {str(file) for file in package if file.suffix in (".py", ".html", ".js")} <= inside
    assert not [
        name
        for name in inside
        if name.endswith((".c", ".h", ".pyx", ".pxd")) or name.startswith(("tests", "bench")) or is_annotated(name)
    ]
    assert PYTHONS in wheel.name


def test_without_a_compiler_the_error_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path]
    environment = os.environ | {"CC": str(tmp_path / "gcc")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fasthits: the core could not be compiled (on Debian and Ubuntu: ")


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
