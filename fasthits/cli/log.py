"""``fasthits log``: the piped logger."""

import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from fasthits.cli.options import Prefix, Ttl, check_seconds, takes_rules, takes_servers
from fasthits.display import printable
from fasthits.errors import UsageError
from fasthits.keys import DEFAULT_PREFIX, DEFAULT_TTL_SECONDS, check_prefix
from fasthits.rules import Rules

if TYPE_CHECKING:
    from fasthits.follower import Follower


@takes_rules
@takes_servers
def log(
    rules: Rules,
    servers: list[str],
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Become this user before anything is read. Apache starts its loggers as root."
        ),
    ] = None,
    prefix: Prefix = DEFAULT_PREFIX,
    ttl: Ttl = DEFAULT_TTL_SECONDS,
    max_paths: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="How many paths may wait for a memcached that is away; hits of further ones are dropped and reported.",
        ),
    ] = 1_000_000,
    drain_timeout: Annotated[
        float,
        typer.Option(
            min=0,
            callback=check_seconds,
            metavar="SECONDS",
            help="How long to go on delivering when the log has ended and memcached is away.",
        ),
    ] = 5.0,
    follow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Count from this log file instead of standard input, over rotation and restarts, until SIGTERM. "
            "Give it once for each file, or with * for several.",
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File in which --follow remembers how far it has counted. "
            "Default: follow.state in systemd's StateDirectory, or in /var/lib/fasthits.",
        ),
    ] = None,
) -> None:
    """Count log lines into memcached: from standard input, as Apache's piped logger, or from log files.

    In Apache's configuration, with the absolute path that `command -v fasthits` prints:

    \b
        CustomLog "|/usr/bin/fasthits log --user www-data" combined

    It goes on until its input ends. SIGTERM, SIGINT, SIGHUP and SIGWINCH do not end it, because at a restart Apache
    sends SIGTERM while it still writes. Messages go to standard error, which is Apache's error log, one a minute for
    each cause; SIGUSR1 asks for one with the figures so far. With --bots apart no bots count here.

    For nginx and others that write files:

    \b
        fasthits log --follow /var/log/nginx/access.log --user fasthits

    Each line counts once, over rotation and restarts. SIGTERM ends it.
    """
    from fasthits import privileges
    from fasthits.follower import Follower
    from fasthits.memcached import CounterStore
    from fasthits.piped import Reader
    from fasthits.positions import state_path
    from fasthits.selection import Selection

    check_prefix(prefix)
    if state is not None and not follow:
        raise UsageError("--state is for --follow", state, "name the log file with --follow FILE")
    selection = Selection(rules.live)
    if user is not None:
        privileges.become(user)
    if follow:
        _follow(
            Follower(
                follow,
                state_path(state),
                servers,
                prefix,
                ttl,
                _say_unless_blocked,
                max_paths,
                drain_timeout,
                selection,
            )
        )
        return
    reader = Reader(
        0,
        lambda watch: CounterStore(servers, prefix, ttl, watch),
        _say_unless_blocked,
        max_paths,
        drain_timeout,
        selection,
    )
    signal.signal(signal.SIGUSR1, lambda *_: reader.ask_status())
    reader.run()


def _follow(follower: "Follower") -> None:
    """Follow until SIGTERM or SIGINT: unlike a piped logger, a follower is a service."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: follower.stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: follower.ask_status())
    follower.run()


def _say_unless_blocked(message: str) -> None:
    """Print a line on stderr, but not if that would mean to wait for whoever reads it, nor if it is full or gone."""
    if select.select([], [2], [], 0)[1]:
        with suppress(OSError):
            os.write(2, f"fasthits: {printable(message)}\n".encode())
