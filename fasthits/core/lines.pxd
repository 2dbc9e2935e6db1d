"""Rules: the ways to read a line, which fields are read, and whether the line is a hit.

If the log's own way cannot read a line, the core tries the other ways in their order. So one log may have lines of
several formats, and the result for a line does not depend on the lines around it. Each way first reads exactly and then
loosely, so a line that follows the format is never read loosely. If another request follows a line that could be read,
two lines are glued together, and no way reads them.

A JSON object may wrap another line in its message. The same ways read that line.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset

from fasthits.core.ltsv_w3c cimport Names, is_fields_line, name_columns, read_columns, read_labels
from fasthits.core.json cimport has_object
from fasthits.core.jsonlines cimport (
    ALL_KINDS, ENTRY, GLUED_ENTRY, NEEDED_KINDS, NO_OBJECT, SERVER_MESSAGE, WRAPS, Found, fill_json_line,
    is_server_message, read_object, unwrap,
)
from fasthits.core.jsonnames cimport J_QUERY, J_REFERER, J_TIME, J_USER_AGENT, J_VHOST, JsonNames
from fasthits.core.jsontexts cimport has_buffer
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
    UNREAD = -1            # no way could read the line
    NO_MEMORY_TO_READ = -2
    IS_COMMENT = -3
    NO_ENTRY = -4          # the line is a message of the server and no access entry
    IS_WRAPPED = -5        # the line wraps another line, which is still to be read

cdef enum:                 # kinds of paths
    NO_FILE, A_FILE, UNSURE

cdef enum:                 # how a way reads
    BY_STEPS, BY_LABELS, BY_COLUMNS, BY_KEYS

cdef enum:
    MAX_WRAPS = 2          # levels of lines in a line
    MAX_ENDINGS = 64       # of static files
    MAX_ENDING = 8
    PLAIN_STEPS = 7        # steps that take_plain_line takes at once
    COMBINED_STEPS = 11    # steps that take_plain_line and take_plain_referer_and_agent take

cdef struct Way:           # to read a line
    int how
    Steps steps            # BY_LABELS and BY_COLUMNS: step k stands for the field of kind k
    Names names            # of labels or columns
    JsonNames keys         # of the fields of an object
    int last               # the number of steps that the rules need; the others are not read
    Span host_end          # the text between a virtual host and the time; absent if no virtual host is before the time
    int host_words         # the number of words before the virtual host
    bint begins_quoted     # its lines begin with a quote
    bint only_wrapped      # the way only reads lines that another line wraps

cdef struct Rules:
    bint plain             # every GET of a path is a hit under that path
    bint knows_plain_lines    # the log's own format begins like combined, so take_plain_line can read its lines
    bint knows_agents      # it goes on like combined, and no rule needs a field after the user agent
    bint unquotes          # if a line is in quotes as a whole, they are removed before it is read
    Span *methods
    int methods_count
    bint takes_get         # whether GET is one of them
    bint any_status
    uint8_t[1000] statuses
    bint keep_query, by_host, by_agent, apart
    int referer_tables
    bint not_found_apart   # requests with a status in not_found are no hits, and get rows in their own table
    uint8_t[1000] not_found
    uint64_t[MAX_ENDINGS] ending    # of static files that do not count, each packed by `packed_text`
    int endings
    bint asks_about_paths  # Python is asked about paths that are UNSURE; if False, they count
    bint rewrites          # rules for paths rewrite them before they look at the ending
    Way *ways              # the first one is the log's own
    int ways_count
    bint guesses           # the first way was only guessed: its lines are checked like those of the other ways
    const Way *keys        # the way that reads objects; NULL if no way does, or if it is the first


cdef struct Result:        # of reading a line
    Cursor text            # the text that was read: the line, the text in its quotes, or the line that it wraps
    Line line
    Reading reading        # if text was read by steps, labels or columns
    Found found            # if an object was read


cdef inline bint is_step(const Step *step, int kind, int how, const char *text, size_t size) noexcept nogil:
    if step.how != how or (how != LITERAL and step.kind != kind):
        return False
    return how != LITERAL or (step.size == size and memcmp(step.text, text, size) == 0)


cdef inline bint begins_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether the needed steps are exactly those of ``[%t] "%r" %>s %b``."""
    return (
        steps.anchored and steps.count >= PLAIN_STEPS and steps.needed == PLAIN_STEPS
        and is_step(&steps.step[0], TIME, CLF_TIME, NULL, 0) and is_step(&steps.step[1], 0, LITERAL, b'] "', 3)
        and is_step(&steps.step[2], REQUEST, QUOTED, NULL, 0) and is_step(&steps.step[3], 0, LITERAL, b'" ', 2)
        and is_step(&steps.step[4], STATUS, THREE_DIGITS, NULL, 0) and is_step(&steps.step[5], 0, LITERAL, b" ", 1)
        and is_step(&steps.step[6], BYTES, DIGITS_OR_DASH, NULL, 0)
    )


