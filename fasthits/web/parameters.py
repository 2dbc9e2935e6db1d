"""The parameters of requests, checked."""

from starlette.requests import Request

from fasthits.errors import UsageError
from fasthits.live.keys import PATH_STARTS

MAX_DAYS = 3660
MAX_LIMIT = 100
MAX_TEXT = 8192


def path(request: Request) -> str:
    """Return ``path``: as in the log, or as in a sample for one that is no key. Raises UsageError for anything else."""
    value = optional_path(request)
    if value is None:
        raise UsageError("no path given", "path", "as in the log: /about.html")
    return value


def optional_path(request: Request) -> str | None:
    """Return ``path``, None when it is not there. Raises UsageError for what cannot be counted."""
    value = _only(request, "path")
    if value is not None and (not value.startswith((*PATH_STARTS, "#")) or "?" in value or len(value) > MAX_TEXT):
        raise UsageError("not a path", ascii(value[:80]), "it begins with / and has no ?")
    return value


def text(request: Request) -> str:
    """Return ``q``, the text to search for. Raises UsageError when it is not there or far too long."""
    value = _only(request, "q")
    if not value or len(value) > MAX_TEXT:
        raise UsageError("nothing to search for", "q", "some letters of a path")
    return value


def days(request: Request) -> int:
    """Return ``days``, 30 when it is not there. Raises UsageError for what is no such number."""
    return _number(request, "days", 30, MAX_DAYS)


def limit(request: Request) -> int:
    """Return ``limit``, 20 when it is not there. Raises UsageError for what is no such number."""
    return _number(request, "limit", 20, MAX_LIMIT)


def _number(request: Request, name: str, default: int, most: int) -> int:
    value = _only(request, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(most)) and 1 <= int(value) <= most):
        raise UsageError("not a number that is possible", f"{name}={value[:80]!a}", f"1 to {most}")
    return int(value)


def _only(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise UsageError("given more than once", name)
    return values[0] if values else None
