"""The loggers that run on this machine, found in /proc."""

import os
import pwd
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PROCESSES = Path("/proc")


class RunningLogger(NamedTuple):
    """A running ``fasthits log``: the process that reads, and how it was started."""

    pid: int
    user: str
    """The user's name, or number if it has no name."""
    words: Sequence[str]
    """The arguments after ``log``."""
    environ: Mapping[str, str]
    """Empty if this process may not read it."""

    def options(self) -> dict[str, list[str]]:
        """Return the values of each option by its name without dashes; an option without a value has ``""``."""
        values = defaultdict(list)
        name = ""
        for word in self.words:
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                values[name].append(value)
                name = "" if equals else name
            elif name:
                values[name][-1] = word
                name = ""
        return dict(values)


def count_loggers() -> int | None:
    """Return the number of ``fasthits log`` that run here; a logger and its courier count as one.

    None if the system hides processes: nobody knows.
    """
    return len(find_loggers()) if shows_all() else None


def shows_all() -> bool:
    """Tell whether /proc shows the processes of all users: `hidepid` and systemd's ProtectProc= hide them."""
    return os.access(PROCESSES / "1" / "cmdline", os.R_OK)


def find_loggers() -> list[RunningLogger]:
    """Return all ``fasthits log`` that run here; a logger and its courier count as one."""
    words = {int(each.name): _words_of(each) for each in PROCESSES.iterdir() if each.name.isdigit()}
    loggers = {pid: found for pid, found in words.items() if found is not None}
    outer = [pid for pid in loggers if _parent(PROCESSES / str(pid)) not in loggers]
    return [
        RunningLogger(pid, _user_of(PROCESSES / str(pid)), loggers[pid] or [], _environ_of(PROCESSES / str(pid)))
        for pid in sorted(outer)
    ]


def _words_of(process: Path) -> list[str] | None:
    """Return the arguments after ``fasthits log``; None for another program."""
    try:
        words = [os.fsdecode(word) for word in (process / "cmdline").read_bytes().split(b"\0")]
    except OSError:  # it has ended
        return None
    for at, (word, following) in enumerate(pairwise(words)):
        if os.path.basename(word) == "fasthits" and following == "log":
            return words[at + 2 : -1]
    return None


def _environ_of(process: Path) -> dict[str, str]:
    try:
        words = (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or belongs to another user
        return {}
    pairs = (os.fsdecode(word).partition("=") for word in words)
    return {name: value for name, _, value in pairs if name.startswith("FASTHITS_")}


def _user_of(process: Path) -> str:
    try:
        uid = process.stat().st_uid
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    except OSError:
        return "?"


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0