cdef inline bint goes_on_as_combined(const Steps *steps) noexcept nogil:
    """Tell whether the next steps are those of `` "%{Referer}i" "%{User-Agent}i"``."""
    return (
        steps.count >= COMBINED_STEPS
        and is_step(&steps.step[7], 0, LITERAL, b' "', 2) and is_step(&steps.step[8], REFERER, QUOTED, NULL, 0)
        and is_step(&steps.step[9], 0, LITERAL, b'" "', 3) and is_step(&steps.step[10], USER_AGENT, QUOTED, NULL, 0)
    )


cdef inline int last_step(const Rules *rules, const Steps *steps) noexcept nogil:
    """Return the number of steps that the rules need."""
    cdef int last = steps.needed
    if rules.referer_tables:
        last = max(last, steps.at[REFERER] + 1)
    if rules.by_agent:
        last = max(last, steps.at[USER_AGENT] + 1)
    if rules.by_host:
        last = max(last, steps.at[VHOST] + 1)
    return last


cdef inline uint32_t wanted_kinds(const Rules *rules) noexcept nogil:
    """Return the kinds of keys that the rules need, a bit for each."""
    return <uint32_t>(
        NEEDED_KINDS | rules.by_host << J_VHOST | rules.by_agent << J_USER_AGENT
        | (rules.referer_tables != 0) << J_REFERER | rules.keep_query << J_QUERY
    )


cdef inline bint has_text(const Step *step, const char *text, size_t size) noexcept nogil:
    return step.how == LITERAL and memmem(step.text, step.size, text, size) != NULL


cdef inline void settle_way(const Rules *rules, Way *way) noexcept nogil:
    """Set the members of a way that follow from its steps and from the rules."""
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
    """Set the members of the rules that follow from the other members."""
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
    """Tell whether a guessed way has read a line of its format, and not a torn line of another format.

    It has if no field before a quoted request has a quote, and a method in a field of its own is a word.
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
    """Return what the object in a line is; NO_OBJECT also if its fields do not fit in the buffer.

    If the object is an ENTRY, fill the result's Line."""
    if (is_inner or reader.json.buffer == NULL) and not has_object(text):
        return NO_OBJECT    # the result keeps the fields of the outer line
    if not has_buffer(&reader.json):
        return NO_MEMORY_TO_READ
    result.found.what = read_object(text, &way.keys, wanted, &reader.json, memo, &result.found)
    if result.found.what == ENTRY and not fill_json_line(&result.found, &reader.json, &result.line):
        return NO_OBJECT
    return result.found.what


cdef inline bint is_glued_to_object(
    const Rules *rules, Cursor text, bint is_inner, Result *result, DayMemo *memo, Reader *reader
) noexcept nogil:
    """Tell whether a line of text and an object that is an access entry are glued together."""
    cdef Cursor line = trimmed(text)
    return (
        rules.keys != NULL and line.p != line.end and (line.p[0] == b"{" or (line.end - 1)[0] == b"}")
        and read_keys(rules.keys, text, rules.keys.keys.wanted, is_inner, result, memo, reader) == GLUED_ENTRY
    )


cdef inline int read_by_ways(
    const Rules *rules, Cursor text, bint whole, bint is_inner, Result *result, DayMemo *memo, Reader *reader,
    Reading *furthest
) noexcept nogil:
    """Return the number of the way that reads a line, or UNREAD ... *whole* asks for all fields.

    For a malformed line, *furthest* gets the reading by the log's own way that went furthest. It may be NULL.
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
    """Return the number of the way that reads a line, or UNREAD ...

    If a line is in quotes as a whole, the text inside the quotes is tried first: a format that begins with any text
    would take the first quote for a part of that text.
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
    """Return the number of the way that reads a line, or the line that it wraps, or UNREAD ...

    For a malformed line, *furthest* gets the reading by the log's own way that went furthest. It may be NULL.
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
    """Read the fields that the rules need; return the number of the way that reads the line, or UNREAD ..."""
    cdef int way = read_any(rules, line_cursor(start, size), False, result, memo, reader, NULL)
    if way >= 0 and rules.by_host and rules.ways[way].host_end.start != NULL:
        take_host(result.text.p, result.line.time, &rules.ways[way], &result.line.host)
    return way


cdef inline void take_rest_of_plain_line(
    const Rules *rules, const char *start, size_t size, Cursor rest, const char *limit, Line *line, DayMemo *memo
) noexcept nogil:
    """Read the other fields that the rules need, which take_plain_line does not take."""
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
    """Take the virtual host before the time; absent if there is none, or if it has a space in it."""
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
    if p[0] == b"[":    # an IPv6 address, with colons in it
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
    """Return the bucket of a line by its request and its status, without a look at other fields."""
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
    """Return up to 8 bytes as a number, with capital letters in lower case."""
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
    """Return whether the last segment of a path, up to a ``;``, has an ending of static files: A_FILE or NO_FILE.

    UNSURE leaves the path to the rules for paths, which may change it before they look at the ending. Such paths are
    whole URLs and paths with a backslash or a ``?``. If the rules rewrite paths, so are those with a ``%`` or a dot.
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
