"""Tokens: the smallest steps through a line (take bytes up to a byte, quoted bytes, digits), and the struct of a line.

Every step works on a cursor that ends where the line ends. So a broken line can never swallow the next line. Pointers
never outlive a call, and no step reads a byte at or after a cursor's end.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint64_t from_little_endian "le64toh" (uint64_t word) noexcept

cdef extern from *:
    int trailing_zeros "__builtin_ctzll" (uint64_t word) noexcept nogil

cdef extern from "masks.h" nogil:
    uint64_t mask_of "fasthits_mask_of" (const char *p, char byte) noexcept     # this and the next read 64 bytes
    uint64_t ends_of_path "fasthits_ends_of_path" (const char *p) noexcept
    bint has_byte "fasthits_has" (const char *p, const char *end, char byte) noexcept
    size_t find_newlines "fasthits_find_newlines" (
        const char **searched, const char *end, const char **newline
    ) noexcept
    enum:
        NEWLINES "FASTHITS_SEARCHED"           # the most newlines that one call of find_newlines finds

cdef enum:
    MAX_LINE = 1 << 20

cdef struct Cursor:        # [p, end) is unread; *end is never read
    const char *p
    const char *end

cdef struct Span:          # start is NULL if the field is absent
    const char *start
    size_t size

cdef struct Line:          # the fields of a line; the spans of fields that it lacks are absent
    int32_t moment         # day and hour: see times.pxd
    const char *time       # where the time begins
    Span method
    Span target
    Span path
    Span query             # with its ?
    Span protocol
    Span status
    Span host
    Span referer
    Span user_agent
    const char *limit      # from any span up to here memory may be read; NULL if that is not known
    bint copied            # the spans point into memory that the next line overwrites


cdef inline Cursor line_cursor(const char *start, size_t size) noexcept nogil:
    """Return a cursor over the part of a line that is read. *size* does not include the newline."""
    cdef Cursor line
    if size > MAX_LINE + 1:
        size = MAX_LINE + 1
    if size > 0 and start[size - 1] == b"\r":
        size -= 1
    if size > MAX_LINE:
        size = MAX_LINE
    line.p, line.end = start, start + size
    return line


cdef inline bint has_memory(char **text, size_t *capacity, size_t size) noexcept nogil:
    """If there is space for fewer than *size* bytes, grow to twice *size*; False if memory runs out."""
    cdef char *more
    if size > capacity[0]:
        more = <char *>realloc(text[0], 2 * size)
        if more == NULL:
            return False
        text[0], capacity[0] = more, 2 * size
    return True


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


cdef inline bint are_digits(const char *p, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if not is_digit(p[i]):
            return False
    return True


cdef inline int32_t number(const char *p, int digits) noexcept nogil:
    cdef int32_t value = 0
    cdef int i
    for i in range(digits):
        value = value * 10 + (p[i] - c"0")
    return value


cdef inline bint take_until(Cursor *line, char stop, Span *out) noexcept nogil:
    """Take bytes up to *stop* and step over *stop*. If it returns False, the cursor has not moved."""
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
    """Take bytes up to the closing quote, and step over that quote. The cursor is after the opening quote.

    A quote closes the field if an even number of backslashes is before it: Apache writes ``\\`` for one backslash.
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


cdef inline bint take_three_digits(Cursor *line) noexcept nogil:
    if line.end - line.p < 3 or not are_digits(line.p, 3):
        return False
    line.p += 3
    return True


cdef inline bint take_digits_or_dash(Cursor *line) noexcept nogil:
    cdef const char *start = line.p
    if skip_past(line, b"-"):
        return True
    while line.p != line.end and is_digit(line.p[0]):
        line.p += 1
    return line.p != start


cdef inline void split_request(Span request, Line *line) noexcept nogil:
    """Split the request at its first and second space. Parts that it lacks become absent."""
    cdef Cursor rest
    rest.p, rest.end = request.start, request.start + request.size
    memset(&line.target, 0, sizeof(Span))
    memset(&line.protocol, 0, sizeof(Span))
    if not take_until(&rest, b" ", &line.method):
        line.method = request
    elif not take_until(&rest, b" ", &line.target):
        take_rest(&rest, &line.target)
    else:
        take_rest(&rest, &line.protocol)


cdef inline void split_target(Line *line) noexcept nogil:
    """Set path and query. The path is the target up to its first ``?``."""
    cdef const char *query = NULL
    line.path = line.target
    memset(&line.query, 0, sizeof(Span))
    if line.target.start != NULL:
        query = <const char *>memchr(line.target.start, b"?", line.target.size)
    if query != NULL:
        line.path.size = <size_t>(query - line.target.start)
        line.query.start, line.query.size = query, line.target.size - line.path.size


cdef inline bint starts_with(Span span, const char *prefix, size_t size) noexcept nogil:
    return span.size >= size and memcmp(span.start, prefix, size) == 0


cdef inline void split_origin(Line *line) noexcept nogil:
    """Split the path of an absolute target, ``http://host:port/path``, into host and path. Leave other paths.
    """
    cdef size_t scheme = 7 if starts_with(line.path, b"http://", 7) else 8
    cdef const char *host = line.path.start + scheme
    cdef const char *end = line.path.start + line.path.size
    cdef const char *path
    cdef const char *port
    if scheme == 8 and not starts_with(line.path, b"https://", 8):
        return
    path = <const char *>memchr(host, b"/", <size_t>(end - host))
    if path == NULL:
        path = end
    port = path
    while port != host and is_digit((port - 1)[0]):
        port -= 1
    port = port - 1 if port != host and (port - 1)[0] == b":" else path
    line.host.start, line.host.size = host, <size_t>(port - host)
    line.path.start, line.path.size = path, <size_t>(end - path)
    if path == end:
        line.path.start, line.path.size = b"/", 1


cdef inline bint has_path(Span target) noexcept nogil:
    return target.start != NULL and (
        starts_with(target, b"/", 1) or starts_with(target, b"http://", 7) or starts_with(target, b"https://", 8)
    )
