"""JSON lines: the wanted fields of an object, what the object is, and the line that an access entry stands for.

All that is not wanted is skipped. An object may also wrap another line in its message.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fasthits.core.json cimport (
    find_object, is_blank, skip_blanks, skip_to_key, skip_value, take_message, take_string, take_value,
)
from fasthits.core.jsonnames cimport (
    JSON_KINDS, J_LEVEL, J_LOGGER, J_MESSAGE, J_METHOD, J_PATH, J_PROTOCOL, J_QUERY, J_REFERER, J_REQUEST, J_STATUS,
    J_TIME, J_USER_AGENT, J_VHOST, KEPT_KEYS, NO_KIND, TOP, JsonMemo, JsonNames, Name, name_of, take_known_key,
)
from fasthits.core.jsontexts cimport (
    AS_ESCAPE, AS_PERCENT, BUFFER_BYTES, STAYS, put_listed_bytes, take_character, take_text,
)
from fasthits.core.steps cimport holds_another_line, memmem
from fasthits.core.times cimport NO_HOUR, DayMemo, has_clock, moment_of, moment_of_clf, moment_of_epoch, ordinal_of
from fasthits.core.tokens cimport (
    Cursor, Line, Span, are_digits, is_digit, load8, number, skip_past, split_request, split_target, starts_with,
)

cdef enum:                 # what an object is
    NO_OBJECT, CUT, TWO_OBJECTS, NO_TIME, NO_DATE, NO_REQUEST, WRAPS, SERVER_MESSAGE, GLUED_ENTRY, ENTRY

cdef enum:
    MAX_DEPTH = 8          # levels of nested objects; deeper objects are skipped
    NOT_FOUND = 255        # the rank of a field that the object does not have
    ALL_KINDS = 0xFFFF
    # Fields that decide what an object is, and where its hit counts.
    NEEDED_KINDS = (
        1 << J_TIME | 1 << J_REQUEST | 1 << J_METHOD | 1 << J_PATH | 1 << J_STATUS | 1 << J_LOGGER | 1 << J_LEVEL
        | 1 << J_MESSAGE
    )

cdef struct Found:         # in an object
    Span[JSON_KINDS] value     # as in the line, without quotes
    Span[JSON_KINDS] key       # likewise
    uint8_t[JSON_KINDS] rank
    bint has_url           # the path came from a name with is_url
    bint has_request       # the object has a request or a path, which may be empty
    int32_t moment
    int what               # what the object is: ENTRY, CUT ...
    Cursor object          # the line that holds the object
    Cursor text            # the line that was read: the same line, or a line of text that the object wraps


# --- Times ------------------------------------------------------------------------------------------------------------

cdef inline bint is_end_of_time(const char *p, const char *end) noexcept nogil:
    """Tell whether the bytes can be a fraction and a zone: only letters, digits, blanks and ``+,-./:``."""
    while p != end:
        if not (b"+" <= p[0] <= b":" or b"A" <= (p[0] & 0xDF) <= b"Z" or p[0] == b" "):
            return False
        p += 1
    return True


cdef inline int32_t moment_of_iso(const char *p, const char *end, JsonMemo *memo) noexcept nogil:
    """Return the moment of ``yyyy-mm-dd`` or ``yyyy/mm/dd``, with or without ``THH:MM:SS``; 0 for an invalid date.

    A space may replace the T."""
    if end - p > 10 and (end - p < 19 or (p[10] != b"T" and p[10] != b" ") or not has_clock(p + 11)
                         or not is_end_of_time(p + 19, end)):
        return 0
    if load8(p) != memo.date_head or load8(p + 2) != memo.date_tail:
        memo.date_head, memo.date_tail, memo.day = load8(p), load8(p + 2), 0
        if are_digits(p, 4) and are_digits(p + 5, 2) and are_digits(p + 8, 2) and p[7] == p[4]:
            memo.day = ordinal_of(number(p, 4), number(p + 5, 2), number(p + 8, 2))
    return moment_of(memo.day, number(p + 11, 2) if end - p > 10 else <int32_t>NO_HOUR)


cdef inline int64_t seconds_of(uint64_t value) noexcept nogil:
    """Return the seconds since 1970 of a number of seconds, milliseconds, microseconds or nanoseconds.

    Return -1 outside of the years 2001 to 2286: such a number is something else, a duration or a date without hyphens.
    """
    cdef uint64_t unit = 1
    cdef int _
    for _ in range(4):
        if 1000000000ULL <= value // unit < 10000000000ULL:
            return <int64_t>(value // unit)
        unit *= 1000
    return -1


cdef inline int32_t moment_of_number(const char *p, const char *end, DayMemo *memo) noexcept nogil:
    """Return the local moment of a number like ``1773309600.123`` or ``1.7733096e9``; 0 for anything else."""
    cdef uint64_t value = 0
    cdef int digits = 0
    cdef int decimals = 0
    cdef int power = 0
    cdef bint has_point = False
    cdef int64_t seconds
    while p != end and (is_digit(p[0]) or (p[0] == b"." and digits and not has_point)):
        if p[0] == b".":
            has_point = True
        elif digits < 19:
            value = value * 10 + <uint64_t>(p[0] - c"0")
            digits += 1
            decimals += has_point
        elif not has_point:
            return 0
        p += 1
    if digits and end - p >= 2 and (p[0] == b"e" or p[0] == b"E"):
        p += 2 if p[1] == b"+" else 1
        if not 1 <= end - p <= 2 or not are_digits(p, <int>(end - p)):
            return 0
        power = number(p, <int>(end - p))
        p = end
    if digits == 0 or p != end:
        return 0
    while decimals > power:
        value //= 10
        decimals -= 1
    while decimals < power:
        if value >= 1000000000000000000ULL:
            return 0
        value *= 10
        decimals += 1
    seconds = seconds_of(value)
    return 0 if seconds < 0 else moment_of_epoch(seconds, memo)


cdef inline int32_t moment_of_time(Span text, JsonMemo *memo, DayMemo *days) noexcept nogil:
    """Return the moment of a time in any layout that JSON logs have; 0 for another layout or an invalid date."""
    cdef const char *p = text.start
    cdef const char *end = p + text.size
    if text.size and p[0] == b"[" and (end - 1)[0] == b"]":
        p, end = p + 1, end - 1
    if end - p < 8:
        return 0
    if end - p >= 10 and (p[4] == b"-" or p[4] == b"/"):
        return moment_of_iso(p, end, memo)
    if end - p >= 20 and p[2] == b"/":
        if p[11] != b":" or not has_clock(p + 12) or not is_end_of_time(p + 20, end):
            return 0
        return moment_of_clf(p)
    return moment_of_number(p, end, days)


# --- Objects ----------------------------------------------------------------------------------------------------------

cdef inline void keep_value(
    Found *found, const Name *name, Span key, Span value, JsonMemo *memo, DayMemo *days
) noexcept nogil:
    cdef int kind = name.kind
    cdef int32_t moment
    if name.rank > found.rank[kind]:
        return
    if kind == J_TIME:
        moment = moment_of_time(value, memo, days)
        if moment == 0:
            if found.rank[J_TIME] == NOT_FOUND:
                found.value[J_TIME], found.key[J_TIME] = value, key    # for `explain`, which shows what is wrong
            return
        found.moment = moment
    elif kind == J_PATH:
        found.has_url = name.is_url
    found.value[kind], found.key[kind], found.rank[kind] = value, key, name.rank


cdef inline bint take_field_value(
    Cursor *line, const Name *name, Span key, JsonMemo *memo, DayMemo *days, Found *found
) noexcept nogil:
    """Take the value of a wanted field; False if it does not end."""
    cdef Span value
    cdef bint is_null = line.p[0] == b"n"
    if not (take_message(line, &value) if name.kind == J_MESSAGE else take_value(line, &value)):
        return False
    if name.kind == J_REQUEST or name.kind == J_PATH:
        found.has_request |= value.start != NULL or is_null
    if value.start != NULL:
        keep_value(found, name, key, value, memo, days)
    return True


cdef inline bint take_object(
    Cursor *line, const JsonNames *names, uint32_t wanted, JsonMemo *memo, DayMemo *days, Found *found
) noexcept nogil:
    """Take an object. The cursor is after its opening brace. False if the object does not end."""
    cdef int[MAX_DEPTH] parents
    cdef int depth = 0
    cdef int slot = KEPT_KEYS
    cdef int at
    cdef const Name *name
    cdef const char *gap
    cdef Span key
    parents[0] = TOP
    while True:
        if take_known_key(line, memo, parents[depth], &slot, &key):
            at = memo.kept[slot].name
        else:
            gap = line.p
            if not skip_to_key(line):
                return False
            if line.p[0] == b"}":
                line.p += 1
                if depth == 0:
                    return True
                depth -= 1
                continue
            if not take_string(line, &key):
                return False
            skip_blanks(line)
            if not skip_past(line, b":"):
                continue                    # a text without a colon after it is not a key
            skip_blanks(line)
            if line.p == line.end:
                return False
            at = name_of(names, memo, parents[depth], &slot, gap, key, line.p + (line.p[0] == b'"'))
        if at == NO_KIND:
            if not skip_value(line):
                return False
            continue
        name = &names.name[at]
        if line.p[0] == b"{" and (name.has_children or name.is_transparent) and depth + 1 < MAX_DEPTH:
            line.p += 1
            depth += 1
            parents[depth] = TOP if name.is_transparent else at
        elif name.kind == NO_KIND or not wanted >> name.kind & 1:
            if not skip_value(line):
                return False
        elif not take_field_value(line, name, key, memo, days, found):
            return False


cdef inline Span next_word(Cursor *line) noexcept nogil:
    """Take the bytes before the next tab, or before the end, and step over the tab."""
    cdef Span word
    word.start = line.p
    while line.p != line.end and line.p[0] != b"\t":
        line.p += 1
    word.size = <size_t>(line.p - word.start)
    skip_past(line, b"\t")
    return word


cdef inline void look_before(Cursor before, JsonMemo *memo, DayMemo *days, Found *found) noexcept nogil:
    r"""Take what the object lacks from the text *before* it: the time at its beginning, and a logger between tabs.

    Caddy's console format is ``time<tab>level<tab>logger<tab>message<tab>{...}``. The log files of containers have
    ``time stdout F {...}``.
    """
    cdef Cursor rest = before
    cdef Span word = next_word(&rest)
    cdef const char *blank
    cdef bint has_tabs = rest.p != rest.end
    if found.moment == 0 and not has_tabs:
        blank = <const char *>memchr(word.start, b" ", word.size)
        if blank != NULL:
            word.size = <size_t>(blank - word.start)
    if found.moment == 0:
        found.moment = moment_of_time(word, memo, days)
        if found.moment:
            found.value[J_TIME], found.rank[J_TIME], found.key[J_TIME].start = word, 0, NULL
    if has_tabs and found.rank[J_LOGGER] == NOT_FOUND:
        next_word(&rest)
        word = next_word(&rest)
        if word.size and rest.p != rest.end:
            found.value[J_LOGGER], found.rank[J_LOGGER], found.key[J_LOGGER].start = word, 0, NULL


cdef inline bint has_text(const Found *found, int kind) noexcept nogil:
    return found.rank[kind] != NOT_FOUND and found.value[kind].size != 0


cdef inline bint contains(Span text, const char *wanted, size_t size) noexcept nogil:
    return memmem(text.start, text.size, wanted, size) != NULL


cdef inline bint ends_with(Span text, const char *ending, size_t size) noexcept nogil:
    return text.size >= size and memcmp(text.start + text.size - size, ending, size) == 0


cdef inline bint is_server_message(const Found *found, bint has_request) noexcept nogil:
    """Tell whether an object is a message of the server and no access entry. Such messages may name a request, too.

    One sign is the logger's name: Caddy's ``http.log.error`` and ``http.handlers.reverse_proxy`` (all of Caddy's but
    ``http.log.access``), Python's ``uvicorn.error``. Another sign is a level with a message and no status: Traefik's
    and Istio's own logs, pino's lines within a request.
    """
    cdef Span logger = found.value[J_LOGGER]
    if found.rank[J_LOGGER] != NOT_FOUND:
        if contains(logger, b"access", 6) or ends_with(logger, b"requests", 8):
            return False
        if starts_with(logger, b"http.", 5) or ends_with(logger, b".error", 6):
            return True
    if not has_request and ends_with(logger, b"stderr", 6):
        return True
    return (
        found.rank[J_LEVEL] != NOT_FOUND and has_text(found, J_MESSAGE)
        and (not has_request or found.rank[J_STATUS] == NOT_FOUND)
    )


cdef inline int read_object(
    Cursor line, const JsonNames *names, uint32_t wanted, JsonMemo *memo, DayMemo *days, Found *found
) noexcept nogil:
    """Find the wanted fields of the object in a line; return what the object is.

    An object without a time gets the time in *found*, which is that of the object that wraps it. If the object WRAPS
    another line, that line is its message.
    """
    cdef Cursor before = line
    cdef Cursor after
    cdef Span outer = found.value[J_TIME]
    cdef int32_t moment = found.moment
    cdef const char *brace
    found.object = line
    memset(found.rank, NOT_FOUND, sizeof(found.rank))
    found.value[J_TIME].start = NULL
    found.value[J_LOGGER].start, found.value[J_LOGGER].size = NULL, 0
    found.moment, found.has_url, found.has_request = 0, False, False
    if not find_object(&line, &before.end):
        return NO_OBJECT
    if not take_object(&line, names, wanted, memo, days, found):
        return CUT
    after = line
    if find_object(&line, &brace):
        return TWO_OBJECTS
    if before.p != before.end:
        look_before(before, memo, days, found)
    if found.moment == 0 and moment != 0:
        found.moment, found.value[J_TIME], found.key[J_TIME].start = moment, outer, NULL
    # A path without a method may be that of the log file, which Logstash writes beside the message.
    if not found.has_request or (
        found.rank[J_REQUEST] == NOT_FOUND and found.rank[J_METHOD] == NOT_FOUND and has_text(found, J_MESSAGE)
    ):
        if has_text(found, J_MESSAGE):
            return WRAPS
        return SERVER_MESSAGE if is_server_message(found, False) else NO_REQUEST
    if is_server_message(found, True):
        return SERVER_MESSAGE
    if found.moment == 0:
        return NO_TIME if found.value[J_TIME].start == NULL else NO_DATE
    if holds_another_line(before.p, before.end) or holds_another_line(after.p, after.end):
        return GLUED_ENTRY
    return ENTRY


cdef inline bint unwrap(const Found *found, JsonMemo *memo, Cursor *line) noexcept nogil:
    """Set *line* to the line that an object wraps, without the newlines at its end; False if the buffer is full."""
    cdef Span raw = found.value[J_MESSAGE]
    cdef size_t written
    cdef size_t i = 0
    cdef size_t start = memo.used
    if BUFFER_BYTES - memo.used < raw.size + 4:
        return False
    if raw.size and raw.start[0] == b"[" and (raw.start - 1)[0] != b'"':
        put_listed_bytes(memo, raw)
        i = raw.size
    while i < raw.size:
        i += take_character(raw.start + i, raw.size - i, memo.buffer + memo.used, &written)
        memo.used += written
    line.p, line.end = memo.buffer + start, memo.buffer + memo.used
    while line.end != line.p and is_blank((line.end - 1)[0]):
        line.end -= 1
    return True


# --- Lines ------------------------------------------------------------------------------------------------------------

cdef inline bint take_field(const Found *found, int kind, int spaces, JsonMemo *memo, Span *out) noexcept nogil:
    """Set *out* to a field: absent if the object lacks it, ``-`` if it is empty; False if the buffer is full."""
    if found.rank[kind] == NOT_FOUND:
        memset(out, 0, sizeof(Span))
        return True
    if found.value[kind].size == 0:
        out.start, out.size = b"-", 1
        return True
    return take_text(found.value[kind], spaces, memo, out)


cdef inline bint has_scheme(Span target) noexcept nogil:
    return starts_with(target, b"http://", 7) or starts_with(target, b"https://", 8)


cdef inline bint cut_url(Span *target, Span *host, JsonMemo *memo) noexcept nogil:
    """Remove scheme and host from a URL. An absent *host* is set to the URL's host. False if the buffer is full."""
    cdef Cursor rest
    cdef Span authority
    if not has_scheme(target[0]):
        return True
    rest.p, rest.end = target.start + (8 if target.start[4] == b"s" else 7), target.start + target.size
    authority.start = rest.p
    while rest.p != rest.end and rest.p[0] != b"/" and rest.p[0] != b"?":
        rest.p += 1
    authority.size = <size_t>(rest.p - authority.start)
    if host.start == NULL and authority.size:
        host[0] = authority
    target.start, target.size = rest.p, <size_t>(rest.end - rest.p)
    if target.size and target.start[0] == b"/":
        return True
    if BUFFER_BYTES - memo.used < target.size + 1:
        return False
    memo.buffer[memo.used] = b"/"
    memcpy(memo.buffer + memo.used + 1, rest.p, target.size)
    target.start, target.size = memo.buffer + memo.used, target.size + 1
    memo.used += target.size
    return True


