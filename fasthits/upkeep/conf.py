"""Snippets for the configuration of other programs, so that they run fasthits: one text for each program."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fasthits.daily.days import DEFAULT_LOGS, has_date
from fasthits.errors import UsageError
from fasthits.rules.config import CONFIG
from fasthits.upkeep.units import follow_units, rollup_units, serve_units

NGINX_LOG = "/var/log/nginx/access.log"
CADDY = "caddy"
"""A log with this in its name is taken for one that Caddy writes."""
SHARED_FOLDER = "/var/log"
"""The folder in which many programs have their logs."""
CRONOLOG = "/usr/bin/cronolog"
WORDS = "aAbBhe%"
"""The fields of a date in a PATTERN that do not begin with a digit."""


@dataclass(frozen=True)
class Installation:
    """How fasthits runs on this machine: its command, user, files and servers."""

    program: Sequence[str]
    """The command: the interpreter, an absolute path, and its arguments."""
    user: str
    logs: Sequence[str]
    """PATTERNs of the log: one with a date, which cronolog is to write, or others, which logrotate keeps."""
    database: str
    servers: Sequence[str]
    """The options for memcached's servers; empty for the default server."""
    followed: str
    """The log file of nginx, or of another server that cannot pipe its log."""
    cronolog: str
    """The program cronolog, an absolute path; empty if this machine lacks it."""
    has_apache: bool
    """Whether Apache may run here, too."""

    def __post_init__(self) -> None:
        """Raise UsageError for names that Apache, cron, systemd or a shell would read differently."""
        for word in (*self.program, self.user, *self.logs, self.database, *self.servers, self.followed):
            if not word or not word.isprintable() or re.search(r"[\"'\\$;`]", word):
                hint = "use a name without quotes, backslashes, $, ; or `"
                raise UsageError("a configuration cannot hold this name", repr(word), hint)
        if not re.fullmatch(r"\w[\w.@-]*", self.user, re.ASCII):
            raise UsageError("not the name of a user", repr(self.user), "such as --user fasthits")
        if self.user == "root":
            raise UsageError("fasthits needs no root", "--user root", "leave it out: the user fasthits is created")
        if re.search(r"[*?\[%]", self.followed):
            raise UsageError("--follow takes a single log file", repr(self.followed), "without *, ?, [ or %")
        if os.path.isdir(self.followed):
            raise UsageError("--follow takes a log file, and this is a folder", repr(self.followed))
        if any(map(has_date, self.logs)) and (len(self.logs) > 1 or re.search(r"[*?\[]", self.logs[0])):
            raise UsageError("cronolog needs a single PATTERN", ", ".join(self.logs), "without *, ? or [")

    def log(self, *options: str) -> list[str]:
        """Return the command of the logger, with the option that switches to the user."""
        return [*self.program, "log", "--user", self.user, *self.servers, *options]

    def follow(self) -> list[str]:
        """Return the command that follows nginx's log. systemd starts it as the user."""
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
    def log_trees(self) -> list[str]:
        """The folders in which the logs are in folders for dates."""
        return list(dict.fromkeys(folder for folder, is_tree in map(_before_date, self.logs) if is_tree))

    @property
    def log_folders(self) -> list[str]:
        """The folders of all other logs, with ``*`` if it stands for several."""
        named = map(_before_date, (*self.logs, self.followed))
        return list(dict.fromkeys(folder for folder, is_tree in named if not is_tree))

    @property
    def log_files(self) -> list[str]:
        """The PATTERNs of the logs in these folders, with ``*`` for the date."""
        named = [pattern for pattern in (*self.logs, files_of(self.followed)) if not _before_date(pattern)[1]]
        return list(
            dict.fromkeys(re.sub("%(.)", lambda field: "%" if field[1] == "%" else "*", each) for each in named)
        )

    @property
    def database_folder(self) -> str:
        """The folder of the database. A rollup does not create it."""
        return os.path.dirname(self.database)


def choose_logs(found: Sequence[str]) -> list[str]:
    """Return the PATTERNs to roll up where these logs were found in the usual places: nginx's only without Apache's.

    With both, nginx is often in front of Apache, and each hit is in both logs.
    """
    apache = [pattern for pattern in found if "/nginx/" not in pattern]
    return apache or list(found) or [DEFAULT_LOGS]


def files_of(log: str) -> str:
    """Return the PATTERN of a log and its rotated files. Caddy rotates its logs itself, and gives them other names.

    >>> files_of("/var/log/nginx/access.log")
    '/var/log/nginx/access.log*'
    >>> files_of("/var/log/caddy/access.log")  # and access-2026-11-25T10-00-00.000.log.gz
    '/var/log/caddy/access*.log*'
    """
    name, ending = os.path.splitext(log)
    return f"{name}*{ending}*" if CADDY in log and ending else f"{log}*"


