"""Packed sums: the views of many paths on a day, as bytes that hold pairs of an id and its views.

A pair holds the difference of its id to the previous id, a varint, and the views. The difference nearly always has one
byte. The views are two bytes, or ff ff and then eight bytes, the lowest byte first. So the processor nearly always
guesses where the next pair begins. If the views were varints, it would guess wrong at every third pair, and a pair
would take 10 ns instead of 2.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from fasthits.core.varints cimport read_varint, write_varint

cdef enum:
    SOME_PACKED = 1 << 12      # the first capacity in bytes
    MAX_PAIR = 19              # bytes: nine for the difference, ten for the views
    MANY_VIEWS = 0xffff

cdef struct Added:             # the result of reading packed sums
    uint64_t rows, views
    bint damaged


cdef inline unsigned char *write_pair(unsigned char *out, uint64_t difference, uint64_t views) noexcept nogil:
    """Write two numbers of at most 63 bits, in at most MAX_PAIR bytes."""
    cdef int i
    out = write_varint(out, difference)
    if views < MANY_VIEWS:
        out[0], out[1] = <unsigned char>views, <unsigned char>(views >> 8)
        return out + 2
    out[0], out[1] = 0xff, 0xff
    for i in range(8):
        out[2 + i] = <unsigned char>(views >> 8 * i)
    return out + 10


cdef inline bytes packed_pairs(pairs):
    """Return packed sums of (id, views) pairs, which must be in the order of their ids."""
    cdef unsigned char *start = NULL
    cdef unsigned char *more
    cdef size_t size = 0, capacity = 0
    cdef uint64_t before = 0, id, views
    try:
        for id, views in pairs:
            if id <= before or id >> 63 or views >> 63:
                raise ValueError("ids must rise from 1, and ids and views must have 63 bits at most")
            if capacity - size < MAX_PAIR:
                capacity = 2 * capacity + SOME_PACKED
                more = <unsigned char *>realloc(start, capacity)
                if more == NULL:
                    raise MemoryError
                start = more
            size = <size_t>(write_pair(start + size, id - before, views) - start)
            before = id
        return start[:size] if size else b""
    finally:
        free(start)


cdef inline const unsigned char *read_views(
    const unsigned char *p, const unsigned char *end, uint64_t *views
) noexcept nogil:
    """Read views; return NULL if bytes are missing."""
    cdef int i
    if end - p < 2:
        return NULL
    views[0] = p[0] | <uint64_t>p[1] << 8
    if views[0] != MANY_VIEWS:
        return p + 2
    if end - p < 10:
        return NULL
    views[0] = 0
    for i in range(8):
        views[0] |= <uint64_t>p[2 + i] << 8 * i
    return p + 10


cdef inline Added add_packed(
    const unsigned char *p, const unsigned char *end,
    uint64_t *sums, size_t count, const uint32_t *places, size_t ids,
) noexcept nogil:
    """Add the views of each id to the sum at the id's place. If *places* is NULL, the place is the id.

    Damage is an id of *ids* or more, a place of *count* or more, or a sum that overflows. Pairs before the damage have
    been added.
    """
    cdef Added added
    cdef uint64_t id = 0, difference = 0, views = 0, place
    added.rows, added.views, added.damaged = 0, 0, True
    while p != end:
        p = read_varint(p, end, &difference)
        if p == NULL or difference == 0 or difference >= ids - id:
            return added
        id += difference
        p = read_views(p, end, &views)
        if p == NULL:
            return added
        place = places[id] if places != NULL else id
        if place >= count or views > <uint64_t>-1 - sums[place] or views > <uint64_t>-1 - added.views:
            return added
        sums[place] += views
        added.rows += 1
        added.views += views
    added.damaged = False
    return added


cdef inline tuple added_sums(packed, sums, places):
    """Add packed sums to those in *sums*, at *places* or, if these are None, at their ids; return (rows, views)."""
    cdef Py_buffer source, target, by_id
    cdef Added added
    cdef bint has_places = places is not None
    PyObject_GetBuffer(packed, &source, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(sums, &target, PyBUF_WRITABLE)
        try:
            if has_places:
                PyObject_GetBuffer(places, &by_id, PyBUF_SIMPLE)
            try:
                if (target.len and <size_t>target.buf % sizeof(uint64_t)) or (
                    has_places and by_id.len and <size_t>by_id.buf % sizeof(uint32_t)
                ):
                    raise ValueError("numbers must be aligned")
                with nogil:
                    added = add_packed(
                        <const unsigned char *>source.buf, <const unsigned char *>source.buf + source.len,
                        <uint64_t *>target.buf, <size_t>target.len // sizeof(uint64_t),
                        <const uint32_t *>by_id.buf if has_places else NULL,
                        <size_t>by_id.len // sizeof(uint32_t) if has_places
                        else <size_t>target.len // sizeof(uint64_t),
                    )
            finally:
                if has_places:
                    PyBuffer_Release(&by_id)
        finally:
            PyBuffer_Release(&target)
    finally:
        PyBuffer_Release(&source)
    if added.damaged:
        raise ValueError("damaged sums")
    return added.rows, added.views
