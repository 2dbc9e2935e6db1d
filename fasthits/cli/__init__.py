"""The command line. It turns options into library calls, and results into output and exit codes. It counts nothing.

- a module for each command, or for two commands that are alike; commands: the list of all
- plain: reads most command lines; app, command, declare, options: the command line as typer reads it
- advice, completion: help while typing; output, tables, keyboard: the terminal
"""

import gc
import os
import time
from collections.abc import Callable, Sequence
from functools import cache

from fasthits.cli.output import errors_told, print_version, say
from fasthits.cli.plain import read_plainly

_NAMES = ("CLUSTER", "CONFIG", "LOGS", "MEMCACHED", "SERVER", "TLS_CA", "TLS_CERT", "TLS_KEY", "TO", "TOKEN")
VARIABLES = {f"FASTHITS_{name}" for name in _NAMES}
"""The environment variables that commands read."""


def run(arguments: Sequence[str]) -> None:
    """Run a command line. Exits with the command's exit code unless it is 0."""
    with errors_told():
        if list(arguments) == ["--version"]:
            print_version()
            return
        _warn_of_environment()
        if command := read_plainly(arguments):
            gc.freeze()
            gc.enable()
            command()
            return
    from fasthits.cli.app import app

    app(list(arguments), prog_name="fasthits")


def prepare_logger(arguments: Sequence[str]) -> Callable[[int], None] | int:
    """Return the function that counts as the arguments of ``fasthits log`` say, or an exit code if all is done.

    Raises FasthitsError, and for wrong usage a UsageError.
    """
    _warn_of_environment()
    if command := read_plainly(arguments):
        result = command()
    else:
        from fasthits.cli.app import RAISE, app

        result = app(list(arguments), prog_name="fasthits", standalone_mode=False, obj=RAISE)
    return result if callable(result) else int(result or 0)


@cache
def _warn_of_environment() -> None:
    """Say that a variable such as FASTHITS_MEMCACHE is not read, and that TZ is no time zone."""
    for name in os.environ:
        if name.startswith("FASTHITS_") and name not in VARIABLES:  # Kubernetes makes variables of other names
            from difflib import get_close_matches

            if near := get_close_matches(name.removeprefix("FASTHITS_"), _NAMES, 1, 0.8):
                say(f"warning: no command reads the variable {name} (did you mean FASTHITS_{near[0]}?)")
    if (zone := os.environ.get("TZ")) and not (time.timezone or time.daylight or _is_utc(zone)):
        hint = "such as Europe/Berlin; in a container, install the package tzdata"
        say(f"warning: TZ is no time zone of this machine, so its days are those of UTC: {zone!a} ({hint})")


def _is_utc(zone: str) -> bool:
    """Tell whether a TZ that has the times of UTC means that: the C library takes an unknown time zone for UTC."""
    import re

    name = zone.removeprefix(":")
    rule = r"(Etc/)?(UTC|UCT|GMT|Zulu|Universal|Greenwich)|(<[^>]+>|[A-Za-z]{3,})[-+]?0+(:0+)*"
    zones = os.environ.get("TZDIR", "/usr/share/zoneinfo")
    return not name or os.path.isfile(os.path.join(zones, name)) or re.fullmatch(rule, name) is not None
