"""``fasthits conf``: what to paste."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from fasthits.cli.options import Logs, TlsCa, TlsCert, TlsKey
from fasthits.cli.output import say
from fasthits.errors import LogFileError, UsageError
from fasthits.live.keys import DEFAULT_SERVER

KEPT = "/var/lib/fasthits/hits.db"


def conf(
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Who counts, and owns the database: a user of its own.")
    ] = "fasthits",
    logs: Logs = None,
    database: Annotated[
        str, typer.Option(metavar="FILE", help="Where the nightly rollup goes; NAME must be able to write there.")
    ] = KEPT,
    memcached: Annotated[
        list[str],
        typer.Option(metavar="SERVER", envvar="FASTHITS_MEMCACHED", help="As for `fasthits log`."),
    ] = [DEFAULT_SERVER],  # noqa: B006
    follow: Annotated[
        str, typer.Option(metavar="FILE", help="The log of nginx, or of another server without piped logs.")
    ] = "/var/log/nginx/access.log",
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Print what to paste into the configuration of Apache or nginx, cron or systemd, with this installation's paths.

    Nothing is changed. Each part begins with a comment that says what it is for. Without --logs it is for the logs in
    the usual places; where there are none, cronolog is to write them.
    """
    from fasthits.daily.targets import open_table
    from fasthits.live.servers import TlsFiles, check_servers
    from fasthits.upkeep.conf import Installation, choose_logs, texts

    if not _runs_isolated():
        hint = "install fasthits into a virtual environment of root's, such as /opt/fasthits"
        raise UsageError("Apache and cron would not find fasthits", f"{sys.executable} -I -m fasthits", hint)
    files = TlsFiles(*(file and os.path.abspath(file) for file in (tls_ca, tls_cert, tls_key)))
    servers = check_servers(memcached, files)
    options = [word for server in servers if servers != [DEFAULT_SERVER] for word in ("--memcached", server)]
    options += [word for name, file in files._asdict().items() if file for word in (f"--tls-{name}", file)]
    patterns = logs or choose_logs(_found())
    kept = os.path.abspath(database)
    open_table(kept)  # which is not made before a rollup, but a name that is none would stop that
    here = Installation(
        program=[sys.executable, "-I", "-m", "fasthits"],  # isolated from whatever the environment says
        user=user,
        logs=list(map(os.path.abspath, patterns)),
        database=kept,
        servers=options,
        followed=os.path.abspath(follow),
    )
    typer.echo("\n".join(texts(here)), nl=False)


def _found() -> list[str]:
    """Return the PATTERNs of the logs in the usual places, as far as this user may look at them."""
    from fasthits.daily.logs.places import find_usual_logs

    try:
        return find_usual_logs()
    except LogFileError as error:
        say(f"{error}: this is for cronolog; run it as root, or name the log with --logs")
        return []


def _runs_isolated() -> bool:
    """Tell whether this Python finds fasthits in no folder of this user's, and without help of the environment."""
    command = [sys.executable, "-I", "-c", "import fasthits.__main__"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
