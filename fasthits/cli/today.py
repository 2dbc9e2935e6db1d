"""``fasthits today``: the live counters of some paths."""

from datetime import date
from typing import Annotated

import typer

from fasthits.cli.completion import complete_day
from fasthits.cli.options import Prefix, takes_servers
from fasthits.daily.days import parse_day
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_PREFIX, PATH_STARTS


@takes_servers
def today(
    servers: list[str],
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="As in the log, without the query: /about.html")
    ],
    day: Annotated[
        str, typer.Option("--date", metavar="DATE", help="YYYY-MM-DD, today or yesterday.", autocompletion=complete_day)
    ] = "today",
    prefix: Prefix = DEFAULT_PREFIX,
) -> None:
    """Print today's views of each PATH from the live counters: the views, a tab, the path.

    \b
        fasthits today /about.html
        fasthits today / /blog/ --date yesterday
    """
    from fasthits.live.counters import hits_today

    for path in paths:
        if not path.startswith(PATH_STARTS) or "?" in path:
            raise UsageError("not a PATH", repr(path), "it begins with / and has no ?")
    views = hits_today(paths, servers, prefix, parse_day(day, date.today()))
    for path in paths:
        typer.echo(f"{views[path] or 0}\t{printable(path)}")
