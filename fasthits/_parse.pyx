# cython: language_level=3, autotestdict=False, auto_pickle=False
"""The compiled core: Apache's log lines in, views per day and path out. _parse.pyi is its documentation.

Theory of operation
-------------------
*Tokeniser.* The newline is found first, and every later step works on a cursor that ends there, so that a broken line
can never swallow the next one. Within the line nothing is split from the left: a user name may hold spaces, brackets
and quotes. The anchor is the time: ``[``, then the fixed layout ``dd/Mon/yyyy:HH:MM:SS +hhmm] "``. A quote inside a
logged field always has a backslash before it (``ap_escape_logitem``, Apache's server/util.c), so ``] "`` cannot be
forged by a client. Then come the request up to its closing quote, status and bytes. Where that fails the search goes on
at the next ``[``.

*Day.* Its eleven bytes are compared with those of the line before; only a change is parsed and checked in the calendar.

*Counting table.* Rows lie one behind the other in one arena, in the order first seen: a header, then the path. Beside
it an open-addressing index of 8-byte slots holds, per row, 24 bits of its hash and its place in the arena; so a look-up
costs two cache misses, one slot and one row. Rows are addressed by offset, as the arena moves when it grows. The hash
is wyhash's construction (16 bytes a multiplication) with secrets drawn at import: strangers choose the paths.

Pointers never outlive a call, are never read at or behind a cursor's end, and every function that touches them is
``noexcept nogil``.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

import os
from datetime import date
from typing import NamedTuple

cdef extern from *:
    """
    /* Both halves of the 128-bit product, folded: the mixing step of wyhash. */
    static inline uint64_t fasthits_mix(uint64_t a, uint64_t b)
    {
    #ifdef __SIZEOF_INT128__
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    #else
        uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
        uint64_t low = a0 * b0, cross = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)cross;
        return ((other << 32) | (uint32_t)low) ^ (a1 * b1 + (cross >> 32) + (other >> 32));
    #endif
    }
    """
    uint64_t mix "fasthits_mix" (uint64_t a, uint64_t b) noexcept nogil

cdef enum:
    MAX_LINE = 1 << 20
    MAX_EXAMPLES = 3
    MAX_EXAMPLE = 200
    TIME_SIZE = 30         # [dd/Mon/yyyy:HH:MM:SS +hhmm] "
    DATE_SIZE = 11         # dd/Mon/yyyy
    LAST_DAY = 3652059     # date.max.toordinal()
    ROW_ALIGN = 8
    FIRST_SLOTS = 1024
    FIRST_ARENA = 65536

LINE_BYTES = MAX_LINE
EXAMPLES = MAX_EXAMPLES
EXAMPLE_BYTES = MAX_EXAMPLE

cdef enum:                 # buckets
    HIT, NOT_GET, NO_PATH, OTHER_DAY, MALFORMED, BUCKETS

cdef enum Outcome:
    DONE, NO_ROOM, NO_MEMORY


# --- Tokeniser ----------------------------------------------------------------------------------------------------

cdef struct Cursor:        # [p, end) is unread; *end is never read
    const char *p
    const char *end

cdef struct Span:          # start is NULL where the field is absent
    const char *start
    size_t size

cdef struct Fields:
    Span host_part
    Span time
    int32_t day            # date.toordinal()
    Span request
    Span status
    Span bytes_sent

cdef struct DayMemo:       # the last date that was parsed, so that the next line need only compare it
    char text[DATE_SIZE]
    int32_t day


cdef inline uint64_t load8(const char *p) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, p, 8)
    return word


cdef inline uint64_t load4(const char *p) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, p, 4)
    return word


cdef inline bint is_digit(char c) noexcept nogil:
    return b"0" <= c <= b"9"


cdef inline bint take_until(Cursor *line, char stop, Span *out) noexcept nogil:
    """Take bytes up to *stop* and step over it; False leaves the cursor alone."""
    cdef const char *found = <const char *>memchr(line.p, stop, <size_t>(line.end - line.p))
    if found == NULL:
        return False
    out.start, out.size = line.p, <size_t>(found - line.p)
    line.p = found + 1
    return True


cdef inline void take_rest(Cursor *line, Span *out) noexcept nogil:
    out.start, out.size = line.p, <size_t>(line.end - line.p)
    line.p = line.end


cdef inline bint skip_past(Cursor *line, char expected) noexcept nogil:
    if line.p == line.end or line.p[0] != expected:
        return False
    line.p += 1
    return True


cdef inline bint take_quoted(Cursor *line, Span *out) noexcept nogil:
    """Take bytes up to the closing quote, the opening one being behind the cursor, and step over it.

    A quote closes when an even number of backslashes stands before it: Apache writes ``\\`` for one backslash.
    """
    cdef const char *start = line.p
    cdef const char *quote = start
    cdef const char *before
    while True:
        quote = <const char *>memchr(quote, b'"', <size_t>(line.end - quote))
        if quote == NULL:
            return False
        before = quote
        while before > start and (before - 1)[0] == b"\\":
            before -= 1
        if (quote - before) % 2 == 0:
            out.start, out.size = start, <size_t>(quote - start)
            line.p = quote + 1
            return True
        quote += 1


cdef inline int32_t number(const char *p, int digits) noexcept nogil:
    cdef int32_t value = 0
    cdef int i
    for i in range(digits):
        value = value * 10 + (p[i] - c"0")
    return value


cdef inline int32_t month_number(const char *p) noexcept nogil:
    cdef const char *names = "JanFebMarAprMayJunJulAugSepOctNovDec"
    cdef int32_t month
    for month in range(12):
        if memcmp(p, names + 3 * month, 3) == 0:
            return month + 1
    return 0


cdef int32_t parse_date(const char *p) noexcept nogil:
    """Return the ordinal (1 for 1 January of year 1) of ``dd/Mon/yyyy``, 0 for what is no date of the calendar."""
    cdef int32_t day, month, year, before, days_in_month
    if not (is_digit(p[0]) and is_digit(p[1]) and p[2] == b"/" and p[6] == b"/" and is_digit(p[7]) and is_digit(p[8])
            and is_digit(p[9]) and is_digit(p[10])):
        return 0
    day = number(p, 2)
    month = month_number(p + 3)
    year = number(p + 7, 4)
    if month == 0 or year == 0 or day == 0:
        return 0
    cdef bint leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        days_in_month = 29 if leap else 28
    else:
        days_in_month = 30 if month in (4, 6, 9, 11) else 31
    if day > days_in_month:
        return 0
    before = (month * 367 - 362) // 12      # days before the month, were February to have 30
    if month > 2:
        before -= 1 if leap else 2
    year -= 1
    return year * 365 + year // 4 - year // 100 + year // 400 + before + day


cdef inline bint has_time_of_day(const char *p) noexcept nogil:
    """Tell whether ``HH:MM:SS +hhmm`` stands at *p*, digits being checked eight bytes at a time.

    A digit's high half is 3 and stays 3 when 6 is added; the masks leave ``:``, space and sign out of that.
    """
    cdef uint64_t clock = load8(p)
    cdef uint64_t zone = load8(p + 6)       # SS +hhmm
    return (
        (clock & load8(b"\xf0\xf0\xff\xf0\xf0\xff\xf0\xf0")) == load8(b"00:00:00")
        and ((clock + load8(b"\x06\x06\x00\x06\x06\x00\x06\x06")) & load8(b"\xf0\xf0\x00\xf0\xf0\x00\xf0\xf0"))
        == load8(b"00\x0000\x0000")
        and (zone & load8(b"\xf0\xf0\xff\x00\xf0\xf0\xf0\xf0")) == load8(b"00 \x000000")
        and ((zone + load8(b"\x06\x06\x00\x00\x06\x06\x06\x06")) & load8(b"\xf0\xf0\x00\x00\xf0\xf0\xf0\xf0"))
        == load8(b"00\x00\x000000")
        and (p[9] == b"+" or p[9] == b"-")
    )


cdef inline bint take_time(Cursor *line, Fields *out, DayMemo *memo) noexcept nogil:
    """Take ``[dd/Mon/yyyy:HH:MM:SS +hhmm] "``, the cursor standing on the bracket; False leaves it there."""
    cdef const char *p = line.p
    if line.end - p < TIME_SIZE:
        return False
    if p[27] != b"]" or p[28] != b" " or p[29] != b'"' or p[12] != b":" or not has_time_of_day(p + 13):
        return False
    if memcmp(p + 1, memo.text, DATE_SIZE) != 0:
        memcpy(memo.text, p + 1, DATE_SIZE)
        memo.day = parse_date(p + 1)
    if memo.day == 0:
        return False
    out.day = memo.day
    out.time.start, out.time.size = p + 1, 26
    line.p = p + TIME_SIZE
    return True


