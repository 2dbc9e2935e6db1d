"""Moves rows from hit tables to another, and rewrites paths that are not UTF-8."""

from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fasthits.core.counts cimport LAST_DAY, Tally, add_to_hour, place_views, remove_empty_rows
from fasthits.core.gather cimport gather_rows
from fasthits.core.lines cimport BUCKETS
from fasthits.core.table cimport (
    DONE, NO_DAY, NO_MEMORY, NO_ROOM, Outcome, Row, Table, add_views, drop_slots, free_slots, free_table, grow_slots,
    hash_row, prefetch, prefetch_slots, row_at, row_bytes, row_path, secrets, walked_row,
)
from fasthits.core.tokens cimport Span
from fasthits.core.utf8 cimport escape_bytes, is_utf8


cdef enum:
    FEW = 4                # if other tables have so many times fewer rows, these are added one by one
    AHEAD = 16             # slots are prefetched so many rows before they are needed
    MAX_SHARDS = 256

cdef struct Division:      # the rows of a table, divided into shards by their hashes
    size_t shards
    size_t *offsets        # offsets of all rows, those of the first shard first
    size_t[MAX_SHARDS] end  # where the offsets of each shard end


cdef inline bint add_slots(Table *table, size_t rows) noexcept nogil:
    """Make the index large enough for *rows* new rows; False if memory runs out."""
    while free_slots(table) < rows or table.slots == NULL:
        if not grow_slots(table):
            return False
    return True


cdef inline bint add_rows(Tally *tally, Table *other) noexcept nogil:
    """Add the rows of another table one by one; False if memory runs out: some rows are then in neither table."""
    cdef size_t offset = 0
    cdef size_t ahead = 0
    cdef size_t end = other.used
    cdef Row *row
    cdef Span path
    cdef Outcome outcome = DONE
    if end and not add_slots(&tally.table, min(other.rows, tally.max_rows)):
        return False
    drop_slots(other)
    while offset < end and outcome != NO_MEMORY:
        ahead = prefetch_slots(&tally.table, other, ahead, offset)
        row = row_at(other, offset)
        path.start, path.size = row_path(row), row.size
        if row.day != NO_DAY:
            outcome = add_views(&tally.table, row.hash, row.day, path, row.views, tally.max_rows)
        if outcome == NO_ROOM:
            tally.dropped += row.views
        offset += row_bytes(row.size)
    free_table(other)
    return outcome != NO_MEMORY


cdef inline bint move_tables(Tally *tally, Table *others, int count, int threads, bint apart) noexcept nogil:
    """Move the rows of other tables; False if memory runs out: some rows are then in no table.

    If all tables are *apart*, no two tables have a row of the same day and path.
    """
    cdef size_t rows = 0
    cdef int i
    for i in range(count):
        rows += others[i].rows
    if tally.max_rows == <size_t>-1 and rows > tally.table.rows // FEW:
        return gather_rows(&tally.table, others, count, threads, apart)
    for i in range(count):
        if not add_rows(tally, &others[i]):
            return False
    return True


cdef inline bint are_apart(list shards):
    """Tell whether each table holds another shard of all hashes. Then no two tables have a row of the same day and
    path."""
    counts = {count for count, _ in shards}
    return len(counts) <= 1 and 0 not in counts and len(set(shards)) == len(shards)


cdef inline size_t shard_at(const Division *division, uint64_t hash) noexcept nogil:
    """Return the number of a hash's shard."""
    return <size_t>((hash >> 32) * division.shards >> 32)


cdef inline bint divide_rows(const Table *table, Division *division) noexcept nogil:
    """Sort the offsets of the rows by shard; False if memory runs out."""
    cdef size_t offset = 0
    cdef size_t at, shard
    cdef const Row *row
    division.offsets = <size_t *>malloc((table.rows + 1) * sizeof(size_t))
    if division.offsets == NULL:
        return False
    while offset < table.used:
        row = walked_row(table, offset)
        if row.day != NO_DAY:
            division.end[shard_at(division, row.hash)] += 1
        offset += row_bytes(row.size)
    at = 0
    for shard in range(division.shards):
        at, division.end[shard] = at + division.end[shard], at
    offset = 0
    while offset < table.used:
        row = walked_row(table, offset)
        if row.day != NO_DAY:
            shard = shard_at(division, row.hash)
            division.offsets[division.end[shard]] = offset
            division.end[shard] += 1
        offset += row_bytes(row.size)
    return True