def texts(here: Installation) -> list[str]:
    """Return a text for each program. It begins with a comment: what it is for and where to put it."""
    rollup = [cron(here), systemd(here), logrotate(here)]
    if here.has_apache:
        counting = [apache(here), apache_short(here), apache_hosts(here), *rollup, nginx(here)]
        proxies = [nginx_proxy(), apache_proxy()]
    else:
        counting, proxies = [nginx(here), *rollup], [nginx_proxy()]
    if here.database.lower().endswith(".csv"):
        return [account(here), rules(), *counting, no_page(), mail(here)]
    return [account(here), rules(), *counting, page(here), *proxies, mail(here), prometheus()]


def account(here: Installation) -> str:
    """Return the shell commands that create a user who may read the logs and write the database, and nothing else."""
    user, kept = shlex.quote(here.user), shlex.quote(here.database_folder)
    folders = [each for each in here.log_folders if each != SHARED_FOLDER]
    above = [folder[: star.end()] for folder in folders for star in re.finditer(r"\*[^/]*(?=/)", folder)]
    read = f"u:{user}:rX,d:u:{user}:rX"
    loops = [
        _allow("folder", here.log_trees, f"-R -m {read}"),
        _allow("folder", above, f"-m u:{user}:x"),
        _allow("folder", folders, f"-m {read}"),
        _allow("log", here.log_files, f"-m u:{user}:r"),
    ]
    shared = f"""\
# In {SHARED_FOLDER} the user may read only this log. logrotate keeps that if its `create` names no mode, as on Debian.
"""
    selinux = "# With SELinux (RHEL), Apache's loggers also need: setsebool -P httpd_can_network_memcache on\n"
    return f"""\
# Once, as root: create a user that may only read the logs and write the database. It joins no group: Debian's adm may
# read all logs, and on RHEL no group may read Apache's. setfacl comes with the package acl.
# If the database's folder exists, it stays as it is: the user must be able to write there.
# Let other users that read the database, such as Django's, join the new group: usermod -aG {here.user} www-data
{selinux * here.has_apache}\
id -u {user} >/dev/null 2>&1 || useradd --system --user-group --no-create-home -d / -s /usr/sbin/nologin {user}
[ -d {kept} ] || install -d -m 0750 -o {user} -g "$(id -gn {user})" {kept}
{shared * (SHARED_FOLDER in here.log_folders)}{"".join(loops)}"""


def rules() -> str:
    """Return the shell command that writes the config file, unless there is one."""
    return f"""\
# Once, as root: set what counts, for all commands. pages = true counts page views by people: no redirects, errors,
# styles, images or known bots. The log needs the user agent, as in combined. Without this file, every GET counts.
[ -e {CONFIG} ] || (umask 022; echo 'pages = true' >{CONFIG})
"""


def apache(here: Installation) -> str:
    """Return Apache's lines: one counts and, with cronolog, the other keeps a file a day."""
    purpose, keeping = "in addition to your CustomLog, which keeps the log for the rollup: this line counts live.", ""
    if here.uses_cronolog:
        purpose = "in addition to your CustomLog or instead of it: one line counts live, the other writes a file a day."
        keeping = f"""\
# The next line needs the program cronolog. Without it, Apache ends at a reload, although configtest says Syntax OK.
{_log_to_pipe([here.cronolog, *here.logs], "combined")}
"""
        if not here.cronolog:
            keeping = f"""\
# cronolog is not installed on this machine. Without it, Apache ends at a reload, although configtest says Syntax OK.
# So first install cronolog, then remove the # from the next line.
#{_log_to_pipe([CRONOLOG, *here.logs], "combined")}
"""
    return f"""\
# Apache, {purpose}
# Put this into the virtual host of the site. If it is to count all virtual hosts, put it outside of them, and write
# GlobalLog instead of CustomLog, because a virtual host that has its own CustomLog ignores a CustomLog outside.
# If Python cannot start, the shell discards log lines, because Apache hangs when nobody reads its pipe.
{_log_to_logger(here, "combined")}
{keeping}"""


def apache_short(here: Installation) -> str:
    """Return Apache's line with a short format that has only the fields that counting needs."""
    return f"""\
# Apache, instead of the first line above (with both, each hit counts twice): a shorter line that counts live.
# Addresses and referers then stay in Apache. A pipe can tear lines over 4,096 bytes; with this format only a path or a
# user agent of that length makes such a line.
LogFormat "%t \\"%r\\" %>s %b \\"-\\" \\"%{{User-Agent}}i\\"" fasthits
{_log_to_logger(here, "fasthits")}
"""


