"""The manual page and the page of commands agree with --help."""

import re
import subprocess

import pytest

from docs import reference
from fasthits.cli import VARIABLES
from fasthits.cli.commands import COMMANDS
from fasthits.formats.named import FORMATS
from tests.support.commands import fasthits
from tests.support.servers import require_program

STALE = "run python -m docs.reference"


def test_the_manual_page_is_not_stale() -> None:
    assert reference.MANUAL.read_text() == reference.manual(), STALE


def test_the_page_of_commands_is_not_stale() -> None:
    assert reference.PAGE.read_text() == reference.page(), STALE


def test_the_table_of_named_formats_is_not_stale() -> None:
    assert reference.FORMATS_PAGE.read_text() == reference.formats_page(), STALE
    assert "| `haproxy` |" in reference.formats_page()


def test_the_parts_of_named_formats_are_not_stale() -> None:
    assert reference.ASSEMBLED.read_text() == reference.assembled(), STALE
    for row in FORMATS.values():
        for text in (*row.strings, *row.closed):
            assert row._assemble(text) == row.assemble_anew(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_help_is_in_both(command: str) -> None:
    shown = fasthits(command, "--help").stdout.decode()
    options = set(re.findall(r"^  (--[a-z-]+)", shown, re.M)) - {"--help"}
    assert options
    manual = reference.manual().replace("\\", "")
    part = manual.partition(f".SS fasthits {command}\n")[2].partition("\n.S")[0]
    part += manual.partition("\n.SH RULES\n")[2].partition("\n.SH")[0] * (".BR RULES" in part)
    assert {option for option in options if f".B {option}" not in part} == set()
    page = reference.page()
    part = page.partition(f"\n## fasthits {command}\n")[2].partition("\n## ")[0]
    part += page.partition("\n## Rules\n")[2].partition("\n## ")[0] * ("[rules](#rules)" in part)
    assert {option for option in options if f"\n- `{option}" not in part} == set()


def test_rules_are_described_once() -> None:
    assert reference.manual().count(r".B \-\-decode") == reference.page().count("- `--decode`") == 1


def test_every_variable_of_the_help_is_in_the_environment() -> None:
    named = {each.envvar for _, command in reference.commands() for each in command.params if each.envvar}
    assert named | {"FASTHITS_LOGS"} == reference.ENVIRONMENT.keys() == VARIABLES


def test_man_shows_the_page_without_a_warning() -> None:
    command = [require_program("man"), "--warnings", "-l", str(reference.MANUAL)]
    done = subprocess.run(command, capture_output=True, text=True, env={"MANWIDTH": "100", "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert all(f"fasthits {command}" in text for command in COMMANDS)
