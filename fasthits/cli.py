"""The command line: options in, library calls, messages and exit codes out. Nothing is counted here."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from fasthits import __version__
from fasthits.days import name_days, parse_day, parse_days
from fasthits.display import printable
from fasthits.errors import FasthitsError, TableError, UsageError
from fasthits.keys import (
    DEFAULT_PREFIX,
    DEFAULT_SERVER,
    DEFAULT_TTL_SECONDS,
    MAX_TTL_SECONDS,
    check_prefix,
    hit_key,
)

if TYPE_CHECKING:
    from fasthits.counting import Progress
    from fasthits.rollup import Summary


class _Commands(TyperGroup):
    """The one place where an error becomes a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FasthitsError as error:
            _say(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _say("interrupted")
            raise typer.Exit(130) from error
        except MemoryError as error:
            _say("out of memory")
            raise typer.Exit(1) from error
        except OSError as error:  # of stdout, as a rule: the library turns its own into those above
            if not isinstance(error, BrokenPipeError):  # else what read our output has gone: fasthits ... | head
                _say(f"cannot write: {error.filename or 'standard output'} ({error.strerror})")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter tries to flush it again
            raise typer.Exit(1) from error


def _say(message: str) -> None:
    typer.echo(f"fasthits: {printable(message)}", err=True)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


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

    A hit is a line of the access log with method GET and a target that is a path; its query does not count. Every other
    line is filtered or malformed, and counted as such.
    """


Memcached = Annotated[
    list[str],
    typer.Option(
        metavar="SERVER",
        envvar="FASTHITS_MEMCACHED",
        help="Where the counters are: HOST:PORT, [IPV6]:PORT or unix:/PATH. Give it once for each server; "
        "they share the keys as Django's PyMemcacheCache with the same list looks for them.",
    ),
]
Prefix = Annotated[str, typer.Option(help="What stands before the date in a key: what Django's cache puts there.")]


Ttl = Annotated[
    int,
    typer.Option(min=1, max=MAX_TTL_SECONDS, metavar="SECONDS", help="How long a counter lives from its first hit."),
]
Logs = Annotated[
    str,
    typer.Option(
        metavar="PATTERN",
        envvar="FASTHITS_LOGS",
        help="Where a day's log is: %Y, %m, %d as for cronolog, * for several servers. Also found with .gz. "
        "Without a % each file is read once, whatever its days; - is standard input.",
    ),
]
DEFAULT_LOGS = "/var/log/apache2/%Y/%m/%d/access.log"
Settle = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="How long a hit may take from the file to memcached, or the other way round."
    ),
]
Day = Annotated[str, typer.Argument(metavar="[DATE]", help="YYYY-MM-DD, today or yesterday.")]


@app.command()
def log(
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006 (typer takes the default from here; nothing changes it)
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Become this user before anything is read. Apache starts its loggers as root."
        ),
    ] = None,
    prefix: Prefix = DEFAULT_PREFIX,
    ttl: Ttl = DEFAULT_TTL_SECONDS,
    max_paths: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many paths may wait for a memcached that is away; hits of further ones are dropped and reported.",
        ),
    ] = 1_000_000,
    drain_timeout: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to go on delivering when the log has ended and memcached is away."
        ),
    ] = 5.0,
) -> None:
    """Count log lines from standard input into memcached, as Apache's piped logger.

    In Apache's configuration, with the absolute path that `command -v fasthits` prints:

    \b
        CustomLog "|/usr/bin/fasthits log --user www-data" combined

    It goes on until its input ends. SIGTERM, SIGINT, SIGHUP and SIGWINCH do not end it, because at a restart Apache
    sends SIGTERM while it still writes. Messages go to standard error, which is Apache's error log, one a minute for
    each cause; SIGUSR1 asks for one with the figures so far.
    """
    from fasthits import privileges
    from fasthits.memcached import CounterStore, check_servers
    from fasthits.piped import Reader

    servers = check_servers(memcached)
    check_prefix(prefix)
    if user is not None:
        privileges.become(user)
    reader = Reader(
        0,
        lambda watch: CounterStore(servers, prefix, ttl, watch),
        _say_unless_blocked,
        max_paths,
        drain_timeout,
    )
    signal.signal(signal.SIGUSR1, lambda *_: reader.ask_status())
    reader.run()


def _say_unless_blocked(message: str) -> None:
    """Print a line on stderr, but not if that would mean to wait for whoever reads it, nor if it is full or gone."""
    if select.select([], [2], [], 0)[1]:
        with suppress(OSError):
            os.write(2, f"fasthits: {printable(message)}\n".encode())


@app.command()
def today(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="As in the log, without the query: /about.html")
    ],
    day: Annotated[str, typer.Option("--date", metavar="DATE", help="YYYY-MM-DD, today or yesterday.")] = "today",
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006
    prefix: Prefix = DEFAULT_PREFIX,
) -> None:
    """Print how often each PATH has been read today, from the live counters: views, a tab, the path."""
    from fasthits.memcached import check_servers, read_views

    for path in paths:
        if not path.startswith(("/", "http://", "https://")) or "?" in path:
            raise UsageError("not a PATH", repr(path), "it begins with / and has no ?")
    date_ = parse_day(day, date.today())
    keys = [hit_key(date_, os.fsencode(path), check_prefix(prefix)) for path in paths]
    views = read_views(check_servers(memcached), keys)
    for path, key in zip(paths, keys, strict=True):
        typer.echo(f"{views.get(key, 0)}\t{printable(path)}")


@app.command()
def rollup(
    days: Annotated[
        str,
        typer.Argument(
            metavar="[DATE]", help="YYYY-MM-DD, yesterday, today, or A..B with both ends in.", show_default=True
        ),
    ] = "yesterday",
    logs: Logs = DEFAULT_LOGS,
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            envvar="FASTHITS_TO",
            help="What is written: *.db, *.sqlite, *.sqlite3, *.csv, or - for CSV.",
        ),
    ] = "hits.db",
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the summary there, as JSON.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="How many threads count.", show_default="one a processor")
    ] = None,
) -> None:
    """Reduce a day's log to its views per path, in SQLite or CSV.

    \b
        fasthits rollup 2026-03-12
        fasthits rollup 2026-03-01..yesterday --logs '/srv/*/log/%Y-%m-%d.log' --to hits.csv
        zcat old.log.gz | fasthits rollup 2026-03-12 --logs - --to -

    A day's rows replace those of that day, so that running it again changes nothing. Hits count for the date that
    stands in their line; those that ended after midnight are found in the next day's file.
    """
    from fasthits.rollup import roll_up
    from fasthits.tables import open_table

    table = open_table(to)
    wanted = parse_days(days, date.today())
    with _progress() as progress:
        result = roll_up(wanted, logs, table, threads, progress)
    _print_summary(result, wanted, to)
    if summary is not None:
        _write_summary(result, summary)


@app.command()
def check(
    day: Day = "today",
    logs: Logs = DEFAULT_LOGS,
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006
    prefix: Prefix = DEFAULT_PREFIX,
    tolerance: Annotated[
        int, typer.Option(min=0, metavar="HITS", help="How many hits may be missing or too many in all.")
    ] = 0,
    settle: Settle = 2.0,
) -> None:
    """Compare the live counters of DATE with its log, path by path. Exit code 1 means that they differ.

    Each path that differs is a line: ``missing`` or ``more``, views in the file, live views, the path, parted by tabs.
    The log is read twice, before and after the counters, so that hits that come meanwhile are no difference.
    """
    from fasthits.memcached import check_servers
    from fasthits.reconcile import compare

    date_ = parse_day(day, date.today())
    servers = check_servers(memcached)
    with _progress() as progress:
        result = compare(date_, logs, servers, check_prefix(prefix), settle, progress)
    for state, differences in (("missing", result.missing), ("more", result.more)):
        for each in differences:
            path = printable(each.path.decode("utf-8", "backslashreplace"))
            typer.echo(f"{state}\t{each.in_files}\t{each.live}\t{path}")
    _say(f"{_count(result.equal_paths, 'path')} equal, with {_count(result.equal_hits, 'hit')}")
    if result.missing:
        hint = "fasthits warm adds them"
        _say(f"{_count(len(result.missing), 'path')} missing {_count(result.hits_missing(), 'hit')} ({hint})")
    if result.more:
        hint = "cronolog loses lines while Apache restarts, and at midnight puts some into the other day's file"
        _say(
            f"{_count(len(result.more), 'path')} with {_count(result.hits_more(), 'hit')} more than in the log ({hint})"
        )
    if result.hits_missing() + result.hits_more() > tolerance:
        raise typer.Exit(1)


@app.command()
def warm(
    day: Day = "today",
    logs: Logs = DEFAULT_LOGS,
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006
    prefix: Prefix = DEFAULT_PREFIX,
    ttl: Ttl = DEFAULT_TTL_SECONDS,
    settle: Settle = 2.0,
) -> None:
    """Put the live counters of DATE right from its log, after memcached has lost some.

    What the log has more than the counters is added to them; a second run finds nothing to add. Loggers may go on
    counting: then a hit that comes in between can hide one that is missing, never the other way round, so run it again.
    It waits while they deliver what has piled up; a hit on its way for longer than --settle would count twice.
    """
    from fasthits import reconcile
    from fasthits.memcached import check_servers

    date_ = parse_day(day, date.today())
    servers = check_servers(memcached)
    with _progress() as progress:
        result = reconcile.warm(date_, logs, servers, check_prefix(prefix), ttl, settle, progress)
    added = f"{_count(result.hits, 'hit')} added to {_count(result.counters, 'counter')}"
    _say(f"{date_}: {added}, {result.right:,} lacked none")


@contextmanager
def _progress() -> "Iterator[Progress | None]":
    """Give what draws a progress bar on a terminal, None where stderr is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def start(total: int | None) -> Callable[[int], None]:
            task = bar.add_task("", total=total)
            return lambda size: bar.advance(task, size)

        yield start


def _print_summary(result: "Summary", wanted: list[date], target: str) -> None:
    counted, counter = result.counted, result.counted.counter
    if counted.missing:
        _say(f"no log file, left as it was: {name_days(counted.missing)}")
    elif not counted.days:
        seen = sorted(counter.days_seen)
        there = f"they are of {name_days(seen)}" if seen else "there is none at all"
        _say(f"no line of {name_days(wanted)}, nothing replaced: {there}")
    speed = counted.bytes / result.seconds / 1e9
    lines, files = _count(counter.lines, "line"), _count(counted.files, "file")
    _say(f"{lines} of {files}, {counted.bytes / 1e6:,.1f} MB in {result.seconds:.2f} s ({speed:.2f} GB/s)")
    reasons = ", ".join(f"{reason} {lines:,}" for reason, lines in counter.filtered.items())
    width = len(f"{counter.lines:,}")
    typer.echo(f"  {counter.hits:>{width},} hits", err=True)
    typer.echo(f"  {sum(counter.filtered.values()):>{width},} filtered{f' ({reasons})' * bool(reasons)}", err=True)
    typer.echo(f"  {counter.malformed:>{width},} malformed{', such as' * bool(counted.examples)}", err=True)
    for example in counted.examples:
        head = printable(example.head.decode("utf-8", "backslashreplace"))[:60]
        typer.echo(f"  {'':{width}}   {printable(example.file)}:{example.line}: {head}", err=True)
    if counted.days:
        where = "standard output" if target == "-" else target
        typer.echo(f"  {_count(result.rows, 'row')} for {name_days(counted.days)} in {printable(where)}", err=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _write_summary(result: "Summary", file: Path) -> None:
    import json

    from fasthits.tables import replacing

    counter = result.counted.counter
    figures = {
        "files": result.counted.files,
        "bytes": result.counted.bytes,
        "lines": counter.lines,
        "hits": counter.hits,
        "filtered": counter.filtered,
        "malformed": counter.malformed,
        "seconds": result.seconds,
    }
    try:
        special = file.exists() and not file.is_file()  # such as /dev/stderr
        with file.open("w") if special else replacing(file.resolve()) as new:
            json.dump(figures, new, indent=2)
            new.write("\n")
    except OSError as error:
        raise TableError("cannot write summary", file, error.strerror or "") from error
