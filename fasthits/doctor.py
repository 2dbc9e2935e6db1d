"""Whether all that fasthits needs is in place: checks in order, each with a verdict and what to do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

from fasthits import logfiles
from fasthits._parse import HitCounter
from fasthits.config import CONFIG
from fasthits.days import ONE_DAY, file_name
from fasthits.errors import FasthitsError
from fasthits.explain import read_fields
from fasthits.formats import NAMES, Format
from fasthits.jsonlines import combined_lines
from fasthits.keys import hit_key
from fasthits.logfiles import LogFile, Segment
from fasthits.memcached import CounterStore, read_as_django, server_stats
from fasthits.rules import Rules
from fasthits.selection import ASSUMED, Selection
from fasthits.servers import check_servers
from fasthits.tables import open_table

ROUND_TRIPS = 20
SLOW_SECONDS = 0.05
EVICTION_SECONDS = 1.0
"""How long evictions are watched for."""
TRIAL_PREFIX = "fasthits-doctor:"
TRIAL_SECONDS = 60
SAMPLE_BYTES = 1 << 18
SAMPLE_LINES = 1000
PARSED_SHARE = 0.9
PIPE_BYTES = 1 << 20
AHEAD = timedelta(minutes=1)
"""How far a log may be ahead of this machine's clock."""

_APACHE_TIME = "%d/%b/%Y:%H:%M:%S %z"
_PARTS = {"epoch": 1, "epoch_ms": 10**3, "epoch_us": 10**6}
"""How many parts a second has."""

_DJANGO = """
import json
from django.conf import settings
from django.core.cache import caches
backend = settings.CACHES["default"]["BACKEND"]
location = settings.CACHES["default"].get("LOCATION", "")
servers = location if isinstance(location, (list, tuple)) else [location]
print(json.dumps([backend, list(servers), caches["default"].make_key("2026-03-12/")]))
"""


