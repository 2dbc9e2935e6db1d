"""``fasthits doctor``: check an installation."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import Logs, Prefix, To, takes_options_of_rules, takes_servers
from fasthits.daily.days import DEFAULT_LOGS
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix

COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


@takes_options_of_rules
@takes_servers
def doctor(
    given: Mapping[str, object],
    config: Path | None,
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    logs: Logs = None,
    to: To = "hits.db",
    user: Annotated[
        str | None,
        Option(metavar="NAME", help="Check files as this user, who runs the logger and the rollup. Needs root."),
    ] = None,
    django_settings: Annotated[
        str | None,
        Option(metavar="MODULE", help="Also check the cache and the time zone in these Django settings."),
    ] = None,
) -> None:
    """Check an installation: memcached, loggers, logs, clock, database.

    \b
        fasthits doctor
        fasthits doctor --user fasthits --to /var/lib/fasthits/hits.db
        fasthits doctor --logs '/var/log/nginx/access.log*'
        fasthits doctor --django-settings mysite.settings

    Prints a line for each check: ok, warn or FAIL, the finding, and after -> what to do. The exit code is 1 if a check
    failed. Give the same options as the logger has. On a busy site the command takes up to 15 seconds, because it
    waits for the loggers' figures.
    """
    import typer

    from fasthits.daily.days import has_date
    from fasthits.daily.logs.logfiles import STDIN
    from fasthits.daily.logs.places import find_usual_logs
    from fasthits.rules.config import find_config
    from fasthits.upkeep.doctor import Setup, Verdict, examine

    patterns = tuple(logs or find_usual_logs()) or (DEFAULT_LOGS,)
    for pattern in patterns:
        has_date(pattern)  # raises UsageError for an invalid PATTERN
        if pattern == STDIN:
            raise UsageError("doctor needs log files", pattern, "name them with --logs")
    found = config or find_config()
    setup = Setup(
        servers=servers,
        prefix=check_prefix(prefix),
        logs=patterns,
        target=to,
        given=given,
        config=found and found.absolute(),
        django_settings=django_settings,
        user=user,
    )
    failed = False
    for check in examine(setup, date.today()):
        failed |= check.verdict is Verdict.FAIL
        verdict = typer.style(f"{check.verdict:4}", fg=COLOURS[check.verdict], bold=check.verdict is Verdict.FAIL)
        remedy = f" -> {printable(check.remedy)}" * bool(check.remedy)
        typer.echo(f"{verdict}  {printable(check.name)}: {printable(check.text)}{remedy}")
    if failed:
        raise SystemExit(1)
