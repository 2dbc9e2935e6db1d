"""Logs that logrotate rotates by a clock of the test, and rollups of them."""

import json
import os
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.daily.support import rows_of
from tests.support.commands import fasthits, write

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(1)
EARLY, MIDNIGHT = timedelta(hours=6, minutes=25), timedelta(0)
"""Times of the day at which a log is rotated."""
KEPT = {(str(YESTERDAY), "/kept"): 1}
"""The rows of keep_one_hit."""
DAYS = 16
"""How long the log has been kept."""


def line(path: str, at: datetime) -> bytes:
    """Return a combined line that was logged at a time."""
    return f'192.0.2.7 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'.encode()


def every(minutes: int, first: datetime, last: datetime) -> list[datetime]:
    """Return times from *first* to before *last*."""
    return [first + timedelta(minutes=n) for n in range(0, int((last - first).total_seconds() / 60), minutes)]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


RUN = midnight(TODAY) + timedelta(minutes=10)
"""When the nightly rollup runs; nothing was logged since."""
STAMPS = every(7, midnight(TODAY - timedelta(DAYS)), RUN)
OF_YESTERDAY = sum(at.date() == YESTERDAY for at in STAMPS)


class Rotated:
    """A log that the real logrotate rotates once a day, by a clock of the test. The rollup runs just after *now*."""

    def __init__(self, folder: Path, clock: timedelta, *options: str, name: str = "access.log") -> None:
        self.log = folder / name
        self.log.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o755)
        self._clock = clock
        self._config = folder.parent / f"{folder.name}-{name}.conf"
        words = "\n".join(options or ("rotate 14", "compress", "delaycompress", "notifempty", "create"))
        self._config.write_text(f"{self.log} {{\ndaily\nmissingok\n{words}\n}}\n")

    def write(self, stamps: list[datetime], now: datetime, path: str = "/a") -> "Rotated":
        """Log at these times, and rotate the log every day at the time of the rotation, until *now*."""
        turn = midnight(stamps[0].date()) + self._clock
        for at in stamps:
            while turn <= at:
                self._rotate(turn)
                turn += timedelta(1)
            with self.log.open("ab") as log:
                log.write(line(path, at))
            os.utime(self.log, (at.timestamp(), at.timestamp()))
        while turn <= now:
            self._rotate(turn)
            turn += timedelta(1)
        return self

    def _rotate(self, at: datetime) -> None:
        state = self._config.with_suffix(".state")
        command = ["faketime", f"{at:%Y-%m-%d %H:%M:%S}", "logrotate", "--force", "--state", state, self._config]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"TZ": "UTC", "NO_FAKE_STAT": "1"})
        if self.log.exists():
            os.utime(self.log, (at.timestamp(), at.timestamp()))


def rolled(
    folder: Path, days: str, *options: str | Path
) -> tuple[int, dict[tuple[str, str], int], str, dict[str, object]]:
    """Return the exit code of a rollup, its rows, its messages and its summary."""
    target, summary = folder / "hits.csv", folder / "summary.json"
    done = fasthits("rollup", days, *options, "--to", target, "--summary", summary, TZ="UTC", cwd=folder)
    rows = rows_of(target.read_bytes()) if target.exists() else {}
    return done.returncode, rows, done.stderr.decode(), json.loads(summary.read_text()) if summary.exists() else {}


def keep_one_hit(folder: Path) -> None:
    """Write a target that has a hit of yesterday."""
    write(folder / "hits.csv", f"date,path,views\n{YESTERDAY},/kept,1\n".encode())
