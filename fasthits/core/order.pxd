"""The order of the rows of a hit table: by day and path, or by day, views and path.

Rows stay where they are. Only their places, 16 bytes each, are sorted, by multikey quicksort (Bentley and Sedgewick,
1997). It sorts by one key of eight bytes after the other: the day; the views, if the caller asks for it; the path,
seven bytes at a time. A place holds the present key of its row, so most comparisons need not read the row. Strangers
choose the paths. So pivots are random, and parts that still need sorting are on a stack of the program's own: no log
can make the sort take quadratic time or recurse deeply.

Several threads share a stack of large parts. A thread takes a part from the stack. It sorts a small part at once. It
splits a large part, and puts the pieces on the stack.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from fasthits.core.table cimport (
    Row, Table, drop_slots, hash_row, head_size, mix, prefetch_row, row_at, row_bytes, row_path, secrets,
    use_huge_pages, walked_row,
)
from fasthits.core.threads cimport (
    MAX_THREADS, in_threads, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init, pthread_cond_t,
    pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
    pthread_mutex_unlock,
)
from fasthits.core.tokens cimport load8

cdef extern from "<endian.h>" nogil:
    uint64_t from_big_endian "be64toh" (uint64_t word) noexcept

cdef enum:
    AHEAD = 16             # rows are prefetched so many places before they are needed
    SHORT_PART = 12        # places; shorter parts are sorted by insertion
    PATH_STEP = 7          # bytes of the path in a key; the key's last byte is their number
    SHARED_PART = 1 << 14  # places; larger parts are split for all threads

cdef enum:                 # levels of keys; BY_PATH + n: bytes of the path from n * PATH_STEP on
    BY_DAY, BY_VIEWS, BY_PATH

cdef struct Place:
    uint64_t key
    size_t offset          # of the row

cdef struct Order:         # the places of the rows of a table, and the number of places that have been read
    Place *places
    size_t count, next

cdef struct Part:          # places whose rows have the same keys in all levels before *level*
    size_t start, size
    uint64_t level
    bint keyed             # the places hold the keys of that level

cdef struct Parts:
    Part *part
    size_t count, capacity

cdef struct Sorting:       # shared by the threads
    const Table *table
    Place *places
    size_t count
    bint by_views
    uint64_t secret
    pthread_mutex_t lock   # guards the members that follow
    pthread_cond_t changed
    Parts parts            # the stack
    int busy               # threads that have a part, and may put more parts on the stack
    bint done              # False if memory ran out


cdef inline void prefetch_place(const Order *order, const Table *table, size_t place) noexcept nogil:
    """Ask for the row of a place that is read soon after *place*."""
    if place + AHEAD < order.count:
        prefetch_row(row_at(table, order.places[place + AHEAD].offset))


cdef inline uint64_t key_of(const Row *row, uint64_t level) noexcept nogil:
    """Return the key of a row at *level*."""
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
    """Tell whether *a* comes before *b*. Their keys are of *level*; in levels before it their rows have equal keys."""
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
    """Put a part on the stack, if it needs sorting; False if memory runs out."""
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
    """Split a part into keys before, at and after the pivot, and put the three parts on the stack.

    Places at the pivot have the same key, so they are next sorted by the key of the next level.
    """
    cdef size_t before = part.start
    cdef size_t i = part.start
    cdef size_t after = part.start + part.size
    cdef uint64_t next_level = part.level + (2 if part.level == BY_DAY and not by_views else 1)
    cdef Place place
    while i < after:
        place = places[i]
        if place.key < pivot:
            places[i], places[before] = places[before], place
            before += 1
            i += 1
        elif place.key > pivot:
            after -= 1
            places[i], places[after] = places[after], place
        else:
            i += 1
    return (
        push(parts, part.start, before - part.start, part.level, True)
        and push(parts, after, part.start + part.size - after, part.level, True)
        and push(parts, before, after - before, next_level, False)
    )


cdef inline bint sort_part(Sorting *sorting, Part part, Parts *parts, uint64_t *secret) noexcept nogil:
    """Sort a short part; split a longer part, and put the pieces on the stack. False if memory runs out."""
    cdef const Table *table = sorting.table
    cdef Place *places = sorting.places
    cdef size_t i
    if not part.keyed:
        for i in range(part.start, part.start + part.size):
            if i + AHEAD < sorting.count:
                prefetch_row(row_at(table, places[i + AHEAD].offset))
            places[i].key = key_of(row_at(table, places[i].offset), part.level)
    if part.size <= SHORT_PART:
        sort_by_insertion(table, places, part, sorting.by_views)
        return True
    secret[0] = mix(secret[0] ^ part.size, 0x9E3779B97F4A7C15ULL)
    return split(places, part, places[part.start + secret[0] % part.size].key, parts, sorting.by_views)


cdef inline bint sort_alone(Sorting *sorting, Part part, Parts *own, uint64_t *secret) noexcept nogil:
    """Sort a part and all its pieces; False if memory runs out."""
    cdef bint done = push(own, part.start, part.size, part.level, part.keyed)
    while done and own.count:
        own.count -= 1
        done = sort_part(sorting, own.part[own.count], own, secret)
    return done


cdef inline void sort_shared(void *job, int number) noexcept nogil:
    """Sort parts until the stack is empty and no other thread can put a part on it."""
    cdef Sorting *sorting = <Sorting *>job
    cdef Parts *shared = &sorting.parts
    cdef Parts own
    cdef Part part
    cdef Part *left
    cdef uint64_t secret = mix(sorting.secret, <uint64_t>number + 1)
    cdef bint done
    own.part, own.count, own.capacity = NULL, 0, 0
    pthread_mutex_lock(&sorting.lock)
    while True:
        while shared.count == 0 and sorting.busy and sorting.done:
            pthread_cond_wait(&sorting.changed, &sorting.lock)
        if shared.count == 0 or not sorting.done:
            break
        shared.count -= 1
        part = shared.part[shared.count]
        sorting.busy += 1
        pthread_mutex_unlock(&sorting.lock)
        if part.size <= SHARED_PART:
            done = sort_alone(sorting, part, &own, &secret)
        else:
            done = sort_part(sorting, part, &own, &secret)
        pthread_mutex_lock(&sorting.lock)
        while done and own.count:
            own.count -= 1
            left = &own.part[own.count]
            done = push(shared, left.start, left.size, left.level, left.keyed)
        sorting.done = sorting.done and done
        sorting.busy -= 1
        pthread_cond_broadcast(&sorting.changed)
    pthread_mutex_unlock(&sorting.lock)
    free(own.part)


cdef inline bint sort_places(
    const Table *table, Place *places, size_t count, const size_t *ends, size_t parts, bint by_views, int threads
) noexcept nogil:
    """Sort each part of the places, which ends at one of *ends*; False if memory runs out: nothing is sorted then."""
    cdef Sorting sorting
    cdef size_t part
    cdef size_t start = 0
    sorting.table, sorting.places, sorting.count = table, places, count
    sorting.by_views, sorting.secret = by_views, secrets[0]
    sorting.parts.part, sorting.parts.count, sorting.parts.capacity = NULL, 0, 0
    sorting.busy = 0
    sorting.done = True
    for part in range(parts):
        sorting.done = sorting.done and push(&sorting.parts, start, ends[part] - start, BY_DAY, False)
        start = ends[part]
    pthread_mutex_init(&sorting.lock, NULL)
    pthread_cond_init(&sorting.changed, NULL)
    in_threads(sort_shared, &sorting, <int>min(<size_t>min(threads, <int>MAX_THREADS), 1 + count // SHARED_PART))
    pthread_cond_destroy(&sorting.changed)
    pthread_mutex_destroy(&sorting.lock)
    free(sorting.parts.part)
    return sorting.done


cdef inline size_t place_rows(const Table *table, Place *places) noexcept nogil:
    """Set the places of all rows with views, and return their number."""
    cdef size_t offset = 0
    cdef size_t count = 0
    cdef const Row *row
    while offset < table.used:
        row = walked_row(table, offset)
        if row.views:
            places[count].offset = offset
            count += 1
        offset += row_bytes(row.size)
    return count


cdef inline size_t part_of_row(const Row *row, const uint64_t *key, size_t parts) noexcept nogil:
    """Return the part of a row. It depends on the day, and on the path up to a newline."""
    return <size_t>((hash_row(key, row.day, row_path(row), head_size(row)) >> 32) * parts >> 32)


cdef inline void group_places(
    const Table *table, Place *places, size_t count, const uint64_t *key, size_t *ends, size_t parts
) noexcept nogil:
    """Sort the places by part, and set *ends*. As many places again, after the *count* places, are used for this."""
    cdef Place *grouped = places + count
    cdef size_t at, part
    cdef size_t end = 0
    memset(ends, 0, parts * sizeof(size_t))
    for at in range(count):
        places[at].key = part_of_row(row_at(table, places[at].offset), key, parts)
        ends[places[at].key] += 1
    for part in range(parts):
        end, ends[part] = end + ends[part], end
    for at in range(count):
        part = places[at].key
        grouped[ends[part]] = places[at]
        ends[part] += 1
    memcpy(places, grouped, count * sizeof(Place))


cdef inline bint put_in_order(
    Order *order, Table *table, bint by_views, int threads, const uint64_t *key, size_t *ends, size_t parts
) noexcept nogil:
    """Sort the places of all rows with views, in each of *parts* parts, and set their *ends*; False if memory runs out.

    *key* holds the secrets of the hash that chooses a row's part.
    """
    cdef size_t size = (table.rows + 1) * sizeof(Place) * (1 + (parts > 1))
    drop_slots(table)    # the index has the size of the places, and no row will be added
    order.places = <Place *>malloc(size)
    if order.places == NULL:
        return False
    use_huge_pages(order.places, size)
    order.count = place_rows(table, order.places)
    ends[0] = order.count
    if parts > 1:
        group_places(table, order.places, order.count, key, ends, parts)
    return sort_places(table, order.places, order.count, ends, parts, by_views, threads)
