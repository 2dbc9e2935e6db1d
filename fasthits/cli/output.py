"""Messages to stderr, and progress on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from fasthits.display import printable

if TYPE_CHECKING:
    from fasthits.daily.counting import Progress


def say(message: str) -> None:
    """Print ``fasthits: message`` to stderr."""
    typer.echo(f"fasthits: {printable(message)}", err=True)


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
