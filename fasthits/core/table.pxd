"""The hit table: views by day and path, in C memory.

All rows are in one block of memory, the arena, in the order first seen. A row is a header and then the path. An index
has a slot of 8 bytes for each row: 24 bits of the row's hash, and the row's offset in the arena. (It is an open-
addressing table. It holds offsets, not pointers, because the arena moves when it grows.) So a look-up costs two cache
misses: a slot and a row.

Most of a look-up is waiting for memory: of 45,000 paths, half are in no near cache. So hits wait in a batch. When the
batch is full, its hits are looked up together: first all their slots are fetched, then all their rows, then the paths
are compared. (1,000,000 lines, read and counted: 100 ns a line one by one, 65 ns in batches.)

The hash works like wyhash, with one multiplication for 16 bytes. Strangers choose the paths, so the hash has secrets. A
path of up to 64 bytes is hashed as if zeros followed it up to 64 bytes. So no branch depends on the path's size, which
a processor cannot guess. (This takes 2 ns a line; a loop over 16 bytes at a time takes 5 ns.)
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from fasthits.core.tokens cimport Span, from_little_endian, load8

cdef struct Row:           # the path follows, then padding up to a multiple of ROW_ALIGN
    uint64_t hash
    uint64_t views
    int32_t day
    uint32_t size

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *start, size_t size, int advice) noexcept
    int MADV_DONTNEED, MADV_HUGEPAGE

cdef extern from "<unistd.h>" nogil:
    int getpagesize() noexcept

cdef extern from *:
    """
    static uint64_t fasthits_secrets[10];

    #define ONES 255, 255, 255, 255, 255, 255, 255, 255
    static const uint8_t fasthits_mask[128] = {ONES, ONES, ONES, ONES, ONES, ONES, ONES, ONES};
    #undef ONES

    /* Both halves of the 128-bit product, folded: the mixing step of wyhash. */
    static inline uint64_t fasthits_mix(uint64_t a, uint64_t b)
    {
    #ifdef __SIZEOF_INT128__
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    #else
        uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
        uint64_t low = a0 * b0, cross = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)cross;
        return ((other << 32) | (uint32_t)low) ^ (a1 * b1 + (cross >> 32) + (other >> 32));
    #endif
    }

    /* Large blocks of memory go back to the system when they are freed, and grow without a copy. Without this setting,
   glibc keeps freed blocks of sizes that were freed before. */
    #ifdef __GLIBC__
    #include <malloc.h>
    #define FASTHITS_MAP_LARGE(size) mallopt(M_MMAP_THRESHOLD, (int)(size))
    #else
    #define FASTHITS_MAP_LARGE(size) ((void)0)
    #endif

    /* Prefetches a row's first 128 bytes. A macro, because GCC drops calls of a function that only prefetches. */
    #define FASTHITS_PREFETCH_ROW(row) \\
        (__builtin_prefetch(row), __builtin_prefetch((const char *)(row) + 64))
    """
    uint64_t mix "fasthits_mix" (uint64_t a, uint64_t b) noexcept nogil
    void prefetch "__builtin_prefetch" (const void *p) noexcept nogil
    void prefetch_row "FASTHITS_PREFETCH_ROW" (const Row *row) noexcept nogil
    void map_large "FASTHITS_MAP_LARGE" (size_t size) noexcept nogil

    const uint8_t *ONES_THEN_ZEROS "fasthits_mask"
    uint64_t *secrets "fasthits_secrets"    # of this process, for all its hit tables

cdef enum:
    WORDS = 8
    WORDS_BYTES = 64
    SECRETS = WORDS + 2    # the last two are for the last step of each hash
    BATCH_HITS = 64
    ROW_ALIGN = 8
    FIRST_SLOTS = 1024
    FIRST_ARENA = 65536
    AHEAD_BYTES = 1024     # rows are prefetched so many bytes before they are needed
    RELEASED_BYTES = 1 << 20    # memory of rows is given back in steps of this size
    PAGE_BYTES = 65536     # a multiple of any page's size
    HUGE_BYTES = 1 << 22   # less memory is not worth huge pages
    HUGE_PAGE = 1 << 21
    NO_DAY = 0             # the day of a dead row: its views were added to another row
    BATCH_BYTES = 32768    # enough for a batch of paths of 480 bytes
    SHORT_LINE = 32        # a line that is a hit has at least so many bytes
    ROWS_OF_LINES = 2      # a line's row has at most so many times the line's bytes

cdef enum Outcome:
    DONE, NO_ROOM, NO_MEMORY

cdef struct Table:         # a hit table; or answers about user agents, paths or referers, in place of views
    char *arena            # all rows; NULL before the first
    size_t used, capacity
    uint64_t *slots        # 0 is free; else 24 bits of hash, then 40 bits of (offset / ROW_ALIGN + 1)
    size_t mask            # number of slots - 1
    size_t rows

cdef struct Hit:
    uint64_t hash
    Span path              # must stay valid until the batch is added
    int32_t day

cdef struct Batch:         # hits that fit into the table even if all their paths are new
    size_t hits
    size_t max_hits        # the table has slots for so many
    size_t bytes_left      # of the arena
    Hit[BATCH_HITS] hit

cdef inline uint64_t little8(const char *p) noexcept nogil:
    """Return 8 bytes as a number, the lowest byte first. So hashes are the same on every machine."""
    return from_little_endian(load8(p))


cdef inline uint64_t products(const uint64_t *secrets, const char *p) noexcept nogil:
    """Return the share of the WORDS_BYTES at *p* in a hash: four products, none of which waits for another."""
    cdef uint64_t state = 0
    cdef int i
    for i in range(0, WORDS, 2):
        state ^= mix(little8(p + 8 * i) ^ secrets[i], little8(p + 8 * i + 8) ^ secrets[i + 1])
    return state


cdef inline uint64_t masked_products(const uint64_t *secrets, const char *p, size_t size) noexcept nogil:
    """Return the same for the first *size* of the WORDS_BYTES at *p*, with zeros for the others."""
    cdef const char *mask = <const char *>ONES_THEN_ZEROS + WORDS_BYTES - size
    cdef uint64_t state = 0
    cdef int i
    for i in range(0, WORDS, 2):
        state ^= mix(
            (little8(p + 8 * i) & little8(mask + 8 * i)) ^ secrets[i],
            (little8(p + 8 * i + 8) & little8(mask + 8 * i + 8)) ^ secrets[i + 1]
        )
    return state


cdef inline uint64_t padded_products(const uint64_t *secrets, const char *p, size_t size) noexcept nogil:
    """Return the same for the *size* bytes at *p*, at most WORDS_BYTES, without reading the bytes after them."""
    cdef char[WORDS_BYTES] padded
    memset(padded, 0, WORDS_BYTES)
    memcpy(padded, p, size)
    return products(secrets, padded)


cdef inline uint64_t begin_hash(int32_t day, size_t size) noexcept nogil:
    return <uint64_t>day << 32 ^ <uint64_t>size


cdef inline uint64_t end_hash(const uint64_t *secrets, uint64_t state) noexcept nogil:
    return mix(state ^ secrets[SECRETS - 2], secrets[SECRETS - 1])


cdef inline uint64_t hash_short(const uint64_t *secrets, int32_t day, const char *p, size_t size) noexcept nogil:
    """Return the hash of a path of at most WORDS_BYTES. WORDS_BYTES from *p* on must be readable."""
    return end_hash(secrets, begin_hash(day, size) ^ masked_products(secrets, p, size))


cdef inline uint64_t hash_seen(
    const uint64_t *secrets, int32_t day, const char *p, size_t size, const char *limit
) noexcept nogil:
    """Return the hash of any path. This is quick if the path is short and WORDS_BYTES up to the limit may be read."""
    if limit != NULL and limit - p >= WORDS_BYTES and size <= WORDS_BYTES:
        return hash_short(secrets, day, p, size)
    return hash_row(secrets, day, p, size)


cdef inline uint64_t hash_row(const uint64_t *secrets, int32_t day, const char *p, size_t size) noexcept nogil:
    """Return the hash of any path. Only the bytes of the path are read."""
    cdef uint64_t even = secrets[0] ^ begin_hash(day, size)
    cdef uint64_t odd = secrets[1]
    cdef const char *last
    if size <= WORDS_BYTES:
        return end_hash(secrets, begin_hash(day, size) ^ padded_products(secrets, p, size))
    last = p + size - 32
    while p < last:
        even = mix(little8(p) ^ secrets[2], little8(p + 8) ^ even)
        odd = mix(little8(p + 16) ^ secrets[3], little8(p + 24) ^ odd)    # does not wait for *even*
        p += 32
    even = mix(little8(last) ^ secrets[4], little8(last + 8) ^ even)
    odd = mix(little8(last + 16) ^ secrets[5], little8(last + 24) ^ odd)
    return mix(even ^ secrets[SECRETS - 2], odd ^ secrets[SECRETS - 1])


cdef inline size_t row_bytes(size_t path_size) noexcept nogil:
    return (sizeof(Row) + path_size + ROW_ALIGN - 1) & ~<size_t>(ROW_ALIGN - 1)


cdef inline Row *row_at(const Table *table, size_t offset) noexcept nogil:
    return <Row *>(table.arena + offset)


cdef inline Row *walked_row(const Table *table, size_t offset) noexcept nogil:
    """Return a row in a loop over all rows, and prefetch later rows, because processors do not prefetch far enough."""
    prefetch(table.arena + offset + AHEAD_BYTES)
    return <Row *>(table.arena + offset)


cdef inline const char *row_path(const Row *row) noexcept nogil:
    return <const char *>row + sizeof(Row)


cdef inline uint64_t slot_of(uint64_t hash, size_t offset) noexcept nogil:
    return (hash & (<uint64_t>0xFFFFFF << 40)) | (offset // ROW_ALIGN + 1)


cdef inline size_t slot_offset(uint64_t slot) noexcept nogil:
    return <size_t>((slot & ((<uint64_t>1 << 40) - 1)) - 1) * ROW_ALIGN


cdef inline size_t prefetch_slots(const Table *table, const Table *rows, size_t ahead, size_t offset) noexcept nogil:
    """Prefetch the slots in *table* of the rows of the table *rows*, from *ahead* to AHEAD_BYTES after *offset*.

    Return where the prefetched rows end.
    """
    while ahead < rows.used and ahead < offset + AHEAD_BYTES:
        prefetch(&table.slots[row_at(rows, ahead).hash & table.mask])
        ahead += row_bytes(row_at(rows, ahead).size)
    return ahead


cdef inline void use_huge_pages(void *start, size_t size) noexcept nogil:
    """Ask for huge pages: they save page faults and TLB misses, a quarter of the time for 5 million paths.

    The advice is given for a whole mapping, because `realloc` does not move a part of a mapping.
    """
    cdef size_t before = <size_t>start % <size_t>getpagesize()
    if size >= HUGE_BYTES:
        madvise(<char *>start - before, before + size, MADV_HUGEPAGE)


cdef inline void index_rows(Table *table) noexcept nogil:
    """Give a slot to every row that is not dead. All slots must be free."""
    cdef size_t offset = 0
    cdef size_t ahead = 0
    cdef size_t i
    cdef Row *row
    while offset < table.used:
        ahead = prefetch_slots(table, table, ahead, offset)
        row = row_at(table, offset)
        i = row.hash & table.mask
        if row.day != NO_DAY:
            while table.slots[i] != 0:
                i = (i + 1) & table.mask
            table.slots[i] = slot_of(row.hash, offset)
        offset += row_bytes(row.size)


cdef inline bint grow_slots(Table *table) noexcept nogil:
    """Double the index, or make a new index. If it returns False, the index is unchanged."""
    cdef size_t count = (table.mask + 1) * 2 if table.slots != NULL else FIRST_SLOTS
    cdef uint64_t *slots
    while count * 2 // 3 <= table.rows:
        count *= 2
    slots = <uint64_t *>calloc(count, sizeof(uint64_t))
    if slots == NULL:
        return False
    use_huge_pages(slots, count * sizeof(uint64_t))
    free(table.slots)
    table.slots, table.mask = slots, count - 1
    index_rows(table)
    return True


cdef inline void drop_slots(Table *table) noexcept nogil:
    """Free the index. Adding the next row makes a new index."""
    free(table.slots)
    table.slots, table.mask = NULL, 0


cdef inline size_t release_rows(Table *table, size_t start, size_t end) noexcept nogil:
    """Give back the memory of rows between *start* and *end*, which nobody needs again; return where it ends."""
    cdef size_t arena = <size_t>table.arena
    cdef size_t first = (arena + start + PAGE_BYTES - 1) & ~<size_t>(PAGE_BYTES - 1)
    cdef size_t last = (arena + end) & ~<size_t>(PAGE_BYTES - 1)
    if last <= first:
        return start
    madvise(<void *>first, last - first, MADV_DONTNEED)
    return last - arena


cdef inline void keep_rows(Table *table) noexcept nogil:
    """Remove the rows without views."""
    cdef size_t offset = 0
    cdef size_t kept = 0
    cdef size_t size
    cdef Row *row
    table.rows = 0
    while offset < table.used:
        row = row_at(table, offset)
        size = row_bytes(row.size)
        if row.views:
            memmove(table.arena + kept, row, size)
            kept += size
            table.rows += 1
        offset += size
    table.used = kept
    if table.slots != NULL:
        memset(table.slots, 0, (table.mask + 1) * sizeof(uint64_t))
        index_rows(table)


cdef inline size_t head_size(const Row *row) noexcept nogil:
    """Return the size of the part of the path before its first newline."""
    cdef const char *newline = <const char *>memchr(row_path(row), b"\n", row.size)
    return <size_t>(newline - row_path(row)) if newline != NULL else row.size


cdef inline size_t grown_capacity(const Table *table, size_t size) noexcept nogil:
    """Return the capacity that the arena needs for *size* more bytes."""
    cdef size_t capacity = table.capacity if table.capacity else FIRST_ARENA
    while capacity - table.used < size:
        capacity += capacity // 2
    return capacity


cdef inline bint reserve(Table *table, size_t size) noexcept nogil:
    """Let the arena have space for *size* more bytes. If it returns False, the arena is unchanged."""
    cdef size_t capacity = grown_capacity(table, size)
    cdef char *arena
    if capacity > table.capacity:
        arena = <char *>realloc(table.arena, capacity)
        if arena == NULL:
            return False
        table.arena, table.capacity = arena, capacity
        use_huge_pages(arena, capacity)
    return True


cdef inline size_t free_slots(const Table *table) noexcept nogil:
    """Return how many more rows the index can take. At most two thirds of the slots may be taken."""
    return (table.mask + 1) * 2 // 3 - table.rows if table.slots != NULL else 0


cdef inline uint64_t views_of(const Table *table, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Return the views of a row; 0 if the table does not have the row."""
    cdef size_t i = hash & table.mask
    cdef Row *row
    if table.slots == NULL:
        return 0
    while table.slots[i] != 0:
        if table.slots[i] >> 40 == hash >> 40:
            row = row_at(table, slot_offset(table.slots[i]))
            if (row.hash == hash and row.day == day and row.size == path.size
                    and memcmp(row_path(row), path.start, path.size) == 0):
                return row.views
        i = (i + 1) & table.mask
    return 0


