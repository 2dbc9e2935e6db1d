"""The description of the JSON interface, in OpenAPI 3.1."""

from typing import Any

from fasthits import __version__
from fasthits.web.parameters import MAX_DAYS, MAX_LIMIT, MAX_TEXT

Schema = dict[str, Any]


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _parameter(name: str, text: str, schema: Schema, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema, "required": required}


def _number(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _get(text: str, parameters: list[Schema], answer: Schema, media: str = "application/json") -> Schema:
    errors = {code: {"description": what, "content": _ERROR} for code, what in _ERRORS.items()}
    found = {"description": "Found.", "content": {media: {"schema": answer}}}
    return {"get": {"summary": text, "parameters": parameters, "responses": {"200": found, **errors}}}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
DAY: Schema = {"type": "string", "format": "date"}
PATH: Schema = {"type": "string", "pattern": r"^(/|https?://|#)[^?]*$", "maxLength": MAX_TEXT}

_ERROR = {"application/json": {"schema": _object(error=TEXT)}}
_ERRORS = {
    "400": "A parameter is missing or invalid.",
    "401": "The token is missing or wrong.",
    "503": "memcached or the database cannot be read.",
}
_PATH_TEXT = (
    "Path as in the log, without the query; or, as in /api/top, # and the SHA-256 of a path too long for a key."
)
_DAYS = _parameter("days", "Days, ending with the newest in the database.", _number(MAX_DAYS, 30))
_LIMIT = _parameter("limit", "Paths to return.", _number(MAX_LIMIT, 20))
_SAMPLE = _object(
    at={"type": "string", "format": "date-time"},
    day=DAY,
    views=COUNT,
    paths=COUNT,
    last_minute=COUNT,
    rate={"type": ["number", "null"], "minimum": 0, "description": "Views a second; null in the first sample."},
    most_read=_list(_object(path=TEXT, views=COUNT, last_minute=COUNT)),
    problems=_list(TEXT),
    warnings=_list(TEXT),
)

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {"title": "fasthits", "version": __version__, "description": "How often was each page read?"},
    "paths": {
        "/api/today": _get(
            "Today's views of a path.",
            [_parameter("path", _PATH_TEXT, PATH, required=True)],
            _object(path=TEXT, views=COUNT),
        ),
        "/api/top": _get("Today's most read paths, and totals.", [_LIMIT], _SAMPLE),
        "/api/history": _get(
            "Views on each of the last days, of a path or of all paths together.",
            [_parameter("path", _PATH_TEXT, PATH), _DAYS],
            _object(path={"type": ["string", "null"]}, days=_list(DAY), views=_list(COUNT), total=COUNT),
        ),
        "/api/most-read": _get(
            "Most read paths of the last days.",
            [_DAYS, _LIMIT],
            _object(days=_list(DAY), paths=_list(_object(path=TEXT, views=COUNT, by_day=_list(COUNT)))),
        ),
        "/api/search": _get(
            "Paths that contain a text, most read today first.",
            [_parameter("q", "Part of a path.", {**TEXT, "minLength": 1, "maxLength": MAX_TEXT}, True), _LIMIT],
            _object(paths=_list(TEXT)),
        ),
        "/badge.svg": _get(
            "Picture of a path's views: today's and those of all days in the database.",
            [_parameter("path", _PATH_TEXT, PATH, required=True)],
            TEXT,
            "image/svg+xml",
        ),
        "/metrics": _get("Metrics for Prometheus.", [], TEXT, "text/plain; version=0.0.4; charset=utf-8"),
    },
}
