"""The command line: options in, library calls, messages and exit codes out. Nothing is counted here.

A command is a function of its name in one of the modules here, which are imported when one of their commands is used.
"""

import inspect
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from fasthits import __version__
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
    "conf": "conf",
    "doctor": "doctor",
}
"""The module of each command, in the order of the help."""

SETTINGS = {"help_option_names": ["-h", "--help"]}


BARE = {"--keep-query": "all", "--referrers": "site"}
"""The value of an option that is given without one."""

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--since", "--from", "--until", "--start", "--end", "--date"), ("[DATE]",)),
    **dict.fromkeys(("--output", "--out", "-o", "--db", "--database", "--to"), ("--to", "--database")),
    **dict.fromkeys(("--log", "--file", "--input"), ("--logs",)),
    "--server": ("--memcached",),
    "--log-format": ("--format",),
}
"""Options of other programs and commands, and what a command may have instead."""


RAISE = object()
"""As the context's object: errors are raised, for the caller to say."""


class _Command(TyperCommand):
    """A command that suggests the right option, and takes options without their value, which typer does not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for each in self.params for name in (*each.opts, each.metavar)}
        for name in (arg.partition("=")[0] for arg in takewhile(lambda arg: arg != "--", args)):
            for meant in known.intersection(OTHER_NAMES.get(name, ())) if name not in known else ():
                days = "give the days as an argument: 2026-03-01..2026-03-12"
                raise UsageError("no such option", name, days if meant == "[DATE]" else f"did you mean {meant}?")
        following = [*args, "-"][1:]
        filled = [
            f"{arg}={BARE[arg]}" if arg in BARE and after.startswith("-") else arg
            for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, filled)


def help_text(function: Callable[..., Any]) -> str:
    """Return the docstring of a command as ``--help`` shows it: a paragraph on one line, so that the terminal wraps it.

    A paragraph that begins with ``\\b`` keeps its lines.
    """
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
    return "\n\n".join(text if text.startswith("\b") else " ".join(text.split()) for text in paragraphs)


class _Commands(TyperGroup):
    """Finds the commands, and is the one place where an error becomes a line on stderr and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            args = [*args[1:2], "--help"]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            if ctx is None or ctx.resilient_parsing or cmd_name.startswith("-"):
                return None
            near = get_close_matches(cmd_name, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "fasthits --help lists the commands"
            raise UsageError("no such command", repr(cmd_name), hint)
        if cmd_name not in self.commands:
            module = import_module(f"fasthits.cli.{COMMANDS[cmd_name]}")
            function = getattr(module, cmd_name.replace("-", "_"))
            command = CommandInfo(
                name=cmd_name,
                cls=_Command,
                callback=function,
                help=help_text(function),
                context_settings=SETTINGS,
            )
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
                say(str(error))
            raise typer.Exit(error.exit_code) from error
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


def fasthits(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How often was each page read? Today live, from the web server's log into memcached; every day before in SQLite
    or CSV.

    A hit is a log line with the method GET and a path. The query string does not count. Options narrow this. Every
    other line is filtered or malformed, and is counted as such: `fasthits explain` says why.
    """


app.callback(help=help_text(fasthits))(fasthits)
