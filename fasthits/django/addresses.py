"""From the address of an object to the path that the logger counts, always in the same way; and signed paths."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.signing import BadSignature, Signer
from django.utils.encoding import iri_to_uri
from django.utils.functional import Promise

from fasthits.django.conf import setting
from fasthits.errors import UsageError
from fasthits.rules.paths import final_path
from fasthits.rules.rules import Rules

ADDRESS = re.compile("/|https?://", re.IGNORECASE)
"""How an address begins. Only requests for such targets are hits."""


def path_of(page: Any) -> bytes:
    """Return the path under which a page is counted. *page* is an object with ``get_absolute_url``, or an address.

    The address may be lazy, as that of ``reverse_lazy``.
    """
    return counted_path(str(page if isinstance(page, (str, Promise)) else page.get_absolute_url()))


def counted_path(address: str, rules: Rules | None = None) -> bytes:
    """Return the path under which *address* is counted, by RULES unless others are given.

    It is percent-encoded and has no host. It has its query only where the rules keep queries. Raises UsageError.
    """
    rules = rules or setting("RULES")
    if not ADDRESS.match(address):  # empty, if a template has no such variable: not the address of the home page
        raise UsageError("not an address", ascii(address), "it begins with / or https://")
    try:
        parts = urlsplit(address)
        target = iri_to_uri(parts.path or "/")
        if rules.keep_query and parts.query:
            target += "?" + iri_to_uri(parts.query)
    except ValueError as error:  # brackets that hold no IPv6 address, bytes that are not UTF-8
        raise UsageError("not an address", ascii(address), "write a byte that is not UTF-8 as %hh") from error
    return final_path(rules)(target.encode("ascii"))[0]


def sign(page: Any) -> str:
    """Return the counted path of a page, signed: whoever was shown the page may ask for its number."""
    return _signer().sign(path_of(page).decode("ascii"))


def signed_path(text: str) -> bytes | None:
    """Return the path that *text*, made by `sign`, is for; None if this site has not signed it."""
    try:
        return _signer().unsign(text).encode("ascii")
    except (BadSignature, UnicodeEncodeError):
        return None


def _signer() -> Signer:
    return Signer(salt="fasthits.path")
