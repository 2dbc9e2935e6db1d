"""The named log formats: what writes each, how its lines look, and where that is documented.

To add a format, add a row to `_ROWS`, its lines to tests/formats/formats.txt, and run ``python -m docs.reference``,
which renews the table in docs/formats.md and the parts in `assembled`.

The strings of a row are in the language of Apache's LogFormat or nginx's log_format. ``%{name}n`` is text that is
skipped. The core reads a line from the left, or, as in Apache's common format, from its time on. It takes the first
place where a literal fits. So in each string, nothing that a client can choose freely stands before the request, unless
the server escapes the quotes in it, or the format is ``closed``: then a line that holds more than the format is
malformed.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from fasthits.errors import UsageError
from fasthits.formats.assembled import PARTS
from fasthits.formats.directives import Field, Literal, scan_apache, scan_nginx
from fasthits.formats.format import Format, assemble, parse_format
from fasthits.formats.json_ltsv_w3c import WITH_NAMES
from fasthits.formats.pasted import directive_string
from fasthits.records import Record, replace


class Named(Record):
    """A log format that has a name."""

    name: str
    writer: str
    """What writes it."""
    source: str
    """Where its lines are documented, or the code that writes them."""
    example: str
    """A line as the program writes it."""
    strings: tuple[str, ...] = ()
    """What lines look like. The first that fits a line counts. No strings: the core has a reader of its own."""
    closed: tuple[str, ...] = ()
    """Further strings. Of these a line has to have every part, and ends where the string ends: see `Format.closed`."""
    read_as: str = ""
    """The name of that reader's format."""
    absolute: bool = False
    has_method: bool = True

    @cached_property
    def format(self) -> Format:
        """The format of the first string, with those of further strings as `Format.others`."""
        formats = [
            *map(self._assemble, self.strings),
            *(replace(self._assemble(text), closed=True) for text in self.closed),
        ]
        first, *others = formats or [WITH_NAMES[self.read_as]]
        return replace(first, others=tuple(others))

    def _assemble(self, text: str) -> Format:
        if (known := PARTS.get(text)) is None:
            return self.assemble_anew(text)
        parts = (Literal(part) if isinstance(part, bytes) else Field(*part) for part in known)
        return Format(self.name, text, tuple(parts), absolute=self.absolute)

    def assemble_anew(self, text: str) -> Format:
        """Return the format of one of the strings, from the string itself."""
        pieces = scan_nginx(text, of_user=False) if "$" in text else scan_apache(text)
        return replace(assemble(self.name, text, pieces, needs_method=self.has_method), absolute=self.absolute)


def _strings(
    name: str, writer: str, source: str, example: str, *strings: str, closed: str | tuple[str, ...] = (), **how: bool
) -> Named:
    closed = (closed,) if isinstance(closed, str) else closed
    return Named(name, writer, source, example, strings, closed, **how)  # type: ignore[arg-type]


_COMMON = '%h %l %u %t "%r" %>s %O'
_COMBINED = f'{_COMMON} "%{{Referer}}i" "%{{User-Agent}}i"'
_WITH_HOST = '%h %V %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'
_ISO, _DATE = "%{%Y-%m-%dT%H:%M:%S}t", "%{%d/%b/%Y %H:%M:%S}t"
_WERKZEUG = f"%h - - [{_DATE}]"
_GIN_TIME = "%{%Y/%m/%d - %H:%M:%S}t"
_UWSGI_TIME = "%{%a %b %e %H:%M:%S %Y}t"
_HEROKU = (
    '%{at}n method=%m path="%U%q" host=%v request_id=%{id}n fwd="%{fwd}n" dyno=%{dyno}n connect=%{connect}n '
    "service=%{service}n status=%>s bytes=%{bytes}n protocol=%H"
)
_SQUID = "%{sec}t %{elapsed}n %h %{result}n/%>s %{bytes}n %m %U%q %u %{hierarchy}n %{type}n"
_NPM = '$request_method $scheme $host "$request_uri" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio]'
_HTTPLOG = (
    "%{client}n [%{%d/%b/%Y:%H:%M:%S}t.%{ms}n] %{frontend}n %{backend}n %{timers}n %>s %{bytes}n %{request_cookie}n "
    '%{response_cookie}n %{state}n %{connections}n %{queues}n "%r"'
)
_TENCENT = (
    "%{%Y%m%d%H%M%S}t %h %v %U%q %{bytes}n %{province}n %{provider}n %>s %{Referer}i %{ms}n "
    '"%{User-Agent}i" "%{range}n" %m %H %{hit}n'
)
_TRAEFIK = '%{count}n "%{router}n" "%{server}n" %{duration}nms'
_AWS = "https://docs.aws.amazon.com"

