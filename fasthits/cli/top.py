"""``fasthits top``: the most read paths, live."""

import json
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fasthits.cli.options import AsJson, Prefix, takes_servers
from fasthits.cli.output import say
from fasthits.display import counted, printable
from fasthits.errors import MemcachedError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix

if TYPE_CHECKING:
    from fasthits.live.sampler import LivePath, LiveViews, Sample

REFRESH_SECONDS = 1.0
BAR_WIDTH = 24
LINES_AROUND = 7
"""Lines of the screen that do not show a path."""


@takes_servers
def top(
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    once: Annotated[bool, typer.Option("--once", help="Print one table and exit, as without a terminal.")] = False,
    limit: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=10_000, help="Number of paths in a printed table. A screen shows as many as fit."
        ),
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the most read paths of today, with their views in the last minute, from the live counters of all loggers.

    \b
        fasthits top
        fasthits top --once --limit 5
        fasthits top --json

    The screen is renewed each second, until q or Ctrl-C. A path that is too long for a memcached key, or has characters
    that a key cannot have, is shown as # and its SHA-256.
    """
    from fasthits.live.sampler import LiveViews

    live = LiveViews(servers, check_prefix(prefix))
    if as_json:
        _print_json(live.sample(limit))
    elif once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        _print_table(live.sample(limit))
    else:
        _watch(live, ", ".join(servers))


def _print_json(sample: "Sample") -> None:
    paths = [{"path": each.path, "views": each.views} for each in sample.most_read]
    document = {"at": sample.at.isoformat(), "views": sample.views, "paths": sample.paths, "most_read": paths}
    typer.echo(json.dumps(document | {"problems": sample.problems, "warnings": sample.warnings}, indent=2))


def _print_table(sample: "Sample") -> None:
    typer.echo(f"{sample.at:%Y-%m-%d %H:%M:%S}  {counted(sample.views, 'view')} of {counted(sample.paths, 'path')}")
    most = sample.most_read[0].views if sample.most_read else 1
    for each in sample.most_read:
        bar = "█" * max(1, each.views * BAR_WIDTH // max(most, 1))
        typer.echo(f"{each.views:>12,}  {bar:<{BAR_WIDTH}}  {printable(each.path)}")
    for text in (*sample.problems, *sample.warnings):
        say(text)


def _watch(live: "LiveViews", servers: str) -> None:
    console = Console()
    problem, sample = "", live.sample(console.height)
    signal.signal(signal.SIGTERM, _end)
    with _keys_at_once(), Live(console=console, screen=True, auto_refresh=False) as screen:
        try:
            while True:
                screen.update(_screen(sample, problem, servers, console.height), refresh=True)
                if _asked_to_end(REFRESH_SECONDS):
                    return
                try:
                    problem, sample = "", live.sample(console.height)
                except MemcachedError as error:
                    problem = str(error)
        except KeyboardInterrupt:
            return


def _end(number: int, frame: object) -> None:
    """End as after Ctrl-C, so that the terminal gets its settings back."""
    raise SystemExit(128 + number)


def _screen(sample: "Sample", problem: str, servers: str, height: int) -> Group:
    rate = "…" if sample.rate is None else f"{sample.rate:,.1f}/s"
    title = Text.assemble(("fasthits top", "bold"), f"  {datetime.now():%Y-%m-%d %H:%M:%S}  {printable(servers)}")
    totals = Text.assemble(
        (f"{sample.views:,}", "bold green"),
        " views today   ",
        (f"{sample.last_minute:,}", "bold"),
        " in the last minute   ",
        (rate, "bold"),
        f"   {counted(sample.paths, 'path')}",
    )
    problems = [Text(printable(text), style="bold red") for text in [*sample.problems, *filter(None, [problem])]]
    problems += [Text(text, style="yellow", no_wrap=True, overflow="ellipsis") for text in sample.warnings]
    rows = sample.most_read[: max(0, height - LINES_AROUND - len(problems))]
    return Group(title, totals, *problems, Text(), _table(rows), Text("q ends", style="dim"))


def _table(rows: "list[LivePath]") -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
    table.add_column("views", justify="right", no_wrap=True)
    table.add_column("last min", justify="right", no_wrap=True)
    table.add_column("", width=BAR_WIDTH)
    table.add_column("path", ratio=1, no_wrap=True, overflow="ellipsis")
    most = max((each.views for each in rows), default=0) or 1
    for each in rows:
        recent = f"+{each.last_minute:,}" if each.last_minute else ""
        bar = Bar(most, 0, each.views, width=BAR_WIDTH, color="cyan")
        table.add_row(f"{each.views:,}", Text(recent, style="green"), bar, Text(printable(each.path)))
    return table


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Read keys as they are pressed, without showing them."""
    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _asked_to_end(seconds: float) -> bool:
    """Wait; return early, with True, if q is pressed or the terminal has gone."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([0], [], [], left)[0]:
            pressed = os.read(0, 64)
            if not pressed or b"q" in pressed:
                return True
    return False
