"""``fasthits check`` and ``fasthits warm``: compare the live counters with the log, and add missing hits."""

from datetime import date
from typing import Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import Day, Logs, Prefix, Settle, Ttl, find_patterns, takes_rules, takes_servers
from fasthits.cli.output import echo, progress_bar, say
from fasthits.daily.days import parse_day
from fasthits.daily.logs.sources import NAME_LOGS
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
        int,
        Option(min=0, metavar="HITS", help="Differences to accept: missing hits plus additional hits."),
    ] = 0,
    settle: Settle = 2.0,
) -> None:
    """Compare the live counters of DATE with its log, path by path.

    \b
        fasthits check
        fasthits check yesterday --logs '/var/log/apache2/%Y-%m-%d.log'
        fasthits check --tolerance 10

    Prints a line for each path that differs: `missing` or `more`, views in the log, live views, the path, separated by
    tabs. The exit code is 1 if a path differs.

    Reads the log before and after the counters, so hits that arrive meanwhile are not differences. Use the same rules
    as `fasthits log`: keep them in a config file that both read.
    """
    from fasthits.upkeep.check_warm import LiveDay

    date_ = parse_day(day, date.today())
    patterns = find_patterns(logs, [date_])
    with progress_bar() as progress:
        result = LiveDay(date_, patterns, servers, check_prefix(prefix), settle, rules, progress).compare()
    for state, differences in (("missing", result.missing), ("more", result.more)):
        for each in differences:
            path = printable(each.path.decode("utf-8", "backslashreplace"))
            echo(f"{state}\t{each.in_files}\t{each.live}\t{path}")
    say(f"{counted(result.equal_paths, 'path')} equal, with {counted(result.equal_hits, 'hit')}")
    if not (result.equal_paths or result.missing or result.more):
        _say_nothing_compared(date_)
    if result.missing:
        hint = "to add them: fasthits warm"
        say(f"{counted(len(result.missing), 'path')} missing {counted(result.hits_missing(), 'hit')} ({hint})")
        if not (result.equal_paths or result.more):
            _say_none_was_right()
    if result.more:
        why = (
            "the log lacks lines, as with cronolog when Apache restarts, or lines were counted twice, or by other rules"
        )
        paths, hits = counted(len(result.more), "path"), counted(result.hits_more(), "hit")
        say(f"{paths} with {hits} more than in the log ({why}: fasthits doctor)")
    if result.hits_missing() + result.hits_more() > tolerance:
        raise SystemExit(1)


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
    """Add missing hits to the live counters of DATE, from its log, for example after memcached has restarted.

    \b
        fasthits warm
        fasthits warm --logs '/var/log/nginx/access.log*'
        fasthits warm --settle 10

    A second run adds nothing twice. Loggers may go on counting. A hit that arrives meanwhile can hide a missing hit,
    so run the command again. No hit counts twice, unless it takes longer than --settle from the log to memcached.
    The command waits while loggers deliver hits that have piled up.

    Use the same rules as `fasthits log`: keep them in a config file that both read.
    """
    from fasthits.upkeep.check_warm import LiveDay

    date_ = parse_day(day, date.today())
    patterns = find_patterns(logs, [date_])
    with progress_bar() as progress:
        result = LiveDay(date_, patterns, servers, check_prefix(prefix), settle, rules, progress).warm(ttl)
    added = f"{counted(result.hits, 'hit')} added to {counted(result.counters, 'counter')}"
    say(f"{date_}: {added}, {result.right:,} already right")
    if not (result.counters or result.right):
        _say_nothing_compared(date_)
    elif not result.right:
        _say_none_was_right()


def _say_none_was_right() -> None:
    hint = "unless memcached has just been restarted, take --memcached and --prefix from the logger: fasthits doctor"
    say(f"no counter had all its hits ({hint})")


def _say_nothing_compared(day: date) -> None:
    say(f"nothing was compared: the log has no hit of {day} ({NAME_LOGS})")
