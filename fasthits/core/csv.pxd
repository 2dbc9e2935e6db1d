"""The rows of a hit table as lines of CSV: quoted by RFC 4180, with an apostrophe before a formula."""

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memchr, memcpy

from fasthits.core.order cimport Order, Place, prefetch_place
from fasthits.core.table cimport Row, Table, row_at, row_path

cdef enum:
    MAX_CSV_FIELDS = 10    # the most fields that a path is split into
    CSV_ROW_BYTES = 80     # more than a row needs for date, views, commas, quotes and newline
    CSV_BLOCK = 1 << 20
    CSV_ROWS = 1 << 13     # the most rows that each of several threads writes into its text

cdef struct Text:          # lines of one day that one thread writes
    char *start
    size_t size, capacity
    size_t next, end       # places in the order whose rows are not written yet
    size_t rows            # number of lines
    int32_t day
    char[10] date          # the day as text

cdef struct Writing:       # shared by the threads
    Text *text             # one for each thread
    const Table *table
    const Order *order
    int fields


cdef inline char *write_number(char *out, uint64_t number) noexcept nogil:
    cdef char[20] digits
    cdef int i = 20
    while True:
        i -= 1
        digits[i] = <char>(c"0" + number % 10)
        number //= 10
        if number == 0:
            break
    memcpy(out, digits + i, 20 - i)
    return out + 20 - i


cdef inline bint needs_quotes(const char *p, size_t size) noexcept nogil:
    """Tell whether a field needs quotes (RFC 4180). No branch depends on a byte, so compilers can vectorise this."""
    cdef uint8_t found = 0
    cdef size_t i
    for i in range(size):
        found |= (p[i] == b'"') | (p[i] == b",") | (p[i] == b"\r") | (p[i] == b"\n")
    return found


cdef inline bint is_formula(const char *p, size_t size) noexcept nogil:
    """Tell whether a spreadsheet would take a field, without apostrophes at its beginning, for a formula.

    `harmless` in daily/csv/files.py does the same in Python.
    """
    cdef size_t i = 0
    while i < size and p[i] == b"'":
        i += 1
    if i == size or size == 1:
        return False
    return p[i] == b"=" or p[i] == b"+" or p[i] == b"-" or p[i] == b"@" or p[i] == b"\t" or p[i] == b"\r"


cdef inline char *write_csv_field(char *out, const char *p, size_t size) noexcept nogil:
    """Write a field, at most 2 * *size* + 3 bytes, with an apostrophe before a formula."""
    cdef size_t i
    cdef bint quoted = needs_quotes(p, size)
    if quoted:
        out[0] = b'"'
        out += 1
    if is_formula(p, size):
        out[0] = b"'"
        out += 1
    if not quoted:
        memcpy(out, p, size)
        return out + size
    for i in range(size):
        out[0] = p[i]
        out += 1
        if p[i] == b'"':
            out[0] = b'"'
            out += 1
    out[0] = b'"'
    return out + 1


cdef inline char *write_csv_row(
    char *out, const char *day, const char *p, size_t size, uint64_t views, int fields
) noexcept nogil:
    """Write ``date,path,views`` and a newline: CSV_ROW_BYTES and twice the path at most; *day* is ten bytes.

    The path, *size* bytes at *p*, has newlines between its *fields*.
    """
    cdef const char *end = p + size
    cdef const char *newline
    memcpy(out, day, 10)
    out[10] = b","
    out += 11
    while fields > 1:
        newline = <const char *>memchr(p, b"\n", <size_t>(end - p))
        if newline == NULL:
            break
        out = write_csv_field(out, p, <size_t>(newline - p))
        out[0] = b","
        out += 1
        p = newline + 1
        fields -= 1
    out = write_csv_field(out, p, <size_t>(end - p))
    out[0] = b","
    out = write_number(out + 1, views)
    out[0] = b"\n"
    return out + 1


cdef inline bint has_space(Text *text, size_t needed) noexcept nogil:
    """Let the text have space for *needed* more bytes; False if memory runs out."""
    cdef size_t capacity = max(text.size + needed, max(2 * text.capacity, <size_t>CSV_BLOCK))
    cdef char *start
    if text.size + needed > text.capacity:
        start = <char *>realloc(text.start, capacity)
        if start == NULL:
            return False
        text.start, text.capacity = start, capacity
    return True


cdef inline int set_date(Text *text, int32_t ordinal, object day) except -1:
    """Set the day of the next lines."""
    date = day.isoformat().encode("ascii")
    memcpy(text.date, <const char *>date, 10)
    text.day = ordinal
    return 0


cdef inline char *write_row_of(const Row *row, const Text *text, int fields) noexcept nogil:
    return write_csv_row(text.start + text.size, text.date, row_path(row), row.size, row.views, fields)


cdef inline void write_csv_rows(void *job, int number) noexcept nogil:
    """Write the next rows of one text that are of its day: up to CSV_BLOCK bytes, or one longer row."""
    cdef Writing *writing = <Writing *>job
    cdef Text *text = &writing.text[number]
    cdef const Place *places = writing.order.places
    cdef const Row *row
    cdef size_t needed
    text.size, text.rows = 0, 0
    while text.next < text.end:
        prefetch_place(writing.order, writing.table, text.next)
        row = row_at(writing.table, places[text.next].offset)
        needed = CSV_ROW_BYTES + 2 * <size_t>row.size
        if row.day != text.day or (text.size and text.size + needed > text.capacity) or not has_space(text, needed):
            break
        text.size = <size_t>(write_row_of(row, text, writing.fields) - text.start)
        text.next += 1
        text.rows += 1
