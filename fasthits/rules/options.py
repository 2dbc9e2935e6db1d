"""The options that set rules. Every command that counts lines takes them, and the config file has them as keys."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from fasthits.display import CURLY_QUOTES
from fasthits.errors import UsageError
from fasthits.rules.rules import STATIC_ENDINGS, Bots, NotFound, Rules

CONFIG_HELP = (
    "TOML file with values for the options below. An option on the command line replaces the file's value. "
    "Default: /etc/fasthits.toml, if it exists."
)
JSON_KINDS = (
    *("time", "method", "path", "query", "request", "protocol", "status", "bytes", "referer", "user_agent", "vhost"),
)
"""The kinds of field that --json-fields can name."""
MAX_JSON_NAME = 96
"""MAX_NAME in fasthits/core/jsonnames.pxd."""
_JSON_NAME = re.compile(rf"(?=.*[A-Za-z0-9])[^\ud800-\udfff]{{1,{MAX_JSON_NAME}}}", re.DOTALL)

PAGES: Mapping[str, object] = {"method": "GET", "status": "2xx,304", "exclude-static": True, "bots": "exclude"}
"""The options that --pages stands for. Another option on the command line replaces its part of --pages."""


class Option(NamedTuple):
    """An option that sets a rule."""

    rule: str
    """The field of `Rules` that it sets."""
    read: Callable[[str, object], object]
    """Takes the option's name and value, and returns the rule's value. Raises UsageError for an invalid value."""
    kind: Any
    """On the command line: str, list[str] (can be repeated), or bool (``--name`` and ``--no-name``)."""
    metavar: str | None
    """The value's name in help texts. Brackets mean that the user may leave the value out, which means ``all``."""
    help: str


def parse_statuses(text: str) -> frozenset[int]:
    """Return the statuses in a list of statuses, classes and ranges.

    >>> sorted(parse_statuses("200,304,404-406"))
    [200, 304, 404, 405, 406]
    >>> len(parse_statuses("2xx"))
    100
    """
    statuses: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(?:(?P<class>[0-9])xx|(?P<first>\d{3})(?:-(?P<last>\d{3}))?)\s*", part, re.ASCII)
        if not found:
            raise UsageError("invalid status", repr(part), "for example 200,304 or 2xx or 400-404")
        if found["class"]:
            first, last = int(found["class"]) * 100, int(found["class"]) * 100 + 99
        else:
            first, last = int(found["first"]), int(found["last"] or found["first"])
        if last < first:
            raise UsageError("range of statuses ends before it begins", part.strip(), f"try {last:03}-{first:03}")
        statuses.update(range(first, last + 1))
    return frozenset(statuses)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false", repr(value))
    return value


def _word(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} must be a string", repr(value))
    _check_text(name, value)
    return value


def _check_text(name: str, text: str) -> None:
    """Raise UsageError for half a character. The other surrogates are Python's form of bytes that are not UTF-8."""
    if re.search(r"[\ud800-\udc7f\udd00-\udfff]", text):
        raise UsageError(f"{name} has half a character", repr(text), "no log can have it")


def _words(name: str, value: object) -> tuple[str, ...]:
    """Return the words of a string with commas, or of a list of such strings."""
    return _globs(name, [word for text in _globs(name, value) for word in text.split(",")])


def _globs(name: str, value: object) -> tuple[str, ...]:
    """Return the strings of a list; a string is one glob, because a glob may hold commas."""
    globs = [value] if isinstance(value, str) else value
    if not isinstance(globs, list | tuple) or not all(isinstance(glob, str) and glob.strip() for glob in globs):
        raise UsageError(f"{name} must be a list of strings", repr(value))
    for glob in globs:
        _check_text(name, glob)
    return tuple(glob.strip() for glob in globs)


def _path_globs(name: str, value: object) -> tuple[str, ...]:
    for glob in (globs := _globs(name, value)):
        if not glob.startswith(("/", "*", "?", "[", "http")):
            raise UsageError(f"no path can match {name}", glob, f"try /{glob} or *{glob}")
        if re.search(r"[,\s]\s*/", glob):
            hint = f"for several globs give --{name} once for each, or a list in the config file; [,] is a comma"
            raise UsageError(f"{name} is one glob", repr(glob), hint)
    return globs


