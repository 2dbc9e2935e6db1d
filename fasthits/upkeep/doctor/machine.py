"""Checks of this machine: the user, the configuration, the database and its disk, the pipes."""

import os
import pwd
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

from fasthits.daily.days import ONE_DAY, Range
from fasthits.daily.past.gaps import describe_missing, missing_days
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import exists
from fasthits.daily.targets.opening import STDOUT, open_target
from fasthits.daily.urls import is_postgres, shown
from fasthits.rules.config import read_rules
from fasthits.upkeep.doctor.verdicts import Finding, Setup, Verdict

PIPE_BYTES = 1 << 20
LEAST_FREE_BYTES = 100 << 20
LEAST_FREE_SHARE = 0.01
LOOK_BACK_DAYS = 30
"""The logs of days before that are seldom there."""
CSV_SUFFIX = ".csv"
REPAIR_TARGET = "the user must own the folder: install -d -m 0750 -o USER FOLDER; or name another file with --to"


def user(setup: Setup) -> str:
    """Check which user the checks of files run as."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    if setup.user is None:
        if os.geteuid() == 0:
            text = "files are checked as root, who may read everything"
            raise Finding(text, "name the user that counts with --user, such as --user fasthits", Verdict.WARN)
        return f"this looks at files as {me}"
    try:
        account = pwd.getpwnam(setup.user)
    except (KeyError, ValueError) as error:
        raise Finding(f"no such user: {setup.user}", f"useradd --system --user-group {setup.user}") from error
    if os.geteuid() not in (0, account.pw_uid):
        raise Finding(f"{me} cannot look at files as {setup.user}", "sudo fasthits doctor ...")
    return f"this looks at files as {setup.user}"


def program(setup: Setup) -> str:
    """Say that the user can run this Python and fasthits, as the nightly rollup does."""
    command = [sys.executable, "-c", "import fasthits.cli.rollup, fasthits.daily.counting.count_days"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        lines = done.stderr.strip().splitlines() if done.returncode else []
        reason = lines[-1] if lines else f"exit code {done.returncode}" * bool(done.returncode)
    except OSError as error:
        reason = f"{error.strerror}: {sys.executable}"
    if reason:
        remedy = "install fasthits where every user may read it, after umask 022: python3 -m venv /opt/fasthits"
        raise Finding(f"{setup.user} cannot run fasthits: {reason}", remedy)
    return f"{setup.user} can run {sys.executable}"


def configuration(setup: Setup) -> str:
    """Say that the configuration can be read."""
    read_rules(setup.given, setup.config)
    return f"{setup.config} can be read" if setup.config else "no file, and none is needed"


def database(setup: Setup) -> str:
    """Say that the rollup's target can be written, and that its disk has room."""
    open_target(setup.target).check()
    if setup.target == STDOUT:
        return "standard output"
    if is_postgres(setup.target):
        return f"{shown(setup.target)} can be written"
    target = Path(setup.target)
    disk = os.statvfs(target.absolute().parent)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if (free < LEAST_FREE_BYTES and free < size * LEAST_FREE_SHARE) or free < LEAST_FREE_BYTES // 10:
        text = f"disk nearly full: {free / 2**20:,.0f} MB left for {target}"
        raise Finding(
            text, f"make room on that disk (df -h {target.absolute().parent}), or name another place with --to"
        )
    return f"{target} {'can be written' if target.exists() else 'can be made'}"


def kept_days(setup: Setup, today: date) -> str:
    """Say that the last LOOK_BACK_DAYS are kept, from the first that was kept on."""
    is_there = exists(setup.target)
    if setup.target.endswith((CSV_SUFFIX, "/")) or not is_there:
        return "not looked for in CSV and Parquet" if is_there else "nothing is kept yet"
    days = History(setup.target).days
    if not days:
        return "nothing is kept yet"
    missing = missing_days(days, Range(today - LOOK_BACK_DAYS * ONE_DAY, today - ONE_DAY), today)
    if missing:
        command = f"fasthits rollup {missing[0]}..{missing[-1]} --to {shlex.quote(shown(setup.target))}"
        raise Finding(describe_missing(days[-1], missing), f"while their logs are there: {command}", Verdict.WARN)
    return f"kept up to {days[-1]}, without a gap in the last {LOOK_BACK_DAYS} days"


def pipe_size() -> str:
    """Check that a pipe may be large enough for the lines that Apache writes while the logger is busy."""
    size = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    if size < PIPE_BYTES:
        raise Finding(f"pipes are small: {size:,} bytes", f"sysctl -w fs.pipe-max-size={PIPE_BYTES}")
    return f"up to {size:,} bytes"
