"""The count: puts each line into a bucket, and each hit into a hit table.

Looking up a row costs more than reading a line, so hits wait in batches. Python functions decide whether a user agent
counts, whether an unusual path is that of a static file, and what to keep of a referer. They are called once for each
distinct text. They need the interpreter, so the count stops before such a line with ASKED. It goes on when the answer
is in the table of answers.
"""

from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy

from fasthits.core.jsontexts cimport USED_BYTES
from fasthits.core.lines cimport (
    A_FILE, BOT, BUCKETS, COMMENT, HIT, IS_COMMENT, MALFORMED, MESSAGE, NO_ENTRY, NO_FILE, NO_MEMORY_TO_READ,
    OTHER_AGENT, OTHER_DAY, OTHER_STATUS, STATIC, UNDECIDED, UNSURE, Result, Rules, bucket_of, is_not_found,
    kind_of_path, take_line, take_rest_of_plain_line,
)
from fasthits.core.plain cimport take_plain_line
from fasthits.core.reader cimport Reader
from fasthits.core.table cimport (
    BATCH_BYTES, DONE, NO_MEMORY, NO_ROOM, WORDS_BYTES, Batch, Outcome, Table, add_batch, add_views, bytes_with_room,
    has_room, hash_row, hash_seen, hash_short, keep_rows, make_room, open_batch, put_hit, secrets, views_of,
)
from fasthits.core.times cimport NO_HOUR, DayMemo, day_at, hour_at
from fasthits.core.tokens cimport (
    MAX_LINE, NEWLINES, Cursor, Line, Span, find_newlines, has_memory, line_cursor, take_rest, take_until,
)

cdef enum:
    MAX_EXAMPLES = 3
    MAX_EXAMPLE = 200
    LAST_DAY = 3652059     # date.max.toordinal()
    MAX_REFERER_TABLES = 2

cdef enum:                 # what became of a line
    NO_MEMORY_LEFT, COUNTED, ASKED    # ASKED: not counted yet; Python must answer about its user agent, path or referer

cdef enum:                 # verdicts on user agents, plus 1
    UNKNOWN, COUNTS, FILTERED, IS_BOT

cdef struct Answer:        # the text that each table keeps of a referer; absent if it keeps nothing
    Span[MAX_REFERER_TABLES] text

cdef struct Example:
    uint64_t line
    size_t size
    char text[MAX_EXAMPLE]

cdef struct Block:         # bytes of a log; may begin and end in the middle of a line
    Cursor rest            # not counted yet
    const char *searched   # newlines were searched for up to here
    const char *newline[NEWLINES]    # the newlines that were found
    size_t line, lines     # lines counted, newlines found

cdef struct Tally:         # the content of one HitTable
    Table table
    Batch batch            # empty between calls
    uint64_t changes       # how often rows were removed; offsets in the table from before are invalid
    size_t max_rows
    size_t shard, shards   # all hashes are divided into *shards*, the rows are in this *shard*; 0 shards: rows of any
    uint64_t buckets[BUCKETS]
    uint64_t dropped
    DayMemo memo
    Reader reader
    uint8_t *wanted        # a bit for each day up to LAST_DAY; NULL: every day counts
    uint8_t *seen          # a bit for each day of which a line was read
    int32_t moment         # of the last parsed line; 0 before the first
    bint moment_counts
    Table hours            # views by day and hour; the path of a row is one byte, the hour
    uint64_t views_of_bots    # hits that are in the table of bots
    uint64_t views_placed  # other hits that were added to their hour: all but those of the present moment
    char *unfinished       # the beginning of the last line, whose end is in the next block; MAX_LINE + 1 bytes at most
    size_t unfinished_size, unfinished_capacity
    Example examples[MAX_EXAMPLES]
    int examples_taken
    const Rules *rules
    Table agents           # by user agent: its verdict plus 1
    Table paths            # by UNSURE path: its kind plus 1
    Table referers         # by referer: its place in answers plus 1
    Answer *answers
    Table *asked_for       # agents, paths or referers: the table that lacks an answer
    Span asked             # the user agent, path or referer that lacks an answer; in the line that has ASKED
    bint unfinished_whole  # that line is complete now, but it has ASKED
    char *key              # memory for a key that the line does not have in one piece; by_referer: for the batch's keys
    size_t key_size, key_capacity
    Tally *bots            # the table of bots, or NULL
    Tally *by_referer[MAX_REFERER_TABLES]    # the tables by referer: a key is a path, a newline and the referer's text
    Tally *not_found       # the table of paths that were not found, or NULL
    Tally *side[2 + MAX_REFERER_TABLES]    # all of these, called side tables
    int side_tables


