"""Checks everything that fasthits needs, in order, each with a verdict and what to type next."""

from collections.abc import Iterator
from datetime import date
from functools import partial

from fasthits.daily.urls import is_url
from fasthits.upkeep.doctor import logs, machine, running, server, site
from fasthits.upkeep.doctor.verdicts import Check, Setup, Verdict, check, check_as

__all__ = ["Check", "Setup", "Verdict", "examine"]


def examine(setup: Setup, today: date) -> Iterator[Check]:
    """Yield the outcome of each check, in order. Checks of files and sockets run as the user of *setup*.

    Without memcached there are no checks of its content.
    """
    user = check("user", partial(machine.user, setup), "")
    yield user
    other = setup.user if user.verdict is Verdict.OK else None
    look = partial(check_as, other)
    _ = setup.rules  # read them and import their modules now: the other user may not be able to
    if other:
        yield look("program", partial(machine.program, setup), "")
    named = f"chmod a+r {setup.config}; fasthits doctor --config FILE names another"
    yield look("config file", partial(machine.config_file, setup), f"mend the file or its permissions: {named}")
    reachable = True
    for each in setup.servers:
        reached = look(f"memcached {each}", partial(server.reach, each), server.START)
        reachable &= reached.verdict is Verdict.OK
        yield reached
        if reached.verdict is Verdict.OK:
            yield check(f"evictions {each}", partial(server.keeps, each), server.START)
    if reachable:
        yield check("counters are ints", partial(server.counts, setup.servers, today), server.START)
    if setup.django_settings:
        yield check("Django's cache", partial(site.finds_counters, setup), server.START)
        yield check("Django's time zone", partial(site.same_today, setup), server.START)
    yield check("loggers", partial(running.agree, setup), running.START)
    if reachable:
        yield check("warnings", partial(running.told, setup), server.START)
        yield look("log is counted", partial(running.counted, setup, today), logs.NAME_LOGS)
    yield look("yesterday's log", partial(logs.found, setup, today), logs.NAME_LOGS)
    yield look("log format", partial(logs.parsed, setup, today), logs.NAME_LOGS)
    yield look("clock and time zone", partial(logs.clock, setup, today), logs.NAME_LOGS)
    repair = machine.REPAIR_SERVER if is_url(setup.target) else machine.REPAIR_FILE
    database = look("database", partial(machine.database, setup), repair)
    yield database
    if database.verdict is Verdict.OK:
        yield look("kept days", partial(machine.kept_days, setup, today), repair)
    yield check("pipe size", machine.pipe_size, "")
