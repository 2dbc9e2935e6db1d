"""The command line: turns options into library calls, and results into output and exit codes. It counts nothing.

Each command is a function in a module of this folder. A module is imported when one of its commands is used.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command_from_info
from typer.models import CommandInfo

from fasthits import __version__
from fasthits.cli.command import Command, help_text
from fasthits.cli.output import say
from fasthits.errors import FasthitsError, UsageError
from fasthits.signals import Ended

COMMANDS = {
    "log": "log",
    "rollup": "rollup",
    "today": "today",
    "top": "top",
    "history": "history",
    "most-read": "history",
    "serve": "serve",
    "report": "report",
    "check": "reconcile",
    "warm": "reconcile",
    "explain": "explain",
    "formats": "formats",
    "conf": "conf",
    "doctor": "doctor",
}
"""The module of each command, in the order of the help."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

OTHER_COMMANDS = {"import": "rollup", "count": "rollup", "watch": "top", "live": "top", "web": "serve"}
"""Commands that people may expect, and ours."""

RAISE = object()
"""As the context's object: the caller handles errors."""


@contextmanager
def _errors_told(ctx: Any) -> Iterator[None]:
    """Turn an error into a line on stderr and an exit code. No other place does so."""
    if ctx.obj is RAISE:
        yield
        return
    try:
        yield
    except (FasthitsError, TyperException) as error:
        if not isinstance(error, FasthitsError):
            error = _usage_error(error)
        say(str(error))
        raise typer.Exit(error.exit_code) from error
    except Ended as error:
        with suppress(OSError):  # after SIGHUP there may be no terminal
            say(str(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        say("interrupted")
        raise typer.Exit(130) from error
    except MemoryError as error:
        say("out of memory")
        raise typer.Exit(1) from error
    except OSError as error:  # usually of stdout: the library turns its own into FasthitsError
        if not isinstance(error, BrokenPipeError):  # the reader of our output has ended: fasthits ... | head
            say(f"cannot write: {error.filename or 'standard output'} ({error.strerror})")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter tries to flush it again
        raise typer.Exit(1) from error


def _usage_error(error: Any) -> UsageError:
    """Return typer's own error as ours: on one line, with what to type next."""
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path if context else 'fasthits'} --help"
    if known := getattr(error, "possibilities", None):
        names = {option.lstrip("-"): option for option in known}
        near = get_close_matches(error.option_name.lstrip("-"), names, 1)
        return UsageError("no such option", error.option_name, f"did you mean {names[near[0]]}?" if near else hint)
    message = error.format_message().rstrip(".")
    failed, _, subject = (message[0].lower() + message[1:]).partition(": ")
    return UsageError(failed, subject, hint) if subject else UsageError("wrong usage", failed, hint)


class _Commands(TyperGroup):
    """Finds the commands, and imports the module of a command only when it is used."""

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
            near = OTHER_COMMANDS.get(cmd_name) or next(iter(get_close_matches(cmd_name, COMMANDS, 1)), None)
            hint = f"did you mean {near}?" if near else "fasthits --help lists the commands"
            raise UsageError("no such command", repr(cmd_name), hint)
        if cmd_name not in self.commands:
            module = import_module(f"fasthits.cli.{COMMANDS[cmd_name]}")
            function = getattr(module, cmd_name.replace("-", "_"))
            text = help_text(function)
            command = CommandInfo(
                name=cmd_name,
                cls=Command,
                callback=function,
                help=text,
                short_help=re.split(r"(?<=\.)\s", text)[0],
                context_settings=CONTEXT,
            )
            self.commands[cmd_name] = get_command_from_info(
                command, pretty_exceptions_short=True, rich_markup_mode=None
            )
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


def prepare_logger(arguments: Sequence[str]) -> Callable[[int], None] | int:
    """Return the counter that the arguments of ``fasthits log`` ask for, or an exit code if nothing is left to do.

    Raises FasthitsError; for wrong usage a UsageError.
    """
    try:
        result = app(list(arguments), prog_name="fasthits", standalone_mode=False, obj=RAISE)
    except TyperException as error:
        raise _usage_error(error) from error
    return result if callable(result) else int(result or 0)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fasthits {__version__}")
        raise typer.Exit


def fasthits(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How often was each page read? Today, live, from the web server's log; and every day before, kept in SQLite or
    CSV.

    \b
        fasthits conf           what to paste into Apache's or nginx's configuration
        fasthits top            watch what is read now
        fasthits rollup         keep yesterday's views in hits.db
        fasthits help rollup    show the help of a command

    A hit is a log line with the method GET and a path. The query string does not count. Options narrow this.
    `fasthits explain` shows why a line counts or does not.
    """


app.callback(help=help_text(fasthits))(fasthits)
