"""The command line: options in, library calls, messages and exit codes out. Nothing is counted here.

A command is a function of its name in one of the modules here, which are imported when one of their commands is used.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from fasthits import __version__
from fasthits.cli.output import say
from fasthits.cli.signals import Ended
from fasthits.errors import FasthitsError, UsageError

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
    "conf": "conf",
    "doctor": "doctor",
}
"""The module of each command, in the order of the help."""

SETTINGS = {"help_option_names": ["-h", "--help"]}


BARE = {"--keep-query": "all", "--referrers": "site"}
"""What options mean that need no value, where none follows."""


RAISE = object()
"""As the context's object: errors are raised, for the caller to say."""


class _Command(TyperCommand):
    """Takes options that need no value, which typer does not know."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        following = [*args, "-"][1:]
        filled = [
            f"{arg}={BARE[arg]}" if arg in BARE and after.startswith("-") else arg
            for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, filled)


class _Commands(TyperGroup):
    """Finds the commands, and is the one place where an error becomes a line on stderr and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"fasthits.cli.{COMMANDS[cmd_name]}")
            function = getattr(module, cmd_name.replace("-", "_"))
            command = CommandInfo(name=cmd_name, cls=_Command, callback=function, context_settings=SETTINGS)
            self.commands[cmd_name] = get_command_from_info(
                command, pretty_exceptions_short=True, rich_markup_mode="rich"
            )
        return self.commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        if ctx.obj is RAISE:
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except FasthitsError as error:
            say(str(error))
            raise typer.Exit(error.exit_code) from error
        except Ended as error:
            with suppress(OSError):  # after SIGHUP there may be no terminal
                say(f"ended by {error.signal.name}")
            raise typer.Exit(128 + error.signal) from error
        except KeyboardInterrupt as error:
            say("interrupted")
            raise typer.Exit(130) from error
        except MemoryError as error:
            say("out of memory")
            raise typer.Exit(1) from error
        except OSError as error:  # of stdout, as a rule: the library turns its own into those above
            if not isinstance(error, BrokenPipeError):  # else what read our output has gone: fasthits ... | head
                say(f"cannot write: {error.filename or 'standard output'} ({error.strerror})")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter tries to flush it again
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    rich_markup_mode="rich",
)


def prepare_logger(arguments: Sequence[str]) -> Callable[[int], None] | int:
    """Return what counts as the arguments of ``fasthits log`` say, or the exit code where that is all.

    Raises FasthitsError, a UsageError for what typer would print as a box of several lines.
    """
    try:
        result = app(list(arguments), prog_name="fasthits", standalone_mode=False, obj=RAISE)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own, whose classes it does not name in public
            raise
        message = error.format_message().rstrip(".")
        failed, _, subject = (message[0].lower() + message[1:]).partition(": ")
        if not subject:
            failed, subject = "wrong usage", failed
        raise UsageError(failed, subject, "fasthits log --help") from error
    return result if callable(result) else int(result or 0)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fasthits {__version__}")
        raise typer.Exit


@app.callback()
def fasthits(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """How often was each page read? Live from Apache's log into memcached, and day by day into SQLite or CSV.

    A hit is a line of the access log with method GET and a target that is a path; its query does not count. Options can
    narrow that. Every other line is filtered or malformed, and counted as such; `fasthits explain` says why.
    """
