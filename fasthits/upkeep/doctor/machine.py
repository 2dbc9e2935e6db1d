"""Checks of this machine: the user, the config file, the database and its disk, the pipes."""

import os
import pwd
import shlex
import subprocess
import sys
from datetime import date
from itertools import product
from pathlib import Path

from fasthits.daily.days import ONE_DAY, Range
from fasthits.daily.layouts import hits_layout
from fasthits.daily.partials import is_partial
from fasthits.daily.partials.target import check_partial
from fasthits.daily.past.gaps import describe_missing, missing_days
from fasthits.daily.past.history import History
from fasthits.daily.past.opening import exists
from fasthits.daily.targets.opening import STDOUT, open_target
from fasthits.daily.urls import is_url, shown
from fasthits.errors import ForeignFileError, TableError, UsageError
from fasthits.rules.config import read_rules
from fasthits.upkeep.doctor.verdicts import Finding, Setup, Verdict

PIPE_BYTES = 1 << 20
LEAST_FREE_BYTES = 100 << 20
LEAST_FREE_SHARE = 0.01
LOOK_BACK_DAYS = 30
"""The logs of days before that are seldom there."""
REPAIR_FILE = (
    "name another file with --to; if the folder is missing, or the user may not write there: "
    "install -d -m 0750 -o USER FOLDER"
)
REPAIR_SERVER = "start the server, or correct its name or the user's rights there; or name another database with --to"


def user(setup: Setup) -> str:
    """Check which user the checks of files run as."""
    me = _name_of(os.geteuid())
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


def _name_of(uid: int) -> str:
    """Return a user's name, or the number of a user without an account, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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


def config_file(setup: Setup) -> str:
    """Say that the config file can be read."""
    read_rules(setup.given, setup.config)
    return f"{setup.config} can be read" if setup.config else "no file, and none is needed"


def database(setup: Setup) -> str:
    """Say that the rollup's target can be written, and that its disk has room."""
    if is_partial(setup.target):
        check_partial(Path(setup.target))
    else:
        try:
            _check_target(setup)
        except (UsageError, ForeignFileError) as error:
            because = f" ({error.reason})" * bool(error.reason)
            raise Finding(f"{error.failed}: {error.subject}{because}", error.hint) from error
    if setup.target == STDOUT:
        return "standard output"
    if is_url(setup.target):
        return f"{shown(setup.target)} can be written"
    file = Path(setup.target)
    disk = os.statvfs(file.absolute().parent)
    free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if (free < LEAST_FREE_BYTES and free < size * LEAST_FREE_SHARE) or free < LEAST_FREE_BYTES // 10:
        text = f"disk nearly full: {free / 2**20:,.0f} MB left for {file}"
        raise Finding(text, f"make room on that disk (df -h {file.absolute().parent}), or name another place with --to")
    return f"{file} {'can be written' if file.exists() else 'can be made'}"


def _check_target(setup: Setup) -> None:
    """Raise TableError if no rollup can write the target, with these options or with others.

    The rollup may have other options than the logger, such as no --by-host.
    """
    errors = []
    given = (setup.rules.by_host, setup.rules.bots == "apart")
    for by_host, apart in dict.fromkeys([given, *product((False, True), repeat=2)]):
        try:
            open_target(setup.target, [hits_layout(by_host, apart)]).check()
            return
        except TableError as error:
            errors.append(error)
            if error.__cause__:  # the file or the server has failed, whatever the columns
                break
    raise errors[0]


def kept_days(setup: Setup, today: date) -> str:
    """Say that the last LOOK_BACK_DAYS are kept, from the first that was kept on."""
    if setup.target.endswith((".csv", "/")) or is_partial(setup.target):
        return "not looked for in CSV, Parquet and partials"
    if not exists(setup.target):
        return "nothing is kept yet"
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
