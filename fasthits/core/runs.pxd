"""Runs: rows in order, written as bytes for a file or another machine, and merged with other runs.

A run consists of pieces. A piece has whole rows, and can be read without the other pieces. A row is four things: the
difference of its day to the day of the previous row, its views, the size of its path (three varints), and its path.
A heap holds the next row of each run, and the first of these rows is written next. So a merge needs memory for one
piece of each run, however many rows the runs have.

Anybody may have written the files that pieces come from. So everything is checked: no byte after a piece is read, and
bytes that this module cannot have written are damage.
"""

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from fasthits.core.counts cimport LAST_DAY, has_day
from fasthits.core.order cimport Order, from_big_endian, prefetch_place
from fasthits.core.table cimport (
    DONE, NO_DAY, NO_MEMORY, NO_ROOM, SECRETS, Outcome, Row, Table, add_views, hash_row, little8, mix, row_at, row_path,
    secrets,
)
from fasthits.core.tokens cimport MAX_LINE, Span, has_memory, load8
from fasthits.core.varints cimport read_varint, write_varint

cdef enum:
    PIECE_BYTES = 1 << 17      # a piece ends after the row with which it reaches this size
    MAX_PATH = 4 * MAX_LINE    # each byte may have become ``\xhh``
    MAX_ROW = 18               # the most bytes of a row without its path
    KEY_BYTES = 16
    MAX_GROUPS = 1 << 16

cdef enum:                     # why `merge_rows` has stopped
    ALL_MERGED, PIECE_FULL, PIECE_READ, ROWS_DAMAGED, NO_MEMORY_TO_MERGE

cdef struct Entry:             # a row of a piece
    int32_t day
    uint64_t views
    Span path

cdef struct Piece:             # rows that are being written
    char *start
    size_t size, capacity
    int32_t day                # of the last row

cdef struct Run:               # a run that is being read
    const unsigned char *p     # the unread rest of its present piece, after *row*
    const unsigned char *end
    Entry row                  # its next row
    uint64_t prefix            # the first bytes of the row's path

cdef struct Merge:
    Run *runs
    int *heap                  # numbers of the runs that have rows; the run with the first row is in front
    int count
    bint by_views
    uint8_t *wanted            # a bit for each day; NULL: every day
    Run last                   # the row to which equal rows are added; its path is in *text*
    char *text
    size_t capacity
    bint has_row
    Piece out


cdef inline bint write_row(Piece *piece, int32_t day, uint64_t views, const char *path, size_t size) noexcept nogil:
    """Write the next row. Its day must not be before that of the previous row. False if memory runs out."""
    cdef size_t needed = piece.size + MAX_ROW + size
    cdef char *start
    cdef unsigned char *out
    if needed > piece.capacity:
        start = <char *>realloc(piece.start, needed + PIECE_BYTES)
        if start == NULL:
            return False
        piece.start, piece.capacity = start, needed + PIECE_BYTES
    out = write_varint(<unsigned char *>piece.start + piece.size, <uint64_t>(day - piece.day))
    out = write_varint(write_varint(out, views), size)
    if size:
        memcpy(out, path, size)
    piece.size = <size_t>(<char *>out - piece.start) + size
    piece.day = day
    return True


cdef inline const unsigned char *read_row(const unsigned char *p, const unsigned char *end, Entry *row) noexcept nogil:
    """Read the row after *row*, whose day is 0 before the first row. Return NULL for damage."""
    cdef uint64_t days = 0, size = 0
    p = read_varint(p, end, &days)
    if p == NULL or days > <uint64_t>(LAST_DAY - row.day):
        return NULL
    row.day += <int32_t>days
    p = read_varint(p, end, &row.views)
    if p == NULL or row.views == 0 or row.day == NO_DAY:
        return NULL
    p = read_varint(p, end, &size)
    if p == NULL or size > <uint64_t>(end - p) or size > <uint64_t>MAX_PATH:
        return NULL
    row.path.start, row.path.size = <const char *>p, <size_t>size
    return p + size


cdef inline bint is_sound(const unsigned char *p, const unsigned char *end) noexcept nogil:
    """Tell whether a piece has only whole rows."""
    cdef Entry row
    row.day = 0
    while p != end:
        p = read_row(p, end, &row)
        if p == NULL:
            return False
    return True


cdef inline Outcome load_rows(
    Table *table, const unsigned char *p, const unsigned char *end, size_t max_rows, uint64_t *dropped
) noexcept nogil:
    """Add the rows of a sound piece. If memory runs out, only some of the rows are added."""
    cdef Outcome outcome = DONE
    cdef Entry row
    row.day = 0
    while p != end and outcome != NO_MEMORY:
        p = read_row(p, end, &row)
        if p == NULL:
            break
        outcome = add_views(
            table, hash_row(secrets, row.day, row.path.start, row.path.size), row.day, row.path, row.views, max_rows
        )
        if outcome == NO_ROOM:
            dropped[0] += row.views
    return outcome


cdef inline size_t write_rows(
    Piece *piece, const Table *table, const Order *order, size_t start, size_t end
) noexcept nogil:
    """Write rows from the place *start* on into a new piece; return the place after them.

    This is *start* if memory runs out, or if the first row's views have more than 63 bits.
    """
    cdef const Row *row
    piece.size, piece.day = 0, 0
    while start < end and piece.size < <size_t>PIECE_BYTES:
        prefetch_place(order, table, start)
        row = row_at(table, order.places[start].offset)
        if row.views >> 63 or not write_row(piece, row.day, row.views, row_path(row), row.size):
            break
        start += 1
    return start


