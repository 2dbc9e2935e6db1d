"""The options and arguments that several commands take."""

from typing import Annotated

import typer

from fasthits.keys import MAX_TTL_SECONDS

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
Settle = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="How long a hit may take from the file to memcached, or the other way round."
    ),
]
Day = Annotated[str, typer.Argument(metavar="[DATE]", help="YYYY-MM-DD, today or yesterday.")]