_ROWS = (
    _strings(
        "combined",
        "Apache, nginx and most other servers",
        "https://httpd.apache.org/docs/2.4/logs.html#combined",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b=1 HTTP/1.1" 200 512 "https://example.org/" "Mozilla/5.0"',
        _COMBINED,
    ),
    _strings(
        "common",
        "Apache, and servers with NCSA logs",
        "https://httpd.apache.org/docs/2.4/logs.html#common",
        '192.0.2.1 - frank [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512',
        _COMMON,
    ),
    _strings(
        "vhost_combined",
        "Apache on Debian, for several hosts",
        "https://sources.debian.org/src/apache2/latest/debian/config-dir/apache2.conf.in/",
        'www.example.org:443 192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        f"%v:%p {_COMBINED}",
    ),
    _strings(
        "vhost_common",
        "Apache, for several hosts",
        "https://httpd.apache.org/docs/2.4/logs.html#virtualhost",
        'www.example.org:443 192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512',
        f"%v:%p {_COMMON}",
    ),
    _strings(
        "short",
        "Apache, with the LogFormat that fasthits conf prints",
        "https://httpd.apache.org/docs/2.4/mod/mod_log_config.html",
        "www.example.org [12/Mar/2026:10:00:00 +0100] GET /a 200",
        "%v %t %m %U %>s",
    ),
    Named(
        "json",
        "nginx, Caddy, Traefik and cloud exports: a JSON object in each line",
        "https://nginx.org/en/docs/http/ngx_http_log_module.html",
        '{"time_iso8601":"2026-03-12T10:00:00+01:00","request":"GET /a HTTP/1.1","status":200}',
        read_as="json",
    ),
    Named(
        "w3c",
        "IIS, Azure, Incapsula, NetScaler, SHOUTcast: lines behind a #Fields: line",
        "https://www.w3.org/TR/WD-logfile.html",
        "2026-03-12 09:00:00 192.0.2.10 GET /a b=1 443 - 192.0.2.1 Mozilla/5.0 - 200 0 0 15",
        read_as="w3c",
    ),
    Named(
        "ltsv",
        "Apache, nginx and H2O with labelled tab-separated values",
        "http://ltsv.org/",
        "host:192.0.2.1\ttime:[12/Mar/2026:10:00:00 +0900]\treq:GET /a HTTP/1.1\tstatus:200\tsize:512",
        read_as="ltsv",
    ),
    _strings(
        "lighttpd",
        "lighttpd",
        "https://redmine.lighttpd.net/projects/lighttpd/wiki/Docs_ModAccesslog",
        '192.0.2.1 www.example.org - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        _WITH_HOST,
    ),
    _strings(
        "ovh",
        "OVH web hosting",
        "https://github.com/matomo-org/matomo-log-analytics/blob/5.x-dev/tests/logs/ovh.log",
        '192.0.2.1 www.example.org - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        _WITH_HOST,
    ),
    _strings(
        "gandi",
        "Gandi web hosting",
        "https://github.com/matomo-org/matomo-log-analytics/blob/5.x-dev/tests/logs/gandi.log",
        'www.example.org 192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] (0 s) "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        '%v %h %l %u %t (%{seconds}n) "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
    ),
    _strings(
        "tomcat",
        "Tomcat, Jetty and other Java servers",
        "https://tomcat.apache.org/tomcat-11.0-doc/config/valve.html#Access_Logging",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /a HTTP/1.1" 200 512',
        _COMMON,
    ),
    _strings(
        "nginx-proxy-manager",
        "Nginx Proxy Manager",
        "https://github.com/NginxProxyManager/nginx-proxy-manager/blob/develop/docker/rootfs/etc/nginx/conf.d/include/log-proxy.conf",
        '[12/Mar/2026:10:00:00 +0100] - 200 200 - GET https www.example.org "/a" [Client 192.0.2.1] [Length 512] '
        '[Gzip 2.1] [Sent-to 198.51.100.2] "Mozilla/5.0" "-"',
        f"[$time_local] $upstream_cache_status $upstream_status $status - {_NPM} [Sent-to $upstream_addr] "
        '"$http_user_agent" "$http_referer"',
        f'[$time_local] $status - {_NPM} "$http_user_agent" "$http_referer"',
    ),
    _strings(
        "ingress-nginx",
        "Ingress-Nginx Controller of Kubernetes",
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/log-format/",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0000] "GET /a HTTP/2.0" 200 512 "-" "Mozilla/5.0" 421 0.003 '
        "[default-web-80] [] 198.51.100.2:8080 512 0.003 200 5d4dcbb6",
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_length $request_time [$proxy_host] [$http_alternative] $upstream_addr '
        "$upstream_response_length $upstream_response_time $upstream_status $request_id",
    ),
    _strings(
        "apisix",
        "Apache APISIX",
        "https://github.com/apache/apisix/blob/master/conf/config.yaml.example",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0000] www.example.org "GET /a HTTP/1.1" 200 512 0.003 "-" "Mozilla/5.0" '
        '198.51.100.2:8080 200 0.003 "http://www.example.org/a"',
        closed='$remote_addr - $remote_user [$time_local] $host "$request" $status $body_bytes_sent $request_time '
        '"$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time '
        '"$upstream_scheme://$upstream_host$upstream_uri"',
    ),
    _strings(
        "traefik",
        "Traefik, in its common log format",
        "https://doc.traefik.io/traefik/observe/logs-and-access-logs/",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0000] "GET /a HTTP/2.0" 200 512 "-" "Mozilla/5.0" 12 '
        '"web@docker" "http://198.51.100.2:80" 3ms',
        f"{_COMBINED} {_TRAEFIK}",
        # Traefik has no status for a request that it answered itself.
        closed=f'%h - %u %t "%r" - - "%{{Referer}}i" "%{{User-Agent}}i" {_TRAEFIK}',
    ),
    Named(
        "caddy",
        "Caddy, as JSON or for a console",
        "https://caddyserver.com/docs/caddyfile/directives/log",
        '{"level":"info","ts":1773306000.5,"logger":"http.log.access","msg":"handled request",'
        '"request":{"method":"GET","host":"www.example.org","uri":"/a"},"status":200}',
        read_as="json",
    ),
    _strings(
        "haproxy",
        "HAProxy, option httplog or httpslog",
        "https://docs.haproxy.org/3.0/configuration.html#8.2.3",
        "Mar 12 10:00:00 lb haproxy[14389]: 192.0.2.1:33317 [12/Mar/2026:10:00:00.655] http-in web/s1 "
        '10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {www.example.org} {} "GET /a HTTP/1.1"',
        closed=(_HTTPLOG, f"{_HTTPLOG} %{{errors}}n/%{{verify}}n/%{{error}}n/%{{depth}}n/%{{resumed}}n %{{tls}}n"),
        absolute=True,
    ),
    _strings(
        "envoy",
        "Envoy and Istio, with their default strings",
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string",
        '[2026-03-12T10:00:00.310Z] "GET /a HTTP/2" 200 - 0 512 226 100 "192.0.2.1" "Mozilla/5.0" '
        '"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "www.example.org" "198.51.100.2:80"',
        f'%{{prefix}}n[{_ISO}%{{ms}}n] "%r" %>s %{{flags}}n %{{received}}n %{{sent}}n %{{duration}}n '
        '%{upstream_time}n "%{forwarded}n" "%{User-Agent}i" "%{id}n" "%v" "%{upstream}n"',
        f'%{{prefix}}n[{_ISO}%{{ms}}n] "%r" %>s %{{flags}}n %{{details}}n %{{closed}}n "%{{failure}}n" %{{received}}n '
        '%{sent}n %{duration}n %{upstream_time}n "%{forwarded}n" "%{User-Agent}i" "%{id}n" "%v" "%{upstream}n"',
    ),
    _strings(
        "varnishncsa",
        "Varnish",
        "https://varnish-cache.org/docs/trunk/reference/varnishncsa.html",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET http://www.example.org/a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        _COMBINED,
        absolute=True,
    ),
    _strings(
        "squid",
        "Squid, native format",
        "https://wiki.squid-cache.org/Features/LogFormat",
        "1773306000.603    310 192.0.2.1 TCP_MISS/200 1234 GET http://www.example.org/a - HIER_DIRECT/198.51.100.2 "
        "text/html",
        _SQUID,
        f"%{{prefix}}n: {_SQUID}",
    ),
    _strings(
        "elb",
        "AWS Classic Load Balancer",
        f"{_AWS}/elasticloadbalancing/latest/classic/access-log-collection.html",
        "2026-03-12T10:00:00.943945Z my-loadbalancer 192.0.2.1:2817 198.51.100.2:80 0.000073 0.001048 0.000057 200 200 "
        '0 29 "GET http://www.example.org:80/a HTTP/1.1" "Mozilla/5.0" - -',
        f"{_ISO}%{{fraction}}n %{{elb}}n %h %{{backend}}n %{{t1}}n %{{t2}}n %{{t3}}n %>s %{{backend_status}}n "
        '%{received}n %{sent}n "%r" "%{User-Agent}i" %{cipher}n %{tls}n',
        absolute=True,
    ),
    _strings(
        "alb",
        "AWS Application Load Balancer",
        f"{_AWS}/elasticloadbalancing/latest/application/load-balancer-access-logs.html",
        "https 2026-03-12T10:00:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.0.2.1:2817 198.51.100.2:80 "
        '0.086 0.048 0.037 200 200 0 57 "GET https://www.example.org:443/a HTTP/1.1" "Mozilla/5.0" - - '
        'arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc "Root=1-58337281" '
        '"www.example.org" "-" 1 2026-03-12T09:59:59.364000Z "forward" "-" "-" "198.51.100.2:80" "200" "-" "-"',
        f"%{{type}}n {_ISO}%{{fraction}}n %{{elb}}n %h %{{target}}n %{{t1}}n %{{t2}}n %{{t3}}n %>s %{{target_status}}n "
        '%{received}n %{sent}n "%r" "%{User-Agent}i" %{cipher}n %{tls}n %{group}n "%{trace}n" "%{domain}n"',
        absolute=True,
    ),
    _strings(
        "s3",
        "Amazon S3",
        f"{_AWS}/AmazonS3/latest/userguide/LogFormat.html",
        "79a59df900b949e5 example-bucket [12/Mar/2026:09:00:38 +0000] 192.0.2.1 - 3E57427F3EXAMPLE REST.GET.OBJECT a "
        '"GET /example-bucket/a HTTP/1.1" 200 - 113 113 7 6 "-" "Mozilla/5.0" -',
        "%{owner}n %{bucket}n %t %h %{requester}n %{id}n %{operation}n %{key}n "
        '"%r" %>s %{error}n %{sent}n %{size}n %{total}n %{turnaround}n "%{Referer}i" "%{User-Agent}i"',
    ),
    _strings(
        "cloudfront",
        "Amazon CloudFront, whose #Fields: line is lost",
        f"{_AWS}/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html",
        "2026-03-12\t09:00:00\tLAX1\t2390\t192.0.2.1\tGET\td111111abcdef8.cloudfront.net\t/a\t200\t-\tMozilla/5.0\t-"
        "\t-\tHit\tSOX4xwn4XV6Q4rgb\twww.example.org\thttps",
        "%{%Y-%m-%d\t%H:%M:%S}t\t%{edge}n\t%{bytes}n\t%h\t%m\t%{host}n\t%U\t%>s\t%{Referer}i\t%{User-Agent}i\t%{query}n"
        "\t%{cookie}n\t%{result}n\t%{id}n\t%v\t%{more}n",
    ),
    _strings(
        "cloudstorage",
        "Google Cloud Storage",
        "https://docs.cloud.google.com/storage/docs/access-logs#format",
        '"1773306000000000","192.0.2.1","1","","GET","/example-bucket/a","200","512","512","15000",'
        '"storage.googleapis.com","","Mozilla/5.0","AEnB2UqJ","GET_Object","example-bucket","a"',
        '"%{usec}t","%h","%{type}n","%{region}n","%m","%U%q","%>s","%{received}n","%{sent}n","%{taken}n","%v",'
        '"%{Referer}i","%{User-Agent}i","%{id}n","%{operation}n"',
    ),
    _strings(
        "api-gateway",
        "AWS API Gateway, as CLF or CSV (its JSON is json)",
        f"{_AWS}/apigateway/latest/developerguide/set-up-logging.html",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef',
        f"{_COMMON} %{{id}}n",
        "%h,%{caller}n,%u,%{%d/%b/%Y:%H:%M:%S %z}t,%m,%U,%H,%>s,%{bytes}n,%{id}n",
    ),
    Named(
        "cloudflare",
        "Cloudflare Logpush",
        "https://developers.cloudflare.com/logs/logpush/logpush-job/datasets/zone/http_requests/",
        '{"ClientRequestHost":"www.example.org","ClientRequestMethod":"GET","ClientRequestURI":"/a",'
        '"EdgeResponseStatus":200,"EdgeStartTimestamp":"2026-03-12T09:00:00Z"}',
        read_as="json",
    ),
    _strings(
        "fastly",
        "Fastly, with its default string",
        "https://www.fastly.com/documentation/guides/integrations/logging/",
        '<134>2026-03-12T09:00:00Z cache-fra1 web[42]: 192.0.2.1 - - [12/Mar/2026:09:00:00 +0000] "GET /a HTTP/1.1" '
        "200 512",
        _COMMON,
    ),
    Named(
        "akamai",
        "Akamai DataStream 2, as JSON",
        "https://techdocs.akamai.com/datastream2/docs/log-format",
        '{"reqTimeSec":"1773306000.123","cliIP":"192.0.2.1","reqHost":"www.example.org","reqMethod":"GET","reqPath":"/a",'
        '"queryStr":"b=1","statusCode":"200","UA":"Mozilla%2F5.0"}',
        read_as="json",
    ),
    Named(
        "azure",
        "Azure Front Door and Application Gateway",
        "https://learn.microsoft.com/en-us/azure/frontdoor/front-door-diagnostics",
        '{"time":"2026-03-12T09:00:00Z","category":"FrontDoorAccessLog","properties":{"httpMethod":"GET",'
        '"requestUri":"https://www.example.org:443/a","httpStatusCode":"200","userAgent":"Mozilla/5.0"}}',
        read_as="json",
    ),
    Named(
        "google-cloud",
        "Google Cloud CDN, load balancers and Cloud Run",
        "https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest",
        '{"httpRequest":{"requestMethod":"GET","requestUrl":"https://www.example.org/a","status":200},'
        '"timestamp":"2026-03-12T09:00:00Z"}',
        read_as="json",
    ),
    _strings(
        "alibaba",
        "Alibaba Cloud CDN",
        "https://www.alibabacloud.com/help/en/cdn/user-guide/download-logs",
        '[12/Mar/2026:10:00:00 +0800] 192.0.2.1 - 1542 "-" "GET http://www.example.org/a" 200 191 2830 MISS '
        '"Mozilla/5.0" "text/html"',
        '%t %h %{proxy}n %{ms}n "%{Referer}i" "%r" %>s %{received}n %{bytes}n %{hit}n "%{User-Agent}i"',
        absolute=True,
    ),
    _strings(
        "tencent",
        "Tencent Cloud CDN",
        "https://www.tencentcloud.com/document/product/228/6316",
        '20260312100000 192.0.2.1 www.example.org /a 6969 120 2 200 https://example.org/ 3 "Mozilla/5.0" "(null)" GET '
        "HTTPS hit 32768",
        closed=(_TENCENT, f"{_TENCENT} %{{port}}n"),
    ),
    _strings(
        "keycdn",
        "KeyCDN, log forwarding",
        "https://www.keycdn.com/support/cdn-log-format",
        '1773306000.123|defr|192.0.2.0|200|253061|uid1234|zid4321|cdn.example.org|HIT|"GET /a HTTP/1.1"|'
        '[12/Mar/2026:10:00:00 +0100]|"-"|"Mozilla/5.0"|https|TLSv1.2|US|CA|"AS64496 Example"|-',
        '%{sec}n|%{pop}n|%h|%>s|%{bytes}n|%{user}n|%{zone}n|%v|%{cache}n|"%r"|%t|"%{Referer}i"|"%{User-Agent}i"',
    ),
    _strings(
        "bunny",
        "bunny.net. It has no method: every line is a GET",
        "https://docs.bunny.net/cdn/logging",
        "HIT|200|1773306000000|512|390|192.0.2.1|-|https://www.example.org/a|DE|Mozilla/5.0|322b688bd63fb63f|DE",
        closed="%{cache}n|%>s|%{msec}t|%{bytes}n|%{zone}n|%h|%{Referer}i|%U%q|%{edge}n|%{User-Agent}i|%{id}n|%{country}n",
        absolute=True,
        has_method=False,
    ),
    _strings(
        "heroku",
        "Heroku's router",
        "https://devcenter.heroku.com/articles/http-routing#heroku-router-log-format",
        '2026-03-12T09:00:00.254517+00:00 heroku[router]: at=info method=GET path="/a" host=www.example.org '
        'request_id=8601b555 fwd="192.0.2.1" dyno=web.1 connect=1ms service=18ms status=200 bytes=13 protocol=https',
        f"{_ISO}%{{zone}}n heroku[router]: {_HEROKU}",
        f"%{{priority}}n {_ISO}%{{zone}}n %{{host}}n heroku router - {_HEROKU}",
    ),
    _strings(
        "gunicorn",
        "Gunicorn, --access-logfile",
        "https://docs.gunicorn.org/en/stable/settings.html#access-log-format",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
        _COMBINED,
    ),
    _strings(
        "uvicorn",
        "Uvicorn, whose access format begins with %(asctime)s",
        "https://www.uvicorn.org/settings/#logging",
        '2026-03-12 10:00:00,123 INFO: 192.0.2.1:56789 - "GET /a HTTP/1.1" 200 OK',
        '%{%Y-%m-%d %H:%M:%S}t%{client}n - "%r" %>s',
    ),
    _strings(
        "uwsgi",
        "uWSGI",
        "https://uwsgi-docs.readthedocs.io/en/latest/LogFormat.html",
        "[pid: 641|app: 0|req: 1/1] 192.0.2.1 () {38 vars in 1060 bytes} [Thu Mar 12 10:00:00 2026] GET /a => "
        "generated 3878 bytes in 381 msecs (HTTP/1.1 200) 4 headers in 124 bytes (1 switches on core 0)",
        closed="%{prefix}n[pid: %{pid}n|app: %{app}n|req: %{number}n] %{client}n {%{vars}n} "
        f"[{_UWSGI_TIME}] "
        "%m %U%q => generated %{bytes}n (%H %>s) %{headers}n (%{switches}n switches on core %{core}n)",
    ),
    _strings(
        "werkzeug",
        "Werkzeug, Flask's development server. It colours lines whose status is not 200",
        "https://github.com/pallets/werkzeug/blob/main/src/werkzeug/serving.py",
        '192.0.2.1 - - [12/Mar/2026 10:00:00] "GET /a HTTP/1.1" 200 -',
        f'{_WERKZEUG} "\x1b[%{{bold}}nm\x1b[%{{colour}}nm%r\x1b[0m" %>s %{{bytes}}n',
        f'{_WERKZEUG} "\x1b[%{{colour}}nm%r\x1b[0m" %>s %{{bytes}}n',
        f'{_WERKZEUG} "%r" %>s %{{bytes}}n',
    ),
    _strings(
        "django",
        "Django's runserver",
        "https://docs.djangoproject.com/en/stable/ref/logging/#django-server",
        '[12/Mar/2026 10:00:00] "GET /a HTTP/1.1" 200 512',
        f'[{_DATE}] "%r" %>s %{{bytes}}n',
    ),
    _strings(
        "php-fpm",
        "PHP-FPM, access.log. The path is that of the script",
        "https://github.com/php/php-src/blob/master/sapi/fpm/www.conf.in",
        '192.0.2.1 -  12/Mar/2026:10:00:00 +0100 "GET /index.php" 200',
        # FPM writes no protocol. Servers whose times have no brackets do, so it is no part of the path.
        '%h -  %{%d/%b/%Y:%H:%M:%S %z}t "%r" %>s',
        '%h - %u %{%d/%b/%Y:%H:%M:%S %z}t "%r" %>s',
    ),
    _strings(
        "gin",
        "Gin, and servers written with it, such as KrakenD",
        "https://github.com/gin-gonic/gin/blob/master/logger.go",
        '[GIN] 2026/03/12 - 10:00:00 | 200 |    1.234ms |       192.0.2.1 | GET      "/a"',
        f"%{{prefix}}n[GIN] {_GIN_TIME} |\x1b[%{{colour}}nm %>s \x1b[0m| %{{latency}}n | %h |\x1b[%{{colour}}nm %m "
        '%{blanks}n\x1b[0m "%U%q"',
        f'%{{prefix}}n[GIN] {_GIN_TIME} | %>s | %{{latency}}n | %h | %m "%U%q"',
    ),
    _strings(
        "webrick",
        "WEBrick. Its lines of referers (- -> /a) have no date, and are malformed",
        "https://github.com/ruby/webrick/blob/master/lib/webrick/accesslog.rb",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 CET] "GET /a HTTP/1.1" 200 512',
        _COMMON,
    ),
    _strings(
        "icecast",
        "Icecast",
        "https://www.icecast.org/docs/icecast-latest/config-file/#log-settings",
        '192.0.2.1 - - [12/Mar/2026:10:00:00 +0100] "GET /stream HTTP/1.1" 200 3456789 "-" "VLC/3.0.20" 3600',
        f"{_COMBINED} %{{seconds}}n",
    ),
)

