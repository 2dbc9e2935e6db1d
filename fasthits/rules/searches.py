"""What readers searched for, from the referers of search engines.

Few referers still tell. Since 2020 browsers send only the origin to other sites (the default of the Referrer Policy,
https://www.w3.org/TR/referrer-policy/, is strict-origin-when-cross-origin). Terms come from older browsers, from pages
that ask browsers to send the whole address, and from old logs.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl

from fasthits.formats.escapes import unescape

TERMS_CHARACTERS = 200
"""Longer search terms are cut: people, or strangers' scripts, choose them."""
MAX_PARAMETERS = 100
"""An address with more parameters is not a page of search results."""


class Search(NamedTuple):
    """A search engine, and the terms of a search."""

    engine: str
    terms: str


class _Engine(NamedTuple):
    """A search engine, and where an address holds the terms."""

    name: str
    host: str
    """Regular expression for the host, in lower case and without ``www.``."""
    path: str
    """The beginning of the path."""
    parameters: tuple[str, ...]
    """Parameters that can hold the terms. The first that the query has does."""


_ANY = r"(com?\.)?[a-z]{2,3}"
"""A country's domain, or com."""

# The path and the parameter come from each engine's search form. The hosts were compared with Matomo's list of
# search engines, https://github.com/matomo-org/searchengine-and-social-list.
_ENGINES = {
    "google": _Engine("Google", rf"google\.{_ANY}", "/search", ("q",)),
    "bing": _Engine("Bing", r"([a-z]{2}\.|global\.)?bing\.com", "/search", ("q",)),
    "yahoo": _Engine("Yahoo!", r"([a-z]{2,9}\.)?search\.yahoo\.(com|co\.jp)", "/search", ("p",)),
    "duckduckgo": _Engine("DuckDuckGo", r"((html|lite|safe)\.)?duckduckgo\.com", "/", ("q",)),
    "yandex": _Engine("Yandex", rf"(m\.)?yandex\.{_ANY}", "/", ("text",)),
    "ya": _Engine("Yandex", r"ya\.ru", "/search", ("text",)),
    "baidu": _Engine("Baidu", r"(m\.|wap\.)?baidu\.com", "/", ("wd", "word")),
    "ecosia": _Engine("Ecosia", r"ecosia\.org", "/search", ("q",)),
    "qwant": _Engine("Qwant", r"(lite\.)?qwant\.com", "/", ("q",)),
    "startpage": _Engine("Startpage", r"([a-z0-9-]+\.)?startpage\.com", "/", ("query", "q")),
    "brave": _Engine("Brave", r"search\.brave\.com", "/search", ("q",)),
    "mojeek": _Engine("Mojeek", r"mojeek\.(com|co\.uk)", "/search", ("q",)),
    "swisscows": _Engine("Swisscows", r"swisscows\.com", "/", ("query",)),
    "metager": _Engine("MetaGer", r"metager\.(org|de|es)", "/", ("eingabe",)),
    "seznam": _Engine("Seznam", r"search\.seznam\.cz", "/", ("q",)),
    "naver": _Engine("Naver", r"(m\.)?search\.naver\.com", "/search", ("query",)),
    "daum": _Engine("Daum", r"(m\.)?search\.daum\.net", "/search", ("q",)),
    "sogou": _Engine("Sogou", r"(m\.|wap\.)?sogou\.com", "/", ("query", "keyword")),
    "so": _Engine("360 Search", r"(m\.)?so\.com", "/s", ("q",)),
    "coccoc": _Engine("Cốc Cốc", r"coccoc\.com", "/search", ("query",)),
    "mail": _Engine("Mail.ru", r"go\.mail\.ru", "/", ("q",)),
    "rambler": _Engine("Rambler", r"nova\.rambler\.ru", "/search", ("query",)),
    "ask": _Engine("Ask", r"ask\.com", "/web", ("q",)),
    "aol": _Engine("AOL", rf"search\.aol\.{_ANY}", "/", ("q", "query")),
    "t-online": _Engine("T-Online", r"suche\.t-online\.de", "/", ("q",)),
    "web": _Engine("WEB.DE", r"(m\.)?suche\.web\.de", "/", ("q", "su")),
    "gmx": _Engine("GMX", r"(suche|search)\.gmx\.(net|com)", "/", ("q",)),
}
"""By the label of the host that names the engine."""

_REFERER = re.compile(
    rb"(?i:https?://(?:www\.)?)(?P<host>[A-Za-z0-9.-]{1,80}+)(?::\d*+)?(?P<path>/[^?#]*+)?\?(?P<query>[^#]++)(?:#.*+)?",
    re.DOTALL,
)


def find_search(referer: bytes) -> Search | None:
    """Return the search in a referer as logged; None if it has none.

    The terms are in lower case, with single spaces and without unprintable characters.

    >>> find_search(b"https://www.bing.com/search?q=Two%20%20words&form=QBLH")
    Search(engine='Bing', terms='two words')
    """
    found = _REFERER.fullmatch(referer)
    engine = _engine(found["host"].decode().lower(), found["path"] or b"/") if found else None
    if not found or not engine:
        return None
    query = unescape(found["query"]).decode("utf-8", "replace")
    try:
        given = dict(reversed(parse_qsl(query, errors="replace", max_num_fields=MAX_PARAMETERS)))
    except ValueError:  # too many parameters
        return None
    typed = next((given[name] for name in engine.parameters if name in given), "")
    terms = " ".join("".join(c if c.isprintable() else " " for c in typed.lower()).split())[:TERMS_CHARACTERS].strip()
    return Search(engine.name, terms) if terms else None


def _engine(host: str, path: bytes) -> _Engine | None:
    for label in host.split("."):
        engine = _ENGINES.get(label)
        if engine and path.startswith(engine.path.encode()) and re.fullmatch(engine.host, host):
            return engine
    return None
