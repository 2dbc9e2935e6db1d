"""The addresses of the JSON interface: which parameters each takes and what it answers; and their OpenAPI 3.1."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fasthits import __version__
from fasthits.web.parameters import DAY, PARAMETERS, TEXT, Schema


def _object(**properties: Schema) -> Schema:
    names = {name.rstrip("_"): schema for name, schema in properties.items()}  # from is a keyword of Python
    return {"type": "object", "properties": names, "required": list(names), "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
MAYBE = _or_null(COUNT)

_FRAME = {
    "from_": _or_null(DAY),
    "to": _or_null(DAY),
    "oldest": {**_or_null(DAY), "description": "The first kept day of the database."},
    "newest": {**_or_null(DAY), "description": "The last kept day of the database."},
    "kept_days": {**COUNT, "description": "Days of the range that rollups have kept."},
    "missing": {**_list(DAY), "description": "Days from the oldest kept day to yesterday that nobody has rolled up."},
}
_NEXT = {**MAYBE, "description": "The offset of the rows that follow; null after the last."}
_PATH_ROW = _object(path=TEXT, views=COUNT, share=SHARE, before=MAYBE)
_PATH_ROW["properties"]["by_day"] = _list(MAYBE)  # only if it is asked for
_SAMPLE = _object(
    at={"type": "string", "format": "date-time"},
    day=DAY,
    time_zone=TEXT,
    age_seconds={**NUMBER, "description": "How old the sample is."},
    views=COUNT,
    paths=COUNT,
    last_minute={**COUNT, "description": "Views in the last window_seconds."},
    window_seconds={**NUMBER, "maximum": 60, "description": "How long the counters have been watched, at most 60."},
    rate={**_or_null(NUMBER), "description": "Views a second in the window; null in its first sample."},
    most_read=_list(_object(path=TEXT, views=COUNT, last_minute=COUNT)),
    problems=_list(TEXT),
    warnings=_list(TEXT),
    site={**_or_null(TEXT), "description": "The address of the site, for links to its pages, if it was given."},
)


def _rows(more: Mapping[str, Schema] = MappingProxyType({}), /, **columns: Schema) -> Schema:
    """Return the schema of an answer with rows and the fields *more*."""
    kept: Schema = {"type": "boolean", "description": "Whether rollups keep this."}
    return _object(**_FRAME, kept=kept, rows=_list(_object(**columns)), next=_NEXT, **more)


_ERROR = {"application/json": {"schema": _object(error=TEXT)}}
_ERRORS = {
    "400": "A parameter is missing, unknown or invalid.",
    "401": "The token is missing or wrong.",
    "503": "memcached or the database cannot be read.",
}
_UNCHANGED = {"304": {"description": "The database has not changed since the answer with this ETag."}}
_RANGE = ("days", "from", "to")
_ROWS = ("limit", "offset")


class Endpoint(NamedTuple):
    """An address: what it answers and which parameters it takes."""

    name: str
    tag: str
    text: str
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    answer: Schema = TEXT
    media: str = "application/json"


ENDPOINTS: Mapping[str, Endpoint] = {
    "/api/today": Endpoint(
        *("today", "today", "Today's views of a path."),
        *(("path",), ("path",)),
        _object(path=TEXT, day=DAY, time_zone=TEXT, views=MAYBE, reason=_or_null(TEXT)),
    ),
    "/api/top": Endpoint("top", "today", "Today's most read paths, and totals.", ("limit", "pages"), (), _SAMPLE),
    "/api/history": Endpoint(
        *("history", "days", "Views on each day of a range: of a path, of all that begin with a prefix, or of all."),
        *(("path", "prefix", "host", "pages", *_RANGE), ()),
        _object(
            path=_or_null(TEXT),
            prefix=_or_null(TEXT),
            host=_or_null(TEXT),
            **_FRAME,
            days=_list(DAY),
            views={**_list(MAYBE), "description": "null for a day that is not kept."},
            total=COUNT,
            before={
                **_or_null(_object(from_=DAY, to=DAY, kept_days=COUNT, total=COUNT)),
                "description": "The range before; null if no day of it is kept.",
            },
        ),
    ),
    "/api/most-read": Endpoint(
        *("mostRead", "days", "Most read paths of a range."),
        *(("prefix", "host", "pages", "q", "sort", "by_day", *_ROWS, *_RANGE), ()),
        _object(
            **_FRAME,
            before={
                **_or_null(_object(from_=DAY, to=DAY, kept_days=COUNT)),
                "description": "The range before; null if no day of it is kept.",
            },
            count={**COUNT, "description": "Paths that match."},
            views={**COUNT, "description": "Views of all paths that match."},
            paths=_list(_PATH_ROW),
            next=_NEXT,
        ),
    ),
    "/api/sections": Endpoint(
        *("sections", "days", "Most read sections, such as /blog/*, or what is in the section that prefix names."),
        *(("prefix", "host", "pages", *_ROWS, *_RANGE), ()),
        _rows(section=TEXT, views=COUNT, share=SHARE),
    ),
    "/api/hosts": Endpoint(
        *("hosts", "days", "Hosts, most read first."),
        *(_RANGE, ()),
        _rows(host=TEXT, views=COUNT, share=SHARE),
    ),
    "/api/referrers": Endpoint(
        *("referrers", "days", "Where readers came from."),
        *(("path", "prefix", "host", *_ROWS, *_RANGE), ()),
        _rows(referrer=TEXT, views=COUNT),
    ),
    "/api/searches": Endpoint(
        *("searches", "days", "What readers had searched for."),
        *(("path", "prefix", "host", *_ROWS, *_RANGE), ()),
        _rows(engine=TEXT, terms=TEXT, views=COUNT),
    ),
    "/api/bots": Endpoint(
        *("bots", "days", "Views of bots by day."),
        *(("path", "prefix", "host", *_RANGE), ()),
        _rows({"total": MAYBE}, day=DAY, views=MAYBE),
    ),
    "/api/read-by-bots": Endpoint(
        *("readByBots", "days", "Paths that bots read most."),
        *(("prefix", "host", *_ROWS, *_RANGE), ()),
        _rows(path=TEXT, views=COUNT),
    ),
    "/api/not-found": Endpoint(
        *("notFound", "days", "Paths that were asked for but not found: answered with 404 or 410."),
        *(("prefix", "host", *_ROWS, *_RANGE), ()),
        _rows(path=TEXT, views=COUNT),
    ),
    "/api/hours": Endpoint(
        *("hours", "days", "Views in each hour of a day: of today from the loggers, of other days from the database."),
        *(("day",), ("day",)),
        _object(day=DAY, hours={**_or_null(_list(COUNT)), "description": "24 numbers; null if they are not kept."}),
    ),
    "/api/search": Endpoint(
        *("search", "today", "Paths that contain a text, most read today first."),
        *(("q", "limit"), ("q",)),
        _object(paths=_list(TEXT)),
    ),
    "/report": Endpoint(
        *("report", "other", "A page of past days that needs no scripts."),
        *(("host", "pages", *_RANGE), ()),
        media="text/html",
    ),
    "/badge.svg": Endpoint(
        *("badge", "other", "Picture of a path's views: today's and those of all kept days, or of the last days."),
        *(("path", "label", "days"), ("path",)),
        media="image/svg+xml",
    ),
    "/metrics": Endpoint(
        *("metrics", "other", "Metrics for Prometheus."), media="text/plain; version=0.0.4; charset=utf-8"
    ),
    "/openapi.json": Endpoint("openapi", "other", "This description.", (), (), {"type": "object"}),
}

for _endpoint in ENDPOINTS.values():
    if not {"path", "prefix"}.isdisjoint(_endpoint.parameters) and _endpoint.tag == "days":
        _endpoint.answer["properties"]["reason"] = {
            **TEXT,
            "description": "Only if nobody has read a path that is not ASCII: how browsers send it.",
        }


def describe(with_token: bool) -> Schema:
    """Return the description in OpenAPI 3.1; *with_token* says whether the server requires a token."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "fasthits", "version": __version__, "description": "How often was each page read?"},
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {path: {"get": _operation(endpoint, with_token)} for path, endpoint in ENDPOINTS.items()},
    }
    if with_token:
        document["components"] = {"securitySchemes": _SCHEMES}
        document["security"] = [{name: []} for name in _SCHEMES]
    return document


_TAGS = {"today": "Live counters.", "days": "Days that rollups have kept.", "other": "Pictures, metrics, descriptions."}
_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "The secret of fasthits serve."}}


def _operation(endpoint: Endpoint, with_token: bool) -> Schema:
    errors = {
        code: {"description": text, "content": _ERROR} for code, text in _ERRORS.items() if with_token or code != "401"
    }
    found = {"description": "Found.", "content": {endpoint.media: {"schema": endpoint.answer}}}
    return {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.text,
        "parameters": [_parameter(name, name in endpoint.required) for name in endpoint.parameters],
        "responses": {"200": found, **(_UNCHANGED if endpoint.tag == "days" else {}), **errors},
    }


def _parameter(name: str, required: bool) -> Schema:
    text, schema = PARAMETERS[name].text, PARAMETERS[name].schema
    return {"name": name, "in": "query", "description": text, "required": required, "schema": schema}
