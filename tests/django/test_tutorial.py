"""docs/django.md: the test does the tutorial line by line in an empty folder. At the end the page shows the number."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.django_app.site import Site
from tests.support.processes import PROJECT, environment, new_mark
from tests.support.servers import Memcached

TEXT = (PROJECT / "docs" / "django.md").read_text()
TUTORIAL = TEXT.partition("## A number on the page, in ten lines")[2].partition("\n## ")[0]
OWN_LINES = 10


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks_of(text: str) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def name_and_lines(block: Block) -> tuple[str, list[str]]:
    """Return the file that a block's first line names, and its other lines."""
    first, *lines = block.text.splitlines()
    named = re.fullmatch(r"(?:# |<!-- )(\S+?)(?: -->)?", first)
    assert named, first
    return named[1], lines


def change(file: Path, lines: list[str]) -> None:
    """Change a file as the lines of a diff say. ``@@`` separates the hunks."""
    hunks: list[list[str]] = [[]]
    for line in lines:
        if line == "@@":
            hunks.append([])
        else:
            hunks[-1].append(line)
    for hunk in hunks:
        before, after = ("".join(f"{line[1:]}\n" for line in hunk if line[0] in kinds) for kinds in (" -", " +"))
        text = file.read_text()
        assert text.count(before) == 1, f"{file}: {before!r}"
        file.write_text(text.replace(before, after))


def run(block: Block, cwd: Path, env: dict[str, str]) -> None:
    """Run the commands of a transcript in one shell. If the transcript has their output, they must print it."""
    commands = [line[2:] for line in block.text.splitlines() if line.startswith("$ ") and not is_install(line)]
    answers = [line for line in block.text.splitlines() if not line.startswith("$ ")]
    script = "set -e\n" + "\n".join(commands)
    done = subprocess.run(["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    if answers:
        said = re.sub(r"\d{4}-\d\d-\d\d", "2026-03-12", done.stdout).splitlines()
        at = [number for number, line in enumerate(said) if line == answers[0]]
        assert at, said
        assert said[at[0] : at[0] + len(answers)] == answers


def is_install(line: str) -> bool:
    return line.startswith("$ pip install ")


@pytest.fixture
def env(tmp_path: Path, memcached: Memcached) -> dict[str, str]:
    """The environment of a reader: it finds this Python's programs first, and the memcached of the test.

    A page may wait longer than 0.1 s in this test, because the machine may be busy.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("python", ""), ("django-admin", "-m django"), ("fasthits", "-m fasthits")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "sitecustomize.py").write_text("from fasthits.live import quick; quick.PAGE_SECONDS = 30.0\n")
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    modules = os.pathsep.join(filter(None, [str(programs), os.environ.get("PYTHONPATH")]))
    own = {"PATH": path, "PYTHONPATH": modules, "FASTHITS_MEMCACHED": memcached.spec, "LC_ALL": "C"}
    return environment(new_mark(), own)


def test_the_tutorial_leads_to_a_number_on_the_page(tmp_path: Path, env: dict[str, str], memcached: Memcached) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for block in blocks_of(TUTORIAL):
        if block.language == "console":
            run(block, site, env)
            continue
        name, lines = name_and_lines(block)
        if block.language == "diff":
            change(site / name, lines)
        else:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text("\n".join(lines) + "\n")
    with Site(["manage.py"], tmp_path / "log", cwd=site, FASTHITS_MEMCACHED=memcached.spec) as running:
        page = running.get("/press/first/")
        (signed,) = re.findall(r'<p>Read <b data-fasthits="(/press/first/:[^"]+)">1</b> times today</p>', page)
        assert "<title>Read 1 time in the last 30 days</title>" in page
        assert running.get(f"/fasthits/hits_today.json?path={signed}") == f'{{"{signed}": 1}}'
        assert "data-fasthits" in running.get(re.findall(r'<script src="([^"]+)"', page)[0])


def test_the_tutorial_has_no_more_lines_than_it_says() -> None:
    diffs = [block for block in blocks_of(TUTORIAL) if block.language == "diff"]
    assert sum(line.startswith("+") for block in diffs for line in block.text.splitlines()) <= OWN_LINES


def test_the_tutorial_installs_an_extra_of_the_package() -> None:
    (line,) = [line for block in blocks_of(TUTORIAL) for line in block.text.splitlines() if is_install(line)]
    assert line == '$ pip install "fasthits[django]"'
    assert "django" in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_python_in_the_text_is_python() -> None:
    for block in blocks_of(TEXT):
        if block.language == "python":
            compile(block.text, "docs/django.md", "exec")
