"""``fasthits merge``: adds up the partials of several servers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import MergedTo
from fasthits.cli.output import echo, progress_bar, say
from fasthits.daily.counting.max_memory import MAX_MEMORY_HELP, parse_max_memory
from fasthits.daily.days import name_days
from fasthits.display import counted, printable, some_of
from fasthits.signals import ended_by_signals

if TYPE_CHECKING:
    from fasthits.daily.partials.merging import Merged


@ended_by_signals()
def merge(
    files: Annotated[list[Path], Argument(metavar="FILE...", help="Partials: files that rollup --to NAME.hits made.")],
    to: MergedTo = "hits.db",
    max_memory: Annotated[str | None, Option(metavar="SIZE", help=MAX_MEMORY_HELP)] = None,
    quiet: Annotated[
        bool, Option("--quiet", help="Print nothing if all is well. For cron, which mails all output.")
    ] = False,
    partial: Annotated[
        bool, Option("--partial", help="Keep a day even if a server has no partial of that day, or only a part.")
    ] = False,
    replace: Annotated[
        bool, Option("--replace", help="Replace a day even if the partials have fewer hits than are kept.")
    ] = False,
) -> None:
    """Add up the counts of several servers, and keep them in SQLite, CSV, PostgreSQL or Parquet.

    \b
        fasthits rollup --to web1.hits
        fasthits merge web1.hits web2.hits --to hits.db

    Run the first command on each server, next to its log, and the second on one machine. For each day, the sum of all
    servers replaces what the target has, so a second run changes nothing. A day is left unchanged, and the exit code
    is 1, if a server has other days but not this one, or only a part of it, or if the sum has fewer hits than are
    kept. Two counts of one day of one server are an error, as they may be of two servers with one name.
    """
    from fasthits.daily.partials.merging import Servers, check_target, left_days
    from fasthits.daily.partials.merging import merge as merge_partials
    from fasthits.daily.targets.opening import open_target

    check_target(to)
    max_bytes = parse_max_memory(max_memory)
    servers = Servers(files)
    target = open_target(to, servers.layouts(), max_bytes=max_bytes)
    with progress_bar() as progress:
        result = merge_partials(servers, target, progress, max_bytes, partial, replace)
    left = list(left_days(result))
    for line in (*servers.doubles(), *left):
        say(line)
    if left or not quiet or result.missing or result.parts:
        _print_summary(result, len(files), to)
    with progress_bar(of_days=True) as progress:
        target.catch_up(progress)
    for line in target.lacks(result.days):
        say(line)
    if left:
        raise SystemExit(1)


def _print_summary(result: "Merged", files: int, target: str) -> None:
    from fasthits.daily.targets.refusals import NAMED_SERVERS, more_than_kept
    from fasthits.daily.urls import shown

    servers, partials = counted(len(result.servers), "server"), counted(files, "partial")
    say(f"{servers} in {partials}, {result.bytes / 1e6:,.1f} MB in {result.seconds:.2f} s")
    for day in result.days:
        if day in result.parts:
            _remark(f"{day} is only a part: {some_of(result.parts[day], NAMED_SERVERS, '; ')}")
    for day in result.days:
        if day in result.missing:
            _remark(f"{day} is without {some_of(result.missing[day], NAMED_SERVERS)}")
    if result.days:
        where = "standard output" if target == "-" else shown(target)
        found = f"{counted(result.hits, 'hit')}, {counted(result.rows, 'row')} for {name_days(result.days)}"
        _remark(f"{found} in {where}")
    for line in more_than_kept(result.more):
        _remark(line)


def _remark(text: str) -> None:
    echo(f"  {printable(text)}", err=True)
