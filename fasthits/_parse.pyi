"""The compiled core: log lines in, views per day and path out.

A line ends at ``\\n`` or where the input ends; one ``\\r`` before its end is dropped. Without another format it parses
when it holds, after anything at all, a time ``[dd/Mon/yyyy:HH:MM:SS +hhmm]`` of a day that exists, then
`` "request" status bytes``, bytes being digits or ``-`` up to a space or the end of the line. The request ends at the
first quote that no backslash escapes (Apache escapes them: ``ap_escape_logitem``, server/util.c). Where one
time does not lead to all that, the next one in the line is tried, so a line whose front was torn away still counts.

A parsed line is a *hit* when its method is ``GET`` and its target starts with ``/``, ``http://`` or ``https://``.
Every line ends in exactly one bucket: ``lines == hits + sum(filtered.values()) + malformed``.

Blocks are bytes-like objects, read in place: str and None raise TypeError, strided buffers BufferError.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from typing import Final, NamedTuple, Self, final

from typing_extensions import Buffer

LINE_BYTES: Final[int]
"""Only this much of a line is looked at, so a longer one is judged by its head; it bounds what a counter keeps."""

EXAMPLE_BYTES: Final[int]
"""How much of a malformed line an example keeps."""

WHOLE: Final[tuple[int, int]]
"""The share of a counter that keeps the rows of all hashes."""

ANCHORS: Final[int]
"""So many times of a line are tried, where each may look at all the rest of it: see *steps* of `LineRules`."""

EXAMPLES: Final[int]
"""How many malformed lines a counter keeps as examples."""

class ParsedLine(NamedTuple):
    """One line's fields, texts byte for byte as the server wrote them; a field that the line does not have is None."""

    day: date
    """The day that is written in the line."""
    time: bytes
    """As it is written: ``10/Oct/2000:13:55:36 -0700``."""
    method: bytes
    """The request up to its first space."""
    target: bytes | None
    """From there to the next space or the end of the request; None when the request has no space."""
    path: bytes | None
    """The target up to its first ``?``."""
    query: bytes | None
    """The target behind its first ``?``."""
    protocol: bytes | None
    """What follows the target; None for ``GET /a``, as HTTP/0.9 sends it."""
    status: int | None
    bytes_sent: int | None
    """None for ``-``, and for more than 18 digits."""
    referer: bytes | None
    """As it is written, without its quotes: ``b"-"`` when the client sent none."""
    user_agent: bytes | None
    vhost: bytes | None
    """The virtual host."""
    host_part: bytes | None
    """What stands before the time and a space: host, ident, authuser, which may hold spaces, brackets and quotes. None
    for a format that is read from the left."""

def unescape(text: Buffer, /) -> bytes:
    r"""Return the bytes that were logged as *text*; a backslash that begins no escape stays.

    The escapes are ``\xhh``, ``\"``, ``\\``, ``\b``, ``\n``, ``\r``, ``\t``, ``\v`` (ap_escape_logitem,
    httpd's server/util.c).
    """

def normalise(text: Buffer, /) -> bytes:
    r"""Return *text* as RFC 3986 writes it (6.2.2.1 and 6.2.2.2), whichever way it was logged; the result is ASCII.

    What needs no percent-encoding has none, hexadecimal digits are capitals, and all that a URI may not hold is
    encoded: bytes, the escapes of the log, and a ``%`` that begins no encoding.
    """

def parse_line(line: Buffer, rules: LineRules | None = None, /) -> ParsedLine | None:
    """Return the fields of one line, or None for a malformed one.

    *line* may end in ``\\n`` or ``\\r\\n``; no other line may follow in it (what follows is taken as part of this one).
    Of *rules* the format counts, not what makes a line a hit.

    >>> line = parse_line(b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b HTTP/1.1" 200 512')
    >>> line.method, line.target, line.path, line.query, line.status, line.referer
    (b'GET', b'/a?b', b'/a', b'b', 200, None)
    >>> parse_line(b"not a line of a log") is None
    True
    """

def parse_lines(block: Buffer, rules: LineRules | None = None, /) -> Iterator[ParsedLine | None]:
    """Yield the fields of each line of *block*, None for a malformed one: so many as the block has lines.

    The last line may lack its newline. Until the iterator is used up or gone, a bytearray keeps its size. At least a
    million lines a second (`benchmarks/test_parse.py`).

    >>> [line and line.path for line in parse_lines(b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 5\\njunk')]
    [b'/a', None]
    """

