"""``fasthits rollup``: the nightly batch."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fasthits.cli.completion import complete_days
from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import Logs, To, find_patterns, takes_rules
from fasthits.cli.output import echo, progress_bar, say
from fasthits.daily.counting.max_memory import MAX_MEMORY_HELP, parse_max_memory
from fasthits.daily.days import name_days, parse_days
from fasthits.daily.urls import is_url
from fasthits.display import counted, printable
from fasthits.errors import UsageError
from fasthits.rules.rules import Rules
from fasthits.signals import ended_by_signals

if TYPE_CHECKING:
    from fasthits.daily.cluster.fleet import Fleet
    from fasthits.daily.layouts import Layout
    from fasthits.daily.rollup import Summary


CLUSTER_PANEL = "Many machines"


class Referrers(StrEnum):
    """Which part of a referrer a rollup keeps."""

    SITE = "site"
    FULL = "full"


@takes_rules
@ended_by_signals()
def rollup(
    rules: Rules,
    days: Annotated[
        str,
        Argument(
            metavar="[DATE]",
            help="YYYY-MM-DD, yesterday, today, or a range: 2026-03-01..2026-03-12.",
            show_default=True,
            autocompletion=complete_days,
        ),
    ] = "yesterday",
    logs: Logs = None,
    to: To = "hits.db",
    summary: Annotated[
        Path | None, Option(metavar="FILE", help="Also write the summary to FILE, as JSON.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, Option(metavar="N", min=1, help="Threads that count.", show_default="one for each processor")
    ] = None,
    max_memory: Annotated[str | None, Option(metavar="SIZE", help=MAX_MEMORY_HELP)] = None,
    server: Annotated[
        str | None,
        Option(
            metavar="NAME",
            envvar="FASTHITS_SERVER",
            help="With --to NAME.hits: the name of this server. merge tells servers apart by their names.",
            show_default="the host name",
        ),
    ] = None,
    referrers: Annotated[
        Referrers | None,
        Option(
            metavar="[site|full]",
            help="Also fill the table referrers: where the readers of each path came from. site keeps "
            "www.example.com, full keeps https://www.example.com/news.",
            show_default=False,
        ),
    ] = None,
    own_host: Annotated[
        list[str] | None,
        Option(
            metavar="HOST",
            help="Your own host, such as example.org. It and its subdomains are not counted as referrers.",
            show_default=False,
        ),
    ] = None,
    search_terms: Annotated[
        bool,
        Option(
            "--search-terms", help="Also fill the table searches: what readers searched for before they came to a path."
        ),
    ] = False,
    cluster: Annotated[
        str | None,
        Option(
            metavar="CLUSTER",
            envvar="FASTHITS_CLUSTER",
            help="Count with the workers of a Dask cluster: tls://HOST:PORT or tcp://HOST:PORT of its scheduler, or "
            "the scheduler's file. local starts workers on this machine, local:4 starts four.",
            show_default=False,
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    scratch: Annotated[
        str | None,
        Option(
            metavar="FOLDER",
            help="Where the workers keep rows until the end of the run: a folder that all machines share, or an "
            "address such as s3://logs/scratch.",
            show_default="the folder of TARGET",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    quiet: Annotated[
        bool, Option("--quiet", help="Print nothing if all is well. For cron, which mails all output.")
    ] = False,
    partial: Annotated[
        bool,
        Option("--partial", help="Count a day even if its beginning or its end is missing, or a file is damaged."),
    ] = False,
    replace: Annotated[
        bool,
        Option("--replace", help="Replace a day even if the new count has fewer hits, as after a change of rules."),
    ] = False,
) -> None:
    """Count the views of each path on a day, and keep them in SQLite or CSV.

    \b
        fasthits rollup --logs '/var/log/nginx/access.log*'
        fasthits rollup 2026-03-12
        fasthits rollup --to hits.csv --referrers
        fasthits rollup 2026-03-01..yesterday --logs '/srv/*/%Y-%m-%d.log'
        zcat old.log.gz | fasthits rollup 2026-03-12 --logs - --to -

    The new rows of a day replace its old rows, so a second run changes nothing. A day is left unchanged, and the exit
    code is 1, if the log has no line of it, only a part of it, or fewer hits than are kept. A hit counts for the date
    in its line. The next day's file can hold such lines, too, because requests end after midnight: fasthits reads
    both files.
    """
    from fasthits.daily.atomic import check_summary, write_summary
    from fasthits.daily.partials import is_partial
    from fasthits.daily.rollup import roll_up
    from fasthits.daily.targets.opening import open_target
    from fasthits.daily.targets.refusals import days_left, needs_attention, said_of

    layouts = _layouts(rules, referrers, own_host or (), search_terms)
    origin = None
    if is_partial(to):
        from fasthits.daily.partials.target import Origin

        kept = referrers and {"referrers": referrers.value, "own host": own_host}
        origin = Origin.of(server or os.uname().nodename, rules, **kept or {})
    max_bytes = parse_max_memory(max_memory)
    target = open_target(to, layouts, origin, max_bytes)
    wanted = parse_days(days, date.today())
    patterns = find_patterns(logs, wanted)
    if summary is not None:
        check_summary(summary)
    keepers = {layout.name: layout.keep for layout in layouts if layout.keep}
    with _workers(cluster, scratch, to) as fleet, progress_bar() as progress:
        result = roll_up(
            wanted, patterns, target, threads, progress, max_bytes, rules, keepers, partial, replace, fleet=fleet
        )
    left = list(days_left(result.counted, result.fewer))
    for line in left:
        say(line)
    if left or not quiet or needs_attention(result.counted):
        _print_summary(result, to)
    lacking = list(target.lacks(result.days))
    if summary is not None:
        before = {str(each.day): each.kept for each in result.more}
        figures = {"days": list(map(str, result.days)), "kept_before": before, "seconds": result.seconds}
        write_summary(
            summary, result.counted.figures() | figures | {"warnings": said_of(result.counted, [*left, *lacking])}
        )
    with progress_bar(of_days=True) as progress:
        target.catch_up(progress)
    for line in lacking:
        say(line)
    if left:
        raise SystemExit(1)


@contextmanager
def _workers(cluster: str | None, scratch: str | None, target: str) -> "Iterator[Fleet | None]":
    """Give the workers of the cluster; None if this process counts."""
    if cluster is None:
        if scratch is not None:
            raise UsageError("--scratch needs --cluster", scratch, "without a cluster, leave --scratch out")
        yield None
        return
    from fasthits.daily.cluster.engines import connected, warning_of
    from fasthits.daily.cluster.fleet import Fleet

    if scratch is None and is_url(target):
        raise UsageError("a cluster needs a folder that all machines share", "--scratch", "add --scratch FOLDER")
    if scratch and is_url(scratch):
        from fasthits.daily.logs.store_connections import check_writable

        check_writable(scratch)
    if warning := warning_of(cluster):
        say(warning)
    with connected(cluster) as crew:
        yield Fleet(crew, scratch or os.path.dirname(target.rstrip("/")) or ".")


def _layouts(rules: Rules, referrers: Referrers | None, own_hosts: Sequence[str], search_terms: bool) -> "list[Layout]":
    """Return the layouts of the tables that the options ask for."""
    from fasthits.daily.layouts import hits_layout, not_found_layout, referrers_layout, searches_layout

    layouts = [hits_layout(rules.by_host, rules.bots == "apart")]
    if referrers:
        layouts.append(referrers_layout(referrers is Referrers.FULL, own_hosts, rules.by_host))
    elif own_hosts:
        raise UsageError("--own-host needs --referrers", ", ".join(own_hosts), "add --referrers")
    if search_terms:
        layouts.append(searches_layout(rules.by_host))
    if rules.not_found == "apart":
        layouts.append(not_found_layout(rules.by_host))
    return layouts


def _print_summary(result: "Summary", target: str) -> None:
    from fasthits.daily.targets.refusals import examples, more_than_kept, remarks
    from fasthits.daily.urls import shown

    found = result.counted
    # If no line could be read, the format is only a guess.
    formats = f" ({' and '.join(found.formats)})" * (found.lines > found.malformed)
    speed = found.bytes / result.seconds / 1e9
    lines, files = counted(found.lines, "line"), counted(found.files, "file") + formats
    spooled = f", {found.spooled / 1e6:,.1f} MB in a temporary file" * bool(found.spooled)
    say(f"{lines} of {files}, {found.bytes / 1e6:,.1f} MB in {result.seconds:.2f} s ({speed:.2f} GB/s){spooled}")
    reasons = ", ".join(f"{reason} {lines:,}" for reason, lines in found.filtered.items())
    width = len(f"{found.lines:,}")
    echo(f"  {found.hits:>{width},} {'hit' if found.hits == 1 else 'hits'}", err=True)
    echo(f"  {sum(found.filtered.values()):>{width},} filtered{f' ({reasons})' * bool(reasons)}", err=True)
    echo(f"  {found.malformed:>{width},} malformed{', such as' * bool(found.examples)}", err=True)
    for line in examples(found):
        echo(f"  {'':{width}}   {line}", err=True)
    for remark in remarks(found):
        echo(f"  {printable(remark)}", err=True)
    if result.days:
        where = "standard output" if target == "-" else shown(target)
        echo(f"  {counted(result.rows, 'row')} for {name_days(result.days)} in {printable(where)}", err=True)
    for line in more_than_kept(result.more):
        echo(f"  {line}", err=True)
