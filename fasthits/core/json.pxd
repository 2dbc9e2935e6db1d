r"""JSON lines: finds the wanted fields of an object, and skips everything else.

The scanner only follows strings, braces and brackets. The text between them may be invalid: a bad number, a bad
escape, bytes that are not UTF-8. A line whose object does not end is malformed. No function recurses, and the scanner
reads each byte a few times at most.

Keys are compared by their letters and digits in lower case, so ``userAgent``, ``user_agent`` and ``User-Agent`` are
one name. Dots join the keys of nested objects, so ``{"a": {"b": 1}}`` is read as ``{"a.b": 1}``.

The keys of a log repeat line after line. So the memo keeps for each key the bytes between the previous value and its
own value, such as ``,"status":"``, and the key that followed it. If the next line has the same bytes there, it has the
same key, and the core need not look the key up again.

Texts are written as Apache would have logged them (`ap_escape_logitem`, httpd's server/util.c). Most texts need no
change, so spans point into the line. Changed texts go into the memo's buffer. The scanner knows the escapes of
RFC 8259, and ``\xhh`` and ``\v``. Nginx and Apache write these two if their configuration only puts quotes around
variables.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, memset

from fasthits.core.codes cimport digit_value, pair_value
from fasthits.core.steps cimport holds_another_line, memmem
from fasthits.core.times cimport NO_HOUR, DayMemo, has_clock, moment_of, moment_of_clf, moment_of_epoch, ordinal_of
from fasthits.core.tokens cimport (
    MAX_LINE, Cursor, Line, Span, are_digits, is_digit, load8, number, skip_past, split_request, split_target,
    starts_with, take_quoted,
)

cdef enum:                 # kinds of keys
    J_TIME, J_REQUEST, J_METHOD, J_PATH, J_QUERY, J_PROTOCOL, J_STATUS, J_BYTES, J_REFERER, J_USER_AGENT, J_VHOST
    J_LOGGER, J_LEVEL, J_MESSAGE, JSON_KINDS

cdef enum:                 # what an object is
    NO_OBJECT, CUT, TWO_OBJECTS, NO_TIME, NO_DATE, NO_REQUEST, WRAPS, SERVER_MESSAGE, GLUED_ENTRY, ENTRY

cdef enum:                 # how a space in a text is written
    STAYS, AS_PERCENT, AS_ESCAPE

cdef enum:
    NO_KIND = -1
    TOP = -1               # the parent of keys in the outermost object
    MAX_DEPTH = 8          # levels of nested objects; deeper objects are skipped
    MAX_NAME = 96          # bytes of a name, with its dots; longer keys are unknown
    KEPT_KEYS = 128
    MAX_GAP = 54           # bytes from the previous value to a key's value; keys with more are looked up each time
    NOT_FOUND = 255        # the rank of a field that the object does not have
    MAX_NAMES = 500        # of JSON fields and of the objects around them
    SLOTS = 2048
    SLOT_MASK = SLOTS - 1
    ALL_KINDS = 0xFFFF
    # Fields that decide what an object is, and where its hit counts.
    NEEDED_KINDS = (
        1 << J_TIME | 1 << J_REQUEST | 1 << J_METHOD | 1 << J_PATH | 1 << J_STATUS | 1 << J_LOGGER | 1 << J_LEVEL
        | 1 << J_MESSAGE
    )
    USED_BYTES = 1 << 16   # after so many bytes the buffer is filled from its start again
    # One line, unwrapped twice; its fields, with up to four bytes for each byte; parts of these fields once more.
    BUFFER_BYTES = USED_BYTES + 10 * MAX_LINE + 64

cdef struct Name:
    Span text              # as names are compared
    int kind               # of the value under this name; NO_KIND if the name is only the beginning of other names
    uint8_t rank           # among the names of its kind: the object's field with the lowest rank counts
    bint is_url            # the value may be an absolute URL that the server put together: its path counts
    bint has_children      # other names begin with this name and a dot
    bint is_transparent    # the fields of its object are read as if they were fields of the outer object

cdef struct JsonNames:
    Name *name
    int count
    int16_t *slots         # of an open-addressing table: the name's number plus 1; 0 is free
    int[JSON_KINDS] ranks  # the number of names of each kind
    uint32_t wanted        # a bit for each kind that counting looks at

cdef struct KeptKey:
    int16_t parent, name   # numbers of names; name: NO_KIND for an unknown key
    uint8_t follower       # the slot of the key that followed this key last time
    uint8_t size           # of text; 0 is free
    uint8_t key_at, key_size, value_at    # in text
    char[MAX_GAP] text     # from the end of the previous value to this key's value, with the value's quote

cdef struct JsonMemo:
    KeptKey[KEPT_KEYS + 1] kept    # the last entry is not a key: its follower is the first key of a line
    uint64_t date_head, date_tail    # the last date, yyyy-mm-dd
    int32_t day
    char *buffer           # BUFFER_BYTES for texts that differ from those in the line; NULL until a line needs it
    size_t used

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


# --- Strings and values --------------------------------------------------------------------------------------------

cdef inline bint is_blank(char c) noexcept nogil:
    return c == b" " or c == b"\t" or c == b"\r" or c == b"\n"


cdef inline bint opens(char c) noexcept nogil:
    return (c & 0xDF) == 0x5B       # [ or {


cdef inline bint closes(char c) noexcept nogil:
    return (c & 0xDF) == 0x5D       # ] or }


cdef inline void skip_blanks(Cursor *line) noexcept nogil:
    while line.p != line.end and is_blank(line.p[0]):
        line.p += 1


cdef inline bint take_string(Cursor *line, Span *out) noexcept nogil:
    """Take the bytes between the quote at the cursor and the next quote that no backslash escapes.

    If it returns False, the cursor has not moved.
    """
    cdef Cursor rest = line[0]
    rest.p += 1
    if not take_quoted(&rest, out):
        return False
    line.p = rest.p
    return True


cdef inline bint skip_open(Cursor *line, size_t depth) noexcept nogil:
    """Step to the end of *depth* open objects and lists; False if they do not end."""
    cdef Span text
    cdef char c
    while line.p != line.end:
        c = line.p[0]
        if c == b'"':
            if not take_string(line, &text):
                return False
            continue
        line.p += 1
        if opens(c):
            depth += 1
        elif closes(c):
            depth -= 1
            if depth == 0:
                return True
    return False


cdef inline void take_bare(Cursor *line, Span *out) noexcept nogil:
    """Take a number or a word: all bytes before a blank, a comma, a quote, a brace or a bracket.

    So a list ends at the same place whether its first item is taken or not.
    """
    cdef const char *p = line.p
    while p != line.end and not (is_blank(p[0]) or p[0] == b"," or p[0] == b'"' or opens(p[0]) or closes(p[0])):
        p += 1
    out.start, out.size = line.p, <size_t>(p - line.p)
    line.p = p


cdef inline bint skip_value(Cursor *line) noexcept nogil:
    """Step over the value at the cursor, which has at least one byte; False if it does not end."""
    cdef Span text
    if line.p[0] == b'"':
        return take_string(line, &text)
    if opens(line.p[0]):
        line.p += 1
        return skip_open(line, 1)
    take_bare(line, &text)
    return True


cdef inline bint says_nothing(Span word) noexcept nogil:
    """Tell whether a bare word is null, true, false or empty."""
    if word.size == 4:
        return memcmp(word.start, b"null", 4) == 0 or memcmp(word.start, b"true", 4) == 0
    return word.size == 0 or (word.size == 5 and memcmp(word.start, b"false", 5) == 0)


cdef inline bint take_value(Cursor *line, Span *out) noexcept nogil:
    """Take the value at the cursor: a text or a number, else absent; False if it does not end.

    The value of a list is its first item.
    """
    cdef bint is_list = line.p[0] == b"["
    out.start, out.size = NULL, 0
    if is_list:
        line.p += 1
        skip_blanks(line)
        if line.p == line.end:
            return False
    if line.p[0] == b'"':
        if not take_string(line, out):
            return False
    elif opens(line.p[0]):
        line.p += 1
        if not skip_open(line, 1):
            return False
    else:
        take_bare(line, out)
        if says_nothing(out[0]):
            out.start, out.size = NULL, 0
    return not is_list or skip_open(line, 1)


cdef inline bint is_list_of_numbers(Cursor line) noexcept nogil:
    line.p += 1
    skip_blanks(&line)
    return line.p != line.end and is_digit(line.p[0])


cdef inline bint take_message(Cursor *line, Span *out) noexcept nogil:
    """Take a message as `take_value` does, but take a list of numbers as a whole; False if it does not end.

    If a message has a control byte or is not UTF-8, journald writes it as a list of its bytes.
    """
    if line.p[0] != b"[" or not is_list_of_numbers(line[0]):
        return take_value(line, out)
    out.start = line.p
    if not skip_value(line):
        return False
    out.size = <size_t>(line.p - out.start)
    return True


# --- Keys -----------------------------------------------------------------------------------------------------------

cdef inline size_t put_letters(char *out, size_t size, Span key) noexcept nogil:
    """Append a key's letters, digits and dots, in lower case, to the *size* bytes of *out*; return the new size.

    Names are compared in this spelling. If it is too long, return 0.
    """
    cdef size_t i
    cdef char c
    for i in range(key.size):
        c = key.start[i]
        if b"A" <= c <= b"Z":
            c += 32
        if b"a" <= c <= b"z" or b"0" <= c <= b"9" or c == b".":
            if size == MAX_NAME:
                return 0
            out[size] = c
            size += 1
    return size


cdef inline uint32_t hash_name(const char *p, size_t size) noexcept nogil:
    cdef uint32_t hash = 2166136261     # FNV-1a: strangers can only look names up, not add them
    cdef size_t i
    for i in range(size):
        hash = (hash ^ <uint8_t>p[i]) * 16777619
    return hash


cdef inline int find_name(const JsonNames *names, const char *p, size_t size) noexcept nogil:
    """Return the number of a name; NO_KIND if it is unknown."""
    cdef uint32_t slot = hash_name(p, size) & SLOT_MASK
    cdef int at
    while names.slots[slot]:
        at = names.slots[slot] - 1
        if names.name[at].text.size == size and memcmp(names.name[at].text.start, p, size) == 0:
            return at
        slot = (slot + 1) & SLOT_MASK
    return NO_KIND


cdef inline int put_name(JsonNames *names, bytes text) except -1:
    """Return the number of a name. A new name is added. The caller keeps *text* alive."""
    cdef int at = find_name(names, text, len(text))
    cdef uint32_t slot
    if at != NO_KIND:
        return at
    if names.count == MAX_NAMES:
        raise ValueError(f"there are at most {MAX_NAMES} names of JSON fields, with their parts")
    at = names.count
    names.name[at].text.start, names.name[at].text.size = text, len(text)
    names.name[at].kind = NO_KIND
    slot = hash_name(text, len(text)) & SLOT_MASK
    while names.slots[slot]:
        slot = (slot + 1) & SLOT_MASK
    names.count += 1
    names.slots[slot] = <int16_t>names.count
    return at


cdef inline list add_name(JsonNames *names, str name, int kind, bint is_url, bint is_transparent):
    """Add a name with the highest rank of its kind so far; return the objects that the caller keeps alive."""
    cdef char[MAX_NAME] letters
    cdef size_t size
    cdef Span text
    cdef Name *added
    cdef int at
    encoded = name.encode()
    text.start, text.size = encoded, len(encoded)
    size = put_letters(letters, 0, text)
    if size == 0:
        raise ValueError(f"no name of a JSON field: {name!r}")
    if names.name == NULL:
        names.name, names.slots = <Name *>calloc(MAX_NAMES, sizeof(Name)), <int16_t *>calloc(SLOTS, sizeof(int16_t))
        if names.name == NULL or names.slots == NULL:
            raise MemoryError
    whole = letters[:size]
    parts = whole.split(b".")
    kept = [b".".join(parts[:end]) for end in range(1, len(parts))]
    for above in kept:
        at = put_name(names, above)
        names.name[at].has_children = True
    added = &names.name[put_name(names, whole)]
    added.is_transparent |= is_transparent
    if kind != NO_KIND and added.kind == NO_KIND:
        added.kind, added.rank, added.is_url = kind, <uint8_t>names.ranks[kind], is_url
        names.ranks[kind] += 1
    return [*kept, whole]


cdef inline void free_names(JsonNames *names) noexcept:
    free(names.name)
    free(names.slots)


cdef inline int find_key(const JsonNames *names, int parent, Span key) noexcept nogil:
    """Return the number of the name of a key in the object of the key *parent*; NO_KIND if the name is unknown."""
    cdef char[MAX_NAME] name
    cdef size_t size = 0
    if key.size > MAX_NAME:
        return NO_KIND
    if parent != TOP:
        size = names.name[parent].text.size
        memcpy(name, names.name[parent].text.start, size)
        if size == MAX_NAME:
            return NO_KIND
        name[size] = b"."
        size += 1
    size = put_letters(name, size, key)
    return find_name(names, name, size) if size else NO_KIND


cdef inline int slot_of(int parent, Span key) noexcept nogil:
    """Return the memo's slot of a key. It depends on the key's size, and on its first and last eight bytes."""
    cdef uint64_t first, last
    if key.size >= 8:
        first, last = load8(key.start), load8(key.start + key.size - 8)
    else:
        first = last = 0
        memcpy(&first, key.start, key.size)
    return <int>(((first + last * 31 + key.size * 7 + <uint64_t>(parent + 1) * 131) * 0x9E3779B97F4A7C15ULL) >> 57)


cdef inline bint are_equal(const char *p, const char *text, size_t size) noexcept nogil:
    """Compare *size* bytes, eight at a time, which is cheaper than a call of memcmp."""
    cdef size_t i = 0
    if size < 8:
        return size != 0 and memcmp(p, text, size) == 0
    while i + 8 < size:
        if load8(p + i) != load8(text + i):
            return False
        i += 8
    return load8(p + size - 8) == load8(text + size - 8)


cdef inline bint take_known_key(Cursor *line, const JsonMemo *memo, int parent, int *slot, Span *key) noexcept nogil:
    """Step to the value of the next key, if the same key followed the key in *slot* last time.

    If it returns False, the cursor has not moved."""
    cdef int follower = memo.kept[slot[0]].follower
    cdef const KeptKey *kept = &memo.kept[follower]
    if kept.parent != parent or line.end - line.p <= kept.size or not are_equal(line.p, kept.text, kept.size):
        return False
    if is_blank(line.p[kept.value_at]):
        return False        # this value begins later than last time
    key.start, key.size = line.p + kept.key_at, kept.key_size
    line.p += kept.value_at
    slot[0] = follower
    return True


cdef inline int name_of(
    const JsonNames *names, JsonMemo *memo, int parent, int *slot, const char *gap, Span key, const char *value
) noexcept nogil:
    """Return the number of a key's name, and keep the bytes from *gap* to *value* in the memo."""
    cdef KeptKey *kept
    cdef int here
    cdef size_t size = <size_t>(value - gap)
    if size > MAX_GAP:
        return find_key(names, parent, key)
    here = slot_of(parent, key)
    kept = &memo.kept[here]
    if kept.size == 0 or kept.key_size != key.size or kept.parent != parent or memcmp(
        kept.text + kept.key_at, key.start, key.size
    ) != 0:
        kept.name, kept.parent = <int16_t>find_key(names, parent, key), <int16_t>parent
    kept.size, kept.key_at, kept.key_size = <uint8_t>size, <uint8_t>(key.start - gap), <uint8_t>key.size
    kept.value_at = <uint8_t>(size - ((value - 1)[0] == b'"'))
    memcpy(kept.text, gap, size)
    memo.kept[slot[0]].follower = <uint8_t>here
    slot[0] = here
    return kept.name


