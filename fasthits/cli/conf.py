"""``fasthits conf``: configuration to paste."""

import os
import shutil
import subprocess
import sys
from typing import Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import LogFiles, Memcached, TlsCa, TlsCert, TlsKey
from fasthits.cli.output import echo, say
from fasthits.errors import LogFileError, UsageError
from fasthits.live.keys import DEFAULT_SERVER

KEPT = "/var/lib/fasthits/hits.db"
PROGRAMS = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin"
"""Where distributions put cronolog. Apache starts it by its absolute path."""


def conf(
    user: Annotated[
        str, Option(metavar="NAME", help="User that counts and owns the database. Used only by fasthits.")
    ] = "fasthits",
    logs: LogFiles = None,
    database: Annotated[
        str, Option(metavar="FILE", help="Database of the nightly rollup. The user must be able to write there.")
    ] = KEPT,
    memcached: Memcached = [DEFAULT_SERVER],  # noqa: B006
    follow: Annotated[
        str | None,
        Option(
            metavar="FILE", help="Log of nginx, or of another server without piped logs. Leaves out Apache's parts."
        ),
    ] = None,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Print configuration to paste for Apache or nginx, and for cron or systemd, with this installation's paths.

    \b
        fasthits conf
        fasthits conf --user www-stats --database /srv/stats/hits.db
        fasthits conf --follow /var/log/caddy/access.log

    Only prints. Each part begins with a comment that says what it is for. Without --logs the nightly rollup reads the
    followed log and its rotated files; without --follow, the logs in the usual places, or cronolog's files if there are
    none.
    """
    from fasthits.daily.days import has_date
    from fasthits.daily.logs.logfiles import STDIN
    from fasthits.daily.targets.opening import open_target
    from fasthits.daily.urls import is_postgres, is_url, shown
    from fasthits.live.servers import TlsFiles, check_servers
    from fasthits.upkeep.conf import NGINX_LOG, Installation, choose_logs, files_of, texts

    if not _runs_isolated():
        hint = "install fasthits into a virtual environment that root owns, such as /opt/fasthits"
        raise UsageError("Apache and cron would not find fasthits", f"{sys.executable} -I -m fasthits", hint)
    files = TlsFiles(*(file and os.path.abspath(file) for file in (tls_ca, tls_cert, tls_key)))
    servers = check_servers(memcached, files)
    options = [word for server in servers if servers != [DEFAULT_SERVER] for word in ("--memcached", server)]
    options += [word for name, file in files._asdict().items() if file for word in (f"--tls-{name}", file)]
    patterns = logs or (choose_logs(_found()) if follow is None else [files_of(os.path.abspath(follow))])
    for pattern in patterns:
        has_date(pattern)  # raises UsageError for an invalid PATTERN, such as an empty variable
    if others := [each for each in (*patterns, follow) if each == STDIN or is_url(each)]:
        hint = "name the log that the web server writes"
        raise UsageError("conf is for log files of this machine", others[0], hint)
    if is_postgres(database):
        hint = "name a file, then replace it by your URL in the output"
        raise UsageError("conf takes no URL", shown(database), hint)
    kept = os.path.abspath(database)
    open_target(kept)  # makes no file, but refuses a name that the rollup would refuse
    here = Installation(
        program=[sys.executable, "-I", "-m", "fasthits"],  # isolated from the environment
        user=user,
        logs=list(map(os.path.abspath, patterns)),
        database=kept,
        servers=options,
        followed=os.path.abspath(NGINX_LOG if follow is None else follow),
        cronolog=shutil.which("cronolog", path=PROGRAMS) or "",
        has_apache=follow is None,
    )
    echo("\n".join(texts(here)), end="")


def _found() -> list[str]:
    """Return the PATTERNs of the logs in the usual places that this user may read."""
    from fasthits.daily.logs.places import find_usual_logs

    try:
        return find_usual_logs()
    except LogFileError as error:
        say(f"{error}: the output is for cronolog; run this as root, or name the log with --logs")
        return []


def _runs_isolated() -> bool:
    """Tell whether this Python finds fasthits without the user's folders and environment variables."""
    command = [sys.executable, "-I", "-c", "import fasthits.__main__"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
