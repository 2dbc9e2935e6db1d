"""The compiled core: log lines in, views per day and path out.

A line ends at ``\\n`` or at the end of the input; one ``\\r`` before that is dropped. In the default log format a line
parses if it holds a time ``[dd/Mon/yyyy:HH:MM:SS +hhmm]`` with a valid date, then `` "request" status bytes``. Any text
may be before the time. Bytes are digits or ``-``, up to a space or the end of the line. The request ends at the first
quote without a backslash before it (Apache escapes quotes: ``ap_escape_logitem``, server/util.c). If the text after a
time does not agree, the core tries the next time in the line. So a line that lost its beginning still counts.

A parsed line is a *hit* if its method is ``GET`` and its target starts with ``/``, ``http://`` or ``https://``.
Every line ends in exactly one bucket: ``lines == hits + sum(filtered.values()) + malformed``.

Blocks are bytes-like objects, read in place: str and None raise TypeError, strided buffers BufferError.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, NamedTuple, Self, final, overload

from typing_extensions import Buffer

LINE_BYTES: Final[int]
"""Bytes of a line that the core reads. It ignores the rest of a longer line, so its memory is bounded."""
EXAMPLE_BYTES: Final[int]
"""Bytes that an example keeps of a malformed line."""

ANCHORS: Final[int]
"""Times that the core tries in a line, if each try may read the rest of the line: see *steps* of `LineRules`."""

EXAMPLES: Final[int]
"""Malformed lines that a hit table keeps as examples."""

class ParsedLine(NamedTuple):
    """The fields of one line. Texts are the bytes that the server wrote; a missing field is None."""

    day: date
    """The date in the line."""
    time: bytes
    """As in the line: ``10/Oct/2000:13:55:36 -0700``."""
    method: bytes
    """The request up to its first space."""
    target: bytes | None
    """The request from its first space to the next space, or to its end; None if the request has no space, and in logs
    that have the path apart."""
    path: bytes | None
    """The target up to its first ``?``."""
    query: bytes | None
    """The target after its first ``?``."""
    protocol: bytes | None
    """The request after the target; None for ``GET /a``, which is HTTP/0.9."""
    status: int | None
    bytes_sent: int | None
    """None for ``-``, and for more than 18 digits."""
    referer: bytes | None
    """As in the line, without quotes: ``b"-"`` if the client sent no referer."""
    user_agent: bytes | None
    vhost: bytes | None
    """The virtual host."""
    host_part: bytes | None
    """The line before the time: host, ident, authuser. It may hold spaces, brackets and quotes. None for a log format
    that is read from the left."""

def unescape(text: Buffer, /) -> bytes:
    r"""Return *text* without the escapes of a log. A backslash that begins no escape stays.

    The escapes are ``\xhh``, ``\"``, ``\\``, ``\b``, ``\n``, ``\r``, ``\t``, ``\v`` (ap_escape_logitem,
    httpd's server/util.c).
    """

def pack_sums(pairs: Iterable[tuple[int, int]], /) -> bytes:
    """Return packed sums of (id, views) pairs: three bytes for most pairs. Ids are positive and in order.

    Raises ValueError if an id is not larger than the previous id, and for numbers of more than 63 bits.
    """

def add_sums(packed: Buffer, sums: Buffer, places: Buffer | None = None, /) -> tuple[int, int]:
    """Add packed sums to *sums*, an ``array("Q")``; return the number of pairs and of all their views.

    The views of an id are added to ``sums[places[id]]`` or, without *places*, an ``array("I")``, to ``sums[id]``.

    >>> from array import array
    >>> sums = array("Q", [0, 0, 0, 5])
    >>> add_sums(pack_sums([(1, 200), (3, 1)]), sums)
    (2, 201)
    >>> sums.tolist()
    [0, 200, 0, 6]

    Takes 2 ns for a pair, without the GIL. Raises ValueError for damaged sums: a last pair that is cut off, ids and
    places that are too large, sums that overflow. Some pairs may have been added then.
    """

def normalise(text: Buffer, /) -> bytes:
    r"""Return *text*, with or without escapes of a log, in the normal form of RFC 3986 (6.2.2.1 and 6.2.2.2).

    Characters that need no percent-encoding are decoded, and hexadecimal digits become capitals. Bytes that a URI may
    not hold are encoded, also if the log has an escape for them, and so is a ``%`` that begins no encoding. The result
    is ASCII.
    """

def parse_line(line: Buffer, rules: LineRules | None = None, /) -> ParsedLine | None:
    """Return the fields of one line, or None for a malformed one.

    *line* may end in ``\\n`` or ``\\r\\n``. Pass only one line: further lines are taken as part of the first.
    Only the log format of *rules* matters here, not which lines are hits.

    >>> line = parse_line(b'::1 - - [12/Mar/2026:10:00:00 +0100] "GET /a?b HTTP/1.1" 200 512')
    >>> line.method, line.target, line.path, line.query, line.status, line.referer
    (b'GET', b'/a?b', b'/a', b'b', 200, None)
    >>> parse_line(b"not a line of a log") is None
    True
    """

def parse_lines(block: Buffer, rules: LineRules | None = None, /) -> Iterator[ParsedLine | None]:
    """Yield the fields of each line of *block*, or None for a line that is no request: malformed, or a comment.

    The last line may lack its newline. A bytearray cannot be resized until the iterator is finished or deleted. Speed:
    at least a million lines a second (`benchmarks/test_parse.py`).

    >>> [line and line.path for line in parse_lines(b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 5\\njunk')]
    [b'/a', None]
    """

class FoundField(NamedTuple):
    """The place of a field in a line."""

    step: int
    """Number of the step that read the field, from 0: see *steps* of `LineRules`."""
    start: int
    end: int

class FoundFields(NamedTuple):
    """How far a line agrees with its log format."""

    fields: list[FoundField]
    """The fields that were read, also those of a malformed line. If several times were tried: those of the longest
    try."""
    host: tuple[int, int]
    """Where the virtual host before the time begins and ends; (0, 0) for no virtual host."""
    step: int
    """Number of the first step that disagrees; if all agree, the number of steps."""
    stopped: int
    """Where reading stopped: the end of the line if all steps agree, 0 if the line has no time in brackets."""
    trouble: str
    """Why the line is malformed: ``absent`` (the line does not agree with the step), ``day`` (an invalid date), ``end``
    (text directly after a number), ``glued`` (another request with its time); ``""`` for a line that parses."""
    way: int
    """Number of the way that reads the line; 0, the log's own way, for a malformed line."""
    text: bytes
    """The text that was read. Places count from its beginning. It is the line without NULs and a byte-order mark at its
    beginning; or the text inside the quotes, if the whole line is in quotes; or the line in the message of an
    object."""

class JsonField(NamedTuple):
    """A field of a JSON line."""

    kind: str
    key: bytes
    """The key as the line has it, after the keys of the objects around it, joined with dots; empty for a field before
    the object."""
    value: bytes
    """The value as the line has it, with its escapes, without quotes."""

class JsonLine(NamedTuple):
    """What the core finds in a JSON line."""

    fields: list[JsonField]
    keys: list[bytes]
    """All keys, also those that the core does not know, but not those in lists."""
    trouble: str
    """Why the line is malformed: ``object`` (no object), ``end`` (the object does not end), ``glued`` (a second
    object), ``wrapped`` (its message is not a log line), ``request`` (no request and no path), ``time`` (no time),
    ``date`` (an invalid date); ``""`` for a line that parses, and for a message of the server."""

def find_json_fields(line: Buffer, rules: LineRules, /) -> JsonLine:
    """Return the fields and the keys that the core finds in a JSON line, and why it is malformed. If an object's
    message is another object, the fields and keys are those of the inner object."""

def find_fields(line: Buffer, rules: LineRules | None = None, /) -> FoundFields:
    """Return the places of the fields of one line, and where and why reading stopped. Arguments as for `parse_line`.

    >>> find_fields(b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 x')[2:5]
    (6, 42, 'absent')
    """

def release_memory() -> None:
    """From now on give the memory of large tables back to the system when they are freed, in the whole process.

    Otherwise glibc keeps that memory. It also copies a table that grows, and both copies take memory for a moment.
    """

def merge_runs(
    runs: Iterable[Iterable[bytes]], *, by_views: bool = False, days: Collection[date] | None = None
) -> Iterator[bytes]:
    """Merge runs, which are pieces of rows in order, as `HitTable.dump` yields them; yield the pieces of one run.

    Rows of the same day and path become one row with the sum of their views. Only rows of *days* are yielded; None
    stands for every day. *by_views* says that the runs are in that order; then no two rows may have the same day and
    path. One piece of each run is in memory at a time.

    >>> hits = HitTable()
    >>> hits.add(date(2026, 3, 12), b"/a", 2)
    >>> run = [piece for _, piece in hits.dump()]
    >>> [rows_of_piece(piece) for piece in merge_runs([run, run])]
    [[(datetime.date(2026, 3, 12), b'/a', 4)]]

    Raises ValueError for damaged rows, runs that are not in order, and sums of more than 63 bits. The exception's
    second argument is the number of the run.
    """

def rows_of_piece(piece: Buffer, *, as_text: bool = False) -> list[tuple[Any, Any, int]]:
    """Return the rows of a piece as (day, path, views). *as_text* is that of `HitTable.sorted_rows`.

    Raises ValueError for damaged rows.
    """

def csv_of_piece(piece: Buffer, fields: int = 1, /) -> list[tuple[date, bytes, int]]:
    """Return the rows of a piece as (day, lines of CSV, number of lines), as `HitTable.csv` yields them.

    Raises ValueError for damaged rows.
    """

@final
class LineRules:
    """The ways to read lines, and which lines are hits. Hit tables of several threads can share it.

    A line is *filtered* by the first reason that applies: ``comment`` (a ``#`` line of the W3C format), ``message`` (a
    JSON object that is a message of the server and no access entry), ``method`` (not in *methods*), ``target``
    (no path), ``status`` (not in *statuses*), ``day`` (see `HitTable.count_only`), ``agent``, ``bot``, ``static``.

    *verdict* is called with each distinct user agent as it was logged, ``b"-"`` for no user agent. It returns 0 to
    count the hit, 1 to filter it as ``agent``, 2 for a bot. Hits of bots are filtered as ``bot`` or, with *apart*,
    counted in `HitTable.bots`.

    Hits of files with one of *static_endings*, such as ``.css``, in lower case, are filtered as ``static``. Some paths
    only the rules for paths can judge: whole URLs, paths with a backslash or a ``?``, and, if the rules have *rewrites*
    of paths, paths with a percent sign or a dot. *is_static* is called with each distinct path of these. Without
    *is_static* they count.

    *referers* maps up to two names of tables in `HitTable.by_referer` to functions. Each function is called with
    each distinct referer of hits, as it was logged. It returns the text to store, which may be several fields with
    newlines between them, or None to store nothing. Referers of bots are ignored.

    Requests that were answered with one of the statuses *not_found* are filtered as ``status``. If no other rule
    filters them, and no bot sent them, they get rows in the table ``not_found`` of `HitTable.by_referer`.

    The key of a row is the path; with *keep_query* the path and its query. With *by_host* the virtual host (``-`` for
    no virtual host) and a space come first.

    *ways* are tried one after the other until one of them reads the line. The default is one way: combined. The first
    way is the log's own. Each way is tried exactly and then loosely: blanks may differ, times may have a fraction or
    another zone, and the status may be missing. If the whole line is in quotes, the text inside them is tried first.
    A line is malformed if another whole request follows its needed steps. The ways after the first never read a line
    that looks like a torn line of another format: its method is not a word, or an unquoted field before the request
    has a quote. With *guesses* neither does the first way.

    `Format.reading` in fasthits/formats/format.py makes a way. Its *steps* are the parts of a log format. A line must
    have the first *needed* steps. If a way is *anchored*, the first step is a time in brackets, and the core searches
    the line for it. If the virtual host is before the time, it comes after *host_words* words, and *host_end* is the
    text after it; else *host_end* is None. A line that *begins_quoted* begins with a field in quotes, so the core does
    not look for quotes around the whole line. If a way is *closed*, a line must end after the last step. If it is
    *absolute*, path and virtual host are taken from the target, ``http://host:port/path``. Without a step for a method
    or a request, every line is a GET.

    A way for JSON has no steps, but *names* of fields. A name has a kind, or ``""`` for no kind. It says whether its
    value may be a whole URL, whose path counts, and whether the fields of its object are read like those of the outer
    object: see fasthits/formats/jsonlines.py. An object may wrap another line in its message, and that line may wrap a
    third. All ways read wrapped lines. A way with *only_wrapped* reads no other lines.

    Raises ValueError for steps without a time. If a needed step searches the rest of a line for a text, the core tries
    only the first ANCHORS times of the line, so the cost of a line stays linear in its length.
    """

    def __new__(
        cls,
        *,
        methods: Collection[bytes] = ...,
        statuses: Collection[int] | None = None,
        keep_query: bool = False,
        by_host: bool = False,
        ways: Collection[Mapping[str, Any]] = ...,
        guesses: bool = False,
        verdict: Callable[[bytes], int] | None = None,
        apart: bool = False,
        referers: Mapping[str, Callable[[bytes], bytes | None]] | None = None,
        static_endings: Collection[bytes] = (),
        is_static: Callable[[bytes], bool] | None = None,
        rewrites: bool = False,
        not_found: Collection[int] = (),
    ) -> Self: ...
    @property
    def referers(self) -> Mapping[str, Callable[[bytes], bytes | None]]:
        """The *referers* that were passed."""
    @property
    def verdict(self) -> Callable[[bytes], int] | None:
        """The *verdict* that was passed."""

@final
class HitTable:
    """Views per day and path, counted from blocks of log lines.

    The table uses open addressing in C memory, which is freed with the object. The hash has a secret seed for each
    process, because strangers choose the paths. `feed`, `finish` and `merge` release the GIL. Calls from several
    threads to one hit table, or to its `bots` and `by_referer`, wait for each other, so give each thread its own hit
    table and merge them. The same holds for Pythons without the GIL. An iterator is for one thread.

    If a function of the rules raises an exception, `feed` and `finish` raise it, too. The lines before that line stay
    counted, the rest of the block is not counted. The function must not use the hit table that calls it.

    With *max_paths*, hits of further paths are counted in `hits` and `dropped`, but get no row.
    """

    def __new__(cls, *, max_paths: int | None = None, rules: LineRules | None = None) -> Self: ...
    @property
    def bots(self) -> HitTable | None:
        """The table of hits of bots, with *apart*; else None. These hits count in `hits`, but have no rows in this
        table."""
    @property
    def by_referer(self) -> Mapping[str, HitTable]:
        """A table for each name in `LineRules.referers`. The path of its rows is the key, a newline, and the text that
        the function returned. With statuses *not_found* also the table ``not_found``, whose rows have only the key."""
    threads: int
    """Threads that `merge`, `sorted_rows` and `csv` use; 1 at first."""
    max_paths: int | None
    """Most rows in each table; None for no limit. You may change it at any time; existing rows stay."""

    @property
    def lines(self) -> int:
        """Lines read so far. A last line without a newline counts after `finish`."""
    @property
    def hits(self) -> int:
        """Hits of the days that count."""
    @property
    def filtered(self) -> dict[str, int]:
        """Parsed lines that are not hits, by the first reason that applies (see `LineRules`); no zeros."""
    @property
    def malformed(self) -> int:
        """Lines that did not parse."""
    @property
    def dropped(self) -> int:
        """Hits without a row because of *max_paths*: lines that count in `hits`, or views added or merged. `bots` and
        `by_referer` have their own figures."""
    @property
    def examples(self) -> list[tuple[int, bytes]]:
        """The first `EXAMPLES` malformed lines: the number of the line, from 1, and its first `EXAMPLE_BYTES`."""
    @property
    def days_seen(self) -> set[date]:
        """The days of all parsed lines, also of days that do not count, here and in merged hit tables."""
    def __len__(self) -> int:
        """Rows: distinct pairs of day and path."""
    @property
    def memory(self) -> int:
        """Bytes of the rows: 24 and the path for each, rounded up to 8. The index takes 12 to 24 more for each row."""
    def memory_with(self, more: int, /) -> int:
        """Return the most memory, in bytes, that the rows of all tables take, if only for a moment, while *more* bytes
        of lines or pieces are counted."""
    def count_only(self, days: Collection[date] | None, /) -> None:
        """From now on count only hits of *days*, and filter others as ``day``. None counts every day."""
    def feed(self, block: Buffer, /) -> None:
        """Count the lines of *block*, which may begin and end in the middle of a line. The hit table keeps an
        unfinished line for the next block.

        Raises MemoryError if the table cannot grow. The lines counted before stay counted; the rest of *block* is not
        counted.
        """
    def finish(self) -> None:
        """End the input: count the last line if it has no newline. You may feed another input afterwards."""
    def add(self, day: date, path: bytes, views: int, /) -> None:
        """Add *views* to a row. `lines` and `hits` do not change.

        Raises ValueError for a path longer than LINE_BYTES, and MemoryError. Then nothing has changed.
        """
    def merge(self, *others: HitTable) -> None:
        """Move the rows and the figures of *others* here. Their unfinished lines and examples stay there.

        It is fastest if `spill` has filled the tables, each with another shard. Raises ValueError if *others* has the
        hit table itself, and MemoryError. After a MemoryError some rows are lost: do not go on.
        """
    def spill(self, shards: Sequence[HitTable], /) -> None:
        """Move the rows to *shards*, 2 to 256 hit tables. Several threads can move rows to the same shards at once.

        The hash of a row decides which of *shards* takes it. The figures stay here.

        Raises ValueError if there are fewer or more *shards*, and MemoryError. After a MemoryError some rows count
        twice: do not go on.
        """
    def drain(self) -> HitTable:
        """Move all rows to a new hit table and return it. The figures and the unfinished line stay here."""
    def rows(self) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, path, views) in the order first seen.

        `rows`, `sorted_rows` and `csv` raise RuntimeError if `drain` or `escape` removed rows meanwhile.
        """
    @overload
    def sorted_rows(self, *, as_text: Literal[False] = False) -> Iterator[tuple[date, bytes, int]]: ...
    @overload
    def sorted_rows(self, *, as_text: Literal[True]) -> Iterator[tuple[str, str, int]]:
        """Yield (day, path, views) sorted by day, then by the bytes of the path. Rows without views are left out.

        With *as_text* the day is written as 2026-03-12, and the path is a str. `escape` the paths first: a path that is
        not UTF-8 raises UnicodeDecodeError.
        """
    def csv(self, fields: int = 1, /) -> Iterator[tuple[date, bytes, int]]:
        """Yield (day, lines of CSV, number of lines), sorted by day, then views (most first), then path.

        A line is ``date,path,views``, quoted by RFC 4180, and ends in ``\\n``. Each block has lines of one day. Rows
        without views are left out. A path may have up to ten *fields* with newlines between them; each becomes a field
        of the CSV. A field that a spreadsheet would take for a formula gets an apostrophe before it: see
        `fasthits.daily.csv.files.harmless`.
        """
    def dump(self, groups: int = 1, key: bytes = ..., *, by_views: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield all rows as bytes, for a file or another machine: (group, piece), group by group from 0.

        Each row is in one of *groups* groups, at most 65,536. The group depends on a hash of the row's day and of its
        path up to a newline. The hash has a *key* of 16 bytes, and is the same in every process. So the rows of a path
        in `by_referer` are in the same group as the row of the path. The rows of a group are in order: by day and path
        or, with *by_views*, as in `csv`. A piece has about 128 KiB, and can be read without the others. Rows without
        views are left out. The rows of `bots` and `by_referer` are not in this dump.

        Raises RuntimeError as `rows` does, ValueError for views of more than 63 bits, and MemoryError.
        """
    def load(self, piece: Buffer, /) -> None:
        """Add the rows of a piece that `dump` or `merge_runs` has yielded. `lines` and `hits` do not change.

        >>> before, after = HitTable(), HitTable()
        >>> before.add(date(2026, 3, 12), b"/a", 2)
        >>> for _, piece in before.dump():
        ...     after.load(piece)
        >>> list(after.rows())
        [(datetime.date(2026, 3, 12), b'/a', 2)]

        Raises ValueError if the bytes are not a piece; then nothing has changed. Raises MemoryError; then some rows
        have been added.
        """
    def views_by_day(self) -> dict[date, int]:
        """Return the sum of the views of each day in this table. Days without views are left out."""
    def take_hours(self) -> dict[date, list[int]]:
        """Return the hits by hour of each day, without hits of bots, and forget them.

        The hour is that in the line. A hit of a line without an hour is in no hour. The hours also have the hits that
        got no row because of `max_paths`. `merge` moves the hours; `drain` and `spill` leave them here.

        >>> hits = HitTable()
        >>> hits.feed(b'[12/Mar/2026:10:00:00 +0100] "GET /a" 200 5\\n')
        >>> [(day.isoformat(), hours[10], sum(hours)) for day, hours in hits.take_hours().items()]
        [('2026-03-12', 1, 1)]
        """

    def add_hours(self, day: date, hours: Sequence[int], /) -> None:
        """Add *hours*, the hits of the 24 hours of a day. `lines` and `hits` do not change."""

    def escape(self) -> None:
        r"""Replace each byte of a path that is not UTF-8 by ``\xhh``, as Apache does. Rows that become equal add up.

        >>> hits = HitTable()
        >>> hits.add(date(2026, 3, 12), b"/caf\xe9", 2)
        >>> hits.add(date(2026, 3, 12), rb"/caf\xe9", 3)
        >>> hits.escape()
        >>> list(hits.csv())
        [(datetime.date(2026, 3, 12), b'2026-03-12,/caf\\xe9,5\n', 1)]

        Raises MemoryError. Then some paths are replaced and others are not. No view is lost.
        """