cdef inline bint add_shard(Tally *tally, const Table *rows, const Division *division, size_t shard) noexcept nogil:
    """Add the rows of one shard; False if memory runs out: some rows are then added."""
    cdef size_t start = division.end[shard - 1] if shard else 0
    cdef size_t at
    cdef const Row *row
    cdef Span path
    if tally.table.rows == 0:
        tally.shard, tally.shards = shard, division.shards
    elif tally.shard != shard or tally.shards != division.shards:
        tally.shards = 0
    if not add_slots(&tally.table, division.end[shard] - start):
        return False
    for at in range(start, division.end[shard]):
        if at + AHEAD < division.end[shard]:
            prefetch(&tally.table.slots[row_at(rows, division.offsets[at + AHEAD]).hash & tally.table.mask])
        row = row_at(rows, division.offsets[at])
        path.start, path.size = row_path(row), row.size
        if add_views(&tally.table, row.hash, row.day, path, row.views, <size_t>-1) == NO_MEMORY:
            return False
    return True


cdef inline void forget_rows(Tally *tally) noexcept nogil:
    """Remove all rows, and keep the memory for new rows."""
    cdef Table *table = &tally.table
    table.used = table.rows = 0
    if table.slots != NULL:
        memset(table.slots, 0, (table.mask + 1) * sizeof(uint64_t))
    tally.changes += 1


cdef inline bint escape_rows(Tally *tally) noexcept nogil:
    """Replace the paths that are not UTF-8; False if memory runs out: some paths are then not replaced."""
    cdef size_t offset = 0
    cdef size_t end = tally.table.used
    cdef size_t escaped_rows = 0
    cdef Row *row
    cdef Span path
    cdef char *text
    cdef uint64_t hash
    cdef Outcome outcome = DONE
    while offset < end and outcome == DONE:
        row = walked_row(&tally.table, offset)
        if row.views and not is_utf8(row_path(row), row.size):
            text = <char *>malloc(4 * <size_t>row.size)
            if text == NULL:
                outcome = NO_MEMORY
                break
            path.start, path.size = text, escape_bytes(text, row_path(row), row.size)
            hash = hash_row(secrets, row.day, path.start, path.size)
            outcome = add_views(&tally.table, hash, row.day, path, row.views, <size_t>-1)
            free(text)
            row = row_at(&tally.table, offset)    # the arena may have moved
            if outcome == DONE:
                row.views = 0
                escaped_rows += 1
        offset += row_bytes(row.size)
    if escaped_rows:
        remove_empty_rows(tally)
    return outcome == DONE


cdef inline void move_rows(Tally *tally, Table *to) noexcept nogil:
    """Move all rows to an empty table."""
    to[0] = tally.table
    memset(&tally.table, 0, sizeof(Table))
    tally.changes += 1


cdef inline bint move_hours(Tally *tally, Tally *other) noexcept nogil:
    """Move the views by hour; False if memory runs out: some views are then in both tables."""
    cdef size_t offset = 0
    cdef const Row *row
    if not place_views(tally) or not place_views(other):
        return False
    while offset < other.hours.used:
        row = row_at(&other.hours, offset)
        if not add_to_hour(&tally.hours, row.day, row_path(row)[0], row.views):
            return False
        offset += row_bytes(row.size)
    free_table(&other.hours)
    return True


cdef inline bint move_figures(Tally *tally, Tally *other) noexcept nogil:
    """Move the buckets and the hours of another hit table; False if memory runs out: only some hours are then moved."""
    cdef const uint64_t *seen = <const uint64_t *>other.seen
    cdef int bucket
    cdef int32_t word
    if not move_hours(tally, other):
        return False
    tally.views_placed += other.views_placed
    tally.views_of_bots += other.views_of_bots
    other.views_placed = other.views_of_bots = 0
    for bucket in range(BUCKETS):
        tally.buckets[bucket] += other.buckets[bucket]
        other.buckets[bucket] = 0
    tally.dropped += other.dropped
    other.dropped = 0
    for word in range(LAST_DAY // 64 + 1):
        if seen[word]:
            (<uint64_t *>tally.seen)[word] |= seen[word]
    return True
