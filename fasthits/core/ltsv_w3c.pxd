"""Fields by name: LTSV, where each field has a label, and the W3C format, where a ``#Fields:`` line names the columns.

Columns may change within a file. So the reader remembers the last names of columns, and such files are read from their
beginning. A line must have exactly the named columns, and an LTSV line must not have a label twice. So torn lines, and
two lines glued together, are malformed.
"""

from libc.stdint cimport int32_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fasthits.core.steps cimport (
    BYTES, KINDS, METHOD, NO_DAY, NOT_THERE, PATH, QUERY, REQUEST, SKIP, STATUS, TARGET, TIME, VHOST, Reading,
)
from fasthits.core.times cimport NO_HOUR, has_clock, moment_of, ordinal_of, take_iso_time, take_loose_clf_time
from fasthits.core.tokens cimport Cursor, Span, are_digits, has_memory, number, skip_past, take_rest, take_until

cdef enum:
    MAX_COLUMNS = 128
    MAX_NAMES = 48
    CLOCK = KINDS          # the kind of a column with a time of day; the date is in another column

cdef struct Names:         # the names of fields, and their kinds
    Span[MAX_NAMES] text
    int[MAX_NAMES] kind
    int count

cdef struct Columns:       # the columns of the present file
    int count              # 0 until a line has named the columns
    int[MAX_COLUMNS] kind
    char *query            # memory for a query, with a ? before it
    size_t capacity


cdef inline int kind_of(const Names *names, const char *start, size_t size) noexcept nogil:
    cdef int i
    for i in range(names.count):
        if names.text[i].size == size and memcmp(names.text[i].start, start, size) == 0:
            return names.kind[i]
    return SKIP


cdef inline bint is_dash(Span text) noexcept nogil:
    return text.size == 0 or (text.size == 1 and text.start[0] == b"-")


cdef inline bint is_number(Span text) noexcept nogil:
    return text.start == NULL or are_digits(text.start, <int>min(text.size, <size_t>20))


cdef inline bint is_access(Reading *reading) noexcept nogil:
    """Tell whether the line has a request, and no status or a status of three digits."""
    cdef const Span *found = reading.found
    if found[STATUS].start != NULL and (found[STATUS].size != 3 or not are_digits(found[STATUS].start, 3)):
        return False
    if not is_number(found[BYTES]):
        memset(&reading.found[BYTES], 0, sizeof(Span))
    return found[REQUEST].start != NULL or (
        found[METHOD].start != NULL and (found[TARGET].start != NULL or found[PATH].start != NULL)
    )


cdef inline void begin(Reading *reading) noexcept nogil:
    memset(reading.found, 0, KINDS * sizeof(Span))
    reading.agreed, reading.trouble, reading.stopped, reading.moment = KINDS, NOT_THERE, NULL, 0


cdef inline bint take_labelled_time(Reading *reading) noexcept nogil:
    """Set the moment of a time in Apache's layout or in that of ISO 8601; False for another text."""
    cdef Cursor time
    time.p, time.end = reading.found[TIME].start, reading.found[TIME].start + reading.found[TIME].size
    if time.p == NULL:
        return False
    skip_past(&time, b"[")
    reading.trouble = NO_DAY
    if not take_loose_clf_time(&time, &reading.moment) and not take_iso_time(&time, &reading.moment):
        return False
    return reading.moment != 0


cdef inline bint read_labels(Cursor line, const Names *names, Reading *reading) noexcept nogil:
    """Read fields, ``label:value``, that are separated by tabs; False for a malformed line."""
    cdef const char *colon
    cdef Span field
    cdef int kind
    begin(reading)
    while line.p != line.end:
        if not take_until(&line, b"\t", &field):
            take_rest(&line, &field)
        colon = <const char *>memchr(field.start, b":", field.size)
        if colon == NULL:
            return False
        kind = kind_of(names, field.start, <size_t>(colon - field.start))
        if kind != SKIP:
            if reading.found[kind].start != NULL:
                return False
            field.size -= <size_t>(colon + 1 - field.start)
            field.start = colon + 1
            reading.found[kind] = field
    return take_labelled_time(reading) and is_access(reading)


cdef inline bint is_fields_line(Cursor line) noexcept nogil:
    return line.end - line.p >= 8 and memcmp(line.p, b"#Fields:", 8) == 0


cdef inline void name_columns(Cursor line, const Names *names, Columns *columns) noexcept nogil:
    """Take the names after ``#Fields:``. Lines with more than MAX_COLUMNS columns are not read."""
    cdef const char *start
    line.p += 8
    columns.count = 0
    while True:
        while line.p != line.end and (line.p[0] == b" " or line.p[0] == b"\t" or line.p[0] == b"\r"):
            line.p += 1
        if line.p == line.end or columns.count == MAX_COLUMNS:
            break
        start = line.p
        while line.p != line.end and line.p[0] != b" " and line.p[0] != b"\t" and line.p[0] != b"\r":
            line.p += 1
        columns.kind[columns.count] = kind_of(names, start, <size_t>(line.p - start))
        columns.count += 1
    if line.p != line.end:
        columns.count = 0


