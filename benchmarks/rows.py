"""The table: which task is held against which, and what it is to reach. A new row is one more `Row` here."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.corpora import Corpus
from benchmarks.judges import judge_all_days, judge_day, judge_goaccess, judge_nothing, judge_wc
from benchmarks.live import Pace
from benchmarks.stages import Count, Tokenise
from benchmarks.tasks import Command, IntoMemcached, Rollup, Task, shown

AWK = r"""{ c[$7]++ } END { for (path in c) print c[path] "\t" path }"""
PANELS = (  # all but REQUESTS
    "VISITORS REQUESTS_STATIC NOT_FOUND HOSTS OS BROWSERS VISIT_TIMES VIRTUAL_HOSTS REFERRERS REFERRING_SITES "
    "KEYPHRASES STATUS_CODES REMOTE_USER CACHE_STATUS GEO_LOCATION MIME_TYPE TLS_TYPE"
)
MEGABYTE = 1e6


@dataclass(frozen=True)
class Measure:
    """How a figure is held against that of a yardstick."""

    name: str
    value: Callable[[float, float], float]
    """Of the two, the yardstick's being 0 where there is none."""
    at_most: bool
    unit: str


TIMES = Measure("times as long", lambda own, other: own / other, at_most=True, unit="")
FASTER = Measure("times faster", lambda own, other: other / own, at_most=False, unit="")
TIMES_MEMORY = Measure("times the memory", lambda own, other: own / other, at_most=True, unit="")
MORE_MILLISECONDS = Measure("more", lambda own, other: (own - other) * 1e3, at_most=True, unit=" ms")
MILLISECONDS = Measure("", lambda own, other: own * 1e3, at_most=True, unit=" ms")
MEGABYTES = Measure("", lambda own, other: own / MEGABYTE, at_most=True, unit=" MB")
PERCENT = Measure("", lambda own, other: own * 100, at_most=True, unit=" %")


def megabytes_above(size: int) -> Measure:
    """Return the measure of megabytes above *size* bytes."""
    return Measure("above its tables", lambda own, other: (own - size) / MEGABYTE, at_most=True, unit=" MB")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    task: Task
    measure: Measure
    target: float | None
    """None: said, but held to nothing."""
    yardstick: Task | None = None
    figure: str = "seconds"

    def tasks(self) -> list[Task]:
        return [self.task] if self.yardstick is None else [self.yardstick, self.task]


