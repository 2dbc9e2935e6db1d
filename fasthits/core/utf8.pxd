"""UTF-8: tells whether bytes are UTF-8, and escapes bytes that are not as ``\\xhh``."""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy


cdef inline size_t utf8_size(const char *p, size_t left) noexcept nogil:
    """Return the size of the UTF-8 character at *p*; 0 if the bytes are not UTF-8 (Unicode 15, table 3-7)."""
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
    """Write *p*, with ``\\xhh`` for each byte that is not UTF-8, at most 4 * *size* bytes; return the size written."""
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
