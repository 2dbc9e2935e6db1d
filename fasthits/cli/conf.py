"""``fasthits conf``: configuration to paste."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from fasthits.cli.options import Logs, Memcached, TlsCa, TlsCert, TlsKey
from fasthits.daily.days import DEFAULT_LOGS
from fasthits.errors import UsageError
from fasthits.live.keys import DEFAULT_SERVER

KEPT = "/var/lib/fasthits/hits.db"


def conf(
    user: Annotated[
        str, typer.Option(metavar="NAME", help="User that counts and owns the database. Used only by fasthits.")
    ] = "fasthits",
    logs: Logs = None,
    database: Annotated[
        str, typer.Option(metavar="FILE", help="Database of the nightly rollup. The user must be able to write there.")
    ] = KEPT,
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006
    follow: Annotated[
        str, typer.Option(metavar="FILE", help="Log of nginx, or of another server without piped logs.")
    ] = "/var/log/nginx/access.log",
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Print configuration to paste for Apache or nginx, and for cron or systemd, with this installation's paths.

    \b
        fasthits conf
        fasthits conf --user www-stats --database /srv/stats/hits.db
        fasthits conf --follow /var/log/caddy/access.log

    Changes nothing. Each part begins with a comment that says what it is for.
    """
    from fasthits.daily.days import has_date
    from fasthits.daily.targets import open_table
    from fasthits.live.servers import TlsFiles, check_servers
    from fasthits.upkeep.conf import Installation, texts

    if not _runs_isolated():
        hint = "install fasthits into a virtual environment of root's, such as /opt/fasthits"
        raise UsageError("Apache and cron would not find fasthits", f"{sys.executable} -I -m fasthits", hint)
    files = TlsFiles(*(file and os.path.abspath(file) for file in (tls_ca, tls_cert, tls_key)))
    servers = check_servers(memcached, files)
    options = [word for server in servers if servers != [DEFAULT_SERVER] for word in ("--memcached", server)]
    options += [word for name, file in files._asdict().items() if file for word in (f"--tls-{name}", file)]
    if logs and len(logs) > 1:
        raise UsageError("cronolog writes one file", ", ".join(logs), "name one PATTERN")
    pattern = logs[0] if logs else DEFAULT_LOGS
    has_date(pattern)
    kept = os.path.abspath(database)
    open_table(kept)  # makes no file, but refuses a name that the rollup would refuse
    here = Installation(
        program=[sys.executable, "-I", "-m", "fasthits"],  # isolated from the environment
        user=user,
        logs=os.path.abspath(pattern),
        database=kept,
        servers=options,
        followed=os.path.abspath(follow),
    )
    typer.echo("\n".join(texts(here)), nl=False)


def _runs_isolated() -> bool:
    """Tell whether this Python finds fasthits without the user's own folders and without environment variables."""
    command = [sys.executable, "-I", "-c", "import fasthits.__main__"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
