"""Merges several hit tables, with several threads.

The rows of all tables are appended to the arena of one table, byte for byte. If several tables can have a row of the
same day and path, such rows are then joined: the first row gets the views of all, and the others become dead, without a
day. All hashes are divided into parts, and each thread joins the rows of one part. For this a part has its own index,
which is just large enough and is freed afterwards.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fasthits.core.table cimport (
    AHEAD_BYTES, NO_DAY, RELEASED_BYTES, Row, Table, drop_slots, free_table, prefetch, release_rows, reserve, row_at,
    row_bytes, row_path, slot_of, slot_offset, use_huge_pages, walked_row,
)
from fasthits.core.threads cimport MAX_THREADS, in_threads

cdef enum:
    THREAD_ROWS = 1 << 14      # fewer rows are not worth a thread

cdef struct Part:
    uint64_t *slots
    size_t size                # number of slots, more than the rows
    size_t rows                # that differ in day or path

cdef struct Gathering:
    Table *table
    Table *others              # their rows are appended to *table*
    int count, threads
    Part[MAX_THREADS] part
    size_t[MAX_THREADS][MAX_THREADS] rows    # the number of rows that each thread has found for each part


cdef inline int part_of(uint64_t hash, int parts) noexcept nogil:
    return <int>((hash >> 32) * <uint64_t>parts >> 32)


cdef inline size_t place_in(const Part *part, uint64_t hash) noexcept nogil:
    return <uint64_t><uint32_t>hash * part.size >> 32


cdef inline void count_rows(void *job, int number) noexcept nogil:
    """Count the rows for each part, in the tables of one thread: every *threads*-th table."""
    cdef Gathering *gathering = <Gathering *>job
    cdef const Table *table
    cdef const Row *row
    cdef size_t offset
    cdef int at = number
    while at <= gathering.count:
        table = &gathering.others[at - 1] if at else gathering.table
        offset = 0
        while offset < table.used:
            row = walked_row(table, offset)
            gathering.rows[number][part_of(row.hash, gathering.threads)] += 1
            offset += row_bytes(row.size)
        at += gathering.threads


cdef inline void append_rows(void *job, int number) noexcept nogil:
    """Append the same slice of each other table to the rows, and give back its memory on the way."""
    cdef Gathering *gathering = <Gathering *>job
    cdef Table *other
    cdef char *to = gathering.table.arena + gathering.table.used
    cdef size_t at, step, end, released
    cdef int i
    for i in range(gathering.count):
        other = &gathering.others[i]
        at = other.used // gathering.threads * number
        end = other.used // gathering.threads * (number + 1) if number + 1 < gathering.threads else other.used
        released = at
        while at < end:
            step = min(end - at, <size_t>RELEASED_BYTES)
            memcpy(to + at, other.arena + at, step)
            at += step
            released = release_rows(other, released, at)
        to += other.used


cdef inline void join_rows(void *job, int number) noexcept nogil:
    """Join the rows of one part that have the same day and path."""
    cdef Gathering *gathering = <Gathering *>job
    cdef Table *table = gathering.table
    cdef Part *part = &gathering.part[number]
    cdef size_t offset = 0
    cdef size_t ahead = 0
    cdef Row *row
    memset(part.slots, 0, part.size * sizeof(uint64_t))
    while offset < table.used:
        while ahead < table.used and ahead < offset + AHEAD_BYTES:
            row = row_at(table, ahead)
            if part_of(row.hash, gathering.threads) == number:
                prefetch(&part.slots[place_in(part, row.hash)])
            ahead += row_bytes(row.size)
        row = row_at(table, offset)
        if part_of(row.hash, gathering.threads) == number and row.day != NO_DAY:
            join_row(table, part, row, offset)
        offset += row_bytes(row.size)


cdef inline void join_row(Table *table, Part *part, Row *row, size_t offset) noexcept nogil:
    """Add the views of a row to the first row of its day and path, or remember it as the first."""
    cdef size_t i = place_in(part, row.hash)
    cdef Row *first
    while part.slots[i] != 0:
        if part.slots[i] >> 40 == row.hash >> 40:
            first = row_at(table, slot_offset(part.slots[i]))
            if is_same_row(first, row):
                first.views += row.views
                row.views, row.day = 0, NO_DAY
                return
        i = i + 1 if i + 1 < part.size else 0
    part.slots[i] = slot_of(row.hash, offset)
    part.rows += 1


cdef inline bint is_same_row(const Row *a, const Row *b) noexcept nogil:
    return a.hash == b.hash and a.day == b.day and a.size == b.size and memcmp(row_path(a), row_path(b), a.size) == 0


cdef inline bint make_slots(Gathering *gathering) noexcept nogil:
    """Give each part a quarter more slots than it has rows; False if memory runs out."""
    cdef size_t size = 0
    cdef uint64_t *slots
    cdef Part *part
    cdef int i, number
    for i in range(gathering.threads):
        part = &gathering.part[i]
        for number in range(gathering.threads):
            part.size += gathering.rows[number][i]
        part.size += part.size // 4 + 1
        size += part.size
    slots = <uint64_t *>malloc(size * sizeof(uint64_t))
    if slots == NULL:
        return False
    use_huge_pages(slots, size * sizeof(uint64_t))
    for i in range(gathering.threads):
        gathering.part[i].slots = slots
        slots += gathering.part[i].size
    return True


cdef inline bint join_equal_rows(Gathering *gathering) noexcept nogil:
    cdef size_t rows = 0
    cdef int i
    if not make_slots(gathering):
        return False
    in_threads(join_rows, gathering, gathering.threads)
    for i in range(gathering.threads):
        rows += gathering.part[i].rows
    gathering.table.rows = rows
    free(gathering.part[0].slots)
    return True


cdef inline bint gather_rows(Table *table, Table *others, int count, int threads, bint apart) noexcept nogil:
    """Move the rows of *others* to *table*, and free its index; False if memory runs out: some rows are then lost.

    If the tables are *apart*, no two tables have a row of the same day and path.
    """
    cdef Gathering gathering
    cdef size_t rows = table.rows
    cdef size_t used = 0
    cdef int i
    memset(&gathering, 0, sizeof(gathering))
    gathering.table, gathering.others, gathering.count = table, others, count
    for i in range(count):
        rows += others[i].rows
        if table.used == 0:
            table[0], others[i] = others[i], table[0]    # the first rows need not be copied
        drop_slots(&others[i])
        used += others[i].used
    drop_slots(table)
    gathering.threads = <int>min(<size_t>min(threads, <int>MAX_THREADS), 1 + rows // THREAD_ROWS)
    if not apart:
        in_threads(count_rows, &gathering, gathering.threads)
    if not reserve(table, used):
        return False
    in_threads(append_rows, &gathering, gathering.threads)
    table.used += used
    table.rows = rows
    for i in range(count):
        free_table(&others[i])
    return apart or join_equal_rows(&gathering)
