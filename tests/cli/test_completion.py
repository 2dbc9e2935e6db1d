"""Shell completion, called as the shells' scripts call it."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from fasthits.cli.commands import COMMANDS
from tests.support.commands import fasthits

YESTERDAY = date.today() - timedelta(days=1)


def bash(line: str, cwd: Path | None = None) -> list[str]:
    """Return the completions of the last word of *line*."""
    words = line.split(" ")
    asked = {"_FASTHITS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = fasthits(cwd=cwd, **asked)
    assert done.stderr == b""
    return list(filter(None, done.stdout.decode().splitlines()))


def test_every_command_is_offered() -> None:
    assert set(bash("fasthits ")) >= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_offers_its_options(command: str) -> None:
    assert "--help" in bash(f"fasthits {command} --")


@pytest.mark.parametrize("command", ["rollup", "check", "warm", "today / --date", "explain access.log --date"])
def test_a_date_is_offered(command: str) -> None:
    assert bash(f"fasthits {command} y") == ["yesterday"]
    assert {"today", "yesterday", str(YESTERDAY)} <= set(bash(f"fasthits {command} "))


def test_a_range_is_offered_from_its_dots_on() -> None:
    assert bash("fasthits rollup 2026-03-01..y") == ["2026-03-01..yesterday"]


@pytest.mark.parametrize("command", ["rollup", "log", "explain access.log"])
def test_the_names_of_formats_are_offered(command: str) -> None:
    assert bash(f"fasthits {command} --format ha") == ["haproxy"]
    assert {"auto", "combined", "squid"} <= set(bash(f"fasthits {command} --format "))


@pytest.mark.parametrize("command", ["rollup", "check", "warm", "conf", "doctor"])
def test_the_default_pattern_and_existing_files_are_offered(command: str, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "access.log").touch()
    assert "/var/log/apache2/%Y/%m/%d/access.log" in bash(f"fasthits {command} --logs /var/log/apache2/%")
    assert bash(f"fasthits {command} --logs l", tmp_path) == ["logs/"]
    assert bash(f"fasthits {command} --logs logs/", tmp_path) == ["logs/access.log"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_completions_too(shell: str) -> None:
    asked = {"_FASTHITS_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "fasthits rollup yest"}
    done = fasthits(**asked, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert b"yesterday" in done.stdout
