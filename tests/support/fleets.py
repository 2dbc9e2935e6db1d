"""Logs of several servers, counted by one machine and by the workers of a fleet."""

import random
from concurrent.futures import Executor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from fasthits.daily.cluster.fleet import Crew, Fleet, slots_of
from fasthits.daily.layouts import hits_layout, referrers_layout, searches_layout
from fasthits.daily.rollup import Summary, roll_up
from fasthits.daily.targets.opening import open_target
from fasthits.rules.rules import Rules
from tests.support.commands import hit, write
from tests.support.packers import PACKERS

DAY = date(2026, 3, 12)
AGENTS = (b"Mozilla/5.0 (X11; Linux x86_64)", b"Googlebot/2.1")
REFERERS = (b"-", b"https://www.google.com/search?q=tea", b"https://example.org/")


def a_log(day: date, lines: int, seed: object) -> bytes:
    """Return lines of a day and of the end of the day before, of all kinds that a log can have."""
    choice = random.Random(f"{seed}")
    text = [hit("/late", day - timedelta(1), "23:59:59")]
    for _ in range(lines):
        path = choice.choice([b"/caf\xe9", b"/caf\xc3\xa9", rb"/caf\xe9", b"/p%d?a=b" % choice.randrange(400)])
        line = hit(path, day, f"{choice.randrange(24):02}:00:00", choice.choice(["GET", "GET", "POST"]))
        line = line.replace(AGENTS[0], choice.choice(AGENTS)).replace(b'"-"', b'"%s"' % choice.choice(REFERERS))
        text.append(line if choice.random() > 0.01 else b"junk %d\n" % choice.randrange(100))
    return b"".join(text)


def write_logs(folder: Path, lines: int = 800) -> Path:
    """Write the logs of five servers and three days. Each server packs its logs in another way."""
    for number, (suffix, pack) in enumerate(PACKERS.items()):
        for day in (DAY - timedelta(1), DAY, DAY + timedelta(1)):
            write(folder / f"web{number}" / f"{day}.log{suffix}", pack(a_log(day, lines, (number, day))))
    return folder


def count_alone(logs: Path | str, target: Path, rules: Rules | None = None, **options: Any) -> Summary:
    rules = rules or Rules()
    layouts = [hits_layout(rules.by_host, rules.bots == "apart")]
    if rules.bots == "apart":
        layouts += [referrers_layout(True, ["example.org"]), searches_layout()]
    keepers = {each.name: each.keep for each in layouts if each.keep}
    table = open_target(str(target), layouts)
    return roll_up([DAY], (f"{logs}/*/%F.log",), table, rules=rules, keepers=keepers, **options)


def count_by(executor: Executor, logs: Path, target: Path, rules: Rules | None = None, **options: Any) -> Summary:
    workers = Fleet(Crew(executor, slots_of(executor), "the pool"), str(target.parent))
    return count_alone(logs, target, rules, fleet=workers, **options)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder; fail if it has anything but files."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def figures(summary: Summary) -> dict[str, object]:
    """Return the figures of a count, without the examples of malformed lines.

    Threads take files in any order, so the examples may come from any file.
    """
    found = summary.counted
    parts = {day: sorted(gaps) for day, gaps in found.parts.items()}
    damaged = sorted(map(str, found.damaged))
    return found._replace(examples=[], any_file="")._asdict() | {"parts": parts, "damaged": damaged}
