"""The options and arguments that several commands take."""

from typing import Annotated

import typer

from fasthits.cli.completion import complete_day, complete_logs
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
Prefix = Annotated[
    str, typer.Option(metavar="PREFIX", help="What stands before the date in a key: what Django's cache puts there.")
]

Ttl = Annotated[
    int,
    typer.Option(min=1, max=MAX_TTL_SECONDS, metavar="SECONDS", help="How long a counter lives from its first hit."),
]
Logs = Annotated[
    str,
    typer.Option(
        metavar="PATTERN",
        envvar="FASTHITS_LOGS",
        autocompletion=complete_logs,
        help="Where a day's log is: %Y, %m, %d as for cronolog, * for several servers. Also found with .gz, .zst, "
        ".bz2 or .xz behind. Without a % each file is read once, whatever its days; - is standard input.",
    ),
]
To = Annotated[
    str,
    typer.Option(
        metavar="TARGET", envvar="FASTHITS_TO", help="What is written: *.db, *.sqlite, *.sqlite3, *.csv, or - for CSV."
    ),
]
Settle = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="How long a hit may take from the file to memcached, or the other way round."
    ),
]
Day = Annotated[
    str,
    typer.Argument(metavar="[DATE]", help="YYYY-MM-DD, today or yesterday.", autocompletion=complete_day),
]
Database = Annotated[
    str,
    typer.Option(metavar="FILE", envvar="FASTHITS_TO", help="The SQLite file that `fasthits rollup` writes."),
]
DEFAULT_DATABASE = "hits.db"
NumberOfDays = Annotated[
    int, typer.Option("--days", metavar="N", min=1, max=3660, help="How many days, up to the newest one kept.")
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="How many paths.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
