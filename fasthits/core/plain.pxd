"""The fast path: reads a plain line, ``... [time] "GET /path HTTP/1.1" 200 512``. Nearly every line is plain.

The core searches 64 bytes at once for the bracket of the time and for the end of the path. The fields after these have
a fixed place. The few branches go the same way for nearly every line, because a branch that the processor guesses wrong
costs as much as 60 instructions. A line of another shape takes the general path (steps.pxd). The general path reads
plain lines too, with the same result.

These functions read bytes after the end of the line, but no byte at or after a limit. A newline never fits, so bytes of
the next line never become part of this line.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

from fasthits.core.steps cimport holds_another_line
from fasthits.core.times cimport CLF_SIZE, DayMemo, take_clf_time
from fasthits.core.tokens cimport (
    Cursor, Line, Span, ends_of_path, from_little_endian, load4, load8, mask_of, skip_past, take_digits_or_dash,
    take_quoted, trailing_zeros,
)

cdef enum:
    MAX_METHOD = 16        # bytes
    MAX_TO_PATH = 31 + MAX_METHOD    # from the bracket of the time to the path
    AFTER_PATH = 24        # bytes that are read after the end of the path
    FROM_PATH = 64 + AFTER_PATH      # bytes that may be read from the path on,
    FROM_LINE = 64 + MAX_TO_PATH + FROM_PATH    # and from where the search for the bracket begins


cdef inline bint has_minutes(const char *p) noexcept nogil:
    """Tell whether ``H:MM:SS `` is at *p*; see `has_clock`."""
    cdef uint64_t other = load8(p) ^ load8(b"0:00:00 ")
    other |= other + load8(b"\x06\x00\x06\x06\x00\x06\x06\x00")
    return (other & load8(b"\xf0\xff\xf0\xf0\xff\xf0\xf0\xff")) == 0


cdef inline bint take_plain_time(Cursor *line, Line *out, DayMemo *memo) noexcept nogil:
    """Take ``dd/Mon/yyyy:HH:MM:SS +hhmm] "``. This is quick if day, hour and zone are those of the previous line."""
    cdef const char *p = line.p
    if load8(p) == memo.head and load8(p + 7) == memo.tail and load8(p + 21) == memo.zone and memo.zone != 0:
        out.moment = memo.moment
        line.p = p + CLF_SIZE + 3
        return has_minutes(p + 13)
    if not take_clf_time(line, &out.moment, memo) or out.moment == 0:
        return False
    if not (skip_past(line, b"]") and skip_past(line, b" ") and skip_past(line, b'"')):
        return False
    memo.zone = load8(p + 21)
    return True


cdef inline const char *find_bracket(const Cursor *line, const char *limit) noexcept nogil:
    """Return where the first bracket is, perhaps after the line; NULL if there is none, or if it is near the limit."""
    cdef const char *p = line.p
    cdef uint64_t brackets = mask_of(p, b"[")
    while brackets == 0:
        p += 64
        if p >= line.end or limit - p < FROM_LINE:
            return NULL
        brackets = mask_of(p, b"[")
    return p + trailing_zeros(brackets)


cdef inline bint take_other_method(const Cursor *line, Line *out) noexcept nogil:
    """Take a method in capital letters and the space after it. The path begins there."""
    cdef const char *p = line.p
    while b"A" <= p[0] <= b"Z" and p - line.p < MAX_METHOD - 1:
        p += 1
    out.method.start, out.method.size = line.p, <size_t>(p - line.p)
    out.path.start = p + 1
    return p[0] == b" "


cdef inline const char *end_of_path(const char *p, const char *limit) noexcept nogil:
    """Return where the next space, quote or ``?`` is, perhaps after the line; NULL if it is near the limit."""
    cdef uint64_t ends = ends_of_path(p)
    while ends == 0:
        p += 64
        if limit - p < FROM_PATH:
            return NULL
        ends = ends_of_path(p)
    return p + trailing_zeros(ends)


cdef inline const char *end_of_query(const char *p, const char *limit) noexcept nogil:
    """Return where the next space or quote is, perhaps after the line; NULL if it is near the limit."""
    cdef uint64_t ends
    while limit - p >= FROM_PATH:
        ends = ends_of_path(p) & ~mask_of(p, b"?")
        if ends:
            return p + trailing_zeros(ends)
        p += 64
    return NULL


cdef inline bint has_protocol_and_status(const char *p) noexcept nogil:
    """Tell whether `` HTTP/d.d" ddd `` is at *p*.

    The digits of the protocol are not checked strictly: only a quote, a backslash or a newline must not pass for them.
    The digits of the status are checked as in `has_clock`.
    """
    cdef uint64_t other = load8(p + 8) ^ load8(b'0" 000 \x00')
    other |= other + load8(b"\x00\x00\x00\x06\x06\x06\x00\x00")
    return (
        (load8(p) & load8(b"\xff\xff\xff\xff\xff\xff\xf0\xff")) == load8(b" HTTP/0.")
        and (other & load8(b"\xf0\xff\xff\xf0\xf0\xf0\xff\x00")) == 0
    )


