"""Prints lines and progress bars, and turns errors into messages and exit codes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fasthits import __version__
from fasthits.display import discard_output, printable
from fasthits.errors import FOLDER_IS_GONE, FasthitsError, import_failure, is_folder_gone
from fasthits.signals import Ended

if TYPE_CHECKING:
    from fasthits.daily.counting.count_days import Progress


def echo(text: str = "", end: str = "\n", err: bool = False) -> None:
    """Print a line to stdout or stderr, and flush it: its reader may wait for it."""
    print(text, end=end, file=sys.stderr if err else sys.stdout, flush=True)


def as_kept(path: str) -> str:
    """Return an argument as the rollup writes paths: bytes that are not UTF-8 become ``\\xhh``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def print_version() -> None:
    """Print the version to stdout."""
    echo(f"fasthits {__version__}")


def say(message: str) -> None:
    """Print ``fasthits: message`` to stderr."""
    echo(f"fasthits: {printable(message)}", err=True)


@contextmanager
def progress_bar(of_days: bool = False) -> "Iterator[Progress | None]":
    """Give a callback that draws a progress bar, of bytes or *of_days*, or None if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns: list[ProgressColumn] = [BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    if of_days:
        columns = [TextColumn("sums of"), BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def start(total: int | None) -> Callable[[int], None]:
            task = bar.add_task("", total=total)
            return lambda size: bar.advance(task, size)

        yield start


@contextmanager
def errors_told() -> "Iterator[None]":
    """Turn an error into a line on stderr and an exit code. No other function does so."""
    try:
        yield
    except FasthitsError as error:
        say(str(error))
        raise SystemExit(error.exit_code) from error
    except Ended as error:
        with suppress(OSError):  # after SIGHUP there may be no terminal
            say(str(error))
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        say("interrupted")
        raise SystemExit(130) from error
    except MemoryError as error:
        say("out of memory")
        raise SystemExit(1) from error
    except ImportError as error:
        say(str(import_failure(error)))
        raise SystemExit(1) from error
    except OSError as error:  # usually of stdout: errors of other files are FasthitsErrors
        if is_folder_gone(error):
            say(FOLDER_IS_GONE)
        elif not isinstance(error, BrokenPipeError):  # the reader of our output has ended: fasthits ... | head
            say(f"cannot write: {error.filename or 'standard output'} ({error.strerror})")
        discard_output()
        raise SystemExit(1) from error