FORMATS = {row.name: row for row in _ROWS}
"""The named formats. Where two fit a log equally well, the earlier one gives its name."""


class _Formats(Mapping[str, Format]):
    """The formats by name, each made when it is first asked for: all take longer than a command needs to start."""

    def __getitem__(self, name: str) -> Format:
        return FORMATS[name].format

    def __iter__(self) -> Iterator[str]:
        return iter(FORMATS)

    def __len__(self) -> int:
        return len(FORMATS)


NAMES = _Formats()

JSON = NAMES["json"]


def find_format(text: str) -> Format:
    """Return the format with this name, or with this string of Apache's LogFormat or nginx's log_format.

    >>> find_format("common").field("status").directive
    '%>s'

    Raises UsageError for any other text.
    """
    text = directive_string(text)
    if text in NAMES:
        return NAMES[text]
    if "%" in text or "$" in text:
        return parse_format(text)
    from difflib import get_close_matches

    word = re.compile(rf"\b{re.escape(text or 'nothing')}\b", re.IGNORECASE)
    writers = [row.name for row in FORMATS.values() if word.search(row.writer)]
    near = writers[:3] or get_close_matches(text, NAMES, 1, 0.7)
    hint = f"did you mean {' or '.join(near)}? " if near else "fasthits formats lists the names; "
    hint += "without a format, fasthits detects it; of your own LogFormat or log_format, give the string"
    raise UsageError("no such log format", repr(text), hint)


def key_of(log_format: Format) -> str:
    """Return a text that is the same for formats whose lines count alike under all rules."""
    if not log_format.parts:
        return log_format.name
    reading = log_format.reading()
    kinds = [part.kind if isinstance(part, Field) else "skip" for part in log_format.read_parts]
    last = max(at for at, kind in enumerate(kinds) if kind not in ("skip", "port", "protocol", "bytes"))
    return repr(reading | {"steps": reading["steps"][: max(last + 1, reading["needed"])]})
