"""Formats whose fields have names in the log: JSON, LTSV (http://ltsv.org) and W3C's extended log file format
(https://www.w3.org/TR/WD-logfile), as IIS, CloudFront and others write it. `jsonlines` has the names in JSON.

W3C's times are UTC, so a day there is a day of UTC; only IIS Advanced Logging has columns with local times, too. A
format here has a field for each kind; a line has some of them.
"""

from collections.abc import Mapping
from typing import get_args

from fasthits.formats.directives import Field, Kind
from fasthits.formats.format import Format
from fasthits.formats.jsonlines import core_names

NAMES_COLUMNS = b"#Fields:"
"""The beginning of a line of W3C's format that names the columns of the lines behind it."""

_LTSV = {
    "time": ("time", "time_local", "time_iso8601"),
    "request": ("req", "request"),
    "method": ("method", "request_method"),
    "target": ("uri", "request_uri"),
    "path": ("uripath", "path"),
    "query": ("uriquery",),
    "protocol": ("protocol", "server_protocol"),
    "status": ("status",),
    "bytes": ("size", "body_bytes_sent", "bytes_sent"),
    "referer": ("referer", "http_referer"),
    "user_agent": ("ua", "http_user_agent", "user_agent"),
    "vhost": ("vhost", "server_name"),
}
_W3C = {
    "time": ("date", "date-local"),
    "clock": ("time", "time-local"),
    "method": ("cs-method",),
    "target": ("cs-uri",),
    "path": ("cs-uri-stem",),
    "query": ("cs-uri-query",),
    "protocol": ("cs-version", "cs-protocol-version"),
    "status": ("sc-status",),
    "bytes": ("sc-bytes",),
    "referer": ("cs(Referer)", "cs(Referrer)"),
    "user_agent": ("cs(User-Agent)",),
    "vhost": ("cs-host", "cs(Host)", "x-host-header"),
}
"""Of several columns of one kind the last counts: CloudFront's cs(Host) is its own name, x-host-header the site's."""


def missing_columns(fields_line: bytes) -> list[str]:
    """Return the columns that lines need and that a ``#Fields:`` line does not name.

    >>> missing_columns(b"#Fields: date time cs-method cs-uri-path"), missing_columns(b"#Fields: date cs-uri")
    (['cs-uri-stem'], [])
    """
    names = set(fields_line.decode("utf-8", "replace").split()[1:])
    needed = (_W3C["time"], (*_W3C["path"], *_W3C["target"]))
    return [several[0] for several in needed if not names & set(several)]


def _format(how: str, time_format: str, names: Mapping[str, tuple[str, ...]]) -> Format:
    parts = [
        Field(kind, names.get(kind, (kind,))[0], 0, time_format=time_format if kind == "time" else None)
        for kind in get_args(Kind)
        if kind != "port"
    ]
    known = [(name.encode(), kind) for kind, several in names.items() for name in several]
    return Format(how, how, tuple(parts), how, tuple(known))


LTSV = _format("ltsv", "apache", _LTSV)
W3C = _format("w3c", "w3c", _W3C)
JSON = Format("json", "json", (), "json", tuple(core_names({})))

WITH_NAMES: Mapping[str, Format] = {"json": JSON, "ltsv": LTSV, "w3c": W3C}
"""These formats by name."""
