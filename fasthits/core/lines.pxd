"""Rules: the ways to read a line, what is read of it, and whether it is a hit.

A line that the log's own way cannot read is tried by the other ways, in their order. So logs of several formats are
read, and what a line counts as does not depend on the lines around it. Each way reads exactly first and then loosely,
so that a line which can be read exactly is never read otherwise. What follows a readable line may not hold another one:
such lines are glued together, and no way reads them.

An object of JSON may wrap another line in its message. That line is read by the same ways.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset

from fasthits.core.columns cimport Names, is_fields_line, name_columns, read_columns, read_labels
from fasthits.core.json cimport (
    ALL_KINDS, ENTRY, GLUED_ENTRY, J_QUERY, J_REFERER, J_TIME, J_USER_AGENT, J_VHOST, NEEDED_KINDS, NO_OBJECT,
    SERVER_MESSAGE, WRAPS, Found, JsonNames, fill_json_line, has_object, is_server_message, open_room, read_object,
    unwrap,
)
from fasthits.core.plain cimport take_plain_referer_and_agent
from fasthits.core.reader cimport NO_MEMORY_FOR_TEXT, UNQUOTED, Reader, is_empty, text_of, trimmed, unquote
from fasthits.core.steps cimport (
    BYTES, CLF_TIME, DIGITS_OR_DASH, GLUED, LITERAL, METHOD, NOT_THERE, QUOTED, REFERER, REQUEST, STATUS, TEXT,
    THREE_DIGITS, TIME, USER_AGENT, VHOST, Reading, Step, Steps, field_of, fill_line, fill_tail, is_word, memmem,
    read_line, take_steps,
)
from fasthits.core.times cimport DayMemo
from fasthits.core.tokens cimport Cursor, Line, Span, has_path, line_cursor, number

cdef extern from "<string.h>" nogil:
    void *memrchr(const void *start, int byte, size_t size) noexcept

cdef enum:                 # buckets
    UNDECIDED = -1
    HIT = 0
    MESSAGE, OTHER_METHOD, NO_PATH, OTHER_STATUS, OTHER_DAY, OTHER_AGENT, BOT, STATIC, COMMENT, MALFORMED, BUCKETS

cdef enum:                 # instead of the number of the way that has read a line
    UNREAD = -1
    NO_MEMORY_TO_READ = -2
    IS_COMMENT = -3
    NO_ENTRY = -4          # a message of the server, not an access
    IS_WRAPPED = -5        # another line, which is to be read

cdef enum:                 # kinds of paths
    NO_FILE, A_FILE, UNSURE

cdef enum:                 # how a way reads
    BY_STEPS, BY_LABELS, BY_COLUMNS, BY_KEYS

cdef enum:
    MAX_WRAPS = 2          # lines in a line
    MAX_ENDINGS = 64       # of static files
    MAX_ENDING = 8
    PLAIN_STEPS = 7        # that take_plain_line takes at once
    COMBINED_STEPS = 11    # that take_plain_line and take_plain_referer_and_agent take

cdef struct Way:           # to read a line
    int how
    Steps steps            # read by labels or columns, there is a step for each kind, with the number of the kind
    Names names            # of labels or columns
    JsonNames keys         # of the fields of an object
    int last               # of a line no more steps than these are looked at
    Span host_end          # what stands behind a virtual host before the time; absent where there is none
    int host_words         # so many words stand before it
    bint begins_quoted     # its lines begin with a quote
    bint only_wrapped      # only lines that another line wraps are read so

cdef struct Rules:
    bint plain             # every GET of a path is a hit under that path
    bint knows_plain_lines    # the own format begins as combined does, which is how take_plain_line reads a line
    bint knows_agents      # it goes on as combined does, and no rule looks at what follows the user agent
    bint unquotes          # a line that stands in quotes as a whole is read without them
    Span *methods
    int methods_count
    bint takes_get         # whether GET is one of them
    bint any_status
    uint8_t[1000] statuses
    bint keep_query, by_host, by_agent, apart
    int referer_tables
    bint not_found_apart   # requests that were answered with one of these statuses are no hits, and have their own rows
    uint8_t[1000] not_found
    uint64_t[MAX_ENDINGS] ending    # of static files that do not count, as `packed_text` makes them
    int endings
    bint asks_about_paths  # which are UNSURE; without it they count
    bint rewrites          # rules for paths rewrite them before they look at the ending
    Way *ways              # the first one is the log's own
    int ways_count
    bint guesses           # the first way is as uncertain as the others
    const Way *keys        # the way that reads objects; NULL if there is none, or it is the first


cdef struct Result:        # of reading a line
    Cursor text            # what was read: the line, what stands in its quotes, or the line that it wraps
    Line line
    Reading reading        # of text
    Found found            # in an object


cdef inline bint is_step(const Step *step, int kind, int how, const char *text, size_t size) noexcept nogil:
    if step.how != how or (how != LITERAL and step.kind != kind):
        return False
    return how != LITERAL or (step.size == size and memcmp(step.text, text, size) == 0)


cdef inline bint begins_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether lines hold ``[%t] "%r" %>s %b``, all that is needed being there."""
    return (
        steps.anchored and steps.count >= PLAIN_STEPS and steps.needed == PLAIN_STEPS
        and is_step(&steps.step[0], TIME, CLF_TIME, NULL, 0) and is_step(&steps.step[1], 0, LITERAL, b'] "', 3)
        and is_step(&steps.step[2], REQUEST, QUOTED, NULL, 0) and is_step(&steps.step[3], 0, LITERAL, b'" ', 2)
        and is_step(&steps.step[4], STATUS, THREE_DIGITS, NULL, 0) and is_step(&steps.step[5], 0, LITERAL, b" ", 1)
        and is_step(&steps.step[6], BYTES, DIGITS_OR_DASH, NULL, 0)
    )