cdef inline Outcome add_views(
    Table *table, uint64_t hash, int32_t day, Span path, uint64_t views, size_t max_rows
) noexcept nogil:
    """Add views to the row of a day and path, which may be new. After NO_ROOM or NO_MEMORY the rows are unchanged."""
    if free_slots(table) == 0 and not grow_slots(table):
        return NO_MEMORY
    return put_views(table, hash, day, path, views, max_rows)


cdef inline Outcome put_views(
    Table *table, uint64_t hash, int32_t day, Span path, uint64_t views, size_t max_rows
) noexcept nogil:
    """Do what `add_views` does. The table must have a free slot: the search for the row ends there at the latest."""
    cdef size_t i = hash & table.mask
    cdef uint64_t slot
    cdef uint64_t tag = hash >> 40
    cdef size_t needed
    cdef Row *row
    while True:
        slot = table.slots[i]
        if slot == 0:
            break
        if slot >> 40 == tag:
            row = row_at(table, slot_offset(slot))
            if (row.hash == hash and row.day == day and row.size == path.size
                    and memcmp(row_path(row), path.start, path.size) == 0):
                row.views += views
                return DONE
        i = (i + 1) & table.mask
    if table.rows >= max_rows:
        return NO_ROOM
    needed = row_bytes(path.size)
    if not reserve(table, needed):
        return NO_MEMORY
    row = row_at(table, table.used)
    row.hash, row.views, row.day, row.size = hash, views, day, <uint32_t>path.size
    memcpy(<char *>row_path(row), path.start, path.size)
    table.slots[i] = slot_of(hash, table.used)
    table.used += needed
    table.rows += 1
    return DONE


