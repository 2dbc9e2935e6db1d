"""``fasthits serve``: the views as a web page."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import DEFAULT_DATABASE, Database, Prefix, takes_servers
from fasthits.cli.output import say
from fasthits.daily.urls import is_loopback, is_postgres, shown
from fasthits.errors import FasthitsError, UsageError, is_of_python
from fasthits.live.keys import DEFAULT_PREFIX, check_prefix

MAX_TOKEN = 8192
LEAST_TOKEN = 12
"""Characters. Nothing limits guesses, and the server answers thousands a second: too few to find so long a secret."""


@takes_servers
def serve(
    servers: list[str],
    prefix: Prefix = DEFAULT_PREFIX,
    database: Database = DEFAULT_DATABASE,
    host: Annotated[
        str,
        Option(
            metavar="ADDRESS",
            help="Address to listen on. Anything but loopback needs --token-file, --token or --public.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, Option(metavar="PORT", min=0, max=65535, help="Port to listen on. 0 takes a free port.")
    ] = 8765,
    token_file: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Require the secret in this file, which only its owner and group may read. A browser asks for the "
            "secret once. A program sends the header Authorization: Bearer SECRET.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        Option(
            metavar="SECRET",
            envvar="FASTHITS_TOKEN",
            help="Require this secret. Everybody on this machine can see it with ps, so better use FASTHITS_TOKEN or "
            "a file.",
        ),
    ] = None,
    public: Annotated[
        bool,
        Option("--public", help="Answer everyone who can reach the port, and scripts on pages of other sites."),
    ] = False,
    public_badges: Annotated[
        bool, Option("--public-badges", help="Answer everyone who asks for a badge, and nothing else.")
    ] = False,
    site: Annotated[
        str | None,
        Option(metavar="URL", help="Address of the site, for links to its pages: https://example.org."),
    ] = None,
) -> None:
    """Serve a web page with today's views, live, and the views of past days.

    \b
        fasthits serve
        fasthits serve --database /var/lib/fasthits/hits.db --port 8080
        fasthits serve --host 0.0.0.0 --token-file /etc/fasthits.token

    Runs until Ctrl-C. Also serves a JSON interface (/openapi.json), a picture with the views of a page
    (/badge.svg?path=/about.html), and /metrics for Prometheus. Never writes to the database. Needs the extra `web`: pip
    install 'fasthits[web]'.
    """
    from fasthits.daily.past.opening import check_ours, check_readable

    try:
        from fasthits.web.app import Options
        from fasthits.web.archive import LOOK_SECONDS, run_for
        from fasthits.web.guard import LOOPBACK_NAMES, Access
        from fasthits.web.server import listen
        from fasthits.web.server import serve as run
    except ModuleNotFoundError as error:
        if is_of_python(error):
            raise
        raise FasthitsError("not installed", error.name, "pip install 'fasthits[web]'") from error

    if database.lower().endswith(".csv"):
        raise UsageError("serve cannot read CSV", database, "keep the days in a database: fasthits rollup --to hits.db")
    check_readable(database)
    _check_url(database)
    with suppress(TimeoutError):  # the file system hangs: the archive says so, and today's views need no database
        run_for(LOOK_SECONDS, check_ours, database)
    if token is not None and token_file is not None:
        raise UsageError("choose one of these", "--token-file, --token or FASTHITS_TOKEN")
    if token is None and not token_file:
        token = os.environ.get("FASTHITS_TOKEN")  # typer takes an empty variable for none: everybody could read
    secret = _read_token(token_file) if token_file else token
    if secret == "":
        unset = "FASTHITS_TOKEN is empty, or a variable in your command is not set"
        raise UsageError("token is empty", token_file or "--token", "write a secret into it" if token_file else unset)
    if secret is not None and (secret != secret.strip() or not secret.isprintable()):
        hint = "a token is one line of UTF-8 text, without blanks around it and without a byte order mark"
        raise UsageError("not a token", token_file or "--token or FASTHITS_TOKEN", hint)
    if secret is not None and secret.startswith("FASTHITS_TOKEN="):  # a line of systemd's EnvironmentFile
        hint = "write only what is behind FASTHITS_TOKEN="
        raise UsageError("not a token", token_file or "--token or FASTHITS_TOKEN", hint)
    if secret is not None and len(secret) < LEAST_TOKEN:
        hint = f"others could guess it: use at least {LEAST_TOKEN} characters, as openssl rand -hex 16 makes them"
        raise UsageError("token is too short", token_file or "--token or FASTHITS_TOKEN", hint)
    if secret is not None and public:
        raise UsageError(
            "choose one of these", "a token, --public", "with a token, --public-badges shows badges to everybody"
        )
    host = host.removeprefix("[").removesuffix("]")  # as a URL has it
    if not (is_loopback(host) or secret or public):
        raise UsageError("others could read the numbers", host, "add --token-file FILE, or --public if they may")
    if site is not None and not re.fullmatch(r"https?://[^\s/?#@]+/?", site):
        raise UsageError("not the address of a site", repr(site), "https://example.org, without a path")
    shown = f"[{host}]" if ":" in host else host
    options = Options(
        servers=servers,
        prefix=check_prefix(prefix),
        database=database,
        access=Access(secret, None if secret or public else LOOPBACK_NAMES | {shown}, public, public_badges),
        site=site and site.rstrip("/"),
    )
    with listen(host, port) as listening:
        say(f"http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C ends)")
        try:
            run(options, listening, say)
        except KeyboardInterrupt:
            return


def _check_url(database: str) -> None:
    """Raise UsageError for a URL whose password PostgreSQL would take for a host: its errors would tell it to clients.

    PostgreSQL ends the password at the first @, and the host at the first slash.
    """
    before = database.partition("://")[2].rpartition("@")[0]
    if is_postgres(database) and ("@" in before or "/" in before):
        raise UsageError("an @ or a slash in a password", shown(database), "write @ as %40 and / as %2F")


def _read_token(file: Path) -> str:
    """Return the secret in *file*, without the end of its line. Raises UsageError if others may read it."""
    try:
        # A named pipe that nobody writes to would block.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as opened:
            os.set_blocking(opened.fileno(), True)
            if os.fstat(opened.fileno()).st_mode & stat.S_IROTH:
                raise UsageError("everybody on this machine may read the token", file, f"chmod o= {file}")
            return opened.read(MAX_TOKEN).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot read the token", file, getattr(error, "strerror", None) or "not UTF-8") from error
