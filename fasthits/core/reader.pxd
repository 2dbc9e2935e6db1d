"""The reader: memory that is kept from line to line, and lines that are in quotes as a whole."""

from libc.stdlib cimport free
from libc.string cimport memchr

from fasthits.core.ltsv_w3c cimport Columns
from fasthits.core.jsonnames cimport JsonMemo
from fasthits.core.tokens cimport Cursor, has_memory

cdef struct Reader:
    char *text             # memory for a line after its quotes were removed
    size_t capacity
    Columns columns        # of a file whose lines name its columns
    JsonMemo json          # its buffer holds paths of hits that wait in the batch

cdef enum:                 # what `unquote` did
    NOT_QUOTED, UNQUOTED, NO_MEMORY_FOR_TEXT


cdef inline void free_reader(Reader *reader) noexcept nogil:
    free(reader.text)
    free(reader.columns.query)
    free(reader.json.buffer)


cdef inline Cursor text_of(Cursor line) noexcept nogil:
    """Return a line without the NULs, which copytruncate leaves, and the byte-order mark before its text."""
    while line.p != line.end and line.p[0] == b"\0":
        line.p += 1
    if line.end - line.p >= 3 and line.p[0] == b"\xef" and line.p[1] == b"\xbb" and line.p[2] == b"\xbf":
        line.p += 3
    return line


cdef inline bint is_empty(char c) noexcept nogil:
    return c == b" " or c == b"\t" or c == b"\r" or c == b"\0"


cdef inline Cursor trimmed(Cursor line) noexcept nogil:
    """Return a line without blanks, CRs and NULs at its beginning and end."""
    while line.p != line.end and is_empty(line.p[0]):
        line.p += 1
    while line.p != line.end and is_empty((line.end - 1)[0]):
        line.end -= 1
    return line


cdef inline int unquote(Cursor *line, Reader *reader) noexcept nogil:
    """Remove the quotes around a line that is in quotes as a whole, and restore the quotes inside it.

    The quotes inside are doubled, as in CSV, or each has a backslash, and so has every backslash. A line with any other
    quote is not in quotes as a whole. The result is in the reader's memory.
    """
    cdef const char *p = line.p + 1
    cdef const char *end = line.end - 1
    cdef const char *first
    cdef char *out
    cdef bint doubled
    cdef char mark
    if line.end - line.p < 2 or line.p[0] != b'"' or end[0] != b'"':
        return NOT_QUOTED
    if not has_memory(&reader.text, &reader.capacity, <size_t>(line.end - line.p)):
        return NO_MEMORY_FOR_TEXT
    first = <const char *>memchr(p, b'"', <size_t>(end - p))
    doubled = first == NULL or (end - first >= 2 and first[1] == b'"')
    mark = b'"' if doubled else b"\\"
    out = reader.text
    while p != end:
        if p[0] == mark:
            p += 1
            if p == end or (p[0] != b'"' and p[0] != mark):
                if doubled or p == end:
                    return NOT_QUOTED
                p -= 1
        elif p[0] == b'"':
            return NOT_QUOTED
        out[0] = p[0]
        out += 1
        p += 1
    line.p, line.end = reader.text, out
    return UNQUOTED
