"""What to paste into the configuration of other programs so that they run fasthits: one text for each."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fasthits.errors import UsageError


@dataclass(frozen=True)
class Installation:
    """How fasthits is run here, and with what."""

    program: Sequence[str]
    """The command: the interpreter, an absolute path, and its arguments."""
    user: str
    logs: str
    database: str
    memcached: Sequence[str]
    """Empty for the default."""

    def __post_init__(self) -> None:
        """Refuse what no two of these programs would read alike. Raises UsageError."""
        for word in (*self.program, self.user, self.logs, self.database, *self.memcached):
            if not word or not word.isprintable() or re.search(r"[\"'\\$;`]", word):
                raise UsageError(
                    "not a name for a configuration", repr(word), "no quotes, backslashes, $, ; or ` in it"
                )
        if re.search(r"[*?\[]", self.logs):
            raise UsageError("cronolog writes one file, so not a PATTERN for it", repr(self.logs), "no *, ? or [ in it")

    def log(self) -> list[str]:
        """Return the command of the logger, which becomes the user itself."""
        return [*self.program, "log", "--user", self.user, *self._servers()]

    def rollup(self) -> list[str]:
        """Return the command of the nightly rollup."""
        return [*self.program, "rollup", "--logs", self.logs, "--to", self.database]

    def make_folder(self) -> str:
        """Return the shell command that makes the database's folder, which a rollup does not make."""
        return f"install -d -o {shlex.quote(self.user)} {shlex.quote(os.path.dirname(self.database))}"

    def follow(self) -> str:
        """Return the shell command that counts what nginx logs."""
        logger = [*self.program, "log", *self._servers()]
        return f"tail -n 0 -F /var/log/nginx/access.log | exec {shlex.join(logger)}"

    def _servers(self) -> list[str]:
        return [word for server in self.memcached for word in ("--memcached", server)]


def texts(here: Installation) -> list[str]:
    """Return a text for each program, which begins with a comment that says what it is for and where it goes."""
    return [apache(here), apache_short(here), cron(here), systemd(here), logrotate(here), nginx(here)]


def apache(here: Installation) -> str:
    """Return Apache's lines: one that counts, one that keeps a file a day."""
    return f"""\
# Apache, beside or in place of the CustomLog there is: one line counts live, the other keeps each day for the rollup.
# The shell discards the log while Python cannot start, because Apache stands still when nobody reads it.
{_custom_log_to_logger(here, "combined")}
{_custom_log(["/usr/bin/cronolog", here.logs], "combined")}
"""


def apache_short(here: Installation) -> str:
    """Return Apache's line with a format of its own, which is all that counting needs."""
    return f"""\
# Apache, instead of the first of these lines (with both each hit counts twice): a shorter one for the live counter. No
# address, referer or user agent leaves Apache, and no client can make it long enough to be torn in the pipe (over 4,096
# bytes) but by a path of that length.
LogFormat "%t \\"%r\\" %>s %b" fasthits
{_custom_log_to_logger(here, "fasthits")}
"""


def cron(here: Installation) -> str:
    """Return the line of a crontab for the nightly rollup."""
    command = shlex.join(here.rollup()).replace("%", r"\%")  # cron would make a newline of it
    return f"""\
# cron, in /etc/cron.d/fasthits: the nightly rollup, ten minutes after midnight. {here.user} must be able to read the
# logs (on Debian: adduser {here.user} adm) and to write to the database's folder ({here.make_folder()}).
10 0 * * *  {here.user}  {command}
"""


def systemd(here: Installation) -> str:
    """Return a service and a timer for the nightly rollup."""
    return f"""\
# systemd, instead of cron: the nightly rollup, also after a night in which the machine was off. It needs the database's
# folder, too ({here.make_folder()}).
# /etc/systemd/system/fasthits-rollup.service
[Service]
Type=oneshot
User={here.user}
SupplementaryGroups=adm
ExecStart={_systemd_command(here.rollup())}

# /etc/systemd/system/fasthits-rollup.timer (systemctl enable --now fasthits-rollup.timer)
[Timer]
OnCalendar=*-*-* 00:10:00
Persistent=true
[Install]
WantedBy=timers.target
"""


def logrotate(here: Installation) -> str:
    """Return what keeps the disk from filling with cronolog's files, which logrotate does not know."""
    folder = shlex.quote(re.split("[%*]", here.logs)[0].rpartition("/")[0] or ".")
    name = shlex.quote(re.sub("%.", "*", here.logs.rpartition("/")[2]))
    command = f"find {folder} -name {name} ! -name '*.gz' -mtime +1 -exec gzip {{}} +".replace("%", r"\%")
    return f"""\
# logrotate: nothing to do. It must not touch cronolog's files, which have a name a day; this line of a crontab
# compresses the old ones instead, and the rollup reads them as well. Apache's reload for other logs loses no hit.
40 3 * * *  root  {command}
"""


def nginx(here: Installation) -> str:
    """Return a service that counts from nginx's log file, as nginx has no piped logs."""
    return f"""\
# nginx: a service that follows its log, rotated or not. /etc/systemd/system/fasthits-nginx.service
[Service]
User={here.user}
SupplementaryGroups=adm
ExecStart=/bin/sh -c {_systemd_word(here.follow())}
Restart=always
[Install]
WantedBy=multi-user.target
"""


def _custom_log(command: Sequence[str], log_format: str) -> str:
    """Return Apache's line. Apache itself cuts the command into words; no shell does, and no folder is searched."""
    words = " ".join(f"'{word}'" if " " in word else word for word in command)
    return f'CustomLog "|{words}" {log_format}'


def _custom_log_to_logger(here: Installation, log_format: str) -> str:
    """Return Apache's line for the logger, which reads its pipe even when its Python cannot start.

    A shell ignores what Apache sends to a logger that is to end, and all that it starts inherits that. It asks whether
    Python can import the part of fasthits that supervises the logger. If not it says why and lets ``cat`` discard lines
    for a minute, and asks again; SIGUSR2 is the signal that ``cat`` does not ignore, and ``timeout`` exits with 124.
    After any other exit, such as that at the end of input, ``cat`` reads to the end. Then ``exec`` replaces the shell:
    Apache sees one process, and no two ever read the pipe.

    ``-I`` isolates Python from PYTHONPATH, PYTHONHOME and the user's own packages. Apache unquotes the words of a
    command that begins with ``|$`` before a shell sees them, so the shell is named here.
    """
    python = _shell_word(here.program[0])
    script = (
        'set -f; trap "" TERM HUP INT USR1 PIPE;',
        f'until why=$({python} -I -c "import fasthits.__main__" 2>&1 </dev/null); do',
        "timeout -s USR2 5 echo fasthits: Python cannot start, log lines are discarded: $why >&2;",
        "timeout -s USR2 60 cat >/dev/null; [ $? -eq 124 ] || exec cat >/dev/null; done;",
        f"exec {' '.join(map(_shell_word, here.log()))}",
    )
    text = " \\\n  ".join(line.replace('"', r"\"") for line in script)
    return f"CustomLog \"|/bin/sh -c '{text}'\" {log_format}"


def _shell_word(word: str) -> str:
    """Return *word*, which has no quotes, backslashes, $ or backquotes, as one word of a shell."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{word}"'


def _systemd_command(command: Sequence[str]) -> str:
    return " ".join(map(_systemd_word, command))


def _systemd_word(word: str) -> str:
    word = word.replace("%", "%%")
    return f'"{word}"' if " " in word else word
