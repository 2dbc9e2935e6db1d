"""Which user agents count: known bots, and the agents that the user includes or excludes.

Bots are known by a list and by general words. The list comes from the package crawler-user-agents: 1,500 regular
expressions, nearly all of them plain texts. Strangers choose the agents, so no regular expression with a repetition
ever runs on them. Instead each expression becomes texts, and one pass over the first AGENT_BYTES of an agent looks up
every three bytes in a dictionary of the texts that contain them. docs/bots.md has the measurements.
"""

import re
import warnings
from collections.abc import Callable, Iterable
from functools import cache

from fasthits.formats.escapes import unescape
from fasthits.rules.patterns import Row, compile_globs, translate
from fasthits.rules.rules import Rules

COUNTS, FILTERED, BOT = range(3)
"""The verdicts on an agent: its lines count, are filtered as ``agent``, or come from a bot."""

AGENT_BYTES = 512
"""Only this much of an agent is read. The longest of 37,000 real agents has 419 bytes (docs/bots.md)."""

_PIECE_BYTES = 3
_COMMON = (
    b"mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/ version/ mobile/ "
    b"safari/537.36 (linux; android 10; k build/ (iphone; cpu iphone os like mac os x) (macintosh; intel mac os x)"
)
"""Common in people's agents, so a text is filed under a rarer piece if it has one."""

# Each word and text below earned its place on real agents. docs/bots.md has the figures and the command to repeat them.
WORDS = (
    # Bots that say so, or that give an address of their owner.
    *("bots?([^a-z]|$)", "crawl", "spider", "scrap(er|ing|y)", "://", r"www\.", r"^mozilla/5\.0 \(compatible; [a-z]"),
    # Purposes of bots.
    *("analys", "analyz", "archiv", "audit", "check([^o]|$)", "collector", "domain([^/]|$)", "extract", "feed"),
    *("fetch", "health", "inspect", "lookup", "monitor", "notif", "parser", "prerender", "preview", "probe"),
    *("recon[/ -]", "research", r"rss([/ ;)\-]|$)", "scan", "screenshot", "sitemap", "snapshot", "subscriber"),
    *("survey", "synthetic", "uptime", "validat", "verif", "google-"),
    # Load balancers and monitors that ask whether a server is well.
    *("blackbox-exporter", "^envoy/hc", "^googlehc/", "^load balancer agent", "^prometheus/", "^telegraf/"),
    # Browsers without a person.
    *("headless", "lighthouse", "phantomjs", "playwright", "puppeteer", "selenium", "webdriver"),
    # Vulnerability scanners.
    *("censys", "jndi:", "masscan", "nikto", "nmap", "shodan", "sqlmap", "zgrab"),
    # HTTP libraries and tools.
    *("aiohttp", "apache-", "apachebench/", "axios/", "curl/", "go-http", "grpc-", "guzzle", "httpclient", "-http"),
    *("insomnia/", "^java[/ ]", "libsoup", "libwww-perl", "lwp::", "node-", "okhttp", "perl/", "^php", "postman"),
    *("python", "reqwest/", "restsharp/", "^ruby", "undici", "urllib", "wget", "winhttp"),
)
"""Regular expressions for words in bots' agents. Case does not matter."""

PEOPLE = (
    # Browsers that call themselves compatible.
    *("(compatible; ibrowse", "(compatible; konqueror", "(compatible; linux", "(compatible; msie"),
    *("(compatible; netscape", "(compatible; nokia", "(compatible; opera", "(compatible; oss"),
    *("(compatible; polaris", "(compatible; teleca", "(compatible; u;", "(compatible; x11"),
    # Phones.
    *("; b bot ", "; c bot tab", "cubot", "; id bot", "; idbot5", "; m bot ", "; m_bot_", "; power bot", "; vr bot"),
    *("; xbot", "; spider ", "butterfly build/", "htc butterfly", "htc j butterfly", "htc_butterfly", "viewsonic"),
    "ap3a.240617.008",  # a release of Android 15
    # Apps with a built-in browser, and browser extensions.
    *("camscanner", "firephp", "http://bsalsa.com", "http://www.xbmc.org", "metaiab facebook", "safari/537.36 viber"),
    *("sogoumobilebrowser", "sogoumse", "sogousearch", "sonic slack"),
)
"""Texts in people's agents that look like a bot's. The verdict leaves them out. Case does not matter."""