# --- Times ----------------------------------------------------------------------------------------------------------

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


# --- Objects --------------------------------------------------------------------------------------------------------

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


cdef inline bint skip_to_key(Cursor *line) noexcept nogil:
    """Step to the next quote or closing brace; False if there is none."""
    while line.p != line.end:
        if line.p[0] == b'"' or line.p[0] == b"}":
            return True
        line.p += 1
        if opens((line.p - 1)[0]) and not skip_open(line, 1):
            return False
    return False


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


cdef inline bint find_object(Cursor *line, const char **brace) noexcept nogil:
    """Step past the next brace that begins an object; False if there is none."""
    while line.p != line.end:
        brace[0] = <const char *>memchr(line.p, b"{", <size_t>(line.end - line.p))
        if brace[0] == NULL:
            return False
        line.p = brace[0] + 1
        skip_blanks(line)
        if line.p != line.end and (line.p[0] == b'"' or line.p[0] == b"}"):
            return True
    return False


cdef inline bint has_object(Cursor line) noexcept nogil:
    cdef const char *brace
    return find_object(&line, &brace)


cdef inline bint has_buffer(JsonMemo *memo) noexcept nogil:
    """Allocate the buffer for texts, if that has not been done; False if memory runs out.

    This takes only address space. The system gives memory when texts are written."""
    if memo.buffer == NULL:
        memo.buffer = <char *>malloc(BUFFER_BYTES)
    return memo.buffer != NULL


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