def day_rows(day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of a day's log; *small* is one of the same site for what would take too long on the whole day."""
    large = day.truth.size >= 3.9e9
    log, date = shown(day.log), day.truth.day
    wc = Command("wc -l", day, f"wc -l {log}", judge_wc)
    cat = Command("cat", day, f"cat {log} > /dev/null", judge_nothing)
    rollup = Rollup("fasthits rollup", day, "--threads 2")
    one_thread = Rollup("fasthits rollup, 1 thread", day, "--threads 1")
    rows = [
        Row("rollup", "rollup to CSV, 2 threads", rollup, TIMES, 1.2 if large else 1.7, wc),
        Row("rollup-1", "rollup to CSV, 1 thread", one_thread, TIMES, 2.0 if large else None, wc),
        Row("memory", "rollup, peak memory", rollup, megabytes_above(day.truth.table_bytes()), 64, figure="peak"),
        Row("read", "reading alone", cat, TIMES, None, wc),
        Row("tokenise", "tokenise, 1 thread, in memory", Tokenise("tokenise", day), TIMES, None, wc),
        Row("count-1", "count, 1 thread, in memory", Count("count, 1 thread", day, 1), TIMES, None, wc),
        Row("count-2", "count, 2 threads, in memory", Count("count, 2 threads", day, 2), TIMES, None, wc),
    ]
    if large:
        return rows
    gawk = Command("gawk", day, f"gawk '{AWK}' {log}", judge_all_days, "gawk")
    duckdb, polars = (
        Command(name, day, f"python -m benchmarks.rivals {name.lower()} {log} {date}", judge_day, name.lower())
        for name in ("DuckDB", "Polars")
    )
    panels = " ".join(f"--ignore-panel={panel}" for panel in PANELS.split())
    goaccess = Command(
        "GoAccess",
        small,
        f"goaccess {shown(small.log)} -q --log-format=COMBINED --no-global-config --no-progress {panels} -o json",
        judge_goaccess,
        "goaccess",
    )
    apachelogs = Command(
        "apachelogs",
        small,
        f"python -m benchmarks.rivals apachelogs {shown(small.log)} {date}",
        judge_day,
        "apachelogs",
    )
    return [
        *rows,
        Row("gawk", "rollup against gawk `c[$7]++`", rollup, FASTER, 12, gawk),
        Row("duckdb", "rollup against DuckDB with a regex, 2 threads", rollup, FASTER, 10, duckdb),
        Row("polars", "rollup against Polars with a regex, 2 threads", rollup, FASTER, 10, polars),
        Row("goaccess", "rollup against GoAccess, its requests panel alone", rollup, FASTER, 200, goaccess),
        Row("apachelogs", "rollup against apachelogs", rollup, FASTER, None, apachelogs),
        *gz_rows(day),
        *log_rows(day, small),
        *start_rows(day),
    ]


def gz_rows(day: Corpus) -> list[Row]:
    """Return the rows of a compressed day, and of two at once."""
    logs = shown(day.folder)
    one, two = f"{logs}/web1/%Y/%m/%d/access.log.gz", f"{logs}/web*/%Y/%m/%d/access.log.gz"
    first, second = (shown(path) for path in day.compress())
    gzip = Command("gzip -dc | wc -l", day, f"gzip -dc {first} | wc -l", judge_wc)
    igzip = Command("igzip -dc | wc -l", day, f"igzip -dc {first} | wc -l", judge_wc, "igzip")
    both = f"igzip -dc {first} | wc -l & igzip -dc {second} | wc -l ; wait"
    igzip_twice = Command("two igzip -dc | wc -l at once", day, both, judge_wc, "igzip")
    rollup = Rollup("fasthits rollup of the .gz", day, "--threads 2", logs=one)
    rollup_two = Rollup("fasthits rollup of two .gz", day, "--threads 2", logs=two, copies=2)
    return [
        Row("gz-gzip", "rollup of the .gz against `gzip -dc`", rollup, FASTER, 2.5, gzip),
        Row("gz-igzip", "rollup of the .gz against `igzip -dc`", rollup, TIMES, 1.15, igzip),
        Row("gz-two", "rollup of two .gz files against two `igzip -dc` at once", rollup_two, TIMES, None, igzip_twice),
    ]


def log_rows(day: Corpus, small: Corpus) -> list[Row]:
    """Return the rows of the piped logger."""
    log = IntoMemcached("fasthits log", day, f"cat {shown(day.log)} | fasthits log")
    pipe = Command("cat | cat", day, f"cat {shown(day.log)} | cat > /dev/null", judge_nothing)
    script = f"cat {shown(small.log)} | python -m benchmarks.rivals blog"
    blog = IntoMemcached("readline, regex, one incr a hit", small, script, exact=False)
    pace = Pace("fasthits log, 10,000 lines a second", small, 10_000)
    return [
        Row("log-blog", "log against a script that sends one incr a hit", log, FASTER, 150, blog),
        Row("log-cat", "log against `cat > /dev/null` at the end of the same pipe", log, TIMES, 2.0, pipe),
        Row("log-cpu", "log at 10,000 lines a second, CPU of a core", pace, PERCENT, 6, figure="cpu"),
        Row("log-p50", "the same, from write to readable counter, median", pace, MILLISECONDS, None, figure="p50"),
        Row("log-p99", "the same, 99th percentile", pace, MILLISECONDS, 50, figure="p99"),
    ]


def start_rows(day: Corpus) -> list[Row]:
    """Return the row of the start-up; *day* gives no more than a folder."""
    python = Command("python -c pass", day, "python -c pass", judge_nothing)
    version = Command("fasthits --version", day, "fasthits --version", judge_nothing)
    return [Row("version", "`fasthits --version` against `python -c pass`", version, MORE_MILLISECONDS, 90, python)]


def distinct_rows(distinct: Corpus) -> list[Row]:
    """Return the rows of a log with a path of its own in nearly every line."""
    log, date = shown(distinct.log), distinct.truth.day
    wc = Command("wc -l", distinct, f"wc -l {log}", judge_wc)
    rollup = Rollup("fasthits rollup", distinct, "--threads 2")
    duckdb = Command("DuckDB", distinct, f"python -m benchmarks.rivals duckdb {log} {date}", judge_day, "duckdb")
    tables = distinct.truth.table_bytes()
    return [
        Row("distinct-wc", "rollup, high cardinality", rollup, TIMES, None, wc),
        Row("distinct-duckdb", "rollup, high cardinality, against DuckDB", rollup, FASTER, 3, duckdb),
        Row("distinct-duckdb-memory", "the same, peak memory", rollup, TIMES_MEMORY, 1, duckdb, figure="peak"),
        Row("distinct-memory", "the same", rollup, megabytes_above(tables), 64, figure="peak"),
        Row("distinct-bound", "the same", rollup, MEGABYTES, 1024 * 1.048576, figure="peak"),
    ]
