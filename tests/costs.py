"""The work of worst lines, as callgrind is to count it: ``python -m tests.costs`` does it, test_costs.py judges it.

Before each line and after the last one the process asks for its parent, at which callgrind writes its counts down.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fasthits._parse import HitCounter
from fasthits.formats import Format
from fasthits.layouts import referrers_layout, searches_layout
from fasthits.rules import Rules
from fasthits.selection import ASSUMED, NO_KEEPERS, Keepers, Selection

SIZES = (1 << 10, 1 << 13, 1 << 16)
"""Bytes of the field that a stranger fills."""

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
TIME = "[12/Mar/2026:10:00:00 +0100] "
OWN_FORMAT = '%h %l %u %t "%r" %{x}i | %>s "%{Referer}i" "%{User-Agent}i"'


class Case(NamedTuple):
    """Some rules, and the texts for one field that cost most under them."""

    rules: Rules
    field: str
    """``path``, ``referer``, ``agent``, or ``line`` for all of a line."""
    ordinary: str
    """Is repeated up to the size, as the others are."""
    worst: tuple[str, ...]
    most: float
    """As many times the instructions of the ordinary text the worst may take."""
    keepers: Callable[[], Keepers] = lambda: NO_KEEPERS


def keepers(full: bool) -> Keepers:
    """Return what keeps of a referer all that there is to keep."""
    layouts = [referrers_layout(full, ("example.com", "example.org")), searches_layout()]
    return {layout.name: layout.keep for layout in layouts if layout.keep}


WORST_AGENTS = (
    "ContextualBo", "SpiderSpide", "Current", "Goog", "AdsBot-Google-", "BlogTraffic/1.1", " PTST", "sentry", "bot",
    "(compatible; MSIE", "cubot", "\\x41", "\\\\", "aA", "://"[:2], "+http:/", "crawspidcheckarchi", "ap3a.240617.008",
    "monitoinspecheadless"[:18], "b", "[", "\u00e9",
)  # fmt: skip
GLOBS = ("*a*b*c*", "*a?a*[!a]b", "*aaaaaaaa?b*", "/?*[a-c]*[a-c]*x")
CASES: Mapping[str, Case] = {
    "plain": Case(Rules(), "path", "/abcdefg", ("[", "%41", "\\x41", '\\"', "?", "/../"), 3),
    "plain-referer": Case(Rules(), "referer", "/abcdefg", ("[", '\\"', TIME, "\\\\"), 3),
    "bots": Case(Rules(bots="exclude"), "agent", BROWSER, WORST_AGENTS, 6),
    "agents": Case(
        Rules(exclude_agents=("*a*b*c*", "*a?a*[!a]b", "firefox")), "agent", BROWSER, ("a", "A", "ab", "firefo"), 8
    ),
    "include-path": Case(Rules(include_paths=GLOBS), "path", "/abcdefg", ("a", "aab", "a" * 9 + "x", "/", "ax"), 8),
    "exclude-path": Case(Rules(exclude_paths=GLOBS), "path", "/abcdefg", ("a", "aab", "a" * 9 + "x", "/", "ax"), 8),
    "static": Case(Rules(exclude_static=True), "path", "/abcdefg", (".css", ".", "A"), 3),
    "decode": Case(
        Rules(decode=True, keep_query=True), "path", "/abcdefg",
        ("%41", "%c3%a9", "%", "\\x41", "\\", '\\"', "/../", "/./", "/..", "//", "?", "\u00e9", "^", "http://"), 40,
    ),
    "query": Case(
        Rules(keep_query=("page", "lang")), "path", "?abcdefg",
        ("&", "page&", "&page=1", "&page", "&pagepage=", "=", "&=", "?", "lang=&", "&p"), 25,
    ),
    "query-decode": Case(
        Rules(keep_query=("page", "lang"), decode=True), "path", "?abcdefg", ("&", "&page=1", "%26", "&%70age", "%"), 40
    ),
    "fold": Case(Rules(fold_slash=True), "path", "/abcdefg", ("/", "/index.html", "a/", "/index.htm", "/a//"), 6),
    "hosts": Case(
        Rules(by_host=True, format="vhost_combined"), "path", "/abcdefg", ("http://", "/", "//", ":", "["), 4
    ),
    "site": Case(
        Rules(), "referer", "abcdefg/", ("@", "a@", "a.", ":1", ":", "[", "?q=", "&q=a", "%41", "\\x41", "#", "&", "xn--"),
        40, lambda: keepers(False),
    ),
    "page": Case(
        Rules(), "referer", "abcdefg/", ("@", "a@", "a.", ":1", ":", "[", "?q=", "&q=a", "%41", "\\x41", "#", "&", "xn--"),
        40, lambda: keepers(True),
    ),
    "format": Case(
        Rules(format=OWN_FORMAT), "line", "abcdefg ",
        (TIME + '"', TIME + '"GET /a" ', TIME + '" x', TIME + '"\\" ', "[", '"', "| "), 20,
    ),
    "format-end": Case(
        Rules(format=OWN_FORMAT), "agent", "abcdefg ", (TIME + "x ", "[", '\\"', "| "), 3,
    ),
    "json": Case(
        Rules(format="json", bots="exclude"), "line", '"abcdefg",',
        ("[", '{"a":', "\\", '"', "1", "\u00e9", '"ts":1,', "9e"), 30,
    ),
}  # fmt: skip


def line_of(case: Case, text: str, size: int) -> bytes:
    """Return a line with *size* bytes of *text* repeated in the field of a case."""
    raw = text.encode()
    raw = (raw * (size // len(raw) + 1))[:size].rstrip(b"\\")
    if case.rules.format == "json":
        return b'{"ts":1773306000,"status":200,"request":"GET /a HTTP/1.1","x":[' + raw + b"\n"
    if case.field == "line":
        return raw + b"\n"
    host = b"o.example:80 " if case.rules.by_host else b""
    path, referer, agent = b"/", b"-", b"-"
    if case.field == "path":
        path = (b"" if raw.startswith(b"http") else b"/") + raw
    elif case.field == "referer":
        referer = b"https://www.google.com/search" + raw if raw[:1] in b"?&%\\" else b"https://" + raw
    else:
        agent = raw
    behind = b"x | " if case.rules.format == OWN_FORMAT else b""
    size_sent = b"" if case.rules.format == OWN_FORMAT else b" 5"
    return b'%b1.2.3.4 - - %b"GET %b HTTP/1.1" %b200%b "%b" "%b"\n' % (
        host, TIME.encode(), path, behind, size_sent, referer, agent,
    )  # fmt: skip


def measured() -> list[tuple[str, str, int]]:
    """Return all that is measured, in order: the name of a case, the text, its size."""
    return [
        (name, text, size) for name, case in CASES.items() for text in (case.ordinary, *case.worst) for size in SIZES
    ]


def main() -> None:
    """Count each line in a counter of its own, from its bytes to its final path."""
    for name, case in CASES.items():
        selection = Selection(case.rules, case.keepers())
        form = selection.form or ASSUMED

        def count(line: bytes, selection: Selection = selection, form: Format = form) -> None:
            counter = HitCounter(rules=selection.line_rules(form))
            taking = selection.lines_into(counter, form)
            os.getppid()
            taking.feed(line)
            selection.finish(counter, Counter())
            os.getppid()

        count(line_of(case, "warm", SIZES[0]))  # what is imported and remembered at the first line is no cost of a line
        for wanted, text, size in measured():
            if wanted == name:
                count(line_of(case, text, size))


if __name__ == "__main__":
    main()
