"""What tests of `fasthits conf` share: its output, and commands run as cron runs them."""

import subprocess
from pathlib import Path

from fasthits.daily.days import DEFAULT_LOGS
from tests.support.commands import fasthits
from tests.support.servers import IS_ROOT

USER = "www-data" if IS_ROOT else "nobody"


def conf(*args: str) -> str:
    """Return the output of `fasthits conf`. Logs of this machine do not change it."""
    done = fasthits("conf", *args, FASTHITS_LOGS=DEFAULT_LOGS)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def run_as_cron(command: str, home: Path) -> tuple[int, str]:
    """Run a command as cron does, and return its exit code and what cron would mail."""
    environment = {"HOME": str(home), "LOGNAME": USER, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, cwd=home, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
