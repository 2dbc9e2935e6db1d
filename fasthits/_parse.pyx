# cython: language_level=3, autotestdict=False, auto_pickle=False, freethreading_compatible=True
"""The compiled core: log lines in, views per day and path out. _parse.pyi is its documentation.

This file is the public face. core/__init__.pxd is the map of the rest, which is compiled into this module. Code that
runs for each line is ``noexcept nogil``.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fasthits.core.answers cimport learn
from fasthits.core.escapes cimport rewritten
from fasthits.core.ltsv_w3c cimport CLOCK, MAX_NAMES
from fasthits.core.counts cimport (
    ASKED, LAST_DAY, MAX_EXAMPLE, MAX_EXAMPLES, MAX_REFERER_TABLES, NO_MEMORY_LEFT, Block, Tally, count_block,
    add_to_hour, bytes_of_all, count_unfinished, line_count, open_block, place_views,
)
from fasthits.core.csv cimport CSV_ROWS, MAX_CSV_FIELDS, Text, Writing, set_date, write_csv_rows
from fasthits.core.days cimport bits_of, hours_by_ordinal, no_days, ordinals_of, views_by_ordinal
from fasthits.core.fields cimport (
    as_bytes, filtered_lines, keys_of_object, places_of_fields, span_of, values_of_json_line, values_of_line,
    without_newline,
)
from fasthits.core.jsonlines cimport CUT, GLUED_ENTRY, NOT_FOUND, NO_DATE, NO_OBJECT, NO_REQUEST, NO_TIME, TWO_OBJECTS
from fasthits.core.jsonnames cimport (
    J_BYTES, J_LEVEL, J_LOGGER, J_MESSAGE, J_METHOD, J_PATH, J_PROTOCOL, J_QUERY, J_REFERER, J_REQUEST, J_STATUS,
    J_TIME, J_USER_AGENT, J_VHOST, add_name, free_names,
)
from fasthits.core.lines cimport (
    BY_COLUMNS, BY_KEYS, BY_LABELS, BY_STEPS, HIT, MALFORMED, MAX_ENDING, MAX_ENDINGS, NO_ENTRY, NO_MEMORY_TO_READ,
    Result, Rules, Way, packed_text, read_any, settle,
)
from fasthits.core.moves cimport (
    MAX_SHARDS, Division, add_shard, are_apart, divide_rows, escape_rows, forget_rows, move_figures, move_rows,
    move_tables,
)
from fasthits.core.order cimport Order, prefetch_place, put_in_order
from fasthits.core.pieces cimport csv_in, day_as, path_as, rows_in
from fasthits.core.reader cimport Reader, free_reader
from fasthits.core.runs cimport (
    ALL_MERGED, KEY_BYTES, MAX_GROUPS, PIECE_FULL, PIECE_READ, ROWS_DAMAGED, Merge, Piece, Run, free_merge,
    is_sound, leave, load_rows, make_secrets, merge_rows, next_row, rise, sink, write_rows,
)
from fasthits.core.steps cimport (
    BYTES, CLF_TIME, DIGITS_OR_DASH, EPOCH_TIME, FIXED, ISO_TIME, KINDS, LAID_OUT_TIME, LITERAL, MAX_ANCHORS, MAX_STEPS,
    METHOD, PATH, PROTOCOL, QUERY, QUOTED, REFERER, REQUEST, SKIP, STATUS, TARGET, TEXT, THREE_DIGITS, TIME, USER_AGENT,
    VHOST, Reading, add_step,
)
from fasthits.core.sums cimport added_sums, packed_pairs
from fasthits.core.table cimport (
    DONE, HUGE_BYTES, NO_DAY, NO_MEMORY, NO_ROOM, SECRETS, Outcome, Row, Table, add_views, free_table, hash_row,
    map_large, row_at, row_bytes, row_path, secrets,
)
from fasthits.core.threads cimport MAX_THREADS, in_threads
from fasthits.core.times cimport NO_HOUR, DayMemo, day_at
from fasthits.core.tokens cimport MAX_LINE, Cursor, Span, line_cursor, take_rest, take_until

import os
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

cdef enum:
    SOME_ROWS = 128    # rows are read so many at a time, because taking the lock costs as much as reading a row

LINE_BYTES = MAX_LINE
ANCHORS = MAX_ANCHORS
EXAMPLES = MAX_EXAMPLES
EXAMPLE_BYTES = MAX_EXAMPLE

cdef object _urandom = os.urandom(SECRETS * sizeof(uint64_t))
memcpy(secrets, <const char *>_urandom, SECRETS * sizeof(uint64_t))


class ParsedLine(NamedTuple):
    day: date
    time: bytes
    method: bytes
    target: bytes | None
    path: bytes | None
    query: bytes | None
    protocol: bytes | None
    status: int | None
    bytes_sent: int | None
    referer: bytes | None
    user_agent: bytes | None
    vhost: bytes | None
    host_part: bytes | None


class FoundField(NamedTuple):
    step: int
    start: int
    end: int


class JsonField(NamedTuple):
    kind: str
    key: bytes
    value: bytes


class JsonLine(NamedTuple):
    fields: list[JsonField]
    keys: list[bytes]
    trouble: str


class FoundFields(NamedTuple):
    fields: list[FoundField]
    host: tuple[int, int]
    step: int
    stopped: int
    trouble: str
    way: int
    text: bytes


def unescape(text, /):
    r"""Return *text* without the escapes of a log. A backslash that begins no escape stays."""
    return rewritten(text, False)


def normalise(text, /):
    r"""Return *text*, with or without escapes of a log, in the normal form of RFC 3986. The result is ASCII."""
    return rewritten(text, True)


def pack_sums(pairs, /):
    """Return packed sums of (id, views) pairs, which must be in the order of their ids."""
    return packed_pairs(pairs)


def add_sums(packed, sums, places=None, /):
    """Add packed sums to those in *sums*; return the number of pairs and of views."""
    return added_sums(packed, sums, places)


_KINDS = {
    "time": TIME, "request": REQUEST, "method": METHOD, "target": TARGET, "path": PATH, "query": QUERY,
    "protocol": PROTOCOL, "status": STATUS, "bytes": BYTES, "referer": REFERER, "user_agent": USER_AGENT,
    "vhost": VHOST, "clock": CLOCK,
}
_JSON_KINDS = {
    "time": J_TIME, "request": J_REQUEST, "method": J_METHOD, "path": J_PATH, "query": J_QUERY,
    "protocol": J_PROTOCOL, "status": J_STATUS, "bytes": J_BYTES, "referer": J_REFERER, "user_agent": J_USER_AGENT,
    "vhost": J_VHOST, "logger": J_LOGGER, "level": J_LEVEL, "message": J_MESSAGE,
}
_TROUBLES = {
    NO_OBJECT: "object", CUT: "end", TWO_OBJECTS: "glued", GLUED_ENTRY: "glued", NO_TIME: "time", NO_DATE: "date",
    NO_REQUEST: "request",
}
_HOWS = {"steps": BY_STEPS, "ltsv": BY_LABELS, "w3c": BY_COLUMNS, "json": BY_KEYS}
_STEPS = {
    "literal": LITERAL, "quoted": QUOTED, "text": TEXT, "fixed": FIXED, "status": THREE_DIGITS,
    "bytes": DIGITS_OR_DASH, "apache": CLF_TIME, "iso8601": ISO_TIME, "epoch": EPOCH_TIME, "date": LAID_OUT_TIME,
}
_COMBINED = {
    "steps": [
        (kind, how, text, None)
        for kind, how, text in (
            ("time", "apache", 0), ("skip", "literal", b'] "'), ("request", "quoted", 0), ("skip", "literal", b'" '),
            ("status", "status", 0), ("skip", "literal", b" "), ("bytes", "bytes", 0), ("skip", "literal", b' "'),
            ("referer", "quoted", 0), ("skip", "literal", b'" "'), ("user_agent", "quoted", 0),
            ("skip", "literal", b'"'),
        )
    ],
    "needed": 7, "anchored": True, "closed": False, "absolute": False, "host_end": None, "begins_quoted": False,
    "how": "steps", "names": (), "only_wrapped": False,
}


@cython.final
cdef class LineRules:
    """The ways to read lines, and which lines are hits. Hit tables of several threads can share it."""

    cdef Rules rules
    cdef readonly object verdict
    cdef object is_static
    cdef readonly object referers    # must not change, because hit tables have a table for each function
    cdef list kept             # the bytes that spans point into

    def __cinit__(
        self, *, methods=(b"GET",), statuses=None, keep_query=False, by_host=False, ways=(_COMBINED,), guesses=False,
        verdict=None, apart=False, referers=None, static_endings=(), is_static=None, rewrites=False,
        not_found=(),
    ):
        cdef int i
        self.kept = [*methods]
        self.rules.guesses = guesses
        self.verdict, self.is_static = verdict, is_static
        self.rules.asks_about_paths, self.rules.rewrites = is_static is not None, rewrites
        self.referers = MappingProxyType(dict(referers or {}))
        if len(self.referers) > MAX_REFERER_TABLES:
            raise ValueError(f"there are at most {MAX_REFERER_TABLES} tables of referers")
        self.rules.methods = <Span *>calloc(len(methods), sizeof(Span))
        self.rules.ways = <Way *>calloc(len(ways), sizeof(Way))
        if self.rules.methods == NULL or self.rules.ways == NULL:
            raise MemoryError
        for i, method in enumerate(methods):
            self.rules.methods[i] = span_of(method)
        self.rules.methods_count = len(methods)
        self.rules.takes_get = b"GET" in methods
        self.rules.any_status = statuses is None
        for status in statuses or ():
            self.rules.statuses[<int>status % 1000] = True
        self.rules.keep_query, self.rules.by_host = keep_query, by_host
        self.rules.by_agent = verdict is not None
        self.rules.apart, self.rules.referer_tables = apart, len(self.referers)
        self.rules.not_found_apart = len(not_found) != 0
        for status in not_found:
            self.rules.not_found[<int>status % 1000] = True
        if len(static_endings) > MAX_ENDINGS or not all(1 < len(ending) <= MAX_ENDING for ending in static_endings):
            raise ValueError(f"there are at most {MAX_ENDINGS} endings of 2 to {MAX_ENDING} bytes")
        for ending in static_endings:
            self.rules.ending[self.rules.endings] = packed_text(ending, len(ending))
            self.rules.endings += 1
        if not ways:
            raise ValueError("lines are read in one way at least")
        for way in ways:
            self.add_way(way)
        settle(&self.rules)

    def __dealloc__(self):
        cdef int i
        free(self.rules.methods)
        for i in range(self.rules.ways_count):
            free_names(&self.rules.ways[i].keys)
        free(self.rules.ways)

    cdef add_way(self, reading):
        cdef Way *way = &self.rules.ways[self.rules.ways_count]
        cdef int i
        self.rules.ways_count += 1
        way.how, way.only_wrapped = _HOWS[reading["how"]], reading["only_wrapped"]
        for i in range(KINDS):
            way.steps.at[i] = -1
        if way.how == BY_KEYS:
            for name, kind, is_url, is_transparent in reading["names"]:
                self.kept.append(add_name(&way.keys, name, _JSON_KINDS.get(kind, -1), is_url, is_transparent))
            return
        steps, needed, anchored = reading["steps"], reading["needed"], reading["anchored"]
        if reading["host_end"] is not None:
            self.kept.append(reading["host_end"])
            way.host_end, way.host_words = span_of(reading["host_end"]), reading["host_words"]
        way.begins_quoted = reading["begins_quoted"]
        if len(reading["names"]) > MAX_NAMES:
            raise ValueError(f"a format has at most {MAX_NAMES} names")
        for name, kind in reading["names"]:
            self.kept.append(name)
            way.names.text[way.names.count], way.names.kind[way.names.count] = span_of(name), _KINDS[kind]
            way.names.count += 1
        way.steps.anchored, way.steps.needed = anchored, needed
        way.steps.closed, way.steps.absolute = reading["closed"], reading["absolute"]
        if not 1 <= needed <= len(steps) <= MAX_STEPS:
            raise ValueError(f"a format has 1 to {MAX_STEPS} steps, and needs some of them")
        for kind, how, what, layout in steps:
            self.kept.append(what)
            add_step(&way.steps, _KINDS.get(kind, SKIP), _STEPS[how], what, layout)
        if not 0 <= way.steps.at[TIME] < needed:
            raise ValueError("a format needs a time")
        if anchored and way.steps.step[0].how != CLF_TIME:
            raise ValueError("what is searched for is a time of Apache's common format")


cdef LineRules PLAIN = LineRules()

cdef object day_from_ordinal = date.fromordinal
cdef object tuple_new = tuple.__new__


@cython.final
cdef class _Parser:
    """Reads the lines of *source*, and returns them as tuples."""

    cdef Py_buffer source
    cdef LineRules line_rules
    cdef DayMemo memo
    cdef Reader reader
    cdef int32_t ordinal
    cdef object day

    def __cinit__(self, source, LineRules rules):
        self.line_rules = rules if rules is not None else PLAIN
        PyObject_GetBuffer(source, &self.source, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.source)
        free_reader(&self.reader)

    cdef object parse(self, Span line):
        cdef Result result
        cdef int way = self.read(line, &result, NULL)
        cdef const Way *read_as
        if way < 0:
            return None
        read_as = &self.line_rules.rules.ways[way]
        if day_at(result.line.moment) != self.ordinal:
            self.ordinal = day_at(result.line.moment)
            self.day = day_from_ordinal(self.ordinal)
        if read_as.how == BY_KEYS:
            return tuple_new(ParsedLine, values_of_json_line(self.day, &result.line, &result.found))
        return tuple_new(
            ParsedLine, values_of_line(result.text.p, self.day, &result.line, &result.reading, read_as)
        )

    cdef object find(self):
        cdef Result result
        cdef Reading furthest
        cdef const Way *ways = self.line_rules.rules.ways
        cdef int way
        memset(&furthest, 0, sizeof(furthest))
        way = self.read(without_newline(&self.source), &result, &furthest)
        if way < 0:
            return found_fields(places_of_fields(result.text, &ways[0], &furthest, False), 0, result.text)
        return found_fields(places_of_fields(result.text, &ways[way], &result.reading, True), way, result.text)

    cdef object find_json(self):
        cdef Span line = without_newline(&self.source)
        cdef Result result
        cdef int kind, way
        memset(&result.found, 0, sizeof(result.found))
        memset(result.found.rank, NOT_FOUND, sizeof(result.found.rank))
        result.found.object = line_cursor(line.start, line.size)
        way = self.read(line, &result, NULL)
        keys = keys_of_object(result.found.object)
        paths = {place: path for path, place in keys}
        fields = [
            JsonField(name, paths.get(<size_t>result.found.key[kind].start, b""), as_bytes(result.found.value[kind]))
            for name, kind in _JSON_KINDS.items()
            if result.found.rank[kind] != NOT_FOUND
        ]
        is_read = way >= 0 or way == NO_ENTRY
        return JsonLine(
            fields, [path for path, _ in keys], "" if is_read else _TROUBLES.get(result.found.what, "wrapped")
        )

    cdef int read(self, Span line, Result *result, Reading *furthest) except? -1:
        """Read all fields of a line; return the number of the way that reads it, or UNREAD ..."""
        cdef int way
        self.reader.json.used = 0
        way = read_any(
            &self.line_rules.rules, line_cursor(line.start, line.size), True, result, &self.memo, &self.reader,
            furthest,
        )
        if way == NO_MEMORY_TO_READ:
            raise MemoryError
        return way


cdef object found_fields(tuple found, int way, Cursor text):
    fields, host, step, stopped, trouble = found
    return FoundFields(
        [FoundField(*field) for field in fields], host, step, stopped, trouble, way, text.p[:text.end - text.p]
    )


def parse_line(line, LineRules rules=None, /):
    """Return the fields of one line, or None for a malformed one."""
    cdef _Parser parser = _Parser(line, rules)
    return parser.parse(without_newline(&parser.source))


def parse_lines(block, LineRules rules=None, /):
    """Yield the fields of each line of *block*, or None for a malformed line."""
    cdef Cursor rest
    cdef Span line
    cdef _Parser parser = _Parser(block, rules)
    rest.p, rest.end = <const char *>parser.source.buf, <const char *>parser.source.buf + parser.source.len
    while rest.p != rest.end:
        if not take_until(&rest, b"\n", &line):
            take_rest(&rest, &line)
        yield parser.parse(line)


def find_fields(line, LineRules rules=None, /):
    """Return the places of the fields of one line, and where and why reading stopped. Arguments as for `parse_line`."""
    cdef _Parser parser = _Parser(line, rules)
    return parser.find()


def find_json_fields(line, LineRules rules, /):
    """Return the fields and the keys that the core finds in a JSON line, and why it is malformed."""
    cdef _Parser parser = _Parser(line, rules)
    return parser.find_json()


@cython.final
cdef class _Lock:
    """The lock of a hit table and its side tables, because counting a line may change several of them."""

    cdef cython.pymutex mutex


@cython.final
cdef class HitTable:
    """Views per day and path, counted from blocks of log lines."""

    cdef Tally tally
    cdef _Lock lock
    cdef LineRules line_rules
    cdef readonly HitTable bots
    cdef readonly object by_referer    # must not change, because `tally` points to its tables
    cdef dict answers          # places in `tally.answers`, by the texts of an answer
    cdef int some_threads

    def __cinit__(self, *, max_paths=None, LineRules rules=None):
        self.lock = _Lock()
        self.line_rules = rules if rules is not None else PLAIN
        self.tally.rules = &self.line_rules.rules
        if self.line_rules.rules.apart:
            self.bots = self.side_table()
            self.tally.bots = &self.bots.tally
        self.answers = {}
        by_referer = {}
        for table, name in enumerate(self.line_rules.referers):
            rows = self.side_table()
            by_referer[name] = rows
            self.tally.by_referer[<int>table] = &rows.tally
        if self.line_rules.rules.not_found_apart:
            rows = self.side_table()
            by_referer["not_found"] = rows
            self.tally.not_found = &rows.tally
        self.by_referer = MappingProxyType(by_referer)
        self.max_paths = max_paths
        self.some_threads = 1
        self.tally.seen = no_days()

    cdef HitTable side_table(self):
        cdef HitTable rows = HitTable()
        rows.lock = self.lock
        self.tally.side[self.tally.side_tables] = &rows.tally
        self.tally.side_tables += 1
        return rows

    def __dealloc__(self):
        free_table(&self.tally.table)
        free_table(&self.tally.hours)
        free(self.tally.wanted)
        free(self.tally.seen)
        free(self.tally.unfinished)
        free_table(&self.tally.agents)
        free_table(&self.tally.paths)
        free_table(&self.tally.referers)
        free(self.tally.answers)
        free(self.tally.key)
        free_reader(&self.tally.reader)

    @property
    def max_paths(self):
        """Most rows in each table; None for no limit."""
        return None if self.tally.max_rows == <size_t>-1 else self.tally.max_rows

    @max_paths.setter
    def max_paths(self, max_paths):
        cdef int i
        self.tally.max_rows = as_limit(max_paths)
        for i in range(self.tally.side_tables):
            self.tally.side[i].max_rows = self.tally.max_rows

    @property
    def threads(self):
        """Threads that `merge`, `sorted_rows` and `csv` use; 1 at first."""
        return self.some_threads

    @threads.setter
    def threads(self, threads):
        if threads < 1:
            raise ValueError("there is at least one thread")
        self.some_threads = min(threads, <int>MAX_THREADS)
        for each in (*self.by_referer.values(), *([] if self.bots is None else [self.bots])):
            each.threads = threads

    @property
    def lines(self):
        """Lines read so far. A last line without a newline counts after `finish`."""
        with self.lock.mutex:
            return line_count(&self.tally)

    @property
    def hits(self):
        """Hits of the days that count."""
        return self.tally.buckets[HIT]

    @property
    def filtered(self):
        """Parsed lines that are not hits, by the first reason that applies (see `LineRules`); no zeros."""
        return filtered_lines(self.tally.buckets)

    @property
    def malformed(self):
        """Lines that did not parse."""
        return self.tally.buckets[MALFORMED]

    @property
    def dropped(self):
        """Hits without a row because of *max_paths*; they are part of `hits`."""
        return self.tally.dropped

    @property
    def examples(self):
        """The first `EXAMPLES` malformed lines: the number of the line, from 1, and its first `EXAMPLE_BYTES`."""
        with self.lock.mutex:
            return [
                (example.line, example.text[:example.size])
                for example in self.tally.examples[:self.tally.examples_taken]
            ]

    @property
    def days_seen(self):
        """The days of all parsed lines, also of days that do not count, here and in merged hit tables."""
        with self.lock.mutex:
            ordinals = ordinals_of(self.tally.seen)
        return {day_from_ordinal(ordinal) for ordinal in ordinals}

    def __len__(self):
        return self.tally.table.rows

    @property
    def memory(self):
        """Bytes of the rows: 24 and the path for each, rounded up to 8. The index takes 12 to 24 more for each row."""
        return self.tally.table.used

    def memory_with(self, more, /):
        """Return the most memory, in bytes, that the rows of all tables take while *more* bytes are counted."""
        cdef size_t some = more
        with self.lock.mutex:
            return bytes_of_all(&self.tally, some)

    def count_only(self, days, /):
        """From now on count only hits of *days*, and filter others as ``day``. None counts every day."""
        cdef uint8_t *wanted = NULL if days is None else bits_of([as_ordinal(day) for day in days])
        cdef bint placed
        with self.lock.mutex:
            placed = place_views(&self.tally)
            if placed:
                wanted, self.tally.wanted = self.tally.wanted, wanted
                self.tally.moment = 0
        free(wanted)
        if not placed:
            raise MemoryError

    def feed(self, block, /):
        """Count the lines of *block*, which may begin and end in the middle of a line."""
        cdef Py_buffer view
        cdef Block left
        cdef int outcome = ASKED
        PyObject_GetBuffer(block, &view, PyBUF_SIMPLE)
        try:
            open_block(&left, <const char *>view.buf, <size_t>view.len)
            with self.lock.mutex:
                self.tally.shards = 0
                while outcome == ASKED:
                    with nogil:
                        outcome = count_block(&self.tally, &left)
                    if outcome == ASKED:
                        learn_for(self)
        finally:
            PyBuffer_Release(&view)
        if outcome == NO_MEMORY_LEFT:
            raise MemoryError

    def finish(self):
        """End the input: count the last line if it has no newline. You may feed another input afterwards."""
        cdef int outcome = ASKED
        with self.lock.mutex:
            self.tally.shards = 0
            while outcome == ASKED:
                with nogil:
                    outcome = count_unfinished(&self.tally)
                if outcome == ASKED:
                    learn_for(self)
            self.tally.reader.columns.count = 0
        if outcome == NO_MEMORY_LEFT:
            raise MemoryError

    def add(self, day, path, views, /):
        """Add *views* to a row. `lines` and `hits` do not change."""
        cdef Span span
        cdef uint64_t hash
        cdef int32_t ordinal = as_ordinal(day)
        cdef Outcome outcome
        if not isinstance(path, bytes):
            raise TypeError(f"path must be bytes, not {type(path).__name__}")
        span.start, span.size = path, len(path)
        if span.size > MAX_LINE:
            raise ValueError(f"a path has at most {MAX_LINE} bytes")
        cdef uint64_t hits = views
        with self.lock.mutex:
            self.tally.shards = 0
            hash = hash_row(secrets, ordinal, span.start, span.size)
            outcome = add_views(&self.tally.table, hash, ordinal, span, hits, self.tally.max_rows)
            if outcome == NO_ROOM:
                self.tally.dropped += hits
        if outcome == NO_MEMORY:
            raise MemoryError

    def merge(self, *others):
        """Move the rows and the figures of *others* here. Their unfinished lines and examples stay there."""
        cdef HitTable other
        cdef HitTable taken = HitTable()
        cdef int count = len(others)
        cdef int i
        cdef bint apart
        cdef bint merged = True
        cdef Table *tables
        cdef list shards = []
        for each in others:
            if not isinstance(each, HitTable):
                raise TypeError(f"only hit tables can be merged, not {type(each).__name__}")
        if self in others or len(set(others)) < count:
            raise ValueError("a hit table cannot be merged with itself")
        tables = <Table *>calloc(count + 1, sizeof(Table))
        if tables == NULL:
            raise MemoryError
        for i in range(count):
            other = others[i]
            with other.lock.mutex:
                if other.tally.table.rows:
                    shards.append((other.tally.shards, other.tally.shard))
                move_rows(&other.tally, &tables[i])
                merged = move_figures(&taken.tally, &other.tally) and merged
        with self.lock.mutex:
            if self.tally.table.rows:
                shards.append((self.tally.shards, self.tally.shard))
            self.tally.shards = 0
            apart = are_apart(shards)
            with nogil:
                merged = move_figures(&self.tally, &taken.tally) and merged
                merged = move_tables(&self.tally, tables, count, self.some_threads, apart) and merged
                for i in range(count):
                    free_table(&tables[i])
                free(tables)
        if not merged:
            raise MemoryError
        if self.bots is not None:
            self.bots.merge(*[each.bots for each in others if each.bots is not None])
        for name, rows in self.by_referer.items():
            rows.merge(*[each.by_referer[name] for each in others if name in each.by_referer])

    def spill(self, shards, /):
        """Move the rows to *shards*, 2 to 256 hit tables. Several threads can move rows to the same shards at once."""
        cdef Division division
        cdef HitTable shard
        cdef size_t count = len(shards)
        cdef size_t i, at
        cdef bint added
        if not 2 <= count <= MAX_SHARDS or not all(isinstance(each, HitTable) for each in shards):
            raise ValueError(f"rows are moved to 2 to {MAX_SHARDS} other hit tables")
        for shard in shards:
            if shard.lock is self.lock:
                raise ValueError("rows cannot be moved to the same hit table, or to its bots and referers")
        memset(&division, 0, sizeof(division))
        division.shards = count
        with self.lock.mutex:
            with nogil:
                added = divide_rows(&self.tally.table, &division)
            for i in range(count):
                # Each thread begins with another shard, so threads seldom wait for each other.
                at = (i + <size_t>id(self) // 64) % count
                shard = shards[at]
                with shard.lock.mutex, nogil:
                    added = added and add_shard(&shard.tally, &self.tally.table, &division, at)
            free(division.offsets)
            if added:
                forget_rows(&self.tally)
        if not added:
            raise MemoryError

    def drain(self):
        """Move all rows to a new hit table and return it. The figures and the unfinished line stay here."""
        cdef HitTable drained = HitTable(max_paths=self.max_paths, rules=self.line_rules)
        cdef int i
        with self.lock.mutex:
            move_rows(&self.tally, &drained.tally.table)
            for i in range(self.tally.side_tables):
                move_rows(self.tally.side[i], &drained.tally.side[i].table)
        return drained

    def rows(self):
        """Yield (day, path, views) in the order first seen."""
        cdef size_t offset = 0
        cdef int32_t ordinal = 0
        cdef uint64_t changes = self.tally.changes
        cdef Row *row
        day = None
        while True:
            with self.lock.mutex:
                check_unchanged(&self.tally, changes)
                if offset >= self.tally.table.used:
                    return
                row = row_at(&self.tally.table, offset)
                offset += row_bytes(row.size)
                if row.day == NO_DAY:
                    continue
                if row.day != ordinal:
                    ordinal = row.day
                    day = day_from_ordinal(ordinal)
                found = day, row_path(row)[:row.size], row.views
            yield found

    def sorted_rows(self, *, as_text=False):
        """Yield (day, path, views) sorted by day, then by the bytes of the path. Rows without views are left out."""
        cdef _Order reading = _Order(self, False)
        cdef Order *order = &reading.order
        cdef bint some_text = as_text
        cdef int32_t ordinal = 0
        cdef Row *row
        day = None
        while order.next < order.count:
            some = []
            with self.lock.mutex:
                check_unchanged(&self.tally, reading.changes)
                while order.next < order.count and len(some) < SOME_ROWS:
                    prefetch_place(order, &self.tally.table, order.next)
                    row = row_at(&self.tally.table, order.places[order.next].offset)
                    order.next += 1
                    if row.day != ordinal:
                        ordinal = row.day
                        day = day_as(day_from_ordinal(ordinal), some_text)
                    some.append((day, path_as(row_path(row), row.size, some_text), row.views))
            for found in some:
                check_unchanged(&self.tally, reading.changes)
                yield found

    def csv(self, fields=1, /):
        """Yield (day, lines of CSV, number of lines), sorted by day, then views (most first), then path."""
        cdef _Order reading
        cdef Text *text
        cdef int i, texts
        if not 1 <= fields <= MAX_CSV_FIELDS:
            raise ValueError(f"a path has 1 to {MAX_CSV_FIELDS} fields, not {fields}")
        reading = _Order(self, True)
        reading.writing.fields = fields
        while reading.order.next < reading.order.count:
            texts = reading.write_texts(self)
            for i in range(texts):
                text = &reading.text[i]
                while text.rows:
                    with self.lock.mutex:
                        check_unchanged(&self.tally, reading.changes)
                    yield day_from_ordinal(text.day), text.start[:text.size], text.rows
                    reading.write_rest(self, i)

    def dump(self, groups=1, bytes key=bytes(KEY_BYTES), *, by_views=False):
        """Yield (group, piece) for all rows, in order: by group, then by day and path or, *by_views*, as `csv` does."""
        cdef _Order reading
        cdef size_t group
        if not 1 <= groups <= MAX_GROUPS:
            raise ValueError(f"rows are dumped in 1 to {MAX_GROUPS} groups, not {groups}")
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        reading = _Order(self, by_views, groups, key)
        for group in range(reading.groups):
            while (piece := reading.next_piece(self, group)) is not None:
                yield group, piece

    def load(self, piece, /):
        """Add the rows of a piece that `dump` has yielded. `lines` and `hits` do not change."""
        cdef Py_buffer view
        cdef const unsigned char *p
        cdef bint sound
        cdef Outcome outcome = DONE
        PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        try:
            p = <const unsigned char *>view.buf
            with nogil:
                sound = is_sound(p, p + view.len)
            if not sound:
                raise ValueError("damaged rows")
            with self.lock.mutex, nogil:
                self.tally.shards = 0
                outcome = load_rows(
                    &self.tally.table, p, p + view.len, self.tally.max_rows, &self.tally.dropped
                )
        finally:
            PyBuffer_Release(&view)
        if outcome == NO_MEMORY:
            raise MemoryError

    def views_by_day(self):
        """Return the sum of the views of each day in this table. Days without views are left out."""
        with self.lock.mutex:
            found = views_by_ordinal(&self.tally.table)
        return {day_from_ordinal(ordinal): views for ordinal, views in found.items()}

    def take_hours(self):
        """Return the hits by hour of each day, without those of bots, and forget them."""
        cdef bint placed
        with self.lock.mutex:
            placed = place_views(&self.tally)
            found = hours_by_ordinal(&self.tally.hours) if placed else {}
            if placed:
                free_table(&self.tally.hours)
        if not placed:
            raise MemoryError
        return {day_from_ordinal(ordinal): hours for ordinal, hours in found.items()}

    def add_hours(self, day, hours, /):
        """Add to the hits of the hours of a day. `lines` and `hits` do not change."""
        cdef int32_t ordinal = as_ordinal(day)
        cdef uint64_t views
        cdef int hour
        if len(hours) != NO_HOUR:
            raise ValueError(f"a day has {NO_HOUR} hours, not {len(hours)}")
        for hour, views in enumerate(hours):
            with self.lock.mutex:
                added = views == 0 or add_to_hour(&self.tally.hours, ordinal, <char>hour, views)
            if not added:
                raise MemoryError

    def escape(self):
        r"""Replace each byte of a path that is not UTF-8 by ``\xhh``, as Apache does. Rows that become equal add up."""
        cdef bint escaped
        with self.lock.mutex, nogil:
            self.tally.shards = 0
            escaped = escape_rows(&self.tally)
        if not escaped:
            raise MemoryError


@cython.final
cdef class _Order:
    """The order of the rows of a hit table, for an iterator that reads them."""

    cdef Order order
    cdef int threads
    cdef size_t groups
    cdef size_t *ends        # where the places of each group end
    cdef Text[MAX_THREADS] text
    cdef Writing writing
    cdef Piece piece
    cdef uint64_t changes    # the hit table's `changes` when its rows were sorted

    def __cinit__(self, HitTable hit_table, bint by_views, size_t groups=1, bytes key=bytes(KEY_BYTES)):
        cdef bint done
        cdef uint64_t[SECRETS] of_key
        self.threads, self.groups = hit_table.some_threads, groups
        self.writing.text, self.writing.order, self.writing.table = self.text, &self.order, &hit_table.tally.table
        self.ends = <size_t *>calloc(groups, sizeof(size_t))
        if self.ends == NULL:
            raise MemoryError
        make_secrets(of_key, key)
        with hit_table.lock.mutex, nogil:
            self.changes = hit_table.tally.changes
            done = put_in_order(
                &self.order, &hit_table.tally.table, by_views, self.threads, of_key, self.ends, groups
            )
        if not done:
            raise MemoryError

    def __dealloc__(self):
        cdef int i
        free(self.order.places)
        free(self.ends)
        free(self.piece.start)
        for i in range(self.threads):
            free(self.text[i].start)

    cdef bytes next_piece(self, HitTable hit_table, size_t group):
        """Return the next rows of a group as a piece; None if the group has no more rows."""
        cdef size_t start = self.order.next
        cdef Table *table = &hit_table.tally.table
        if start == self.ends[group]:
            return None
        with hit_table.lock.mutex:
            check_unchanged(&hit_table.tally, self.changes)
            with nogil:
                self.order.next = write_rows(&self.piece, table, &self.order, start, self.ends[group])
            if self.order.next == start and row_at(table, self.order.places[start].offset).views >> 63:
                raise ValueError("rows are dumped with views of 63 bits at most")
        if self.order.next == start:
            raise MemoryError
        return self.piece.start[:self.piece.size]

    cdef int write_texts(self, HitTable hit_table) except -1:
        """Write the next rows into texts, one text in each thread; return the number of texts."""
        cdef size_t rows = <size_t>CSV_ROWS if self.threads > 1 else self.order.count
        cdef int texts = 0
        with hit_table.lock.mutex:
            check_unchanged(&hit_table.tally, self.changes)
            while texts < self.threads and self.order.next < self.order.count:
                self.text[texts].next = self.order.next
                self.order.next = min(self.order.next + rows, self.order.count)
                self.text[texts].end = self.order.next
                self.set_day(texts)
                texts += 1
            with nogil:
                in_threads(write_csv_rows, &self.writing, texts)
        for i in range(texts):
            if self.text[i].rows == 0:
                raise MemoryError
        return texts

    cdef int write_rest(self, HitTable hit_table, int i) except -1:
        """Write the next rows of a text, if its last rows are of another day or more than a block."""
        with hit_table.lock.mutex:
            check_unchanged(&hit_table.tally, self.changes)
            if self.text[i].next < self.text[i].end:
                self.set_day(i)
            with nogil:
                write_csv_rows(&self.writing, i)
        if self.text[i].rows == 0 and self.text[i].next < self.text[i].end:
            raise MemoryError
        return 0

    cdef int set_day(self, int i) except -1:
        cdef Text *text = &self.text[i]
        cdef const Row *row = row_at(self.writing.table, self.order.places[text.next].offset)
        if row.day != text.day:
            set_date(text, row.day, day_from_ordinal(row.day))
        return 0


def merge_runs(runs, *, by_views=False, days=None):
    """Yield the rows of several runs as the pieces of one run; rows of one day and path add up."""
    cdef _Merging merging = _Merging(runs, by_views, days)
    while (piece := merging.next_piece()) is not None:
        yield piece


@cython.final
cdef class _Merging:
    """Runs that are being merged, and the iterators that yield their pieces."""

    cdef Merge merge
    cdef list runs
    cdef list pieces           # the present piece of each run; rows point into it

    def __cinit__(self, runs, bint by_views, days):
        cdef int i
        self.runs = [iter(run) for run in runs]
        self.pieces = [b""] * len(self.runs)
        self.merge.by_views = by_views
        self.merge.wanted = NULL if days is None else bits_of([as_ordinal(day) for day in days])
        self.merge.runs = <Run *>calloc(len(self.runs) + 1, sizeof(Run))
        self.merge.heap = <int *>calloc(len(self.runs) + 1, sizeof(int))
        if self.merge.runs == NULL or self.merge.heap == NULL:
            raise MemoryError
        for i in range(len(self.runs)):
            if self.renew(i):
                rise(&self.merge, i)

    def __dealloc__(self):
        free_merge(&self.merge)

    cdef bint renew(self, int number) except -1:
        """Read the first row of the next piece of a run; False if the run has no more pieces."""
        cdef Run *run = &self.merge.runs[number]
        cdef bytes piece
        for piece in self.runs[number]:
            if piece:
                self.pieces[number] = piece
                run.p = <const unsigned char *><const char *>piece
                run.end = run.p + len(piece)
                run.row.day = 0
                if not next_row(run):
                    raise ValueError("damaged rows", number)
                return True
        self.pieces[number] = b""
        return False

    cdef bytes next_piece(self):
        cdef int outcome = PIECE_READ
        cdef Piece *out = &self.merge.out
        out.size, out.day = 0, 0
        while outcome == PIECE_READ:
            with nogil:
                outcome = merge_rows(&self.merge)
            if outcome == PIECE_READ:
                if self.renew(self.merge.heap[0]):
                    sink(&self.merge)
                else:
                    leave(&self.merge)
        if outcome == ROWS_DAMAGED:
            raise ValueError("damaged rows", self.merge.heap[0])
        if outcome != ALL_MERGED and outcome != PIECE_FULL:
            raise MemoryError
        return out.start[:out.size] if out.size else None


def rows_of_piece(piece, *, as_text=False):
    """Return the rows of a piece as a list of (day, path, views)."""
    cdef Py_buffer view
    PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
    try:
        return rows_in(<const unsigned char *>view.buf, view.len, as_text, day_from_ordinal)
    finally:
        PyBuffer_Release(&view)


def csv_of_piece(piece, fields=1, /):
    """Return the rows of a piece as lines of CSV: a list of (day, lines, number of lines)."""
    cdef Py_buffer view
    if not 1 <= fields <= MAX_CSV_FIELDS:
        raise ValueError(f"a path has 1 to {MAX_CSV_FIELDS} fields, not {fields}")
    PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
    try:
        return csv_in(<const unsigned char *>view.buf, view.len, fields, day_from_ordinal)
    finally:
        PyBuffer_Release(&view)


def release_memory():
    """From now on give the memory of large tables back to the system when they are freed."""
    map_large(HUGE_BYTES)


cdef int learn_for(HitTable table) except -1:
    cdef LineRules rules = table.line_rules
    return learn(&table.tally, table.answers, rules.verdict, rules.is_static, rules.referers)


cdef int check_unchanged(Tally *tally, uint64_t changes) except -1:
    if tally.changes != changes:
        raise RuntimeError("rows were removed from the hit table while they were read")
    return 0


cdef int32_t as_ordinal(day) except 0:
    if not isinstance(day, date):
        raise TypeError(f"a day must be a datetime.date, not {type(day).__name__}")
    cdef int32_t ordinal = day.toordinal()
    if not 1 <= ordinal <= LAST_DAY:
        raise ValueError(f"not a day of the calendar: {day!r}")
    return ordinal


cdef size_t as_limit(limit) except? 0:
    if limit is None:
        return <size_t>-1
    if limit < 0:
        raise ValueError("a limit must not be negative")
    return limit
