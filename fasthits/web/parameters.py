"""Reads and checks the parameters of requests."""

from starlette.requests import Request

from fasthits.errors import UsageError
from fasthits.live.keys import PATH_STARTS

MAX_DAYS = 3660
MAX_LIMIT = 100
MAX_TEXT = 8192


def path(request: Request) -> str:
    """Return ``path``: as in the log, or as in a sample. Raises UsageError if it is missing or invalid."""
    value = optional_path(request)
    if value is None:
        raise UsageError("parameter missing", "path", "such as path=/about.html")
    return value


def optional_path(request: Request) -> str | None:
    """Return ``path``, or None if it is missing. Raises UsageError for what cannot be a counted path."""
    value = _only(request, "path")
    if value is not None and (not value.startswith((*PATH_STARTS, "#")) or "?" in value or len(value) > MAX_TEXT):
        raise UsageError("not a path", ascii(value[:80]), "a path begins with / and has no ?")
    return value


def text(request: Request) -> str:
    """Return ``q``, the text to search for. Raises UsageError if it is missing or too long."""
    value = _only(request, "q")
    if not value or len(value) > MAX_TEXT:
        raise UsageError("parameter missing or too long", "q", "part of a path, such as q=blog")
    return value


def days(request: Request) -> int:
    """Return ``days``, 30 if it is missing. Raises UsageError for anything but 1 to MAX_DAYS."""
    return _number(request, "days", 30, MAX_DAYS)


def limit(request: Request) -> int:
    """Return ``limit``, 20 if it is missing. Raises UsageError for anything but 1 to MAX_LIMIT."""
    return _number(request, "limit", 20, MAX_LIMIT)


def _number(request: Request, name: str, default: int, most: int) -> int:
    value = _only(request, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(most)) and 1 <= int(value) <= most):
        raise UsageError("invalid number", f"{name}={value[:80]!a}", f"1 to {most}")
    return int(value)


def _only(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise UsageError("parameter given twice", name, "give it once")
    return values[0] if values else None