cdef inline void cut_port(Span *host) noexcept nogil:
    """Remove ``:port`` from a host, which may be an IPv6 address."""
    cdef size_t size = host.size
    while size and is_digit(host.start[size - 1]):
        size -= 1
    if size < 2 or size == host.size or host.start[size - 1] != b":":
        return
    size -= 1
    if host.start[size - 1] == b"]" or memchr(host.start, b":", size) == NULL:
        host.size = size


cdef inline bint add_query(Found *found, JsonMemo *memo, Line *line) noexcept nogil:
    """If the path has no query, take the query from its own field; False if the buffer is full."""
    cdef Span query
    cdef char *copy
    if line.query.start != NULL or not has_text(found, J_QUERY):
        return True
    if not take_text(found.value[J_QUERY], AS_PERCENT, memo, &query):
        return False
    if query.start[0] == b"?":
        line.query = query
    elif query.size != 1 or query.start[0] != b"-":
        if BUFFER_BYTES - memo.used < query.size + 1:
            return False
        copy = memo.buffer + memo.used
        copy[0] = b"?"
        memcpy(copy + 1, query.start, query.size)
        line.query.start, line.query.size = copy, query.size + 1
        memo.used += line.query.size
    return True


cdef inline bint take_request(Found *found, JsonMemo *memo, Line *line) noexcept nogil:
    """Set method, target, path, query and protocol; False if the buffer is full.

    Either one field has the whole request, or two fields have a path and a method. In some logs the field named request
    has only the path, in others only the method. Beside such a path, Logstash writes the path of the log file.
    """
    cdef Span request
    cdef bint is_target = False
    cdef bint is_whole = False
    cdef bint has_path = has_text(found, J_PATH)
    if not take_field(found, J_REQUEST, STAYS, memo, &request):
        return False
    if has_text(found, J_REQUEST):
        is_target = request.start[0] == b"/" or has_scheme(request)
        is_whole = memchr(request.start, b" ", request.size) != NULL and not is_target
        if (has_path and request.start[0] == b"/" and has_text(found, J_METHOD)
                and found.key[J_PATH].size == 4 and starts_with(found.key[J_PATH], b"path", 4)):
            has_path = False
    if is_whole or (not has_path and not (is_target and has_text(found, J_METHOD))):
        if request.start == NULL:
            request.start, request.size = b"-", 1
        split_request(request, line)
        split_target(line)
        return True
    if not take_field(found, J_METHOD, AS_PERCENT, memo, &line.method):
        return False
    if line.method.start == NULL:
        line.method = request
        if request.start == NULL or is_target:
            line.method.start, line.method.size = b"-", 1
    if not take_field(found, J_PROTOCOL, AS_PERCENT, memo, &line.protocol):
        return False
    if has_path:
        if not take_text(found.value[J_PATH], AS_PERCENT, memo, &line.target):
            return False
        if found.has_url and not cut_url(&line.target, &line.host, memo):
            return False
    elif not take_text(found.value[J_REQUEST], AS_PERCENT, memo, &line.target):
        return False
    split_target(line)
    return add_query(found, memo, line)


cdef inline Span three_digits_of(const Found *found) noexcept nogil:
    """Return the three digits at the beginning of the status field; absent for any other text."""
    cdef Span status = found.value[J_STATUS]
    if (found.rank[J_STATUS] == NOT_FOUND or status.size < 3 or not are_digits(status.start, 3)
            or (status.size > 3 and is_digit(status.start[3]))):
        status.start, status.size = NULL, 0
    else:
        status.size = 3
    return status


cdef inline bint fill_json_line(Found *found, JsonMemo *memo, Line *line) noexcept nogil:
    """Fill a Line from the fields of an access entry; False if the buffer is full."""
    line.moment, line.time, line.status = found.moment, found.value[J_TIME].start, three_digits_of(found)
    if not (take_field(found, J_VHOST, AS_ESCAPE, memo, &line.host) and take_request(found, memo, line)
            and take_field(found, J_REFERER, STAYS, memo, &line.referer)
            and take_field(found, J_USER_AGENT, STAYS, memo, &line.user_agent)):
        return False
    if line.host.start != NULL:
        cut_port(&line.host)
    return True
