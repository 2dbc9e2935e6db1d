"""Shared by the tests of doctor: a run of doctor with its result, and logs that it checks."""

import contextlib
import os
import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.commands import fasthits
from tests.support.logger import Logger
from tests.support.processes import fasthits_command
from tests.support.servers import IS_ROOT

PATTERN = "logs/%Y/%m/%d/access.log"
OTHERS_MAY_RUN_PYTHON = all(
    os.stat(folder).st_mode & 1
    for folder in (sys.prefix, *Path(sys.prefix).parents, *Path(os.path.realpath(sys.executable)).parents)
)
"""Not where Python, or the clone, is below a private folder, such as root's own."""
AS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")


class Said(NamedTuple):
    """The result of doctor: its exit code and, by the name of each check, verdict, finding and remedy."""

    code: int
    checks: dict[str, tuple[str, str, str]]

    def failed(self) -> dict[str, str]:
        """Return finding and remedy by the name of each check that failed."""
        failed = {name: found for name, found in self.checks.items() if found[0] == "FAIL"}
        return {name: f"{text} -> {remedy}" for name, (_, text, remedy) in failed.items()}


def line(at: datetime, end: str = ' "GET / HTTP/1.1" 200 5 "-" "M"') -> bytes:
    return f"::1 - - [{at.astimezone():%d/%b/%Y:%H:%M:%S %z}]{end}\n".encode()


def log_of(folder: Path, day: date) -> Path:
    return folder / day.strftime(PATTERN)


COUNTED: set[str] = set()
"""The memcached servers that a logger without further options counts into."""
AT_ONCE = "import fasthits.upkeep.doctor.running; fasthits.upkeep.doctor.running.GROWTH_SECONDS = 0.0"
"""For a doctor whose log does not grow: it does not wait for that."""
PATIENT = "import fasthits.upkeep.doctor.server; fasthits.upkeep.doctor.server.SLOW_SECONDS = 60.0"
"""On a machine that is busy with other tests each answer of memcached is slow."""


def run_doctor(folder: Path, spec: str, *args: str, patch: str = AT_ONCE, **env: str) -> Said:
    """Run doctor; *patch* is Python that changes it."""
    env = {"FASTHITS_LOGS": str(folder / PATTERN)} | env
    done = fasthits("doctor", "--memcached", spec, *args, cwd=folder, patch=f"{PATIENT}; {patch}", **env)
    assert done.stderr == b"", done.stderr
    checks = {}
    for each in done.stdout.decode().splitlines():
        found = re.fullmatch(r"(ok|warn|FAIL) +(.+?): (.*?)(?: -> (.+))?", each)
        assert found, each
        assert found[1] == "ok" or found[4], f"says nothing of what to do: {each}"
        checks[found[2].removesuffix(f" {spec}")] = (found[1], found[3], found[4] or "")
    said = Said(done.returncode, checks)
    assert said.code == bool(said.failed())
    if not OTHERS_MAY_RUN_PYTHON:
        checks.pop("program", None)
    if "both follow" in checks["loggers"][1] and str(folder) not in checks["loggers"][1]:
        checks["loggers"] = ("ok", "another test lets two loggers follow a file", "")
    return said


def doctor(folder: Path, spec: str, *args: str, patch: str = AT_ONCE, **env: str) -> Said:
    """Run doctor while a logger with the same options runs. Otherwise doctor would only find loggers of other tests."""
    taken = [word for word in args if word.startswith("--prefix=")]
    with contextlib.ExitStack() as stack:
        if taken or "FASTHITS_CONFIG" in env or spec not in COUNTED:
            stack.enter_context(Logger(folder, "--memcached", spec, *taken, command=fasthits_command("log"), env=env))
        return run_doctor(folder, spec, *args, patch=patch, **env)


def failing(folder: Path, spec: str, *args: str, patch: str = AT_ONCE, **env: str) -> dict[str, str]:
    return doctor(folder, spec, *args, patch=patch, **env).failed()
