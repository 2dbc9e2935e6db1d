"""Checks of memcached: whether it answers, keeps counters, and counts."""

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from itertools import chain
from secrets import token_hex
from statistics import median
from typing import NamedTuple

from fasthits.errors import MemcachedError
from fasthits.live.connections import ANSWER_SECONDS, REACH, Connector
from fasthits.live.keys import hit_key
from fasthits.live.memcached import CounterStore, read_as_django, server_stats, server_version
from fasthits.upkeep.doctor.verdicts import Finding, Verdict

ROUND_TRIPS = 20
SLOW_SECONDS = 0.05
EVICTION_SECONDS = 0.5
"""The time to watch for evictions."""
DAY_SECONDS = 26 * 3600
"""The life of a counter."""
SMALL_BYTES = 400
"""No counter is larger: a key of up to 250 bytes, a number, and memcached's header."""
TRIAL_PREFIX = "fasthits-doctor:"
TRIAL_SECONDS = 60
START = "systemctl start memcached, or name another with --memcached"
REMEDIES = {"cannot reach memcached": START, "memcached does not answer": "systemctl restart memcached"}
"""Advice for errors that have a reason only. It is also more exact than REACH."""
TRIAL_REMEDIES = {"full": "give memcached more memory with -m", "lost": REMEDIES["memcached does not answer"]}
"""Advice by the kind of problem that a delivery had."""
CONNECTIONS = 10
"""The number of connections to each address of a server, to find out whether another memcached answers."""
ONE_EACH = "name each memcached by an address of its own, with --memcached HOST1:PORT,HOST2:PORT"
PLAIN = "name the port of memcached's text protocol: --memcached HOST:PORT"


def reach(server: str) -> str:
    """Say the version of memcached, and how fast it answers."""
    try:
        version = server_version(server)
    except MemcachedError as error:
        because = f" ({error.reason})" * bool(error.reason)
        advice = REMEDIES.get(error.failed, START) if error.hint in ("", REACH) else error.hint
        raise Finding(f"{error.failed}: {error.subject}{because}", advice) from error
    seconds = []
    for _ in range(ROUND_TRIPS):
        started = time.perf_counter()
        server_version(server)
        seconds.append(time.perf_counter() - started)
    took = f"{median(seconds) * 1000:.1f} ms to connect and ask"
    if median(seconds) > SLOW_SECONDS:
        raise Finding(f"slow: {took}", "run memcached on this machine or nearer to it, and name it with --memcached")
    return f"memcached {version}, {took}"


class Losses(NamedTuple):
    """The items as small as counters that a server has lost; memcached manages the memory of each size separately."""

    evicted: int
    """Removed to make room for others."""
    refused: int
    """Not stored, because there was no memory."""
    unused: int
    """Seconds for which an evicted item had been unused: the shortest of all sizes."""


def keeps(server: str) -> str:
    """Say that the server has not removed counters to make room, as far as its statistics tell."""
    stats = _numbers(server)
    if "evictions" not in stats:
        text = "no statistics, as behind a proxy (mcrouter, twemproxy): evictions cannot be seen"
        raise Finding(text, "run fasthits doctor with --memcached for each memcached behind the proxy", Verdict.WARN)
    before = _losses(server)
    time.sleep(EVICTION_SECONDS)
    losses = _losses(server)
    megabytes = stats["limit_maxbytes"] >> 20
    remedy = f"give memcached more memory: -m {max(64, megabytes * 2)} in /etc/memcached.conf, then restart it"
    since = f"in the {_duration(stats['uptime'])} since memcached started"
    if now := losses.evicted - before.evicted:
        text = f"memcached evicts: {now:,} items as small as counters within {EVICTION_SECONDS} s"
        raise Finding(text, remedy)
    if losses.refused:
        text = f"memcached was full: it refused {losses.refused:,} items as small as counters {since}"
        raise Finding(text, remedy)
    if losses.evicted and losses.unused < DAY_SECONDS:
        text = f"memcached was full: it removed {losses.evicted:,} items as small as counters {since}"
        raise Finding(f"{text}; some had been unused for only {_duration(losses.unused)}", remedy)
    used = f"{stats['bytes'] / 2**20:,.0f} of {megabytes:,} MB used"
    return f"no counter, {stats['evictions']:,} of all items {since}; {used}"


def counts(servers: Sequence[str], today: date) -> str:
    """Say that a new counter reads back as an int, as Django needs it, over each connection."""
    for each in servers:
        _check_is_one(each, today)
    key = _count(servers, today, b"/")
    value = read_as_django(servers, key)
    if type(value) is not int:
        raise Finding(f"a counter does not read back as an int: {value!r}", PLAIN)
    return f"Django's cache would read {key} as the int {value}"


def _count(servers: Sequence[str], today: date, path: bytes) -> str:
    """Count a hit of *path* on trial, and return its key. Raises Finding."""
    with closing(CounterStore(servers, TRIAL_PREFIX, TRIAL_SECONDS)) as store:
        for kind, problem in store.add_views([(today, path, 1)]).problems.items():
            raise Finding(problem, TRIAL_REMEDIES.get(kind, START))
    return hit_key(today, path, TRIAL_PREFIX)


def _check_is_one(server: str, today: date) -> None:
    """Raise Finding if connections to *server* lead to several memcacheds, as each of them has counters of its own.

    A name may have the addresses of several, and a load balancer chooses one for each connection.
    """
    key = _count([server], today, b"/" + token_hex(8).encode())  # no run before has made this counter in another one
    for channel in chain(*(Connector(server).connect_to_each() for _ in range(CONNECTIONS))):
        with closing(channel):
            reply, _ = channel.ask(f"get {key}\r\n".encode("ascii"), ANSWER_SECONDS)
        if reply == b"END\r\n":
            text = f"{server} leads to several memcacheds: a new counter is missing over another connection"
            raise Finding(text, ONE_EACH)


def _losses(server: str) -> Losses:
    chunks = {
        name[: -len(":chunk_size")]: size for name, size in _numbers(server, "slabs").items() if "chunk_s" in name
    }
    small = [f"items:{number}:" for number, size in chunks.items() if size <= SMALL_BYTES]
    items = _numbers(server, "items")
    evicted = {each: items.get(f"{each}evicted", 0) for each in small}
    unused = [items[f"{each}evicted_time"] for each in small if evicted[each]]
    refused = sum(items.get(f"{each}outofmemory", 0) for each in small)
    return Losses(sum(evicted.values()), refused, min(unused, default=0))


def _numbers(server: str, which: str = "") -> dict[str, int]:
    """Return the numbers in a server's statistics; empty for a proxy, which does not know the command."""
    try:
        stats = server_stats(server, which)
    except MemcachedError:
        return {}
    return {name: int(value) for name, value in stats.items() if value.isdigit()}


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
