"""Pasted configuration: finds the format string in a whole directive of nginx, Apache, Tomcat or lighttpd."""

import re

from fasthits.errors import UsageError

_PIECE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
# The patterns are compiled where they are used, as most commands do not need them.
_LOG_FORMAT = (
    rf"(?s)log_format\s+(?P<name>[^\s;]+)\s+(?:escape=(?P<escape>\w+)\s+)?(?P<pieces>(?:(?:{_PIECE})\s*)+|[^\s;]+\s*);?"
)
_PIECES = rf"(?s)(?:(?:{_PIECE})\s*)+;?"
_APACHE = (
    r"""(?si)(?:(?:LogFormat|TransferLog)\s+|(?:CustomLog|GlobalLog)\s+(?:"(?:[^"\\]|\\.)*"|\S+)\s+)"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<word>\S+))(?:\s.*)?"""
)
_ASSIGNED = r"(?s)(?:accesslog\.format\s*=|log-format-upstream:)\s*(?P<string>.+)"
"""lighttpd's configuration, and the ConfigMap of ingress-nginx, where YAML folds lines."""
_TOMCAT = r"""\bpattern=(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')"""


def directive_string(text: str) -> str:
    r"""Return the format string, or the name of a format, that stands in *text*: all of a directive, or itself only.

    >>> directive_string("log_format main '$remote_addr [$time_local] '\n                '\"$request\" $status';")
    '$remote_addr [$time_local] "$request" $status'
    >>> directive_string(r'LogFormat "%h %t \"%r\" %>s" mine')
    '%h %t \\"%r\\" %>s'
    >>> directive_string("%h %t")
    '%h %t'

    Raises UsageError for the directive of a log of JSON lines.
    """
    text = re.sub(r"\\\r?\n", "", text)  # Apache goes on in the next line
    stripped = text.strip()
    if found := re.fullmatch(_LOG_FORMAT, stripped):
        string = _joined(found["pieces"])
        if found["escape"] == "json" and string.lstrip().startswith("{"):
            raise UsageError("log_format of JSON lines", found["name"], "--format json")
        return string
    if found := re.fullmatch(_APACHE, stripped):
        return str(found["quoted"] or found["single"] or found["word"])
    if found := re.fullmatch(_ASSIGNED, stripped):
        string = re.sub(r"\s*\n\s*", " ", found["string"])
        return _joined(string) if re.fullmatch(_PIECE, string) else string
    if found := re.search(_TOMCAT, stripped):
        import html

        return html.unescape(found["double"] or found["single"] or "")
    if _is_pieces(stripped):
        return _joined(stripped.removesuffix(";"))
    return text


def _is_pieces(text: str) -> bool:
    """Tell whether *text* consists of quoted strings, and their quotes do not belong to the log lines."""
    found = re.findall(_PIECE, text, re.DOTALL) if re.fullmatch(_PIECES, text) else []
    quotes = {piece[0] for piece in found}
    return len(quotes) == 1 and all(" " in piece.strip("'\" ") or "\n" in text for piece in found)


def _joined(pieces: str) -> str:
    """Return quoted strings as one string, as nginx joins them."""
    found = re.findall(_PIECE, pieces, re.DOTALL)
    return "".join(piece[1:-1] for piece in found) if found else pieces.strip()
