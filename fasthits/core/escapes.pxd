"""Codes: reads the escapes of a log and the percent-encoding of a URI.

Strangers may write thousands of escapes into a line. So each costs only a few instructions, and no call of Python.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc


cdef inline int digit_value(char c) noexcept nogil:
    """Return the value of a hexadecimal digit; -1 for another character."""
    if b"0" <= c <= b"9":
        return c - c"0"
    if b"a" <= c <= b"f":
        return c - c"a" + 10
    if b"A" <= c <= b"F":
        return c - c"A" + 10
    return -1


cdef inline int pair_value(const char *p, size_t left) noexcept nogil:
    """Return the byte of two hexadecimal digits at *p*; -1 for other characters."""
    if left < 2 or digit_value(p[0]) < 0 or digit_value(p[1]) < 0:
        return -1
    return digit_value(p[0]) * 16 + digit_value(p[1])


cdef inline size_t take_logged(const char *p, size_t left, uint8_t *byte) noexcept nogil:
    r"""Read a byte, or an escape such as ``\xhh``, ``\"`` or ``\n``; return how many bytes it has in the log."""
    cdef const char *letters = '"\\bnrtv'
    cdef const char *meant = '"\\\b\n\r\t\v'
    cdef int i, value
    byte[0] = <uint8_t>p[0]
    if p[0] != b"\\" or left < 2:
        return 1
    if p[1] == b"x":
        value = pair_value(p + 2, left - 2)
        if value < 0:
            return 1
        byte[0] = <uint8_t>value
        return 4
    for i in range(7):
        if p[1] == letters[i]:
            byte[0] = <uint8_t>meant[i]
            return 2
    return 1


cdef inline bint is_unreserved(uint8_t c) noexcept nogil:
    return (b"0" <= c <= b"9" or b"a" <= c <= b"z" or b"A" <= c <= b"Z" or c == c"-" or c == c"." or c == c"_"
            or c == c"~")


cdef inline bint is_reserved(uint8_t c) noexcept nogil:
    cdef const char *reserved = ":/?#[]@!$&'()*+,;="
    cdef int i
    for i in range(18):
        if c == <uint8_t>reserved[i]:
            return True
    return False


cdef inline size_t unescape_bytes(char *out, const char *p, size_t size) noexcept nogil:
    """Write the bytes that *p* stands for in a log, at most *size*; return their number."""
    cdef size_t i = 0
    cdef size_t written = 0
    while i < size:
        i += take_logged(p + i, size - i, <uint8_t *>&out[written])
        written += 1
    return written


cdef inline size_t normalise_bytes(char *out, const char *p, size_t size) noexcept nogil:
    """Write *p* in the normal form of RFC 3986, at most 3 * *size* bytes; return the size written."""
    cdef const char *digits = "0123456789ABCDEF"
    cdef size_t i = 0
    cdef size_t written = 0
    cdef uint8_t byte
    cdef int value
    cdef bint stays
    while i < size:
        value = pair_value(p + i + 1, size - i - 1) if p[i] == b"%" else -1
        if value >= 0:
            byte = <uint8_t>value
            stays = is_unreserved(byte)
            i += 3
        else:
            i += take_logged(p + i, size - i, &byte)
            stays = is_unreserved(byte) or is_reserved(byte)
        if stays:
            out[written] = <char>byte
            written += 1
        else:
            out[written], out[written + 1], out[written + 2] = b"%", digits[byte >> 4], digits[byte & 15]
            written += 3
    return written


cdef inline bytes rewritten(text, bint normalises):
    """Return the normal form of a text, or the text without escapes. *text* is a bytes-like object."""
    cdef Py_buffer view
    cdef char *out
    PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)
    try:
        out = <char *>malloc(3 * <size_t>view.len + 1)
        if out == NULL:
            raise MemoryError
        try:
            if normalises:
                return out[:normalise_bytes(out, <const char *>view.buf, <size_t>view.len)]
            return out[:unescape_bytes(out, <const char *>view.buf, <size_t>view.len)]
        finally:
            free(out)
    finally:
        PyBuffer_Release(&view)
