"""The names of fields in JSON logs, by kind. The core (core/jsonnames.pxd) finds the fields in a line by these names.

The core compares names by their letters and digits in lower case: ``User-Agent``, ``user_agent`` and ``userAgent`` are
one name. A dot leads into an object, and may as well be part of a key. Of a list the first item counts.

Sources of the names:

- nginx: the variables of ngx_http_core_module and ngx_http_log_module; ingress-nginx's log formats
- Caddy: modules/caddyhttp/server.go (``logRequest``), marshalers.go; caddyserver.com/docs/caddyfile/directives/log
- Traefik: doc.traefik.io, "Access Logs", and pkg/middlewares/accesslog/logdata.go
- Envoy, Istio: envoyproxy.io, "Access logging", and the default JSON format of istio.io; Envoy Gateway
- Google Cloud: cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry (``HttpRequest``)
- AWS: API Gateway's ``$context`` variables; fields of ALB and CloudFront logs (standard logs v2 as JSON)
- Cloudflare: developers.cloudflare.com, Logpush, dataset HTTP requests; Workers, "Tail events" (``event``)
- Fastly: the JSON example of docs.fastly.com, "Custom log formats"
- Akamai: techdocs.akamai.com, DataStream 2, "Data set parameters"
- Azure Front Door and Application Gateway: learn.microsoft.com, "Azure Front Door logs" (``properties``)
- Alibaba Cloud, Tencent EdgeOne, Huawei Cloud: the fields of their CDNs' real-time logs
- Suricata: docs.suricata.io, "EVE JSON Format", event type HTTP; OpenTelemetry's older names (``http.method``)
- Elastic Common Schema: elastic.co/guide/en/ecs (``url``, ``http``, ``user_agent``); Logstash's ``@fields``
- pino-http and bunyan: the serializers ``req`` and ``res``; express-winston, which has them in ``meta``
- Python's loggers of gunicorn and uvicorn
- Docker's json-file driver (``log``), CRI, journald's JSON export (``MESSAGE``), CloudWatch (``message``,
  ``@message``), Loki's logcli (``line``), Splunk's HTTP event collector (``event``)
"""

from collections.abc import Iterator, Mapping