cdef inline bint contains(Span text, const char *part, size_t size) noexcept nogil:
    return memmem(text.start, text.size, part, size) != NULL


cdef inline bint ends_with(Span text, const char *part, size_t size) noexcept nogil:
    return text.size >= size and memcmp(text.start + text.size - size, part, size) == 0


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
    if not found.has_request:
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


# --- Texts ----------------------------------------------------------------------------------------------------------

cdef inline bint is_plain_byte(char c) noexcept nogil:
    return (<uint8_t>(<uint8_t>c - 32) < 95) & (c != b"\\")


cdef inline bint is_plain(const char *p, size_t size) noexcept nogil:
    """Tell whether all bytes are printable ASCII but not a backslash.

    The inner loop has no branch, so compilers turn it into vector instructions.
    """
    cdef uint8_t[16] odd
    cdef size_t i = 0
    cdef int k
    if size < 16:
        for i in range(size):
            if not is_plain_byte(p[i]):
                return False
        return True
    memset(odd, 0, 16)
    while True:
        for k in range(16):
            odd[k] |= not is_plain_byte(p[i + k])
        if i == size - 16:
            return (load8(<const char *>odd) | load8(<const char *>odd + 8)) == 0
        i = min(i + 16, size - 16)


cdef inline bint put_escaped(JsonMemo *memo, const char *p, size_t size, int spaces) noexcept nogil:
    """Append bytes to the buffer as Apache logs them; False if the buffer is full."""
    cdef const char *digits = "0123456789abcdef"
    cdef const char *meant = '"\\\b\n\r\t\v'
    cdef const char *letters = '"\\bnrtv'
    cdef const char *letter
    cdef char *out = memo.buffer + memo.used
    cdef size_t i
    cdef uint8_t c
    if BUFFER_BYTES - memo.used < 4 * size:
        return False
    for i in range(size):
        c = <uint8_t>p[i]
        if c == c" " and spaces != STAYS:
            memcpy(out, b"%20" if spaces == AS_PERCENT else b"\\x20", 3 if spaces == AS_PERCENT else 4)
            out += 3 if spaces == AS_PERCENT else 4
        elif 32 <= c <= 126 and c != c'"' and c != c"\\":
            out[0] = <char>c
            out += 1
        else:
            letter = <const char *>memchr(meant, c, 7)
            out[0] = b"\\"
            if letter != NULL:
                out[1] = letters[letter - meant]
                out += 2
            else:
                out[1], out[2], out[3] = b"x", digits[c >> 4], digits[c & 15]
                out += 4
    memo.used = <size_t>(out - memo.buffer)
    return True


