"""The rows of the table: a task, the task to compare it with, and the target. To add a row, add a `Row` here."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.judges import judge_all_days, judge_day, judge_goaccess, judge_nothing, judge_wc
from benchmarks.live import Pace
from benchmarks.logs import DAY, Corpus, make_day, make_objects
from benchmarks.stages import Count, Tokenise
from benchmarks.tasks import Command, IntoMemcached, Pages, Rollup, Start, Task, WithoutBots, shown

AWK = r"""{ c[$7]++ } END { for (path in c) print c[path] "\t" path }"""
JQ = (
    'fromjson? | select(.time_iso8601 | startswith("{day}")) | .request | select(startswith("GET "))'
    ' | split(" ")[1] | split("?")[0]'
)
PANELS = (  # all but REQUESTS
    "VISITORS REQUESTS_STATIC NOT_FOUND HOSTS OS BROWSERS VISIT_TIMES VIRTUAL_HOSTS REFERRERS REFERRING_SITES "
    "KEYPHRASES STATUS_CODES REMOTE_USER CACHE_STATUS GEO_LOCATION MIME_TYPE TLS_TYPE"
)
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
LARGE_BYTES = 3.9e9
"""A day of this size or more has only the rows of a rollup, and harder targets."""
TINY_LINES = 100
GIB_BYTES = 1 << 30
"""The default of ``--max-memory``."""


@dataclass(frozen=True)
class Measure:
    """How a figure is compared with the figure of a yardstick."""

    value: Callable[[float, float], float]
    """Of the two, the yardstick's being 0 where there is none."""
    unit: str
    at_most: bool = True
    """Whether a target is the most or the least that the value may be."""


TIMES = Measure(lambda own, other: own / other, "")
FASTER = Measure(lambda own, other: other / own, " times faster", at_most=False)
MORE_MS = Measure(lambda own, other: (own - other) * 1e3, " ms more")
MORE_MB = Measure(lambda own, other: (own - other) / 1e6, " MB more")
MS = Measure(lambda own, other: own * 1e3, " ms")
MB = Measure(lambda own, other: own / 1e6, " MB")
PERCENT = Measure(lambda own, other: own * 100, " %")


def gb_a_second(size: int) -> Measure:
    """Return the measure of how much of *size* bytes is read in a second."""
    return Measure(lambda own, other: size / own / 1e9, " GB/s", at_most=False)


def more_us(rows: int) -> Measure:
    """Return the measure of the microseconds more that each of *rows* takes."""
    return Measure(lambda own, other: (own - other) / rows * 1e6, " us a row more")


@dataclass(frozen=True)
class Known:
    """A yardstick with a known figure, which need not be measured."""

    name: str
    figure: float


@dataclass(frozen=True)
class Row:
    """A line of the table: a task, how its figure is compared with the figure of another task, and the target."""

    name: str
    task: Task
    measure: Measure
    target: float | None
    """None: said, but held to nothing."""
    yardstick: Task | Known | None = None
    figure: str = "seconds"

    def tasks(self) -> list[Task]:
        """Return the tasks that must be measured."""
        return [task for task in (self.yardstick, self.task) if isinstance(task, Task)]


