"""``fasthits today``: the live counters of some paths."""

from contextlib import suppress
from datetime import date
from typing import Annotated

from fasthits.cli.completion import complete_day
from fasthits.cli.declare import Argument, Option
from fasthits.cli.options import Prefix, takes_servers
from fasthits.cli.output import as_kept, echo, say
from fasthits.daily.days import parse_day
from fasthits.display import printable
from fasthits.errors import MemcachedError, UsageError
from fasthits.live.keys import DEFAULT_PREFIX, PATH_STARTS
from fasthits.rules.paths import part_host

LISTED_PATHS = 100
"""Paths to look at to tell whether each host is counted separately."""


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
    begin to expire two hours after midnight. `fasthits history` has the past days.
    """
    from fasthits.live.counters import hits_today

    for path in paths:
        if not path.startswith(PATH_STARTS):
            raise UsageError("not a PATH", repr(as_kept(path)), "a path begins with /, such as /news/")
    wanted = parse_day(day, date.today())
    views = hits_today(paths, servers, prefix, wanted)
    unread = [as_kept(path) for path, number in views.items() if number is None]
    unknown = _why_unknown(servers, prefix, wanted) if unread else ""
    for path in paths:
        number = views[path]
        echo(f"{number if number is not None else '-' if unknown else 0}\t{printable(as_kept(path))}")
    if unknown:
        raise MemcachedError(f"no counter of {wanted}", ", ".join(unread), unknown)
    without_host = [views[path] for path in paths if not path.startswith("//")]
    # To list paths is much work for memcached, and one path that is counted without its host tells as much.
    may_be_by_host = without_host and not any(number is not None for number in without_host)
    of_host = _path_by_host(servers, prefix) if may_be_by_host else ""
    for path in unread:
        if of_host and not path.startswith("//"):
            say(f"no counter: {path} (each host is counted separately: {of_host})")
        elif "?" in path:
            say(f"no counter: {path} (a query counts only if the loggers run with --keep-query)")
        elif path.startswith("//") and (host := part_host(path)[0]) != host.lower():
            say(f"no counter: {path} (hosts are counted in lower case: {host.lower()})")


def _why_unknown(servers: list[str], prefix: str, day: date) -> str:
    """Return why the views of a path without a counter are unknown, and what to do; nothing if nobody read it."""
    from fasthits.live.statistics import read_figures

    today = date.today()
    if day > today:
        return "that day has not begun"
    if day < today:
        return f"counters expire two hours after their day: fasthits history PATH --date {day}"
    return "" if read_figures(servers, prefix)["lines"] else "no logger has counted a line today: fasthits doctor"


def _path_by_host(servers: list[str], prefix: str) -> str:
    """Return an example of a path with its host, if each host is counted separately; else nothing."""
    from fasthits.live.sampler import LiveViews, path_by_host

    with suppress(MemcachedError):  # it lists no keys, but has given the numbers
        return path_by_host(LiveViews(servers, prefix).sample(LISTED_PATHS))
    return ""
