"""The command line. It turns options into library calls, and results into output and exit codes. It counts nothing.

- a module for each command, or for two commands that are alike; commands: the list of all
- plain: reads most command lines; app, command, declare, options: the command line as typer reads it
- advice, completion: help while typing; output, tables, keyboard: the terminal
"""

import gc
from collections.abc import Callable, Sequence

from fasthits.cli.output import errors_told, print_version
from fasthits.cli.plain import read_plainly


def run(arguments: Sequence[str]) -> None:
    """Run a command line. Exits with the command's exit code unless it is 0."""
    with errors_told():
        if list(arguments) == ["--version"]:
            print_version()
            return
        if command := read_plainly(arguments):
            gc.freeze()
            gc.enable()
            command()
            return
    from fasthits.cli.app import app

    app(list(arguments), prog_name="fasthits")


def prepare_logger(arguments: Sequence[str]) -> Callable[[int], None] | int:
    """Return the function that counts as the arguments of ``fasthits log`` say, or an exit code if all is done.

    Raises FasthitsError, and for wrong usage a UsageError.
    """
    if command := read_plainly(arguments):
        result = command()
    else:
        from fasthits.cli.app import RAISE, app

        result = app(list(arguments), prog_name="fasthits", standalone_mode=False, obj=RAISE)
    return result if callable(result) else int(result or 0)
