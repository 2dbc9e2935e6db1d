"""A log in which nearly every line has a different path, as crawlers cause it: the worst case for a hit table.

All lines are plain GETs of one day in the combined format, without referer, evenly over the day. Line *i* has path
number ``i * STEP mod paths``, so each path comes once before any path comes again, and all paths have equally many
lines, or one more. A path has 37 bytes on average, and a line 133.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from math import gcd
from pathlib import Path
from random import Random
from typing import Self

from benchmarks.corpus import DAY_SECONDS, make_clocks, make_dates
from benchmarks.truth import ROW_BYTES, Difference, Totals, Views
from benchmarks.website import WORDS, pick

STEP = 2_654_435_761  # a prime, so the steps reach all paths, unless the number of paths is a multiple of it
POOL = 997
CHUNK_LINES = 50_000
AGENTS = ("curl/8.5.0", "Wget/1.21.4", "Examplebot/2.1", "python-httpclient/3.11")


@dataclass(frozen=True)
class Distinct:
    """The content of such a log."""

    day: date
    size: int
    lines: int
    paths: int

    def path_count(self) -> int:
        """Return the number of paths. If there are fewer lines, it is the number of lines."""
        return min(self.paths, self.lines)

    def summary(self) -> Totals:
        return {"lines": self.lines, "hits": self.lines, "filtered": {}, "malformed": 0}

    def difference(self, views: Views, *, all_days: bool = False) -> Difference:
        """Compare path by path, without all paths in memory."""
        each, more = divmod(self.lines, self.paths)
        step = STEP % self.paths
        once_more = bytearray(self.paths)
        for line in range(more):
            once_more[line * step % self.paths] = 1
        seen = bytearray(self.paths)
        counted = right = invented = 0
        for path, count in views:
            counted += count
            tail = path.rpartition(b"-")[2]
            number = int(tail) if tail.isdigit() else self.paths
            if number < self.paths and path == path_of(number) and not seen[number]:
                seen[number] = 1
                right += count == each + once_more[number]
            else:
                invented += 1
        return Difference(self.lines, counted, self.path_count(), self.path_count() - right, invented)

    def table_bytes(self) -> int:
        return sum(len(path_of(number)) + ROW_BYTES for number in range(self.path_count()))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self) | {"day": self.day.isoformat()}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        fields = json.loads(path.read_text())
        return cls(**fields | {"day": date.fromisoformat(fields["day"])})


def path_of(number: int) -> bytes:
    """Return the path with a number."""
    first, second = WORDS[number % len(WORDS)], WORDS[number // len(WORDS) % len(WORDS)]
    return b"/articles/%d/%s-%s-%d" % (2015 + number % 12, first.encode(), second.encode(), number)


def write_distinct(path: Path, day: date, size: int, *, paths: int, seed: int = 1) -> Distinct:
    """Write lines of *day* to *path* until the file has *size* bytes, and return their content. Makes the folders."""
    if gcd(STEP, paths) > 1:
        raise ValueError(f"not a number of paths: {paths}")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = 0
    with path.open("wb", buffering=1 << 20) as log:
        for chunk in _chunks(day, size, paths, seed):
            log.write(b"".join(chunk))
            lines += len(chunk)
            if log.tell() >= size:
                break
        return Distinct(day, log.tell(), lines, paths)


def _chunks(day: date, size: int, paths: int, seed: int) -> Iterator[list[bytes]]:
    draw = Random(seed).random
    (today, _), clocks = make_dates(day), make_clocks()
    fronts = [b"192.0.2.%d - - " % (1 + int(draw() * 254)) for _ in range(POOL)]
    ends = [
        f' HTTP/1.1" 200 {180 + int(draw() ** 3 * 60_000)} "-" "{pick(AGENTS, draw)}"\n'.encode() for _ in range(POOL)
    ]
    expected_lines = size // 133 + CHUNK_LINES
    start = 0
    while True:
        stamp = today + clocks[min(start * DAY_SECONDS // expected_lines, DAY_SECONDS - 1)] + b'"GET '
        yield [
            fronts[line % POOL] + stamp + path_of(line * STEP % paths) + ends[line * 7 % POOL]
            for line in range(start, start + CHUNK_LINES)
        ]
        start += CHUNK_LINES
