"""Whole numbers of up to 63 bits, seven bits in a byte, lowest bits first. All bytes but the last have the high bit."""

from libc.stdint cimport uint64_t


cdef inline unsigned char *write_varint(unsigned char *out, uint64_t number) noexcept nogil:
    """Write a number, in at most nine bytes."""
    while number > 0x7f:
        out[0] = <unsigned char>(number | 0x80)
        out += 1
        number >>= 7
    out[0] = <unsigned char>number
    return out + 1


cdef inline const unsigned char *read_varint(
    const unsigned char *p, const unsigned char *end, uint64_t *number
) noexcept nogil:
    """Read a number; return NULL if its last byte is missing, or if it has more than 63 bits."""
    cdef int shift = 7
    if p == end:
        return NULL
    number[0] = p[0] & 0x7f
    while p[0] & 0x80:
        p += 1
        if p == end or shift == 63:
            return NULL
        number[0] |= <uint64_t>(p[0] & 0x7f) << shift
        shift += 7
    return p + 1
