"""``fasthits today``: the live counters of some paths."""

import os
from datetime import date
from typing import Annotated

import typer

from fasthits.cli.completion import complete_day
from fasthits.cli.options import Prefix, takes_servers
from fasthits.daily.days import parse_day
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_PREFIX, PATH_STARTS, check_prefix, hit_key


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
    """Print today's views of each PATH from the live counters: the views, a tab, the path."""
    from fasthits.live.memcached import read_views

    for path in paths:
        if not path.startswith(PATH_STARTS) or "?" in path:
            raise UsageError("not a PATH", repr(path), "it begins with / and has no ?")
    date_ = parse_day(day, date.today())
    keys = [hit_key(date_, os.fsencode(path), check_prefix(prefix)) for path in paths]
    views = read_views(servers, keys)
    for path, key in zip(paths, keys, strict=True):
        typer.echo(f"{views.get(key, 0)}\t{printable(path)}")
