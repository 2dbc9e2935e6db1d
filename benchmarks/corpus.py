"""A day of Apache's combined log, made from a seed. The same seed, day and sizes give the same bytes on any Python.

    python -m benchmarks.corpus 'logs/%Y/%m/%d/access.log' 2026-03-12 --lines 20000

Its content, for judging figures that were measured on it:

paths
    50,000 by default, visited by Zipf's law with exponent 1.05: every ninth request goes to the first of them, and a
    million requests reach some 45,000. The front page, style sheets, scripts and lists come first; the others are
    articles 48 %, images 24 %, tags 10 %, comments 8 %, downloads 5 % and what scanners try 5 %, with one to four
    words each. 2 % hold percent escapes, 1 in 250 a ``\\"`` or ``\\xhh`` as Apache writes them, 1 in 1,000 is longer
    than a key of memcached may be.
requests, of 100,000 lines
    plain GET 91,030, GET with a query 5,000, HEAD 1,800, POST 1,600, OPTIONS 100, other methods 20, GET of an
    absolute-form target 100, HTTP/0.9 50, bytes of a TLS handshake 100, none at all (``"-" 408``) 110, GET without or
    with a relative target 40, malformed 50: torn at either end, NULs, a line of the error log, an empty one. GET is
    96.2 % together. HTTP/1.1 60 %, 2.0 38 %, 1.0 2 %.
visitors
    20,000, four in five on the 762 hosts of the three IPv4 ranges for documentation, the others on 2001:db8::/32. Each
    keeps one of 1,495 user agents, as long as real ones are: browsers 84 %, crawlers 12 %, tools 4 %. 1 in 500 has
    logged in under a name with a space, a quote or a bracket in it.
status, bytes, referer
    200 82 %, 304 9 %, 404 4 %, 301 3 %, the rest 206, 302, 403 and 500. Bytes up to 60,000, most of them few. No
    referer 45 %, own pages 38 %, search engines 12 %, other sites 5 %.
time
    Lines end in order, by a curve with its low at 4 and its high at 20 o'clock, evenly within an hour, and are stamped
    when they began, as Apache does it: 9 % up to 9 seconds earlier, 1 % up to 20 minutes, so the first minutes of
    the file hold lines stamped the day before. Its first two lines always are.

A line has 229 bytes on average, and the last line ends with a newline, too. Unlike real logs, this log has no visits:
the fields of a line are drawn independently of each other and of the previous line. So compression and branch
prediction find less regularity than in real logs.

Everything is invented: hosts, sites and crawlers are in the ranges for examples (RFC 5737, 3849 and 2606).
"""

import argparse
import json
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cache
from itertools import accumulate, repeat
from pathlib import Path
from random import Random
from typing import Self

from benchmarks.arguments import make_parser
from benchmarks.truth import ROW_BYTES, Difference, Totals, Views, compare
from benchmarks.website import POOL, VISITORS, WORDS, Draw, make_website, pick, pick_weighted