cdef inline bint take_status(Cursor *line, Span *out) noexcept nogil:
    cdef const char *p = line.p
    if line.end - p < 4 or not (is_digit(p[0]) and is_digit(p[1]) and is_digit(p[2]) and p[3] == b" "):
        return False
    out.start, out.size = p, 3
    line.p = p + 4
    return True


cdef inline bint take_bytes_sent(Cursor *line, Span *out) noexcept nogil:
    """Take digits or ``-`` up to a space or the end, which stay."""
    cdef const char *p = line.p
    if p != line.end and p[0] == b"-":
        p += 1
    else:
        while p != line.end and is_digit(p[0]):
            p += 1
    if p == line.p or (p != line.end and p[0] != b" "):
        return False
    out.start, out.size = line.p, <size_t>(p - line.p)
    line.p = p
    return True


cdef inline bint take_fields(Cursor *line, Fields *out, DayMemo *memo) noexcept nogil:
    """Take all up to and with the bytes sent; False for a malformed line."""
    cdef const char *start = line.p
    cdef Cursor rest
    while True:
        line.p = <const char *>memchr(line.p, b"[", <size_t>(line.end - line.p))
        if line.p == NULL:
            return False
        rest.p, rest.end = line.p, line.end
        if (take_time(&rest, out, memo) and take_quoted(&rest, &out.request) and skip_past(&rest, b" ")
                and take_status(&rest, &out.status) and take_bytes_sent(&rest, &out.bytes_sent)):
            out.host_part.start, out.host_part.size = start, <size_t>(line.p - start)
            line.p = rest.p
            return True
        line.p += 1