cdef inline uint64_t prefix_of(Span path) noexcept nogil:
    """Return the first bytes of a path as a number. If two numbers differ, the paths have the same order."""
    cdef uint64_t word = 0
    if path.size >= 8:
        return from_big_endian(load8(path.start))
    if path.size:
        memcpy(&word, path.start, path.size)
    return from_big_endian(word)


cdef inline int compare_rows(const Run *a, const Run *b, bint by_views) noexcept nogil:
    """Return less than 0 if the row of *a* comes before the row of *b*, and 0 if their day and path are equal."""
    cdef int order = 0
    cdef size_t shared = min(a.row.path.size, b.row.path.size)
    if a.row.day != b.row.day:
        return -1 if a.row.day < b.row.day else 1
    if by_views and a.row.views != b.row.views:
        return -1 if a.row.views > b.row.views else 1
    if a.prefix != b.prefix:
        return -1 if a.prefix < b.prefix else 1
    if shared:
        order = memcmp(a.row.path.start, b.row.path.start, shared)
    return order if order else (a.row.path.size > b.row.path.size) - (a.row.path.size < b.row.path.size)


cdef inline bint next_row(Run *run) noexcept nogil:
    """Read the next row of the present piece, which must have an unread row; False for damage."""
    run.p = read_row(run.p, run.end, &run.row)
    if run.p == NULL:
        return False
    run.prefix = prefix_of(run.row.path)
    return True


cdef inline void sink(Merge *merge) noexcept nogil:
    """Move the first run of the heap to the place of its next row."""
    cdef int at = 0, child
    cdef int moved = merge.heap[0]
    while True:
        child = 2 * at + 1
        if child >= merge.count:
            break
        if child + 1 < merge.count and compare_rows(
            &merge.runs[merge.heap[child + 1]], &merge.runs[merge.heap[child]], merge.by_views
        ) < 0:
            child += 1
        if compare_rows(&merge.runs[moved], &merge.runs[merge.heap[child]], merge.by_views) <= 0:
            break
        merge.heap[at] = merge.heap[child]
        at = child
    merge.heap[at] = moved


cdef inline void rise(Merge *merge, int run) noexcept nogil:
    """Put a run that has a row into the heap."""
    cdef int at = merge.count, parent
    merge.count += 1
    while at:
        parent = (at - 1) // 2
        if compare_rows(&merge.runs[run], &merge.runs[merge.heap[parent]], merge.by_views) >= 0:
            break
        merge.heap[at] = merge.heap[parent]
        at = parent
    merge.heap[at] = run


cdef inline void leave(Merge *merge) noexcept nogil:
    """Remove the first run from the heap. It has no more rows."""
    merge.count -= 1
    if merge.count:
        merge.heap[0] = merge.heap[merge.count]
        sink(merge)


cdef inline bint keep_row(Merge *merge, const Run *first) noexcept nogil:
    """Keep a row, so that equal rows can be added to it; False if memory runs out."""
    cdef size_t size = first.row.path.size
    if not has_memory(&merge.text, &merge.capacity, size):
        return False
    if size:
        memcpy(merge.text, first.row.path.start, size)
    merge.last = first[0]
    merge.last.row.path.start = merge.text
    merge.has_row = True
    return True


cdef inline bint write_last(Merge *merge) noexcept nogil:
    """Write the row that was kept, if its day is wanted; False if memory runs out."""
    cdef const Entry *row = &merge.last.row
    merge.has_row = False
    if merge.wanted != NULL and not has_day(merge.wanted, row.day):
        return True
    return write_row(&merge.out, row.day, row.views, row.path.start, row.path.size)


cdef inline int merge_rows(Merge *merge) noexcept nogil:
    """Write rows until the piece is full or all rows are written.

    After PIECE_READ the caller gives the first run of the heap its next piece, or calls `leave` if it has none.
    """
    cdef Run *first
    cdef int order
    while merge.count:
        first = &merge.runs[merge.heap[0]]
        order = compare_rows(first, &merge.last, merge.by_views) if merge.has_row else 1
        if order < 0 or (order == 0 and merge.by_views):
            return ROWS_DAMAGED    # a run is not in order
        if order == 0:
            if first.row.views > (<uint64_t>-1 >> 1) - merge.last.row.views:
                return ROWS_DAMAGED
            merge.last.row.views += first.row.views
        else:
            if merge.has_row and not write_last(merge):
                return NO_MEMORY_TO_MERGE
            if merge.out.size >= <size_t>PIECE_BYTES:
                return PIECE_FULL
            if not keep_row(merge, first):
                return NO_MEMORY_TO_MERGE
        if first.p == first.end:
            return PIECE_READ
        if not next_row(first):
            return ROWS_DAMAGED
        sink(merge)
    if merge.has_row and not write_last(merge):
        return NO_MEMORY_TO_MERGE
    return ALL_MERGED


cdef inline void free_merge(Merge *merge) noexcept nogil:
    free(merge.runs)
    free(merge.heap)
    free(merge.wanted)
    free(merge.text)
    free(merge.out.start)


cdef inline void make_secrets(uint64_t *made, const char *key) noexcept nogil:
    """Make the secrets of `hash_row` from KEY_BYTES, the same in every process."""
    cdef int i
    for i in range(SECRETS):
        made[i] = mix(
            little8(key) ^ <uint64_t>(i + 1) * 0x9E3779B97F4A7C15ULL, little8(key + 8) ^ <uint64_t>(i + 1) << 56
        )
