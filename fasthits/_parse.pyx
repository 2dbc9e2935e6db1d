# cython: language_level=3, autotestdict=False, auto_pickle=False
"""The compiled core: Apache's log lines in, views per day and path out. _parse.pyi is its documentation.

Lines are cut and put into buckets here; _tokens.pxd finds a line's fields, _table.pxd holds the views. All of it is
compiled into this one module. What runs over the lines is ``noexcept nogil``.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from fasthits._order cimport AHEAD, CSV_ROW_BYTES, Place, place_rows, prefetch_row, sort_places, write_csv_row
from fasthits._table cimport (
    DONE, NO_MEMORY, NO_ROOM, SECRETS, WORDS_BYTES, Batch, Outcome, Row, Table, add_batch, add_views, bytes_with_room,
    free_slots, free_table, grow_slots, has_room, hash_row, hash_words, keep_rows, make_room, masked_words, open_batch,
    prefetch, put_hit, row_at, row_bytes, row_path,
)
from fasthits._tokens cimport (
    MAX_LINE, Cursor, DayMemo, Fields, Span, escape_bytes, has_path, is_utf8, line_cursor, path_of, skip_past,
    split_request, take_fields, take_plain_get, take_quoted, take_until,
)

import os
from datetime import date
from typing import NamedTuple

cdef enum:
    MAX_EXAMPLES = 3
    MAX_EXAMPLE = 200
    LAST_DAY = 3652059     # date.max.toordinal()
    CSV_BLOCK = 1 << 18
    MERGE_AHEAD = 1024     # bytes of rows whose slots are asked for before they are needed

cdef uint64_t LAST_HASH = <uint64_t>-1

LINE_BYTES = MAX_LINE
EXAMPLES = MAX_EXAMPLES
EXAMPLE_BYTES = MAX_EXAMPLE
WHOLE = (0, LAST_HASH)

cdef uint64_t[SECRETS] secrets
cdef object _urandom = os.urandom(sizeof(secrets))
memcpy(secrets, <const char *>_urandom, sizeof(secrets))


# --- Counting lines -----------------------------------------------------------------------------------------------

cdef enum:                 # buckets
    HIT, NOT_GET, NO_PATH, OTHER_DAY, MALFORMED, BUCKETS

cdef struct Example:
    uint64_t line
    size_t size
    char text[MAX_EXAMPLE]

cdef struct Count:
    Table table
    Batch batch            # empty between calls
    uint64_t changes       # how often rows were taken away, so that offsets in the table became void
    size_t max_rows
    size_t max_bytes       # of the table; more paths than that narrow the share
    uint64_t first_hash, last_hash    # the share: only rows with a hash from here to there are kept
    uint64_t buckets[BUCKETS]
    uint64_t dropped
    DayMemo memo
    uint8_t *wanted        # a bit for each day up to LAST_DAY; NULL: every day counts
    uint8_t *seen          # likewise
    int32_t last_day       # of the last parsed line
    bint last_counts
    char *partial          # the last, unterminated line, MAX_LINE + 1 bytes of it at most
    size_t partial_size, partial_capacity
    Example examples[MAX_EXAMPLES]
    int examples_taken


cdef inline uint64_t line_count(Count *count) noexcept nogil:
    cdef uint64_t lines = 0
    cdef int bucket
    for bucket in range(BUCKETS):
        lines += count.buckets[bucket]
    return lines


cdef void keep_example(Count *count, Cursor line) noexcept nogil:
    cdef Example *example = &count.examples[count.examples_taken]
    example.line = line_count(count) + 1
    example.size = min(<size_t>(line.end - line.p), <size_t>MAX_EXAMPLE)
    memcpy(example.text, line.p, example.size)
    count.examples_taken += 1


cdef inline bint has_day(const uint8_t *days, int32_t day) noexcept nogil:
    return days[day >> 3] >> (day & 7) & 1


cdef inline bint counts_day(Count *count, int32_t day) noexcept nogil:
    """Tell whether the hits of *day* count, and remember that it was there."""
    if day != count.last_day:
        count.last_day = day
        count.seen[day >> 3] |= <uint8_t>(1 << (day & 7))
        count.last_counts = count.wanted == NULL or has_day(count.wanted, day)
    return count.last_counts


cdef inline void flush(Count *count) noexcept nogil:
    """Add the hits that wait in the batch, as their paths are about to go."""
    count.dropped += add_batch(&count.table, &count.batch, count.max_rows)


cdef inline bint count_hit(Count *count, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Count a hit; False, with nothing counted, without memory."""
    if not count.first_hash <= hash <= count.last_hash:
        pass
    elif has_room(&count.batch, path.size):
        put_hit(&count.table, &count.batch, hash, day, path)
    elif not count_hit_at_once(count, hash, day, path):
        return False
    count.buckets[HIT] += 1
    return True