cdef inline bint has_room(const Batch *batch, size_t path_size) noexcept nogil:
    """Tell whether the batch may take another hit. The table has memory for every hit of its batch."""
    return batch.hits < batch.max_hits and row_bytes(path_size) <= batch.bytes_left


cdef inline void put_hit(const Table *table, Batch *batch, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Put a hit into a batch that has room for it."""
    cdef Hit *hit = &batch.hit[batch.hits]
    hit.hash, hit.path, hit.day = hash, path, day
    batch.hits += 1
    batch.bytes_left -= row_bytes(path.size)
    prefetch(&table.slots[hash & table.mask])


cdef inline uint64_t add_batch(Table *table, Batch *batch, size_t max_rows) noexcept nogil:
    """Add the hits of the batch to the table, and empty the batch; return how many hits *max_rows* left no room for."""
    cdef uint64_t dropped = 0
    cdef uint64_t slot
    cdef size_t i
    cdef Hit *hit
    for i in range(batch.hits):
        slot = table.slots[batch.hit[i].hash & table.mask]
        if slot != 0:
            prefetch_row(row_at(table, slot_offset(slot)))
    for i in range(batch.hits):
        hit = &batch.hit[i]
        dropped += put_views(table, hit.hash, hit.day, hit.path, 1, max_rows) == NO_ROOM
    batch.hits = batch.max_hits = 0
    return dropped


cdef inline void open_batch(const Table *table, Batch *batch) noexcept nogil:
    """Let an empty batch take as many hits as the table has room for."""
    batch.max_hits = free_slots(table)
    if batch.max_hits > BATCH_HITS:
        batch.max_hits = BATCH_HITS
    batch.bytes_left = min(table.capacity - table.used, <size_t>BATCH_BYTES)    # `bytes_with_room` relies on this


cdef inline void make_room(Table *table) noexcept nogil:
    """Let the table grow until a batch of hits fits in, if memory allows it."""
    if free_slots(table) < BATCH_HITS:
        grow_slots(table)
    reserve(table, BATCH_BYTES)


cdef inline size_t bytes_with_room(const Table *table, size_t more) noexcept nogil:
    """Return the most memory that the table takes, if only for a moment, while *more* bytes of lines are counted.

    The unused end of the arena is only address space.
    """
    cdef size_t slots = (table.mask + 1 if table.slots != NULL else <size_t>FIRST_SLOTS) * sizeof(uint64_t)
    cdef size_t used = table.used + BATCH_BYTES + ROWS_OF_LINES * more
    if used >= HUGE_BYTES:
        used += HUGE_PAGE    # the last huge page may be nearly empty
    return used + (3 * slots if free_slots(table) <= BATCH_HITS + more // SHORT_LINE else slots)


cdef inline void free_table(Table *table) noexcept nogil:
    free(table.arena)
    free(table.slots)
    memset(table, 0, sizeof(Table))
