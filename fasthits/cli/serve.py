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
        typer.Option(metavar="ADDRESS", help="Address to listen on. Anything but loopback needs --token or --public."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on. 0 takes a free port.")
    ] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar="FASTHITS_TOKEN",
            help="Require this secret. A browser opens /?token=SECRET once. A program sends the header Authorization: "
            "Bearer SECRET.",
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Answer everyone who can reach the port.")] = False,
) -> None:
    """Serve a web page with today's views, live, and the views of past days.

    \b
        fasthits serve
        fasthits serve --database /var/lib/fasthits/hits.db --port 8080
        FASTHITS_TOKEN=... fasthits serve --host 0.0.0.0

    Runs until Ctrl-C. Also serves a JSON interface (/openapi.json), a view counter as a picture
    (/badge.svg?path=/about.html), and /metrics for Prometheus. Never writes to the database. Needs the extra `web`: pip
    install 'fasthits[web]'.
    """
    try:
        from fasthits.web.app import Settings
        from fasthits.web.guard import LOOPBACK_NAMES
        from fasthits.web.server import listen
        from fasthits.web.server import serve as run
    except ModuleNotFoundError as error:
        raise FasthitsError("not installed", error.name, "pip install 'fasthits[web]'") from error

    if token == "":
        raise UsageError(
            "token is empty", "--token", "FASTHITS_TOKEN is empty, or a variable in your command is not set"
        )
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
