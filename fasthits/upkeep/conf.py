"""What to paste into the configuration of other programs so that they run fasthits: one text for each."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fasthits.daily.days import DEFAULT_LOGS, has_date
from fasthits.errors import UsageError
from fasthits.upkeep.units import follow_units, rollup_units, serve_units


@dataclass(frozen=True)
class Installation:
    """How fasthits is run here, and with what."""

    program: Sequence[str]
    """The command: the interpreter, an absolute path, and its arguments."""
    user: str
    logs: Sequence[str]
    """PATTERNs of the log: one with a date, which cronolog is to write, or others, which logrotate keeps."""
    database: str
    servers: Sequence[str]
    """The options that tell where memcached is; none for the default."""
    followed: str
    """The log of a server without piped logs."""

    def __post_init__(self) -> None:
        """Refuse what no two of these programs would read alike. Raises UsageError."""
        for word in (*self.program, self.user, *self.logs, self.database, *self.servers, self.followed):
            if not word or not word.isprintable() or re.search(r"[\"'\\$;`]", word):
                raise UsageError(
                    "not a name for a configuration", repr(word), "no quotes, backslashes, $, ; or ` in it"
                )
        if re.search(r"[*?\[%]", self.followed):
            raise UsageError("not one log file", repr(self.followed), "no *, ?, [ or % in it")
        if any(map(has_date, self.logs)) and (len(self.logs) > 1 or re.search(r"[*?\[]", self.logs[0])):
            raise UsageError("cronolog writes one file", ", ".join(self.logs), "name one PATTERN without *, ? or [")

    def log(self, *options: str) -> list[str]:
        """Return the command of the logger, which becomes the user itself."""
        return [*self.program, "log", "--user", self.user, *self.servers, *options]

    def follow(self) -> list[str]:
        """Return the command that counts what nginx logs; systemd starts it as the user."""
        return [*self.program, "log", "--follow", self.followed, *self.servers]

    def rollup(self, *logs: str) -> list[str]:
        """Return the command of the nightly rollup, of *logs* if they are given."""
        named = [word for pattern in logs or self.logs for word in ("--logs", pattern)]
        return [*self.program, "rollup", "--quiet", *named, "--to", self.database]

    def serve(self) -> list[str]:
        """Return the command of the web page."""
        return [*self.program, "serve", "--database", self.database, *self.servers]

    @property
    def uses_cronolog(self) -> bool:
        """Whether cronolog is to write the log."""
        return has_date(self.logs[0])

    @property
    def log_folders(self) -> list[str]:
        """The folders in which all logs are."""
        named = [*(re.split(r"[%*?\[]", pattern)[0] for pattern in self.logs), self.followed]
        return list(dict.fromkeys(name.rpartition("/")[0] or "/" for name in named))

    @property
    def database_folder(self) -> str:
        """The folder of the database, which a rollup does not make."""
        return os.path.dirname(self.database)


def choose_logs(found: Sequence[str]) -> list[str]:
    """Return the PATTERNs to roll up where these logs were found in the usual places: nginx's only without Apache's.

    With both, nginx is often in front of Apache, and each hit is in both logs.
    """
    apache = [pattern for pattern in found if "/nginx/" not in pattern]
    return apache or list(found) or [DEFAULT_LOGS]


def texts(here: Installation) -> list[str]:
    """Return a text for each program, which begins with a comment that says what it is for and where it goes."""
    return [
        *(account(here), apache(here), apache_short(here), apache_hosts(here), cron(here), systemd(here)),
        *(logrotate(here), nginx(here), page(here)),
    ]


def account(here: Installation) -> str:
    """Return the shell commands that make the user: it may read the logs, write the database, and nothing else."""
    user = shlex.quote(here.user)
    folders = " ".join(map(shlex.quote, here.log_folders))
    return f"""\
# Once, as root: a user that may read the logs and write the database, and nothing else. It does not join a group:
# Debian's adm may read all logs, and on RHEL no group may read Apache's. setfacl is in the package acl. Other users who
# read the database, such as Django's, join the new group: usermod -aG {here.user} www-data
# With SELinux (RHEL) Apache's loggers also need: setsebool -P httpd_can_network_memcache on
id -u {user} >/dev/null 2>&1 || useradd --system --user-group --no-create-home -d / -s /usr/sbin/nologin {user}
install -d -m 0750 -o {user} -g "$(id -gn {user})" {shlex.quote(here.database_folder)}
for folder in {folders}; do
  [ ! -d "$folder" ] || setfacl -R -m u:{user}:rX,d:u:{user}:rX "$folder"