def _methods(name: str, value: object) -> tuple[str, ...]:
    methods = _words(name, value)
    for method in methods or [""]:  # without a method nothing counts
        if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", method):  # RFC 9110, 5.6.2
            raise UsageError("invalid method", repr(method), "for example GET,POST")
    return tuple(method.upper() for method in methods)


def _statuses(name: str, value: object) -> frozenset[int]:
    parts = [value] if isinstance(value, str | int) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str | int) for part in parts):
        raise UsageError(f"{name} must be a list of statuses", repr(value))
    return parse_statuses(",".join(str(part) for part in parts))


def _query(name: str, value: object) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    names = _words(name, value)
    for parameter in names:
        if found := re.search(rf"""^\?|[\s&#"{CURLY_QUOTES}]""", parameter):
            hint = "for example page,lang" if found[0] != "?" else f"try {parameter[1:]}"
            raise UsageError(f"no query can have this parameter of {name}", repr(parameter), hint)
    return names if "all" not in names else True


def _one_of(words: object) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if value not in get_args(words):
            raise UsageError(f"invalid {name}", repr(value), f"choose one of {', '.join(get_args(words))}")
        return str(value)

    return read


def _json_fields(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        given = [word.partition("=")[::2] for word in _words(name, value)]
        if len(dict(given)) < len(given):
            raise UsageError(f"{name} names a kind twice", repr(value), "give one name for each kind")
        value = dict(given)
    for kind, key in value.items():
        if kind not in JSON_KINDS:
            raise UsageError(f"{name} has no kind {kind!r}", repr(value), f"choose one of {', '.join(JSON_KINDS)}")
        if not isinstance(key, str) or not _JSON_NAME.fullmatch(key):
            hint = f"for example {kind}=request.uri: up to {MAX_JSON_NAME} characters, with ASCII letters or digits"
            raise UsageError(f"{name} gives no name for {kind}", repr(value), hint)
    return dict(value)


OPTIONS = {
    "format": Option(
        *("format", _word, str, "FORMAT"),
        "Log format: auto (the default); a name, such as combined, json or haproxy (`fasthits formats` lists all); or "
        "the string of Apache's LogFormat or nginx's log_format: '%h %l %u %t \"%r\" %>s %b'.",
    ),
    "json-fields": Option(
        *("json_fields", _json_fields, list[str], "KIND=NAME,..."),
        "Field names of JSON logs: path=request.uri. Needed only for names that no known server writes. "
        f"Kinds: {', '.join(JSON_KINDS)}.",
    ),
    "pages": Option(
        *("pages", _switch, bool, None),
        f"Count page views by people: method GET, status {PAGES['status']}, no static files, no known bots. Change "
        "a part with another option: --pages --method GET,POST.",
    ),
    "method": Option(
        *("methods", _methods, list[str], "METHOD,..."),
        "Count only requests with these methods: GET,POST. Default: GET. Upper and lower case are the same.",
    ),
    "status": Option(
        *("statuses", _statuses, list[str], "STATUS,..."),
        "Count only requests answered with these statuses: 200,304 or 2xx or 400-404. Default: any status.",
    ),
    "not-found": Option(
        *("not_found", _one_of(NotFound), str, "WHAT"),
        "What to do with requests that were answered with 404 or 410: count (the default, unless --status says "
        "otherwise), or apart (they are no views; rollup keeps them in the table not_found).",
    ),
    "include-path": Option(
        *("include_paths", _path_globs, list[str], "GLOB"),
        "Count only paths that match: '/blog/*'. Can be repeated.",
    ),
    "exclude-path": Option(
        *("exclude_paths", _path_globs, list[str], "GLOB"),
        "Do not count paths that match: '/admin/*'. Can be repeated.",
    ),
    "exclude-static": Option(
        *("exclude_static", _switch, bool, None),
        f"Do not count the files that pages load: {' '.join(STATIC_ENDINGS)}.",
    ),
    "keep-query": Option(
        *("keep_query", _query, list[str], "[NAME,...]"),
        "Keep the query in the path, as in /a?page=2: the whole query, or only these parameters: page,lang.",
    ),
    "fold-slash": Option(
        *("fold_slash", _switch, bool, None),
        "Ignore a slash or an index file at the end: /page/ and /page/index.html become /page.",
    ),
    "fold-session": Option(
        *("fold_session", _switch, bool, None),
        "Ignore a session in the path: /page;jsessionid=1F2A becomes /page.",
    ),
    "decode": Option(
        *("decode", _switch, bool, None),
        "Normalise percent-encoding as RFC 3986 does: /%7Ea and /~a become one path.",
    ),
    "exclude-bots": Option(
        *("bots", _switch, bool, None),
        "Do not count bots with a known user agent, such as Googlebot.",
    ),
    "bots": Option(
        *("bots", _one_of(Bots), str, "WHAT"),
        "What to do with known bots: count (the default), exclude, or apart (count them in a separate column).",
    ),
    "include-agent": Option(
        *("include_agents", _globs, list[str], "GLOB"),
        "Count only user agents that contain the text or match the glob: 'Mozilla/*'. Can be repeated.",
    ),
    "exclude-agent": Option(
        *("exclude_agents", _globs, list[str], "GLOB"),
        "Do not count user agents that contain the text or match the glob: UptimeRobot. Can be repeated.",
    ),
    "by-host": Option(
        *("by_host", _switch, bool, None),
        "Count each virtual host separately. The path becomes //HOST/PATH, as in //example.org/a. Tables get a "
        "column host.",
    ),
}
"""The options that set rules, by name."""


def make_rules(options: Mapping[str, object]) -> Rules:
    """Return the rules that *options* set, by the options' names; a rule that no option sets has its default.

    A list may be a string with commas. Raises UsageError for an invalid value, and for options that contradict each
    other.

    >>> rules = make_rules({"pages": True, "bots": "apart"})
    >>> rules.exclude_static, rules.bots
    (True, 'apart')
    """
    values = _read(options)
    exclude_bots = values.pop("exclude-bots", None)
    if exclude_bots is not None and "bots" in values and exclude_bots != (values["bots"] == "exclude"):
        raise UsageError("exclude-bots contradicts bots", values["bots"], "leave one out")
    if exclude_bots is not None:
        values.setdefault("bots", "exclude" if exclude_bots else "count")
    of_pages = PAGES.keys() - values.keys() if values.pop("pages", False) else set()
    values |= _read({name: PAGES[name] for name in of_pages})
    fields: dict[str, Any] = {OPTIONS[name].rule: value for name, value in values.items()}
    rules = Rules(**fields, pages=frozenset(OPTIONS[name].rule for name in of_pages))
    _check_static(rules)
    _check_queries(rules)
    return rules


def _read(options: Mapping[str, object]) -> dict[str, object]:
    return {name: OPTIONS[name].read(name, value) for name, value in options.items()}


def _check_static(rules: Rules) -> None:
    """Raise UsageError if only static files are included, and these are excluded: nothing could count."""
    globs = rules.include_paths
    if rules.exclude_static and globs and all(glob.lower().endswith(STATIC_ENDINGS) for glob in globs):
        by = "pages" if "exclude_static" in rules.pages else "exclude-static"
        raise UsageError(f"{by} contradicts include-path", ", ".join(globs), "--no-exclude-static counts static files")


def _check_queries(rules: Rules) -> None:
    """Raise UsageError for a glob with a query where paths have none: it would match nothing, and nobody would know."""
    for name, globs in (("include-path", rules.include_paths), ("exclude-path", rules.exclude_paths)):
        for glob in globs:
            if not rules.keep_query and re.search(r"\?[\w*-]+=", glob):
                raise UsageError(f"no path can match {name}", glob, "a path has a query only with --keep-query")


def take_options(arguments: dict[str, Any]) -> dict[str, object]:
    """Remove the OPTIONS from *arguments*, a command's parameters, and return the given options by name."""
    values = {name: arguments.pop(name.replace("-", "_")) for name in OPTIONS}
    return {name: value for name, value in values.items() if value not in (None, [])}