cdef inline bint take_plain_bytes_sent(Cursor *line) noexcept nogil:
    """Step over one to seven digits, or a dash, before a space or the end, without a branch for each digit.

    Digits are found as in `has_clock`. If it returns False, the cursor has not moved.
    """
    cdef uint64_t word = from_little_endian(load8(line.p)) ^ 0x3030303030303030ULL
    cdef uint64_t other = (word | (word + 0x0606060606060606ULL)) & 0xF0F0F0F0F0F0F0F0ULL
    cdef int size
    if other == 0:
        return False
    size = (trailing_zeros(other) >> 3) + (line.p[0] == b"-")
    if size == 0 or (line.p[size] != b" " and line.p + size != line.end):
        return False
    line.p += size
    return True


cdef inline bint take_bytes_sent(Cursor *line) noexcept nogil:
    """Step over any number of digits, or a dash, before a space or the end."""
    return take_digits_or_dash(line) and (line.p == line.end or line.p[0] == b" ")


cdef inline bint may_be_brace(char c) noexcept nogil:
    """Tell whether a byte at an end of a line is a brace, or may stand beyond one: a blank, or of a byte-order mark."""
    return <unsigned char>(<unsigned char>c - <unsigned char>b"!") >= <unsigned char>b"{" - <unsigned char>b"!"


cdef inline bint may_hold_object(const char *start, const char *end) noexcept nogil:
    """Tell whether a line of text, of at least two bytes, may be glued to a JSON object."""
    return may_be_brace(start[0]) or may_be_brace((end - 1 - ((end - 1)[0] == b"\r"))[0])


cdef inline bint take_plain_line(Cursor *line, const char *limit, Line *out, DayMemo *memo) noexcept nogil:
    """Take a line of a request for a path, from its beginning to the end of the bytes sent; False for any other shape.

    After False the cursor may be anywhere. Moment, time, method, path, query and status of *out* are set; the method is
    absent if it is GET. If the path is short, the 64 bytes from its beginning may be read.
    """
    cdef const char *start = line.p
    cdef const char *p
    if limit - line.p < FROM_LINE:
        return False
    p = find_bracket(line, limit)
    if p == NULL:
        return False
    line.p = out.time = p + 1
    if not take_plain_time(line, out, memo):
        return False
    out.method.start = NULL
    out.path.start = line.p + 4
    if load4(line.p) != load4(b"GET ") and not take_other_method(line, out):
        return False
    if out.path.start[0] != b"/":
        return False
    p = end_of_path(out.path.start, limit)
    if p == NULL:
        return False
    out.path.size = <size_t>(p - out.path.start)
    memset(&out.query, 0, sizeof(Span))
    if p[0] == b"?":
        out.query.start = p
        p = end_of_query(p, limit)
        if p == NULL:
            return False
        out.query.size = <size_t>(p - out.query.start)
    if p >= line.end or not has_protocol_and_status(p):
        return False
    out.status.start, out.status.size = p + 11, 3
    line.p = p + 15
    if not take_plain_bytes_sent(line) and not take_bytes_sent(line):
        return False
    return not may_hold_object(start, line.end) and not holds_another_line(line.p, line.end)


cdef inline bint take_plain_quoted(Cursor *line, const char *limit, Span *out) noexcept nogil:
    """Take bytes as `take_quoted` does. This is quick if the first quote is the closing quote."""
    cdef const char *p = line.p
    cdef uint64_t quotes
    while p < line.end and limit - p >= 64:
        quotes = mask_of(p, b'"')
        if quotes:
            p += trailing_zeros(quotes)
            if p >= line.end or (p - 1)[0] == b"\\":
                break
            out.start, out.size = line.p, <size_t>(p - line.p)
            line.p = p + 1
            return True
        p += 64
    return take_quoted(line, out)


cdef inline void take_plain_referer_and_agent(
    Cursor *line, const char *limit, bint wants_agent, Line *out
) noexcept nogil:
    """Take `` "referer" "user agent"`` after the bytes sent, if the line has them; the user agent only if wanted.

    Fields that are not taken stay unchanged.
    """
    if (skip_past(line, b" ") and skip_past(line, b'"') and take_plain_quoted(line, limit, &out.referer)
            and wants_agent and skip_past(line, b" ") and skip_past(line, b'"')):
        take_plain_quoted(line, limit, &out.user_agent)
