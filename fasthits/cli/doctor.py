"""``fasthits doctor``: is everything in place?"""

from datetime import date
from typing import Annotated

import typer

from fasthits.cli.options import Logs, Prefix, To, takes_servers
from fasthits.days import DEFAULT_LOGS
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.keys import DEFAULT_PREFIX, check_prefix


@takes_servers
def doctor(
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    logs: Logs = DEFAULT_LOGS,
    to: To = "hits.db",
    django_settings: Annotated[
        str | None,
        typer.Option(metavar="MODULE", help="Also compare the key prefix and the servers with these settings' cache."),
    ] = None,
) -> None:
    """Check what fasthits needs, one line each: ok, or what to do. Exit code 1 if anything failed.

    The log's format is that of /etc/fasthits.toml, or of the file that FASTHITS_CONFIG names, else it is detected.
    """
    from fasthits.config import read_rules
    from fasthits.days import has_date
    from fasthits.doctor import Setup, examine
    from fasthits.logfiles import STDIN

    if not has_date(logs) and logs == STDIN:
        raise UsageError("not a PATTERN of files", logs, "name the files of the log with --logs")
    setup = Setup(servers, check_prefix(prefix), logs, to, read_rules({}), django_settings)
    failed = False
    for check in examine(setup, date.today()):
        failed |= not check.ok
        verdict = typer.style("ok  ", fg="green") if check.ok else typer.style("FAIL", fg="red", bold=True)
        typer.echo(f"{verdict}  {printable(check.name)}: {printable(check.text)}")
    if failed:
        raise typer.Exit(1)