cdef inline bint take_value(Cursor *line, char separator, Span *value) noexcept nogil:
    """Take a column, perhaps in quotes, up to the separator or to the end of the line. The separator is not taken."""
    cdef const char *stop
    if skip_past(line, b'"'):
        return take_until(line, b'"', value)
    stop = <const char *>memchr(line.p, separator, <size_t>(line.end - line.p))
    value.start, value.size = line.p, <size_t>((stop if stop != NULL else line.end) - line.p)
    line.p += value.size
    return True


cdef inline bint take_date(Span *date, const char *clock, Reading *reading) noexcept nogil:
    """Set the moment of a date and a time of day, *clock*, which may be NULL; False for an invalid date."""
    cdef const char *p = date.start
    if p == NULL or date.size < 10 or not (are_digits(p, 4) and p[4] == b"-" and are_digits(p + 5, 2)
                                           and p[7] == b"-" and are_digits(p + 8, 2)):
        return False
    reading.trouble = NO_DAY
    reading.moment = moment_of(
        ordinal_of(number(p, 4), number(p + 5, 2), number(p + 8, 2)),
        number(clock, 2) if clock != NULL else <int32_t>NO_HOUR
    )
    return reading.moment != 0


cdef inline bint put_mark(Columns *columns, Span *query) noexcept nogil:
    """Put a ``?`` before a query; False if memory runs out."""
    if query.start == NULL:
        return True
    if not has_memory(&columns.query, &columns.capacity, query.size + 1):
        return False
    columns.query[0] = b"?"
    memcpy(columns.query + 1, query.start, query.size)
    query.start, query.size = columns.query, query.size + 1
    return True


cdef inline void split_stem(Span *path, Span *query) noexcept nogil:
    """Remove a query from the path, because SHOUTcast writes both into one column."""
    cdef const char *mark = NULL
    if path.start != NULL:
        mark = <const char *>memchr(path.start, b"?", path.size)
    if mark == NULL:
        return
    if query.start == NULL:
        query.start, query.size = mark + 1, <size_t>(path.start + path.size - mark - 1)
    path.size = <size_t>(mark - path.start)


cdef inline void cut_host(Span *target, Span *host) noexcept nogil:
    """Remove the host from a target without a scheme, such as ``www.example.org/a``, which Incapsula writes."""
    cdef const char *p = target.start
    cdef const char *end = target.start + target.size
    while p != end and p[0] != b"/" and p[0] != b"?":
        p += 1
    if p == target.start or p == end or p[0] != b"/" or (p - 1)[0] == b":":
        return
    if host.start == NULL:
        host.start, host.size = target.start, <size_t>(p - target.start)
    target.start, target.size = p, <size_t>(end - p)


cdef inline void join_query(Span *target, Span *path, const Span *query) noexcept nogil:
    """If the query has its own column, the target is a path."""
    if target.start != NULL and query.start != NULL and memchr(target.start, b"?", target.size) == NULL:
        path[0] = target[0]
        memset(target, 0, sizeof(Span))


cdef inline bint read_columns(Cursor line, Columns *columns, Reading *reading) noexcept nogil:
    """Read the named columns, which are separated by tabs or blanks; False for a malformed line.

    A dash stands for an absent field. Without a column for the method, every line is a GET."""
    cdef char separator = b"\t" if memchr(line.p, b"\t", <size_t>(line.end - line.p)) != NULL else b" "
    cdef bint has_method = False
    cdef Span value
    cdef Span *date = &reading.found[TIME]
    cdef const char *clock = NULL
    cdef int i, kind
    begin(reading)
    for i in range(columns.count):
        if (i and not skip_past(&line, separator)) or not take_value(&line, separator, &value):
            return False
        kind = columns.kind[i]
        has_method = has_method or kind == METHOD
        if kind == CLOCK:
            if value.size < 8 or not has_clock(value.start):
                return False
            clock = value.start
            if date.start != NULL and date.start + date.size + 1 == value.start:
                date.size += 1 + value.size
        elif kind != SKIP and not is_dash(value):
            reading.found[kind] = value
    if columns.count == 0 or line.p != line.end or not take_date(date, clock, reading):
        return False
    if not has_method:
        reading.found[METHOD].start, reading.found[METHOD].size = b"GET", 3
    split_stem(&reading.found[PATH], &reading.found[QUERY])
    cut_host(&reading.found[TARGET], &reading.found[VHOST])
    join_query(&reading.found[TARGET], &reading.found[PATH], &reading.found[QUERY])
    return put_mark(columns, &reading.found[QUERY]) and is_access(reading)
