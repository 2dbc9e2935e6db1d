"""``fasthits check`` and ``fasthits warm``: the live counters against the log."""

from datetime import date
from typing import Annotated

import typer

from fasthits.cli.options import Day, Logs, Prefix, Settle, Ttl, find_patterns, takes_rules, takes_servers
from fasthits.cli.output import progress_bar, say
from fasthits.daily.days import parse_day
from fasthits.display import counted, printable
from fasthits.live.keys import DEFAULT_PREFIX, DEFAULT_TTL_SECONDS, check_prefix
from fasthits.rules.rules import Rules


@takes_rules
@takes_servers
def check(
    rules: Rules,
    servers: list[str],
    day: Day = "today",
    logs: Logs = None,
    prefix: Prefix = DEFAULT_PREFIX,
    tolerance: Annotated[
        int, typer.Option(min=0, metavar="HITS", help="How many hits may be missing or too many in all.")
    ] = 0,
    settle: Settle = 2.0,
) -> None:
    """Compare the live counters of DATE with its log, path by path. Exit code 1 means that they differ.

    Each path that differs is a line: ``missing`` or ``more``, views in the file, live views, the path, parted by tabs.
    The log is read twice, before and after the counters, so that hits that come meanwhile are no difference.
    Rules are to be those of `fasthits log`; best they stand in a file.
    """
    from fasthits.upkeep.reconcile import LiveDay

    date_ = parse_day(day, date.today())
    patterns = find_patterns(logs, [date_])
    with progress_bar() as progress:
        result = LiveDay(date_, patterns, servers, check_prefix(prefix), settle, rules, progress).compare()
    for state, differences in (("missing", result.missing), ("more", result.more)):
        for each in differences:
            path = printable(each.path.decode("utf-8", "backslashreplace"))
            typer.echo(f"{state}\t{each.in_files}\t{each.live}\t{path}")
    say(f"{counted(result.equal_paths, 'path')} equal, with {counted(result.equal_hits, 'hit')}")
    if result.missing:
        hint = "fasthits warm adds them"
        say(f"{counted(len(result.missing), 'path')} missing {counted(result.hits_missing(), 'hit')} ({hint})")
    if result.more:
        hint = "cronolog loses lines while Apache restarts, and at midnight puts some into the other day's file"
        paths, hits = counted(len(result.more), "path"), counted(result.hits_more(), "hit")
        say(f"{paths} with {hits} more than in the log ({hint})")
    if result.hits_missing() + result.hits_more() > tolerance:
        raise typer.Exit(1)


@takes_rules
@takes_servers
def warm(
    rules: Rules,
    servers: list[str],
    day: Day = "today",
    logs: Logs = None,
    prefix: Prefix = DEFAULT_PREFIX,
    ttl: Ttl = DEFAULT_TTL_SECONDS,
    settle: Settle = 2.0,
) -> None:
    """Put the live counters of DATE right from its log, after memcached has lost some.

    What the log has more than the counters is added to them; a second run finds nothing to add. Loggers may go on
    counting: then a hit that comes in between can hide one that is missing, never the other way round, so run it again.
    It waits while they deliver what has piled up; a hit on its way for longer than --settle would count twice.
    Rules are to be those of `fasthits log`; best they stand in a file.
    """
    from fasthits.upkeep.reconcile import LiveDay

    date_ = parse_day(day, date.today())
    patterns = find_patterns(logs, [date_])
    with progress_bar() as progress:
        result = LiveDay(date_, patterns, servers, check_prefix(prefix), settle, rules, progress).warm(ttl)
    added = f"{counted(result.hits, 'hit')} added to {counted(result.counters, 'counter')}"
    say(f"{date_}: {added}, {result.right:,} lacked none")