def day_rows(day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of a day's log. *small* is a log of the same site, for tasks that take too long on it."""
    large = day.truth.size >= LARGE_BYTES
    wc = Command("`wc -l`", day, f"wc -l {shown(day.log)}", judge_wc)
    cat = Command("`cat`", day, f"cat {shown(day.log)} > /dev/null", judge_nothing)
    rollup = Rollup("`fasthits rollup`", day, "--threads 2")
    one_thread = Rollup("`fasthits rollup --threads 1`", day, "--threads 1")
    tables = Known("its tables", day.truth.table_bytes())
    count = Count("counting alone, 2 threads", day, 2)
    rows = [
        Row("rollup", rollup, TIMES, 1.3 if large else 2.0, wc),
        Row("rollup-1", one_thread, TIMES, 2.4 if large else None, wc),
        Row("rollup-memory", rollup, MORE_MB, 64, tables, figure="peak"),
        Row("cat", cat, TIMES, None, wc),
        Row("tokenise", Tokenise("tokenising alone, 1 thread", day), TIMES, None, wc),
        Row("count-1", Count("counting alone, 1 thread", day, 1), TIMES, None, wc),
        Row("count-2", count, TIMES, None, wc),
        Row("cat-speed", cat, gb_a_second(day.truth.size), None),
        Row("count-speed", count, gb_a_second(day.truth.size), None),
        Row("rollup-speed", rollup, gb_a_second(day.truth.size), None),
    ]
    if large:
        return rows
    return [
        *rows,
        *sqlite_rows(rollup, day),
        *rule_rows(rollup, day),
        *rival_rows(rollup, day, small),
        *json_rows(rollup, day, small),
        *gz_rows(day),
        *log_rows(day, small),
        *start_rows(day),
    ]


def sqlite_rows(rollup: Rollup, day: Corpus) -> list[Row]:
    """Return the rows of a rollup into the default target."""
    sqlite = Rollup("`fasthits rollup` to SQLite", day, "--threads 2", to="hits.db")
    return [Row("sqlite", sqlite, more_us(day.truth.path_count()), None, rollup)]


def rule_rows(rollup: Rollup, day: Corpus) -> list[Row]:
    """Return the rows of rollups with rules, compared with a rollup without rules."""
    statuses = Rollup("`--status`", day, "--threads 2 --status 1xx,2xx,3xx,4xx,5xx")
    bots = WithoutBots("`--exclude-bots`", day, "--threads 2 --exclude-bots")
    pages = Pages("`--pages`", day, "--threads 2 --pages")
    referrers = Rollup("`--referrers`", day, "--threads 2 --referrers")
    pasted = Rollup("`--format` with the LogFormat of combined", day, f"--threads 2 --format {shlex.quote(COMBINED)}")
    return [
        Row("status", statuses, TIMES, 1.1, rollup),
        Row("bots", bots, TIMES, 1.4, rollup),
        Row("referrers", referrers, TIMES, 1.6, rollup),
        Row("pages", pages, TIMES, 1.5, rollup),
        Row("pasted", pasted, TIMES, 1.05, rollup),
    ]


def rival_rows(rollup: Rollup, day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of other programs that count."""
    script, log = "python -m benchmarks.rivals", shown(day.log)
    gawk = Command("gawk `c[$7]++`", day, f"gawk '{AWK}' {log}", judge_all_days, "gawk")
    duckdb, polars = (
        Command(f"{name}, regex, 2 threads", day, f"{script} {name.lower()} {log} {DAY}", judge_day, name.lower())
        for name in ("DuckDB", "Polars")
    )
    apachelogs = Command("apachelogs", small, f"{script} apachelogs {shown(small.log)} {DAY}", judge_day, "apachelogs")
    options = ["-q --log-format=COMBINED --no-global-config --no-progress -o json"]
    options += [f"--ignore-panel={panel}" for panel in PANELS.split()]
    goaccess = Command(
        "GoAccess, requests alone",
        small,
        f"goaccess {shown(small.log)} {' '.join(options)}",
        judge_goaccess,
        "goaccess",
    )
    return [
        Row("gawk", rollup, FASTER, 13, gawk),
        Row("duckdb", rollup, FASTER, 15, duckdb),
        Row("polars", rollup, FASTER, 10, polars),
        Row("goaccess", rollup, FASTER, 170, goaccess),
        Row("apachelogs", rollup, FASTER, None, apachelogs),
    ]


def json_rows(rollup: Rollup, day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of the same requests as JSON lines."""
    objects, few = make_objects(day), make_objects(small)
    read = Rollup("`fasthits rollup` of JSON lines", objects, "--threads 2")
    script = f"python -m benchmarks.rivals read_json {shown(objects.log)} {DAY}"
    duckdb = Command("DuckDB, `read_json`, 2 threads", objects, script, judge_day, "duckdb")
    count = """awk '{ c[$0]++ } END { for (path in c) print c[path] "\\t" path }'"""
    command = f"jq -R -r {shlex.quote(JQ.format(day=DAY))} {shown(few.log)} | {count}"
    jq = Command("jq, and awk to count", few, command, judge_day, "jq")
    return [
        Row("json", read, TIMES, 2.5, rollup),
        Row("json-duckdb", read, FASTER, None, duckdb),
        Row("json-jq", read, FASTER, None, jq),
    ]


def gz_rows(day: Corpus) -> list[Row]:
    """Return the rows of a compressed day, and of two at once."""
    one, two = (f"{shown(day.folder)}/{servers}/%Y/%m/%d/access.log.gz" for servers in ("web1", "web*"))
    first, second = map(shown, day.compress())
    gzip = Command("`gzip -dc | wc -l`", day, f"gzip -dc {first} | wc -l", judge_wc)
    igzip = Command("`igzip -dc | wc -l`", day, f"igzip -dc {first} | wc -l", judge_wc, "igzip")
    both = f"igzip -dc {first} | wc -l & igzip -dc {second} | wc -l ; wait"
    igzip_twice = Command("two `igzip -dc | wc -l` at once", day, both, partial(judge_wc, files=2), "igzip")
    rollup = Rollup("`fasthits rollup` of a .gz", day, "--threads 2", logs=one)
    rollup_two = Rollup("`fasthits rollup` of two .gz", day, "--threads 2", logs=two, copies=2)
    return [
        Row("gz-gzip", rollup, FASTER, 2.5, gzip),
        Row("gz-igzip", rollup, TIMES, 1.15, igzip),
        Row("gz-two", rollup_two, TIMES, None, igzip_twice),
    ]


def log_rows(day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of the piped logger."""
    log = IntoMemcached("`fasthits log`", day, f"cat {shown(day.log)} | fasthits log")
    pipe = Command("`cat > /dev/null` at the same pipe", day, f"cat {shown(day.log)} | cat > /dev/null", judge_nothing)
    script = f"cat {shown(small.log)} | python -m benchmarks.rivals blog"
    blog = IntoMemcached("script: readline, regex, an incr a hit", small, script, exact=False)
    pace = Pace("`fasthits log`, 10,000 lines a second", small, 10_000)
    return [
        Row("log-blog", log, FASTER, 150, blog),
        Row("log-cat", log, TIMES, 1.1, pipe),
        Row("log-cpu", pace, PERCENT, 6, figure="cpu"),
        Row("log-p50", pace, MS, None, figure="p50"),
        Row("log-p99", pace, MS, 50, figure="p99"),
    ]


def start_rows(day: Corpus) -> list[Row]:
    """Return the rows of the start-up, on a hundred lines of the same day."""
    tiny = make_day(day.folder.parent, f"{day.name}-tiny", TINY_LINES)
    rollup = Start(f"`fasthits rollup` of {TINY_LINES} lines", tiny, "--quiet")
    into_sqlite = Start(f"`fasthits rollup` of {TINY_LINES} lines to SQLite", tiny, "--quiet", to="hits.db")
    python = Command("`python -c pass`", day, "python -c pass", judge_nothing)
    version = Command("`fasthits --version`", day, "fasthits --version", judge_nothing)
    return [
        Row("version", version, MORE_MS, 30, python),
        Row("start", rollup, MS, 40, figure="start"),
        Row("start-sqlite", into_sqlite, MS, None, figure="start"),
    ]


def distinct_rows(distinct: Corpus) -> list[Row]:
    """Return the rows of a log with a different path in nearly every line."""
    log = shown(distinct.log)
    wc = Command("`wc -l`", distinct, f"wc -l {log}", judge_wc)
    rollup = Rollup("`fasthits rollup`", distinct, "--threads 2")
    one_thread = Rollup("`fasthits rollup --threads 1`", distinct, "--threads 1")
    command = f"python -m benchmarks.rivals duckdb {log} {DAY}"
    duckdb = Command("DuckDB, regex, 2 threads", distinct, command, judge_day, "duckdb")
    tables = Known("its tables", distinct.truth.table_bytes())
    sqlite = Rollup("`fasthits rollup` to SQLite", distinct, "--threads 2", to="hits.db")
    passes = Rollup("`fasthits rollup --max-memory 512M`", distinct, "--threads 2 --max-memory 512M")
    return [
        Row("distinct-wc", rollup, TIMES, None, wc),
        Row("distinct-duckdb", rollup, FASTER, 4, duckdb),
        Row("distinct-duckdb-memory", rollup, TIMES, 1, duckdb, figure="peak"),
        Row("distinct-1", rollup, FASTER, 1.6, one_thread),
        Row("distinct-sqlite", sqlite, more_us(distinct.truth.path_count()), 0.6, rollup),
        Row("distinct-1-memory", one_thread, MORE_MB, 64, tables, figure="peak"),
        Row("distinct-memory", rollup, MORE_MB, 64, tables, figure="peak"),
        Row("distinct-bound", rollup, MB, GIB_BYTES / 1e6, figure="peak"),
        Row("distinct-passes", passes, TIMES, None, rollup),
        Row("distinct-passes-memory", passes, MORE_MB, 64, Known("`--max-memory`", GIB_BYTES / 2), figure="peak"),
    ]
