"""``fasthits log``: the piped logger."""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated

import typer

from fasthits.cli.options import Prefix, Ttl, check_seconds, takes_rules, takes_servers
from fasthits.errors import MemcachedError
from fasthits.keys import DEFAULT_PREFIX, DEFAULT_TTL_SECONDS, check_prefix
from fasthits.rules import Rules
from fasthits.supervisor import Throttle, say

NEEDED = (
    *("fasthits.config", "fasthits.memcached", "fasthits.piped", "fasthits.privileges", "fasthits.selection"),
    *("fasthits.agents", "fasthits.jsonlines", "hashlib", "tomllib"),
)
"""The modules that a logger may use at any time, and what these use."""


def preload() -> None:
    """Import all that a logger may ever need."""
    for name in NEEDED:
        import_module(name)
    with suppress(ImportError):  # it is an extra
        import_module("orjson")


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
    check: Annotated[
        bool,
        typer.Option("--check", help="Tell whether a logger with these arguments would work, and end. Reads no input."),
    ] = False,
) -> Callable[[int], None] | None:
    """Count log lines from standard input into memcached, as Apache's piped logger.

    `fasthits conf` prints the line for Apache's configuration. Before each reload of Apache, `fasthits log --check`
    with the options of that line tells whether they work.

    The logger reads until its input ends, because Apache waits when nobody reads. When it cannot count, because of a
    mistake in the options or in fasthits.toml for example, it discards lines, says why, and tries again every five
    seconds. SIGTERM, SIGINT, SIGHUP and SIGWINCH do not end it, because at a restart Apache sends SIGTERM while it
    still writes. Messages go to standard error, which is Apache's error log, one a minute for each cause; SIGUSR1 asks
    for one with the figures so far. With --bots apart no bots count here.
    """
    from fasthits import privileges
    from fasthits.backlog import FreshBacklog
    from fasthits.memcached import CounterStore
    from fasthits.piped import Reader
    from fasthits.selection import Selection

    check_prefix(prefix)
    selection = Selection(rules.live)
    FreshBacklog(selection)  # raises what its format lacks, while this process may still be root
    if user is not None:
        privileges.become(user)
    if check:
        _check_servers(servers, prefix)
        typer.echo(f"ok: counts into {', '.join(servers)}" + (f" as {user}" if user else ""))
        return None

    report = Throttle(say)

    def count(discarded: int) -> None:
        reader = Reader(
            0,
            lambda watch: CounterStore(servers, prefix, ttl, watch),
            say,
            max_paths,
            drain_timeout,
            selection,
            report,
            discarded,
        )
        signal.signal(signal.SIGUSR1, lambda *_: reader.ask_status())
        try:
            reader.run()
        finally:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            reader.close()

    return count


def _check_servers(servers: Sequence[str], prefix: str) -> None:
    """Warn of each server that does not answer: hits would wait for it."""
    from fasthits.memcached import read_views

    for server in servers:
        try:
            read_views([server], [f"{prefix}check"])
        except MemcachedError as error:
            say(f"warning: {error}; hits wait until it does")
