"""Merges several hit tables, with several threads.

The rows of all tables are appended to the arena of one table, byte for byte. If several tables can have a row of the
same day and path, such rows are then joined: the first row gets the views of all, and the others become dead, without a
day. All hashes are divided into shards, and each thread joins the rows of one shard. For this a shard has its own
index, which is just large enough and is freed afterwards.
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

cdef struct Shard:
    uint64_t *slots
    size_t size                # number of slots, more than the rows
    size_t rows                # that differ in day or path

cdef struct Gathering:
    Table *table
    Table *others              # their rows are appended to *table*
    int count, threads
    Shard[MAX_THREADS] shard
    size_t[MAX_THREADS][MAX_THREADS] rows    # the number of rows that each thread has found for each shard


cdef inline int shard_of(uint64_t hash, int shards) noexcept nogil:
    return <int>((hash >> 32) * <uint64_t>shards >> 32)


cdef inline size_t place_in(const Shard *shard, uint64_t hash) noexcept nogil:
    return <uint64_t><uint32_t>hash * shard.size >> 32


cdef inline void count_rows(void *job, int number) noexcept nogil:
    """Count the rows for each shard, in the tables of one thread: every *threads*-th table."""
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
            gathering.rows[number][shard_of(row.hash, gathering.threads)] += 1
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
    """Join the rows of one shard that have the same day and path."""
    cdef Gathering *gathering = <Gathering *>job
    cdef Table *table = gathering.table
    cdef Shard *shard = &gathering.shard[number]
    cdef size_t offset = 0
    cdef size_t ahead = 0
    cdef Row *row
    memset(shard.slots, 0, shard.size * sizeof(uint64_t))
    while offset < table.used:
        while ahead < table.used and ahead < offset + AHEAD_BYTES:
            row = row_at(table, ahead)
            if shard_of(row.hash, gathering.threads) == number:
                prefetch(&shard.slots[place_in(shard, row.hash)])
            ahead += row_bytes(row.size)
        row = row_at(table, offset)
        if shard_of(row.hash, gathering.threads) == number and row.day != NO_DAY:
            join_row(table, shard, row, offset)
        offset += row_bytes(row.size)


cdef inline void join_row(Table *table, Shard *shard, Row *row, size_t offset) noexcept nogil:
    """Add the views of a row to the first row of its day and path, or remember it as the first."""
    cdef size_t i = place_in(shard, row.hash)
    cdef Row *first
    while shard.slots[i] != 0:
        if shard.slots[i] >> 40 == row.hash >> 40:
            first = row_at(table, slot_offset(shard.slots[i]))
            if is_same_row(first, row):
                first.views += row.views
                row.views, row.day = 0, NO_DAY
                return
        i = i + 1 if i + 1 < shard.size else 0
    shard.slots[i] = slot_of(row.hash, offset)
    shard.rows += 1


cdef inline bint is_same_row(const Row *a, const Row *b) noexcept nogil:
    return a.hash == b.hash and a.day == b.day and a.size == b.size and memcmp(row_path(a), row_path(b), a.size) == 0


cdef inline bint make_slots(Gathering *gathering) noexcept nogil:
    """Give each shard a quarter more slots than it has rows; False if memory runs out."""
    cdef size_t size = 0
    cdef uint64_t *slots
    cdef Shard *shard
    cdef int i, number
    for i in range(gathering.threads):
        shard = &gathering.shard[i]
        for number in range(gathering.threads):
            shard.size += gathering.rows[number][i]
        shard.size += shard.size // 4 + 1
        size += shard.size
    slots = <uint64_t *>malloc(size * sizeof(uint64_t))
    if slots == NULL:
        return False
    use_huge_pages(slots, size * sizeof(uint64_t))
    for i in range(gathering.threads):
        gathering.shard[i].slots = slots
        slots += gathering.shard[i].size
    return True


cdef inline bint join_equal_rows(Gathering *gathering) noexcept nogil:
    cdef size_t rows = 0
    cdef int i
    if not make_slots(gathering):
        return False
    in_threads(join_rows, gathering, gathering.threads)
    for i in range(gathering.threads):
        rows += gathering.shard[i].rows
    gathering.table.rows = rows
    free(gathering.shard[0].slots)
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
