"""``fasthits doctor``: is everything in place?"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

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
        typer.Option(metavar="NAME", help="Look at files as this user, who counts and rolls up. Needs root."),
    ] = None,
    django_settings: Annotated[
        str | None,
        typer.Option(metavar="MODULE", help="Also check the cache and the time zone of this Django site."),
    ] = None,
) -> None:
    """Check everything that fasthits needs: a line for each check, with what to type or set behind ->.

    Give it the options of the logger. The exit code is 1 if a check failed. On a busy site it takes up to 15 seconds,
    because it waits for the loggers' figures.
    """
    from fasthits.daily.days import has_date
    from fasthits.daily.logs.logfiles import STDIN
    from fasthits.daily.logs.places import find_usual_logs
    from fasthits.rules.config import find_config
    from fasthits.upkeep.doctor import Setup, Verdict, examine

    patterns = tuple(logs or find_usual_logs()) or (DEFAULT_LOGS,)
    for pattern in patterns:
        if not has_date(pattern) and pattern == STDIN:
            raise UsageError("not a PATTERN of files", pattern, "name the files of the log with --logs")
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
        raise typer.Exit(1)
