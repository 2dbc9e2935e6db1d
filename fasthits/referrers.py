"""Where readers came from: the site or page in a referer, and the terms that they gave a search engine."""

import re
import warnings
from collections.abc import Callable, Collection
from typing import NamedTuple

from fasthits.errors import UsageError
from fasthits.escapes import unescape
from fasthits.rules import decode

_REFERER = re.compile(
    rb"(?P<scheme>https?|android-app)://(?:[^/?#]*@)?(?P<host>[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:\d*)?"
    rb"(?P<path>/[^?#]*)?(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
TERMS_CHARACTERS = 200
"""More of what someone typed, or made up, is not kept."""


class Search(NamedTuple):
    """What was looked for, and with what."""

    engine: str
    terms: str


def referrer_site(referer: bytes, own_hosts: Collection[str]) -> str | None:
    """Return the host in a referer as it was logged, in lower case and without its port; None for an own one.

    None as well for what is no address of a site. Hosts below an own one are own. All that is returned is ASCII.

    >>> referrer_site(b"https://Blog.Example.org:8080/a?b", {"example.com"})
    'blog.example.org'
    """
    found = _REFERER.fullmatch(referer)
    return _site(found, own_hosts) if found else None


def referrer_page(referer: bytes, own_hosts: Collection[str]) -> str | None:
    """Return the address in a referer without query and fragment, as RFC 3986 normalises it; None as `referrer_site`.

    >>> referrer_page(b"https://Example.org/caf\\xc3\\xa9?q=1#top", ())
    'https://example.org/caf%C3%A9'
    """
    found = _REFERER.fullmatch(referer)
    site = _site(found, own_hosts) if found else None
    if not found or not site:
        return None
    # Not the port: with it a site would be several.
    return f"{found['scheme'].decode().lower()}://{site}{decode(found['path'] or b'/').decode()}"


def _site(found: re.Match[bytes], own_hosts: Collection[str]) -> str | None:
    site = found["host"].decode("ascii").lower().rstrip(".")
    return None if not site or any(site == own or site.endswith("." + own) for own in own_hosts) else site


def search_reader() -> Callable[[bytes], Search | None]:
    """Return the function that finds the search in a referer, as it was logged; None where there is none.

    Terms are in lower case, with single spaces, and without characters that do not print. Most engines no longer send
    them.

    Raises UsageError when serpextract is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it reads its data by pkg_resources, where there is one
            from serpextract import extract

            extract("https://www.google.com/search?q=")  # reads the data
    except ImportError as error:
        raise UsageError("search terms need a package", "serpextract", "pip install 'fasthits[searches]'") from error

    def read(referer: bytes) -> Search | None:
        found = extract(unescape(referer).decode("utf-8", "replace"))
        terms = " ".join("".join(c if c.isprintable() else " " for c in found.keyword).split()) if found else ""
        return Search(found.engine_name, terms[:TERMS_CHARACTERS]) if terms else None

    return read
