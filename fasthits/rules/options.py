"""The options that commands of ``fasthits`` and of Django share: their names, their help, how they are read."""

import re
from typing import Any

from fasthits.errors import UsageError
from fasthits.rules.formats import NAMES
from fasthits.rules.rules import JSON_KINDS, STATIC_ENDINGS

CONFIG_HELP = (
    "A file with the options below, by their names; what is given here comes first. By default /etc/fasthits.toml, if "
    "there is one."
)

RULES: dict[str, tuple[Any, str | None, str]] = {
    "format": (
        str,
        "FORMAT",
        f"What lines look like: auto (the default), {', '.join(NAMES)}, or the string of a LogFormat of Apache or of a "
        "log_format of nginx: '%h %l %u %t \"%r\" %>s %b'.",
    ),
    "json-fields": (
        str,
        "KIND=NAME,...",
        "Names of the fields of JSON lines that are not those of nginx, Caddy or Traefik: time=ts,path=req.uri. Kinds: "
        f"{', '.join(JSON_KINDS)}.",
    ),
    "method": (str, "METHOD,...", "Only requests with these methods count: GET,POST. By default GET."),
    "status": (str, "STATUS,...", "Only lines with these statuses count: 200,304 or 2xx or 400-404."),
    "include-path": (list[str], "GLOB", "Only paths that match a glob count: '/blog/*'. Can be repeated."),
    "exclude-path": (list[str], "GLOB", "Paths that match the glob do not count: '/admin/*'. Can be repeated."),
    "exclude-static": (bool, None, f"What pages load by themselves does not count: {' '.join(STATIC_ENDINGS)}."),
    "keep-query": (
        str,
        "[NAME,...]",
        "The query is part of the path, as in /a?page=2: all of it, or only these parameters: page,lang.",
    ),
    "fold-slash": (bool, None, "/page, /page/ and /page/index.html are one."),
    "decode": (
        bool,
        None,
        "Percent-encoding as RFC 3986 writes it: /%7Ea and /~a are one, and so are all spellings of /%C3%A9.",
    ),
    "exclude-bots": (bool, None, "Known bots, told by their user agents, do not count: Googlebot."),
    "bots": (str, "WHAT", "What becomes of known bots: count, exclude, or apart, in a column of their own."),
    "include-agent": (list[str], "GLOB", "Only user agents that hold the text, or match the glob, count: 'Mozilla/*'."),
    "exclude-agent": (
        list[str],
        "GLOB",
        "User agents that hold the text, or match the glob, do not count: UptimeRobot.",
    ),
    "by-host": (
        bool,
        None,
        "Virtual hosts apart: the path is //HOST/PATH, as in //example.org/about.html, and in tables the host a "
        "column.",
    ),
}
"""The options that make rules: their types, what stands for a value, their help. They are those of every command that
counts lines, and keys of the configuration file."""


def take_rules(arguments: dict[str, Any]) -> dict[str, object]:
    """Take the options RULES out of *arguments*, and return those that were given, by their names."""
    values = {name: arguments.pop(name.replace("-", "_")) for name in RULES}
    return {name: value for name, value in values.items() if value not in (None, [])}


MAX_MEMORY = "1G"
MAX_MEMORY_HELP = (
    "What the tables may take, such as 512M or 2G. If there are more paths, the files are read again for each further "
    "part of them."
)
LEAST_MEMORY = 32 << 20


def parse_max_memory(text: str) -> int:
    """Return a number of bytes written as ``512M`` or ``2G``, LEAST_MEMORY at least.

    >>> parse_max_memory("512m")
    536870912
    """
    size = re.fullmatch(r"(\d{1,6})([MG])", text.upper(), re.ASCII)
    if not size or (number := int(size[1]) << {"M": 20, "G": 30}[size[2]]) < LEAST_MEMORY:
        raise UsageError("not a SIZE for --max-memory", repr(text), f"{LEAST_MEMORY >> 20}M or more, or 2G")
    return number
