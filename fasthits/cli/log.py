"""``fasthits log``: the piped logger."""

import os
import signal
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

from fasthits.cli.declare import Option
from fasthits.cli.options import Prefix, Ttl, check_seconds, takes_rules, takes_servers
from fasthits.cli.output import echo
from fasthits.daily.urls import is_url, without_password
from fasthits.display import discard_output, printable
from fasthits.errors import FasthitsError, MemcachedError, UsageError
from fasthits.live.keys import DEFAULT_PREFIX, DEFAULT_TTL_SECONDS, check_prefix
from fasthits.live.supervisor import Throttle, say
from fasthits.rules.rules import Rules

if TYPE_CHECKING:
    from fasthits.live.follow.follower import Follower
    from fasthits.rules.compiled import CompiledRules

NEEDED = (
    *("fasthits.live.memcached", "fasthits.live.privileges", "fasthits.live.reader"),
    *("fasthits.rules.bots", "fasthits.rules.config", "fasthits.formats.jsonlines", "fasthits.rules.compiled"),
    *("hashlib", "json", "tomllib"),
)
"""The modules that a logger may need later."""


def preload() -> None:
    """Import everything that a logger may need."""
    for name in NEEDED:
        import_module(name)


@takes_rules
@takes_servers
def log(
    rules: Rules,
    servers: list[str],
    user: Annotated[
        str | None,
        Option(metavar="NAME", help="Become this user before reading anything. Apache starts its loggers as root."),
    ] = None,
    prefix: Prefix = DEFAULT_PREFIX,
    ttl: Ttl = DEFAULT_TTL_SECONDS,
    max_paths: Annotated[
        int,
        Option(
            metavar="N",
            min=1,
            help="Most paths to hold while memcached is down. Hits of further paths are dropped and reported.",
        ),
    ] = 1_000_000,
    drain_timeout: Annotated[
        float,
        Option(
            min=0,
            callback=check_seconds,
            metavar="SECONDS",
            help="Seconds to keep delivering after the log has ended.",
        ),
    ] = 5.0,
    follow: Annotated[
        list[str] | None,
        Option(
            metavar="FILE",
            help="Count the lines of this log file instead of standard input, over rotation and restarts, until "
            "SIGTERM. Can be repeated; * stands for several files.",
        ),
    ] = None,
    state: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="File in which --follow saves how far it has counted. "
            "Default: follow.state in systemd's StateDirectory, or in /var/lib/fasthits.",
        ),
    ] = None,
    check: Annotated[
        bool,
        Option("--check", help="Check whether a logger with these options would work, and exit. Reads no input."),
    ] = False,
) -> Callable[[int], None] | None:
    """Count log lines into memcached: from standard input, as Apache's piped logger, or from log files.

    `fasthits conf` prints the line for Apache's configuration. Before each reload of Apache, check the options of that
    line with `fasthits log --check`.

    The logger reads until its input ends, because Apache hangs if nobody reads. If the logger cannot count, for
    example because of a mistake in the options or in fasthits.toml, it reports why, discards lines, and tries again
    every five seconds. It ignores SIGTERM, because at a restart Apache sends it and goes on writing; and all other
    signals but SIGKILL that would end it. Messages go to standard error, which is Apache's error log, at most one a
    minute for each cause. On SIGUSR1 the logger prints its figures. With --bots apart the live counters do not count
    bots.

    For nginx and other servers that write files, use --follow. It counts each line once, even over rotation, restarts
    and kills. SIGTERM ends it:

    \b
        fasthits log --follow /var/log/nginx/access.log
    """
    from fasthits.live import privileges
    from fasthits.live.backlog import FreshBacklog
    from fasthits.live.memcached import CounterStore
    from fasthits.live.reader import Reader
    from fasthits.rules.compiled import CompiledRules

    if follow:
        from fasthits.live.follow.follower import Follower
        from fasthits.live.follow.positions import check_patterns, check_place, read_state, state_path

        for url in filter(is_url, follow):
            hint = "a follower reads files of its own machine; fasthits rollup --logs also reads those of stores"
            raise UsageError("not a file to follow", without_password(url), hint)
    check_prefix(prefix)
    if state is not None and not follow:
        raise UsageError("--state is for --follow", state, "name the log file with --follow FILE")
    compiled = CompiledRules(rules.live)
    FreshBacklog(compiled)  # raises UsageError if the format lacks a field, while this process may still be root
    if user is not None:
        privileges.become(user)
    if check:
        if follow:
            patterns = check_patterns(follow)
            check_place(state_path(state))
            read_state(state_path(state), patterns)
            _check_files(patterns, compiled)
        _check_servers(servers, prefix)
        _confirm(f"ok: counts into {', '.join(servers)}" + (f" as {user}" if user else ""))
        return None

    if follow:
        follower = Follower(follow, state_path(state), servers, prefix, ttl, say, max_paths, drain_timeout, compiled)
        return lambda _: _follow(follower)

    if os.isatty(0):
        say("reading log lines from this terminal: Ctrl-D ends; for a log file: fasthits log --follow FILE")
    report = Throttle(say)

    def count(discarded: int) -> None:
        reader = Reader(
            0,
            lambda watch: CounterStore(servers, prefix, ttl, watch),
            say,
            max_paths,
            drain_timeout,
            compiled,
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


def _follow(follower: "Follower") -> None:
    """Follow until SIGTERM or SIGINT. A follower is a service, unlike a piped logger."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: follower.stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: follower.ask_status())
    follower.run()


def _check_files(patterns: Sequence[str], compiled: "CompiledRules") -> None:
    """Warn of log files that are missing or cannot be read, for which the follower would wait, or whose last lines it
    could not count."""
    from fasthits.live.follow.files import Files
    from fasthits.live.follow.open_files import OpenFiles
    from fasthits.live.misfits import misfit_of

    def ignore(_: str) -> None:
        pass

    warn = Throttle(lambda text: say(f"warning: {text}"))
    opened = OpenFiles(ignore, warn)
    Files(patterns, opened, ignore, warn).look()
    for tail in opened.tails.values():
        if misfit := misfit_of(tail.lines_before(), compiled):
            warn(f"misfit {tail.path}", f"{tail.path}: {misfit}")
    opened.close()


def _confirm(text: str) -> None:
    """Print *text*. Raises FasthitsError, because the supervisor does not know the faults of standard output."""
    try:
        echo(printable(text))
    except OSError as error:
        discard_output()
        raise FasthitsError("cannot write", "standard output", error.strerror or "") from error


def _check_servers(servers: Sequence[str], prefix: str) -> None:
    """Warn of each server that does not answer. Hits would wait for it."""
    from fasthits.live.memcached import read_views

    for server in servers:
        try:
            read_views([server], [f"{prefix}check"])
        except MemcachedError as error:
            say(f"warning: {error}; hits wait until it answers")