KNOWN: dict[str, tuple[str, ...]] = {
    "time": (
        *("time_iso8601", "time_local", "msec", "ts", "StartLocal", "StartUTC", "start_time", "EdgeStartTimestamp"),
        *("requestTime", "requestTimeEpoch", "time_start", "protoPayload.startTime", "timestamp(ms)", "@timestamp"),
        *("time", "reqTimeSec", "unixtime", "started_at", "datetime", "asctime", "date", "eventTimestamp"),
        "EventTimestampMs",
    ),
    "request": ("request", "request_line", "http_request"),
    "method": (
        *("request_method", "request.method", "httpRequest.requestMethod", "ClientRequestMethod"),
        *("http.request.method", "httpMethod", "req.method", "reqMethod", "cs-method", "request_verb", "verb"),
        *("properties.httpMethod", "protoPayload.method", "proxy.method", "request_type", "http.method"),
        *("http.http_method", "event.request.method", "method"),
    ),
    "path": (
        *("properties.requestUri", "request_uri", "request.uri", "RequestPath", "httpRequest.requestUrl"),
        *("x-envoy-origin-path", "ClientRequestURI", "reqPath", "protoPayload.resource", "proxy.path"),
        *("ClientRequestPath", "url.original", "url.path", "url.full", "req.url", "req.originalUrl", "cs-uri-stem"),
        *("request_url", "request.url", "request.path", "req.path", "uri", "url", "path", "http.url", "http.target"),
        *("resourcePath", "originalUrl", "target", "urlpath", "event.request.url"),
    ),
    "query": (
        *("args", "query_string", "url.query", "cs-uri-query", "request.query", "queryStr"),
        *("properties.requestQuery", "RequestUrlQueryString", "uri_param", "query", "urlquery"),
    ),
    "protocol": (
        *("server_protocol", "request.proto", "RequestProtocol", "httpRequest.protocol", "ClientRequestProtocol"),
        *("cs-protocol-version", "request_proto", "protocol", "proto"),
    ),
    "status": (
        *("status", "DownstreamStatus", "httpRequest.status", "EdgeResponseStatus", "http.response.status_code"),
        *("response_code", "elb_status_code", "sc-status", "res.statusCode", "res.status", "response.status"),
        *("response_status", "status_code", "http_status", "http.status_code", "OriginStatus"),
        *("properties.httpStatusCode", "properties.httpStatus", "protoPayload.status", "EdgeResponseStatusCode"),
        *("proxy.statusCode", "event.response.status", "http.status", "http_code", "return_code", "code"),
        "response",
    ),
    "bytes": (
        *("body_bytes_sent", "bytes_sent", "size", "DownstreamContentSize", "httpRequest.responseSize"),
        *("EdgeResponseBytes", "http.response.body.bytes", "sc-bytes", "sent_bytes", "responseLength"),
        *("res.contentLength", "response_bytes", "bytes"),
    ),
    "referer": (
        *("http_referer", "request.headers.Referer", "request_Referer", "httpRequest.referer", "ClientRequestReferer"),
        *("http.request.referrer", "req.headers.referer", "cs(Referer)", "http_referrer"),
        *("properties.referer", "protoPayload.referrer", "proxy.referer", "headers.referer", "referer", "referrer"),
    ),
    "user_agent": (
        *("http_user_agent", "request.headers.User-Agent", "request_User-Agent", "httpRequest.userAgent"),
        *("ClientRequestUserAgent", "user_agent.original", "req.headers.user-agent", "cs(User-Agent)"),
        *("properties.userAgent", "protoPayload.userAgent", "proxy.userAgent", "RequestUA", "UA"),
        *("http.http_user_agent", "event.request.headers.user-agent", "headers.user-agent", "user_agent", "agent"),
    ),
    "vhost": (
        *("server_name", "request.host", "RequestHost", "ClientRequestHost", "url.domain", "req.headers.host"),
        *("cs(Host)", "x-host-header", "reqHost", "properties.hostName", "properties.host", "protoPayload.host"),
        *("proxy.host", "authority", "domain_name", "vhost", "host", "http_host"),
    ),
}
"""Field names by kind; the first name that a line has is used. A time is used only if it is one."""

URLS = frozenset(
    {
        "properties.requestUri",
        "httpRequest.requestUrl",
        "url.original",
        "url.full",
        "req.url",
        "req.originalUrl",
        "request_url",
        "event.request.url",
        "request.url",
    }
    | {"url", "http.url", "originalUrl"}
)
"""Names of paths that may be a whole URL, put together by the server. Their path counts, not scheme and host."""

MARKS: dict[str, tuple[str, ...]] = {
    "logger": ("logger", "logger_name", "log.logger", "logName", "stream"),
    "level": ("level", "log.level", "severity", "levelname", "loglevel", "PRIORITY"),
    "message": ("event.original", "log", "message", "msg", "textPayload", "line", "event"),
}
"""Fields that tell access entries from other messages. A line without a request may hold a log line in its message."""

TRANSPARENT = ("@fields", "jsonPayload", "fields", "log", "meta")
"""Keys of nested objects whose fields count as fields of the line."""

_CoreName = tuple[str, str, bool, bool]


def core_names(json_fields: Mapping[str, str]) -> list[_CoreName]:
    """Return the names for the core: name, kind, whether it may be a URL, whether its object is transparent.

    *json_fields* gives field names by kind, which replace the known names. With a name for the path or the method,
    these are read and no request line.
    """
    return [*_chosen(json_fields), *_known(json_fields), *((name, "", False, True) for name in TRANSPARENT)]


def _chosen(json_fields: Mapping[str, str]) -> Iterator[_CoreName]:
    for kind, name in json_fields.items():
        yield name, kind, kind == "path", False


def _known(json_fields: Mapping[str, str]) -> Iterator[_CoreName]:
    replaced = set(json_fields)
    if replaced & {"method", "path"}:
        replaced.add("request")
    for kind, names in (KNOWN | MARKS).items():
        if kind not in replaced:
            for name in names:
                yield name, kind, name in URLS, False