done
"""


def apache(here: Installation) -> str:
    """Return Apache's lines: one that counts and, with cronolog, one that keeps a file a day."""
    purpose, keeping = "beside the CustomLog there is, which keeps the log for the rollup: this line counts live.", ""
    if here.uses_cronolog:
        purpose = "beside or in place of the CustomLog there is: one line counts live, the other keeps each day."
        keeping = _log_to_pipe([_CRONOLOG, *here.logs], "combined") + "\n"
    return f"""\
# Apache, {purpose}
# A virtual host with a CustomLog of its own does not use those of the server: write GlobalLog for CustomLog then.
# The shell discards the log while Python cannot start, because Apache stands still when nobody reads it.
{_log_to_logger(here, "combined")}
{keeping}"""


def apache_short(here: Installation) -> str:
    """Return Apache's line with a format of its own, which is all that counting needs."""
    return f"""\
# Apache, instead of the first of these lines (with both each hit counts twice): a shorter one for the live counter. No
# address, referer or user agent leaves Apache, and no client can make it long enough to be torn in the pipe (over 4,096
# bytes) but by a path of that length.
LogFormat "%t \\"%r\\" %>s %b" fasthits
{_log_to_logger(here, "fasthits")}
"""


def apache_hosts(here: Installation) -> str:
    """Return Apache's line for all virtual hosts together."""
    return f"""\
# Apache with many virtual hosts, instead of a CustomLog in each (Apache 2.4.19 or newer): one logger counts all hosts,
# separately under //HOST/PATH. 50 virtual hosts take 990 MB with a logger each, and 22 MB with this one.
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
{_log_to_logger(here, "vhost_combined", "--by-host", directive="GlobalLog")}
"""


def cron(here: Installation) -> str:
    """Return the line of a crontab for the nightly rollup."""
    command = shlex.join(here.rollup()).replace("%", r"\%")  # cron would make a newline of it
    return f"""\
# cron, in /etc/cron.d/fasthits: the nightly rollup, ten minutes after midnight. It prints only what needs attention,
# which cron mails.
10 0 * * *  {here.user}  umask 027; {command}
"""


def systemd(here: Installation) -> str:
    """Return a service and a timer for the nightly rollup."""
    units = rollup_units(here.user, here.rollup(), here.database_folder)
    return f"""\
# systemd, instead of cron: the nightly rollup, also after a night in which the machine was off.
{units}"""


def logrotate(here: Installation) -> str:
    """Return what keeps the disk from filling: logrotate does not know cronolog's files."""
    if not here.uses_cronolog:
        return """\
# logrotate: nothing to do. The rollup reads the files that logrotate has rotated, compressed or not. Apache's reload
# loses no hit.
"""
    folder = shlex.quote(here.log_folders[0])
    name = shlex.quote(re.sub("%.", "*", here.logs[0].rpartition("/")[2]))
    command = f"find {folder} -name {name} ! -name '*.gz' -mtime +1 -exec gzip {{}} +".replace("%", r"\%")
    return f"""\
# logrotate: nothing to do. It must not touch cronolog's files, which have a name a day; this line of a crontab
# compresses the old ones instead, and the rollup reads them as well. Apache's reload for other logs loses no hit.
40 3 * * *  root  {command}
"""


def nginx(here: Installation) -> str:
    """Return a service that counts from nginx's log file, as nginx has no piped logs."""
    units = follow_units(here.user, here.follow(), here.database_folder)
    rotated = f"{here.followed}*"
    rollup = f" Its nightly rollup, in place of the one above:\n# {shlex.join(here.rollup(rotated))}"
    return f"""\
# nginx: a service that follows its log, rotated or not.{rollup * (rotated not in here.logs)}
{units}"""


def page(here: Installation) -> str:
    """Return a service for the web page."""
    units = serve_units(here.user, here.serve(), here.database_folder)
    return f"""\
# The web page, on this machine only (http://127.0.0.1:8000/); fasthits serve --help tells how to open it to others.
{units}"""


_CRONOLOG = "/usr/bin/cronolog"


def _log_to_pipe(command: Sequence[str], log_format: str) -> str:
    """Return Apache's line. Apache itself cuts the command into words; no shell does, and no folder is searched."""
    words = " ".join(f"'{word}'" if " " in word else word for word in command)
    return f'CustomLog "|{words}" {log_format}'


def _log_to_logger(here: Installation, log_format: str, *options: str, directive: str = "CustomLog") -> str:
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
        f"exec {' '.join(map(_shell_word, here.log(*options)))}",
    )
    text = " \\\n  ".join(line.replace('"', r"\"") for line in script)
    return f"{directive} \"|/bin/sh -c '{text}'\" {log_format}"


def _shell_word(word: str) -> str:
    """Return *word*, which has no quotes, backslashes, $ or backquotes, as one word of a shell."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{word}"'
