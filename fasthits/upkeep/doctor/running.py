"""Checks of the running loggers: whether they count into these counters, and count everything that is logged."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from fasthits._parse import HitTable
from fasthits.daily.days import file_name
from fasthits.errors import FasthitsError, LogFileError
from fasthits.live.causes import warnings_of
from fasthits.live.keys import DEFAULT_PREFIX, DEFAULT_SERVER, hit_key
from fasthits.live.memcached import read_views
from fasthits.live.processes import RunningLogger, find_loggers, shows_all
from fasthits.live.servers import check_servers
from fasthits.live.statistics import PUBLISH_SECONDS, read_figures
from fasthits.rules.compiled import CompiledRules
from fasthits.rules.config import CONFIG
from fasthits.rules.options import OPTIONS
from fasthits.rules.timestamps import detect_format
from fasthits.upkeep.doctor.logs import files_of
from fasthits.upkeep.doctor.verdicts import Finding, Setup, Verdict

GROWTH_SECONDS = 1.0
"""The time to wait for a new line in the log."""
POLL_SECONDS = 0.2
LATE_SECONDS = PUBLISH_SECONDS + 3
"""The time until the figures of a logger have a line that was logged."""
SAMPLE_BYTES = 1 << 18
START = "put the line of fasthits conf into the web server's configuration, then apache2ctl graceful"
GLOBAL_LOG = (
    "a virtual host with a CustomLog of its own does not use that of the server: write GlobalLog instead of CustomLog "
    "(Apache 2.4.19 or newer), or a line in each virtual host"
)


def agree(setup: Setup) -> str:
    """Say that a logger of this machine has these servers, this prefix, these rules and this user."""
    loggers = find_loggers()
    if not (loggers or shows_all()):
        raise Finding("the system hides the processes of other users", "fasthits doctor as root", Verdict.WARN)
    if not loggers:
        raise Finding("no fasthits log runs on this machine", START, Verdict.WARN)
    _check_followers(loggers)
    differing = [(logger, _differences(setup, logger)) for logger in loggers]
    right = [logger for logger, options in differing if not options]
    if right:
        others = f", and {len(loggers) - len(right)} with other options" * (len(right) < len(loggers))
        return f"{len(right)} with these options (process {', '.join(str(each.pid) for each in right)}){others}"
    logger, options = min(differing, key=lambda each: len(each[1]))
    text = f"a logger runs with other options than these (process {logger.pid})"
    raise Finding(text, f"fasthits doctor {' '.join(options)}")


def _check_followers(loggers: Sequence[RunningLogger]) -> None:
    """Raise Finding when two loggers follow the same file into the same counters."""
    followers: dict[tuple[str, ...], int] = {}
    for logger in loggers:
        options = logger.options()
        for pattern in options.get("follow", []):
            file = str(_absolute(logger, pattern))
            first = followers.setdefault((file, *options.get("prefix", []), *options.get("memcached", [])), logger.pid)
            if first != logger.pid:
                text = f"processes {first} and {logger.pid} both follow {file}, so each line counts twice"
                raise Finding(text, f"stop one of them: kill {logger.pid}")


def _differences(setup: Setup, logger: RunningLogger) -> list[str]:
    """Return the options with which doctor would agree with a logger."""
    options = logger.options()
    found = []
    servers: Sequence[str] = options.get("memcached") or [logger.environ.get("FASTHITS_MEMCACHED") or DEFAULT_SERVER]
    with suppress(FasthitsError):  # an invalid name is shown unchanged
        servers = check_servers(servers)
    if set(servers) != set(setup.servers):
        found.append(f"--memcached {shlex.quote(','.join(servers))}")
    prefix = (options.get("prefix") or [DEFAULT_PREFIX])[-1]
    if prefix != setup.prefix:
        found.append(f"--prefix {shlex.quote(prefix)}")
    config = _config_of(logger)
    if config != setup.config:
        found.append(f"--config {shlex.quote(str(config or os.devnull))}")
    user = (options.get("user") or [""])[-1]
    if user and setup.user and user != setup.user:
        found.append(f"--user {shlex.quote(user)}")
    for name, option in OPTIONS.items():
        values, given = options.get(name, []), setup.given.get(name)
        if option.kind is bool:
            if bool(values) != bool(given):
                found.append(f"--{name}" if values else f"--no-{name}")
        elif values and values != (list(given) if isinstance(given, list) else [given]):
            found += [f"--{name} {shlex.quote(value)}" for value in values]
    return found


def _config_of(logger: RunningLogger) -> Path | None:
    named = (logger.options().get("config") or [logger.environ.get("FASTHITS_CONFIG", "")])[-1]
    if named:
        return _absolute(logger, named)
    return CONFIG if CONFIG.exists() else None


def _absolute(logger: RunningLogger, name: str) -> Path:
    try:
        return Path(os.readlink(f"/proc/{logger.pid}/cwd"), name)
    except OSError:  # it has ended, or belongs to another user
        return Path(name)


def told(setup: Setup) -> str:
    """Say that no logger lost hits or warned today."""
    figures = read_figures(setup.servers, setup.prefix)
    if warned := warnings_of(figures):
        raise Finding("; ".join(each.text for each in warned), "; ".join(each.remedy for each in warned), Verdict.WARN)
    lines, hits, malformed = (figures[name] for name in ("lines", "hits", "malformed"))
    return f"no warning today; {lines:,} lines read, {hits:,} hits, {malformed:,} malformed"


def counted(setup: Setup, today: date) -> str:
    """Say that new lines of today's log appear in the counters and in the figures."""
    names = [each.name for each in files_of(setup, today)]
    if not names:
        raise LogFileError("no log of today", ", ".join(file_name(pattern, today) for pattern in setup.logs))
    before, sizes = read_figures(setup.servers, setup.prefix)["lines"], _sizes(names)
    give_up_at = time.monotonic() + GROWTH_SECONDS
    while (grown := _grown(names, sizes)) is None:
        if time.monotonic() > give_up_at:
            return f"nothing was logged for {GROWTH_SECONDS:.0f} s; {before:,} lines counted today"
        time.sleep(POLL_SECONDS)
    give_up_at = time.monotonic() + LATE_SECONDS
    keys = _keys_of(setup, grown[0], grown[1], today)
    while True:
        missing = [key for key in keys if key not in read_views(setup.servers, keys)]
        lines = read_figures(setup.servers, setup.prefix)["lines"]
        if lines > before and not missing:
            return f"lines of {grown[0]} are counted, {lines:,} today"
        if time.monotonic() > give_up_at:
            what = f"there is no counter {missing[0]}" if missing else f"the loggers' !lines stays {lines:,}"
            raise Finding(f"{grown[0]} grows, but it is not counted: {what}", GLOBAL_LOG if find_loggers() else START)
        time.sleep(POLL_SECONDS)


def _sizes(names: Sequence[str]) -> dict[str, int]:
    return {name: os.stat(name).st_size for name in names}


def _grown(names: Sequence[str], before: dict[str, int]) -> tuple[str, int] | None:
    """Return the name and the former size of a file that has grown, if any."""
    now = _sizes(names)
    return next(((name, before[name]) for name in names if now[name] > before[name]), None)


def _keys_of(setup: Setup, name: str, start: int, today: date) -> list[str]:
    """Return the keys of today's hits in a log from byte *start*."""
    compiled = CompiledRules(setup.rules.live)
    with open(name, "rb") as file:
        log_format = detect_format(file.read(SAMPLE_BYTES).split(b"\n"), compiled)
        file.seek(start)
        text = file.read(SAMPLE_BYTES)
    hit_table = HitTable(rules=compiled.line_rules(log_format))
    hit_table.feed(text[: text.rfind(b"\n") + 1])
    hit_table.finish()
    paths = {compiled.final_path(key) for day, key, _ in hit_table.rows() if day == today}
    return [hit_key(today, path, setup.prefix) for path in paths if path]
