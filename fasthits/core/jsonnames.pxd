"""The names of fields in JSON lines, and the keys that stand for them.

Keys are compared by their letters and digits in lower case, so ``userAgent``, ``user_agent`` and ``User-Agent`` are
one name. Dots join the keys of nested objects, so ``{"a": {"b": 1}}`` is read as ``{"a.b": 1}``.

The keys of a log repeat line after line. So the memo keeps for each key the bytes between the previous value and its
own value, such as ``,"status":"``, and the key that followed it. If the next line has the same bytes there, it has the
same key, and the core need not look the key up again.
"""

from libc.stdint cimport int16_t, int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from fasthits.core.json cimport is_blank
from fasthits.core.tokens cimport Cursor, Span, load8

cdef enum:                 # kinds of keys
    J_TIME, J_REQUEST, J_METHOD, J_PATH, J_QUERY, J_PROTOCOL, J_STATUS, J_BYTES, J_REFERER, J_USER_AGENT, J_VHOST
    J_LOGGER, J_LEVEL, J_MESSAGE, JSON_KINDS

cdef enum:
    NO_KIND = -1
    TOP = -1               # the parent of keys in the outermost object
    MAX_NAME = 96          # bytes of a name, with its dots; longer keys are unknown
    KEPT_KEYS = 128
    MAX_GAP = 54           # bytes from the previous value to a key's value; keys with more are looked up each time
    MAX_NAMES = 500        # of JSON fields and of the objects around them
    SLOTS = 2048
    SLOT_MASK = SLOTS - 1

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
    keys = whole.split(b".")
    kept = [b".".join(keys[:end]) for end in range(1, len(keys))]
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
