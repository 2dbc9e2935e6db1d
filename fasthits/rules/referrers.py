"""Where readers came from: the site or the page in a referer."""

import re
from collections.abc import Collection

from fasthits._parse import normalise
from fasthits.errors import UsageError

_REFERER = re.compile(
    rb"(?P<scheme>(?i:https?|android-app))://(?:[^/?#@]*+@)*+(?P<host>[\w.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d*+)?"
    rb"(?P<path>/[^?#]*+)?(?:[?#].*+)?",
    re.DOTALL,
)
_OWN_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:.]{2,45}\]", re.ASCII)
_IN_ADDRESS = re.compile(r"(?:\w+://)?(?:[^/@]*@)?[*.]*(?P<host>\[[^]]*\]|[\w.-]*[\w-])\.?(?=[:/?#]|$)")


def own_host(text: str) -> str:
    """Return an own host as `referrer_site` compares it. Raises UsageError for a text that no host can match.

    >>> own_host("Example.org.")
    'example.org'
    """
    host = text.lower().rstrip(".")
    if _OWN_HOST.fullmatch(host):
        return host
    found = [_IN_ADDRESS.match(word) for word in re.split(r"[,\s]+", host)]
    hosts = [f"--own-host {each['host']}" for each in found if each and _OWN_HOST.fullmatch(each["host"])]
    hint = f"try {' '.join(hosts)}" if hosts else "as browsers send it: example.org, or xn--bcher-kva.example"
    raise UsageError("not a host", repr(text), hint)


def referrer_site(referer: bytes, own_hosts: Collection[str]) -> str | None:
    """Return the host in a referer as logged, in lower case and without its port; None for one of *own_hosts*.

    Subdomains of own hosts are own hosts. A referer that is not the address of a site gives None, too. The result is
    ASCII.

    >>> referrer_site(b"https://Blog.Example.org:8080/a?b", {"example.com"})
    'blog.example.org'
    """
    found = _REFERER.fullmatch(referer)
    return _site(found, own_hosts) if found else None


def referrer_page(referer: bytes, own_hosts: Collection[str]) -> str | None:
    """Return the address in a referer, normalised as in RFC 3986, without query and fragment; None as `referrer_site`.

    >>> referrer_page(b"https://Example.org/caf\\xc3\\xa9?q=1#top", ())
    'https://example.org/caf%C3%A9'
    """
    found = _REFERER.fullmatch(referer)
    site = _site(found, own_hosts) if found else None
    if not found or not site:
        return None
    # Without the port, so that a site has one name.
    return f"{found['scheme'].decode().lower()}://{site}{normalise(found['path'] or b'/').decode()}"


def _site(found: re.Match[bytes], own_hosts: Collection[str]) -> str | None:
    site = found["host"].decode("ascii").lower().rstrip(".")
    return None if not site or any(site == own or site.endswith("." + own) for own in own_hosts) else site