cdef inline bint goes_on_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether `` "%{Referer}i" "%{User-Agent}i"`` is behind that."""
    return (
        steps.count >= COMBINED_STEPS
        and is_step(&steps.step[7], 0, LITERAL, b' "', 2) and is_step(&steps.step[8], REFERER, QUOTED, NULL, 0)
        and is_step(&steps.step[9], 0, LITERAL, b'" "', 3) and is_step(&steps.step[10], USER_AGENT, QUOTED, NULL, 0)
    )


cdef inline int last_step(const Rules *rules, const Steps *steps) noexcept nogil:
    """Return how many steps the rules look at."""
    cdef int last = steps.needed
    if rules.referer_tables:
        last = max(last, steps.at[REFERER] + 1)
    if rules.by_agent:
        last = max(last, steps.at[USER_AGENT] + 1)
    if rules.by_host:
        last = max(last, steps.at[VHOST] + 1)
    return last


cdef inline uint32_t wanted_kinds(const Rules *rules) noexcept nogil:
    """Return the kinds of keys that the rules look at."""
    return <uint32_t>(
        NEEDED_KINDS | rules.by_host << J_VHOST | rules.by_agent << J_USER_AGENT
        | (rules.referer_tables != 0) << J_REFERER | rules.keep_query << J_QUERY
    )


cdef inline bint has_text(const Step *step, const char *text, size_t size) noexcept nogil:
    return step.how == LITERAL and memmem(step.text, step.size, text, size) != NULL


cdef inline void settle_way(const Rules *rules, Way *way) noexcept nogil:
    """Set what follows from the rest of the rules."""
    cdef Steps *steps = &way.steps
    cdef bint has_bracket = False
    cdef int i
    steps.alone = True
    for i in range(steps.count):
        if i < steps.needed:
            steps.searches = steps.searches or steps.step[i].how == TEXT
        else:
            has_bracket |= has_text(&steps.step[i], b"[", 1)
            steps.alone = steps.alone and not (has_bracket and has_text(&steps.step[i], b'] "', 3))
        if i and steps.step[i].how == THREE_DIGITS:
            steps.step[i - 1].before_status = True
    way.last = last_step(rules, steps)
    way.keys.wanted = wanted_kinds(rules)


cdef inline void settle(Rules *rules) noexcept nogil:
    """Set what follows from the rest of the rules."""
    cdef const Way *own = &rules.ways[0]
    cdef int i
    rules.unquotes = not own.begins_quoted
    for i in range(rules.ways_count):
        settle_way(rules, &rules.ways[i])
        if i and rules.ways[i].how == BY_KEYS:
            rules.keys = &rules.ways[i]
    rules.knows_plain_lines = begins_as_combined(&own.steps) and own.steps.alone
    rules.knows_agents = own.last <= COMBINED_STEPS and goes_on_as_combined(&own.steps)
    rules.plain = (
        rules.methods_count == 1 and rules.takes_get and rules.any_status
        and not (rules.keep_query or rules.by_host or rules.by_agent or rules.referer_tables or rules.endings
                 or rules.not_found_apart)
    )


cdef inline bint is_likely(const Way *way, const Reading *reading) noexcept nogil:
    """Tell whether a way that is not the log's own has read one of its lines, and not a torn line of another format.

    The method, unless it is that of a request in quotes, is a word, and no field before that request has a quote.
    """
    cdef Span method = field_of(reading, &way.steps, METHOD)
    cdef Span found
    cdef int i
    for i in range(way.steps.at[REQUEST]):
        found = reading.found[i]
        if way.steps.step[i].how == TEXT and memchr(found.start, b'"', found.size) != NULL:
            return False
    return method.start == NULL or is_word(method.start, method.start + method.size)


cdef inline int read_keys(
    const Way *way, Cursor text, uint32_t wanted, bint is_inner, Result *result, DayMemo *memo, Reader *reader
) noexcept nogil:
    """Return what the object in a line is: ENTRY, if its line could be made; NO_OBJECT where there is none."""
    if (is_inner or reader.json.room == NULL) and not has_object(text):
        return NO_OBJECT    # what was found in the outer line stays
    if not open_room(&reader.json):
        return NO_MEMORY_TO_READ
    result.found.what = read_object(text, &way.keys, wanted, &reader.json, memo, &result.found)
    if result.found.what == ENTRY and not fill_json_line(&result.found, &reader.json, &result.line):
        return NO_OBJECT
    return result.found.what


cdef inline bint is_glued_to_object(
    const Rules *rules, Cursor text, bint is_inner, Result *result, DayMemo *memo, Reader *reader
) noexcept nogil:
    """Tell whether a line of text and an access entry that is an object are glued together."""
    cdef Cursor line = trimmed(text)
    return (
        rules.keys != NULL and line.p != line.end and (line.p[0] == b"{" or (line.end - 1)[0] == b"}")
        and read_keys(rules.keys, text, rules.keys.keys.wanted, is_inner, result, memo, reader) == GLUED_ENTRY
    )


cdef inline int read_by_ways(
    const Rules *rules, Cursor text, bint whole, bint is_inner, Result *result, DayMemo *memo, Reader *reader,
    Reading *furthest
) noexcept nogil:
    """Return the number of the way that reads a line, or what is instead of it. *whole* wants all fields.

    Of a malformed line *furthest*, where it is not NULL, gets the reading by the log's own way that went furthest.
    """
    cdef const Way *way
    cdef Reading *reading = &result.reading
    cdef int i, last, what
    if is_glued_to_object(rules, text, is_inner, result, memo, reader):
        return UNREAD
    for i in range(rules.ways_count):
        way = &rules.ways[i]
        if way.only_wrapped and not is_inner:
            continue
        if way.how == BY_KEYS:
            what = read_keys(
                way, text, <uint32_t>ALL_KINDS if whole else way.keys.wanted, is_inner, result, memo, reader
            )
            if what == ENTRY:
                return i
            if what == SERVER_MESSAGE:
                return NO_ENTRY
            if what == GLUED_ENTRY:
                return UNREAD
            if what == WRAPS:
                return IS_WRAPPED
            if what == NO_MEMORY_TO_READ:
                return what
            continue
        last = way.steps.count if whole else way.last
        reading.trouble = NOT_THERE
        if way.how != BY_STEPS:
            if (read_labels(trimmed(text), &way.names, reading) if way.how == BY_LABELS
                    else read_columns(trimmed(text), &reader.columns, reading)):
                return i
            continue
        if (read_line(text, &way.steps, last, reading, memo, furthest, False)
                and ((i == 0 and not rules.guesses) or is_likely(way, reading))):
            return i
        if (reading.trouble != GLUED
                and read_line(trimmed(text), &way.steps, last, reading, memo, furthest, True)
                and ((i == 0 and not rules.guesses) or is_likely(way, reading))):
            return i
        if reading.trouble == GLUED:
            return UNREAD
        furthest = NULL
    return UNREAD


cdef inline int read_outer(
    const Rules *rules, bint whole, Result *result, DayMemo *memo, Reader *reader, Reading *furthest
) noexcept nogil:
    """Return the number of the way that reads a line, or what is instead of it.

    The inside of a line that stands in quotes as a whole is tried first: a format that begins with any text would take
    the quote for a part of it.
    """
    cdef Cursor inner
    cdef Cursor text = result.text
    cdef int way, outcome
    if rules.ways[0].how == BY_COLUMNS and text.p != text.end and text.p[0] == b"#":
        if is_fields_line(text):
            name_columns(text, &rules.ways[0].names, &reader.columns)
        return IS_COMMENT
    if rules.unquotes and text.p != text.end and (text.p[0] == b'"' or is_empty(text.p[0])):
        inner = trimmed(text)
        outcome = unquote(&inner, reader)
        if outcome == NO_MEMORY_FOR_TEXT:
            return NO_MEMORY_TO_READ
        if outcome == UNQUOTED:
            way = read_by_ways(rules, inner, whole, False, result, memo, reader, NULL)
            if way != UNREAD:
                result.text = inner
                return way
    return read_by_ways(rules, text, whole, False, result, memo, reader, furthest)


cdef inline int read_any(
    const Rules *rules, Cursor text, bint whole, Result *result, DayMemo *memo, Reader *reader, Reading *furthest
) noexcept nogil:
    """Return the number of the way that reads a line, or a line that it wraps, or what is instead of it.

    Without *furthest* only the line that was read is in the result.
    """
    cdef bint is_message = False
    cdef int _wraps, way
    result.text = text_of(text)
    result.found.what, result.found.moment, result.found.value[J_TIME].start = NO_OBJECT, 0, NULL
    way = read_outer(rules, whole, result, memo, reader, furthest)
    text = result.text
    for _wraps in range(MAX_WRAPS):
        if way != IS_WRAPPED:
            break
        is_message |= is_server_message(&result.found, False)
        if not unwrap(&result.found, &reader.json, &text):
            way = UNREAD
            break
        text = text_of(text)
        way = read_by_ways(rules, text, whole, True, result, memo, reader, NULL)
    if way == IS_WRAPPED:
        is_message |= is_server_message(&result.found, False)
        way = UNREAD
    if way < 0:
        return NO_ENTRY if way == UNREAD and is_message else way
    result.text = text
    if rules.ways[way].how == BY_KEYS:
        result.reading.agreed = 0
    else:
        fill_line(&result.line, &result.reading, &rules.ways[way].steps)
    result.line.limit, result.line.copied = NULL, text.p == reader.text
    return way


cdef inline int take_line(
    const Rules *rules, const char *start, size_t size, Result *result, DayMemo *memo, Reader *reader
) noexcept nogil:
    """Read what the rules look at; return the number of the way that reads it, or what is instead of it."""
    cdef int way = read_any(rules, line_cursor(start, size), False, result, memo, reader, NULL)
    if way >= 0 and rules.by_host and rules.ways[way].host_end.start != NULL:
        take_host(result.text.p, result.line.time, &rules.ways[way], &result.line.host)
    return way


cdef inline void take_rest_of_plain_line(
    const Rules *rules, const char *start, size_t size, Cursor rest, const char *limit, Line *line, DayMemo *memo
) noexcept nogil:
    """Read what the rules look at beside what take_plain_line has taken."""
    cdef Reading reading
    cdef const Way *own = &rules.ways[0]
    cdef Cursor text = line_cursor(start, size)
    memset(&line.host, 0, sizeof(Span))
    memset(&line.referer, 0, sizeof(Span))
    memset(&line.user_agent, 0, sizeof(Span))
    line.limit, line.copied = limit, False
    if own.last > PLAIN_STEPS:
        rest.end = text.end
        if rules.knows_agents:
            take_plain_referer_and_agent(&rest, limit, rules.by_agent, line)
        else:
            take_steps(rest, &own.steps, PLAIN_STEPS, own.last, &reading, memo, False)
            fill_tail(line, &reading, &own.steps)
    if rules.by_host and own.host_end.start != NULL:
        take_host(text_of(text).p, line.time, own, &line.host)


cdef inline void take_host(const char *start, const char *time, const Way *way, Span *host) noexcept nogil:
    """Take the virtual host before the time; absent where there is none, or it has a space in it."""
    cdef const char *p = start
    cdef const char *end
    cdef int _word
    memset(host, 0, sizeof(Span))
    for _word in range(way.host_words):
        p = <const char *>memchr(p, b" ", <size_t>(time - p))
        if p == NULL:
            return
        p += 1
    start = p
    if p[0] == b"[":    # an address of IPv6, with colons in it
        end = <const char *>memchr(p, b"]", <size_t>(time - p))
        p = end + 1 if end != NULL else p
    end = <const char *>memmem(p, <size_t>(time - p), way.host_end.start, way.host_end.size)
    if end != NULL and end != start and memchr(start, b" ", <size_t>(end - start)) == NULL:
        host.start, host.size = start, <size_t>(end - start)


cdef inline bint is_method(const Rules *rules, Span method) noexcept nogil:
    cdef int i
    for i in range(rules.methods_count):
        if method.size == rules.methods[i].size and memcmp(method.start, rules.methods[i].start, method.size) == 0:
            return True
    return False


cdef inline int bucket_of(const Rules *rules, const Line *line, bint is_plain_get) noexcept nogil:
    """Return the bucket of a line by its request and status alone."""
    if not (rules.takes_get if is_plain_get else is_method(rules, line.method)):
        return OTHER_METHOD
    if not is_plain_get and not has_path(line.path):
        return NO_PATH
    if not rules.any_status and not (line.status.size == 3 and rules.statuses[number(line.status.start, 3)]):
        return OTHER_STATUS
    return HIT


cdef inline bint is_not_found(const Rules *rules, const Line *line) noexcept nogil:
    """Tell whether the server did not find the page."""
    return line.status.size == 3 and rules.not_found[number(line.status.start, 3)]


cdef inline uint64_t packed_text(const char *p, size_t size) noexcept nogil:
    """Return up to 8 bytes as a number, capitals as small letters."""
    cdef uint64_t word = 0
    cdef size_t i
    for i in range(size):
        word = word << 8 | <uint8_t>(p[i] + 32 if b"A" <= p[i] <= b"Z" else p[i])
    return word


cdef inline bint has_ending(const Rules *rules, uint64_t word) noexcept nogil:
    cdef int i
    for i in range(rules.endings):
        if rules.ending[i] == word:
            return True
    return False


cdef inline int kind_of_path(const Rules *rules, Span path) noexcept nogil:
    """Return whether the last segment of a path, up to a ``;``, has one of the endings: A_FILE or NO_FILE.

    A path that the rules for paths may read otherwise is left to them: a whole URL, one with an escape of the log or
    with a ``?``, and, where they rewrite paths, one with an escape of the URL or with a dot. It is UNSURE.
    """
    cdef const char *p = path.start
    cdef const char *end = p + path.size
    cdef const char *semicolon
    cdef size_t size
    if p[0] != b"/" or memchr(p, b"\\", path.size) != NULL or memchr(p, b"?", path.size) != NULL:
        return UNSURE
    if memchr(p, b";", path.size) != NULL:
        p = <const char *>memrchr(p, b"/", path.size)
        semicolon = <const char *>memchr(p, b";", <size_t>(end - p))
        end = semicolon if semicolon != NULL else end
    for size in range(2, min(<size_t>MAX_ENDING, <size_t>(end - p)) + 1):
        if (end - size)[0] == b".":
            if has_ending(rules, packed_text(end - size, size)):
                return A_FILE
            break
    if rules.rewrites and (
        memchr(path.start, b"%", path.size) != NULL or memchr(path.start, b".", path.size) != NULL
    ):
        return UNSURE
    return NO_FILE