cdef inline int unit_value(const char *p, size_t left) noexcept nogil:
    r"""Return the number in ``\uhhhh`` at *p*; -1 if *p* has no such escape."""
    cdef int high, low
    if left < 6 or p[0] != b"\\" or p[1] != b"u":
        return -1
    high, low = pair_value(p + 2, 2), pair_value(p + 4, 2)
    return -1 if high < 0 or low < 0 else high << 8 | low


cdef inline size_t put_utf8(uint32_t code, char *out) noexcept nogil:
    """Write a character, or half of a surrogate pair; return its size."""
    if code < 0x80:
        out[0] = <char>code
        return 1
    if code < 0x800:
        out[0], out[1] = <char>(0xC0 | code >> 6), <char>(0x80 | code & 63)
        return 2
    if code < 0x10000:
        out[0], out[1], out[2] = <char>(0xE0 | code >> 12), <char>(0x80 | code >> 6 & 63), <char>(0x80 | code & 63)
        return 3
    out[0], out[1] = <char>(0xF0 | code >> 18), <char>(0x80 | code >> 12 & 63)
    out[2], out[3] = <char>(0x80 | code >> 6 & 63), <char>(0x80 | code & 63)
    return 4


cdef inline size_t take_character(const char *p, size_t left, char *out, size_t *size) noexcept nogil:
    """Read a byte or an escape, and write its meaning, up to four bytes, to *out*; return how many bytes were read."""
    cdef const char *letters = 'bfnrtv"\\/'
    cdef const char *meant = '\b\f\n\r\t\v"\\/'
    cdef const char *letter
    cdef int value, second
    out[0], size[0] = p[0], 1
    if p[0] != b"\\" or left < 2:
        return 1
    letter = <const char *>memchr(letters, p[1], 9)
    if letter != NULL:
        out[0] = meant[letter - letters]
        return 2
    if p[1] == b"x":
        value = pair_value(p + 2, left - 2)
        if value < 0:
            return 1
        out[0] = <char>value
        return 4
    value = unit_value(p, left)
    if value < 0:
        return 1                # not an escape: only a backslash
    if 0xD800 <= value < 0xDC00:
        second = unit_value(p + 6, left - 6)
        if 0xDC00 <= second < 0xE000:
            size[0] = put_utf8(0x10000 + <uint32_t>((value - 0xD800) << 10 | (second - 0xDC00)), out)
            return 12
    size[0] = put_utf8(<uint32_t>value, out)
    return 6


