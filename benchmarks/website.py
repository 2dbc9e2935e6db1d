"""The invented site of the sample log: its paths, its visitors and its answers.

`benchmarks.corpus` describes it in numbers.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import TypeVar

ZIPF_EXPONENT = 1.05
VISITORS = 20_000
POOL = 4096  # the number of endings, and of referers, that are made before the first line
WORDS = (  # noqa: SIM905 (a list of them would fill three pages)
    "about above after again along apple april autumn basic beach begin below better bicycle birds black board books "
    "bread bridge broken build cabin candle castle change cheap choice church cinema circle clean clock cloud coast "
    "coffee cold colour common copper corner cotton country cross daily dance dark desert dinner distant dream early "
    "earth easy editor eight empty engine evening every family farm fast fiction field fire first fish flight flower "
    "forest found four free fresh garden gentle glass gold good grand green ground guide half harbour harvest heavy "
    "hidden high history home honest horse house human idea inside iron island january journey kitchen lake language "
    "large late learn leaves left letter library light little local long lost lunch machine market meadow memory "
    "metal middle mirror model money moon morning mountain museum music narrow nature never north notes ocean often "
    "old open orange order other outside paper park patient pencil people piano picture plain plant pocket quiet "
    "radio railway rain raven reading repair river road rock room round salt school season second secret seven short "
    "silent silver simple slow small snow song south spring station stone story street strong sugar summer sunday "
    "table talk tea theatre thing third thread time tower town train travel tree under valley village visit voice "
    "walk wall warm water weather west white wind window winter wood word work world write yellow young"
).split()
PROBES = (
    "wp-login.php",
    "xmlrpc.php",
    ".env",
    ".git/config",
    "admin/",
    "phpmyadmin/",
    "cgi-bin/test.cgi",
    "backup.sql",
    "old/index.php",
)
FIRST_PATHS = (
    "/",
    "/static/site.css",
    "/static/site.js",
    "/favicon.ico",
    "/static/logo.png",
    "/robots.txt",
    "/static/print.css",
    "/articles/",
    "/static/search.js",
    "/feed.xml",
    "/about",
    "/search",
)

T = TypeVar("T")
Draw = Callable[[], float]
"""`random.Random.random`, the only method whose numbers Python promises to keep."""


@dataclass(frozen=True)
class Website:
    """The parts from which the lines of a log are made."""

    paths: list[bytes]
    """The most visited first."""
    cumulative: Sequence[int]
    """How often each path and all before it are visited, in units of no meaning."""
    visitors: list[tuple[bytes, bytes]]
    """What a visitor puts at the two ends of a line: host, ident and authuser; user agent."""
    endings: list[bytes]
    """How lines go on after the target: protocol, status, bytes."""
    referers: list[bytes]

    def draw_path(self, draw: Draw) -> bytes:
        """Return a path. Zipf's law says how often each path comes."""
        return self.paths[bisect_right(self.cumulative, int(draw() * self.cumulative[-1]))]


@lru_cache(maxsize=2)
def make_website(seed: int, paths: int) -> Website:
    """Return the site of a *seed*, with that many paths. It takes half a second for 50,000 paths."""
    draw = Random(seed).random
    site = Website(make_paths(paths, draw), zipf(paths), make_visitors(draw), make_endings(draw), [])
    site.referers.extend(make_referers(site, draw))
    return site


def pick(items: Sequence[T], draw: Draw) -> T:
    """Return one of *items*; all are equally likely."""
    return items[int(draw() * len(items))]


def pick_weighted(weighted: Sequence[tuple[float, T]], draw: Draw) -> T:
    """Return one of the (weight, item) pairs' items; the weights add up to 100."""
    mark = draw() * 100
    for weight, item in weighted:
        mark -= weight
        if mark < 0:
            return item
    return weighted[-1][1]


def zipf(count: int) -> Sequence[int]:
    """Return the cumulative weights of the ranks 1 to *count*, as whole numbers, so that sums are exact everywhere."""
    return array("q", accumulate(round(1e12 / rank**ZIPF_EXPONENT) for rank in range(1, count + 1)))


def make_paths(count: int, draw: Draw) -> list[bytes]:
    """Return *count* different paths, the most visited first."""
    paths = dict.fromkeys(FIRST_PATHS[:count])
    while len(paths) < count:
        path = make_path(draw)
        paths[path if path not in paths else f"{path}-{len(paths)}"] = None
    return [path.encode("ascii") for path in paths]


