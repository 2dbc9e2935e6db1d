"""The manual page and README's reference say what --help says."""

import re
import subprocess

import pytest

from docs import reference
from fasthits.cli import COMMANDS
from tests.support.commands import fasthits
from tests.support.servers import require_program

STALE = "run python -m docs.reference"


def test_the_manual_page_is_not_stale() -> None:
    assert reference.MANUAL.read_text() == reference.manual(), STALE


def test_the_reference_in_the_readme_is_not_stale() -> None:
    text = reference.README.read_text()
    assert text.count(reference.BEGIN) == text.count(reference.END) == 1
    assert text == reference.readme(text), STALE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_help_is_in_both(command: str) -> None:
    shown = fasthits(command, "--help").stdout.decode()
    options = set(re.findall(r"^│ (?:\*)? +(--[a-z-]+)", shown, re.M)) - {"--help"}
    page = reference.manual().replace("\\", "")
    part = page.partition(f".SS fasthits {command}\n")[2].partition(".SS ")[0]
    assert {option for option in options if f".B {option}" not in part} == set()
    call = reference.README.read_text().partition(f"\nfasthits {command}")[2].partition("\n        ")[0]
    assert {option for option in options if f"[{option}" not in call} == set()


def test_man_shows_the_page_without_a_warning() -> None:
    command = [require_program("man"), "--warnings", "-l", str(reference.MANUAL)]
    done = subprocess.run(command, capture_output=True, text=True, env={"MANWIDTH": "100", "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert all(f"fasthits {command}" in text for command in COMMANDS)