def agent_verdict(rules: Rules) -> Callable[[bytes], int]:
    """Return the function that gives the verdict on a user agent as logged: COUNTS, FILTERED or BOT.

    A glob must match the whole agent, as it is logged or as it was sent; a text without ``*``, ``?`` and ``[`` may
    occur anywhere in it. Case does not matter. A missing agent is logged as ``-`` and is no bot. Only the first
    AGENT_BYTES of an agent are read.
    """
    included = _compile_agents(rules.include_agents) if rules.include_agents else None
    excluded = _compile_agents(rules.exclude_agents) if rules.exclude_agents else None
    is_bot = bot_matcher() if rules.bots != "count" else None

    def verdict(agent: bytes) -> int:
        logged = unescape(agent[: 4 * AGENT_BYTES])[:AGENT_BYTES]  # an escape has at most four bytes
        sent = _as_sent(logged)
        if included and not (included(sent) or included(logged)):
            return FILTERED
        if excluded and (excluded(sent) or excluded(logged)):
            return FILTERED
        return BOT if is_bot and is_bot(sent) else COUNTS

    return verdict


def _as_sent(agent: bytes) -> bytes:
    """Return an agent with its blanks, if its log writes others: IIS ``+``, CDNs ``%20`` or ``%2520``.

    >>> _as_sent(b"Mozilla/5.0%2520(X11)"), _as_sent(b"Mozilla/5.0+(X11)"), _as_sent(b"C++ 1")
    (b'Mozilla/5.0 (X11)', b'Mozilla/5.0 (X11)', b'C++ 1')
    """
    if b" " in agent or not (b"+" in agent or b"%" in agent):
        return agent
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(unquote_to_bytes(agent.replace(b"+", b" ")))


def _compile_agents(globs: tuple[str, ...]) -> Callable[[bytes], object]:
    return compile_globs(tuple(glob if set(glob) & set("*?[") else f"*{glob}*" for glob in globs), any_case=True)


@cache
def bot_matcher() -> Callable[[bytes], bool]:
    """Return the function that tells whether an agent, as sent and not as logged, is a bot's."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    has_bot = match_any((crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA), WORDS)
    find_people = re.compile(b"|".join(re.escape(text.encode()) for text in PEOPLE)).finditer

    def is_bot(agent: bytes) -> bool:
        agent = agent[:AGENT_BYTES]
        if not has_bot(agent):
            return False
        kept, at = [], 0
        for found in find_people(agent.lower()):
            kept.append(agent[at : found.start()])
            at = found.end()
        return not at or has_bot(b" ".join([*kept, agent[at:]]))

    return is_bot


def match_any(patterns: Iterable[str], words: Iterable[str] = ()) -> Callable[[bytes], bool]:
    """Return the function that finds one of *patterns* or *words*, which are regular expressions, in an agent.

    For *words* case does not matter. Only the first AGENT_BYTES are read. A pattern that `translate` cannot translate
    exactly finds more than it should. A pattern that would find every agent is left out, with a RuntimeWarning.

    >>> match_any(["Googlebot\\\\/", "^curl"])(b"Mozilla/5.0 (compatible; Googlebot/2.1)")
    True
    """
    texts: dict[bytes, list[tuple[int, bytes, bool]]] = {}  # by piece, with the place of the piece in the text
    rows: dict[bytes, list[Row]] = {}  # by piece: patterns that are not plain text
    always = []
    for pattern, any_case in (*((pattern, False) for pattern in patterns), *((word, True) for word in words)):
        for row in translate(pattern, any_case).rows:
            if not row.is_text and row.fits_all:
                warnings.warn(
                    f"ignoring the pattern {pattern!r}, which matches every agent", RuntimeWarning, stacklevel=2
                )
                continue
            lowered = [text.lower() for text in row.texts]
            pieces = [piece for text in lowered for piece in _pieces(text)]
            if not pieces:
                always.append(row)
                continue
            rare = [piece for piece in pieces if piece not in _COMMON_PIECES] or pieces
            piece = next((piece for piece in rare if piece not in texts), rare[0])
            if row.is_text:
                texts.setdefault(piece, []).append((lowered[0].index(piece), row.texts[0], any_case))
            else:
                rows.setdefault(piece, []).append(row)

    def is_found(agent: bytes) -> bool:
        agent = agent[:AGENT_BYTES]
        lowered = agent.lower()
        candidates = {}
        for at in range(len(agent) - _PIECE_BYTES + 1):
            piece = lowered[at : at + _PIECE_BYTES]
            if piece in texts:
                for offset, text, any_case in texts[piece]:
                    if at >= offset and (lowered if any_case else agent).startswith(text, at - offset):
                        return True
            if piece in rows:
                candidates[piece] = rows[piece]
        return any(row.is_in(agent) for found in (always, *candidates.values()) for row in found)

    return is_found


def _pieces(text: bytes) -> list[bytes]:
    return [text[at : at + _PIECE_BYTES] for at in range(len(text) - _PIECE_BYTES + 1)]


_COMMON_PIECES = frozenset(_pieces(_COMMON))
