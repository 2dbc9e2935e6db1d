"""The commands. Each is a function in a module of this folder; the module is imported when the command is used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

COMMANDS = {
    "log": "log",
    "rollup": "rollup",
    "merge": "merge",
    "today": "today",
    "top": "top",
    "history": "history",
    "most-read": "history",
    "serve": "serve",
    "report": "report",
    "check": "check_warm",
    "warm": "check_warm",
    "explain": "explain",
    "formats": "formats",
    "conf": "conf",
    "doctor": "doctor",
}
"""The module of each command, in the order of the help."""

BARE = {"--keep-query": "all", "--referrers": "site"}
"""The value of an option that stands without a value."""


def function_of(command: str) -> Callable[..., Any]:
    """Return the function of one of COMMANDS."""
    module = import_module(f"fasthits.cli.{COMMANDS[command]}")
    return getattr(module, command.replace("-", "_"))  # type: ignore[no-any-return]


def fill_bare(arguments: list[str]) -> list[str]:
    """Return the arguments of a command, with a value for each BARE option that stands without a value.

    >>> fill_bare(["--keep-query", "--referrers", "full"])
    ['--keep-query=all', '--referrers', 'full']
    """
    following = [*arguments, "-"][1:]
    return [
        f"{each}={BARE[each]}" if each in BARE and after.startswith("-") else each
        for each, after in zip(arguments, following, strict=True)
    ]