cdef inline void take_away_rows(Count *count, uint64_t first, uint64_t last) noexcept nogil:
    """Keep the rows with views whose hash is in [first, last]; whoever reads rows learns of it."""
    keep_rows(&count.table, first, last)
    count.changes += 1


cdef bint count_hit_at_once(Count *count, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Add the batch and a hit that it has no room for."""
    cdef Outcome outcome
    flush(count)
    while bytes_with_room(&count.table, path.size) > count.max_bytes:
        if count.table.rows == 0 or count.first_hash == count.last_hash:
            return False    # no smaller share would help
        count.last_hash = count.first_hash + (count.last_hash - count.first_hash) // 2
        take_away_rows(count, count.first_hash, count.last_hash)
        if hash > count.last_hash:
            return True
    outcome = add_views(&count.table, hash, day, path, 1, count.max_rows)
    count.dropped += outcome == NO_ROOM
    make_room(&count.table)
    open_batch(&count.table, &count.batch)
    return outcome != NO_MEMORY


cdef inline bint count_line(Count *count, const char *start, size_t size) noexcept nogil:
    """Put one line into its bucket, and a hit into the table; False, with the line in no bucket, without memory."""
    cdef Cursor line
    cdef Span path
    cdef int32_t day
    line.p, line.end = start, start + min(size, <size_t>MAX_LINE)
    if not take_plain_get(&line, &day, &path, &count.memo):
        return count_other_line(count, start, size)
    if not counts_day(count, day):
        count.buckets[OTHER_DAY] += 1
        return True
    if path.size > WORDS_BYTES:
        return count_hit(count, hash_row(secrets, day, path.start, path.size), day, path)
    # take_plain_get saw to it that there are as many bytes to look at.
    return count_hit(count, hash_words(secrets, day, masked_words(path.start, path.size), path.size), day, path)


cdef bint count_other_line(Count *count, const char *start, size_t size) noexcept nogil:
    """Put a line of whatever shape into its bucket."""
    cdef Cursor line = line_cursor(start, size)
    cdef Fields fields
    cdef Span method, target, protocol, path
    cdef bint day_counts
    if not take_fields(&line, &fields, &count.memo):
        if count.examples_taken < MAX_EXAMPLES:
            keep_example(count, line_cursor(start, size))
        count.buckets[MALFORMED] += 1
        return True
    day_counts = counts_day(count, fields.day)
    split_request(fields.request, &method, &target, &protocol)
    if method.size != 3 or memcmp(method.start, b"GET", 3) != 0:
        count.buckets[NOT_GET] += 1
    elif not has_path(target):
        count.buckets[NO_PATH] += 1
    elif not day_counts:
        count.buckets[OTHER_DAY] += 1
    else:
        path = path_of(target)
        return count_hit(count, hash_row(secrets, fields.day, path.start, path.size), fields.day, path)
    return True


cdef bint keep_partial(Count *count, const char *start, size_t size) noexcept nogil:
    """Append to the partial line as much of *start* as is ever looked at; False when memory ran out."""
    cdef size_t room = MAX_LINE + 1 - count.partial_size
    cdef size_t capacity = count.partial_capacity
    cdef char *partial
    if size > room:
        size = room
    if count.partial_size + size > capacity:
        capacity = max(count.partial_size + size, min(2 * capacity, <size_t>MAX_LINE + 1))
        partial = <char *>realloc(count.partial, capacity)
        if partial == NULL:
            count.partial_size = 0    # or its head would be taken for that of another line
            return False
        count.partial, count.partial_capacity = partial, capacity
    memcpy(count.partial + count.partial_size, start, size)
    count.partial_size += size
    return True


cdef bint count_partial(Count *count) noexcept nogil:
    cdef size_t size = count.partial_size
    count.partial_size = 0
    cdef bint counted = size == 0 or count_line(count, count.partial, size)
    flush(count)
    return counted


cdef bint count_block(Count *count, const char *p, size_t size) noexcept nogil:
    """Count the lines that end in the block and keep the partial one behind them; False when memory ran out."""
    cdef Cursor block
    cdef Span line
    cdef bint counted = True
    block.p, block.end = p, p + size
    if count.partial_size and size:
        if not take_until(&block, b"\n", &line):
            return keep_partial(count, p, size)
        if not keep_partial(count, line.start, line.size) or not count_partial(count):
            return False
    while counted and take_until(&block, b"\n", &line):
        counted = count_line(count, line.start, line.size)
    flush(count)
    return counted and keep_partial(count, block.p, <size_t>(block.end - block.p))


cdef bint add_slots(Table *table, size_t rows) noexcept nogil:
    """Make the index as large as *rows* more would need it if they were all of other paths."""
    while free_slots(table) < rows or table.slots == NULL:
        if not grow_slots(table):
            return False
    return True


cdef bint merge_table(Count *count, Table *other) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t ahead = 0
    cdef size_t end = other.used
    cdef Row *row
    cdef Span path
    cdef Outcome outcome
    if end and not add_slots(&count.table, min(other.rows, count.max_rows)):
        return False
    while offset < end:
        while ahead < end and ahead < offset + MERGE_AHEAD:
            row = row_at(other, ahead)
            prefetch(&count.table.slots[row.hash & count.table.mask])
            ahead += row_bytes(row.size)
        row = row_at(other, offset)
        path.start, path.size = row_path(row), row.size
        outcome = add_views(&count.table, row.hash, row.day, path, row.views, count.max_rows)
        if outcome == NO_MEMORY:
            return False
        if outcome == NO_ROOM:
            count.dropped += row.views
        offset += row_bytes(row.size)
    return True


cdef bint escape_rows(Count *count) noexcept nogil:
    """Replace the paths that are not UTF-8; False without memory, with all views in one spelling or the other."""
    cdef size_t offset = 0
    cdef size_t end = count.table.used
    cdef size_t escaped_rows = 0
    cdef Row *row
    cdef Span path
    cdef char *text
    cdef uint64_t hash
    cdef Outcome outcome = DONE
    while offset < end and outcome == DONE:
        row = row_at(&count.table, offset)
        if row.views and not is_utf8(row_path(row), row.size):
            text = <char *>malloc(4 * <size_t>row.size)
            if text == NULL:
                outcome = NO_MEMORY
                break
            path.start, path.size = text, escape_bytes(text, row_path(row), row.size)
            hash = hash_row(secrets, row.day, path.start, path.size)
            outcome = add_views(&count.table, hash, row.day, path, row.views, <size_t>-1)
            free(text)
            row = row_at(&count.table, offset)    # the arena may have moved
            if outcome == DONE:
                row.views = 0
                escaped_rows += 1
        offset += row_bytes(row.size)
    if escaped_rows:
        take_away_rows(count, 0, LAST_HASH)
    return outcome == DONE


# --- The public face ----------------------------------------------------------------------------------------------

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
    cdef Span method, target, protocol, path, referer, user_agent
    memset(&memo, 0, sizeof(memo))
    memset(&path, 0, sizeof(path))
    memset(&referer, 0, sizeof(referer))
    memset(&user_agent, 0, sizeof(user_agent))
    if not take_fields(&line, &fields, &memo):
        return None
    if fields.host_part.size and fields.host_part.start[fields.host_part.size - 1] == b" ":
        fields.host_part.size -= 1
    split_request(fields.request, &method, &target, &protocol)
    if target.start != NULL:
        path = path_of(target)
    if skip_past(&line, b" ") and skip_past(&line, b'"') and take_quoted(&line, &referer):
        if skip_past(&line, b" ") and skip_past(&line, b'"'):
            take_quoted(&line, &user_agent)
    return ParsedLine(
        as_bytes(fields.host_part), as_bytes(fields.time),
        as_bytes(method), as_bytes(target), as_bytes(path), as_bytes(protocol),
        as_bytes(fields.status), as_bytes(fields.bytes_sent), as_bytes(referer), as_bytes(user_agent),
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


cdef object day_from_ordinal = date.fromordinal


@cython.final
cdef class HitCounter:
    """Views per day and path, counted from blocks of log lines."""

    cdef Count count
    cdef cython.pymutex lock

    def __cinit__(self, *, max_paths=None, max_bytes=None):
        self.count.max_rows = as_limit(max_paths)
        self.count.max_bytes = as_limit(max_bytes)
        self.count.last_hash = LAST_HASH
        self.count.seen = <uint8_t *>calloc(LAST_DAY // 8 + 1, 1)    # untouched pages cost nothing
        if self.count.seen == NULL:
            raise MemoryError

    def __dealloc__(self):
        free_table(&self.count.table)
        free(self.count.wanted)
        free(self.count.seen)
        free(self.count.partial)

    @property
    def max_paths(self):
        """At most this many rows; None for no bound."""
        return None if self.count.max_rows == <size_t>-1 else self.count.max_rows

    @max_paths.setter
    def max_paths(self, max_paths):
        self.count.max_rows = as_limit(max_paths)

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
            "method": self.count.buckets[NOT_GET],
            "target": self.count.buckets[NO_PATH],
            "day": self.count.buckets[OTHER_DAY],
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
            self.count.first_hash, self.count.last_hash = first, last
            take_away_rows(&self.count, first, last)

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
        cdef bint fed
        PyObject_GetBuffer(block, &view, PyBUF_SIMPLE)
        try:
            with self.lock, nogil:
                fed = count_block(&self.count, <const char *>view.buf, <size_t>view.len)
        finally:
            PyBuffer_Release(&view)
        if not fed:
            raise MemoryError

    def finish(self):
        """Count the last line, if it has no newline: the input ends here."""
        cdef bint counted
        with self.lock, nogil:
            counted = count_partial(&self.count)
        if not counted:
            raise MemoryError

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
        """Add the rows and buckets of *other*, which stays as it is."""
        cdef bint merged
        # Locked in one order always, or two merges could wait for each other.
        cdef HitCounter first = self if id(self) < id(other) else other
        cdef HitCounter second = other if first is self else self
        if first is second:
            raise ValueError("a counter cannot be merged with itself")
        with first.lock, second.lock, nogil:
            merged = add_count(&self.count, &other.count)
        if not merged:
            raise MemoryError

    def drain(self):
        """Move all rows to a new counter and return that."""
        cdef HitCounter drained = HitCounter(max_paths=self.max_paths)
        with self.lock:
            drained.count.table = self.count.table
            memset(&self.count.table, 0, sizeof(Table))
            self.count.changes += 1
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

    def csv(self):
        """Yield (day, lines of CSV, their number) by day, then views, most first, then path."""
        cdef _Order order = in_order(self, True)
        cdef size_t size, before
        while order.next < order.count:
            with self.lock:
                check_unchanged(&self.count, order.changes)
                day = day_from_ordinal(row_at(&self.count.table, order.places[order.next].offset).day)
                date_text = day.isoformat().encode("ascii")
                before = order.next
                size = write_rows(order, &self.count.table, date_text)
                if size == 0:
                    raise MemoryError
                found = day, order.text[:size], order.next - before
            yield found

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
        order.places = <Place *>malloc((count.table.rows + 1) * sizeof(Place))
        done = order.places != NULL
        if done:
            order.count = place_rows(&count.table, order.places)
            done = sort_places(&count.table, order.places, order.count, by_views, secrets[0])
    if not done:
        raise MemoryError
    return order


cdef size_t write_rows(_Order order, const Table *table, const char *day) noexcept:
    """Write the next rows of one day as CSV, some CSV_BLOCK bytes, and return their size; 0 without memory."""
    cdef size_t size = 0
    cdef size_t needed
    cdef const Row *row = row_at(table, order.places[order.next].offset)
    cdef int32_t ordinal = row.day
    cdef char *text
    with nogil:
        while order.next < order.count:
            prefetch_row(table, order.places, order.next + AHEAD, order.count)
            row = row_at(table, order.places[order.next].offset)
            needed = size + CSV_ROW_BYTES + 2 * <size_t>row.size
            if row.day != ordinal or (size and needed > order.capacity):
                break
            if needed > order.capacity:
                text = <char *>realloc(order.text, max(needed, <size_t>CSV_BLOCK))
                if text == NULL:
                    return 0
                order.text, order.capacity = text, max(needed, <size_t>CSV_BLOCK)
            size = <size_t>(write_csv_row(order.text + size, day, row) - order.text)
            order.next += 1
    return size


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


cdef bint add_count(Count *count, Count *other) noexcept nogil:
    cdef int bucket
    cdef int32_t byte
    if not merge_table(count, &other.table):
        return False
    for bucket in range(BUCKETS):
        count.buckets[bucket] += other.buckets[bucket]
    count.dropped += other.dropped
    for byte in range(LAST_DAY // 8 + 1):
        if other.seen[byte]:
            count.seen[byte] |= other.seen[byte]
    return True
