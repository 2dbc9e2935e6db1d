"""The tokeniser: one line's fields, found without the interpreter. What a line is stands in _parse.pyi.

Nothing is split from the left: a user name may hold spaces, brackets and quotes. The anchor is the time: ``[``, then
the fixed layout ``dd/Mon/yyyy:HH:MM:SS +hhmm] "``. A quote inside a logged field always has a backslash before it
(``ap_escape_logitem``, Apache's server/util.c), so ``] "`` cannot be forged by a client. Then come the request up to
its closing quote, status and bytes. Where that fails the search goes on at the next ``[``.

The day's eleven bytes are compared with those of the line before; only a change is parsed and checked in the calendar.

Every step works on a cursor that ends where the line ends, so that a broken line can never swallow the next one.
Pointers never outlive a call, and nothing is read at or behind a cursor's end.

Nearly every line is a plain GET, ``... "GET /path HTTP/1.1" 200 512``, and `take_plain_get` knows that shape: it looks
for the path's end in 64 bytes at once, and what follows has its fixed place. Its few branches go the same way for
nearly every line: one that a processor cannot foretell costs as much as 60 instructions. What has another shape goes
the long way, so there is one rule all the same.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint64_t from_little_endian "le64toh" (uint64_t word) noexcept

cdef extern from *:
    int trailing_zeros "__builtin_ctzll" (uint64_t word) noexcept nogil

cdef enum:
    MAX_LINE = 1 << 20
    TIME_SIZE = 30         # [dd/Mon/yyyy:HH:MM:SS +hhmm] "

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
    uint64_t head          # its first eight and its last four bytes
    uint64_t tail
    int32_t day
    uint64_t zone          # ``+hhmm] "`` of the last plain GET


cdef struct Line:          # what is kept of a line; spans are absent where it has no such field
    int32_t day
    Span method
    Span path
    Span query             # with its ?
    Span status
    Span host
    Span referer
    Span user_agent


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


cdef inline int32_t ordinal_of(int32_t year, int32_t month, int32_t day) noexcept nogil:
    """Return the ordinal of a date (1 for 1 January of year 1), 0 for what is no date of the calendar."""
    cdef int32_t before, days_in_month
    cdef bint leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (1 <= month <= 12 and 1 <= year <= 9999 and 1 <= day):
        return 0
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


cdef inline int32_t parse_date(const char *p) noexcept nogil:
    """Return the ordinal of ``dd/Mon/yyyy``, 0 for what is no date of the calendar."""
    if not (is_digit(p[0]) and is_digit(p[1]) and p[2] == b"/" and p[6] == b"/" and is_digit(p[7]) and is_digit(p[8])
            and is_digit(p[9]) and is_digit(p[10])):
        return 0
    return ordinal_of(number(p + 7, 4), month_number(p + 3), number(p, 2))


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
    if load8(p + 1) != memo.head or load4(p + 8) != memo.tail:
        memo.head, memo.tail = load8(p + 1), load4(p + 8)
        memo.day = parse_date(p + 1)
    if memo.day == 0:
        return False
    out.day = memo.day
    out.time.start, out.time.size = p + 1, 26
    line.p = p + TIME_SIZE
    return True


cdef inline bint take_status_digits(Cursor *line) noexcept nogil:
    """Step over three digits."""
    cdef const char *p = line.p
    if line.end - p < 3 or not (is_digit(p[0]) and is_digit(p[1]) and is_digit(p[2])):
        return False
    line.p = p + 3
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


cdef inline uint64_t zero_bytes(uint64_t word) noexcept nogil:
    """Return 0x80 in each byte that is zero in *word*; above the lowest of them others may be marked as well."""
    return (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL


cdef inline uint64_t ends_of_path(const char *p) noexcept nogil:
    """Mark the bytes at *p* that are a space, a quote or ``?``: a bit for each of 64, the first one the lowest.

    The loops have no branches, so compilers make vector instructions of them. A space (0x20) and a quote (0x22)
    differ in one bit.
    """
    cdef uint8_t[64] found
    cdef uint64_t mask = 0
    cdef int i
    for i in range(64):
        found[i] = ((<uint8_t>p[i] & 0xFD) == 0x20) | (<uint8_t>p[i] == 0x3F)
    for i in range(8):
        mask |= ((from_little_endian(load8(<const char *>found + 8 * i)) * 0x0102040810204080ULL) >> 56) << (8 * i)
    return mask


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


cdef inline bint take_plain_time(Cursor *line, DayMemo *memo) noexcept nogil:
    """Take the time, the cursor standing on the bracket, if its day and its zone are those of the line before."""
    cdef const char *p = line.p
    cdef uint64_t clock
    if (line.end - p < TIME_SIZE or load8(p + 1) != memo.head or load4(p + 8) != memo.tail or memo.day == 0
            or load8(p + 22) != memo.zone):
        return False
    clock = load8(p + 12)                   # :HH:MM:S, then S and a space
    if (
        (clock & load8(b"\xff\xf0\xf0\xff\xf0\xf0\xff\xf0")) != load8(b":00:00:0")
        or ((clock + load8(b"\x00\x06\x06\x00\x06\x06\x00\x06")) & load8(b"\x00\xf0\xf0\x00\xf0\xf0\x00\xf0"))
        != load8(b"\x0000\x0000\x000")
        or not is_digit(p[20]) or p[21] != b" "
    ):
        return False
    line.p = p + TIME_SIZE
    return True


cdef inline void set_target(Line *line, Span target) noexcept nogil:
    """Set path and query."""
    memset(&line.path, 0, sizeof(Span))
    memset(&line.query, 0, sizeof(Span))
    if target.start != NULL:
        line.path = path_of(target)
        if line.path.size < target.size:
            line.query.start, line.query.size = target.start + line.path.size, target.size - line.path.size


cdef inline bint take_plain_get(Cursor *line, Line *out, DayMemo *memo) noexcept nogil:
    """Take all up to and with the bytes sent of a GET of a path; False, the cursor anywhere, for any other shape.

    Of *out* the day, path, query and status are set.
    """
    cdef const char *start = line.p
    cdef const char *space
    cdef Fields fields
    cdef Span passed
    line.p = <const char *>memchr(start, b"[", <size_t>(line.end - start))
    if line.p == NULL:
        return False
    if not take_plain_time(line, memo):
        if not take_time(line, &fields, memo):
            return False
        memo.zone = load8(line.p - 8)
    out.day = memo.day
    if line.end - line.p < 5 or load4(line.p) != load4(b"GET ") or line.p[4] != b"/":
        return False
    line.p += 4
    if not take_plain_path(line, &out.path):
        return False
    memset(&out.query, 0, sizeof(Span))
    if line.p[0] == b"?":
        if not take_quoted(line, &out.query):
            return False
        space = <const char *>memchr(out.query.start, b" ", out.query.size)
        if space != NULL:
            out.query.size = <size_t>(space - out.query.start)
    elif not take_plain_protocol(line):
        return False
    if not (skip_past(line, b" ") and take_status(line, &out.status)):
        return False
    return take_plain_bytes_sent(line) or take_bytes_sent(line, &passed)


cdef inline void take_referer_and_agent(Cursor *line, Line *out, bint with_agent) noexcept nogil:
    """Take one or two of the fields of combined that follow the bytes sent, as far as they are there."""
    memset(&out.referer, 0, sizeof(Span))
    memset(&out.user_agent, 0, sizeof(Span))
    if skip_past(line, b" ") and skip_past(line, b'"') and take_quoted(line, &out.referer) and with_agent:
        if skip_past(line, b" ") and skip_past(line, b'"'):
            take_quoted(line, &out.user_agent)


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


cdef inline size_t utf8_size(const char *p, size_t left) noexcept nogil:
    """Return how many bytes the well-formed character at *p* has, 0 where there is none (Unicode 15, table 3-7)."""
    cdef const uint8_t *c = <const uint8_t *>p
    cdef uint8_t low = 0x80
    cdef uint8_t high = 0xBF
    cdef size_t size, i
    if c[0] < 0x80:
        return 1
    size = 2 if 0xC2 <= c[0] <= 0xDF else 3 if 0xE0 <= c[0] <= 0xEF else 4 if 0xF0 <= c[0] <= 0xF4 else 0
    if size == 0 or size > left:
        return 0
    if c[0] == 0xE0:
        low = 0xA0
    elif c[0] == 0xF0:
        low = 0x90
    elif c[0] == 0xED:
        high = 0x9F
    elif c[0] == 0xF4:
        high = 0x8F
    if not low <= c[1] <= high:
        return 0
    for i in range(2, size):
        if c[i] & 0xC0 != 0x80:
            return 0
    return size


cdef inline bint is_utf8(const char *p, size_t size) noexcept nogil:
    cdef uint8_t any = 0
    cdef size_t i = 0
    cdef size_t step
    for i in range(size):
        any |= <uint8_t>p[i]
    if any < 0x80:
        return True
    i = 0
    while i < size:
        step = utf8_size(p + i, size - i)
        if step == 0:
            return False
        i += step
    return True


cdef inline size_t escape_bytes(char *out, const char *p, size_t size) noexcept nogil:
    """Write *p* with each byte that is not UTF-8 as ``\\xhh``, four times its size at most; return the size written."""
    cdef const char *digits = "0123456789abcdef"
    cdef char *start = out
    cdef size_t i = 0
    cdef size_t step
    while i < size:
        step = utf8_size(p + i, size - i)
        if step:
            memcpy(out, p + i, step)
            out += step
            i += step
        else:
            memcpy(out, b"\\x", 2)
            out[2], out[3] = digits[<uint8_t>p[i] >> 4], digits[<uint8_t>p[i] & 15]
            out += 4
            i += 1
    return <size_t>(out - start)
