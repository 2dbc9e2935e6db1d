# cython: language_level=3, autotestdict=False, auto_pickle=False
"""The compiled core: log lines in, views per day and path out. _parse.pyi is its documentation.

This is its public face; core/__init__.pxd says what is in which room of it. All of it is compiled into this one
module. What runs over the lines is ``noexcept nogil``.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fasthits.core.codes cimport normalise_bytes, unescape_bytes
from fasthits.core.counts cimport (
    ASKED, LAST_DAY, MAX_EXAMPLE, MAX_EXAMPLES, MAX_REFERER_TABLES, NO_MEMORY_LEFT, Answer, Count, count_block,
    count_partial, has_day, line_count, take_away_rows,
)
from fasthits.core.lines cimport (
    BOT, HIT, MALFORMED, NO_PATH, OTHER_AGENT, OTHER_DAY, OTHER_METHOD, OTHER_STATUS, Rules, settle, take_host,
)
from fasthits.core.moves cimport escape_rows, move_count, move_rows
from fasthits.core.order cimport AHEAD, CSV_ROW_BYTES, MAX_CSV_FIELDS, Place, place_rows, sort_places, write_csv_row
from fasthits.core.steps cimport (
    BYTES, CLF_TIME, DIGITS_OR_DASH, EPOCH_TIME, FIXED, ISO_TIME, KINDS, LAID_OUT_TIME, LITERAL, MAX_ANCHORS, MAX_STEPS,
    METHOD, NO_DAY, NO_END, PATH, PROTOCOL, QUERY, QUOTED, REFERER, REQUEST, SKIP, STATUS, TARGET, TEXT, THREE_DIGITS,
    TIME, USER_AGENT, VHOST, Reading, Step, field_of, fill_line, read_line,
)
from fasthits.core.table cimport (
    NO_MEMORY, NO_ROOM, SECRETS, Outcome, Row, Table, add_views, drop_slots, free_table, hash_row, prefetch_row, row_at,
    row_bytes, row_path, secrets,
)
from fasthits.core.times cimport DayMemo
from fasthits.core.tokens cimport MAX_LINE, Cursor, Line, Span, line_cursor, take_rest, take_until

import os
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

cdef enum:
    CSV_BLOCK = 1 << 18
    KNOWN_BYTES = 1 << 24      # of user agents, and of referers, that need not be asked for again

cdef uint64_t LAST_HASH = <uint64_t>-1

LINE_BYTES = MAX_LINE
ANCHORS = MAX_ANCHORS
EXAMPLES = MAX_EXAMPLES
EXAMPLE_BYTES = MAX_EXAMPLE
WHOLE = (0, LAST_HASH)

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


class FoundFields(NamedTuple):
    fields: list[FoundField]
    host_size: int
    step: int
    stopped: int
    trouble: str


def unescape(text, /):
    """Return the bytes that were logged as *text*."""
    return rewritten(text, False)


def normalise(text, /):
    """Return *text* as RFC 3986 writes it."""
    return rewritten(text, True)


cdef bytes rewritten(text, bint normalises):
    cdef Py_buffer view
    cdef char *out
    PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
    try:
        out = <char *>malloc(3 * <size_t>view.len + 1)
        if out == NULL:
            raise MemoryError
        try:
            if normalises:
                return out[:normalise_bytes(out, <const char *>view.buf, <size_t>view.len)]
            return out[:unescape_bytes(out, <const char *>view.buf, <size_t>view.len)]
        finally:
            free(out)
    finally:
        PyBuffer_Release(&view)


_KINDS = {
    "time": TIME, "request": REQUEST, "method": METHOD, "target": TARGET, "path": PATH, "query": QUERY,
    "protocol": PROTOCOL, "status": STATUS, "bytes": BYTES, "referer": REFERER, "user_agent": USER_AGENT,
    "vhost": VHOST,
}
_WAYS = {
    "literal": LITERAL, "quoted": QUOTED, "text": TEXT, "fixed": FIXED, "status": THREE_DIGITS,
    "bytes": DIGITS_OR_DASH, "apache": CLF_TIME, "iso8601": ISO_TIME, "epoch": EPOCH_TIME, "date": LAID_OUT_TIME,
}
_COMBINED = tuple(
    (kind, how, text, None)
    for kind, how, text in (
        ("time", "apache", 0), ("skip", "literal", b'] "'), ("request", "quoted", 0), ("skip", "literal", b'" '),
        ("status", "status", 0), ("skip", "literal", b" "), ("bytes", "bytes", 0), ("skip", "literal", b' "'),
        ("referer", "quoted", 0), ("skip", "literal", b'" "'), ("user_agent", "quoted", 0), ("skip", "literal", b'"'),
    )
)
_COMBINED_NEEDED = 7


@cython.final
cdef class LineRules:
    """What is looked at in a line, and what makes it a hit."""

    cdef Rules rules
    cdef readonly object verdict
    cdef readonly object referers    # for good, as counters have a table for each
    cdef list kept             # the bytes that spans point into

    def __cinit__(
        self, *, methods=(b"GET",), statuses=None, keep_query=False, by_host=False, host_end=None, steps=None,
        anchored=False, needed=0, verdict=None, apart=False, referers=None,
    ):
        cdef int i
        self.kept = [*methods, host_end]
        self.verdict = verdict
        self.referers = MappingProxyType(dict(referers or {}))
        if len(self.referers) > MAX_REFERER_TABLES:
            raise ValueError(f"there are at most {MAX_REFERER_TABLES} tables of referers")
        self.rules.methods = <Span *>calloc(len(methods), sizeof(Span))
        if self.rules.methods == NULL:
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
        if host_end is not None:
            self.rules.host_end = span_of(host_end)
        if steps is None:
            steps, anchored, needed = _COMBINED, True, _COMBINED_NEEDED
        self.rules.steps.anchored, self.rules.steps.needed = anchored, needed
        if not 1 <= needed <= len(steps) <= MAX_STEPS:
            raise ValueError(f"a format has 1 to {MAX_STEPS} steps, and needs some of them")
        for i in range(KINDS):
            self.rules.steps.at[i] = -1
        for kind, how, what, layout in steps:
            self.add_step(kind, how, what, layout)
        if not 0 <= self.rules.steps.at[TIME] < needed:
            raise ValueError("a format needs a time")
        if anchored and self.rules.steps.step[0].how != CLF_TIME:
            raise ValueError("what is searched for is a time of Apache's common format")
        settle(&self.rules)

    def __dealloc__(self):
        free(self.rules.methods)

    cdef int add_step(self, kind, how, what, layout) except -1:
        cdef Step *step = &self.rules.steps.step[self.rules.steps.count]
        step.kind = _KINDS.get(kind, SKIP)
        step.how = _WAYS[how]
        if how in ("literal", "text"):
            if how == "literal" and not what:
                raise ValueError("a literal has at least one byte")
            self.kept.append(what)
            step.text, step.size = what, len(what)
        elif how == "epoch":
            step.size, step.divisor = what
        else:
            step.size = what
        if layout is not None:
            (step.layout.year, step.layout.year_digits, step.layout.month, step.layout.month_named, step.layout.day,
             step.layout.day_digits) = layout
        self.rules.steps.at[step.kind] = self.rules.steps.count
        self.rules.steps.count += 1
        return 0


cdef Span span_of(bytes text):
    cdef Span span
    span.start, span.size = text, len(text)
    return span


cdef LineRules PLAIN = LineRules()

cdef object day_from_ordinal = date.fromordinal
cdef object tuple_new = tuple.__new__


cdef object as_bytes(Span span):
    return None if span.start == NULL else span.start[:span.size]


cdef object as_number(Span span):
    """Return a number of up to 18 digits; None for any other text."""
    cdef uint64_t value = 0
    cdef size_t i
    if span.start == NULL or span.size > 18 or span.start[0] == b"-":
        return None
    for i in range(span.size):
        value = value * 10 + <uint64_t>(span.start[i] - c"0")
    return value


@cython.final
cdef class _Parser:
    """Makes tuples of lines of one format."""

    cdef LineRules line_rules
    cdef DayMemo memo
    cdef int32_t ordinal
    cdef object day

    def __cinit__(self, LineRules rules):
        self.line_rules = rules if rules is not None else PLAIN

    cdef object parse(self, const char *start, size_t size):
        cdef const Rules *rules = &self.line_rules.rules
        cdef Reading reading
        cdef Line line
        cdef Span before, query
        if not read_line(line_cursor(start, size), &rules.steps, rules.steps.count, &reading, &self.memo, NULL):
            return None
        fill_line(&line, &reading, &rules.steps)
        if rules.host_end.start != NULL:
            take_host(start, line.time, rules.host_end, &line.host)
        before.start, before.size = NULL, 0
        if rules.steps.anchored:
            before.start, before.size = start, <size_t>(line.time - 1 - start)
            if before.size and before.start[before.size - 1] == b" ":
                before.size -= 1
        query = line.query
        if query.size:
            query.start, query.size = query.start + 1, query.size - 1
        if line.day != self.ordinal:
            self.ordinal, self.day = line.day, day_from_ordinal(line.day)
        return tuple_new(ParsedLine, (
            self.day, as_bytes(field_of(&reading, &rules.steps, TIME)), as_bytes(line.method), as_bytes(line.target),
            as_bytes(line.path), as_bytes(query), as_bytes(line.protocol), as_number(line.status),
            as_number(field_of(&reading, &rules.steps, BYTES)), as_bytes(line.referer), as_bytes(line.user_agent),
            as_bytes(line.host), as_bytes(before),
        ))


def parse_line(line, LineRules rules=None, /):
    """Return the fields of one line, or None for a malformed one."""
    cdef Py_buffer view
    cdef Span text
    cdef _Parser parser = _Parser(rules)
    PyObject_GetBuffer(line, &view, PyBUF_SIMPLE)
    try:
        text = without_newline(&view)
        return parser.parse(text.start, text.size)
    finally:
        PyBuffer_Release(&view)


def parse_lines(block, LineRules rules=None, /):
    """Yield the fields of each line of *block*, None for a malformed one."""
    cdef Py_buffer view
    cdef Cursor rest
    cdef Span line
    cdef _Parser parser = _Parser(rules)
    PyObject_GetBuffer(block, &view, PyBUF_SIMPLE)
    try:
        rest.p, rest.end = <const char *>view.buf, <const char *>view.buf + view.len
        while rest.p != rest.end:
            if not take_until(&rest, b"\n", &line):
                take_rest(&rest, &line)
            yield parser.parse(line.start, line.size)
    finally:
        PyBuffer_Release(&view)


def find_fields(line, LineRules rules=None, /):
    """Return where the fields of one line stand, and where reading stopped and why."""
    cdef Py_buffer view
    cdef Span text
    cdef Reading reading, furthest
    cdef DayMemo memo
    cdef const Rules *known = &(rules if rules is not None else PLAIN).rules
    cdef bint is_read
    memset(&memo, 0, sizeof(memo))
    memset(&reading, 0, sizeof(reading))
    memset(&furthest, 0, sizeof(furthest))
    PyObject_GetBuffer(line, &view, PyBUF_SIMPLE)
    try:
        text = without_newline(&view)
        is_read = read_line(
            line_cursor(text.start, text.size), &known.steps, known.steps.count, &reading, &memo, &furthest
        )
        if is_read or not known.steps.anchored:
            return found_fields(text, known, &reading, is_read)
        return found_fields(text, known, &furthest, False)
    finally:
        PyBuffer_Release(&view)


cdef object found_fields(Span line, const Rules *rules, const Reading *reading, bint is_read):
    cdef Span host
    cdef Py_ssize_t start
    cdef int i
    fields = []
    for i in range(reading.agreed):
        if rules.steps.step[i].how != LITERAL:
            start = reading.found[i].start - line.start
            fields.append(FoundField(i, start, start + <Py_ssize_t>reading.found[i].size))
    host.size = 0
    if reading.agreed and rules.host_end.start != NULL:
        take_host(line.start, reading.found[0].start, rules.host_end, &host)
    if is_read:
        trouble = ""
    else:
        trouble = "end" if reading.trouble == NO_END else "day" if reading.trouble == NO_DAY else "absent"
    start = line.size
    if reading.agreed < rules.steps.count:
        start = 0 if reading.stopped == NULL else reading.stopped - line.start
    return FoundFields(fields, host.size, reading.agreed, start, trouble)


cdef Span without_newline(const Py_buffer *view) noexcept:
    cdef Span line
    line.start, line.size = <const char *>view.buf, <size_t>view.len
    if line.size and line.start[line.size - 1] == b"\n":
        line.size -= 1
    return line


@cython.final
cdef class HitTable:
    """Views per day and path, counted from blocks of log lines."""

    cdef Count count
    cdef cython.pymutex lock
    cdef LineRules line_rules
    cdef readonly HitTable bots
    cdef readonly object by_referer    # for good, as the count points to them
    cdef dict answers          # places of answers, by what they hold

    def __cinit__(self, *, max_paths=None, max_bytes=None, LineRules rules=None):
        self.line_rules = rules if rules is not None else PLAIN
        self.count.rules = &self.line_rules.rules
        if self.line_rules.rules.apart:
            self.bots = self.table_beside()
            self.count.bots = &self.bots.count
        self.answers = {}
        by_referer = {}
        for table, name in enumerate(self.line_rules.referers):
            rows = self.table_beside()
            by_referer[name] = rows
            self.count.by_referer[<int>table] = &rows.count
        self.by_referer = MappingProxyType(by_referer)
        self.max_paths = max_paths
        self.count.max_bytes = as_limit(max_bytes)
        self.count.last_hash = LAST_HASH
        self.count.seen = <uint8_t *>calloc(LAST_DAY // 8 + 1, 1)    # untouched pages cost nothing
        if self.count.seen == NULL:
            raise MemoryError

    cdef HitTable table_beside(self):
        cdef HitTable rows = HitTable()
        self.count.beside[self.count.tables_beside] = &rows.count
        self.count.tables_beside += 1
        return rows

    def __dealloc__(self):
        free_table(&self.count.table)
        free(self.count.wanted)
        free(self.count.seen)
        free(self.count.partial)
        free_table(&self.count.agents)
        free_table(&self.count.referers)
        free(self.count.answers)
        free(self.count.key)

    @property
    def max_paths(self):
        """At most this many rows; None for no bound."""
        return None if self.count.max_rows == <size_t>-1 else self.count.max_rows

    @max_paths.setter
    def max_paths(self, max_paths):
        cdef int i
        self.count.max_rows = as_limit(max_paths)
        for i in range(self.count.tables_beside):
            self.count.beside[i].max_rows = self.count.max_rows

    @property
    def max_bytes(self):
        """The table takes at most this much memory; None for no bound."""
        return None if self.count.max_bytes == <size_t>-1 else self.count.max_bytes

    @max_bytes.setter
    def max_bytes(self, max_bytes):
        self.count.max_bytes = as_limit(max_bytes)

    @property
    def lines(self):
        """Lines read so far, the last unterminated one only after `finish`."""
        with self.lock:
            return line_count(&self.count)

    @property
    def hits(self):
        """Lines that are hits, of the days that count."""
        return self.count.buckets[HIT]

    @property
    def filtered(self):
        """Parsed lines that are no hits, by reason; no zeros."""
        counts = {
            "method": self.count.buckets[OTHER_METHOD],
            "target": self.count.buckets[NO_PATH],
            "status": self.count.buckets[OTHER_STATUS],
            "day": self.count.buckets[OTHER_DAY],
            "agent": self.count.buckets[OTHER_AGENT],
            "bot": self.count.buckets[BOT],
        }
        return {reason: lines for reason, lines in counts.items() if lines}

    @property
    def malformed(self):
        """Lines that did not parse."""
        return self.count.buckets[MALFORMED]

    @property
    def dropped(self):
        """Hits that found no room under *max_paths*; part of `hits`."""
        return self.count.dropped

    @property
    def examples(self):
        """The first malformed lines: the number of the line, from 1, and its first bytes."""
        with self.lock:
            return [
                (example.line, example.text[:example.size])
                for example in self.count.examples[:self.count.examples_taken]
            ]

    @property
    def days_seen(self):
        """The days of all parsed lines, whether they count or not."""
        days = set()
        cdef int32_t byte, day
        with self.lock:
            for byte in range(LAST_DAY // 8 + 1):
                if self.count.seen[byte]:
                    for day in range(byte * 8, byte * 8 + 8):
                        if has_day(self.count.seen, day):
                            days.add(day_from_ordinal(day))
        return days

    @property
    def memory(self):
        """Bytes that the rows take."""
        return self.count.table.used

    @property
    def share(self):
        """The first and the last hash of the rows that are kept."""
        with self.lock:
            return self.count.first_hash, self.count.last_hash

    @share.setter
    def share(self, share):
        cdef uint64_t first, last
        first, last = share
        with self.lock, nogil:
            if not first <= self.count.first_hash <= self.count.last_hash <= last:
                take_away_rows(&self.count, first, last)
            self.count.first_hash, self.count.last_hash = first, last

    def __len__(self):
        return self.count.table.rows

    def count_only(self, days, /):
        """From here on count the hits of *days* alone, the others being filtered as ``day``; None counts every day."""
        cdef uint8_t *wanted = NULL
        cdef int32_t day
        ordinals = None if days is None else [as_ordinal(each) for each in days]
        if ordinals is not None:
            wanted = <uint8_t *>calloc(LAST_DAY // 8 + 1, 1)
            if wanted == NULL:
                raise MemoryError
            for day in ordinals:
                wanted[day >> 3] |= <uint8_t>(1 << (day & 7))
        with self.lock:
            free(self.count.wanted)
            self.count.wanted = wanted
            self.count.last_day = 0

    def feed(self, block, /):
        """Count the lines of *block*, which may begin and end anywhere in a line."""
        cdef Py_buffer view
        cdef Cursor left
        cdef int outcome = ASKED
        PyObject_GetBuffer(block, &view, PyBUF_SIMPLE)
        try:
            left.p, left.end = <const char *>view.buf, <const char *>view.buf + view.len
            with self.lock:
                while outcome == ASKED:
                    with nogil:
                        outcome = count_block(&self.count, &left)
                    if outcome == ASKED:
                        self.learn()
        finally:
            PyBuffer_Release(&view)
        if outcome == NO_MEMORY_LEFT:
            raise MemoryError

    def finish(self):
        """Count the last line, if it has no newline: the input ends here."""
        cdef int outcome = ASKED
        with self.lock:
            while outcome == ASKED:
                with nogil:
                    outcome = count_partial(&self.count)
                if outcome == ASKED:
                    self.learn()
        if outcome == NO_MEMORY_LEFT:
            raise MemoryError

    cdef int learn(self) except -1:
        """Have the answer to what was asked, and remember it."""
        cdef Span asked = self.count.asked
        cdef Table *known = self.count.asked_for
        cdef bint is_referer = known == &self.count.referers
        cdef uint64_t answer, hash
        if known.used > KNOWN_BYTES:    # strangers choose them
            free_table(known)
            if is_referer:
                self.answers.clear()
        if is_referer:
            answer = self.place_of(tuple([read(as_bytes(asked)) for read in self.line_rules.referers.values()]))
        else:
            answer = self.line_rules.verdict(as_bytes(asked))
        hash = hash_row(secrets, 0, asked.start, asked.size)
        if add_views(known, hash, 0, asked, answer + 1, <size_t>-1) == NO_MEMORY:
            raise MemoryError
        return 0

    cdef uint64_t place_of(self, tuple texts) except? 0:
        """Return the place of an answer, which is put behind the others where it is new."""
        cdef size_t place = len(self.answers)
        cdef Answer *answers
        cdef int table
        if texts in self.answers:
            return self.answers[texts]
        if place & (place - 1) == 0:    # room is for a power of two
            answers = <Answer *>realloc(self.count.answers, max(<size_t>1, 2 * place) * sizeof(Answer))
            if answers == NULL:
                raise MemoryError
            self.count.answers = answers
        memset(&self.count.answers[place], 0, sizeof(Answer))
        for table, text in enumerate(texts):
            if text is not None:
                self.count.answers[place].text[table] = span_of(text)
        self.answers[texts] = place
        return place

    def add(self, day, path, views, /):
        """Add *views* hits (not lines) to a row."""
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
        with self.lock:
            hash = hash_row(secrets, ordinal, span.start, span.size)
            outcome = add_views(&self.count.table, hash, ordinal, span, hits, self.count.max_rows)
            if outcome == NO_ROOM:
                self.count.dropped += hits
        if outcome == NO_MEMORY:
            raise MemoryError

    def merge(self, HitTable other not None, /):
        """Move the rows and buckets of *other* here."""
        cdef bint merged
        # Locked in one order always, or two merges could wait for each other.
        cdef HitTable first = self if id(self) < id(other) else other
        cdef HitTable second = other if first is self else self
        if first is second:
            raise ValueError("a counter cannot be merged with itself")
        with first.lock, second.lock, nogil:
            merged = move_count(&self.count, &other.count)
        if not merged:
            raise MemoryError
        if self.bots is not None and other.bots is not None:
            self.bots.merge(other.bots)
        for name in self.by_referer.keys() & other.by_referer.keys():
            self.by_referer[name].merge(other.by_referer[name])

    def drain(self):
        """Move all rows to a new counter and return that."""
        cdef HitTable drained = HitTable(max_paths=self.max_paths, rules=self.line_rules)
        cdef int i
        with self.lock:
            move_rows(&self.count, &drained.count)
            for i in range(self.count.tables_beside):
                move_rows(self.count.beside[i], drained.count.beside[i])
        return drained

    def rows(self):
        """Yield (day, path, views) in the order in which the rows were first seen."""
        cdef size_t offset = 0
        cdef int32_t ordinal = 0
        cdef uint64_t changes = self.count.changes
        cdef Row *row
        day = None
        while True:
            with self.lock:
                check_unchanged(&self.count, changes)
                if offset >= self.count.table.used:
                    return
                row = row_at(&self.count.table, offset)
                offset += row_bytes(row.size)
                if row.day != ordinal:
                    ordinal = row.day
                    day = day_from_ordinal(ordinal)
                found = day, row_path(row)[:row.size], row.views
            yield found

    def sorted_rows(self):
        """Yield (day, path, views) by day, then path."""
        cdef _Order order = in_order(self, False)
        cdef int32_t ordinal = 0
        cdef Row *row
        day = None
        while order.next < order.count:
            with self.lock:
                check_unchanged(&self.count, order.changes)
                row = row_at(&self.count.table, order.places[order.next].offset)
                order.next += 1
                if row.day != ordinal:
                    ordinal = row.day
                    day = day_from_ordinal(ordinal)
                found = day, row_path(row)[:row.size], row.views
            yield found

    def csv(self, fields=1, /):
        """Yield (day, lines of CSV, their number) by day, then views, most first, then path, which is some *fields*."""
        cdef _Order order
        cdef size_t size, before
        if not 1 <= fields <= MAX_CSV_FIELDS:
            raise ValueError(f"a path has 1 to {MAX_CSV_FIELDS} fields, not {fields}")
        order = in_order(self, True)
        while order.next < order.count:
            with self.lock:
                check_unchanged(&self.count, order.changes)
                day = day_from_ordinal(row_at(&self.count.table, order.places[order.next].offset).day)
                date_text = day.isoformat().encode("ascii")
                before = order.next
                size = write_rows(order, &self.count.table, date_text, fields)
                if size == 0:
                    raise MemoryError
                found = day, order.text[:size], order.next - before
            yield found

    def views_by_day(self):
        """The views of all rows of each day."""
        cdef size_t offset = 0
        cdef uint64_t views = 0
        cdef int32_t ordinal = 0
        cdef Row *row
        found = {}
        with self.lock:
            while offset < self.count.table.used:
                row = row_at(&self.count.table, offset)
                offset += row_bytes(row.size)
                if row.day != ordinal:
                    add_to_day(found, ordinal, views)
                    ordinal, views = row.day, 0
                views += row.views
        add_to_day(found, ordinal, views)
        return found

    def escape(self):
        """Write each byte that is not UTF-8 as ``\\xhh``; rows that become equal add up."""
        cdef bint escaped
        with self.lock, nogil:
            escaped = escape_rows(&self.count)
        if not escaped:
            raise MemoryError


@cython.final
cdef class _Order:
    """Where the rows of a counter are, in order, and how many of them have been read."""

    cdef Place *places
    cdef size_t count, next
    cdef uint64_t changes
    cdef char *text
    cdef size_t capacity

    def __dealloc__(self):
        free(self.places)
        free(self.text)


cdef _Order in_order(HitTable counter, bint by_views):
    cdef _Order order = _Order()
    cdef Count *count = &counter.count
    cdef bint done
    with counter.lock, nogil:
        order.changes = count.changes
        drop_slots(&count.table)    # as large as the places, and not needed when all rows are there
        order.places = <Place *>malloc((count.table.rows + 1) * sizeof(Place))
        done = order.places != NULL
        if done:
            order.count = place_rows(&count.table, order.places)
            done = sort_places(&count.table, order.places, order.count, by_views, secrets[0])
    if not done:
        raise MemoryError
    return order


cdef size_t write_rows(_Order order, const Table *table, const char *day, int fields) noexcept:
    """Write the next rows of one day as CSV, some CSV_BLOCK bytes, and return their size; 0 without memory."""
    cdef size_t size = 0
    cdef size_t needed
    cdef const Row *row = row_at(table, order.places[order.next].offset)
    cdef int32_t ordinal = row.day
    cdef char *text
    with nogil:
        while order.next < order.count:
            if order.next + AHEAD < order.count:
                prefetch_row(row_at(table, order.places[order.next + AHEAD].offset))
            row = row_at(table, order.places[order.next].offset)
            needed = size + CSV_ROW_BYTES + 2 * <size_t>row.size
            if row.day != ordinal or (size and needed > order.capacity):
                break
            if needed > order.capacity:
                text = <char *>realloc(order.text, max(needed, <size_t>CSV_BLOCK))
                if text == NULL:
                    return 0
                order.text, order.capacity = text, max(needed, <size_t>CSV_BLOCK)
            size = <size_t>(write_csv_row(order.text + size, day, row, fields) - order.text)
            order.next += 1
    return size


cdef int add_to_day(dict found, int32_t ordinal, uint64_t views) except -1:
    """Add some views to those of a day."""
    if views:
        day = day_from_ordinal(ordinal)
        found[day] = found.get(day, 0) + views
    return 0


cdef int check_unchanged(Count *count, uint64_t changes) except -1:
    if count.changes != changes:
        raise RuntimeError("rows were taken from the counter while they were read")
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