cdef inline uint64_t line_count(Tally *tally) noexcept nogil:
    cdef uint64_t lines = 0
    cdef int bucket
    for bucket in range(BUCKETS):
        lines += tally.buckets[bucket]
    return lines


cdef inline void keep_example(Tally *tally, Cursor line) noexcept nogil:
    cdef Example *example = &tally.examples[tally.examples_taken]
    example.line = line_count(tally) + 1
    example.size = min(<size_t>(line.end - line.p), <size_t>MAX_EXAMPLE)
    memcpy(example.text, line.p, example.size)
    tally.examples_taken += 1


cdef inline bint has_day(const uint8_t *days, int32_t day) noexcept nogil:
    return days[day >> 3] >> (day & 7) & 1


cdef inline bint begin_moment(Tally *tally, int32_t moment) noexcept nogil:
    """Find out whether hits of this moment's day count, and mark the day as seen; False if memory runs out.

    Most lines are of the same hour as the line before. So views are not added to the hour one by one, but when the hour
    changes.
    """
    cdef int32_t day = day_at(moment)
    if not place_views(tally):
        return False
    tally.moment = moment
    tally.seen[day >> 3] |= <uint8_t>(1 << (day & 7))
    tally.moment_counts = tally.wanted == NULL or has_day(tally.wanted, day)
    return True


cdef inline bint place_views(Tally *tally) noexcept nogil:
    """Add the views of the present moment to its hour. If memory runs out, return False and change nothing."""
    cdef uint64_t views = tally.buckets[HIT] - tally.views_of_bots - tally.views_placed
    if views and hour_at(tally.moment) != NO_HOUR:
        if not add_to_hour(&tally.hours, day_at(tally.moment), <char>hour_at(tally.moment), views):
            return False
    tally.views_placed += views
    return True


cdef inline bint add_to_hour(Table *hours, int32_t day, char hour, uint64_t views) noexcept nogil:
    """Add views to an hour of a day; False if memory runs out."""
    cdef Span text
    text.start, text.size = &hour, 1
    return add_views(hours, hash_row(secrets, day, text.start, 1), day, text, views, <size_t>-1) == DONE


cdef inline void flush_batch(Tally *tally) noexcept nogil:
    tally.dropped += add_batch(&tally.table, &tally.batch, tally.max_rows)
    tally.key_size = 0


cdef inline void flush(Tally *tally) noexcept nogil:
    """Add the hits that wait in batches. The memory that holds their paths is about to be used for other texts."""
    cdef int i
    flush_batch(tally)
    for i in range(tally.side_tables):
        flush_batch(tally.side[i])


