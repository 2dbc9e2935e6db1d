"""``fasthits serve``: the numbers as a web page."""

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from fasthits.cli.options import DEFAULT_DATABASE, Database, Prefix, takes_servers
from fasthits.cli.output import say
from fasthits.errors import FasthitsError, UsageError
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix


@takes_servers
def serve(
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    database: Database = DEFAULT_DATABASE,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; for others than this machine only with the next two."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 takes any that is free.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar="FASTHITS_TOKEN",
            help="Answer those alone who know it: once as /?token=SECRET, or as Authorization: Bearer SECRET.",
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Answer everybody who can reach the port.")] = False,
) -> None:
    """Serve a page that shows what is read, as it is read, and the views of past days; until Ctrl-C.

    It also has a JSON interface (/openapi.json), /badge.svg?path=/about.html, and /metrics for Prometheus. It needs
    the extra `web`: starlette and uvicorn. The database is only read.
    """
    try:
        from fasthits.web.app import Settings
        from fasthits.web.guard import LOOPBACK_NAMES
        from fasthits.web.server import listen
        from fasthits.web.server import serve as run
    except ModuleNotFoundError as error:
        raise FasthitsError("not installed", error.name, "pip install 'fasthits[web]'") from error

    if token == "":
        raise UsageError("token is empty", "--token", "is the variable set that it comes from?")
    if not (_is_loopback(host) or token or public):
        raise UsageError("others could read the numbers", host, "add --token SECRET, or --public if they may")
    shown = f"[{host}]" if ":" in host else host
    settings = Settings(
        servers=servers,
        prefix=check_prefix(prefix),
        database=Path(database),
        token=token,
        names=None if token or public else LOOPBACK_NAMES | {shown},
    )
    with listen(host, port) as listening:
        say(f"http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C ends)")
        try:
            run(settings, listening)
        except KeyboardInterrupt:
            return


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
