"""``fasthits today``: the live counters of some paths."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated

from fasthits.cli.completion import complete_day
from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import Prefix, takes_servers
from fasthits.cli.output import as_kept, echo, say
from fasthits.daily.days import parse_day
from fasthits.display import as_sent, printable
from fasthits.errors import MemcachedError, UsageError
from fasthits.live.causes import NO_LOGGER
from fasthits.live.keys import DEFAULT_PREFIX, PATH_STARTS
from fasthits.rules.paths import part_host


@takes_servers
def today(
    servers: list[str],
    paths: Annotated[
        list[str],
        Argument(metavar="PATH...", help="As in the log: /about.html. With --by-host: //www.example.org/about"),
    ],
    day: Annotated[
        str, Option("--date", metavar="DATE", help="YYYY-MM-DD, today or yesterday.", autocompletion=complete_day)
    ] = "today",
    prefix: Prefix = DEFAULT_PREFIX,
) -> None:
    """Print today's views of each PATH from the live counters: the views, a tab, the path.

    \b
        fasthits today /about.html
        fasthits today / /blog/ --date yesterday

    A - in place of the views means unknown: no logger counted on that day, or the day's counters have expired. They
    begin to expire two hours after midnight. `fasthits history` has the past days. If a logger has lost hits today, or
    has warned of something else, a line on standard error says so.
    """
    from fasthits.live.counters import NEEDS_HOST, path_without_host, read_paths
    from fasthits.live.statistics import is_by_host, read_figures

    for path in paths:
        if not path.startswith(PATH_STARTS):
            raise UsageError("not a PATH", repr(as_kept(path)), "a path begins with /, such as /news/")
    wanted = parse_day(day, date.today())
    views = read_paths(paths, servers, prefix, wanted)
    unread = [as_kept(path) for path, number in views.items() if number is None]
    figures = read_figures(servers, prefix) if unread else {}
    unknown = _why_unknown(wanted, figures) if unread else ""
    for path in paths:
        number = views[path]
        echo(f"{number if number is not None else '-' if unknown else 0}\t{printable(as_kept(path))}")
    for warning in _warnings(servers, prefix, figures) if wanted == date.today() else ():
        say(warning)
    if unknown:
        raise MemcachedError(f"no counter of {wanted}", ", ".join(unread), unknown)
    lacks_host = path_without_host(views) is not None and is_by_host(figures)
    for path in unread:
        if lacks_host and not path.startswith("//"):
            say(f"no counter: {path} ({NEEDS_HOST})")
        elif not path.startswith("/"):
            path_of_it = "/" + "".join(path.split("/", 3)[3:])
            say(f"no counter: {path} (only the log of a proxy has whole URLs: fasthits today {path_of_it})")
        elif "?" in path:
            say(f"no counter: {path} (a query counts only if the loggers run with --keep-query)")
        elif path.startswith("//") and (host := part_host(path)[0]) != host.lower():
            say(f"no counter: {path} (hosts are counted in lower case: {host.lower()})")
        elif not path.isascii():
            say(f"no counter: {path} (browsers send it, and most logs have it, as {as_sent(path)})")


def _warnings(servers: Sequence[str], prefix: str, figures: Mapping[str, int]) -> list[str]:
    """Return the loggers' losses and warnings of today, each in a line; *figures* are empty if not yet read."""
    from fasthits.live.causes import warnings_of
    from fasthits.live.statistics import read_figures

    try:
        return list(map(str, warnings_of(figures or read_figures(servers, prefix))))
    except MemcachedError as error:  # another server than that of the paths
        return [f"warnings of loggers are unknown: {error}"]


def _why_unknown(day: date, figures: Mapping[str, int]) -> str:
    """Return why the views of a path without a counter are unknown, and what to do; nothing if nobody read it.

    *figures* are those of today.
    """
    today = date.today()
    if day > today:
        return "that day has not begun"
    if day < today:
        return f"counters expire two hours after their day: fasthits history PATH --date {day}"
    return "" if figures["lines"] else NO_LOGGER
