"""The options and arguments that several commands take."""

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fasthits.cli.completion import complete_day, complete_logs
from fasthits.cli.output import say
from fasthits.daily.days import DEFAULT_LOGS, split_patterns
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_SERVER, MAX_TTL_SECONDS
from fasthits.rules.config import read_rules
from fasthits.rules.options import CONFIG_HELP, OPTIONS, take_options

if TYPE_CHECKING:
    from fasthits.daily.logs.sources import Patterns

Memcached = Annotated[
    list[str],
    typer.Option(
        metavar="SERVER",
        envvar="FASTHITS_MEMCACHED",
        help="Where the counters are: HOST:PORT, [IPV6]:PORT, unix:/PATH or tls://HOST:PORT. Give it once for each "
        "server; they share the keys as Django's PyMemcacheCache with the same list does.",
    ),
]
TlsCa = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="FASTHITS_TLS_CA",
        show_default=False,
        help="Certificates of the authorities to trust for tls:// servers, instead of the system's.",
    ),
]
TlsCert = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="FASTHITS_TLS_CERT",
        show_default=False,
        help="Client certificate for tls:// servers that demand one.",
    ),
]
TlsKey = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="FASTHITS_TLS_KEY",
        show_default=False,
        help="Private key of --tls-cert, unless that file holds both.",
    ),
]
SERVERS: dict[str, tuple[Any, Any]] = {
    "memcached": (Memcached, [DEFAULT_SERVER]),
    "tls_ca": (TlsCa, None),
    "tls_cert": (TlsCert, None),
    "tls_key": (TlsKey, None),
}
"""The options that tell where memcached is, with their defaults."""
Prefix = Annotated[
    str, typer.Option(metavar="PREFIX", help="What stands before the date in a key: what Django's cache puts there.")
]

Ttl = Annotated[
    int,
    typer.Option(min=1, max=MAX_TTL_SECONDS, metavar="SECONDS", help="How long a counter lives from its first hit."),
]


def _or_environment(given: list[str] | None) -> list[str]:
    """Return the PATTERNs *given*, or those of FASTHITS_LOGS; none if neither is there."""
    return given or list(split_patterns(os.environ.get("FASTHITS_LOGS", "")))


Logs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        autocompletion=complete_logs,
        callback=_or_environment,
        show_default="FASTHITS_LOGS, parted by colons, or the log in one of the usual places",
        help="The log: a file for each day, as cronolog names them, with %Y, %m, %d; or without a date, with all its "
        "rotated files: '/var/log/nginx/access.log*'. * stands for several servers. Also found with .gz, .zst, .bz2 or "
        ".xz behind. - is standard input. Can be repeated.",
    ),
]


def find_patterns(given: list[str] | None, days: Sequence[date]) -> "Patterns":
    """Return the PATTERNs *given*, or the one of the usual places, which is named.

    Raises LogFileError and UsageError as `choose_logs` does.
    """
    if given:
        return tuple(given)
    from fasthits.daily.logs.places import choose_logs

    found = choose_logs(days)
    if found != (DEFAULT_LOGS,):
        say(f"no --logs given, so this is {found[0]}")
    return found


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
MAX_DAYS = 3660


def number_of_days(text: str | int) -> int:
    """Return the number of days that *text* is. Raises UsageError for anything but 1 to MAX_DAYS."""
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and 1 <= int(digits) <= MAX_DAYS):
        raise UsageError("not a number of days", repr(text), f"a whole number from 1 to {MAX_DAYS}, such as 30")
    return int(digits)


NumberOfDays = Annotated[
    int,
    typer.Option(
        "--days", metavar="N", parser=number_of_days, help="Days to show, ending with the newest in the database."
    ),
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="How many paths.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


def _rule_options() -> dict[str, Any]:
    """Return the parameters for ``--config`` and for the OPTIONS that set rules: names and annotations."""
    panel = "What counts, and under which path"
    help_of_config = typer.Option(
        metavar="FILE", envvar="FASTHITS_CONFIG", help=CONFIG_HELP, show_default=False, rich_help_panel=panel
    )
    options: dict[str, Any] = {"config": Annotated[Path | None, help_of_config]}
    for name, rule in OPTIONS.items():
        spelling = f"--{name}/--no-{name}" if rule.kind is bool else f"--{name}"
        option = typer.Option(spelling, metavar=rule.metavar, help=rule.help, show_default=False, rich_help_panel=panel)
        options[name.replace("-", "_")] = Annotated[rule.kind | None, option]
    return options


def takes_servers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with the options SERVERS in place of its parameter ``servers``, a list of Server."""

    @wraps(command)
    def with_options(
        *, memcached: list[str], tls_ca: str | None, tls_cert: str | None, tls_key: str | None, **arguments: Any
    ) -> Any:
        from fasthits.live.servers import TlsFiles, check_servers

        return command(**arguments, servers=check_servers(memcached, TlsFiles(tls_ca, tls_cert, tls_key)))

    parameters = list(inspect.signature(command).parameters.values())
    place = next(number for number, parameter in enumerate(parameters) if parameter.name == "servers")
    parameters[place : place + 1] = [_option(name, *each) for name, each in SERVERS.items()]
    _set_parameters(with_options, parameters)
    return with_options


def takes_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with ``--config`` and the OPTIONS that set rules in place of its parameter ``rules``."""

    @wraps(command)
    def with_rules(given: Mapping[str, object], config: Path | None, **arguments: Any) -> Any:
        return command(**arguments, rules=read_rules(given, config))

    return takes_options_of_rules(with_rules)


def takes_options_of_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with the OPTIONS that set rules in place of ``given``, and with ``config``, not read yet."""

    @wraps(command)
    def with_options(*, config: Path | None, **arguments: Any) -> Any:
        given = take_options(arguments)
        return command(given=given, config=config, **arguments)

    replaced = {"rules", "given", "config"}
    parameters = [each for each in inspect.signature(command).parameters.values() if each.name not in replaced]
    _set_parameters(with_options, parameters + [_option(name, each, None) for name, each in _rule_options().items()])
    return with_options


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _set_parameters(wrapper: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Give *wrapper* these parameters as far as typer looks, which passes all of them by name."""
    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    wrapper.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in by_name}
