"""Runs `fasthits` as a user does, and makes log lines for it."""

import os
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path

from tests.support.forks import can_be_forked, run_forked
from tests.support.processes import PROJECT

SECONDS = 120.0
"""A command is killed after this time."""


def fasthits(
    *args: str | Path, stdin: bytes = b"", cwd: Path | None = None, first: str = "", patch: str = "", **env: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run ``fasthits`` to its end.

    *first* is Python that runs before anything is imported, *patch* is Python that changes modules of fasthits.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FASTHITS_")}
    path = os.pathsep.join([str(PROJECT), clean.get("PYTHONPATH", "")])
    environment = clean | {"PYTHONPATH": path, "COLUMNS": "200"} | env
    words = list(map(str, args))
    if not first and can_be_forked(env):
        return run_forked(words, stdin, cwd, environment, SECONDS, patch)
    first += f"\n{patch}"
    program = ["-c", f"{first}\nfrom fasthits.__main__ import main; main()"] if first.strip() else ["-m", "fasthits"]
    command = [sys.executable, *program, *words]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment, timeout=SECONDS)


def hit(path: str | bytes, day: date = date(2026, 3, 12), clock: str = "10:00:00", method: str = "GET") -> bytes:
    """Return a combined line with its newline."""
    target = path.encode() if isinstance(path, str) else path
    return _front(day, clock, method) + target + b' HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'


@cache
def _front(day: date, clock: str, method: str) -> bytes:
    return f'192.0.2.7 - - [{day:%d/%b/}{day.year:04}:{clock} +0100] "{method} '.encode()


def write(file: Path, *lines: bytes) -> Path:
    """Write *lines* to *file*, and make its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(lines))
    return file
