"""A command: suggests the right option, accepts some options without a value, and formats its help."""

import gc
import inspect
import re
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from typer.core import TyperCommand

from fasthits.cli.commands import fill_bare
from fasthits.errors import UsageError

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--since", "--from", "--until", "--start", "--end", "--date"), ("day", "days", "--date")),
    **dict.fromkeys(("--output", "--out", "-o", "--db", "--database", "--to"), ("--to", "--database")),
    **dict.fromkeys(("--log", "--file", "--input"), ("--logs",)),
    **dict.fromkeys(("--bind", "--listen"), ("--host",)),
    **dict.fromkeys(("-n", "--top"), ("--limit",)),
    "--server": ("--memcached",),
    "--log-format": ("--format",),
}
"""Options of other programs and commands, and the options or arguments to suggest in their place."""

ARGUMENTS = {
    "day": "give the day as an argument: 2026-03-12",
    "days": "give the days as an argument: 2026-03-01..2026-03-12",
}

RANGES = {r"\b([\d.]+)<=x<=([\d.]+)\]$": r"\1 to \2]", r"\bx>=([\d.]+)\]$": r"at least \1]"}
"""How typer writes the range of a number, and how the help writes it."""

FIRST = ("Arguments", "Options")
"""The groups that come first in a help text. The panels follow."""


class Command(TyperCommand):
    """A command that suggests the right option, accepts BARE options without a value, and groups options in its help.

    typer groups options only in its boxes, which leave 26 columns for text on a terminal of 80.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError for OTHER_NAMES, and typer's errors for other mistakes."""
        known = {name for each in self.params for name in each.opts}
        for name in (arg.partition("=")[0] for arg in takewhile(lambda arg: arg != "--", args)):
            for meant in known.intersection(OTHER_NAMES.get(name, ())) if name not in known else ():
                raise UsageError("no such option", name, ARGUMENTS.get(meant, f"did you mean {meant}?"))
        return super().parse_args(ctx, fill_bare(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with Python's garbage collection, which was off during the start."""
        gc.freeze()
        gc.enable()
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line, without typer's decoration, which changes with its releases."""
        parameters: list[Any] = self.get_params(ctx)
        return ["[OPTIONS]", *(each.metavar for each in parameters if each.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options: a heading for each group, and ranges in words."""
        panels: dict[str, list[tuple[str, str]]] = {}
        parameters: list[Any] = self.get_params(ctx)
        for each in parameters:
            own = "Arguments" if each.param_type_name == "argument" else "Options"
            name, text = each.get_help_record(ctx)
            name = each.metavar if own == "Arguments" else name
            for pattern, words in RANGES.items():
                text = re.sub(pattern, words, text)
            panels.setdefault(each.rich_help_panel or own, []).append((name, text))
        for name in sorted(panels, key=(*FIRST, *panels).index):
            with formatter.section(name):
                formatter.write_dl(panels[name])


def help_text(function: Callable[..., Any]) -> str:
    """Return a command's docstring for ``--help``: each paragraph is one line, which the terminal wraps.

    A paragraph that begins with ``\\b`` keeps its lines.
    """
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
    return "\n\n".join(text if text.startswith("\b") else " ".join(text.split()) for text in paragraphs)