class FoundField(NamedTuple):
    """Where a field stands in a line."""

    step: int
    """The number of the step that has read it, from 0: see *steps* of `LineRules`."""
    start: int
    end: int

class FoundFields(NamedTuple):
    """How far a line agrees with its format."""

    fields: list[FoundField]
    """What was read, also of a malformed line. Where such a line has several times, one of those that lead furthest."""
    host_size: int
    """The bytes of the virtual host that begins the line; 0 where there is none."""
    step: int
    """The number of the first step that does not agree; the number of steps where all do."""
    stopped: int
    """Where that is; the end of the line where all agree, 0 where a time that is searched for is not there."""
    trouble: str
    """Why the line is malformed: ``absent`` (something else stands there), ``day`` (a time of no day of the calendar),
    ``end`` (more than a number); ``""`` where it is not."""

def find_fields(line: Buffer, rules: LineRules | None = None, /) -> FoundFields:
    """Return where the fields of one line stand, and where reading stopped and why. Arguments are as for `parse_line`.

    >>> find_fields(b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 x')[2:]
    (6, 42, 'absent')
    """

@final
class LineRules:
    """What is looked at in a line, and what makes it a hit; counters of several threads can share it.

    A line is *filtered* by the first that applies of ``method`` (none of *methods*), ``target`` (no path), ``status``
    (none of *statuses*), ``day`` (see `HitTable.count_only`), ``agent`` and ``bot``.

    *verdict* is called with each distinct user agent, as it was logged, ``b"-"`` where there is none: 0 counts, 1 is
    filtered as ``agent``, 2 is a bot, which is filtered as ``bot`` or, with *apart*, counted in `HitTable.bots`.

    *referers* has up to two functions, by the name of a table in `HitTable.by_referer`. Each is called with each
    distinct referer of hits, as it was logged, and returns what is kept of it, which may be several texts with newlines
    between them, or None. What a bot was referred by is not asked for.

    The key of a row is the path; with *keep_query* the path with its query; with *by_host* the virtual host, ``-``
    where there is none, a space, and that. *host_end* is what stands behind a virtual host that begins a line.

    *steps* are the parts of a format, of which a line must have the first *needed*; with *anchored* the first is a time
    in brackets that is searched for. None: lines are like those of combined. `Format.reading` makes them, in
    fasthits/rules/formats.py. Raises ValueError for steps without a time. Where a needed step looks for a text that
    may be anywhere in the rest of a line, only the first ANCHORS times of a line are tried, so that its cost stays
    linear in its length.
    """

    def __new__(
        cls,
        *,
        methods: Collection[bytes] = ...,
        statuses: Collection[int] | None = None,
        keep_query: bool = False,
        by_host: bool = False,
        host_end: bytes | None = None,
        steps: Collection[tuple[str, str, object, tuple[object, ...] | None]] | None = None,
        anchored: bool = False,
        needed: int = 0,
        verdict: Callable[[bytes], int] | None = None,
        apart: bool = False,
        referers: Mapping[str, Callable[[bytes], bytes | None]] | None = None,
    ) -> Self: ...
    @property
    def referers(self) -> Mapping[str, Callable[[bytes], bytes | None]]:
        """What was given as *referers*."""
    @property
    def verdict(self) -> Callable[[bytes], int] | None:
        """What was given as *verdict*."""

