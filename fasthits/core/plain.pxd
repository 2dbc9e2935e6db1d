"""The fast path: reads a plain GET, ``... [time] "GET /path HTTP/1.1" 200 512``. Nearly every line is one.

It searches 64 bytes at once for the end of the path; what follows has a fixed place. Its few branches go the same way
for nearly every line: a branch that the processor guesses wrong costs as much as 60 instructions. A line of another
shape takes the general path (steps.pxd), which reads plain GETs too, with the same result.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr, memset

from fasthits.core.steps cimport holds_another_line
from fasthits.core.times cimport CLF_SIZE, DayMemo, has_clock, take_clf_time
from fasthits.core.tokens cimport (
    Cursor, Line, Span, from_little_endian, load4, load8, mask_of, skip_past, take_digits_or_dash, take_quoted,
    trailing_zeros,
)


cdef inline bint take_plain_time(Cursor *line, Line *out, DayMemo *memo) noexcept nogil:
    """Take ``dd/Mon/yyyy:HH:MM:SS +hhmm] "``, with five bytes behind it; quickly, if day and zone are those of the line
    before."""
    cdef const char *p = line.p
    if line.end - p < CLF_SIZE + 8:
        return False
    if load8(p) == memo.head and load4(p + 7) == memo.tail and load8(p + 21) == memo.zone and memo.zone != 0:
        out.day = memo.day
        line.p = p + CLF_SIZE + 3
        return p[11] == b":" and has_clock(p + 12) and p[20] == b" "
    if not take_clf_time(line, &out.day, memo) or out.day == 0:
        return False
    if not (skip_past(line, b"]") and skip_past(line, b" ") and skip_past(line, b'"')):
        return False
    memo.zone = load8(p + 21)
    return True


cdef inline uint64_t ends_of_path(const char *p) noexcept nogil:
    """Mark the bytes at *p* that are a space, a quote or ``?``: a bit for each of 64, the first one the lowest.

    The loops have no branches, so compilers make vector instructions of them. A space (0x20) and a quote (0x22)
    differ in one bit.
    """
    cdef uint8_t[64] found
    cdef int i
    for i in range(64):
        found[i] = ((<uint8_t>p[i] & 0xFD) == 0x20) | (<uint8_t>p[i] == 0x3F)
    return mask_of(found)


cdef inline bint take_plain_path(Cursor *line, Span *path) noexcept nogil:
    """Take bytes up to a space, a quote or ``?``, which stays; False for less than 64 bytes before the end."""
    cdef const char *p = line.p
    cdef uint64_t ends
    while line.end - p >= 64:
        ends = ends_of_path(p)
        if ends:
            p += trailing_zeros(ends)
            path.start, path.size = line.p, <size_t>(p - line.p)
            line.p = p
            return True
        p += 64
    return False


cdef inline bint take_plain_protocol(Cursor *line) noexcept nogil:
    """Step over `` HTTP/d.d"``; anything but quotes and backslashes could stand for the digits."""
    cdef const char *p = line.p
    if (line.end - p < 10 or p[0] != b" " or p[9] != b'"'
            or (load8(p + 1) & load8(b"\xff\xff\xff\xff\xff\xf0\xff\xf0")) != load8(b"HTTP/0.0")):
        return False
    line.p = p + 10
    return True


cdef inline bint take_query(Cursor *line, Span *query) noexcept nogil:
    """Take the query with its ``?``, and all up to the end of the request."""
    cdef const char *space
    if not take_quoted(line, query):
        return False
    space = <const char *>memchr(query.start, b" ", query.size)
    if space != NULL:
        query.size = <size_t>(space - query.start)
    return True


cdef inline bint take_plain_status(Cursor *line, Span *out) noexcept nogil:
    """Take three digits between two spaces."""
    cdef const char *p = line.p
    cdef uint64_t word
    if line.end - p < 5 or p[0] != b" ":
        return False
    word = load4(p + 1)
    out.start, out.size = p + 1, 3
    line.p = p + 5
    return (
        (word & load4(b"\xf0\xf0\xf0\xff")) == load4(b"000 ")
        and ((word + load4(b"\x06\x06\x06\x00")) & load4(b"\xf0\xf0\xf0\x00")) == load4(b"000\x00")
    )


cdef inline bint take_plain_bytes_sent(Cursor *line) noexcept nogil:
    """Step over one to seven digits before a space, which stays; without a branch for each digit.

    False leaves the cursor alone. The high half of a digit is 3, and still is when 6 is added.
    """
    cdef uint64_t word, other
    cdef int digits
    if line.end - line.p < 8:
        return False
    word = from_little_endian(load8(line.p)) ^ 0x3030303030303030ULL
    other = (word | (word + 0x0606060606060606ULL)) & 0xF0F0F0F0F0F0F0F0ULL
    if other == 0:
        return False
    digits = trailing_zeros(other) >> 3
    if digits == 0 or line.p[digits] != b" ":
        return False
    line.p += digits
    return True


cdef inline bint take_plain_get(Cursor *line, Line *out, DayMemo *memo) noexcept nogil:
    """Take all up to and with the bytes sent of a GET of a path; False, the cursor anywhere, for any other shape.

    Of *out* the day, time, path, query and status are set.
    """
    line.p = <const char *>memchr(line.p, b"[", <size_t>(line.end - line.p))
    if line.p == NULL:
        return False
    line.p += 1
    out.time = line.p
    if not take_plain_time(line, out, memo):
        return False
    if load4(line.p) != load4(b"GET ") or line.p[4] != b"/":
        return False
    line.p += 4
    if not take_plain_path(line, &out.path):
        return False
    memset(&out.query, 0, sizeof(Span))
    if not (take_query(line, &out.query) if line.p[0] == b"?" else take_plain_protocol(line)):
        return False
    if not take_plain_status(line, &out.status):
        return False
    if not (take_plain_bytes_sent(line) or (take_digits_or_dash(line) and (line.p == line.end or line.p[0] == b" "))):
        return False
    return not holds_another_line(line.p, line.end)


cdef inline void take_plain_referer_and_agent(Cursor *line, bint wants_agent, Line *out) noexcept nogil:
    """Take `` "referer" "user agent"`` behind a plain GET as far as they are there; the user agent only if wanted."""
    memset(&out.referer, 0, sizeof(Span))
    memset(&out.user_agent, 0, sizeof(Span))
    if (skip_past(line, b" ") and skip_past(line, b'"') and take_quoted(line, &out.referer)
            and wants_agent and skip_past(line, b" ") and skip_past(line, b'"')):
        take_quoted(line, &out.user_agent)