cdef inline void split_request(Span request, Span *method, Span *target, Span *protocol) noexcept nogil:
    """Split the request at its first and second space; what is not there becomes absent."""
    cdef Cursor rest
    rest.p, rest.end = request.start, request.start + request.size
    memset(target, 0, sizeof(Span))
    memset(protocol, 0, sizeof(Span))
    if not take_until(&rest, b" ", method):
        method[0] = request
    elif not take_until(&rest, b" ", target):
        take_rest(&rest, target)
    else:
        take_rest(&rest, protocol)


cdef inline Span path_of(Span target) noexcept nogil:
    """Return the target up to its first ``?``."""
    cdef Span path = target
    cdef const char *query = <const char *>memchr(target.start, b"?", target.size)
    if query != NULL:
        path.size = <size_t>(query - target.start)
    return path


cdef inline bint starts_with(Span span, const char *prefix, size_t size) noexcept nogil:
    return span.size >= size and memcmp(span.start, prefix, size) == 0


cdef inline bint has_path(Span target) noexcept nogil:
    return target.start != NULL and (
        starts_with(target, b"/", 1) or starts_with(target, b"http://", 7) or starts_with(target, b"https://", 8)
    )


cdef inline Cursor line_cursor(const char *start, size_t size) noexcept nogil:
    """Return a cursor over the part of a line that is looked at, its newline not being in *size*."""
    cdef Cursor line
    if size > MAX_LINE + 1:
        size = MAX_LINE + 1
    if size > 0 and start[size - 1] == b"\r":
        size -= 1
    if size > MAX_LINE:
        size = MAX_LINE
    line.p, line.end = start, start + size
    return line


# --- Counting table -----------------------------------------------------------------------------------------------

cdef struct Row:           # its path follows, then padding up to ROW_ALIGN
    uint64_t hash
    uint64_t views
    int32_t day
    uint32_t size

cdef struct Table:
    char *arena            # Rows; NULL before the first
    size_t used, capacity
    uint64_t *slots        # 0 is free; else 24 bits of hash over 40 bits of (offset / ROW_ALIGN + 1)
    size_t mask            # number of slots - 1
    size_t rows

cdef uint64_t[4] secrets
cdef object _urandom = os.urandom(32)
memcpy(secrets, <const char *>_urandom, 32)