def apache_hosts(here: Installation) -> str:
    """Return Apache's line that counts all virtual hosts."""
    return f"""\
# Apache with many virtual hosts, instead of a CustomLog in each (Apache 2.4.19 or newer): one logger counts each host
# separately, as //HOST/PATH. For 50 virtual hosts it needs 22 MB; a logger for each host would need 990 MB.
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
{_log_to_logger(here, "vhost_combined", "--by-host", directive="GlobalLog")}
"""


def cron(here: Installation) -> str:
    """Return the crontab line for the nightly rollup."""
    command = shlex.join(here.rollup()).replace("%", r"\%")  # cron reads % as a newline
    return f"""\
# cron, in /etc/cron.d/fasthits: the nightly rollup, at 00:10. It prints only problems, and cron mails them.
10 0 * * *  {here.user}  umask 027; {command}
"""


def systemd(here: Installation) -> str:
    """Return a service and a timer for the nightly rollup."""
    units = rollup_units(here.user, here.rollup(), here.database_folder)
    return f"""\
# systemd, instead of cron: the nightly rollup. If the machine was off at night, it runs at the next start, for the day
# before only: after several nights, fasthits doctor names the missing days.
{units}"""


def logrotate(here: Installation) -> str:
    """Return a crontab line that keeps cronolog's files, which logrotate does not know, from filling the disk."""
    if not here.has_apache and CADDY in here.followed:
        name, ending = os.path.splitext(os.path.basename(here.followed))
        return f"""\
# Caddy lets nobody else read its log. Write this into the Caddyfile:
#     output file {here.followed} {{
#         mode 0640
#     }}
# Caddy rotates the log itself, to {name}-TIME{ending}. The rollup reads these files, compressed or not, and counts
# all that match its --logs. So the logs of other sites need other names.
"""
    if not here.uses_cronolog:
        reload = " Apache's reload\n# loses no hit." if here.has_apache else ""
        return f"""\
# logrotate: nothing to do. The rollup reads the files that logrotate has rotated, compressed or not.{reload}
"""
    folder = shlex.quote(_before_date(here.logs[0])[0])
    name = shlex.quote(re.sub("%(.)", lambda field: "*" if field[1] in WORDS else "[0-9]*", here.logs[0]))
    command = f"find {folder} -path {name} ! -name '*.gz' -mtime +1 -exec gzip {{}} +".replace("%", r"\%")
    return f"""\
# logrotate: nothing to do. It must not rotate cronolog's files, because each day already has a file. This line for
# /etc/cron.d/fasthits compresses old files instead; the rollup reads compressed files, too. When logrotate reloads
# Apache for other logs, no hit is lost.
40 3 * * *  root  {command}
"""


def nginx(here: Installation) -> str:
    """Return a service that counts from nginx's log file, because nginx cannot pipe its log."""
    units = follow_units(here.user, here.follow(), here.database_folder)
    rotated = f"{here.followed}*"
    rollup = ""
    if here.has_apache and rotated not in here.logs:
        rollup = (
            f" The nightly rollup for nginx, instead of the\n# command above:\n# {shlex.join(here.rollup(rotated))}"
        )
    what = "nginx: a service that follows its log" if here.has_apache else f"A service that follows {here.followed}"
    return f"""\
# {what}, also when logrotate rotates it.{rollup}
{units}"""


def page(here: Installation) -> str:
    """Return a service for the web page, which asks for a secret."""
    units = serve_units(here.user, here.serve(), here.database_folder, SECRET)
    return f"""\
# The web page, on this machine only: http://127.0.0.1:8765/. It requires a secret. This makes the secret, as root:
# (umask 077; echo "FASTHITS_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')" >{SECRET}); cat {SECRET}
{units}"""


def no_page() -> str:
    """Return how to get a web page, which cannot read CSV."""
    return """\
# The web page cannot read CSV. For the page, keep the days in a database: fasthits conf --database hits.db
"""


def nginx_proxy() -> str:
    """Return nginx's lines that show the page to others."""
    return f"""\
# nginx, in a server with TLS: the page as https://example.org{FOLDER}. nginx does not log requests for the page, so
# they are no hits.
location = {FOLDER.rstrip("/")} {{
    return 301 {FOLDER};
}}
location {FOLDER} {{
    access_log off;
    proxy_pass {PAGE};
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-Proto $scheme;
}}
"""


def apache_proxy() -> str:
    """Return Apache's lines that show the page to others."""
    return f"""\
# Apache, in a virtual host with TLS: the page as https://example.org{FOLDER}. First: a2enmod proxy_http headers
# Apache logs requests for the page. Add --exclude-path '{FOLDER}*' to fasthits log and rollup, or they count as hits.
RedirectMatch 301 ^{FOLDER.rstrip("/")}$ {FOLDER}
ProxyPass {FOLDER} {PAGE} flushpackets=on
ProxyPreserveHost On
<Location {FOLDER}>
    RequestHeader set X-Forwarded-Proto expr=%{{REQUEST_SCHEME}}
</Location>
"""


