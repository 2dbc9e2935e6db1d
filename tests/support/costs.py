"""Counts the worst lines under callgrind (``python -m tests.support.costs``); rules/test_costs.py checks the result.

Before the first line of a case and after each line, the process calls getppid. Callgrind then writes its counts.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.callgrind import begin
from fasthits._parse import HitTable
from fasthits.daily.layouts import referrers_layout, searches_layout
from fasthits.formats.format import Format
from fasthits.rules.compiled import ASSUMED, NO_KEEPERS, CompiledRules, Keepers
from fasthits.rules.rules import Rules

SIZES = (1 << 13, 1 << 15)
"""Bytes of the field that a hostile client fills."""
SHORT = 1 << 7

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
TIME = "[12/Mar/2026:10:00:00 +0100] "
OWN_FORMAT = '%h %l %u %t "%r" %{x}i | %>s "%{Referer}i" "%{User-Agent}i"'


class Case(NamedTuple):
    """Some rules, and those texts of one field that cost most with these rules."""

    rules: Rules
    field: str
    """``path``, ``referer``, ``agent``, or ``line`` for all of a line; of an object also ``keys`` and ``wrapped``."""
    ordinary: str
    """Is repeated up to the size, as the others are."""
    worst: tuple[str, ...]
    most: float
    """As many times the instructions of the ordinary text the worst may take; more where the ordinary one costs next
    to nothing: a plain text is passed by at 32 bytes an instruction."""
    keepers: Callable[[], Keepers] = lambda: NO_KEEPERS


def keepers(full: bool) -> Keepers:
    """Return a function that keeps at least as much of a referer as any rule."""
    layouts = [referrers_layout(full, ("example.com", "example.org")), searches_layout()]
    return {layout.name: layout.keep for layout in layouts if layout.keep}


WORST_AGENTS = (
    *(
        "ContextualBo",
        "Current",
        "Goog",
        "AdsBot-Google-",
        "BlogTraffic/1.1",
        " PTST",
        "sentry",
        "bot",
        "cubot",
        "://"[:2],
    ),
    *(
        "(compatible; MSIE",
        "crawspidcheckarchi",
        "ap3a.240617.008",
        "monitoinspecheadle",
        "\\x41",
        "\\\\",
        "aA",
        "[",
        "\u00e9",
    ),
)
GLOBS = ("*a*b*c*", "*a?a*[!a]b", "*aaaaaaaa?b*", "/?*[a-c]*[a-c]*x")
REFERERS = ("@", "a@", "a.", ":1", "[", "?q=", "&q=a", "?a&", "%41", "\\x41", "#", "xn--")
CASES: Mapping[str, Case] = {
    "plain": Case(Rules(), "path", "/abcdefg", ("[", '\\"', "?", "/../"), 16),
    "bots": Case(Rules(bots="exclude"), "agent", BROWSER, WORST_AGENTS, 6),
    "agents": Case(
        Rules(exclude_agents=("*a*b*c*", "*a?a*[!a]b", "firefox")), "agent", "hijklmno", ("a", "A", "ab", "firefo"), 4
    ),
    "globs": Case(
        Rules(include_paths=GLOBS, exclude_paths=GLOBS), "path", "/hijklmn", ("a", "aab", "a" * 9 + "x", "/", "ax"), 8
    ),
    "static": Case(Rules(exclude_static=True), "path", "/abcdefg", (".css", "A"), 5),
    "decode": Case(
        Rules(decode=True, keep_query=True), "path", "/abcdefg",
        ("%41", "%c3%a9", "%", "\\x41", "\\", '\\"', "/../", "/./", "//", "?", "\u00e9", "^", "http://"), 8,
    ),
    "query": Case(
        Rules(keep_query=("page", "lang"), decode=True), "path", "abcdefg&",
        ("&", "page&", "&page=1", "&page", "&pagepage=", "=", "%26", "&%70age", "?", "lang=&"), 10,
    ),
    "fold": Case(Rules(fold_slash=True), "path", "/abcdefg", ("/", "/index.html", "a/", "/a//", "/" * 64 + "a"), 30),
    "hosts": Case(Rules(by_host=True, format="vhost_combined"), "path", "/abcdefg", ("http://", "//", ":", "["), 4),
    "site": Case(Rules(), "referer", "abcdefg/", REFERERS, 10, lambda: keepers(False)),
    "page": Case(Rules(), "referer", "abcdefg/", REFERERS, 10, lambda: keepers(True)),
    "format": Case(
        Rules(format=OWN_FORMAT), "line", "abcdefg ", (TIME + '"GET /a" ', TIME + '" x', TIME + '"\\" ', "[", '"'), 400
    ),
    "others": Case(
        Rules(), "line", "abcdefg ", ("[", TIME + '"GET /a" ', TIME + "GET ", '"', "\t", "a:b\t", " , "), 200
    ),
    "brackets": Case(Rules(format=OWN_FORMAT), "line", "abcdefg ", ("[", "[a"), 10),
    "format-end": Case(Rules(format=OWN_FORMAT), "agent", "abcdefg ", (TIME + "x ", "[", '\\"'), 200),
    "json": Case(
        *(Rules(format="json", bots="exclude"), "line", '"abcdefg",'),
        *(("[", '{"a":', "{", "\\", '"', '\\"', "\u00e9", '"ts":1,', "1,"), 12),
    ),
    "json-path": Case(
        Rules(format="json"), "path", "/abcdefg", ("\\", "\\n", "\\u00e9", "\\ud83d", "\u00e9", " ", "?", "\\x4"), 90
    ),
    "json-keys": Case(
        Rules(format="json"), "keys", '"abcdefgh":1,', ('"a":{', '"":"",', '"request":{"', '"x"', ',"', "}"), 8
    ),
    "json-wrapped": Case(
        Rules(format="json"), "wrapped", "abcdefg ", ("{", '{\\"', "[12/Mar/2026:", "\\n", "\\u00e9", '\\"', " "), 60
    ),
}  # fmt: skip


def line_of(case: Case, text: str, size: int) -> bytes:
    """Return a line with about *size* bytes in the field of a case: *text* repeated, so that all sizes end alike."""
    raw = text.encode()
    raw = (raw * (size // len(raw) + 1)).rstrip(b"\\")
    if case.rules.format == "json":
        head = b'{"ts":1773306000,"status":200,"request":"GET '
        return {
            "line": head + b'/a HTTP/1.1","x":[' + raw,
            "path": head + raw + b'"}',
            "keys": head + b'/a",' + raw,
            "wrapped": b'{"log":"' + raw + b'"}',
        }[case.field] + b"\n"
    if case.field == "line":
        return raw + b"\n"
    host = b"o.example:80 " if case.rules.by_host else b""
    path, referer, agent = b"/", b"-", b"-"
    if case.field == "path":
        path = (b"" if raw.startswith(b"http") else b"/?" if case.rules.keep_query else b"/") + raw
    elif case.field == "referer":
        referer = b"https://www.google.com/search" + raw if raw[:1] in b"?&%\\" else b"https://" + raw
    else:
        agent = raw
    behind = b"x | " if case.rules.format == OWN_FORMAT else b""
    size_sent = b"" if case.rules.format == OWN_FORMAT else b" 5"
    return b'%b1.2.3.4 - - %b"GET %b HTTP/1.1" %b200%b "%b" "%b"\n' % (
        host, TIME.encode(), path, behind, size_sent, referer, agent,
    )  # fmt: skip


def measured(name: str) -> list[tuple[str, str, int]]:
    """Return the lines of a case in order, each as name, text and size. The first line is short."""
    case = CASES[name]
    return [(name, "", SHORT), *((name, text, size) for text in (case.ordinary, *case.worst) for size in SIZES)]


def main() -> None:
    """Count each line in a new hit table, from its bytes to its final path."""
    prepared = []
    for name, case in CASES.items():
        compiled = CompiledRules(case.rules, case.keepers())
        log_format = compiled.log_format or ASSUMED

        def taker(compiled: CompiledRules = compiled, log_format: Format = log_format) -> HitTable:
            return HitTable(rules=compiled.line_rules(log_format))

        lines = [line_of(case, text or case.ordinary, size) for _, text, size in measured(name)]
        # Imports and compilation at the first line are not part of a line's cost.
        warm = taker()
        for line in lines:
            warm.feed(line[: SIZES[0]] + b"\n")
        compiled.finish(warm, Counter())
        # The first line meets cold memory, and is counted twice.
        prepared.append((compiled, [(line, taker()) for line in (lines[0], *lines)]))
    begin()
    for compiled, takers in prepared:
        os.getppid()
        for line, counter in takers:
            counter.feed(line)
            compiled.finish(counter, Counter())
            os.getppid()


if __name__ == "__main__":
    main()
