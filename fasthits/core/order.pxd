"""The order of the rows of a hit table: by day and path, or by day, views and path.

Rows stay where they are. Only their places, 16 bytes each, are sorted, by multikey quicksort (Bentley and Sedgewick,
1997). It sorts by one key of eight bytes after the other: the day; the views, if the caller asks for it; the path,
seven bytes at a time. A place holds the present key of its row, so most comparisons need not read the row. Strangers
choose the paths. So pivots are random, and the stretches of places that still need sorting are on a stack of the
program's own: no log can make the sort take quadratic time or recurse deeply.

Several threads share a stack of long stretches. A thread takes a stretch from the stack. It sorts a short stretch at
once. It splits a long stretch into three, and puts these on the stack.
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
    SHORT_STRETCH = 12     # places; shorter stretches are sorted by insertion
    PATH_STEP = 7          # bytes of the path in a key; the key's last byte is their number
    SHARED_STRETCH = 1 << 14    # places; longer stretches are split for all threads

cdef enum:                 # levels of keys; BY_PATH + n: bytes of the path from n * PATH_STEP on
    BY_DAY, BY_VIEWS, BY_PATH

cdef struct Place:
    uint64_t key
    size_t offset          # of the row

cdef struct Order:         # the places of the rows of a table, and the number of places that have been read
    Place *places
    size_t count, next

cdef struct Stretch:       # places whose rows have the same keys in all levels before *level*
    size_t start, size
    uint64_t level
    bint keyed             # the places hold the keys of that level

cdef struct Stack:         # of stretches that need sorting
    Stretch *stretch
    size_t count, capacity

cdef struct Sorting:       # shared by the threads
    const Table *table
    Place *places
    size_t count
    bint by_views
    uint64_t secret
    pthread_mutex_t lock   # guards the members that follow
    pthread_cond_t changed
    Stack stack
    int busy               # threads that have a stretch, and may put more stretches on the stack
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


cdef inline void sort_by_insertion(const Table *table, Place *places, Stretch stretch, bint by_views) noexcept nogil:
    cdef Place place
    cdef size_t i, j
    for i in range(stretch.start + 1, stretch.start + stretch.size):
        place = places[i]
        j = i
        while j > stretch.start and is_before(table, &place, &places[j - 1], stretch.level, by_views):
            places[j] = places[j - 1]
            j -= 1
        places[j] = place


cdef inline bint push(Stack *stack, size_t start, size_t size, uint64_t level, bint keyed) noexcept nogil:
    """Put a stretch on the stack, if it needs sorting; False if memory runs out."""
    cdef size_t capacity
    cdef Stretch *grown
    cdef Stretch *stretch
    if size < 2:
        return True
    if stack.count == stack.capacity:
        capacity = 2 * stack.capacity + 64
        grown = <Stretch *>realloc(stack.stretch, capacity * sizeof(Stretch))
        if grown == NULL:
            return False
        stack.stretch, stack.capacity = grown, capacity
    stretch = &stack.stretch[stack.count]
    stretch.start, stretch.size, stretch.level, stretch.keyed = start, size, level, keyed
    stack.count += 1
    return True


cdef inline bint split(Place *places, Stretch stretch, uint64_t pivot, Stack *stack, bint by_views) noexcept nogil:
    """Split a stretch into keys before, at and after the pivot, and put the three stretches on the stack.

    Places at the pivot have the same key, so they are next sorted by the key of the next level.
    """
    cdef size_t before = stretch.start
    cdef size_t i = stretch.start
    cdef size_t after = stretch.start + stretch.size
    cdef uint64_t next_level = stretch.level + (2 if stretch.level == BY_DAY and not by_views else 1)
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
        push(stack, stretch.start, before - stretch.start, stretch.level, True)
        and push(stack, after, stretch.start + stretch.size - after, stretch.level, True)
        and push(stack, before, after - before, next_level, False)
    )


cdef inline bint sort_stretch(Sorting *sorting, Stretch stretch, Stack *stack, uint64_t *secret) noexcept nogil:
    """Sort a short stretch; split a longer stretch, and put the three on the stack. False if memory runs out."""
    cdef const Table *table = sorting.table
    cdef Place *places = sorting.places
    cdef size_t i
    if not stretch.keyed:
        for i in range(stretch.start, stretch.start + stretch.size):
            if i + AHEAD < sorting.count:
                prefetch_row(row_at(table, places[i + AHEAD].offset))
            places[i].key = key_of(row_at(table, places[i].offset), stretch.level)
    if stretch.size <= SHORT_STRETCH:
        sort_by_insertion(table, places, stretch, sorting.by_views)
        return True
    secret[0] = mix(secret[0] ^ stretch.size, 0x9E3779B97F4A7C15ULL)
    return split(places, stretch, places[stretch.start + secret[0] % stretch.size].key, stack, sorting.by_views)


cdef inline bint sort_alone(Sorting *sorting, Stretch stretch, Stack *own, uint64_t *secret) noexcept nogil:
    """Sort a stretch and all that it is split into; False if memory runs out."""
    cdef bint done = push(own, stretch.start, stretch.size, stretch.level, stretch.keyed)
    while done and own.count:
        own.count -= 1
        done = sort_stretch(sorting, own.stretch[own.count], own, secret)
    return done


cdef inline void sort_shared(void *job, int number) noexcept nogil:
    """Sort stretches until the stack is empty and no other thread can put a stretch on it."""
    cdef Sorting *sorting = <Sorting *>job
    cdef Stack *shared = &sorting.stack
    cdef Stack own
    cdef Stretch stretch
    cdef Stretch *left
    cdef uint64_t secret = mix(sorting.secret, <uint64_t>number + 1)
    cdef bint done
    own.stretch, own.count, own.capacity = NULL, 0, 0
    pthread_mutex_lock(&sorting.lock)
    while True:
        while shared.count == 0 and sorting.busy and sorting.done:
            pthread_cond_wait(&sorting.changed, &sorting.lock)
        if shared.count == 0 or not sorting.done:
            break
        shared.count -= 1
        stretch = shared.stretch[shared.count]
        sorting.busy += 1
        pthread_mutex_unlock(&sorting.lock)
        if stretch.size <= SHARED_STRETCH:
            done = sort_alone(sorting, stretch, &own, &secret)
        else:
            done = sort_stretch(sorting, stretch, &own, &secret)
        pthread_mutex_lock(&sorting.lock)
        while done and own.count:
            own.count -= 1
            left = &own.stretch[own.count]
            done = push(shared, left.start, left.size, left.level, left.keyed)
        sorting.done = sorting.done and done
        sorting.busy -= 1
        pthread_cond_broadcast(&sorting.changed)
    pthread_mutex_unlock(&sorting.lock)
    free(own.stretch)


cdef inline bint sort_places(
    const Table *table, Place *places, size_t count, const size_t *ends, size_t groups, bint by_views, int threads
) noexcept nogil:
    """Sort each group of the places, which ends at one of *ends*; False if memory runs out: nothing is sorted then."""
    cdef Sorting sorting
    cdef size_t group
    cdef size_t start = 0
    sorting.table, sorting.places, sorting.count = table, places, count
    sorting.by_views, sorting.secret = by_views, secrets[0]
    sorting.stack.stretch, sorting.stack.count, sorting.stack.capacity = NULL, 0, 0
    sorting.busy = 0
    sorting.done = True
    for group in range(groups):
        sorting.done = sorting.done and push(&sorting.stack, start, ends[group] - start, BY_DAY, False)
        start = ends[group]
    pthread_mutex_init(&sorting.lock, NULL)
    pthread_cond_init(&sorting.changed, NULL)
    in_threads(sort_shared, &sorting, <int>min(<size_t>min(threads, <int>MAX_THREADS), 1 + count // SHARED_STRETCH))
    pthread_cond_destroy(&sorting.changed)
    pthread_mutex_destroy(&sorting.lock)
    free(sorting.stack.stretch)
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


cdef inline size_t group_of_row(const Row *row, const uint64_t *key, size_t groups) noexcept nogil:
    """Return the group of a row. It depends on the day, and on the path up to a newline."""
    return <size_t>((hash_row(key, row.day, row_path(row), head_size(row)) >> 32) * groups >> 32)


cdef inline void group_places(
    const Table *table, Place *places, size_t count, const uint64_t *key, size_t *ends, size_t groups
) noexcept nogil:
    """Sort the places by group, and set *ends*. As many places again, after the *count* places, are used for this."""
    cdef Place *grouped = places + count
    cdef size_t at, group
    cdef size_t end = 0
    memset(ends, 0, groups * sizeof(size_t))
    for at in range(count):
        places[at].key = group_of_row(row_at(table, places[at].offset), key, groups)
        ends[places[at].key] += 1
    for group in range(groups):
        end, ends[group] = end + ends[group], end
    for at in range(count):
        group = places[at].key
        grouped[ends[group]] = places[at]
        ends[group] += 1
    memcpy(places, grouped, count * sizeof(Place))


cdef inline bint put_in_order(
    Order *order, Table *table, bint by_views, int threads, const uint64_t *key, size_t *ends, size_t groups
) noexcept nogil:
    """Sort the places of all rows with views, in each of *groups* groups, and set the *ends* of the groups.

    *key* holds the secrets of the hash that chooses a row's group. False if memory runs out.
    """
    cdef size_t size = (table.rows + 1) * sizeof(Place) * (1 + (groups > 1))
    drop_slots(table)    # the index has the size of the places, and no row will be added
    order.places = <Place *>malloc(size)
    if order.places == NULL:
        return False
    use_huge_pages(order.places, size)
    order.count = place_rows(table, order.places)
    ends[0] = order.count
    if groups > 1:
        group_places(table, order.places, order.count, key, ends, groups)
    return sort_places(table, order.places, order.count, ends, groups, by_views, threads)
