r"""Texts in JSON lines, written as Apache would have logged them (`ap_escape_logitem`, httpd's server/util.c).

Most texts need no change, so spans point into the line. Changed texts go into the memo's buffer. The core knows the
escapes of RFC 8259, and ``\xhh`` and ``\v``. Nginx and Apache write these two if their configuration only puts quotes
around variables.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport malloc
from libc.string cimport memchr, memcpy, memset

from fasthits.core.escapes cimport pair_value
from fasthits.core.jsonnames cimport JsonMemo
from fasthits.core.tokens cimport MAX_LINE, Span, is_digit, load8

cdef enum:                 # how a space in a text is written
    STAYS, AS_PERCENT, AS_ESCAPE

cdef enum:
    USED_BYTES = 1 << 16   # after so many bytes the buffer is filled from its start again
    # One line, unwrapped twice; its fields, with up to four bytes for each byte; parts of these fields once more.
    BUFFER_BYTES = USED_BYTES + 10 * MAX_LINE + 64


cdef inline bint has_buffer(JsonMemo *memo) noexcept nogil:
    """Allocate the buffer for texts, if that has not been done; False if memory runs out.

    This takes only address space. The system gives memory when texts are written."""
    if memo.buffer == NULL:
        memo.buffer = <char *>malloc(BUFFER_BYTES)
    return memo.buffer != NULL


cdef inline bint is_plain_byte(char c) noexcept nogil:
    return (<uint8_t>(<uint8_t>c - 32) < 95) & (c != b"\\")


cdef inline bint is_plain(const char *p, size_t size) noexcept nogil:
    """Tell whether all bytes are printable ASCII but not a backslash.

    The inner loop has no branch, so compilers turn it into vector instructions.
    """
    cdef uint8_t[16] odd
    cdef size_t i = 0
    cdef int k
    if size < 16:
        for i in range(size):
            if not is_plain_byte(p[i]):
                return False
        return True
    memset(odd, 0, 16)
    while True:
        for k in range(16):
            odd[k] |= not is_plain_byte(p[i + k])
        if i == size - 16:
            return (load8(<const char *>odd) | load8(<const char *>odd + 8)) == 0
        i = min(i + 16, size - 16)


cdef inline bint put_escaped(JsonMemo *memo, const char *p, size_t size, int spaces) noexcept nogil:
    """Append bytes to the buffer as Apache logs them; False if the buffer is full."""
    cdef const char *digits = "0123456789abcdef"
    cdef const char *meant = '"\\\b\n\r\t\v'
    cdef const char *letters = '"\\bnrtv'
    cdef const char *letter
    cdef char *out = memo.buffer + memo.used
    cdef size_t i
    cdef uint8_t c
    if BUFFER_BYTES - memo.used < 4 * size:
        return False
    for i in range(size):
        c = <uint8_t>p[i]
        if c == c" " and spaces != STAYS:
            memcpy(out, b"%20" if spaces == AS_PERCENT else b"\\x20", 3 if spaces == AS_PERCENT else 4)
            out += 3 if spaces == AS_PERCENT else 4
        elif 32 <= c <= 126 and c != c'"' and c != c"\\":
            out[0] = <char>c
            out += 1
        else:
            letter = <const char *>memchr(meant, c, 7)
            out[0] = b"\\"
            if letter != NULL:
                out[1] = letters[letter - meant]
                out += 2
            else:
                out[1], out[2], out[3] = b"x", digits[c >> 4], digits[c & 15]
                out += 4
    memo.used = <size_t>(out - memo.buffer)
    return True


cdef inline int unit_value(const char *p, size_t left) noexcept nogil:
    r"""Return the number in ``\uhhhh`` at *p*; -1 if *p* has no such escape."""
    cdef int high, low
    if left < 6 or p[0] != b"\\" or p[1] != b"u":
        return -1
    high, low = pair_value(p + 2, 2), pair_value(p + 4, 2)
    return -1 if high < 0 or low < 0 else high << 8 | low


cdef inline size_t put_utf8(uint32_t code, char *out) noexcept nogil:
    """Write a character, or half of a surrogate pair; return its size."""
    if code < 0x80:
        out[0] = <char>code
        return 1
    if code < 0x800:
        out[0], out[1] = <char>(0xC0 | code >> 6), <char>(0x80 | code & 63)
        return 2
    if code < 0x10000:
        out[0], out[1], out[2] = <char>(0xE0 | code >> 12), <char>(0x80 | code >> 6 & 63), <char>(0x80 | code & 63)
        return 3
    out[0], out[1] = <char>(0xF0 | code >> 18), <char>(0x80 | code >> 12 & 63)
    out[2], out[3] = <char>(0x80 | code >> 6 & 63), <char>(0x80 | code & 63)
    return 4


cdef inline size_t take_character(const char *p, size_t left, char *out, size_t *size) noexcept nogil:
    """Read a byte or an escape, and write its meaning, up to four bytes, to *out*; return how many bytes were read."""
    cdef const char *letters = 'bfnrtv"\\/'
    cdef const char *meant = '\b\f\n\r\t\v"\\/'
    cdef const char *letter
    cdef int value, second
    out[0], size[0] = p[0], 1
    if p[0] != b"\\" or left < 2:
        return 1
    letter = <const char *>memchr(letters, p[1], 9)
    if letter != NULL:
        out[0] = meant[letter - letters]
        return 2
    if p[1] == b"x":
        value = pair_value(p + 2, left - 2)
        if value < 0:
            return 1
        out[0] = <char>value
        return 4
    value = unit_value(p, left)
    if value < 0:
        return 1                # not an escape: only a backslash
    if 0xD800 <= value < 0xDC00:
        second = unit_value(p + 6, left - 6)
        if 0xDC00 <= second < 0xE000:
            size[0] = put_utf8(0x10000 + <uint32_t>((value - 0xD800) << 10 | (second - 0xDC00)), out)
            return 12
    size[0] = put_utf8(<uint32_t>value, out)
    return 6


cdef inline bint take_text(Span raw, int spaces, JsonMemo *memo, Span *out) noexcept nogil:
    """Set *out* to a value as Apache would have logged it; False if the buffer is full."""
    cdef char[4] character
    cdef size_t written
    cdef size_t i = 0
    cdef size_t start = memo.used
    if is_plain(raw.start, raw.size) and (spaces == STAYS or memchr(raw.start, b" ", raw.size) == NULL):
        out[0] = raw
        return True
    while i < raw.size:
        i += take_character(raw.start + i, raw.size - i, character, &written)
        if not put_escaped(memo, character, written, spaces):
            return False
    out.start, out.size = memo.buffer + start, memo.used - start
    return True


cdef inline void put_listed_bytes(JsonMemo *memo, Span numbers) noexcept nogil:
    """Append the bytes that a list of numbers stands for. The caller saw to it that the buffer has space for them."""
    cdef size_t i
    cdef unsigned int byte = 0
    for i in range(1, numbers.size):
        if is_digit(numbers.start[i]):
            byte = 10 * byte + <unsigned int>(numbers.start[i] - c"0")
        elif is_digit(numbers.start[i - 1]):
            memo.buffer[memo.used] = <char>byte
            memo.used += 1
            byte = 0
