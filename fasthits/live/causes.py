"""Why numbers may be wrong: the causes of loggers' warnings, each with its meaning and what to do.

A logger prints its warnings to standard error, where they may be lost (with ``ErrorLog syslog:`` that is /dev/null). So
it also counts them in memcached, with one counter for each cause and day. These hold no text from a log.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fasthits.display import counted


class Cause(NamedTuple):
    """The event, in words that follow "a logger", and what to do."""

    text: str
    remedy: str


OTHER = "other"
"""The cause of a warning that has no name here."""

CAUSES: Mapping[str, Cause] = {
    "malformed": Cause(
        "could not read most of its lines",
        "give it the format of its log with --format; fasthits explain shows what it makes of a line",
    ),
    "methods": Cause(
        "found no HTTP method in most of its lines",
        "give it the format of its log with --format; fasthits explain shows what it makes of a line",
    ),
    "filtered": Cause(
        "left out all of its lines by one rule",
        "change the rule, if the site has visitors; fasthits explain shows why a line does not count",
    ),
    "format": Cause(
        "counts lines that lack what its rules look at",
        "log as combined, with the virtual host as vhost_combined, or leave the rule out",
    ),
    "offset": Cause(
        "counts lines whose times have another offset than its machine, so days begin at another midnight",
        "set the same TZ for the web server and for fasthits",
    ),
    "packed": Cause(
        "was told to follow a compressed file",
        "name the file that the server writes; fasthits rollup reads compressed files",
    ),
    "unreachable": Cause(
        "could not reach memcached",
        "start memcached, or name another with --memcached; hits wait until then",
    ),
    "stalled": Cause(
        "waited for memcached for a long time",
        "look at memcached's machine and the network to it; hits wait until then",
    ),
    "doubt": Cause(
        "got no clear answer whether hits were counted",
        "look at the proxy in front of memcached; repair the counters: fasthits warm",
    ),
    "lost": Cause(
        "lost its connection to memcached before the answer came",
        "repair the counters: fasthits warm",
    ),
    "gone": Cause(
        "found that memcached had lost counters of the day",
        "if memcached is full, raise its -m in /etc/memcached.conf; then repair the counters: fasthits warm",
    ),
    "full": Cause(
        "found no room in memcached for new counters",
        "give memcached more memory: -m in /etc/memcached.conf",
    ),
    "mark": Cause(
        "could not keep its place in memcached, so that lines could count twice after a kill",
        "give memcached more memory: -m in /etc/memcached.conf, or a larger -I if it is set there",
    ),
    "refused": Cause(
        "met a key in memcached that is not a counter",
        "something else uses these keys: use another --prefix everywhere",
    ),
    "paths": Cause(
        "dropped hits, because too many paths waited for memcached",
        "raise --max-paths, then repair the counters: fasthits warm",
    ),
    "memory": Cause(
        "ran out of memory and lost lines",
        "give the machine more memory, then repair the counters: fasthits warm",
    ),
    "courier": Cause(
        "lost its helper process and started another",
        "look for the out-of-memory killer in the system's log: journalctl -k",
    ),
    "missing": Cause(
        "was told to follow a log that did not exist when it started",
        "correct the name after --follow, unless the log has appeared since",
    ),
    "rotated": Cause(
        "does not follow a log that is named like a rotated file of another",
        "name it, too: --follow FILE",
    ),
    "unreadable": Cause(
        "could not read a log file that it follows",
        "add the follower's user to the file's group, often adm",
    ),
    "special": Cause(
        "was told to follow a folder, a pipe or a device instead of a log file",
        "name the log file with --follow FILE",
    ),
    "truncated": Cause(
        "found a log file truncated and no copy of it",
        "let logrotate rename logs, without copytruncate; repair the counters: fasthits warm",
    ),
    "state": Cause(
        "could not write the state file of the logs that it follows",
        "make room on the disk of the state file",
    ),
    OTHER: Cause(
        "warned of something else",
        "read the web server's error log",
    ),
}
"""By the warning's name in the logger. Hits in doubt, refused or dropped, and discarded lines have figures of their own
instead: see LOSSES."""

LOSSES: Mapping[str, Cause] = {
    "in doubt": Cause("hits may have been counted or not", "repair the counters: fasthits warm"),
    "refused": Cause("hits were refused by memcached", "use another --prefix everywhere"),
    "dropped": Cause(
        "hits were dropped: too many paths waited", "raise --max-paths; repair the counters: fasthits warm"
    ),
    "discarded": Cause(
        "lines were discarded while a logger could not count",
        "fasthits log --check with the logger's options says why; repair the counters: fasthits warm",
    ),
}
"""The figures of loggers that mean a loss."""


NO_LOGGER = "no logger has counted a line today: fasthits doctor"
"""Why there are no counters at all."""


class Warned(NamedTuple):
    """A cause or a loss in today's figures of the loggers, and what to do."""

    cause: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text} ({self.remedy})"


def warning_figure(cause: str) -> str:
    """Return the name of the figure that counts the warnings of a cause."""
    return f"warning {cause if cause in CAUSES else OTHER}"


def warnings_of(figures: Mapping[str, int]) -> list[Warned]:
    """Return the losses and the warnings in the figures of the loggers."""
    losses = [
        Warned(name, f"{number:,} {text}", remedy)
        for name, (text, remedy) in LOSSES.items()
        if (number := figures.get(name, 0))
    ]
    warnings = [
        Warned(cause, f"a logger {text}: {counted(times, 'warning')} today", remedy)
        for cause, (text, remedy) in CAUSES.items()
        if (times := figures.get(warning_figure(cause), 0))
    ]
    return losses + warnings