cdef inline bint count_hit(Tally *tally, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Count a hit. If memory runs out, return False and count nothing."""
    if has_room(&tally.batch, path.size):
        put_hit(&tally.table, &tally.batch, hash, day, path)
    elif not count_hit_at_once(tally, hash, day, path):
        return False
    tally.buckets[HIT] += 1
    return True


cdef inline void remove_empty_rows(Tally *tally) noexcept nogil:
    """Remove the rows without views. A reader of rows notices it by `changes`."""
    keep_rows(&tally.table)
    tally.changes += 1


cdef inline size_t bytes_of_all(const Tally *tally, size_t more) noexcept nogil:
    """Return the most memory that all tables take, if only for a moment, while *more* bytes of lines are counted."""
    cdef size_t size = bytes_with_room(&tally.table, more)
    cdef int i
    for i in range(tally.side_tables):
        size += bytes_with_room(&tally.side[i].table, more)
    return size


cdef inline bint count_hit_at_once(Tally *tally, uint64_t hash, int32_t day, Span path) noexcept nogil:
    """Add the batch, and a hit that does not fit into it; False if memory runs out."""
    cdef Outcome outcome
    flush(tally)
    outcome = add_views(&tally.table, hash, day, path, 1, tally.max_rows)
    tally.dropped += outcome == NO_ROOM
    make_room(&tally.table)
    open_batch(&tally.table, &tally.batch)
    return outcome != NO_MEMORY


cdef inline int count_line(Tally *tally, Cursor line, const char *limit) noexcept nogil:
    """Put a line into its bucket, and a hit into the hit table. After NO_MEMORY_LEFT or ASKED the line is in no bucket.

    Bytes after the line may be read, up to the limit.
    """
    cdef const Rules *rules = tally.rules
    cdef Cursor rest = line
    cdef Line out
    if (not rules.knows_plain_lines or line.end - line.p > MAX_LINE
            or not take_plain_line(&rest, limit, &out, &tally.memo)):
        return count_other_line(tally, line.p, <size_t>(line.end - line.p))
    if not rules.plain or out.method.start != NULL:
        return count_plain_line_by_rules(tally, line, rest, limit, &out)
    if out.moment != tally.moment and not begin_moment(tally, out.moment):
        return NO_MEMORY_LEFT
    if not tally.moment_counts:
        tally.buckets[OTHER_DAY] += 1
        return COUNTED
    return COUNTED if count_hit(tally, plain_hash(&out), day_at(out.moment), out.path) else NO_MEMORY_LEFT


cdef inline int count_plain_line_by_rules(
    Tally *tally, Cursor line, Cursor rest, const char *limit, Line *out
) noexcept nogil:
    take_rest_of_plain_line(tally.rules, line.p, <size_t>(line.end - line.p), rest, limit, out, &tally.memo)
    return judge(tally, out, out.method.start == NULL)


cdef inline int count_other_line(Tally *tally, const char *start, size_t size) noexcept nogil:
    cdef Result result
    cdef int way
    if tally.reader.json.used > USED_BYTES:
        flush(tally)
        tally.reader.json.used = 0
    way = take_line(tally.rules, start, size, &result, &tally.memo, &tally.reader)
    if way >= 0:
        return judge(tally, &result.line, is_plain_get(&result.line, start, size))
    if way == NO_MEMORY_TO_READ:
        return NO_MEMORY_LEFT
    if way == IS_COMMENT or way == NO_ENTRY:
        tally.buckets[COMMENT if way == IS_COMMENT else MESSAGE] += 1
        return COUNTED
    return count_malformed(tally, start, size)


cdef inline bint is_plain_get(const Line *line, const char *start, size_t size) noexcept nogil:
    """Tell whether a line that the general path has read can go on as a plain GET: its path is in the line itself."""
    cdef const char *end = start + size
    return (
        line.method.size == 3 and memcmp(line.method.start, b"GET", 3) == 0
        and line.path.start != NULL and line.path.size != 0 and line.path.start[0] == b"/"
        and start <= line.path.start <= end and end - line.path.start >= WORDS_BYTES
    )


cdef inline uint64_t plain_hash(const Line *line) noexcept nogil:
    """Return the hash of a plain GET. WORDS_BYTES from the path's beginning on may be read, so this is fast."""
    cdef Span path = line.path
    cdef int32_t day = day_at(line.moment)
    if path.size > WORDS_BYTES:
        return hash_row(secrets, day, path.start, path.size)
    return hash_short(secrets, day, path.start, path.size)


cdef inline int count_malformed(Tally *tally, const char *start, size_t size) noexcept nogil:
    if tally.examples_taken < MAX_EXAMPLES:
        keep_example(tally, line_cursor(start, size))
    tally.buckets[MALFORMED] += 1
    return COUNTED


cdef inline int judge(Tally *tally, const Line *line, bint is_plain_get) noexcept nogil:
    """Put a line that was read into the bucket of the first rule that filters it, or count it as a hit."""
    cdef const Rules *rules = tally.rules
    cdef Span key
    cdef uint64_t hash, place
    cdef uint64_t verdict = COUNTS
    cdef int32_t day = day_at(line.moment)
    cdef int bucket = bucket_of(rules, line, is_plain_get)
    cdef bint not_found = False
    if line.moment != tally.moment and not begin_moment(tally, line.moment):
        return NO_MEMORY_LEFT
    if rules.not_found_apart and (bucket == HIT or bucket == OTHER_STATUS):
        not_found = is_not_found(rules, line)
    if not_found:
        bucket = HIT if tally.moment_counts else OTHER_STATUS    # it gets a row if it is a hit but for its status
    elif not tally.moment_counts and bucket == HIT:
        bucket = OTHER_DAY
    if bucket == HIT:
        bucket = bucket_of_reader(tally, line, &verdict)
    if bucket == UNDECIDED:
        return ASKED
    if not_found:
        return count_not_found(tally, line, bucket == HIT and verdict == COUNTS)
    if bucket != HIT:
        tally.buckets[bucket] += 1
        return COUNTED
    if not rules.keep_query and not rules.by_host:
        key = line.path
    elif not make_key(tally, line, &key):
        return NO_MEMORY_LEFT
    if is_plain_get and key.start == line.path.start and key.size == line.path.size:
        hash = plain_hash(line)
    else:
        hash = hash_row(secrets, day, key.start, key.size)
    if rules.referer_tables and verdict == COUNTS and has_referer(line.referer):
        place = known(tally, &tally.referers, line.referer, line.limit)
        if place == UNKNOWN:
            return ASKED
        if not count_by_referer(tally, &tally.answers[place - 1], day, key):
            return NO_MEMORY_LEFT
    if verdict == IS_BOT:
        if not count_at_once(tally.bots, hash, day, key):
            return NO_MEMORY_LEFT
        tally.views_of_bots += 1
    elif key.start != tally.key and not line.copied:
        return COUNTED if count_hit(tally, hash, day, key) else NO_MEMORY_LEFT
    elif not count_hit_at_once(tally, hash, day, key):    # the key's memory is used again before a batch is added
        return NO_MEMORY_LEFT
    tally.buckets[HIT] += 1
    return COUNTED


cdef inline int count_not_found(Tally *tally, const Line *line, bint has_row) noexcept nogil:
    """Filter a line by its status. If it *has_row*, count it in the table of paths that were not found."""
    cdef int32_t day = day_at(line.moment)
    cdef Span key
    if has_row:
        if not make_key(tally, line, &key):
            return NO_MEMORY_LEFT
        if not count_at_once(tally.not_found, hash_row(secrets, day, key.start, key.size), day, key):
            return NO_MEMORY_LEFT
    tally.buckets[OTHER_STATUS] += 1
    return COUNTED


cdef inline bint count_at_once(Tally *counts, uint64_t hash, int32_t day, Span key) noexcept nogil:
    """Count a hit in a side table; False if memory runs out."""
    cdef Outcome outcome = add_views(&counts.table, hash, day, key, 1, counts.max_rows)
    counts.dropped += outcome == NO_ROOM
    return outcome != NO_MEMORY


cdef inline int bucket_of_reader(Tally *tally, const Line *line, uint64_t *verdict) noexcept nogil:
    """Return the bucket of a line by its user agent and the kind of its path; UNDECIDED if Python must be asked.

    If the rules need the user agent, set *verdict*."""
    cdef const Rules *rules = tally.rules
    cdef int kind
    if rules.by_agent:
        verdict[0] = verdict_on(tally, line)
        if verdict[0] == UNKNOWN:
            return UNDECIDED
        if verdict[0] == FILTERED:
            return OTHER_AGENT
        if verdict[0] == IS_BOT and not rules.apart:
            return BOT
    if rules.endings:
        kind = kind_of_file(tally, line.path)
        if kind == UNSURE:
            return UNDECIDED
        if kind == A_FILE:
            return STATIC
    return HIT


cdef inline uint64_t verdict_on(Tally *tally, const Line *line) noexcept nogil:
    """Return the verdict on the user agent; UNKNOWN if Python must be asked."""
    cdef Span user_agent = line.user_agent
    if user_agent.start == NULL:
        user_agent.start, user_agent.size = b"-", 1
        return known(tally, &tally.agents, user_agent, NULL)
    return known(tally, &tally.agents, user_agent, line.limit)


cdef inline int kind_of_file(Tally *tally, Span path) noexcept nogil:
    """Return whether a path is that of a static file; UNSURE if Python must be asked."""
    cdef int kind = kind_of_path(tally.rules, path)
    cdef uint64_t answer
    if kind != UNSURE:
        return kind
    if not tally.rules.asks_about_paths:
        return NO_FILE
    answer = known(tally, &tally.paths, path, NULL)
    return UNSURE if answer == UNKNOWN else <int>answer - 1


cdef inline uint64_t known(Tally *tally, Table *answers, Span text, const char *limit) noexcept nogil:
    """Return the answer about a text; UNKNOWN if Python must be asked. Bytes up to the limit may be read."""
    cdef uint64_t answer = views_of(answers, hash_seen(secrets, 0, text.start, text.size, limit), 0, text)
    if answer == UNKNOWN:
        tally.asked_for, tally.asked = answers, text
    return answer


cdef inline bint has_referer(Span referer) noexcept nogil:
    return referer.size > 1 or (referer.size == 1 and referer.start[0] != b"-")


cdef inline bint make_key(Tally *tally, const Line *line, Span *key) noexcept nogil:
    """Make the key of a row: the path, if the rules say so with host and space before it and the query after it.

    A key that the line has in one piece is not copied. False if memory runs out.
    """
    cdef const Rules *rules = tally.rules
    cdef Span host = line.host
    cdef size_t host_size = 0
    cdef size_t query_size = line.query.size if rules.keep_query else 0
    cdef size_t size
    if not rules.by_host and (query_size == 0 or line.query.start == line.path.start + line.path.size):
        key.start, key.size = line.path.start, line.path.size + query_size
        return True
    if rules.by_host:
        if host.start == NULL:
            host.start, host.size = b"-", 1
        host_size = host.size + 1
    size = host_size + line.path.size + query_size
    if not has_memory(&tally.key, &tally.key_capacity, size):
        return False
    if host_size:
        memcpy(tally.key, host.start, host.size)
        tally.key[host.size] = b" "
    memcpy(tally.key + host_size, line.path.start, line.path.size)
    if query_size:
        memcpy(tally.key + host_size + line.path.size, line.query.start, query_size)
    key.start, key.size = tally.key, size
    return True


cdef inline bint count_by_referer(Tally *tally, const Answer *answer, int32_t day, Span key) noexcept nogil:
    """Count a hit in each table that keeps a text of its referer; False if memory runs out."""
    cdef Tally *counts
    cdef Span text, both
    cdef uint64_t hash
    cdef int i
    for i in range(tally.rules.referer_tables):
        text, counts = answer.text[i], tally.by_referer[i]
        both.size = key.size + 1 + text.size
        if text.start == NULL or both.size > MAX_LINE:    # no such path exists
            continue
        if not has_room(&counts.batch, both.size) and not renew_batch(counts, both.size):
            return False
        both.start = counts.key + counts.key_size
        memcpy(counts.key + counts.key_size, key.start, key.size)
        counts.key[counts.key_size + key.size] = b"\n"
        memcpy(counts.key + counts.key_size + key.size + 1, text.start, text.size)
        hash = hash_seen(secrets, day, both.start, both.size, counts.key + counts.key_capacity)
        if has_room(&counts.batch, both.size):
            put_hit(&counts.table, &counts.batch, hash, day, both)
            counts.key_size += both.size
        else:
            counts.batch.max_hits = 0    # the batch takes no more hits
            if not count_at_once(counts, hash, day, both):
                return False
    return True


cdef inline bint renew_batch(Tally *counts, size_t key_size) noexcept nogil:
    """Add the batch of a table by referer and open another batch; False if memory runs out.

    There is memory for the keys of a batch, and for a key of *key_size* at least."""
    cdef size_t needed = max(key_size, <size_t>BATCH_BYTES) + WORDS_BYTES    # hash_seen may read these
    cdef char *key
    flush_batch(counts)
    if needed > counts.key_capacity:
        key = <char *>realloc(counts.key, needed)
        if key == NULL:
            return False
        counts.key, counts.key_capacity = key, needed
    make_room(&counts.table)
    open_batch(&counts.table, &counts.batch)
    return True


cdef inline bint keep_unfinished(Tally *tally, const char *start, size_t size) noexcept nogil:
    """Append *start* to the unfinished line, MAX_LINE + 1 bytes in all at most; False if memory runs out."""
    cdef size_t left = MAX_LINE + 1 - tally.unfinished_size
    cdef size_t capacity = tally.unfinished_capacity
    cdef char *unfinished
    if size > left:
        size = left
    if size == 0:
        return True    # memcpy must not get NULL, even for no bytes (C11 7.24.1)
    if tally.unfinished_size + size > capacity:
        capacity = max(tally.unfinished_size + size, min(2 * capacity, <size_t>MAX_LINE + 1))
        unfinished = <char *>realloc(tally.unfinished, capacity)
        if unfinished == NULL:
            tally.unfinished_size = 0    # else these bytes would become the beginning of another line
            return False
        tally.unfinished, tally.unfinished_capacity = unfinished, capacity
    memcpy(tally.unfinished + tally.unfinished_size, start, size)
    tally.unfinished_size += size
    return True


cdef inline int count_unfinished(Tally *tally) noexcept nogil:
    """Count the unfinished line, which is complete now."""
    cdef size_t size = tally.unfinished_size
    cdef int outcome = COUNTED
    if size:
        outcome = count_other_line(tally, tally.unfinished, size)
    flush(tally)
    tally.unfinished_whole = outcome == ASKED
    if outcome != ASKED:
        tally.unfinished_size = 0
    return outcome


cdef inline void open_block(Block *block, const char *start, size_t size) noexcept nogil:
    block.rest.p, block.rest.end = start, start + size
    block.searched = start
    block.line = block.lines = 0


cdef inline bint has_line(Block *block) noexcept nogil:
    """Tell whether another line ends in the block."""
    if block.line == block.lines:
        block.lines = find_newlines(&block.searched, block.rest.end, block.newline)
        block.line = 0
    return block.line != block.lines


cdef inline int count_lines(Tally *tally, Block *block) noexcept nogil:
    """Count the lines whose newlines were found. After a line has ASKED, the block begins with this line."""
    cdef int outcome = COUNTED
    cdef Cursor line
    while block.line != block.lines:
        line.p, line.end = block.rest.p, block.newline[block.line]
        outcome = count_line(tally, line, block.rest.end)
        if outcome != COUNTED:
            break
        block.rest.p = line.end + 1
        block.line += 1
    return outcome


cdef inline int count_block(Tally *tally, Block *block) noexcept nogil:
    """Count the lines that end in the block, and keep the unfinished line after them.

    After a line has ASKED, the block begins with the bytes that are still to be counted.
    """
    cdef Span line
    cdef int outcome = COUNTED
    if tally.unfinished_size and not tally.unfinished_whole and block.rest.p != block.rest.end:
        if not take_until(&block.rest, b"\n", &line):
            take_rest(&block.rest, &line)
            return COUNTED if keep_unfinished(tally, line.start, line.size) else NO_MEMORY_LEFT
        if not keep_unfinished(tally, line.start, line.size):
            return NO_MEMORY_LEFT
        block.searched = block.rest.p
        tally.unfinished_whole = True
    if tally.unfinished_whole:
        outcome = count_unfinished(tally)
    while outcome == COUNTED and has_line(block):
        outcome = count_lines(tally, block)
    flush(tally)
    if outcome == COUNTED:
        take_rest(&block.rest, &line)
        outcome = COUNTED if keep_unfinished(tally, line.start, line.size) else NO_MEMORY_LEFT
    return outcome