cdef inline bint take_text(Span raw, int spaces, JsonMemo *memo, Span *out) noexcept nogil:
    """Set *out* to a value as Apache would have logged it; False if the buffer is full."""
    cdef char[4] character
    cdef size_t written
    cdef size_t i = 0
    cdef size_t start = memo.used
    if is_plain(raw.start, raw.size) and (spaces == STAYS or memchr(raw.start, b" ", raw.size) == NULL):
        out[0] = raw
        return True
    while i < raw.size:
        i += take_character(raw.start + i, raw.size - i, character, &written)
        if not put_escaped(memo, character, written, spaces):
            return False
    out.start, out.size = memo.buffer + start, memo.used - start
    return True


cdef inline void put_listed_bytes(JsonMemo *memo, Span numbers) noexcept nogil:
    """Append the bytes that a list of numbers stands for. The caller saw to it that the buffer has space for them."""
    cdef size_t i
    cdef unsigned int byte = 0
    for i in range(1, numbers.size):
        if is_digit(numbers.start[i]):
            byte = 10 * byte + <unsigned int>(numbers.start[i] - c"0")
        elif is_digit(numbers.start[i - 1]):
            memo.buffer[memo.used] = <char>byte
            memo.used += 1
            byte = 0


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


# --- Lines ----------------------------------------------------------------------------------------------------------

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
    has only the path, in others only the method.
    """
    cdef Span request
    cdef bint is_target = False
    cdef bint is_whole = False
    if not take_field(found, J_REQUEST, STAYS, memo, &request):
        return False
    if has_text(found, J_REQUEST):
        is_target = request.start[0] == b"/" or has_scheme(request)
        is_whole = memchr(request.start, b" ", request.size) != NULL and not is_target
    if is_whole or (not has_text(found, J_PATH) and not (is_target and has_text(found, J_METHOD))):
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
    if has_text(found, J_PATH):
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
