"""A command: suggests the right option, accepts some options without a value, and formats its help."""

import gc
import inspect
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand
from typer.exceptions import TyperException

from fasthits.cli.advice import MISSING, SURPLUS, advise_option, advise_words
from fasthits.cli.commands import fill_bare
from fasthits.errors import UsageError

RANGES = {r"\b([\d.]+)<=x<=([\d.]+)\]$": r"\1 to \2]", r"\bx>=([\d.]+)\]$": r"at least \1]"}
"""How typer writes the range of a number, and how the help writes it."""

NUMBERS = {
    "is not a valid int range": "is not a whole number",
    "is not a valid float range": "is not a number",
    "Input should be a valid integer, unable to parse string as an integer": "this is not a whole number",
    "Input should be a valid number, unable to parse string as a number": "this is not a number",
}
"""What older and newer typers say of a word in place of a number, and what to say."""

FIRST = ("Arguments", "Options")
"""The groups that come first in a help text. The panels follow."""


class Command(TyperCommand):
    """A command that suggests the right option, accepts BARE options without a value, and groups options in its help.

    typer groups options only in its boxes, which leave 26 columns for text on a terminal of 80.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError for mistakes."""
        words, parameters = fill_bare(args), parameters_of(ctx)
        for option, value in pairwise(words[: words.index("--")] if "--" in words else words):
            found = parameters.get(option)
            if found and not found.is_flag and value.partition("=")[0] in parameters:
                raise without_value(ctx, option)
        try:
            return super().parse_args(ctx, words)
        except TyperException as error:
            raise usage_error(error, ctx) from error

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


def parameters_of(context: Any) -> dict[str, Any]:
    """Return the arguments and options of a command by all their names."""
    return {name: each for each in context.command.params for name in (*each.opts, *each.secondary_opts)}


def without_value(context: Any, option: str) -> UsageError:
    """Return the error of an option whose value is missing."""
    example = f"{context.command_path} {option} {parameters_of(context)[option].metavar}"
    return UsageError("option without a value", option, example)


def usage_error(error: Any, context: Any) -> UsageError:
    """Return typer's error as a UsageError: one line, with what to type next."""
    parameters = parameters_of(context)
    hint = f"{context.command_path} --help"
    message = error.format_message().rstrip(".")
    for typers, ours in NUMBERS.items():
        message = message.replace(typers, ours)
    if message.startswith("No such option"):
        return UsageError("no such option", error.option_name, advise_option(error.option_name, parameters) or hint)
    if found := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        hint = SURPLUS.get(context.command.name, hint)
        return UsageError("unexpected argument", found[1], advise_words(found[1], parameters) or hint)
    if found := re.fullmatch(r"Option '(.*)' requires an argument", message):
        return without_value(context, found[1])
    failed, _, subject = (message[0].lower() + message[1:]).partition(": ")
    if failed.startswith("missing argument"):
        hint = MISSING.get(context.command.name, hint)
    return UsageError(failed, subject, hint) if subject else UsageError("wrong usage", failed, hint)


def help_text(function: Callable[..., Any]) -> str:
    """Return a command's docstring for ``--help``: each paragraph is one line, which the terminal wraps.

    A paragraph that begins with ``\\b`` keeps its lines.
    """
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
    return "\n\n".join(text if text.startswith("\b") else " ".join(text.split()) for text in paragraphs)