@dataclass(frozen=True)
class Check:
    """The outcome of one check: what was looked at, whether it is well, and what was found or is to be done."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Setup:
    """What is to be checked."""

    servers: Sequence[str]
    prefix: str
    logs: str
    target: str
    rules: Rules
    django_settings: str | None = None


def examine(setup: Setup, today: date) -> Iterator[Check]:
    """Yield the outcome of each check, in order; those of memcached end with a server that cannot be reached."""
    reachable = True
    for server in setup.servers:
        check = _check(f"memcached {server}", partial(_reach, server))
        reachable &= check.ok
        yield check
    if reachable:
        yield _check("evictions", partial(_evictions, setup.servers))
        yield _check("counters are ints", partial(_integers, setup.servers, today))
    if setup.django_settings:
        yield _check("key prefix", partial(_django, setup))
    yesterday = today - ONE_DAY
    yield _check("yesterday's log", partial(_find_log, setup.logs, yesterday))
    yield _check("log format", partial(_log_format, setup, yesterday))
    yield _check("database", partial(_database, setup.target))
    yield _check("pipe size", _pipe_size)
    yield _check("clock and time zone", partial(_clock, setup, today))


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except FasthitsError as error:
        return Check(name, False, str(error))


def _reach(server: str) -> str:
    version = server_stats(server)["version"]
    seconds = []
    for _ in range(ROUND_TRIPS):
        started = time.perf_counter()
        server_stats(server)
        seconds.append(time.perf_counter() - started)
    took = f"{median(seconds) * 1000:.1f} ms to connect and ask"
    if median(seconds) > SLOW_SECONDS:
        raise FasthitsError("slow", took, "run memcached on this machine, or nearer to it")
    return f"memcached {version}, {took}"


def _evictions(servers: Sequence[str]) -> str:
    def evicted() -> int:
        return sum(int(server_stats(server)["evictions"]) for server in servers)

    before = evicted()
    time.sleep(EVICTION_SECONDS)
    after = evicted()
    if after > before:
        subject = f"{after - before:,} items within {EVICTION_SECONDS:.0f} s"
        raise FasthitsError("memcached evicts", subject, "counters may be among them: give it more memory with -m")
    return f"none now, {after:,} since memcached started"


def _integers(servers: Sequence[str], today: date) -> str:
    store = CounterStore(servers, TRIAL_PREFIX, TRIAL_SECONDS)
    key = hit_key(today, b"/", TRIAL_PREFIX)
    for problem in store.add_views([(today, b"/", 1)]).problems.values():
        raise FasthitsError("cannot count", problem, "give memcached room")
    value = read_as_django(servers, key)
    if type(value) is not int:
        raise FasthitsError("a counter does not read back as an int", repr(value), "is this really memcached?")
    return f"Django's cache would read {key} as the int {value}"


def _django(setup: Setup) -> str:
    module = setup.django_settings or ""
    done = subprocess.run(
        [sys.executable, "-c", _DJANGO],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": module},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed no error"])[-1]
        raise FasthitsError("cannot read Django's settings", module, last)
    backend, servers, key = json.loads(done.stdout.splitlines()[-1])
    if "memcached" not in backend.lower():
        raise FasthitsError("Django's default cache is not memcached", backend, "set CACHES to PyMemcacheCache")
    if key != hit_key(date(2026, 3, 12), b"/", setup.prefix):
        expected = key.partition("2026-03-12")[0]
        raise FasthitsError("Django's keys have another prefix", expected, f"use --prefix {expected!r} everywhere")
    if set(check_servers(servers)) != set(setup.servers):
        hint = "name the same servers with --memcached"
        raise FasthitsError("Django looks for counters elsewhere", ", ".join(servers), hint)
    return f"{module} finds its counters under {setup.prefix}"


def _find_log(pattern: str, day: date) -> str:
    found = _logs_of(pattern, day)
    lines = _sample(found[0])
    if not lines:
        raise FasthitsError("log file is empty", found[0].name, "does Apache write to it?")
    return ", ".join(each.name for each in found)


def _log_format(setup: Setup, day: date) -> str:
    lines = _sample(_logs_of(setup.logs, day)[0])
    selection = Selection(setup.rules)
    form = _form_of(lines, selection)
    counter = HitCounter(rules=selection.line_rules(form))
    taking = selection.lines_into(counter, form)
    taking.feed(b"\n".join(lines))
    taking.finish()
    parsed = counter.lines - counter.malformed
    if parsed < len(lines) * PARSED_SHARE or not parsed:
        subject = f"{len(lines) - parsed} of the first {len(lines)} lines"
        hint = f"write format = into {CONFIG}, or use combined; fasthits conf shows how"
        raise FasthitsError("no format that fasthits knows", subject, hint)
    selection.check(form)
    return f"{form.name}, {parsed} of {len(lines)} lines parse"


def _database(target: str) -> str:
    open_table(target).check()
    there = Path(target).exists()
    return f"{target} {'can be written' if there else 'can be made'}"


def _pipe_size() -> str:
    size = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    if size < PIPE_BYTES:
        raise FasthitsError("pipes are small", f"{size:,} bytes", f"sysctl fs.pipe-max-size={PIPE_BYTES}")
    return f"up to {size:,} bytes"


def _clock(setup: Setup, today: date) -> str:
    files = logfiles.find(file_name(setup.logs, today)) or _logs_of(setup.logs, today - ONE_DAY)
    stamp = _last_time(_sample(files[-1], at_end=True), Selection(setup.rules))
    if not stamp:
        raise FasthitsError("no line to read the time from", files[-1].name, "does Apache write to it?")
    here = stamp.astimezone()
    if stamp.utcoffset() != here.utcoffset():
        subject = f"{stamp:%z} in the log, {here:%z} here"
        raise FasthitsError("different time zones", subject, "today and yesterday are this machine's: set TZ alike")
    if stamp > datetime.now().astimezone() + AHEAD:
        raise FasthitsError("the log is ahead of this machine's clock", stamp, "set one of the clocks")
    return f"{here:%z} in both, last line at {stamp:%Y-%m-%d %H:%M:%S}"


def _form_of(lines: list[bytes], selection: Selection) -> Format:
    return selection.detect(b"\n".join([*lines, b""])) or ASSUMED


def _last_time(lines: list[bytes], selection: Selection) -> datetime | None:
    """Return the time of the last line that has one; a time without a zone is this machine's."""
    form = _form_of(lines, selection)
    if not form.parts:
        lines = list(map(combined_lines(selection.rules.json_fields), lines))
        form = NAMES["vhost_combined"]
    field = form.field("time")
    for line in reversed(lines):
        fields, stopped = read_fields(line, form)
        if field and field.time_format and not stopped:
            with suppress(ValueError, OverflowError, OSError):  # a torn line: the one before it will do
                stamp = _read_time(dict(fields)["time"].decode("ascii"), field.time_format)
                return stamp if stamp.tzinfo else stamp.astimezone()
    return None


def _read_time(text: str, time_format: str) -> datetime:
    """Return the time that *text* is; raise ValueError, OverflowError or OSError if it is none."""
    if time_format.startswith("epoch"):
        return datetime.fromtimestamp(float(text) / _PARTS[time_format])
    if time_format == "iso8601":
        return datetime.fromisoformat(text)
    # It takes a space for a zero, too, but does not know %e.
    return datetime.strptime(text, _APACHE_TIME if time_format == "apache" else time_format.replace("%e", "%d"))


def _logs_of(pattern: str, day: date) -> list[LogFile]:
    found = logfiles.find(file_name(pattern, day))
    if not found:
        raise FasthitsError("no log file", file_name(pattern, day), "name another with --logs, or wait for tomorrow")
    return found


def _sample(log_file: LogFile, at_end: bool = False) -> list[bytes]:
    """Return some lines of a log file: the first, or the last ones of a plain file."""
    segments = log_file.segments() or [Segment(log_file, 0, 0)]
    at_end &= segments[-1].stop is not None
    text = b""
    for block in segments[-1 if at_end else 0].blocks(bytearray(SAMPLE_BYTES), lambda size: None):
        text = bytes(block)
        if not at_end:
            break
    lines = text.splitlines()
    return lines[-SAMPLE_LINES:] if at_end else lines[:SAMPLE_LINES]
