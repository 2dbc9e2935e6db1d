"""The command line as typer reads it: help, completion, advice after mistakes, and all that `plain` leaves to it."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command_from_info
from typer.models import CommandInfo

from fasthits.cli.advice import advise_command
from fasthits.cli.command import Command, help_text, usage_error
from fasthits.cli.commands import COMMANDS, function_of
from fasthits.cli.declare import REQUIRED, Argument, Parameter, parameters_of
from fasthits.cli.output import errors_told, print_version
from fasthits.errors import UsageError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

RAISE = object()
"""The context's object has this value if the caller handles errors."""


@contextmanager
def _errors_told(ctx: Any) -> Iterator[None]:
    """Turn typer's errors into UsageErrors, and report errors, unless the caller handles them."""
    with nullcontext() if ctx.obj is RAISE else errors_told():
        try:
            yield
        except TyperException as error:
            raise usage_error(error, ctx) from error


def command_of(name: str, function: Callable[..., Any]) -> Any:
    """Return the typer command that reads the parameters of *function* and calls it."""
    text = help_text(function)

    def callback(**values: Any) -> Any:
        return function(**values)

    parameters = [_signature_of(each) for each in parameters_of(function)]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {each.name: each.annotation for each in parameters}
    info = CommandInfo(
        name=name,
        cls=Command,
        callback=callback,
        help=text,
        short_help=re.split(r"(?<=\.)\s", text)[0],
        context_settings=CONTEXT,
    )
    return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)


def _signature_of(parameter: Parameter) -> inspect.Parameter:
    declared = parameter.declared
    assert declared
    make: Any = typer.Argument if isinstance(declared, Argument) else typer.Option
    annotation: Any = Annotated[parameter.kind, make(*declared.names, **declared.details)]
    default = inspect.Parameter.empty if parameter.default is REQUIRED else parameter.default
    return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


class _Commands(TyperGroup):
    """Finds the commands. It imports the module of a command when somebody uses the command."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            args = [*args[1:2], "--help"]
        elif not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(UsageError.exit_code)
        with _errors_told(ctx):
            return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            if ctx is None or ctx.resilient_parsing or cmd_name.startswith("-"):
                return None
            raise UsageError("no such command", repr(cmd_name), advise_command(cmd_name))
        if cmd_name not in self.commands:
            self.commands[cmd_name] = command_of(cmd_name, function_of(cmd_name))
        return self.commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        with _errors_told(ctx):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


def fasthits(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How often was each page read? fasthits counts the web server's log: today's views live, in memcached, and the
    views of every day before in SQLite or CSV.

    \b
        fasthits conf           print the lines to paste for Apache, nginx and cron
        fasthits top            watch which pages are read now
        fasthits rollup         count yesterday's log into hits.db
        fasthits help rollup    show the help of a command

    A hit is a log line with the method GET and a path. The path is kept without its query string. Options narrow what
    counts. `fasthits explain` shows why a line counts or does not.
    """


app.callback(help=help_text(fasthits))(fasthits)
