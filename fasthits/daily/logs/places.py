"""The usual places of logs: Apache's and nginx's on Debian, Ubuntu, RHEL and Fedora."""

import glob
import re
from collections.abc import Sequence
from datetime import date

from fasthits.daily.days import DEFAULT_LOGS
from fasthits.daily.logs import logfiles
from fasthits.daily.logs.extents import earliest_start
from fasthits.daily.logs.sources import Patterns
from fasthits.errors import LogFileError, UsageError

USUAL_LOGS = (
    "/var/log/apache2/access.log*",
    "/var/log/apache2/other_vhosts_access.log*",
    "/var/log/httpd/access_log*",
    "/var/log/httpd/ssl_access_log*",
    "/var/log/nginx/access.log*",
)
"""PATTERNs of logs that logrotate rotates."""


def find_usual_logs(root: str = "") -> list[str]:
    """Return the PATTERNs of the usual places below the folder *root* that have a log.

    If cronolog keeps a folder for each day there, that is only `DEFAULT_LOGS`. Raises LogFileError for a folder that
    this user may not list.
    """
    digits = re.sub("%.", lambda field: "[0-9]" * (4 if field[0] == "%Y" else 2), DEFAULT_LOGS)
    if glob.glob(f"{glob.escape(root)}{digits}*"):
        return [root + DEFAULT_LOGS]
    return [root + pattern for pattern in USUAL_LOGS if any(each.size for each in logfiles.find(root + pattern))]


def choose_logs(days: Sequence[date], root: str = "") -> Patterns:
    """Return the PATTERN of the log in a usual place that can have lines of *days*.

    Raises LogFileError if there is no log in the usual places, UsageError if several logs can have such lines.
    """
    found = find_usual_logs(root)
    if not found:
        hint = "name yours with --logs PATTERN or FASTHITS_LOGS; this user must be able to read it"
        raise LogFileError("no log with lines in the usual places", ", ".join([DEFAULT_LOGS, *USUAL_LOGS]), hint)
    if len(found) > 1:
        bound = earliest_start(days[0])
        found = [pattern for pattern in found if _last_written(pattern) >= bound] or found
    if len(found) > 1:
        command = " ".join(f"--logs '{pattern}'" for pattern in found)
        raise UsageError("several logs may have lines of these days", ", ".join(found), f"name one, or all: {command}")
    return (found[0],)


def _last_written(pattern: str) -> float:
    return max(each.modified for each in logfiles.find(pattern) if each.size)
