"""Other tools for the same job. Each program is as short as users write it: ``python -m benchmarks.rivals NAME``.

The regular expression is the fastest that finds the paths of the day. It is not exact: the path of an HTTP/0.9 request
keeps a quote, and a torn line counts. With an exact expression, DuckDB and Polars would take twice as long.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from functools import cache

THREADS = 2
TTL_SECONDS = 24 * 60 * 60


def path_pattern(day: str) -> str:
    """Return the regular expression whose group 1 is the path of a GET of the day."""
    return date.fromisoformat(day).strftime(r"%d/%b/%Y:.{14}\] ") + '"GET ([^ ?]+)'


def duckdb(log: str, day: str) -> None:
    """Print views, a tab and the path of a day, most read first."""
    import duckdb

    columns = "columns = {line: 'VARCHAR'}, header = false, auto_detect = false, new_line = '\\n', strict_mode = false"
    lines = f"read_csv('{log}', {columns}, delim = '\x01', quote = '', escape = '', max_line_size = 1048576)"
    paths = f"SELECT regexp_extract(line, $pattern, 1) AS path FROM {lines}"
    counted = f"SELECT count(*) AS views, path FROM ({paths}) WHERE path <> '' GROUP BY path ORDER BY views DESC"
    with duckdb.connect(config={"threads": THREADS}) as connection:
        options = "HEADER false, DELIMITER '\t', QUOTE ''"
        connection.execute(f"COPY ({counted}) TO '/dev/stdout' ({options})", {"pattern": path_pattern(day)})


def read_json(log: str, day: str) -> None:
    """Print views, a tab and the path of a day, most read first, of JSON lines."""
    import duckdb

    columns = "columns = {time_iso8601: 'VARCHAR', request: 'VARCHAR'}, ignore_errors = true"
    lines = f"read_json('{log}', format = 'newline_delimited', {columns}, maximum_object_size = 1048576)"
    path = "split_part(split_part(request, ' ', 2), '?', 1)"
    asked = "starts_with(time_iso8601, $day) AND starts_with(request, 'GET ')"
    counted = f"SELECT count(*) AS views, {path} AS path FROM {lines} WHERE {asked} GROUP BY path ORDER BY views DESC"
    with duckdb.connect(config={"threads": THREADS}) as connection:
        options = "HEADER false, DELIMITER '\t', QUOTE ''"
        connection.execute(f"COPY ({counted}) TO '/dev/stdout' ({options})", {"day": day})


def polars(log: str, day: str) -> None:
    """Print views, a tab and the path of a day, most read first."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)  # polars reads this variable at its import
    import polars

    paths = polars.scan_lines(log, name="line").select(path=polars.col("line").str.extract(path_pattern(day), 1))
    counted = paths.drop_nulls().group_by("path").agg(views=polars.len()).sort("views", descending=True)
    counted.select("views", "path").sink_csv("/dev/stdout", include_header=False, separator="\t", quote_style="never")


def apachelogs(log: str, day: str) -> None:
    """Print views, a tab and the path of a day, most read first."""
    from apachelogs import COMBINED, LogParser

    views: Counter[str] = Counter()
    wanted = date.fromisoformat(day)
    with open(log, encoding="latin-1", newline="\n") as lines:
        for entry in LogParser(COMBINED).parse_lines(lines, ignore_invalid=True):
            method, _, rest = (entry.request_line or "").partition(" ")
            if method == "GET" and entry.request_time.date() == wanted:
                views[rest.split(" ")[0].partition("?")[0]] += 1
    with open(1, "w", encoding="latin-1", newline="\n") as table:
        for path, count in views.most_common():
            table.write(f"{count}\t{path}\n")


@cache
def iso_date(stamp: str) -> str:
    """Return ``12/Mar/2026`` as ``2026-03-12``."""
    return datetime.strptime(stamp, "%d/%b/%Y").date().isoformat()


def blog() -> None:
    """Count lines from standard input into memcached, one at a time, as web pages about piped loggers show it."""
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheIllegalInputError

    client = Client(os.environ["FASTHITS_MEMCACHED"], no_delay=True)  # without this, each new key takes 40 ms
    request = re.compile(r'\[(\d\d/\w{3}/\d{4}):[^\]]*\] "GET ([^ ?]+)')
    while line := sys.stdin.readline():
        if found := request.search(line):
            stamp, path = found.groups()
            key = f":1:{iso_date(stamp)}{path}"
            try:
                if client.incr(key, 1) is None:
                    client.set(key, 1, expire=TTL_SECONDS)
            except MemcacheIllegalInputError:
                pass  # a key of more than 250 bytes


if __name__ == "__main__":
    rivals: dict[str, Callable[..., None]] = {
        rival.__name__: rival for rival in (duckdb, read_json, polars, apachelogs, blog)
    }
    name, *arguments = sys.argv[1:]
    rivals[name](*arguments)
