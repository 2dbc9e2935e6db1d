"""The outcome of a check: a verdict, a sentence, and what to type next. A check may run as another user."""

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from fasthits.daily.logs.sources import Patterns
from fasthits.errors import FasthitsError
from fasthits.live import privileges
from fasthits.rules.config import read_rules
from fasthits.rules.rules import Rules


class Verdict(StrEnum):
    """Whether all is well, perhaps not, or not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """The outcome of one check: its name, what it found, and, unless all is well, what to do."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


class Finding(Exception):
    """A problem, and the command or setting that mends it."""

    def __init__(self, text: str, remedy: str, verdict: Verdict = Verdict.FAIL) -> None:
        super().__init__(text, remedy, verdict)
        self.text, self.remedy, self.verdict = text, remedy, verdict


@dataclass
class Setup:
    """What to check."""

    servers: Sequence[str]
    prefix: str
    logs: Patterns
    target: str
    given: Mapping[str, object] = field(default_factory=dict)
    """The options that are rules, by name."""
    config: Path | None = None
    """The config file, if there is one."""
    django_settings: str | None = None
    user: str | None = None
    """The user who will count and roll up: checks of files run as this user."""

    @cached_property
    def rules(self) -> Rules:
        """The rules; the default rules if the config file cannot be read. Another check reports that."""
        try:
            return read_rules(self.given, self.config)
        except FasthitsError:
            return Rules()


def check(name: str, look: Callable[[], str], remedy: str) -> Check:
    """Return the outcome of *look*, which returns a sentence or raises Finding. *remedy* is for other errors."""
    try:
        return Check(name, Verdict.OK, look())
    except Finding as found:
        return Check(name, found.verdict, found.text, found.remedy)
    except FasthitsError as error:
        return Check(name, Verdict.FAIL, str(error), remedy)
    except OSError as error:
        text = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return Check(name, Verdict.FAIL, text, remedy)


def check_as(user: str | None, name: str, look: Callable[[], str], remedy: str) -> Check:
    """Return the outcome of *look*, run in a child process as *user*."""
    if user is None:
        return check(name, look, remedy)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_child(user, write_end, name, look, remedy)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    found: Check = pickle.loads(answer)
    return found


def _run_child(user: str, write_end: int, name: str, look: Callable[[], str], remedy: str) -> None:
    try:
        privileges.become(user)
        found = check(name, look, remedy)
    except BaseException as error:
        text = f"cannot check this as {user}: {type(error).__name__}: {error}"
        found = Check(name, Verdict.FAIL, text, f"sudo -u {user} fasthits doctor, with the same options")
    try:
        with open(write_end, "wb") as pipe:
            pickle.dump(found, pipe)
    finally:
        os._exit(0)