def make_path(draw: Draw) -> str:
    """Return a path of the site's shape."""
    slug = "-".join(pick(WORDS, draw) for _ in range(1 + int(draw() * 4)))
    odd = draw()
    if odd < 0.001:
        slug = "-".join([slug] * (1 + 260 // len(slug)))
    elif odd < 0.003:
        slug += r"-\"quoted\""
    elif odd < 0.005:
        slug += r"-caf\xc3\xa9"
    elif odd < 0.025:
        slug += "-caf%C3%A9"
    year = 2015 + int(draw() * 12)
    return pick_weighted(
        (
            (48, f"/articles/{year}/{slug}"),
            (24, f"/images/{year}/{slug}.{pick(('png', 'jpg', 'webp'), draw)}"),
            (10, f"/tags/{slug}"),
            (8, f"/articles/{year}/{slug}/comments"),
            (5, f"/downloads/{slug}.{pick(('pdf', 'zip', 'tar.gz'), draw)}"),
            (5, f"/{pick(WORDS, draw)}/{pick(PROBES, draw)}"),
        ),
        draw,
    )


def make_agents() -> list[tuple[float, list[str]]]:
    """Return user agents in groups, each with its share in percent."""
    desktops = (
        "Windows NT 10.0; Win64; x64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "X11; Linux x86_64",
        "X11; CrOS x86_64 14541.0.0",
    )
    phones = (
        "K",
        "Example One",
        "Example One Pro",
        "EX-A546B",
        "EX-S911B",
        "EX-2201117TG",
        "Tablet EX-T500",
        "moto example 5G",
    )
    webkit = "AppleWebKit/537.36 (KHTML, like Gecko)"
    chrome = [f"Mozilla/5.0 ({os}) {webkit} Chrome/{n}.0.0.0 Safari/537.36" for os in desktops for n in range(100, 136)]
    edge = [f"{agent} Edg/{agent.split('Chrome/')[1][:3]}.0.0.0" for agent in chrome]
    android = [
        f"Mozilla/5.0 (Linux; Android {version}; {phone}) {webkit} Chrome/{n}.0.0.0 Mobile Safari/537.36"
        for version in range(8, 16)
        for phone in phones
        for n in range(118, 134)
    ]
    firefox = [
        f"Mozilla/5.0 ({os}; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for os in desktops[:3] for n in range(115, 137)
    ]
    apple = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
    mac = [
        f"Mozilla/5.0 ({desktops[1]}) {apple} Version/{n}.{m} Safari/605.1.15" for n in (16, 17, 18) for m in range(5)
    ]
    iphone = [
        f"Mozilla/5.0 ({device} {n}_{m} like Mac OS X) {apple} Version/{n}.{m} Mobile/15E148 Safari/604.1"
        for device in ("iPhone; CPU iPhone OS", "iPad; CPU OS")
        for n in (16, 17, 18)
        for m in range(12)
    ]
    crawlers = [
        f"Mozilla/5.0 (compatible; {name}/{version}; +https://{name.lower()}.example.com/about.html)"
        for name in ("Examplebot", "Samplebot", "ArchiveCrawler", "SeoSpider", "Linkbot", "Feedfetcher", "Monitorbot")
        for version in ("1.0", "2.1", "7~bl")
    ] + [
        f"Mozilla/5.0 (Linux; Android 6.0.1; Example 5X) {webkit} Chrome/134.0.6998.165 Mobile Safari/537.36 "
        "(compatible; Examplebot/2.1; +https://examplebot.example.com/about.html)",
        "SampleReader/4.2 (+https://reader.example.net/; 17 subscribers)",
    ]
    tools = [
        "-",
        "curl/8.5.0",
        "Wget/1.21.4",
        "python-httpclient/3.11",
        "Go-http-client/1.1",
        r"\"quoted\" reader 1.0",
        "Mozilla/5.0",
    ]
    return [(28, chrome), (22, android), (15, iphone), (11, firefox), (4, mac), (4, edge), (12, crawlers), (4, tools)]


def make_visitors(draw: Draw) -> list[tuple[bytes, bytes]]:
    """Return `VISITORS` visitors."""
    agents = make_agents()
    visitors = []
    for _ in range(VISITORS):
        if draw() < 0.8:
            host = f"{pick(('192.0.2', '198.51.100', '203.0.113'), draw)}.{1 + int(draw() * 254)}"
        else:
            host = f"2001:db8:{int(draw() * 65536):x}:{int(draw() * 65536):x}::{int(draw() * 65536):x}"
        name = pick(("Jo Doe", r"jo \"hn] doe", "x[1]", '""'), draw) if draw() < 0.002 else "-"
        agent = pick(pick_weighted(agents, draw), draw)
        visitors.append((f"{host} - {name} ".encode("ascii"), f'"{agent}"\n'.encode("ascii")))
    return visitors


def make_endings(draw: Draw) -> list[bytes]:
    """Return `POOL` endings."""
    versions = ((60.0, "1.1"), (38.0, "2.0"), (2.0, "1.0"))
    statuses = ((82.0, 200), (9.0, 304), (4.0, 404), (3.0, 301), (0.8, 206), (0.6, 302), (0.4, 403), (0.2, 500))
    endings = []
    for _ in range(POOL):
        status, size = pick_weighted(statuses, draw), draw()
        sent = "-" if status == 304 else str(180 + int(size * size * size * 60_000))
        endings.append(f' HTTP/{pick_weighted(versions, draw)}" {status} {sent} '.encode("ascii"))
    return endings


def make_referers(site: Website, draw: Draw) -> list[bytes]:
    """Return `POOL` referers in their quotes."""
    referers = []
    for _ in range(POOL):
        page = site.draw_path(draw).decode("ascii")
        own = "https://www.example.org" + (page if "." not in page else "/")
        word = pick(WORDS, draw)
        searches = ("https://www.search.example/", "https://find.example.net/", f"https://example.com/search?q={word}")
        other = f"https://{word}.example.com/{pick(WORDS, draw)}/{pick(WORDS, draw)}.html"
        kinds = ((45, "-"), (38, own), (12, pick(searches, draw)), (5, other))
        referers.append(f'"{pick_weighted(kinds, draw)}" '.encode("ascii"))
    return referers