def mail(here: Installation) -> str:
    """Return the crontab line that mails a report each week."""
    report = shlex.join([*here.program, "report", "--days", "7", "--to", "-", "--database", here.database])
    head = "\\n".join(
        [
            *("To: root", "Subject: How often was each page read?", "MIME-Version: 1.0"),
            *("Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: base64"),
            'Content-Disposition: attachment; filename="hits.html"',
        ]
    )
    command = f"page=$({report}) && (printf '{head}\\n\\n'; echo \"$page\" | base64) | /usr/sbin/sendmail -t"
    command = command.replace("%", r"\%")  # as in `cron`
    return f"""\
# cron, in /etc/cron.d/fasthits: each Monday, a report of the last seven days as a file in a mail to root.
0 7 * * 1  {here.user}  {command}
"""


def prometheus() -> str:
    """Return Prometheus' lines that collect the metrics."""
    return f"""\
# Prometheus, in /etc/prometheus/prometheus.yml under scrape_configs. This makes a file with the secret of the web page:
# (umask 077; sed s/FASTHITS_TOKEN=// {SECRET} >/etc/prometheus/fasthits.token)
# chown prometheus /etc/prometheus/fasthits.token
  - job_name: fasthits
    authorization:
      credentials_file: /etc/prometheus/fasthits.token
    static_configs:
      - targets: ["{PAGE.split("/")[2]}"]
"""


SECRET = "/etc/fasthits.env"
"""The file with the secret of the web page, as a variable for systemd."""
PAGE = "http://127.0.0.1:8765/"
FOLDER = "/stats/"
"""Where a proxy shows the page."""


def _before_date(pattern: str) -> tuple[str, bool]:
    """Return the folder of a log, or the last folder before those whose names have a date, and whether there are such.

    >>> _before_date("/srv/*/100%%/access.log*"), _before_date("/srv/%Y/access.log")
    (('/srv/*/100%', False), ('/srv', True))
    """
    head, rest = re.fullmatch(r"((?:[^%]|%%)*)(.*)", pattern, re.S).groups()  # type: ignore[union-attr]
    return head.replace("%%", "%").rpartition("/")[0] or "/", "/" in rest


def _allow(kind: str, names: Sequence[str], options: str) -> str:
    """Return the shell's loop that runs setfacl for the files or folders of these *names*, in which ``*`` may stand."""
    if not names:
        return ""
    words = ["*".join(part and shlex.quote(part) for part in name.split("*")) for name in dict.fromkeys(names)]
    test = {"folder": "-d", "log": "-f"}[kind]
    return f"""\
for {kind} in {" ".join(words)}; do
  [ ! {test} "${kind}" ] || setfacl {options} "${kind}"
done
"""


def _log_to_pipe(command: Sequence[str], log_format: str) -> str:
    """Return Apache's line. Apache itself splits the command into words, without a shell and without a PATH."""
    words = " ".join(f"'{word}'" if " " in word else word for word in command)
    return f'CustomLog "|{words}" {log_format}'


def _log_to_logger(here: Installation, log_format: str, *options: str, directive: str = "CustomLog") -> str:
    """Return Apache's line for the logger, whose pipe is read even if Python cannot start.

    A shell ignores the signals with which Apache ends a logger, and so do all programs that it starts. It tests whether
    Python can import the part of fasthits that supervises the logger. If not, it says why, lets ``cat`` discard lines
    for a minute and tests again. SIGUSR2 ends ``cat``, because ``cat`` does not ignore it, and ``timeout`` then exits
    with 124. After any other exit, for example at the end of input, another ``cat`` reads to the end. Once Python can
    start, ``exec`` replaces the shell: Apache sees one process, and never do two processes read the pipe.

    ``-I`` isolates Python from PYTHONPATH, PYTHONHOME and the user's own packages. The line names the shell because
    Apache would unquote the words of a command that begins with ``|$`` before its own shell sees them.
    """
    python = _shell_word(here.program[0])
    script = (
        'set -f; trap "" TERM HUP INT USR1 PIPE;',
        f'until why=$({python} -I -c "import fasthits.__main__, fasthits.live.supervisor" 2>&1 </dev/null); do',
        "timeout -s USR2 5 echo fasthits: Python cannot start, log lines are discarded: $why >&2;",
        "timeout -s USR2 60 cat >/dev/null; [ $? -eq 124 ] || exec cat >/dev/null; done;",
        f"exec {' '.join(map(_shell_word, here.log(*options)))}",
    )
    text = " \\\n  ".join(line.replace('"', r"\"") for line in script)
    return f"{directive} \"|/bin/sh -c '{text}'\" {log_format}"


def _shell_word(word: str) -> str:
    """Return *word*, which has no quotes, backslashes, $ or backquotes, as one word for a shell."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{word}"'
