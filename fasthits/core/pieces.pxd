"""The rows of a piece of a run as Python objects: tuples, or lines of CSV."""

from libc.stdint cimport int32_t
from libc.stdlib cimport free
from libc.string cimport memset

from fasthits.core.csv cimport CSV_ROW_BYTES, Text, has_space, set_date, write_csv_row
from fasthits.core.runs cimport Entry, read_row


cdef inline const unsigned char *next_entry(const unsigned char *p, const unsigned char *end, Entry *row) except NULL:
    """Read the row after *row*; raise ValueError for damage."""
    p = read_row(p, end, row)
    if p == NULL:
        raise ValueError("damaged rows")
    return p


cdef inline object day_as(object day, bint as_text):
    return day.isoformat() if as_text else day


cdef inline object path_as(const char *start, size_t size, bint as_text):
    return start[:size].decode("utf-8") if as_text else start[:size]


cdef inline list rows_in(const unsigned char *p, Py_ssize_t size, bint as_text, object day_of):
    """Return (day, path, views) of each row. *day_of* turns an ordinal into a date."""
    cdef const unsigned char *end = p + size
    cdef Entry row
    cdef int32_t ordinal = 0
    cdef list found = []
    day = None
    row.day = 0
    while p != end:
        p = next_entry(p, end, &row)
        if row.day != ordinal:
            ordinal = row.day
            day = day_as(day_of(ordinal), as_text)
        found.append((day, path_as(row.path.start, row.path.size, as_text), row.views))
    return found


cdef inline list csv_in(const unsigned char *p, Py_ssize_t size, int fields, object day_of):
    """Return (day, lines, number of lines) of each day. *day_of* turns an ordinal into a date."""
    cdef const unsigned char *end = p + size
    cdef Entry row
    cdef Text text
    cdef list found = []
    row.day = 0
    memset(&text, 0, sizeof(text))
    try:
        while p != end:
            p = next_entry(p, end, &row)
            if row.day != text.day:
                if text.rows:
                    found.append((day_of(text.day), text.start[:text.size], text.rows))
                set_date(&text, row.day, day_of(row.day))
                text.size, text.rows = 0, 0
            if not has_space(&text, CSV_ROW_BYTES + 2 * row.path.size):
                raise MemoryError
            text.size = <size_t>(write_csv_row(
                text.start + text.size, text.date, row.path.start, row.path.size, row.views, fields
            ) - text.start)
            text.rows += 1
        if text.rows:
            found.append((day_of(text.day), text.start[:text.size], text.rows))
        return found
    finally:
        free(text.start)
