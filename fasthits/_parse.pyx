# cython: language_level=3, autotestdict=False, auto_pickle=False
"""The compiled core: Apache's log lines in, views per day and path out. _parse.pyi is its documentation.

_tokens.pxd finds a line's fields, _steps.pxd those of a line of any format; _counting.pxd puts lines into buckets,
_table.pxd holds the views, _order.pxd sorts and writes them. All of it is compiled into this one module, whose public
face stands here. What runs over the lines is ``noexcept nogil``.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fasthits._counting cimport (
    ASKED, BOT, HIT, LAST_DAY, MALFORMED, MAX_EXAMPLE, MAX_EXAMPLES, MAX_REFERER_TABLES, NO_MEMORY_LEFT, NO_PATH,
    OTHER_AGENT, OTHER_DAY, OTHER_METHOD, OTHER_STATUS, Answer, Count, Rules, count_block, count_partial, escape_rows,
    has_day, line_count, move_count, move_rows, take_away_rows,
)
from fasthits._order cimport AHEAD, CSV_ROW_BYTES, MAX_CSV_FIELDS, Place, place_rows, sort_places, write_csv_row
from fasthits._steps cimport (
    BYTES, CLF_TIME, DIGITS_OR_DASH, EPOCH_TIME, FIXED, ISO_TIME, LAID_OUT_TIME, LITERAL, MAX_STEPS, METHOD, PATH,
    QUERY, QUOTED, REFERER, REQUEST, SKIP, STATUS, TARGET, TEXT, THREE_DIGITS, TIME, USER_AGENT, VHOST, Step,
)
from fasthits._table cimport (
    NO_MEMORY, NO_ROOM, SECRETS, Outcome, Row, Table, add_views, drop_slots, free_table, hash_row, prefetch_row, row_at,
    row_bytes, row_path, secrets,
)
from fasthits._tokens cimport (
    MAX_LINE, Cursor, DayMemo, Fields, Line, Span, line_cursor, set_target, split_request, take_fields,
    take_referer_and_agent,
)

import os
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

cdef enum:
    CSV_BLOCK = 1 << 18
    KNOWN_BYTES = 1 << 24      # of user agents, and of referers, that need not be asked for again

cdef uint64_t LAST_HASH = <uint64_t>-1

LINE_BYTES = MAX_LINE
EXAMPLES = MAX_EXAMPLES
EXAMPLE_BYTES = MAX_EXAMPLE
WHOLE = (0, LAST_HASH)

cdef object _urandom = os.urandom(SECRETS * sizeof(uint64_t))
memcpy(secrets, <const char *>_urandom, SECRETS * sizeof(uint64_t))


class ParsedLine(NamedTuple):
    host_part: bytes
    time: bytes
    method: bytes
    target: bytes | None
    path: bytes | None
    protocol: bytes | None
    status: bytes
    bytes_sent: bytes
    referer: bytes | None
    user_agent: bytes | None


cdef object as_bytes(Span span):
    return None if span.start == NULL else span.start[:span.size]


cdef object parsed(Cursor line):
    cdef DayMemo memo
    cdef Fields fields
    cdef Line found
    cdef Span target, protocol
    memset(&memo, 0, sizeof(memo))
    if not take_fields(&line, &fields, &memo):
        return None
    if fields.host_part.size and fields.host_part.start[fields.host_part.size - 1] == b" ":
        fields.host_part.size -= 1
    split_request(fields.request, &found.method, &target, &protocol)
    set_target(&found, target)
    take_referer_and_agent(&line, &found, True)
    return ParsedLine(
        as_bytes(fields.host_part), as_bytes(fields.time),
        as_bytes(found.method), as_bytes(target), as_bytes(found.path), as_bytes(protocol),
        as_bytes(fields.status), as_bytes(fields.bytes_sent), as_bytes(found.referer), as_bytes(found.user_agent),
    )


def parse_line(line, /):
    """Return the fields of one line, or None for a malformed one."""
    cdef Py_buffer view
    cdef size_t size
    PyObject_GetBuffer(line, &view, PyBUF_SIMPLE)
    try:
        size = <size_t>view.len
        if size and (<const char *>view.buf)[size - 1] == b"\n":
            size -= 1
        return parsed(line_cursor(<const char *>view.buf, size))
    finally:
        PyBuffer_Release(&view)


_KINDS = {
    "time": TIME, "request": REQUEST, "method": METHOD, "target": TARGET, "path": PATH, "query": QUERY,
    "status": STATUS, "bytes": BYTES, "referer": REFERER, "user_agent": USER_AGENT, "vhost": VHOST,
}
_WAYS = {
    "literal": LITERAL, "quoted": QUOTED, "text": TEXT, "fixed": FIXED, "status": THREE_DIGITS,
    "bytes": DIGITS_OR_DASH, "apache": CLF_TIME, "iso8601": ISO_TIME, "epoch": EPOCH_TIME, "date": LAID_OUT_TIME,
}


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
        if steps is not None:
            self.rules.by_steps = True
            self.rules.steps.anchored, self.rules.steps.needed = anchored, needed
            if len(steps) > MAX_STEPS:
                raise ValueError(f"a format has at most {MAX_STEPS} steps")
            for kind, how, what, layout in steps:
                self.add_step(kind, how, what, layout)
        self.rules.plain = (
            tuple(methods) == (b"GET",) and statuses is None and steps is None and verdict is None
            and not (keep_query or by_host or self.referers)
        )

    def __dealloc__(self):
        free(self.rules.methods)

    cdef int add_step(self, kind, how, what, layout) except -1:
        cdef Step *step = &self.rules.steps.step[self.rules.steps.count]
        step.kind = _KINDS.get(kind, SKIP)
        step.how = _WAYS[how]
        if how in ("literal", "text"):
            self.kept.append(what)
            step.text, step.size = what, len(what)
        elif how == "epoch":
            step.size, step.divisor = what
        else:
            step.size = what
        if layout is not None:
            (step.layout.year, step.layout.year_digits, step.layout.month, step.layout.month_named, step.layout.day,
             step.layout.day_digits) = layout
        self.rules.steps.count += 1
        return 0


cdef Span span_of(bytes text):
    cdef Span span
    span.start, span.size = text, len(text)
    return span


cdef LineRules PLAIN = LineRules()

cdef object day_from_ordinal = date.fromordinal


@cython.final
cdef class HitCounter:
    """Views per day and path, counted from blocks of log lines."""

    cdef Count count
    cdef cython.pymutex lock
    cdef LineRules line_rules
    cdef readonly HitCounter bots
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

    cdef HitCounter table_beside(self):
        cdef HitCounter rows = HitCounter()
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

    def merge(self, HitCounter other not None, /):
        """Move the rows and buckets of *other* here."""
        cdef bint merged
        # Locked in one order always, or two merges could wait for each other.
        cdef HitCounter first = self if id(self) < id(other) else other
        cdef HitCounter second = other if first is self else self
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
        cdef HitCounter drained = HitCounter(max_paths=self.max_paths, rules=self.line_rules)
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


cdef _Order in_order(HitCounter counter, bint by_views):
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
