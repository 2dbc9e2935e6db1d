"""The options and arguments that several commands take."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fasthits.cli.completion import complete_day, complete_format, complete_logs
from fasthits.cli.declare import Argument, Option, Parameter, parameters_of
from fasthits.cli.output import say
from fasthits.daily.days import DEFAULT_LOGS, ONE_DAY, split_patterns
from fasthits.errors import TableError, UsageError
from fasthits.live.keys import DEFAULT_SERVER, MAX_TTL_SECONDS
from fasthits.rules.config import read_rules
from fasthits.rules.options import CONFIG_HELP, OPTIONS, take_options

if TYPE_CHECKING:
    from fasthits.daily.logs.sources import Patterns
    from fasthits.daily.past.documents import Days
    from fasthits.daily.past.history import History

SERVER_PANEL = "memcached"
RULE_PANEL = "What counts, and under which path"

Memcached = Annotated[
    list[str],
    Option(
        metavar="SERVER",
        envvar="FASTHITS_MEMCACHED",
        help="HOST:PORT, [IPV6]:PORT, unix:/PATH or tls://HOST:PORT. Several servers: separate them by commas, or "
        "repeat the option. They share the keys as in Django's PyMemcacheCache, so give both the same list.",
        rich_help_panel=SERVER_PANEL,
    ),
]


def _tls_file(name: str, text: str) -> Any:
    variable = f"FASTHITS_TLS_{name}"
    return Option(metavar="FILE", envvar=variable, show_default=False, help=text, rich_help_panel=SERVER_PANEL)


TlsCa = Annotated[str | None, _tls_file("CA", "CA certificates to trust for tls:// servers, instead of the system's.")]
TlsCert = Annotated[str | None, _tls_file("CERT", "Client certificate, for tls:// servers that require one.")]
TlsKey = Annotated[str | None, _tls_file("KEY", "Private key of --tls-cert, unless that file holds both.")]
SERVERS: dict[str, tuple[Any, Any]] = {
    "memcached": (Memcached, [DEFAULT_SERVER]),
    "tls_ca": (TlsCa, None),
    "tls_cert": (TlsCert, None),
    "tls_key": (TlsKey, None),
}
"""The options that say where memcached is, with their defaults."""
Prefix = Annotated[
    str,
    Option(metavar="PREFIX", help="Key prefix. The default matches Django's cache.", rich_help_panel=SERVER_PANEL),
]

Ttl = Annotated[
    int,
    Option(min=1, max=MAX_TTL_SECONDS, metavar="SECONDS", help="Lifetime of a counter, from its first hit."),
]


def _or_environment(given: list[str] | None) -> list[str] | None:
    """Return the PATTERNs *given*, or those of FASTHITS_LOGS. None if both are missing."""
    return given or list(split_patterns(os.environ.get("FASTHITS_LOGS", ""))) or None


def _logs_option(others: str) -> Option:
    """Return the option `--logs`, whose help says which *others* than files it can name."""
    return Option(
        metavar="PATTERN",
        autocompletion=complete_logs,
        callback=_or_environment,
        show_default=False,
        help="Log files. One file per day, as from cronolog: '/var/log/apache2/%Y-%m-%d.log'. Rotated files: "
        "'/var/log/nginx/access.log*'. Several servers: '/srv/*/access.log'. Compressed files (.gz, .zst, .bz2, .xz, "
        f".zip) are found, too. {others}Can be repeated. Default: the patterns in FASTHITS_LOGS, separated by colons, "
        "or the log in one of the usual places.",
    )


_STORES = "s3://, gs://, az://, hdfs:// and sftp:// name files in a store. "
Logs = Annotated[list[str] | None, _logs_option(_STORES + "- is standard input. ")]
LogFiles = Annotated[list[str] | None, _logs_option("")]


def find_patterns(given: list[str] | None, days: Sequence[date]) -> "Patterns":
    """Return the PATTERNs *given*, or the log in one of the usual places, and print which log that is.

    Raises LogFileError and UsageError as `choose_logs` does.
    """
    if given:
        return tuple(given)
    from fasthits.daily.logs.places import choose_logs

    found = choose_logs(days)
    if found != (DEFAULT_LOGS,):
        say(f"no --logs given: reading {found[0]}")
    return found


def _target_option(others: str) -> Option:
    """Return the option `--to`, whose help says which *others* than tables it can name."""
    return Option(
        metavar="TARGET",
        envvar="FASTHITS_TO",
        help="Where to keep the views. SQLite: *.db, *.sqlite or *.sqlite3. CSV: *.csv, or - for standard output. "
        f"PostgreSQL: postgresql://USER@HOST/DATABASE. Parquet files: a folder, with / at the end.{others}",
    )


To = Annotated[str, _target_option(" A partial for fasthits merge: *.hits.")]
MergedTo = Annotated[str, _target_option("")]


def check_seconds(seconds: float) -> float:
    """Return *seconds*; refuse NaN, which passes every minimum and maximum."""
    if math.isnan(seconds):
        from typer import BadParameter

        raise BadParameter("nan is not a number of seconds.")
    return seconds


Settle = Annotated[
    float,
    Option(
        min=0,
        max=3600,
        callback=check_seconds,
        metavar="SECONDS",
        help="Seconds to wait for hits that are logged but not yet counted, or counted but not yet logged.",
    ),
]
Day = Annotated[
    str,
    Argument(metavar="[DATE]", help="YYYY-MM-DD, today or yesterday.", autocompletion=complete_day),
]
Database = Annotated[
    str,
    Option(
        metavar="DATABASE",
        envvar="FASTHITS_TO",
        help="Where `fasthits rollup` keeps the views: a SQLite or CSV file, or postgresql://USER@HOST/DATABASE.",
    ),
]
DEFAULT_DATABASE = "hits.db"
MAX_DAYS = 3660


def number_of_days(text: str | int) -> int:
    """Return *text* as a number of days, 1 to MAX_DAYS. Raises UsageError for anything else."""
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and 1 <= int(digits) <= MAX_DAYS):
        raise UsageError("not a number of days", repr(text), f"a whole number from 1 to {MAX_DAYS}, such as 30")
    return int(digits)


def number_of_days_option(default: int) -> Any:
    """Return ``--days``, which `choose_days` reads with ``--date``."""
    return Option(
        "--days",
        metavar="N",
        parser=number_of_days,
        show_default=False,
        help=f"Days to show, ending with the newest in the database. Default: {default}.",
    )


RangeOfDays = Annotated[
    str | None,
    Option(
        "--date",
        metavar="RANGE",
        help="Instead of --days: a day, a month, a year or a range: 2026-11-21, 2026-11, 2026, 2026-03..2026-11-21. "
        "A range without an end, such as 2026-11.., ends yesterday, or later with the newest day.",
        show_default=False,
    ),
]


def choose_days(kept: "History", number: int | None, text: str | None, default: int) -> "Days":
    """Return the days that --days or --date name, between the oldest kept day and yesterday, or the newest kept day.

    Raises UsageError for both options, and TableError when none of the days can be kept.
    """
    from fasthits.daily.days import parse_range
    from fasthits.daily.past.documents import Days

    if text is None:
        return Days(default if number is None else number)
    if number is not None:
        raise UsageError("choose one of these options", "--days, --date")
    today = date.today()
    asked, days = parse_range(text, today), kept.days
    if not days:
        return Days()
    first, last = max(asked.first, days[0]), min(asked.last, max(days[-1], today - ONE_DAY))
    if last < first:
        raise TableError("these days are not kept", text, f"the database has {days[0]} to {days[-1]}")
    return Days(first=first, last=last)


Host = Annotated[
    str | None,
    Option(
        metavar="HOST",
        help="Only this host, in a database that `fasthits rollup --by-host` has filled.",
        show_default=False,
    ),
]
PagesOnly = Annotated[bool, Option("--exclude-static", help="Leave out images, styles, scripts and the like.")]
Limit = Annotated[int, Option(metavar="N", min=1, max=10_000, help="Paths to show.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, Option("--csv", help="Print CSV.")]


def _rule_options() -> dict[str, Any]:
    """Return the parameters for ``--config`` and for the OPTIONS that set rules: names and annotations."""
    help_of_config = Option(
        metavar="FILE", envvar="FASTHITS_CONFIG", help=CONFIG_HELP, show_default=False, rich_help_panel=RULE_PANEL
    )
    options: dict[str, Any] = {"config": Annotated[Path | None, help_of_config]}
    for name, rule in OPTIONS.items():
        spelling = f"--{name}/--no-{name}" if rule.kind is bool else f"--{name}"
        option = Option(
            spelling,
            metavar=rule.metavar,
            help=rule.help,
            show_default=False,
            rich_help_panel=RULE_PANEL,
            autocompletion=complete_format if name == "format" else None,
        )
        options[name.replace("-", "_")] = Annotated[rule.kind | None, option]
    return options


def takes_servers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with the options SERVERS instead of its parameter ``servers``, a list of Server."""

    @wraps(command)
    def with_options(
        *, memcached: list[str], tls_ca: str | None, tls_cert: str | None, tls_key: str | None, **arguments: Any
    ) -> Any:
        from fasthits.live.servers import TlsFiles, check_servers

        return command(**arguments, servers=check_servers(memcached, TlsFiles(tls_ca, tls_cert, tls_key)))

    parameters = parameters_of(command)
    place = next(number for number, parameter in enumerate(parameters) if parameter.name == "servers")
    parameters[place : place + 1] = [_option(name, *each) for name, each in SERVERS.items()]
    return _with_parameters(with_options, parameters)


def takes_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with ``--config`` and the OPTIONS that set rules in place of its parameter ``rules``."""

    @wraps(command)
    def with_rules(given: Mapping[str, object], config: Path | None, **arguments: Any) -> Any:
        return command(**arguments, rules=read_rules(given, config))

    return takes_options_of_rules(_with_parameters(with_rules, parameters_of(command)))


def takes_options_of_rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return *command* with the OPTIONS that set rules in place of ``given``, and ``config``, a file not yet read."""

    @wraps(command)
    def with_options(*, config: Path | None, **arguments: Any) -> Any:
        given = take_options(arguments)
        return command(given=given, config=config, **arguments)

    replaced = {"rules", "given", "config"}
    parameters = [each for each in parameters_of(command) if each.name not in replaced]
    return _with_parameters(
        with_options, parameters + [_option(name, each, None) for name, each in _rule_options().items()]
    )


def _option(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, annotation.__origin__, annotation.__metadata__[0], default)


def _with_parameters(wrapper: Callable[..., Any], parameters: list[Parameter]) -> Callable[..., Any]:
    """Return *wrapper* with *parameters* as its parameters on the command line. The caller passes them by name."""
    wrapper.parameters = parameters  # type: ignore[attr-defined]
    return wrapper
