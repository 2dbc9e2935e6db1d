"""``fasthits conf``: what to paste."""

import os
import subprocess
import sys
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
    from fasthits.errors import UsageError
    from fasthits.servers import check_servers
    from fasthits.tables import open_table

    if not _runs_isolated():
        hint = "install fasthits into a virtual environment of root's, such as /opt/fasthits"
        raise UsageError("Apache and cron would not find fasthits", f"{sys.executable} -I -m fasthits", hint)
    servers = check_servers(memcached)
    has_date(logs)
    kept = os.path.abspath(database)
    open_table(kept)  # which is not made before a rollup, but a name that is none would stop that
    here = Installation(
        program=[sys.executable, "-I", "-m", "fasthits"],  # isolated from whatever the environment says
        user=user,
        logs=os.path.abspath(logs),
        database=kept,
        memcached=[] if servers == [DEFAULT_SERVER] else servers,
    )
    typer.echo("\n".join(texts(here)), nl=False)


def _runs_isolated() -> bool:
    """Tell whether this Python finds fasthits in no folder of this user's, and without help of the environment."""
    command = [sys.executable, "-I", "-c", "import fasthits.__main__"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
