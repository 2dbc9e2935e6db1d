"""``fasthits conf``: what to paste."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fasthits.cli.options import Logs
from fasthits.days import DEFAULT_LOGS
from fasthits.keys import DEFAULT_SERVER

KEPT = "/var/lib/fasthits/hits.db"


def conf(
    user: Annotated[str, typer.Option(metavar="NAME", help="Who counts, and owns the database.")] = "www-data",
    logs: Logs = DEFAULT_LOGS,
    database: Annotated[
        str, typer.Option(metavar="FILE", help="Where the nightly rollup goes; NAME must be able to write there.")
    ] = KEPT,
    memcached: Annotated[
        list[str],
        typer.Option(metavar="SERVER", envvar="FASTHITS_MEMCACHED", help="As for `fasthits log`."),
    ] = [DEFAULT_SERVER],  # noqa: B006
) -> None:
    """Print what to paste into the configuration of Apache or nginx, cron or systemd, with this installation's paths.

    Nothing is changed. Each part begins with a comment that says what it is for.
    """
    from fasthits.conf import Installation, texts
    from fasthits.days import has_date
    from fasthits.servers import check_servers
    from fasthits.tables import open_table

    servers = check_servers(memcached)
    has_date(logs)
    kept = os.path.abspath(database)
    open_table(kept)  # which is not made before a rollup, but a name that is none would stop that
    here = Installation(
        program=_program(),
        user=user,
        logs=os.path.abspath(logs),
        database=kept,
        memcached=[] if servers == [DEFAULT_SERVER] else servers,
    )
    typer.echo("\n".join(texts(here)), nl=False)


def _program() -> list[str]:
    """Return how this very program is started, by an absolute path: Apache and cron look in no other folders."""
    started = shutil.which(sys.argv[0])
    if started and not started.endswith(".py"):
        return [os.path.abspath(started)]
    beside = Path(sys.executable).with_name("fasthits")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "fasthits"]
