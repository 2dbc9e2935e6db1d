"""The command line: turns options into library calls, and results into output and exit codes. It counts nothing.

Each command is a function in a module of this folder. A module is imported when one of its commands is used.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
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

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

BARE = {"--keep-query": "all", "--referrers": "site"}
"""What an option means when it is given without a value."""

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--since", "--from", "--until", "--start", "--end", "--date"), ("[DATE]",)),
    **dict.fromkeys(("--output", "--out", "-o", "--db", "--database", "--to"), ("--to", "--database")),
    **dict.fromkeys(("--log", "--file", "--input"), ("--logs",)),
    **dict.fromkeys(("--bind", "--listen"), ("--host",)),
    **dict.fromkeys(("-n", "--top"), ("--limit",)),
    "--server": ("--memcached",),
    "--log-format": ("--format",),
}
"""Options of other programs and commands, and the options or the argument to suggest in their place."""

OTHER_COMMANDS = {"import": "rollup", "count": "rollup", "watch": "top", "live": "top", "web": "serve"}
"""Commands that people may expect, and ours."""

RANGES = {r"\b([\d.]+)<=x<=([\d.]+)\]$": r"\1 to \2]", r"\bx>=([\d.]+)\]$": r"at least \1]"}
"""What typer says of a number, and what we say."""

FIRST = ("Arguments", "Options")
"""The groups that come first in a help; the panels follow."""

RAISE = object()
"""As the context's object: the caller handles errors."""


class _Command(TyperCommand):
    """A command that suggests the right option, accepts BARE options without a value, and groups options in its help.

    typer groups options only in its boxes, which leave 26 columns for text on a terminal of 80.
    """

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

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        parameters: list[Any] = self.get_params(ctx)
        for each in parameters:
            own = "Arguments" if each.param_type_name == "argument" else "Options"
            name, text = each.get_help_record(ctx)
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
            say(f"ended by {error.signal.name}")
        raise typer.Exit(128 + error.signal) from error
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
            near = (
                [OTHER_COMMANDS[cmd_name]] if cmd_name in OTHER_COMMANDS else get_close_matches(cmd_name, COMMANDS, 1)
            )
            hint = f"did you mean {near[0]}?" if near else "fasthits --help lists the commands"
            raise UsageError("no such command", repr(cmd_name), hint)
        if cmd_name not in self.commands:
            module = import_module(f"fasthits.cli.{COMMANDS[cmd_name]}")
            function = getattr(module, cmd_name.replace("-", "_"))
            text = help_text(function)
            command = CommandInfo(
                name=cmd_name,
                cls=_Command,
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
