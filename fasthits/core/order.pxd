"""The order of the rows of a hit table: by day and path, or by day, views and path.

Rows stay where they are; what is sorted are their places, 16 bytes each, by multikey quicksort (Bentley and Sedgewick,
1997): by one key of eight bytes after the other, day, then views where asked for, then the path seven bytes at a time.
A place carries its row's present key, so that most comparisons need not look at the row. Pivots are drawn at random
and the parts that wait are kept on a stack of our own, because strangers choose the paths: no log makes it quadratic,
or deep.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

from fasthits.core.table cimport (
    Row, Table, drop_slots, mix, prefetch_row, row_at, row_bytes, row_path, secrets,
)
from fasthits.core.tokens cimport load8

cdef extern from "<endian.h>" nogil:
    uint64_t from_big_endian "be64toh" (uint64_t word) noexcept

cdef enum:
    AHEAD = 16             # places whose rows are asked for before they are needed, as they lie anywhere in memory
    SHORT_PART = 12        # is sorted by insertion
    PATH_STEP = 7          # bytes of path in a key; its last byte says how many there were

cdef enum:                 # levels
    BY_DAY, BY_VIEWS, BY_PATH

cdef struct Place:
    uint64_t key
    size_t offset          # of the row

cdef struct Order:         # the places of the rows of a table, and how many of them have been read
    Place *places
    size_t count, next

cdef struct Part:          # places whose rows are equal in all keys before this one
    size_t start, size
    uint64_t level
    bint keyed             # whether the places carry the keys of that level

cdef struct Parts:
    Part *part
    size_t count, capacity


cdef inline uint64_t key_of(const Row *row, uint64_t level) noexcept nogil:
    """Return what rows are sorted by at *level*: of a path BY_PATH and those behind it."""
    cdef size_t at, left
    cdef uint64_t word = 0
    if level == BY_DAY:
        return <uint64_t>row.day
    if level == BY_VIEWS:
        return ~row.views
    at = (level - BY_PATH) * PATH_STEP
    left = row.size - at if row.size > at else 0
    if left >= 8:
        return (from_big_endian(load8(row_path(row) + at)) & ~<uint64_t>0xFF) | 8
    memcpy(&word, row_path(row) + at, left)
    return from_big_endian(word) | left


cdef inline int compare_paths(const Row *a, const Row *b) noexcept nogil:
    cdef int order = memcmp(row_path(a), row_path(b), min(a.size, b.size))
    return order if order else (a.size > b.size) - (a.size < b.size)


cdef inline bint is_before(
    const Table *table, const Place *a, const Place *b, uint64_t level, bint by_views
) noexcept nogil:
    """Tell whether *a* comes before *b*, whose keys are of *level* and which are equal before it."""
    cdef const Row *row
    cdef const Row *other
    if a.key != b.key:
        return a.key < b.key
    row, other = row_at(table, a.offset), row_at(table, b.offset)
    if level == BY_DAY and by_views and row.views != other.views:
        return row.views > other.views
    return compare_paths(row, other) < 0


cdef inline void sort_by_insertion(const Table *table, Place *places, Part part, bint by_views) noexcept nogil:
    cdef Place place
    cdef size_t i, j
    for i in range(part.start + 1, part.start + part.size):
        place = places[i]
        j = i
        while j > part.start and is_before(table, &place, &places[j - 1], part.level, by_views):
            places[j] = places[j - 1]
            j -= 1
        places[j] = place


cdef inline bint push(Parts *parts, size_t start, size_t size, uint64_t level, bint keyed) noexcept nogil:
    """Put a part aside, if there is anything to sort in it; False without memory."""
    cdef size_t capacity
    cdef Part *grown
    cdef Part *part
    if size < 2:
        return True
    if parts.count == parts.capacity:
        capacity = 2 * parts.capacity + 64
        grown = <Part *>realloc(parts.part, capacity * sizeof(Part))
        if grown == NULL:
            return False
        parts.part, parts.capacity = grown, capacity
    part = &parts.part[parts.count]
    part.start, part.size, part.level, part.keyed = start, size, level, keyed
    parts.count += 1
    return True


cdef inline bint split(Place *places, Part part, uint64_t pivot, Parts *parts, bint by_views) noexcept nogil:
    """Put the places before, at and behind the pivot together, and aside; those at it differ in the next key only."""
    cdef size_t before = part.start
    cdef size_t i = part.start
    cdef size_t behind = part.start + part.size
    cdef uint64_t next_level = part.level + (2 if part.level == BY_DAY and not by_views else 1)
    cdef Place place
    while i < behind:
        place = places[i]
        if place.key < pivot:
            places[i], places[before] = places[before], place
            before += 1
            i += 1
        elif place.key > pivot:
            behind -= 1
            places[i], places[behind] = places[behind], place
        else:
            i += 1
    return (
        push(parts, part.start, before - part.start, part.level, True)
        and push(parts, behind, part.start + part.size - behind, part.level, True)
        and push(parts, before, behind - before, next_level, False)
    )


cdef inline bint sort_places(
    const Table *table, Place *places, size_t count, bint by_views, uint64_t secret
) noexcept nogil:
    """Sort; False without memory, with the places in no order."""
    cdef Parts parts
    cdef Part part
    cdef size_t i
    cdef bint done
    parts.part, parts.count, parts.capacity = NULL, 0, 0
    done = push(&parts, 0, count, BY_DAY, False)
    while done and parts.count:
        parts.count -= 1
        part = parts.part[parts.count]
        if not part.keyed:
            for i in range(part.start, part.start + part.size):
                if i + AHEAD < count:
                    prefetch_row(row_at(table, places[i + AHEAD].offset))
                places[i].key = key_of(row_at(table, places[i].offset), part.level)
        if part.size <= SHORT_PART:
            sort_by_insertion(table, places, part, by_views)
        else:
            secret = mix(secret ^ part.size, 0x9E3779B97F4A7C15ULL)
            done = split(places, part, places[part.start + secret % part.size].key, &parts, by_views)
    free(parts.part)
    return done


cdef inline size_t place_rows(const Table *table, Place *places) noexcept nogil:
    """Fill in the places of all rows with views, and return how many."""
    cdef size_t offset = 0
    cdef size_t count = 0
    while offset < table.used:
        if row_at(table, offset).views:
            places[count].offset = offset
            count += 1
        offset += row_bytes(row_at(table, offset).size)
    return count


cdef inline bint put_in_order(Order *order, Table *table, bint by_views) noexcept nogil:
    """Sort the places of all rows with views; False without memory."""
    drop_slots(table)    # as large as the places, and not needed when all rows are there
    order.places = <Place *>malloc((table.rows + 1) * sizeof(Place))
    if order.places == NULL:
        return False
    order.count = place_rows(table, order.places)
    return sort_places(table, order.places, order.count, by_views, secrets[0])