PATHS = 50_000
LONGEST_LAG_SECONDS = 1200
DAY_SECONDS = 24 * 60 * 60
HOURS = (22, 16, 12, 10, 9, 12, 19, 30, 43, 50, 54, 56, 57, 55, 54, 53, 54, 56, 60, 65, 68, 64, 50, 33)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Expected:
    """The content of a day's log. It is added up while the log is written; the log is not read again."""

    day: date
    size: int
    """Bytes of the file."""
    lines: int
    hits: int
    """Of all days: of `day` and of the day before."""
    filtered: dict[str, int]
    """Lines that parse and are no hits, by reason: ``method``, ``target``."""
    malformed: int
    views: dict[tuple[date, bytes], int]
    """Hits by day and path."""

    def of_day(self) -> tuple[int, dict[str, int]]:
        """Return hits and filtered of a rollup of `day`: hits of the day before are filtered as ``day``."""
        hits = sum(views for (day, _), views in self.views.items() if day == self.day)
        others = self.hits - hits
        return hits, self.filtered | ({"day": others} if others else {})

    def path_count(self) -> int:
        """Return how many paths of `day` were hit."""
        return sum(day == self.day for day, _ in self.views)

    def summary(self) -> Totals:
        """Return the figures of a rollup of `day`."""
        hits, filtered = self.of_day()
        return {"lines": self.lines, "hits": hits, "filtered": filtered, "malformed": self.malformed}

    def difference(self, views: Views, *, all_days: bool = False) -> Difference:
        """Compare *views* with those of `day`, or with those of all days, added up."""
        truth: Counter[bytes] = Counter()
        for (day, path), count in self.views.items():
            if all_days or day == self.day:
                truth[path] += count
        return compare(views, truth)

    def table_bytes(self) -> int:
        """Return the size of a counting table of the rows of `day`."""
        return sum(len(path) + ROW_BYTES for day, path in self.views if day == self.day)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        rows = [[day.isoformat(), hit_path.decode("ascii"), views] for (day, hit_path), views in self.views.items()]
        path.write_text(json.dumps(asdict(self) | {"day": self.day.isoformat(), "views": rows}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        fields = json.loads(path.read_text())
        views = {(date.fromisoformat(day), hit_path.encode("ascii")): views for day, hit_path, views in fields["views"]}
        return cls(**fields | {"day": date.fromisoformat(fields["day"]), "views": views})


def make_lags(draw: Draw) -> list[int]:
    """Return `POOL` numbers of seconds between the beginning of a request and its line."""
    kinds: tuple[tuple[float, int], ...] = ((90.0, 1), (9.0, 10), (1.0, LONGEST_LAG_SECONDS + 1))
    return [int(draw() * pick_weighted(kinds, draw)) for _ in range(POOL)]


def make_dates(day: date) -> tuple[bytes, bytes]:
    """Return this day and the one before, as Apache begins a time."""
    days = (day, day - timedelta(days=1))
    today, yesterday = (f"[{each.day:02}/{MONTHS[each.month - 1]}/{each.year:04}:".encode("ascii") for each in days)
    return today, yesterday


@cache
def make_clocks() -> list[bytes]:
    """Return each second of a day, as Apache ends a time."""
    return [
        f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0100] ".encode("ascii")
        for second in range(DAY_SECONDS)
    ]


def seconds_of(lines: int) -> Iterator[int]:
    """Yield for each line the second of the day at which it ends: `HOURS` gives the hours' shares."""
    written = before = 0
    for hour, share in enumerate(HOURS):
        for second in range(3600):
            until = lines * (before * 3600 + share * (second + 1)) // (sum(HOURS) * 3600)
            if until > written:
                yield from repeat(hour * 3600 + second, until - written)
            written = until
        before += share


Request = tuple[bytes, bytes | str]
"""A line from its first quote on, and the path of a hit, or the name of the bucket of another line."""
Ask = Callable[[bytes, bytes, Draw], Request]
"""Makes a request from a path, the rest of the line from `` HTTP/`` on, and `Draw`."""


def ask_plain(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"GET ' + path + rest, path


def ask_query(path: bytes, rest: bytes, draw: Draw) -> Request:
    word, number = pick(WORDS, draw), int(draw() * 40)
    campaign = f"utm_source={word}&utm_medium=mail"
    query = pick((f"page={number}", f"q={word}&page={number}", campaign, rf"q=\"{word}\"", f"back=/a?{word}"), draw)
    return b'"GET ' + path + b"?" + query.encode("ascii") + rest, path


def ask_absolute(path: bytes, rest: bytes, draw: Draw) -> Request:
    target = pick((b"http://www.example.org", b"https://www.example.org"), draw) + path
    return b'"GET ' + target + rest, target


def ask_simple(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"GET ' + path + rest[len(" HTTP/1.1") :], path


def ask_relative(path: bytes, rest: bytes, draw: Draw) -> Request:
    asked = pick((b"GET", b"GET index.html HTTP/1.0", b"GET * HTTP/1.1"), draw)
    return b'"' + asked + b'" 400 448 "-" "-"\n', "target"


def ask_head(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"HEAD ' + path + rest, "method"


def ask_post(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"POST ' + path + rest, "method"


def ask_options(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"OPTIONS *' + rest, "method"


def ask_other(path: bytes, rest: bytes, draw: Draw) -> Request:
    asked = (b"CONNECT www.example.org:443 HTTP/1.1", b"PROPFIND / HTTP/1.1", b"get / HTTP/1.1", b"PRI * HTTP/2.0")
    return b'"' + pick(asked, draw) + b'" 405 489 "-" "-"\n', "method"


def ask_tls(path: bytes, rest: bytes, draw: Draw) -> Request:
    hello = pick((rb"\x16\x03\x01", rb"\x16\x03\x01\x02", rb"\x16\x03\x01\x05\xa8\x01"), draw)
    return b'"' + hello + b'" 400 448 "-" "-"\n', "method"


def ask_nothing(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"-" 408 - "-" "-"\n', "method"


def ask_torn(path: bytes, rest: bytes, draw: Draw) -> Request:
    return b'"GET ' + path + rest, "malformed"


ASKED: tuple[tuple[int, Ask], ...] = (
    (91_030, ask_plain),
    (5_000, ask_query),
    (1_800, ask_head),
    (1_600, ask_post),
    (100, ask_options),
    (20, ask_other),
    (100, ask_absolute),
    (50, ask_simple),
    (100, ask_tls),
    (110, ask_nothing),
    (40, ask_relative),
    (50, ask_torn),
)
"""The requests and how many of 100,000 lines have them."""


def tear(front: bytes, request: bytes, draw: Draw) -> bytes:
    """Return a malformed line, made of two parts of a good line: up to its time, and from its request on."""
    head = front + request[: request.index(b"HTTP/")]
    tail = request[request.rindex(b'"', 0, -2) :]
    error = b"[Thu Mar 12 10:00:00.123456 2026] [core:error] [pid 4242] AH00126: Invalid URI in request\n"
    torn = (
        head[: 1 + int(draw() * len(head))] + b"\n",
        tail[len(tail) // 2 :],
        b"\0" * len(head) + b"\n",
        error,
        b"\n",
    )
    return pick(torn, draw)


def write_day(path: Path, day: date, lines: int, *, seed: int = 1, paths: int = PATHS) -> Expected:
    """Write *lines* lines of *day* to *path* and return their content.

    The site with its paths and visitors is the same on every day of a *seed*; the traffic differs. Makes the folders
    of *path*. A million lines take some four seconds.
    """
    if lines < 0 or paths < 1:
        raise ValueError(f"a day needs at least 0 lines and 1 path, not {lines} and {paths}")
    site = make_website(seed, paths)
    asked, marks = [ask for _, ask in ASKED], list(accumulate(share / 100_000 for share, _ in ASKED))
    draw = Random((seed << 32) + day.toordinal()).random
    (of_today, of_yesterday), clocks, lags = make_dates(day), make_clocks(), make_lags(draw)
    views: tuple[Counter[bytes], Counter[bytes]] = (Counter(), Counter())
    buckets: Counter[str] = Counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=1 << 20) as log:
        for number, second in enumerate(seconds_of(lines)):
            began = second - lags[int(draw() * POOL)] if number > 1 else number - LONGEST_LAG_SECONDS
            before, agent = site.visitors[int(draw() * VISITORS)]
            rest = site.endings[int(draw() * POOL)] + site.referers[int(draw() * POOL)] + agent
            ask = asked[bisect_right(marks, draw(), hi=len(marks) - 1)]
            request, key = ask(site.draw_path(draw), rest, draw)
            front = before + (of_yesterday if began < 0 else of_today) + clocks[began]
            if isinstance(key, bytes):
                views[began < 0][key] += 1
            else:
                buckets[key] += 1
            log.write(front + request if key != "malformed" else tear(front, request, draw))
        size = log.tell()
    today, yesterday = views
    malformed = buckets.pop("malformed", 0)
    rows = {(day, key): count for key, count in today.items()}
    rows |= {(day - timedelta(days=1), key): count for key, count in yesterday.items()}
    return Expected(day, size, lines, sum(rows.values()), dict(buckets), malformed, rows)


def parse_day(text: str) -> date:
    """Return the day of ``YYYY-MM-DD``, ``today`` or ``yesterday``."""
    if text in ("today", "yesterday"):
        return date.today() - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not a day: {text} (try YYYY-MM-DD, today or yesterday)") from error


def main(arguments: list[str] | None = None) -> int:
    """Write a day's log from the command line; see ``--help``."""
    parser = make_parser("benchmarks.corpus", __doc__)
    parser.add_argument(
        "pattern", metavar="PATTERN", help="where to write: a file name with strftime's letters, folders are made"
    )
    parser.add_argument(
        "day", metavar="DAY", type=parse_day, help="the day of the lines: YYYY-MM-DD, today or yesterday"
    )
    parser.add_argument(
        "--lines", type=int, required=True, metavar="N", help="how many lines; 4.4 million are a gigabyte"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="another number makes another site (default: 1)"
    )
    parser.add_argument("--paths", type=int, default=PATHS, metavar="N", help=f"paths the site has (default: {PATHS})")
    options = parser.parse_args(arguments)
    path = Path(options.day.strftime(options.pattern))
    try:
        made = write_day(path, options.day, options.lines, seed=options.seed, paths=options.paths)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    hits, filtered = made.of_day()
    rows = sum(day == made.day for day, _ in made.views)
    print(
        f"{path}: {made.lines:,} lines, {made.size / 1e6:.1f} MB, {hits:,} hits of the day on {rows:,} paths, "
        f"{sum(filtered.values()):,} other lines, {made.malformed:,} malformed"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
