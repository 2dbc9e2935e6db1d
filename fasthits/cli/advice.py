"""What to type after a mistake: for names that other programs and commands have, and for words too many or missing."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from fasthits.cli.commands import COMMANDS
from fasthits.daily.days import name_logs

_DAYS = ("day", "days", "--date")
_TARGET = ("--to", "--csv")
_DATABASE = ("--database", "--to")
_LOGS = ("log_file", "--logs", "--follow")
_PATHS = ("paths", "section")
_BOTS = ("--exclude-bots",)

OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("--since", "--from", "--until", "--start", "--end", "--date", "--day", "--days", "--month", "--year"), _DAYS
    ),
    **dict.fromkeys(("--output", "--out", "-o"), _TARGET),
    **dict.fromkeys(("--db", "--database", "--to"), _DATABASE),
    **dict.fromkeys(("--log", "--logs", "--file", "--input", "--logfile", "--log-file", "-f"), _LOGS),
    **dict.fromkeys(("--path", "--paths", "--page", "--url", "--section"), _PATHS),
    **dict.fromkeys(("--bind", "--listen", "--address"), ("--host",)),
    **dict.fromkeys(("--server", "--servers", "--cache", "--host"), ("--memcached",)),
    **dict.fromkeys(("-n", "--top", "--number", "--count", "--max"), ("--limit",)),
    **dict.fromkeys(("--no-bots", "--ignore-bots", "--skip-bots", "--without-bots"), _BOTS),
    **dict.fromkeys(("--force", "--overwrite"), ("--replace",)),
    **dict.fromkeys(("--workers", "--jobs", "-j"), ("--threads",)),
    **dict.fromkeys(("-v", "-V"), ("--version",)),
    "--last": ("--days",),
    "--memory": ("--max-memory",),
    "--log-format": ("--format",),
    "-p": ("--port",),
    "-q": ("--quiet",),
}
"""Options of other programs and commands, and the arguments or options to suggest. The first that a command has counts.
"""

ARGUMENTS = {
    "day": "give the day as an argument: 2026-03-12",
    "days": "give the days as an argument: 2026-03-12, or 2026-03-01..2026-03-12",
    "log_file": "give the log file as an argument: access.log",
    "paths": "give the path as an argument: /news/",
    "section": "give the section as an argument: '/news/*'",
}

OTHER_COMMANDS = {
    **dict.fromkeys(("import", "count"), "rollup"),
    **dict.fromkeys(("watch", "live"), "top"),
    **dict.fromkeys(("follow", "tail"), "log --follow"),
    **dict.fromkeys(("status", "health"), "doctor"),
    "web": "serve",
    "version": "--version",
}
"""Commands that people may expect, and what to suggest for each."""

MISSING = {
    "today": "for example fasthits today / /news/; for all paths fasthits top --once",
    "merge": "for example fasthits merge web1.hits web2.hits",
    "explain": "for example fasthits explain access.log",
}
"""What to type if a command has too few arguments."""

SURPLUS = {"conf": "type only fasthits conf: it prints the lines for Apache and for nginx"}
"""What to say if a command has too many arguments that look like nothing known."""


def advise_option(name: str, known: Collection[str]) -> str | None:
    """Return what to type in place of an option that a command has not; None if nobody knows.

    *known* are the options and the arguments of the command.
    """
    if meant := next((each for each in OPTIONS.get(name, ()) if each in known), None):
        return ARGUMENTS.get(meant, f"did you mean {meant}?")
    alike = [each for each in known if each.startswith("--no-") <= name.startswith("--no-")]
    words = {each.removeprefix("--"): each for each in alike if each.startswith("--")}
    near = get_close_matches(name.lstrip("-"), words, 1)
    return f"did you mean {words[near[0]]}?" if near else None


def advise_command(name: str) -> str:
    """Return what to type in place of a command that does not exist."""
    near = OTHER_COMMANDS.get(name) or next(iter(get_close_matches(name, COMMANDS, 1)), None)
    return f"did you mean {near}?" if near else "fasthits --help lists the commands"


def advise_words(words: str, known: Collection[str]) -> str | None:
    """Return what to type in place of arguments that are too many; None if nobody knows."""
    first = next(iter(words.split()), None)
    if first is None:
        return "it is empty; is a variable of the shell not set?"
    # A word processor, a chat or a web page makes a dash of two hyphens.
    if found := re.match("[\u2013\u2014\u2212]-?", first):
        return f"did you mean --{first[found.end() :]}?"
    if re.match(r"[\d-]+$", first) and "days" in known:
        return "days are one argument: 2026-03-01..2026-03-12"
    if re.search(r"\.(db|sqlite3?)$|^postgresql:", first) and "--database" in known:
        return f"name the database with --database {first}"
    if re.search(r"[./*]", first) and "--follow" in known:
        return f"name a log file with --follow {first}"
    if re.search(r"[./*]", first) and "--logs" in known:
        return name_logs(first)
    return None