@final
class HitTable:
    """Views per day and path, counted from blocks of log lines.

    The table is open addressing in C memory, hashed with a seed of this process, because strangers choose the paths;
    it is freed with the object. `feed`, `finish` and `merge` work without the GIL; calls from several threads to one
    counter wait for each other, so give each thread a counter of its own and merge them. Its `bots` and `by_referer` do
    not wait for it: leave them alone while another thread works with it.

    What a function of the rules raises comes out of `feed` and `finish`: the lines before stayed counted, the rest of
    the block is not. Such a function must not use the counter that calls it.

    With *max_paths*, the hits of further paths are counted in `hits` and `dropped`, but have no row.

    With *max_bytes*, the tables take no more memory than that: where they would, the counter halves its `share`, that
    is, keeps only the rows whose hash is in the first half of what it was, and goes on. So what it has is exact, and
    the rest can be counted from the same lines by another counter with the next share. A bound under which not even one
    row fits is a MemoryError; a row takes its path and, beside it, less than 64 KiB in each table.
    """

    def __new__(
        cls, *, max_paths: int | None = None, max_bytes: int | None = None, rules: LineRules | None = None
    ) -> Self: ...
    @property
    def bots(self) -> HitTable | None:
        """Rows of the hits of bots, which are part of `hits` and not among the rows here; None but with *apart*."""
    @property
    def by_referer(self) -> Mapping[str, HitTable]:
        """For each table of `LineRules.referers` the rows of the hits of which it keeps something: their path is the
        key, a newline, and that. A row is in the `share` when its key is."""
    max_bytes: int | None
    """All tables take at most this much memory while lines are fed; None for no bound."""
    share: tuple[int, int]
    """The first and the last hash of the rows that are kept; when it is set, other rows are removed. The hits of all
    shares are in `hits`."""

    max_paths: int | None
    """At most this many rows in each table; None for no bound. May be changed at any time; rows that are there stay."""

    @property
    def lines(self) -> int:
        """Lines read so far, the last unterminated one only after `finish`."""
    @property
    def hits(self) -> int:
        """Lines that are hits, of the days that count."""
    @property
    def filtered(self) -> dict[str, int]:
        """Parsed lines that are no hits, by the first reason that applies, see `LineRules`; no zeros."""
    @property
    def malformed(self) -> int:
        """Lines that did not parse."""
    @property
    def dropped(self) -> int:
        """Hits that found no room under *max_paths*: lines that are in `hits`, or views added or merged. `bots` and
        `by_referer` have figures of their own."""
    @property
    def examples(self) -> list[tuple[int, bytes]]:
        """The first `EXAMPLES` malformed lines: the number of the line, from 1, and its first `EXAMPLE_BYTES`."""
    @property
    def days_seen(self) -> set[date]:
        """The days of all parsed lines, whether they count or not, here and in what was merged."""
    @property
    def memory(self) -> int:
        """Bytes that the rows take: 24 and the path for each, rounded up to 8. The index takes 12 to 24 more a row."""
    def __len__(self) -> int:
        """Rows: distinct pairs of day and path."""
    def count_only(self, days: Collection[date] | None, /) -> None:
        """From here on count the hits of *days* alone, the others being filtered as ``day``; None counts every day."""
    def feed(self, block: Buffer, /) -> None:
        """Count the lines of *block*, which may begin and end anywhere in a line: the partial line is kept for the next
        block.

        Raises MemoryError when the table cannot grow. All lines before that one stay counted; it and the rest of
        *block* are not.
        """
    def finish(self) -> None:
        """Count the last line, if it has no newline: the input ends here. Another input may be fed afterwards."""
    def add(self, day: date, path: bytes, views: int, /) -> None:
        """Add *views* hits, not lines, to a row.

        Raises ValueError for a path longer than LINE_BYTES, and MemoryError, with nothing changed.
        """
    def merge(self, other: HitTable, /) -> None:
        """Move the rows and buckets of *other* here; its partial line and its examples stay with it.

        Raises ValueError for the counter itself, and MemoryError with some rows in neither; do not go on then.
        """
    def drain(self) -> HitTable:
        """Move all rows to a new counter and return that. Buckets and the partial line stay here."""
    def rows(self) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, path, views) in the order first seen. Raises RuntimeError when rows were taken away meanwhile, by
        `drain`, `escape` or another share; so do the two below."""
    def sorted_rows(self) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, path, views) by day, then path, as bytes compare; those with views."""
    def csv(self, fields: int = 1, /) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, lines of CSV, their number) by day, then views, most first, then path; those with views.

        A line is ``date,path,views``, quoted by RFC 4180 and ended by a newline alone. A block has lines of one day. A
        path of several *fields*, up to ten, which newlines part, is as many. A field that a spreadsheet would take for
        a formula has an apostrophe before it: see `fasthits.daily.csvfiles.harmless`.
        """
    def views_by_day(self) -> dict[date, int]:
        """Return the views of each day that has any: the sum of its rows, of this table alone."""
    def escape(self) -> None:
        r"""Write each byte of a path that is not UTF-8 as ``\xhh``, as Apache does; rows that become equal add up.

        >>> counter = HitTable()
        >>> counter.add(date(2026, 3, 12), b"/caf\xe9", 2)
        >>> counter.add(date(2026, 3, 12), rb"/caf\xe9", 3)
        >>> counter.escape()
        >>> list(counter.csv())
        [(datetime.date(2026, 3, 12), b'2026-03-12,/caf\\xe9,5\n', 1)]

        Raises MemoryError with each view in the one spelling or the other.
        """