cdef inline uint64_t hash_row(int32_t day, const char *p, size_t size) noexcept nogil:
    cdef uint64_t state = secrets[0] ^ <uint64_t>day
    cdef uint64_t a = 0
    cdef uint64_t b = 0
    cdef size_t left = size
    while left > 16:
        state = mix(load8(p) ^ secrets[1], load8(p + 8) ^ state)
        p += 16
        left -= 16
    if left >= 8:
        a, b = load8(p), load8(p + left - 8)
    elif left >= 4:
        a, b = load4(p), load4(p + left - 4)
    elif left > 0:
        a = (<uint64_t><uint8_t>p[0] << 16) | (<uint64_t><uint8_t>p[left // 2] << 8) | <uint8_t>p[left - 1]
    return mix(secrets[2] ^ <uint64_t>size, mix(a ^ secrets[1], b ^ state) ^ secrets[3])


cdef inline size_t row_bytes(size_t path_size) noexcept nogil:
    return (sizeof(Row) + path_size + ROW_ALIGN - 1) & ~<size_t>(ROW_ALIGN - 1)


cdef inline Row *row_at(Table *table, size_t offset) noexcept nogil:
    return <Row *>(table.arena + offset)


cdef inline const char *row_path(Row *row) noexcept nogil:
    return <const char *>row + sizeof(Row)


cdef inline uint64_t slot_of(uint64_t hash, size_t offset) noexcept nogil:
    return (hash & (<uint64_t>0xFFFFFF << 40)) | (offset // ROW_ALIGN + 1)


cdef inline size_t slot_offset(uint64_t slot) noexcept nogil:
    return <size_t>((slot & ((<uint64_t>1 << 40) - 1)) - 1) * ROW_ALIGN


cdef bint grow_slots(Table *table) noexcept nogil:
    """Double the index; False leaves it as it was."""
    cdef size_t count = (table.mask + 1) * 2 if table.slots != NULL else FIRST_SLOTS
    cdef uint64_t *slots = <uint64_t *>calloc(count, sizeof(uint64_t))
    cdef size_t offset = 0
    cdef size_t i
    cdef Row *row
    if slots == NULL:
        return False
    while offset < table.used:
        row = row_at(table, offset)
        i = row.hash & (count - 1)
        while slots[i] != 0:
            i = (i + 1) & (count - 1)
        slots[i] = slot_of(row.hash, offset)
        offset += row_bytes(row.size)
    free(table.slots)
    table.slots, table.mask = slots, count - 1
    return True


cdef bint reserve(Table *table, size_t size) noexcept nogil:
    """Make room in the arena for *size* bytes more; False leaves it as it was."""
    cdef size_t capacity = table.capacity if table.capacity else FIRST_ARENA
    cdef char *arena
    while capacity - table.used < size:
        capacity += capacity // 2
    if capacity > table.capacity:
        arena = <char *>realloc(table.arena, capacity)
        if arena == NULL:
            return False
        table.arena, table.capacity = arena, capacity
    return True


cdef Outcome add_views(
    Table *table, uint64_t hash, int32_t day, Span path, uint64_t views, size_t max_rows
) noexcept nogil:
    """Add to the row of (day, path), making it if need be; without room or memory nothing changes."""
    cdef size_t i
    cdef uint64_t slot
    cdef uint64_t tag = hash >> 40
    cdef size_t needed
    cdef Row *row
    # At most two thirds of the slots are taken; grown beforehand, so that the probe below always ends.
    if (table.slots == NULL or table.rows * 3 >= (table.mask + 1) * 2) and not grow_slots(table):
        return NO_MEMORY
    i = hash & table.mask
    while True:
        slot = table.slots[i]
        if slot == 0:
            break
        if slot >> 40 == tag:
            row = row_at(table, slot_offset(slot))
            if (row.hash == hash and row.day == day and row.size == path.size
                    and memcmp(row_path(row), path.start, path.size) == 0):
                row.views += views
                return DONE
        i = (i + 1) & table.mask
    if table.rows >= max_rows:
        return NO_ROOM
    needed = row_bytes(path.size)
    if not reserve(table, needed):
        return NO_MEMORY
    row = row_at(table, table.used)
    row.hash, row.views, row.day, row.size = hash, views, day, <uint32_t>path.size
    memcpy(<char *>row_path(row), path.start, path.size)
    table.slots[i] = slot_of(hash, table.used)
    table.used += needed
    table.rows += 1
    return DONE


cdef void free_table(Table *table) noexcept nogil:
    free(table.arena)
    free(table.slots)
    memset(table, 0, sizeof(Table))


# --- Counting lines -----------------------------------------------------------------------------------------------

cdef struct Example:
    uint64_t line
    size_t size
    char text[MAX_EXAMPLE]

cdef struct Count:
    Table table
    size_t max_rows
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


cdef inline bint count_line(Count *count, const char *start, size_t size) noexcept nogil:
    """Put one line into its bucket, and a hit into the table; False, with the line in no bucket, without memory."""
    cdef Cursor line = line_cursor(start, size)
    cdef Fields fields
    cdef Span method, target, protocol, path
    cdef int bucket
    cdef bint day_counts
    cdef uint64_t hash
    cdef Outcome outcome
    if not take_fields(&line, &fields, &count.memo):
        if count.examples_taken < MAX_EXAMPLES:
            keep_example(count, line_cursor(start, size))
        count.buckets[MALFORMED] += 1
        return True
    day_counts = counts_day(count, fields.day)
    split_request(fields.request, &method, &target, &protocol)
    if method.size != 3 or memcmp(method.start, b"GET", 3) != 0:
        bucket = NOT_GET
    elif not has_path(target):
        bucket = NO_PATH
    elif not day_counts:
        bucket = OTHER_DAY
    else:
        bucket = HIT
        path = path_of(target)
        hash = hash_row(fields.day, path.start, path.size)
        outcome = add_views(&count.table, hash, fields.day, path, 1, count.max_rows)
        if outcome == NO_MEMORY:
            return False
        count.dropped += outcome == NO_ROOM
    count.buckets[bucket] += 1
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
            return False
        count.partial, count.partial_capacity = partial, capacity
    memcpy(count.partial + count.partial_size, start, size)
    count.partial_size += size
    return True


cdef bint count_partial(Count *count) noexcept nogil:
    cdef size_t size = count.partial_size
    count.partial_size = 0
    return size == 0 or count_line(count, count.partial, size)


cdef bint count_block(Count *count, const char *p, size_t size) noexcept nogil:
    """Count the lines that end in the block and keep the partial one behind them; False when memory ran out."""
    cdef Cursor block
    cdef Span line
    block.p, block.end = p, p + size
    if count.partial_size and size:
        if not take_until(&block, b"\n", &line):
            return keep_partial(count, p, size)
        if not keep_partial(count, line.start, line.size) or not count_partial(count):
            count.partial_size = 0
            return False
    while block.p != block.end:
        if not take_until(&block, b"\n", &line):
            return keep_partial(count, block.p, <size_t>(block.end - block.p))
        if not count_line(count, line.start, line.size):
            return False
    return True


cdef bint merge_table(Count *count, Table *other) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t end = other.used
    cdef Row *row
    cdef Span path
    cdef Outcome outcome
    while offset < end:
        row = row_at(other, offset)
        path.start, path.size = row_path(row), row.size
        outcome = add_views(&count.table, row.hash, row.day, path, row.views, count.max_rows)
        if outcome == NO_MEMORY:
            return False
        if outcome == NO_ROOM:
            count.dropped += row.views
        offset += row_bytes(row.size)
    return True


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

    def __cinit__(self, *, max_paths=None):
        self.count.max_rows = as_max_rows(max_paths)
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
        self.count.max_rows = as_max_rows(max_paths)

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

    def __len__(self):
        return self.count.table.rows

    def count_only(self, days, /):
        """From here on count the hits of *days* alone, the others being filtered as ``day``; None counts every day."""
        cdef uint8_t *wanted = NULL
        cdef int32_t day
        ordinals = None if days is None else [each.toordinal() for each in days]
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
        cdef int32_t ordinal = day.toordinal()
        cdef Outcome outcome
        if not isinstance(path, bytes):
            raise TypeError(f"path must be bytes, not {type(path).__name__}")
        span.start, span.size = path, len(path)
        if span.size > MAX_LINE:
            raise ValueError(f"a path has at most {MAX_LINE} bytes")
        cdef uint64_t hits = views
        with self.lock:
            outcome = add_views(
                &self.count.table, hash_row(ordinal, span.start, span.size), ordinal, span, hits, self.count.max_rows
            )
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
        return drained

    def rows(self):
        """Yield (day, path, views) in the order in which the rows were first seen."""
        cdef size_t offset = 0
        cdef int32_t ordinal = 0
        cdef Row *row
        day = None
        while True:
            with self.lock:
                if offset >= self.count.table.used:
                    return
                row = row_at(&self.count.table, offset)
                offset += row_bytes(row.size)
                if row.day != ordinal:
                    ordinal = row.day
                    day = day_from_ordinal(ordinal)
                found = day, row_path(row)[:row.size], row.views
            yield found


cdef size_t as_max_rows(max_paths) except? 0:
    if max_paths is None:
        return <size_t>-1
    if max_paths < 0:
        raise ValueError("max_paths must not be negative")
    return max_paths


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
