"""The options and arguments that several commands take."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from fasthits.cli.completion import complete_day, complete_logs
from fasthits.config import read_rules
from fasthits.keys import MAX_TTL_SECONDS
from fasthits.options import CONFIG_HELP, RULES, take_rules

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


def check_seconds(seconds: float) -> float:
    """Return *seconds*, unless that is NaN, which no bound keeps out."""
    if math.isnan(seconds):
        raise typer.BadParameter("nan is no number of seconds.")
    return seconds


Settle = Annotated[
    float,
    typer.Option(
        min=0,
        max=3600,
        callback=check_seconds,
        metavar="SECONDS",
        help="How long a hit may take from the file to memcached, or the other way round.",
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


def _rule_options() -> dict[str, Any]:
    """Return the annotations of the parameters that are options of rules."""
    panel = "What counts, and under which path"
    help_of_config = typer.Option(
        metavar="FILE", envvar="FASTHITS_CONFIG", help=CONFIG_HELP, show_default=False, rich_help_panel=panel
    )
    options: dict[str, Any] = {"config": Annotated[Path | None, help_of_config]}
    for name, (kind, metavar, text) in RULES.items():
        spelling = f"--{name}/--no-{name}" if kind is bool else f"--{name}"
        option = typer.Option(spelling, metavar=metavar, help=text, show_default=False, rich_help_panel=panel)
        options[name.replace("-", "_")] = Annotated[kind | None, option]
    return options


def takes_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with the options RULES, and ``--config``, in place of its parameter ``rules``."""

    @wraps(command)
    def with_rules(given: Mapping[str, object], config: Path | None, **arguments: Any) -> Any:
        return command(**arguments, rules=read_rules(given, config))

    return takes_options_of_rules(with_rules)


def takes_options_of_rules(command: Callable[..., None]) -> Callable[..., None]:
    """Return *command* with the options RULES in place of its parameter ``given``, and ``--config``, not read yet."""

    @wraps(command)
    def with_options(*, config: Path | None, **arguments: Any) -> Any:
        given = take_rules(arguments)
        return command(given=given, config=config, **arguments)

    signature = inspect.signature(command)
    replaced = {"rules", "given", "config"}
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name not in replaced]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _rule_options().items()
    ]
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
